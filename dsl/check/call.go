package check

import (
	"fmt"
	"strings"

	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/ir"
)

// A builtin is an operation of the language. Check checks one application of
// it and makes its value.
type builtin struct {
	name string
	doc  string
	run  func(c *checker, call *callSite) value
}

// A callSite is one call: fun[items](args), or x |> fun[items](args), where x
// is the first argument.
type callSite struct {
	at    dsl.Expr    // all of it, for messages; a pipe for piped calls
	fun   dsl.Expr    // the callee as it is written, without brackets
	items []*dsl.Item // in the brackets; nil without
	args  []argument
}

// An argument is an expression, or a value that the compiler supplies.
type argument struct {
	name string // of `name = x`; empty for positional ones
	at   dsl.Node
	expr dsl.Expr // nil if val is set
	val  value
}

// value evaluates the argument, once.
func (c *checker) arg(a *argument) value {
	if a.val == nil {
		a.val = c.eval(a.expr)
	}
	return a.val
}

// name is the callee in messages.
func (call *callSite) name() string { return call.fun.String() }

// call evaluates a call; first, if not nil, is piped into it.
func (c *checker) call(e *dsl.Call, at dsl.Expr, first dsl.Expr) value {
	return c.apply(e.Fun, e.Args, at, first)
}

func (c *checker) apply(fun dsl.Expr, args []*dsl.Arg, at dsl.Expr, first dsl.Expr) value {
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
	f := c.callee(call)
	return c.invoke(f, call)
}

// callee evaluates what is called and moves its brackets into the call.
func (c *checker) callee(call *callSite) value {
	f := c.eval(call.fun)
	if s, ok := f.(spec); ok {
		call.items = s.items
		call.fun = s.at.X
		return s.of
	}
	return f
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
		m, ok := f.member(c, "forward")
		if fn, is := m.(*function); ok && is {
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

// callFunc runs f with the arguments of call.
func (c *checker) callFunc(f *function, call *callSite) value {
	a := &activation{
		pkg: f.pkg, file: f.file, self: f.self, decl: f.decl, name: f.title(),
		dims: map[string]value{}, frame: c.fr, up: c.fn,
	}
	depth := 0
	for up := c.fn; up != nil; up = up.up {
		if up.decl == f.decl && (up.self == nil || f.self == nil || up.self.inst == f.self.inst) {
			c.fail(c.errorf(call.at, "`%s` calls itself", f.decl.Name.Text).Helpf("recursion is not possible; repeat with `for`"))
		}
		if depth++; depth > 100 {
			c.failf(call.at, "calls are nested too deeply here")
		}
	}
	b := c.bind(a.name, f.decl.Params, call)
	c.at(call.at)
	caller, sc, scope := c.fn, c.sc, c.fr.g.Scope
	var out value
	c.passDims(a, f, call)
	c.swap(a, nil)
	c.sc = &scopeOf
	_ = scope
	_ = caller
	_ = sc
	_ = b
	return out
}

func (f *function) title() string {
	switch {
	case f.self == nil:
		return f.decl.Name.Text
	case f.self.inst.path == "" && f.self.inst.of.decl.Kind == dsl.KindModel:
		return f.decl.Name.Text
	case f.decl.Name.Text == "forward":
		return f.self.inst.name
	}
	return f.self.inst.name + "." + f.decl.Name.Text
}

var _ = fmt.Sprint
var _ = strings.Join
var _ ir.Pos
