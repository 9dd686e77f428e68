package passes

import (
	"slices"
	"strings"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// A nativeChain emits the contractions of a chain in vectors. Operands that are
// the same for all blocks of rows are packed once in each piece, all panels one
// after the other; those of sums over the rows are packed for each block.
type nativeChain struct {
	*chainEmitter
	target *loop.Target
	panels map[*ir.Value]*loop.Buffer // by contraction
	packed map[*ir.Value]*loop.Buffer // by contraction: rows of the scalar operand that are computed
	failed bool
	few    bool // the piece has few rows: operands are read where they are
}

// nativeRows are about the rows of a block: so many that what is packed pays,
// and few enough that what is kept of them stays in a level 2 cache.
const nativeRows = 32

// fewChainRows are so few that packing does not pay, as in decoding.
const fewChainRows = 8

// nativeChain is the form of the chain p for target t, or nil if there is none:
// no letter of its own is innermost where a contraction goes, or rows have to be
// computed for a number of sums that is not known.
func (b *kernelBuilder) nativeChain(p *plan, t *loop.Target) *loop.Kernel {
	b.native = true
	x := &nativeChain{chainEmitter: b.newChain(p, nativeRows), target: t, panels: map[*ir.Value]*loop.Buffer{}, packed: map[*ir.Value]*loop.Buffer{}}
	x.dot = x.contraction
	x.emit(func() {
		many := func() []*loop.Val {
			x.pack()
			x.blocks()
			return nil
		}
		rows := x.c.extents[x.c.block]
		if _, known := rows.Const(); known || slices.ContainsFunc(p.members, x.sums) {
			many()
			return
		}
		x.If(x.Do(loop.Lt, x.SizeOf(rows), x.SizeOf(loop.N(fewChainRows))), func() []*loop.Val {
			x.few = true
			x.blocks()
			x.few = false
			return nil
		}, many)
	})
	if x.failed {
		return nil
	}
	x.K.Grid.Grain = grainFor(x.flops, x.K.Grid.N, worthNative)
	return x.K
}

// gemm begins the contraction of st for the current block; nil if there is no
// form in vectors.
func (x *nativeChain) gemm(st *plan) *gemm {
	g := &gemm{dotEmitter: x.newDot(st), target: x.target, parts: map[rune][]rune{}}
	g.joined = map[rune]ir.Dim{}
	x.restrict(g.dotEmitter)
	roles := x.c.roles[st.dot]
	for i, r := range g.spec.Out {
		inner := roles[i] >= 0 && slices.Contains(x.c.inner, roles[i])
		if roles[i] == ownAxis || inner && x.c.large(st.dot) {
			g.col = r // the last one
		}
	}
	if !g.roles() || len(g.batch) > 0 {
		return nil
	}
	columns := (constant(g.extent(g.col)) + loop.Lanes - 1) / loop.Lanes
	g.shape.vectors = min(2/x.target.Span(), columns)
	n := g.shape.vectors * x.target.Span()
	g.shape.rows = (x.target.Regs - 1 - n) / n
	g.shape.inside = g.rows
	return g
}

// panelLen is the size of a panel of g that has all sums.
func (x *nativeChain) panelLen(g *gemm) ir.Dim {
	n := loop.N(1)
	for _, r := range g.sums {
		n = n.Mul(g.extent(r))
	}
	return n.AddN(loop.Lanes).MulN(g.width())
}

// pack packs the vector operands that are the same for all blocks.
func (x *nativeChain) pack() {
	for _, st := range x.p.stages {
		if st.kind != contraction || x.sums(st.dot) {
			continue
		}
		g := x.gemm(st)
		if g == nil || !g.find(g.trial(), g.vector) {
			x.failed = true
			return
		}
		count := ceil(g.extent(g.col), g.width())
		size := x.panelLen(g)
		g.panel = x.Local(x.names.pick("", "panels"), loop.F32, count.Mul(size))
		x.panels[st.dot] = g.panel
		g.from, g.to = nil, loop.Bound{Dim: g.extent(g.sums[0])}
		panels := loop.Bound{Dim: count}
		if x.most != nil { // what no row of the piece can see is not packed
			if x.limited(g, g.col) {
				panels = x.panelsBefore(g, x.most)
			} else if x.limited(g, g.sums[0]) && !g.operand[g.vector].computed {
				g.to = loop.Bound{Val: x.most}
			}
		}
		x.For("panel", loop.Bound{}, panels, 1, nil, func(i *loop.Val, _ []*loop.Val) []*loop.Val {
			g.base = loop.At(i).Scale(size)
			g.piece(i, g.pack)
			return nil
		})
	}
}

// limited reports whether the letter r of g is the axis that the mask limits.
func (x *nativeChain) limited(g *gemm, r rune) bool {
	v := g.p.dot
	letters := []string{g.spec.X, g.spec.Y, g.spec.Out}
	for i, y := range []*ir.Value{v.Args[0], v.Args[1], v} {
		roles := x.c.roles[y]
		if k := strings.IndexRune(letters[i], r); k >= 0 && roles != nil {
			return roles[k] == x.p.limit.inner
		}
	}
	return false
}

// panelsBefore is the number of panels of g that the first n columns take.
func (x *nativeChain) panelsBefore(g *gemm, n *loop.Val) loop.Bound {
	width := g.width()
	return loop.Bound{Val: x.Do(loop.Div, x.Do(loop.Add, n, x.SizeOf(loop.N(width-1))), x.SizeOf(loop.N(width)))}
}

// contraction emits the contraction of st for the current block.
func (x *nativeChain) contraction(st *plan) {
	if x.failed {
		return
	}
	g := x.gemm(st)
	v := st.dot
	all := x.out[v]
	if x.sums(v) {
		x.out[v] = all[:1] // the others get copies of the last sums
		defer func() { x.out[v] = all }()
	}
	if g == nil || !g.addresses() || slices.ContainsFunc(x.out[v], func(s storage) bool { return !s.strides[slices.Index([]rune(g.spec.Out), g.col)].Is(1) }) {
		x.failed = true
		return
	}
	if g.operand[1-g.vector].computed && !x.rowsOf(g) || x.sums(v) && g.packed != nil {
		x.failed = true
		return
	}
	if x.few && x.inPlace(g) {
		return
	}
	panels := loop.Bound{Dim: ceil(g.extent(g.col), g.width())}
	sums := x.sums(v)
	switch {
	case sums:
		g.from, g.to, g.shape.sums = x.span[0].Val, x.span[1], x.rows
		g.panel = x.Local(x.names.pick("", "panel"), loop.F32, loop.N((x.rows+loop.Lanes)*g.width()))
	default:
		g.block, g.shape.block = x.number, x.rows
		from, to := g.span(g.sums[0])
		g.from, g.to, g.panel = from.Val, to, x.panels[v]
		if x.few {
			g.panel = x.Local(x.names.pick("", "panel"), loop.F32, x.panelLen(g))
		}
		if s, ok := g.spans[g.col]; ok { // only the first columns
			panels = x.panelsBefore(g, s[1].Val)
		}
	}
	if n, ok := x.c.extents[x.c.block].Const(); sums || !ok || n%x.rows != 0 {
		// So many divide the blocks that are full, and the limit.
		g.shape.rows = map[bool]int{true: 8, false: 4}[g.shape.rows >= 8]
	}
	size := x.panelLen(g)
	x.For("panel", loop.Bound{}, panels, 1, nil, func(i *loop.Val, _ []*loop.Val) []*loop.Val {
		if !sums && !x.few {
			g.base = loop.At(i).Scale(size)
		}
		g.piece(i, func() {
			if sums || x.few {
				g.pack()
			}
			g.rowTiles(false, func(t rowTile) {
				acc := g.zeros(t)
				if sums {
					acc = g.loadOut(t)
				}
				g.storeOut(t, g.sumTile(t, acc))
			})
		})
		return nil
	})
}

// rowsOf computes the scalar operand of g, which is not in memory, for the rows
// of the block; false if the number of sums is not known.
func (x *nativeChain) rowsOf(g *gemm) bool {
	n := g.panelLen()
	if n > panelSums {
		return false
	}
	g.block, g.shape.block = x.number, x.rows
	g.from, g.to = nil, loop.Bound{Dim: g.extent(g.sums[0])}
	v := g.p.dot
	if x.packed[v] == nil {
		x.packed[v] = x.Local(x.names.pick("", "rows"), loop.F32, loop.N(g.packedLen(x.rows)))
	}
	g.packed = x.packed[v]
	g.packRows()
	return true
}

// inPlace emits g for few rows, one after the other, with the vector operand
// where it is; false if its elements do not lie so.
func (x *nativeChain) inPlace(g *gemm) bool {
	last := g.sums[len(g.sums)-1]
	from, to := g.span(g.sums[0])
	g.from, g.to = from.Val, to
	g.block, g.shape.block, g.shape.rows = x.number, x.rows, 1
	limit := loop.Bound{Dim: g.extent(g.col)}
	if _, end := g.span(g.col); end.Val != nil {
		limit = end
	}
	switch {
	case g.contiguous(last) && !g.part(last) && !g.contiguous(g.col) && (g.packed != nil && g.sumsInner() || g.packed == nil && g.stride(1-g.vector, last).Is(1)):
		n := 8 / x.target.Span()
		columns := func(t rowTile, j *loop.Val, n int) {
			acc := make([]*loop.Val, n)
			for i := range acc {
				acc[i] = g.ConstVec(loop.F32, 0)
			}
			g.set(t, 0)
			at := func(c int) { g.at[g.col] = loop.At(j).Add(loop.AtDim(loop.N(c))) }
			for c, sum := range g.overVectors(acc, func(mask *loop.Val, acc []*loop.Val) []*loop.Val {
				next := make([]*loop.Val, n)
				var s *loop.Val
				if g.packed != nil {
					s = g.LoadVec(g.packed, g.inPacked(t.local), mask)
				} else {
					s = g.LoadVec(g.operand[1-g.vector].buf, g.address(1-g.vector), mask)
				}
				for c := range next {
					at(c)
					next[c] = g.Do(loop.FMA, s, g.LoadVec(g.operand[g.vector].buf, g.address(g.vector), mask), acc[c])
				}
				return next
			}) {
				at(c)
				sum = g.Do(loop.AddAcross, sum)
				for _, s := range g.out[g.p.dot] {
					g.Store(s.buf, s.address(g.index(2)), sum)
				}
			}
		}
		g.rowTiles(false, func(t rowTile) {
			var after *loop.Val
			x.steps("j", loop.Bound{}, limit, n, nil, &after, func(j *loop.Val, _ []*loop.Val) []*loop.Val {
				columns(t, j, n)
				return nil
			})
			x.For("j", loop.Bound{Val: after}, limit, 1, nil, func(j *loop.Val, _ []*loop.Val) []*loop.Val {
				columns(t, j, 1)
				return nil
			})
		})
	case g.contiguous(g.col):
		g.shape.vectors = min(8/x.target.Span(), (constant(g.extent(g.col))+loop.Lanes-1)/loop.Lanes)
		panels := loop.Bound{Dim: ceil(g.extent(g.col), g.width())}
		if limit.Val != nil {
			panels = x.panelsBefore(g, limit.Val)
		}
		x.For("panel", loop.Bound{}, panels, 1, nil, func(i *loop.Val, _ []*loop.Val) []*loop.Val {
			g.piece(i, func() {
				g.rowTiles(false, func(t rowTile) { g.storeOut(t, g.sumTile(t, g.zeros(t))) })
			})
			return nil
		})
	default:
		return false
	}
	return true
}

// eachOut calls f with the place of every vector of t in s.
func (g *gemm) eachOut(t rowTile, s storage, f func(k int, at loop.Index, mask *loop.Val)) {
	for j := range t.rows() {
		g.set(t, j)
		for i, mask := range g.masks {
			g.at[g.col] = g.lo.Add(loop.AtDim(loop.N(i * loop.Lanes)))
			f(j*len(g.masks)+i, s.address(g.index(2)), mask)
		}
	}
}

// loadOut loads what the sums of t are added to.
func (g *gemm) loadOut(t rowTile) []*loop.Val {
	acc := make([]*loop.Val, t.rows()*len(g.masks))
	s := g.out[g.p.dot][0]
	g.eachOut(t, s, func(k int, at loop.Index, mask *loop.Val) { acc[k] = g.LoadVec(s.buf, at, mask) })
	return acc
}

// storeOut stores the sums of t.
func (g *gemm) storeOut(t rowTile, acc []*loop.Val) {
	for _, s := range g.out[g.p.dot] {
		g.eachOut(t, s, func(k int, at loop.Index, mask *loop.Val) { g.StoreVec(s.buf, at, acc[k], mask) })
	}
}
