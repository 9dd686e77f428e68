package check

import (
	"fmt"
	"strings"

	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// rules instantiates the optimizer for every weight that the step trains.
func (b *block) rules(t *ir.Trainer, api *loop.Trainer, e dsl.Expr) {
	b.checkGroups()
	b.lits = &literals{}
	b.lits.settled(func() {
		t.Rules, api.Moments = nil, nil
		offset := 0
		for _, w := range t.Update {
			s := b.out.weights[w]
			r, moments := b.rule(e, s)
			for _, m := range moments {
				m.Weight, m.Offset = w, offset
				dims := s.typ.shape()
				if m.Shape != nil {
					dims = m.Shape
				}
				size, _ := loop.Product(dims).Const()
				for _, k := range s.counts {
					size *= k
				}
				offset += size
				r.Moments = append(r.Moments, len(api.Moments))
				api.Moments = append(api.Moments, m)
			}
			t.Rules = append(t.Rules, r)
		}
	})
	for _, o := range b.lits.open() {
		api.Options = append(api.Options, o.api())
	}
}

// rule compiles the optimizer e for one copy of the weight w.
func (b *block) rule(e dsl.Expr, w *storage) (*ir.Rule, []*loop.Moment) {
	r := &ir.Rule{}
	var moments []*loop.Moment
	done := b.aside(func(c *checker) *compiled {
		c.begin("update" + strings.ReplaceAll(exportedPath(w.path), ".", ""))
		c.training, c.optimises = true, append(pack{}, w.typ.dims...)
		c.entry.optimizer = true
		c.fn = &activation{pkg: b.in.of.pkg, file: b.in.of.file, self: &layer{inst: b.in}, name: b.decl.Name.Text, dims: map[string]value{}, frame: c.fr}
		c.sc = &scope{names: map[string]*variable{}}
		c.lits, b.lits.fn = b.lits, c.fn
		c.at(e)
		x := c.fr.g.Param("p", w.typ.ir())
		g := c.fr.g.Param("g", w.typ.ir())
		step := c.fr.g.Param("step", ir.Tensor(ir.I32))
		c.entry.step = &tensor{ctype: ctype{elem: ir.I32}, v: step, fr: c.fr}
		if !c.try(func() {
			in := c.optimizerFor(b, e, w)
			for i, s := range in.stores {
				s.index = i
			}
			for i, s := range in.stores {
				s.index = i
			}
			y := c.updateOf(in, e, x, g, step)
			results := []*ir.Value{y}
			params := []*ir.Value{x, g}
			for _, s := range in.stores {
				results = append(results, c.fr.use(c.fr.read(c.entry.root(s)).(tensor)))
				params = append(params, nil)
				moments = append(moments, c.moment(s, w))
			}
			c.closeRule(r, append(params, step), results, b.lits)
		}) {
			return nil
		}
		return &compiled{}
	})
	if done == nil {
		b.silent()
	}
	return r, moments
}

// exportedPath is a path in capitals: Blocks.Attn.W.
func exportedPath(path string) string {
	words := strings.Split(plainPath(path), ".")
	for i, w := range words {
		words[i] = strings.ToUpper(w[:1]) + w[1:]
	}
	return strings.Join(words, ".")
}

// updateOf calls the method update of an optimizer for parameter x, gradient g
// and the step before, counted from 0.
func (c *checker) updateOf(in *instance, e dsl.Expr, x, g, step *ir.Value) *ir.Value {
	update := in.funcs["update"]
	name := in.of.decl.Name.Text
	if update == nil {
		c.failf(e, "the optimizer `%s` has no method update", name)
	}
	typ := ctype{ir.F32, dimsOf(x.Type.Shape)}
	call := &callSite{at: e, fun: e, args: []argument{
		{at: e, val: tensor{ctype: typ, v: x, fr: c.fr}},
		{at: e, val: tensor{ctype: typ, v: g, fr: c.fr}},
		{at: e, val: tensor{ctype: ctype{elem: ir.I32}, v: c.fr.g.Add(step, c.fr.g.Integer(1)), fr: c.fr}},
	}}
	y, ok := c.live(c.callFunc(&function{decl: update, pkg: in.of.pkg, file: in.of.file, self: &layer{inst: in}}, call)).(tensor)
	if !ok || !y.same(typ) {
		c.failf(e, "`update` of %s must return the new parameter", name)
	}
	return c.fr.use(y)
}

// moment describes the state s of an optimizer for the weight w.
func (c *checker) moment(s, w *storage) *loop.Moment {
	if s.init.Kind != "const" || s.kind != dsl.KindState || s.typ.elem != ir.F32 {
		d := c.errorf(s.at, "an optimizer keeps `state` of f32 that starts from a constant")
		d.File = s.file.Name
		c.fail(d)
	}
	m := &loop.Moment{Name: s.at.Text, Init: s.init.Args[0]}
	if !sameDims(s.typ.dims, w.typ.dims) {
		if m.Shape = s.typ.shape(); m.Shape == nil {
			m.Shape = []loop.Dim{} // one number
		}
	}
	return m
}

// closeRule finishes the function of a rule: params has nil for each moment.
// All open options of the block follow, whether the rule uses them or not.
func (c *checker) closeRule(r *ir.Rule, params, results []*ir.Value, lits *literals) {
	e, f := c.entry, c.fr
	f.g.F.Results = results
	var key *ir.Value
	for _, p := range e.lazy {
		switch p.bind.Kind {
		case ir.WeightKind:
			params[2+p.bind.Index] = p.v
		case ir.KeyKind:
			key = p.v
		}
	}
	for _, o := range lits.open() {
		params = append(params, o.in(e))
	}
	if key != nil {
		r.Random = true
		params = append(params, key)
	}
	f.close(params)
	if f.g.Err != nil {
		panic(fmt.Sprintf("bug in check: %s: %v", f.g.F.Name, f.g.Err))
	}
	r.Func = f.g.F
}

// optimizerFor evaluates the optimizer with the settings of the groups that w
// belongs to.
func (c *checker) optimizerFor(b *block, e dsl.Expr, w *storage) *instance {
	for _, g := range b.groups {
		if x := groupOptimizer(g); x != nil && c.selects(g, w) {
			e = x
		}
	}
	if _, ok := e.(*dsl.Call); !ok {
		c.failf(e, "expected an optimizer, like optim.Adam(lr = 1e-3)")
	}
	r := c.requestOf(e)
	if r.decl.decl.Kind != dsl.KindOptimizer {
		c.failf(e, "`%s` is not an optimizer", r.decl.decl.Name.Text)
	}
	for _, g := range b.groups {
		if !c.selects(g, w) {
			continue
		}
		for _, x := range g.Entries {
			if s, ok := x.(*dsl.Setting); ok && s.Key != "optimizer" {
				c.groupSetting(r, s)
			}
		}
	}
	c.bindAxes(r, e, w)
	return c.instantiate(r, e, "", nil)
}

// bindAxes makes the dims of an optimizer that are not given the axes of the
// parameter: Muon[R, C] is for matrices.
func (c *checker) bindAxes(r *request, e dsl.Expr, w *storage) {
	d := r.decl.decl
	if len(d.Generics) == 0 || len(r.dims) > 0 || d.Generics[0].Default != nil {
		return
	}
	if len(d.Generics) != len(w.typ.dims) {
		c.fail(c.errorf(e, "%s%s is for parameters of rank %d, but `%s` is %s", d.Name.Text, generics(d.Generics), len(d.Generics), plainPath(w.path), w.typ).
			Helpf("choose its parameters in a group: `group rank == %d { optimizer = … }`", len(d.Generics)))
	}
	for i, g := range d.Generics {
		r.dims[g.Name.Text] = w.typ.dims[i]
	}
}

// groupOptimizer is the optimizer that a group sets, or nil.
func groupOptimizer(g *dsl.Group) dsl.Expr {
	for _, x := range g.Entries {
		if s, ok := x.(*dsl.Setting); ok && s.Key == "optimizer" {
			return s.Values[0]
		}
	}
	return nil
}

// groupSetting changes an option of the optimizer: `decay = 0` or
// `lr = 0.1 * lr`, where the names of options stand for their values so far.
func (c *checker) groupSetting(r *request, s *dsl.Setting) {
	var p *dsl.Param
	var names []string
	for _, q := range r.decl.decl.Params {
		names = append(names, q.Name.Text)
		if q.Name.Text == s.Key {
			p = q
		}
	}
	if p == nil || s.Quoted {
		c.fail(suggest(c.errorf(s.KeyAt, "%s has no parameter `%s`", r.decl.decl.Name.Text, s.Key), s.Key, names, "it has "+strings.Join(names, ", ")))
	}
	if len(s.Values) > 1 {
		c.failf(s.Values[1], "`%s` has one value", s.Key)
	}
	sc := &scope{up: c.sc, names: map[string]*variable{}}
	for _, q := range r.decl.decl.Params {
		var val value
		switch o := r.opts[q.Name.Text]; {
		case o != nil:
			val = o.val
		case q.Default != nil:
			a := &activation{pkg: r.decl.pkg, file: r.decl.file, dims: map[string]value{}, frame: c.fr, up: c.fn}
			c.within(a, &scope{names: map[string]*variable{}}, func() { val = c.eval(q.Default) })
		default:
			continue
		}
		sc.names[q.Name.Text] = &variable{name: q.Name.Text, home: c.fr, val: val, used: true}
	}
	old := c.sc
	c.sc = sc
	v := c.live(c.eval(s.Values[0]))
	c.sc = old
	r.opts[s.Key] = &argument{at: s.Values[0], expr: s.Values[0], val: v}
}

// checkGroups reports groups that hold nothing.
func (b *block) checkGroups() {
	for _, g := range b.groups {
		hit := false
		for _, w := range b.out.weights {
			hit = b.selects(g, w) || hit
		}
		if !hit {
			b.fail(b.errorf(g.Select[0], "this group has no parameters").
				Helpf("parameters are chosen by rank, `rank < 2`, or by patterns over paths, `\"**.b\"`"))
		}
		for _, x := range g.Entries {
			switch x := x.(type) {
			case *dsl.Group:
				b.failf(x, "a group cannot hold a group")
			case *dsl.Bad:
				b.silent()
			}
		}
	}
}

// selects tells whether the group holds the weight w.
func (c *checker) selects(g *dsl.Group, w *storage) bool {
	for _, e := range g.Select {
		if s, ok := e.(*dsl.String); ok {
			if c.matches(s, w) {
				return true
			}
			continue
		}
		rank := &variable{name: "rank", home: c.fr, val: num{f: float64(len(w.typ.dims))}, used: true}
		old := c.sc
		c.sc = &scope{up: c.sc, names: map[string]*variable{"rank": rank}}
		v := c.live(c.eval(e))
		c.sc = old
		x, ok := v.(boolean)
		if !ok {
			c.fail(c.errorf(e, "a group is chosen by a condition on `rank` or by patterns in quotes, found %s", v.show()).
				Helpf("write `group rank < 2 { … }` or `group \"**.b\" { … }`"))
		}
		if x {
			return true
		}
	}
	return false
}

// matches tells whether the pattern fits the path of w: `*` is one name or a
// part of it, `**` any number of names.
func (c *checker) matches(s *dsl.String, w *storage) bool {
	var fit func(p, names []string) bool
	fit = func(p, names []string) bool {
		switch {
		case len(p) == 0:
			return len(names) == 0
		case p[0] == "**":
			for i := range len(names) + 1 {
				if fit(p[1:], names[i:]) {
					return true
				}
			}
			return false
		case len(names) == 0:
			return false
		case strings.HasPrefix(names[0], "{") && p[0] != "*":
			if isDigits(p[0]) && fit(p[1:], names[1:]) {
				c.fail(c.errorf(s, "a group must hold all layers of a stack, not one of them").Helpf("write `*` in place of `%s`", p[0]))
			}
			return false
		}
		return oneName(p[0], names[0]) && fit(p[1:], names[1:])
	}
	return fit(strings.Split(s.Value, "."), strings.Split(w.path, "."))
}

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// oneName matches one name with a pattern in which `*` is any text.
func oneName(p, name string) bool {
	head, tail, star := strings.Cut(p, "*")
	if !star {
		return p == name
	}
	if !strings.HasPrefix(name, head) {
		return false
	}
	for i := len(head); i <= len(name); i++ {
		if oneName(tail, name[i:]) {
			return true
		}
	}
	return false
}
