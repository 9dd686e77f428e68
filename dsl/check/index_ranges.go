package check

import (
	"fmt"

	"github.com/lmc-lang/lmc/dsl"
)

// ranges finds the ranges of indices from the bare uses in e.
func (c *checker) ranges(def *indexing, e dsl.Expr) {
	switch e := e.(type) {
	case *dsl.Paren:
		c.ranges(def, e.X)
	case *dsl.Unary:
		c.ranges(def, e.X)
	case *dsl.List:
		for _, x := range e.Items {
			c.ranges(def, x)
		}
	case *dsl.Select:
		c.ranges(def, e.X)
	case *dsl.Binary:
		if e.Op == "|>" {
			switch y := e.Y.(type) {
			case *dsl.Call:
				c.callRanges(def, y.Fun, append([]*dsl.Arg{{Value: e.X}}, y.Args...))
			default:
				c.callRanges(def, y, []*dsl.Arg{{Value: e.X}})
			}
			return
		}
		c.ranges(def, e.X)
		c.ranges(def, e.Y)
	case *dsl.Call:
		c.callRanges(def, e.Fun, e.Args)
	case *dsl.Index:
		c.accessRanges(def, e)
	}
}

func (c *checker) callRanges(def *indexing, fun dsl.Expr, list []*dsl.Arg) {
	if x, ok := fun.(*dsl.Index); ok {
		if r := c.reduction(x); r != nil {
			s := c.openIndices(def, x.Items, r.name)
			def.scopes[x.Items[0]] = s
			outer := c.sc
			c.sc = s.scope
			for _, a := range list {
				c.ranges(def, a.Value)
			}
			c.closed(s, "`"+r.name+"[%s: N](…)`")
			c.sc = outer
			return
		}
	}
	for _, a := range list {
		c.ranges(def, a.Value)
	}
}

// reduction is the reducer that e names, as in sum[i,j], or nil.
func (c *checker) reduction(e *dsl.Index) *reducer {
	n, ok := e.X.(*dsl.Name)
	if !ok || c.variableOf(n) != nil {
		return nil
	}
	v, _ := c.known(n.Text)
	if b, ok := v.(*builtin); ok {
		return reducerOf(b.name)
	}
	return nil
}

// accessRanges is ranges for x[…].
func (c *checker) accessRanges(def *indexing, e *dsl.Index) {
	if c.mentionsIndex(e.X) { // evaluated when its indices are known
		c.ranges(def, e.X)
		for _, it := range e.Items {
			c.itemRanges(def, it)
		}
		return
	}
	b := &base{}
	b.p, b.v, b.ok = c.placeOf(e.X)
	def.bases[e] = b
	axis := 0
	for _, it := range e.Items {
		ix, pack := c.bare(it)
		switch {
		case ix != nil && b.ok:
			if axis < len(b.p.typ.dims) {
				c.use(ix, b.p.typ.dims[axis], axis, it, e)
			}
			axis++
		case pack != nil && b.ok:
			axis = c.packRanges(pack, e, b.p.typ, axis, it)
		case isEllipsis(it):
			axis += len(b.p.typ.dims) - (len(e.Items) - 1)
		default:
			c.itemRanges(def, it)
			if _, fresh := it.X.(*dsl.Underscore); !fresh {
				axis++
			}
		}
	}
}

func isEllipsis(it *dsl.Item) bool {
	_, is := it.X.(*dsl.Ellipsis)
	return is
}

func (c *checker) itemRanges(def *indexing, it *dsl.Item) {
	for _, x := range []dsl.Expr{it.X, it.Lo, it.Hi} {
		if x != nil {
			c.ranges(def, x)
		}
	}
}

// packRanges uses the pack among the items of e, from axis on.
func (c *checker) packRanges(p *indexPack, e *dsl.Index, t ctype, axis int, it *dsl.Item) int {
	n := len(t.dims)
	for _, o := range e.Items {
		if _, other := c.bare(o); other != nil && o != it {
			c.failf(o, "`...` may stand only once")
		}
		if o != it {
			n--
		}
	}
	if !p.known {
		p.known = true
		for range max(n, 0) {
			p.idx = append(p.idx, c.newIndex("..."))
		}
	}
	if n != len(p.idx) {
		c.fail(c.errorf(it, "`...` stands for %s, but here it must be %s", plural(len(p.idx), "index", "indices"), plural(max(n, 0), "index", "indices")).Note(e.X, "%s", t))
	}
	for i, ix := range p.idx {
		c.use(ix, t.dims[axis+i], axis+i, it, e)
	}
	return axis + len(p.idx)
}

// use fixes or compares the range of ix, which indexes axis of e.X.
func (c *checker) use(ix *index, d dim, axis int, it *dsl.Item, e *dsl.Index) {
	what := fmt.Sprintf("axis %d of `%s`", axis, e.X)
	switch {
	case ix.rng == nil:
		c.setRange(ix, d, it, what)
	case ix.declared || ix.rng.Eq(d.Dim):
		if ix.rng.text == "" {
			ix.rng.text = d.text
		}
	default:
		dg := c.errorf(it, "index `%s` has two ranges: %s and %s", ix.name, *ix.rng, d)
		dg.Label = fmt.Sprintf("%s is %s", what, d)
		dg.Note(ix.from, "%s is %s", ix.what, *ix.rng)
		c.fail(dg.Helpf("to use only a part of the longer axis, write the range where the index is declared: `%s: %s`", ix.name, ix.rng.label()))
	}
}

// bare is the index or the pack of indices that an item is, if it is nothing else.
func (c *checker) bare(it *dsl.Item) (*index, *indexPack) {
	if it.Kind != dsl.ItemPlain {
		return nil, nil
	}
	name := ""
	switch x := it.X.(type) {
	case *dsl.Name:
		name = x.Text
	case *dsl.Ellipsis:
		name = "..."
	}
	if v := c.sc.find(name); v != nil && name != "" {
		switch v := v.val.(type) {
		case *index:
			return v, nil
		case *indexPack:
			return nil, v
		}
	}
	return nil, nil
}
