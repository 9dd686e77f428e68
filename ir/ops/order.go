package ops

import (
	"math"
	"slices"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// The ops of this file work on whole rows: functions of package runtime do.

func init() {
	define(SortIndex, ir.Op{
		Name: "sort_index", Doc: "sort_index is, for each row along the last axis, the places of its elements in ascending order, or descending. It is stable: equal elements stay in order; NaN comes last. Nothing flows back: take the elements with take_along.",
		Args: unaryArgs, Attrs: []ir.Key{Descend}, Traits: ir.Traits{Whole: true, Costly: true},
		Infer: func(v *ir.Value) (ir.Type, error) {
			if err := rowsOf(v); err != nil {
				return ir.Type{}, err
			}
			return v.Arg(0).WithElem(ir.I32), nil
		},
		Lower: func(e *ir.Emitter, v *ir.Value, out *loop.Buffer) {
			descending := 0.0
			if Descend.Of(v) {
				descending = 1
			}
			eachRow(e, v, func(x, y loop.Span) {
				y.Buf = out
				e.Emit(&loop.Extern{Fn: "sort_index", Bufs: []loop.Span{x, y}, Args: []*loop.Val{e.Const(loop.Bool, descending)}})
			})
		},
		Samples: []ir.Sample{
			{Types: types(floats(2, 3)), Attrs: settings(Descend.Is(false)), In: data(row(3, 1, 2, 5, 5, 4)), Want: row(1, 2, 0, 2, 0, 1)},
			{Types: types(floats(4)), Attrs: settings(Descend.Is(true)), In: data(row(3, math.NaN(), 5, 5)), Want: row(2, 3, 0, 1)},
			{Types: types(ints(3)), Attrs: settings(Descend.Is(true)), Err: "operand x is i32[3], want f32"},
			{Types: types(floats()), Attrs: settings(Descend.Is(true)), Err: "f32 has no axis"},
		},
	})
	define(TopKIndex, ir.Op{
		Name: "top_k_index", Doc: "top_k_index is, for each row along the last axis, the places of its extent largest elements, largest first. Of equal elements the first comes first; NaN comes last. Nothing flows back: take the elements with take_along.",
		Args: unaryArgs, Attrs: []ir.Key{Extent}, Traits: ir.Traits{Whole: true, Costly: true},
		Infer: func(v *ir.Value) (ir.Type, error) {
			if err := rowsOf(v); err != nil {
				return ir.Type{}, err
			}
			x := v.Arg(0)
			last := x.Rank() - 1
			if err := partial(x, last, ir.Dim{}, Extent.Of(v), 1); err != nil {
				return errorf("the %v largest of rows of %v", Extent.Of(v), x)
			}
			t := ir.Tensor(ir.I32, replaced(x.Shape, last, Extent.Of(v))...)
			return t, extents(t.Shape)
		},
		Lower: func(e *ir.Emitter, v *ir.Value, out *loop.Buffer) {
			eachRow(e, v, func(x, y loop.Span) {
				y.Buf = out
				e.Emit(&loop.Extern{Fn: "topk_index", Bufs: []loop.Span{x, y}})
			})
		},
		Samples: []ir.Sample{
			{Types: types(floats(2, 4)), Attrs: settings(Extent.Is(loop.N(2))), In: data(row(3, 1, 2, 9, 5, 5, 4, 5)), Want: row(3, 0, 0, 1)},
			{Types: types(floats(3)), Attrs: settings(Extent.Is(loop.N(4))), Err: "the 4 largest of rows of f32[3]"},
			{Types: types(bools(3)), Attrs: settings(Extent.Is(loop.N(1))), Err: "operand x is bool[3], want f32"},
		},
	})

	args := []ir.Arg{{Name: "boxes", Doc: "f32[B, N, 4]: x0, y0, x1, y1"}, {Name: "scores", Doc: "f32[B, N]"}}
	attrs := []ir.Key{IOU, Extent}
	half := settings(IOU.Is(0.5), Extent.Is(loop.N(3)))
	boxes := data(row(0, 0, 2, 2, 0, 0, 2, 1.9, 5, 5, 6, 6, 0, 0, 1, 1), row(0.5, 0.9, 0.1, 0.7))
	in := types(floats(1, 4, 4), floats(1, 4))
	bad := []ir.Sample{
		{Types: types(floats(1, 4, 3), floats(1, 4)), Attrs: half, Err: "operand boxes is f32[1, 4, 3], want f32[1, 4, 4]"},
		{Types: types(floats(1, 4, 4), floats(4)), Attrs: half, Err: "operand scores is f32[4], want batch and boxes"},
	}
	define(NMS, ir.Op{
		Name: "nms",
		Doc: "nms is non-maximum suppression, for each example: boxes are visited by descending score and kept if the intersection over union with every box kept before is at most iou, until extent are kept; a box with score NaN is not. " +
			"A row of the result has the extent indices kept (0 after the last), their number, and N places that the sort used. Nothing flows back.",
		Args: args, Attrs: attrs, Traits: ir.Traits{Whole: true, Costly: true},
		Infer: func(v *ir.Value) (ir.Type, error) { return inferNMS(v, Extent.Of(v).AddN(1).Add(boxCount(v))) },
		Lower: func(e *ir.Emitter, v *ir.Value, out *loop.Buffer) {
			n, limit, row := boxCount(v), Extent.Of(v), v.Type.Shape[1]
			span := func(b *loop.Buffer, i *loop.Val, stride, off, n ir.Dim) loop.Span {
				return loop.Span{Buf: b, At: plus(loop.At(i).Scale(stride), off), Len: loop.Bound{Dim: n}}
			}
			e.Range("i", v.Type.Shape[0], func(i *loop.Val) {
				e.Emit(&loop.Extern{Fn: "nms", Args: []*loop.Val{e.Const(loop.F32, IOU.Of(v))}, Bufs: []loop.Span{
					span(e.Memory(v.Args[0]), i, n.MulN(4), ir.Dim{}, n.MulN(4)),
					span(e.Memory(v.Args[1]), i, n, ir.Dim{}, n),
					span(out, i, row, ir.Dim{}, limit),
					span(out, i, row, limit, loop.N(1)),
					span(out, i, row, limit.AddN(1), n),
				}})
			})
		},
		Samples: append([]ir.Sample{{Types: in, Attrs: half, In: boxes, Want: row(1, 3, 2, 3, 1, 3, 0, 2)}}, bad...),
	})
	define(NMSKeep, ir.Op{
		Name: "nms_keep", Doc: "nms_keep is the indices that nms keeps: i32[B, extent], 0 after the last.",
		Args: args, Attrs: attrs, Traits: ir.Traits{Costly: true},
		Infer: func(v *ir.Value) (ir.Type, error) { return inferNMS(v, Extent.Of(v)) },
		Expand: func(b *ir.Builder, v *ir.Value) *ir.Value {
			return On(b).Part(On(b).Do(NMS, v.Args, v.Attrs()...), 1, ir.Dim{}, Extent.Of(v))
		},
		Samples: append([]ir.Sample{{Types: in, Attrs: half, In: boxes, Want: row(1, 3, 2)}}, bad...),
	})
	define(NMSCount, ir.Op{
		Name: "nms_count", Doc: "nms_count is the number of boxes that nms keeps: i32[B].",
		Args: args, Attrs: attrs, Traits: ir.Traits{Costly: true},
		Infer: func(v *ir.Value) (ir.Type, error) { return inferNMS(v) },
		Expand: func(b *ir.Builder, v *ir.Value) *ir.Value {
			g := On(b)
			return g.Reshape(g.Part(g.Do(NMS, v.Args, v.Attrs()...), 1, Extent.Of(v), loop.N(1)), v.Type.Shape...)
		},
		Samples: append([]ir.Sample{{Types: in, Attrs: half, In: boxes, Want: row(3)}}, bad...),
	})
}

// rowsOf checks that operand 0 is f32 and has an axis.
func rowsOf(v *ir.Value) error {
	if err := tensor(v, 0, ir.F32); err != nil {
		return err
	}
	if v.Arg(0).Rank() == 0 {
		_, err := errorf("%v has no axis", v.Arg(0))
		return err
	}
	return nil
}

// eachRow calls body with the spans of each row of operand 0 and of the result.
func eachRow(e *ir.Emitter, v *ir.Value, body func(x, y loop.Span)) {
	x := v.Args[0]
	last := x.Type.Rank() - 1
	n, m := x.Type.Shape[last], v.Type.Shape[last]
	e.Range("i", loop.Product(x.Type.Shape[:last]), func(i *loop.Val) {
		body(loop.Span{Buf: e.Memory(x), At: loop.At(i).Scale(n), Len: loop.Bound{Dim: n}},
			loop.Span{At: loop.At(i).Scale(m), Len: loop.Bound{Dim: m}})
	})
}

// boxCount is N.
func boxCount(v *ir.Value) ir.Dim {
	if s := v.Arg(1); s.Rank() == 2 {
		return s.Shape[1]
	}
	return ir.Dim{} // inferNMS refuses it
}

// inferNMS checks the operands; rows of the result have the shape given.
func inferNMS(v *ir.Value, row ...ir.Dim) (ir.Type, error) {
	for i := range v.Args {
		if err := tensor(v, i, ir.F32); err != nil {
			return ir.Type{}, err
		}
	}
	s := v.Arg(1)
	if s.Rank() != 2 {
		return errorf("operand scores is %v, want batch and boxes", s)
	}
	if want := s.WithShape(slices.Concat(s.Shape, dims(4))...); !v.Arg(0).Equal(want) {
		return errorf("operand boxes is %v, want %v", v.Arg(0), want)
	}
	if n, ok := Extent.Of(v).Const(); ok && n < 1 {
		return errorf("the limit is %d", n)
	}
	return ir.Tensor(ir.I32, slices.Concat(s.Shape[:1], row)...), nil
}
