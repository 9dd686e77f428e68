package passes

import (
	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/ops"
)

// worthTransposing is how many elements of a transposition are worth a dispatch.
const worthTransposing = 1 << 16

// nativeTranspose is the form in vectors of a kernel that transposes a tensor
// and does nothing else: squares of 16 by 16 go through registers, so that both
// sides are read and written by vectors. It is false for other kernels, and where the
// two axes that change places are not multiples of 16.
func (b *kernelBuilder) nativeTranspose() bool {
	if len(b.body.Results) != 1 {
		return false
	}
	v := b.body.Results[0]
	if v.Op != ops.Transpose || v.Args[0].Op != ir.Param || v.Type.Elem != ir.F32 || b.over[v] || len(b.out[v]) != 1 {
		return false
	}
	shape, perm := v.Type.Shape, ops.Perm.Of(v)
	col := len(shape) - 1 // innermost in the result
	row := 0              // innermost in the operand
	for i, axis := range perm {
		if axis == col {
			row = i
		}
	}
	from, to := b.in[v.Args[0]], b.out[v][0]
	for _, axis := range []int{row, col} {
		if n, ok := shape[axis].Const(); !ok || n%loop.Lanes != 0 {
			return false
		}
	}
	if row == col || !from.strides[col].Is(1) || !to.strides[col].Is(1) {
		return false
	}

	blocks := shape[row].FloorDiv(loop.N(loop.Lanes))
	n := blocks
	for i, d := range shape {
		if i != row && i != col {
			n = n.Mul(d)
		}
	}
	columns := constant(shape[col])
	lo, hi := b.NewVal(loop.Int, "lo"), b.NewVal(loop.Int, "hi")
	b.K.Grid = &loop.Grid{Lo: lo, Hi: hi, N: n, Grain: loop.N(max(1, worthTransposing/(loop.Lanes*columns)))}
	b.For("piece", loop.Bound{Val: lo}, loop.Bound{Val: hi}, 1, nil, func(x *loop.Val, _ []*loop.Val) []*loop.Val {
		idx := make([]loop.Index, len(shape))
		next := func(n ir.Dim) loop.Index {
			if n.Is(1) {
				return loop.Index{}
			}
			size := b.SizeOf(n)
			at := b.Do(loop.Mod, x, size)
			x = b.Do(loop.Div, x, size)
			return loop.At(at)
		}
		idx[row] = next(blocks).Scale(loop.N(loop.Lanes))
		for i := len(shape) - 2; i >= 0; i-- {
			if i != row {
				idx[i] = next(shape[i])
			}
		}
		b.For("c", loop.Bound{}, loop.Bound{Dim: shape[col]}, loop.Lanes, nil, func(c *loop.Val, _ []*loop.Val) []*loop.Val {
			square := make([]*loop.Val, loop.Lanes)
			read := make([]loop.Index, len(shape))
			for q := range square {
				idx[col] = loop.At(c).Add(loop.AtDim(loop.N(q)))
				for i, axis := range perm {
					read[axis] = idx[i]
				}
				square[q] = b.LoadVec(from.buf, from.address(read), nil)
			}
			idx[col] = loop.At(c)
			first := idx[row]
			for q, x := range b.Transpose(square) {
				idx[row] = first.Add(loop.AtDim(loop.N(q)))
				b.StoreVec(to.buf, to.address(idx), x, nil)
			}
			idx[row] = first
			return nil
		})
		return nil
	})
	return true
}
