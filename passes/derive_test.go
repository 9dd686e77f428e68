package passes

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/ops"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func dimsOf(xs ...any) []ir.Dim {
	out := make([]ir.Dim, len(xs))
	for i, x := range xs {
		switch x := x.(type) {
		case int:
			out[i] = loop.N(x)
		case string:
			out[i] = loop.Sym(x)
		}
	}
	return out
}

func f32(xs ...any) ir.Type { return ir.Tensor(ir.F32, dimsOf(xs...)...) }
func i32(xs ...any) ir.Type { return ir.Tensor(ir.I32, dimsOf(xs...)...) }

// netModule is a model with a stack of 3 residual blocks, an output vector, a
// state and a train block; change adapts the train block.
func netModule(t *testing.T, change func(*ir.Trainer, *loop.Trainer)) *ir.Module {
	weights := []*loop.Weight{
		{Path: "blocks.{0}.w", Shape: dimsOf(2, 2), Counts: []int{3}},
		{Path: "out", Shape: dimsOf(2), Offset: 12},
		{Path: "mean", Shape: dimsOf(2), State: true, Offset: 14},
	}
	api := &loop.Trainer{Name: "Step", Loss: &loop.Entry{Name: "Loss"}, Options: []loop.Option{{Name: "LR", Default: 0.1}, {Name: "Warmup", Default: 4, Integer: true}}, Updates: []int{0, 1}, Accumulate: 1}
	tr := &ir.Trainer{Loss: netLoss(t, true), Update: []int{0, 1}}
	m := &ir.Module{API: &loop.API{Weights: weights, Trainers: []*loop.Trainer{api}}, Trainers: []*ir.Trainer{tr}}
	at := 0
	for i, w := range tr.Update {
		tr.Rules = append(tr.Rules, &ir.Rule{Func: adamRule(t, weights[w].Shape), Moments: []int{2 * i, 2*i + 1}})
		for _, name := range []string{"m", "v"} {
			api.Moments = append(api.Moments, &loop.Moment{Weight: w, Name: name, Shape: weights[w].Shape, Offset: at})
			at += weights[w].Len()
		}
	}
	if change != nil {
		change(tr, api)
	}
	return m
}

// netLoss is f32[B]: the squared error, with the mean prediction as a metric
// and, if state, a new running mean.
func netLoss(t *testing.T, state bool) *ir.Entry {
	b := newEntry("loss", "")
	x := b.param(f32("B", 2), ir.Binding{Kind: ir.ArgKind, Index: 0, Name: "x"})
	y := b.param(f32("B"), ir.Binding{Kind: ir.ArgKind, Index: 1, Name: "y"})
	w := b.param(f32(3, 2, 2), ir.Binding{Kind: ir.WeightKind, Index: 0, Name: "blocks.{0}.w"})
	out := b.param(f32(2), ir.Binding{Kind: ir.WeightKind, Index: 1, Name: "out"})
	key := b.param(i32(3), ir.Binding{Kind: ir.KeyKind, Name: "key"})
	mean := out
	if state {
		mean = b.param(f32(2), ir.Binding{Kind: ir.WeightKind, Index: 2, Name: "mean"})
	}
	body := ops.On(ir.NewBuilder("block"))
	body.Param("l", i32())
	h, wl := body.Param("h", x.Type), body.Param("w", f32(2, 2))
	body.Scope = "blocks"
	f, err := body.Return(body.Add(h, body.Tanh(body.Dot("bi,ij->bj", h, wl))))
	require.NoError(t, err)
	s := b.Scan(ops.Loop{Body: f, Extent: loop.N(3), Inits: []*ir.Value{x}, Slices: []*ir.Value{w}, InAxes: []int{0}})
	pred := b.Dot("bi,i->b", b.Get(s, 0), out)
	keep := b.Less(b.Random(ops.Uniform, key, 3, nil, pred.Type.Shape...), b.Like(pred, 2)) // all of them
	loss := b.Mul(b.Square(b.Sub(pred, y)), b.Cast(keep, ir.F32))
	results := []*ir.Value{loss, b.Div(b.Sum(pred, 0), count(b.Graph, loop.Sym("B")))}
	bind := []ir.Binding{{Kind: ir.LossKind}, {Kind: ir.ResultKind, Index: 1, Name: "prediction"}}
	if state {
		n := b.Expand(count(b.Graph, loop.Sym("B")), dimsOf(2)...)
		results = append(results, b.Add(b.Mul(mean, b.Like(mean, 0.9)), b.Mul(b.Div(b.Sum(x, 0), n), b.Like(mean, 0.1))))
		bind = append(bind, ir.Binding{Kind: ir.WeightKind, Index: 2, Name: "mean"})
	}
	e, err := b.entry(results, bind)
	require.NoError(t, err)
	return e
}

const b1, b2, eps = 0.9, 0.99, 1e-8

// adamRule is Adam whose learning rate grows over Warmup steps.
func adamRule(t *testing.T, shape []ir.Dim) *ir.Func {
	g := ops.On(ir.NewBuilder("adam"))
	u := ir.Tensor(ir.F32, shape...)
	p, d, m, v := g.Param("p", u), g.Param("g", u), g.Param("m", u), g.Param("v", u)
	step, lr, warm := g.Param("step", i32()), g.Param("LR", f32()), g.Param("Warmup", i32())
	all := func(x *ir.Value) *ir.Value { return g.Expand(x, shape...) }
	times := g.Cast(g.Add(step, g.Integer(1)), ir.F32)
	rate := g.Mul(lr, g.Min(g.Float(1), g.Div(times, g.Cast(warm, ir.F32))))
	m = g.Add(g.Mul(m, g.Like(m, b1)), g.Mul(d, g.Like(m, 1-b1)))
	v = g.Add(g.Mul(v, g.Like(m, b2)), g.Mul(g.Mul(d, d), g.Like(m, 1-b2)))
	mh := g.Div(m, all(g.Sub(g.Float(1), g.Pow(g.Float(b1), times))))
	vh := g.Div(v, all(g.Sub(g.Float(1), g.Pow(g.Float(b2), times))))
	p = g.Sub(p, g.Mul(all(rate), g.Div(mh, g.Add(g.Sqrt(vh), g.Like(vh, eps)))))
	f, err := g.Return(p, m, v)
	require.NoError(t, err)
	return f
}

// derive runs all passes on m, shuffling and evaluating.
func deriveNet(t *testing.T, m *ir.Module) (*Program, *oracle) {
	o := newOracle(7)
	p, err := Run(m, checked(o))
	require.NoError(t, err)
	return p, o
}

// bound finds the parameters or results of one kind.
func bound(bs []ir.Binding, k ir.Kind) []int {
	var out []int
	for i, b := range bs {
		if b.Kind == k {
			out = append(out, i)
		}
	}
	return out
}

func TestGradients(t *testing.T) {
	m := netModule(t, nil)
	p, o := deriveNet(t, m)
	e := p.Steps[0].Gradients
	args, err := o.args(e.Func)
	require.NoError(t, err)
	out, err := o.run(e.Func, args)
	require.NoError(t, err)

	assert.Equal(t, []ir.Kind{ir.LossKind, ir.ResultKind, ir.GradKind, ir.GradKind, ir.WeightKind}, kinds(e.Out))
	plain := m.Trainers[0].Loss
	value := func() float64 {
		ys, err := o.run(plain.Func, args)
		require.NoError(t, err)
		sum := 0.0
		for _, y := range ys[0].F {
			sum += y
		}
		return sum / float64(len(ys[0].F))
	}
	assert.InDelta(t, value(), out[0].F[0], 1e-12)
	for _, i := range bound(e.Out, ir.GradKind) {
		w := slices.IndexFunc(e.In, func(b ir.Binding) bool { return b.Kind == ir.WeightKind && b.Index == e.Out[i].Index })
		checkSlope(t, args[w].F, out[i].F, value)
	}
	assert.Equal(t, 2, countOps(e.Func)["scan"], "the loop over blocks runs once in each direction:\n%v", e.Func)
	_, err = run(List, newProgram(m), Options{})
	require.NoError(t, err, "the module has not changed")
}

// checkSlope compares the gradient got of value to x with central differences.
func checkSlope(t *testing.T, x, got []float64, value func() float64) {
	t.Helper()
	for k := range x {
		const h = 1e-6
		at := x[k]
		x[k] = at + h
		up := value()
		x[k] = at - h
		down := value()
		x[k] = at
		want := (up - down) / (2 * h)
		assert.InDelta(t, want, got[k], 1e-6*max(1, math.Abs(want)))
	}
}

func kinds(bs []ir.Binding) []ir.Kind {
	out := make([]ir.Kind, len(bs))
	for i, b := range bs {
		out[i] = b.Kind
	}
	return out
}

// applied runs one step of Apply on random numbers and returns what the rule
// wants by itself, for the gradients that clip gives.
func checkApply(t *testing.T, p *Program, o *oracle, step int, prepare func(w, g [][]float64) [][]float64) {
	s, api := p.Steps[0], p.API.Trainers[0]
	args, err := o.args(s.Apply.Func)
	require.NoError(t, err)
	uniform := []*ir.Data{ir.Scalar(ir.I32, float64(step)), ir.Scalar(ir.F32, 0.1), ir.Scalar(ir.I32, 4)}
	if len(s.Host.Params) > len(uniform) {
		var grads [][]float64
		for i, in := range s.Apply.In {
			if in.Kind == ir.GradKind {
				grads = append(grads, args[i].F)
			}
		}
		uniform = append(uniform, ir.Scalar(ir.F32, norm(grads)))
	}
	host, err := o.run(s.Host, uniform)
	require.NoError(t, err)
	require.LessOrEqual(t, len(host), len(api.Scalars))
	for i, in := range s.Apply.In {
		if in.Kind == ir.ScalarKind {
			args[i] = host[in.Index]
		}
		if in.Kind == ir.MomentKind && api.Moments[in.Index].Name == "v" {
			for k, x := range args[i].F {
				args[i].F[k] = x * x
			}
		}
	}
	in := func(k ir.Kind, index int) []float64 {
		for i, b := range s.Apply.In {
			if b.Kind == k && b.Index == index {
				return args[i].F
			}
		}
		require.Fail(t, "not there", "%v %d", k, index)
		return nil
	}
	var ws, gs [][]float64
	for _, w := range s.Update {
		ws, gs = append(ws, in(ir.WeightKind, w)), append(gs, in(ir.GradKind, w))
	}
	if prepare != nil {
		gs = prepare(ws, gs)
	}
	out, err := o.run(s.Apply.Func, args)
	require.NoError(t, err)
	get := func(k ir.Kind, index int) []float64 {
		for i, b := range s.Apply.Out {
			if b.Kind == k && b.Index == index {
				return out[i].F
			}
		}
		require.Fail(t, "no result", "%v %d", k, index)
		return nil
	}
	times := float64(step + 1)
	rate := 0.1 * min(1, times/4)
	for i, w := range s.Update {
		m, v := in(ir.MomentKind, 2*i), in(ir.MomentKind, 2*i+1)
		for k := range ws[i] {
			nm, nv := b1*m[k]+(1-b1)*gs[i][k], b2*v[k]+(1-b2)*gs[i][k]*gs[i][k]
			nw := ws[i][k] - rate*(nm/(1-math.Pow(b1, times)))/(math.Sqrt(nv/(1-math.Pow(b2, times)))+eps)
			assert.InDelta(t, nm, get(ir.MomentKind, 2*i)[k], 1e-9)
			assert.InDelta(t, nv, get(ir.MomentKind, 2*i+1)[k], 1e-9)
			assert.InDelta(t, nw, get(ir.WeightKind, w)[k], 1e-7)
			if api.EMA > 0 {
				want := nw
				if step > 0 {
					want = api.EMA*in(ir.MomentKind, 4+i)[k] + (1-api.EMA)*nw
				}
				assert.InDelta(t, want, get(ir.MomentKind, 4+i)[k], 1e-7)
			}
		}
	}
}

func norm(gs [][]float64) float64 {
	sum := 0.0
	for _, g := range gs {
		for _, x := range g {
			sum += x * x
		}
	}
	return math.Sqrt(sum)
}

func each2(gs [][]float64, f func(i, k int, x float64) float64) [][]float64 {
	out := make([][]float64, len(gs))
	for i, g := range gs {
		for k, x := range g {
			out[i] = append(out[i], f(i, k, x))
		}
	}
	return out
}

func TestApply(t *testing.T) {
	for _, c := range []struct {
		name    string
		change  func(*ir.Trainer, *loop.Trainer)
		prepare func(w, g [][]float64) [][]float64
	}{
		{"adam", nil, nil},
		{"global norm", func(tr *ir.Trainer, _ *loop.Trainer) { tr.Clip, tr.ClipKey = 0.5, "globalNorm" }, func(_, g [][]float64) [][]float64 {
			by := min(1, 0.5/(norm(g)+1e-6))
			return each2(g, func(_, _ int, x float64) float64 { return x * by })
		}},
		{"value", func(tr *ir.Trainer, _ *loop.Trainer) { tr.Clip, tr.ClipKey = 0.5, "value" }, func(_, g [][]float64) [][]float64 {
			return each2(g, func(_, _ int, x float64) float64 { return max(-0.5, min(0.5, x)) })
		}},
		{"accumulate", func(_ *ir.Trainer, a *loop.Trainer) { a.Accumulate = 4 }, func(_, g [][]float64) [][]float64 {
			return each2(g, func(_, _ int, x float64) float64 { return x / 4 })
		}},
		{"penalty", func(tr *ir.Trainer, _ *loop.Trainer) { tr.Penalty = squares(t) }, func(w, g [][]float64) [][]float64 {
			return each2(g, func(i, k int, x float64) float64 {
				if i == 0 {
					return x + 0.02*w[i][k]
				}
				return x
			})
		}},
		{"ema", func(_ *ir.Trainer, a *loop.Trainer) { a.EMA = 0.75 }, nil},
		{"all", func(tr *ir.Trainer, a *loop.Trainer) {
			tr.Clip, tr.ClipKey, a.Accumulate, a.EMA = 0.1, "globalNorm", 2, 0.5
			tr.Penalty = squares(t)
		}, func(w, g [][]float64) [][]float64 {
			g = each2(g, func(i, k int, x float64) float64 {
				if x /= 2; i == 0 {
					x += 0.02 * w[i][k]
				}
				return x
			})
			by := min(1, 0.1/(norm(g)+1e-6))
			return each2(g, func(_, _ int, x float64) float64 { return x * by })
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, o := deriveNet(t, netModule(t, c.change))
			for _, step := range []int{0, 5} {
				checkApply(t, p, o, step, c.prepare)
			}
			s := p.Steps[0]
			assert.Zero(t, countOps(s.Apply.Func)["scan"], "a pointwise rule is applied to the stack as a whole")
			assert.Zero(t, countOps(s.Apply.Func)["pow"], "powers of constants are computed on the host")
			for _, v := range s.Host.Values {
				assert.Zero(t, v.Type.Rank())
			}
		})
	}
}

// squares is a penalty: 0.01 * the sum of squares of weight 0.
func squares(t *testing.T) *ir.Entry {
	b := newEntry("penalty", "")
	w := b.param(f32(3, 2, 2), ir.Binding{Kind: ir.WeightKind, Index: 0, Name: "w"})
	e, err := b.entry([]*ir.Value{b.Mul(b.Sum(b.Square(w), 0, 1, 2), b.Float(0.01))}, []ir.Binding{{Kind: ir.LossKind}})
	require.NoError(t, err)
	return e
}

func TestAccumulate(t *testing.T) {
	p, o := deriveNet(t, netModule(t, func(_ *ir.Trainer, a *loop.Trainer) { a.Accumulate = 3 }))
	e, api := p.Steps[0].Gradients, p.API.Trainers[0]
	assert.Equal(t, "accumulate", api.Scalars[len(api.Scalars)-1])
	assert.Len(t, p.Steps[0].Host.Results, len(api.Scalars)-1)
	args, err := o.args(e.Func)
	require.NoError(t, err)
	at := bound(e.In, ir.ScalarKind)
	require.Len(t, at, 1)
	assert.Equal(t, len(api.Scalars)-1, e.In[at[0]].Index)
	old := bound(e.In, ir.GradKind)
	args[old[0]].F[0] = math.NaN() // left from before
	args[at[0]].F[0] = 0
	first, err := o.run(e.Func, args)
	require.NoError(t, err)
	for i, a := range old {
		copy(args[a].F, first[bound(e.Out, ir.GradKind)[i]].F)
	}
	args[at[0]].F[0] = 1
	second, err := o.run(e.Func, args)
	require.NoError(t, err)
	for _, i := range bound(e.Out, ir.GradKind) {
		for k, x := range first[i].F {
			assert.InDelta(t, 2*x, second[i].F[k], 1e-12)
		}
	}
}

// A rule that is not pointwise runs copy by copy.
func TestRuleOverCopies(t *testing.T) {
	rule := func(random bool) *ir.Func {
		g := ops.On(ir.NewBuilder("normalised"))
		p, d := g.Param("p", f32(2, 2)), g.Param("g", f32(2, 2))
		_, lr, _ := g.Param("step", i32()), g.Param("LR", f32()), g.Param("Warmup", i32())
		var key *ir.Value
		if random {
			key = g.Param("key", i32(3))
		}
		n := g.Expand(g.Sqrt(g.Sum(g.Square(d), 0, 1)), dimsOf(2, 2)...)
		if random {
			n = g.Add(g.Random(ops.Uniform, key, 1, nil, dimsOf(2, 2)...), g.Like(n, 1))
		}
		f, err := g.Return(g.Sub(p, g.Mul(g.Expand(lr, dimsOf(2, 2)...), g.Div(d, n))))
		require.NoError(t, err)
		return f
	}
	for _, random := range []bool{false, true} {
		t.Run(fmt.Sprint(random), func(t *testing.T) {
			p, o := deriveNet(t, netModule(t, func(tr *ir.Trainer, a *loop.Trainer) {
				tr.Update = []int{0}
				tr.Rules = []*ir.Rule{{Func: rule(random), Random: random}}
				a.Moments = nil
			}))
			s := p.Steps[0]
			assert.Equal(t, 1, countOps(s.Apply.Func)["scan"])
			assert.Equal(t, []string{"LR"}, p.API.Trainers[0].Scalars)
			args, err := o.args(s.Apply.Func)
			require.NoError(t, err)
			out, err := o.run(s.Apply.Func, args)
			require.NoError(t, err)
			g, w := args[bound(s.Apply.In, ir.GradKind)[0]].F, args[bound(s.Apply.In, ir.WeightKind)[0]].F
			lr := args[bound(s.Apply.In, ir.ScalarKind)[0]].F[0]
			seen := map[float64]bool{}
			for c := range 3 {
				n := norm([][]float64{g[4*c : 4*c+4]})
				for k := 4 * c; k < 4*c+4; k++ {
					if random {
						seen[lr*g[k]/(w[k]-out[0].F[k])] = true
					} else {
						assert.InDelta(t, w[k]-lr*g[k]/n, out[0].F[k], 1e-9)
					}
				}
			}
			if random {
				assert.Len(t, seen, 12, "each copy draws its own numbers")
			}
		})
	}
}

func TestPerExample(t *testing.T) {
	private := func(noise float64) func(tr *ir.Trainer, _ *loop.Trainer) {
		return func(tr *ir.Trainer, _ *loop.Trainer) {
			tr.Loss, tr.Clip, tr.ClipKey, tr.Noise = netLoss(t, false), 0.3, "perExample", noise
		}
	}
	m := netModule(t, private(0))
	p, o := deriveNet(t, m)
	e := p.Steps[0].Gradients
	args, err := o.args(e.Func)
	require.NoError(t, err)
	out, err := o.run(e.Func, args)
	require.NoError(t, err)

	// The same with the ordinary gradient of one example after the other.
	plain, _ := deriveNet(t, netModule(t, func(tr *ir.Trainer, _ *loop.Trainer) { tr.Loss = netLoss(t, false) }))
	one := plain.Steps[0].Gradients
	o.dims["B"] = 1
	want := [][]float64{make([]float64, 12), make([]float64, 2)}
	loss, prediction := 0.0, 0.0
	const B = 3
	for b := range B {
		single := slices.Clone(args)
		single[0] = &ir.Data{Shape: []int{1, 2}, F: args[0].F[2*b : 2*b+2]}
		single[1] = &ir.Data{Shape: []int{1}, F: args[1].F[b : b+1]}
		ys, err := o.run(one.Func, single)
		require.NoError(t, err)
		loss += ys[0].F[0] / B
		prediction += ys[1].F[0] / B
		gs := [][]float64{ys[2].F, ys[3].F}
		by := min(1, 0.3/(norm(gs)+1e-6))
		for i := range gs {
			for k := range gs[i] {
				want[i][k] += by * gs[i][k] / B
			}
		}
	}
	assert.InDelta(t, loss, out[0].F[0], 1e-9)
	assert.InDelta(t, prediction, out[1].F[0], 1e-9)
	assert.InDeltaSlice(t, want[0], out[2].F, 1e-9)
	assert.InDeltaSlice(t, want[1], out[3].F, 1e-9)

	noisy, o := deriveNet(t, netModule(t, private(1.5)))
	more, err := o.run(noisy.Steps[0].Gradients.Func, args)
	require.NoError(t, err)
	sum := 0.0
	for k := range want[0] {
		d := (more[2].F[k] - out[2].F[k]) * B / (1.5 * 0.3)
		sum += d * d
	}
	assert.InDelta(t, 1, sum/12, 0.9, "the noise is a standard normal number times noise and clip")

	_, err = Run(netModule(t, func(tr *ir.Trainer, _ *loop.Trainer) { tr.ClipKey, tr.Clip = "perExample", 1 }), Options{})
	assert.EqualError(t, err, "Step: perExample needs a loss whose examples do not influence each other, but mean is assigned")
}

func TestRemat(t *testing.T) {
	kept := func(remat ...string) int {
		p, _ := deriveNet(t, netModule(t, func(tr *ir.Trainer, _ *loop.Trainer) { tr.Remat = remat }))
		for _, v := range p.Steps[0].Gradients.Func.Values {
			if v.Op == ops.Scan && !ops.Reverse.Of(v) {
				return len(ops.OutAxes.Of(v))
			}
		}
		return -1
	}
	assert.Equal(t, 2, kept())
	assert.Equal(t, 1, kept("blocks"), "only what comes into the blocks is kept")
	_, err := Run(netModule(t, func(tr *ir.Trainer, _ *loop.Trainer) { tr.Remat = []string{"tail"} }), Options{})
	assert.EqualError(t, err, `Step: remat: the loss does not run "tail"`)
}
