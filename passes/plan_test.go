package passes

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// Slots that are needed at the same time do not overlap, whatever the sizes.
func TestArena(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	sizes := []ir.Dim{n(1), n(24), n(100), symB, symB.MulN(8), symT.AddN(-1), symB.Mul(symT).MulN(3), symB.Mul(symT).AddN(5), symT.Mul(symT)}
	for range 100 {
		m := newMemory()
		for range 2 + r.IntN(20) {
			a := m.slot(ir.Tensor(loop.Elem(r.IntN(2)), sizes[r.IntN(len(sizes))])).alloc
			a.first = r.IntN(20)
			a.last, a.touched = a.first+r.IntN(6), true
		}
		need := m.arena()
		for _, env := range []map[string]int{{"B": 1, "T": 1}, {"B": 1, "T": 50}, {"B": 50, "T": 1}, {"B": 7, "T": 9}} {
			at := func(d ir.Dim) int {
				x, err := d.Eval(env)
				require.NoError(t, err)
				return x
			}
			for i, a := range m.allocs {
				require.GreaterOrEqual(t, at(a.off), 0)
				require.LessOrEqual(t, at(a.off)+at(a.size), at(need[a.elem]))
				for _, b := range m.allocs[:i] {
					if a.elem == b.elem && a.first <= b.last && b.first <= a.last {
						require.True(t, at(a.off)+at(a.size) <= at(b.off) || at(b.off)+at(b.size) <= at(a.off), "%v: %v+%v, %v+%v", env, a.off, a.size, b.off, b.size)
					}
				}
			}
		}
	}
}

func TestArenaShares(t *testing.T) {
	m := newMemory()
	for i, size := range []ir.Dim{symB.MulN(64), symB.MulN(64), symB.MulN(32), symB.MulN(64)} {
		a := m.slot(ir.Tensor(ir.F32, size)).alloc
		a.first, a.last, a.touched = i, i+1, true
	}
	require.Equal(t, "128*B", m.arena()[ir.F32].String(), "a chain needs two slots")
}

func TestPlaceReshaped(t *testing.T) {
	whole := newMemory().slot(f32("B", 3, 4, 5))
	part := whole.parts(dimsOf("B", 3, 4, 5), 1, dimsOf(1, 2))[1] // [B, 2, 4, 5] in rows of 60
	for _, c := range []struct {
		to   []ir.Dim
		want string
	}{
		{dimsOf("B", 8, 5), "[60, 5, 1]"},
		{dimsOf("B", 40), "[60, 1]"},
		{dimsOf("B", 2, 2, 2, 1, 5), "[60, 20, 10, 5, 0, 1]"},
		{dimsOf(40, "B"), ""},
		{[]ir.Dim{symB.MulN(40)}, ""},
	} {
		q, ok := part.reshaped(dimsOf("B", 2, 4, 5), c.to)
		got := ""
		if ok {
			got = ir.ShapeString(q.strides)
		}
		require.Equal(t, c.want, got, fmt.Sprint(c.to))
	}
}
