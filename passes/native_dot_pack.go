package passes

import (
	"github.com/lmc-lang/lmc/ir/loop"
)

// inPacked is the place in the packed rows for the current summed letters.
func (g *gemm) inPacked(row loop.Index) loop.Index {
	if g.sumsInner() {
		return row.Scale(loop.N(g.packedRow())).Add(g.sumIndex())
	}
	return g.sumIndex().Scale(loop.N(g.pieceRows())).Add(row)
}

// packedRow is the distance of packed rows: no multiple of a page, so that the
// rows of a tile are in different lines of level 1.
func (g *gemm) packedRow() int {
	n := (g.panelLen() + loop.Lanes - 1) / loop.Lanes
	return (n | 1) * loop.Lanes
}

// packedLen is the size of the memory of so many packed rows.
func (g *gemm) packedLen(rows int) int {
	if g.sumsInner() {
		return rows * g.packedRow()
	}
	return rows * g.panelLen()
}

// sumsInner reports whether the innermost letter of the scalar operand is
// summed.
func (g *gemm) sumsInner() bool {
	letters := []string{g.spec.X, g.spec.Y}[1-g.vector]
	inner := false
	for _, r := range letters {
		if !g.partExtent(r).Is(1) {
			inner = containsRune(g.spec.Summed(), r)
		}
	}
	return inner
}

// packRows computes the scalar operand for all rows and sums of the piece.
func (g *gemm) packRows() {
	element := func() {
		g.Store(g.packed, g.inPacked(g.rowIndex()), g.operandAt(1-g.vector))
	}
	apart := g.operand[1-g.vector].computed
	if !apart {
		element = func() {
			g.Store(g.packed, g.inPacked(g.rowIndex()), g.Load(g.operand[1-g.vector].buf, g.address(1-g.vector)))
		}
	}
	if g.sumsInner() {
		g.eachRow(apart, func() { g.eachSum(apart, element) })
		return
	}
	g.eachSum(apart, func() { g.eachRow(apart, element) })
}

// operandAt computes an operand for the current letters, in which joined ones
// have been taken apart.
func (g *gemm) operandAt(i int) *loop.Val { return g.pull(g.p.dot.Args[i], g.index(i)) }

// rowIndex is the number of the current row in the piece.
func (g *gemm) rowIndex() loop.Index {
	var row loop.Index
	for i, r := range g.shape.inside {
		at := g.flat(r)
		if i == 0 && g.shape.block > 0 {
			at = at.Add(loop.At(g.block).Scale(loop.N(-g.shape.block)))
		}
		row = row.Scale(g.extent(r)).Add(at)
	}
	return row
}

// flat is the index of a joined letter from those of its parts.
func (g *gemm) flat(r rune) loop.Index {
	var at loop.Index
	for _, p := range g.parts[r] {
		at = at.Scale(g.partExtent(p)).Add(g.at[p])
	}
	return at
}

// eachRow runs body for the rows of the piece, with joined letters taken apart if
// apart is set.
func (g *gemm) eachRow(apart bool, body func()) {
	in := g.shape.inside
	var rec func(i int)
	rec = func(i int) {
		if i == len(in) {
			body()
			return
		}
		from, to, multiple := loop.Bound{}, loop.Bound{Dim: g.extent(in[i])}, 0
		if i == 0 && g.shape.block > 0 {
			from, to = g.blockRange(in[0])
			multiple = g.shape.block
		}
		g.each(apart, in[i], from, to, multiple, func() { rec(i + 1) })
	}
	rec(0)
}

// eachSum is eachRow for the summed letters of the panel.
func (g *gemm) eachSum(apart bool, body func()) {
	var rec func(i int)
	rec = func(i int) {
		if i == len(g.sums) {
			body()
			return
		}
		from, to := g.sumRange(i)
		multiple := 0
		if from.Val != nil {
			multiple = g.shape.sums
		}
		g.each(apart, g.sums[i], from, to, multiple, func() { rec(i + 1) })
	}
	rec(0)
}

// each runs body for a range of the letter r.
func (g *gemm) each(apart bool, r rune, from, to loop.Bound, multiple int, body func()) {
	if apart {
		g.apart(r, from, to, multiple, body)
		return
	}
	g.For(letterName(r), from, to, 1, nil, func(x *loop.Val, _ []*loop.Val) []*loop.Val {
		g.at[r] = loop.At(x)
		body()
		return nil
	})
}

// apart runs body for a range of the joined letter r, with the letters that it
// stands for set. If the range is part of all, it begins at a multiple of
// multiple.
func (g *gemm) apart(r rune, from, to loop.Bound, multiple int, body func()) {
	parts := g.parts[r]
	last := parts[len(parts)-1]
	saved := g.at[r]
	defer func() {
		for _, p := range parts {
			g.at[p] = loop.Index{}
		}
		g.at[r] = saved
	}()
	n := constant(g.partExtent(last))
	decode := func(x *loop.Val, parts []rune) {
		for i := len(parts) - 1; i >= 0; i-- {
			if i == 0 {
				g.at[parts[0]] = loop.At(x)
				break
			}
			size := g.SizeOf(g.partExtent(parts[i]))
			g.at[parts[i]] = loop.At(g.Do(loop.Mod, x, size))
			x = g.Do(loop.Div, x, size)
		}
	}
	switch {
	case multiple == 0:
		g.nestParts(parts, body)
	case len(parts) > 1 && n < unknown && n%multiple == 0: // inside of one run of the innermost part
		size := g.SizeOf(loop.N(n))
		decode(g.Do(loop.Div, from.Val, size), parts[:len(parts)-1])
		lo := g.Do(loop.Mod, from.Val, size)
		g.Range(letterName(last), loop.N(multiple), func(i *loop.Val) {
			g.at[last] = loop.At(lo).Add(loop.At(i))
			body()
		})
	case len(parts) == 1 || multiple%n != 0:
		g.For(letterName(r), from, to, 1, nil, func(x *loop.Val, _ []*loop.Val) []*loop.Val {
			decode(x, parts)
			body()
			return nil
		})
	default: // whole runs of the innermost part
		size := g.SizeOf(loop.N(n))
		lo, hi := g.Do(loop.Div, from.Val, size), g.Do(loop.Div, to.Val, size)
		g.For(letterName(r), loop.Bound{Val: lo}, loop.Bound{Val: hi}, 1, nil, func(x *loop.Val, _ []*loop.Val) []*loop.Val {
			decode(x, parts[:len(parts)-1])
			g.Range(letterName(last), loop.N(n), func(i *loop.Val) {
				g.at[last] = loop.At(i)
				body()
			})
			return nil
		})
	}
}

// nestParts runs body for all indices of letters before they were joined.
func (g *gemm) nestParts(parts []rune, body func()) {
	if len(parts) == 0 {
		body()
		return
	}
	g.Range(letterName(parts[0]), g.partExtent(parts[0]), func(i *loop.Val) {
		g.at[parts[0]] = loop.At(i)
		g.nestParts(parts[1:], body)
	})
}

// pack copies the columns of the piece into the panel, rows of sums one after
// the other.
func (g *gemm) pack() {
	last := len(g.sums) - 1
	if !g.contiguous(g.col) && g.contiguous(g.sums[last]) {
		g.transpose()
		return
	}
	if !g.contiguous(g.col) {
		g.eachSum(true, func() {
			g.For("j", loop.Bound{}, g.columns, 1, nil, func(j *loop.Val, _ []*loop.Val) []*loop.Val {
				g.at[g.col] = g.lo.Add(loop.At(j))
				g.Store(g.panel, g.inPanel(loop.Dim{}).Add(loop.At(j)), g.operandAt(g.vector))
				return nil
			})
		})
		return
	}
	g.overSums(1, nil, nil, func([]*loop.Val) []*loop.Val {
		for v, mask := range g.masks {
			g.at[g.col] = g.lo.Add(loop.AtDim(loop.N(v * loop.Lanes)))
			g.StoreVec(g.panel, g.inPanel(loop.N(v*loop.Lanes)), g.LoadVec(g.operand[g.vector].buf, g.address(g.vector), mask), nil)
		}
		return nil
	})
}

// transpose is pack for an operand in which the last summed letter is
// contiguous: blocks of 16 columns and 16 sums, transposed in registers.
func (g *gemm) transpose() {
	last := len(g.sums) - 1
	var rec func(i int)
	rec = func(i int) {
		r := g.sums[i]
		from, to := g.sumRange(i)
		if i < last {
			g.For(letterName(r), from, to, 1, nil, func(k *loop.Val, _ []*loop.Val) []*loop.Val {
				g.at[r] = loop.At(k)
				rec(i + 1)
				return nil
			})
			return
		}
		block := func(at loop.Index, mask *loop.Val) {
			for v, columns := range g.masks {
				g.at[r] = at
				g.storeTransposed(at, v, g.transposed(v, columns, mask))
			}
		}
		var after *loop.Val
		g.steps(letterName(r), from, to, loop.Lanes, nil, &after, func(k *loop.Val, _ []*loop.Val) []*loop.Val {
			block(loop.At(k), nil)
			return nil
		})
		if c, ok := to.Dim.Const(); ok && from.Val == nil && to.Val == nil && c%loop.Lanes == 0 {
			return
		}
		end := to.Val
		if end == nil {
			end = g.SizeOf(to.Dim)
		}
		rest := g.Do(loop.Sub, end, after)
		// Where nothing is left this does no harm: the rows are not touched.
		block(loop.At(after), g.Do(loop.First, rest))
	}
	rec(0)
}

// transposed loads 16 columns along the sums and transposes them. Columns that
// do not exist, and sums that mask leaves out, are 0.
func (g *gemm) transposed(v int, columns, mask *loop.Val) []*loop.Val {
	rows := make([]*loop.Val, loop.Lanes)
	for q := range rows {
		column := loop.AtDim(loop.N(v*loop.Lanes + q))
		only := mask
		if columns != nil {
			here := g.columns.Val
			if here == nil {
				here = g.SizeOf(g.columns.Dim)
			}
			if n, ok := g.columns.Dim.Const(); ok && g.columns.Val == nil && v*loop.Lanes+q >= n {
				rows[q] = g.ConstVec(loop.F32, 0)
				continue
			} else if !ok || g.columns.Val != nil {
				exists := g.Do(loop.Splat, g.Do(loop.Lt, g.SizeOf(column.Off), here))
				if only == nil {
					only = exists
				} else {
					only = g.Do(loop.And, only, exists)
				}
			}
		}
		g.at[g.col] = g.lo.Add(column)
		rows[q] = g.LoadVec(g.operand[g.vector].buf, g.address(g.vector), only)
	}
	return g.Transpose(rows)
}

// storeTransposed writes rows of the panel. The panel has room for rows behind
// its end; those of the next index of an outer letter are written later.
func (g *gemm) storeTransposed(at loop.Index, v int, rows []*loop.Val) {
	r := g.sums[len(g.sums)-1]
	for q, x := range rows {
		g.at[r] = at.Add(loop.AtDim(loop.N(q)))
		g.StoreVec(g.panel, g.inPanel(loop.N(v*loop.Lanes)), x, nil)
	}
}
