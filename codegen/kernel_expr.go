package codegen

import (
	"fmt"
	"go/token"
	"math"
	"strconv"
	"strings"

	"github.com/lmc-lang/lmc/ir/loop"
)

// An expr is a Go expression.
type expr struct {
	text     string
	prec     int    // of its operator: 1 to 5, unary, or primary
	product  bool   // a float product whose rounding is not written yet
	constant bool   // untyped
	simple   bool   // a variable or a number: it may be repeated
	op       string // the binary operator, and the operands around it
	left     string
	right    string
}

const (
	unary   = 6
	primary = 7
)

func variable(name string) expr { return expr{text: name, prec: primary, simple: true} }

var precedence = map[string]int{
	"*": 5, "/": 5, "%": 5, ">>": 5, "+": 4, "-": 4,
	"==": 3, "!=": 3, "<": 3, "<=": 3, "&&": 2, "||": 1,
}

func isKeyword(s string) bool { return token.IsKeyword(s) }

// in is the text of e where the context binds with the given precedence.
func (e expr) in(prec int) string {
	if e.prec < prec {
		return "(" + e.text + ")"
	}
	return e.text
}

// rounded is e with the conversion that keeps a compiler from fusing a product.
func (p *kernelPrinter) rounded(e expr) expr {
	if !e.product {
		return e
	}
	return expr{text: p.float + "(" + e.text + ")", prec: primary}
}

// typed is e as the first value of a variable of type t.
func (p *kernelPrinter) typed(e expr, t loop.Elem) string {
	e = p.rounded(e)
	if e.constant && t != loop.Int && t != loop.Bool {
		return p.goType(t) + "(" + e.text + ")"
	}
	return e.text
}

// number is the constant x of type t, as short as it can be said exactly.
func (p *kernelPrinter) number(x float64, t loop.Elem) expr {
	call := func(text string) expr {
		if !p.wide {
			text = p.float + "(" + text + ")"
		}
		return expr{text: text, prec: primary}
	}
	switch {
	case t == loop.Bool:
		return expr{text: strconv.FormatBool(x != 0), prec: primary, constant: true, simple: true}
	case t != loop.F32:
		e := expr{text: strconv.FormatInt(int64(x), 10), prec: primary, constant: true, simple: true}
		if x < 0 {
			e.prec = unary
		}
		return e
	}
	bits := 64
	if !p.wide {
		x, bits = float64(float32(x)), 32
	}
	switch {
	case x != x:
		return call("math.NaN()")
	case math.IsInf(x, 1):
		return call("math.Inf(1)")
	case math.IsInf(x, -1):
		return call("math.Inf(-1)")
	case x == 0 && math.Signbit(x):
		return call("math.Copysign(0, -1)")
	}
	e := expr{text: strconv.FormatFloat(x, 'g', -1, bits), prec: primary, constant: true, simple: true}
	if x < 0 {
		e.prec = unary
	}
	return e
}

// A spelling is the Go text of a row of loop.Table, taken apart.
type spelling struct {
	parts []string // between the operands
	args  []int    // operands
	need  []int    // the precedence that each needs
	op    string   // the operator of the whole, if it has one
	prec  int
}

// parseSpelling takes apart an expression over $0, $1 and $2.
func parseSpelling(s string) spelling {
	var out spelling
	out.prec = primary
	depth, start := 0, 0
	operator := func(at int) string { // the binary operator that begins at or after at
		w, _, _ := strings.Cut(strings.TrimLeft(s[at:], " "), " ")
		if _, ok := precedence[w]; ok {
			return w
		}
		return ""
	}
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '(':
			depth++
		case ')':
			depth--
		case ' ':
			if op := operator(i); op != "" && depth == 0 {
				out.op, out.prec = op, precedence[op]
			}
		case '-', '!':
			if i == 0 {
				out.prec = unary
			}
		case '$':
			need := 0
			before := strings.TrimRight(s[:i], " ")
			if w := before[strings.LastIndexAny(before, " (,")+1:]; w != "" {
				if n, ok := precedence[w]; ok && strings.HasSuffix(s[:i], " ") {
					need = n + 1
				} else {
					need = primary // of a sign: --x is no expression
				}
			}
			if op := operator(i + 2); op != "" {
				need = max(need, precedence[op])
			}
			out.parts = append(out.parts, s[start:i])
			out.args = append(out.args, int(s[i+1]-'0'))
			out.need = append(out.need, need)
			start = i + 2
		}
	}
	out.parts = append(out.parts, s[start:])
	return out
}

// notFused are the ops whose operands may be products that are not rounded
// explicitly, because no machine fuses a product into them.
var notFused = map[loop.Op]bool{loop.Mul: true, loop.Div: true, loop.Lt: true, loop.Le: true, loop.Eq: true}

// instrExpr is s as an expression.
func (p *kernelPrinter) instrExpr(s *loop.Instr) expr {
	switch s.Op {
	case loop.Const:
		return p.number(s.Imm, s.Dst.Elem)
	case loop.Size:
		return p.dim(s.Dim)
	}
	form := loop.Table[s.Op].Form(s.Args, s.Dst.Elem, p.wide)
	if form == nil {
		p.fail("no form of %s", loop.Table[s.Op].Name)
		return expr{}
	}
	text := form.Go
	if s.Dst.Elem == loop.Int && (s.Op == loop.Div || s.Op == loop.Mod) && p.plan.nonneg(s.Args[0]) && p.plan.nonneg(s.Args[1]) {
		text = map[loop.Op]string{loop.Div: "$0 / $1", loop.Mod: "$0 % $1"}[s.Op]
	}
	sp := parseSpelling(text)
	times := [3]int{}
	for _, a := range sp.args {
		times[a]++
	}
	args := make([]expr, len(s.Args))
	constants := true
	for i, a := range s.Args {
		args[i] = p.val(a)
		constants = constants && args[i].constant
		if !notFused[s.Op] {
			args[i] = p.rounded(args[i])
		}
	}
	for i, a := range s.Args {
		negative := args[i].constant && args[i].prec == unary && strings.Contains(text, "uint64(")
		if constants && i == 0 && a.Elem != loop.Int && a.Elem != loop.Bool || times[i] > 1 && !args[i].simple || negative {
			name := p.pick(hint(a, "c"))
			p.line("%s := %s", name, p.typed(args[i], a.Elem))
			args[i] = variable(name)
		}
	}
	if s.Op == loop.Add && args[1].prec == unary && args[1].text[0] == '-' { // a + -b is a - b, bit by bit
		args[1] = expr{text: args[1].text[1:], prec: primary, constant: args[1].constant, simple: args[1].constant}
		sp = parseSpelling("$0 - $1")
	}
	out := expr{prec: sp.prec, op: sp.op, product: form.Pin}
	for k, a := range sp.args {
		arg := args[a].in(sp.need[k])
		if sp.op != "" && len(sp.args) == 2 {
			if k == 0 {
				out.left = arg
			} else {
				out.right = arg
			}
		}
		out.text += sp.parts[k] + arg
	}
	out.text += sp.parts[len(sp.args)]
	return out
}

// val is the expression that stands for v now.
func (p *kernelPrinter) val(v *loop.Val) expr {
	if c := p.plan.free[v]; c != nil {
		return p.instrExpr(c)
	}
	e, ok := p.vals[v]
	if !ok {
		e, ok = p.vals[p.plan.class(v)]
	}
	if !ok {
		p.fail("%s has no expression", v)
	}
	return e
}

// hint is a name for v.
func hint(v *loop.Val, otherwise string) string {
	if v.Name != "" {
		return v.Name
	}
	return otherwise
}

// index is the address at as an expression. Multiples of a coefficient in the
// offset go to its counter: (i+1)*768 rather than i*768 + 768.
func (p *kernelPrinter) index(at loop.Index) expr {
	off := at.Off
	var parts []string
	for _, t := range at.Terms {
		if t.Coef.Is(0) {
			continue
		}
		v := p.val(t.Var)
		if t.Coef.Is(1) {
			parts = append(parts, v.in(4))
			continue
		}
		if q, rest, ok := multiple(off, t.Coef); ok && q != 0 && v.simple {
			off = rest
			v = expr{text: fmt.Sprintf("%s%+d", v.text, q), prec: 4}
		}
		if n, ok := t.Coef.Const(); ok && n < 0 {
			v = expr{text: fmt.Sprintf("%s*(%d)", v.in(5), n), prec: 5}
			parts = append(parts, v.text)
			continue
		}
		parts = append(parts, v.in(5)+"*"+p.dim(t.Coef).in(unary))
	}
	if len(parts) == 0 {
		return p.dim(off)
	}
	prec := 4
	text := strings.Join(parts, " + ")
	if !off.Is(0) {
		if n, ok := off.Const(); ok && n < 0 {
			text += fmt.Sprintf(" - %d", -n)
		} else {
			text += " + " + p.dim(off).in(5)
		}
	} else if len(parts) == 1 {
		t := at.Terms[0]
		if t.Coef.Is(1) {
			return p.val(t.Var)
		}
		prec = 5
	}
	return expr{text: text, prec: prec}
}

// multiple splits off into q*coef + rest, with a number q > 0, where that makes
// rest simpler than off.
func multiple(off, coef loop.Dim) (q int, rest loop.Dim, ok bool) {
	if off.Is(0) {
		return 0, off, false
	}
	if c, isNum := coef.Const(); isNum {
		n, isNum := off.Const()
		if !isNum || n < 0 || n < c {
			return 0, off, false
		}
		return n / c, loop.N(n % c), true
	}
	for q = range 16 {
		// One of the summands of off is q times the coefficient.
		if rest = off.Sub(coef.MulN(q + 1)); len(rest.Terms()) < len(off.Terms()) {
			return q + 1, rest, true
		}
	}
	return 0, off, false
}
