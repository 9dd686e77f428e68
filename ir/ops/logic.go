package ops

import (
	"fmt"
	"math"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// compares is the rule of comparisons: as same, but the result is bool.
func compares(elems ...ir.Elem) func(v *ir.Value) (ir.Type, error) {
	rule := same(elems...)
	return func(v *ir.Value) (ir.Type, error) {
		t, err := rule(v)
		if err != nil {
			return ir.Type{}, err
		}
		return t.WithElem(ir.Bool), nil
	}
}

// onSame folds an i32 comparison of a value with itself; for f32 it depends on NaN.
func onSame(x float64) func(b *ir.Builder, v *ir.Value) *ir.Value {
	return func(b *ir.Builder, v *ir.Value) *ir.Value {
		if v.Args[0] == v.Args[1] && v.Args[0].Type.Elem != ir.F32 {
			return On(b).Like(v, x)
		}
		return nil
	}
}

// foldLogic folds and and or: unit is the truth value that changes nothing.
func foldLogic(unit float64) func(b *ir.Builder, v *ir.Value) *ir.Value {
	return func(b *ir.Builder, v *ir.Value) *ir.Value {
		for i, x := range v.Args {
			switch c, ok := constant(v.Args[1-i]); {
			case ok && c == unit:
				return x
			case ok:
				return v.Args[1-i]
			}
		}
		return foldSame(b, v)
	}
}

func init() {
	nan := math.NaN()
	b2 := types(bools(2), bools(2))
	define(Less, ir.Op{
		Name: "less", Doc: "less is x < y: false where one is NaN.",
		Args: binaryArgs, Infer: compares(ir.F32, ir.I32), Lane: lane(loop.Lt), Fold: onSame(0),
		Samples: append([]ir.Sample{
			{Types: types(floats(4), floats(4)), In: data(row(1, 2, 2, nan), row(2, 1, 2, 1)), Want: row(1, 0, 0, 0)},
			{Types: i3, In: data(row(1, 2, 2), row(2, 1, 2)), Want: row(1, 0, 0)},
			{Types: b2, Err: "operand x is bool[2], want f32 or i32"},
		}, mixed...),
	})
	define(LessEqual, ir.Op{
		Name: "less_equal", Doc: "less_equal is x <= y: false where one is NaN.",
		Args: binaryArgs, Infer: compares(ir.F32, ir.I32), Lane: lane(loop.Le), Fold: foldLessEqual,
		Samples: append([]ir.Sample{
			{Types: types(floats(4), floats(4)), In: data(row(1, 2, 2, nan), row(2, 1, 2, nan)), Want: row(1, 0, 1, 0)},
			{Types: i3, In: data(row(1, 2, 2), row(2, 1, 2)), Want: row(1, 0, 1)},
		}, mixed...),
	})
	define(Equal, ir.Op{
		Name: "equal", Doc: "equal is x == y: false where one is NaN, true for zeros of different sign.",
		Args: binaryArgs, Infer: compares(ir.F32, ir.I32, ir.Bool), Lane: lane(loop.Eq), Fold: onSame(1),
		Samples: append([]ir.Sample{
			{Types: types(floats(3), floats(3)), In: data(row(1, 0, nan), row(2, math.Copysign(0, -1), nan)), Want: row(0, 1, 0)},
			{Types: i3, In: data(row(1, 2, 2), row(2, 1, 2)), Want: row(0, 0, 1)},
			{Types: b2, In: data(row(0, 1), row(1, 1)), Want: row(0, 1)},
		}, mixed...),
	})
	define(And, ir.Op{
		Name: "and", Doc: "and is true where both operands are.",
		Args: binaryArgs, Infer: same(ir.Bool), Lane: lane(loop.And), Fold: foldLogic(1),
		Samples: []ir.Sample{
			{Types: types(bools(4), bools(4)), In: data(row(0, 0, 1, 1), row(0, 1, 0, 1)), Want: row(0, 0, 0, 1)},
			{Types: f2, Err: "operand x is f32[2], want bool"},
		},
	})
	define(Or, ir.Op{
		Name: "or", Doc: "or is true where at least one operand is.",
		Args: binaryArgs, Infer: same(ir.Bool), Lane: lane(loop.Or), Fold: foldLogic(0),
		Samples: []ir.Sample{
			{Types: types(bools(4), bools(4)), In: data(row(0, 0, 1, 1), row(0, 1, 0, 1)), Want: row(0, 1, 1, 1)},
			{Types: f2, Err: "operand x is f32[2], want bool"},
		},
	})
	define(Not, ir.Op{
		Name: "not", Doc: "not is true where the operand is false.",
		Args: unaryArgs, Infer: same(ir.Bool), Lane: lane(loop.Not),
		Fold: func(b *ir.Builder, v *ir.Value) *ir.Value {
			if x := v.Args[0]; x.Op == Not {
				return x.Args[0]
			}
			return nil
		},
		Samples: []ir.Sample{
			{Types: types(bools(2)), In: data(row(0, 1)), Want: row(1, 0)},
			{Types: types(floats(2)), Err: "operand x is f32[2], want bool"},
		},
	})
	define(Select, ir.Op{
		Name: "select", Doc: "select is x where c is true, else y. The gradient of the operand not chosen is 0.",
		Args: []ir.Arg{{Name: "c", Doc: "bool"}, {Name: "x"}, {Name: "y"}},
		Infer: func(v *ir.Value) (ir.Type, error) {
			if err := tensor(v, 0, ir.Bool); err != nil {
				return ir.Type{}, err
			}
			t := v.Arg(1)
			if t.Tuple != nil || !t.Equal(v.Arg(2)) {
				return errorf("operands have different types: %v and %v", t, v.Arg(2))
			}
			if !ir.SameShape(v.Arg(0).Shape, t.Shape) {
				return errorf("the condition is %v, the operands are %v", v.Arg(0), t)
			}
			return t, nil
		},
		Lane: lane(loop.Select),
		Fold: func(b *ir.Builder, v *ir.Value) *ir.Value {
			c, x, y := v.Args[0], v.Args[1], v.Args[2]
			switch k, ok := constant(c); {
			case ok && k != 0:
				return x
			case ok:
				return y
			case x == y:
				return x
			case c.Op == Not:
				return On(b).Select(c.Args[0], y, x)
			case x.Op == Const && y.Op == Const && math.Float64bits(Fill.Of(x)) == math.Float64bits(Fill.Of(y)):
				return x
			}
			return nil
		},
		Grad: func(b *ir.Builder, v, dy *ir.Value) []*ir.Value {
			g := On(b)
			zero := g.Like(dy, 0)
			return []*ir.Value{nil, g.Select(v.Args[0], dy, zero), g.Select(v.Args[0], zero, dy)}
		},
		Samples: []ir.Sample{
			{Types: types(bools(3), floats(3), floats(3)), In: data(row(1, 0, 1), row(1, 2, 3), row(4, 5, 6)), Want: row(1, 5, 3)},
			{Types: types(bools(2), ints(2), ints(2)), In: data(row(1, 0), row(1, 2), row(4, 5)), Want: row(1, 5)},
			{Types: types(bools(2), floats(2), ints(2)), Err: "operands have different types: f32[2] and i32[2]"},
			{Types: types(bools(3), floats(2), floats(2)), Err: "the condition is bool[3], the operands are f32[2]"},
			{Types: types(floats(2), floats(2), floats(2)), Err: "operand c is f32[2], want bool"},
		},
	})
	define(Cast, ir.Op{
		Name:  "cast",
		Doc:   "cast converts to another element type: f32 to i32 truncates toward 0 and saturates, NaN becomes 0; bool becomes 0 or 1; to bool is x != 0. Nothing flows back from i32 and bool.",
		Args:  unaryArgs,
		Attrs: []ir.Key{ElemAttr},
		Infer: func(v *ir.Value) (ir.Type, error) {
			if t := v.Arg(0); t.Tuple == nil {
				return t.WithElem(ElemAttr.Of(v)), nil
			}
			return ir.Type{}, fmt.Errorf("operand x is the tuple %v", v.Arg(0))
		},
		Lane: func(e *ir.Emitter, v *ir.Value, args []*loop.Val) *loop.Val {
			return e.ConvertTo(ElemAttr.Of(v), args[0])
		},
		Fold: func(b *ir.Builder, v *ir.Value) *ir.Value {
			x := v.Args[0]
			switch {
			case x.Type.Elem == v.Type.Elem:
				return x
			case x.Op == Cast && x.Args[0].Type.Elem == ir.Bool:
				return On(b).Cast(x.Args[0], v.Type.Elem)
			}
			return nil
		},
		Grad: func(b *ir.Builder, v, dy *ir.Value) []*ir.Value {
			if v.Type.Elem != ir.F32 || v.Arg(0).Elem != ir.F32 {
				return []*ir.Value{nil}
			}
			return []*ir.Value{dy}
		},
		Samples: []ir.Sample{
			{Types: types(floats(5)), Attrs: settings(ElemAttr.Is(ir.I32)), In: data(row(1.9, -1.9, 3e9, nan, 0)), Want: row(1, -1, math.MaxInt32, 0, 0)},
			{Types: types(ints(2)), Attrs: settings(ElemAttr.Is(ir.F32)), In: data(row(7, -3)), Want: row(7, -3)},
			{Types: types(bools(2)), Attrs: settings(ElemAttr.Is(ir.F32)), In: data(row(0, 1)), Want: row(0, 1)},
			{Types: types(floats(3)), Attrs: settings(ElemAttr.Is(ir.Bool)), In: data(row(0, 0.5, nan)), Want: row(0, 1, 1)},
			{Types: types(ir.Type{Tuple: types(floats())}), Attrs: settings(ElemAttr.Is(ir.Bool)), Err: "operand x is the tuple (f32)"},
		},
	})
}

// foldLessEqual knows that a uniform draw is never negative, so that dropout
// of nothing costs nothing.
func foldLessEqual(b *ir.Builder, v *ir.Value) *ir.Value {
	if x, ok := constant(v.Args[0]); ok && x <= 0 && v.Args[1].Op == Uniform {
		return On(b).Constant(ir.Bool, 1, v.Type.Shape...)
	}
	return onSame(1)(b, v)
}
