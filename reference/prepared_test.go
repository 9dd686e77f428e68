package reference

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/dsl/check"
)

// TestPrepared: sessions see the weights as they are, however these were changed;
// with the race detector, where there is one, and without assembly.
func TestPrepared(t *testing.T) {
	mod := newModule(t, "prepared.go", compileFile(t, "testdata/prepared.lm", check.Options{}))
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
