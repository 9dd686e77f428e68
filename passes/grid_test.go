package passes

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/ops"
)

// Any split of the range of a kernel gives the same bits.
func TestGridSplits(t *testing.T) {
	fs := []*ir.Func{
		build(t, func(g ops.Graph) []*ir.Value {
			x, w := g.Param("x", f32(7, 5, 10)), g.Param("w", f32(10, 9))
			y, v := g.Param("y", f32(7, 4, 10)), g.Param("v", f32(10))
			return []*ir.Value{g.Dot("bik,kj->bij", x, w), g.Dot("bik,bjk->bij", x, y), g.Dot("bik,bij->kj", x, g.Dot("bik,kj->bij", x, w)),
				g.Dot("bik,k->bi", x, v), g.Sum(x, 0, 1), g.Sum(x, 2), softmax(g, x)}
		}),
	}
	for seed := range 80 {
		f, err := randomFunc(uint64(seed), 4+seed%20)
		require.NoError(t, err)
		fs = append(fs, f)
	}
	dims := map[string]int{"B": 5, "T": 7}
	r := rand.New(rand.NewPCG(5, 6))
	grids := 0
	for _, f := range fs {
		out, err := Lower(program(f))
		require.NoError(t, err)
		for _, k := range out.Kernels {
			if k.Grid == nil || len(k.Ints) > 0 {
				continue
			}
			grids++
			checkSplits(t, k, dims, r)
		}
	}
	require.Greater(t, grids, 100)
}

// checkSplits runs k in one piece and in several.
func checkSplits(t *testing.T, k *loop.Kernel, dims map[string]int, r *rand.Rand) {
	t.Helper()
	p, err := loop.Compile(k, dims, false)
	require.NoError(t, err)
	args := kernelArgs(t, k, dims, r)
	poisonOuts(k, args)
	require.NoError(t, p.Run(args, nil))
	want := bits(k, args)
	poisonOuts(k, args)
	for lo := 0; lo < p.Grid(); {
		hi := min(p.Grid(), lo+1+r.IntN(4))
		require.NoError(t, p.RunRange(args, nil, lo, hi))
		lo = hi
	}
	require.Equal(t, want, bits(k, args), "%v", k)
}

func kernelArgs(t *testing.T, k *loop.Kernel, dims map[string]int, r *rand.Rand) []loop.Mem {
	var args []loop.Mem
	for _, b := range k.Arguments() {
		n, err := b.Len.Eval(dims)
		require.NoError(t, err)
		m := loop.NewMem(b.Elem, n, false)
		switch m := m.(type) {
		case []float32:
			for i := range m {
				m[i] = float32(r.NormFloat64())
			}
		case []bool:
			for i := range m {
				m[i] = r.IntN(2) > 0
			}
		}
		args = append(args, m)
	}
	return args
}

// bits are those of the outputs of k.
func bits(k *loop.Kernel, args []loop.Mem) (out []uint32) {
	for i, b := range k.Arguments() {
		if !b.Out {
			continue
		}
		switch x := args[i].(type) {
		case []float32:
			for _, v := range x {
				if v != v {
					v = float32(math.NaN())
				}
				out = append(out, math.Float32bits(v))
			}
		case []int32:
			for _, v := range x {
				out = append(out, uint32(v))
			}
		case []bool:
			for _, v := range x {
				out = append(out, map[bool]uint32{true: 1}[v])
			}
		}
	}
	return out
}

func poisonOuts(k *loop.Kernel, args []loop.Mem) {
	for i, b := range k.Arguments() {
		if !b.Out {
			continue
		}
		switch x := args[i].(type) {
		case []float32:
			for j := range x {
				x[j] = float32(math.NaN())
			}
		case []int32:
			for j := range x {
				x[j] = -7777777
			}
		case []bool:
			for j := range x {
				x[j] = true
			}
		}
	}
}
