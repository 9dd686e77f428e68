package ops

import (
	"math"
	"slices"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// pullIndex pulls an index into an axis of extent n as an Int and checks it,
// unless it can be seen to be in range.
func pullIndex(e *ir.Emitter, idx *ir.Value, at []loop.Index, n ir.Dim) *loop.Val {
	i := element(e, idx, at)
	if within(idx, n) {
		return i
	}
	return e.Do(loop.Check, i, e.SizeOf(n))
}

// within reports whether the elements of the i32 tensor v can be seen to be
// in [0, n).
func within(v *ir.Value, n ir.Dim) bool {
	all := func(args ...*ir.Value) bool {
		return !slices.ContainsFunc(args, func(a *ir.Value) bool { return !within(a, n) })
	}
	c, known := n.Const()
	switch v.Op {
	case Const:
		x := Fill.Of(v)
		return x >= 0 && (known && x < float64(c) || x == 0 && positive(n))
	case Iota:
		m := v.Type.Shape[Axis.Of(v)]
		k, ok := n.Sub(m).Const()
		return ok && k >= 0
	case ArgMax, ArgMin:
		return v.Arg(0).Shape[Axis.Of(v)].Eq(n)
	case SortIndex, TopKIndex:
		return v.Arg(0).Shape[v.Arg(0).Rank()-1].Eq(n)
	case Mod:
		d, ok := constant(v.Args[1])
		return ok && d > 0 && known && d <= float64(c)
	case Select:
		return all(v.Args[1:]...)
	case Reshape, Transpose, Broadcast, Slice, Flip, DynSlice, Stop, Gather, TakeAlong, GatherND:
		return all(v.Args[0])
	case Concat:
		return all(v.Args...)
	}
	return false
}

// positive reports whether n can be seen to be at least 1: symbols are.
func positive(n ir.Dim) bool {
	for _, t := range n.Terms() {
		if t.Coef < 0 || slices.ContainsFunc(t.Factors, func(f loop.DimFactor) bool { return f.Sym == "" }) {
			return false
		}
	}
	return len(n.Terms()) > 0
}

// zero stores 0 everywhere in out.
func zero(e *ir.Emitter, v *ir.Value, out *loop.Buffer) {
	e.Range("i", v.Type.Len(), func(i *loop.Val) { e.Store(out, loop.At(i), e.Const(out.Elem, 0)) })
}

// scatter calls add for each element of dy with the place in a tensor of type t
// that it belongs to.
func scatter(e *ir.Emitter, t ir.Type, dy, idx *ir.Value, axis int, add func(to []loop.Index, x *loop.Val)) {
	front, rest := t.Shape[:axis], t.Shape[axis+1:]
	e.Nest(idx.Type.Shape, func(at []loop.Index) {
		at = slices.Clone(at)
		i := loop.At(pullIndex(e, idx, slices.Clone(at), t.Shape[axis]))
		e.Nest(front, func(f []loop.Index) {
			e.Nest(rest, func(r []loop.Index) {
				add(slices.Concat(f, []loop.Index{i}, r), e.Pull(dy, slices.Concat(f, at, r)))
			})
		})
	})
}

// EmitScatterAdd is what a ScatterAdd does where its result has the memory of
// its first operand: it calls add for each element of dy with its place.
func EmitScatterAdd(e *ir.Emitter, v *ir.Value, add func(to []loop.Index, x *loop.Val)) {
	scatter(e, v.Type, v.Args[1], v.Args[2], Axis.Of(v), add)
}

// accumulateAt adds x to the element at.
func accumulateAt(e *ir.Emitter, out *loop.Buffer, at loop.Index, x *loop.Val) {
	e.Store(out, at, e.Do(loop.Add, e.Load(out, at), x))
}

func init() {
	indexed := []ir.Arg{{Name: "x"}, {Name: "idx", Doc: "i32; a fault if out of range"}}
	added := []ir.Arg{{Name: "dy"}, {Name: "idx", Doc: "i32; a fault if out of range"}}
	define(Gather, ir.Op{
		Name: "gather", Doc: "gather takes the entries idx of x along an axis, which is replaced by the axes of idx. An index outside of the axis is a fault.",
		Args: indexed, Attrs: []ir.Key{Axis},
		Infer: func(v *ir.Value) (ir.Type, error) {
			if err := indexes(v, 1, 1); err != nil {
				return ir.Type{}, err
			}
			x := v.Arg(0)
			if err := axisOf(x, Axis.Of(v)); err != nil {
				return ir.Type{}, err
			}
			return x.WithShape(spliced(x.Shape, Axis.Of(v), v.Arg(1).Shape)...), nil
		},
		At: func(e *ir.Emitter, v *ir.Value, idx []loop.Index) *loop.Val {
			x, axis, rank := v.Args[0], Axis.Of(v), v.Arg(1).Rank()
			i := pullIndex(e, v.Args[1], slices.Clone(idx[axis:axis+rank]), x.Type.Shape[axis])
			return e.Pull(x, slices.Concat(idx[:axis], []loop.Index{loop.At(i)}, idx[axis+rank:]))
		},
		Fold: func(b *ir.Builder, v *ir.Value) *ir.Value { return splat(b, v) },
		Grad: func(b *ir.Builder, v, dy *ir.Value) []*ir.Value {
			axis := Axis.Of(v)
			return []*ir.Value{On(b).Scatter(dy, v.Args[1], axis, v.Arg(0).Shape[axis]), nil}
		},
		Samples: []ir.Sample{
			{Types: types(floats(3, 2), ints(2, 2)), Attrs: settings(Axis.Is(0)), In: data(count(6), row(2, 0, 1, 2)), Want: row(4, 5, 0, 1, 2, 3, 4, 5)},
			{Types: types(floats(2, 3), ints(2)), Attrs: settings(Axis.Is(1)), In: data(count(6), row(2, 0)), Want: row(2, 0, 5, 3)},
			{Types: types(ints(3), ints()), Attrs: settings(Axis.Is(0)), In: data(row(7, 8, 9), row(1)), Want: row(8)},
			{Types: types(floats(3), floats()), Attrs: settings(Axis.Is(0)), Err: "operand idx is f32, want i32"},
			{Types: types(floats(3), ints()), Attrs: settings(Axis.Is(1)), Err: "f32[3] has no axis 1"},
		},
	})
	define(Scatter, ir.Op{
		Name: "scatter", Doc: "scatter is the transpose of gather: it adds the entries of dy to zeros at the places idx along an axis of the given extent, in order.",
		Args: added, Attrs: []ir.Key{Axis, Extent}, Traits: ir.Traits{Reduces: true}, Tol: 1e-6,
		Infer: func(v *ir.Value) (ir.Type, error) {
			if err := indexes(v, 1, 1); err != nil {
				return ir.Type{}, err
			}
			y, i, axis := v.Arg(0), v.Arg(1), Axis.Of(v)
			if axis < 0 || axis+i.Rank() > y.Rank() || !ir.SameShape(y.Shape[axis:axis+i.Rank()], i.Shape) {
				return errorf("%v does not have the axes of %v from axis %d on", y, i, axis)
			}
			return y.WithShape(slices.Concat(y.Shape[:axis], []ir.Dim{Extent.Of(v)}, y.Shape[axis+i.Rank():])...), nil
		},
		Lower: func(e *ir.Emitter, v *ir.Value, out *loop.Buffer) {
			zero(e, v, out)
			scatter(e, v.Type, v.Args[0], v.Args[1], Axis.Of(v), func(to []loop.Index, x *loop.Val) {
				accumulateAt(e, out, ir.Linear(v.Type.Shape, to), x)
			})
		},
		Grad: func(b *ir.Builder, v, dy *ir.Value) []*ir.Value {
			return []*ir.Value{On(b).Gather(dy, v.Args[1], Axis.Of(v)), nil}
		},
		Samples: []ir.Sample{
			{Types: types(floats(3, 2), ints(3)), Attrs: settings(Axis.Is(0), Extent.Is(loop.N(3))), In: data(row(1, 2, 3, 4, 5, 6), row(2, 0, 2)), Want: row(3, 4, 0, 0, 6, 8)},
			{Types: types(floats(2, 3), ints(3)), Attrs: settings(Axis.Is(1), Extent.Is(loop.N(2))), In: data(count(6), row(1, 1, 0)), Want: row(2, 1, 5, 7)},
			{Types: types(floats(3, 2), ints(2)), Attrs: settings(Axis.Is(0), Extent.Is(loop.N(3))), Err: "f32[3, 2] does not have the axes of i32[2] from axis 0 on"},
		},
	})
	define(ScatterAdd, ir.Op{
		Name: "scatter_add", Doc: "scatter_add is x + scatter(dy, idx): x with the entries of dy added at the places idx along an axis, in order. In the memory of x it touches those places only.",
		Args:  []ir.Arg{{Name: "x"}, {Name: "dy"}, {Name: "idx", Doc: "i32; a fault if out of range"}},
		Attrs: []ir.Key{Axis}, Traits: ir.Traits{Reduces: true}, Tol: 1e-6,
		Infer: func(v *ir.Value) (ir.Type, error) {
			if err := indexes(v, 2, 1); err != nil {
				return ir.Type{}, err
			}
			x, y, i, axis := v.Arg(0), v.Arg(1), v.Arg(2), Axis.Of(v)
			if err := axisOf(x, axis); err != nil {
				return ir.Type{}, err
			}
			if want := x.WithShape(slices.Concat(x.Shape[:axis], i.Shape, x.Shape[axis+1:])...); !y.Equal(want) {
				return errorf("operand dy is %v, want %v", y, want)
			}
			return x, nil
		},
		Lower: func(e *ir.Emitter, v *ir.Value, out *loop.Buffer) {
			e.Nest(v.Type.Shape, func(idx []loop.Index) {
				e.Store(out, ir.Linear(v.Type.Shape, idx), e.Pull(v.Args[0], slices.Clone(idx)))
			})
			EmitScatterAdd(e, v, func(to []loop.Index, x *loop.Val) { accumulateAt(e, out, ir.Linear(v.Type.Shape, to), x) })
		},
		Grad: func(b *ir.Builder, v, dz *ir.Value) []*ir.Value {
			return []*ir.Value{dz, On(b).Gather(dz, v.Args[2], Axis.Of(v)), nil}
		},
		Samples: []ir.Sample{
			{Types: types(floats(3, 2), floats(3, 2), ints(3)), Attrs: settings(Axis.Is(0)), In: data(count(6), row(1, 2, 3, 4, 5, 6), row(2, 0, 2)), Want: row(3, 5, 2, 3, 10, 13)},
			{Types: types(floats(2, 2), floats(2, 3), ints(3)), Attrs: settings(Axis.Is(1)), In: data(row(0, 0, 0, 0), count(6), row(1, 1, 0)), Want: row(2, 1, 5, 7)},
			{Types: types(floats(3, 2), floats(2, 2), ints(3)), Attrs: settings(Axis.Is(0)), Err: "operand dy is f32[2, 2], want f32[3, 2]"},
		},
	})
	define(TakeAlong, ir.Op{
		Name: "take_along", Doc: "take_along takes, for each element of idx, the element of x at the same place but with the index along the axis replaced by it. Idx has the shape of x apart from that axis. An index outside of the axis is a fault.",
		Args: indexed, Attrs: []ir.Key{Axis},
		Infer: func(v *ir.Value) (ir.Type, error) {
			if err := along(v); err != nil {
				return ir.Type{}, err
			}
			return v.Arg(1).WithElem(v.Arg(0).Elem), nil
		},
		At: func(e *ir.Emitter, v *ir.Value, idx []loop.Index) *loop.Val {
			x, axis := v.Args[0], Axis.Of(v)
			i := pullIndex(e, v.Args[1], slices.Clone(idx), x.Type.Shape[axis])
			return e.Pull(x, with(idx, axis, loop.At(i)))
		},
		Fold: func(b *ir.Builder, v *ir.Value) *ir.Value { return splat(b, v) },
		Grad: func(b *ir.Builder, v, dy *ir.Value) []*ir.Value {
			axis := Axis.Of(v)
			return []*ir.Value{On(b).PutAlong(dy, v.Args[1], axis, v.Arg(0).Shape[axis]), nil}
		},
		Samples: []ir.Sample{
			{Types: types(floats(2, 3), ints(2, 2)), Attrs: settings(Axis.Is(1)), In: data(count(6), row(2, 2, 0, 1)), Want: row(2, 2, 3, 4)},
			{Types: types(floats(2, 3), ints(1, 3)), Attrs: settings(Axis.Is(0)), In: data(count(6), row(1, 0, 1)), Want: row(3, 1, 5)},
			{Types: types(floats(2, 3), ints(3, 2)), Attrs: settings(Axis.Is(1)), Err: "f32[2, 3] and i32[3, 2] differ in axis 0"},
			{Types: types(floats(2, 3), ints(2)), Attrs: settings(Axis.Is(1)), Err: "f32[2, 3] and i32[2] differ in rank"},
		},
	})
	define(PutAlong, ir.Op{
		Name: "put_along", Doc: "put_along is the transpose of take_along: it adds the elements of dy to zeros at the places idx along an axis of the given extent, in order.",
		Args: added, Attrs: []ir.Key{Axis, Extent}, Traits: ir.Traits{Reduces: true}, Tol: 1e-6,
		Infer: func(v *ir.Value) (ir.Type, error) {
			if err := along(v); err != nil {
				return ir.Type{}, err
			}
			y, i := v.Arg(0), v.Arg(1)
			if !ir.SameShape(y.Shape, i.Shape) {
				return errorf("%v and %v have different shapes", y, i)
			}
			return y.WithShape(replaced(y.Shape, Axis.Of(v), Extent.Of(v))...), nil
		},
		Lower: func(e *ir.Emitter, v *ir.Value, out *loop.Buffer) {
			zero(e, v, out)
			e.Nest(v.Arg(0).Shape, func(at []loop.Index) {
				i := pullIndex(e, v.Args[1], slices.Clone(at), Extent.Of(v))
				accumulateAt(e, out, ir.Linear(v.Type.Shape, with(at, Axis.Of(v), loop.At(i))), e.Pull(v.Args[0], slices.Clone(at)))
			})
		},
		Grad: func(b *ir.Builder, v, dy *ir.Value) []*ir.Value {
			return []*ir.Value{On(b).TakeAlong(dy, v.Args[1], Axis.Of(v)), nil}
		},
		Samples: []ir.Sample{
			{Types: types(floats(2, 2), ints(2, 2)), Attrs: settings(Axis.Is(1), Extent.Is(loop.N(3))), In: data(row(1, 2, 3, 4), row(2, 2, 0, 1)), Want: row(0, 0, 3, 3, 4, 0)},
			{Types: types(floats(2, 2), ints(2, 3)), Attrs: settings(Axis.Is(1), Extent.Is(loop.N(3))), Err: "f32[2, 2] and i32[2, 3] have different shapes"},
		},
	})
	define(GatherND, ir.Op{
		Name: "gather_nd", Doc: "gather_nd indexes several axes of x at once: the axes of the indices come first, then the other axes of x. An index outside of its axis is a fault.",
		Args:  []ir.Arg{{Name: "x"}, {Name: "idx", Doc: "i32, one per axis, all of one shape", Variadic: true}},
		Attrs: []ir.Key{Axes},
		Infer: func(v *ir.Value) (ir.Type, error) {
			shape, err := manyIndexes(v)
			if err != nil {
				return ir.Type{}, err
			}
			x := v.Arg(0)
			if err := axesOf(x, Axes.Of(v)); err != nil {
				return ir.Type{}, err
			}
			return x.WithShape(slices.Concat(shape, without(x.Shape, Axes.Of(v)...))...), nil
		},
		At: func(e *ir.Emitter, v *ir.Value, idx []loop.Index) *loop.Val {
			x, axes, rank := v.Args[0], Axes.Of(v), v.Arg(1).Rank()
			at := make([]loop.Index, len(axes))
			for i, a := range axes {
				at[i] = loop.At(pullIndex(e, v.Args[1+i], slices.Clone(idx[:rank]), x.Type.Shape[a]))
			}
			return e.Pull(x, joined(idx[rank:], at, axes))
		},
		Fold: func(b *ir.Builder, v *ir.Value) *ir.Value {
			if len(v.Args) == 2 && Axes.Of(v)[0] == 0 {
				return On(b).Gather(v.Args[0], v.Args[1], 0)
			}
			return splat(b, v)
		},
		Grad: func(b *ir.Builder, v, dy *ir.Value) []*ir.Value {
			out := make([]*ir.Value, len(v.Args))
			out[0] = On(b).ScatterND(dy, Axes.Of(v), v.Arg(0).Shape, v.Args[1:]...)
			return out
		},
		Samples: []ir.Sample{
			{Types: types(floats(2, 3, 2), ints(2), ints(2)), Attrs: settings(Axes.Is([]int{0, 1})), In: data(count(12), row(1, 0), row(2, 1)), Want: row(10, 11, 2, 3)},
			{Types: types(floats(2, 3, 2), ints(), ints()), Attrs: settings(Axes.Is([]int{0, 2})), In: data(count(12), row(1), row(0)), Want: row(6, 8, 10)},
			{Types: types(floats(2, 3), ints(2)), Attrs: settings(Axes.Is([]int{1})), In: data(count(6), row(1, 0)), Want: row(1, 4, 0, 3)},
			{Types: types(floats(2, 3), ints(2), ints(3)), Attrs: settings(Axes.Is([]int{0, 1})), Err: "indices have different shapes: i32[2] and i32[3]"},
			{Types: types(floats(2, 3), ints(2)), Attrs: settings(Axes.Is([]int{0, 1})), Err: "1 indices for 2 axes"},
		},
	})
	define(ScatterND, ir.Op{
		Name: "scatter_nd", Doc: "scatter_nd is the transpose of gather_nd: it adds the entries of dy to zeros of the given shape, in order.",
		Args:  []ir.Arg{{Name: "dy"}, {Name: "idx", Doc: "i32, one per axis, all of one shape", Variadic: true}},
		Attrs: []ir.Key{Axes, Shape}, Traits: ir.Traits{Reduces: true}, Tol: 1e-6,
		Infer: func(v *ir.Value) (ir.Type, error) {
			shape, err := manyIndexes(v)
			if err != nil {
				return ir.Type{}, err
			}
			t := v.Arg(0).WithShape(Shape.Of(v)...)
			if err := axesOf(t, Axes.Of(v)); err != nil {
				return ir.Type{}, err
			}
			if want := slices.Concat(shape, without(t.Shape, Axes.Of(v)...)); !ir.SameShape(v.Arg(0).Shape, want) {
				return errorf("operand dy is %v, want %v", v.Arg(0), t.WithShape(want...))
			}
			return t, extents(t.Shape)
		},
		Lower: func(e *ir.Emitter, v *ir.Value, out *loop.Buffer) {
			zero(e, v, out)
			y, axes := v.Args[0], Axes.Of(v)
			e.Nest(v.Arg(1).Shape, func(at []loop.Index) {
				at = slices.Clone(at)
				to := make([]loop.Index, len(axes))
				for i, a := range axes {
					to[i] = loop.At(pullIndex(e, v.Args[1+i], slices.Clone(at), v.Type.Shape[a]))
				}
				e.Nest(without(v.Type.Shape, axes...), func(r []loop.Index) {
					accumulateAt(e, out, ir.Linear(v.Type.Shape, joined(r, to, axes)), e.Pull(y, slices.Concat(at, r)))
				})
			})
		},
		Grad: func(b *ir.Builder, v, dy *ir.Value) []*ir.Value {
			out := make([]*ir.Value, len(v.Args))
			out[0] = On(b).GatherND(dy, Axes.Of(v), v.Args[1:]...)
			return out
		},
		Samples: []ir.Sample{
			{Types: types(floats(3, 2), ints(3), ints(3)), Attrs: settings(Axes.Is([]int{0, 1}), Shape.Is(dims(2, 2, 2))),
				In: data(row(1, 2, 3, 4, 5, 6), row(1, 0, 1), row(0, 1, 0)), Want: row(0, 0, 3, 4, 6, 8, 0, 0)},
			{Types: types(floats(3, 2), ints(3), ints(3)), Attrs: settings(Axes.Is([]int{0, 1}), Shape.Is(dims(2, 2))), Err: "operand dy is f32[3, 2], want f32[3]"},
		},
	})
	segments := []ir.Arg{{Name: "x"}, {Name: "seg", Doc: "i32[E]: the segment of each row; rows with another number than 0 to extent-1 count nowhere"}}
	define(SegmentSum, ir.Op{
		Name: "segment_sum", Doc: "segment_sum adds up the rows of x (axis 0) that have the same number in seg, in order. Empty segments are 0. Rows with a number outside of [0, extent) count nowhere, so -1 is padding.",
		Args: segments, Attrs: []ir.Key{Extent}, Traits: ir.Traits{Reduces: true}, Tol: 1e-6,
		Infer: inferSegment,
		Lower: func(e *ir.Emitter, v *ir.Value, out *loop.Buffer) {
			zero(e, v, out)
			eachSegment(e, v, func(s, at loop.Index, row []loop.Index) {
				to := append([]loop.Index{s}, row...)
				accumulateAt(e, out, ir.Linear(v.Type.Shape, to), e.Pull(v.Args[0], append([]loop.Index{at}, row...)))
			})
		},
		Grad: func(b *ir.Builder, v, dy *ir.Value) []*ir.Value {
			g := On(b)
			ok, seg := segmentOf(g, v)
			rows := g.Gather(dy, seg, 0)
			return []*ir.Value{g.Select(g.Broadcast(ok, rows.Type.Shape, 0), rows, g.Like(rows, 0)), nil}
		},
		Samples: []ir.Sample{
			{Types: types(floats(4, 2), ints(4)), Attrs: settings(Extent.Is(loop.N(3))), In: data(row(1, 2, 3, 4, 5, 6, 7, 8), row(2, 0, 2, -1)), Want: row(3, 4, 0, 0, 6, 8)},
			{Types: types(ints(3), ints(3)), Attrs: settings(Extent.Is(loop.N(2))), In: data(row(1, 2, 3), row(1, 1, 5)), Want: row(0, 3)},
			{Types: types(floats(4, 2), ints(3)), Attrs: settings(Extent.Is(loop.N(3))), Err: "operand seg is i32[3], want i32[4]"},
			{Types: types(floats(), ints(3)), Attrs: settings(Extent.Is(loop.N(3))), Err: "operand x is f32, want rows"},
		},
	})
	define(SegmentMax, ir.Op{
		Name: "segment_max", Doc: "segment_max takes the largest of the rows of x (axis 0) that have the same number in seg, element by element. NaN stays out. Empty segments are 0; rows with a number outside of [0, extent) count nowhere. Equal elements share the gradient equally.",
		Args: segments, Attrs: []ir.Key{Extent}, Traits: ir.Traits{Reduces: true},
		Infer: inferSegment,
		Lower: func(e *ir.Emitter, v *ir.Value, out *loop.Buffer) {
			zero(e, v, out)
			eachSegment(e, v, func(s, at loop.Index, row []loop.Index) {
				e.Store(out, ir.Linear(v.Type.Shape, append([]loop.Index{s}, row...)), e.Const(out.Elem, lowest(out.Elem)))
			})
			eachSegment(e, v, func(s, at loop.Index, row []loop.Index) {
				to := ir.Linear(v.Type.Shape, append([]loop.Index{s}, row...))
				x := e.Pull(v.Args[0], append([]loop.Index{at}, row...))
				e.Store(out, to, e.Do(loop.Max, x, e.Load(out, to)))
			})
		},
		Grad: func(b *ir.Builder, v, dy *ir.Value) []*ir.Value {
			g := On(b)
			x := v.Args[0]
			ok, seg := segmentOf(g, v)
			hit := g.And(g.Broadcast(ok, x.Type.Shape, 0), g.Equal(x, g.Gather(v, seg, 0)))
			n := g.SegmentSum(g.Cast(hit, ir.F32), v.Args[1], Extent.Of(v))
			part := g.Div(dy, g.Max(n, g.Like(n, 1)))
			return []*ir.Value{g.Select(hit, g.Gather(part, seg, 0), g.Like(x, 0)), nil}
		},
		Samples: []ir.Sample{
			{Types: types(floats(4, 2), ints(4)), Attrs: settings(Extent.Is(loop.N(3))), In: data(row(-1, 2, -3, 4, -5, 6, 7, 8), row(2, 0, 2, -1)), Want: row(-3, 4, 0, 0, -1, 6)},
			{Types: types(floats(2), ints(2)), Attrs: settings(Extent.Is(loop.N(1))), In: data(row(math.Inf(-1), math.NaN()), row(0, 0)), Want: row(math.Inf(-1)), NoGrad: "NaN"},
			{Types: types(floats(4, 2), ints(3)), Attrs: settings(Extent.Is(loop.N(3))), Err: "operand seg is i32[3], want i32[4]"},
		},
	})
}

// indexes checks a gather or scatter: operand 0 is a tensor and n operands from
// first on are i32.
func indexes(v *ir.Value, first, n int) error {
	if err := tensor(v, 0, anyElem...); err != nil {
		return err
	}
	for i := range n {
		if err := tensor(v, first+i, ir.I32); err != nil {
			return err
		}
	}
	return nil
}

// along checks the operands of take_along and put_along.
func along(v *ir.Value) error {
	if err := indexes(v, 1, 1); err != nil {
		return err
	}
	x, i := v.Arg(0), v.Arg(1)
	if err := axisOf(x, Axis.Of(v)); err != nil {
		return err
	}
	if x.Rank() != i.Rank() {
		_, err := errorf("%v and %v differ in rank", x, i)
		return err
	}
	for k := range x.Shape {
		if k != Axis.Of(v) && !x.Shape[k].Eq(i.Shape[k]) {
			_, err := errorf("%v and %v differ in axis %d", x, i, k)
			return err
		}
	}
	return nil
}

// manyIndexes checks the indices of gather_nd and scatter_nd and returns their shape.
func manyIndexes(v *ir.Value) ([]ir.Dim, error) {
	n := len(v.Args) - 1
	if n != len(Axes.Of(v)) || n == 0 {
		_, err := errorf("%d indices for %d axes", n, len(Axes.Of(v)))
		return nil, err
	}
	if err := indexes(v, 1, n); err != nil {
		return nil, err
	}
	for i := range n {
		if !v.Arg(1 + i).Equal(v.Arg(1)) {
			_, err := errorf("indices have different shapes: %v and %v", v.Arg(1), v.Arg(1+i))
			return nil, err
		}
	}
	return v.Arg(1).Shape, nil
}

func inferSegment(v *ir.Value) (ir.Type, error) {
	if err := tensor(v, 0, ir.F32, ir.I32); err != nil {
		return ir.Type{}, err
	}
	x := v.Arg(0)
	if x.Rank() == 0 {
		return errorf("operand x is %v, want rows", x)
	}
	if want := ir.Tensor(ir.I32, x.Shape[0]); !v.Arg(1).Equal(want) {
		return errorf("operand seg is %v, want %v", v.Arg(1), want)
	}
	return x.WithShape(replaced(x.Shape, 0, Extent.Of(v))...), nil
}

// eachSegment calls body for every element of x whose row is in a segment: s is
// the segment, at the row, and row the other indices.
func eachSegment(e *ir.Emitter, v *ir.Value, body func(s, at loop.Index, row []loop.Index)) {
	x := v.Arg(0)
	e.Nest(x.Shape[:1], func(at []loop.Index) {
		i := at[0]
		s := element(e, v.Args[1], []loop.Index{i})
		e.If(inside(e, s, Extent.Of(v)), func() []*loop.Val {
			e.Nest(x.Shape[1:], func(row []loop.Index) { body(loop.At(s), i, row) })
			return nil
		}, nil)
	})
}

// segmentOf is whether each row is in a segment, and which, 0 if in none.
func segmentOf(g Graph, v *ir.Value) (ok, seg *ir.Value) {
	s := v.Args[1]
	n := g.Broadcast(g.Size(Extent.Of(v)), s.Type.Shape)
	ok = g.And(g.LessEqual(g.Like(s, 0), s), g.Less(s, n))
	return ok, g.Select(ok, s, g.Like(s, 0))
}
