package codegen

import (
	"fmt"
	"go/scanner"
	"go/token"
	"slices"
	"strings"

	"github.com/lmc-lang/lmc/ir/loop"
)

// longest is the length of an expression that goes on being part of another.
const longest = 100

// block prints the statements of an open block.
func (p *kernelPrinter) block(body []loop.Stmt) {
	for _, s := range body {
		p.stmt(s)
	}
}

func (p *kernelPrinter) stmt(s loop.Stmt) {
	switch s := s.(type) {
	case *loop.Instr:
		if p.plan.free[s.Dst] == nil {
			p.compute(s.Dst, p.instrExpr(s))
		}
	case *loop.Load:
		p.compute(s.Dst, expr{text: p.element(s.Buf, s.At), prec: primary})
	case *loop.Store:
		e := p.val(s.Src)
		if p.plan.forwarded(s) {
			e = p.rounded(e)
		}
		p.assign(p.element(s.Buf, s.At), e)
	case *loop.For:
		p.loop(s)
	case *loop.If:
		p.branch(s)
	case *loop.Extern:
		p.extern(s)
	}
}

// compute gives v its expression: the text itself if v is used once and soon,
// else a variable.
func (p *kernelPrinter) compute(v *loop.Val, e expr) {
	if p.plan.inline[v] && len(e.text) <= longest {
		p.vals[v] = e
		return
	}
	if len(p.plan.uses[v]) == 0 {
		p.line("_ = %s", e.text) // for its fault
		return
	}
	name := p.pick(p.wanted(v))
	p.line("%s := %s", name, p.typed(e, v.Elem))
	p.vals[v] = variable(name)
	p.vals[p.plan.class(v)] = p.vals[v]
}

// wanted is a good name for the variable of v.
func (p *kernelPrinter) wanted(v *loop.Val) string {
	members := p.plan.members[p.plan.class(v)]
	if len(members) == 0 {
		members = []*loop.Val{v}
	}
	for _, m := range members {
		if m.Name != "" {
			return m.Name
		}
	}
	if p.plan.carried[p.plan.class(v)] && v.Elem == loop.F32 {
		return "acc"
	}
	if l := p.plan.loads[v]; l != nil {
		if len(l.Buf.Name) > 2 {
			return l.Buf.Name + "V"
		}
		return unnumbered(l.Buf.Name) + "v"
	}
	return [...]string{loop.F32: "t", loop.I32: "n", loop.Bool: "ok", loop.Int: "at"}[v.Elem]
}

// assign prints dst = e, shorter where it can be.
func (p *kernelPrinter) assign(dst string, e expr) {
	if e.left == dst && (e.op == "+" || e.op == "-" || e.op == "*" && !e.product) {
		right := strings.TrimSuffix(strings.TrimPrefix(e.right, "("), ")")
		if e.right[0] != '(' || strings.ContainsAny(right, "()") {
			right = e.right
		}
		if right == "1" && e.op != "*" {
			p.line("%s%s%s", dst, e.op, e.op)
			return
		}
		p.line("%s %s= %s", dst, e.op, right)
		return
	}
	p.line("%s = %s", dst, e.text)
}

// An assignment sets the variable dst to a value.
type assignment struct {
	dst string
	e   expr
}

// assignAll prints assignments that happen at once.
func (p *kernelPrinter) assignAll(as []assignment) {
	kept := as[:0]
	for _, a := range as {
		if a.e.text != a.dst {
			a.e = p.rounded(a.e)
			kept = append(kept, a)
		}
	}
	// An order in which no assignment changes what a later one reads.
	for len(kept) > 0 {
		next := -1
		for i, a := range kept {
			free := true
			for j, b := range kept {
				free = free && (i == j || !mentions(b.e.text, a.dst))
			}
			if free {
				next = i
				break
			}
		}
		if next < 0 {
			break
		}
		p.assign(kept[next].dst, kept[next].e)
		kept = append(kept[:next:next], kept[next+1:]...)
	}
	if len(kept) > 0 {
		var left, right []string
		for _, a := range kept {
			left, right = append(left, a.dst), append(right, a.e.text)
		}
		p.line("%s = %s", strings.Join(left, ", "), strings.Join(right, ", "))
	}
}

// mentions reports whether the variable name occurs in Go text.
func mentions(text, name string) bool {
	if !strings.Contains(text, name) {
		return false
	}
	var s scanner.Scanner
	fset := token.NewFileSet()
	s.Init(fset.AddFile("", fset.Base(), len(text)), []byte(text), nil, 0)
	for {
		_, tok, lit := s.Scan()
		if tok == token.EOF {
			return false
		}
		if tok == token.IDENT && lit == name {
			return true
		}
	}
}

// declare gives v the variable of its class: the one that there is, set to e if
// that is another value, or a new one that starts with e. Without e there is no
// value yet.
func (p *kernelPrinter) declare(v *loop.Val, e *expr) {
	c := p.plan.class(v)
	if old, ok := p.vals[c]; ok {
		if e != nil && e.text != old.text {
			p.assign(old.text, p.rounded(*e))
		}
		p.vals[v] = old
		return
	}
	name := ""
	if e == nil {
		name = p.pick(p.wanted(v))
		p.line("var %s %s", name, p.goType(v.Elem))
	} else {
		text := p.typed(*e, v.Elem)
		name = p.pick(p.wanted(v))
		p.line("%s := %s", name, text)
	}
	p.vals[c] = variable(name)
	p.vals[v] = p.vals[c]
}

// branch prints an if statement. A merged value gets its variable before it,
// with the value of an empty else branch already, if that costs nothing.
func (p *kernelPrinter) branch(s *loop.If) {
	cond := p.rounded(p.val(s.Cond))
	done := map[*loop.Merge]*loop.Val{} // the side that is there already
	for _, m := range s.Merge {
		if _, known := p.vals[p.plan.class(m.Dst)]; !known {
			// The side that costs nothing goes first.
			for _, side := range []struct {
				body []loop.Stmt
				v    *loop.Val
			}{{s.Else, m.Else}, {s.Then, m.Then}} {
				if done[m] == nil && p.nothing(side.body) {
					if e := p.val(side.v); e.simple {
						p.declare(m.Dst, &e)
						done[m] = side.v
					}
				}
			}
			if done[m] == nil {
				p.declare(m.Dst, nil)
			}
		}
		p.vals[m.Dst] = p.vals[p.plan.class(m.Dst)]
	}
	side := func(body []loop.Stmt, value func(m *loop.Merge) *loop.Val) []string {
		return p.takeLines(func() {
			p.open()
			p.block(body)
			var as []assignment
			for _, m := range s.Merge {
				if v := value(m); v != done[m] {
					as = append(as, assignment{p.vals[m.Dst].text, p.val(v)})
				}
			}
			p.assignAll(as)
			p.close()
		})
	}
	then := side(s.Then, func(m *loop.Merge) *loop.Val { return m.Then })
	els := side(s.Else, func(m *loop.Merge) *loop.Val { return m.Else })
	if len(then) == 0 {
		if len(els) > 0 {
			p.line("if %s {", negated(cond))
			p.lines = append(p.lines, els...)
			p.line("}")
		}
		return
	}
	p.line("if %s {", cond.text)
	p.lines = append(p.lines, then...)
	if len(els) > 0 {
		p.line("} else {")
		p.lines = append(p.lines, els...)
	}
	p.line("}")
}

// nothing is whether body has only constants.
func (p *kernelPrinter) nothing(body []loop.Stmt) bool {
	return !slices.ContainsFunc(body, func(s loop.Stmt) bool {
		in, ok := s.(*loop.Instr)
		return !ok || p.plan.free[in.Dst] == nil
	})
}

// negated is the opposite of a condition. That of < is not >=, because of NaN.
func negated(cond expr) string {
	switch cond.op {
	case "==":
		return cond.left + " != " + cond.right
	case "!=":
		return cond.left + " == " + cond.right
	}
	if inner, ok := strings.CutPrefix(cond.text, "!"); ok && cond.prec == unary {
		return inner
	}
	return "!" + cond.in(unary)
}

// extern prints a call of a function of the runtime.
func (p *kernelPrinter) extern(s *loop.Extern) {
	info := loop.ExternNamed(s.Fn)
	var args []string
	for _, sp := range s.Bufs {
		args = append(args, p.slice(p.bufs[sp.Buf], sp.At, p.bound(sp.Len)))
	}
	for _, a := range s.Args {
		args = append(args, p.rounded(p.val(a)).text)
	}
	p.line("runtime.%s(%s)", info.Go, strings.Join(args, ", "))
}

// slice is the run of n elements of buf from at on.
func (p *kernelPrinter) slice(buf string, at loop.Index, n expr) string {
	if len(at.Terms) == 0 && at.Off.Is(0) {
		return fmt.Sprintf("%s[:%s]", buf, n.text)
	}
	return fmt.Sprintf("%s[%s:][:%s]", buf, p.index(at).text, n.text)
}

func (p *kernelPrinter) bound(b loop.Bound) expr {
	if b.Val != nil {
		return p.val(b.Val)
	}
	return p.dim(b.Dim)
}
