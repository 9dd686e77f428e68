package runtime

import (
	"syscall"
	"unsafe"
)

// hugePage is the size of the larger pages of most processors, in bytes.
const hugePage = 2 << 20

// inHugePages asks the system to hold what lies in the memory of x in pages of
// 2 MB. A kernel that walks down a column of a matrix, or gathers rows of a
// table, touches a page for each row: there are far more small pages than the
// processor remembers translations of. It is a hint: systems that know no such
// pages, or whose administrator forbids them, go on as before.
func inHugePages[T any](x []T) {
	start := unsafe.Pointer(unsafe.SliceData(x))
	size := uintptr(len(x)) * unsafe.Sizeof(*new(T))
	skip := -uintptr(start) % hugePage
	if size < skip+hugePage {
		return
	}
	whole := (size - skip) / hugePage * hugePage
	_ = syscall.Madvise(unsafe.Slice((*byte)(unsafe.Add(start, skip)), whole), syscall.MADV_HUGEPAGE)
}
