package passes

import (
	"slices"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// A gemm emits a contraction in vectors, for one target:
//
//	for each piece (batch, block of rows, panel of columns):
//	  copy the panel of the vector operand into local memory, if that pays,
//	  and the rows of the scalar operand if they are computed
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
	vector  int // the operand that has col
	operand [2]operandForm
	letter  map[rune]*loop.Val // placeholders for letters in operand addresses
	parts   map[rune][]rune    // the letters that a joined one stands for, outermost first

	col   rune
	batch []rune // of the result, not of rows: outermost first
	rows  []rune // of the result and the scalar operand alone
	sums  []rune

	shape  tileShape
	panel  *loop.Buffer // the vector operand's columns of a piece; nil: it is read in place
	packed *loop.Buffer // the scalar operand's rows of a piece; nil: it is read in place
	tile   *loop.Buffer // sums of a tile, or of all rows of a piece

	// Of the piece that is being emitted:
	block   *loop.Val   // number of the block of rows
	lo      loop.Index  // first column
	columns loop.Bound  // number of columns
	masks   []*loop.Val // of its vectors of columns; nil for all lanes
	from    *loop.Val   // first index of the first summed letter of the panel; nil for 0
	to      loop.Bound  // and its end
	base    loop.Index  // where the panel begins in its memory
}

// An operandForm is how an operand is read: from memory, at an address that is a
// sum over letters, or by computing it.
type operandForm struct {
	computed bool
	buf      *loop.Buffer
	at       loop.Index
}

// nativeDot is the form of the contraction p for target t, or nil if there is
// none: it is of whole numbers, no letter is innermost in the result and in one
// operand alone, or sizes that local memory needs are not known.
func (b *kernelBuilder) nativeDot(p *plan, t *loop.Target) *loop.Kernel {
	g := &gemm{dotEmitter: b.newDot(p), target: t, parts: map[rune][]rune{}}
	g.joined = map[rune]ir.Dim{}
	if p.dot.Type.Elem != loop.F32 || !g.roles() || !g.addresses() {
		return nil
	}
	g.join()
	if !g.addresses() || !g.pieces() {
		return nil
	}
	return g.K
}

// roles gives each letter that has an extent its role.
func (g *gemm) roles() bool {
	long := func(letters string) (out []rune) {
		for _, r := range letters {
			if at, ok := g.fixed[r]; ok || g.extent(r).Is(1) {
				g.at[r] = at
			} else {
				out = append(out, r)
				g.parts[r] = []rune{r}
			}
		}
		return out
	}
	out := long(g.spec.Out)
	g.sums = long(g.spec.Summed())
	if len(out) == 0 || len(g.sums) == 0 {
		return false
	}
	if g.col == 0 {
		g.col = out[len(out)-1]
	}
	in := func(i int, r rune) bool { return containsRune([]string{g.spec.X, g.spec.Y}[i], r) }
	if in(0, g.col) == in(1, g.col) {
		return false
	}
	if in(1, g.col) {
		g.vector = 1
	}
	for _, r := range out {
		if r == g.col {
			continue
		}
		if in(g.vector, r) {
			g.batch = append(g.batch, r)
		} else {
			g.rows = append(g.rows, r)
		}
	}
	return true
}

// letters are all that loops run over.
func (g *gemm) letters() []rune { return slices.Concat(g.batch, g.rows, []rune{g.col}, g.sums) }

// trial has the same values in memory, emits into a kernel of its own, and has
// a counter for each letter.
func (g *gemm) trial() *dotEmitter {
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
	for r, x := range g.at {
		t.at[r] = x
	}
	g.letter = map[rune]*loop.Val{}
	for _, r := range g.letters() {
		g.letter[r] = e.NewVal(loop.Int, "")
		t.at[r] = loop.At(g.letter[r])
	}
	return &t
}

// addresses finds how the operands are read; false if that may fault.
func (g *gemm) addresses() bool {
	t := g.trial()
	return g.find(t, 0) && g.find(t, 1)
}

// find finds how operand i is read, by reading it in t.
func (g *gemm) find(t *dotEmitter, i int) bool {
	if g.operand[i].computed {
		return true
	}
	t.K.Body = nil
	t.operand(i)
	if len(t.K.Body) == 1 {
		if l, ok := t.K.Body[0].(*loop.Load); ok && l.Buf.Elem == loop.F32 {
			g.operand[i] = operandForm{buf: l.Buf, at: l.At}
			return true
		}
	}
	fine := true
	walk(t.K.Body, func(s loop.Stmt) {
		in, ok := s.(*loop.Instr)
		_, loops := s.(*loop.For)
		fine = fine && !loops && !(ok && in.Op == loop.Check)
	})
	g.operand[i] = operandForm{computed: true}
	return fine
}

// join makes one letter of two neighbours that are one run of memory in the
// result, in what follows from it, and in the operands that are read in place.
func (g *gemm) join() {
	t := g.trial()
	for i, o := range g.operand {
		if !o.computed {
			t.operand(i)
		}
	}
	idx := t.index(2)
	x := t.NewVal(g.p.dot.Type.Elem, "")
	t.bind(g.p.dot, idx, x)
	t.follow()
	t.store(g.p.dot, idx, x)
	lists := []*[]rune{&g.rows, &g.sums}
	if !g.operand[0].computed && !g.operand[1].computed {
		lists = append(lists, &g.batch)
	}
	for _, list := range lists {
		for i := len(*list) - 2; i >= 0; i-- {
			a, b := (*list)[i], (*list)[i+1]
			if g.part(a) || g.part(b) || !joint(t.K.Body, g.letter[a], g.letter[b], g.extent(b)) {
				continue
			}
			g.joined[b] = g.extent(a).Mul(g.extent(b))
			g.at[a] = loop.Index{}
			g.parts[b] = append(g.parts[a], g.parts[b]...)
			*list = append((*list)[:i:i], (*list)[i+1:]...)
		}
	}
}

// stride is the distance of neighbours along r in operand i, which is read in
// place.
func (g *gemm) stride(i int, r rune) ir.Dim {
	for _, t := range g.operand[i].at.Terms {
		if t.Var == g.letter[r] {
			return t.Coef
		}
	}
	return ir.Dim{}
}

// address is where operand i, which is in memory, has the element of the current
// letters.
func (g *gemm) address(i int) loop.Index {
	o := g.operand[i]
	at := loop.Index{Off: o.at.Off}
	for _, t := range o.at.Terms {
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

// A tileShape is how the work is cut.
type tileShape struct {
	rows, vectors int    // of a tile in registers
	inside        []rune // letters of the rows of one piece; those before are in the grid
	block         int    // indices of the first letter of inside in a piece; 0 for all
	few, many     bool   // pieces may have few rows, or many
	pack          bool   // the rows of the scalar operand are copied first
	panels        bool   // a piece has all panels of columns, one after the other
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
	if per := g.count(g.sums[1:]); g.count(g.sums) > panelSums && per < unknown {
		s.sums = max(1, sumsBlock/per)
	}
	scalar := g.operand[1-g.vector]
	s.pack = scalar.computed
	s.panels = s.pack && s.sums == 0
	most := rowsBlock
	if s.panels {
		most = rowsBlock / 2
	}
	rows := g.count(s.inside)
	if rows > 2*most || s.pack && rows > most {
		if rest := g.count(s.inside[1:]); rest < unknown {
			s.block = max(1, most/rest)
			if last := s.inside[0]; len(s.inside) == 1 && len(g.parts[last]) > 1 {
				// Whole runs of the innermost part, if they fit.
				p := g.parts[last]
				if n := constant(g.partExtent(p[len(p)-1])); n <= s.block {
					s.block -= s.block % n
				}
			}
			rows = s.block * rest
		}
	}
	dynamic := len(s.inside) > 0 && g.count(s.inside) == unknown
	s.few, s.many = dynamic || rows < packRows, dynamic || rows >= packRows
	if s.pack || !g.contiguous(g.col) && !g.dotted() { // it cannot be read in place
		s.few, s.many = false, true
	}

	columns := (constant(g.extent(g.col)) + loop.Lanes - 1) / loop.Lanes
	s.vectors = min(2/g.target.Span(), columns)
	if rows < 4 && !dynamic { // few sums, which wait for each other
		s.vectors = min(8/g.target.Span(), columns)
	}
	// Registers hold the sums, a row of the vector operand and a scalar.
	n := s.vectors * g.target.Span()
	s.rows = min(rows, (g.target.Regs-1-n)/n, packRows)
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
	panels := ceil(g.extent(g.col), g.width())
	if !g.shape.panels {
		parts = append(parts, part{panels, func(x *loop.Val) { panel = x }})
	}

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
		if !g.shape.panels {
			g.piece(panel, g.panelOfColumns)
			return nil
		}
		g.from, g.to = nil, loop.Bound{Dim: g.extent(g.sums[0])}
		g.packRows()
		g.Range("panel", panels, func(x *loop.Val) { g.piece(x, g.panelOfColumns) })
		return nil
	})
	return true
}

// ceil is d/n, rounded up.
func ceil(d ir.Dim, n int) ir.Dim { return d.AddN(n - 1).FloorDiv(loop.N(n)) }

// grain is how many pieces are worth a dispatch.
func (g *gemm) grain() ir.Dim {
	rows, sums, columns := g.pieceRows(), g.count(g.sums), g.width()
	if g.shape.panels {
		columns = constant(g.extent(g.col))
	}
	if rows == unknown || sums == unknown || columns == unknown {
		return loop.N(1)
	}
	return loop.N(max(1, worthNative/(2*rows*sums*columns)))
}

// worthNative is how many floating point operations are worth a dispatch when
// they are done in vectors: some microseconds.
const worthNative = 400_000

// memory declares local memory: the panel, packed rows, and sums that are not in
// registers. It is false if a size is not known.
func (g *gemm) memory() bool {
	s := &g.shape
	rows := max(s.rows, 1)
	if s.few {
		rows = max(rows, packRows)
	}
	all := g.pieceRows()
	if s.sums > 0 && s.many || s.pack {
		if all > 4*rowsBlock {
			return false
		}
	}
	if s.sums > 0 && s.many {
		rows = max(rows, all)
	}
	sums := g.panelLen()
	switch vector := g.operand[g.vector]; {
	case s.many && sums <= 4*panelSums:
		g.panel = g.Local(g.names.pick("", "panel"), loop.F32, loop.N((sums+loop.Lanes)*g.width()))
	case vector.computed, s.pack, s.many && !g.contiguous(g.col):
		return false
	}
	if s.pack {
		if sums > 4*panelSums {
			return false
		}
		g.packed = g.Local(g.names.pick("", "rows"), loop.F32, loop.N(all*sums))
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

// dotted reports whether both operands are contiguous along the last summed
// letter, but not along the columns.
func (g *gemm) dotted() bool {
	last := g.sums[len(g.sums)-1]
	return !g.contiguous(g.col) && g.contiguous(last) && !g.operand[1-g.vector].computed && g.stride(1-g.vector, last).Is(1)
}

// contiguous reports whether neighbours along r are neighbours in the vector
// operand.
func (g *gemm) contiguous(r rune) bool {
	return !g.operand[g.vector].computed && g.stride(g.vector, r).Is(1)
}
