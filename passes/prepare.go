package passes

import (
	"errors"
	"slices"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/ops"
)

// A Prepared is a part of what functions of inference read and compute from
// weights and constants alone: a function of weights and tables to values of the
// program (PreparedKind). It runs when the weights have changed, not in every call.
type Prepared struct {
	*ir.Entry
	Size   int  // elements, with gaps between the values
	Native bool // portable kernels do not read it
}

// A PreparedValue says where a value is.
type PreparedValue struct{ Part, Offset int }

// prepare takes what the entries and samplers compute from weights and constants
// alone out of them, as far as reading it back is much less work: square roots of
// variances, tables of positions, transformed filters; and, as further operands of
// contractions, weights in panels (see packs). Loops over stacks of weights give
// one value for all copies.
//
// Equal values are computed once. Those that the same functions read are one part.
//
// Functions that change weights make panels themselves, before loops that read them
// again and again.
func prepare(p *Program) error {
	r := &preparer{p: p, g: ops.On(ir.NewBuilder("prepare")), params: map[ir.Binding]*ir.Value{}, panels: map[*ir.Value]bool{}}
	users := p.inference()
	r.declare(users)
	for i, e := range users {
		if err := r.entry(i, e); err != nil {
			return err
		}
	}
	for _, s := range p.Steps {
		for _, e := range []*ir.Entry{s.Gradients, s.Direct} {
			if err := r.repeated(e); err != nil {
				return err
			}
		}
	}
	if len(r.asked) == 0 {
		return nil
	}
	return r.finish(users)
}

// A preparer collects what can be prepared.
type preparer struct {
	p      *Program
	g      ops.Graph                // of everything that was asked for
	in     []ir.Binding             // its parameters
	params map[ir.Binding]*ir.Value // the same
	asked  []request                // the index is that of the binding, until finish
	panels map[*ir.Value]bool       // values that only schedules in vectors read

	// In functions that may change weights nothing is still but what a loop does not change, and only panels
	// leave loops:
	changing bool
	trips    int // of the innermost loop
}

// A request is a value that a function wants.
type request struct {
	value  *ir.Value // of preparer.g
	user   int
	native bool
}

// lasting reports whether a parameter bound so is the same in every call.
func lasting(b ir.Binding) bool { return b.Kind == ir.WeightKind || b.Kind == ir.TableKind }

// declare makes a parameter for each weight and table that the users read.
func (r *preparer) declare(users []*ir.Entry) {
	for _, e := range users {
		if e == nil || e.Func == nil {
			continue
		}
		for i, b := range e.In {
			if lasting(b) && r.params[b] == nil {
				r.in = append(r.in, b)
				r.params[b] = r.g.Param(b.Name, e.Func.Params[i].Type)
			}
		}
	}
}

// entry rewrites the function of e, which is user i.
func (r *preparer) entry(i int, e *ir.Entry) error {
	if e == nil || e.Func == nil {
		return nil
	}
	if changesWeights(e) {
		return r.repeated(e)
	}
	f, err := expand(e.Func)
	if err != nil {
		return err
	}
	still := make([]bool, len(f.Params))
	for k, b := range e.In {
		still[k] = lasting(b)
	}
	if f, err = r.level(f, still); err != nil {
		return err
	}
	hoisted := r.frontier(f, still)
	if len(hoisted) == 0 {
		return nil
	}
	outer := map[*ir.Value]*ir.Value{}
	for k, b := range e.In {
		if still[k] {
			outer[f.Params[k]] = r.params[b]
		}
	}
	b := ir.NewBuilder(f.Name)
	b.F.Doc = f.Doc
	env := map[*ir.Value]*ir.Value{}
	for _, q := range f.Params {
		env[q] = copyParam(b, q)
	}
	in := slices.Clone(e.In)
	for _, h := range hoisted {
		in = append(in, ir.Binding{Kind: ir.PreparedKind, Index: len(r.asked), Name: r.name(h)})
		r.asked = append(r.asked, request{copyWith(r.g.Builder, h, outer), i, r.panels[h]})
		env[h] = b.Param(r.name(h), h.Type)
	}
	if f, err = rest(b, f, env); err != nil {
		return err
	}
	e.Func, e.In = f, in
	return nil
}

// name names the parameter that stands for v.
func (r *preparer) name(v *ir.Value) string {
	if r.panels[v] {
		return "panels"
	}
	return nameOf(v)
}

// rest copies to b what is left of f, where env has some of its values, and drops
// what nothing reads.
func rest(b *ir.Builder, f *ir.Func, env map[*ir.Value]*ir.Value) (*ir.Func, error) {
	live := make([]bool, len(f.Values))
	for _, x := range f.Results {
		live[x.ID] = true
	}
	for i, v := range slices.Backward(f.Values) {
		for _, a := range v.Args {
			live[a.ID] = live[a.ID] || live[i] && env[v] == nil
		}
	}
	for i, v := range f.Values {
		if live[i] {
			copyWith(b, v, env)
		}
	}
	var results []*ir.Value
	for _, x := range f.Results {
		results = append(results, env[x])
	}
	g, err := b.Return(results...)
	if err != nil {
		return nil, err
	}
	return dce(g)
}

// copyWith copies v and what it is computed from to b; env has what is there
// already, and gets what is new.
func copyWith(b *ir.Builder, v *ir.Value, env map[*ir.Value]*ir.Value) *ir.Value {
	if w := env[v]; w != nil {
		return w
	}
	args := make([]*ir.Value, len(v.Args))
	for i, a := range v.Args {
		args[i] = copyWith(b, a, env)
	}
	env[v] = b.Copy(v, args)
	return env[v]
}

// level rewrites f, a function or the body of a loop, of whose parameters some
// are still: contractions get operands in panels, and loops give away what their
// bodies compute from what is still.
func (r *preparer) level(f *ir.Func, still []bool) (*ir.Func, error) {
	at := stillness{}
	env := map[*ir.Value]*ir.Value{}
	var fail error
	out, err := rewrite(f, func(g ops.Graph, v *ir.Value, args []*ir.Value) *ir.Value {
		if len(at) == 0 {
			for i, q := range f.Params {
				at[env[q]] = still[i]
			}
		}
		switch v.Op {
		case ops.Scan:
			x, err := r.loop(g, v, args, at)
			fail = errors.Join(fail, err)
			return x
		case ops.Dot:
			if i, axis := r.packs(v, args, at); i >= 0 {
				panels := g.Panels(args[i], axis)
				r.panels[panels] = true
				args[i] = g.Do(ops.Packed, []*ir.Value{args[i], panels}, ops.Axis.Is(axis))
			}
		}
		return nil
	}, env)
	return out, errors.Join(fail, err)
}
