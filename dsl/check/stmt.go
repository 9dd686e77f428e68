package check

import (
	"github.com/lmc-lang/lmc/dsl"
)

// body runs the body of the present activation and returns its result.
func (c *checker) body(d *dsl.FuncDecl) value {
	errs := c.errors
	c.enter(func() { c.stmts(d.Body.Stmts) })
	a := c.fn
	if !a.done && len(d.Results) > 0 {
		if c.errors == errs {
			end := dsl.Span{Pos: d.Body.End, End: d.Body.End}
			end.Pos.Col--
			end.Pos.Offset--
			c.report(c.errorf(end, "%s ends without `return`", a.name))
		}
		return poison{}
	}
	if a.result == nil {
		return nothing{}
	}
	return a.result
}

// block runs the statements of braces inside a func, in a scope of their own.
func (c *checker) block(b *dsl.Body) { c.enter(func() { c.stmts(b.Stmts) }) }

func (c *checker) stmts(list []dsl.Stmt) {
	for i, s := range list {
		if c.fn.done {
			if i > 0 {
				if _, after := list[i-1].(*dsl.ReturnStmt); after && c.errors == 0 {
					c.report(c.errorf(s, "nothing after `return` is reached").Helpf("delete it, or move the `return` to the end"))
				}
			}
			c.skip(s)
			continue
		}
		if !c.try(func() { c.stmt(s) }) {
			c.poison(s)
		}
	}
}

func (c *checker) stmt(s dsl.Stmt) {
	c.at(s)
	switch s := s.(type) {
	case *dsl.ReturnStmt:
		c.returned(s)
	case *dsl.IfStmt:
		c.ifStmt(s)
	case *dsl.VarStmt:
		c.varStmt(s)
	case *dsl.ForStmt:
		c.loop(s)
	case *dsl.AssignStmt:
		c.assign(s)
	case *dsl.AssertStmt:
		c.assert(s)
	case *dsl.ConstDecl:
		v := c.constant(s)
		c.declare(s.Name.Text, s.Name, v)
	case *dsl.Body:
		c.block(s)
	case *dsl.Bad:
		for _, n := range s.Names {
			c.declare(n, nil, poison{})
		}
		c.failed = true
		c.errors++
	}
}

// poison marks the names that a faulty statement would have set.
func (c *checker) poison(s dsl.Stmt) {
	switch s := s.(type) {
	case *dsl.ReturnStmt:
		c.fn.done, c.fn.result = true, poison{}
	case *dsl.VarStmt:
		for _, n := range s.Names {
			c.declare(n.Text, nil, poison{})
		}
	case *dsl.ConstDecl:
		c.declare(s.Name.Text, nil, poison{})
	case *dsl.AssignStmt:
		for _, l := range s.Left {
			if x, ok := l.(*dsl.Index); ok {
				l = x.X
			}
			n, ok := l.(*dsl.Name)
			if !ok {
				continue
			}
			v := c.sc.find(n.Text)
			if _, known := c.known(n.Text); s.Op == ":=" || !known && c.storeOf(n) == nil {
				c.declare(n.Text, nil, poison{})
			} else if v != nil && v.home == c.fr && v.of == nil {
				c.fr.write(v, poison{})
			}
		}
	}
}

func (c *checker) ifStmt(s *dsl.IfStmt) {
	cond := c.truth(s.Cond)
	if cond {
		if s.Else != nil {
			c.skip(s.Else)
		}
		c.block(s.Then)
		return
	}
	c.skip(s.Then)
	if s.Else != nil {
		c.stmt(s.Else)
	}
}

func (c *checker) varStmt(s *dsl.VarStmt) {
	t := c.typ(s.Type)
	for _, n := range s.Names {
		v := c.fr.g.Constant(t.elem, 0, t.shape()...)
		out := tensor{ctype: t, v: v, fr: c.fr}
		if s.Init != nil {
			out = c.fill(s.Init, c.eval(s.Init), t)
		}
		c.declare(n.Text, n, out)
	}
}

// fill makes a tensor of type t from v, the value of e: a number fills it.
func (c *checker) fill(e dsl.Expr, v value, t ctype) tensor {
	x := c.asTensor(e, v, t.elem)
	if x.elem != t.elem || len(x.dims) > 0 && !sameDims(x.dims, t.dims) {
		c.failf(e, "expected %s, found %s", t, x.ctype)
	}
	x = c.expand(x, x.idx, t.dims)
	x.aff, x.guard, x.soft = nil, nil, nil
	if len(t.dims) > 0 {
		x.dims = t.dims
	}
	return x
}

// constant is the value of a const declaration.
func (c *checker) constant(d *dsl.ConstDecl) value {
	if d.Index != nil {
		return c.constTable(d)
	}
	v := c.live(c.eval(d.Value))
	switch v := v.(type) {
	case dim:
		return v.named(d.Name.Text)
	case list:
		v.name = d.Name.Text
		return v
	case tensor:
		c.unrollFor(v)
		c.failf(d.Value, "a const must be known when the model is compiled, but this is %s", v.show())
	case tuple, nothing, pack, spec:
		c.failf(d.Value, "a const cannot be %s", v.show())
	}
	return v
}

// returned is a return statement.
func (c *checker) returned(s *dsl.ReturnStmt) {
	a := c.fn
	if a.loops > 0 {
		c.fail(c.errorf(s, "`return` cannot stand in a loop").Helpf("assign to a variable that is declared before the loop"))
	}
	want := a.decl.Results
	var vals []value
	var at []dsl.Expr
	for _, e := range s.Values {
		v := c.live(c.eval(e))
		if t, ok := v.(tuple); ok && len(s.Values) == 1 {
			for _, x := range t {
				vals, at = append(vals, x), append(at, e)
			}
			continue
		}
		vals, at = append(vals, v), append(at, e)
	}
	if len(vals) != len(want) {
		word := dsl.Span{Pos: s.Pos, End: s.Pos}
		word.End.Col += len("return")
		word.End.Offset += len("return")
		c.failf(word, "%s returns %s, found %d", a.name, count(len(want), "value"), len(vals))
	}
	out := make(tuple, len(vals))
	for i, p := range want {
		out[i] = c.returnValue(p, at[i], vals[i])
	}
	a.done = true
	switch len(out) {
	case 0:
	case 1:
		a.result = out[0]
	default:
		a.result = out
	}
}

// returnValue checks one value of a return statement against its declaration.
func (c *checker) returnValue(p *dsl.Param, e dsl.Expr, v value) value {
	name := c.fn.name
	var want elemType
	c.within(c.fn, nil, func() { want = c.elem(p.Type) })
	x := c.toElem(v, want.elem)
	if _, isTensor := x.(tensor); x != nil && !isTensor && len(p.Type.Dims) == 0 {
		return x // a number stays one
	}
	if x == nil {
		d := c.errorf(e, "%s is declared to return %s", name, p.Type)
		d.Label = "this is " + v.show()
		if t, ok := v.(tensor); ok && t.elem != want.elem {
			d.Helpf("convert: `%s(%s)`", want.elem, e)
		}
		c.fail(d)
	}
	t := c.asTensor(e, x, want.elem)
	wrong := func(shown string) {
		d := c.errorf(e, "%s is declared to return %s", name, shown)
		d.Label = "this is " + t.ctype.String()
		c.fail(d)
	}
	from, width, ok := axes(p.Type.Dims, len(t.dims))
	var dims []dim
	sc := c.sc
	c.within(c.fn, nil, func() {
		for i, de := range p.Type.Dims {
			switch de.(type) {
			case *dsl.Ellipsis:
				if q, bound := c.fn.dims["..."].(pack); bound {
					dims = append(dims, q...)
				} else if ok {
					dims = append(dims, t.dims[from[i]:from[i]+width]...)
				}
			case *dsl.Underscore:
				if ok {
					dims = append(dims, t.dims[from[i]])
				} else {
					dims = append(dims, symbol("_"))
				}
			default:
				c.sc = sc
				dims = append(dims, c.dim(de))
			}
		}
	})
	if !ok || !sameDims(dims, t.dims) {
		wrong(ctype{want.elem, dims}.String())
	}
	for i := range dims {
		if dims[i].text == "" {
			dims[i].text = t.dims[i].text
		}
	}
	t.dims = dims
	return t
}

// assert is a condition on dims: in an entry method a fact that callers must
// see to, elsewhere something to prove.
func (c *checker) assert(s *dsl.AssertStmt) {
	c.assertion(s, s.Cond)
}

func (c *checker) assertion(s *dsl.AssertStmt, e dsl.Expr) {
	e = dsl.Unparen(e)
	b, ok := e.(*dsl.Binary)
	if ok && b.Op == "&&" {
		c.assertion(s, b.X)
		c.assertion(s, b.Y)
		return
	}
	if ok && isComparison(b.Op) && b.Op != "!=" {
		x, ok1 := asDim(c.live(c.eval(b.X)))
		y, ok2 := asDim(c.live(c.eval(b.Y)))
		if ok1 && ok2 {
			c.assertDims(s, b, x, y)
			return
		}
	}
	if !c.truth(e) {
		c.failf(e, "%s", assertText(s, "this assertion is false"))
	}
}

func (c *checker) assertDims(s *dsl.AssertStmt, b *dsl.Binary, x, y dim) {
	for _, p := range comparison(b.Op, x.Dim, y.Dim) {
		if n, ok := p.Const(); ok && n >= 0 {
			continue
		}
		if c.entry.top == c.fn && c.fr.up == nil && c.entry.open {
			if n, ok := p.Const(); ok && n < 0 {
				c.failf(b, "%s", assertText(s, "this assertion is false"))
			}
			c.facts = append(c.facts, fact{p})
			c.entry.need(p, x.poly()+" "+b.Op+" "+y.poly())
			continue
		}
		c.need(b, p, y, assertText(s, "this assertion may fail: "+b.String()))
	}
}

func assertText(s *dsl.AssertStmt, other string) string {
	if s.Msg != nil {
		return s.Msg.Value
	}
	return other
}
