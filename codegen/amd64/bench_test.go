package amd64_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/codegen/amd64"
	"github.com/lmc-lang/lmc/ir/loop"
)

// peak is a loop that only multiplies and adds in registers.
func peak(name string, registers int) *loop.Kernel {
	b := loop.NewBuilder(name)
	x := b.Buffer("x", loop.F32, loop.N(32), false)
	y := b.Buffer("y", loop.F32, loop.N(16*registers), true)
	n := b.Int("times")
	p, q := b.LoadVec(x, loop.AtDim(loop.N(0)), nil), b.LoadVec(x, loop.AtDim(loop.N(16)), nil)
	var acc []*loop.Val
	for range registers {
		acc = append(acc, b.ConstVec(loop.F32, 0))
	}
	acc = b.For("i", loop.Bound{}, loop.Bound{Val: n}, 1, acc, func(_ *loop.Val, acc []*loop.Val) (next []*loop.Val) {
		for range 4 {
			next = nil
			for _, a := range acc {
				next = append(next, b.Do(loop.FMA, p, q, a))
			}
			acc = next
		}
		return next
	})
	for i, a := range acc {
		b.StoreVec(y, loop.AtDim(loop.N(16*i)), a, nil)
	}
	return b.K
}

// BenchmarkTiles times the tiles of contractions beside the peak of the
// machine. It prints billions of operations per second, the best of several
// runs that take turns.
func BenchmarkTiles(b *testing.B) {
	const k = 256
	var p program
	var mains strings.Builder
	add := func(target *loop.Target, kernel *loop.Kernel, flops int) {
		if !has(target) {
			return
		}
		name := kernel.Name
		asm, stub, err := amd64.Print(kernel, target, name, nil)
		require.NoError(b, err)
		p.asm.WriteString(asm + "\n")
		p.stubs.WriteString(stub + "\n")
		var make, args strings.Builder
		for i := range kernel.Bufs {
			fmt.Fprintf(&make, "b%d := buf(); ", i)
			fmt.Fprintf(&args, "b%d, ", i)
		}
		fmt.Fprintf(&mains, "\t{%q, %d, func() func(n int) { %s return func(n int) { %s(%sn) } }()},\n", name, flops, &make, name, &args)
	}
	add(loop.AVX512, peak("peak512", 12), 2*12*16*4)
	add(loop.AVX512, tile("tile512_12x32", 12, 2, k, k), 2*12*32*k)
	add(loop.AVX512, tile("tile512_16x16", 16, 1, k, k), 2*16*16*k)
	add(loop.AVX2, peak("peak256", 6), 2*6*16*4)
	add(loop.AVX2, tile("tile256_6x16", 6, 1, k, k), 2*6*16*k)
	exe := p.build(b, `package main

import (
	"fmt"
	"time"
)

func buf() []float32 { return make([]float32, 1<<16) }

var kernels = []struct {
	name  string
	flops int
	run   func(n int)
}{
`+mains.String()+`}

func main() {
	best := make([]float64, len(kernels))
	for range 40 {
		for i, k := range kernels {
			n := 40_000_000 / k.flops
			start := time.Now()
			k.run(n)
			best[i] = max(best[i], float64(n*k.flops)/float64(time.Since(start).Nanoseconds()))
		}
	}
	for i, k := range kernels {
		fmt.Printf("%-16s %6.1f GFLOP/s\n", k.name, best[i])
	}
}
`)
	out, err := exec.Command(exe).CombinedOutput()
	require.NoError(b, err, "%s", out)
	b.Logf("\n%s", out)
}
