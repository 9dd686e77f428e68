package reference

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
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
	mod := newModule(t, compileFile(t, "../examples/mlp.lm", check.Options{}))
	main, err := os.ReadFile("testdata/subnormal.go")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(mod.dir, "main.go"), bytes.Replace(main, []byte("//go:build ignore\n\n"), nil, 1), 0o666))
	require.NoError(t, os.Remove(filepath.Join(mod.dir, "packages.go")))
	cmd := exec.Command(mod.build(t, "subnormal"))
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	b, err := cmd.Output()
	require.NoError(t, err)
	var timings []struct {
		Path       string
		Ratio      float64
		Subnormals int
	}
	require.NoError(t, json.Unmarshal(b, &timings))
	require.NotEmpty(t, timings)
	for _, r := range timings {
		t.Logf("%s: %.2f times the time with %d subnormal gradients", r.Path, r.Ratio, r.Subnormals)
		assert.Greater(t, r.Subnormals, 100_000)
		assert.Less(t, r.Ratio, 4.0, r.Path)
	}
}
