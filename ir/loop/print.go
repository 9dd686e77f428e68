package loop

import (
	"fmt"
	"strconv"
	"strings"
)

// String prints v as it stands in the text form: name and ID.
func (v *Val) String() string {
	if v == nil {
		return "%nil"
	}
	return "%" + plainName(v.Name) + strconv.Itoa(v.ID)
}

// plainName makes a hint readable in text: letters, and a dot before the ID.
func plainName(s string) string {
	if s == "" {
		return ""
	}
	return identOf(s) + "."
}

func identOf(s string) string {
	if isIdentifier(s) {
		return s
	}
	s = strings.Map(func(r rune) rune {
		if isIdentifier("a" + string(r)) {
			return r
		}
		return '_'
	}, s)
	if !isIdentifier(s) {
		s = "_" + s
	}
	return s
}

// String prints i as a sum, e.g. "784*%i.3 + %k.4 + 7".
func (i Index) String() string {
	var parts []string
	for _, t := range i.Terms {
		c := t.Coef.String()
		switch {
		case c == "1":
			parts = append(parts, t.Var.String())
		default:
			parts = append(parts, group(t.Coef)+"*"+t.Var.String())
		}
	}
	if len(parts) == 0 || !i.Off.Is(0) {
		parts = append(parts, i.Off.String())
	}
	return strings.Join(parts, " + ")
}

// group is d in parentheses if it is a sum.
func group(d Dim) string {
	if len(d.terms) > 1 {
		return "(" + d.String() + ")"
	}
	return d.String()
}

// String prints the value or the dim.
func (b Bound) String() string {
	if b.Val != nil {
		return b.Val.String()
	}
	return b.Dim.String()
}

// String prints k in the form that ParseKernel reads: one statement a line, its
// native forms after it.
//
//	// y = max(x, 0) (mlp.lm:3:5)
//	kernel relu {
//	  in x f32[784*B]
//	  out y f32[784*B]
//	  grid %lo.0 %hi.1 of 784*B grain 4096
//	  for %i.2 = %lo.0 to %hi.1 {
//	    %3 f32 = load x[%i.2]
//	    %4 f32 = const 0
//	    %5 f32 = max %3 %4
//	    store y[%i.2] %5
//	  }
//	}
func (k *Kernel) String() string {
	p := &printer{}
	p.kernel(k)
	for _, n := range k.Native {
		p.b.WriteString("native " + n.Target.Name + " ")
		p.kernel(n.Kernel)
	}
	return p.b.String()
}

type printer struct {
	b     strings.Builder
	depth int
}

func (p *printer) line(format string, a ...any) {
	p.b.WriteString(strings.Repeat("  ", p.depth))
	fmt.Fprintf(&p.b, format, a...)
	p.b.WriteByte('\n')
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func (p *printer) kernel(k *Kernel) {
	if k.Doc != "" {
		p.line("// %s", oneLine(k.Doc))
	}
	p.line("kernel %s {", k.Name)
	p.depth++
	if k.Wide {
		p.line("wide")
	}
	for _, b := range k.Bufs {
		way := "in"
		switch {
		case b.Local:
			way = "local"
		case b.Update:
			way = "update"
		case b.Out:
			way = "out"
		}
		p.line("%s %s %s[%s]", way, b.Name, b.Elem, b.Len)
	}
	for _, x := range k.InPlace {
		p.line("inplace %s %s", k.Bufs[x[0]].Name, k.Bufs[x[1]].Name)
	}
	for _, v := range k.Ints {
		p.line("int %s", v)
	}
	if g := k.Grid; g != nil {
		p.line("grid %s %s of %s grain %s", g.Lo, g.Hi, g.N, g.Grain)
	}
	if !k.Cost.FLOPs.Is(0) || !k.Cost.Bytes.Is(0) {
		p.line("cost %s %s", k.Cost.FLOPs, k.Cost.Bytes)
	}
	p.block(k.Body)
	p.depth--
	p.line("}")
}

func (p *printer) block(body []Stmt) {
	for _, s := range body {
		p.stmt(s)
	}
}

func (p *printer) stmt(s Stmt) {
	switch s := s.(type) {
	case *Instr:
		switch s.Op {
		case Const:
			p.line("%s %s = const %s", s.Dst, s.Dst.typeText(), number64(s.Imm))
		case Size:
			p.line("%s %s = size %s", s.Dst, s.Dst.typeText(), s.Dim)
		default:
			p.line("%s %s = %s%s", s.Dst, s.Dst.typeText(), Table[s.Op].Name, operands(s.Args))
		}
	case *Load:
		p.line("%s %s = load %s[%s]%s%s", s.Dst, s.Dst.typeText(), s.Buf.Name, s.At, optional("lane", s.Lane), optional("mask", s.Mask))
	case *Prefetch:
		p.line("prefetch %s[%s]", s.Buf.Name, s.At)
	case *Store:
		p.line("store %s[%s] %s%s", s.Buf.Name, s.At, s.Src, optional("mask", s.Mask))
	case *For:
		p.loop(s)
	case *If:
		p.line("if %s {", s.Cond)
		p.inner(s.Then)
		if len(s.Else) > 0 {
			p.line("} else {")
			p.inner(s.Else)
		}
		p.line("}")
		for _, m := range s.Merge {
			p.line("merge %s %s = %s %s", m.Dst, m.Dst.typeText(), m.Then, m.Else)
		}
	case *Extern:
		var spans strings.Builder
		for _, sp := range s.Bufs {
			fmt.Fprintf(&spans, " %s[%s : %s]", sp.Buf.Name, sp.At, sp.Len)
		}
		p.line("extern %s%s%s", s.Fn, spans.String(), operands(s.Args))
	}
}

// optional prints a keyword and an operand if there is one.
func optional(word string, v *Val) string {
	if v == nil {
		return ""
	}
	return " " + word + " " + v.String()
}

func (p *printer) inner(body []Stmt) {
	p.depth++
	p.block(body)
	p.depth--
}

func (p *printer) loop(s *For) {
	step, after, comment := "", "", ""
	if s.Step != 1 {
		step = fmt.Sprintf(" step %d", s.Step)
	}
	if s.After != nil {
		after = " after " + s.After.String()
	}
	if s.Comment != "" {
		comment = " // " + oneLine(s.Comment)
	}
	p.line("for %s = %s to %s%s%s {%s", s.Var, s.From, s.To, step, after, comment)
	p.depth++
	for _, c := range s.Carry {
		p.line("carry %s %s = %s", c.Phi, c.Phi.typeText(), c.Init)
	}
	p.block(s.Body)
	for _, c := range s.Carry {
		p.line("next %s = %s out %s", c.Phi, c.Next, c.Out)
	}
	p.depth--
	p.line("}")
}

func operands(args []*Val) string {
	var b strings.Builder
	for _, a := range args {
		b.WriteByte(' ')
		b.WriteString(a.String())
	}
	return b.String()
}

func number64(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }

// String prints r, e.g. "arena.f32[768*B + 1024*%l : 768]".
func (r Ref) String() string {
	name := r.Space.String()
	if r.Name != "" {
		name += "(" + r.Name + ")"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s.%s[", name, r.Elem)
	if r.Slot > 0 {
		fmt.Fprintf(&b, "slot %d", r.Slot)
		if len(r.Stride) == 0 && r.Off.Is(0) {
			fmt.Fprintf(&b, " : %s]", r.Len)
			return b.String()
		}
		b.WriteString(" + ")
	}
	for _, t := range r.Stride {
		fmt.Fprintf(&b, "%s*%s + ", group(t.Coef), t.Var)
	}
	fmt.Fprintf(&b, "%s : %s]", r.Off, r.Len)
	return b.String()
}

// String prints the procedures of p, loops nested, and then its kernels: what
// lmc dump shows of the last stage.
func (p *Program) String() string {
	q := &printer{}
	nested := map[*Proc]bool{}
	for _, c := range p.Procs {
		for _, s := range c.Steps {
			if l, ok := s.(*Loop); ok {
				nested[l.Body] = true
			}
		}
	}
	for _, c := range p.Procs {
		if !nested[c] {
			q.proc(c)
		}
	}
	for _, k := range p.Kernels {
		q.b.WriteByte('\n')
		q.kernel(k)
	}
	return q.b.String()
}

// String prints the steps of p, loops nested.
func (p *Proc) String() string {
	q := &printer{}
	q.proc(p)
	return q.b.String()
}

// arena prints what c needs, or its slots: type, size, and the calls from which to
// which it is needed.
func (p *printer) arena(c *Proc) {
	for e, n := range c.Arena {
		if n > 0 {
			p.line("arena %s[%d]", Elem(e), n)
		}
	}
	for i, s := range c.Slots {
		p.line("slot %d %s[%s] %d..%d", i+1, s.Elem, s.Size, s.First, s.Last)
	}
}

func (p *printer) proc(c *Proc) {
	if p.b.Len() > 0 {
		p.b.WriteByte('\n')
	}
	if c.Doc != "" {
		p.line("// %s", oneLine(c.Doc))
	}
	p.line("proc %s(%s) {", c.Name, strings.Join(append(append([]string(nil), c.Dims...), c.Vars...), ", "))
	p.depth++
	p.arena(c)
	p.steps(c)
	p.depth--
	p.line("}")
}

func (p *printer) steps(c *Proc) {
	for _, s := range c.Steps {
		switch s := s.(type) {
		case *Call:
			outs := 0
			var args []string
			for i, r := range s.Args {
				if i < len(s.Kernel.Bufs) && s.Kernel.Bufs[i].Out && outs == 0 {
					outs = i + 1
					args = append(args, "->")
				}
				args = append(args, r.String())
			}
			for _, n := range s.Ints {
				args = append(args, n.Var)
			}
			p.line("call %s %s", s.Kernel.Name, strings.Join(args, " "))
		case *Loop:
			n, way := s.N.String(), "up"
			if s.NRef != nil {
				n = s.NRef.String()
			}
			if s.Reverse {
				way = "down"
			}
			p.line("loop %s %s %s { // %s", s.Var, way, n, s.Body.Name)
			p.depth++
			p.steps(s.Body)
			p.depth--
			p.line("}")
		}
	}
}
