package codegen

import (
	"fmt"
	"slices"

	"github.com/lmc-lang/lmc/ir/loop"
)

// A rowPlan has the runs of memory that a loop moves along element by element.
type rowPlan struct {
	list []*row
	// exact: every row is as long as the loop, which counts from 0; bounds
	// checks go away. Otherwise rows begin where the counter is 0 and are open.
	exact   bool
	n       expr       // the number of iterations
	from    loop.Index // of the first
	lo, hi  string     // the range of the grid, if the loop runs over it
	start   string     // of the counter, if it does not run over the whole rows
	end     loop.Bound // of rows that begin where the counter is 0
	counter bool       // the loop's own counter is needed besides the place in the rows
	plain   []access
	// addresses are the accesses whose address is partly computed before the loop.
	addresses []address
}

// An address is the variable fixed plus what moves.
type address struct {
	access
	fixed  string
	moving loop.Index
}

// A row is the elements of buf from base on.
type row struct {
	buf    *loop.Buffer
	base   loop.Index
	shifts []int // the constants that are added to the counter
	keys   []string
	// covered: the loop goes through all of the row, from the counter's 0 to its
	// end, so that the row can be cut to that length.
	covered bool
	cut     bool // has a name of its own
	text    string
}

// An access is a load or a store.
type access struct {
	buf *loop.Buffer
	at  loop.Index
}

func (a access) key() string { return a.buf.Name + "[" + a.at.String() + "]" }

// accesses lists the loads and stores in body that happen in each iteration,
// or with nested also those in if statements.
func accesses(body []loop.Stmt, nested bool) []access {
	var out []access
	for _, s := range body {
		switch s := s.(type) {
		case *loop.Load:
			out = append(out, access{s.Buf, s.At})
		case *loop.Store:
			out = append(out, access{s.Buf, s.At})
		case *loop.If:
			if nested {
				out = append(append(out, accesses(s.Then, true)...), accesses(s.Else, true)...)
			}
		}
	}
	return out
}

// innermost is whether body has no loop.
func innermost(body []loop.Stmt) bool {
	for _, s := range body {
		switch s := s.(type) {
		case *loop.For:
			return false
		case *loop.If:
			if !innermost(s.Then) || !innermost(s.Else) {
				return false
			}
		}
	}
	return true
}

// definedIn is the set of values that body defines, blocks inside included.
func definedIn(body []loop.Stmt, into map[*loop.Val]bool) {
	for _, s := range body {
		switch s := s.(type) {
		case *loop.Instr:
			into[s.Dst] = true
		case *loop.Load:
			into[s.Dst] = true
		case *loop.For:
			into[s.Var] = true
			into[s.After] = true
			for _, c := range s.Carry {
				into[c.Phi], into[c.Out] = true, true
			}
			definedIn(s.Body, into)
		case *loop.If:
			for _, m := range s.Merge {
				into[m.Dst] = true
			}
			definedIn(s.Then, into)
			definedIn(s.Else, into)
		}
	}
}

// split takes the counter out of an address: at = base + counter, where base
// is the same in all iterations.
func split(at loop.Index, counter *loop.Val, inside map[*loop.Val]bool) (base loop.Index, ok bool) {
	base.Off = at.Off
	for _, t := range at.Terms {
		switch {
		case t.Var == counter && t.Coef.Is(1):
			ok = true
		case t.Var == counter || inside[t.Var]:
			return base, false
		default:
			base.Terms = append(base.Terms, t)
		}
	}
	return base, ok
}

// planRows finds the rows of a loop.
func (p *kernelPrinter) planRows(s *loop.For) *rowPlan {
	inside := map[*loop.Val]bool{}
	definedIn(s.Body, inside)
	for _, c := range s.Carry {
		inside[c.Phi] = true
	}
	plan := &rowPlan{end: s.To}
	deepest := innermost(s.Body)
	plan.exact = deepest && s.Step == 1 && s.After == nil && p.runsForward(s)
	rowed := map[string]bool{}
	for _, a := range accesses(s.Body, false) {
		base, ok := split(a.at, s.Var, inside)
		if !ok {
			continue
		}
		shift, covered := 0, plan.exact
		if !plan.exact {
			if s.Step > 1 {
				base, shift = p.unshift(base, s.Step)
			}
			covered = p.covers(s, access{a.buf, base})
			if !p.worthRow(base) && !(deepest && covered) {
				continue
			}
		}
		i := slices.IndexFunc(plan.list, func(r *row) bool { return r.buf == a.buf && r.base.String() == base.String() })
		if i < 0 {
			i = len(plan.list)
			plan.list = append(plan.list, &row{buf: a.buf, base: base, covered: covered})
		}
		r := plan.list[i]
		if key := a.key(); !slices.Contains(r.keys, key) {
			r.keys, r.shifts = append(r.keys, key), append(r.shifts, shift)
			rowed[key] = true
		}
	}
	if n, ok := s.To.Dim.Sub(s.From.Dim).Const(); ok && s.Step > 1 && s.From.Val == nil && s.To.Val == nil && n%s.Step == 0 {
		// Nothing is left for another loop: this one must touch the last element.
		for _, r := range plan.list {
			r.covered = r.covered && slices.Contains(r.shifts, s.Step-1)
		}
	}
	uses := len(p.plan.uses[s.Var])
	for _, a := range accesses(s.Body, true) {
		if rowed[a.key()] {
			uses--
		} else {
			plan.plain = append(plan.plain, a)
		}
	}
	plan.counter = uses > 0
	if plan.exact && len(plan.list) == 0 {
		plan.exact = false
	}
	if plan.exact {
		p.measure(s, plan)
	}
	if deepest {
		p.hoistAddresses(s, plan, inside)
	}
	return plan
}

// runsForward reports whether To >= From is plain to see.
func (p *kernelPrinter) runsForward(s *loop.For) bool {
	if g := p.k.Grid; g != nil && s.From.Val == g.Lo && s.To.Val == g.Hi {
		return true
	}
	if f := p.plan.afters[s.From.Val]; f != nil && sameBound(f.To, s.To) {
		return p.runsForward(f)
	}
	if s.From.Val == nil && s.To.Val == nil {
		return atLeastZero(s.To.Dim.Sub(s.From.Dim))
	}
	return startsAtZero(s.From) && p.plan.boundNonneg(s.To)
}

func sameBound(a, b loop.Bound) bool {
	return a.Val == b.Val && (a.Val != nil || a.Dim.Eq(b.Dim))
}

// unshift moves a constant below the step from the base to the counter, as in
// an unrolled loop: x[i*K + k + 1].
func (p *kernelPrinter) unshift(base loop.Index, step int) (loop.Index, int) {
	n, c := 0, 0
	for _, t := range base.Off.Terms() {
		if len(t.Factors) == 0 {
			n = t.Coef
		}
	}
	if c = n; n >= step {
		for _, t := range base.Terms {
			if k, ok := t.Coef.Const(); ok && k >= step && n%k < step {
				c = n % k
			}
		}
	}
	if c < 0 || c >= step {
		return base, 0
	}
	return loop.Index{Terms: base.Terms, Off: base.Off.AddN(-c)}, c
}

// covers reports whether the loop, or it together with the loop over what it
// leaves, touches the row's last element: the row from a on is in the buffer up
// to there if any of it is.
func (p *kernelPrinter) covers(s *loop.For, a access) bool {
	if !p.inBuffer(a.at) || !p.runsForward(s) {
		return false
	}
	if s.Step == 1 {
		return true
	}
	if n, ok := s.To.Dim.Sub(s.From.Dim).Const(); ok && s.From.Val == nil && s.To.Val == nil && n%s.Step == 0 {
		return true
	}
	for _, tail := range p.plan.tails[s.After] {
		if tail.Step != 1 || !sameBound(tail.To, s.To) {
			continue
		}
		inside := map[*loop.Val]bool{}
		definedIn(tail.Body, inside)
		for _, b := range accesses(tail.Body, false) {
			if base, ok := split(b.at, tail.Var, inside); ok && b.buf == a.buf && base.String() == a.at.String() {
				return true
			}
		}
	}
	return false
}

// worthRow is whether an open row from base on is worth a name: base costs a
// multiplication, and is in the buffer wherever the loop begins.
func (p *kernelPrinter) worthRow(base loop.Index) bool {
	return p.inBuffer(base) && slices.ContainsFunc(base.Terms, func(t loop.IndexTerm) bool { return !t.Coef.Is(1) })
}

// inBuffer is whether base is at least 0, as far as is plain to see.
func (p *kernelPrinter) inBuffer(base loop.Index) bool {
	for _, t := range base.Terms {
		if !p.plan.nonneg(t.Var) || !atLeastZero(t.Coef) {
			return false
		}
	}
	return atLeastZero(base.Off)
}

// measure computes where exact rows begin and how long they are.
func (p *kernelPrinter) measure(s *loop.For, plan *rowPlan) {
	if s.From.Val != nil {
		plan.from = loop.At(s.From.Val)
	} else {
		plan.from = loop.AtDim(s.From.Dim)
	}
	switch {
	case startsAtZero(s.From):
		plan.n = p.bound(s.To)
		if !plan.n.simple && s.To.Val != nil {
			plan.n = p.cached(place{key: "length " + s.To.String(), vals: boundVals(s.To)}, "n", plan.n.text)
		}
	case s.From.Val == nil && s.To.Val == nil && !slices.ContainsFunc(plan.list, func(r *row) bool { return !p.inBuffer(r.base) }):
		// Rows begin where the counter is 0, and the loop runs along the end of them.
		plan.start, plan.from, plan.n = p.bound(s.From).text, loop.Index{}, p.bound(s.To)
	case s.From.Val == nil && s.To.Val == nil:
		plan.n = p.dim(s.To.Dim.Sub(s.From.Dim))
	default:
		if g := p.k.Grid; g != nil && s.From.Val == g.Lo && s.To.Val == g.Hi {
			plan.lo, plan.hi = p.bound(s.From).text, p.bound(s.To).text
		}
		text := fmt.Sprintf("%s - %s", p.bound(s.To).in(4), p.bound(s.From).in(5))
		if !slices.ContainsFunc(plan.list, func(r *row) bool { return plan.lo == "" || !r.atZero() }) {
			return // the rows are x[lo:hi]
		}
		key := "length " + s.From.String() + " " + s.To.String()
		plan.n = p.cached(place{key: key, vals: boundVals(s.From, s.To)}, "n", text)
	}
}

// atZero is whether rows begin where the counter is 0.
func (plan *rowPlan) atZero() bool { return len(plan.from.Terms) == 0 && plan.from.Off.Is(0) }

func (r *row) atZero() bool { return len(r.base.Terms) == 0 && r.base.Off.Is(0) }
