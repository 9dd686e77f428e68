package passes

import (
	"math"

	"github.com/lmc-lang/lmc/ir/loop"
)

// expandUniform is loop.Uniform of the counters base + lane: the same numbers.
// Seed, stream and base are Int scalars, lane is an I32 vector of numbers >= 0,
// such as Iota, or Iota times a constant.
func expandUniform(b *loop.Builder, seed, stream, base, lane *loop.Val) *loop.Val {
	v := vectorMath{b}
	w, low := v.random(seed, stream, base, lane)
	// Element c is word c%4 of its block.
	odd, upper := v.bit(low, 1), v.bit(low, 2)
	return v.unit(v.sel(upper, v.sel(odd, w[3], w[2]), v.sel(odd, w[1], w[0])))
}

// expandNormal is loop.Normal of the counters base + lane, but for rounding; see
// expandUniform.
func expandNormal(b *loop.Builder, seed, stream, base, lane *loop.Val) *loop.Val {
	v := vectorMath{b}
	w, low := v.random(seed, stream, base, lane)
	upper := v.bit(low, 2)
	w0, w1 := v.sel(upper, w[2], w[0]), v.sel(upper, w[3], w[1])
	// Box and Muller: the even element has the cosine, the odd one the sine. The
	// radius takes its uniform from (0, 1].
	u := v.mul(v.ConvertTo(loop.F32, v.add(v.shr(w0, 8), v.i(1))), v.f(0x1p-24))
	r := v.Do(loop.Sqrt, v.mul(v.logNormal(u), v.f(-2)))
	n := v.shr(v.add(w1, v.i(1<<29)), 30)
	x := v.mul(v.ConvertTo(loop.F32, v.sub(w1, v.shl(n, 30))), v.f(math.Pi/2*0x1p-30))
	sin, cos := v.sinCos(x)
	// cos(x + n*π/2), and sin as the cosine of three quadrants more.
	n = v.add(n, v.sel(v.bit(low, 1), v.i(3), v.i(0)))
	y := v.bits(v.turned(n, cos, sin))
	s := v.and(v.shl(v.add(n, v.i(1)), 30), v.i(signBit))
	return v.mul(r, v.float(v.xor(y, s)))
}

// logNormal is the logarithm of x > 0 that is normal and finite.
func (v vectorMath) logNormal(x *loop.Val) *loop.Val {
	bits := v.bits(x)
	e := v.exponent(bits)
	return v.logOf(v.sub(v.float(v.sub(bits, e)), v.f(1)), e, nil)
}

// bit reports whether x has one of the bits of mask.
func (v vectorMath) bit(x *loop.Val, mask uint32) *loop.Val {
	return v.Do(loop.Not, v.eq(v.and(x, v.i(mask)), v.i(0)))
}

// unit maps words to [0, 1).
func (v vectorMath) unit(w *loop.Val) *loop.Val {
	return v.mul(v.ConvertTo(loop.F32, v.shr(w, 8)), v.f(0x1p-24))
}

// halves are the low and the high 32 bits of an Int.
func (v vectorMath) halves(x *loop.Val) (lo, hi *loop.Val) {
	// The quotient rounds down, and the conversion wraps around.
	high := v.Do(loop.Div, x, v.Const(loop.Int, 1<<32))
	return v.ConvertTo(loop.I32, x), v.ConvertTo(loop.I32, high)
}

// splats are the halves of an Int in all lanes.
func (v vectorMath) splats(x *loop.Val) (lo, hi *loop.Val) {
	lo, hi = v.halves(x)
	return v.Do(loop.Splat, lo), v.Do(loop.Splat, hi)
}

// random is the block that has counter base + lane, and the low words of the
// counters.
func (v vectorMath) random(seed, stream, base, lane *loop.Val) (w [4]*loop.Val, low *loop.Val) {
	lo, hi := v.splats(base)
	low = v.add(lo, lane)
	// It carries where the sum, as an unsigned number, is less than a summand.
	top := v.i(signBit)
	hi = v.add(hi, v.sel(v.lt(v.xor(low, top), v.xor(lo, top)), v.i(1), v.i(0)))
	c0 := v.or(v.shr(low, 2), v.shl(hi, 30))
	s0, s1 := v.splats(stream)
	k0, k1 := v.halves(seed)
	return v.philox([4]*loop.Val{c0, v.shr(hi, 2), s0, s1}, k0, k1), low
}

// philox is runtime.Philox of 16 counters under one key, two I32 scalars.
func (v vectorMath) philox(c [4]*loop.Val, k0, k1 *loop.Val) [4]*loop.Val {
	word := func(x uint32) *loop.Val { return v.Const(loop.I32, float64(int32(x))) }
	for round := range 10 {
		if round > 0 {
			k0, k1 = v.add(k0, word(0x9E3779B9)), v.add(k1, word(0xBB67AE85))
		}
		m0, m1 := v.i(0xD2511F53), v.i(0xCD9E8D57)
		c = [4]*loop.Val{
			v.xor(v.Do(loop.MulHigh, c[2], m1), v.xor(c[1], v.Do(loop.Splat, k0))), v.mul(c[2], m1),
			v.xor(v.Do(loop.MulHigh, c[0], m0), v.xor(c[3], v.Do(loop.Splat, k1))), v.mul(c[0], m0),
		}
	}
	return c
}
