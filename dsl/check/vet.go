package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/ir"
)

// checkModel checks the model d as the options want it, and, if it is right,
// once more with other hyperparameters.
func (c *checker) checkModel(d *layerDecl) *ir.Module {
	dims, opts, ok := c.settings(d)
	if !ok {
		return nil
	}
	m := c.compileModel(d, dims, opts)
	if m != nil {
		c.other(d)
	}
	return m
}

// settings reads Options.Set: new values for the dims and options of the model.
func (c *checker) settings(d *layerDecl) (dims map[string]dim, opts map[string]*argument, ok bool) {
	dims, opts = map[string]dim{}, map[string]*argument{}
	c.outside(d)
	ok = c.try(func() {
		base := d
		for base.decl.Alias != nil {
			base = c.requestOf(base.decl.Alias).decl
		}
		for _, k := range sortedKeys(c.opt.Set) {
			if name, _, ok := strings.Cut(k, "."); ok { // of a train or generate block, which reads it
				if !hasBlock(base.decl, name) {
					c.failf(d.decl.Name, "-set %s: the model %s has no train or generate block `%s`", k, d.decl.Name.Text, name)
				}
				continue
			}
			c.setting(d, base.decl, k, dims, opts)
		}
	})
	return dims, opts, ok
}

// hasBlock tells whether a model has a train or generate block of that name.
func hasBlock(d *dsl.LayerDecl, name string) bool {
	found := false
	dsl.Walk(d, func(n dsl.Node) bool {
		b, ok := n.(*dsl.BlockDecl)
		found = found || ok && b.Kind != dsl.KindNames && b.Name.Text == name
		return !found
	})
	return found
}

func (c *checker) setting(d *layerDecl, base *dsl.LayerDecl, key string, dims map[string]dim, opts map[string]*argument) {
	text := c.opt.Set[key]
	e, ds := dsl.ParseExpr("-set "+key, []byte(text))
	if len(ds) > 0 {
		c.failf(d.decl.Name, "-set %s=%s: %s", key, text, ds[0].Msg)
	}
	var names []string
	for _, g := range base.Generics {
		names = append(names, g.Name.Text)
		if g.Name.Text == key {
			n, ok := asDim(c.settingValue(d, key, e))
			if !ok {
				c.failf(d.decl.Name, "-set %s=%s: a dimension must be a whole number", key, text)
			}
			dims[key] = n.named(key)
			return
		}
	}
	for _, p := range base.Params {
		names = append(names, p.Name.Text)
		if p.Name.Text == key {
			opts[key] = &argument{at: d.decl.Name, val: c.settingValue(d, key, e)}
			return
		}
	}
	c.fail(suggest(c.errorf(d.decl.Name, "-set %s: the model %s has no such dimension or option", key, d.decl.Name.Text), key, names,
		"it has "+strings.Join(names, ", ")))
}

// settingValue is the value e of -set key. What is wrong with it is said at the
// model: e has no place in the text.
func (c *checker) settingValue(d *layerDecl, key string, e dsl.Expr) (v value) {
	n := len(c.world.diags)
	if c.try(func() { v = c.eval(e) }) {
		return v
	}
	for i, o := range c.world.diags[n:] {
		c.world.diags[n+i] = c.errorf(d.decl.Name, "-set %s=%s: %s", key, c.opt.Set[key], o.Msg)
	}
	panic(bailout{})
}

// dimOptions checks that Options.Dims name dims of the arguments of the model.
func (c *checker) dimOptions(d *layerDecl, in *instance) bool {
	names := slices.Clone(in.of.pkg.dimNames)
	for _, it := range in.bounds {
		names = append(names, it.Name.Text)
	}
	args := map[string]bool{} // of type dim
	for _, f := range in.methods {
		for _, p := range f.Params {
			args[p.Name.Text] = args[p.Name.Text] || p.Type.Name.Text == "dim"
		}
	}
	c.outside(d)
	return c.try(func() {
		given := map[string]bool{}
		for _, o := range c.opt.Dims {
			at := fmt.Sprintf("-dim %s%s%d", o.Name, o.Rel, o.N)
			switch {
			case given[o.Name]:
				c.failf(d.decl.Name, "%s: %s is given twice", at, o.Name)
			case o.N < 1:
				c.failf(d.decl.Name, "%s: a dimension is at least 1", at)
			case in.env[o.Name] != nil:
				c.fail(c.errorf(d.decl.Name, "%s: %s is not a dimension of arguments, but of the model", at, o.Name).Helpf("`-set %s=%d` gives it another value", o.Name, o.N))
			case args[o.Name] && o.Rel == "=":
				c.failf(d.decl.Name, "%s: %s is an argument, which can only be bounded: -dim '%s<=%d'", at, o.Name, o.Name, o.N)
			case !args[o.Name] && !slices.Contains(names, o.Name):
				c.fail(suggest(c.errorf(d.decl.Name, "%s: no argument of %s has such a dimension", at, d.decl.Name.Text), o.Name, names, ""))
			}
			given[o.Name] = true
		}
	})
}

var primes = []int{2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37}

// other checks the model d again with other hyperparameters: dims that were
// equal only by accident are not equal any more. Where the new numbers do not
// divide, another choice is tried.
func (c *checker) other(d *layerDecl) {
	base := c.model.of.decl
	saved := c.world.diags
	defer func() { c.world.diags = saved }()
	for choice := range 3 {
		dims := map[string]dim{}
		for i, g := range base.Generics {
			n, ok := c.model.env[g.Name.Text].(dim).Const()
			if !ok {
				return
			}
			switch {
			case choice == 0, choice == 1 && n > 64: // large ones only: D / H stays whole
				n *= primes[i%len(primes)]
			case choice == 2:
				n *= 1 + i%2
			}
			dims[g.Name.Text] = number(n)
		}
		c.world.diags = nil
		o := &checker{world: c.world, dry: true, training: true, prefix: "with other hyperparameters: ", severity: dsl.Warning}
		if c.opt.Vet || len(c.opt.Set) > 0 {
			o.severity = dsl.Error
		}
		o.methods(d, dims)
		found := c.world.diags
		if len(found) == 0 {
			return
		}
		if doesNotFit(found[0].Msg) {
			continue
		}
		saved = append(saved, found[0])
		return
	}
}

// doesNotFit tells whether a message is about numbers that other
// hyperparameters need not satisfy.
func doesNotFit(msg string) bool {
	for _, s := range []string{"is not a whole number", "may run", "into", "is outside", "assertion", "reaches"} {
		if strings.Contains(msg, s) {
			return true
		}
	}
	return false
}

// methods checks all exported methods of the model d with the given dims.
func (c *checker) methods(d *layerDecl, dims map[string]dim) {
	in := c.instance(d, dims, nil)
	if in == nil {
		return
	}
	c.model = in
	c.layout(in)
	for _, f := range in.methods {
		if exported(f.Name.Text) {
			c.compile(&function{decl: f, pkg: in.of.pkg, file: in.of.file, self: &layer{inst: in}}, nil)
		}
	}
}

// samples are dims for layers that nobody instantiates. In the first list all
// are different; in the second each divides the ones before.
var samples = [][]int{{48, 80, 112, 176, 208, 272, 304, 368}, {10080, 720, 240, 48, 24, 12, 4, 2}}

// unusedLayers checks the layers and optimizers of the package that no model has.
func (w *world) unusedLayers() {
	for _, n := range w.root.order {
		d := w.root.layers[n]
		if d == nil || d.used || d.decl.Alias != nil {
			continue
		}
		saved := w.diags
		for _, list := range samples {
			w.diags = nil
			c := &checker{world: w, rigid: true, dry: true}
			if !c.sample(d, list) {
				w.diags = nil
				break
			}
			if len(w.diags) == 0 || !doesNotFit(w.diags[0].Msg) {
				break
			}
			w.diags = nil
		}
		w.diags = append(saved, w.diags...)
	}
}

// sample checks the layer d with dims from list. It returns false if the layer
// has options that have no example.
func (c *checker) sample(d *layerDecl, list []int) bool {
	dims := map[string]dim{}
	for i, g := range d.decl.Generics {
		if g.Default == nil {
			dims[g.Name.Text] = number(list[i%len(list)]).named(g.Name.Text)
		}
	}
	opts := map[string]*argument{}
	examples := map[string]value{"f32": num{0.5, typedF32}, "i32": num{1, typedI32}, "bool": boolean(true), "dim": number(1), "init": constantInit(0)}
	for _, p := range d.decl.Params {
		if p.Default != nil {
			continue
		}
		v, ok := examples[p.Type.Name.Text]
		if !ok {
			return false
		}
		opts[p.Name.Text] = &argument{at: p, val: v}
	}
	in := c.instance(d, dims, opts)
	if in == nil {
		return true
	}
	c.layout(in)
	for _, f := range in.methods {
		if !callable(f) {
			continue
		}
		for _, training := range []bool{false, true} {
			if d.decl.Kind == dsl.KindOptimizer && !training {
				continue
			}
			c.training = training
			c.compile(&function{decl: f, pkg: d.pkg, file: d.file, self: &layer{inst: in}}, nil)
		}
	}
	return true
}
