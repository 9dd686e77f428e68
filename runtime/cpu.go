package runtime

import "os"

// A target is a set of kernels that a generated package contains: the portable
// Go code always, native kernels for some ports. targets says which of them
// this machine can run; the native ones join it with their CPU detection.
var targets = [...]struct {
	name     string
	supports func() bool
}{
	{"portable", func() bool { return true }},
}

// Supports reports whether this machine runs the kernels of a target.
func Supports(target string) bool {
	for _, t := range targets {
		if t.name == target {
			return t.supports()
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

// KernelPath names the best kernels that this package can run here.
func KernelPath() string { return ChooseTarget("portable") }
