package passes

import (
	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// A tileShape is how the work is cut.
type tileShape struct {
	rows, vectors int    // of a tile in registers
	inside        []rune // letters of the rows of one piece; those before are in the grid
	block         int    // indices of the first letter of inside in a piece; 0 for all
	few, many     bool   // pieces may have few rows, or many
	pack          bool   // the rows of the scalar operand are copied first
	copy          bool   // many rows: a panel of the vector operand is copied
	passing       bool   // the first tile copies it
	group         int    // panels of columns of a piece
	sums          int    // indices of the first summed letter of a block; 0 for all
}

// Sizes of blocks, in elements.
const (
	panelSums   = 3072    // most sums of a panel: with 32 columns it takes a third of a level 2 cache
	packedSums  = 1024    // most sums of a panel where rows are packed, or each sum has a row of its own
	sumsBlock   = 512     // sums of a block where there are more
	inPlaceSums = 1 << 18 // sums of all columns of a panel that stays in a level 2 cache
	farSums     = 128     // sums of a block where each is on another page
	aheadSums   = 16      // sums that lie between a copy and what it asks memory for
	rowsBlock   = 256     // rows of a piece where there are many
	inPlace     = 80      // rows below which copying the vector operand does not pay
	dotRows     = 24      // the same where its columns are not contiguous
	cacheWay    = 1024    // elements that lie so far apart share a place of level 1
	aliasRows   = 11      // most rows of a tile that share one place of level 1: it has 8 or 12 lines
	wholeRows   = 6       // least rows of a tile that has all columns of the result: so many keep multipliers busy
	wholePanel  = 1 << 14 // most elements of its panel, which it reads more often
	tileSums    = 1 << 15
	worthPiece  = 8_000_000 // operations below which more pieces are not worth their copies
	unknown     = 1 << 30

	enoughPieces = 16
)

// constant is d, or unknown.
func constant(d ir.Dim) int {
	if c, ok := d.Const(); ok {
		return min(c, unknown)
	}
	return unknown
}

// alias reports whether elements at this distance share one place of level 1.
func alias(d ir.Dim) bool {
	n, known := d.Const()
	return known && n > 0 && n%cacheWay == 0
}

// count is the product of the extents of letters, or unknown.
func (g *gemm) count(letters []rune) int {
	n := 1
	for _, r := range letters {
		c := constant(g.extent(r))
		if c > unknown/n {
			return unknown
		}
		n *= c
	}
	return n
}

// chooseShape cuts the work: pieces of the grid that are worth a panel, as many
// as keep several cores busy, and tiles that fill the registers.
func (g *gemm) chooseShape() {
	s := &g.shape
	s.inside = g.rows
	for len(s.inside) > 1 && g.count(s.inside[1:]) >= 96 && g.count(s.inside[1:]) < unknown {
		s.inside = s.inside[1:]
	}
	s.pack = g.operand[1-g.vector].computed || g.liesBadly()
	sums, most := 0, panelSums
	if s.pack || !g.stride(1-g.vector, g.sums[len(g.sums)-1]).Is(1) {
		most = packedSums
	}
	if per := g.count(g.sums[1:]); per < unknown && g.count(g.sums) > most {
		sums = max(1, sumsBlock/per)
	}
	most = rowsBlock
	if s.pack && sums == 0 && g.operand[1-g.vector].guard == nil {
		most = rowsBlock / 2
	}
	// Fewer rows or columns of a piece cost more copies, which are dear where
	// rows are computed for them.
	tries := []struct{ rows, panels int }{{1, 4}, {2, 2}, {4, 4}, {4, 2}, {8, 2}}
	if s.pack {
		tries = tries[:3]
	}
	if g.operand[1-g.vector].computed {
		tries[1].panels, tries = 4, tries[:3]
	}
	for _, less := range tries {
		s.sums, s.block = sums, 0
		g.chooseTile(g.cutRows(most / less.rows))
		n := 0
		s.group, n = g.panelsOfPiece(less.panels)
		if n >= enoughPieces || g.flops(s.group) < 2*worthPiece {
			return
		}
	}
}

// cutRows makes blocks of at most so many rows where a piece would have many
// more, and returns how many it has.
func (g *gemm) cutRows(most int) int {
	s := &g.shape
	rows := g.count(s.inside)
	rest := 1
	if len(s.inside) > 0 {
		rest = g.count(s.inside[1:])
	}
	if rows <= most || rows <= 2*most && !s.pack && most == rowsBlock || rest == unknown {
		return rows
	}
	s.block = max(1, most/rest)
	if last := s.inside[0]; len(s.inside) == 1 && len(g.parts[last]) > 1 {
		// Whole runs of the innermost part, or equal pieces of one.
		p := g.parts[last]
		n := constant(g.partExtent(p[len(p)-1]))
		if n <= s.block {
			s.block -= s.block % n
		} else if n < unknown {
			s.block = g.equalBlock(n, s.block)
		}
	}
	if n := constant(g.extent(s.inside[0])); len(s.inside) == 1 && n%s.block != 0 && (!g.operand[1-g.vector].computed || g.operand[1-g.vector].guard != nil) {
		// Equal blocks have tiles of two sizes, others small ones at their end.
		s.block = g.equalBlock(n, most)
	}
	return s.block * rest
}

// equalBlock is the largest size of blocks up to most that n is cut into without
// rest, if it is more than half of the block as it is, else that.
func (g *gemm) equalBlock(n, most int) int {
	for d := most; d > g.shape.block/2; d-- {
		if n%d == 0 {
			return d
		}
	}
	return g.shape.block
}

// chooseTile chooses what is copied and what the registers hold, for pieces of
// so many rows.
func (g *gemm) chooseTile(rows int) {
	s := &g.shape
	dynamic := len(s.inside) > 0 && g.count(s.inside) == unknown
	s.few, s.many = dynamic || rows < g.least(), dynamic || rows >= g.least()
	if s.pack || !g.contiguous(g.col) && !g.dotted() { // it cannot be read in place
		s.few, s.many = false, true
	}

	columns := (constant(g.extent(g.col)) + loop.Lanes - 1) / loop.Lanes
	s.vectors = min(2/g.target.Span(), columns)
	if columns > s.vectors && s.many && g.tileRows(columns) >= wholeRows && g.count(g.sums) <= wholePanel/(columns*loop.Lanes) {
		s.vectors = columns // what lies in rows is read and written row by row
	}
	if !dynamic && rows < dotRows {
		// As many as leave all rows in one tile: the vector operand is read once.
		for v := range min(8/g.target.Span(), columns) + 1 {
			if v > s.vectors && g.tileRows(v) >= rows {
				s.vectors = v
			}
		}
	}
	if g.inPanels() && s.vectors > 1 {
		s.vectors -= s.vectors % 2 // so that a tile begins where a panel does
	}
	s.rows = min(rows, g.tileRows(s.vectors))
	if n := len(g.rows); !s.pack && n > 0 && alias(g.stride(1-g.vector, g.rows[n-1])) {
		s.rows = min(s.rows, aliasRows)
	}

	if !s.many && g.count(g.sums) <= inPlaceSums/g.width() {
		s.sums = 0
	}
	if far := g.sums[len(g.sums)-1]; !s.many && rows > 2 && g.contiguous(g.col) && constant(g.stride(g.vector, far)) >= 1024 && g.count(g.sums) > 2*farSums {
		s.few, s.many = false, true
		s.sums = max(1, farSums/g.count(g.sums[1:]))
	}
	aPanel := g.inPanels() || g.contiguous(g.col) && g.extent(g.col).Is(g.width()) && g.rowsFollow()
	s.copy = s.many && !aPanel && !(rows < inPlace && g.contiguous(g.col))
	s.passing = s.copy && g.contiguous(g.col) && g.firstTile()
}

// firstTile reports whether every piece of many rows has a tile of full size to
// begin with.
func (g *gemm) firstTile() bool {
	s := &g.shape
	if len(s.inside) == 0 {
		return true
	}
	letter, inner, _ := g.tileLetters()
	n := constant(g.extent(letter))
	if g.count(s.inside) == unknown && !s.few { // there may be no rows at all
		return false
	}
	first := letter == s.inside[0]
	switch {
	case first && s.block > 0:
		return n < unknown && (n%s.block == 0 || n%s.block >= s.rows)
	case first && inner == 0:
		return true
	}
	return n < unknown
}

// tileLetters are the letters of the rows of a tile, the second one 0 if there
// is none, and those around it.
func (g *gemm) tileLetters() (letter, inner rune, outer []rune) {
	in := g.shape.inside
	letter, outer = in[len(in)-1], in[:len(in)-1]
	if len(outer) > 0 && 2*constant(g.extent(letter)) <= g.shape.rows {
		letter, inner, outer = outer[len(outer)-1], letter, outer[:len(outer)-1]
	}
	return letter, inner, outer
}

// least is how many rows are worth a copy of a panel of the vector operand.
func (g *gemm) least() int {
	if g.contiguous(g.col) {
		return inPlace
	}
	return dotRows
}

// tileRows is how many rows of so many vectors the registers hold, beside a row
// of the vector operand and a scalar.
func (g *gemm) tileRows(vectors int) int {
	n := vectors * g.target.Span()
	return (g.target.Regs - 1 - n) / n
}

// liesBadly reports whether the scalar operand has a row for each sum so far
// apart that all of them share a few lines of the caches, and copying pays.
func (g *gemm) liesBadly() bool {
	i := 1 - g.vector
	if g.operand[i].computed || len(g.rows) == 0 || g.count(g.rows) == unknown || g.count(g.rows) < 4*dotRows || constant(g.extent(g.col)) < 8*loop.Lanes {
		return false
	}
	row, sum := g.stride(i, g.rows[len(g.rows)-1]), g.stride(i, g.sums[len(g.sums)-1])
	return row.Is(1) && alias(sum) && g.count(g.sums) >= farSums
}

// orderSums makes another summed letter the innermost one where the scalar
// operand would lie badly else.
func (g *gemm) orderSums() {
	last := len(g.sums) - 1
	if !g.contiguous(g.col) || !g.liesBadly() {
		return
	}
	for i := range g.sums {
		g.sums[i], g.sums[last] = g.sums[last], g.sums[i]
		if !g.liesBadly() {
			return
		}
		g.sums[i], g.sums[last] = g.sums[last], g.sums[i]
	}
}

// panelsOfPiece is how many panels a piece has, and how many pieces there are:
// several where rows are packed for all of them or where sums come in blocks,
// all if there are many pieces, and not fewer than least.
func (g *gemm) panelsOfPiece(least int) (panels, pieces int) {
	s := &g.shape
	n := constant(ceil(g.extent(g.col), g.width()))
	others := g.count(g.batch) * g.count(g.rows[:len(g.rows)-len(s.inside)])
	if s.block > 0 {
		others *= constant(ceil(g.extent(s.inside[0]), s.block))
	}
	blocked := s.sums > 0 && s.many && !s.few
	if !blocked && !s.pack || n == unknown {
		return 1, others * n
	}
	if blocked {
		n = min(n, max(1, tileSums/(g.pieceRows()*g.width())))
	}
	groups := func() int { return constant(ceil(g.extent(g.col), n*g.width())) }
	for n > least && others*groups() < enoughPieces {
		n--
	}
	n = constant(ceil(ceil(g.extent(g.col), g.width()), groups())) // of equal size
	return n, others * groups()
}

// flops is how many operations a piece of so many panels takes.
func (g *gemm) flops(panels int) int {
	n := 2 * min(panels*g.width(), constant(g.extent(g.col)))
	for _, k := range []int{g.pieceRows(), g.count(g.sums)} {
		if k > unknown/n {
			return unknown
		}
		n *= k
	}
	return n
}

// partExtent is the extent of a letter before it was joined.
func (g *gemm) partExtent(r rune) ir.Dim {
	return g.spec.Extent(r, g.p.dot.Arg(0), g.p.dot.Arg(1))
}

// pieceRows is the most rows that a piece has, or unknown.
func (g *gemm) pieceRows() int {
	if g.shape.block > 0 {
		return g.shape.block * g.count(g.shape.inside[1:])
	}
	return g.count(g.shape.inside)
}

// width is the number of columns of a panel.
func (g *gemm) width() int { return g.shape.vectors * loop.Lanes }
