package check

import (
	"slices"
	"strings"

	"github.com/lmc-lang/lmc/dsl"
)

// assign is a statement with := = += -= *= or /=.
func (c *checker) assign(s *dsl.AssignStmt) {
	if len(s.Left) == 1 && len(s.Right) == 1 {
		if l, ok := s.Left[0].(*dsl.Index); ok && s.Op != "=" && s.Op != ":=" {
			if c.fresh(l) {
				c.fail(c.errorf(s.OpAt, "`%s` cannot define elements", s.Op).Helpf("write `%s = %s %s …`", l, l, strings.TrimSuffix(s.Op, "=")))
			}
		}
	}
	vals := c.rightSides(s)
	for i, l := range s.Left {
		r := s.Right[min(i, len(s.Right)-1)]
		if _, blank := l.(*dsl.Underscore); blank || isBlank(l) {
			continue
		}
		switch s.Op {
		case ":=":
			c.define(l, vals[i], r)
		case "=":
			c.rebind(l, vals[i], r, s)
		default:
			op := strings.TrimSuffix(s.Op, "=")
			at := dsl.Join(l, r)
			old := c.live(c.eval(l))
			c.rebind(l, c.operate(at, op, l, r, old, vals[i]), r, s)
		}
	}
}

func isBlank(e dsl.Expr) bool {
	n, ok := e.(*dsl.Name)
	return ok && n.Text == "_"
}

// rightSides evaluates the right side to one value per left side. Index
// definitions stand as nil: their left side declares the indices.
func (c *checker) rightSides(s *dsl.AssignStmt) []value {
	if len(s.Right) == 1 && len(s.Left) > 1 {
		v := c.live(c.eval(s.Right[0]))
		t, ok := v.(tuple)
		if !ok || len(t) != len(s.Left) {
			n := 1
			if ok {
				n = len(t)
			}
			c.failf(s.Right[0], "%d names on the left, but this gives %s", len(s.Left), count(n, "value"))
		}
		return t
	}
	if len(s.Right) != len(s.Left) {
		c.failf(s.Right[0], "%d names on the left, %s on the right", len(s.Left), count(len(s.Right), "value"))
	}
	vals := make([]value, len(s.Left))
	for i, r := range s.Right {
		if l, ok := s.Left[i].(*dsl.Index); ok && (s.Op == ":=" || s.Op == "=" && c.fresh(l)) {
			continue
		}
		vals[i] = c.live(c.eval(r))
		if t, ok := vals[i].(tuple); ok {
			c.failf(r, "this gives %d values; give each a name, or `_`", len(t))
		}
		if _, ok := vals[i].(nothing); ok {
			c.failf(r, "this gives no value")
		}
	}
	return vals
}

// fresh tells whether x[b, t] on a left side is an index definition: one of
// the items is a name that nothing else has.
func (c *checker) fresh(l *dsl.Index) bool {
	for _, it := range l.Items {
		n, isName := it.X.(*dsl.Name)
		if name, _, ok := it.Declares(); ok {
			n, isName = name, true
		}
		if isName && c.sc.find(n.Text) == nil {
			if _, known := c.known(n.Text); !known {
				return true
			}
		}
	}
	return false
}

// define is l := v.
func (c *checker) define(l dsl.Expr, v value, r dsl.Expr) {
	switch l := l.(type) {
	case *dsl.Name:
		c.valueOf(l.Text, v, r)
		c.declare(l.Text, l, v)
		return
	case *dsl.Index:
		n, ok := l.X.(*dsl.Name)
		if !ok {
			break
		}
		t := c.indexDefinition(l, r)
		c.declare(n.Text, n, t)
		return
	}
	c.failf(l, "`:=` declares a name, found `%s`", l)
}

// valueOf checks that a name may hold v.
func (c *checker) valueOf(name string, v value, r dsl.Expr) {
	switch v := v.(type) {
	case num, dim, boolean, str, list, tensor, *layer, initial, *function:
		if isCapital(name) {
			c.fail(c.errorf(r, "the name of a value starts with a small letter").Helpf("capital names are dimensions: `const %s = …`", name))
		}
		return
	case *stack:
		c.failf(r, "`%s` is %s layers, not one", r, v.count)
	}
	c.failf(r, "%s cannot be given a name", v.show())
}

// rebind is l = v, where v is the value of r. The type of l stays.
func (c *checker) rebind(l dsl.Expr, v value, r dsl.Expr, s *dsl.AssignStmt) {
	if x, ok := l.(*dsl.Index); ok {
		c.rebindPart(x, v, r)
		return
	}
	va := c.target(l)
	old := c.live(c.fr.read(va))
	c.at(s)
	t, isTensor := old.(tensor)
	if !isTensor {
		c.rebindConstant(l, va, old, v, r)
		return
	}
	x := c.asTensor(r, v, t.elem)
	if len(x.dims) == 0 && len(t.dims) > 0 && isNumber(v) && x.elem == t.elem { // a number fills it
		x = c.expand(x, nil, t.dims)
	}
	if !x.same(t.ctype) {
		d := c.errorf(l, "`%s` must keep the type of `%s`", s.Op, l)
		c.fail(d.Note(l, "%s", t.ctype).Note(r, "%s", x.ctype).
			Helpf("to start a new variable with another shape, write `%s := ...`", l))
	}
	for i := range x.dims {
		if t.dims[i].text != "" {
			x.dims = append([]dim{}, x.dims...)
			x.dims[i].text = t.dims[i].text
		}
	}
	x.untyped = t.untyped && x.untyped
	c.fr.write(va, x)
}

// rebindConstant assigns to a variable that holds a number known at compile time.
func (c *checker) rebindConstant(l dsl.Expr, va *variable, old, v value, r dsl.Expr) {
	n, ok1 := asNum(old)
	m, ok2 := asNum(v)
	b, ok3 := old.(boolean)
	w, ok4 := v.(boolean)
	switch {
	case ok3 && ok4:
		_ = b
		c.fr.write(va, w)
		return
	case ok1 && ok2 && (n.isInt() == m.isInt() || !n.isInt()):
		if !n.isInt() && m.isInt() {
			m.kind = n.kind
		}
		c.fr.write(va, m)
		return
	}
	if _, isDim := old.(dim); isDim {
		if d, ok := asDim(v); ok {
			c.fr.write(va, d)
			return
		}
	}
	if t, ok := v.(tensor); ok && len(t.dims) == 0 {
		o, is := c.fr.materialise(old)
		if is && (o.elem == t.elem || n.kind == untypedInt && ok1) {
			if o.elem == t.elem {
				t.untyped = t.untyped && untyped(old)
				c.fr.write(va, t)
				return
			}
		}
	}
	c.fail(c.errorf(l, "`=` must keep the type of `%s`", l).Note(l, "%s", old.show()).Note(r, "%s", v.show()).
		Helpf("convert it where it is declared: `%s := f32(…)`", l))
}

// target is the variable that l names as something to assign to.
func (c *checker) target(l dsl.Expr) *variable {
	va := c.storeOf(l)
	if va == nil {
		if n, ok := l.(*dsl.Name); ok {
			v, known := c.known(n.Text)
			if !known {
				c.fail(suggest(c.errorf(n, "`%s` is not declared", n.Text), n.Text, c.locals(), "declare it with `:=`"))
			}
			c.failf(l, "cannot assign to %s", c.live(v).show())
		}
		c.failf(l, "cannot assign to `%s`", l)
	}
	root := va
	for root.of != nil {
		root = root.of
	}
	if s := root.store; s != nil {
		switch s.kind {
		case dsl.KindParam:
			c.fail(c.errorf(l, "parameter `%s` is assigned", l).Helpf("only a train step changes parameters; declare it as `state` to change it here"))
		case dsl.KindState:
			if !c.training && !c.entry.optimizer {
				c.fail(c.errorf(l, "state `%s` is assigned outside training", l).Helpf("wrap it in `if training { … }`"))
			}
		}
	}
	return va
}

// locals lists the variables in scope.
func (c *checker) locals() []string {
	var out []string
	for s := c.sc; s != nil; s = s.up {
		for _, v := range s.order {
			out = append(out, v.name)
		}
	}
	return out
}

// rebindPart is x[…] = v.
func (c *checker) rebindPart(l *dsl.Index, v value, r dsl.Expr) {
	va := c.target(l.X)
	typ, ok := va.typ()
	if va.part != nil || !ok {
		t, is := c.live(c.fr.read(va)).(tensor)
		if !is {
			c.failf(l.X, "cannot assign to a part of `%s`: it is no tensor", l.X)
		}
		typ = t.ctype
	}
	if v == nil { // index notation
		slot, t := c.indexAssignment(l, typ, r)
		whole := !slices.ContainsFunc(slot.Items, func(it *dsl.Item) bool {
			return !isEllipsis(it) && (it.Kind != dsl.ItemSlice || it.Lo != nil || it.Hi != nil)
		})
		if !whole || len(slot.Items) < len(typ.dims) && len(t.dims) < len(typ.dims) {
			l, v = slot, t
		} else {
			if !t.same(typ) {
				c.fail(c.errorf(l, "`=` must keep the type of `%s`", l.X).Note(l.X, "%s", typ).Note(r, "%s", t.ctype))
			}
			t.dims = typ.dims
			c.fr.write(va, t)
			return
		}
	}
	p := place{expr: l.X, v: va, typ: typ}
	parts := c.parts(l, typ, l.X)
	var dims []dim
	for _, q := range parts {
		if q.rows != nil && len(q.rows.dims) > 0 {
			c.fail(c.errorf(q.item, "a tensor of indices cannot stand on the left side").Helpf("use segmentSum, or index notation"))
		}
		if !q.drop {
			dims = append(dims, q.size)
		}
	}
	slot := ctype{typ.elem, dims}
	x := c.asTensor(r, v, typ.elem)
	if len(x.dims) == 0 && isNumber(v) && x.elem == slot.elem {
		x = c.expand(x, nil, dims)
	}
	if !x.same(slot) {
		c.fail(c.errorf(l, "the slice and the value have different types").Note(l, "%s", slot).Note(r, "%s", x.ctype))
	}
	c.at(l)
	for i := range parts {
		if parts[i].rows != nil { // one computed index
			t := *parts[i].rows
			parts[i].rows, parts[i].dyn = nil, &t
		}
	}
	if s, k := c.walked(p, parts); s != nil && onlyPartial(parts, k) {
		x.aff, x.arg = nil, 0
		c.fr.write(s, tensor{ctype: x.ctype, v: c.fr.g.Reshape(c.fr.use(x), without(typ.shape(), parts[k].axis)...), fr: c.fr})
		return
	} else if s != nil && s.val != nil {
		old, ok := c.live(c.fr.read(s)).(tensor)
		if ok {
			rest := append([]axisPart{}, parts[:k]...)
			for _, q := range parts[k+1:] {
				if q.axis > parts[k].axis {
					q.axis--
				}
				rest = append(rest, q)
			}
			c.fr.write(s, c.put(old, x, rest))
			return
		}
	}
	old, ok := c.live(c.fr.read(va)).(tensor)
	if !ok {
		c.silent()
	}
	c.fr.write(va, c.put(old, x, parts))
}

// onlyPartial tells whether part k is the only one that is not a whole axis.
func onlyPartial(parts []axisPart, k int) bool {
	for i, q := range parts {
		if i != k && q.partial {
			return false
		}
	}
	return true
}
