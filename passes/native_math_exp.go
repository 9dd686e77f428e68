package passes

import "github.com/lmc-lang/lmc/ir/loop"

const (
	log2e = 0x1.715476p+0   // 1/ln 2
	ln2Hi = 0x1.62e430p-1   // ln 2 in two parts: x - n*ln2Hi is exact in one fma
	ln2Lo = -0x1.05c610p-29 // if n is x/ln 2 rounded
)

// reduce is x = n*ln 2 + r with whole n and |r| <= ln(2)/2. With by = -1 it is
// -x = n*ln 2 - r: the sign of r is that of x.
func (v vectorMath) reduce(x *loop.Val, by float64) (n, r *loop.Val) {
	n = v.round(v.mul(x, v.f(by*log2e)))
	r = v.fma(n, v.f(-by*ln2Hi), x)
	return n, v.fma(n, v.f(-by*ln2Lo), r)
}

// exp is e**x: 0.9 ulp. Scale makes results of 2**128 and more infinite and
// those under 2**-126 subnormal or 0, beyond the clamps too.
func (v vectorMath) exp(x *loop.Val) *loop.Val {
	n, r := v.reduce(v.clamp(x, -104, 89), 1)
	y := v.horner(r, 1, 1, 0x1.fffff2p-2, 0x1.555464p-3, 0x1.555bd2p-5, 0x1.1255f2p-7, 0x1.6a2c12p-10)
	return v.Do(loop.Scale, y, n)
}

// expm1 is e**x - 1. With h = (e**r - 1)/r it is r*h*2**n + (2**n - 1), computed
// at half the size, which overflows only where the result does; for n = 0 it is
// x*h, which keeps -0 and all bits of subnormals.
func (v vectorMath) expm1(x *loop.Val) *loop.Val {
	n, r := v.reduce(v.clamp(x, -30, 89), 1)
	h := v.horner(r, 1, 0x1.fffffep-2, 0x1.555484p-3, 0x1.555658p-5, 0x1.123cbap-7, 0x1.6c11a6p-10)
	half := v.Do(loop.Scale, v.f(0.5), n)
	y := v.fma(v.mul(r, h), half, v.sub(half, v.f(0.5)))
	return v.sel(v.eq(n, v.f(0)), v.mul(x, h), v.add(y, y))
}

// sigmoid is 1/(1 + e**-x). All terms are 2**32 times smaller than that, so
// that the quotient is right where e**-x would overflow and the result is
// subnormal.
func (v vectorMath) sigmoid(x *loop.Val) *loop.Val {
	const by = 0x1p-32
	n, r := v.reduce(v.clamp(x, -104, 104), -1)
	z := v.horner(r, by, -by*0x1.fffffp-1, by*0x1.fffdc8p-2, -by*0x1.555d08p-3, by*0x1.57419p-5, -by*0x1.0edda2p-7)
	return v.div(v.f(by), v.add(v.Do(loop.Scale, z, n), v.f(by)))
}

// tanh is e/(e + 2) with e = e**2a - 1 for a = |x|, then with the sign of x: near
// 1 the errors of e hardly count, so that 1 - tanh², its slope, is right, too.
func (v vectorMath) tanh(x *loop.Val) *loop.Val {
	a := v.clamp(v.abs(x), 0, 10)
	e := v.expm1(v.add(a, a))
	return v.signed(v.div(e, v.add(e, v.f(2))), x)
}

// erf is s(t) with s(t) = (15t - 10t³ + 3t⁵)/8, which is flat at t = ±1, and a
// polynomial t of x: errors of t hardly count where erf is near ±1, and t has
// no singularity, unlike what an exponential would be multiplied by. At the
// clamp the result is ±1.
func (v vectorMath) erf(x *loop.Val) *loop.Val {
	x = v.clamp(x, -0x1.f70a3ep+1, 0x1.f70a3ep+1)
	u := v.mul(x, x)
	t := v.mul(x, v.horner(u, 0x1.341f6cp-1, -0x1.c502cep-5, 0x1.1c4d38p-8, -0x1.087b3ap-12,
		0x1.7078a4p-17, -0x1.80c69cp-22, 0x1.1b4b7p-27, -0x1.bdb7a4p-34))
	return v.mul(t, v.horner(v.mul(t, t), 1.875, -1.25, 0.375))
}
