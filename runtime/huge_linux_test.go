package runtime

import (
	"bufio"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestHugePages looks up in the kernel's list of mappings what was asked for.
func TestHugePages(t *testing.T) {
	if _, err := os.Stat("/sys/kernel/mm/transparent_hugepage"); err != nil {
		t.Skip("this kernel has no transparent huge pages:", err)
	}
	x := Aligned[float32](4 * hugePage)
	middle := uint64(reflect.ValueOf(x).Pointer()) + 8*hugePage
	f, err := os.Open("/proc/self/smaps")
	require.NoError(t, err)
	defer f.Close()
	here, flags := false, ""
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var from, to uint64
		if n, _ := fmt.Sscanf(lines.Text(), "%x-%x ", &from, &to); n == 2 {
			here = from <= middle && middle < to
		} else if list, ok := strings.CutPrefix(lines.Text(), "VmFlags:"); ok && here {
			flags = list
		}
	}
	assert.Contains(t, strings.Fields(flags), "hg")
}

func TestHugePagesOfSmallSlices(t *testing.T) {
	assert.NotPanics(t, func() {
		inHugePages([]float32(nil))
		inHugePages(make([]struct{}, hugePage))
		inHugePages(make([]byte, hugePage+1))
	})
}
