package amd64_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/lmc-lang/lmc/codegen/amd64"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/loop/looptest"
)

// gatherRows is y[i] = x[ids[i]], rows of 16 elements.
func gatherRows() *loop.Kernel {
	b := loop.NewBuilder("gatherRows")
	x, ids := b.Buffer("x", loop.F32, loop.Sym("N").MulN(16), false), b.Buffer("ids", loop.I32, loop.Sym("B"), false)
	y := b.Buffer("y", loop.F32, loop.Sym("B").MulN(16), true)
	b.Range("i", loop.Sym("B"), func(i *loop.Val) {
		id := b.Do(loop.Check, b.ConvertTo(loop.Int, b.Load(ids, loop.At(i))), b.SizeOf(loop.Sym("N")))
		b.StoreVec(y, at(0, 16, i), b.LoadVec(x, at(0, 16, id), nil), nil)
	})
	return b.K
}

// divide is y[0] = floor(a/b), y[1] = its remainder, and what dims and numbers
// make of them.
func divide() *loop.Kernel {
	b := loop.NewBuilder("divide")
	n := loop.Sym("N")
	y := b.Buffer("y", loop.I32, loop.N(8), true)
	p, q := b.Int("p"), b.Int("q")
	for i, v := range []*loop.Val{
		b.Do(loop.Div, p, q), b.Do(loop.Mod, p, q),
		b.SizeOf(n.FloorDiv(loop.N(3)).AddN(1)), b.SizeOf(n.AddN(-40).FloorDiv(loop.N(16))), b.SizeOf(n.Mul(n).FloorDiv(n.AddN(1))),
		b.Do(loop.Div, p, b.Const(loop.Int, 7)), b.Do(loop.Mod, p, b.Const(loop.Int, 48)), b.Do(loop.Div, p, b.Const(loop.Int, 1)),
	} {
		b.Store(y, loop.AtDim(loop.N(i)), b.ConvertTo(loop.I32, v))
	}
	return b.K
}

func TestFaults(t *testing.T) {
	assert.True(t, amd64.Faults(gatherRows()))
	assert.True(t, amd64.Faults(divide()))
	assert.False(t, amd64.Faults(tile("tile", 2, 2, 4, 4)))
	for _, target := range loop.Targets {
		t.Run(target.Name, func(t *testing.T) {
			if !has(target) {
				t.Skip("this machine has no " + target.Name)
			}
			p := program{faults: map[int][2]int{}}
			x := make([]float64, 5*16)
			for i := range x {
				x[i] = float64(i)
			}
			rows := func(ids ...float64) *looptest.Case {
				return &looptest.Case{Kernel: gatherRows(), Dims: map[string]int{"N": 5, "B": 3}, Inputs: [][]float64{x, ids, make([]float64, 48)}}
			}
			p.add(t, target, rows(4, 0, 3))
			fault := func(c *looptest.Case, bad, n int) {
				p.addFault(t, target, c)
				p.faults[len(p.calls)-1] = [2]int{bad, n}
			}
			fault(rows(4, 5, 3), 5, 5)
			fault(rows(4, 0, -1), -1, 5)
			for _, n := range []int{0, 1, 2, 40, 47, 100} {
				for _, pq := range [][2]int{{7, 2}, {-7, 2}, {7, -2}, {-7, -2}, {6, 3}, {-6, 3}, {0, 5}, {1 << 30, 1}, {-1, 1 << 20}, {-49, 7}, {-48, -1}} {
					p.add(t, target, &looptest.Case{Kernel: divide(), Dims: map[string]int{"N": n}, Ints: pq[:], Inputs: [][]float64{make([]float64, 8)}}, call{})
				}
			}
			fault(&looptest.Case{Kernel: divide(), Dims: map[string]int{"N": 1}, Ints: []int{9, 0}, Inputs: [][]float64{make([]float64, 8)}}, 9, -1)
			p.run(t)
		})
	}
}
