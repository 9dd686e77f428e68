package check

import (
	"slices"
	"strings"

	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/ir/loop"
)

// A fact is a polynomial in dims, counters and indices that is known to be >= 0.
type fact struct{ loop.Dim }

// assume adds facts until the returned func is called.
func (c *checker) assume(ps ...loop.Dim) (forget func()) {
	n := len(c.facts)
	for _, p := range ps {
		c.facts = append(c.facts, fact{p})
	}
	return func() { c.facts = c.facts[:n] }
}

// proved tells whether p >= 0 follows from the bounds of dims, counters and
// indices and from multiples of at most two facts. It is sound and incomplete.
func (c *checker) proved(p loop.Dim) bool {
	if c.nonneg(p) {
		return true
	}
	for i, f := range c.facts {
		for _, n := range multiples(p, f.Dim) {
			q := p.Sub(f.Dim.MulN(n))
			if c.nonneg(q) {
				return true
			}
			for _, g := range c.facts[:i] {
				for _, n := range multiples(q, g.Dim) {
					if c.nonneg(q.Sub(g.Dim.MulN(n))) {
						return true
					}
				}
			}
		}
	}
	return false
}

// multiples are the numbers of times that it may help to subtract f from p: once,
// and as often as removes a term.
func multiples(p, f loop.Dim) []int {
	out := []int{1}
	for _, t := range f.Terms() {
		for _, u := range p.Terms() {
			n := u.Coef / t.Coef
			if n > 1 && u.Coef%t.Coef == 0 && len(t.Factors) > 0 && !slices.Contains(out, n) && sameFactors(t, u) {
				out = append(out, n)
			}
		}
	}
	return out
}

func sameFactors(t, u loop.DimTerm) bool {
	return slices.EqualFunc(t.Factors, u.Factors, func(a, b loop.DimFactor) bool {
		return a.Sym == b.Sym && a.Num.Eq(b.Num) && a.Den.Eq(b.Den)
	})
}

// nonneg proves p >= 0 from bounds alone. A counter or index lies in
// [0, range); every dim is its lower bound plus a rest that is not negative.
// Where no coefficient of the rests is negative, neither is p.
func (c *checker) nonneg(p loop.Dim) bool {
	p = c.extreme(p, false)
	rest := map[string]bool{} // symbols known to be >= 0 and not more
	for range 4 {
		sub := map[string]loop.Dim{}
		for _, s := range p.Syms() {
			if rest[s] {
				continue
			}
			r := s + "'"
			rest[r] = true
			sub[s] = c.low(s).Add(loop.Sym(r))
		}
		if len(sub) == 0 {
			break
		}
		p = p.Subst(sub)
	}
	for _, t := range p.Terms() {
		if t.Coef < 0 {
			return false
		}
	}
	return true
}

// low is the lower bound of a dim: 1 unless it was declared otherwise.
func (c *checker) low(sym string) loop.Dim {
	if strings.HasPrefix(sym, "floor(") {
		return loop.N(0)
	}
	if c.entry != nil {
		if d, ok := c.entry.low[sym]; ok {
			return d
		}
	}
	return loop.N(1)
}

// extreme replaces counters and indices by the ends of their ranges so that
// the result is the largest, or else a lower bound of the smallest, value of p.
// Quotients become symbols, which are not negative.
func (c *checker) extreme(p loop.Dim, largest bool) loop.Dim {
	out := loop.N(0)
	for _, t := range p.Terms() {
		m := loop.N(t.Coef)
		for _, f := range t.Factors {
			switch r, isIndex := c.rangeOf(f.Sym); {
			case f.Sym == "":
				m = m.Mul(loop.Sym("floor(" + f.Num.String() + ";" + f.Den.String() + ")"))
			case !isIndex:
				m = m.Mul(loop.Sym(f.Sym))
			case (t.Coef > 0) == largest:
				m = m.Mul(r.AddN(-1))
			default:
				m = loop.N(0)
			}
		}
		out = out.Add(m)
	}
	return out
}

// rangeOf is the number of values that a counter or index takes.
func (c *checker) rangeOf(sym string) (loop.Dim, bool) {
	if sym == "" || c.entry == nil {
		return loop.Dim{}, false
	}
	r, ok := c.entry.ranges[sym]
	return r, ok
}

// largest is the largest value of an affine integer, for messages: P + T - 1.
func (c *checker) largest(p loop.Dim) dim {
	out := loop.N(0)
	for _, t := range p.Terms() {
		m := loop.N(t.Coef)
		for _, f := range t.Factors {
			r, isIndex := c.rangeOf(f.Sym)
			switch {
			case f.Sym == "":
				m = m.Mul(f.Num.FloorDiv(f.Den))
			case !isIndex:
				m = m.Mul(loop.Sym(f.Sym))
			case t.Coef > 0:
				m = m.Mul(r.AddN(-1))
			default:
				m = loop.N(0)
			}
		}
		out = out.Add(m)
	}
	return plain(out)
}

// need ends the statement with msg unless p >= 0 can be proved. limit is the
// dim that is exceeded, for the help.
func (c *checker) need(at dsl.Node, p loop.Dim, limit dim, msg string) {
	if n, ok := p.Const(); ok {
		if n < 0 {
			c.fail(c.errorf(at, "%s", msg))
		}
		return
	}
	if c.proved(p) {
		return
	}
	if c.rigid && !c.proved(p.Neg().AddN(-1)) {
		return // the callers have to see to it
	}
	c.fail(c.needHelp(c.errorf(at, "%s", msg), p, limit))
}

// needHelp says which line would make p >= 0 known.
func (c *checker) needHelp(d *dsl.Diagnostic, p loop.Dim, limit dim) *dsl.Diagnostic {
	for _, s := range p.Syms() {
		if _, isIndex := c.rangeOf(s); isIndex {
			p = c.extreme(p, false)
			break
		}
	}
	if _, ok := p.Const(); ok { // nothing that a caller could change
		return d
	}
	line := inequality(p, limit)
	small, _, _ := strings.Cut(line, " <= ")
	if c.entry == nil || c.entry.name == "" {
		return d
	}
	if !strings.ContainsAny(small, "*+- ") && !c.entry.zero[small] && slices.Contains(c.fn.pkg.dimNames, small) {
		return d.Helpf("if callers must keep to it, declare `dim %s` in the model", line)
	}
	return d.Helpf("if callers of `%s` must keep to it, begin it with `assert %s`", c.entry.name, line)
}

// inequality writes p >= 0 with positive terms on both sides: P + T <= C.
func inequality(p loop.Dim, limit dim) string {
	var pos, neg loop.Dim
	for _, t := range p.Terms() {
		m := loop.N(t.Coef)
		for _, f := range t.Factors {
			if f.Sym == "" {
				m = m.Mul(f.Num.FloorDiv(f.Den))
			} else {
				m = m.Mul(loop.Sym(f.Sym))
			}
		}
		if t.Coef > 0 {
			pos = pos.Add(m)
		} else {
			neg = neg.Sub(m)
		}
	}
	right := polyString(pos)
	if limit.text != "" && limit.Dim.Eq(pos) {
		right = limit.text
	}
	return polyString(neg) + " <= " + right
}
