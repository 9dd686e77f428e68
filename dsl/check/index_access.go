package check

import (
	"slices"

	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// An axisUse is what index notation takes of one axis.
type axisUse struct {
	it   *dsl.Item // nil for axes that stay
	axis int
	ix   *index   // the index that walks it; a made-up one for axes that stay
	keep bool     // the axis stays
	from loop.Dim // first element
	size loop.Dim // elements
	step int
	one  bool    // a single element: the axis disappears
	val  *tensor // the elements are at these places
}

// indexAccess is x[…] inside index notation. done is false if none of the
// items depends on an index; then it is an ordinary subscript.
func (c *checker) indexAccess(e *dsl.Index, p place) (t tensor, done bool) {
	depends := false
	for _, it := range e.Items {
		depends = depends || c.mentionsIndex(it)
	}
	if !depends {
		return tensor{}, false
	}
	uses := c.axisUses(e, p.typ)
	c.at(e)
	var src tensor
	if k, s := c.walkedUse(p, uses); s != nil {
		t, ok := c.live(c.fr.read(s)).(tensor)
		if !ok {
			c.silent()
		}
		src, uses = t, without(uses, k)
	} else {
		src = c.whole(p)
	}
	if len(src.idx) > 0 {
		c.fail(c.errorf(e, "this depends on indices on both sides of the brackets").Helpf("give the tensor in front of the brackets a name of its own first"))
	}
	return c.access(src, uses), true
}

// walkedUse finds the use that is the counter of the present loop, and the
// slice of p that the loop walks there.
func (c *checker) walkedUse(p place, uses []axisUse) (int, *variable) {
	if p.v == nil || p.v.part != nil || p.v.home == c.fr || c.fr.sym == "" {
		return 0, nil
	}
	for k, u := range uses {
		if u.val != nil && u.val.aff != nil && len(u.val.idx) == 0 && u.val.aff.Eq(loop.Sym(c.fr.sym)) {
			if s := c.fr.slice(p.v, u.axis); s != nil {
				return k, s
			}
		}
	}
	return 0, nil
}

// axisUses evaluates the items of e, on a tensor of type t, to one use per axis.
func (c *checker) axisUses(e *dsl.Index, t ctype) []axisUse {
	n := 0 // axes that items use
	rest := -1
	for i, it := range e.Items {
		_, pack := c.bare(it)
		switch {
		case pack != nil:
			n += len(pack.idx)
		case isEllipsis(it):
			rest = i
		default:
			n++
		}
	}
	if n > len(t.dims) {
		c.fail(c.errorf(e, "%s for a tensor with %s", plural(n, "index", "indices"), plural(len(t.dims), "axis", "axes")).Note(e.X, "%s", t))
	}
	var out []axisUse
	stay := func() {
		d := t.dims[len(out)]
		out = append(out, axisUse{axis: len(out), ix: &index{rng: &d}, keep: true, size: d.Dim, step: 1})
	}
	for i, it := range e.Items {
		if _, pack := c.bare(it); pack != nil {
			for _, ix := range pack.idx {
				out = append(out, c.indexUse(it, ix, t, len(out), e))
			}
			continue
		}
		switch {
		case i == rest:
			for range len(t.dims) - n {
				stay()
			}
		case it.Kind == dsl.ItemSlice && it.Lo == nil && it.Hi == nil:
			stay()
		case it.Kind == dsl.ItemSlice:
			q := c.slicePart(it, t.dims[len(out)], len(out), e.X)
			if q.dyn != nil {
				c.failf(it, "a slice inside index notation must have fixed bounds")
			}
			out = append(out, axisUse{it: it, axis: len(out), ix: &index{rng: &q.size}, keep: true, from: q.start, size: q.size.Dim, step: 1})
		case it.Kind == dsl.ItemNamed:
			c.failf(it, "an index has no name; write `%s`", it.X)
		default:
			if _, is := it.X.(*dsl.Underscore); is {
				c.failf(it, "`_` cannot stand here: there are no axes inside index notation")
			}
			if ix, _ := c.bare(it); ix != nil {
				out = append(out, c.indexUse(it, ix, t, len(out), e))
			} else {
				out = append(out, c.placeUse(it, t, len(out), e))
			}
		}
	}
	for len(out) < len(t.dims) {
		stay()
	}
	return out
}

// indexUse is a bare index.
func (c *checker) indexUse(it *dsl.Item, ix *index, t ctype, axis int, e *dsl.Index) axisUse {
	d := t.dims[axis]
	if ix.rng.Eq(d.Dim) {
		return axisUse{it: it, axis: axis, ix: ix, size: d.Dim, step: 1}
	}
	return c.affineUse(it, c.indexValue(ix), d, axis, e)
}

// placeUse is any other item: a constant, an expression of indices, or
// computed places.
func (c *checker) placeUse(it *dsl.Item, t ctype, axis int, e *dsl.Index) axisUse {
	d := t.dims[axis]
	v := c.live(c.eval(it.X))
	if _, ok := asDim(v); ok {
		q := c.indexedPart(it, v, t, axis, e)
		return axisUse{it: it, axis: axis, from: q.start, size: loop.N(1), step: 1, one: true}
	}
	i, ok := v.(tensor)
	if !ok || i.elem != ir.I32 {
		dg := c.errorf(it, "an index must be an integer, found %s", v.show())
		if b, is := dsl.Unparen(it.X).(*dsl.Binary); is && b.Op == "/" {
			dg.Helpf("`/` never rounds; write `floor(%s)`", b)
		}
		c.fail(dg)
	}
	if len(i.dims) > 0 {
		c.fail(c.errorf(it, "inside index notation every index is one integer, but this is %s", i.ctype).Helpf("index it, too: `%s[…]`", it))
	}
	if i.aff != nil {
		return c.affineUse(it, i, d, axis, e)
	}
	i = c.fr.here(i)
	if def := c.indexing(); len(def.guards) > 0 {
		i = c.safe(i)
	} else if i.arg > 0 {
		c.entry.inRange(i.arg-1, d.Dim)
	}
	return axisUse{it: it, axis: axis, val: &i}
}

// affineUse is an index that is a polynomial in indices, counters and dims.
// Where it is one index times a number and something fixed, it is a slice.
func (c *checker) affineUse(it *dsl.Item, i tensor, d dim, axis int, e *dsl.Index) axisUse {
	def := c.indexing()
	if def.computedGuard() && !(c.proved(*i.aff) && c.proved(d.Sub(*i.aff).AddN(-1))) {
		i = c.safe(c.fr.here(i)) // the guard may say so at run time; checked there
		i.aff = nil
		return axisUse{it: it, axis: axis, val: &i}
	}
	c.inBounds(it, i, d, axis, e.X)
	i = c.fr.here(i)
	u := axisUse{it: it, axis: axis, val: &i}
	facts := c.facts
	c.facts = facts[:def.facts]
	always := c.proved(*i.aff) && c.proved(d.Sub(*i.aff).AddN(-1))
	defer func() { c.facts = facts }()
	if len(i.idx) == 1 {
		ix := i.idx[0]
		if step, from, ok := linear(*i.aff, ix.sym); ok && step >= 1 && c.fixed(from) {
			if always {
				return axisUse{it: it, axis: axis, ix: ix, from: from, size: ix.extent(), step: step}
			}
			lo, ok1 := c.excess(from.Neg())
			hi, ok2 := c.excess(from.Add(ix.extent().AddN(-1).MulN(step)).AddN(1).Sub(d.Dim))
			if ok1 && ok2 {
				return axisUse{it: it, axis: axis, ix: ix, from: from, size: ix.extent(), step: step, val: padding(lo, hi)}
			}
		}
	}
	if !always && len(def.guards) > 0 {
		i = c.safe(i)
	}
	return u
}

// padding marks a use that reaches lo elements over the start and hi over the
// end of the axis, where a guard holds it back.
func padding(lo, hi loop.Dim) *tensor {
	return &tensor{ctype: ctype{dims: []dim{plain(lo), plain(hi)}}}
}

// padded tells whether u reaches over the ends of its axis, and how far.
func (u axisUse) padded() (lo, hi loop.Dim, ok bool) {
	if u.ix == nil || u.val == nil {
		return loop.Dim{}, loop.Dim{}, false
	}
	return u.val.dims[0].Dim, u.val.dims[1].Dim, true
}

// excess is max(p, 0) if the sign of p is known.
func (c *checker) excess(p loop.Dim) (loop.Dim, bool) {
	switch {
	case c.proved(p.Neg()):
		return loop.N(0), true
	case c.proved(p):
		return p, true
	}
	return loop.Dim{}, false
}

// linear writes p as step*sym + rest.
func linear(p loop.Dim, sym string) (step int, rest loop.Dim, ok bool) {
	rest = p.Subst(map[string]loop.Dim{sym: loop.N(0)})
	slope := p.Sub(rest)
	for _, t := range slope.Terms() {
		if len(t.Factors) != 1 || t.Factors[0].Sym != sym {
			return 0, rest, false
		}
		step = t.Coef
	}
	return step, rest, len(slope.Terms()) == 1
}

// fixed tells whether p has neither counters nor indices in it.
func (c *checker) fixed(p loop.Dim) bool {
	for _, s := range p.Syms() {
		if _, is := c.rangeOf(s); is {
			return false
		}
	}
	return true
}

// safe is i where all guards hold, and 0 elsewhere.
func (c *checker) safe(i tensor) tensor {
	g := c.fr.g
	var cond tensor
	for k, gd := range c.indexing().guards {
		t := c.fr.here(gd.cond)
		if len(t.dims) > 0 {
			continue // of a whole tensor: it says nothing about one element
		}
		if !gd.holds {
			t.v = g.Not(t.v)
		}
		if k == 0 || cond.v == nil {
			cond = t
			continue
		}
		idx := mergeIndices(cond.idx, t.idx)
		cond.v = g.And(c.expand(cond, idx, nil).v, c.expand(t, idx, nil).v)
		cond.idx = idx
	}
	if cond.v == nil {
		return i
	}
	idx := mergeIndices(i.idx, cond.idx)
	x := c.expand(i, idx, nil)
	i.v, i.idx, i.arg = g.Select(c.expand(cond, idx, nil).v, x.v, g.Like(x.v, 0)), idx, 0
	return i
}

// access takes the elements at uses out of t, which is whole.
func (c *checker) access(t tensor, uses []axisUse) tensor {
	v := c.fr.use(t)
	arg := t.arg
	seen := map[*index]bool{}
	for k := range uses {
		u := &uses[k]
		if u.ix == nil || u.keep && u.it == nil {
			if u.ix == nil {
				arg = 0
			}
			continue
		}
		if !u.from.Is(0) || u.step != 1 || !u.size.Eq(v.Type.Shape[k]) {
			arg = 0
		}
	}
	v = c.sliced(v, uses)
	axes := make([]*index, len(uses)) // what each axis of v is now; nil for computed ones
	for k, u := range uses {
		switch {
		case u.ix != nil && seen[u.ix]: // x[i,i]: the second is computed
			i := c.indexValue(u.ix)
			uses[k].ix, uses[k].val = nil, &i
			arg = 0
		case u.ix != nil:
			seen[u.ix] = true
			axes[k] = u.ix
		}
	}
	// Drop single elements.
	var shape []loop.Dim
	var left []axisUse
	var names []*index
	for k, u := range uses {
		if u.one {
			continue
		}
		shape, left, names = append(shape, v.Type.Shape[k]), append(left, u), append(names, axes[k])
	}
	v = c.fr.g.Reshape(v, shape...)
	v, names = c.computed(v, left, names)
	return c.named(t.elem, v, names, uses, arg)
}

// sliced applies all uses that are slices.
func (c *checker) sliced(v *ir.Value, uses []axisUse) *ir.Value {
	g := c.fr.g
	shape := v.Type.Shape
	lo, hi := make([]loop.Dim, len(shape)), make([]loop.Dim, len(shape))
	pads := false
	for k, u := range uses {
		if l, h, ok := u.padded(); ok {
			lo[k], hi[k] = l, h
			uses[k].from = u.from.Add(l)
			pads = pads || !l.Is(0) || !h.Is(0)
		}
	}
	if pads {
		v = g.Pad(v, g.Constant(v.Type.Elem, 0), lo, hi, make([]int, len(shape)))
		shape = v.Type.Shape
	}
	starts, size, steps := make([]loop.Dim, len(shape)), slices.Clone(shape), make([]int, len(shape))
	some := false
	for k, u := range uses {
		steps[k] = 1
		if u.ix == nil && !u.one {
			continue
		}
		starts[k], size[k], steps[k] = u.from, u.size, u.step
		some = some || !u.from.Is(0) || !u.size.Eq(shape[k]) || u.step != 1
	}
	if some {
		v = g.Slice(v, starts, size, steps)
	}
	return v
}

// computed replaces the axes with computed places (nil in axes) by gathers.
func (c *checker) computed(v *ir.Value, uses []axisUse, axes []*index) (*ir.Value, []*index) {
	var at []int
	for k := range uses {
		if axes[k] == nil {
			at = append(at, k)
		}
	}
	switch len(at) {
	case 0:
		return v, axes
	case 1:
		return c.computedOne(v, *uses[at[0]].val, axes, at[0])
	}
	// Several at once: indices that walk other axes, too, are computed with them.
	var idx []*index
	for _, k := range at {
		idx = mergeIndices(idx, uses[k].val.idx)
	}
	var list []int
	var places []*ir.Value
	var rest []*index
	for k, ix := range axes {
		var i tensor
		switch {
		case ix == nil:
			i = *uses[k].val
		case slices.Contains(idx, ix):
			i = c.indexValue(ix)
		default:
			rest = append(rest, ix)
			continue
		}
		list = append(list, k)
		places = append(places, c.expand(i, idx, nil).v)
	}
	return c.fr.g.GatherND(v, list, places...), slices.Concat(idx, rest)
}

// computedOne gathers the places i along axis k.
func (c *checker) computedOne(v *ir.Value, i tensor, axes []*index, k int) (*ir.Value, []*index) {
	g := c.fr.g
	if i.aff != nil && len(i.idx) == 0 { // affine in counters
		v = g.DynSlice(v, c.fr.use(i), k, loop.N(1))
		return g.Reshape(v, without(v.Type.Shape, k)...), without(axes, k)
	}
	var own []*index // of i alone
	for _, ix := range i.idx {
		if !slices.Contains(axes, ix) {
			own = append(own, ix)
		}
	}
	if len(own) == len(i.idx) {
		return g.Gather(v, c.fr.use(i), k), slices.Concat(axes[:k], own, axes[k+1:])
	}
	order := slices.Concat(axes[:k], own, axes[k+1:])
	x := c.expand(i, order, nil).v
	n := loop.N(1)
	for _, ix := range own {
		n = n.Mul(ix.extent())
	}
	flat := slices.Clone(v.Type.Shape)
	flat[k] = n
	full := x.Type.Shape
	return g.Reshape(g.TakeAlong(v, g.Reshape(x, flat...), k), full...), order
}

// named is v as a tensor: its axes are those indices, and axes that stay.
func (c *checker) named(e ir.Elem, v *ir.Value, axes []*index, uses []axisUse, arg int) tensor {
	stays := func(ix *index) bool {
		return slices.ContainsFunc(uses, func(u axisUse) bool { return u.keep && u.ix == ix })
	}
	out := tensor{ctype: ctype{elem: e}, fr: c.fr, arg: arg}
	var perm, tail []int
	for k, ix := range axes {
		if stays(ix) {
			tail = append(tail, k)
			out.dims = append(out.dims, *ix.rng)
		} else {
			perm = append(perm, k)
			out.idx = append(out.idx, ix)
		}
	}
	out.v = c.fr.g.Transpose(v, append(perm, tail...)...)
	return out
}
