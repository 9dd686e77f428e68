package loop_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/loop/looptest"
)

func TestOpsRun(t *testing.T) {
	for _, c := range looptest.Ops() {
		for _, wide := range []bool{false, true} {
			require.NoError(t, loop.Run(c.Kernel, c.Dims, wide, c.Memory(wide), c.Ints), c.Kernel.Name)
		}
		text := c.Kernel.String()
		k, err := loop.ParseKernel(text)
		require.NoError(t, err, text)
		require.Equal(t, text, k.String())
	}
}
