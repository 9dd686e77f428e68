package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// A request is what an expression like nn.Linear[D, 4*D](bias = false) asks
// for: a layer with dims and options. Variants (`model A = B[…]`) have been
// followed to the layer that has a body.
type request struct {
	decl *layerDecl
	dims map[string]dim
	opts map[string]*argument
}

// request evaluates the brackets and parentheses behind the layer d.
func (c *checker) request(d *layerDecl, items []*dsl.Item, args []argument, at dsl.Node) *request {
	r := &request{decl: d, dims: map[string]dim{}, opts: map[string]*argument{}}
	if d.decl.Alias != nil {
		if c.aliases++; c.aliases > 50 {
			c.aliases = 0
			c.failf(d.decl.Name, "`%s` is a variant of itself", d.decl.Name.Text)
		}
		a := &activation{pkg: d.pkg, file: d.file, dims: map[string]value{}, frame: c.fr, up: c.fn}
		c.within(a, &scope{names: map[string]*variable{}}, func() {
			r = c.requestOf(d.decl.Alias)
		})
		c.aliases--
	}
	c.requestDims(r, items)
	call := &callSite{at: exprAt(at), fun: &dsl.Name{Text: r.decl.decl.Name.Text}, args: args}
	params := r.decl.decl.Params
	optional := make([]*dsl.Param, len(params)) // what a variant has set need not be given again
	for i, p := range params {
		q := *p
		if r.opts[p.Name.Text] != nil && q.Default == nil {
			q.Default = &dsl.Underscore{}
		}
		optional[i] = &q
	}
	for i, s := range c.slots(r.decl.decl.Name.Text, optional, call) {
		if s != nil {
			c.literal(params[i], s)
			c.arg(s)
			r.opts[params[i].Name.Text] = s
		}
	}
	return r
}

// exprAt is n as the node of a call.
func exprAt(n dsl.Node) dsl.Expr {
	if e, ok := n.(dsl.Expr); ok {
		return e
	}
	return &dsl.Name{Span: n.Range()}
}

// requestOf evaluates the expression of a field or variant.
func (c *checker) requestOf(e dsl.Expr) *request {
	var items []*dsl.Item
	var args []argument
	f := e
	if x, ok := f.(*dsl.Call); ok {
		for _, a := range x.Args {
			n := argument{at: a, expr: a.Value}
			if a.Name != nil {
				n.name = a.Name.Text
			}
			args = append(args, n)
		}
		f = x.Fun
	}
	if x, ok := f.(*dsl.Index); ok {
		items, f = x.Items, x.X
	}
	v := c.live(c.eval(f))
	d, ok := v.(*layerDecl)
	if !ok {
		c.failf(f, "`%s` is not a layer", f)
	}
	return c.request(d, items, args, e)
}

// requestDims binds the items in brackets to the generics of r's layer.
func (c *checker) requestDims(r *request, items []*dsl.Item) {
	d := r.decl.decl
	names := make([]string, len(d.Generics))
	for i, g := range d.Generics {
		names[i] = g.Name.Text
	}
	given := map[string]bool{}
	for i, it := range items {
		var name string
		x := it.X
		switch {
		case it.Kind == dsl.ItemNamed:
			name = it.Name.Text
			if !slices.Contains(names, name) {
				c.fail(suggest(c.errorf(it, "%s has no dimension `%s`", d.Name.Text, name), name, names, "it is declared as "+d.Name.Text+generics(d.Generics)))
			}
		case it.Kind == dsl.ItemSlice:
			c.failf(it, "expected a dimension, found `%s`", it)
		case i >= len(names):
			c.fail(c.errorf(it, "%s takes %s, found %d", d.Name.Text, count(len(names), "dimension"), len(items)).
				Helpf("it is declared as %s%s", d.Name.Text, generics(d.Generics)))
		default:
			name = names[i]
			c.swapped(r, items, i, names)
		}
		if given[name] {
			c.failf(it, "the dimension `%s` is given twice", name)
		}
		given[name] = true
		r.dims[name] = c.dim(x)
	}
}

// swapped reports a plain name that is passed for one dim of the layer while
// another dim of it has that very name.
func (c *checker) swapped(r *request, items []*dsl.Item, i int, names []string) {
	n, ok := items[i].X.(*dsl.Name)
	if !ok || n.Text == names[i] {
		return
	}
	for j, other := range names {
		if other != n.Text || j == i || j >= len(items) {
			continue
		}
		if m, ok := items[j].X.(*dsl.Name); ok && items[j].Kind == dsl.ItemPlain && m.Text != n.Text {
			d := r.decl.decl
			c.fail(c.errorf(items[i], "`%s` is passed for dimension `%s` of %s%s, which has its own `%s`", n.Text, names[i], d.Name.Text, generics(d.Generics), n.Text).
				Helpf("put them in order, or say what you mean: `%s = %s`", names[i], n.Text))
		}
	}
}

// instantiate makes the layer that r asks for at its place in the model.
func (c *checker) instantiate(r *request, at dsl.Node, path string, counts []int) *instance {
	d := r.decl.decl
	r.decl.used = true
	in := &instance{
		of: r.decl, name: d.Name.Text, path: path, counts: counts, env: map[string]value{},
		funcs: map[string]*dsl.FuncDecl{}, poisoned: map[string]bool{},
	}
	if c.nested++; c.nested > 60 {
		c.nested = 0
		c.failf(at, "`%s` contains itself", d.Name.Text)
	}
	defer func() { c.nested-- }()
	self := &layer{inst: in}
	for range counts {
		self.at = append(self.at, copyOf{})
	}
	a := &activation{pkg: r.decl.pkg, file: r.decl.file, self: self, name: d.Name.Text, dims: map[string]value{}, frame: c.fr, up: c.fn}
	sc := &scope{names: map[string]*variable{}}
	set := func(n *dsl.Name, v value) {
		name := n.Text
		if _, has := in.env[name]; has {
			c.within(a, sc, func() { c.failf(n, "`%s` is declared twice", name) })
		}
		in.env[name] = v
		in.order = append(in.order, name)
	}
	for _, g := range d.Generics {
		v, ok := r.dims[g.Name.Text]
		if !ok {
			if g.Default == nil {
				c.fail(c.errorf(at, "`%s` needs its dimension `%s`", d.Name.Text, g.Name.Text).
					Helpf("it is declared as %s%s", d.Name.Text, generics(d.Generics)))
			}
			c.within(a, sc, func() { v = c.dim(g.Default).named(g.Name.Text) })
		}
		if n, isConst := v.Const(); isConst && n < 1 {
			c.failf(at, "the dimension `%s` of %s must be at least 1, but it is %d", g.Name.Text, d.Name.Text, n)
		}
		set(g.Name, v)
	}
	for _, p := range d.Params {
		var v value
		if s := r.opts[p.Name.Text]; s != nil {
			v = c.option(a, p, s)
		} else {
			c.within(a, sc, func() {
				s := &argument{at: p.Default, expr: p.Default}
				c.arg(s)
				v = c.option(a, p, s)
			})
		}
		set(p.Name, v)
	}
	if len(d.Generics) > 0 {
		text := make([]string, len(d.Generics))
		for i, g := range d.Generics {
			text[i] = in.env[g.Name.Text].(dim).poly()
		}
		in.name = r.decl.pkg.name + "." + d.Name.Text + "[" + strings.Join(text, ", ") + "]"
		a.name = in.name
	}
	c.within(a, sc, func() { c.members(in, d.Members) })
	return in
}

// option is the value of an option of a layer.
func (c *checker) option(a *activation, p *dsl.Param, s *argument) value {
	if p.Type.Name.Text == "dim" {
		d, ok := asDim(s.val)
		if !ok {
			if t, is := s.val.(tensor); is && t.soft != nil {
				if d, ok = asDim(t.soft.val); ok {
					c.pin(t.soft)
				}
			}
		}
		if !ok {
			c.fail(wanted(c, a, p, "a dimension", s))
		}
		return d
	}
	if p.Type.Name.Text == "bool" {
		if t, is := s.val.(tensor); is && t.soft != nil {
			if b, ok := t.soft.val.(boolean); ok {
				c.pin(t.soft)
				return b
			}
		}
	}
	v := c.coerce(a, p, s)
	if t, ok := v.(tensor); ok && a.self.inst.of.decl.Kind != dsl.KindOptimizer {
		d := c.errorf(s.node(), "the options of a layer must be known when the model is compiled, but this is %s", t.ctype)
		c.fail(d.Helpf("pass it as an argument of the method that needs it"))
	}
	return v
}

// members adds the members to the instance, as far as conditions let them.
func (c *checker) members(in *instance, list []dsl.Member) {
	for _, m := range list {
		if !c.try(func() { c.member(in, m) }) {
			for _, n := range declares(m) {
				in.poisoned[n] = true
			}
		}
	}
}

// declares lists the names that a member declares.
func declares(m dsl.Member) []string {
	var out []string
	switch m := m.(type) {
	case *dsl.TensorDecl:
		for _, n := range m.Names {
			out = append(out, n.Text)
		}
	case *dsl.FieldDecl:
		for _, n := range m.Names {
			out = append(out, n.Text)
		}
	case *dsl.ConstDecl:
		out = append(out, m.Name.Text)
	case *dsl.IfMember:
		for _, l := range [][]dsl.Member{m.Then, m.Else} {
			for _, x := range l {
				out = append(out, declares(x)...)
			}
		}
	case *dsl.Bad:
		out = append(out, m.Names...)
	}
	return out
}

func (c *checker) member(in *instance, m dsl.Member) {
	c.at(m)
	switch m := m.(type) {
	case *dsl.TensorDecl:
		c.tensorMember(in, m)
	case *dsl.ConstDecl:
		c.once(in, m.Name)
		v := c.constant(m)
		in.env[m.Name.Text] = v
		in.order = append(in.order, m.Name.Text)
	case *dsl.DimDecl:
		in.bounds = append(in.bounds, m.Items...)
	case *dsl.FuncDecl:
		c.once(in, m.Name)
		in.funcs[m.Name.Text] = m
		in.methods = append(in.methods, m)
	case *dsl.AssertStmt:
		c.assert(m)
	case *dsl.BlockDecl:
		in.blocks = append(in.blocks, m)
	case *dsl.FieldDecl:
		c.fieldMember(in, m)
	case *dsl.IfMember:
		if c.truth(m.Cond) {
			c.members(in, m.Then)
		} else {
			c.members(in, m.Else)
		}
	case *dsl.Bad:
		for _, n := range m.Names {
			in.poisoned[n] = true
		}
		c.failed = true
	}
}

// once checks that the instance does not have the name yet.
func (c *checker) once(in *instance, n *dsl.Name) {
	_, has := in.env[n.Text]
	if has || in.store(n.Text) != nil || in.funcs[n.Text] != nil {
		c.failf(n, "`%s` is declared twice", n.Text)
	}
}

// join adds a name to a path.
func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func (c *checker) tensorMember(in *instance, m *dsl.TensorDecl) {
	free := m.Kind == dsl.KindCache || in.of.decl.Kind == dsl.KindOptimizer
	if free { // dims of the session stay free
		for _, n := range c.fn.pkg.dimNames {
			if _, ok := in.env[n]; !ok && c.fn.dims[n] == nil {
				c.fn.dims[n] = c.sessionDim(n)
			}
		}
		if p, ok := c.packOf(in); ok {
			c.fn.dims["..."] = p
		}
		defer func() {
			c.fn.dims = map[string]value{}
		}()
	}
	t := c.typ(m.Type)
	for i, d := range t.dims {
		n, ok := d.Const()
		switch {
		case !ok && !free && !c.rigid:
			c.failf(m.Type.Dims[min(i, len(m.Type.Dims)-1)], "the shape of a %s must be known when the model is compiled, but this is %s", m.Kind, d)
		case ok && n < 1:
			c.failf(m.Type.Dims[min(i, len(m.Type.Dims)-1)], "an axis must have length 1 at least, but this is %s", d)
		}
	}
	if m.Kind == dsl.KindParam && t.elem != ir.F32 {
		c.fail(c.errorf(m.Type, "a param must be f32, found %s", t.elem).Helpf("declare it as `state`"))
	}
	init := constantInit(0)
	if m.Init != nil {
		init = c.initOf(m, t)
	}
	for _, n := range m.Names {
		c.once(in, n)
		if isCapital(n.Text) {
			c.failf(n, "the name of a %s starts with a small letter", m.Kind)
		}
		s := &storage{
			kind: m.Kind, path: join(in.path, n.Text), typ: t, counts: in.counts, init: init.Init,
			doc: m.Doc, decl: m, at: n, file: c.fn.file,
		}
		in.stores = append(in.stores, s)
		in.parts = append(in.parts, part{store: s})
	}
}

// packOf is what `...` means in the states of an optimizer: the shape of the
// parameter that it trains.
func (c *checker) packOf(in *instance) (pack, bool) {
	if in.of.decl.Kind != dsl.KindOptimizer {
		return nil, false
	}
	if c.optimises != nil {
		return c.optimises, true
	}
	return pack{symbol("…")}, true
}

// initOf evaluates the initial value of a tensor.
func (c *checker) initOf(m *dsl.TensorDecl, t ctype) initial {
	v := c.live(c.eval(m.Init))
	switch x := v.(type) {
	case initial:
		return x
	case boolean:
		if t.elem == ir.Bool && x {
			return constantInit(1)
		}
		return constantInit(0)
	}
	if x, ok := v.(tensor); ok && x.soft != nil { // an option, which is then compiled in
		if n, ok := asNum(x.soft.val); ok {
			c.pin(x.soft)
			return constantInit(n.f)
		}
	}
	if n, ok := asNum(v); ok {
		return constantInit(n.f)
	}
	c.fail(c.errorf(m.Init, "a %s starts from a constant or an initial value like normal(0.02), found %s", m.Kind, v.show()))
	return initial{}
}

// constantInit starts every element as x.
func constantInit(x float64) initial {
	return initial{loop.Init{Kind: "const", Args: []float64{x}}}
}

func (c *checker) fieldMember(in *instance, m *dsl.FieldDecl) {
	var n int
	var length dim
	if m.Count != nil {
		length = c.dim(m.Count)
		var ok bool
		if n, ok = length.Const(); !ok {
			c.failf(m.Count, "the number of layers must be known when the model is compiled, but this is %s", length)
		}
		if n < 0 {
			c.failf(m.Count, "there cannot be %d layers", n)
		}
	}
	for _, name := range m.Names {
		c.once(in, name)
		path, counts := join(in.path, name.Text), in.counts
		if m.Count != nil {
			path += fmt.Sprintf(".{%d}", len(counts))
			counts = append(slices.Clone(counts), n)
		}
		var sub *instance
		c.in(m.Layer, c.text(m.Layer), "declared", func() {
			r := c.requestOf(m.Layer)
			if r.decl.decl.Kind == dsl.KindOptimizer {
				c.failf(m.Layer, "`%s` is an optimizer, not a layer", r.decl.decl.Name.Text)
			}
			sub = c.instantiate(r, m.Layer, path, counts)
			sub.layer, sub.file, sub.up = m.Layer, c.fn.file, in
		})
		in.parts = append(in.parts, part{field: sub})
		var v value = &layer{inst: sub}
		if m.Count != nil {
			v = &stack{inst: sub, count: length, name: name.Text}
		}
		in.env[name.Text] = v
		in.order = append(in.order, name.Text)
	}
}

// globalConst evaluates a const of a package.
func (c *checker) globalConst(p *pkg, g *globalConst) value {
	if g.val != nil {
		return g.val
	}
	if g.busy {
		c.failf(g.decl.Name, "the const `%s` is defined by itself", g.decl.Name.Text)
	}
	g.busy = true
	a := &activation{pkg: p, file: g.file, name: g.decl.Name.Text, dims: map[string]value{}, frame: c.fr, up: c.fn}
	var v value = poison{}
	c.try(func() {
		c.within(a, &scope{names: map[string]*variable{}}, func() { v = c.constant(g.decl) })
	})
	g.busy, g.val = false, v
	return c.live(v)
}
