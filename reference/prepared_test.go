package reference

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/dsl/check"
)

// TestPrepared: sessions see the weights as they are, however these were changed;
// with the race detector, where there is one, and without assembly.
func TestPrepared(t *testing.T) {
	mod := newModule(t, compileFile(t, "testdata/prepared.lm", check.Options{}))
	main, err := os.ReadFile("testdata/prepared.go")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(mod.dir, "main.go"), bytes.Replace(main, []byte("//go:build ignore\n\n"), nil, 1), 0o666))
	require.NoError(t, os.Remove(filepath.Join(mod.dir, "packages.go")))
	run := func(name string, env ...string) {
		b, err := exec.Command(mod.build(t, name, env...)).CombinedOutput()
		require.NoError(t, err, "%s: %s", name, tail(b))
	}
	run("plain")
	run("purego", "GOFLAGS=-mod=mod -tags=purego")
	if _, err := exec.LookPath("gcc"); err == nil && !testing.Short() {
		run("race", "CGO_ENABLED=1", "GOFLAGS=-mod=mod -race")
	}
}
