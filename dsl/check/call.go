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
	return []dim{c.size(it.X)}
}

// currentPack is what `...` stands for.
func (c *checker) currentPack(at dsl.Node) pack {
	p, ok := c.fn.dims["..."].(pack)
	if !ok {
		c.failf(at, "`...` stands for nothing here")
	}
	return p
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
