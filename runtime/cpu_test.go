package runtime

import (
	"bufio"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestChooseTarget(t *testing.T) {
	t.Setenv("LMC_TARGET", "")
	assert.True(t, Supports("portable"))
	assert.False(t, Supports("abacus"))
	assert.False(t, Supports(""))
	assert.Equal(t, "portable", ChooseTarget())
	assert.Equal(t, "portable", ChooseTarget("abacus", "portable"))
	best := KernelPath()
	assert.True(t, Supports(best))
	assert.Equal(t, best, ChooseTarget(best, "portable"))
	assert.Equal(t, "portable", ChooseTarget("portable"), "what the package lacks is not chosen")

	t.Setenv("LMC_TARGET", "portable")
	assert.Equal(t, "portable", KernelPath())
	assert.Equal(t, "portable", ChooseTarget(best, "portable"))
	t.Setenv("LMC_TARGET", "abacus")
	assert.Equal(t, best, KernelPath(), "a target that does not run here is not chosen")
	assert.False(t, Supports("amd64-avx512") && !Supports("amd64-avx2"))
}

func TestCheckTarget(t *testing.T) {
	assert.NoError(t, CheckTarget("m", "portable", "portable"))
	assert.EqualError(t, CheckTarget("m", "avx", "amd64-avx2", "portable"), `m: there are no kernels "avx", only amd64-avx2, portable`)
	assert.EqualError(t, CheckTarget("m", "abacus", "abacus"), "m: this machine does not run the kernels abacus")
}

// TestDetect compares with what the system says.
func TestDetect(t *testing.T) {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		t.Skip(err)
	}
	defer f.Close()
	var flags []string
	for s := bufio.NewScanner(f); s.Scan(); {
		if name, list, _ := strings.Cut(s.Text(), ":"); strings.TrimSpace(name) == "flags" {
			flags = strings.Fields(list)
		}
	}
	if flags == nil {
		t.Skip("not an x86 machine")
	}
	all := func(names ...string) bool {
		return detect() != portable && !slices.ContainsFunc(names, func(n string) bool { return !slices.Contains(flags, n) })
	}
	if detect() == portable && slices.Contains(flags, "avx2") && slices.Contains(flags, "fma") {
		t.Skip("built without native kernels")
	}
	assert.Equal(t, all("avx2", "fma"), Supports("amd64-avx2"))
	assert.Equal(t, all("avx2", "fma", "avx512f", "avx512vl", "avx512dq", "avx512bw"), Supports("amd64-avx512"))
}
