package passes

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lmc-lang/lmc/ir"
)

// newProgram copies what passes replace, so that m stays as it is.
func newProgram(m *ir.Module) *Program {
	c := *m
	api := *m.API
	api.Trainers = nil
	for _, t := range m.API.Trainers {
		u := *t
		u.Moments = append(u.Moments[:0:0], t.Moments...)
		u.Scalars = append([]string(nil), t.Scalars...)
		api.Trainers = append(api.Trainers, &u)
	}
	c.API = &api
	c.Entries = nil
	for _, e := range m.Entries {
		c.Entries = append(c.Entries, copyEntry(e))
	}
	c.Samplers = nil
	for _, s := range m.Samplers {
		c.Samplers = append(c.Samplers, &ir.Sampler{Step: copyEntry(s.Step), Sample: copyEntry(s.Sample)})
	}
	p := &Program{Module: &c}
	c.Trainers = nil
	for _, t := range m.Trainers {
		u := *t
		u.Loss, u.Penalty = copyEntry(t.Loss), copyEntry(t.Penalty)
		u.Rules = nil
		for _, r := range t.Rules {
			r := *r
			u.Rules = append(u.Rules, &r)
		}
		c.Trainers = append(c.Trainers, &u)
		p.Steps = append(p.Steps, &Step{Trainer: &u})
	}
	return p
}

func copyEntry(e *ir.Entry) *ir.Entry {
	if e == nil {
		return nil
	}
	c := *e
	return &c
}

// inference are the entries and what samplers call, some of which may be nil: all
// functions but those of training.
func (p *Program) inference() []*ir.Entry {
	out := slices.Clone(p.Entries)
	for _, s := range p.Samplers {
		out = append(out, s.Step, s.Sample)
	}
	return out
}

// changesWeights reports whether e writes weights, as one with state does.
func changesWeights(e *ir.Entry) bool {
	return slices.ContainsFunc(e.Out, func(b ir.Binding) bool { return b.Kind == ir.WeightKind })
}

// A slot is a place of a Program that holds a function.
type slot struct {
	name string
	f    **ir.Func
}

// slots lists the functions of p in a fixed order. After derive those of the
// train blocks themselves are no longer among them.
func (p *Program) slots() []slot {
	var out []slot
	add := func(name string, e *ir.Entry) {
		if e != nil && e.Func != nil {
			out = append(out, slot{name, &e.Func})
		}
	}
	for i, e := range p.Entries {
		add(p.API.Entries[i].Name, e)
	}
	for i, s := range p.Samplers {
		name := p.API.Generators[i].Name
		add(name+".step", s.Step)
		add(name+".sample", s.Sample)
	}
	for i, q := range p.Prepared {
		add(fmt.Sprintf("prepare%d", i), q.Entry)
	}
	for i, s := range p.Steps {
		name := p.API.Trainers[i].Name
		if s.Gradients == nil {
			add(name+".loss", s.Loss)
			add(name+".penalty", s.Penalty)
			for k, r := range s.Rules {
				out = append(out, slot{fmt.Sprintf("%s.rule%d", name, k), &r.Func})
			}
			continue
		}
		add(name+".gradients", s.Gradients)
		add(name+".apply", s.Apply)
		add(name+".direct", s.Direct)
		if s.Host != nil {
			out = append(out, slot{name + ".host", &s.Host})
		}
	}
	return out
}

// each makes a pass over functions from a function. Bodies of loops are up to
// f; see inBodies.
func each(f func(*ir.Func) (*ir.Func, error)) func(*Program) error {
	return func(p *Program) error {
		for _, s := range p.slots() {
			g, err := f(*s.f)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			*s.f = g
		}
		return nil
	}
}

// always checks a property of every function.
func always(holds func(*ir.Func) error) func(*Program) error {
	return func(p *Program) error {
		for _, s := range p.slots() {
			if err := holds(*s.f); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
		}
		return nil
	}
}

// String prints all functions, each under its name.
func (p *Program) String() string {
	var b strings.Builder
	for _, s := range p.slots() {
		fmt.Fprintf(&b, "// %s\n%v\n\n", s.name, *s.f)
	}
	return b.String()
}

// copy has functions of its own, which a pass may replace in p.
func (p *Program) copy() *Program {
	q := newProgram(p.Module)
	q.Steps = nil
	for _, x := range p.Prepared {
		q.Prepared = append(q.Prepared, &Prepared{Entry: copyEntry(x.Entry), Size: x.Size, Native: x.Native})
	}
	q.PreparedValues = p.PreparedValues
	for i, s := range p.Steps {
		q.Steps = append(q.Steps, &Step{Trainer: q.Trainers[i], Gradients: copyEntry(s.Gradients), Apply: copyEntry(s.Apply), Direct: copyEntry(s.Direct), Host: s.Host})
	}
	return q
}
