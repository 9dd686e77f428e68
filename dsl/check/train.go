package check

import (
	"slices"
	"strings"

	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// train compiles a train block.
func (b *block) train(m *ir.Module) {
	api := &loop.Trainer{Name: b.decl.Name.Text, Doc: b.decl.Doc}
	t := &ir.Trainer{}
	minimize := b.require("minimize", "Loss")
	optimizer := b.require("optimizer", "optim.Adam(lr = 1e-3)")
	f := b.method(minimize)
	b.lossType(f, minimize)
	t.Update = b.updated()
	b.clipping(t, api)
	api.Accumulate = b.integer("accumulate", 1, 1)
	if api.EMA = b.number("ema", 0); b.value("ema") != nil && !(api.EMA > 0 && api.EMA < 1) {
		b.failf(b.value("ema"), "`ema` must lie between 0 and 1")
	}
	t.Remat = b.remat()
	api.Updates = t.Update

	loss := b.aside(func(c *checker) *compiled {
		c.training = true
		return c.compile(f, nil)
	})
	if loss == nil {
		b.silent()
	}
	t.Loss, api.Loss = loss.fn, loss.api
	if t.Noise > 0 {
		withKey(t.Loss)
		api.Loss.Random = true
	}
	for i := range t.Loss.Out {
		if o := &t.Loss.Out[i]; o.Kind == ir.ResultKind && o.Index == 0 {
			o.Kind = ir.LossKind
		}
	}
	if api.PerExample && len(api.Loss.Results[0].Shape) == 0 {
		b.fail(b.errorf(b.value("clip"), "`perExample` needs a loss with one number per example, but `%s` returns f32", f.decl.Name.Text).
			Helpf("return f32[B]; the step takes the mean"))
	}
	if api.PerExample {
		if n, ok := api.Loss.Results[0].Shape[0].Const(); ok {
			b.fail(b.errorf(b.value("clip"), "`perExample` needs a batch whose size is open, but `%s` returns f32[%d]", f.decl.Name.Text, n).
				Helpf("declare it by `dim B`; -dim 'B<=%d' bounds it", n))
		}
		b.separate(b.value("clip"), t.Loss)
	}
	api.Loss.Results[0].Shape = nil // the mean
	api.Carried = carried(api.Loss)
	t.Penalty = b.penalty()
	b.rules(t, api, optimizer)

	m.Trainers = append(m.Trainers, t)
	m.API.Trainers = append(m.API.Trainers, api)
}

// withKey gives e the random key as a parameter, if it has none: what is
// derived from it draws numbers.
func withKey(e *ir.Entry) {
	at := 0
	for i, b := range e.In {
		switch b.Kind {
		case ir.KeyKind:
			return
		case ir.ArgKind:
			at = i + 1
		}
	}
	key := &ir.Value{Op: ir.Param, Type: ir.Tensor(ir.I32, loop.N(3)), Scope: "key"}
	e.In = slices.Insert(e.In, at, ir.Binding{Kind: ir.KeyKind, Name: "key"})
	e.Func.Params = slices.Insert(e.Func.Params, at, key)
	e.Func.Values = slices.Insert(e.Func.Values, at, key)
	for i, v := range e.Func.Values {
		v.ID = i
	}
}

// aside runs f on a checker with a state of its own.
func (b *block) aside(f func(c *checker) *compiled) *compiled {
	c := *b.checker
	out := f(&c)
	b.failed = b.failed || c.failed
	b.errors = c.errors
	return out
}

// lossType checks that the method can be minimised.
func (b *block) lossType(f *function, at dsl.Expr) {
	name := f.decl.Name.Text
	if len(f.decl.Results) == 0 {
		b.failf(at, "`%s` must return f32, but it returns nothing", name)
	}
	t := f.decl.Results[0].Type
	if t.Name.Text != "f32" || len(t.Dims) > 1 {
		b.fail(b.errorf(at, "`%s` must return f32, but it returns %s", name, t).
			Helpf("a loss is one number, or f32[B] with one number per example"))
	}
}

// carried pairs the results of a loss with the arguments of the same name:
// they are what the next step starts from.
func carried(e *loop.Entry) []loop.Carried {
	var out []loop.Carried
	for i, r := range e.Results {
		for j, a := range e.Args {
			if i > 0 && r.Name != "" && r.Name == a.Name && r.Elem == a.Elem && ir.SameShape(r.Shape, a.Shape) {
				out = append(out, loop.Carried{Result: i, Arg: j})
			}
		}
	}
	return out
}

// updated lists the weights that the step trains.
func (b *block) updated() []int {
	s := b.settings["update"]
	on := make([]bool, len(b.out.weights))
	if s == nil {
		for i := range on {
			on[i] = true
		}
	} else {
		for _, e := range s.Values {
			path := b.path(e)
			found := false
			for i, w := range b.out.weights {
				if p := plainPath(w.path); p == path || strings.HasPrefix(p, path+".") {
					on[i], found = true, found || w.kind == dsl.KindParam
				}
			}
			if !found {
				b.failf(e, "`%s` has no parameters", e)
			}
		}
	}
	var out []int
	for i, w := range b.out.weights {
		if on[i] && w.kind == dsl.KindParam {
			out = append(out, i)
		}
	}
	if len(out) == 0 {
		b.failf(b.decl.Name, "the model has no parameters to train")
	}
	return out
}

// path is the path of the layer or tensor that e names: gen.fc.
func (b *block) path(e dsl.Expr) string {
	in, prefix := b.in, ""
	var n *dsl.Name
	switch x := e.(type) {
	case *dsl.Select:
		prefix = b.path(x.X) + "."
		for _, w := range strings.Split(strings.TrimSuffix(prefix, "."), ".") {
			if in = in.field(w); in == nil {
				b.failf(x.X, "`%s` is not a layer", x.X)
			}
		}
		n = x.Name
	case *dsl.Name:
		n = x
	default:
		b.failf(e, "expected the name of a layer or parameter, found `%s`", e)
	}
	if in.store(n.Text) == nil && in.field(n.Text) == nil {
		if in.poisoned[n.Text] {
			b.silent()
		}
		var names []string
		for _, p := range in.parts {
			if p.store != nil {
				names = append(names, p.store.at.Text)
			} else {
				names = append(names, lastName(p.field.path))
			}
		}
		d := b.errorf(e, "`%s` is not declared", e)
		if in != b.in {
			d = b.errorf(n, "%s has no `%s`", in.name, n.Text)
		}
		b.fail(suggest(d, n.Text, names, "there are "+strings.Join(names, ", ")))
	}
	return prefix + n.Text
}

// field is the sub-layer called name, or nil.
func (in *instance) field(name string) *instance {
	for _, p := range in.parts {
		if p.field != nil && lastName(p.field.path) == name {
			return p.field
		}
	}
	return nil
}

// lastName is the last name of a path: attn of blocks.{0}.attn.
func lastName(path string) string {
	p := plainPath(path)
	return p[strings.LastIndexByte(p, '.')+1:]
}

// clips are the forms of `clip`.
var clips = []string{"globalNorm", "perExample", "value"}

// clipping reads clip and noise.
func (b *block) clipping(t *ir.Trainer, api *loop.Trainer) {
	if e := b.value("clip"); e != nil {
		call, ok := e.(*dsl.Call)
		var name *dsl.Name
		if ok {
			name, ok = call.Fun.(*dsl.Name)
		}
		if !ok || len(call.Args) != 1 || call.Args[0].Name != nil {
			b.fail(b.errorf(e, "`clip` must be globalNorm(x), perExample(x) or value(x), found `%s`", e).Helpf("write `clip = globalNorm(1)`"))
		}
		if !slices.Contains(clips, name.Text) {
			b.fail(suggest(b.errorf(name, "`clip` has no form `%s`", name.Text), name.Text, clips, "there are "+strings.Join(clips, ", ")))
		}
		n, ok := asNum(b.eval(call.Args[0].Value))
		if !ok || !(n.f > 0) {
			b.failf(call.Args[0], "the limit of `clip` must be a positive number known when the model is compiled")
		}
		t.Clip, t.ClipKey = n.f, name.Text
		api.PerExample = name.Text == "perExample"
	}
	if e := b.value("noise"); e != nil {
		t.Noise = b.number("noise", 0)
		if !api.PerExample {
			b.fail(b.errorf(e, "`noise` needs gradients that are clipped example by example").Helpf("write `clip = perExample(1.0)`"))
		}
		if t.Noise < 0 {
			b.failf(e, "`noise` cannot be negative")
		}
	}
}

// remat lists the loops to compute again in the backward pass.
func (b *block) remat() []string {
	s := b.settings["remat"]
	if s == nil {
		return nil
	}
	var out []string
	for _, e := range s.Values {
		x, ok := e.(*dsl.String)
		if !ok {
			b.fail(b.errorf(e, "`remat` names loops by path, in quotes").Helpf("write `remat = \"blocks\"`"))
		}
		var stacks []string
		b.in.stacks(&stacks)
		if !slices.Contains(stacks, x.Value) {
			help := "the model has no stacks"
			if len(stacks) > 0 {
				help = "there are " + strings.Join(stacks, ", ")
			}
			b.fail(suggest(b.errorf(e, "there is no stack of layers `%s`", x.Value), x.Value, stacks, help))
		}
		out = append(out, x.Value)
	}
	return out
}

// stacks lists the paths of all stacks in the instance.
func (in *instance) stacks(out *[]string) {
	for _, p := range in.parts {
		if p.field == nil {
			continue
		}
		if len(p.field.counts) > len(in.counts) {
			*out = append(*out, plainPath(p.field.path))
		}
		p.field.stacks(out)
	}
}

// penalty compiles the penalty: a scalar over parameters.
func (b *block) penalty() *ir.Entry {
	e := b.value("penalty")
	if e == nil {
		return nil
	}
	out := b.aside(func(c *checker) *compiled {
		d := &dsl.FuncDecl{Span: e.Range(), Name: &dsl.Name{Span: e.Range(), Text: b.decl.Name.Text + "Penalty"}}
		d.Results = []*dsl.Param{{Type: &dsl.Type{Name: &dsl.Name{Text: "f32"}}}}
		c.begin(d.Name.Text)
		a := &activation{pkg: b.in.of.pkg, file: b.in.of.file, self: &layer{inst: b.in}, decl: d, name: "penalty", dims: map[string]value{}, frame: c.fr}
		c.entry.top, c.fn, c.sc = a, a, &scope{names: map[string]*variable{}}
		c.training = true
		var t tensor
		if !c.try(func() {
			t = c.tensor(e, ir.F32)
			if t.elem != ir.F32 || !t.scalar() {
				c.fail(c.errorf(e, "`penalty` must be one number, but this is %s", t.ctype).Helpf("sum it: `sum(%s)`", e))
			}
			if c.entry.key != nil {
				c.failf(e, "`penalty` cannot draw random numbers")
			}
		}) {
			return nil
		}
		return c.close(a, []tensor{c.fr.here(t)})
	})
	if out == nil {
		b.silent()
	}
	return out.fn
}
