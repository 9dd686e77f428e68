package amd64_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/codegen/amd64"
	"github.com/lmc-lang/lmc/ir/loop"
)

// finished is y[count*rows, width] = a[count*rows, k] @ b[k, 16] + bias[16] +
// more[count*rows, width], in the first 16 columns of width, by way of local memory.
func finished(name string, rows, k int, width loop.Dim) *loop.Kernel {
	b := loop.NewBuilder(name)
	count := loop.Sym("C")
	x := b.Buffer("a", loop.F32, count.MulN(rows*k), false)
	w := b.Buffer("b", loop.F32, loop.N(16*k), false)
	bias := b.Buffer("bias", loop.F32, loop.N(16), false)
	more := b.Buffer("more", loop.F32, count.MulN(rows).Mul(width), false)
	y := b.Buffer("y", loop.F32, count.MulN(rows).Mul(width), true)
	sums := b.Local("sums", loop.F32, loop.N(16*rows))
	b.For("t", loop.Bound{}, loop.Bound{Dim: count}, 1, nil, func(t *loop.Val, _ []*loop.Val) []*loop.Val {
		var acc []*loop.Val
		for range rows {
			acc = append(acc, b.ConstVec(loop.F32, 0))
		}
		acc = b.For("k", loop.Bound{}, loop.Bound{Dim: loop.N(k)}, 1, acc, func(i *loop.Val, acc []*loop.Val) (next []*loop.Val) {
			v := b.LoadVec(w, at(0, 16, i), nil)
			for r := range rows {
				s := b.Do(loop.Splat, b.Load(x, at(r*k, rows*k, t, 1, i)))
				next = append(next, b.Do(loop.FMA, s, v, acc[r]))
			}
			return next
		})
		for r, v := range acc {
			b.StoreVec(sums, loop.AtDim(loop.N(16*r)), v, nil)
		}
		b.For("row", loop.Bound{}, loop.Bound{Dim: loop.N(rows)}, 1, nil, func(r *loop.Val, _ []*loop.Val) []*loop.Val {
			v := b.Do(loop.Add, b.LoadVec(sums, at(0, 16, r), nil), b.LoadVec(bias, loop.Index{}, nil))
			here := at(0, width.MulN(rows), t, width, r)
			b.StoreVec(y, here, b.Do(loop.Add, v, b.LoadVec(more, here, nil)), nil)
			return nil
		})
		return nil
	})
	return b.K
}

// TestAhead: rows that are read after a long enough loop over sums are asked for
// before it, each once; no operands of the sums, nothing that is the same for
// all rows, and no local memory.
func TestAhead(t *testing.T) {
	for _, target := range loop.Targets {
		t.Run(target.Name, func(t *testing.T) {
			var p program
			dims := map[string]int{"C": 3, "W": 5}
			for i, c := range []struct {
				rows, k int
				width   loop.Dim
				want    int
			}{
				{6, 40, loop.N(48), 6},
				{6, 4, loop.N(48), 0},              // too short
				{3, 40, loop.N(48), 0},             // no tile
				{6, 40, loop.Sym("W").AddN(16), 0}, // at a distance that is not known
			} {
				k := finished(fmt.Sprint("finished", i), c.rows, c.k, c.width)
				asm, _, err := amd64.Print(k, target, k.Name, syms(k, dims))
				require.NoError(t, err)
				before, after, ok := strings.Cut(asm, "\n\t// for %k")
				require.True(t, ok)
				assert.Equal(t, c.want, strings.Count(before, "PREFETCHT0"), asm)
				assert.NotContains(t, after, "PREFETCHT0")
				if has(target) {
					p.add(t, target, filled(k, dims))
				}
			}
			if has(target) {
				p.run(t)
			}
		})
	}
}
