package loop_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/loop/looptest"
)

// bits makes memory comparable: floats as bits, NaN as one.
func bits(ms []loop.Mem) []any {
	out := make([]any, len(ms))
	for i, m := range ms {
		switch m := m.(type) {
		case []float32:
			b := make([]uint32, len(m))
			for k, x := range m {
				if b[k] = math.Float32bits(x); x != x {
					b[k] = 0x7FC00000
				}
			}
			out[i] = b
		case []float64:
			b := make([]uint64, len(m))
			for k, x := range m {
				if b[k] = math.Float64bits(x); x != x {
					b[k] = 0x7FF8000000000000
				}
			}
			out[i] = b
		default:
			out[i] = m
		}
	}
	return out
}

func run(t *testing.T, k *loop.Kernel, c *looptest.Case, wide bool) []any {
	t.Helper()
	mem := c.Memory(wide)
	require.NoError(t, loop.Run(k, c.Dims, wide, mem, c.Ints), "%s", k)
	return bits(mem)
}

func TestSamplesRoundTripAndTidy(t *testing.T) {
	for _, c := range append(looptest.Samples(), looptest.Ops()...) {
		text := c.Kernel.String()
		k, err := loop.ParseKernel(text)
		require.NoError(t, err, text)
		require.Equal(t, text, k.String())
		tidy := loop.Tidy(c.Kernel)
		require.NoError(t, tidy.Verify(), "%s\n%s", text, tidy)
		require.Equal(t, text, c.Kernel.String(), "Tidy changed its argument")
		for _, wide := range []bool{false, true} {
			want := run(t, c.Kernel, c, wide)
			require.Equal(t, want, run(t, k, c, wide), text)
			require.Equal(t, want, run(t, tidy, c, wide), "%s\n%s", text, tidy)
		}
	}
}

func TestAnySplitOfTheGridGivesTheSameBits(t *testing.T) {
	for _, c := range looptest.Samples() {
		if c.Kernel.Grid == nil {
			continue
		}
		want := run(t, c.Kernel, c, false)
		p, err := loop.Compile(c.Kernel, c.Dims, false)
		require.NoError(t, err)
		mem := c.Memory(false)
		for lo := 0; lo < p.Grid(); lo += 2 {
			require.NoError(t, p.RunRange(mem, c.Ints, lo, min(lo+2, p.Grid())))
		}
		require.Equal(t, want, bits(mem), c.Kernel.Name)
	}
}

func TestRandomKernels(t *testing.T) {
	for seed := range uint64(300) {
		c := looptest.Random(seed)
		text := c.Kernel.String()
		k, err := loop.ParseKernel(text)
		require.NoError(t, err, text)
		require.Equal(t, text, k.String())
		tidy := loop.Tidy(c.Kernel)
		require.NoError(t, tidy.Verify(), "%s\n%s", text, tidy)
		want := run(t, c.Kernel, c, false)
		require.Equal(t, want, run(t, k, c, false), text)
		require.Equal(t, want, run(t, tidy, c, false), "%s\n%s", text, tidy)
	}
}
