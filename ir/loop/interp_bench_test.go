package loop_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/loop/looptest"
)

func BenchmarkInterpreter(b *testing.B) {
	for _, c := range looptest.Samples() {
		if c.Kernel.Name != "gemm33" || c.Dims["M"] < 7 {
			continue
		}
		dims := map[string]int{"M": 32, "N": 32, "K": 32}
		c := looptest.NewCase(c.Kernel, dims, nil, 1)
		p, err := loop.Compile(c.Kernel, dims, false)
		require.NoError(b, err)
		mem := c.Memory(false)
		for b.Loop() {
			require.NoError(b, p.Run(mem, nil))
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(32*32*32), "ns/mac")
	}
}
