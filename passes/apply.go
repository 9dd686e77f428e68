package passes

import (
	"fmt"
	"slices"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/ops"
)

// clipEpsilon keeps the factor of the norm clip finite.
const clipEpsilon = 1e-6

// apply builds Step.Apply. It adds the moving averages of the weights to the
// trainer's moments.
func (p *Program) apply(s *Step, api *loop.Trainer) (*ir.Entry, error) {
	b := newEntry(s.Loss.Func.Name+"Apply", "gradients to new weights")
	grads := make([]*ir.Value, len(s.Update))
	for i, w := range s.Update {
		grads[i] = b.param(p.stackType(w), ir.Binding{Kind: ir.GradKind, Index: w, Name: p.API.Weights[w].Path})
	}
	used := slices.Clone(s.Update)
	if s.Penalty != nil {
		for _, in := range s.Penalty.In {
			if in.Kind == ir.WeightKind {
				used = append(used, in.Index)
			}
		}
	}
	slices.Sort(used)
	weights := map[int]*ir.Value{}
	for _, w := range slices.Compact(used) {
		weights[w] = b.param(p.stackType(w), ir.Binding{Kind: ir.WeightKind, Index: w, Name: p.API.Weights[w].Path})
	}
	average := len(api.Moments)
	if api.EMA > 0 {
		p.addAverages(s, api)
	}
	moments := make([]*ir.Value, len(api.Moments))
	for i, m := range api.Moments {
		moments[i] = b.param(p.momentType(m), ir.Binding{Kind: ir.MomentKind, Index: i, Name: m.Name})
	}
	uniform := []*ir.Value{b.param(ir.Tensor(ir.I32), ir.Binding{Kind: StepParam, Name: "step"})}
	for i, o := range api.Options {
		uniform = append(uniform, b.param(ir.Tensor(optionElem(o)), ir.Binding{Kind: OptionParam, Index: i, Name: o.Name}))
	}
	byNorm := s.Clip > 0 && s.ClipKey != "value" && s.ClipKey != "perExample"
	var norm *ir.Value
	if byNorm && s.Penalty == nil { // the trainer knows it: it reports it
		norm = b.param(ir.Tensor(ir.F32), ir.Binding{Kind: NormParam, Name: "norm"})
	}
	var key *ir.Value
	for _, r := range s.Rules {
		if r.Random && key == nil {
			key = b.param(ir.Tensor(ir.I32, loop.N(3)), ir.Binding{Kind: ir.KeyKind, Name: "key"})
		}
	}

	if n := api.Accumulate; n > 1 {
		for i, g := range grads {
			grads[i] = b.Mul(g, b.Like(g, 1/float64(n)))
		}
	}
	if s.Penalty != nil {
		if err := p.penalise(b.Graph, s, weights, grads); err != nil {
			return nil, err
		}
	}
	switch {
	case s.Clip > 0 && s.ClipKey == "value":
		for i, g := range grads {
			grads[i] = b.Max(b.Min(g, b.Like(g, s.Clip)), b.Like(g, -s.Clip))
		}
	case byNorm:
		if norm == nil {
			norm = globalNorm(b.Graph, grads)
		}
		grads = scaled(b.Graph, grads, clipFactor(b.Graph, norm, s.Clip))
	}

	var results []*ir.Value
	var out []ir.Binding
	newMoments := slices.Clone(moments)
	for k, w := range s.Update {
		r := s.Rules[k]
		own := []*ir.Value{weights[w], grads[k]}
		for _, m := range r.Moments {
			own = append(own, moments[m])
		}
		rest := uniform
		if r.Random {
			rest = append(slices.Clone(uniform), key)
		}
		if n := len(own) + len(rest); len(r.Func.Params) != n {
			return nil, fmt.Errorf("the rule of %s has %d parameters, want %d", p.API.Weights[w].Path, len(r.Func.Params), n)
		}
		new, err := applyRule(b.Graph, r, own, rest, p.API.Weights[w].Counts)
		if err != nil {
			return nil, err
		}
		results = append(results, new[0])
		out = append(out, ir.Binding{Kind: ir.WeightKind, Index: w, Name: p.API.Weights[w].Path})
		for i, m := range r.Moments {
			newMoments[m] = new[1+i]
		}
	}
	if api.EMA > 0 {
		old, new := averageFactors(b.Graph, uniform[0], api.EMA)
		for k := range s.Update {
			x := moments[average+k]
			shape := x.Type.Shape
			newMoments[average+k] = b.Add(b.Mul(b.Expand(old, shape...), x), b.Mul(b.Expand(new, shape...), results[k]))
		}
	}
	for i, m := range newMoments {
		results = append(results, m)
		out = append(out, ir.Binding{Kind: ir.MomentKind, Index: i, Name: api.Moments[i].Name})
	}
	return b.entry(results, out)
}

func optionElem(o loop.Option) ir.Elem {
	if o.Integer {
		return ir.I32
	}
	return ir.F32
}

func (p *Program) momentType(m *loop.Moment) ir.Type {
	shape := m.Shape
	if shape == nil {
		shape = p.API.Weights[m.Weight].Shape
	}
	return stacked(ir.Tensor(ir.F32, shape...), p.API.Weights[m.Weight].Counts)
}

// addAverages adds a moment called ema for each weight in Update.
func (p *Program) addAverages(s *Step, api *loop.Trainer) {
	at := 0
	for _, m := range api.Moments {
		n, _ := p.momentType(m).Len().Const()
		at = max(at, m.Offset+n)
	}
	for _, w := range s.Update {
		api.Moments = append(api.Moments, &loop.Moment{Weight: w, Name: "ema", Shape: p.API.Weights[w].Shape, Offset: at})
		n, _ := p.stackType(w).Len().Const()
		at += n
	}
}

// averageFactors are those of the average so far and of the new weights: the
// first step copies the weights.
func averageFactors(g ops.Graph, step *ir.Value, decay float64) (old, new *ir.Value) {
	old = g.Select(g.LessEqual(step, g.Integer(0)), g.Float(0), g.Float(decay))
	return old, g.Sub(g.Float(1), old)
}

// penalise adds the gradient of the penalty to grads.
func (p *Program) penalise(g ops.Graph, s *Step, weights map[int]*ir.Value, grads []*ir.Value) error {
	var args []*ir.Value
	for _, in := range s.Penalty.In {
		if in.Kind != ir.WeightKind {
			return mistake("the penalty reads %s, which is no weight", in.Name)
		}
		args = append(args, weights[in.Index])
	}
	y := g.Inline(s.Penalty.Func, args)[0]
	more, err := p.gradientsOf(g, y, s.Update, weights)
	for i := range more {
		grads[i] = g.Add(grads[i], more[i])
	}
	return err
}

// clipFactor is min(1, most/(norm+epsilon)).
func clipFactor(g ops.Graph, norm *ir.Value, most float64) *ir.Value {
	return g.Min(g.Float(1), g.Div(g.Float(most), g.Add(norm, g.Float(clipEpsilon))))
}

// globalNorm is the norm of all xs together.
func globalNorm(g ops.Graph, xs []*ir.Value) *ir.Value {
	total := g.Float(0)
	for _, x := range xs {
		axes := make([]int, x.Type.Rank())
		for i := range axes {
			axes[i] = i
		}
		total = g.Add(total, g.Sum(g.Square(x), axes...))
	}
	return g.Sqrt(total)
}

func scaled(g ops.Graph, xs []*ir.Value, by *ir.Value) []*ir.Value {
	out := make([]*ir.Value, len(xs))
	for i, x := range xs {
		out[i] = g.Mul(x, g.Expand(by, x.Type.Shape...))
	}
	return out
}

// applyRule applies the optimiser r to all copies of a weight: own are weight,
// gradient and moments, each of all copies, and rest is the same for each. A
// pointwise rule is applied to the stack as a whole, any other copy by copy.
func applyRule(g ops.Graph, r *ir.Rule, own, rest []*ir.Value, counts []int) ([]*ir.Value, error) {
	args := slices.Concat(own, rest)
	if len(counts) == 0 {
		return g.Inline(r.Func, args), nil
	}
	if !r.Random {
		if out := liftPointwise(g, r.Func, own, rest, counts); out != nil {
			return out, nil
		}
	}
	n := 1
	for _, c := range counts {
		n *= c
	}
	b := ir.NewBuilder(r.Func.Name)
	i := b.Param("i", ir.Tensor(ir.I32))
	l := ops.Loop{Extent: loop.N(n), Invariants: rest}
	var params []*ir.Value
	for k, x := range own {
		copy := r.Func.Params[k].Type
		l.Slices = append(l.Slices, g.Reshape(x, append([]ir.Dim{loop.N(n)}, copy.Shape...)...))
		l.InAxes = append(l.InAxes, 0)
		params = append(params, copyParam(b, r.Func.Params[k]))
	}
	for k := range rest {
		params = append(params, copyParam(b, r.Func.Params[len(own)+k]))
	}
	if r.Random {
		k := len(params) - 1
		params[k] = salted(ops.On(b), params[k], i)
	}
	results := b.Inline(r.Func, params)
	for range results {
		l.OutAxes = append(l.OutAxes, 0)
	}
	var err error
	if l.Body, err = b.Return(results...); err != nil {
		return nil, err
	}
	w := g.Scan(l)
	out := make([]*ir.Value, len(results))
	for k, y := range results {
		out[k] = g.Reshape(g.Get(w, k), stacked(y.Type, counts).Shape...)
	}
	return out, nil
}

// salted is a random key that differs for each i.
func salted(g ops.Graph, key, i *ir.Value) *ir.Value {
	salt := g.Concat(0,
		g.Reshape(g.Mul(i, g.Integer(-1640531527)), loop.N(1)),
		g.Reshape(g.Mul(i, g.Integer(-2048144789)), loop.N(1)),
		g.Integer(0, loop.N(1)))
	return g.Add(key, salt)
}

// liftPointwise appends f with its first parameters, own, stacked counts
// times; nil if f does more to them than pointwise ops.
func liftPointwise(g ops.Graph, f *ir.Func, own, rest []*ir.Value, counts []int) []*ir.Value {
	lifted := make([]bool, len(f.Values))
	for i, v := range f.Values {
		if v.Op == ir.Param {
			lifted[i] = slices.Index(f.Params, v) < len(own)
			continue
		}
		for _, a := range v.Args {
			lifted[i] = lifted[i] || lifted[a.ID]
		}
		if lifted[i] && v.Op.Lane == nil {
			return nil
		}
	}
	env := make([]*ir.Value, len(f.Values))
	for i, p := range f.Params {
		if i < len(own) {
			env[p.ID] = own[i]
		} else {
			env[p.ID] = rest[i-len(own)]
		}
	}
	lift := func(a *ir.Value) *ir.Value {
		if lifted[a.ID] {
			return env[a.ID]
		}
		axes := make([]int, a.Type.Rank())
		for i := range axes {
			axes[i] = len(counts) + i
		}
		return g.Broadcast(env[a.ID], stacked(a.Type, counts).Shape, axes...)
	}
	for i, v := range f.Values {
		if v.Op == ir.Param {
			continue
		}
		args := make([]*ir.Value, len(v.Args))
		for k, a := range v.Args {
			if args[k] = env[a.ID]; lifted[i] {
				args[k] = lift(a)
			}
		}
		env[i] = g.Copy(v, args)
	}
	out := make([]*ir.Value, len(f.Results))
	for i, r := range f.Results {
		out[i] = lift(r)
	}
	return out
}
