package check

import (
	"fmt"

	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// A place is a tensor that may be read whole or in part: a variable, which
// need not be read at all where only a slice of it is wanted, or a value.
type place struct {
	expr dsl.Expr // as the user wrote it
	v    *variable
	t    tensor // if v is nil
	typ  ctype
}

// whole reads all of p.
func (c *checker) whole(p place) tensor {
	if p.v == nil {
		return p.t
	}
	t, ok := c.live(c.fr.read(p.v)).(tensor)
	if !ok {
		c.silent()
	}
	return t
}

// placeOf evaluates e as something to index; ok is false if it is no tensor,
// and then v is its value.
func (c *checker) placeOf(e dsl.Expr) (p place, v value, ok bool) {
	if x := c.storeOf(e); x != nil {
		if t, is := x.typ(); is && x.part == nil {
			x.used = true
			if _, bad := x.val.(poison); bad {
				c.silent()
			}
			return place{expr: e, v: x, typ: t}, nil, true
		}
	}
	v = c.live(c.eval(e))
	t, ok := v.(tensor)
	return place{expr: e, t: t, typ: t.ctype}, v, ok
}

// indexed is x[…] where it is a value: not on the left of an assignment.
func (c *checker) indexed(e *dsl.Index) value {
	p, v, ok := c.baseOf(e)
	if ok {
		if c.sc.inIndex() {
			if t, done := c.indexAccess(e, p); done {
				return t
			}
		}
		return c.subscript(e, p)
	}
	switch v := v.(type) {
	case list:
		return c.listItem(e, v)
	case *stack:
		if len(e.Items) == 1 && e.Items[0].Kind == dsl.ItemPlain {
			return c.stackItem(e, v)
		}
	case *builtin, *function, *layerDecl, elemType, *layer:
		return spec{v, e.Items, e}
	}
	c.failf(e, "%s cannot be indexed", v.show())
	return nil
}

// stackItem is blocks[i].
func (c *checker) stackItem(e *dsl.Index, s *stack) value {
	v := c.live(c.eval(e.Items[0].X))
	if d, ok := asDim(v); ok {
		n, ok1 := s.count.Const()
		i, ok2 := d.Const()
		if i < 0 {
			i += n
		}
		if !ok1 || !ok2 || i < 0 || i >= n {
			c.failf(e.Items[0], "index %s is outside `%s`, which has %s layers", d, e.X, s.count)
		}
		return s.element(copyOf{n: i})
	}
	if t, ok := v.(tensor); ok && t.aff != nil && t.untyped {
		for f := c.fr; f != nil; f = f.up {
			if f.sym != "" && t.aff.Eq(loop.Sym(f.sym)) && f.dyn == nil && s.count.Eq(f.trip) {
				return s.element(copyOf{loop: f})
			}
		}
		c.unrollFor(t)
	}
	c.fail(c.errorf(e.Items[0], "the index of a stack of layers must be a constant or the counter of a loop over all of it").
		Helpf("write `for _, f := range %s { … }`", e.X))
	return nil
}

// listItem is list[i]: an element, or at run time a number from a table.
func (c *checker) listItem(e *dsl.Index, l list) value {
	if len(e.Items) != 1 || e.Items[0].Kind != dsl.ItemPlain {
		c.failf(e, "a list takes one index")
	}
	at := e.Items[0]
	v := c.live(c.eval(at.X))
	if d, ok := asDim(v); ok {
		i, isConst := d.Const()
		if i < 0 {
			i += len(l.items)
		}
		if !isConst || i < 0 || i >= len(l.items) {
			c.failf(at, "index %s is outside the list, which has length %d", d, len(l.items))
		}
		return l.items[i]
	}
	t, ok := v.(tensor)
	if !ok || t.elem != ir.I32 {
		c.failf(at, "an index must be an integer, found %s", v.show())
	}
	ints := true
	data := make([]float64, len(l.items))
	for i, x := range l.items {
		n, ok := asNum(x)
		if !ok {
			c.unrollFor(t)
			c.failf(e, "this list holds more than numbers; its index must be a constant")
		}
		data[i] = n.f
		ints = ints && n.isInt()
	}
	c.at(e)
	elem := ir.F32
	if ints {
		elem = ir.I32
	}
	name := l.name
	if name == "" {
		name = "list"
	}
	tab := c.entry.table(c, &table{name: name, elem: elem, shape: []int{len(data)}, data: data})
	c.inBounds(at, t, number(len(data)), 0, e.X)
	return tensor{
		ctype: ctype{elem: elem, dims: t.dims}, v: c.fr.g.Gather(c.fr.use(tab), c.fr.use(t), 0), fr: c.fr, idx: t.idx,
		untyped: ints && t.untyped,
	}
}

// inBounds checks 0 <= i < d for the index i at n: where i is a polynomial,
// by proof; where it was computed, at run time.
func (c *checker) inBounds(n *dsl.Item, i tensor, d dim, axis int, base dsl.Expr) {
	if i.aff == nil {
		if i.arg > 0 {
			c.entry.inRange(i.arg-1, d.Dim)
		}
		return
	}
	hi := c.largest(*i.aff)
	c.need(n, d.Sub(*i.aff).AddN(-1), d, fmt.Sprintf("index `%s` reaches %s, but axis %d of `%s` has length %s", n, hi.poly(), axis, base, d))
	lo := plain(c.extreme(*i.aff, false))
	if _, always := lo.Const(); always && len(i.idx) > 0 && !c.rigid && !c.proved(*i.aff) {
		c.fail(c.errorf(n, "index `%s` may be %s, but axis %d of `%s` starts at 0", n, lo.poly(), axis, base).
			Helpf("guard it: `where(%s >= 0, …, …)`", n))
	}
	c.need(n, *i.aff, d, fmt.Sprintf("index `%s` may be %s, but axis %d of `%s` starts at 0", n, lo.poly(), axis, base))
}

// An axisPart is what an index expression takes of one axis.
type axisPart struct {
	item    *dsl.Item // nil for the axes of `...` and missing ones
	axis    int       // of the tensor; -1 for a new axis
	start   loop.Dim  // first index, if it is a dim
	dyn     *tensor   // first index, if it is known at run time only
	size    dim       // how many
	drop    bool      // a single index: the axis disappears
	rows    *tensor   // an i32 tensor of indices, in place of all this
	partial bool      // not the whole axis
}

// subscript is x[…] on whole tensors.
func (c *checker) subscript(e *dsl.Index, p place) tensor {
	parts := c.parts(e, p.typ, p.expr)
	// The slice at the counter of a loop is one the loop walks.
	t, parts := c.walk(p, parts)
	c.at(e)
	return c.take(t, parts)
}

// walk reads p; if one part of it is the counter of the present loop, only
// that slice.
func (c *checker) walk(p place, parts []axisPart) (tensor, []axisPart) {
	if s, k := c.walked(p, parts); s != nil {
		rest := append([]axisPart{}, parts[:k]...)
		for _, q := range parts[k+1:] {
			if q.axis > parts[k].axis {
				q.axis--
			}
			rest = append(rest, q)
		}
		t, ok := c.live(c.fr.read(s)).(tensor)
		if !ok {
			c.silent()
		}
		return t, rest
	}
	return c.whole(p), parts
}

// walked finds the part that is the counter of the present loop, and the slice
// of p there.
func (c *checker) walked(p place, parts []axisPart) (*variable, int) {
	if p.v == nil || p.v.part != nil || p.v.home == c.fr || c.fr.sym == "" {
		return nil, 0
	}
	for k, q := range parts {
		if q.dyn != nil && q.drop && q.dyn.aff != nil && q.dyn.aff.Eq(loop.Sym(c.fr.sym)) {
			if s := c.fr.slice(p.v, q.axis); s != nil {
				return s, k
			}
		}
	}
	return nil, 0
}

// parts evaluates the items of e on a tensor of type t.
func (c *checker) parts(e *dsl.Index, t ctype, base dsl.Expr) []axisPart {
	used, rest := 0, false
	for _, it := range e.Items {
		switch it.X.(type) {
		case *dsl.Ellipsis:
			if rest {
				c.failf(it, "`...` may stand only once")
			}
			rest = true
		case *dsl.Underscore:
		default:
			used++
		}
	}
	if used > len(t.dims) {
		c.fail(c.errorf(e, "%s for a tensor with %s", plural(used, "index", "indices"), plural(len(t.dims), "axis", "axes")).Note(e.X, "%s", t))
	}
	var out []axisPart
	axis := 0
	full := func() {
		out = append(out, axisPart{axis: axis, size: t.dims[axis]})
		axis++
	}
	for _, it := range e.Items {
		switch it.X.(type) {
		case *dsl.Ellipsis:
			for n := len(t.dims) - used; n > 0; n-- {
				full()
			}
			continue
		case *dsl.Underscore:
			out = append(out, axisPart{item: it, axis: -1, size: number(1)})
			continue
		}
		if it.Kind == dsl.ItemNamed {
			c.failf(it, "an index has no name; write `%s`", it.X)
		}
		if it.Kind == dsl.ItemSlice {
			if it.Lo == nil && it.Hi == nil {
				full()
				continue
			}
			out = append(out, c.slicePart(it, t.dims[axis], axis, base))
		} else {
			out = append(out, c.indexPart(it, t, axis, e))
		}
		axis++
	}
	for axis < len(t.dims) {
		full()
	}
	return out
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// indexPart is a single index or an i32 tensor of them.
func (c *checker) indexPart(it *dsl.Item, t ctype, axis int, e *dsl.Index) axisPart {
	return c.indexedPart(it, c.live(c.eval(it.X)), t, axis, e)
}

// indexedPart is indexPart for the value v of the item.
func (c *checker) indexedPart(it *dsl.Item, v value, t ctype, axis int, e *dsl.Index) axisPart {
	d := t.dims[axis]
	p := axisPart{item: it, axis: axis, size: number(1), drop: true, partial: true}
	if i, ok := asDim(v); ok {
		start := i.Dim
		if n, isConst := i.Const(); isConst {
			if k, known := d.Const(); known && (n >= k || n < -k) {
				c.fail(c.errorf(it, "index %d is outside axis %d, which has length %s", n, axis, d).Note(e.X, "%s", t))
			}
			if n < 0 {
				start = d.AddN(n)
			}
		}
		p.start = start
		c.need(it, d.Sub(start).AddN(-1), d, fmt.Sprintf("index `%s` reaches %s, but axis %d of `%s` has length %s", it, polyString(start), axis, e.X, d))
		c.need(it, start, d, fmt.Sprintf("index `%s` may be negative: %s", it, polyString(start)))
		return p
	}
	i, ok := v.(tensor)
	if !ok || i.elem != ir.I32 {
		dg := c.errorf(it, "an index must be an integer, found %s", v.show())
		if b, is := dsl.Unparen(it.X).(*dsl.Binary); is && b.Op == "/" {
			dg.Helpf("`/` never rounds; write `floor(%s)`", b)
		}
		c.fail(dg)
	}
	c.inBounds(it, i, d, axis, e.X)
	if len(i.dims) > 0 || i.aff == nil {
		p.rows = &i
		return p
	}
	p.dyn = &i
	return p
}

// slicePart is lo:hi.
func (c *checker) slicePart(it *dsl.Item, d dim, axis int, base dsl.Expr) axisPart {
	p := axisPart{item: it, axis: axis, partial: true}
	lo, hi := loop.N(0), d.Dim
	text := ""
	if it.Lo != nil {
		lo, p.dyn = c.bound(it.Lo, d)
	}
	if it.Hi != nil {
		var dyn *tensor
		hi, dyn = c.bound(it.Hi, d)
		if it.Lo == nil && dyn == nil {
			if _, isName := it.Hi.(*dsl.Name); isName {
				text = it.Hi.String()
			}
		}
		c.need(it, d.Sub(hi), d, fmt.Sprintf("the slice ends at %s, but axis %d of `%s` has length %s", c.largest(hi).poly(), axis, base, d))
	}
	if it.Lo != nil {
		c.need(it, lo, d, fmt.Sprintf("the slice starts at %s, which may be negative", polyString(c.extreme(lo, false))))
	}
	size := hi.Sub(lo)
	for _, s := range size.Syms() {
		if _, isCounter := c.rangeOf(s); isCounter {
			at := it.Hi
			if at == nil {
				at = it.Lo
			}
			if p.dyn != nil {
				c.unrollFor(*p.dyn)
			}
			c.fail(c.errorf(at, "the length of a slice must be a dimension, but here it changes with the loop").
				Helpf("write the slice as `t:t+n`, or mask the elements that do not count with where"))
		}
	}
	c.need(it, size, d, fmt.Sprintf("the slice starts at %s, after its end %s", polyString(lo), polyString(hi)))
	p.start, p.size = lo, plain(size).named(text)
	if n, ok := asDim(c.dimIn(text)); ok && text != "" {
		p.size = n
	}
	return p
}

// dimIn gives the dim called text, or nothing.
func (c *checker) dimIn(text string) value {
	if text == "" {
		return nothing{}
	}
	v, ok := c.known(text)
	if !ok {
		return nothing{}
	}
	return v
}

// bound is one end of a slice: a dim, or affine in a loop counter.
func (c *checker) bound(e dsl.Expr, d dim) (loop.Dim, *tensor) {
	v := c.live(c.eval(e))
	if n, ok := asDim(v); ok {
		if k, isConst := n.Const(); isConst && k < 0 {
			return d.AddN(k), nil
		}
		return n.Dim, nil
	}
	if t, ok := v.(tensor); ok && t.untyped && t.aff != nil && t.scalar() && len(t.idx) == 0 {
		return *t.aff, &t
	}
	c.fail(c.errorf(e, "the bounds of a slice must be dimensions, found %s", v.show()).
		Helpf("the size of a tensor may not depend on values computed by the model; pass the bound as a parameter of type `dim`"))
	return loop.Dim{}, nil
}

// take applies parts to t.
func (c *checker) take(t tensor, parts []axisPart) tensor {
	if len(t.idx) > 0 {
		return c.takeIndexed(t, parts)
	}
	g, v := c.fr.g, c.fr.use(t)
	arg := t.arg
	// All that is static in one slice.
	static := false
	shape := append([]loop.Dim{}, v.Type.Shape...)
	starts, sizes, steps := make([]loop.Dim, len(shape)), append([]loop.Dim{}, shape...), make([]int, len(shape))
	for i := range steps {
		steps[i] = 1
	}
	for _, p := range parts {
		if p.axis >= 0 && p.partial {
			arg = 0
			if p.rows == nil && p.dyn == nil {
				starts[p.axis], sizes[p.axis] = p.start, p.size.Dim
				static = true
			}
		}
	}
	if static {
		v = g.Slice(v, starts, sizes, steps)
	}
	// The others from the last axis to the first, so that axes keep their numbers.
	for k := len(parts) - 1; k >= 0; k-- {
		switch p := parts[k]; {
		case p.axis < 0 || !p.partial:
		case p.rows != nil:
			v = g.Gather(v, c.fr.use(*p.rows), p.axis)
		case p.dyn != nil:
			v = g.DynSlice(v, c.fr.use(*p.dyn), p.axis, p.size.Dim)
		}
	}
	var dims []dim
	for _, p := range parts {
		switch {
		case p.rows != nil:
			dims = append(dims, p.rows.dims...)
		case !p.drop:
			dims = append(dims, p.size)
		}
	}
	return tensor{ctype: ctype{t.elem, dims}, v: g.Reshape(v, shapeOf(dims)...), fr: c.fr, arg: arg}
}

// put is t with y written at parts.
func (c *checker) put(t, y tensor, parts []axisPart) tensor {
	g := c.fr.g
	var full []loop.Dim
	for _, p := range parts {
		if p.axis >= 0 {
			full = append(full, p.size.Dim)
		}
	}
	v := c.putPart(c.fr.use(t), g.Reshape(c.fr.use(y), full...), parts)
	return tensor{ctype: t.ctype, v: v, fr: c.fr}
}

func (c *checker) putPart(x, y *ir.Value, parts []axisPart) *ir.Value {
	for k, p := range parts {
		if p.axis < 0 || !p.partial || p.size.Eq(x.Type.Shape[p.axis]) && p.dyn == nil {
			continue
		}
		var at *ir.Value
		if p.dyn != nil {
			at = c.fr.use(*p.dyn)
		} else {
			at = c.fr.size(plain(p.start)).v
		}
		if !ir.SameShape(without(x.Type.Shape, p.axis), without(y.Type.Shape, p.axis)) {
			slab := c.fr.g.DynSlice(x, at, p.axis, p.size.Dim)
			y = c.putPart(slab, y, parts[k+1:])
		}
		return c.fr.g.DynUpdate(x, y, at, p.axis)
	}
	return y
}
