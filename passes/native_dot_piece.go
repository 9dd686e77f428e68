package passes

import (
	"strings"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// piece emits body for one panel of columns.
func (g *gemm) piece(panel *loop.Val, body func()) {
	extent, width := g.extent(g.col), g.width()
	g.number, g.lo = panel, loop.At(panel).Scale(loop.N(width))
	if g.inPanels() {
		g.enterPanel(panel)
	}
	full, rest := func() {
		g.columns, g.masks = loop.Bound{Dim: loop.N(width)}, make([]*loop.Val, g.shape.vectors)
		body()
	}, func() {
		g.tail()
		body()
	}
	n, known := extent.Const()
	switch {
	case known && n%width == 0:
		full()
	case known && n < width:
		rest()
	default:
		g.choose(g.Do(loop.Lt, panel, g.SizeOf(extent.FloorDiv(loop.N(width)))), full, rest)
	}
}

// choose emits one of two branches; what they set in g is forgotten.
func (g *gemm) choose(cond *loop.Val, then, els func()) {
	branch := func(f func()) func() []*loop.Val {
		return func() []*loop.Val {
			outer, at := *g, g.at
			g.at = map[rune]loop.Index{}
			for r, x := range at {
				g.at[r] = x
			}
			f()
			*g = outer
			return nil
		}
	}
	g.If(cond, branch(then), branch(els))
}

// tail makes the last panel, with fewer columns than the others.
func (g *gemm) tail() {
	extent := g.extent(g.col)
	if n, ok := extent.Const(); ok {
		n %= g.width()
		g.columns = loop.Bound{Dim: loop.N(n)}
		g.masks = make([]*loop.Val, (n+loop.Lanes-1)/loop.Lanes)
		if r := n % loop.Lanes; r > 0 {
			g.masks[len(g.masks)-1] = g.Do(loop.First, g.SizeOf(loop.N(r)))
		}
		return
	}
	n := g.SizeOf(extent.Sub(extent.FloorDiv(loop.N(g.width())).MulN(g.width())))
	g.columns = loop.Bound{Val: n}
	g.masks = make([]*loop.Val, g.shape.vectors)
	for i := range g.masks {
		g.masks[i] = g.Do(loop.First, g.Do(loop.Sub, n, g.SizeOf(loop.N(i*loop.Lanes))))
	}
}

// panels emits a piece; each emits something for each of its panels.
func (g *gemm) panels(each func(body func())) {
	s := &g.shape
	if s.few && s.many {
		rows := loop.N(1)
		for _, r := range s.inside {
			rows = rows.Mul(g.extent(r))
		}
		few := g.Do(loop.Lt, g.SizeOf(rows), g.SizeOf(loop.N(g.least())))
		g.choose(few, func() { each(g.fewRows) }, func() { g.manyRows(each) })
		return
	}
	if s.few {
		each(g.fewRows)
		return
	}
	g.manyRows(each)
}

// fewRows reads the vector operand where it is.
func (g *gemm) fewRows() {
	g.from, g.to = nil, loop.Bound{Dim: g.extent(g.sums[0])}
	if g.dotted() {
		g.dots()
		return
	}
	g.panel = nil
	g.rowTiles(false, func(t rowTile) { g.finishTile(t, g.allSums(t)) })
}

// manyRows copies rows and panels first, where that pays.
func (g *gemm) manyRows(each func(body func())) {
	s := &g.shape
	first := g.sums[0]
	pack := func() {
		if s.copy && !s.passing {
			g.pack()
		}
	}
	if s.sums == 0 {
		g.from, g.to = nil, loop.Bound{Dim: g.extent(first)}
		g.packedOrInside(func() {
			each(func() {
				g.findNext()
				pack()
				g.rowTiles(s.passing, func(t rowTile) { g.finishTile(t, g.allSums(t)) })
			})
		})
		return
	}
	each(g.clear)
	end := g.SizeOf(g.extent(first))
	step := g.SizeOf(loop.N(s.sums))
	g.For(letterName(first), loop.Bound{}, loop.Bound{Dim: ceil(g.extent(first), s.sums)}, 1, nil, func(i *loop.Val, _ []*loop.Val) []*loop.Val {
		g.from = g.Do(loop.Mul, i, step)
		to := g.Do(loop.Add, g.from, step)
		if c, ok := g.extent(first).Const(); !ok || c%s.sums != 0 {
			to = g.Do(loop.Min, to, end)
		}
		g.to = loop.Bound{Val: to}
		g.packedOrInside(func() {
			each(func() {
				g.findNext()
				pack()
				g.rowTiles(s.passing, func(t rowTile) {
					sums := g.sumTile(t, g.loadTile(t))
					g.storeTile(t.local, t, sums)
				})
			})
		})
		return nil
	})
	each(func() {
		g.rowTiles(false, func(t rowTile) { g.follows(t, t.local) })
	})
}

// packedOrInside emits body for the rows of the piece, which are packed first
// where that pays and not all of them can be read in place.
func (g *gemm) packedOrInside(body func()) {
	packed := func() {
		if g.shape.pack {
			g.packRows()
		}
		body()
	}
	if !g.shape.pack || !g.rowsInPlace() {
		packed()
		return
	}
	g.choose(g.allInside(), func() {
		g.inside = true
		body()
	}, packed)
}

// rowsFollow reports whether the rows of the vector operand follow each other
// without gaps.
func (g *gemm) rowsFollow() bool {
	n := g.extent(g.col)
	for i := len(g.sums) - 1; i >= 0; i-- {
		if !g.stride(g.vector, g.sums[i]).Eq(n) {
			return false
		}
		n = n.Mul(g.extent(g.sums[i]))
	}
	return true
}

func letterName(r rune) string { return strings.ToLower(string(r)) }

// A rowTile is some rows of a piece: n indices of a letter from at on, each
// with all indices of inner if that is set.
type rowTile struct {
	letter rune // 0: the piece has one row
	inner  rune
	at     loop.Index
	n      int
	each   int        // rows of one index of letter
	local  loop.Index // the number of the first row within the piece
	first  bool       // no other tile of the piece has the code of this one
}

func (t rowTile) rows() int { return t.n * t.each }

// set makes row j of t the current one.
func (g *gemm) set(t rowTile, j int) {
	if t.letter == 0 {
		return
	}
	g.at[t.letter] = t.at.Add(loop.AtDim(loop.N(j / t.each)))
	if t.inner != 0 {
		g.at[t.inner] = loop.AtDim(loop.N(j % t.each))
	}
}

// rowTiles covers the rows of a piece with tiles; the first one apart from the
// others if peel is set.
func (g *gemm) rowTiles(peel bool, body func(t rowTile)) {
	in := g.shape.inside
	if len(in) == 0 {
		body(rowTile{n: 1, each: 1, first: peel})
		return
	}
	t := rowTile{each: 1}
	letter, inner, outer := g.tileLetters()
	t.letter, t.inner = letter, inner
	if inner != 0 {
		t.each = constant(g.extent(inner))
	}
	var rec func(i int, local loop.Index, peel bool)
	rec = func(i int, local loop.Index, peel bool) {
		r := t.letter
		if i < len(outer) {
			r = outer[i]
		}
		from, to := g.span(r)
		base := loop.Index{}
		if i == 0 && g.shape.block > 0 {
			from, to = g.blockRange(r)
			base = loop.At(from.Val).Scale(loop.N(-1))
		}
		per := loop.N(t.each)
		if i < len(outer) {
			per = per.Mul(g.extent(t.letter))
			for _, x := range outer[i+1:] {
				per = per.Mul(g.extent(x))
			}
			inside := func(x *loop.Val, peel bool) {
				g.at[r] = loop.At(x)
				rec(i+1, local.Add(base.Add(loop.At(x)).Scale(per)), peel)
			}
			if peel {
				first := g.start(from)
				inside(first, true)
				from = loop.Bound{Val: g.Do(loop.Add, first, g.SizeOf(loop.N(1)))}
			}
			g.For(letterName(r), from, to, 1, nil, func(x *loop.Val, _ []*loop.Val) []*loop.Val {
				inside(x, false)
				return nil
			})
			return
		}
		g.tiles1(r, from, to, max(1, g.shape.rows/t.each), peel, func(x *loop.Val, n int, first bool) {
			u := t
			u.at, u.n, u.first = loop.At(x), n, first
			u.local = local.Add(base.Add(loop.At(x)).Scale(per))
			body(u)
		})
	}
	rec(0, loop.Index{}, peel)
}

// start is the value of a lower bound.
func (g *gemm) start(from loop.Bound) *loop.Val {
	if from.Val != nil {
		return from.Val
	}
	return g.SizeOf(from.Dim)
}

// blockRange is the range of r in the piece.
func (g *gemm) blockRange(r rune) (from, to loop.Bound) {
	n := g.SizeOf(loop.N(g.shape.block))
	lo := g.Do(loop.Mul, g.block, n)
	hi := g.Do(loop.Add, lo, n)
	if c, ok := g.extent(r).Const(); !ok || c%g.shape.block != 0 {
		hi = g.Do(loop.Min, hi, g.SizeOf(g.extent(r)))
	}
	return loop.Bound{Val: lo}, loop.Bound{Val: hi}
}

// tiles1 covers a range with steps of at most n: of two sizes where the range
// is known, so that there is no small rest; else of n and smaller ones. With
// peel the first step, which is one of the large ones, stands alone.
func (g *gemm) tiles1(r rune, from, to loop.Bound, n int, peel bool, body func(x *loop.Val, n int, first bool)) {
	step := func(from, to loop.Bound, n int) loop.Bound {
		var after *loop.Val
		g.steps(letterName(r), from, to, n, nil, &after, func(x *loop.Val, _ []*loop.Val) []*loop.Val {
			body(x, n, false)
			return nil
		})
		return loop.Bound{Val: after}
	}
	begin := from
	first := func(n int) {
		if peel {
			x := g.start(from)
			body(x, n, true)
			from = loop.Bound{Val: g.Do(loop.Add, x, g.SizeOf(loop.N(n)))}
		}
	}
	size, known := to.Dim.Const()
	known = known && to.Val == nil
	if from.Val != nil {
		c, ok := g.extent(r).Const()
		size, known = g.shape.block, ok && c%g.shape.block == 0
	}
	if known {
		count := (size + n - 1) / n
		small, more := size/count, size%count
		if more > 0 { // the first ones have a row more
			end := loop.Bound{Dim: loop.N(more * (small + 1))}
			if begin.Val != nil {
				end = loop.Bound{Val: g.Do(loop.Add, begin.Val, g.SizeOf(end.Dim))}
			}
			first(small + 1)
			if !peel || more > 1 {
				from = step(from, end, small+1)
			}
		} else {
			first(small)
		}
		if small > 0 {
			step(from, to, small)
		}
		return
	}
	first(n)
	for ; n > 1; n = (n + 2) / 4 {
		from = step(from, to, n)
	}
	step(from, to, 1)
}

// grid of sums

func (g *gemm) zeros(t rowTile) []*loop.Val {
	acc := make([]*loop.Val, t.rows()*len(g.masks))
	for i := range acc {
		acc[i] = g.ConstVec(loop.F32, 0)
	}
	return acc
}

// inTile is the place of a column of a row in the tile memory.
func (g *gemm) inTile(row, column loop.Index) loop.Index {
	return g.sumsAt.Add(row.Scale(loop.N(g.width()))).Add(column)
}

// lane is the first column of vector v.
func lane(v int) loop.Index { return loop.AtDim(loop.N(v * loop.Lanes)) }

func (g *gemm) loadTile(t rowTile) []*loop.Val {
	var acc []*loop.Val
	for j := range t.rows() {
		for v := range g.masks {
			acc = append(acc, g.LoadVec(g.tile, g.inTile(t.local.Add(loop.AtDim(loop.N(j))), lane(v)), nil))
		}
	}
	return acc
}

func (g *gemm) storeTile(row loop.Index, t rowTile, acc []*loop.Val) {
	for j := range t.rows() {
		for v := range g.masks {
			g.StoreVec(g.tile, g.inTile(row.Add(loop.AtDim(loop.N(j))), lane(v)), acc[j*len(g.masks)+v], nil)
		}
	}
}

// clear sets the sums of all rows to 0.
func (g *gemm) clear() {
	g.rowTiles(false, func(t rowTile) { g.storeTile(t.local, t, g.zeros(t)) })
}

// finishTile stores a tile of sums and what follows from it.
func (g *gemm) finishTile(t rowTile, acc []*loop.Val) {
	v := g.p.dot
	if len(g.finish) == 0 && len(g.out[v]) == 1 && g.outStride(g.col).Is(1) {
		for j := range t.rows() {
			g.set(t, j)
			for i, mask := range g.masks {
				g.at[g.col] = g.lo.Add(loop.AtDim(loop.N(i * loop.Lanes)))
				g.StoreVec(g.out[v][0].buf, g.out[v][0].address(g.index(2)), acc[j*len(g.masks)+i], mask)
			}
		}
		return
	}
	g.storeTile(loop.Index{}, t, acc)
	g.follows(t, loop.Index{})
}

// outStride is the distance of neighbours along r where the result goes.
func (g *gemm) outStride(r rune) ir.Dim {
	i := strings.IndexRune(g.spec.Out, r)
	return g.out[g.p.dot][0].strides[i]
}

// follows computes what follows from the sums of t, which are in the tile
// memory from the given row on.
func (g *gemm) follows(t rowTile, row loop.Index) {
	element := func(row loop.Index) {
		g.For("j", loop.Bound{}, g.columns, 1, nil, func(j *loop.Val, _ []*loop.Val) []*loop.Val {
			g.parallel[j] = true
			g.at[g.col] = g.lo.Add(loop.At(j))
			idx := g.index(2)
			x := g.Load(g.tile, g.inTile(row, loop.At(j)))
			g.bind(g.p.dot, idx, x)
			g.follow()
			g.store(g.p.dot, idx, x)
			return nil
		})
	}
	if t.letter == 0 {
		element(row)
		return
	}
	g.Range("row", loop.N(t.n), func(i *loop.Val) {
		g.at[t.letter] = t.at.Add(loop.At(i))
		row := row.Add(loop.At(i).Scale(loop.N(t.each)))
		if t.inner == 0 {
			element(row)
			return
		}
		g.Range(letterName(t.inner), loop.N(t.each), func(k *loop.Val) {
			g.at[t.inner] = loop.At(k)
			element(row.Add(loop.At(k)))
		})
	})
}
