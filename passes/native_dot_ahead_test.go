package passes

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/ir/loop"
)

// What tiles ask for is what all panels but the first are read from, and little
// else: each hint is made a store, and what was stored is counted by lines.
func TestNextPanels(t *testing.T) {
	for _, c := range []struct {
		spec string
		m    int
		k, n int
	}{
		{"ab,bc->ac", 84, 512, 512}, // copied by the first tile
		{"ab,bc->ac", 128, 768, 192},
		{"ba,bc->ac", 96, 1100, 256}, // in blocks of sums
		{"ab,cb->ac", 112, 512, 256}, // transposed
	} {
		name := fmt.Sprint(c)
		d := dotCase{c.spec, map[rune]loop.Dim{'a': loop.N(c.m), 'b': loop.N(c.k), 'c': loop.N(c.n)}, nil}
		out, err := Lower(program(d.build(t, false)))
		require.NoError(t, err)
		i := slices.IndexFunc(out.Kernels, func(k *loop.Kernel) bool { return k.For(loop.AVX512) != nil })
		require.GreaterOrEqual(t, i, 0, name)
		k := out.Kernels[i].For(loop.AVX512)

		vector := k.Bufs[1]
		next := 100_000
		text := regexp.MustCompile(`(?m)prefetch `+vector.Name+`\[(.*)\]$`).ReplaceAllStringFunc(k.String(), func(s string) string {
			next++
			at, _, _ := strings.Cut(s[strings.IndexByte(s, '['):], "\n")
			return fmt.Sprintf("%%%d f32 = const 1\nstore asked%s %%%d", next, at, next)
		})
		require.NotContains(t, text, "prefetch", name)
		size := c.k * c.n
		text = strings.Replace(text, "  out ", fmt.Sprintf("  out asked f32[%d]\n  out ", 2*size), 1)
		k, err = loop.ParseKernel(text)
		require.NoError(t, err, text)
		args := kernelArgs(t, k, nil, rand.New(rand.NewPCG(1, 2)))
		asked := args[slices.IndexFunc(k.Bufs, func(b *loop.Buffer) bool { return b.Name == "asked" })].([]float32)
		clear(asked)
		require.NoError(t, loop.Run(k, nil, false, args, make([]int, len(k.Ints))), text)

		lines := func(x []float32) (n int) {
			for line := range slices.Chunk(x, loop.Lanes) {
				if slices.Max(line) > 0 {
					n++
				}
			}
			return n
		}
		first := 32 * c.k / loop.Lanes // lines of the first panel, which may be asked for by nobody
		all := size / loop.Lanes
		assert.Greater(t, float64(lines(asked[:size])), 0.94*float64(all-first), name)
		assert.LessOrEqual(t, lines(asked[size:]), first, name)
	}
}
