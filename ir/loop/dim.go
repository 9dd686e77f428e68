package loop

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A Dim is the size of an axis: a polynomial with integer coefficients over
// atoms. An atom is a symbol (a size known when an entry point is called, such
// as B or T) or a quotient floor(n/d) that does not divide. The zero value is
// the constant 0. Dims are immutable and in canonical form: equal polynomials
// have equal keys.
type Dim struct {
	terms []term // sorted by key, no zero coefficients
}

// A term is coef times the product of its atoms; the constant term has none.
type term struct {
	coef  int64
	atoms []atom // sorted by key, repeated for powers
}

// An atom is a symbol or, when quo is set, the floor of a quotient.
type atom struct {
	sym string
	quo *quotient
}

type quotient struct{ num, den Dim }

func (a atom) key() string {
	if a.quo != nil {
		return "floor((" + a.quo.num.String() + ")/(" + a.quo.den.String() + "))"
	}
	return a.sym
}

func (t term) key() string {
	if len(t.atoms) == 1 {
		return t.atoms[0].key()
	}
	var b strings.Builder
	for i, a := range t.atoms {
		if i > 0 {
			b.WriteByte('*')
		}
		b.WriteString(a.key())
	}
	return b.String()
}

// N is the constant dim n.
func N(n int) Dim {
	if n == 0 {
		return Dim{}
	}
	return Dim{[]term{{coef: int64(n)}}}
}

// Sym is the dim named s.
func Sym(s string) Dim { return Dim{[]term{{1, []atom{{sym: s}}}}} }

// Const returns the value of a constant dim.
func (d Dim) Const() (n int, ok bool) {
	switch {
	case len(d.terms) == 0:
		return 0, true
	case len(d.terms) == 1 && len(d.terms[0].atoms) == 0:
		return int(d.terms[0].coef), true
	}
	return 0, false
}

// Is reports whether d is the constant n.
func (d Dim) Is(n int) bool { c, ok := d.Const(); return ok && c == n }

// Eq reports whether d and e are the same polynomial.
func (d Dim) Eq(e Dim) bool {
	return slices.EqualFunc(d.terms, e.terms, func(s, t term) bool {
		return s.coef == t.coef && (len(s.atoms) == 0 && len(t.atoms) == 0 || s.key() == t.key())
	})
}

// Add returns d + e.
func (d Dim) Add(e Dim) Dim {
	if len(d.terms) == 0 {
		return e
	}
	if len(e.terms) == 0 {
		return d
	}
	return normalise(append(slices.Clone(d.terms), e.terms...))
}

// Neg returns -d.
func (d Dim) Neg() Dim { return d.scale(-1) }

// Sub returns d - e.
func (d Dim) Sub(e Dim) Dim { return d.Add(e.Neg()) }

// AddN returns d + n.
func (d Dim) AddN(n int) Dim { return d.Add(N(n)) }

// MulN returns n*d.
func (d Dim) MulN(n int) Dim { return d.scale(int64(n)) }

func (d Dim) scale(n int64) Dim {
	if n == 0 {
		return Dim{}
	}
	ts := slices.Clone(d.terms)
	for i := range ts {
		ts[i].coef *= n
	}
	return Dim{ts}
}

// Mul returns d * e.
func (d Dim) Mul(e Dim) Dim {
	if c, ok := e.Const(); ok {
		return d.scale(int64(c))
	}
	if c, ok := d.Const(); ok {
		return e.scale(int64(c))
	}
	var ts []term
	for _, s := range d.terms {
		for _, t := range e.terms {
			as := append(slices.Clone(s.atoms), t.atoms...)
			slices.SortFunc(as, func(a, b atom) int { return strings.Compare(a.key(), b.key()) })
			ts = append(ts, term{s.coef * t.coef, as})
		}
	}
	return normalise(ts)
}

// Div returns d / e if the division is exact for all values of the symbols.
func (d Dim) Div(e Dim) (Dim, bool) {
	if len(e.terms) == 0 {
		return Dim{}, false
	}
	if d.Eq(e) {
		return N(1), true
	}
	if len(e.terms) != 1 {
		return divLong(d, e)
	}
	by := e.terms[0]
	var ts []term
	for _, t := range d.terms {
		if t.coef%by.coef != 0 {
			return Dim{}, false
		}
		rest := slices.Clone(t.atoms)
		for _, a := range by.atoms {
			i := slices.IndexFunc(rest, func(b atom) bool { return b.key() == a.key() })
			if i < 0 {
				return Dim{}, false
			}
			rest = slices.Delete(rest, i, i+1)
		}
		ts = append(ts, term{t.coef / by.coef, rest})
	}
	return normalise(ts), true
}

// divLong is polynomial long division by a divisor of several terms, leading
// term by leading term; it succeeds only without a remainder.
func divLong(d, e Dim) (Dim, bool) {
	lead := func(x Dim) Dim {
		best := x.terms[0]
		for _, t := range x.terms[1:] {
			if len(t.atoms) > len(best.atoms) || len(t.atoms) == len(best.atoms) && t.key() > best.key() {
				best = t
			}
		}
		return Dim{[]term{best}}
	}
	var quo Dim
	for range 32 {
		if len(d.terms) == 0 {
			return quo, true
		}
		q, ok := lead(d).Div(lead(e))
		if !ok {
			return Dim{}, false
		}
		quo = quo.Add(q)
		d = d.Sub(q.Mul(e))
	}
	return Dim{}, false
}

// FloorDiv returns floor(d / e): exact where it divides, or does so but for a
// constant, a number for constants, and an opaque atom otherwise.
func (d Dim) FloorDiv(e Dim) Dim {
	if q, ok := d.Div(e); ok {
		return q
	}
	n, ok1 := d.Const()
	m, ok2 := e.Const()
	if ok1 && ok2 && m != 0 {
		q := n / m
		if n%m != 0 && (n < 0) != (m < 0) {
			q--
		}
		return N(q)
	}
	if c := d.constant(); ok2 && m > 0 && c != 0 {
		if q, ok := d.AddN(-c).Div(e); ok { // floor((m*q + c)/m) is q + floor(c/m)
			return q.Add(N(c).FloorDiv(e))
		}
	}
	return Dim{[]term{{1, []atom{{quo: &quotient{d, e}}}}}}
}

// constant is the constant term of d.
func (d Dim) constant() int {
	for _, t := range d.terms {
		if len(t.atoms) == 0 {
			return int(t.coef)
		}
	}
	return 0
}

func normalise(ts []term) Dim {
	type keyed struct {
		key string
		t   term
	}
	ks := make([]keyed, len(ts))
	for i, t := range ts {
		ks[i] = keyed{t.key(), t}
	}
	slices.SortStableFunc(ks, func(a, b keyed) int { return strings.Compare(a.key, b.key) })
	var out []term
	for i := 0; i < len(ks); {
		t := ks[i].t
		j := i + 1
		for ; j < len(ks) && ks[j].key == ks[i].key; j++ {
			t.coef += ks[j].t.coef
		}
		if t.coef != 0 {
			out = append(out, t)
		}
		i = j
	}
	return Dim{out}
}

// Eval returns the value of d where env gives the value of every symbol.
func (d Dim) Eval(env map[string]int) (int, error) {
	sum := 0
	for _, t := range d.terms {
		p := int(t.coef)
		for _, a := range t.atoms {
			if a.quo == nil {
				x, ok := env[a.sym]
				if !ok {
					return 0, fmt.Errorf("the size %s is not known", a.sym)
				}
				p *= x
				continue
			}
			n, err := a.quo.num.Eval(env)
			if err != nil {
				return 0, err
			}
			m, err := a.quo.den.Eval(env)
			if err != nil {
				return 0, err
			}
			if m == 0 {
				return 0, fmt.Errorf("division by zero in %s", d)
			}
			q, r := n/m, n%m
			if r != 0 && (r < 0) != (m < 0) {
				q--
			}
			p *= q
		}
		sum += p
	}
	return sum, nil
}

// Syms returns the symbols of d in order, each once.
func (d Dim) Syms() []string {
	var out []string
	for _, t := range d.terms {
		for _, a := range t.atoms {
			if a.quo != nil {
				out = append(out, a.quo.num.Syms()...)
				out = append(out, a.quo.den.Syms()...)
			} else {
				out = append(out, a.sym)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Subst replaces symbols by dims.
func (d Dim) Subst(m map[string]Dim) Dim {
	if len(m) == 0 {
		return d
	}
	var sum Dim
	for _, t := range d.terms {
		p := Dim{[]term{{coef: t.coef}}}
		for _, a := range t.atoms {
			switch e, ok := m[a.sym]; {
			case a.quo != nil:
				p = p.Mul(a.quo.num.Subst(m).FloorDiv(a.quo.den.Subst(m)))
			case ok:
				p = p.Mul(e)
			default:
				p = p.Mul(Dim{[]term{{1, []atom{a}}}})
			}
		}
		sum = sum.Add(p)
	}
	return sum
}

// A DimTerm is one summand of a Dim, for printers and provers: Coef times the
// product of the Factors.
type DimTerm struct {
	Coef    int
	Factors []DimFactor
}

// A DimFactor is the symbol Sym, or floor(Num/Den) if Sym is empty.
type DimFactor struct {
	Sym      string
	Num, Den Dim
}

// Terms lists the summands of d in canonical order; none for 0.
func (d Dim) Terms() []DimTerm {
	out := make([]DimTerm, len(d.terms))
	for i, t := range d.terms {
		out[i].Coef = int(t.coef)
		for _, a := range t.atoms {
			f := DimFactor{Sym: a.sym}
			if a.quo != nil {
				f.Num, f.Den = a.quo.num, a.quo.den
			}
			out[i].Factors = append(out[i].Factors, f)
		}
	}
	return out
}

// Dim is t as a Dim.
func (t DimTerm) Dim() Dim {
	d := N(t.Coef)
	for _, f := range t.Factors {
		if f.Sym != "" {
			d = d.Mul(Sym(f.Sym))
		} else {
			d = d.Mul(f.Num.FloorDiv(f.Den))
		}
	}
	return d
}

// String prints d so that ParseDim reads it back, e.g. "3*B*T+1". Positive
// terms come first, the constant last.
func (d Dim) String() string {
	if len(d.terms) == 0 {
		return "0"
	}
	ts := slices.Clone(d.terms)
	rank := func(t term) int {
		r := 0
		if t.coef < 0 {
			r = 1
		}
		if len(t.atoms) == 0 {
			r += 2
		}
		return r
	}
	slices.SortStableFunc(ts, func(a, b term) int { return rank(a) - rank(b) })
	var b strings.Builder
	for i, t := range ts {
		if i > 0 && t.coef > 0 {
			b.WriteByte('+')
		}
		switch {
		case len(t.atoms) == 0:
			b.WriteString(strconv.FormatInt(t.coef, 10))
			continue
		case t.coef == -1:
			b.WriteByte('-')
		case t.coef != 1:
			b.WriteString(strconv.FormatInt(t.coef, 10) + "*")
		}
		b.WriteString(t.key())
	}
	return b.String()
}

// Product returns the product of ds, 1 for none: the number of elements of a
// shape.
func Product(ds []Dim) Dim {
	p := N(1)
	for _, d := range ds {
		p = p.Mul(d)
	}
	return p
}

// ParseDim reads what String prints.
func ParseDim(s string) (Dim, error) {
	p := dimParser{s: s}
	d := p.sum()
	if p.err == nil && p.i < len(s) {
		p.fail("unexpected %q", s[p.i:])
	}
	if p.err != nil {
		return Dim{}, p.err
	}
	return d, nil
}

type dimParser struct {
	s     string
	i     int
	depth int
	err   error
}

func (p *dimParser) fail(format string, a ...any) {
	if p.err == nil {
		p.err = fmt.Errorf("dim %q at %d: %s", p.s, p.i, fmt.Sprintf(format, a...))
	}
	p.i = len(p.s)
}

func (p *dimParser) eat(c string) bool {
	if strings.HasPrefix(p.s[p.i:], c) {
		p.i += len(c)
		return true
	}
	return false
}

func (p *dimParser) sum() Dim {
	if p.depth++; p.depth > 100 {
		p.fail("nested too deeply")
		return Dim{}
	}
	defer func() { p.depth-- }()
	neg := p.eat("-")
	d := p.product()
	if neg {
		d = d.Neg()
	}
	for p.err == nil {
		switch {
		case p.eat("+"):
			d = d.Add(p.product())
		case p.eat("-"):
			d = d.Sub(p.product())
		default:
			return d
		}
	}
	return d
}

func (p *dimParser) product() Dim {
	d := p.factor()
	for p.err == nil && p.eat("*") {
		d = d.Mul(p.factor())
	}
	return d
}

func (p *dimParser) factor() Dim {
	if p.eat("floor((") {
		n := p.sum()
		if !p.eat(")/(") {
			p.fail("expected )/(")
		}
		m := p.sum()
		if !p.eat("))") {
			p.fail("expected ))")
		}
		if p.err != nil || m.Is(0) {
			p.fail("bad quotient")
			return Dim{}
		}
		return n.FloorDiv(m)
	}
	j := p.i
	for j < len(p.s) && !strings.ContainsRune("+-*/()", rune(p.s[j])) {
		j++
	}
	w := p.s[p.i:j]
	if w == "" {
		p.fail("expected a size")
		return Dim{}
	}
	p.i = j
	if n, err := strconv.Atoi(w); err == nil {
		return N(n)
	}
	if w[0] >= '0' && w[0] <= '9' {
		p.fail("bad number %q", w)
		return Dim{}
	}
	return Sym(w)
}
