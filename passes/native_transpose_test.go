package passes

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/ops"
)

// Transpositions through registers, and those that are not: rows that stay, and
// extents that are no multiples of a vector.
func TestNativeTranspose(t *testing.T) {
	for _, c := range []struct {
		x       ir.Type
		perm    []int
		squares bool
	}{
		{f32(32, 48), []int{1, 0}, true}, {f32(2, 3, 16, 32), []int{0, 1, 3, 2}, true}, {f32(16, 3, 32), []int{2, 1, 0}, true},
		{f32(32, "B", 16), []int{2, 1, 0}, true}, {f32(3, 16, 16), []int{2, 0, 1}, true}, {f32(20, 48), []int{1, 0}, false}, {f32("B", 16), []int{1, 0}, false},
	} {
		out, err := Lower(program(build(t, func(g ops.Graph) []*ir.Value {
			return []*ir.Value{g.Transpose(g.Param("x", c.x), c.perm...)}
		})))
		require.NoError(t, err)
		require.Len(t, out.Kernels, 1)
		k := out.Kernels[0]
		name := fmt.Sprint(c.x, c.perm)
		require.NotEmpty(t, k.Native, name)
		checkNative(t, name, k, map[string]int{"B": 5}, rand.New(rand.NewPCG(7, 8)))
		assert.Equal(t, c.squares, k.Native[0].Kernel != k.Native[1].Kernel, name)
	}
}
