package passes

import (
	"slices"
	"testing"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/ops"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// lossModule is a model whose loss is what build makes of an entry's
// parameters; all its weights are trained by plain gradient descent.
func lossModule(t *testing.T, build func(b *entryBuilder) *ir.Value) *ir.Module {
	b := newEntry("loss", "")
	y := build(b)
	e, err := b.entry([]*ir.Value{y}, []ir.Binding{{Kind: ir.LossKind}})
	require.NoError(t, err)
	tr, api := &ir.Trainer{Loss: e}, &loop.Trainer{Name: "Step", Accumulate: 1, Options: []loop.Option{{Name: "LR"}}}
	m := &ir.Module{API: &loop.API{Trainers: []*loop.Trainer{api}}, Trainers: []*ir.Trainer{tr}}
	for i, in := range e.In {
		if in.Kind != ir.WeightKind {
			continue
		}
		u := e.Func.Params[i].Type
		m.API.Weights = append(m.API.Weights, &loop.Weight{Path: in.Name, Shape: u.Shape})
		tr.Update = append(tr.Update, in.Index)
		g := ops.On(ir.NewBuilder("sgd"))
		p, d, _, lr := g.Param("p", u), g.Param("g", u), g.Param("step", i32()), g.Param("LR", f32())
		f, err := g.Return(g.Sub(p, g.Mul(g.Expand(lr, u.Shape...), d)))
		require.NoError(t, err)
		tr.Rules = append(tr.Rules, &ir.Rule{Func: f})
	}
	return m
}

func (b *entryBuilder) arg(name string, t ir.Type) *ir.Value {
	return b.param(t, ir.Binding{Kind: ir.ArgKind, Index: len(b.e.In), Name: name})
}

func (b *entryBuilder) weight(name string, t ir.Type) *ir.Value {
	n := len(bound(b.e.In, ir.WeightKind))
	return b.param(t, ir.Binding{Kind: ir.WeightKind, Index: n, Name: name})
}

// body starts the sub-function of a loop and returns its counter.
func body(name string) (ops.Graph, *ir.Value) {
	g := ops.On(ir.NewBuilder(name))
	return g, g.Param("i", i32())
}

func finish(g ops.Graph, results ...*ir.Value) *ir.Func {
	f, err := g.Return(results...)
	if err != nil {
		panic(err)
	}
	return f
}

// recurrent is an LSTM over T steps and its squared error.
func recurrent(b *entryBuilder) *ir.Value {
	const I, H = 8, 8
	x, y := b.arg("x", f32("B", "T", I)), b.arg("y", f32("B", "T", H))
	w, u, bias := b.weight("w", f32(I, 4*H)), b.weight("u", f32(H, 4*H)), b.weight("b", f32(4*H))
	zero := b.Float(0, dimsOf("B", H)...)
	g, _ := body("cell")
	h, c := g.Param("h", zero.Type), g.Param("c", zero.Type)
	xt := g.Param("x", f32("B", I))
	wi, ui, bi := g.Param("w", w.Type), g.Param("u", u.Type), g.Param("b", bias.Type)
	z := g.Add(g.Dot("bi,ij->bj", xt, wi), g.Dot("bh,hj->bj", h, ui))
	z = g.Add(z, g.Broadcast(bi, z.Type.Shape, 1))
	gate := func(k int) *ir.Value {
		return g.Slice(z, dimsOf(0, k*H), dimsOf("B", H), []int{1, 1})
	}
	c = g.Add(g.Mul(g.Sigmoid(gate(0)), c), g.Mul(g.Sigmoid(gate(1)), g.Tanh(gate(2))))
	h = g.Mul(g.Sigmoid(gate(3)), g.Tanh(c))
	s := b.Scan(ops.Loop{Body: finish(g, h, c, h), Extent: loop.Sym("T"), Inits: []*ir.Value{zero, zero}, Slices: []*ir.Value{x}, InAxes: []int{1},
		Invariants: []*ir.Value{w, u, bias}, OutAxes: []int{1}})
	return mean(b.Graph, b.Square(b.Sub(b.Get(s, 2), y)))
}

// deep is a stack of layers, each of which runs over time.
func deep(b *entryBuilder) *ir.Value {
	x := b.arg("x", f32("T", 2))
	w := b.weight("w", f32(3, 2, 2))
	outer, _ := body("layer")
	h, wl := outer.Param("h", x.Type), outer.Param("w", f32(2, 2))
	inner, _ := body("time")
	s, xt, wi := inner.Param("s", f32(2)), inner.Param("x", f32(2)), inner.Param("w", f32(2, 2))
	s = inner.Tanh(inner.Add(xt, inner.Dot("i,ij->j", s, wi)))
	run := outer.Scan(ops.Loop{Body: finish(inner, s, s), Extent: loop.Sym("T"), Inits: []*ir.Value{outer.Float(0, dimsOf(2)...)},
		Slices: []*ir.Value{h}, InAxes: []int{0}, Invariants: []*ir.Value{wl}, OutAxes: []int{0}})
	all := b.Scan(ops.Loop{Body: finish(outer, outer.Add(h, outer.Get(run, 1))), Extent: loop.N(3), Inits: []*ir.Value{x}, Slices: []*ir.Value{w}, InAxes: []int{0}})
	return mean(b.Graph, b.Square(b.Get(all, 0)))
}

// attention is a stack of causal attention layers with a feed-forward part.
func attention(b *entryBuilder) *ir.Value {
	const D, H, K = 4, 2, 2
	x := b.arg("x", f32("B", "T", D))
	wq, wk, wv := b.weight("wq", f32(2, D, H, K)), b.weight("wk", f32(2, D, H, K)), b.weight("wv", f32(2, D, H, K))
	wo, up := b.weight("wo", f32(2, H, K, D)), b.weight("up", f32(2, D, D))
	g, _ := body("block")
	h := g.Param("h", x.Type)
	q, k, v := g.Param("wq", f32(D, H, K)), g.Param("wk", f32(D, H, K)), g.Param("wv", f32(D, H, K))
	o, u := g.Param("wo", f32(H, K, D)), g.Param("up", f32(D, D))
	q, k, v = g.Dot("btd,dhk->bhtk", h, q), g.Dot("btd,dhk->bhtk", h, k), g.Dot("btd,dhk->bhtk", h, v)
	scores := g.Dot("bhtk,bhsk->bhts", q, k)
	shape := scores.Type.Shape
	scores = g.Select(g.LessEqual(g.Iota(3, shape...), g.Iota(2, shape...)), scores, g.Like(scores, -1e9))
	e := g.Exp(g.Sub(scores, g.Broadcast(g.Stop(g.MaxOf(scores, 3)), shape, 0, 1, 2)))
	p := g.Div(e, g.Broadcast(g.Sum(e, 3), shape, 0, 1, 2))
	a := g.Dot("bhts,bhsk->bthk", p, v)
	h = g.Add(h, g.Dot("bthk,hkd->btd", a, o))
	h = g.Add(h, g.Tanh(g.Dot("btd,de->bte", h, u)))
	s := b.Scan(ops.Loop{Body: finish(g, h), Extent: loop.N(2), Inits: []*ir.Value{x}, Slices: []*ir.Value{wq, wk, wv, wo, up}, InAxes: []int{0, 0, 0, 0, 0}})
	return mean(b.Graph, b.Square(b.Get(s, 0)))
}

// penalised is the squared gradient of a recurrent function to its input: a
// gradient of a gradient.
func penalised(b *entryBuilder) *ir.Value {
	x, w := b.arg("x", f32(2)), b.weight("w", f32(2, 2))
	g, _ := body("f")
	h, wi := g.Param("h", f32(2)), g.Param("w", f32(2, 2))
	s := b.Scan(ops.Loop{Body: finish(g, g.Tanh(g.Dot("i,ij->j", h, wi))), Extent: loop.N(3), Inits: []*ir.Value{x}, Invariants: []*ir.Value{w}})
	y := b.Sum(b.Get(s, 0), 0)
	d, err := ops.Backprop(b.Builder, []*ir.Value{y}, []*ir.Value{b.Float(1)}, []*ir.Value{x})
	if err != nil {
		panic(err)
	}
	return b.Add(y, b.Sum(b.Square(d[0]), 0))
}

// embedded is a loop over rows of a table.
func embedded(b *entryBuilder) *ir.Value {
	ids, table := b.arg("ids", i32("B", "T")), b.weight("table", f32(5, 3))
	g, _ := body("f")
	h, id, tb := g.Param("h", f32("B", 3)), g.Param("ids", i32("B")), g.Param("table", table.Type)
	h = g.Sin(g.Add(h, g.Gather(tb, id, 0)))
	s := b.Scan(ops.Loop{Body: finish(g, h), Extent: loop.Sym("T"), Inits: []*ir.Value{b.Float(0, dimsOf("B", 3)...)}, Slices: []*ir.Value{ids}, InAxes: []int{1}, Invariants: []*ir.Value{table}})
	return mean(b.Graph, b.Square(b.Get(s, 0)))
}

func TestLoopsThroughPasses(t *testing.T) {
	for _, c := range []struct {
		name  string
		build func(b *entryBuilder) *ir.Value
		count map[string]int
	}{
		{"recurrent", recurrent, map[string]int{"scan": 2, "sigmoid": 3, "tanh": 3, "dot": 5}},
		{"deep", deep, map[string]int{"scan": 4, "tanh": 1}},
		{"attention", attention, map[string]int{"scan": 2, "max_of": 1}},
		{"penalised", penalised, nil},
		{"embedded", embedded, map[string]int{"scan": 2, "gather": 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, o := deriveNet(t, lossModule(t, c.build))
			e := p.Steps[0].Gradients
			args, err := o.args(e.Func)
			require.NoError(t, err)
			out, err := o.run(e.Func, args)
			require.NoError(t, err)
			plain := *e.Func
			plain.Results = plain.Results[:1]
			value := func() float64 {
				ys, err := o.run(&plain, args)
				require.NoError(t, err)
				return ys[0].F[0]
			}
			for _, i := range bound(e.Out, ir.GradKind) {
				w := slices.IndexFunc(e.In, func(b ir.Binding) bool { return b.Kind == ir.WeightKind && b.Index == e.Out[i].Index })
				checkSlope(t, args[w].F, out[i].F, value)
			}
			got := countOps(e.Func)
			for op, n := range c.count {
				assert.Equal(t, n, got[op], "%s\n%v", op, e.Func)
			}
		})
	}
}
