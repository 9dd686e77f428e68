package codegen

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/ir/loop/looptest"
)

func TestPrintSamples(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range looptest.Samples() {
		if seen[c.Kernel.Name] {
			continue
		}
		seen[c.Kernel.Name] = true
		text, err := PrintKernel(c.Kernel, c.Kernel.Name, false)
		require.NoError(t, err)
		t.Log("\n" + text)
	}
}
