package check

import (
	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// integers computes with untyped integers, at least one of them known only at
// run time; the result is untyped again.
func (c *checker) integers(op string, a, b value) value {
	s, _ := c.fr.materialise(a)
	t, _ := c.fr.materialise(b)
	p, q := affine(a), affine(b)
	if rules[op].truth && p != nil && q != nil && s.scalar() && t.scalar() {
		if v := c.compareAffine(op, *p, *q, mergeIndices(s.idx, t.idx)); v != nil {
			return v
		}
	}
	x, y, _, idx := c.align(s, t)
	r := rules[op]
	out := tensor{v: r.emit(c.fr.g, x, y), fr: c.fr, idx: idx}
	out.dims = s.dims
	if len(t.dims) > len(s.dims) {
		out.dims = t.dims
	}
	if len(out.dims) > 0 { // an i32 tensor on one side
		s, t, dims, idx := c.stretch(nil, op, nil, nil, s, t)
		out = tensor{v: r.emit(c.fr.g, s.v, t.v), fr: c.fr, idx: idx}
		out.dims = dims
	}
	out.elem = ir.I32
	if r.truth {
		out.elem = ir.Bool
		if p != nil && q != nil {
			out.guard = comparison(op, *p, *q)
			d := p.Sub(*q) // names the counters that decide
			out.aff = &d
		}
		return out
	}
	out.untyped = isUntyped(a) && isUntyped(b)
	if p == nil || q == nil || len(out.dims) > 0 {
		return out
	}
	var d loop.Dim
	switch op {
	case "+":
		d = p.Add(*q)
	case "-":
		d = p.Sub(*q)
	case "*":
		d = p.Mul(*q)
	default:
		return out
	}
	if t, ok := c.atom(d, out.idx); ok { // t + S - T where S is T
		return t
	}
	out.aff = &d
	return out
}

// atom is the index of idx, or the counter, that d is, if it is nothing else.
func (c *checker) atom(d loop.Dim, idx []*index) (tensor, bool) {
	if len(d.Terms()) != 1 {
		return tensor{}, false
	}
	for _, ix := range idx {
		if d.Eq(loop.Sym(ix.sym)) {
			return c.indexValue(ix), true
		}
	}
	for f := c.fr; f != nil; f = f.up {
		if f.sym != "" && d.Eq(loop.Sym(f.sym)) {
			return c.fr.here(f.count()), true
		}
	}
	return tensor{}, false
}

// compareAffine is p op q, brought to the form that has no term on both sides:
// s <= t + S - T is s <= t where S is T. It is nil where that does not help.
func (c *checker) compareAffine(op string, p, q loop.Dim, idx []*index) value {
	diff := p.Sub(q)
	if n, ok := diff.Const(); ok {
		return foldNums(op, num{f: float64(n)}, num{f: 0})
	}
	var left, right loop.Dim
	for _, t := range diff.Terms() {
		m := loop.N(t.Coef)
		for _, f := range t.Factors {
			if f.Sym == "" {
				return nil
			}
			m = m.Mul(loop.Sym(f.Sym))
		}
		if t.Coef > 0 {
			left = left.Add(m)
		} else {
			right = right.Sub(m)
		}
	}
	x, ok1 := c.emitAffine(left, idx)
	y, ok2 := c.emitAffine(right, idx)
	if !ok1 || !ok2 {
		return nil
	}
	u, v, _, both := c.align(x, y)
	out := tensor{ctype: ctype{elem: ir.Bool}, v: rules[op].emit(c.fr.g, u, v), fr: c.fr, idx: both, aff: &diff}
	out.guard = comparison(op, p, q)
	return out
}

// emitAffine computes a polynomial in dims, counters and the indices idx whose
// terms have one counter or index at most, to the first power.
func (c *checker) emitAffine(d loop.Dim, idx []*index) (tensor, bool) {
	var fixed loop.Dim
	var sum *tensor
	add := func(t tensor) {
		if sum == nil {
			sum = &t
			return
		}
		x, y, _, both := c.align(*sum, t)
		sum = &tensor{ctype: ctype{elem: ir.I32}, v: c.fr.g.Add(x, y), fr: c.fr, idx: both}
	}
	for _, t := range d.Terms() {
		factor := loop.N(t.Coef)
		var of *tensor
		for _, f := range t.Factors {
			if _, moves := c.rangeOf(f.Sym); !moves {
				factor = factor.Mul(loop.Sym(f.Sym))
				continue
			}
			v, ok := c.atom(loop.Sym(f.Sym), idx)
			if !ok || of != nil {
				return tensor{}, false
			}
			of = &v
		}
		if of == nil {
			fixed = fixed.Add(factor)
			continue
		}
		if !factor.Is(1) {
			x, y, _, both := c.align(*of, c.fr.size(plain(factor)))
			of = &tensor{ctype: ctype{elem: ir.I32}, v: c.fr.g.Mul(x, y), fr: c.fr, idx: both}
		}
		add(*of)
	}
	if sum == nil || !fixed.Is(0) {
		add(c.fr.size(plain(fixed)))
	}
	return *sum, true
}

// isUntyped tells whether v takes the type of its context.
func isUntyped(v value) bool { return untyped(v) }

// affine is the polynomial that an integer is, or nil.
func affine(v value) *loop.Dim {
	if t, ok := v.(tensor); ok {
		return t.aff
	}
	if d, ok := asDim(v); ok {
		return &d.Dim
	}
	return nil
}

// comparison is what p op q says: these are >= 0.
func comparison(op string, p, q loop.Dim) []loop.Dim {
	switch op {
	case "<":
		return []loop.Dim{q.Sub(p).AddN(-1)}
	case "<=":
		return []loop.Dim{q.Sub(p)}
	case ">":
		return []loop.Dim{p.Sub(q).AddN(-1)}
	case ">=":
		return []loop.Dim{p.Sub(q)}
	case "==":
		return []loop.Dim{p.Sub(q), q.Sub(p)}
	}
	return nil
}
