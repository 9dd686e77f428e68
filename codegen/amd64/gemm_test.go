package amd64_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/codegen/amd64"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/loop/looptest"
)

// at is the address base + Σ coef*v.
func at(off int, terms ...any) loop.Index {
	x := loop.AtDim(loop.N(off))
	for i := 0; i < len(terms); i += 2 {
		c, ok := terms[i].(loop.Dim)
		if !ok {
			c = loop.N(terms[i].(int))
		}
		x = x.Add(loop.At(terms[i+1].(*loop.Val)).Scale(c))
	}
	return x
}

// tile is tileOf a stride that is a number.
func tile(name string, rows, vectors, k, stride int) *loop.Kernel {
	return tileOf(name, rows, vectors, k, loop.N(stride))
}

// tileOf is the microkernel of a contraction: y[rows, 16*vectors] = a[rows, k] @
// b[k, 16*vectors], times times; a has rows of stride elements.
func tileOf(name string, rows, vectors, k int, stride loop.Dim) *loop.Kernel {
	b := loop.NewBuilder(name)
	b.K.Doc = "a tile of a contraction (test)"
	width := 16 * vectors
	x := b.Buffer("a", loop.F32, stride.MulN(rows-1).AddN(k), false)
	w := b.Buffer("b", loop.F32, loop.N(k*width), false)
	y := b.Buffer("y", loop.F32, loop.N(rows*width), true)
	times := b.Int("times")
	b.For("t", loop.Bound{}, loop.Bound{Val: times}, 1, nil, func(*loop.Val, []*loop.Val) []*loop.Val {
		var acc []*loop.Val
		for range rows * vectors {
			acc = append(acc, b.ConstVec(loop.F32, 0))
		}
		acc = b.For("k", loop.Bound{}, loop.Bound{Dim: loop.N(k)}, 1, acc, func(i *loop.Val, acc []*loop.Val) (next []*loop.Val) {
			var ws []*loop.Val
			for v := range vectors {
				ws = append(ws, b.LoadVec(w, at(16*v, width, i), nil))
			}
			for r := range rows {
				s := b.Do(loop.Splat, b.Load(x, at(0, 1, i).Add(loop.AtDim(stride.MulN(r)))))
				for v := range vectors {
					next = append(next, b.Do(loop.FMA, s, ws[v], acc[r*vectors+v]))
				}
			}
			return next
		})
		for i, v := range acc {
			b.StoreVec(y, loop.AtDim(loop.N(16*i)), v, nil)
		}
		return nil
	})
	return b.K
}

// transpose makes y[64, 16] of x[16, 64]; masked leaves out rows from count on.
func transpose(name string, masked bool) *loop.Kernel {
	b := loop.NewBuilder(name)
	x := b.Buffer("x", loop.F32, loop.N(16*64), false)
	y := b.Buffer("y", loop.F32, loop.N(64*16), true)
	count := b.Int("count")
	only := make([]*loop.Val, 16)
	for q := range only {
		if masked {
			only[q] = b.Do(loop.Splat, b.Do(loop.Lt, b.SizeOf(loop.N(q)), count))
		}
	}
	b.For("k", loop.Bound{}, loop.Bound{Dim: loop.N(64)}, 16, nil, func(k *loop.Val, _ []*loop.Val) []*loop.Val {
		var rows []*loop.Val
		for q := range only {
			rows = append(rows, b.LoadVec(x, at(64*q, 1, k), only[q]))
		}
		for q, v := range b.Transpose(rows) {
			b.StoreVec(y, at(16*q, 16, k), v, nil)
		}
		return nil
	})
	return b.K
}

// filled is a case with random inputs.
func filled(k *loop.Kernel, dims map[string]int, ints ...int) *looptest.Case {
	c := &looptest.Case{Kernel: k, Dims: dims, Ints: ints}
	r := rand.New(rand.NewPCG(1, 2))
	for _, b := range k.Arguments() {
		n, _ := b.Len.Eval(dims)
		in := make([]float64, n)
		for i := range in {
			in[i] = float64(float32(r.NormFloat64()))
		}
		c.Inputs = append(c.Inputs, in)
	}
	return c
}

func TestTiles(t *testing.T) {
	for _, target := range loop.Targets {
		t.Run(target.Name, func(t *testing.T) {
			if !has(target) {
				t.Skip("this machine has no " + target.Name)
			}
			var p program
			for rows := 1; rows <= 14; rows++ {
				k := tileOf(fmt.Sprintf("rows%d", rows), rows, 2, 5, loop.Sym("S"))
				p.add(t, target, filled(k, map[string]int{"S": 7}, 1))
				k = tile(fmt.Sprintf("tile%d", rows), rows, 2, 17, 17)
				p.add(t, target, filled(k, nil, 2))
			}
			p.add(t, target, filled(transpose("transpose", false), nil, 0))
			for n := range 17 {
				p.add(t, target, filled(transpose("transposeMasked", true), nil, n))
			}
			p.run(t)
		})
	}
}

// TestInnerLoopIsTight looks at the inner loops of the tiles that fill the
// registers: they move nothing, and spill nothing.
func TestInnerLoopIsTight(t *testing.T) {
	for _, c := range []struct {
		target        *loop.Target
		rows, vectors int
		want          int // instructions
	}{
		{loop.AVX512, 12, 2, 24 + 2 + 12 + 4},
		{loop.AVX512, 24, 1, 24 + 1 + 4},
		{loop.AVX2, 6, 1, 12 + 2 + 6 + 4},
	} {
		k := tile("tile", c.rows, c.vectors, 256, 256)
		assert.LessOrEqual(t, amd64.Pressure(k, c.target), c.target.Regs)
		asm, _, err := amd64.Print(k, c.target, "tile", nil)
		require.NoError(t, err)
		_, loop, ok := strings.Cut(asm, "loop_k_1:\n")
		require.True(t, ok, asm)
		loop, _, _ = strings.Cut(loop, "JLE loop_k_1\n")
		assert.NotContains(t, loop, "VMOVAPS")
		assert.NotContains(t, loop, "SP)")
		assert.Equal(t, c.want, strings.Count(loop, "\n")+1, loop)
	}
	assert.Greater(t, amd64.Pressure(tile("tile", 20, 2, 8, 8), loop.AVX512), loop.AVX512.Regs)
}

// TestTransposeSpillsNothing: on AVX2 sixteen rows do not fit in the registers,
// but eight do.
func TestTransposeSpillsNothing(t *testing.T) {
	for _, target := range loop.Targets {
		asm, _, err := amd64.Print(transpose("transpose", false), target, "transpose", nil)
		require.NoError(t, err)
		assert.NotContains(t, asm, "SP)")
	}
}
