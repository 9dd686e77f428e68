package check

import (
	"slices"

	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/ops"
)

// unary is -x or !x.
func (c *checker) unary(e *dsl.Unary) value {
	v := c.live(c.eval(e.X))
	c.at(e)
	if e.Op == "!" {
		if b, ok := v.(boolean); ok {
			return !b
		}
		t := c.asTensor(e.X, v, ir.Bool)
		if t.elem != ir.Bool {
			c.failf(e, "`!` needs bool, found %s", t.ctype)
		}
		out := tensor{ctype: t.ctype, v: c.fr.g.Not(c.fr.use(t)), fr: c.fr, idx: t.idx}
		if t.soft != nil {
			if b, ok := t.soft.val.(boolean); ok {
				out.soft = &soft{!b, t.soft.opts}
			}
		}
		return out
	}
	switch v := v.(type) {
	case num:
		return num{-v.f, v.kind}
	case dim:
		return plain(v.Neg())
	}
	t, ok := v.(tensor)
	if !ok || !t.untyped {
		t = c.asTensor(e.X, v, ir.F32)
	}
	if t.elem == ir.Bool {
		c.failf(e, "`-` needs numbers, found %s", t.ctype)
	}
	out := tensor{ctype: t.ctype, v: c.fr.g.Neg(c.fr.use(t)), fr: c.fr, idx: t.idx, untyped: t.untyped}
	if t.aff != nil {
		d := t.aff.Neg()
		out.aff = &d
	}
	if t.soft != nil {
		if n, ok := t.soft.val.(num); ok {
			out.soft = &soft{num{-n.f, n.kind}, t.soft.opts}
		}
	}
	return out
}

// binary is x op y for all operators but |>.
func (c *checker) binary(e *dsl.Binary) value {
	a := c.live(c.eval(e.X))
	if b, ok := a.(boolean); ok { // lazy, so that options may guard each other
		if e.Op == "&&" && !bool(b) || e.Op == "||" && bool(b) {
			return b
		}
	}
	if t, ok := a.(tensor); ok && (e.Op == "&&" || e.Op == "||") { // inside index notation one side guards the other
		var b value
		c.guarded(t, e.Op == "&&", func() { b = c.live(c.eval(e.Y)) })
		return c.operate(e, e.Op, e.X, e.Y, a, b)
	}
	return c.operate(e, e.Op, e.X, e.Y, a, c.live(c.eval(e.Y)))
}

// operate is a op b, where a and b stand at x and y and the whole at e.
func (c *checker) operate(e dsl.Node, op string, x, y dsl.Expr, a, b value) value {
	if v := c.foldBooleans(op, a, b); v != nil {
		return v
	}
	if isNumber(a) && isNumber(b) {
		if v := c.foldNumbers(e, op, x, y, a, b); v != nil {
			return v
		}
	}
	c.at(e)
	if op == "@" {
		return c.matmul(e, x, y, c.asTensor(x, a, ir.F32), c.asTensor(y, b, ir.F32))
	}
	if op == "%" || op == "+" || op == "-" || op == "*" || isComparison(op) {
		if integral(a) && integral(b) && (untypedRun(a) || untypedRun(b)) {
			return c.integers(op, a, b)
		}
	}
	want := ir.F32
	for _, v := range []value{a, b} {
		if t, ok := v.(tensor); ok && !t.untyped {
			want = t.elem
		}
	}
	if op == "**" || op == "/" && integral(a) && integral(b) {
		want = ir.F32
	}
	if want == ir.I32 && (fractional(a) || fractional(b)) {
		want = ir.F32 // reported as a mix below
	}
	s, t := c.asTensor(x, a, want), c.asTensor(y, b, want)
	if op == "/" && integral(a) && integral(b) { // on integers it gives f32
		s, t = c.cast(s, ir.F32), c.cast(t, ir.F32)
	}
	if op == "**" {
		return c.power(e, x, y, s, t, b)
	}
	if s.elem != t.elem {
		c.fail(c.mixed(e, op, x, y, s, t))
	}
	r := rules[op]
	switch {
	case r.logic && s.elem != ir.Bool:
		c.fail(c.errorf(e, "`%s` needs bool on both sides", op).Note(x, "%s", s.ctype).Note(y, "%s", t.ctype))
	case r.numbers && s.elem == ir.Bool:
		c.fail(c.mixed(e, op, x, y, s, t))
	}
	s, t, dims, idx := c.stretch(e, op, x, y, s, t)
	elem := s.elem
	if r.truth {
		elem = ir.Bool
	}
	out := tensor{ctype: ctype{elem, dims}, v: r.emit(c.fr.g, s.v, t.v), fr: c.fr, idx: idx}
	out.soft = foldSoft(op, a, b)
	if op == "&&" && len(dims) == 0 {
		out.guard = slices.Concat(s.guard, t.guard)
	}
	return out
}

// A rule is what an operator needs and how it is written down.
type rule struct {
	logic   bool // bool on both sides
	numbers bool // f32 or i32 on both sides
	truth   bool // the result is bool
	emit    func(g ops.Graph, x, y *ir.Value) *ir.Value
}

var rules = map[string]rule{
	"+":  {numbers: true, emit: ops.Graph.Add},
	"-":  {numbers: true, emit: ops.Graph.Sub},
	"*":  {numbers: true, emit: ops.Graph.Mul},
	"/":  {numbers: true, emit: ops.Graph.Div},
	"%":  {numbers: true, emit: ops.Graph.Mod},
	"&&": {logic: true, truth: true, emit: ops.Graph.And},
	"||": {logic: true, truth: true, emit: ops.Graph.Or},
	"<":  {numbers: true, truth: true, emit: ops.Graph.Less},
	"<=": {numbers: true, truth: true, emit: ops.Graph.LessEqual},
	">":  {numbers: true, truth: true, emit: func(g ops.Graph, x, y *ir.Value) *ir.Value { return g.Less(y, x) }},
	">=": {numbers: true, truth: true, emit: func(g ops.Graph, x, y *ir.Value) *ir.Value { return g.LessEqual(y, x) }},
	"==": {truth: true, emit: ops.Graph.Equal},
	"!=": {truth: true, emit: func(g ops.Graph, x, y *ir.Value) *ir.Value { return g.Not(g.Equal(x, y)) }},
}

func isComparison(op string) bool {
	switch op {
	case "<", "<=", ">", ">=", "==", "!=":
		return true
	}
	return false
}

// isNumber tells whether v is a number at compile time.
func isNumber(v value) bool {
	switch v.(type) {
	case num, dim:
		return true
	}
	return false
}

// integral tells whether v is a whole number or i32 tensor.
func integral(v value) bool {
	switch v := v.(type) {
	case num:
		return v.isInt()
	case dim:
		return true
	case tensor:
		return v.elem == ir.I32
	}
	return false
}

// fractional tells whether v is a literal that is no integer.
func fractional(v value) bool {
	n, ok := v.(num)
	return ok && !n.isInt()
}

// untypedRun tells whether v is an untyped integer that is not known at
// compile time: a counter, an index, or computed from such.
func untypedRun(v value) bool {
	t, ok := v.(tensor)
	return ok && t.untyped
}

func (c *checker) foldBooleans(op string, a, b value) value {
	x, ok1 := a.(boolean)
	y, ok2 := b.(boolean)
	switch {
	case ok1 && ok2:
	case ok1 && (op == "&&" || op == "||"):
		return b // the left side does not decide
	case ok2 && op == "&&" && bool(y) || ok2 && op == "||" && !bool(y):
		return a
	default:
		return nil
	}
	switch op {
	case "&&":
		return x && y
	case "||":
		return x || y
	case "==":
		return boolean(x == y)
	case "!=":
		return boolean(x != y)
	}
	return nil
}

// foldNumbers computes with numbers known at compile time. It returns nil if
// the result is known only at run time, as T < S is.
func (c *checker) foldNumbers(e dsl.Node, op string, x, y dsl.Expr, a, b value) value {
	p, ok1 := asDim(a)
	q, ok2 := asDim(b)
	_, aDim := a.(dim)
	_, bDim := b.(dim)
	if !ok1 || !ok2 || !aDim && !bDim {
		n, ok1 := asNum(a)
		m, ok2 := asNum(b)
		if !ok1 || !ok2 {
			return nil
		}
		if op == "%" && m.f == 0 {
			c.failf(e, "`%%` by zero")
		}
		return foldNums(op, n, m)
	}
	switch op {
	case "+":
		return plain(p.Add(q.Dim))
	case "-":
		return plain(p.Sub(q.Dim))
	case "*":
		return plain(p.Mul(q.Dim))
	case "/":
		r, ok := p.Div(q.Dim)
		if !ok {
			text := x.String() + " / " + y.String()
			c.fail(c.errorf(e, "`%s` is not a whole number", text).Note(x, "%s", p).Note(y, "%s", q).
				Helpf("`/` never rounds; write `floor(%s)` if that is what you want", text))
		}
		return plain(r)
	case "%":
		if n, ok := p.Const(); ok {
			if m, ok := q.Const(); ok && m > 0 {
				return number(((n % m) + m) % m)
			}
		}
		return nil
	case "**":
		n, ok1 := asNum(a)
		m, ok2 := asNum(b)
		if !ok1 || !ok2 {
			return nil
		}
		return foldNums(op, n, m)
	}
	diff := p.Sub(q.Dim)
	d, ok := diff.Const()
	switch {
	case ok:
	case op == "<" && c.proved(diff.Neg().AddN(-1)), op == "<=" && c.proved(diff.Neg()),
		op == ">" && c.proved(diff.AddN(-1)), op == ">=" && c.proved(diff):
		return boolean(true)
	case op == ">=" && c.proved(diff.Neg().AddN(-1)), op == ">" && c.proved(diff.Neg()),
		op == "<=" && c.proved(diff.AddN(-1)), op == "<" && c.proved(diff):
		return boolean(false)
	default:
		return nil
	}
	return foldNums(op, num{f: float64(d)}, num{f: 0})
}

// foldSoft computes with run-time options whose values are known.
func foldSoft(op string, a, b value) *soft {
	get := func(v value) (value, []*option) {
		if t, ok := v.(tensor); ok {
			if t.soft == nil {
				return nil, nil
			}
			return t.soft.val, t.soft.opts
		}
		return v, nil
	}
	x, o := get(a)
	y, p := get(b)
	opts := slices.Concat(o, p)
	if x == nil || y == nil || len(opts) == 0 {
		return nil
	}
	n, ok1 := asNum(x)
	m, ok2 := asNum(y)
	if ok1 && ok2 {
		if v := foldNums(op, n, m); v != nil {
			return &soft{v, opts}
		}
		return nil
	}
	s, ok1 := x.(boolean)
	t, ok2 := y.(boolean)
	if ok1 && ok2 {
		switch op {
		case "&&":
			return &soft{s && t, opts}
		case "||":
			return &soft{s || t, opts}
		}
	}
	return nil
}

// power is x ** y.
func (c *checker) power(e dsl.Node, x, y dsl.Expr, s, t tensor, exponent value) value {
	if t.elem == ir.I32 && s.elem == ir.F32 {
		t = c.cast(t, ir.F32)
	}
	if s.elem != ir.F32 || t.elem != ir.F32 {
		c.fail(c.mixed(e, "**", x, y, s, t))
	}
	if n, ok := asNum(exponent); ok {
		if v := c.constantPower(s, n.f); v != nil {
			return tensor{ctype: s.ctype, v: v, fr: c.fr, idx: s.idx}
		}
	}
	s, t, dims, idx := c.stretch(e, "**", x, y, s, t)
	return tensor{ctype: ctype{ir.F32, dims}, v: c.fr.g.Pow(s.v, t.v), fr: c.fr, idx: idx}
}

// constantPower writes x ** p with cheap exact ops, or returns nil.
func (c *checker) constantPower(s tensor, p float64) *ir.Value {
	g, x := c.fr.g, c.fr.use(s)
	switch p {
	case 0:
		return g.Like(x, 1)
	case 1:
		return x
	case 2:
		return g.Square(x)
	case 3:
		return g.Mul(g.Square(x), x)
	case 4:
		return g.Square(g.Square(x))
	case -1:
		return g.Reciprocal(x)
	case -2:
		return g.Reciprocal(g.Square(x))
	case 0.5:
		return g.Sqrt(x)
	case -0.5:
		return g.Rsqrt(x)
	}
	return nil
}

// mixed is the message that op cannot work on the element types of s and t.
func (c *checker) mixed(e dsl.Node, op string, x, y dsl.Expr, s, t tensor) *dsl.Diagnostic {
	d := c.errorf(e, "`%s` cannot mix %s and %s", op, s.elem, t.elem)
	if s.elem == t.elem {
		d = c.errorf(e, "`%s` needs numbers, found %s", op, s.elem)
	}
	if x == nil || y == nil {
		return d
	}
	d.Note(x, "%s", s.ctype).Note(y, "%s", t.ctype)
	switch {
	case s.elem == ir.I32 && t.elem == ir.F32:
		d.Helpf("convert: `f32(%s)`", x)
	case s.elem == ir.F32 && t.elem == ir.I32:
		d.Helpf("convert: `f32(%s)`", y)
	case s.elem == ir.Bool:
		d.Helpf("use `where(%s, a, b)`, or convert with `f32(%s)`", x, x)
	case t.elem == ir.Bool:
		d.Helpf("use `where(%s, a, b)`, or convert with `f32(%s)`", y, y)
	}
	return d
}
