package runtime

import "math"

// The float32 functions of this file and of math_trig.go give the same bits on
// every port of Go. Each operation rounds once: products are written
// float32(a*b) or float64(a*b), because a compiler may otherwise fuse a
// product with a later sum, also across functions (it does on arm64, and on
// amd64 from v3 on).
//
// Functions that kernels call in their inner loops (exp, log, tanh, sigmoid,
// erf and their relatives) use float32 arithmetic only, as vector kernels do.
// The others evaluate in float64 and round at the end.
//
// The functions whose names end in 64 serve builds with -float f64 and come
// from package math, whose last bits may differ between ports.

// Float is the element type of tensors that are differentiated.
type Float interface{ float32 | float64 }

// mad is a*b + c with two roundings.
func mad(a, b, c float32) float32 { return float32(a*b) + c }

// mad64 is a*b + c with two roundings.
func mad64(a, b, c float64) float64 { return float64(a*b) + c }

const (
	roundMagic32     = 3 << 22 // x + roundMagic32 is rounded to an integer, for |x| < 2^22
	roundMagic32Bits = 0x4B400000

	log2e32 = 0x1.715476p+0  // 1/ln 2
	ln2Hi32 = 0.693359375    // ln 2 in two parts: products of the first part and
	ln2Lo32 = -2.12194440e-4 // integers below 2^15 are exact

	expHigh = 0x1.62e430p+6  // the least float32 whose exponential overflows
	expLow  = -0x1.9fe36ap+6 // the greatest whose exponential rounds to 0

	// (exp(r) - 1 - r)/r² for |r| <= ln(2)/2, relative error of exp 2^-28
	expC0 = 0x1.fffffcp-2
	expC1 = 0x1.555490p-3
	expC2 = 0x1.55589ep-5
	expC3 = 0x1.123ac6p-7
	expC4 = 0x1.6a6230p-10

	// (log(1+f) - f + f²/2)/f³ for 1+f in [√½, √2], relative error of log 2^-30
	logC0 = 0x1.555548p-2
	logC1 = -0x1.000008p-2
	logC2 = 0x1.99a478p-3
	logC3 = -0x1.555b82p-3
	logC4 = 0x1.233aecp-3
	logC5 = -0x1.fc4040p-4
	logC6 = 0x1.e6e018p-4
	logC7 = -0x1.dd8c14p-4
	logC8 = 0x1.13a5f2p-4

	// erf(x)/x - 1 in x² for |x| <= 15/16, relative error of erf 2^-25.6
	erfC0 = 0x1.06eba6p-3
	erfC1 = -0x1.8126dcp-2
	erfC2 = 0x1.ce185ep-4
	erfC3 = -0x1.b66a52p-6
	erfC4 = 0x1.466fcap-8
	erfC5 = -0x1.36c062p-11

	// log(1-erf(t))/t + 1 for 15/16 <= t <= 4, relative error of erf 2^-30
	erfcC0 = -0x1.077e26p-3
	erfcC1 = -0x1.452d34p-1
	erfcC2 = -0x1.b36bfep-4
	erfcC3 = 0x1.8643a8p-6
	erfcC4 = -0x1.e0febep-9
	erfcC5 = 0x1.597deep-12
	erfcC6 = -0x1.8f35f2p-17
)

// Exp32 is e**x, to 1 ulp. It is +Inf from 88.72284 on and 0 up to -103.97208;
// results below 2**-126 are subnormal.
func Exp32(x float32) float32 {
	if !(x < expHigh && x > expLow) {
		return exp32Edge(x)
	}
	k := float32(x*log2e32) + roundMagic32
	n := k - roundMagic32
	r := mad(n, -ln2Hi32, x)
	r = mad(n, -ln2Lo32, r)
	y := mad(expPoly(r), float32(r*r), r) + 1
	return scale32(y, k)
}

// expPoly is (exp(r)-1-r)/r² for |r| <= ln(2)/2.
func expPoly(r float32) float32 {
	p := mad(expC4, r, expC3)
	p = mad(p, r, expC2)
	p = mad(p, r, expC1)
	return mad(p, r, expC0)
}

// scale32 is y * 2**n for k = n + roundMagic32. The power comes in two factors,
// each of which is normal, so that the result is rounded once even where it is
// subnormal.
func scale32(y, k float32) float32 {
	e := math.Float32bits(k) - (roundMagic32Bits - 2*127)
	h := e >> 1
	return float32(y*math.Float32frombits(h<<23)) * math.Float32frombits((e-h)<<23)
}

// exp32Edge is exp where the result is NaN, infinite or 0.
func exp32Edge(x float32) float32 {
	switch {
	case x != x:
		return x
	case x > 0:
		return float32(math.Inf(1))
	}
	return 0
}

// Scale32 is x * 2**n for a whole number n of at most ±1000, rounded once.
func Scale32(x, n float32) float32 {
	return float32(math.Ldexp(float64(x), int(n)))
}

// Expm132 is e**x - 1, accurate near 0, to 2 ulp.
func Expm132(x float32) float32 {
	if !(x < 17.4) { // exp(x)-1 is exp(x); also NaN
		return Exp32(x)
	}
	if x < -17.4 {
		return -1
	}
	if x == 0 {
		return x // keeps -0
	}
	k := float32(x*log2e32) + roundMagic32
	n := k - roundMagic32
	r := mad(n, -ln2Hi32, x)
	r = mad(n, -ln2Lo32, r)
	p := mad(expPoly(r), float32(r*r), r)
	s := math.Float32frombits((math.Float32bits(k) - (roundMagic32Bits - 127)) << 23) // 2**n
	return mad(p, s, s-1)
}

// Log32 is the natural logarithm, to 1 ulp: -Inf at ±0, NaN below 0.
func Log32(x float32) float32 {
	bits, e := math.Float32bits(x), int32(-127)
	if bits-0x00800000 >= 0x7F800000-0x00800000 { // not positive, normal and finite
		switch {
		case x == 0:
			return float32(math.Inf(-1))
		case x != x || x < 0:
			return float32(math.NaN())
		case bits == 0x7F800000:
			return x
		}
		bits, e = math.Float32bits(x*(1<<23)), -127-23
	}
	// x = m * 2**e with m in [√½, √2)
	const sqrtHalf = 0x3F3504F3
	bits += 0x3F800000 - sqrtHalf
	e += int32(bits >> 23)
	f := math.Float32frombits(bits&0x007FFFFF+sqrtHalf) - 1

	p := mad(logC8, f, logC7)
	p = mad(p, f, logC6)
	p = mad(p, f, logC5)
	p = mad(p, f, logC4)
	p = mad(p, f, logC3)
	p = mad(p, f, logC2)
	p = mad(p, f, logC1)
	p = mad(p, f, logC0)
	z := float32(f * f)
	y := float32(float32(p*f) * z)
	n := float32(e)
	y = mad(n, ln2Lo32, y)
	y = mad(-0.5, z, y)
	return mad(n, ln2Hi32, f+y)
}

// Log1p32 is log(1+x), accurate near 0, to 2 ulp: -Inf at -1, NaN below -1.
func Log1p32(x float32) float32 {
	if x > -0x1p-24 && x < 0x1p-24 {
		return x // keeps -0
	}
	u := 1 + x
	if u == 0 || !(u <= math.MaxFloat32) {
		return Log32(u)
	}
	return Log32(u) + (x-(u-1))/u // the second term repairs the rounding of 1+x
}

// Tanh32 is the hyperbolic tangent, to 3 ulp, always in [-1, 1].
func Tanh32(x float32) float32 {
	a := Abs32(x)
	if a > 9.1 {
		return Copysign32(1, x)
	}
	t := Expm132(a + a)
	return Copysign32(t/(t+2), x)
}

// Sigmoid32 is 1/(1 + e**-x), to 3 ulp, always in [0, 1]. Neither side
// overflows or loses precision.
func Sigmoid32(x float32) float32 {
	z := Exp32(-Abs32(x))
	if x < 0 {
		return z / (1 + z)
	}
	return 1 / (1 + z)
}

// Erf32 is the error function, to 2 ulp, always in [-1, 1].
func Erf32(x float32) float32 {
	t := Abs32(x)
	if t > 0.9375 {
		if t > 4 {
			return Copysign32(1, x)
		}
		p := mad(erfcC6, t, erfcC5)
		p = mad(p, t, erfcC4)
		p = mad(p, t, erfcC3)
		p = mad(p, t, erfcC2)
		p = mad(p, t, erfcC1)
		p = mad(p, t, erfcC0)
		return Copysign32(1-Exp32(mad(p, t, -t)), x)
	}
	s := float32(x * x)
	p := mad(erfC5, s, erfC4)
	p = mad(p, s, erfC3)
	p = mad(p, s, erfC2)
	p = mad(p, s, erfC1)
	p = mad(p, s, erfC0)
	return mad(p, x, x)
}

// Sqrt32 is the square root, correctly rounded; NaN below 0.
func Sqrt32(x float32) float32 { return float32(math.Sqrt(float64(x))) }

// Rsqrt32 is 1/√x, to 2 ulp: ±Inf at ±0, NaN below 0.
func Rsqrt32(x float32) float32 { return 1 / float32(math.Sqrt(float64(x))) }

// Abs32 is |x|.
func Abs32(x float32) float32 {
	return math.Float32frombits(math.Float32bits(x) &^ (1 << 31))
}

// Copysign32 is |x| with the sign of s.
func Copysign32(x, s float32) float32 {
	return math.Float32frombits(math.Float32bits(x)&^(1<<31) | math.Float32bits(s)&(1<<31))
}

// Floor32 is the greatest integer value <= x.
func Floor32(x float32) float32 { return float32(math.Floor(float64(x))) }

// Ceil32 is the least integer value >= x.
func Ceil32(x float32) float32 { return float32(math.Ceil(float64(x))) }

// Round32 is the nearest integer value, the even one if two are equally near.
func Round32(x float32) float32 { return float32(math.RoundToEven(float64(x))) }

// Sign32 is 1 for x > 0, -1 for x < 0, and x itself for ±0 and NaN.
func Sign32(x float32) float32 {
	if x > 0 {
		return 1
	}
	if x < 0 {
		return -1
	}
	return x
}

// Max32 is a where a > b, otherwise b. It is not commutative: where an operand
// is NaN, and for zeros of different signs, the result is b. The operands must
// never be swapped.
func Max32(a, b float32) float32 {
	if a > b {
		return a
	}
	return b
}

// Min32 is a where a < b, otherwise b; see [Max32].
func Min32(a, b float32) float32 {
	if a < b {
		return a
	}
	return b
}

// Mod32 is the remainder of floor division, a - b*floor(a/b), rounded once: it
// has the sign of b. Mod32(a, 0) and Mod32(±Inf, b) are NaN.
func Mod32(a, b float32) float32 { return float32(Mod64(float64(a), float64(b))) }
