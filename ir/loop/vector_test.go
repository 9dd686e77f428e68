package loop_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/ir/loop"
)

// A kernel in vectors: x*s + 1 with a masked tail, its sum, a gather, a
// transposition of fours, and bits.
const vectors = `kernel vectors {
  in x f32[N]
  in at i32[16]
  out y f32[N]
  out z f32[48]
  local t f32[16]
  %0 int = size N
  %1 f32 = const 2
  %2 f32x16 = splat %1
  %3 f32x16 = const 0
  for %i.4 = 0 to N step 16 after %i.5 {
    carry %sum.6 f32x16 = %3
    %7 f32x16 = load x[%i.4]
    %8 f32x16 = fma %7 %2 %2
    store y[%i.4] %8
    %9 f32x16 = add %sum.6 %8
    next %sum.6 = %9 out %sum.10
  }
  %11 int = sub %0 %i.5
  %12 boolx16 = first %11
  %13 f32x16 = load x[%i.5] mask %12
  store y[%i.5] %13 mask %12
  %14 f32 = addacross %sum.10
  store z[0] %14
  %15 i32x16 = load at[0]
  %16 f32x16 = load x[0] lane %15
  store t[0] %16
  %17 f32x16 = load t[0]
  store z[16] %17
  %18 i32x16 = iota
  %19 i32x16 = bitxor %15 %18
  %20 i32x16 = bits %17
  %21 f32x16 = frombits %20
  %22 f32x16 = quadodd %21 %16
  store z[32] %22
}
`

func TestVectors(t *testing.T) {
	k, err := loop.ParseKernel(vectors)
	require.NoError(t, err)
	assert.Equal(t, vectors, k.String())
	const n = 37
	x, at := make([]float32, n), make([]int32, loop.Lanes)
	sum := float32(0)
	for i := range x {
		x[i] = float32(i)
		if i < 32 {
			sum += 2*x[i] + 2
		}
	}
	for i := range at {
		at[i] = int32(2 * i)
	}
	for _, k := range []*loop.Kernel{k, loop.Tidy(k)} {
		y, z := make([]float32, n), make([]float32, 48)
		require.NoError(t, loop.Run(k, map[string]int{"N": n}, false, []loop.Mem{x, at, y, z}, nil))
		assert.Equal(t, float32(2), y[0])
		assert.Equal(t, float32(2*31+2), y[31])
		assert.Equal(t, x[32:], y[32:])
		assert.Equal(t, sum, z[0])
		assert.Equal(t, float32(30), z[31])
		assert.Equal(t, []float32{8, 10, 12, 14, 24, 26, 28, 30, 8}, z[32:41])
	}
}

func TestVectorsAreVerified(t *testing.T) {
	for text, want := range map[string]string{
		"%0 f32x16 = const 1\n%1 f32 = const 1\n%2 f32x16 = add %0 %1": "vectors and scalars do not mix",
		"%0 f32 = const 1\n%1 f32 = addacross %0":                      "an operand must be a vector",
		"%0 f32 = const 1\n%1 f32 = splat %0":                          "no such form",
		"%0 boolx16 = const 1\nif %0 {\n}":                             "is a vector",
		"%0 intx16 = const 1":                                          "no vectors of int",
		"%0 boolx16 = const 1\n%1 f32 = load x[0] mask %0":             "not of one",
	} {
		_, err := loop.ParseKernel("kernel k {\n in x f32[N]\n" + text + "\n}")
		assert.ErrorContains(t, err, want, text)
	}
}

// A hint is printed and read, changes nothing, and may be of what does not exist.
func TestPrefetch(t *testing.T) {
	const text = "kernel k {\n  in x f32[16]\n  out y f32[16]\n  prefetch x[4096]\n  %0 f32x16 = load x[0]\n  store y[0] %0\n}\n"
	k, err := loop.ParseKernel(text)
	require.NoError(t, err)
	require.NoError(t, k.Verify())
	require.Equal(t, text, k.String())
	require.Equal(t, text, loop.Tidy(k).String())
	x, y := make([]float32, 16), make([]float32, 16)
	x[3] = 5
	require.NoError(t, loop.Run(k, nil, false, []loop.Mem{x, y}, nil))
	require.Equal(t, x, y)
}
