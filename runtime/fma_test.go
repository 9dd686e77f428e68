package runtime

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFMA32IsRoundedOnce(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	exact := func(a, b, c float32) float32 {
		x := new(big.Float).SetPrec(1000).SetFloat64(float64(a))
		x.Mul(x, new(big.Float).SetFloat64(float64(b)))
		x.Add(x, new(big.Float).SetPrec(1000).SetFloat64(float64(c)))
		f, _ := x.Float32()
		return f
	}
	for range 200_000 {
		a := math.Float32frombits(r.Uint32()&0x80FFFFFF | 0x3F000000)
		b := math.Float32frombits(r.Uint32()&0x80FFFFFF | 0x3F000000)
		c := math.Float32frombits(r.Uint32()&0x8FFFFFFF | 0x30000000)
		require.Equal(t, exact(a, b, c), FMA32(a, b, c), "%x %x %x", a, b, c)
	}
	inf := float32(math.Inf(1))
	require.Equal(t, inf, FMA32(inf, 1, 0))
	require.True(t, FMA32(inf, 1, -inf) != FMA32(inf, 1, -inf))
	require.Equal(t, inf, FMA32(math.MaxFloat32, 2, 0))
	require.Equal(t, float32(1), FMA32(0, 0, 1))
	require.Equal(t, math.Float32bits(-inf*0), math.Float32bits(-inf*0))
	require.Equal(t, float32(0x1p-149), FMA32(0x1p-75, 0x1.8p-75, 0))
}
