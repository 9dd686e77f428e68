package runtime

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
)

// features are the targets whose kernels a machine runs: the portable Go code
// always, native kernels where the processor has the instructions and the
// system saves the registers.
type features uint32

const (
	portable features = 1 << iota
	amd64AVX2
	amd64AVX512
)

// targets are the names of features, the best first.
var targets = [...]struct {
	name string
	features
}{
	{"amd64-avx512", amd64AVX512},
	{"amd64-avx2", amd64AVX2},
	{"portable", portable},
}

// detected is what detect has found, 0 before it was asked: the instruction
// that tells is slow in a virtual machine.
var detected atomic.Uint32

// Supports reports whether this machine runs the kernels of a target.
func Supports(target string) bool {
	have := features(detected.Load())
	if have == 0 {
		have = detect()
		detected.Store(uint32(have))
	}
	for _, t := range targets {
		if t.name == target {
			return have&t.features != 0
		}
	}
	return false
}

// ChooseTarget picks the kernels of a new session: the one that the environment
// variable LMC_TARGET names if the package has it and the machine runs it,
// otherwise the first of have (best first) that the machine runs. The last of
// have is the portable one, which always does.
func ChooseTarget(have ...string) string {
	want := os.Getenv("LMC_TARGET")
	for _, t := range have {
		if t == want && Supports(t) {
			return t
		}
	}
	for _, t := range have {
		if Supports(t) {
			return t
		}
	}
	return "portable"
}

// CheckTarget is an error if want is none of the targets that a package has, or
// one that this machine does not run.
func CheckTarget(model, want string, have ...string) error {
	if !slices.Contains(have, want) {
		return fmt.Errorf("%s: there are no kernels %q, only %s", model, want, strings.Join(have, ", "))
	}
	if !Supports(want) {
		return fmt.Errorf("%s: this machine does not run the kernels %s", model, want)
	}
	return nil
}

// KernelPath names the best kernels that this machine runs.
func KernelPath() string {
	var names [len(targets)]string
	for i, t := range targets {
		names[i] = t.name
	}
	return ChooseTarget(names[:]...)
}
