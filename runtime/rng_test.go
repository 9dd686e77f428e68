package runtime

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"sort"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Known answers of philox4x32 with 10 rounds, from Random123 (kat_vectors).
func TestPhiloxKnownAnswers(t *testing.T) {
	for _, c := range []struct {
		ctr  [4]uint32
		key  [2]uint32
		want [4]uint32
	}{
		{[4]uint32{}, [2]uint32{}, [4]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{[4]uint32{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, [2]uint32{0xffffffff, 0xffffffff}, [4]uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
		{[4]uint32{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, [2]uint32{0xa4093822, 0x299f31d0}, [4]uint32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
	} {
		var got [4]uint32
		got[0], got[1], got[2], got[3] = Philox(c.ctr[0], c.ctr[1], c.ctr[2], c.ctr[3], c.key[0], c.key[1])
		assert.Equal(t, c.want, got, "%08x", got)
	}
}

func TestBlocksAndElements(t *testing.T) {
	for _, start := range []uint64{0, 1, 2, 3, 5, 1<<34 + 3, math.MaxUint64 - 9} {
		for _, n := range []int{0, 1, 2, 3, 4, 5, 9, 16} {
			u, z := make([]float32, n), make([]float64, n)
			FillUniform(u, 7, 8, start)
			FillNormal(z, 7, 8, start)
			for i := range n {
				assert.Equal(t, Uniform(7, 8, start+uint64(i)), u[i])
				assert.Equal(t, Normal64(7, 8, start+uint64(i)), z[i])
				assert.Equal(t, float64(u[i]), Uniform64(7, 8, start+uint64(i)))
			}
		}
	}
}

func TestRandomBitsArePinned(t *testing.T) {
	h := uint64(0)
	for i := range uint64(1000) {
		h = Mix(h, uint64(math.Float32bits(Normal(1, 2, i))))
		h = Mix(h, uint64(math.Float32bits(Uniform(1, 2, i))))
	}
	assert.Equal(t, uint64(0x9d60c94df09fe221), h, "%#x", h)
	assert.Equal(t, uint64(0xb947dbcdfa17eb1c), Stream("blocks.3.attn.qkv.w"), "%#x", Stream("blocks.3.attn.qkv.w"))
}

func TestBoxMullerExtremes(t *testing.T) {
	for _, w0 := range []uint32{0, 255, 256, math.MaxUint32} {
		for _, w1 := range []uint32{0, 1 << 29, 1 << 30, 1 << 31, 3 << 30, math.MaxUint32} {
			a, b := boxMuller(w0, w1)
			assert.Less(t, math.Hypot(float64(a), float64(b)), 5.8, "%x %x", w0, w1)
		}
	}
	for i := range uint32(4096) {
		w := i<<20 + i
		s, c := sincosTurn(w)
		es, ec := math.Sincos(float64(w) / (1 << 32) * 2 * math.Pi)
		assert.InDelta(t, es, s, 1e-7)
		assert.InDelta(t, ec, c, 1e-7)
	}
}

type moments struct{ Mean, Var, Skew, Kurtosis float64 }

func momentsOf(x []float64) (m moments) {
	n := float64(len(x))
	for _, v := range x {
		m.Mean += v / n
	}
	for _, v := range x {
		d := v - m.Mean
		m.Var += d * d / n
	}
	s := math.Sqrt(m.Var)
	for _, v := range x {
		d := (v - m.Mean) / s
		m.Skew += d * d * d / n
		m.Kurtosis += d * d * d * d / n
	}
	return m
}

func lag1(x []float64) float64 {
	m := momentsOf(x)
	r := 0.0
	for i := 1; i < len(x); i++ {
		r += (x[i] - m.Mean) * (x[i-1] - m.Mean)
	}
	return r / m.Var / float64(len(x))
}

// sharedFile reads a reference file that lives beside the repository. Where the
// folder is absent the test skips, but not in CI.
func sharedFile(t testing.TB, name string, into any) {
	path := filepath.Join("..", "..", "shared", filepath.FromSlash(name))
	data, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is missing", path)
		}
		t.Skipf("skip: %s is not there", path)
	}
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, into))
}

func TestStatistics(t *testing.T) {
	for _, c := range []struct {
		file string
		draw func(seed, stream, ctr uint64) float64
	}{
		{"opcases/stats/rng_uniform01.json", Uniform64},
		{"opcases/stats/rng_normal.json", Normal64},
	} {
		var want struct {
			moments
			N           int
			MeanTol     float64 `json:"mean_tol"`
			VarRelTol   float64 `json:"var_rel_tol"`
			SkewTol     float64 `json:"skew_tol"`
			KurtosisTol float64 `json:"kurtosis_tol"`
		}
		sharedFile(t, c.file, &want)
		for _, k := range []Key{{1, Stream("a")}, {1, Stream("b")}, {2, Stream("a")}, Key{0, 0}.At(0), Key{0, 0}.At(1)} {
			x := make([]float64, want.N)
			for i := range x {
				x[i] = c.draw(k.Seed, k.Stream, uint64(i))
			}
			got := momentsOf(x)
			assert.InDelta(t, want.Mean, got.Mean, want.MeanTol, "%s %v", c.file, k)
			assert.InEpsilon(t, want.Var, got.Var, want.VarRelTol, "%s %v", c.file, k)
			assert.InDelta(t, want.Skew, got.Skew, want.SkewTol, "%s %v", c.file, k)
			assert.InDelta(t, want.Kurtosis, got.Kurtosis, want.KurtosisTol, "%s %v", c.file, k)
			assert.InDelta(t, 0, lag1(x), 5/math.Sqrt(float64(want.N)), "%s %v", c.file, k)
		}
	}
}

func TestDropoutMask(t *testing.T) {
	var want struct {
		P, Mean         float64
		N               int
		ZeroFraction    float64 `json:"zero_fraction"`
		ZeroFractionTol float64 `json:"zero_fraction_tol"`
		MeanTol         float64 `json:"mean_tol"`
	}
	sharedFile(t, "opcases/stats/dropout_p0p5.json", &want)
	mask := func(stream uint64) []float64 {
		x := make([]float64, want.N)
		for i := range x {
			if Uniform(3, stream, uint64(i)) >= float32(want.P) {
				x[i] = 1 / (1 - want.P)
			}
		}
		return x
	}
	x := mask(Stream("drop"))
	zeros := 0
	for _, v := range x {
		if v == 0 {
			zeros++
		}
	}
	assert.InDelta(t, want.ZeroFraction, float64(zeros)/float64(want.N), want.ZeroFractionTol)
	assert.InDelta(t, want.Mean, momentsOf(x).Mean, want.MeanTol)
	assert.InDelta(t, 0, lag1(x), 5/math.Sqrt(float64(want.N)))
	assert.Equal(t, x, mask(Stream("drop")))
	assert.NotEqual(t, x, mask(Mix(Stream("drop"), 1)))
	// Masks of neighbouring streams are not correlated.
	y, dot := mask(Mix(Stream("drop"), 1)), 0.0
	for i := range x {
		dot += (x[i] - 1) * (y[i] - 1) / float64(want.N)
	}
	assert.InDelta(t, 0, dot, 5/math.Sqrt(float64(want.N)))
}

func TestMixSpreadsIndices(t *testing.T) {
	seen := map[uint64]bool{}
	for s := range uint64(64) {
		for i := range uint64(64) {
			seen[Mix(Mix(s, i), 0)] = true
			seen[Mix(Mix(s, i), 1)] = true
		}
	}
	assert.Len(t, seen, 2*64*64)
	assert.NotEqual(t, Mix(Mix(5, 1), 2), Mix(Mix(5, 2), 1))
	assert.NotZero(t, Mix(0, 0))
	assert.NotEqual(t, Stream("a"), Stream("b"))
	assert.NotEqual(t, Stream(""), Stream("\x00"))
}

func TestRand(t *testing.T) {
	r := NewRand(1, "shuffle")
	p := make([]int32, 100)
	r.Perm(p)
	q := append([]int32(nil), p...)
	sort.Slice(q, func(i, j int) bool { return q[i] < q[j] })
	for i := range q {
		assert.EqualValues(t, i, q[i])
	}
	assert.NotEqual(t, p, q)

	saved := *r
	a := []int{r.IntN(10), r.IntN(1000), r.IntN(1 << 40)}
	assert.Equal(t, a, []int{saved.IntN(10), saved.IntN(1000), saved.IntN(1 << 40)}, "a copied state continues the same way")
	assert.Zero(t, r.IntN(1))
	assert.Zero(t, r.IntN(-3))

	count := make([]int, 7)
	for range 70_000 {
		count[r.IntN(7)]++
	}
	for _, c := range count {
		assert.InDelta(t, 10_000, c, 500)
	}
	f := r.Float64()
	assert.True(t, f >= 0 && f < 1 && r.Float32() < 1)

	s := []byte("abcdef")
	r.Shuffle(len(s), func(i, j int) { s[i], s[j] = s[j], s[i] })
	assert.ElementsMatch(t, []byte("abcdef"), s)
}

func BenchmarkUniform(b *testing.B) {
	for i := uint64(0); b.Loop(); i++ {
		sink32 = Uniform(1, 2, i)
	}
}

func BenchmarkFillUniform4096(b *testing.B) {
	x := make([]float32, 4096)
	for b.Loop() {
		FillUniform(x, 1, 2, 0)
	}
}

func BenchmarkFillNormal4096(b *testing.B) {
	x := make([]float32, 4096)
	for b.Loop() {
		FillNormal(x, 1, 2, 0)
	}
}
