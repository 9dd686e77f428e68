package check

import (
	"slices"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/ops"
)

// A reducer folds the elements along some axes to one.
type reducer struct {
	name, doc string
	logic     bool // of bool, not of numbers
	float     bool // of f32 only
	emit      func(g ops.Graph, x *ir.Value, axes ...int) *ir.Value
}

var reducers = []*reducer{
	{name: "sum", doc: "sum adds up.", emit: ops.Graph.Sum},
	{name: "prod", doc: "prod multiplies.", emit: ops.Graph.Prod},
	{name: "mean", doc: "mean is the sum divided by the number of elements.", float: true, emit: meanOf},
	{name: "max", doc: "max is the largest element, or the larger of two.", emit: ops.Graph.MaxOf},
	{name: "min", doc: "min is the smallest element, or the smaller of two.", emit: ops.Graph.MinOf},
	{name: "all", doc: "all tells whether all elements are true.", logic: true, emit: ops.Graph.All},
	{name: "any", doc: "any tells whether some element is true.", logic: true, emit: ops.Graph.Any},
}

// reducerOf is the reducer called name, or nil.
func reducerOf(name string) *reducer {
	for _, r := range reducers {
		if r.name == name {
			return r
		}
	}
	return nil
}

func init() {
	for _, r := range reducers {
		params := "x, axis = …, keep = false"
		switch r.name {
		case "max":
			add(row{name: "max", params: "x, y = …, axis = …, keep = false", brackets: "i, j", doc: r.doc, run: func(a *args) value {
				if a.has("y") && len(a.call.items) == 0 {
					return a.pair("x", "y", ops.Graph.Max, func(x, y float64) float64 { return max(x, y) }, true)
				}
				return a.reduce(r)
			}})
			continue
		case "min":
			add(row{name: "min", params: "x, y = …, axis = …, keep = false", brackets: "i, j", doc: r.doc, run: func(a *args) value {
				if a.has("y") && len(a.call.items) == 0 {
					return a.pair("x", "y", ops.Graph.Min, func(x, y float64) float64 { return min(x, y) }, false)
				}
				return a.reduce(r)
			}})
			continue
		}
		add(row{name: r.name, params: params, brackets: "i, j", doc: r.doc, run: func(a *args) value { return a.reduce(r) }})
	}
	add(
		row{name: "argmax", params: "x, axis = -1, keep = false", doc: "argmax is the index of the largest element along an axis, the first of equals.", run: func(a *args) value { return a.extremum(ops.Graph.ArgMax) }},
		row{name: "argmin", params: "x, axis = -1, keep = false", doc: "argmin is the index of the smallest element along an axis, the first of equals.", run: func(a *args) value { return a.extremum(ops.Graph.ArgMin) }},
		row{name: "norm", params: "x, axis = …, keep = false", doc: "norm is the root of the sum of squares; its gradient at 0 is 0.", run: func(a *args) value {
			t := a.float("x")
			axes := a.axes("axis", t)
			g := a.fr.g
			s := g.Sum(g.Square(t.v), shifted(t, axes)...)
			zero := g.Equal(s, g.Like(s, 0))
			root := g.Select(zero, g.Like(s, 0), g.Sqrt(g.Select(zero, g.Like(s, 1), s)))
			return a.kept(t, ir.F32, axes, root)
		}},
		row{name: "cumsum", params: "x, axis = -1, exclusive = false, reverse = false", doc: "cumsum adds up along an axis: element i is the sum up to i.", run: func(a *args) value {
			t := a.numbers("x")
			axis := a.axis("axis", t, -1)
			return a.made(t.elem, t.dims, a.fr.g.CumSum(t.v, axis+len(t.idx), a.flag("exclusive"), a.flag("reverse")), t)
		}},
	)
}

// meanOf is the mean of x over axes.
func meanOf(g ops.Graph, x *ir.Value, axes ...int) *ir.Value {
	if x.Type.Tuple != nil || len(axes) == 0 {
		return x
	}
	n := loop.N(1)
	for _, i := range axes {
		n = n.Mul(x.Type.Shape[i])
	}
	s := g.Sum(x, axes...)
	return g.Div(s, g.Expand(countOf(g, n), s.Type.Shape...))
}

// countOf is n as an f32 scalar.
func countOf(g ops.Graph, n loop.Dim) *ir.Value {
	if k, ok := n.Const(); ok {
		return g.Float(float64(k))
	}
	return g.Cast(g.Size(n), ir.F32)
}

// reduce is sum(x) and the like, or sum[i,j](…).
func (a *args) reduce(r *reducer) value {
	if len(a.call.items) > 0 {
		for _, n := range []string{"axis", "keep", "y"} {
			if a.has(n) {
				a.failf(a.by[n].at, "`%s[…]` reduces over its indices; it has no `%s`", r.name, n)
			}
		}
		return a.reduceIndices(r, a.call)
	}
	t := a.reducible(r, "x")
	axes := a.axes("axis", t)
	if len(axes) == 0 {
		return t
	}
	return a.kept(t, t.elem, axes, r.emit(a.fr.g, t.v, shifted(t, axes)...))
}

// reducible is the argument name as something that r takes.
func (a *args) reducible(r *reducer, name string) tensor {
	switch {
	case r.logic:
		return a.elem(name, ir.Bool)
	case r.float:
		t := a.numbers(name)
		if t.elem != ir.F32 {
			return a.float(name)
		}
		return t
	}
	return a.numbers(name)
}

// kept is v, the reduction of t over axes; with keep = true they stay as axes
// of length 1.
func (a *args) kept(t tensor, e ir.Elem, axes []int, v *ir.Value) tensor {
	keep := a.flag("keep")
	var dims []dim
	for i, d := range t.dims {
		switch {
		case !slices.Contains(axes, i):
			dims = append(dims, d)
		case keep:
			dims = append(dims, number(1))
		}
	}
	if keep {
		var shape []loop.Dim
		for _, ix := range t.idx {
			shape = append(shape, ix.extent())
		}
		v = a.fr.g.Reshape(v, append(shape, shapeOf(dims)...)...)
	}
	return a.made(e, dims, v, t)
}

func (a *args) extremum(emit func(g ops.Graph, x *ir.Value, axis int) *ir.Value) value {
	t := a.numbers("x")
	axis := a.axis("axis", t, -1)
	return a.kept(t, ir.I32, []int{axis}, emit(a.fr.g, t.v, axis+len(t.idx)))
}
