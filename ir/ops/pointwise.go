package ops

import (
	"math"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// Identities are folded only where they hold bit by bit, NaN payloads aside:
// x + -0, x - 0, x * 1, x / 1 are x, but x + 0 is not (it turns -0 into 0) and
// x * 0 is not 0 (NaN, infinities, -0). See the float contract of package loop.

var (
	unaryArgs  = []ir.Arg{{Name: "x"}}
	binaryArgs = []ir.Arg{{Name: "x"}, {Name: "y"}}
	f2         = types(floats(2), floats(2))
	i3         = types(ints(3), ints(3))
	mixed      = []ir.Sample{
		{Types: types(floats(3), floats(4)), Err: "operands have different types: f32[3] and f32[4]"},
		{Types: types(floats(3), ints(3)), Err: "operands have different types: f32[3] and i32[3]"},
	}
)

func init() {
	define(Add, ir.Op{
		Name: "add", Doc: "add is x + y; i32 wraps around.",
		Args: binaryArgs, Infer: same(ir.F32, ir.I32), Lane: lane(loop.Add),
		Fold: func(b *ir.Builder, v *ir.Value) *ir.Value {
			x, y := v.Args[0], v.Args[1]
			switch {
			case isZeroOfSign(y, true):
				return x
			case isZeroOfSign(x, true):
				return y
			}
			return nil
		},
		Grad: func(b *ir.Builder, v, dy *ir.Value) []*ir.Value { return []*ir.Value{dy, dy} },
		Samples: append([]ir.Sample{
			{Types: f2, In: data(row(1, -2.5), row(0.25, 2)), Want: row(1.25, -0.5)},
			{Types: i3, In: data(row(1, -2, math.MaxInt32), row(4, 5, 1)), Want: row(5, 3, math.MinInt32)},
			{Types: types(bools(3), bools(3)), Err: "operand x is bool[3], want f32 or i32"},
		}, mixed...),
	})
	define(Sub, ir.Op{
		Name: "sub", Doc: "sub is x - y; i32 wraps around.",
		Args: binaryArgs, Infer: same(ir.F32, ir.I32), Lane: lane(loop.Sub),
		Fold: func(b *ir.Builder, v *ir.Value) *ir.Value {
			x, y := v.Args[0], v.Args[1]
			switch {
			case isZeroOfSign(y, false):
				return x
			case isZeroOfSign(x, true):
				return On(b).Neg(y) // -0 - y is -y, of zeros too
			case x == y && x.Type.Elem == ir.I32:
				return On(b).Like(x, 0)
			}
			return nil
		},
		Grad: func(b *ir.Builder, v, dy *ir.Value) []*ir.Value { return []*ir.Value{dy, On(b).Neg(dy)} },
		Samples: append([]ir.Sample{
			{Types: f2, In: data(row(1, -2.5), row(0.25, 2)), Want: row(0.75, -4.5)},
			{Types: i3, In: data(row(1, -2, math.MinInt32), row(4, 5, 1)), Want: row(-3, -7, math.MaxInt32)},
		}, mixed...),
	})
	define(Mul, ir.Op{
		Name: "mul", Doc: "mul is x * y; i32 wraps around. In the gradient a zero cotangent stays zero even where the other factor is infinite.",
		Args: binaryArgs, Infer: same(ir.F32, ir.I32), Lane: lane(loop.Mul),
		Fold: foldMul,
		Grad: func(b *ir.Builder, v, dy *ir.Value) []*ir.Value {
			g := On(b)
			return []*ir.Value{g.Mulz(dy, v.Args[1]), g.Mulz(dy, v.Args[0])}
		},
		Samples: append([]ir.Sample{
			{Types: f2, In: data(row(1.5, -2.5), row(0.25, 2)), Want: row(0.375, -5)},
			{Types: i3, In: data(row(3, -2, 1<<30), row(4, 5, 2)), Want: row(12, -10, math.MinInt32)},
		}, mixed...),
	})
	define(Mulz, ir.Op{
		Name: "mulz",
		Doc: "mulz is x * y, but 0 where x is 0, whatever y is (the sign of that zero is not specified). " +
			"Gradients multiply the cotangent by the slope with it, so that a branch not taken by select stays out of the gradient even where its slope is infinite or NaN.",
		Args: binaryArgs, Infer: same(ir.F32),
		Lane: func(e *ir.Emitter, v *ir.Value, args []*loop.Val) *loop.Val {
			zero := e.Const(loop.F32, 0)
			return e.Do(loop.Select, e.Do(loop.Eq, args[0], zero), zero, e.Do(loop.Mul, args[0], args[1]))
		},
		Fold: func(b *ir.Builder, v *ir.Value) *ir.Value {
			x, y := v.Args[0], v.Args[1]
			switch c, ok := constant(x); {
			case ok && c == 0:
				return x
			case ok || finite(y, 6):
				return On(b).Mul(x, y)
			}
			return nil
		},
		Grad: func(b *ir.Builder, v, dy *ir.Value) []*ir.Value {
			g := On(b)
			return []*ir.Value{g.Mulz(dy, v.Args[1]), g.Mulz(v.Args[0], dy)}
		},
		Samples: append([]ir.Sample{
			{Types: f2, In: data(row(1.5, -2.5), row(0.25, 2)), Want: row(0.375, -5)},
			{Types: types(floats(3), floats(3)), In: data(row(0, 0, 2), row(math.Inf(1), math.NaN(), math.Inf(-1))),
				Want: row(0, 0, math.Inf(-1)), NoGrad: "infinite slopes"},
			{Types: i3, Err: "operand x is i32[3], want f32"},
		}, mixed[:1]...),
	})
	define(Div, ir.Op{
		Name: "div", Doc: "div is x / y; i32 rounds toward minus infinity, and x / 0 is 0.",
		Args: binaryArgs, Infer: same(ir.F32, ir.I32), Lane: lane(loop.Div),
		Fold: func(b *ir.Builder, v *ir.Value) *ir.Value {
			x, y := v.Args[0], v.Args[1]
			switch c, ok := constant(y); {
			case ok && c == 1:
				return x
			case ok && x.Type.Elem == ir.F32 && powerOfTwo(c):
				return On(b).Mul(x, On(b).Like(y, 1/c)) // both are rounded once from the same number
			}
			return nil
		},
		Grad: func(b *ir.Builder, v, dy *ir.Value) []*ir.Value {
			g := On(b)
			y := v.Args[1]
			if c, ok := constant(y); ok && c != 0 {
				return []*ir.Value{g.Div(dy, y), g.Neg(g.Mulz(g.Div(dy, y), v))}
			}
			dx := g.Mulz(dy, g.Reciprocal(y))
			return []*ir.Value{dx, g.Neg(g.Mulz(dx, v))}
		},
		Samples: append([]ir.Sample{
			{Types: f2, In: data(row(1.5, -3), row(0.25, 2)), Want: row(6, -1.5)},
			{Types: f2, In: data(row(1, -1), row(0, 0)), Want: row(math.Inf(1), math.Inf(-1)), NoGrad: "a pole"},
			{Types: types(ints(5), ints(5)), In: data(row(7, -7, 7, -7, 3), row(2, 2, -2, -2, 0)), Want: row(3, -4, -4, 3, 0)},
		}, mixed...),
	})
	define(Mod, ir.Op{
		Name: "mod", Doc: "mod is x - y*floor(x/y): it has the sign of y, as in Python. For i32, x mod 0 is 0.",
		Args: binaryArgs, Infer: same(ir.F32, ir.I32), Lane: lane(loop.Mod), Traits: ir.Traits{Costly: true},
		Grad: func(b *ir.Builder, v, dy *ir.Value) []*ir.Value {
			g := On(b)
			return []*ir.Value{dy, g.Neg(g.Mulz(dy, g.Floor(g.Div(v.Args[0], v.Args[1]))))}
		},
		Samples: append([]ir.Sample{
			{Types: types(floats(4), floats(4)), In: data(row(5.5, -5.5, 5.5, -5.5), row(2, 2, -2, -2)), Want: row(1.5, 0.5, -0.5, -1.5)},
			{Types: types(ints(5), ints(5)), In: data(row(7, -7, 7, -7, 3), row(2, 2, -2, -2, 0)), Want: row(1, 1, -1, -1, 0)},
		}, mixed...),
	})
	define(Min, ir.Op{
		Name: "min", Doc: "min is x < y ? x : y, so the second operand where one is NaN. Of equal operands each gets half of the gradient, as in PyTorch.",
		Args: binaryArgs, Infer: same(ir.F32, ir.I32), Lane: lane(loop.Min), Fold: foldSame,
		Grad: func(b *ir.Builder, v, dy *ir.Value) []*ir.Value {
			return shared(On(b), On(b).Less(v.Args[0], v.Args[1]), v, dy)
		},
		Samples: append([]ir.Sample{
			{Types: f2, In: data(row(1, -2.5), row(0.25, 2)), Want: row(0.25, -2.5)},
			{Types: types(floats(3), floats(3)), In: data(row(math.NaN(), 1, 0), row(1, math.NaN(), math.Copysign(0, -1))),
				Want: row(1, math.NaN(), math.Copysign(0, -1)), NoGrad: "NaN and a tie"},
			{Types: i3, In: data(row(1, -2, 3), row(4, 5, -6)), Want: row(1, -2, -6)},
		}, mixed...),
	})
	define(Max, ir.Op{
		Name: "max", Doc: "max is x > y ? x : y, so the second operand where one is NaN. Of equal operands each gets half of the gradient, as in PyTorch.",
		Args: binaryArgs, Infer: same(ir.F32, ir.I32), Lane: lane(loop.Max), Fold: foldSame,
		Grad: func(b *ir.Builder, v, dy *ir.Value) []*ir.Value {
			return shared(On(b), On(b).Less(v.Args[1], v.Args[0]), v, dy)
		},
		Samples: append([]ir.Sample{
			{Types: f2, In: data(row(1, -2.5), row(0.25, 2)), Want: row(1, 2)},
			{Types: types(floats(3), floats(3)), In: data(row(math.NaN(), 1, 0), row(1, math.NaN(), math.Copysign(0, -1))),
				Want: row(1, math.NaN(), math.Copysign(0, -1)), NoGrad: "NaN and a tie"},
			{Types: i3, In: data(row(1, -2, 3), row(4, 5, -6)), Want: row(4, 5, 3)},
		}, mixed...),
	})
	define(Pow, ir.Op{
		Name: "pow",
		Doc: "pow is x ** y, special cases as in package math: NaN for negative x and y that is not whole. With the constant exponents 0, 1, 2, 3, 0.5, -0.5 and -1 it is " +
			"1, x, x*x, x*x*x, sqrt, rsqrt and 1/x. The gradient to x is y * x**(y-1), 0 where y is 0; that to y is log(x) * x**y, 0 where x is 0 and y >= 0 (as in PyTorch), NaN for negative x.",
		Args: binaryArgs, Infer: same(ir.F32), Lane: lane(loop.Pow), Traits: ir.Traits{Costly: true}, Tol: 1e-6,
		Fold: func(b *ir.Builder, v *ir.Value) *ir.Value {
			g, x := On(b), v.Args[0]
			switch c, ok := constant(v.Args[1]); {
			case !ok:
			case c == 0:
				return g.Like(v, 1)
			case c == 1:
				return x
			case c == 2:
				return g.Square(x)
			case c == 3:
				return g.Mul(g.Square(x), x)
			case c == 0.5:
				return g.Sqrt(x)
			case c == -0.5:
				return g.Rsqrt(x)
			case c == -1:
				return g.Reciprocal(x)
			}
			return nil
		},
		Grad: func(b *ir.Builder, v, dy *ir.Value) []*ir.Value {
			g := On(b)
			x, y := v.Args[0], v.Args[1]
			zero := g.Like(x, 0)
			slope := g.Mulz(y, g.Pow(x, g.Sub(y, g.Like(y, 1))))
			flat := g.And(g.Equal(x, zero), g.LessEqual(zero, y))
			return []*ir.Value{g.Mulz(dy, slope), g.Mulz(dy, g.Select(flat, zero, g.Mul(v, g.Log(x))))}
		},
		Samples: append([]ir.Sample{
			{Types: f2, In: data(row(4, 0.25), row(1.5, -0.5)), Want: row(8, 2)},
			{Types: types(floats(4), floats(4)), In: data(row(-2, 0, -3, 0), row(3, 0, 0.5, -1)), Want: row(-8, 1, math.NaN(), math.Inf(1)), NoGrad: "no slope to y for x <= 0"},
			{Types: i3, Err: "operand x is i32[3], want f32"},
		}, mixed[:1]...),
	})
	define(Neg, ir.Op{
		Name: "neg", Doc: "neg is -x, of zeros too.",
		Args: unaryArgs, Infer: same(ir.F32, ir.I32), Lane: lane(loop.Neg),
		Fold: func(b *ir.Builder, v *ir.Value) *ir.Value {
			if x := v.Args[0]; x.Op == Neg {
				return x.Args[0]
			}
			return nil
		},
		Grad: func(b *ir.Builder, v, dy *ir.Value) []*ir.Value { return []*ir.Value{On(b).Neg(dy)} },
		Samples: []ir.Sample{
			{Types: types(floats(3)), In: data(row(1, -2.5, 0)), Want: row(-1, 2.5, math.Copysign(0, -1))},
			{Types: types(ints(2)), In: data(row(1, -2)), Want: row(-1, 2)},
			{Types: types(bools(2)), Err: "operand x is bool[2], want f32 or i32"},
		},
	})
	define(Abs, ir.Op{
		Name: "abs", Doc: "abs is |x|; its slope at 0 is 0. That of the least i32 is itself.",
		Args: unaryArgs, Infer: same(ir.F32, ir.I32), Lane: lane(loop.Abs),
		Fold: func(b *ir.Builder, v *ir.Value) *ir.Value {
			switch x := v.Args[0]; {
			case x.Op == Abs || x.Op == Square:
				return x
			case x.Op == Neg && x.Type.Elem == ir.F32:
				return On(b).Abs(x.Args[0])
			}
			return nil
		},
		Grad: func(b *ir.Builder, v, dy *ir.Value) []*ir.Value {
			return []*ir.Value{On(b).Mulz(dy, On(b).Sign(v.Args[0]))}
		},
		Samples: []ir.Sample{
			{Types: types(floats(2)), In: data(row(1, -2.5)), Want: row(1, 2.5)},
			{Types: types(ints(2)), In: data(row(1, -2)), Want: row(1, 2)},
			{Types: types(bools(2)), Err: "operand x is bool[2], want f32 or i32"},
		},
	})
	define(Sign, ir.Op{
		Name: "sign", Doc: "sign is -1, 0 or 1; zeros and NaN stay as they are. Its gradient is 0.",
		Args: unaryArgs, Infer: same(ir.F32, ir.I32), Lane: lane(loop.Sign),
		Samples: []ir.Sample{
			{Types: types(floats(4)), In: data(row(1.5, -2.5, 0, math.NaN())), Want: row(1, -1, 0, math.NaN())},
			{Types: types(ints(3)), In: data(row(4, -2, 0)), Want: row(1, -1, 0)},
			{Types: types(bools(2)), Err: "operand x is bool[2], want f32 or i32"},
		},
	})
	define(Square, ir.Op{
		Name: "square", Doc: "square is x * x.",
		Args: unaryArgs, Infer: same(ir.F32, ir.I32),
		Lane: func(e *ir.Emitter, v *ir.Value, args []*loop.Val) *loop.Val {
			return e.Do(loop.Mul, args[0], args[0])
		},
		Grad: func(b *ir.Builder, v, dy *ir.Value) []*ir.Value {
			g := On(b)
			return []*ir.Value{g.Mulz(dy, g.Add(v.Args[0], v.Args[0]))}
		},
		Samples: []ir.Sample{
			{Types: types(floats(3)), In: data(row(1, -2.5, 0)), Want: row(1, 6.25, 0)},
			{Types: types(ints(2)), In: data(row(4, -2)), Want: row(16, 4)},
			{Types: types(bools(2)), Err: "operand x is bool[2], want f32 or i32"},
		},
	})
	define(Reciprocal, ir.Op{
		Name: "reciprocal", Doc: "reciprocal is 1 / x.",
		Args: unaryArgs, Infer: same(ir.F32),
		Lane: func(e *ir.Emitter, v *ir.Value, args []*loop.Val) *loop.Val {
			return e.Do(loop.Div, e.Const(loop.F32, 1), args[0])
		},
		Grad: func(b *ir.Builder, v, dy *ir.Value) []*ir.Value {
			g := On(b)
			return []*ir.Value{g.Neg(g.Mulz(dy, g.Square(v)))}
		},
		Samples: []ir.Sample{
			{Types: types(floats(2)), In: data(row(4, -0.5)), Want: row(0.25, -2)},
			{Types: types(floats(1)), In: data(row(0)), Want: row(math.Inf(1)), NoGrad: "a pole"},
			{Types: types(ints(2)), Err: "operand x is i32[2], want f32"},
		},
	})
}

func foldMul(b *ir.Builder, v *ir.Value) *ir.Value {
	for i, x := range v.Args {
		y := v.Args[1-i]
		switch c, ok := constant(y); {
		case !ok:
		case c == 1:
			return x
		case c == -1:
			return On(b).Neg(x)
		case c == 0 && x.Type.Elem == ir.I32:
			return y
		}
	}
	if v.Args[0] == v.Args[1] {
		return On(b).Square(v.Args[0])
	}
	return nil
}

func foldSame(_ *ir.Builder, v *ir.Value) *ir.Value {
	if v.Args[0] == v.Args[1] {
		return v.Args[0]
	}
	return nil
}

// shared gives dy to the first operand of v where first holds, half of it to
// each where they are equal, else all to the second one.
func shared(g Graph, first, v, dy *ir.Value) []*ir.Value {
	x, y := v.Args[0], v.Args[1]
	half, zero := g.Mul(dy, g.Like(dy, 0.5)), g.Like(dy, 0)
	equal := g.Equal(x, y)
	return []*ir.Value{
		g.Select(first, dy, g.Select(equal, half, zero)),
		g.Select(first, zero, g.Select(equal, half, dy)),
	}
}

// finite reports whether v can be seen to be finite, or as large as the
// parameters allow without an operation that makes infinities of ordinary
// numbers.
func finite(v *ir.Value, depth int) bool {
	switch {
	case v.Op == Const:
		return !math.IsInf(Fill.Of(v), 0) && !math.IsNaN(Fill.Of(v))
	case v.Type.Elem != ir.F32:
		return true
	case bounded[v.Op]:
		return true
	case depth == 0 || !tame[v.Op]:
		return false
	}
	for _, a := range v.Args {
		if !finite(a, depth-1) {
			return false
		}
	}
	return true
}

var (
	// bounded ops have small results for all operands but NaN.
	bounded = map[*ir.Op]bool{Sign: true, Sin: true, Cos: true, Tanh: true, Sigmoid: true, Erf: true, Atan: true, Uniform: true, Normal: true}
	// tame ops do not make infinities of numbers of ordinary size.
	tame = map[*ir.Op]bool{Add: true, Sub: true, Mul: true, Mulz: true, Neg: true, Abs: true, Square: true, Min: true, Max: true, Floor: true, Ceil: true, Round: true,
		Select: true, Cast: true, Stop: true, Reshape: true, Transpose: true, Broadcast: true, Slice: true, Concat: true, Flip: true}
)

// powerOfTwo reports whether 1/c is exact and a normal float32.
func powerOfTwo(c float64) bool {
	f, e := math.Frexp(math.Abs(c))
	return f == 0.5 && e > -120 && e < 120
}
