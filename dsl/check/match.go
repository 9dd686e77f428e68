package check

import (
	"fmt"
	"strings"

	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/ir/loop"
)

// match checks the arguments against the declared types, binds the dims that
// the types declare, and puts the parameters into sc.
func (c *checker) match(a *activation, sc *scope, params []*dsl.Param, slots []*argument, call *callSite) {
	vals := make([]value, len(params))
	for _, s := range slots {
		if s != nil {
			c.live(s.val)
		}
	}
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
	for c.solveDims(a, params, vals) {
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

// solveDims binds a free dim that is the only unknown of an axis such as 2*T + 1.
// It returns false if there is none.
func (c *checker) solveDims(a *activation, params []*dsl.Param, vals []value) bool {
	for i, p := range params {
		t, ok := vals[i].(tensor)
		if !ok || p.Type.Dims == nil {
			continue
		}
		from, _, ok := axes(p.Type.Dims, len(t.dims))
		if !ok {
			continue
		}
		for k, e := range p.Type.Dims {
			unknown := map[string]bool{}
			dsl.Walk(e, func(n dsl.Node) bool {
				if x, is := n.(dsl.Expr); is {
					if name, is := c.free(a, x); is {
						unknown[name] = true
					}
				}
				return true
			})
			if len(unknown) != 1 {
				continue
			}
			name := sortedKeys(unknown)[0]
			a.dims[name] = plain(loop.Sym("?"))
			var d dim
			known := c.quietly(func() { c.within(a, nil, func() { d = c.dim(e) }) })
			delete(a.dims, name)
			if !known {
				continue
			}
			if times, rest, ok := multiple(d.Dim, "?"); ok {
				if n, exact := t.dims[from[k]].Sub(rest).Div(loop.N(times)); exact {
					a.dims[name] = plain(n)
					return true
				}
			}
		}
	}
	return false
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
