package codegen

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lmc-lang/lmc/ir/loop"
)

// loop prints a loop. There are three shapes:
//
//	for j := range row { … row[j] … }    innermost, by one, along rows of memory
//	for i := range n { … }               from 0 by one
//	for i := from; i+3 <= to; i += 3 {   the rest
func (p *kernelPrinter) loop(s *loop.For) {
	inits := make([]expr, len(s.Carry))
	for i, c := range s.Carry {
		inits[i] = p.val(c.Init)
	}
	for i, c := range s.Carry {
		p.declare(c.Phi, &inits[i])
	}
	head, first := p.header(s)
	body := p.takeLines(func() {
		p.loops++
		p.block(s.Body)
		p.loops--
		var as []assignment
		for _, c := range s.Carry {
			as = append(as, assignment{p.vals[p.plan.class(c.Phi)].text, p.val(c.Next)})
		}
		p.assignAll(as)
	})
	p.lines = append(p.lines, p.locals[len(p.locals)-1].before...)
	p.close()
	if s.Comment != "" {
		p.line("// %s", strings.Join(strings.Fields(s.Comment), " "))
	}
	p.line("%s {", head(func(name string) bool {
		return slices.ContainsFunc(body, func(line string) bool { return mentions(line, name) })
	}))
	if first != "" {
		p.line("%s", first)
	}
	p.lines = append(p.lines, body...)
	p.line("}")
	for _, c := range s.Carry {
		p.vals[c.Out] = p.vals[p.plan.class(c.Phi)]
	}
}

// header opens the block of a loop and cuts the rows that it runs along. It
// returns the head of the loop, to be asked for when the body is printed, and
// the first line of the body, if any.
func (p *kernelPrinter) header(s *loop.For) (head func(used func(name string) bool) string, first string) {
	rows := p.planRows(s)
	if rows.exact {
		return p.rowHeader(s, rows)
	}
	name := hint(s.Var, "i")
	zero := startsAtZero(s.From)
	to := p.bound(s.To)
	simpleTo := func() {
		if next := to.op == "+" && s.Step == 1 && len(to.text) < 8; !to.simple && !next {
			n := p.pick("end")
			p.line("%s := %s", n, to.text)
			to = variable(n)
		}
	}
	rows.n = to
	if zero && s.Step == 1 && s.After == nil {
		if s.To.Val != nil && len(rows.list) > 0 {
			simpleTo()
			rows.n = to
		}
		p.cutRows(rows)
		p.openLoop(s)
		name = p.pick(name)
		p.vals[s.Var] = variable(name)
		p.addressRows(rows, name)
		return func(used func(string) bool) string {
			if !used(name) {
				return "for range " + to.text
			}
			return fmt.Sprintf("for %s := range %s", name, to.text)
		}, ""
	}
	simpleTo()
	rows.n = to
	from := p.bound(s.From)
	start := ""
	switch here := p.plan.paths[s]; {
	case s.From.Val != nil && p.plan.afters[s.From.Val] != nil && p.plan.dead(s.From.Val, here, here):
		// The loop goes on where the one before stopped.
		name = from.text
	case s.After != nil:
		name = p.pick(name)
		p.line("%s := %s", name, from.text)
	default:
		start = from.text
	}
	p.cutRows(rows)
	p.openLoop(s)
	if start != "" {
		name = p.pick(name)
		start = fmt.Sprintf("%s := %s", name, start)
	}
	p.vals[s.Var] = variable(name)
	if s.After != nil {
		p.vals[s.After] = variable(name)
	}
	p.addressRows(rows, name)
	return func(func(string) bool) string {
		if s.Step == 1 {
			return fmt.Sprintf("for %s; %s < %s; %s++", start, name, to.text, name)
		}
		return fmt.Sprintf("for %s; %s; %s += %d", start, p.roomFor(s, rows, name, to), name, s.Step)
	}, ""
}

// roomFor is the condition of a loop by more than one: that a whole step fits.
// In terms of the length of a row, compilers see that elements of the step are
// in the row.
func (p *kernelPrinter) roomFor(s *loop.For, rows *rowPlan, name string, to expr) string {
	if n, ok := s.To.Dim.Const(); ok && s.To.Val == nil {
		if from, ok := s.From.Dim.Const(); !ok || s.From.Val != nil || (n-from)%s.Step != 0 {
			n -= s.Step - 1
		}
		return fmt.Sprintf("%s < %d", name, n)
	}
	for _, r := range rows.list {
		if r.covered {
			return fmt.Sprintf("%s < len(%s)-%d", name, r.text, s.Step-1)
		}
	}
	return fmt.Sprintf("%s+%d <= %s", name, s.Step, to.text)
}

func startsAtZero(b loop.Bound) bool { return b.Val == nil && b.Dim.Is(0) }

// rowHeader is header for a loop along rows of exactly its length.
func (p *kernelPrinter) rowHeader(s *loop.For, rows *rowPlan) (head func(used func(name string) bool) string, first string) {
	p.cutRows(rows)
	over := ""
	for _, r := range rows.list {
		if r.cut && (over == "" || r.buf.Out) {
			over = r.text
		}
	}
	if over == "" {
		over = rows.n.text
	}
	p.openLoop(s)
	name := p.pick(hint(s.Var, "i"))
	counter := name
	if rows.start == "" && !startsAtZero(s.From) && rows.counter {
		counter = p.pick("r")
		first = fmt.Sprintf("%s := %s + %s", name, p.bound(s.From).in(4), counter)
	}
	p.vals[s.Var] = variable(name)
	p.addressRows(rows, counter)
	return func(used func(string) bool) string {
		if !used(counter) && first == "" {
			return "for range " + over
		}
		if rows.start != "" {
			return fmt.Sprintf("for %s := %s; %s < %s; %s++", name, rows.start, name, rows.n.text, name)
		}
		return fmt.Sprintf("for %s := range %s", counter, over)
	}, first
}
