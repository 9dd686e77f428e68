package passes

import (
	"math"

	"github.com/lmc-lang/lmc/ir/loop"
)

// Native targets have no exp, log, sine and so on, nor random numbers. Here
// they are arithmetic on vectors, chosen for few instructions: no branches,
// special values by clamps and selects, polynomials in fma form with
// coefficients fitted to float32 by search. Constants stand where they are
// used: loop.Tidy joins equal ones and moves them out of loops.
//
// A scalar is computed by splatting it, computing on the vector and taking
// lane 0 back with MaxAcross: all lanes are alike, so that is the value.
//
// What the functions promise, as their test measures it:
//
//   - exp and log are within 2 ulp, the others within 4 ulp, everywhere;
//   - zeros keep their sign where the function does, infinities, NaN and
//     subnormal operands and results are right;
//   - exp is never negative, sigmoid is in [0, 1], tanh and erf in [-1, 1].
//
// The scalar functions of the runtime differ from these in the last bits.

// expandMath computes op on vectors in terms of ops that native targets have.
// It reports false for an op that it does not know: one that they have, or one
// that no short sequence gives, such as the remainder of floats.
func expandMath(b *loop.Builder, op loop.Op, args []*loop.Val) (*loop.Val, bool) {
	v := vectorMath{b}
	x := args[0]
	if x.Elem != loop.F32 || !x.Vec {
		return nil, false
	}
	switch op {
	case loop.Exp:
		return v.exp(x), true
	case loop.Expm1:
		return v.expm1(x), true
	case loop.Sigmoid:
		return v.sigmoid(x), true
	case loop.Tanh:
		return v.tanh(x), true
	case loop.Erf:
		return v.erf(x), true
	case loop.Log:
		return v.log(x), true
	case loop.Log1p:
		return v.log1p(x), true
	case loop.Pow:
		return v.pow(x, args[1]), true
	case loop.Sin:
		return v.sin(x), true
	case loop.Cos:
		return v.cos(x), true
	case loop.Tan:
		return v.tan(x), true
	case loop.Asin:
		return v.asin(x), true
	case loop.Acos:
		return v.acos(x), true
	case loop.Atan:
		return v.atan(x), true
	}
	return nil, false
}

// vectorMath emits expressions over vectors.
type vectorMath struct{ *loop.Builder }

// f is a constant vector; x is rounded to float32.
func (v vectorMath) f(x float64) *loop.Val { return v.ConstVec(loop.F32, float64(float32(x))) }

// i is a constant vector of the bits x.
func (v vectorMath) i(x uint32) *loop.Val { return v.ConstVec(loop.I32, float64(int32(x))) }

func (v vectorMath) add(x, y *loop.Val) *loop.Val    { return v.Do(loop.Add, x, y) }
func (v vectorMath) sub(x, y *loop.Val) *loop.Val    { return v.Do(loop.Sub, x, y) }
func (v vectorMath) mul(x, y *loop.Val) *loop.Val    { return v.Do(loop.Mul, x, y) }
func (v vectorMath) div(x, y *loop.Val) *loop.Val    { return v.Do(loop.Div, x, y) }
func (v vectorMath) fma(x, y, z *loop.Val) *loop.Val { return v.Do(loop.FMA, x, y, z) }
func (v vectorMath) round(x *loop.Val) *loop.Val     { return v.Do(loop.Round, x) }
func (v vectorMath) lt(x, y *loop.Val) *loop.Val     { return v.Do(loop.Lt, x, y) }
func (v vectorMath) eq(x, y *loop.Val) *loop.Val     { return v.Do(loop.Eq, x, y) }
func (v vectorMath) and(x, y *loop.Val) *loop.Val    { return v.Do(loop.BitAnd, x, y) }
func (v vectorMath) or(x, y *loop.Val) *loop.Val     { return v.Do(loop.BitOr, x, y) }
func (v vectorMath) xor(x, y *loop.Val) *loop.Val    { return v.Do(loop.BitXor, x, y) }
func (v vectorMath) bits(x *loop.Val) *loop.Val      { return v.Do(loop.Bits, x) }
func (v vectorMath) float(x *loop.Val) *loop.Val     { return v.Do(loop.FromBits, x) }

func (v vectorMath) shl(x *loop.Val, n uint32) *loop.Val {
	return v.Do(loop.ShiftLeft, x, v.i(n))
}

func (v vectorMath) shr(x *loop.Val, n uint32) *loop.Val {
	return v.Do(loop.ShiftRight, x, v.i(n))
}

// sel is c ? x : y.
func (v vectorMath) sel(c, x, y *loop.Val) *loop.Val { return v.Do(loop.Select, c, x, y) }

// clamp moves x into [lo, hi]. NaN stays NaN: min and max give their second
// operand then.
func (v vectorMath) clamp(x *loop.Val, lo, hi float64) *loop.Val {
	return v.Do(loop.Max, v.f(lo), v.Do(loop.Min, v.f(hi), x))
}

// horner is c[0] + c[1]*x + c[2]*x² + …
func (v vectorMath) horner(x *loop.Val, c ...float64) *loop.Val {
	n := len(c) - 1
	y := v.f(c[n])
	for i := n - 1; i >= 0; i-- {
		y = v.fma(y, x, v.f(c[i]))
	}
	return y
}

const signBit = 1 << 31

// sign is the sign bit of x.
func (v vectorMath) sign(x *loop.Val) *loop.Val { return v.and(v.bits(x), v.i(signBit)) }

// signed gives y, which is not negative, the sign of x.
func (v vectorMath) signed(y, x *loop.Val) *loop.Val {
	return v.float(v.or(v.bits(y), v.sign(x)))
}

func (v vectorMath) abs(x *loop.Val) *loop.Val { return v.Do(loop.Abs, x) }

var inf = math.Inf(1)
