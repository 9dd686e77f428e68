package ops

import (
	"math"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

func init() {
	define(Const, ir.Op{
		Name:   "const",
		Doc:    "const is a tensor whose elements all are fill, rounded to the element type: a whole number for i32, 0 or 1 for bool.",
		Attrs:  []ir.Key{Fill, ElemAttr, Shape},
		Traits: ir.Traits{Source: true},
		Infer: func(v *ir.Value) (ir.Type, error) {
			x, e := Fill.Of(v), ElemAttr.Of(v)
			if e == ir.I32 && (x != math.Trunc(x) || x < math.MinInt32 || x > math.MaxInt32) || e == ir.Bool && x != 0 && x != 1 {
				return errorf("%v is not a value of %v", x, e)
			}
			return ir.Tensor(e, Shape.Of(v)...), extents(Shape.Of(v))
		},
		At: func(e *ir.Emitter, v *ir.Value, _ []loop.Index) *loop.Val { return e.Const(v.Type.Elem, Fill.Of(v)) },
		Samples: []ir.Sample{
			{Attrs: settings(Fill.Is(0.5), ElemAttr.Is(ir.F32), Shape.Is(dims(2, 2))), Want: row(0.5, 0.5, 0.5, 0.5)},
			{Attrs: settings(Fill.Is(-3), ElemAttr.Is(ir.I32), Shape.Is(nil)), Want: row(-3)},
			{Attrs: settings(Fill.Is(1), ElemAttr.Is(ir.Bool), Shape.Is(dims(1))), Want: row(1)},
			{Attrs: settings(Fill.Is(0.5), ElemAttr.Is(ir.I32), Shape.Is(nil)), Err: "0.5 is not a value of i32"},
			{Attrs: settings(Fill.Is(2), ElemAttr.Is(ir.Bool), Shape.Is(nil)), Err: "2 is not a value of bool"},
		},
	})
	define(Iota, ir.Op{
		Name:   "iota",
		Doc:    "iota counts 0, 1, 2, … along an axis: i32.",
		Attrs:  []ir.Key{Axis, Shape},
		Traits: ir.Traits{Source: true},
		Infer: func(v *ir.Value) (ir.Type, error) {
			t := ir.Tensor(ir.I32, Shape.Of(v)...)
			if err := axisOf(t, Axis.Of(v)); err != nil {
				return ir.Type{}, err
			}
			return t, extents(t.Shape)
		},
		At: func(e *ir.Emitter, v *ir.Value, idx []loop.Index) *loop.Val {
			return e.ConvertTo(loop.I32, e.IndexVal(idx[Axis.Of(v)]))
		},
		Fold: func(b *ir.Builder, v *ir.Value) *ir.Value {
			if Shape.Of(v)[Axis.Of(v)].Is(1) {
				return On(b).Integer(0, Shape.Of(v)...)
			}
			return nil
		},
		Samples: []ir.Sample{
			{Attrs: settings(Axis.Is(1), Shape.Is(dims(2, 3))), Want: row(0, 1, 2, 0, 1, 2)},
			{Attrs: settings(Axis.Is(0), Shape.Is(dims(2, 3))), Want: row(0, 0, 0, 1, 1, 1)},
			{Attrs: settings(Axis.Is(2), Shape.Is(dims(2, 3))), Err: "i32[2, 3] has no axis 2"},
		},
	})
	define(Size, ir.Op{
		Name:   "size",
		Doc:    "size is the dim extent as an i32 scalar.",
		Attrs:  []ir.Key{Extent},
		Traits: ir.Traits{Source: true},
		Infer:  func(v *ir.Value) (ir.Type, error) { return ir.Tensor(ir.I32), nil },
		At: func(e *ir.Emitter, v *ir.Value, _ []loop.Index) *loop.Val {
			return e.ConvertTo(loop.I32, e.SizeOf(Extent.Of(v)))
		},
		Fold: func(b *ir.Builder, v *ir.Value) *ir.Value {
			if n, ok := Extent.Of(v).Const(); ok && n <= math.MaxInt32 && n >= math.MinInt32 {
				return On(b).Integer(n)
			}
			return nil
		},
		Samples: []ir.Sample{{Attrs: settings(Extent.Is(loop.N(7))), Want: row(7)}},
	})
	define(Uniform, random("uniform", loop.Uniform, "uniform draws from [0, 1), multiples of 2**-24", row(0.1568811, 0.39435196, 0.87152606), row(0.53985244, 0.837937, 0.53946084)))
	define(Normal, random("normal", loop.Normal, "normal draws from the standard normal distribution (Box and Muller)", row(-1.5160087, 1.1858546, -0.4100139), row(0.5827637, -0.9451482, -0.76679856)))
}

// random is an op that draws: the element with the linear index c is the draw
// number c of the stream, into which the step and the loop counters are mixed.
func random(name string, draw loop.Op, doc string, want, salted []float64) ir.Op {
	return ir.Op{
		Name: name,
		Doc: doc + ", counter-based (Philox4x32-10): element c is a pure function of the seed, the stream with the step and the salts mixed in, and c. " +
			"Nothing flows back.",
		Args: []ir.Arg{
			{Name: "key", Doc: "i32[3]: low and high half of the seed, step"},
			{Name: "salts", Doc: "i32 scalars: the counters of the loops around the draw, outermost first", Variadic: true},
		},
		Attrs:  []ir.Key{Stream, Shape},
		Traits: ir.Traits{Source: true, Costly: true},
		Infer: func(v *ir.Value) (ir.Type, error) {
			if t := v.Arg(0); !t.Equal(ir.Tensor(ir.I32, loop.N(3))) {
				return errorf("operand key is %v, want i32[3]", t)
			}
			for i := range v.Args[1:] {
				if err := scalarInt(v, 1+i); err != nil {
					return ir.Type{}, err
				}
			}
			return ir.Tensor(ir.F32, Shape.Of(v)...), extents(Shape.Of(v))
		},
		At: func(e *ir.Emitter, v *ir.Value, idx []loop.Index) *loop.Val {
			key := func(i int) *loop.Val { return element(e, v.Args[0], []loop.Index{loop.AtDim(loop.N(i))}) }
			half := e.Const(loop.Int, 1<<32)
			seed := e.Do(loop.Add, e.Do(loop.Mod, key(0), half), e.Do(loop.Mul, key(1), half))
			stream := e.Do(loop.Fold, e.SizeOf(loop.N(int(Stream.Of(v)&math.MaxInt64))), key(2))
			for _, s := range v.Args[1:] {
				stream = e.Do(loop.Fold, stream, element(e, s, nil))
			}
			return e.Do(draw, seed, stream, e.IndexVal(ir.Linear(v.Type.Shape, idx)))
		},
		Tol: 1e-6,
		Samples: []ir.Sample{
			{Types: types(ints(3)), Attrs: settings(Stream.Is(1), Shape.Is(dims(3))), In: data(row(7, 0, 0)), Want: want},
			{Types: types(ints(3), ints()), Attrs: settings(Stream.Is(1), Shape.Is(dims(3))), In: data(row(-7, 3, 5), row(2)), Want: salted},
			{Types: types(ints(2)), Attrs: settings(Stream.Is(1), Shape.Is(dims(3))), Err: "operand key is i32[2], want i32[3]"},
			{Types: types(ints(3), floats()), Attrs: settings(Stream.Is(1), Shape.Is(dims(3))), Err: "operand 0 of salts is f32, want i32"},
		},
	}
}
