package passes

import (
	"math"

	"github.com/lmc-lang/lmc/ir/loop"
)

// expandUniform is loop.Uniform of the counters base + lane: the same numbers.
// Seed, stream and base are Int scalars, lane is an I32 vector of numbers >= 0,
// such as Iota, or Iota times a constant. Each lane draws a block of its own and
// takes one of its four words.
func expandUniform(b *loop.Builder, seed, stream, base, lane *loop.Val) *loop.Val {
	v := vectorMath{b}
	c0, c1, low := v.counters(base, lane)
	w := v.philox(c0, c1, seed, stream)
	odd, upper := v.bit(low, 1), v.bit(low, 2)
	return v.unit(v.sel(upper, v.sel(odd, w[3], w[2]), v.sel(odd, w[1], w[0])))
}

// expandNormal is loop.Normal of the counters base + lane, but for rounding; see
// expandUniform.
func expandNormal(b *loop.Builder, seed, stream, base, lane *loop.Val) *loop.Val {
	v := vectorMath{b}
	c0, c1, low := v.counters(base, lane)
	w := v.philox(c0, c1, seed, stream)
	upper := v.bit(low, 2)
	r, cos, sin := v.boxMuller(v.sel(upper, w[2], w[0]), v.sel(upper, w[3], w[1]))
	return v.mul(r, v.sel(v.bit(low, 1), sin, cos))
}

// expandUniform4 is expandUniform of four vectors on end, for a base that is a
// multiple of 4: the counters are base, base+1, … Every word of a block is used,
// so that it takes little more than one vector.
func expandUniform4(b *loop.Builder, seed, stream, base *loop.Val) [4]*loop.Val {
	v := vectorMath{b}
	w := v.transposed(v.blocks(seed, stream, base))
	for k := range w {
		w[k] = v.unit(w[k])
	}
	return w
}

// expandNormal4 is to expandNormal what expandUniform4 is to expandUniform.
func expandNormal4(b *loop.Builder, seed, stream, base *loop.Val) [4]*loop.Val {
	v := vectorMath{b}
	w := v.blocks(seed, stream, base)
	for k := 0; k < 4; k += 2 {
		r, cos, sin := v.boxMuller(w[k], w[k+1])
		w[k], w[k+1] = v.mul(r, cos), v.mul(r, sin)
	}
	return v.transposed(w)
}

// blocks are the words of 16 blocks on end, the first with counter base, in the
// order that transposed undoes: lane 4q+j has block 4j+q.
func (v vectorMath) blocks(seed, stream, base *loop.Val) [4]*loop.Val {
	n := v.Do(loop.Iota)
	lane := v.or(v.shl(v.and(n, v.i(3)), 4), v.and(n, v.i(12)))
	c0, c1, _ := v.counters(base, lane)
	return v.philox(c0, c1, seed, stream)
}

// transposed are the elements of blocks, in order.
func (v vectorMath) transposed(w [4]*loop.Val) [4]*loop.Val {
	x, y := v.Do(loop.UnpackLow, w[0], w[1]), v.Do(loop.UnpackLow, w[2], w[3])
	z, u := v.Do(loop.UnpackHigh, w[0], w[1]), v.Do(loop.UnpackHigh, w[2], w[3])
	return [4]*loop.Val{v.Do(loop.PairLow, x, y), v.Do(loop.PairHigh, x, y), v.Do(loop.PairLow, z, u), v.Do(loop.PairHigh, z, u)}
}

// boxMuller is the radius, and the cosine and sine, of two independent standard
// normals. The radius takes its uniform from (0, 1].
func (v vectorMath) boxMuller(w0, w1 *loop.Val) (r, cos, sin *loop.Val) {
	u := v.mul(v.ConvertTo(loop.F32, v.add(v.shr(w0, 8), v.i(1))), v.f(0x1p-24))
	r = v.Do(loop.Sqrt, v.mul(v.logNormal(u), v.f(-2)))
	n := v.shr(v.add(w1, v.i(1<<29)), 30)
	x := v.mul(v.ConvertTo(loop.F32, v.sub(w1, v.shl(n, 30))), v.f(math.Pi/2*0x1p-30))
	sin, cos = v.sinCos(x)
	negated := func(y, n *loop.Val) *loop.Val {
		return v.float(v.xor(v.bits(y), v.and(v.shl(n, 30), v.i(signBit))))
	}
	return r, negated(v.turned(n, cos, sin), v.add(n, v.i(1))), negated(v.turned(n, sin, cos), n)
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

// counters are the low and the high word of the number of the block that has
// counter base + lane, and the low word of the counter.
func (v vectorMath) counters(base, lane *loop.Val) (c0, c1, low *loop.Val) {
	lo, hi := v.splats(base)
	low = v.add(lo, lane)
	// It carries where the sum, as an unsigned number, is less than a summand.
	top := v.i(signBit)
	hi = v.add(hi, v.sel(v.lt(v.xor(low, top), v.xor(lo, top)), v.i(1), v.i(0)))
	return v.or(v.shr(low, 2), v.shl(hi, 30)), v.shr(hi, 2), low
}

// philox is runtime.Philox of blocks of stream under the key seed.
func (v vectorMath) philox(c0, c1, seed, stream *loop.Val) [4]*loop.Val {
	word := func(x uint32) *loop.Val { return v.Const(loop.I32, float64(int32(x))) }
	c2, c3 := v.splats(stream)
	k0, k1 := v.halves(seed)
	for round := range 10 {
		if round > 0 { // scalars: the keys of all rounds can leave the loop
			k0, k1 = v.add(k0, word(0x9E3779B9)), v.add(k1, word(0xBB67AE85))
		}
		m0, m1 := v.i(0xD2511F53), v.i(0xCD9E8D57)
		c0, c1, c2, c3 = v.xor(v.Do(loop.MulHigh, c2, m1), v.xor(c1, v.Do(loop.Splat, k0))), v.mul(c2, m1),
			v.xor(v.Do(loop.MulHigh, c0, m0), v.xor(c3, v.Do(loop.Splat, k1))), v.mul(c0, m0)
	}
	return [4]*loop.Val{c0, c1, c2, c3}
}
