package check

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// An entry is a function of the module while it is being written: the frame of
// its values, its parameters, and what its callers have to see to.
type entry struct {
	name      string
	top       *activation // of the method itself
	frame     *frame
	open      bool // asserts of the method are facts
	optimizer bool // state may be assigned
	step      *tensor

	low    map[string]loop.Dim // lower bounds of dims other than 1
	zero   map[string]bool     // dims that may be 0
	ranges map[string]loop.Dim // of counters and indices
	loops  int                 // counters made
	calls  int                 // funcs called
	draws  map[string]int      // random draws by the path of their place

	args   []loop.Param
	params []*ir.Value // of args
	needs  []loop.Need
	inside []loop.InRange
	stores map[*storage]*variable
	tables map[string]*variable
	key    *variable
	lazy   []lazyParam
}

// A lazyParam is a parameter that the entry has only if something reads it.
type lazyParam struct {
	v    *ir.Value
	bind ir.Binding
}

// root is the variable of all copies of s.
func (e *entry) root(s *storage) *variable {
	if v := e.stores[s]; v != nil {
		return v
	}
	t := s.whole()
	v := &variable{name: s.path, home: e.frame, used: true, store: s, lazy: &t}
	kind := ir.WeightKind
	if s.kind == dsl.KindCache {
		kind = ir.CacheKind
	}
	v.load = func() { v.val = e.param(t, ir.Binding{Kind: kind, Index: s.index, Name: s.path}) }
	e.stores[s] = v
	return v
}

// param adds a parameter.
func (e *entry) param(t ctype, b ir.Binding) tensor {
	v := e.frame.g.Param(b.Name, t.ir())
	e.lazy = append(e.lazy, lazyParam{v, b})
	return tensor{ctype: t, v: v, fr: e.frame}
}

// A table is a constant tensor that the package carries.
type table struct {
	name  string
	elem  ir.Elem
	shape []int
	data  []float64
	dims  []dim
	index int // in the API's tables, set when first used
}

func (t *table) show() string { return "the table " + t.name }

// table returns the tensor of a table in the present entry.
func (e *entry) table(c *checker, t *table) tensor {
	t = c.share(t)
	key := fmt.Sprint(t.index)
	v := e.tables[key]
	if v == nil {
		typ := ctype{elem: t.elem, dims: t.dims}
		if typ.dims == nil {
			for _, n := range t.shape {
				typ.dims = append(typ.dims, number(n))
			}
		}
		v = &variable{name: t.name, home: e.frame, used: true, lazy: &typ}
		v.load = func() { v.val = e.param(typ, ir.Binding{Kind: ir.TableKind, Index: t.index, Name: t.name}) }
		e.tables[key] = v
	}
	return c.fr.read(v).(tensor)
}

// share gives equal tables of the module one place.
func (c *checker) share(t *table) *table {
	for _, o := range c.out.tables {
		if o == t || o.name == t.name && o.elem == t.elem && slices.Equal(o.shape, t.shape) && slices.Equal(o.data, t.data) {
			return o
		}
	}
	t.index = len(c.out.tables)
	c.out.tables = append(c.out.tables, t)
	return t
}

// draw makes a random tensor with op (ops.Uniform or ops.Normal).
func (c *checker) draw(op *ir.Op, dims []dim) tensor {
	e := c.entry
	if e.key == nil {
		t := ctype{ir.I32, []dim{number(3)}}
		v := &variable{name: "key", home: e.frame, used: true, lazy: &t}
		v.load = func() { v.val = e.param(t, ir.Binding{Kind: ir.KeyKind, Name: "key"}) }
		e.key = v
	}
	key := c.fr.use(c.fr.read(e.key).(tensor))
	var salt []*ir.Value
	for f := c.fr; f != nil; f = f.up {
		if f.counter != nil {
			salt = append(salt, c.fr.use(f.count()))
		}
	}
	path := c.fr.g.Scope
	n := e.draws[path]
	e.draws[path]++
	h := fnv.New64a()
	fmt.Fprintf(h, "%s#%d", path, n)
	return tensor{ctype: ctype{ir.F32, dims}, v: c.fr.g.Random(op, key, h.Sum64(), salt, shapeOf(dims)...), fr: c.fr}
}

// need adds the condition p >= 0 for callers.
func (e *entry) need(p loop.Dim, text string) {
	for _, n := range e.needs {
		if n.Text == text {
			return
		}
	}
	e.needs = append(e.needs, loop.Need{Expr: p, Text: text})
}

// inRange says that the elements of argument arg must lie in [0, n).
func (e *entry) inRange(arg int, n loop.Dim) {
	for _, r := range e.inside {
		if r.Arg == arg && r.N.Eq(n) {
			return
		}
	}
	e.inside = append(e.inside, loop.InRange{Arg: arg, N: n})
}

// A compiled is a finished entry: its function and its public signature.
type compiled struct {
	fn  *ir.Entry
	api *loop.Entry
}

// A finish may replace the results of an entry before it is closed.
type finish func(c *checker, results []tensor) []tensor

// begin makes the frame of a new entry called name.
func (c *checker) begin(name string) {
	c.fr = newFrame(nil, name)
	c.entry = &entry{
		name: name, frame: c.fr, low: map[string]loop.Dim{}, zero: map[string]bool{}, ranges: map[string]loop.Dim{},
		draws: map[string]int{}, stores: map[*storage]*variable{}, tables: map[string]*variable{},
	}
	c.facts, c.trace, c.sc, c.fn = nil, nil, nil, nil
}

// compile writes the method d of the model (or a free func, without one) as a
// function of the module. It returns nil after an error.
func (c *checker) compile(f *function, then finish) *compiled {
	errs := c.errors
	c.begin(f.decl.Name.Text)
	a := &activation{pkg: f.pkg, file: f.file, self: f.self, decl: f.decl, name: f.title(), dims: map[string]value{}, frame: c.fr}
	c.entry.top = a
	c.fn, c.sc = a, &scope{names: map[string]*variable{}}
	var results []tensor
	c.try(func() {
		c.rigidDims(a)
		c.entryArgs(a)
		c.entry.open = true
		results = c.results(a, c.body(f.decl))
	})
	if c.errors > errs {
		return nil
	}
	if then != nil && !c.try(func() { results = then(c, results) }) {
		return nil
	}
	out := c.close(a, results)
	if c.errors > errs {
		return nil
	}
	return out
}

// rigidDims makes the dims that the types of a may mention symbols, and
// collects what is known about them.
func (c *checker) rigidDims(a *activation) {
	item := func(it *dsl.DimItem) {
		if it.Rel == "" {
			return
		}
		d := c.dim(it.Bound)
		x, ok := a.dims[it.Name.Text].(dim)
		if !ok {
			return
		}
		p := d.Sub(x.Dim)
		if it.Rel == ">=" {
			p = p.Neg()
		}
		if n, ok := p.Const(); ok && n < 0 { // from a false fact anything would follow
			c.failf(it, "-dim %s breaks the bound %s %s %s", x, it.Name.Text, it.Rel, d)
		}
		if it.Rel == ">=" {
			if d.Is(0) {
				c.entry.zero[it.Name.Text] = true
			}
			c.entry.low[it.Name.Text] = d.Dim
			return
		}
		c.facts = append(c.facts, fact{p})
	}
	for _, n := range a.pkg.dimNames {
		if a.self != nil {
			if _, ok := a.self.inst.env[n]; ok {
				continue
			}
		}
		a.dims[n] = c.sessionDim(n)
	}
	for _, g := range a.decl.Generics {
		if g.IsPack() {
			a.dims["..."] = pack{symbol("…")}
		} else {
			a.dims[g.Name.Text] = symbol(g.Name.Text)
		}
	}
	for _, p := range a.decl.Params {
		if p.Type.Name.Text == "dim" {
			a.dims[p.Name.Text] = symbol(p.Name.Text)
			c.entry.zero[p.Name.Text] = true
			c.entry.low[p.Name.Text] = loop.N(0)
		}
	}
	if a.self != nil {
		for _, it := range a.self.inst.bounds {
			if _, ok := a.dims[it.Name.Text]; !ok {
				a.dims[it.Name.Text] = c.sessionDim(it.Name.Text)
			}
		}
	}
	if c.usesPack(a.decl) {
		if _, ok := a.dims["..."]; !ok {
			a.dims["..."] = pack{symbol("…")}
		}
	}
	for _, n := range a.pkg.dimNames {
		d := a.pkg.dims[n]
		if d.item.Rel != "" && a.dims[n] != nil {
			item(d.item)
		}
	}
	if a.self != nil {
		for _, it := range a.self.inst.bounds {
			item(it)
		}
	}
	for _, o := range c.opt.Dims {
		if x, ok := a.dims[o.Name].(dim); ok && o.Rel == "<=" {
			c.facts = append(c.facts, fact{loop.N(o.N).Sub(x.Dim)})
		}
	}
}

// usesPack tells whether a parameter of d has `...` in its type.
func (c *checker) usesPack(d *dsl.FuncDecl) bool {
	for _, p := range d.Params {
		for _, e := range p.Type.Dims {
			if _, ok := e.(*dsl.Ellipsis); ok {
				return true
			}
		}
	}
	return false
}

// sessionDim is the dim called name: a symbol, unless -dim has fixed it.
func (c *checker) sessionDim(name string) dim {
	for _, o := range c.opt.Dims {
		if o.Name == name && o.Rel == "=" {
			return number(o.N).named(name)
		}
	}
	return symbol(name)
}

// entryArgs makes the parameters of the entry.
func (c *checker) entryArgs(a *activation) {
	e := c.entry
	for i, p := range a.decl.Params {
		arg := loop.Param{Name: p.Name.Text}
		switch p.Type.Name.Text {
		case "dim":
			arg.IsDim, arg.Elem = true, ir.I32
			e.args = append(e.args, arg)
			e.params = append(e.params, nil)
			continue
		case "func", "layer", "init":
			c.failf(p.Type, "`%s` cannot get a %s as an argument: it becomes a method in Go", a.name, p.Type.Name.Text)
		}
		t := c.typ(p.Type)
		arg.Elem, arg.Shape = t.elem, t.shape()
		if p.Default != nil {
			s := &argument{at: p.Default, expr: p.Default}
			c.arg(s)
			n, ok := asNum(c.coerce(a, p, s))
			if !ok || len(t.dims) > 0 {
				c.failf(p.Default, "the default of an argument of `%s` must be a number", a.name)
			}
			arg.Default = &n.f
		}
		c.at(p)
		x := e.frame.g.Param(p.Name.Text, t.ir())
		e.args = append(e.args, arg)
		e.params = append(e.params, x)
		val := tensor{ctype: t, v: x, fr: c.fr, arg: i + 1}
		v := &variable{name: p.Name.Text, file: a.file, home: c.fr, val: val, used: true}
		c.sc.names[v.name] = v
		c.sc.order = append(c.sc.order, v)
	}
}

// results turns what the method returned into tensors.
func (c *checker) results(a *activation, v value) []tensor {
	vals, ok := v.(tuple)
	if !ok {
		vals = tuple{v}
	}
	var out []tensor
	for i, v := range vals {
		switch v.(type) {
		case nothing, poison:
			continue
		}
		var want elemType
		p := a.decl.Results[i]
		want = c.elem(p.Type)
		out = append(out, c.fr.here(c.asTensor(p.Type, v, want.elem)))
	}
	return out
}

// close finishes the entry: it orders the parameters, adds what was written to
// states and caches to the results, and describes both.
func (c *checker) close(a *activation, results []tensor) *compiled {
	e, f := c.entry, c.fr
	out := &compiled{
		fn:  &ir.Entry{},
		api: &loop.Entry{Name: a.decl.Name.Text, Doc: a.decl.Doc, Args: e.args},
	}
	for i, r := range results {
		f.g.F.Results = append(f.g.F.Results, r.v)
		p := loop.Param{Elem: r.elem, Shape: r.shape()}
		if i < len(a.decl.Results) && a.decl.Results[i].Name != nil {
			p.Name = a.decl.Results[i].Name.Text
		}
		out.api.Results = append(out.api.Results, p)
		out.fn.Out = append(out.fn.Out, ir.Binding{Kind: ir.ResultKind, Index: i, Name: p.Name})
	}
	for _, s := range c.out.stores {
		v := e.stores[s]
		if v == nil || v.val == nil {
			continue
		}
		t, ok := v.val.(tensor)
		if !ok || t.v.Op == ir.Param {
			continue
		}
		kind := ir.WeightKind
		if s.kind == dsl.KindCache {
			kind = ir.CacheKind
		}
		f.g.F.Results = append(f.g.F.Results, f.use(t))
		out.fn.Out = append(out.fn.Out, ir.Binding{Kind: kind, Index: s.index, Name: s.path})
	}
	live := liveIn(f.g.F)
	var params []*ir.Value
	for i, x := range e.params {
		if x != nil {
			params = append(params, x)
			out.fn.In = append(out.fn.In, ir.Binding{Kind: ir.ArgKind, Index: i, Name: e.args[i].Name})
		}
	}
	var lazy []lazyParam
	for _, p := range e.lazy {
		if live[p.v.ID] {
			lazy = append(lazy, p)
		}
	}
	slices.SortStableFunc(lazy, func(p, q lazyParam) int {
		if p.bind.Kind != q.bind.Kind {
			return int(lazyOrder[p.bind.Kind]) - int(lazyOrder[q.bind.Kind])
		}
		return p.bind.Index - q.bind.Index
	})
	for _, p := range lazy {
		params = append(params, p.v)
		out.fn.In = append(out.fn.In, p.bind)
		out.api.Random = out.api.Random || p.bind.Kind == ir.KeyKind
		out.api.Caches = out.api.Caches || p.bind.Kind == ir.CacheKind
	}
	for _, b := range out.fn.Out {
		out.api.Caches = out.api.Caches || b.Kind == ir.CacheKind
	}
	f.close(params)
	f.g.F.Doc = a.decl.Doc
	out.fn.Func = f.g.F
	if f.g.Err != nil && c.errors == 0 {
		panic(fmt.Sprintf("bug in check: %s: %v", a.name, f.g.Err))
	}
	if !c.rigid {
		c.signature(a, out)
	}
	return out
}

var lazyOrder = map[ir.Kind]int{ir.KeyKind: 0, ir.WeightKind: 1, ir.CacheKind: 2, ir.TableKind: 3}

// exported tells whether a func of a model becomes a method in Go.
func exported(name string) bool { return isCapital(name) && !strings.HasPrefix(name, "_") }
