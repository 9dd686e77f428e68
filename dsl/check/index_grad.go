package check

import (
	"fmt"
	"slices"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/ops"
)

// gradientEach is the gradient of a y that depends on indices: one for each
// combination of them. A loop over the combinations holds what depends on wrt
// once more, and its gradient from one element of y.
func (a *args) gradientEach(y tensor, wrt []*ir.Value) []*ir.Value {
	up := a.fr
	n := loop.N(1)
	var shape []loop.Dim
	for _, ix := range y.idx {
		n = n.Mul(ix.extent())
		shape = append(shape, ix.extent())
	}
	f := newFrame(up, "grad")
	f.trip = n
	a.entry.loops++
	f.sym = fmt.Sprintf("grad#%d", a.entry.loops)
	a.entry.ranges[f.sym] = n
	f.counter = f.g.Param("i", ir.Tensor(ir.I32))

	inner := map[*ir.Value]*ir.Value{} // what depends on wrt, in f
	vals := make([]*ir.Value, len(wrt))
	captured := func(v *ir.Value) *ir.Value { return f.use(tensor{v: v, fr: up}) }
	for i, w := range wrt {
		vals[i] = captured(w)
		inner[w] = vals[i]
	}
	y.v = up.use(y)
	needed := neededFor(up.g.F, y.v)
	for _, v := range slices.Clone(up.g.F.Values) {
		if !needed[v.ID] || inner[v] != nil || !slices.ContainsFunc(v.Args, func(x *ir.Value) bool { return inner[x] != nil }) {
			continue
		}
		in := make([]*ir.Value, len(v.Args))
		for k, x := range v.Args {
			if in[k] = inner[x]; in[k] == nil {
				in[k] = captured(x)
			}
		}
		inner[v] = f.g.Copy(v, in)
	}
	var gs []*ir.Value
	if inner[y.v] == nil { // it does not depend on wrt
		for _, w := range vals {
			gs = append(gs, f.g.Like(w, 0))
		}
	} else {
		one := f.g.Equal(f.g.Iota(0, n), f.g.Expand(f.counter, n))
		seed := f.g.Reshape(f.g.Cast(one, ir.F32), shape...)
		gs = a.backprop(f, []*ir.Value{inner[y.v]}, []*ir.Value{seed}, vals)
	}
	f.g.F.Results = gs
	live := liveIn(f.g.F)
	l := ops.Loop{Extent: n, InAxes: []int{}, OutAxes: make([]int, len(gs))}
	var fixed []*ir.Value
	for _, o := range f.outer {
		if live[o.param.ID] {
			l.Invariants = append(l.Invariants, up.use(o.value))
			fixed = append(fixed, o.param)
		}
	}
	f.close(slices.Concat([]*ir.Value{f.counter}, fixed))
	if f.g.Err != nil && up.g.Err == nil {
		up.g.Err = f.g.Err
	}
	l.Body = f.g.F
	scan := up.g.Scan(l)
	out := make([]*ir.Value, len(gs))
	for i, w := range wrt {
		out[i] = up.g.Reshape(up.g.Get(scan, i), slices.Concat(shape, w.Type.Shape)...)
	}
	return out
}

// neededFor marks, by ID, the values of fn that y depends on.
func neededFor(fn *ir.Func, y *ir.Value) []bool {
	for i, v := range fn.Values {
		v.ID = i
	}
	need := make([]bool, len(fn.Values))
	need[y.ID] = true
	for i := len(fn.Values) - 1; i >= 0; i-- {
		if need[i] {
			for _, x := range fn.Values[i].Args {
				need[x.ID] = true
			}
		}
	}
	return need
}
