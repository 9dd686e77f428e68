package passes

import (
	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// A storage says where the elements of a tensor are in a buffer of a kernel:
// element idx at base + sum(idx[i]*strides[i]).
type storage struct {
	buf     *loop.Buffer
	base    loop.Index
	strides []ir.Dim
}

func (s storage) address(idx []loop.Index) loop.Index {
	at := s.base
	for i, d := range s.strides {
		at = at.Add(idx[i].Scale(d))
	}
	return at
}

// rowMajor are the strides of a tensor without gaps.
func rowMajor(shape []ir.Dim) []ir.Dim {
	strides := make([]ir.Dim, len(shape))
	n := loop.N(1)
	for i := len(shape) - 1; i >= 0; i-- {
		strides[i] = n
		n = n.Mul(shape[i])
	}
	return strides
}

// An emitter builds a kernel by pulling elements: a value that is in memory is
// loaded, any other is computed where it is asked for. What has been computed
// in a block is not computed again in it or in the blocks inside it.
type emitter struct {
	ir.Emitter
	in   map[*ir.Value]storage   // values in memory
	memo map[*ir.Value][]element // values computed so far, and where they can be used
}

// An element is one element of a value, available while its block is open.
type element struct {
	idx   []loop.Index
	val   *loop.Val
	block int
}

func newEmitter(name string) *emitter {
	e := &emitter{in: map[*ir.Value]storage{}, memo: map[*ir.Value][]element{}}
	e.Builder = loop.NewBuilder(name)
	e.Pull = e.pull
	e.Memory = func(v *ir.Value) *loop.Buffer { return e.in[v].buf }
	return e
}

// bind makes val element idx of v for the block under construction.
func (e *emitter) bind(v *ir.Value, idx []loop.Index, val *loop.Val) {
	e.memo[v] = append(e.memo[v], element{append([]loop.Index(nil), idx...), val, e.Block()})
}

func (e *emitter) bound(v *ir.Value, idx []loop.Index) *loop.Val {
	known := e.memo[v]
	for len(known) > 0 && !e.Open(known[len(known)-1].block) {
		known = known[:len(known)-1]
	}
	e.memo[v] = known
	for _, x := range known {
		if e.Open(x.block) && sameIndices(x.idx, idx) {
			return x.val
		}
	}
	return nil
}

func (e *emitter) pull(v *ir.Value, idx []loop.Index) *loop.Val {
	if x := e.bound(v, idx); x != nil {
		return x
	}
	block := e.Block()
	x := e.compute(v, idx)
	e.memo[v] = append(e.memo[v], element{append([]loop.Index(nil), idx...), x, block})
	return x
}

func (e *emitter) compute(v *ir.Value, idx []loop.Index) *loop.Val {
	if s, ok := e.in[v]; ok {
		return e.Load(s.buf, s.address(idx))
	}
	if v.Op.Lane != nil {
		args := make([]*loop.Val, len(v.Args))
		for i, a := range v.Args {
			args[i] = e.Pull(a, idx)
		}
		return v.Op.Lane(&e.Emitter, v, args)
	}
	return v.Op.At(&e.Emitter, v, idx)
}

func sameIndices(a, b []loop.Index) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !sameIndex(a[i], b[i]) {
			return false
		}
	}
	return true
}

func sameIndex(a, b loop.Index) bool {
	if len(a.Terms) != len(b.Terms) || !a.Off.Eq(b.Off) {
		return false
	}
	for _, s := range a.Terms {
		found := false
		for _, t := range b.Terms {
			found = found || s.Var == t.Var && s.Coef.Eq(t.Coef)
		}
		if !found {
			return false
		}
	}
	return true
}
