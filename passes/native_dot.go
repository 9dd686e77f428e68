package passes

import (
	"slices"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// A gemm emits a contraction in vectors, for one target:
//
//	for each piece (batch, block of rows, panel of columns):
//	  copy the panel of the vector operand into local memory, if that pays
//	  for tiles of rows × columns in registers:
//	    for the summed letters:
//	      tile[i][j] = fma(scalar operand[i], vector operand[j], tile[i][j])
//	    what follows the contraction, element by element
//
// The vector operand is the one that has the innermost letter of the result.
// Each element of the result is one chain of fma in the order of the summed
// letters, so that neither tiles nor blocks nor the target change its bits.
type gemm struct {
	*dotEmitter
	target  *loop.Target
	vector  int                // the operand that has col
	operand [2]loop.Index      // addresses as sums over letters, in the counters of
	letter  map[rune]*loop.Val // placeholders for letters in operand
	buf     [2]*loop.Buffer

	col   rune
	batch []rune // of the result, not of rows: outermost first
	rows  []rune // of the result and the scalar operand alone
	sums  []rune

	shape tileShape
	panel *loop.Buffer // the vector operand's columns of a piece; nil: it is read in place
	tile  *loop.Buffer // sums of a tile, or of all rows of a piece

	// Of the piece that is being emitted:
	block   *loop.Val   // number of the block of rows
	lo      loop.Index  // first column
	columns loop.Bound  // number of columns
	masks   []*loop.Val // of its vectors of columns; nil for all lanes
	from    *loop.Val   // first index of the first summed letter of the panel; nil for 0
	to      loop.Bound  // and its end
}

// nativeDot is the form of the contraction p for target t, or nil if there is
// none: an operand is not plain memory, or no letter is innermost in the result
// and in one operand alone.
func (b *kernelBuilder) nativeDot(p *plan, t *loop.Target) *loop.Kernel {
	g := &gemm{dotEmitter: b.newDot(p), target: t}
	if !g.addresses() {
		return nil
	}
	g.joinLetters()
	if !g.addresses() || !g.roles() {
		return nil
	}
	if !g.pieces() {
		return nil
	}
	return g.K
}

// addresses finds the operands in memory.
func (g *gemm) addresses() bool {
	e := newEmitter("trial")
	e.in = g.in
	for v, known := range g.memo {
		e.memo[v] = known
	}
	b := *g.kernelBuilder
	b.emitter = e
	t := *g.dotEmitter
	t.kernelBuilder = &b
	t.at = map[rune]loop.Index{}
	g.letter = map[rune]*loop.Val{}
	for r, x := range g.at {
		t.at[r] = x
	}
	for _, r := range g.letters() {
		g.letter[r] = e.NewVal(loop.Int, "")
		t.at[r] = loop.At(g.letter[r])
	}
	for i := range g.operand {
		e.K.Body = nil
		t.operand(i)
		if len(e.K.Body) != 1 {
			return false
		}
		l, ok := e.K.Body[0].(*loop.Load)
		if !ok || l.Buf.Elem != loop.F32 {
			return false
		}
		g.operand[i], g.buf[i] = l.At, l.Buf
	}
	return true
}

// letters are those that still have an extent, of the result and summed.
func (g *gemm) letters() []rune {
	return slices.Concat(g.f.batch, g.f.rows, g.f.columns, g.f.summed)
}

// stride is the distance of neighbours along r in operand i.
func (g *gemm) stride(i int, r rune) ir.Dim {
	for _, t := range g.operand[i].Terms {
		if t.Var == g.letter[r] {
			return t.Coef
		}
	}
	return ir.Dim{}
}

// address is where operand i has the element of the current letters.
func (g *gemm) address(i int) loop.Index {
	at := loop.Index{Off: g.operand[i].Off}
	for _, t := range g.operand[i].Terms {
		x := loop.At(t.Var)
		for r, v := range g.letter {
			if v == t.Var {
				x = g.at[r]
			}
		}
		at = at.Add(x.Scale(t.Coef))
	}
	return at
}

// roles gives each letter its role.
func (g *gemm) roles() bool {
	var out []rune
	for _, r := range g.spec.Out {
		if slices.Contains(g.letters(), r) {
			out = append(out, r)
		}
	}
	g.sums = g.f.summed
	if len(out) == 0 || len(g.sums) == 0 {
		return false
	}
	g.col = out[len(out)-1]
	in := func(i int, r rune) bool { return containsRune([]string{g.spec.X, g.spec.Y}[i], r) }
	if in(0, g.col) == in(1, g.col) {
		return false
	}
	if in(1, g.col) {
		g.vector = 1
	}
	for _, r := range out[:len(out)-1] {
		if in(g.vector, r) {
			g.batch = append(g.batch, r)
		} else {
			g.rows = append(g.rows, r)
		}
	}
	return true
}

// A tileShape is how the work is cut.
type tileShape struct {
	rows, vectors int    // of a tile in registers
	inside        []rune // letters of the rows of one piece; those before are in the grid
	block         int    // indices of the first letter of inside in a piece; 0 for all
	few, many     bool   // pieces may have few rows, or many
	sums          int    // indices of the first summed letter of a panel; 0 for all
}

// Sizes of blocks, in elements.
const (
	panelSums = 3072 // most sums of a panel: with 32 columns it takes a third of a level 2 cache
	sumsBlock = 1024 // sums of a panel where there are more
	rowsBlock = 256  // rows of a piece where there are many
	packRows  = 24   // below, copying the vector operand does not pay
	unknown   = 1 << 30
)

// constant is d, or unknown.
func constant(d ir.Dim) int {
	if c, ok := d.Const(); ok {
		return min(c, unknown)
	}
	return unknown
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

// chooseShape cuts the work: pieces of the grid that are worth a panel, tiles
// that fill the registers.
func (g *gemm) chooseShape() {
	s := &g.shape
	s.inside = g.rows
	for len(s.inside) > 1 && g.count(s.inside[1:]) >= 96 && g.count(s.inside[1:]) < unknown {
		s.inside = s.inside[1:]
	}
	rows := g.count(s.inside)
	if rows > 2*rowsBlock {
		if rest := g.count(s.inside[1:]); rest < unknown {
			s.block = max(1, rowsBlock/rest)
			rows = s.block * rest
		}
	}
	dynamic := len(s.inside) > 0 && g.count(s.inside) == unknown
	s.few, s.many = dynamic || rows < packRows, dynamic || rows >= packRows

	columns := (constant(g.extent(g.col)) + loop.Lanes - 1) / loop.Lanes
	s.vectors = min(2/g.target.Span(), columns)
	if rows < 4 && !dynamic { // few sums, which wait for each other
		s.vectors = min(8/g.target.Span(), columns)
	}
	// Registers hold the sums, a row of the vector operand and a scalar.
	n := s.vectors * g.target.Span()
	s.rows = min(rows, (g.target.Regs-1-n)/n, packRows)
	if per := g.count(g.sums[1:]); g.count(g.sums) > panelSums && per < unknown {
		s.sums = max(1, sumsBlock/per)
	}
}

// width is the number of columns of a panel.
func (g *gemm) width() int { return g.shape.vectors * loop.Lanes }

// pieces makes the grid and emits what a piece does; false if it cannot.
func (g *gemm) pieces() bool {
	g.chooseShape()
	if !g.memory() {
		return false
	}
	type part struct {
		n   ir.Dim
		set func(x *loop.Val)
	}
	var parts []part
	letter := func(r rune) {
		parts = append(parts, part{g.extent(r), func(x *loop.Val) { g.at[r] = loop.At(x) }})
	}
	for _, r := range g.batch {
		letter(r)
	}
	for _, r := range g.rows[:len(g.rows)-len(g.shape.inside)] {
		letter(r)
	}
	if n := g.shape.block; n > 0 {
		parts = append(parts, part{ceil(g.extent(g.shape.inside[0]), n), func(x *loop.Val) { g.block = x }})
	}
	var panel *loop.Val
	parts = append(parts, part{ceil(g.extent(g.col), g.width()), func(x *loop.Val) { panel = x }})

	n := loop.N(1)
	for _, p := range parts {
		n = n.Mul(p.n)
	}
	lo, hi := g.NewVal(loop.Int, "lo"), g.NewVal(loop.Int, "hi")
	g.K.Grid = &loop.Grid{Lo: lo, Hi: hi, N: n, Grain: g.grain()}
	g.For("piece", loop.Bound{Val: lo}, loop.Bound{Val: hi}, 1, nil, func(x *loop.Val, _ []*loop.Val) []*loop.Val {
		for i := len(parts) - 1; i >= 0; i-- {
			p := parts[i]
			switch {
			case p.n.Is(1):
				p.set(g.SizeOf(loop.N(0)))
			case i == 0:
				p.set(x)
			default:
				size := g.SizeOf(p.n)
				p.set(g.Do(loop.Mod, x, size))
				x = g.Do(loop.Div, x, size)
			}
		}
		g.piece(panel)
		return nil
	})
	return true
}

// ceil is d/n, rounded up.
func ceil(d ir.Dim, n int) ir.Dim { return d.AddN(n - 1).FloorDiv(loop.N(n)) }

// grain is how many pieces are worth a dispatch.
func (g *gemm) grain() ir.Dim {
	rows := g.count(g.shape.inside)
	if n := g.shape.block; n > 0 {
		rows = n * g.count(g.shape.inside[1:])
	}
	sums := g.count(g.sums)
	if rows == unknown || sums == unknown {
		return loop.N(1)
	}
	return loop.N(max(1, worthNative/(2*rows*sums*g.width())))
}

// worthNative is how many floating point operations are worth a dispatch when
// they are done in vectors: some microseconds.
const worthNative = 400_000

// memory declares local memory: the panel, and sums that are not in registers.
func (g *gemm) memory() bool {
	s := &g.shape
	rows := max(s.rows, 1)
	if s.few {
		rows = max(rows, packRows)
	}
	if s.sums > 0 && s.many {
		rest := g.count(s.inside)
		if s.block > 0 {
			rest = s.block * g.count(s.inside[1:])
		}
		if rest > 4*rowsBlock {
			return false
		}
		rows = max(rows, rest)
	}
	if sums := g.panelLen(); s.many && sums <= 4*panelSums {
		g.panel = g.Local(g.names.pick("", "panel"), loop.F32, loop.N((sums+loop.Lanes)*g.width()))
	} else if g.count(g.sums) == unknown || !g.contiguous(g.col) {
		if s.many {
			return false
		}
	}
	g.tile = g.Local(g.names.pick("", "tile"), loop.F32, loop.N(rows*g.width()))
	return true
}

// panelLen is how many sums a panel has.
func (g *gemm) panelLen() int {
	if g.shape.sums > 0 {
		return g.shape.sums * g.count(g.sums[1:])
	}
	return g.count(g.sums)
}

// contiguous reports whether neighbours along r are neighbours in the vector
// operand.
func (g *gemm) contiguous(r rune) bool { return g.stride(g.vector, r).Is(1) }
