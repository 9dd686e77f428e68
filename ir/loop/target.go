package loop

// A Target is a machine that runs kernels in vectors.
type Target struct {
	Name  string // as LMC_TARGET names it
	Regs  int    // vector registers
	Lanes int    // lanes of a register; a vector value takes Lanes/Target.Lanes registers
}

// The native targets. The portable target, Go code for scalars, is no value: it
// is what a kernel itself is for.
var (
	AVX2   = &Target{Name: "amd64-avx2", Regs: 16, Lanes: 8}    // and FMA
	AVX512 = &Target{Name: "amd64-avx512", Regs: 32, Lanes: 16} // F, VL, DQ and BW
)

// Targets are the native targets, the best first.
var Targets = []*Target{AVX512, AVX2}

// Span is the number of registers that a vector value takes.
func (t *Target) Span() int { return Lanes / t.Lanes }

// TargetNamed returns the native target called name, or nil.
func TargetNamed(name string) *Target {
	for _, t := range Targets {
		if t.Name == name {
			return t
		}
	}
	return nil
}
