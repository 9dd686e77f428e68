package amd64

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/ir/loop"
)

// TestFrames: a function with many arguments and much that is spilled asks for
// room on the stack; the linker refuses it otherwise.
func TestFrames(t *testing.T) {
	for _, n := range []int{2, 12, 20} {
		b := loop.NewBuilder("many")
		var from, to []*loop.Buffer
		for i := range n {
			from = append(from, b.Buffer(fmt.Sprintf("from%d", i), loop.F32, loop.N(1600), false))
		}
		for i := range n / 2 {
			to = append(to, b.Buffer(fmt.Sprintf("to%d", i), loop.F32, loop.N(1600), true))
		}
		b.For("i", loop.Bound{}, loop.Bound{Dim: loop.N(1600)}, loop.Lanes, nil, func(i *loop.Val, _ []*loop.Val) []*loop.Val {
			var rows []*loop.Val
			for _, x := range from {
				rows = append(rows, b.LoadVec(x, loop.At(i), nil))
			}
			for k, y := range to {
				b.StoreVec(y, loop.At(i), b.Do(loop.Add, rows[k], rows[n-1-k]), nil)
			}
			return nil
		})
		for _, target := range loop.Targets {
			asm, _, err := Print(b.K, target, "many", nil)
			require.NoError(t, err)
			var flags string
			var frame, args int
			_, head, _ := strings.Cut(asm, "TEXT ·many(SB), ")
			_, err = fmt.Sscanf(strings.ReplaceAll(head, ",", ""), "%s $%d-%d", &flags, &frame, &args)
			require.NoError(t, err)
			assert.Equal(t, frame+args > noSplitFrame, flags != "NOSPLIT", "%s: %d buffers, frame %d-%d, %s", target.Name, n, frame, args, flags)
		}
	}
}
