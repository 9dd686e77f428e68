package runtime

import "math/bits"

// Random numbers are a pure function of (seed, stream, counter): Philox4x32-10
// (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3,
// 2011). Any split over workers or micro-batches and any recomputation in a
// backward pass gives the same numbers. The seed is the user's; the stream says
// which draw this is: [Stream] of the field path and ordinal of the draw, with
// the step and the loop indices folded in by [Mix]; the counter is the element.
//
// Four neighbouring elements share one block: element c is word c%4 of the
// block with the counter (c/4, stream) under the key seed.

// Key names a sequence of random numbers.
type Key struct{ Seed, Stream uint64 }

// At is the key with one more index folded in; see [Mix].
func (k Key) At(i uint64) Key { return Key{k.Seed, Mix(k.Stream, i)} }

// Philox is one block of Philox4x32-10: 128 random bits for the 128-bit counter
// c0…c3 under the 64-bit key k0, k1 (least significant words first).
func Philox(c0, c1, c2, c3, k0, k1 uint32) (uint32, uint32, uint32, uint32) {
	for range 10 {
		p0 := uint64(c0) * 0xD2511F53
		p1 := uint64(c2) * 0xCD9E8D57
		c0, c1, c2, c3 = uint32(p1>>32)^c1^k0, uint32(p1), uint32(p0>>32)^c3^k1, uint32(p0)
		k0 += 0x9E3779B9
		k1 += 0xBB67AE85
	}
	return c0, c1, c2, c3
}

// block is the block of four elements that begins at element 4*b.
func block(seed, stream, b uint64) (uint32, uint32, uint32, uint32) {
	return Philox(uint32(b), uint32(b>>32), uint32(stream), uint32(stream>>32), uint32(seed), uint32(seed>>32))
}

// Mix folds one more index (a step, a layer, a time step) into a stream. The
// order of indices matters; streams that differ in one index are unrelated.
func Mix(stream, i uint64) uint64 {
	// One round of SplitMix64 with the index as the second word of the state.
	z := stream ^ bits.RotateLeft64((i+1)*0x9E3779B97F4A7C15, 32)
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

// Stream is the stream of a name, such as the path of a parameter or of a draw.
func Stream(name string) uint64 {
	h := uint64(0xCBF29CE484222325) // FNV-1a
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 0x100000001B3
	}
	return Mix(h, uint64(len(name)))
}

// Uniform is uniform in [0, 1), a multiple of 2**-24.
func Uniform(seed, stream, ctr uint64) float32 {
	w0, w1, w2, w3 := block(seed, stream, ctr>>2)
	return unit(word(ctr, w0, w1, w2, w3))
}

func word(ctr uint64, w0, w1, w2, w3 uint32) uint32 {
	switch ctr & 3 {
	case 0:
		return w0
	case 1:
		return w1
	case 2:
		return w2
	}
	return w3
}

// unit maps a word to [0, 1).
func unit(w uint32) float32 { return float32(w>>8) * 0x1p-24 }

// Normal is standard normal, by Box and Muller from the words of an even
// element and the odd one after it; |Normal| < 5.8.
func Normal(seed, stream, ctr uint64) float32 {
	w0, w1, w2, w3 := block(seed, stream, ctr>>2)
	if ctr&2 != 0 {
		w0, w1 = w2, w3
	}
	a, b := boxMuller(w0, w1)
	if ctr&1 != 0 {
		return b
	}
	return a
}

// boxMuller makes two independent standard normals from two words. The radius
// takes its uniform from (0, 1], so there is no logarithm of 0.
func boxMuller(w0, w1 uint32) (float32, float32) {
	r := Sqrt32(-2 * Log32(float32(w0>>8+1)*0x1p-24))
	s, c := sincosTurn(w1)
	return float32(r * c), float32(r * s)
}

// sincosTurn is the sine and cosine of w/2³² turns.
func sincosTurn(w uint32) (sin, cos float32) {
	n := (w + 1<<29) >> 30
	x := float64(float64(int32(w-n<<30)) * (0x1.921fb54442d18p+0 * 0x1p-30)) // within ±π/4
	s, c := sinReduced(x), cosReduced(x)
	switch n {
	case 1:
		s, c = c, -s
	case 2:
		s, c = -s, -c
	case 3:
		s, c = -c, s
	}
	return float32(s), float32(c)
}

// Uniform64 is [Uniform] for builds with -float f64: the same number.
func Uniform64(seed, stream, ctr uint64) float64 { return float64(Uniform(seed, stream, ctr)) }

// Normal64 is [Normal] for builds with -float f64: the same number.
func Normal64(seed, stream, ctr uint64) float64 { return float64(Normal(seed, stream, ctr)) }

// FillUniform sets dst[i] to Uniform(seed, stream, ctr+i), four per block.
func FillUniform[F Float](dst []F, seed, stream, ctr uint64) {
	fill(dst, seed, stream, ctr, Uniform, func(w *[4]uint32) (a, b, c, d float32) {
		return unit(w[0]), unit(w[1]), unit(w[2]), unit(w[3])
	})
}

// FillNormal sets dst[i] to Normal(seed, stream, ctr+i), four per block.
func FillNormal[F Float](dst []F, seed, stream, ctr uint64) {
	fill(dst, seed, stream, ctr, Normal, func(w *[4]uint32) (a, b, c, d float32) {
		a, b = boxMuller(w[0], w[1])
		c, d = boxMuller(w[2], w[3])
		return
	})
}

// fill draws whole blocks with four and the elements before and after them
// with one.
func fill[F Float](dst []F, seed, stream, ctr uint64, one func(seed, stream, ctr uint64) float32, four func(*[4]uint32) (a, b, c, d float32)) {
	for len(dst) > 0 && ctr&3 != 0 {
		dst[0] = F(one(seed, stream, ctr))
		dst, ctr = dst[1:], ctr+1
	}
	var w [4]uint32
	for ; len(dst) >= 4; dst, ctr = dst[4:], ctr+4 {
		w[0], w[1], w[2], w[3] = block(seed, stream, ctr>>2)
		a, b, c, d := four(&w)
		dst[0], dst[1], dst[2], dst[3] = F(a), F(b), F(c), F(d)
	}
	for i := range dst {
		dst[i] = F(one(seed, stream, ctr+uint64(i)))
	}
}

// Rand is a sequence of random numbers for use on the host: shuffling data,
// sampling tokens. It is not for concurrent use. Its whole state is Key and
// Pos, so it can be saved and continued; the zero value is ready to use.
type Rand struct {
	Key Key
	Pos uint64 // 32-bit words drawn so far
}

// NewRand starts the sequence of a seed and a name ("shuffle", "sample").
func NewRand(seed uint64, name string) *Rand {
	return &Rand{Key: Key{Seed: seed, Stream: Stream(name)}}
}

// Uint32 is a random word.
func (r *Rand) Uint32() uint32 {
	c := r.Pos
	r.Pos++
	w0, w1, w2, w3 := block(r.Key.Seed, r.Key.Stream, c>>2)
	return word(c, w0, w1, w2, w3)
}

// Uint64 is two random words.
func (r *Rand) Uint64() uint64 {
	lo := uint64(r.Uint32())
	return uint64(r.Uint32())<<32 | lo
}

// IntN is uniform in [0, n), without bias. It is 0 for n <= 1.
func (r *Rand) IntN(n int) int {
	if n <= 1 {
		return 0
	}
	m := uint64(n)
	hi, lo := bits.Mul64(r.Uint64(), m)
	for limit := -m % m; lo < limit; { // Lemire: reject the few that would be favoured
		hi, lo = bits.Mul64(r.Uint64(), m)
	}
	return int(hi)
}

// Float32 is uniform in [0, 1).
func (r *Rand) Float32() float32 { return unit(r.Uint32()) }

// Float64 is uniform in [0, 1), a multiple of 2**-53.
func (r *Rand) Float64() float64 { return float64(r.Uint64()>>11) * 0x1p-53 }

// Shuffle permutes n things, each order equally likely; swap exchanges two.
func (r *Rand) Shuffle(n int, swap func(i, j int)) {
	for i := n - 1; i > 0; i-- {
		swap(i, r.IntN(i+1))
	}
}

// Perm fills p with a random permutation of 0 … len(p)-1.
func (r *Rand) Perm(p []int32) {
	for i := range p {
		p[i] = int32(i)
	}
	for i := len(p) - 1; i > 0; i-- {
		j := r.IntN(i + 1)
		p[i], p[j] = p[j], p[i]
	}
}
