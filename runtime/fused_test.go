package runtime

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
)

// No function of this package may contain a fused multiply-add: the bits would
// differ between ports. The compiler for arm64 fuses whatever it may.
func TestNothingIsFused(t *testing.T) {
	if testing.Short() || runtime.GOOS == "js" || runtime.GOOS == "wasip1" {
		t.Skip("skip: compiles for arm64")
	}
	cmd := exec.Command("go", "build", "-gcflags=-S", ".")
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Skipf("skip: go build for arm64: %v", err)
	}
	assert.Contains(t, string(out), "FMULS", "the listing is there")
	for _, line := range regexp.MustCompile(`(?m)^.*\sF(N?MADD|N?MSUB)[SD]\s.*$`).FindAll(out, -1) {
		t.Errorf("%s", bytes.TrimSpace(line))
	}
}
