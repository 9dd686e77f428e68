package reference

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/dsl/check"
)

// TestSubnormals: numbers that are almost 0 do not slow training down.
func TestSubnormals(t *testing.T) {
	if testing.Short() {
		t.Skip("measures time")
	}
	if runtime.GOOS != "linux" && runtime.GOOS != "darwin" {
		t.Skip("asks the system for processor time")
	}
	mod := newModule(t, "subnormal.go", compileFile(t, "../examples/mlp.lm", check.Options{}))
	var timings []struct {
		Path       string
		Ratio      float64
		Subnormals int
	}
	mod.report(t, &timings, "GOMAXPROCS=1")
	require.NotEmpty(t, timings)
	for _, r := range timings {
		t.Logf("%s: %.2f times the time with %d subnormal gradients", r.Path, r.Ratio, r.Subnormals)
		assert.Greater(t, r.Subnormals, 100_000)
		assert.Less(t, r.Ratio, 4.0, r.Path)
	}
}
