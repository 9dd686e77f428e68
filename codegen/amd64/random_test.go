package amd64_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/codegen/amd64"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/loop/looptest"
)

// A random builds a kernel in vectors over rows of cols elements: nested loops
// with vectors and scalars carried around them, choices, masks, gathers.
type random struct {
	r    *rand.Rand
	b    *loop.Builder
	cols int

	ins, outs []*loop.Buffer

	vals  []*loop.Val // in scope
	rows  []*loop.Val // counters in [0, N)
	whole []place     // places of whole vectors in a row
	small []*loop.Val // counters in [0, 16)
	depth int
}

// A place is a column with room for a vector behind it, or for the lanes of
// mask.
type place struct{ at, mask *loop.Val }

func randomCase(seed uint64) *looptest.Case {
	g := &random{r: rand.New(rand.NewPCG(seed, 7)), b: loop.NewBuilder(fmt.Sprintf("random%d", seed))}
	g.cols = 16 + g.r.IntN(40)
	g.kernel()
	c := &looptest.Case{Kernel: g.b.K, Dims: map[string]int{"N": g.r.IntN(4), "T": 1 + g.r.IntN(3)}, Ints: []int{2}}
	for _, b := range g.b.K.Arguments() {
		n, _ := b.Len.Eval(c.Dims)
		in := make([]float64, n)
		for i := range in {
			switch {
			case b.Elem == loop.Bool:
				in[i] = float64(g.r.IntN(2))
			case b.Elem == loop.I32 && g.r.IntN(8) == 0:
				in[i] = looptest.SpecialInts[g.r.IntN(len(looptest.SpecialInts))]
			case b.Elem == loop.I32:
				in[i] = float64(g.r.IntN(40) - 5)
			case g.r.IntN(16) == 0:
				in[i] = looptest.Specials[g.r.IntN(len(looptest.Specials))]
			default:
				in[i] = float64(float32(g.r.NormFloat64()))
			}
		}
		c.Inputs = append(c.Inputs, in)
	}
	return c
}

func (g *random) kernel() {
	b, n := g.b, loop.Sym("N")
	b.K.Doc = "random statements in vectors (test)"
	stride := loop.Sym("T").MulN(g.cols)
	if g.r.IntN(2) == 0 {
		stride = loop.N(g.cols)
	}
	size := n.Mul(stride)
	for i, e := range []loop.Elem{loop.F32, loop.F32, loop.I32, loop.Bool} {
		g.ins = append(g.ins, b.Buffer(fmt.Sprintf("in%d", i), e, size, false))
	}
	for i, e := range []loop.Elem{loop.F32, loop.I32, loop.Bool, loop.F32} {
		g.outs = append(g.outs, b.Buffer(fmt.Sprintf("out%d", i), e, size, true))
	}
	g.vals = append(g.vals, b.Int("layer"))
	lo, hi := b.NewVal(loop.Int, "lo"), b.NewVal(loop.Int, "hi")
	b.K.Grid = &loop.Grid{Lo: lo, Hi: hi, N: n, Grain: loop.N(1)}
	if g.r.IntN(3) == 0 {
		b.K.InPlace = [][2]int{{0, 4}} // only allowed: memory is not shared here
	}
	for range 12 * g.r.IntN(2) { // many constants
		g.vals = append(g.vals, g.constant(loop.F32, true))
	}
	b.For("i", loop.Bound{Val: lo}, loop.Bound{Val: hi}, 1, nil, func(i *loop.Val, _ []*loop.Val) []*loop.Val {
		g.rows = append(g.rows, i)
		// Outputs may be read, so they are written first.
		for _, out := range g.outs {
			b.For("j", loop.Bound{}, loop.Bound{Dim: stride}, 1, nil, func(j *loop.Val, _ []*loop.Val) []*loop.Val {
				b.Store(out, at(0, stride, i).Add(loop.At(j)), b.Const(out.Elem, 0))
				return nil
			})
		}
		g.vals = append(g.vals, i)
		g.row(func(v *loop.Val) loop.Index { return at(0, stride, v) })
		return nil
	})
}

var rowOf func(v *loop.Val) loop.Index

func (g *random) row(of func(v *loop.Val) loop.Index) {
	rowOf = of
	zero := g.b.SizeOf(loop.N(0))
	g.whole = append(g.whole, place{zero, nil})
	g.block(6 + g.r.IntN(8))
}

// scope forgets what body makes.
func (g *random) scope(body func()) {
	v, w, s := len(g.vals), len(g.whole), len(g.small)
	body()
	g.vals, g.whole, g.small = g.vals[:v], g.whole[:w], g.small[:s]
}

func (g *random) block(n int) {
	for range n {
		g.stmt()
	}
}

func (g *random) stmt() {
	switch k := g.r.IntN(24); {
	case k < 10:
		g.op()
	case k < 11:
		g.across()
	case k < 14:
		g.load()
	case k < 15:
		g.gather()
	case k < 18:
		g.store()
	case k < 21 && g.depth < 3:
		g.loop()
	case k < 22 && g.depth < 3:
		g.columns()
	case g.depth < 4:
		g.branch()
	}
}

func (g *random) push(v ...*loop.Val) { g.vals = append(g.vals, v...) }

func (g *random) constant(e loop.Elem, many bool) *loop.Val {
	x := float64(g.r.IntN(7) - 3)
	switch {
	case e == loop.Bool:
		x = float64(g.r.IntN(2))
	case e == loop.F32 && g.r.IntN(3) == 0:
		x = looptest.Specials[g.r.IntN(len(looptest.Specials))]
	case e == loop.F32:
		x /= 4
	}
	if many && g.r.IntN(3) > 0 {
		return g.b.ConstVec(e, x)
	}
	if many {
		return g.b.Do(loop.Splat, g.b.Const(e, x))
	}
	return g.b.Const(e, x)
}

// pick is a value in scope, more likely a late one, or a constant.
func (g *random) pick(e loop.Elem, many bool) *loop.Val {
	var fit []*loop.Val
	for _, v := range g.vals {
		if v.Elem == e && v.Vec == many {
			fit = append(fit, v)
		}
	}
	if many && g.r.IntN(8) == 0 {
		return g.b.Do(loop.Splat, g.pick(e, false))
	}
	if len(fit) == 0 || g.r.IntN(8) == 0 {
		return g.constant(e, many)
	}
	if len(fit) > 4 && g.r.IntN(2) == 0 {
		fit = fit[len(fit)-4:]
	}
	return fit[g.r.IntN(len(fit))]
}

var expanded = map[loop.Op]bool{loop.Check: true, loop.Mod: true, loop.Exp: true, loop.Expm1: true, loop.Log: true, loop.Log1p: true,
	loop.Sin: true, loop.Cos: true, loop.Tan: true, loop.Asin: true, loop.Acos: true, loop.Atan: true, loop.Tanh: true, loop.Sigmoid: true,
	loop.Erf: true, loop.Pow: true, loop.Fold: true, loop.Uniform: true, loop.Normal: true}

func (g *random) op() {
	op := loop.Op(g.r.IntN(len(loop.Table)))
	if g.r.IntN(4) == 0 {
		op = loop.FMA
	}
	in := &loop.Table[op]
	if len(in.Forms) == 0 || expanded[op] {
		return
	}
	f := in.Forms[g.r.IntN(len(in.Forms))]
	many := f.Result != loop.Int && g.r.IntN(3) > 0
	for _, a := range f.Args {
		many = many && a != loop.Int
	}
	if f.Float == 64 {
		return
	}
	var args []*loop.Val
	for _, e := range f.Args {
		args = append(args, g.pick(e, many))
	}
	if f.Fault { // division of ints
		args[1] = g.b.Const(loop.Int, float64([]int{-3, -1, 1, 2, 5}[g.r.IntN(5)]))
	}
	switch {
	case op == loop.Convert:
		g.push(g.b.ConvertTo(f.Result, args[0]))
	case op == loop.Scale:
		c := func(x float64) *loop.Val {
			if many {
				return g.b.ConstVec(loop.F32, x)
			}
			return g.b.Const(loop.F32, x)
		}
		n := g.b.Do(loop.Round, args[1])
		limit := []float64{100, 200, 1000}[g.r.IntN(3)]
		n = g.b.Do(loop.Max, n, c(-limit)) // NaN too
		g.push(g.b.Do(op, args[0], g.b.Do(loop.Min, n, c(limit))))
	default:
		g.push(g.b.Do(op, args...))
	}
}

func (g *random) across() {
	b := g.b
	e := []loop.Elem{loop.F32, loop.I32}[g.r.IntN(2)]
	switch g.r.IntN(5) {
	case 0:
		g.push(b.Do(loop.Iota))
	case 1:
		g.push(b.Do(loop.First, b.Do(loop.Sub, g.pick(loop.Int, false), b.Const(loop.Int, float64(g.r.IntN(20)-10)))))
	case 2:
		g.push(b.Do([]loop.Op{loop.AddAcross, loop.MinAcross, loop.MaxAcross}[g.r.IntN(3)], g.pick(e, true)))
	default:
		ops := []loop.Op{loop.UnpackLow, loop.UnpackHigh, loop.PairLow, loop.PairHigh, loop.QuadEven, loop.QuadOdd}
		g.push(b.Do(ops[g.r.IntN(6)], g.pick(e, true), g.pick(e, true)))
	}
}

func (g *random) row1() loop.Index { return rowOf(g.rows[g.r.IntN(len(g.rows))]) }

func (g *random) buffer() *loop.Buffer {
	all := append(append([]*loop.Buffer{}, g.ins...), g.outs...)
	return all[g.r.IntN(len(all))]
}

// at is a place in a row, with a mask if it needs one.
func (g *random) at() (loop.Index, *loop.Val) {
	p := g.whole[g.r.IntN(len(g.whole))]
	x := g.row1().Add(loop.At(p.at))
	mask := p.mask
	if g.r.IntN(3) == 0 {
		m := g.pick(loop.Bool, true)
		if mask != nil {
			m = g.b.Do(loop.And, m, mask)
		}
		mask = m
	}
	return x, mask
}

func (g *random) load() {
	b := g.buffer()
	if g.r.IntN(4) == 0 {
		x := g.row1().Add(loop.AtDim(loop.N(g.r.IntN(g.cols))))
		if len(g.small) > 0 && g.r.IntN(2) == 0 {
			x = g.row1().Add(loop.At(g.small[g.r.IntN(len(g.small))]))
		}
		g.push(g.b.Load(b, x))
		return
	}
	x, mask := g.at()
	v := g.b.LoadVec(b, x, mask)
	g.push(v)
}

func (g *random) gather() {
	b := g.b
	c := func(x int) *loop.Val { return b.ConstVec(loop.I32, float64(x)) }
	lane := b.Do(loop.Min, b.Do(loop.Max, g.pick(loop.I32, true), c(0)), c(g.cols-1))
	var mask *loop.Val
	if g.r.IntN(2) == 0 {
		mask = g.pick(loop.Bool, true)
	}
	g.push(b.Gather(g.buffer(), g.row1(), lane, mask))
}

func (g *random) store() {
	out := g.outs[g.r.IntN(len(g.outs))]
	if g.r.IntN(4) == 0 {
		g.b.Store(out, g.row1().Add(loop.AtDim(loop.N(g.r.IntN(g.cols)))), g.pick(out.Elem, false))
		return
	}
	x, mask := g.at()
	g.b.StoreVec(out, x, g.pick(out.Elem, true), mask)
}

func (g *random) branch() {
	n := g.r.IntN(3)
	es, many := make([]loop.Elem, n), make([]bool, n)
	for i := range es {
		es[i] = loop.Elem(g.r.IntN(4))
		many[i] = es[i] != loop.Int && g.r.IntN(2) == 0
	}
	side := func() (out []*loop.Val) {
		g.scope(func() {
			g.depth++
			g.block(g.r.IntN(4))
			g.depth--
			for i, e := range es {
				out = append(out, g.pick(e, many[i]))
			}
		})
		return
	}
	els := side
	if n == 0 && g.r.IntN(2) == 0 {
		els = nil
	}
	g.push(g.b.If(g.pick(loop.Bool, false), side, els)...)
}

// carried picks values to carry around a loop.
func (g *random) carried() (init []*loop.Val) {
	for range []int{0, 1, 2, 3, 4, 10}[g.r.IntN(6)] {
		e := loop.Elem(g.r.IntN(4))
		init = append(init, g.pick(e, e != loop.Int && g.r.IntN(3) > 0))
	}
	return init
}

// loop is a loop over few numbers.
func (g *random) loop() {
	b := g.b
	from, to, step := loop.Bound{}, loop.Bound{Dim: loop.N(1 + g.r.IntN(5))}, 1
	switch k := g.r.IntN(8); {
	case k < 2:
		to.Dim = loop.Sym("T")
	case k == 3:
		step = 2 + g.r.IntN(2)
	case k == 4:
		from.Dim = loop.N(1)
	case k == 5 && len(g.small) > 0:
		from.Val = g.small[g.r.IntN(len(g.small))]
	case k == 6 && len(g.small) > 0:
		to = loop.Bound{Val: b.Do(loop.Add, g.small[g.r.IntN(len(g.small))], b.Const(loop.Int, 1))}
	}
	out := b.For("k", from, to, step, g.carried(), func(i *loop.Val, phi []*loop.Val) (next []*loop.Val) {
		g.scope(func() {
			g.small = append(g.small, i)
			g.push(append([]*loop.Val{i}, phi...)...)
			g.depth++
			g.block(1 + g.r.IntN(6))
			g.depth--
			for _, p := range phi {
				next = append(next, g.pick(p.Elem, p.Vec))
			}
		})
		return
	})
	g.push(out...)
	if g.r.IntN(3) == 0 {
		f := b.LastLoop()
		f.After = b.NewVal(loop.Int, "after")
		g.push(f.After)
	}
}

// columns is a loop over the vectors of a row, with a masked tail.
func (g *random) columns() {
	b := g.b
	body := func(j, mask *loop.Val, phi []*loop.Val) (next []*loop.Val) {
		g.scope(func() {
			g.whole = append(g.whole, place{j, mask}, place{j, mask})
			g.push(append([]*loop.Val{j}, phi...)...)
			g.depth++
			g.block(2 + g.r.IntN(8))
			g.depth--
			for _, p := range phi {
				next = append(next, g.pick(p.Elem, p.Vec))
			}
		})
		return
	}
	out := b.For("j", loop.Bound{}, loop.Bound{Dim: loop.N(g.cols)}, loop.Lanes, g.carried(), func(j *loop.Val, phi []*loop.Val) []*loop.Val {
		return body(j, nil, phi)
	})
	f := b.LastLoop()
	f.After = b.NewVal(loop.Int, "rest")
	mask := b.Do(loop.First, b.Do(loop.Sub, b.SizeOf(loop.N(g.cols)), f.After))
	g.push(body(f.After, mask, out)...)
	g.vals = g.vals[:len(g.vals)-len(out)]
	g.push(out...)
}

func TestRandomKernels(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles a program")
	}
	seeds := []uint64{}
	for seed := range uint64(150) {
		seeds = append(seeds, seed)
	}
	if s := os.Getenv("LMC_SEED"); s != "" {
		n, _ := strconv.ParseUint(s, 10, 64)
		seeds = []uint64{n}
	}
	targets := slices.Clone(loop.Targets)
	for _, t := range loop.Targets { // with so few registers that most kernels spill
		few := *t
		few.Name, few.Regs = t.Name+" few registers", 6
		targets = append(targets, &few)
	}
	for _, target := range targets {
		for i, order := range amd64.Orders {
			t.Run(fmt.Sprint(target.Name, " ", i), func(t *testing.T) {
				if !has(target) {
					t.Skip("this machine has no " + target.Name)
				}
				p := program{print: func(k *loop.Kernel, t *loop.Target, name string, syms []string) (asm, stub string, err error) {
					return amd64.PrintIn(order, k, t, name, syms)
				}}
				for _, seed := range seeds {
					c := randomCase(seed)
					require.NoError(t, c.Kernel.Verify(), "%s", c.Kernel)
					require.True(t, p.add(t, target, c), "%s", c.Kernel)
				}
				p.run(t)
			})
		}
	}
}
