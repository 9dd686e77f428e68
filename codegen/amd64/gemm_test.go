package amd64_test

import (
	"github.com/lmc-lang/lmc/ir/loop"
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

// tile is the microkernel of a contraction: y[rows, 16*vectors] = a[rows, k] @
// b[k, 16*vectors], times times; a has rows of stride elements.
func tile(name string, rows, vectors, k, stride int) *loop.Kernel {
	b := loop.NewBuilder(name)
	b.K.Doc = "a tile of a contraction (test)"
	width := 16 * vectors
	x := b.Buffer("a", loop.F32, loop.N((rows-1)*stride+k), false)
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
				s := b.Do(loop.Splat, b.Load(x, at(r*stride, 1, i)))
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
