package check

import (
	"math"
	"slices"

	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/ops"
)

// A function of one f32 number, element by element.
type unaryRow struct {
	name, doc string
	emit      func(ops.Graph, *ir.Value) *ir.Value
	fold      func(float64) float64
}

func init() {
	for _, u := range []unaryRow{
		{"exp", "exp is e to the power of x.", ops.Graph.Exp, math.Exp},
		{"expm1", "expm1 is exp(x) - 1, exact near 0.", ops.Graph.Expm1, math.Expm1},
		{"log", "log is the natural logarithm.", ops.Graph.Log, math.Log},
		{"log1p", "log1p is log(1 + x), exact near 0.", ops.Graph.Log1p, math.Log1p},
		{"sqrt", "sqrt is the square root.", ops.Graph.Sqrt, math.Sqrt},
		{"rsqrt", "rsqrt is 1 / sqrt(x).", ops.Graph.Rsqrt, func(x float64) float64 { return 1 / math.Sqrt(x) }},
		{"sin", "sin is the sine.", ops.Graph.Sin, math.Sin},
		{"cos", "cos is the cosine.", ops.Graph.Cos, math.Cos},
		{"tan", "tan is the tangent.", ops.Graph.Tan, math.Tan},
		{"asin", "asin is the inverse of sin.", ops.Graph.Asin, math.Asin},
		{"acos", "acos is the inverse of cos.", ops.Graph.Acos, math.Acos},
		{"atan", "atan is the inverse of tan.", ops.Graph.Atan, math.Atan},
		{"tanh", "tanh is the hyperbolic tangent.", ops.Graph.Tanh, math.Tanh},
		{"sigmoid", "sigmoid is 1 / (1 + exp(-x)).", ops.Graph.Sigmoid, func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }},
		{"erf", "erf is the error function.", ops.Graph.Erf, math.Erf},
		{"sign", "sign is -1, 0 or 1.", ops.Graph.Sign, sign},
	} {
		add(row{name: u.name, params: "x", doc: u.doc, run: func(a *args) value { return a.unary(u) }})
	}
	for _, r := range []rounding{
		{"floor", "floor rounds down; floor(a / b) of whole numbers is a whole number.", ops.Graph.Floor, math.Floor, false},
		{"ceil", "ceil rounds up; ceil(a / b) of whole numbers is a whole number.", ops.Graph.Ceil, math.Ceil, true},
		{"round", "round is the nearest whole number, half to even.", ops.Graph.Round, math.RoundToEven, false},
	} {
		add(row{name: r.name, params: "x", doc: r.doc, run: func(a *args) value { return a.round(r) }})
	}
	add(
		row{name: "abs", params: "x", doc: "abs is x without its sign.", run: func(a *args) value { return a.abs() }},
		row{name: "clamp", params: "x, lo, hi", doc: "clamp is lo where x is below it and hi where x is above; its slope is 1 at the bounds themselves.", run: func(a *args) value {
			if v := a.foldAll([]string{"x", "lo", "hi"}, func(n []float64) float64 { return min(max(n[0], n[1]), n[2]) }); v != nil {
				return v
			}
			ts, dims, idx := a.alike("x", "lo", "hi")
			g := a.fr.g
			x, lo, hi := ts[0].v, ts[1].v, ts[2].v
			v := g.Select(g.Less(x, lo), lo, g.Select(g.Less(hi, x), hi, x))
			return tensor{ctype: ctype{ts[0].elem, dims}, v: v, fr: a.fr, idx: idx}
		}},
		row{name: "logAddExp", params: "x, y", doc: "logAddExp is log(exp(x) + exp(y)) without overflow; -inf where both are -inf.", run: func(a *args) value { return a.logAddExp() }},
		row{name: "where", params: "condition, x, y", doc: "where is x where the condition holds and y elsewhere; the other one is not looked at there.", run: func(a *args) value { return a.where() }},
		row{name: "stop", params: "x", doc: "stop is x, through which no gradient flows.", run: func(a *args) value {
			v := a.value("x")
			if _, ok := asNum(v); ok {
				return v
			}
			t := a.tensor("x", ir.F32)
			out := t
			out.v = a.fr.g.Stop(t.v)
			return out
		}},
	)
}

func sign(x float64) float64 {
	switch {
	case x > 0:
		return 1
	case x < 0:
		return -1
	}
	return x
}

// folded is f of the number v, if it is one at compile time.
func folded(v value, f func(float64) float64) (num, bool) {
	n, ok := asNum(v)
	if !ok || n.kind == typedI32 {
		return num{}, false
	}
	kind := n.kind
	if kind == untypedInt {
		kind = untypedFloat
	}
	return num{f(n.f), kind}, true
}

func (a *args) unary(u unaryRow) value {
	v := a.value("x")
	if n, ok := folded(v, u.fold); ok {
		return n
	}
	t := a.float("x")
	out := a.made(ir.F32, t.dims, u.emit(a.fr.g, t.v), t)
	if t.soft != nil {
		if n, ok := folded(t.soft.val, u.fold); ok {
			out.soft = &soft{n, t.soft.opts}
		}
	}
	return out
}

func (a *args) abs() value {
	v := a.value("x")
	if n, ok := asNum(v); ok {
		return num{math.Abs(n.f), n.kind}
	}
	if t, ok := v.(tensor); ok && t.untyped {
		t = a.fr.here(t)
		out := a.made(ir.I32, t.dims, a.fr.g.Abs(t.v), t)
		out.untyped = true
		return out
	}
	t := a.numbers("x")
	return a.made(t.elem, t.dims, a.fr.g.Abs(t.v), t)
}

// A rounding makes numbers whole.
type rounding struct {
	name, doc string
	emit      func(ops.Graph, *ir.Value) *ir.Value
	fold      func(float64) float64
	up        bool
}

// round is floor, ceil or round. Of the quotient of two whole numbers, floor
// and ceil make a whole number.
func (a *args) round(r rounding) value {
	if e := a.expr("x"); e != nil && r.name != "round" && a.by["x"].val == nil {
		if b, ok := dsl.Unparen(e).(*dsl.Binary); ok && b.Op == "/" {
			return a.quotient(r, b)
		}
	}
	return a.rounded(r)
}

func (a *args) rounded(r rounding) value {
	v := a.value("x")
	if n, ok := asNum(v); ok {
		kind := n.kind
		if kind == untypedFloat {
			kind = untypedInt
		}
		return num{r.fold(n.f), kind}
	}
	if untypedRun(v) {
		return v // whole already
	}
	t := a.float("x")
	return a.made(ir.F32, t.dims, r.emit(a.fr.g, t.v), t)
}

// quotient is floor(x / y) or ceil(x / y).
func (a *args) quotient(r rounding, b *dsl.Binary) value {
	x, y := a.live(a.checker.eval(b.X)), a.live(a.checker.eval(b.Y))
	a.checker.at(a.call.at)
	if !integral(x) || !integral(y) {
		a.by["x"].val = a.operate(b, "/", b.X, b.Y, x, y)
		return a.rounded(r)
	}
	if p, ok := asDim(x); ok {
		if q, ok := asDim(y); ok {
			if n, isConst := q.Const(); isConst && n < 1 || !isConst && !a.proved(q.AddN(-1)) {
				a.failf(b.Y, "the divisor of `%s` must be positive, but this is %s", r.name, y.show())
			}
			if r.up {
				return plain(p.Neg().FloorDiv(q.Dim).Neg())
			}
			return plain(p.FloorDiv(q.Dim))
		}
	}
	s, _ := a.fr.materialise(x)
	t, _ := a.fr.materialise(y)
	untyped := isUntyped(x) && isUntyped(y)
	s, t, dims, idx := a.stretch(b, "/", b.X, b.Y, s, t)
	g := a.fr.g
	v := s.v
	if r.up {
		v = g.Neg(g.Div(g.Neg(v), t.v))
	} else {
		v = g.Div(v, t.v)
	}
	return tensor{ctype: ctype{ir.I32, dims}, v: v, fr: a.fr, idx: idx, untyped: untyped}
}

// foldAll is f of the arguments if all are numbers at compile time, else nil.
func (a *args) foldAll(names []string, f func(n []float64) float64) value {
	kind := untypedInt
	var ns []float64
	for _, name := range names {
		n, ok := asNum(a.value(name))
		if !ok {
			return nil
		}
		kind = max(kind, n.kind)
		ns = append(ns, n.f)
	}
	return num{f(ns), kind}
}

// alike brings the arguments to one element type and one shape by the rules
// of operators.
func (a *args) alike(names ...string) (ts []tensor, dims []dim, idx []*index) {
	want, typed, whole := ir.F32, false, true
	for _, n := range names {
		v := a.value(n)
		if t, ok := v.(tensor); ok && !t.untyped && !typed {
			want, typed = t.elem, true
		}
		if _, ok := v.(boolean); ok && !typed {
			want, typed = ir.Bool, true
		}
		whole = whole && integral(v)
		if fractional(v) {
			whole = false
		}
	}
	if !typed && whole {
		want = ir.I32
	}
	for _, n := range names {
		w := want
		if w == ir.I32 && fractional(a.value(n)) {
			w = ir.F32 // reported as a mix below
		}
		ts = append(ts, a.tensor(n, w))
	}
	for i, t := range ts {
		if t.elem != ts[0].elem {
			a.fail(a.mixed(a.call.at, a.row.name, a.expr(names[0]), a.expr(names[i]), ts[0], t))
		}
	}
	dims, idx = ts[0].dims, ts[0].idx
	for i, t := range ts[1:] {
		d, why := broadcast(dims, t.dims)
		if why != "" {
			a.fail(a.misfit(names, ts, i+1, why))
		}
		dims, idx = d, mergeIndices(idx, t.idx)
	}
	for i := range ts {
		ts[i] = a.expand(ts[i], idx, dims)
	}
	return ts, dims, idx
}

// misfit is the message that argument k does not fit the ones before.
func (a *args) misfit(names []string, ts []tensor, k int, why string) *dsl.Diagnostic {
	first := 0
	for i, t := range ts[:k] { // the one that k does not fit
		if _, w := broadcast(t.dims, ts[k].dims); w != "" {
			first, why = i, w
			break
		}
	}
	d := a.errorf(a.call.at, "the arguments of `%s` do not fit: %s", a.row.name, why)
	d.Note(a.node(names[first]), "%s", ts[first].ctype).Note(a.node(names[k]), "%s", ts[k].ctype)
	if x, y := a.expr(names[first]), a.expr(names[k]); x != nil && y != nil {
		d.Help = broadcastHelp(x, y, ts[first], ts[k])
	}
	return d
}

// pair is min(x, y) or max(x, y).
func (a *args) pair(x, y string, emit func(g ops.Graph, x, y *ir.Value) *ir.Value, fold func(x, y float64) float64, largest bool) value {
	v, w := a.value(x), a.value(y)
	if n := a.foldAll([]string{x, y}, func(n []float64) float64 { return fold(n[0], n[1]) }); n != nil {
		return n
	}
	if p, ok := asDim(v); ok {
		if q, ok := asDim(w); ok {
			if a.proved(p.Sub(q.Dim)) {
				return choose(largest, p, q)
			}
			if a.proved(q.Sub(p.Dim)) {
				return choose(largest, q, p)
			}
		}
	}
	whole := isUntyped(v) && isUntyped(w) && integral(v) && integral(w)
	ts, dims, idx := a.alike(x, y)
	if ts[0].elem == ir.Bool {
		a.failf(a.call.at, "`%s` needs numbers, found %s", a.row.name, ts[0].ctype)
	}
	return tensor{ctype: ctype{ts[0].elem, dims}, v: emit(a.fr.g, ts[0].v, ts[1].v), fr: a.fr, idx: idx, untyped: whole}
}

func choose(first bool, p, q dim) dim {
	if first {
		return p
	}
	return q
}

func (a *args) logAddExp() value {
	lse := func(n []float64) float64 {
		m := max(n[0], n[1])
		if math.IsInf(m, 0) {
			return m
		}
		return m + math.Log(math.Exp(n[0]-m)+math.Exp(n[1]-m))
	}
	if v := a.foldAll([]string{"x", "y"}, lse); v != nil {
		return v
	}
	a.float("x")
	a.float("y")
	ts, dims, idx := a.alike("x", "y")
	// The largest goes out as a constant, so that both sides get their share of
	// the gradient where they are equal; where both are -inf nothing flows.
	g := a.fr.g
	x, y := ts[0].v, ts[1].v
	m := g.Stop(g.Max(x, y))
	dead := g.Equal(m, g.Like(m, -inf))
	m = g.Select(dead, g.Like(m, 0), m)
	s := g.Add(g.Exp(g.Sub(x, m)), g.Exp(g.Sub(y, m)))
	s = g.Select(dead, g.Like(s, 1), s)
	return tensor{ctype: ctype{ir.F32, dims}, v: g.Select(dead, g.Like(s, -inf), g.Add(m, g.Log(s))), fr: a.fr, idx: idx}
}

// where is where(c, x, y). Inside index notation it guards: x may index what
// is there only if c holds.
func (a *args) where() value {
	cond := a.value("condition")
	if b, ok := cond.(boolean); ok {
		if b {
			return a.value("x")
		}
		return a.value("y")
	}
	c := a.tensor("condition", ir.Bool)
	if c.elem != ir.Bool {
		a.failf(a.node("condition"), "the condition of `where` must be bool, found %s", c.ctype)
	}
	var v, w value
	a.guarded(c, true, func() { v = a.value("x") })
	a.guarded(c, false, func() { w = a.value("y") })
	a.checker.at(a.call.at)
	whole := isUntyped(v) && isUntyped(w) && integral(v) && integral(w)
	ts, dims, idx := a.alike("x", "y")
	all, why := broadcast(c.dims, dims)
	if why != "" {
		t := ts[0]
		t.dims = dims
		d := a.errorf(a.call.at, "the condition of `where` does not fit its values: %s", why)
		a.fail(d.Note(a.node("condition"), "%s", c.ctype).Note(a.node("x"), "%s", t.ctype))
	}
	idx = mergeIndices(c.idx, idx)
	p, q, r := a.expand(c, idx, all), a.expand(ts[0], idx, all), a.expand(ts[1], idx, all)
	return tensor{ctype: ctype{q.elem, all}, v: a.fr.g.Select(p.v, q.v, r.v), fr: a.fr, idx: idx, untyped: whole}
}

// negation is what is known where the comparison t does not hold: these are >= 0.
func (c *checker) negation(t tensor) []loop.Dim {
	switch {
	case len(t.guard) == 1:
		return []loop.Dim{t.guard[0].Neg().AddN(-1)}
	case len(t.guard) == 2 && t.guard[0].Add(t.guard[1]).Is(0): // ==
		return c.unequal(t.guard[0])
	case len(t.guard) == 0 && t.aff != nil: // !=
		return []loop.Dim{*t.aff, t.aff.Neg()}
	}
	return nil
}

// knowledge is what is known where the comparison t holds.
func (c *checker) knowledge(t tensor) []loop.Dim {
	if len(t.guard) == 0 && t.aff != nil { // !=
		return c.unequal(*t.aff)
	}
	return slices.Clone(t.guard)
}

// unequal is what p != 0 says if the sign of p is known.
func (c *checker) unequal(p loop.Dim) []loop.Dim {
	switch {
	case c.proved(p):
		return []loop.Dim{p.AddN(-1)}
	case c.proved(p.Neg()):
		return []loop.Dim{p.Neg().AddN(-1)}
	}
	return nil
}
