package passes

import (
	"math"

	"github.com/lmc-lang/lmc/ir/loop"
)

// twoOverPi has 32 zero bits and the first 224 bits of 2/π after the point.
var twoOverPi = [...]uint32{0, 0xA2F9836E, 0x4E441529, 0xFC2757D1, 0xF534DDC0, 0xDB629599, 0x3C439041, 0xFE5163AB}

// quadrant is a = r + n*π/2 with |r| <= π/4 and n modulo 4, for every finite
// a >= 0: it multiplies a by those bits of 2/π that decide n modulo 4 and 64
// bits after the point (Payne and Hanek). r is accurate even next to
// multiples of π/2. Under π/4, r is a.
func (v vectorMath) quadrant(a *loop.Val) (n, r *loop.Val) {
	bits := v.bits(a)
	m := v.or(v.and(bits, v.i(0x007FFFFF)), v.i(0x00800000))
	at := v.sub(v.shr(bits, 23), v.i(120)) // the first bit that matters, from 6 on

	// The words around that bit: shifts by 4, 2 and 1 words.
	pick := func(bit uint32, x []*loop.Val, by, n int) []*loop.Val {
		out := append([]*loop.Val(nil), x...)
		stay := v.eq(v.and(at, v.i(bit)), v.i(0))
		for k := range n {
			out[k] = v.sel(stay, x[k], x[k+by])
		}
		return out
	}
	words := make([]*loop.Val, len(twoOverPi))
	for k, w := range twoOverPi {
		words[k] = v.i(w)
	}
	words = pick(128, words, 4, 4)
	words = pick(64, words, 2, 5)
	words = pick(32, words, 1, 4)

	// The window in steps of bits: 2/π times the scale of m, modulo 4, the point
	// after the second bit.
	left := v.and(at, v.i(31))
	right := v.sub(v.i(32), left)
	var window [3]*loop.Val
	for k := range window {
		window[k] = v.or(v.Do(loop.ShiftLeft, words[k], left), v.Do(loop.ShiftRight, words[k+1], right))
	}

	// The product: high in units of 2^-30, low and lower in units of 2^-62. What
	// is below high counts with a sign, so that nothing cancels.
	low := v.mul(m, window[1])
	lower := v.Do(loop.MulHigh, m, window[2])
	high := v.add(v.mul(m, window[0]), v.Do(loop.MulHigh, m, window[1]))
	high = v.add(high, v.shr(low, 31))
	n = v.shr(v.add(high, v.i(1<<29)), 30)
	high = v.sub(high, v.shl(n, 30))

	// Times π/2, in two parts: 24 bits of the product and what is below, so that
	// only the last fma rounds what counts.
	const unit = 0x1p-30
	const piHi, piLo = 0x1.921fb6p+0 * unit, -0x1.777a5cp-25 * unit
	number := func(x *loop.Val) *loop.Val { return v.ConvertTo(loop.F32, x) }
	upper := v.and(v.add(high, v.i(64)), v.i(^uint32(127)))
	rest := v.fma(v.add(number(low), number(lower)), v.f(0x1p-32), number(v.sub(high, upper)))
	t := number(upper)
	r = v.fma(t, v.f(piHi), v.fma(t, v.f(piLo), v.mul(rest, v.f(piHi))))

	small := v.lt(a, v.f(math.Pi/4))
	return v.sel(small, v.i(0), n), v.sel(small, a, r)
}

// sinCos is sin(r) and cos(r) for |r| <= π/4.
func (v vectorMath) sinCos(r *loop.Val) (sin, cos *loop.Val) {
	z := v.mul(r, r)
	sin = v.fma(v.horner(z, -0.166666545108, 0.0083321544932, -0.000195144244379), v.mul(z, r), r)
	return sin, v.horner(z, 1, -0.499998838384, 0.0416557203933, -0.00135910877001)
}

// turned is, for n quadrants, x or y as n is even or odd.
func (v vectorMath) turned(n, x, y *loop.Val) *loop.Val {
	return v.sel(v.eq(v.and(n, v.i(1)), v.i(0)), x, y)
}

// flip is y with the sign changed if that of x, or bit 31 of n, is set, and NaN
// if x is infinite or NaN.
func (v vectorMath) flip(y, x, n *loop.Val) *loop.Val {
	s := v.and(v.xor(v.bits(x), n), v.i(signBit))
	return v.fma(x, v.f(0), v.float(v.xor(v.bits(y), s)))
}

func (v vectorMath) sin(x *loop.Val) *loop.Val {
	n, r := v.quadrant(v.abs(x))
	sin, cos := v.sinCos(r)
	return v.flip(v.turned(n, sin, cos), x, v.shl(n, 30))
}

func (v vectorMath) cos(x *loop.Val) *loop.Val {
	a := v.abs(x)
	n, r := v.quadrant(a)
	sin, cos := v.sinCos(r)
	return v.flip(v.turned(n, cos, sin), a, v.shl(v.add(n, v.i(1)), 30))
}

func (v vectorMath) tan(x *loop.Val) *loop.Val {
	n, r := v.quadrant(v.abs(x))
	sin, cos := v.sinCos(r)
	return v.flip(v.div(v.turned(n, sin, cos), v.turned(n, cos, sin)), x, v.shl(n, 31))
}

// atan is that of |x| or, where this is more than 1, π/2 less that of 1/|x|.
func (v vectorMath) atan(x *loop.Val) *loop.Val {
	a := v.abs(x)
	big := v.lt(v.f(1), a)
	t := v.sel(big, v.div(v.f(1), a), a)
	z := v.mul(t, t)
	p := v.horner(z, -0.333331531928, 0.199937801688, -0.142111012907, 0.106661564318,
		-0.075525038948, 0.0432150716564, -0.0163698452005, 0.0029211678714)
	y := v.fma(p, v.mul(z, t), t)
	return v.signed(v.sel(big, v.sub(v.f(math.Pi/2), y), y), x)
}

// arc is asin(a) for a <= ½, asin(√((1-a)/2)) above, where big is set.
func (v vectorMath) arc(a *loop.Val) (y, big *loop.Val) {
	big = v.lt(v.f(0.5), a)
	half := v.fma(a, v.f(-0.5), v.f(0.5))
	z := v.sel(big, half, v.mul(a, a))
	t := v.sel(big, v.Do(loop.Sqrt, half), a)
	p := v.horner(z, 0.166667524788, 0.0749529772434, 0.0454703706628, 0.0241795323441, 0.0421662765881)
	return v.fma(p, v.mul(z, t), t), big
}

func (v vectorMath) asin(x *loop.Val) *loop.Val {
	y, big := v.arc(v.abs(x))
	return v.signed(v.sel(big, v.fma(y, v.f(-2), v.f(math.Pi/2)), y), x)
}

func (v vectorMath) acos(x *loop.Val) *loop.Val {
	y, big := v.arc(v.abs(x))
	end := v.sel(v.lt(x, v.f(0)), v.f(math.Pi), v.f(0))
	return v.fma(v.signed(y, x), v.sel(big, v.f(2), v.f(-1)), v.sel(big, end, v.f(math.Pi/2)))
}
