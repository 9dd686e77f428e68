package compile

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/lmc-lang/lmc/ir/loop"
)

func TestScaling(t *testing.T) {
	kernel := func(name string, flops, bytes, pieces int) *loop.Call {
		k := &loop.Kernel{Name: name, Cost: loop.Cost{FLOPs: loop.N(flops), Bytes: loop.N(bytes)}}
		if pieces > 0 {
			k.Grid = &loop.Grid{N: loop.N(pieces), Grain: loop.N(2)}
		}
		return &loop.Call{Kernel: k}
	}
	speedups := func(calls ...loop.Step) (out []float64, worst string) {
		body := &loop.Proc{Steps: calls}
		s := scalingOf(&loop.Proc{Steps: []loop.Step{&loop.Loop{N: loop.Sym("L"), Body: body}}}, []int{1, 2, 8, 64}, 3)
		for _, x := range s.time[1:] {
			out = append(out, s.time[0]/x)
		}
		return out, s.worst()
	}
	near := func(what string, want ...float64) func([]float64, string) {
		return func(got []float64, _ string) {
			t.Helper()
			assert.InDeltaSlice(t, want, got, 0.05, what)
		}
	}
	near("chunks enough", 2, 8, 64)(speedups(kernel("k", 3e9, 0, 12800)))
	near("ten chunks", 2, 5, 10)(speedups(kernel("k", 3e9, 0, 20)))
	near("one chunk", 1, 1, 1)(speedups(kernel("k", 3e9, 0, 2)))
	near("no grid", 1, 1, 1)(speedups(kernel("k", 3e9, 0, 0)))
	near("memory", 2, 8, 8)(speedups(kernel("k", 0, 1e9, 12800)))
	near("hardly worth a dispatch", 0.91, 1.25, 1.43)(speedups(kernel("k", 1000, 0, 20)))
	got, worst := speedups(kernel("wide", 3e9, 0, 12800), kernel("serial", 3e8, 0, 0))
	near("a serial kernel", 1.83, 4.89, 9.51)(got, "")
	assert.Equal(t, "serial", worst)
}
