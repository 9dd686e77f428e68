package codegen

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lmc-lang/lmc/ir/loop"
)

// A place says what a computation before a loop depends on.
type place struct {
	key  string // equal computations have equal keys
	vals []*loop.Val
	// For a row, which must be in its buffer: the buffer, and the sizes in the
	// row's bounds.
	buf  *loop.Buffer
	dims []loop.Dim
}

func boundVals(bs ...loop.Bound) []*loop.Val {
	var out []*loop.Val
	for _, b := range bs {
		if b.Val != nil {
			out = append(out, b.Val)
		}
	}
	return out
}

// rowPlace is the place of a row of buf from at on, of the length n if known.
func rowPlace(buf *loop.Buffer, at loop.Index, n string, bounds ...loop.Bound) place {
	x := place{key: fmt.Sprintf("row %s %s : %s", buf.Name, at, n), vals: boundVals(bounds...), buf: buf, dims: []loop.Dim{at.Off, buf.Len}}
	for _, t := range at.Terms {
		x.vals, x.dims = append(x.vals, t.Var), append(x.dims, t.Coef)
	}
	for _, b := range bounds {
		x.dims = append(x.dims, b.Dim)
	}
	return x
}

// cached is the variable that has the value of text in an open block; if there
// is none, it is computed before the outermost loop that does not change it.
func (p *kernelPrinter) cached(x place, name, text string) expr {
	for i := len(p.locals) - 1; i >= 0; i-- {
		if old, ok := p.locals[i].rows[x.key]; ok {
			return variable(old)
		}
	}
	d := len(p.locals) - 1
	for d > 0 && p.locals[d].leaves(x.vals) && (x.buf == nil || p.runs(d, x)) {
		d--
	}
	name = p.pickIn(d, name)
	line := fmt.Sprintf("%s := %s", name, text)
	if d == len(p.locals)-1 {
		p.line("%s", line)
	} else {
		f := &p.locals[d+1]
		f.before = append(f.before, line)
	}
	p.locals[d].rows[x.key] = name
	return variable(name)
}

// leaves is whether f is the body of a loop that does not define any of vals.
func (f *frame) leaves(vals []*loop.Val) bool {
	return f.loop != nil && !slices.ContainsFunc(vals, func(v *loop.Val) bool { return f.inside[v] })
}

// runs reports whether the loop of block d runs at least once wherever it
// stands, or at least does not decide whether the row x is in its buffer.
func (p *kernelPrinter) runs(d int, x place) bool {
	s := p.locals[d].loop
	trips, ok := p.tripSyms(s)
	if !ok {
		return false
	}
	known := map[string]bool{}
	for _, f := range p.locals[1:d] {
		if f.loop != nil {
			if syms, ok := p.tripSyms(f.loop); ok {
				for _, s := range syms {
					known[s] = true
				}
			}
		}
	}
	for _, t := range trips {
		if !known[t] && slices.ContainsFunc(x.dims, func(d loop.Dim) bool { return slices.Contains(d.Syms(), t) }) {
			return false
		}
	}
	return true
}

// tripSyms are the sizes that are at least 1 if the loop runs, and make it run
// if they are.
func (p *kernelPrinter) tripSyms(s *loop.For) ([]string, bool) {
	n := s.To.Dim
	switch g := p.k.Grid; {
	case g != nil && s.From.Val == g.Lo && s.To.Val == g.Hi:
		n = g.N
	case !startsAtZero(s.From) || s.To.Val != nil:
		return nil, false
	}
	ts := n.Terms()
	if len(ts) != 1 || ts[0].Coef < s.Step {
		return nil, false
	}
	return n.Syms(), true
}

// cutRows cuts the rows before the loop, unless an open block has them already.
func (p *kernelPrinter) cutRows(plan *rowPlan) {
	count := map[*loop.Buffer]int{}
	for _, r := range plan.list {
		count[r.buf]++
	}
	cut := func(r *row, x place, text string) {
		r.text, r.cut = p.cached(x, p.rowName(r.buf, count[r.buf] > 1), text).text, true
	}
	var left, right []string // buffers of which only this row is used
	for _, r := range plan.list {
		buf := p.bufs[r.buf]
		at := r.base.Add(plan.from)
		switch {
		case !r.covered:
			cut(r, rowPlace(r.buf, r.base, ""), fmt.Sprintf("%s[%s:]", buf, p.index(r.base).text))
		case plan.atZero() && plan.end.Val == nil && r.atZero() && plan.end.Dim.Eq(r.buf.Len):
			r.text = buf
			p.locals[0].rows["whole "+r.buf.Name] = plan.n.text
		case plan.lo != "" && r.atZero() && p.loops == 0 && len(p.locals) == 1 && p.plan.touched[r.buf] == 1:
			r.text, r.cut = buf, true
			left, right = append(left, buf), append(right, fmt.Sprintf("%s[%s:%s]", buf, plan.lo, plan.hi))
		case plan.lo != "" && r.atZero():
			cut(r, rowPlace(r.buf, at, "grid"), fmt.Sprintf("%s[%s:%s]", buf, plan.lo, plan.hi))
		default:
			length := plan.end.String()
			if !plan.atZero() {
				length += " - " + plan.from.String()
			}
			cut(r, rowPlace(r.buf, at, length, plan.end), p.slice(buf, at, plan.n))
		}
	}
	if len(left) > 0 {
		p.line("%s = %s", strings.Join(left, ", "), strings.Join(right, ", "))
	}
}

// rowName names a row of a buffer: xRow, or x0, x1 and so on if there are several.
func (p *kernelPrinter) rowName(b *loop.Buffer, several bool) string {
	if !several {
		return p.bufs[b] + "Row"
	}
	for i := 0; ; i++ {
		if name := fmt.Sprintf("%s%d", unnumbered(p.bufs[b]), i); !p.taken(name) {
			return name
		}
	}
}

// unnumbered is name, with a letter after it if it ends in a digit.
func unnumbered(name string) string {
	if c := name[len(name)-1]; '0' <= c && c <= '9' {
		return name + "r"
	}
	return name
}

// addressRows tells the open block how elements of the rows are written.
func (p *kernelPrinter) addressRows(plan *rowPlan, counter string) {
	f := p.locals[len(p.locals)-1]
	for _, a := range plan.addresses {
		f.addresses[a.key()] = a
	}
	here := f.rows
	for _, r := range plan.list {
		for i, key := range r.keys {
			at := counter
			if r.shifts[i] > 0 {
				at = fmt.Sprintf("%s+%d", counter, r.shifts[i])
			}
			here["elem "+key] = fmt.Sprintf("%s[%s]", r.text, at)
		}
	}
}

// hoistAddresses computes the part of an address that does not change in an
// innermost loop before the loop, if it costs a multiplication.
func (p *kernelPrinter) hoistAddresses(s *loop.For, plan *rowPlan, inside map[*loop.Val]bool) {
	inside[s.Var] = true
	for _, a := range plan.plain {
		fixed, moving := loop.Index{Off: a.at.Off}, loop.Index{}
		costs := false
		for _, t := range a.at.Terms {
			if inside[t.Var] {
				moving.Terms = append(moving.Terms, t)
			} else {
				fixed.Terms = append(fixed.Terms, t)
				costs = costs || !t.Coef.Is(1)
			}
		}
		if !costs {
			continue
		}
		text := p.index(fixed).text
		at := place{key: "at " + fixed.String()}
		for _, t := range fixed.Terms {
			at.vals = append(at.vals, t.Var)
		}
		plan.addresses = append(plan.addresses, address{a, p.cached(at, p.bufs[a.buf]+"At", text).text, moving})
	}
}

// element is an element of a buffer as an expression.
func (p *kernelPrinter) element(b *loop.Buffer, at loop.Index) string {
	key := access{b, at}.key()
	for i := len(p.locals) - 1; i >= 0; i-- {
		if text, ok := p.locals[i].rows["elem "+key]; ok {
			return text
		}
		if a, ok := p.locals[i].addresses[key]; ok {
			if len(a.moving.Terms) == 0 {
				return fmt.Sprintf("%s[%s]", p.bufs[b], a.fixed)
			}
			return fmt.Sprintf("%s[%s + %s]", p.bufs[b], a.fixed, p.index(a.moving).text)
		}
	}
	return fmt.Sprintf("%s[%s]", p.bufs[b], p.index(at).text)
}
