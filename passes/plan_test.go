package passes

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// Sizes that are known only when the code runs get the plan that they would have
// got from the compiler.
func TestArena(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	sizes := []ir.Dim{n(1), n(24), n(100), symB, symB.MulN(8), symT.AddN(-1), symB.Mul(symT).MulN(3), symB.Mul(symT).AddN(5), symT.Mul(symT)}
	for range 50 {
		open, closed := newMemory(), newMemory()
		env := map[string]int{"B": 1 + r.IntN(50), "T": 1 + r.IntN(50)}
		var at [2][]*loop.Ref
		for range 2 + r.IntN(20) {
			size := sizes[r.IntN(len(sizes))]
			elems, err := size.Eval(env)
			require.NoError(t, err)
			elem, first, last, used := loop.Elem(r.IntN(3)), r.IntN(20), r.IntN(6), r.IntN(20) > 0
			for i, m := range []*memory{open, closed} {
				a := m.slot(ir.Tensor(elem, []ir.Dim{size, n(elems)}[i])).alloc
				a.first, a.last, a.touched = first, first+last, used
				if a.touched {
					ref := &loop.Ref{Elem: elem}
					at[i] = append(at[i], ref)
					m.refs = append(m.refs, pending{ref, a})
				}
			}
		}
		var procs [2]loop.Proc
		require.NoError(t, open.arena(&procs[0]))
		require.NoError(t, closed.arena(&procs[1]))
		plan, err := procs[0].Plan(env)
		require.NoError(t, err)
		require.Equal(t, procs[1].Arena, plan.Need)
		for i, ref := range at[0] {
			if procs[0].Slots != nil {
				ref.Off = ref.Off.AddN(plan.At[ref.Slot-1])
			}
			require.Equal(t, at[1][i].Off, ref.Off)
		}
	}
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
