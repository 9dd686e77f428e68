package looptest

import (
	"fmt"
	"math/rand/v2"

	"github.com/lmc-lang/lmc/ir/loop"
)

// Random returns a kernel of random statements, nested loops and choices, that
// stays inside its buffers, with inputs. Equal seeds give equal kernels.
func Random(seed uint64) *Case {
	g := &random{r: rand.New(rand.NewPCG(seed, 99)), b: loop.NewBuilder(fmt.Sprintf("random%d", seed))}
	g.cols = 1 + g.r.IntN(4)
	g.kernel()
	return NewCase(g.b.K, dims{"N": g.r.IntN(5)}, []int{2}, seed)
}

// A random builds a kernel. Values are in scope as long as the block that made
// them is open.
type random struct {
	r    *rand.Rand
	b    *loop.Builder
	cols int // extent of the inner axis
	ins  []*loop.Buffer
	outs []*loop.Buffer

	vals  []*loop.Val // in scope
	rows  []*loop.Val // counters in [0, N)
	colsI []*loop.Val // counters in [0, cols)
	depth int
}

func (g *random) kernel() {
	b, n := g.b, sym("N")
	b.K.Doc = "random statements (test)"
	size := n.MulN(g.cols)
	g.ins = []*loop.Buffer{
		b.Buffer("x", loop.F32, size, false), b.Buffer("w", loop.F32, loop.N(g.cols), false),
		b.Buffer("ids", loop.I32, size, false), b.Buffer("mask", loop.Bool, n, false),
	}
	g.outs = []*loop.Buffer{b.Buffer("y", loop.F32, size, true), b.Buffer("count", loop.I32, size, true), b.Buffer("z", loop.F32, loop.N(g.cols), true)}
	if g.r.IntN(3) == 0 {
		b.K.InPlace = [][2]int{{0, 4}} // only allowed: memory is not shared here
	}
	g.vals = append(g.vals, b.Int("layer"))
	zero, none := b.Const(loop.F32, 0), b.Const(loop.I32, 0)
	b.Range("i", size, func(i *loop.Val) {
		b.Store(g.outs[0], loop.At(i), zero)
		b.Store(g.outs[1], loop.At(i), none)
	})
	b.Range("j", loop.N(g.cols), func(j *loop.Val) { b.Store(g.outs[2], loop.At(j), zero) })
	g.vals = append(g.vals, zero, none)
	if g.r.IntN(2) == 0 {
		lo, hi := grid(b, n)
		g.scope(func() {
			b.For("i", lo, hi, 1, nil, func(i *loop.Val, _ []*loop.Val) []*loop.Val {
				g.scope(func() {
					g.rows, g.vals = append(g.rows, i), append(g.vals, i)
					g.depth++
					g.block(2 + g.r.IntN(6))
					g.depth--
				})
				return nil
			})
		})
		return
	}
	g.block(4 + g.r.IntN(6))
}

// scope forgets the values that body makes.
func (g *random) scope(body func()) {
	v, r, c := len(g.vals), len(g.rows), len(g.colsI)
	body()
	g.vals, g.rows, g.colsI = g.vals[:v], g.rows[:r], g.colsI[:c]
}

func (g *random) block(n int) {
	for range n {
		g.stmt()
	}
}

func (g *random) stmt() {
	switch k := g.r.IntN(20); {
	case k < 8:
		g.op()
	case k < 9:
		g.push(g.constant(loop.Elem(g.r.IntN(4))))
	case k < 12:
		g.load()
	case k < 15:
		g.store()
	case k < 18 && g.depth < 4:
		g.loop()
	case g.depth < 4:
		g.branch()
	}
}

func (g *random) push(v *loop.Val) { g.vals = append(g.vals, v) }

func (g *random) constant(e loop.Elem) *loop.Val {
	x := float64(g.r.IntN(7) - 3)
	switch {
	case e == loop.Bool:
		x = float64(g.r.IntN(2))
	case e == loop.F32 && g.r.IntN(3) == 0:
		x = Specials[g.r.IntN(len(Specials))]
	case e == loop.F32:
		x /= 4
	}
	return g.b.Const(e, x)
}

// pick is a value of type e: one in scope, more likely a late one, or a constant.
func (g *random) pick(e loop.Elem) *loop.Val {
	var fit []*loop.Val
	for _, v := range g.vals {
		if v.Elem == e {
			fit = append(fit, v)
		}
	}
	if len(fit) == 0 || g.r.IntN(8) == 0 {
		return g.constant(e)
	}
	if len(fit) > 3 && g.r.IntN(2) == 0 {
		fit = fit[len(fit)-3:]
	}
	return fit[g.r.IntN(len(fit))]
}

func (g *random) op() {
	op := loop.Op(g.r.IntN(len(loop.Table)))
	in := &loop.Table[op]
	if len(in.Forms) == 0 || in.Native {
		return
	}
	f := in.Forms[g.r.IntN(len(in.Forms))]
	if op == loop.Check {
		return
	}
	var args []*loop.Val
	for _, e := range f.Args {
		args = append(args, g.pick(e))
	}
	if f.Fault { // division of ints
		args[1] = g.b.Const(loop.Int, float64([]int{-3, -1, 1, 2, 5}[g.r.IntN(5)]))
	}
	if op == loop.Convert {
		g.push(g.b.ConvertTo(f.Result, args[0]))
		return
	}
	g.push(g.b.Do(op, args...))
}

// at is an address inside a buffer, if the counters in scope allow one.
func (g *random) at(b *loop.Buffer) (loop.Index, bool) {
	col := loop.AtDim(loop.N(g.r.IntN(g.cols)))
	switch k := g.r.IntN(4); {
	case k < 2 && len(g.colsI) > 0:
		col = loop.At(g.colsI[g.r.IntN(len(g.colsI))])
	case k == 2:
		m := g.b.SizeOf(loop.N(g.cols))
		col = loop.At(g.b.Do(loop.Check, g.b.Do(loop.Mod, g.pick(loop.Int), m), m))
	}
	if b.Len.Eq(loop.N(g.cols)) {
		return col, true
	}
	if len(g.rows) == 0 {
		return loop.Index{}, false
	}
	row := loop.At(g.rows[g.r.IntN(len(g.rows))])
	if b.Elem == loop.Bool {
		return row, true
	}
	return row.Scale(loop.N(g.cols)).Add(col), true
}

func (g *random) load() {
	all := append(append([]*loop.Buffer{}, g.ins...), g.outs...)
	b := all[g.r.IntN(len(all))]
	if at, ok := g.at(b); ok {
		g.push(g.b.Load(b, at))
	}
}

func (g *random) store() {
	b := g.outs[g.r.IntN(len(g.outs))]
	if at, ok := g.at(b); ok {
		g.b.Store(b, at, g.pick(b.Elem))
	}
}

func (g *random) branch() {
	n := g.r.IntN(3)
	es := make([]loop.Elem, n)
	for i := range es {
		es[i] = loop.Elem(g.r.IntN(4))
	}
	side := func() (out []*loop.Val) {
		g.scope(func() {
			g.depth++
			g.block(g.r.IntN(4))
			g.depth--
			for _, e := range es {
				out = append(out, g.pick(e))
			}
		})
		return
	}
	els := side
	if n == 0 && g.r.IntN(2) == 0 {
		els = nil
	}
	g.vals = append(g.vals, g.b.If(g.pick(loop.Bool), side, els)...)
}

func (g *random) loop() {
	b := g.b
	from, to, step := loop.Bound{}, loop.Bound{Dim: loop.N(g.cols)}, 1
	row := false
	switch k := g.r.IntN(8); {
	case k < 3:
		to.Dim, row = sym("N"), true
	case k == 3:
		step = 2 + g.r.IntN(2)
	case k == 4 && g.cols > 1:
		from.Dim = loop.N(1)
	case k == 5 && len(g.colsI) > 0:
		from.Val = g.colsI[g.r.IntN(len(g.colsI))]
	case k == 6 && len(g.colsI) > 0: // up to a counter
		to = loop.Bound{Val: b.Do(loop.Add, g.colsI[g.r.IntN(len(g.colsI))], b.Const(loop.Int, 1))}
	}
	var init []*loop.Val
	for range g.r.IntN(4) {
		init = append(init, g.pick(loop.Elem(g.r.IntN(4))))
	}
	out := b.For("k", from, to, step, init, func(i *loop.Val, phi []*loop.Val) (next []*loop.Val) {
		g.scope(func() {
			if row {
				g.rows = append(g.rows, i)
			} else {
				g.colsI = append(g.colsI, i)
			}
			g.vals = append(append(g.vals, i), phi...)
			g.depth++
			g.block(1 + g.r.IntN(5))
			g.depth--
			for _, p := range phi {
				next = append(next, g.pick(p.Elem))
			}
		})
		return
	})
	g.vals = append(g.vals, out...)
}
