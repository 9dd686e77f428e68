package passes

import (
	"slices"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/ops"
)

func sumOfOnes(_ *simplifier, g ops.Graph, v *ir.Value) *ir.Value {
	for _, a := range ops.Axes.Of(v) {
		if !v.Arg(0).Shape[a].Is(1) {
			return nil
		}
	}
	return g.Reshape(v.Args[0], v.Type.Shape...)
}

func sumOfSum(s *simplifier, g ops.Graph, v *ir.Value) *ir.Value {
	x := v.Args[0]
	if x.Op != ops.Sum || !s.once(x) {
		return nil
	}
	left := without(x.Arg(0).Rank(), ops.Axes.Of(x))
	axes := slices.Concat(ops.Axes.Of(x), pick(left, ops.Axes.Of(v)))
	slices.Sort(axes)
	return g.Sum(x.Args[0], axes...)
}

func sumOfNeg(_ *simplifier, g ops.Graph, v *ir.Value) *ir.Value {
	if x := v.Args[0]; x.Op == ops.Neg {
		return g.Neg(g.Sum(x.Args[0], ops.Axes.Of(v)...))
	}
	return nil
}

// sumOfBroadcast multiplies by the number of times that an element is
// repeated.
func sumOfBroadcast(_ *simplifier, g ops.Graph, v *ir.Value) *ir.Value {
	x := v.Args[0]
	if x.Op != ops.Broadcast {
		return nil
	}
	sp := spreadOf(g, x)
	n := countOf(nil)
	var inside []int
	for _, a := range ops.Axes.Of(v) {
		if slices.Contains(sp.axes, a) {
			inside = append(inside, a)
		} else {
			n = n.Mul(x.Type.Shape[a])
		}
	}
	if len(inside) == len(ops.Axes.Of(v)) {
		return nil
	}
	y := g.Sum(sp.inner, renumber(inside, sp.axes)...)
	if !n.Is(1) {
		var times *ir.Value
		if v.Type.Elem == ir.F32 {
			times = count(g, n)
		} else {
			times = g.Size(n)
		}
		y = g.Mul(y, g.Expand(times, y.Type.Shape...))
	}
	outer := without(x.Type.Rank(), ops.Axes.Of(v))
	return g.Broadcast(y, v.Type.Shape, renumber(pick(sp.axes, without(len(sp.axes), renumber(inside, sp.axes))), outer)...)
}

// sumOfSelect chooses after the sum where the condition is the same along the
// axes summed.
func sumOfSelect(_ *simplifier, g ops.Graph, v *ir.Value) *ir.Value {
	x := v.Args[0]
	if x.Op != ops.Select || x.Args[0].Op != ops.Broadcast {
		return nil
	}
	c := spreadOf(g, x.Args[0])
	axes := ops.Axes.Of(v)
	if slices.ContainsFunc(axes, func(a int) bool { return slices.Contains(c.axes, a) }) {
		return nil
	}
	zero := func(i int) bool { return x.Args[i].Op == ops.Const && ops.Fill.Of(x.Args[i]) == 0 }
	cond := g.Broadcast(c.inner, v.Type.Shape, renumber(c.axes, without(x.Type.Rank(), axes))...)
	switch {
	case zero(1):
		return g.Select(cond, g.Like(v, 0), g.Sum(x.Args[2], axes...))
	case zero(2):
		return g.Select(cond, g.Sum(x.Args[1], axes...), g.Like(v, 0))
	}
	return nil
}

// sumOfPut is the sum of what putOne makes: one element for each index, which
// TakeAlong has checked.
func sumOfPut(_ *simplifier, g ops.Graph, v *ir.Value) *ir.Value {
	x := v.Args[0]
	if x.Op != ops.Select || x.Args[0].Op != ops.Equal || x.Args[2].Op != ops.Const || ops.Fill.Of(x.Args[2]) != 0 {
		return nil
	}
	i, hit := x.Args[0].Args[0], x.Args[0].Args[1]
	axes := ops.Axes.Of(v)
	if i.Op != ops.Iota || hit.Op != ops.Broadcast || !slices.Contains(axes, ops.Axis.Of(i)) {
		return nil
	}
	axis := ops.Axis.Of(i)
	value := spreadOf(g, x.Args[1])
	if slices.Contains(spreadOf(g, hit).axes, axis) || slices.Contains(value.axes, axis) {
		return nil
	}
	// The element without the axis, then the other axes.
	rest := without(x.Type.Rank(), []int{axis})
	y := g.Broadcast(value.inner, pick(x.Type.Shape, rest), renumber(value.axes, rest)...)
	others := slices.DeleteFunc(slices.Clone(axes), func(a int) bool { return a == axis })
	return g.Sum(y, renumber(others, rest)...)
}

// sumWithScatter adds the entries of a scatter in place: zeros for a whole table
// are neither written nor read.
func sumWithScatter(s *simplifier, g ops.Graph, v *ir.Value) *ir.Value {
	for i, y := range v.Args {
		x := v.Args[1-i]
		if s.late && y.Op == ops.Scatter && s.once(y) && s.once(x) && x.Op != ops.Scatter && x.Op != ir.Param && x.Op != ops.Const {
			return g.ScatterAdd(x, y.Args[0], y.Args[1], ops.Axis.Of(y))
		}
	}
	return nil
}
