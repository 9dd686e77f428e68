package ops

import (
	"fmt"
	"slices"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

func init() {
	define(Slice, ir.Op{
		Name: "slice", Doc: "slice takes shape[k] elements of axis k from starts[k] on, every steps[k]-th. Steps are positive.",
		Args: unaryArgs, Attrs: []ir.Key{Starts, Shape, Steps}, Traits: ir.Traits{Layout: true},
		Infer: func(v *ir.Value) (ir.Type, error) {
			if err := tensor(v, 0, anyElem...); err != nil {
				return ir.Type{}, err
			}
			x, starts, shape, steps := v.Arg(0), Starts.Of(v), Shape.Of(v), Steps.Of(v)
			if n := x.Rank(); len(starts) != n || len(shape) != n || len(steps) != n {
				return errorf("%d starts, %d extents and %d steps for %v", len(starts), len(shape), len(steps), x)
			}
			for i := range shape {
				if steps[i] < 1 {
					return errorf("axis %d has the step %d", i, steps[i])
				}
				if err := partial(x, i, starts[i], shape[i], steps[i]); err != nil {
					return ir.Type{}, err
				}
			}
			return x.WithShape(shape...), extents(shape)
		},
		At: func(e *ir.Emitter, v *ir.Value, idx []loop.Index) *loop.Val {
			from := make([]loop.Index, len(idx))
			for i := range idx {
				from[i] = plus(idx[i].Scale(loop.N(Steps.Of(v)[i])), Starts.Of(v)[i])
			}
			return e.Pull(v.Args[0], from)
		},
		Fold: func(b *ir.Builder, v *ir.Value) *ir.Value {
			x := v.Args[0]
			switch {
			case ir.SameShape(x.Type.Shape, v.Type.Shape) && ones(Steps.Of(v)) && zeros(Starts.Of(v)):
				return x
			case x.Op == Slice:
				starts, steps := slices.Clone(Starts.Of(v)), slices.Clone(Steps.Of(v))
				for i, s := range Steps.Of(x) {
					starts[i] = starts[i].MulN(s).Add(Starts.Of(x)[i])
					steps[i] *= s
				}
				return On(b).Slice(x.Args[0], starts, v.Type.Shape, steps)
			}
			return splat(b, v)
		},
		Grad: func(b *ir.Builder, v, dy *ir.Value) []*ir.Value {
			g := On(b)
			x, starts, steps := v.Arg(0), Starts.Of(v), Steps.Of(v)
			hi, interior := make([]ir.Dim, len(steps)), make([]int, len(steps))
			for i, n := range v.Type.Shape {
				used := ir.Dim{}
				if !n.Is(0) {
					used = n.AddN(-1).MulN(steps[i]).AddN(1)
				}
				hi[i] = x.Shape[i].Sub(starts[i]).Sub(used)
				interior[i] = steps[i] - 1
			}
			return []*ir.Value{g.Pad(dy, g.Float(0), starts, hi, interior)}
		},
		Samples: []ir.Sample{
			{Types: types(floats(2, 5)), Attrs: settings(Starts.Is(dims(0, 1)), Shape.Is(dims(2, 2)), Steps.Is([]int{1, 2})), In: data(count(10)), Want: row(1, 3, 6, 8)},
			{Types: types(ints(4)), Attrs: settings(Starts.Is(dims(3)), Shape.Is(dims(1)), Steps.Is([]int{1})), In: data(count(4)), Want: row(3)},
			{Types: types(floats(4)), Attrs: settings(Starts.Is(dims(2)), Shape.Is(dims(3)), Steps.Is([]int{1})), Err: "elements up to 5 of axis 0 of f32[4]"},
			{Types: types(floats(4)), Attrs: settings(Starts.Is(dims(-1)), Shape.Is(dims(3)), Steps.Is([]int{1})), Err: "axis 0 starts at -1"},
			{Types: types(floats(4)), Attrs: settings(Starts.Is(dims(0)), Shape.Is(dims(3)), Steps.Is([]int{-1})), Err: "axis 0 has the step -1"},
			{Types: types(floats(4)), Attrs: settings(Starts.Is(nil), Shape.Is(dims(3)), Steps.Is([]int{1})), Err: "0 starts, 1 extents and 1 steps for f32[4]"},
		},
	})
	define(Pad, ir.Op{
		Name: "pad", Doc: "pad surrounds x with fill: lo[k] elements in front of axis k, hi[k] behind it and interior[k] between neighbours. None is negative.",
		Args:  []ir.Arg{{Name: "x"}, {Name: "fill", Doc: "scalar"}},
		Attrs: []ir.Key{Lo, Hi, Interior}, Traits: ir.Traits{Layout: true},
		Infer: inferPad,
		At: func(e *ir.Emitter, v *ir.Value, idx []loop.Index) *loop.Val {
			from := make([]loop.Index, len(idx))
			var ok *loop.Val
			and := func(c *loop.Val) {
				if ok != nil {
					c = e.Do(loop.And, ok, c)
				}
				ok = c
			}
			for i := range idx {
				lo, gap := Lo.Of(v)[i], Interior.Of(v)[i]+1
				from[i] = plus(idx[i], lo.Neg())
				if lo.Is(0) && Hi.Of(v)[i].Is(0) && gap == 1 {
					continue
				}
				at := e.IndexVal(from[i])
				if gap > 1 {
					step := integer(e, gap)
					and(e.Do(loop.Eq, e.Do(loop.Mod, at, step), integer(e, 0)))
					at = e.Do(loop.Div, at, step)
					from[i] = loop.At(at)
				}
				and(inside(e, at, v.Arg(0).Shape[i]))
			}
			pull := func() *loop.Val { return e.Pull(v.Args[0], from) }
			if ok == nil {
				return pull()
			}
			return choose(e, ok, pull, func() *loop.Val { return e.Pull(v.Args[1], nil) })
		},
		Fold: func(b *ir.Builder, v *ir.Value) *ir.Value {
			if zeros(Lo.Of(v)) && zeros(Hi.Of(v)) && ones(gaps(Interior.Of(v))) {
				return v.Args[0]
			}
			if x, y := v.Args[0], v.Args[1]; x.Op == Const && y.Op == Const && Fill.Of(x) == Fill.Of(y) {
				return On(b).Like(v, Fill.Of(x))
			}
			return nil
		},
		Grad: func(b *ir.Builder, v, dy *ir.Value) []*ir.Value {
			g := On(b)
			dx := g.Slice(dy, Lo.Of(v), v.Arg(0).Shape, gaps(Interior.Of(v)))
			return []*ir.Value{dx, g.Sub(g.Sum(dy, others(dy.Type.Rank())...), g.Sum(dx, others(dy.Type.Rank())...))}
		},
		Samples: []ir.Sample{
			{Types: types(floats(2, 2), floats()), Attrs: settings(Lo.Is(dims(0, 1)), Hi.Is(dims(1, 0)), Interior.Is([]int{0, 1})),
				In: data(row(1, 2, 3, 4), row(9)), Want: row(9, 1, 9, 2, 9, 3, 9, 4, 9, 9, 9, 9)},
			{Types: types(ints(1), ints()), Attrs: settings(Lo.Is(dims(1)), Hi.Is(dims(2)), Interior.Is([]int{3})), In: data(row(1), row(0)), Want: row(0, 1, 0, 0)},
			{Types: types(floats(2), floats(1)), Attrs: settings(Lo.Is(dims(1)), Hi.Is(dims(2)), Interior.Is([]int{0})), Err: "operand fill is f32[1], want f32"},
			{Types: types(floats(2), floats()), Attrs: settings(Lo.Is(dims(-1)), Hi.Is(dims(2)), Interior.Is([]int{0})), Err: "axis 0 has the padding -1, 2, 0"},
			{Types: types(floats(2), floats()), Attrs: settings(Lo.Is(dims(1, 1)), Hi.Is(dims(2)), Interior.Is([]int{0})), Err: "2, 1 and 1 paddings for f32[2]"},
		},
	})
	define(DynSlice, ir.Op{
		Name: "dyn_slice", Doc: "dyn_slice takes extent elements along an axis from the run-time index i on. A fault unless 0 <= i <= the extent of x - extent.",
		Args:  []ir.Arg{{Name: "x"}, {Name: "i", Doc: "i32 scalar"}},
		Attrs: []ir.Key{Axis, Extent}, Traits: ir.Traits{Layout: true},
		Infer: func(v *ir.Value) (ir.Type, error) {
			if err := tensor(v, 0, anyElem...); err != nil {
				return ir.Type{}, err
			}
			x, axis := v.Arg(0), Axis.Of(v)
			if err := axisOf(x, axis); err != nil {
				return ir.Type{}, err
			}
			if err := partial(x, axis, ir.Dim{}, Extent.Of(v), 1); err != nil {
				return ir.Type{}, err
			}
			t := x.WithShape(replaced(x.Shape, axis, Extent.Of(v))...)
			if err := scalarInt(v, 1); err != nil {
				return ir.Type{}, err
			}
			return t, extents(t.Shape)
		},
		At: func(e *ir.Emitter, v *ir.Value, idx []loop.Index) *loop.Val {
			axis := Axis.Of(v)
			start := startOf(e, v.Args[1], v.Arg(0).Shape[axis], Extent.Of(v))
			return e.Pull(v.Args[0], with(idx, axis, idx[axis].Add(start)))
		},
		Fold: func(b *ir.Builder, v *ir.Value) *ir.Value {
			x, axis := v.Args[0], Axis.Of(v)
			i, ok := constant(v.Args[1])
			if !ok || i < 0 || partial(x.Type, axis, loop.N(int(i)), Extent.Of(v), 1) != nil {
				return nil
			}
			if _, known := x.Type.Shape[axis].Sub(Extent.Of(v)).Const(); !known && i > 0 {
				return nil // the check stays
			}
			return On(b).Part(x, axis, loop.N(int(i)), Extent.Of(v))
		},
		Grad: func(b *ir.Builder, v, dy *ir.Value) []*ir.Value {
			g := On(b)
			return []*ir.Value{g.DynUpdate(g.Like(v.Args[0], 0), dy, v.Args[1], Axis.Of(v)), nil}
		},
		Samples: []ir.Sample{
			{Types: types(floats(2, 4), ints()), Attrs: settings(Axis.Is(1), Extent.Is(loop.N(2))), In: data(count(8), row(1)), Want: row(1, 2, 5, 6)},
			{Types: types(floats(4), ints()), Attrs: settings(Axis.Is(0), Extent.Is(loop.N(1))), In: data(count(4), row(3)), Want: row(3)},
			{Types: types(floats(4), ints()), Attrs: settings(Axis.Is(0), Extent.Is(loop.N(5))), Err: "elements up to 5 of axis 0 of f32[4]"},
			{Types: types(floats(4), ints(1)), Attrs: settings(Axis.Is(0), Extent.Is(loop.N(1))), Err: "operand i is i32[1], want i32"},
		},
	})
	define(DynUpdate, ir.Op{
		Name: "dyn_update", Doc: "dyn_update is x with y written over the elements from the run-time index i on along an axis. A fault unless y is inside x.",
		Args:  []ir.Arg{{Name: "x"}, {Name: "y"}, {Name: "i", Doc: "i32 scalar"}},
		Attrs: []ir.Key{Axis}, Traits: ir.Traits{Layout: true},
		Infer: func(v *ir.Value) (ir.Type, error) {
			if err := tensor(v, 0, anyElem...); err != nil {
				return ir.Type{}, err
			}
			x, y, axis := v.Arg(0), v.Arg(1), Axis.Of(v)
			if err := axisOf(x, axis); err != nil {
				return ir.Type{}, err
			}
			if y.Tuple != nil || y.Elem != x.Elem || y.Rank() != x.Rank() || !ir.SameShape(without(x.Shape, axis), without(y.Shape, axis)) {
				return errorf("%v does not fit into %v along axis %d", y, x, axis)
			}
			if err := partial(x, axis, ir.Dim{}, y.Shape[axis], 1); err != nil {
				return errorf("%v does not fit into %v along axis %d", y, x, axis)
			}
			return x, scalarInt(v, 2)
		},
		At: func(e *ir.Emitter, v *ir.Value, idx []loop.Index) *loop.Val {
			axis := Axis.Of(v)
			n := v.Arg(1).Shape[axis]
			start := startOf(e, v.Args[2], v.Type.Shape[axis], n)
			at := idx[axis].Add(start.Scale(loop.N(-1)))
			return choose(e, inside(e, e.IndexVal(at), n),
				func() *loop.Val { return e.Pull(v.Args[1], with(idx, axis, at)) },
				func() *loop.Val { return e.Pull(v.Args[0], slices.Clone(idx)) })
		},
		Fold: func(b *ir.Builder, v *ir.Value) *ir.Value {
			if v.Arg(1).Equal(v.Type) && isZero(v.Args[2]) {
				return v.Args[1]
			}
			return nil
		},
		Grad: func(b *ir.Builder, v, dy *ir.Value) []*ir.Value {
			g := On(b)
			y, i, axis := v.Args[1], v.Args[2], Axis.Of(v)
			return []*ir.Value{g.DynUpdate(dy, g.Like(y, 0), i, axis), g.DynSlice(dy, i, axis, y.Type.Shape[axis]), nil}
		},
		Samples: []ir.Sample{
			{Types: types(floats(2, 4), floats(2, 2), ints()), Attrs: settings(Axis.Is(1)), In: data(count(8), row(10, 11, 12, 13), row(1)), Want: row(0, 10, 11, 3, 4, 12, 13, 7)},
			{Types: types(floats(2, 4), floats(3, 2), ints()), Attrs: settings(Axis.Is(1)), Err: "f32[3, 2] does not fit into f32[2, 4] along axis 1"},
			{Types: types(floats(2), floats(3), ints()), Attrs: settings(Axis.Is(0)), Err: "f32[3] does not fit into f32[2] along axis 0"},
			{Types: types(floats(2), floats(2), floats()), Attrs: settings(Axis.Is(0)), Err: "operand i is f32, want i32"},
		},
	})
}

func inferPad(v *ir.Value) (ir.Type, error) {
	if err := tensor(v, 0, anyElem...); err != nil {
		return ir.Type{}, err
	}
	x, lo, hi, interior := v.Arg(0), Lo.Of(v), Hi.Of(v), Interior.Of(v)
	if want := x.WithShape(); !v.Arg(1).Equal(want) {
		return errorf("operand fill is %v, want %v", v.Arg(1), want)
	}
	if n := x.Rank(); len(lo) != n || len(hi) != n || len(interior) != n {
		return errorf("%d, %d and %d paddings for %v", len(lo), len(hi), len(interior), x)
	}
	out := make([]ir.Dim, x.Rank())
	for i, n := range x.Shape {
		l, ok1 := lo[i].Const()
		h, ok2 := hi[i].Const()
		if ok1 && l < 0 || ok2 && h < 0 || interior[i] < 0 {
			return errorf("axis %d has the padding %v, %v, %d", i, lo[i], hi[i], interior[i])
		}
		if interior[i] > 0 && !n.Is(0) {
			n = n.AddN(-1).MulN(interior[i] + 1).AddN(1)
		}
		out[i] = n.Add(lo[i]).Add(hi[i])
	}
	return x.WithShape(out...), nil
}

// startOf pulls the run-time index i of a piece of n elements of an axis of
// the given extent, and checks it. There is one place only if n is the extent.
func startOf(e *ir.Emitter, i *ir.Value, extent, n ir.Dim) loop.Index {
	if c, ok := constant(i); ok && c == 0 {
		return loop.Index{}
	}
	at := element(e, i, nil)
	places := extent.Sub(n).AddN(1)
	if within(i, places) {
		return loop.At(at)
	}
	return loop.At(e.Do(loop.Check, at, e.SizeOf(places)))
}

func ones(ns []int) bool {
	return !slices.ContainsFunc(ns, func(n int) bool { return n != 1 })
}

func zeros(ds []ir.Dim) bool {
	return !slices.ContainsFunc(ds, func(d ir.Dim) bool { return !d.Is(0) })
}

// gaps is the distance of neighbours for the elements between them.
func gaps(interior []int) []int {
	out := make([]int, len(interior))
	for i, n := range interior {
		out[i] = n + 1
	}
	return out
}

// Part takes n elements of x from start on along axis.
func (g Graph) Part(x *ir.Value, axis int, start, n ir.Dim) *ir.Value {
	if err := axisOf(x.Type, axis); err != nil {
		if g.Err == nil {
			g.Err = fmt.Errorf("slice: %w", err)
		}
		return x
	}
	starts, steps := make([]ir.Dim, x.Type.Rank()), make([]int, x.Type.Rank())
	for i := range steps {
		steps[i] = 1
	}
	starts[axis] = start
	return g.Slice(x, starts, replaced(x.Type.Shape, axis, n), steps)
}
