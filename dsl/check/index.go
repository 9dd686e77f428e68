package check

import (
	"fmt"
	"slices"

	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// Index notation is checked in two walks over the right side. The first
// (ranges) evaluates what is indexed and finds the ranges of all indices; the
// second evaluates the expression as any other, over tensors that have one
// value per combination of the indices they depend on (tensor.idx). So the
// whole definition becomes operations on whole tensors.

// An index is a name of index notation: it runs over 0 … range-1.
type index struct {
	name     string
	sym      string   // the index as an atom of affine values, with its range in entry.ranges
	rng      *dim     // nil until a bare use fixes it
	declared bool     // the range was written: t: T
	rank     int      // its place on the left side of a definition; those of reductions come after
	from     dsl.Node // what fixed the range, for messages
	what     string   // "axis 3 of `q`"
}

func (ix *index) show() string { return "the index " + ix.name }

// extent is the number of values of the index.
func (ix *index) extent() loop.Dim { return ix.rng.Dim }

// An indexPack is what `...` stands for among indices: as many as the first
// tensor indexed by it has axes for.
type indexPack struct {
	idx   []*index
	known bool
}

func (p *indexPack) show() string { return "the indices `...`" }

// An indexing is an index definition while it is checked, or a reduction
// outside of one.
type indexing struct {
	bases  map[*dsl.Index]*base
	scopes map[*dsl.Item]*indexScope // of reductions, by the first item in their brackets
	order  []*index                  // of the left side: the order of axes in the result
	guards []guard                   // conditions of where and && around the present expression
	facts  int                       // that many facts hold whatever the guards say
}

// A base is what stands in front of index brackets, evaluated once.
type base struct {
	p  place
	v  value // if it is no tensor
	ok bool
}

// An indexScope is the scope of the indices in one pair of brackets.
type indexScope struct {
	*scope
	list []value // *index or *indexPack, in order
	at   []dsl.Node
}

// all lists the indices in order, with those of packs.
func (s *indexScope) all() []*index {
	var out []*index
	for _, v := range s.list {
		switch v := v.(type) {
		case *index:
			out = append(out, v)
		case *indexPack:
			out = append(out, v.idx...)
		}
	}
	return out
}

// A guard is a condition that holds, or does not hold, where the present
// expression is looked at.
type guard struct {
	cond  tensor
	holds bool
}

// computedGuard tells whether some guard is computed from data, so that what it
// says about indices is not known.
func (d *indexing) computedGuard() bool {
	for _, g := range d.guards {
		if g.cond.aff == nil && len(g.cond.guard) == 0 {
			return true
		}
	}
	return false
}

// indexing is the innermost index definition around the present expression.
func (c *checker) indexing() *indexing {
	for s := c.sc; s != nil; s = s.up {
		if s.def != nil {
			return s.def
		}
	}
	return nil
}

// guarded runs f where the condition cond holds, or where it does not.
func (c *checker) guarded(cond tensor, holds bool, f func()) {
	def := c.indexing()
	if def == nil {
		f()
		return
	}
	known := c.negation
	if holds {
		known = c.knowledge
	}
	forget := c.assume(known(cond)...)
	def.guards = append(def.guards, guard{cond, holds})
	f()
	def.guards = def.guards[:len(def.guards)-1]
	forget()
}

// indexValue is the index as an integer.
func (c *checker) indexValue(ix *index) tensor {
	if ix.rng == nil {
		c.silent() // reported where it is declared
	}
	aff := loop.Sym(ix.sym)
	return tensor{ctype: ctype{elem: ir.I32}, v: c.fr.g.Iota(0, ix.extent()), fr: c.fr, idx: []*index{ix}, untyped: true, aff: &aff}
}

func (c *checker) newIndexing() *indexing {
	return &indexing{bases: map[*dsl.Index]*base{}, scopes: map[*dsl.Item]*indexScope{}, facts: len(c.facts)}
}

// openIndices declares the indices in brackets. reducer is empty on the left
// side of a definition.
func (c *checker) openIndices(def *indexing, items []*dsl.Item, reducer string) *indexScope {
	s := &indexScope{scope: &scope{up: c.sc, names: map[string]*variable{}, index: true, def: def}}
	put := func(at dsl.Node, name string, v value) {
		if s.names[name] != nil {
			c.failf(at, "the index `%s` is listed twice", name)
		}
		s.names[name] = &variable{name: name, home: c.fr, val: v, used: true}
		s.list, s.at = append(s.list, v), append(s.at, at)
	}
	for _, it := range items {
		name, limit, declared := it.Declares()
		switch x := it.X.(type) {
		case *dsl.Ellipsis:
			put(it, "...", &indexPack{})
			continue
		case *dsl.Name:
			if it.Kind == dsl.ItemPlain {
				name = x
			}
		}
		if name == nil || isCapital(name.Text) {
			c.failf(it, "expected the name of an index, found `%s`", it)
		}
		if v := c.sc.find(name.Text); v != nil {
			if _, is := v.val.(*index); is {
				c.failf(name, "index `%s` is already in use outside `%s`", name.Text, reducer)
			}
			if reducer == "" {
				c.fail(c.errorf(name, "`%s` is a variable, so it cannot be an index here", name.Text).Helpf("choose another name for the index"))
			}
		}
		ix := c.newIndex(name.Text)
		if declared {
			d := c.dim(limit)
			if n, ok := d.Const(); ok && n < 1 {
				c.failf(limit, "an index cannot have %d values", n)
			}
			c.need(limit, d.Dim, d, fmt.Sprintf("the range of index `%s` may be negative: %s", name.Text, d.poly()))
			ix.declared = true
			c.setRange(ix, d, it, "its declaration")
		}
		put(name, name.Text, ix)
	}
	return s
}

func (c *checker) newIndex(name string) *index {
	c.entry.loops++
	return &index{name: name, sym: fmt.Sprintf("%s#%d", name, c.entry.loops), rank: 1<<20 + c.entry.loops}
}

func (c *checker) setRange(ix *index, d dim, from dsl.Node, what string) {
	ix.rng, ix.from, ix.what = &d, from, what
	c.entry.ranges[ix.sym] = d.Dim
}

// closed checks that the ranges of all indices are known.
func (c *checker) closed(s *indexScope, help string) {
	for i, v := range s.list {
		switch v := v.(type) {
		case *index:
			if v.rng == nil {
				d := c.errorf(s.at[i], "the range of index `%s` is unknown", v.name)
				c.fail(d.Helpf("no tensor on the right side is indexed by plain `%s`; write its range: "+help, v.name, v.name))
			}
		case *indexPack:
			if !v.known {
				c.failf(s.at[i], "`...` stands for nothing here: no tensor on the right side is indexed by it")
			}
		}
	}
}

// indexDefinition is the tensor that `name[b, t: T] := rhs` defines.
func (c *checker) indexDefinition(l *dsl.Index, rhs dsl.Expr) tensor {
	return c.definition(l, rhs, nil)
}

// indexAssignment is the right side of `name[b, 0, d] = rhs` for a variable of
// type t. It returns the left side with `:` in place of the indices, too. The
// axes of the variable are the ranges of the indices.
func (c *checker) indexAssignment(l *dsl.Index, t ctype, rhs dsl.Expr) (*dsl.Index, tensor) {
	indices, slot := &dsl.Index{Span: l.Span, X: l.X}, &dsl.Index{Span: l.Span, X: l.X}
	into := ctype{elem: t.elem}
	axis := 0
	for _, it := range l.Items {
		if isEllipsis(it) {
			n := max(0, len(t.dims)-(len(l.Items)-1))
			into.dims = append(into.dims, t.dims[min(axis, len(t.dims)):min(axis+n, len(t.dims))]...)
			axis += n
			indices.Items, slot.Items = append(indices.Items, it), append(slot.Items, it)
			continue
		}
		if axis >= len(t.dims) {
			c.fail(c.errorf(l, "%s for a tensor with %s", plural(len(l.Items), "index", "indices"), plural(len(t.dims), "axis", "axes")).Note(l.X, "%s", t))
		}
		if c.fresh(&dsl.Index{Items: []*dsl.Item{it}}) {
			into.dims = append(into.dims, t.dims[axis])
			indices.Items = append(indices.Items, it)
			slot.Items = append(slot.Items, &dsl.Item{Span: it.Span, Kind: dsl.ItemSlice})
		} else {
			slot.Items = append(slot.Items, it)
		}
		axis++
	}
	return slot, c.definition(indices, rhs, &into)
}

// definition is the tensor of rhs over the indices of l. If it is assigned to
// a variable, into has the variable's axis for each of the indices.
func (c *checker) definition(l *dsl.Index, rhs dsl.Expr, into *ctype) tensor {
	def := c.newIndexing()
	outer := c.sc
	s := c.openIndices(def, l.Items, "")
	if into != nil {
		c.rangesOf(s, l, *into)
	}
	c.sc = s.scope
	c.ranges(def, rhs)
	c.closed(s, "`%s: N`")
	def.order = s.all()
	for k, ix := range def.order {
		ix.rank = k
	}
	v := c.live(c.eval(rhs))
	c.at(rhs)
	if into != nil && into.elem == ir.F32 && isUntyped(v) {
		v = c.asTensor(rhs, v, ir.F32)
	}
	t := c.element(rhs, v)
	if len(t.dims) > 0 {
		c.fail(c.errorf(rhs, "the right side must be one element for each `%s`, but this is %s", l, t.ctype).
			Helpf("index it with as many indices as it has axes"))
	}
	t = c.expand(t, def.order, nil)
	c.sc = outer
	out := tensor{ctype: ctype{elem: t.elem}, v: t.v, fr: c.fr, arg: t.arg}
	for _, ix := range def.order {
		out.dims = append(out.dims, *ix.rng)
	}
	return out
}

// rangesOf gives the indices of s, those of the left side l, the axes that
// they assign to.
func (c *checker) rangesOf(s *indexScope, l *dsl.Index, into ctype) {
	axis := 0
	for i, v := range s.list {
		list := []*index{}
		switch v := v.(type) {
		case *index:
			list = append(list, v)
		case *indexPack:
			v.known = true
			for range len(into.dims) - (len(s.list) - 1) {
				v.idx = append(v.idx, c.newIndex("..."))
			}
			list = v.idx
		}
		for _, ix := range list {
			if !ix.declared {
				c.setRange(ix, into.dims[axis], s.at[i], fmt.Sprintf("axis %d of `%s`", axis, l.X))
			}
			axis++
		}
	}
}

// element is v as a tensor; whole numbers stay whole.
func (c *checker) element(at dsl.Expr, v value) tensor {
	switch x := v.(type) {
	case num:
		if x.kind == untypedInt {
			return c.asTensor(at, v, ir.I32)
		}
	case dim:
		return c.asTensor(at, v, ir.I32)
	case tensor:
		return c.fr.here(x)
	}
	return c.asTensor(at, v, ir.F32)
}

// mentionsIndex tells whether an index that is in scope here occurs in n.
func (c *checker) mentionsIndex(n dsl.Node) bool {
	found := false
	dsl.Walk(n, func(n dsl.Node) bool {
		switch x := n.(type) {
		case *dsl.Name:
			if v := c.sc.find(x.Text); v != nil {
				_, is := v.val.(*index)
				found = found || is
			}
		case *dsl.Ellipsis:
			if v := c.sc.find("..."); v != nil {
				found = true
			}
		}
		return !found
	})
	return found
}

// baseOf is placeOf(e.X), once per index definition.
func (c *checker) baseOf(e *dsl.Index) (place, value, bool) {
	if def := c.indexing(); def != nil {
		if b := def.bases[e]; b != nil {
			return b.p, b.v, b.ok
		}
	}
	return c.placeOf(e.X)
}

// takeIndexed is take for a tensor that depends on indices.
func (c *checker) takeIndexed(t tensor, parts []axisPart) tensor {
	n := len(t.idx)
	whole := t
	whole.idx = nil
	whole.dims = nil
	var all []axisPart
	for i, ix := range t.idx {
		whole.dims = append(whole.dims, *ix.rng)
		all = append(all, axisPart{axis: i, size: *ix.rng})
	}
	whole.dims = append(whole.dims, t.dims...)
	for _, p := range parts {
		if p.rows != nil && len(p.rows.idx) > 0 || p.dyn != nil && len(p.dyn.idx) > 0 {
			c.fail(c.errorf(p.item, "this depends on indices on both sides of the brackets").Helpf("give the tensor in front of the brackets a name of its own first"))
		}
		if p.axis >= 0 {
			p.axis += n
		}
		all = append(all, p)
	}
	out := c.take(whole, all)
	out.idx, out.dims, out.arg = slices.Clone(t.idx), out.dims[n:], 0
	return out
}
