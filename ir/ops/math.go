package ops

import (
	"math"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// A slope is the derivative of a function of one operand, from the operand and
// the result.
type slope func(g Graph, x, y *ir.Value) *ir.Value

// function makes a math op: samples are pairs of operand and result.
func function(name, doc string, op loop.Op, tol float64, d slope, at, want []float64, more ...ir.Sample) ir.Op {
	o := ir.Op{
		Name: name, Doc: doc, Args: unaryArgs, Infer: same(ir.F32), Lane: lane(op), Tol: tol,
		Traits: ir.Traits{Costly: op != loop.Floor && op != loop.Ceil && op != loop.Round && op != loop.Sqrt},
		Samples: append([]ir.Sample{
			{Types: types(floats(len(at))), In: data(at), Want: want},
			{Types: types(ints(2)), Err: "operand x is i32[2], want f32"},
		}, more...),
	}
	if d != nil {
		o.Grad = func(b *ir.Builder, v, dy *ir.Value) []*ir.Value {
			g := On(b)
			return []*ir.Value{g.Mulz(dy, d(g, v.Args[0], v))}
		}
	}
	return o
}

// edges is a sample of special cases, where there is no gradient.
func edges(at, want []float64) ir.Sample {
	return ir.Sample{Types: types(floats(len(at))), In: data(at), Want: want, NoGrad: "special cases"}
}

func init() {
	inf, nan := math.Inf(1), math.NaN()
	one := func(g Graph, x *ir.Value) *ir.Value { return g.Like(x, 1) }

	define(Floor, function("floor", "floor is the greatest whole number <= x. Its gradient is 0.", loop.Floor, 0, nil, row(1.5, -1.5, 2), row(1, -2, 2)))
	define(Ceil, function("ceil", "ceil is the least whole number >= x. Its gradient is 0.", loop.Ceil, 0, nil, row(1.5, -1.5, 2), row(2, -1, 2)))
	define(Round, function("round", "round is the nearest whole number, half to even. Its gradient is 0.", loop.Round, 0, nil, row(1.5, 2.5, -0.6), row(2, 2, -1)))

	define(Exp, function("exp", "exp is e**x.", loop.Exp, 3e-7,
		func(g Graph, x, y *ir.Value) *ir.Value { return y },
		row(0, 1, -2), row(1, math.E, 0.1353352832366127), edges(row(100, -inf, nan), row(inf, 0, nan))))
	define(Expm1, function("expm1", "expm1 is e**x - 1, accurate near 0.", loop.Expm1, 3e-7,
		func(g Graph, x, y *ir.Value) *ir.Value { return g.Add(y, one(g, y)) },
		row(0, 1, 1e-5), row(0, math.E-1, 1.0000050000166668e-05)))
	define(Log, function("log", "log is the natural logarithm: -inf at 0, NaN below.", loop.Log, 3e-7,
		func(g Graph, x, y *ir.Value) *ir.Value { return g.Reciprocal(x) },
		row(1, math.E, 0.5), row(0, 0.9999999734874805, -math.Ln2), edges(row(0, -1, inf), row(-inf, nan, inf))))
	define(Log1p, function("log1p", "log1p is log(1 + x), accurate near 0.", loop.Log1p, 3e-7,
		func(g Graph, x, y *ir.Value) *ir.Value { return g.Reciprocal(g.Add(x, one(g, x))) },
		row(0, 1, -0.5), row(0, math.Ln2, -math.Ln2), edges(row(-1, -2), row(-inf, nan))))
	define(Sqrt, function("sqrt", "sqrt is the square root, correctly rounded: NaN below 0. Its slope at 0 is infinite; where that may be multiplied by a cotangent other than 0, add an epsilon.", loop.Sqrt, 0,
		func(g Graph, x, y *ir.Value) *ir.Value { return g.Div(g.Like(y, 0.5), y) },
		row(1, 4, 2), row(1, 2, math.Sqrt2), edges(row(0, -1, inf), row(0, nan, inf))))
	rsqrt := function("rsqrt", "rsqrt is 1 / sqrt(x), rounded twice.", loop.Sqrt, 1.5e-7,
		func(g Graph, x, y *ir.Value) *ir.Value { return g.Mul(g.Like(y, -0.5), g.Mul(y, g.Square(y))) },
		row(1, 4, 2), row(1, 0.5, math.Sqrt2/2), edges(row(0, -1, inf), row(inf, nan, 0)))
	rsqrt.Lane = func(e *ir.Emitter, v *ir.Value, args []*loop.Val) *loop.Val {
		return e.Do(loop.Div, e.Const(loop.F32, 1), e.Do(loop.Sqrt, args[0]))
	}
	define(Rsqrt, rsqrt)

	define(Sin, function("sin", "sin is the sine of x in radians.", loop.Sin, 3e-7,
		func(g Graph, x, y *ir.Value) *ir.Value { return g.Cos(x) },
		row(0, 1, -2), row(0, 0.8414709848078965, -0.9092974268256817)))
	define(Cos, function("cos", "cos is the cosine of x in radians.", loop.Cos, 3e-7,
		func(g Graph, x, y *ir.Value) *ir.Value { return g.Neg(g.Sin(x)) },
		row(0, 1, -2), row(1, 0.5403023058681398, -0.4161468365471424)))
	define(Tan, function("tan", "tan is the tangent of x in radians.", loop.Tan, 3e-7,
		func(g Graph, x, y *ir.Value) *ir.Value { return g.Add(one(g, y), g.Square(y)) },
		row(0, 1, -0.5), row(0, 1.557407724654902, -0.5463024898437905)))
	// 1 - x² loses digits near ±1, (1-x)(1+x) does not.
	root := func(g Graph, x *ir.Value) *ir.Value {
		return g.Rsqrt(g.Mul(g.Sub(one(g, x), x), g.Add(one(g, x), x)))
	}
	define(Asin, function("asin", "asin is the arcsine: NaN outside [-1, 1].", loop.Asin, 3e-7,
		func(g Graph, x, y *ir.Value) *ir.Value { return root(g, x) },
		row(0, 0.5, -0.25), row(0, math.Pi/6, -0.25268025514207865), edges(row(1, 2), row(math.Pi/2, nan))))
	define(Acos, function("acos", "acos is the arccosine: NaN outside [-1, 1].", loop.Acos, 3e-7,
		func(g Graph, x, y *ir.Value) *ir.Value { return g.Neg(root(g, x)) },
		row(0, 0.5, -0.25), row(math.Pi/2, math.Pi/3, 1.8234765819369754), edges(row(1, 2), row(0, nan))))
	define(Atan, function("atan", "atan is the arctangent.", loop.Atan, 3e-7,
		func(g Graph, x, y *ir.Value) *ir.Value { return g.Reciprocal(g.Add(one(g, x), g.Square(x))) },
		row(0, 1, -3), row(0, math.Pi/4, -1.2490457723982544)))
	define(Tanh, function("tanh", "tanh is the hyperbolic tangent, in [-1, 1].", loop.Tanh, 3e-7,
		func(g Graph, x, y *ir.Value) *ir.Value { return g.Mul(g.Sub(one(g, y), y), g.Add(one(g, y), y)) },
		row(0, 1, -0.5), row(0, 0.7615941559557649, -0.46211715726000973), edges(row(100, -inf, nan), row(1, -1, nan))))
	define(Sigmoid, function("sigmoid", "sigmoid is 1 / (1 + e**-x), in [0, 1], without overflow.", loop.Sigmoid, 3e-7,
		func(g Graph, x, y *ir.Value) *ir.Value { return g.Mul(y, g.Sub(one(g, y), y)) },
		row(0, 1, -2), row(0.5, 0.7310585786300049, 0.11920292202211755), edges(row(200, -inf, nan), row(1, 0, nan))))
	define(Erf, function("erf", "erf is the error function, 2/sqrt(pi) times the integral of exp(-t*t) from 0 to x.", loop.Erf, 3e-7,
		func(g Graph, x, y *ir.Value) *ir.Value {
			return g.Mul(g.Like(x, 2/math.Sqrt(math.Pi)), g.Exp(g.Neg(g.Square(x))))
		},
		row(0, 1, -0.5), row(0, 0.8427007929497149, -0.5204998778130465)))
}
