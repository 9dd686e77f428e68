package check

import (
	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// generate compiles a generate block: the step, and the sampler as an entry of
// its own that gets the scores and the options.
func (b *block) generate(m *ir.Module) {
	at := b.require("step", "Decode")
	sample := b.require("sample", "topK(k = 40)")
	f := b.method(at)
	if !exported(f.decl.Name.Text) {
		b.failf(at, "the step of a generate block must be exported: its name must start with a capital letter")
	}
	step := b.aside(func(c *checker) *compiled { return c.compile(f, nil) })
	if step == nil {
		b.silent()
	}
	if !decodes(step.api) {
		b.fail(b.errorf(at, "`%s` cannot be the step of a generate block", f.decl.Name.Text).
			Helpf("it must be like `func Decode(ids i32[B, T], P dim) f32[B, V]`: scores of the next token after P + T tokens"))
	}
	g := &loop.Generator{
		Name: b.decl.Name.Text, Doc: b.decl.Doc, Step: step.api,
		Stop: b.integer("stop", 0, -1), Limit: b.integer("limit", 1, 0),
	}
	s := &ir.Sampler{Step: step.fn}
	b.lits = &literals{}
	b.lits.settled(func() { s.Sample, g.Sample = b.sampler(sample, step) })
	for _, o := range b.lits.open() {
		g.Options = append(g.Options, o.api())
	}
	m.Samplers = append(m.Samplers, s)
	m.API.Generators = append(m.API.Generators, g)
}

// decodes tells whether an entry reads tokens after P others and scores the next one.
func decodes(e *loop.Entry) bool {
	ids, pos := 0, 0
	for _, a := range e.Args {
		switch {
		case a.IsDim:
			pos++
		case a.Elem == ir.I32 && len(a.Shape) == 2:
			ids++
		default:
			return false
		}
	}
	return ids == 1 && pos == 1 && len(e.Results) == 1 && e.Results[0].Elem == ir.F32 && len(e.Results[0].Shape) == 2
}

// sampler compiles the choice of a token by the scores of the step.
func (b *block) sampler(e dsl.Expr, step *compiled) (*ir.Entry, *loop.Entry) {
	scores := step.api.Results[0]
	out := b.aside(func(c *checker) *compiled {
		d := &dsl.FuncDecl{Span: e.Range(), Name: &dsl.Name{Span: e.Range(), Text: b.decl.Name.Text + "Sample"}}
		c.begin(d.Name.Text)
		a := &activation{pkg: b.in.of.pkg, file: b.in.of.file, self: &layer{inst: b.in}, decl: d, name: "sample", dims: map[string]value{}, frame: c.fr}
		c.entry.top, c.fn, c.sc = a, a, &scope{names: map[string]*variable{}}
		c.lits = b.lits
		b.lits.fn = a
		t := ctype{scores.Elem, dimsOf(scores.Shape)}
		x := c.entry.frame.g.Param("scores", t.ir())
		c.entry.args = []loop.Param{{Name: "scores", Elem: t.elem, Shape: scores.Shape}}
		c.entry.params = []*ir.Value{x}
		var y tensor
		if !c.try(func() {
			first := argument{at: e, val: tensor{ctype: t, v: x, fr: c.fr}}
			y = c.asTensor(e, c.sampled(e, first), ir.I32)
			if y.elem != ir.I32 || len(y.dims) != 1 || !y.dims[0].Eq(t.dims[0].Dim) {
				c.failf(e, "`sample` must choose one token per row, %s, but this is %s", ctype{ir.I32, t.dims[:1]}, y.ctype)
			}
		}) {
			return nil
		}
		c.optionArgs(b.lits)
		d.Results = []*dsl.Param{{Type: &dsl.Type{Name: &dsl.Name{Text: "i32"}}}}
		return c.close(a, []tensor{c.fr.here(y)})
	})
	if out == nil {
		b.silent()
	}
	return out.fn, out.api
}

// sampled applies `topK(k = 40)`, or a func without further arguments, to the
// scores.
func (c *checker) sampled(e dsl.Expr, scores argument) value {
	fun, args := e, []*dsl.Arg(nil)
	if x, ok := e.(*dsl.Call); ok {
		fun, args = x.Fun, x.Args
	}
	call := &callSite{at: e, fun: fun, args: []argument{scores}}
	for _, a := range args {
		n := argument{at: a, expr: a.Value}
		if a.Name != nil {
			n.name = a.Name.Text
		}
		call.args = append(call.args, n)
	}
	f := c.live(c.eval(fun))
	if s, ok := f.(spec); ok {
		f, call.items, call.fun = s.of, s.items, s.at.X
	}
	return c.live(c.invoke(f, call))
}

// optionArgs makes the options of the block arguments of the entry.
func (c *checker) optionArgs(lits *literals) {
	e := c.entry
	for _, o := range lits.open() {
		e.args = append(e.args, loop.Param{Name: o.of, Elem: o.elem})
		e.params = append(e.params, o.in(e))
	}
	kept := e.lazy[:0]
	for _, p := range e.lazy {
		if p.bind.Kind != ir.ScalarKind {
			kept = append(kept, p)
		}
	}
	e.lazy = kept
}
