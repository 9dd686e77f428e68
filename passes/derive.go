package passes

import (
	"fmt"
	"slices"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/ops"
)

// derive builds the two entries of every train block; see Step for what they
// are. The order of a step is: clip each example's gradient and add noise
// (perExample), sum over micro-batches, divide, penalty, clip, optimiser,
// moving average.
func derive(p *Program) error {
	for i, s := range p.Steps {
		api := p.API.Trainers[i]
		if err := markRemat(s); err != nil {
			return fmt.Errorf("%s: %w", api.Name, err)
		}
		var err error
		if s.Gradients, err = p.gradients(s, api); err != nil {
			return fmt.Errorf("%s: %w", api.Name, err)
		}
		if s.Apply, err = p.apply(s, api); err != nil {
			return fmt.Errorf("%s: %w", api.Name, err)
		}
	}
	return nil
}

// derived holds after derive: one gradient for each weight in Update.
func derived(p *Program) error {
	for i, s := range p.Steps {
		var got []int
		for _, o := range s.Gradients.Out {
			if o.Kind == ir.GradKind {
				got = append(got, o.Index)
			}
		}
		if !slices.Equal(got, s.Update) {
			return fmt.Errorf("%s: gradients of the weights %v, want %v", p.API.Trainers[i].Name, got, s.Update)
		}
		for _, e := range []*ir.Entry{s.Gradients, s.Apply} {
			if len(e.In) != len(e.Func.Params) || len(e.Out) != len(e.Func.Results) {
				return fmt.Errorf("%s: bindings do not fit", e.Func.Name)
			}
		}
	}
	return nil
}

// An entryBuilder collects an entry.
type entryBuilder struct {
	ops.Graph
	e ir.Entry
}

func newEntry(name, doc string) *entryBuilder {
	b := ir.NewBuilder(name)
	b.F.Doc = doc
	return &entryBuilder{Graph: ops.On(b)}
}

func (b *entryBuilder) param(t ir.Type, at ir.Binding) *ir.Value {
	b.e.In = append(b.e.In, at)
	return b.Param(at.Name, t)
}

func (b *entryBuilder) entry(results []*ir.Value, out []ir.Binding) (*ir.Entry, error) {
	var err error
	b.e.Func, err = b.Return(results...)
	b.e.Out = out
	return &b.e, err
}

// stackType is the type of all copies of weight i.
func (p *Program) stackType(i int) ir.Type {
	w := p.API.Weights[i]
	return stacked(ir.Tensor(ir.F32, w.Shape...), w.Counts)
}

func stacked(t ir.Type, counts []int) ir.Type {
	var shape []ir.Dim
	for _, c := range counts {
		shape = append(shape, loop.N(c))
	}
	return t.WithShape(append(shape, t.Shape...)...)
}

// accumulates reports whether an update takes several micro-batches.
func accumulates(t *loop.Trainer) bool { return t.Accumulate > 1 }

// gradients builds Step.Gradients.
func (p *Program) gradients(s *Step, api *loop.Trainer) (*ir.Entry, error) {
	b := newEntry(s.Loss.Func.Name+"Gradients", "the loss and its gradients")
	var args []*ir.Value
	weights := map[int]*ir.Value{}
	for i, in := range s.Loss.In {
		v := b.param(s.Loss.Func.Params[i].Type, in)
		args = append(args, v)
		if in.Kind == ir.WeightKind {
			weights[in.Index] = v
		}
	}
	if s.ClipKey == "perExample" && s.Noise > 0 && !slices.ContainsFunc(s.Loss.In, func(in ir.Binding) bool { return in.Kind == ir.KeyKind }) {
		b.param(ir.Tensor(ir.I32, loop.N(3)), ir.Binding{Kind: ir.KeyKind, Name: "key"})
		sig := *api.Loss // the noise makes the step random
		sig.Random = true
		api.Loss = &sig
	}
	var sofar []*ir.Value
	var more *ir.Value
	if accumulates(api) {
		for _, w := range s.Update {
			sofar = append(sofar, b.param(p.stackType(w), ir.Binding{Kind: ir.GradKind, Index: w, Name: p.API.Weights[w].Path}))
		}
		more = b.param(ir.Tensor(ir.F32), ir.Binding{Kind: ir.ScalarKind, Index: 0, Name: "accumulate"})
	}

	var results, grads []*ir.Value
	var err error
	if s.ClipKey == "perExample" {
		results, grads, err = p.perExample(b, s, api, args, weights)
	} else {
		results = b.Inline(s.Loss.Func, args)
		results[0] = mean(b.Graph, results[0])
		grads, err = p.gradientsOf(b.Graph, results[0], s.Update, weights)
	}
	if err != nil {
		return nil, err
	}
	for i, old := range sofar {
		first := b.LessEqual(more, b.Float(0))
		grads[i] = b.Select(b.Expand(first, old.Type.Shape...), grads[i], b.Add(old, grads[i]))
	}

	var values []*ir.Value
	var out []ir.Binding
	add := func(kind func(ir.Kind) bool) {
		for i, o := range s.Loss.Out {
			if kind(o.Kind) {
				values, out = append(values, results[i]), append(out, o)
			}
		}
	}
	add(func(k ir.Kind) bool { return k != ir.WeightKind })
	for i, w := range s.Update {
		values = append(values, grads[i])
		out = append(out, ir.Binding{Kind: ir.GradKind, Index: w, Name: p.API.Weights[w].Path})
	}
	add(func(k ir.Kind) bool { return k == ir.WeightKind })
	return b.entry(values, out)
}

// mean is the mean over all elements.
func mean(g ops.Graph, x *ir.Value) *ir.Value {
	n := x.Type.Len()
	for x.Type.Rank() > 0 {
		x = g.Sum(x, x.Type.Rank()-1)
	}
	if n.Is(1) {
		return x
	}
	return g.Div(x, count(g, n))
}

// count is n as an f32 scalar.
func count(g ops.Graph, n ir.Dim) *ir.Value {
	if c, ok := n.Const(); ok {
		return g.Float(float64(c))
	}
	return g.Cast(g.Size(n), ir.F32)
}

// gradientsOf is the gradient of the scalar y for each of the weights which;
// zeros for those that are not there.
func (p *Program) gradientsOf(g ops.Graph, y *ir.Value, which []int, weights map[int]*ir.Value) ([]*ir.Value, error) {
	var wrt []*ir.Value
	for _, w := range which {
		if weights[w] != nil {
			wrt = append(wrt, weights[w])
		}
	}
	grads, err := ops.Backprop(g.Builder, []*ir.Value{y}, []*ir.Value{g.Float(1)}, wrt)
	if err != nil {
		return nil, err
	}
	out := make([]*ir.Value, len(which))
	for i, w := range which {
		if weights[w] != nil {
			out[i], grads = grads[0], grads[1:]
		} else {
			out[i] = g.Float(0, p.stackType(w).Shape...)
		}
	}
	return out, nil
}

// markRemat sets the attribute remat of the loops that the trainer names. A stack
// of one layer is no loop any more, and is kept.
func markRemat(s *Step) error {
	for _, path := range s.Remat {
		f, found, err := rematLoops(s.Loss.Func, path)
		if err != nil {
			return err
		}
		if !found {
			return mistake("remat: the loss does not run %q", path)
		}
		s.Loss.Func = f
	}
	return nil
}

func rematLoops(f *ir.Func, path string) (_ *ir.Func, found bool, fail error) {
	g, err := rewrite(f, func(g ops.Graph, v *ir.Value, args []*ir.Value) *ir.Value {
		if v.Op != ops.Scan {
			found = found || within(v.Scope, path) // a stack of one is no loop
			return nil
		}
		l := ops.LoopWith(v, args)
		if v.Scope == path || !within(v.Scope, path) && slices.ContainsFunc(l.Body.Values, func(w *ir.Value) bool { return w.Op != ir.Param && within(w.Scope, path) }) {
			l.Remat, found = true, true
			return g.Scan(l)
		}
		body, in, err := rematLoops(l.Body, path)
		if err != nil {
			fail = err
		}
		l.Body, found = body, found || in
		return g.Scan(l)
	})
	if fail == nil {
		fail = err
	}
	return g, found, fail
}

// within reports whether scope is path or a part of it.
func within(scope, path string) bool {
	return scope == path || len(scope) > len(path) && scope[:len(path)] == path && scope[len(path)] == '.'
}
