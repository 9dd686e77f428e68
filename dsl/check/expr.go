package check

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/ir"
)

// eval gives the value of an expression.
func (c *checker) eval(e dsl.Expr) value {
	if c.depth++; c.depth > 400 {
		c.depth = 0
		c.failf(e, "this expression is nested too deeply")
	}
	defer func() { c.depth-- }()
	switch e := e.(type) {
	case *dsl.Number:
		if e.IsInt() {
			if n, ok := e.Int(); !ok || n > 1<<53 {
				c.failf(e, "the number %s is too large", e.Text)
			}
			return num{f: e.Float()}
		}
		if math.IsInf(e.Float(), 0) {
			c.fail(c.errorf(e, "the number %s is too large", e.Text).Helpf("infinity is written `inf`"))
		}
		return num{e.Float(), untypedFloat}
	case *dsl.String:
		return str(e.Value)
	case *dsl.Name:
		v := c.lookup(e)
		if ix, ok := v.(*index); ok {
			return c.indexValue(ix)
		}
		return v
	case *dsl.Paren:
		return c.eval(e.X)
	case *dsl.List:
		l := list{}
		for _, x := range e.Items {
			l.items = append(l.items, c.eval(x))
		}
		return l
	case *dsl.Unary:
		return c.unary(e)
	case *dsl.Binary:
		if e.Op == "|>" {
			return c.pipe(e)
		}
		return c.binary(e)
	case *dsl.Select:
		return c.selected(e)
	case *dsl.Index:
		return c.indexed(e)
	case *dsl.Call:
		return c.apply(e.Fun, e.Args, e, nil)
	}
	c.failf(e, "`%s` cannot stand here", e)
	return nil
}

func (c *checker) pipe(e *dsl.Binary) value {
	switch y := e.Y.(type) {
	case *dsl.Call:
		return c.apply(y.Fun, y.Args, y, e.X)
	case *dsl.Name, *dsl.Select, *dsl.Index:
		return c.apply(y, nil, y, e.X)
	}
	c.fail(c.errorf(e.Y, "the right side of `|>` must be a call or a name, found `%s`", e.Y).
		Helpf("`x |> f(a)` means f(x, a)"))
	return nil
}

// tensor evaluates e to a tensor; numbers become f32 ones, or i32 where they
// are whole and want is so.
func (c *checker) tensor(e dsl.Expr, want ir.Elem) tensor {
	return c.asTensor(e, c.eval(e), want)
}

// asTensor makes a tensor of v, the value of what stands at n. Untyped numbers
// become want; a tensor keeps its type.
func (c *checker) asTensor(n dsl.Node, v value, want ir.Elem) tensor {
	if want == ir.Bool {
		want = ir.F32
	}
	switch v := c.live(v).(type) {
	case num:
		if want == ir.I32 && v.f != float64(int64(v.f)) {
			c.failf(n, "%s is not a whole number", v)
		}
		if want == ir.I32 && (v.f < math.MinInt32 || v.f > math.MaxInt32) {
			c.failf(n, "%.0f is too large for i32, which ends at %d", v.f, math.MaxInt32)
		}
		switch v.kind {
		case typedF32:
			want = ir.F32
		case typedI32:
			want = ir.I32
		}
		return tensor{ctype: ctype{elem: want}, v: c.fr.g.Constant(want, v.f), fr: c.fr}
	case dim, tensor, boolean:
		t, _ := c.fr.materialise(v)
		if t.untyped && want != t.elem {
			t = c.cast(t, want)
		}
		t.untyped = false
		return t
	case tuple:
		c.fail(c.errorf(n, "this gives %d values where one is needed", len(v)).
			Helpf("give each a name first: `a, b := …`"))
	case *stack:
		c.fail(c.errorf(n, "expected a tensor, found %s", v.show()).
			Helpf("apply them in turn: `for _, f := range %s { x = f(x) }`", v.name))
	}
	c.failf(n, "expected a tensor, found %s", v.show())
	return tensor{}
}

// cast converts the elements of t.
func (c *checker) cast(t tensor, e ir.Elem) tensor {
	t = c.fr.here(t)
	if t.elem == e {
		t.untyped = false
		return t
	}
	if d := t.aff; d != nil && t.untyped && e == ir.F32 && t.v.Op.Source && len(t.idx) == 0 {
		if n, ok := d.Const(); ok {
			return tensor{ctype: ctype{elem: e}, v: c.fr.g.Float(float64(n)), fr: c.fr}
		}
	}
	return tensor{ctype: ctype{e, t.dims}, v: c.fr.g.Cast(t.v, e), fr: c.fr, idx: t.idx}
}

// toElem gives a scalar number or tensor the element type e, as passing it to
// a parameter does: untyped numbers convert, all else must have the type.
// Constants stay constants. It returns nil if v cannot be e.
func (c *checker) toElem(v value, e ir.Elem) value {
	switch v := v.(type) {
	case num:
		switch {
		case e == ir.F32 && v.kind != typedI32:
			return num{v.f, typedF32}
		case e == ir.I32 && v.isInt():
			return num{v.f, typedI32}
		}
	case dim:
		n, ok := asNum(v)
		switch {
		case ok:
			return c.toElem(n, e)
		case e == ir.Bool:
			return nil
		}
		return c.toElem(c.fr.size(v), e)
	case boolean:
		if e == ir.Bool {
			return v
		}
	case tensor:
		if v.elem == e {
			v.untyped = false
			return v
		}
		if v.untyped && e == ir.F32 {
			return c.cast(v, e)
		}
	}
	return nil
}

// dim evaluates a dim expression and gives it the text it is written in.
func (c *checker) dim(e dsl.Expr) dim {
	v := c.eval(e)
	if d, ok := asDim(v); ok {
		switch dsl.Unparen(e).(type) {
		case *dsl.Number, *dsl.Name:
		default:
			if _, isDim := v.(dim); isDim {
				d.text = compact(e.String())
			}
		}
		return d
	}
	if t, is := v.(tensor); is {
		if t.soft != nil {
			if n, is := asDim(t.soft.val); is {
				c.pin(t.soft)
				return n
			}
		}
		c.unrollFor(t)
	}
	d := c.errorf(e, "a dimension must be a whole number known from shapes, but this is %s", v.show())
	if _, is := v.(tensor); is {
		d.Helpf("the size of a tensor may not depend on values computed by the model; pass it as a parameter of type `dim`")
	}
	c.fail(d)
	return dim{}
}

// elem is the element type that t names.
func (c *checker) elem(t *dsl.Type) elemType {
	if e, ok := constants[t.Name.Text].(elemType); ok {
		return e
	}
	d := c.errorf(t.Name, "`%s` is not a type", t.Name.Text)
	if slices.Contains([]string{"f64", "f16", "bf16", "i8", "u8", "i64"}, t.Name.Text) {
		c.fail(d.Helpf("the element types are f32, i32 and bool"))
	}
	c.fail(suggest(d, t.Name.Text, []string{"f32", "i32", "bool"}, "the element types are f32, i32 and bool"))
	return elemType{}
}

// typ evaluates a type.
func (c *checker) typ(t *dsl.Type) ctype {
	out := ctype{elem: c.elem(t).elem}
	for _, e := range t.Dims {
		if _, is := e.(*dsl.Ellipsis); is {
			out.dims = append(out.dims, c.currentPack(e)...)
			continue
		}
		out.dims = append(out.dims, c.size(e))
	}
	return out
}

// size is the dim of an axis that is made: it must not be negative.
func (c *checker) size(e dsl.Expr) dim {
	d := c.dim(e)
	msg := "the size of an axis may be negative: " + d.poly()
	if n, ok := d.Const(); ok {
		msg = "the size of an axis cannot be negative, but this is " + strconv.Itoa(n)
	}
	c.need(e, d.Dim, d, msg)
	return d
}

// truth evaluates a compile-time condition. why says what it is for.
func (c *checker) truth(e dsl.Expr) bool {
	v := c.eval(e)
	switch b := v.(type) {
	case boolean:
		return bool(b)
	case tensor:
		if b.soft != nil {
			if x, ok := b.soft.val.(boolean); ok {
				c.pin(b.soft)
				return bool(x)
			}
		}
		c.unrollFor(b)
	}
	d := c.errorf(e, "the condition of `if` must be known when the model is compiled, but this is %s", v.show())
	if _, is := v.(tensor); is {
		d.Helpf("to choose between two tensors while running, use where(condition, a, b)")
	}
	c.fail(d)
	return false
}

// pin makes the options of s compile-time constants: the program must be
// checked again.
func (c *checker) pin(s *soft) {
	for _, o := range s.opts {
		o.pinned = true
	}
}

// selected is x.name.
func (c *checker) selected(e *dsl.Select) value {
	if v := c.storeOf(e); v != nil {
		return c.live(c.fr.read(v))
	}
	name := e.Name.Text
	if n, ok := e.X.(*dsl.Name); ok && c.fn.pkg.lacking[c.fn.file] {
		if _, known := c.known(n.Text); !known && c.sc.find(n.Text) == nil {
			c.silent() // perhaps what the import would have brought
		}
	}
	switch x := c.live(c.eval(e.X)).(type) {
	case *pkg:
		if x.poisoned[name] {
			c.silent()
		}
		if !isCapital(name) && (x.funcs[name] != nil || x.layers[name] != nil || x.consts[name] != nil) {
			c.fail(c.errorf(e, "`%s` of package %s is not visible outside of it", name, x.name).Helpf("names that start with a capital letter are"))
		}
		if v, ok := c.global(x, name); ok {
			return v
		}
		d := c.errorf(e, "package %s has no `%s`", x.name, name)
		if s := dsl.Suggest(name, x.names()); s != "" {
			d.Helpf("did you mean `%s.%s`?", x.name, s)
		} else if f := lowered(name); builtins[f] != nil || c.prelude != nil && c.prelude.funcs[f] != nil {
			d.Helpf("`%s` is a function and needs no import", f)
		}
		c.fail(d)
	case *layer:
		if v, ok := x.member(c, name); ok {
			return c.live(v)
		}
		c.fail(suggest(c.errorf(e.Name, "%s has no `%s`", x.inst.name, name), name, x.inst.names(), ""))
	case *stack:
		c.fail(c.errorf(e, "`%s` is %s layers, not one", e.X, x.count).
			Helpf("take them in turn: `for _, f := range %s { … }`", e.X))
	case tensor:
		if name != "T" {
			c.failf(e, "a tensor has no `.%s`", name)
		}
		n := len(x.dims)
		if n < 2 {
			c.failf(e, "`.T` needs at least two axes, found %s", x.ctype)
		}
		c.at(e)
		perm := make([]int, n)
		for i := range perm {
			perm[i] = i
		}
		perm[n-1], perm[n-2] = n-2, n-1
		return c.permute(x, perm)
	case value:
		c.failf(e, "%s has no `.%s`", x.show(), name)
	}
	return nil
}

// lowered is the name of a function as it stands here: relu for ReLU,
// logSoftmax for LogSoftmax.
func lowered(name string) string {
	if name == strings.ToUpper(name) || name == "ReLU" || name == "SiLU" {
		return strings.ToLower(name)
	}
	return strings.ToLower(name[:1]) + name[1:]
}

// permute makes axis perm[i] of x axis i.
func (c *checker) permute(x tensor, perm []int) tensor {
	full := make([]int, 0, len(x.idx)+len(perm))
	for i := range x.idx {
		full = append(full, i)
	}
	dims := make([]dim, len(perm))
	for i, p := range perm {
		dims[i] = x.dims[p]
		full = append(full, len(x.idx)+p)
	}
	return tensor{ctype: ctype{x.elem, dims}, v: c.fr.g.Transpose(c.fr.use(x), full...), fr: c.fr, idx: x.idx, arg: x.arg}
}

// storeOf returns the variable that e names: a local one or a tensor of a
// layer (`tok.w`). It is nil for all else.
func (c *checker) storeOf(e dsl.Expr) *variable {
	switch e := e.(type) {
	case *dsl.Paren:
		return c.storeOf(e.X)
	case *dsl.Name:
		return c.variableOf(e)
	case *dsl.Select:
		var l *layer
		switch x := e.X.(type) {
		case *dsl.Name, *dsl.Select, *dsl.Index, *dsl.Paren:
			if !c.pathOf(x) {
				return nil
			}
			l, _ = c.eval(x).(*layer)
		}
		if l != nil {
			return l.tensor(c, e.Name.Text)
		}
	}
	return nil
}

// pathOf tells whether e could name a layer, so that evaluating it twice does
// no harm.
func (c *checker) pathOf(e dsl.Expr) bool {
	switch e := e.(type) {
	case *dsl.Name:
		if v := c.sc.find(e.Text); v != nil {
			_, is := c.fr.read(v).(*layer)
			return is
		}
		if c.fn.self == nil {
			return false
		}
		v, _ := c.fn.self.member(c, e.Text)
		switch v.(type) {
		case *layer, *stack:
			return true
		}
	case *dsl.Select:
		return c.pathOf(e.X)
	case *dsl.Index:
		return c.pathOf(e.X)
	case *dsl.Paren:
		return c.pathOf(e.X)
	}
	return false
}
