package check

import (
	"slices"
	"strings"

	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/ir"
)

// builtins are the operations of the language by name. The files builtin_*.go
// add theirs when the package starts, one row each.
var builtins = map[string]*builtin{}

// A row declares a builtin.
type row struct {
	name string
	// params are its parameters as they would be declared: "x, axis = -1".
	// One with a default may be left out; "xs..." takes any number.
	params string
	// brackets says what stands in brackets in front of the arguments; empty if nothing may.
	brackets string
	doc      string // starts with the name
	run      func(a *args) value
}

// signatures is how each builtin is called, by name.
var signatures = map[string]string{}

func add(rows ...row) {
	for _, r := range rows {
		signatures[r.name] = r.signature()
		builtins[r.name] = &builtin{name: r.name, doc: r.doc, run: func(c *checker, call *callSite) value {
			return r.run(c.bind(&r, call))
		}}
	}
}

// signature is how the builtin is called, for messages: topk(x, k, axis = -1).
func (r *row) signature() string {
	if r.brackets != "" {
		return r.name + "[" + r.brackets + "](" + r.params + ")"
	}
	return r.name + "(" + r.params + ")"
}

// args are the arguments of one application of a builtin.
type args struct {
	*checker
	row  *row
	call *callSite
	by   map[string]*argument
	rest []*argument // of the parameter with ...
}

// bind assigns the arguments of call to the parameters of r.
func (c *checker) bind(r *row, call *callSite) *args {
	a := &args{checker: c, row: r, call: call, by: map[string]*argument{}}
	if len(call.items) > 0 && r.brackets == "" {
		c.fail(c.errorf(call.items[0], "`%s` takes nothing in brackets", r.name).Helpf("write `%s`", r.signature()))
	}
	var names []string
	required := map[string]bool{}
	variadic := ""
	if r.params != "" {
		for _, p := range strings.Split(r.params, ", ") {
			name, _, optional := strings.Cut(p, " = ")
			if v, is := strings.CutSuffix(name, "..."); is {
				name, optional, variadic = v, true, v
			}
			names = append(names, name)
			required[name] = !optional
		}
	}
	pos := 0
	for i := range call.args {
		g := &call.args[i]
		name := g.name
		switch {
		case name == "" && variadic != "" && (pos >= len(names) || names[pos] == variadic):
			a.rest = append(a.rest, g)
			continue
		case name == "" && pos >= len(names):
			c.fail(c.errorf(g.at, "`%s` takes %s, found %d", r.name, count(len(names), "argument"), positional(call.args)).Helpf("write `%s`", r.signature()))
		case name == "":
			name = names[pos]
			pos++
		case !slices.Contains(names, name) || name == variadic:
			c.fail(suggest(c.errorf(g.at, "`%s` has no parameter `%s`", r.name, name), name, names, "write `"+r.signature()+"`"))
		}
		if a.by[name] != nil {
			c.failf(g.at, "`%s` is given twice", name)
		}
		a.by[name] = g
	}
	for _, n := range names {
		if required[n] && a.by[n] == nil {
			c.fail(c.errorf(call.at, "`%s` needs its argument `%s`", r.name, n).Helpf("write `%s`", r.signature()))
		}
	}
	return a
}

// has tells whether the argument name was given.
func (a *args) has(name string) bool { return a.by[name] != nil }

// node is where the argument name stands, or the call.
func (a *args) node(name string) dsl.Node {
	if g := a.by[name]; g != nil {
		return g.node()
	}
	return a.call.at
}

// expr is the argument name as it is written, or nil.
func (a *args) expr(name string) dsl.Expr {
	if g := a.by[name]; g != nil {
		return g.expr
	}
	return nil
}

// value is the value of the argument name, which must be there.
func (a *args) value(name string) value {
	v := a.live(a.arg(a.by[name]))
	a.at(a.call.at)
	return v
}

// tensor is the argument name as a tensor; untyped numbers become want.
func (a *args) tensor(name string, want ir.Elem) tensor {
	return a.fr.here(a.asTensor(a.node(name), a.value(name), want))
}

// float is the argument name as an f32 tensor.
func (a *args) float(name string) tensor { return a.elem(name, ir.F32) }

// elem is the argument name as a tensor that must have the element type e.
func (a *args) elem(name string, e ir.Elem) tensor {
	t := a.tensor(name, e)
	if t.elem != e {
		d := a.errorf(a.node(name), "`%s` needs %s, found %s", a.row.name, e, t.ctype)
		if x := a.expr(name); x != nil {
			d.Helpf("convert: `%s(%s)`", e, x)
		}
		a.fail(d)
	}
	return t
}

// numbers is the argument name as an f32 or i32 tensor.
func (a *args) numbers(name string) tensor {
	t := a.tensor(name, ir.F32)
	if t.elem == ir.Bool {
		d := a.errorf(a.node(name), "`%s` needs numbers, found %s", a.row.name, t.ctype)
		if x := a.expr(name); x != nil {
			d.Helpf("to count, convert: `%s(f32(%s))`", a.row.name, x)
		}
		a.fail(d)
	}
	return t
}

// constant is the compile-time value of the argument name. Options of train
// and generate blocks become constants by it.
func (a *args) constant(name string) value {
	v := a.value(name)
	if t, ok := v.(tensor); ok {
		if t.soft != nil {
			a.pin(t.soft)
			return t.soft.val
		}
		a.unrollFor(t)
	}
	return v
}

// num is the argument name as a number known when the model is compiled.
func (a *args) num(name string, other float64) float64 {
	if !a.has(name) {
		return other
	}
	v := a.constant(name)
	n, ok := asNum(v)
	if !ok {
		a.failf(a.node(name), "`%s` of `%s` must be a number known when the model is compiled, but this is %s", name, a.row.name, v.show())
	}
	return n.f
}

// int is the argument name as a whole number known when the model is
// compiled, at least least.
func (a *args) int(name string, least, other int) int {
	if !a.has(name) {
		return other
	}
	return a.whole32(name, a.constant(name), least)
}

func (a *args) whole32(name string, v value, least int) int {
	if d, ok := asDim(v); ok {
		if n, isConst := d.Const(); isConst && n >= least && n < 1<<31 {
			return n
		}
	}
	a.failf(a.node(name), "`%s` of `%s` must be a whole number known when the model is compiled, at least %d, but this is %s", name, a.row.name, least, v.show())
	return 0
}

// ints is the argument name as one whole number per axis, of n: one number
// stands for all.
func (a *args) ints(name string, n, least, other int) []int {
	out := slices.Repeat([]int{other}, n)
	if !a.has(name) {
		return out
	}
	v := a.constant(name)
	l, ok := v.(list)
	if !ok {
		return slices.Repeat([]int{a.whole32(name, v, least)}, n)
	}
	if len(l.items) != n {
		a.failf(a.node(name), "`%s` of `%s` needs one number, or %d, found %d", name, a.row.name, n, len(l.items))
	}
	for i, x := range l.items {
		out[i] = a.whole32(name, x, least)
	}
	return out
}

// flag is the argument name as a compile-time truth value.
func (a *args) flag(name string) bool {
	if !a.has(name) {
		return false
	}
	v := a.constant(name)
	b, ok := v.(boolean)
	if !ok {
		a.failf(a.node(name), "`%s` of `%s` must be true or false, but this is %s", name, a.row.name, v.show())
	}
	return bool(b)
}

// axis is the argument name as an axis of t; negative ones count from the end.
func (a *args) axis(name string, t tensor, other int) int {
	n := other
	if a.has(name) {
		n = a.axisNumber(name, a.constant(name), t)
	} else if n < 0 {
		n += len(t.dims)
	}
	if n < 0 || n >= len(t.dims) {
		a.failf(a.call.at, "`%s` needs an axis to work along, found %s", a.row.name, t.ctype)
	}
	return n
}

func (a *args) axisNumber(name string, v value, t tensor) int {
	d, ok := asDim(v)
	n, isConst := d.Const()
	if !ok || !isConst {
		a.failf(a.node(name), "an axis must be a number known when the model is compiled, but this is %s", v.show())
	}
	i := n
	if i < 0 {
		i += len(t.dims)
	}
	if i < 0 || i >= len(t.dims) {
		d := a.errorf(a.node(name), "there is no axis %d", n)
		if len(a.call.args) > 0 {
			d.Note(a.call.args[0].node(), "%s", t.ctype)
		}
		a.fail(d)
	}
	return i
}

// axes is the argument name as axes of t, ascending; all of them without it.
func (a *args) axes(name string, t tensor) []int {
	var out []int
	if !a.has(name) {
		for i := range t.dims {
			out = append(out, i)
		}
		return out
	}
	v := a.constant(name)
	l, ok := v.(list)
	if !ok {
		return []int{a.axisNumber(name, v, t)}
	}
	for _, x := range l.items {
		i := a.axisNumber(name, x, t)
		if slices.Contains(out, i) {
			a.failf(a.node(name), "axis %d is listed twice", i)
		}
		out = append(out, i)
	}
	slices.Sort(out)
	return out
}

// made is the tensor of type e[dims] that v is, with the indices of like.
func (a *args) made(e ir.Elem, dims []dim, v *ir.Value, like ...tensor) tensor {
	t := tensor{ctype: ctype{e, dims}, v: v, fr: a.fr}
	for _, l := range like {
		t.idx = mergeIndices(t.idx, l.idx)
	}
	return t
}

// wholeOnly ends the statement if t depends on indices: the operation works
// on whole tensors.
func (a *args) wholeOnly(ts ...tensor) {
	for _, t := range ts {
		if len(t.idx) > 0 {
			a.fail(a.errorf(a.call.at, "`%s` works on whole tensors, but this depends on the index `%s`", a.row.name, t.idx[0].name).
				Helpf("apply it to the whole tensor first, then index the result"))
		}
	}
}

// shifted is axes of a tensor counted behind the indices that t depends on.
func shifted(t tensor, axes []int) []int {
	out := make([]int, len(axes))
	for i, x := range axes {
		out[i] = x + len(t.idx)
	}
	return out
}
