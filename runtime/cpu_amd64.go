//go:build amd64 && !purego

package runtime

// cpuid is the instruction CPUID.
//
//go:noescape
func cpuid(leaf, sub uint32) (ax, bx, cx, dx uint32)

// xgetbv is the low half of XCR0: the registers that the system saves when it
// switches between threads. It must exist, see bit 27 of CPUID 1.
//
//go:noescape
func xgetbv() uint32

// detect finds out what this machine runs.
func detect() features {
	const (
		fma     = 1 << 12 // of CPUID 1, CX
		osxsave = 1 << 27
		avx     = 1 << 28

		avx2     = 1 << 5 // of CPUID 7, BX
		avx512f  = 1 << 16
		avx512dq = 1 << 17
		avx512bw = 1 << 30
		avx512vl = 1 << 31

		ymm = 1<<1 | 1<<2              // of XCR0: low and high halves
		zmm = ymm | 1<<5 | 1<<6 | 1<<7 // masks, high halves, registers 16 to 31

		all256 = fma | osxsave | avx
		all512 = avx512f | avx512dq | avx512bw | avx512vl
	)
	have := portable
	highest, _, _, _ := cpuid(0, 0)
	if highest < 7 {
		return have
	}
	_, _, c, _ := cpuid(1, 0)
	if c&all256 != all256 {
		return have
	}
	_, b, _, _ := cpuid(7, 0)
	saved := xgetbv()
	if b&avx2 != 0 && saved&ymm == ymm {
		have |= amd64AVX2
		// A system that adds the registers of AVX-512 when a thread first uses
		// them, as macOS does, counts as one that has none.
		if b&all512 == all512 && saved&zmm == zmm {
			have |= amd64AVX512
		}
	}
	return have
}
