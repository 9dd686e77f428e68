package passes

import (
	"github.com/lmc-lang/lmc/ir/loop"
)

// While the tiles of one panel multiply, memory is idle; what the panel after it
// is read from comes from far away, and in pieces too small for the processor to
// see them coming. So the tiles ask for it.

// A nextPanel is where the panel after the one in work begins: its first column,
// and the first index of its first summed letter.
type nextPanel struct{ lo, from loop.Index }

const (
	worthAsking = 1 << 17 // elements of an operand that is not in a level 2 cache
	askColumns  = 4       // most columns that a tile asks for, along the sums
)

// findNext sets next for the panel that is entered: the one beside it in the
// group; then the first of the group, with the next sums; then the next group.
func (g *gemm) findNext() {
	g.next = nil
	if g.inPanels() || g.operand[g.vector].computed || g.count([]rune{g.col})*g.count(g.sums) < worthAsking {
		return
	}
	g.next = &nextPanel{lo: g.lo.Add(loop.AtDim(loop.N(g.width())))}
	if g.from == nil {
		return
	}
	one, zero := g.SizeOf(loop.N(1)), g.SizeOf(loop.N(0))
	after := g.Do(loop.Add, g.number, one)
	from := g.Do(loop.Add, g.from, g.SizeOf(loop.N(g.shape.sums)))
	more := g.Do(loop.Lt, from, g.SizeOf(g.extent(g.sums[0])))
	begin := g.number
	if g.groupEnd != nil {
		begin = g.groupStart
	}
	number := g.Do(loop.Select, more, begin, after)
	from = g.Do(loop.Select, more, from, zero)
	if g.groupEnd != nil {
		inside := g.Do(loop.Lt, after, g.groupEnd)
		number, from = g.Do(loop.Select, inside, after, number), g.Do(loop.Select, inside, g.from, from)
	}
	g.next = &nextPanel{loop.At(number).Scale(loop.N(g.width())), loop.At(from)}
}

// inNext is where the vector operand has, in the next panel, the column and the
// sum that are as far behind its begin as these are behind that of this panel.
func (g *gemm) inNext(column, sum loop.Index) loop.Index {
	col, first := g.at[g.col], g.at[g.sums[0]]
	g.at[g.col], g.at[g.sums[0]] = g.next.lo.Add(column), g.next.from.Add(sum)
	at := g.address(g.vector)
	g.at[g.col], g.at[g.sums[0]] = col, first
	return at
}

// sinceFrom is the first summed letter, from the first of its indices in the
// panel on.
func (g *gemm) sinceFrom() loop.Index {
	at := g.at[g.sums[0]]
	if g.from != nil {
		at = at.Add(loop.At(g.from).Scale(loop.N(-1)))
	}
	return at
}

// askInPlace asks for vector v of the next panel, where panels are read in place.
// One with all sums is read too fast for that to gain.
func (g *gemm) askInPlace(v int) {
	if g.next != nil && g.from != nil {
		g.Prefetch(g.operand[g.vector].buf, g.inNext(lane(v), g.sinceFrom()))
	}
}

// asksBeside is what a tile of t does once for every four sums where the panel is
// a copy: all tiles together ask for what the next copy is made from. It is nil
// if that is not worth it, or not known.
func (g *gemm) asksBeside(t rowTile) func() {
	rows := g.pieceRows()
	if g.next == nil || g.panel == nil || t.first || len(g.sums) > 1 || rows == unknown || g.masks[0] != nil || g.masks[len(g.masks)-1] != nil {
		return nil
	}
	sums := g.panelLen()
	buf := g.operand[g.vector].buf
	// share is the part of n things that tiles before t have asked for; all but
	// the last ones, if the first tile asks for nothing.
	share := func(n, rows int, done loop.Index) loop.Index {
		return loop.At(g.Do(loop.Div, g.Do(loop.Mul, g.IndexVal(done), g.SizeOf(loop.N(n))), g.SizeOf(loop.N(rows))))
	}
	if !g.contiguous(g.col) {
		columns := (g.width()*g.shape.rows + rows - 1) / rows
		if columns > askColumns {
			return nil
		}
		start := share(g.width(), rows, t.local)
		return func() {
			for c := range columns {
				g.Prefetch(buf, g.inNext(start.Add(loop.AtDim(loop.N(c))), g.sinceFrom()))
			}
		}
	}
	// A row for every four sums: a quarter of all for each tile.
	row, ok := g.stride(g.vector, g.sums[0]).Const()
	tiles := (rows + g.shape.rows - 1) / g.shape.rows
	begin := (rows + tiles - 1) / tiles // of the tile after the one that copies, or less
	if !ok || row%4 != 0 || rows < 3*begin {
		return nil
	}
	start := share(3*sums/4, max(1, rows-2*begin), t.local.Add(loop.AtDim(loop.N(-begin))))
	if n, ok := g.extent(g.sums[0]).Const(); g.from != nil && !(ok && n%g.shape.sums == 0) { // the last panel is shorter
		last := g.IndexVal(loop.AtDim(g.extent(g.sums[0]).AddN(-sums / 4)).Add(g.next.from.Scale(loop.N(-1))))
		start = loop.At(g.Do(loop.Min, g.IndexVal(start), g.Do(loop.Max, last, g.SizeOf(loop.N(0)))))
	}
	return func() {
		at := g.inNext(loop.Index{}, start).Add(g.sinceFrom().Scale(loop.N(row / 4)))
		for v := range g.masks {
			g.Prefetch(buf, at.Add(lane(v)))
		}
	}
}
