package passes

import (
	"slices"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// A gemm emits a contraction in vectors, for one target:
//
//	for each piece (batch, block of rows, group of panels of columns):
//	  for blocks of the summed letters:
//	    copy the rows of the scalar operand into local memory, if they are
//	    computed or lie badly
//	    for the panels of the group:
//	      copy the panel of the vector operand, if that pays
//	      for tiles of rows × columns in registers:
//	        for the summed letters of the block:
//	          tile[i][j] = fma(scalar operand[i], vector operand[j], tile[i][j])
//	  what follows the contraction, element by element
//
// The vector operand is the one that has the innermost letter of the result.
// Each element of the result is one chain of fma in the order of the summed
// letters, or the sum of several (see chains), so that neither tiles nor blocks nor
// the target change its bits.
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
	block              *loop.Val   // number of the block of rows
	number             *loop.Val   // of the panel
	groupStart         *loop.Val   // number of the first panel of the group; nil if there is one
	groupEnd           *loop.Val   // and of the first one after it
	next               *nextPanel  // nil if nothing is to be asked for
	lo                 loop.Index  // first column
	columns            loop.Bound  // number of columns
	masks              []*loop.Val // of its vectors of columns; nil for all lanes
	from               *loop.Val   // first index of the first summed letter of the panel; nil for 0
	to                 loop.Bound  // and its end
	base               loop.Index  // where the panel begins in its memory
	inside             bool        // the scalar operand is read in place, without its condition
	panelAt, inPanelAt loop.Index  // first column of a vector operand in panels
	sumsAt             loop.Index  // where the sums of the panel begin in the tile memory
}

// An operandForm is how an operand is read: from memory, at an address that is a
// sum over letters, or by computing it.
type operandForm struct {
	computed bool
	buf      *loop.Buffer
	at       loop.Index
	panel    *loop.Val // if it is read in panels: placeholder for the number of one
	guard    *guard    // if it is one load under a condition
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
	if !g.addresses() {
		return nil
	}
	g.orderSums()
	if !g.pieces() {
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
	if g.findPanels(t, i) {
		return true
	}
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
	if i != g.vector {
		g.operand[i].guard = g.guardOf(t.K.Body)
	}
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
			if g.part(a) || g.part(b) || g.guarded(a) || g.guarded(b) || !joint(t.K.Body, g.letter[a], g.letter[b], g.extent(b)) {
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
	var panel, column loop.Index
	if o.panel != nil {
		panel, column = g.columnInPanels()
	}
	for _, t := range o.at.Terms {
		x := loop.At(t.Var)
		switch {
		case o.panel == nil:
		case t.Var == o.panel:
			at = at.Add(panel.Scale(t.Coef))
			continue
		case t.Var == g.letter[g.col]:
			at = at.Add(column.Scale(t.Coef))
			continue
		}
		for r, v := range g.letter {
			if v == t.Var {
				x = g.at[r]
			}
		}
		at = at.Add(x.Scale(t.Coef))
	}
	return at
}

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
	var group *loop.Val
	groups := ceil(g.extent(g.col), g.shape.group*g.width())
	parts = append(parts, part{groups, func(x *loop.Val) { group = x }})

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
		if g.shape.group == 1 {
			g.panels(func(body func()) { g.piece(group, body) })
			return nil
		}
		g.panels(func(body func()) { g.eachPanel(group, body) })
		return nil
	})
	return true
}

// eachPanel emits body for the panels of a group.
func (g *gemm) eachPanel(group *loop.Val, body func()) {
	n := g.shape.group
	panels := ceil(g.extent(g.col), g.width())
	from, to := loop.Bound{}, loop.Bound{Dim: panels}
	var first loop.Index
	if !panels.Is(n) {
		size := g.SizeOf(loop.N(n))
		lo := g.Do(loop.Mul, group, size)
		hi := g.Do(loop.Add, lo, size)
		if c, ok := panels.Const(); !ok || c%n != 0 {
			hi = g.Do(loop.Min, hi, g.SizeOf(panels))
		}
		from, to, first = loop.Bound{Val: lo}, loop.Bound{Val: hi}, loop.At(lo)
	}
	g.groupStart, g.groupEnd = g.start(from), g.start(to)
	g.For("panel", from, to, 1, nil, func(x *loop.Val, _ []*loop.Val) []*loop.Val {
		if g.shape.sums > 0 {
			g.sumsAt = loop.At(x).Add(first.Scale(loop.N(-1))).Scale(loop.N(g.pieceRows() * g.width()))
		}
		g.piece(x, body)
		return nil
	})
	g.sumsAt, g.groupStart, g.groupEnd = loop.Index{}, nil, nil
}

// ceil is d/n, rounded up.
func ceil(d ir.Dim, n int) ir.Dim { return d.AddN(n - 1).FloorDiv(loop.N(n)) }

// grain is how many pieces are worth a dispatch.
func (g *gemm) grain() ir.Dim {
	rows, sums := g.pieceRows(), g.count(g.sums)
	columns := min(g.shape.group*g.width(), constant(g.extent(g.col)))
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
		rows = max(rows, g.least())
	}
	all := g.pieceRows()
	if s.sums > 0 && s.many || s.pack {
		if all > 4*rowsBlock {
			return false
		}
	}
	if s.sums > 0 && s.many {
		rows = max(rows, all*s.group)
	}
	sums := g.panelLen()
	if sums > 4*panelSums { // the first letter is not the one with many
		if s.pack || !g.contiguous(g.col) {
			return false
		}
		s.copy, s.passing = false, false
	}
	if s.copy {
		g.panel = g.Local(g.names.pick("", "panel"), loop.F32, loop.N((sums+loop.Lanes)*g.width()))
	}
	if s.pack {
		g.packed = g.Local(g.names.pick("", "rows"), loop.F32, loop.N(g.packedLen(all)))
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
