package runtime

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestSumSquares(t *testing.T) {
	for _, n := range []int{0, 1, 7, 8, 9, foldBlock - 1, foldBlock, foldBlock + 1, 3*foldBlock + 5, 70 * foldBlock} {
		x := make([]float32, n)
		FillNormal(x, 1, 2, 0)
		want := 0.0
		for _, v := range x {
			want += float64(v) * float64(v)
		}
		var f Fold[float32]
		var bits []uint64
		for _, p := range []int{1, 2, 3} {
			procs(t, p)
			bits = append(bits, math.Float64bits(f.SumSquares(x)))
		}
		bits = append(bits, math.Float64bits(SumSquares(x)))
		for _, b := range bits[1:] {
			assert.Equal(t, bits[0], b, "n = %d", n)
		}
		assert.InDelta(t, want, math.Float64frombits(bits[0]), 1e-9*float64(n))
	}
	assert.True(t, math.IsNaN(SumSquares([]float64{1, math.NaN()})))
	var f Fold[float32]
	x := make([]float32, 5*foldBlock)
	assert.Zero(t, testing.AllocsPerRun(10, func() { f.SumSquares(x); SumSquares(x) }))
}

func TestClipScale(t *testing.T) {
	assert.InDelta(t, 1-1e-6, ClipScale(1, 1), 1e-11)
	assert.EqualValues(t, 1, ClipScale(0.25, 1))
	assert.EqualValues(t, 1, ClipScale(0, 1))
	assert.InDelta(t, 0.25, ClipScale(16, 1), 1e-6)
	assert.True(t, math.IsNaN(ClipScale(math.NaN(), 1)))
}

func TestAllFinite(t *testing.T) {
	for n := range 20 {
		x := make([]float64, n)
		assert.True(t, AllFinite(x))
		assert.Equal(t, -1, FirstNonFinite(x))
		for i := range x {
			for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
				x[i] = bad
				assert.False(t, AllFinite(x))
				assert.Equal(t, i, FirstNonFinite(x))
				x[i] = math.MaxFloat64
			}
		}
		assert.True(t, AllFinite(x))
	}
}

// The fast code has the bits of that in Go.
func TestSquaresOf(t *testing.T) {
	for n := 0; n < 6*foldLanes; n += foldLanes {
		x := make([]float32, n)
		FillNormal(x, 1, 2, 0)
		for i := range x {
			x[i] *= float32(math.Ldexp(1, i-140)) // subnormals, and sums that round
		}
		var lanes, want [foldLanes]float64
		if !squaresOf(x, &lanes) {
			continue
		}
		for i := range n {
			want[i%foldLanes] += float64(x[i]) * float64(x[i])
		}
		assert.Equal(t, want, lanes, "n = %d", n)
		for at := 0; at < foldLanes; at += 8 {
			squares8(x, at, (*[8]float64)(lanes[at:]))
		}
		assert.Equal(t, want, lanes, "n = %d", n)
	}
}

func BenchmarkSumSquares(b *testing.B) {
	x := make([]float32, 1<<20)
	FillNormal(x, 1, 2, 0)
	b.SetBytes(4 << 20)
	for b.Loop() {
		SumSquares(x)
	}
}
