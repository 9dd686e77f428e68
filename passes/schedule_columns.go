package passes

import (
	"slices"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// columns emits reductions over outer axes. The accumulators of a row of the
// result are in memory; operands are walked row by row, innermost axis
// contiguous, and added into it:
//
//	for each row of the result, or each part of the only one:
//	  acc[c] = init
//	  for the reduced axes, the last one in fours:
//	    acc[c] = acc[c] + x0[c] + x1[c] + x2[c] + x3[c]
//	  values that follow from acc[c]
func (b *kernelBuilder) columns(p *plan) {
	var reductions, stores, finish []*ir.Value
	for _, v := range p.members {
		switch {
		case v.Op.Reduces:
			reductions = append(reductions, v)
		case p.avail[v] == 0 && p.output[v]:
			stores = append(stores, v)
		case p.output[v]:
			finish = append(finish, v)
		}
	}
	acc := map[*ir.Value]storage{}
	lent := map[*ir.Value]bool{}
	for _, v := range reductions {
		if p.output[v] {
			acc[v] = b.out[v][0]
			continue
		}
		for _, o := range finish {
			if !lent[o] && !b.over[o] && o.Type.Equal(v.Type) && slices.Equal(p.rowOf[o], p.rowOf[v]) {
				lent[o] = true
				acc[v] = b.out[o][0]
				break
			}
		}
		if _, ok := acc[v]; !ok {
			s := storage{strides: rowMajor(v.Type.Shape)}
			s.buf = b.Buffer(b.names.pick("", "sums"), v.Type.Elem, v.Type.Len(), true)
			acc[v] = s
		}
	}

	last := len(p.extents) - 1
	body := func(row []loop.Index, lo, hi loop.Bound) {
		column := func(body func(row []loop.Index)) {
			b.For("c", lo, hi, 1, nil, func(c *loop.Val, _ []*loop.Val) []*loop.Val {
				body(append(row[:last:last], loop.At(c)))
				return nil
			})
		}
		column(func(row []loop.Index) {
			for _, v := range reductions {
				s := acc[v]
				b.Store(s.buf, s.address(p.at(v, row, nil)), b.Const(v.Type.Elem, v.Op.Reducer.Init(v.Type.Elem)))
			}
		})
		b.columnSums(p, reductions, stores, acc, column)
		extra := slices.ContainsFunc(reductions, func(v *ir.Value) bool { return len(b.out[v]) > 1 })
		if len(finish) == 0 && !extra {
			return
		}
		column(func(row []loop.Index) {
			for _, v := range reductions {
				s := acc[v]
				idx := p.at(v, row, nil)
				x := b.Load(s.buf, s.address(idx))
				b.bind(v, idx, x)
				if len(b.out[v]) > 1 {
					b.store(v, idx, x)
				}
			}
			var xs []*loop.Val
			for _, v := range finish {
				xs = append(xs, b.pull(v, p.at(v, row, nil)))
			}
			for i, v := range finish {
				b.store(v, p.at(v, row, nil), xs[i])
			}
		})
	}
	if last > 0 {
		b.nest(p.extents[:last], func(row []loop.Index) {
			body(row, loop.Bound{}, loop.Bound{Dim: p.extents[last]})
		})
		return
	}
	lo, hi := b.NewVal(loop.Int, "lo"), b.NewVal(loop.Int, "hi")
	b.K.Grid = &loop.Grid{Lo: lo, Hi: hi, N: p.extents[last], Grain: loop.N(1)}
	body(nil, loop.Bound{Val: lo}, loop.Bound{Val: hi})
}

// columnSums walks the reduced axes.
func (b *kernelBuilder) columnSums(p *plan, reductions, stores []*ir.Value, acc map[*ir.Value]storage, column func(func(row []loop.Index))) {
	extents := reducedExtents(reductions[0])
	depth := len(extents)
	inner := make([]loop.Index, depth)
	// some takes n elements of the last reduced axis, from k on.
	some := func(k loop.Index, n int) {
		column(func(row []loop.Index) {
			sums := make([]*loop.Val, len(reductions))
			for i, v := range reductions {
				sums[i] = b.Load(acc[v].buf, acc[v].address(p.at(v, row, nil)))
			}
			type write struct {
				v   *ir.Value
				idx []loop.Index
				x   *loop.Val
			}
			var writes []write
			for part := range n {
				if depth > 0 {
					inner[depth-1] = k.Add(loop.AtDim(loop.N(part)))
				}
				for i, v := range reductions {
					x := b.pull(v.Args[0], operandIndex(v, p.at(v, row, nil), inner))
					sums[i] = v.Op.Reducer.Step(&b.Emitter, sums[i], x)
				}
				for _, v := range stores {
					idx := p.at(v, row, longerIndices(inner, extents))
					writes = append(writes, write{v, idx, b.pull(v, idx)})
				}
			}
			for i, v := range reductions {
				b.Store(acc[v].buf, acc[v].address(p.at(v, row, nil)), sums[i])
			}
			for _, w := range writes {
				b.store(w.v, w.idx, w.x)
			}
		})
	}
	var rec func(axis int)
	rec = func(axis int) {
		switch {
		case axis == depth:
			some(loop.Index{}, 1)
		case extents[axis].Is(1):
			inner[axis] = loop.Index{}
			rec(axis + 1)
		case axis < depth-1:
			b.Range("i", extents[axis], func(i *loop.Val) {
				inner[axis] = loop.At(i)
				rec(axis + 1)
			})
		default:
			var after *loop.Val
			b.steps("k", loop.Bound{}, loop.Bound{Dim: extents[axis]}, parts, nil, &after, func(k *loop.Val, _ []*loop.Val) []*loop.Val {
				some(loop.At(k), parts)
				return nil
			})
			if c, ok := extents[axis].Const(); ok && c%parts == 0 {
				return
			}
			b.For("k", loop.Bound{Val: after}, loop.Bound{Dim: extents[axis]}, 1, nil, func(k *loop.Val, _ []*loop.Val) []*loop.Val {
				some(loop.At(k), 1)
				return nil
			})
		}
	}
	rec(0)
}

// longerIndices are the indices of the axes that are longer than 1.
func longerIndices(idx []loop.Index, extents []ir.Dim) []loop.Index {
	var out []loop.Index
	for i, d := range extents {
		if !d.Is(1) {
			out = append(out, idx[i])
		}
	}
	return out
}
