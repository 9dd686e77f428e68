package passes

import (
	"slices"

	"github.com/lmc-lang/lmc/ir/loop"
)

// allSums is the sums of t, for all summed letters at once. Few sums have to wait
// for each other at every step: they are made of several that do not.
func (g *gemm) allSums(t rowTile) []*loop.Val {
	var acc []*loop.Val
	for range g.chains() {
		acc = append(acc, g.zeros(t)...)
	}
	acc = g.sumTile(t, acc)
	for n := g.chains() / 2; n > 0; n /= 2 {
		half := len(acc) / 2
		for i := range half {
			acc[i] = g.Do(loop.Add, acc[i], acc[half+i])
		}
		acc = acc[:half]
	}
	return acc
}

// chains is how many sums each element is made of, on every target: chain k has
// the products k, k + chains, … .
func (g *gemm) chains() int {
	last := constant(g.extent(g.sums[len(g.sums)-1]))
	if n := g.count(g.sums); n == unknown || n < 8*sumsUnrolled || len(g.sums) > 1 && last%sumsUnrolled != 0 {
		return 1
	}
	n := 1
	for 2*n*g.count(g.rows)*constant(ceil(g.extent(g.col), loop.Lanes)) <= sumsUnrolled {
		n *= 2
	}
	return n
}

const sumsUnrolled = 4 // products of each element in an iteration

// sumTile adds the products of all summed letters to the sums of t, of which acc
// may have several copies that take turns.
func (g *gemm) sumTile(t rowTile, acc []*loop.Val) []*loop.Val {
	return g.overSums(sumsUnrolled, acc, g.asksBeside(t), func(acc []*loop.Val) []*loop.Val {
		vectors := make([]*loop.Val, len(g.masks))
		for v, mask := range g.masks {
			if t.first {
				vectors[v] = g.copied(v, mask)
			} else {
				vectors[v] = g.vectorAt(v, mask)
			}
		}
		next := make([]*loop.Val, t.rows()*len(vectors))
		for j := range t.rows() {
			g.set(t, j)
			x := g.Do(loop.Splat, g.scalarAt(t.local.Add(loop.AtDim(loop.N(j)))))
			for v, y := range vectors {
				i := j*len(vectors) + v
				next[i] = g.Do(loop.FMA, x, y, acc[i])
			}
		}
		return append(slices.Clone(acc[len(next):]), next...)
	})
}

// copied is vectorAt for the first tile of a piece, which copies the panel in
// passing: it waits for memory while it multiplies.
func (g *gemm) copied(v int, mask *loop.Val) *loop.Val {
	g.at[g.col] = g.lo.Add(loop.AtDim(loop.N(v * loop.Lanes)))
	buf, at := g.operand[g.vector].buf, g.address(g.vector)
	if ahead := g.ahead(); mask == nil && ahead < unknown {
		g.Prefetch(buf, at.Add(loop.AtDim(loop.N(ahead))))
	}
	x := g.LoadVec(buf, at, mask)
	g.StoreVec(g.panel, g.inPanel(loop.N(v*loop.Lanes)), x, nil)
	return x
}

// ahead is how far from a row of the vector operand the one is that will be needed
// at least aheadSums sums later, or unknown.
func (g *gemm) ahead() int {
	last := len(g.sums) - 1
	n := aheadSums
	for ; last > 0 && constant(g.extent(g.sums[last])) <= 4*aheadSums; last-- {
		n = (n-1)/constant(g.extent(g.sums[last])) + 1
	}
	if row := constant(g.stride(g.vector, g.sums[last])); row < unknown/n {
		return n * row
	}
	return unknown
}

// vectorAt loads vector v of the columns for the current summed letters.
func (g *gemm) vectorAt(v int, mask *loop.Val) *loop.Val {
	if g.panel != nil {
		return g.LoadVec(g.panel, g.inPanel(loop.N(v*loop.Lanes)), nil)
	}
	g.at[g.col] = g.lo.Add(loop.AtDim(loop.N(v * loop.Lanes)))
	if mask == nil {
		g.askInPlace(v)
	}
	return g.LoadVec(g.operand[g.vector].buf, g.address(g.vector), mask)
}

// scalarAt loads the scalar operand for the current letters; row is its number
// in the piece.
func (g *gemm) scalarAt(row loop.Index) *loop.Val {
	if g.inside {
		return g.unguarded()
	}
	if g.packed == nil {
		return g.Load(g.operand[1-g.vector].buf, g.address(1-g.vector))
	}
	return g.Load(g.packed, g.inPacked(row))
}

// inPanel is the place in the panel of a column for the current summed letters.
func (g *gemm) inPanel(column loop.Dim) loop.Index {
	return g.sumIndex().Scale(loop.N(g.width())).Add(g.base).Add(loop.AtDim(column))
}

// sumIndex is the number of the current sum in the panel.
func (g *gemm) sumIndex() loop.Index {
	row := g.flat(g.sums[0])
	if g.from != nil {
		row = row.Add(loop.At(g.from).Scale(loop.N(-1)))
	}
	for _, r := range g.sums[1:] {
		row = row.Scale(g.extent(r)).Add(g.flat(r))
	}
	return row
}

// overSums runs body for all summed letters of the panel in order, unrolled
// along the last one; beside, if it is not nil, once for each unrolled step.
func (g *gemm) overSums(unroll int, acc []*loop.Val, beside func(), body func(acc []*loop.Val) []*loop.Val) []*loop.Val {
	var rec func(i int, acc []*loop.Val) []*loop.Val
	rec = func(i int, acc []*loop.Val) []*loop.Val {
		r := g.sums[i]
		from, to := g.sumRange(i)
		if i < len(g.sums)-1 {
			return g.For(letterName(r), from, to, 1, acc, func(k *loop.Val, phi []*loop.Val) []*loop.Val {
				g.at[r] = loop.At(k)
				return rec(i+1, phi)
			})
		}
		several := func(at loop.Index, n int, acc []*loop.Val) []*loop.Val {
			if g.at[r] = at; beside != nil && n == unroll {
				beside()
			}
			for k := range n {
				g.at[r] = at.Add(loop.AtDim(loop.N(k)))
				acc = body(acc)
			}
			return acc
		}
		size, known := to.Dim.Const()
		known = known && from.Val == nil && to.Val == nil
		if known && size <= unroll {
			return several(loop.Index{}, size, acc)
		}
		var after *loop.Val
		acc = g.steps(letterName(r), from, to, unroll, acc, &after, func(k *loop.Val, phi []*loop.Val) []*loop.Val {
			return several(loop.At(k), unroll, phi)
		})
		if known && size%unroll == 0 {
			return acc
		}
		if known {
			return several(loop.AtDim(loop.N(size-size%unroll)), size%unroll, acc)
		}
		return g.For(letterName(r), loop.Bound{Val: after}, to, 1, acc, func(k *loop.Val, phi []*loop.Val) []*loop.Val {
			return several(loop.At(k), 1, phi)
		})
	}
	return rec(0, acc)
}

// sumRange is the range of summed letter i in the panel.
func (g *gemm) sumRange(i int) (from, to loop.Bound) {
	if i > 0 {
		return loop.Bound{}, loop.Bound{Dim: g.extent(g.sums[i])}
	}
	return loop.Bound{Val: g.from}, g.to
}

// dots is the contraction for few rows where both operands are contiguous along
// the last summed letter: sums of vectors along it, added up at the end.
func (g *gemm) dots() {
	span := g.target.Span()
	g.rowTiles4(func(t rowTile) {
		n := max(1, 8/(span*t.rows()))
		columns := func(j *loop.Val, n int) {
			acc := make([]*loop.Val, t.rows()*n)
			for i := range acc {
				acc[i] = g.ConstVec(loop.F32, 0)
			}
			for i, x := range g.overVectors(acc, func(mask *loop.Val, acc []*loop.Val) []*loop.Val {
				ys := make([]*loop.Val, n)
				for c := range ys {
					g.at[g.col] = g.lo.Add(loop.At(j)).Add(loop.AtDim(loop.N(c)))
					ys[c] = g.LoadVec(g.operand[g.vector].buf, g.address(g.vector), mask)
				}
				next := make([]*loop.Val, len(acc))
				for r := range t.rows() {
					g.set(t, r)
					x := g.LoadVec(g.operand[1-g.vector].buf, g.address(1-g.vector), mask)
					for c, y := range ys {
						next[r*n+c] = g.Do(loop.FMA, x, y, acc[r*n+c])
					}
				}
				return next
			}) {
				row := t.local.Add(loop.AtDim(loop.N(i / n)))
				g.Store(g.tile, g.inTile(row, loop.At(j).Add(loop.AtDim(loop.N(i%n)))), g.Do(loop.AddAcross, x))
			}
		}
		var after *loop.Val
		g.steps("j", loop.Bound{}, g.columns, n, nil, &after, func(j *loop.Val, _ []*loop.Val) []*loop.Val {
			columns(j, n)
			return nil
		})
		if c, ok := g.columns.Dim.Const(); n > 1 && !(g.columns.Val == nil && ok && c%n == 0) {
			g.For("j", loop.Bound{Val: after}, g.columns, 1, nil, func(j *loop.Val, _ []*loop.Val) []*loop.Val {
				columns(j, 1)
				return nil
			})
		}
	})
	g.rowTiles4(func(t rowTile) { g.follows(t, t.local) })
}

// rowTiles4 is rowTiles with tiles of few rows.
func (g *gemm) rowTiles4(body func(t rowTile)) {
	rows := g.shape.rows
	g.shape.rows = min(rows, 4)
	g.rowTiles(false, body)
	g.shape.rows = rows
}

// overVectors runs body for all summed letters, the last one by vectors.
func (g *gemm) overVectors(acc []*loop.Val, body func(mask *loop.Val, acc []*loop.Val) []*loop.Val) []*loop.Val {
	var rec func(i int, acc []*loop.Val) []*loop.Val
	rec = func(i int, acc []*loop.Val) []*loop.Val {
		r := g.sums[i]
		from, to := g.sumRange(i)
		if i < len(g.sums)-1 {
			return g.For(letterName(r), from, to, 1, acc, func(k *loop.Val, phi []*loop.Val) []*loop.Val {
				g.at[r] = loop.At(k)
				return rec(i+1, phi)
			})
		}
		var after *loop.Val
		acc = g.steps(letterName(r), from, to, loop.Lanes, acc, &after, func(k *loop.Val, phi []*loop.Val) []*loop.Val {
			g.at[r] = loop.At(k)
			return body(nil, phi)
		})
		if c, ok := to.Dim.Const(); ok && c%loop.Lanes == 0 {
			return acc
		}
		g.at[r] = loop.At(after)
		return body(g.Do(loop.First, g.Do(loop.Sub, g.SizeOf(to.Dim), after)), acc)
	}
	return rec(0, acc)
}
