package passes

import (
	"math"

	"github.com/lmc-lang/lmc/ir/loop"
)

const (
	sqrtHalfBits = 0x3F3504F3 // √½
	exponentBits = 0xFF800000 // sign and exponent
	oneBits      = 0x3F800000
	leastNormal  = 0x1p-126
)

// exponent is e<<23 such that x*2**-e is in [√½, √2), for a normal x > 0 that
// has these bits. So bits - exponent are those of x*2**-e.
func (v vectorMath) exponent(bits *loop.Val) *loop.Val {
	return v.and(v.sub(bits, v.i(sqrtHalfBits)), v.i(exponentBits))
}

// logOf is log(1+f) + ln(2)*e for 1+f in [√½, √2] and exponent = e<<23, with
// more added before the greater term.
func (v vectorMath) logOf(f, exponent, more *loop.Val) *loop.Val {
	q := v.horner(f, -0x1.fffffcp-2, 0x1.5556f4p-2, -0x1.000472p-2, 0x1.98d2cap-3,
		-0x1.535efp-3, 0x1.31854ap-3, -0x1.250234p-3, 0x1.65c052p-4)
	y := v.fma(q, v.mul(f, f), f)
	if more != nil {
		y = v.add(y, more)
	}
	return v.fma(v.ConvertTo(loop.F32, exponent), v.f(ln2Hi*0x1p-23), y)
}

// log is the natural logarithm: 1.2 ulp.
func (v vectorMath) log(x *loop.Val) *loop.Val {
	small := v.lt(x, v.f(leastNormal))
	bits := v.bits(v.sel(small, v.mul(x, v.f(1<<23)), x))
	e := v.exponent(bits)
	f := v.sub(v.float(v.sub(bits, e)), v.f(1))
	y := v.logOf(f, e, v.sel(small, v.f(-23*math.Ln2), v.f(0)))
	return v.logEdges(y, x, 0)
}

// logEdges is y for pole < x < inf, and what a logarithm is for other x: -Inf at
// the pole, NaN under it and for NaN.
func (v vectorMath) logEdges(y, x *loop.Val, pole float64) *loop.Val {
	y = v.sel(v.lt(x, v.f(inf)), y, x)
	at := v.sel(v.eq(x, v.f(pole)), v.f(-inf), v.f(math.NaN()))
	return v.sel(v.lt(v.f(pole), x), y, at)
}

// log1p is log(1+x). The exponent e is that of 1+x as rounded; x*2**-e and
// 2**-e - 1 are exact, and their sum is as accurate as x is.
func (v vectorMath) log1p(x *loop.Val) *loop.Val {
	e := v.exponent(v.bits(v.add(x, v.f(1))))
	part := v.float(v.sub(v.bits(x), e))
	power := v.float(v.sub(v.i(oneBits+2<<23), e)) // 4 * 2**-e: normal for all e
	f := v.add(part, v.fma(power, v.f(0.25), v.f(-1)))
	y := v.float(v.or(v.bits(v.logOf(f, e, nil)), v.sign(x))) // for -0
	return v.logEdges(y, x, -1)
}

// log2Split is log2(x) for x >= 0 in two parts, with a relative error of 2^-30:
// hi is infinite at 0 and infinity, and NaN for NaN.
func (v vectorMath) log2Split(x *loop.Val) (hi, lo *loop.Val) {
	small := v.lt(x, v.f(leastNormal))
	bits := v.bits(v.sel(small, v.mul(x, v.f(1<<23)), x))
	exp := v.exponent(bits)
	m := v.float(v.sub(bits, exp))
	e := v.fma(v.ConvertTo(loop.F32, exp), v.f(0x1p-23), v.sel(small, v.f(-23), v.f(0)))

	// q + ql = (m-1)/(m+1)
	one := v.f(1)
	f, d := v.sub(m, one), v.add(m, one)
	dl := v.sub(m, v.sub(d, one)) // d + dl = m + 1
	r := v.div(one, d)
	q := v.mul(f, r)
	minus := v.Do(loop.Neg, q)
	ql := v.mul(v.fma(minus, dl, v.fma(minus, d, f)), r)

	// log2(m) = (q + ql)*(cHi + cLo + t)
	const cHi, cLo = 0x1.715476p+1, 0x1.4ae0bf85ddf44p-25
	s := v.mul(q, q)
	t := v.mul(s, v.horner(s, 0.961796679183, 0.577082856529, 0.411705941721, 0.340227926743))
	y := v.mul(q, v.f(cHi))
	yl := v.fma(q, v.f(cHi), v.Do(loop.Neg, y))
	yl = v.fma(ql, v.fma(t, v.f(3), v.f(cHi)), v.fma(q, v.f(cLo), yl)) // slope of the whole in q
	y, yl = v.twoSum(y, v.fma(q, t, yl))

	hi, lo = v.twoSum(e, y)
	lo = v.add(lo, yl)
	hi = v.sel(v.lt(x, v.f(inf)), hi, x)
	return v.sel(v.eq(x, v.f(0)), v.f(-inf), hi), lo
}

// twoSum is x + y rounded, and the error of that, for |x| >= |y| or x = 0.
func (v vectorMath) twoSum(x, y *loop.Val) (hi, lo *loop.Val) {
	hi = v.add(x, y)
	return hi, v.add(v.sub(x, hi), y)
}

// pow is x**y, special cases as in package math: 2 to the power y*log2(|x|),
// which is computed in two parts, with the sign of x if y is odd.
func (v vectorMath) pow(x, y *loop.Val) *loop.Val {
	a := v.abs(x)
	hi, lo := v.log2Split(a)
	p := v.mul(y, hi)
	pl := v.fma(y, lo, v.fma(y, hi, v.Do(loop.Neg, p)))
	// Beyond the clamps the result is 0 or infinite whatever pl is, NaN too.
	p = v.clamp(p, -160, 160)
	pl = v.Do(loop.Max, v.Do(loop.Min, pl, v.f(0x1p-10)), v.f(-0x1p-10))
	n := v.round(p)
	r := v.add(v.sub(p, n), pl)
	z := v.Do(loop.Scale, v.horner(r, 1, 0.693147202884, 0.240226479156, 0.0555033243031,
		0.00961843701115, 0.0013398886768, 0.000153534745565), n)

	one, zero := v.f(1), v.f(0)
	z = v.sel(v.eq(a, one), one, z)
	whole := v.eq(v.round(y), y)
	half := v.mul(y, v.f(0.5))
	odd := v.Do(loop.And, whole, v.Do(loop.Not, v.eq(v.round(half), half)))
	z = v.float(v.or(v.bits(z), v.sel(odd, v.sign(x), v.i(0))))
	real := v.Do(loop.And, v.lt(x, zero), v.lt(v.f(-inf), x))
	z = v.sel(v.Do(loop.And, real, v.Do(loop.Not, whole)), v.f(math.NaN()), z)
	z = v.sel(v.eq(x, one), one, z)
	return v.sel(v.eq(y, zero), one, z)
}
