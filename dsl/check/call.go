package check

import (
	"fmt"
	"strings"

	"github.com/lmc-lang/lmc/dsl"
)

// A builtin is an operation of the language. Run checks one application of it
// and makes its value; c.fr.g has the position of the call.
type builtin struct {
	name string
	doc  string // starts with the name
	run  func(c *checker, call *callSite) value
}

// A callSite is one call: fun[items](args), or x |> fun[items](args), where x
// is the first argument.
type callSite struct {
	at    dsl.Expr    // all of it, for messages
	fun   dsl.Expr    // the callee as it is written, without brackets
	items []*dsl.Item // in the brackets; nil without
	args  []argument
}

// An argument is an expression, or a value that the compiler supplies.
type argument struct {
	name string   // of `name = x`; empty for positional ones
	at   dsl.Node // all of it, with the name
	expr dsl.Expr // nil if val is set from the start
	val  value
}

// node is where the value of the argument stands.
func (a *argument) node() dsl.Node {
	if a.expr != nil {
		return a.expr
	}
	return a.at
}

// arg evaluates an argument, once.
func (c *checker) arg(a *argument) value {
	if a.val == nil {
		a.val = c.eval(a.expr)
	}
	return a.val
}

// apply evaluates fun(args), with first, if not nil, piped in front of args.
func (c *checker) apply(fun dsl.Expr, args []*dsl.Arg, at, first dsl.Expr) value {
	call := &callSite{at: at, fun: fun}
	if first != nil {
		call.args = append(call.args, argument{at: first, expr: first})
	}
	for _, a := range args {
		n := argument{at: a, expr: a.Value}
		if a.Name != nil {
			n.name = a.Name.Text
		}
		call.args = append(call.args, n)
	}
	f := c.eval(fun)
	if s, ok := f.(spec); ok {
		f, call.items, call.fun = s.of, s.items, s.at.X
	}
	return c.invoke(f, call)
}

// invoke calls f.
func (c *checker) invoke(f value, call *callSite) value {
	switch f := f.(type) {
	case *builtin:
		c.at(call.at)
		return f.run(c, call)
	case elemType:
		c.at(call.at)
		return c.convert(f.elem, call)
	case *function:
		return c.callFunc(f, call)
	case *layer:
		m, _ := f.member(c, "forward")
		if fn, ok := m.(*function); ok {
			return c.callFunc(fn, call)
		}
		c.failf(call.fun, "%s has no method forward", f.inst.name)
	case *layerDecl:
		c.fail(c.errorf(call.at, "the %s `%s` must be declared as a field before it is used", f.decl.Kind, f.decl.Name.Text).
			Helpf("write `name %s` in the layer, then call `name(x)`", call.fun))
	case *stack:
		c.fail(c.errorf(call.at, "`%s` is %s layers, not one", call.fun, f.count).
			Helpf("apply them in turn: `for _, f := range %s { x = f(x) }`", call.fun))
	}
	c.failf(call.fun, "%s cannot be called", f.show())
	return nil
}

// slots assigns arguments to parameters by place or name; nil where the
// default is to be taken. what is called so in messages.
func (c *checker) slots(what string, params []*dsl.Param, call *callSite) []*argument {
	out := make([]*argument, len(params))
	names := make([]string, len(params))
	for i, p := range params {
		names[i] = p.Name.Text
	}
	pos := 0
	for i := range call.args {
		a := &call.args[i]
		at := pos
		if a.name == "" {
			pos++
			if at >= len(params) {
				d := c.errorf(a.at, "%s takes %s, found %d", what, count(len(params), "argument"), positional(call.args))
				if len(names) > 0 {
					d.Helpf("it has %s", strings.Join(names, ", "))
				}
				c.fail(d)
			}
		} else {
			for at = 0; at < len(params) && names[at] != a.name; at++ {
			}
			if at == len(params) {
				help := "it has " + strings.Join(names, ", ")
				if len(names) == 0 {
					help = "it has none"
				}
				c.fail(suggest(c.errorf(a.at, "%s has no parameter `%s`", what, a.name), a.name, names, help))
			}
		}
		if out[at] != nil {
			c.failf(a.at, "`%s` is given twice", names[at])
		}
		out[at] = a
	}
	for i, p := range params {
		if out[i] == nil && p.Default == nil {
			c.fail(c.errorf(call.at, "%s needs its argument `%s`", what, p.Name.Text).
				Helpf("it is declared as `%s %s`", p.Name.Text, p.Type))
		}
	}
	return out
}

func positional(args []argument) int {
	n := 0
	for _, a := range args {
		if a.name == "" {
			n++
		}
	}
	return n
}

// count is "1 argument", "2 arguments".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// maxCalls is how many calls an entry may make; all of them are written out.
const maxCalls = 100_000

// callFunc runs f with the arguments of call and returns its result.
func (c *checker) callFunc(f *function, call *callSite) value {
	a := &activation{
		pkg: f.pkg, file: f.file, self: f.self, decl: f.decl, name: f.title(),
		dims: map[string]value{}, frame: c.fr, up: c.fn,
	}
	depth := 0
	for up := c.fn; up != nil; up = up.up {
		if up.decl == f.decl && up.decl != nil && sameInstance(up.self, f.self) {
			c.fail(c.errorf(call.at, "`%s` calls itself", f.decl.Name.Text).Helpf("recursion is not possible; repeat with `for`"))
		}
		if depth++; depth > 100 {
			c.failf(call.at, "calls are nested too deeply here")
		}
	}
	if c.entry.calls++; c.entry.calls > maxCalls {
		c.failf(call.at, "`%s` makes more than %d calls when they are written out", c.entry.name, maxCalls)
	}
	slots := c.slots(a.name, f.decl.Params, call)
	for i, s := range slots {
		if s != nil {
			c.literal(f.decl.Params[i], s)
			c.arg(s)
		}
	}
	c.brackets(a, f.decl.Generics, call)
	sc := &scope{names: map[string]*variable{}}
	c.match(a, sc, f.decl.Params, slots, call)
	c.obligations(a, call)

	var out value
	c.in(call.at, a.name, "called", func() {
		c.within(a, sc, func() { out = c.body(f.decl) })
	})
	c.at(call.at)
	return out
}

// obligations checks the bounds of the dims that the call has bound, as in
// `dim S >= T`.
func (c *checker) obligations(a *activation, call *callSite) {
	for _, n := range a.pkg.dimNames {
		it := a.pkg.dims[n].item
		x, ok := a.dims[n].(dim)
		if !ok || it.Rel == "" {
			continue
		}
		var bound dim
		if !c.quietly(func() { c.within(a, nil, func() { bound = c.dim(it.Bound) }) }) {
			continue // it has a dim that this call does not know
		}
		p := x.Sub(bound.Dim)
		if it.Rel == "<=" {
			p = p.Neg()
		}
		c.need(call.at, p, bound, fmt.Sprintf("%s needs %s, but here `%s` is %s and `%s` is %s", a.name, n+" "+it.Rel+" "+it.Bound.String(), n, x, it.Bound, bound))
	}
}

func sameInstance(a, b *layer) bool { return a == b || a != nil && b != nil && a.inst == b.inst }

// title is f in messages.
func (f *function) title() string {
	switch {
	case f.self == nil || f.self.inst.of.decl.Kind == dsl.KindModel:
		return f.decl.Name.Text
	case f.decl.Name.Text == "forward":
		return f.self.inst.name
	}
	return f.self.inst.name + "." + f.decl.Name.Text
}

// within runs f with the names of a and sc in scope.
func (c *checker) within(a *activation, sc *scope, f func()) {
	fn, old, layerPath := c.fn, c.sc, c.fr.g.Scope
	c.fn, c.sc = a, sc
	if a.self != nil && a.self.inst.path != "" {
		c.fr.g.Scope = plainPath(a.self.inst.path)
	}
	f()
	c.fn, c.sc, c.fr.g.Scope = fn, old, layerPath
}

// plainPath is a path without the places of copies: blocks.attn.
func plainPath(p string) string {
	var out []string
	for _, w := range strings.Split(p, ".") {
		if !strings.HasPrefix(w, "{") {
			out = append(out, w)
		}
	}
	return strings.Join(out, ".")
}

// brackets binds the dims in the brackets of a call to the generics of a func.
func (c *checker) brackets(a *activation, gs []*dsl.Generic, call *callSite) {
	items := call.items
	for i, g := range gs {
		if g.IsPack() {
			var p pack
			for ; len(items) > len(gs)-1-i; items = items[1:] {
				p = append(p, c.dimItem(items[0])...)
			}
			a.dims["..."] = p
			continue
		}
		if len(items) == 0 {
			if g.Default != nil {
				c.within(a, nil, func() { a.dims[g.Name.Text] = c.dim(g.Default) })
			}
			continue // bound by the arguments
		}
		ds := c.dimItem(items[0])
		if len(ds) != 1 {
			c.failf(items[0], "expected one dimension here")
		}
		a.dims[g.Name.Text] = ds[0]
		items = items[1:]
	}
	if len(items) > 0 {
		c.failf(items[0], "%s takes %s in brackets, found %d", a.name, count(len(gs), "dimension"), len(call.items))
	}
}

// shapeItems evaluates the dims in brackets; `...` is the present pack.
func (c *checker) shapeItems(items []*dsl.Item) []dim {
	var out []dim
	for _, it := range items {
		out = append(out, c.dimItem(it)...)
	}
	return out
}

func (c *checker) dimItem(it *dsl.Item) []dim {
	if it.Kind != dsl.ItemPlain {
		c.failf(it, "expected a dimension, found `%s`", it)
	}
	if e, ok := it.X.(*dsl.Ellipsis); ok {
		return c.currentPack(e)
	}
	return []dim{c.dim(it.X)}
}

// currentPack is what `...` stands for.
func (c *checker) currentPack(at dsl.Node) pack {
	p, ok := c.fn.dims["..."].(pack)
	if !ok {
		c.failf(at, "`...` stands for nothing here")
	}
	return p
}

// match checks the arguments against the declared types, binds the dims that
// the types declare, and puts the parameters into sc.
func (c *checker) match(a *activation, sc *scope, params []*dsl.Param, slots []*argument, call *callSite) {
	vals := make([]value, len(params))
	for i, p := range params { // dim arguments bind first
		if slots[i] != nil && p.Type.Name.Text == "dim" {
			d, ok := asDim(slots[i].val)
			if !ok {
				c.fail(wanted(c, a, p, "a dimension", slots[i]))
			}
			a.dims[p.Name.Text] = d
			vals[i] = d
		}
	}
	for i, p := range params {
		if slots[i] == nil || vals[i] != nil {
			continue
		}
		vals[i] = c.coerce(a, p, slots[i])
		if t, ok := vals[i].(tensor); ok {
			c.bindDims(a, p, t, slots[i])
		} else if p.Type.Dims != nil {
			c.bindDims(a, p, tensor{}, slots[i])
		}
	}
	for i, p := range params {
		t, ok := vals[i].(tensor)
		if !ok || slots[i] == nil {
			continue
		}
		c.compareDims(a, p, &t, slots[i], call)
		vals[i] = t
	}
	for i, p := range params {
		if slots[i] == nil {
			c.within(a, sc, func() { vals[i] = c.defaultOf(a, p) })
		}
		if p.Type.Name.Text == "dim" {
			continue // in a.dims
		}
		val := vals[i]
		if t, ok := val.(tensor); ok {
			val = c.fr.here(t)
		}
		v := &variable{name: p.Name.Text, file: a.file, home: c.fr, val: val, used: true}
		sc.names[v.name] = v
		sc.order = append(sc.order, v)
	}
}

// defaultOf is the default of a parameter, in the scope of the func.
func (c *checker) defaultOf(a *activation, p *dsl.Param) value {
	s := &argument{at: p.Default, expr: p.Default}
	c.arg(s)
	if p.Type.Name.Text == "dim" {
		d, ok := asDim(s.val)
		if !ok {
			c.fail(wanted(c, a, p, "a dimension", s))
		}
		a.dims[p.Name.Text] = d
		return d
	}
	return c.coerce(a, p, s)
}

// wanted is the message about an argument of the wrong type.
func wanted(c *checker, a *activation, p *dsl.Param, want string, s *argument) *dsl.Diagnostic {
	d := c.errorf(s.node(), "%s wants `%s` to be %s", a.name, p.Name.Text, want)
	d.Label = "this is " + s.val.show()
	return d
}

// coerce gives the value of an argument the kind that its parameter has:
// numbers get its element type. Shapes are compared later.
func (c *checker) coerce(a *activation, p *dsl.Param, s *argument) value {
	switch p.Type.Name.Text {
	case "func":
		switch s.val.(type) {
		case *function, *builtin, *layer:
			return s.val
		}
		c.fail(wanted(c, a, p, "a func", s))
	case "layer":
		if _, ok := s.val.(*layerDecl); ok {
			return s.val
		}
		c.fail(wanted(c, a, p, "a layer", s))
	case "init":
		if v, ok := s.val.(initial); ok {
			return v
		}
		if n, ok := asNum(s.val); ok {
			return constantInit(n.f)
		}
		c.fail(wanted(c, a, p, "an initial value", s))
	}
	var e elemType
	c.within(a, c.sc, func() { e = c.elem(p.Type) })
	v := c.toElem(s.val, e.elem)
	if v == nil {
		d := wanted(c, a, p, c.partial(a, p.Type), s)
		if t, ok := s.val.(tensor); ok && t.elem != e.elem && s.expr != nil {
			d.Helpf("convert: `%s(%s)`", e.elem, s.expr)
		}
		c.fail(d)
	}
	if _, isTensor := v.(tensor); !isTensor && p.Type.Dims != nil {
		t, _ := c.fr.materialise(v)
		t.untyped, t.elem = false, e.elem
		if n, ok := asNum(v); ok {
			t.v = c.fr.g.Constant(e.elem, n.f)
			t.aff = nil
		}
		return t
	}
	return v
}

// free tells whether e is a dim that the types of a declare and nothing has bound yet.
func (c *checker) free(a *activation, e dsl.Expr) (name string, ok bool) {
	n, isName := e.(*dsl.Name)
	if !isName {
		return "", false
	}
	if _, bound := a.dims[n.Text]; bound {
		return "", false
	}
	if a.decl != nil {
		for _, g := range a.decl.Generics {
			if g.Name.Text == n.Text {
				return n.Text, true
			}
		}
	}
	if a.self != nil {
		if _, has := a.self.inst.env[n.Text]; has {
			return "", false
		}
		for _, b := range a.self.inst.bounds {
			if b.Name.Text == n.Text {
				return n.Text, true
			}
		}
	}
	return n.Text, a.pkg.dims[n.Text] != nil
}

// axes pairs the items of a declared shape with the axes of an actual one:
// axis i of the declaration starts at from[i], and the pack is width long. ok
// is false if the ranks differ.
func axes(declared []dsl.Expr, rank int) (from []int, width int, ok bool) {
	at := -1
	for i, e := range declared {
		if _, is := e.(*dsl.Ellipsis); is {
			at = i
		}
	}
	if at >= 0 {
		width = rank - (len(declared) - 1)
	}
	if width < 0 || at < 0 && len(declared) != rank {
		return nil, 0, false
	}
	k := 0
	for i := range declared {
		from = append(from, k)
		if i == at {
			k += width
		} else {
			k++
		}
	}
	return from, width, true
}

// bindDims binds the free dims and the pack of a parameter's type.
func (c *checker) bindDims(a *activation, p *dsl.Param, t tensor, s *argument) {
	from, width, ok := axes(p.Type.Dims, len(t.dims))
	if !ok {
		c.fail(wanted(c, a, p, c.partial(a, p.Type), s).
			Helpf("it has %s where %s wanted", count(len(t.dims), "axis"), areWanted(len(p.Type.Dims), p.Type.Dims)))
	}
	for i, e := range p.Type.Dims {
		if _, is := e.(*dsl.Ellipsis); is {
			if _, bound := a.dims["..."]; !bound {
				a.dims["..."] = pack(append([]dim{}, t.dims[from[i]:from[i]+width]...))
			}
		} else if name, is := c.free(a, e); is {
			a.dims[name] = t.dims[from[i]]
		}
	}
}

func areWanted(n int, dims []dsl.Expr) string {
	for _, e := range dims {
		if _, is := e.(*dsl.Ellipsis); is {
			return fmt.Sprintf("at least %d are", n-1)
		}
	}
	if n == 1 {
		return "1 is"
	}
	return fmt.Sprintf("%d are", n)
}

// compareDims compares the shape of an argument with its declared type, and
// gives it the declared dims.
func (c *checker) compareDims(a *activation, p *dsl.Param, t *tensor, s *argument, call *callSite) {
	from, width, _ := axes(p.Type.Dims, len(t.dims))
	dims := append([]dim{}, t.dims...)
	for i, e := range p.Type.Dims {
		if _, is := e.(*dsl.Ellipsis); is {
			q, _ := a.dims["..."].(pack)
			if here := t.dims[from[i] : from[i]+width]; !sameDims(q, here) {
				c.failf(s.node(), "%s: `...` in %s is [%s] for one argument and [%s] for `%s`", a.name, p.Type, dimList(q), dimList(here), p.Name.Text)
			}
			continue
		}
		var want dim
		c.in(call.at, a.name, "called", func() { c.within(a, nil, func() { want = c.dim(e) }) })
		if !want.Eq(t.dims[from[i]].Dim) {
			c.fail(wanted(c, a, p, c.partial(a, p.Type), s).
				Helpf("axis %d must be %s, but it is %s", from[i], want, t.dims[from[i]]))
		}
		if want.text != "" {
			dims[from[i]] = want
		}
	}
	t.dims = dims
}

// partial prints a declared type with the dims that are known so far.
func (c *checker) partial(a *activation, t *dsl.Type) string {
	if t.Dims == nil {
		return t.Name.Text
	}
	out := make([]string, len(t.Dims))
	for i, e := range t.Dims {
		out[i] = e.String()
		if _, is := e.(*dsl.Ellipsis); is {
			continue
		}
		if _, is := c.free(a, e); is {
			continue
		}
		c.quietly(func() { c.within(a, nil, func() { out[i] = c.dim(e).String() }) })
	}
	return t.Name.Text + "[" + strings.Join(out, ", ") + "]"
}

// quietly is try without messages.
func (c *checker) quietly(f func()) bool {
	failed, errors := c.failed, c.errors
	c.quiet++
	ok := c.try(f)
	c.quiet--
	c.failed, c.errors = failed, errors
	return ok
}
