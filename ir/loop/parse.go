package loop

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ParseKernel reads what Kernel.String prints, and verifies it. Lines that
// start with // are comments; one before the kernel is its Doc.
func ParseKernel(text string) (*Kernel, error) {
	p := &parser{k: &Kernel{}, vals: map[string]*Val{}, ids: map[int]bool{}}
	for i, l := range strings.Split(text, "\n") {
		l = strings.TrimSpace(l)
		if doc, ok := strings.CutPrefix(l, "//"); ok {
			if p.k.Name == "" {
				p.k.Doc = oneLine(doc)
			}
			continue
		}
		if l != "" {
			p.lines = append(p.lines, srcLine{i + 1, l})
		}
	}
	p.kernel()
	for p.err == nil && p.next() {
		p.native()
	}
	if p.err != nil {
		return nil, p.err
	}
	if err := p.k.Verify(); err != nil {
		return nil, err
	}
	return p.k, nil
}

type srcLine struct {
	n    int
	text string
}

type parser struct {
	lines []srcLine
	at    int // next line
	cur   srcLine
	k     *Kernel
	vals  map[string]*Val // by spelling
	ids   map[int]bool
	depth int
	err   error
}

func (p *parser) fail(format string, a ...any) {
	if p.err == nil {
		p.err = fmt.Errorf("line %d: %s", p.cur.n, fmt.Sprintf(format, a...))
	}
}

func (p *parser) next() bool {
	if p.err != nil || p.at >= len(p.lines) {
		return false
	}
	p.cur = p.lines[p.at]
	p.at++
	return true
}

func (p *parser) kernel() {
	if !p.next() {
		p.fail("expected a kernel")
		return
	}
	w := p.words()
	if len(w) != 3 || w[0] != "kernel" || w[2] != "{" {
		p.fail("expected kernel NAME {")
		return
	}
	p.k.Name = w[1]
	p.block(&p.k.Body, p.header)
	if p.err == nil && p.cur.text != "}" {
		p.fail("expected }")
	}
}

// native reads the vector form that follows a kernel.
func (p *parser) native() {
	rest, ok := strings.CutPrefix(p.cur.text, "native ")
	name, rest, _ := strings.Cut(rest, " ")
	t := TargetNamed(name)
	if !ok || t == nil {
		p.fail("text after the kernel")
		return
	}
	p.lines[p.at-1].text = rest
	q := &parser{lines: p.lines, at: p.at - 1, k: &Kernel{}, vals: map[string]*Val{}, ids: map[int]bool{}}
	q.kernel()
	p.k.Native = append(p.k.Native, Native{t, q.k})
	p.at, p.err = q.at, q.err
}

// words splits the line at spaces that are not inside brackets.
func (p *parser) words() []string {
	text, _, _ := strings.Cut(p.cur.text, " //")
	var out []string
	depth, start := 0, -1
	for i, r := range text {
		switch {
		case r == '[':
			depth++
		case r == ']':
			depth--
		case r == ' ' && depth == 0:
			if start >= 0 {
				out = append(out, text[start:i])
			}
			start = -1
			continue
		}
		if start < 0 {
			start = i
		}
	}
	if start >= 0 {
		out = append(out, text[start:])
	}
	return out
}

// want checks the words of a line against a pattern, in which a word that is
// empty matches any.
func (p *parser) want(w []string, pattern ...string) bool {
	ok := len(w) == len(pattern)
	for i := 0; ok && i < len(w); i++ {
		ok = pattern[i] == "" || pattern[i] == w[i]
	}
	if !ok {
		p.fail("cannot read %q", p.cur.text)
	}
	return ok
}

func (p *parser) elem(s string) Elem {
	for e := F32; e <= Int; e++ {
		if e.String() == s {
			return e
		}
	}
	p.fail("unknown type %q", s)
	return F32
}

func (p *parser) dim(s string) Dim {
	if len(s) > 1 && s[0] == '(' && s[len(s)-1] == ')' {
		s = s[1 : len(s)-1]
	}
	d, err := ParseDim(s)
	if err != nil {
		p.fail("%v", err)
	}
	return d
}

// define makes the value spelled s of the type spelled t, such as f32x16.
func (p *parser) define(s, t string) *Val {
	t, vec := strings.CutSuffix(t, "x16")
	v := p.def(s, p.elem(t))
	v.Vec = vec
	return v
}

// def makes the value spelled s, such as %acc.12.
func (p *parser) def(s string, e Elem) *Val {
	v := &Val{Elem: e}
	body, ok := strings.CutPrefix(s, "%")
	name, id, named := strings.Cut(body, ".")
	if !named {
		name, id = "", body
	}
	n, err := strconv.Atoi(id)
	if !ok || err != nil || n < 0 || p.ids[n] {
		p.fail("bad or repeated value %q", s)
		return v
	}
	v.Name, v.ID = name, n
	p.ids[n] = true
	p.vals[s] = v
	return v
}

func (p *parser) val(s string) *Val {
	v := p.vals[s]
	if v == nil {
		p.fail("undefined value %q", s)
		return &Val{}
	}
	return v
}

func (p *parser) bound(s string) Bound {
	if strings.HasPrefix(s, "%") {
		return Bound{Val: p.val(s)}
	}
	return Bound{Dim: p.dim(s)}
}

func (p *parser) buffer(s string) *Buffer {
	i := slices.IndexFunc(p.k.Bufs, func(b *Buffer) bool { return b.Name == s })
	if i < 0 {
		p.fail("no buffer is called %q", s)
		return &Buffer{}
	}
	return p.k.Bufs[i]
}

// place reads "x[index]".
func (p *parser) place(s string) (*Buffer, string) {
	name, in, ok := strings.Cut(s, "[")
	if !ok || !strings.HasSuffix(in, "]") {
		p.fail("expected buffer[index], got %q", s)
		return &Buffer{}, "0"
	}
	return p.buffer(name), in[:len(in)-1]
}

func (p *parser) index(s string) Index {
	var out Index
	for _, part := range strings.Split(s, " + ") {
		i := strings.LastIndex(part, "%")
		switch {
		case i < 0:
			out.Off = out.Off.Add(p.dim(part))
		case i == 0:
			out.Terms = append(out.Terms, IndexTerm{p.val(part), N(1)})
		default:
			c, ok := strings.CutSuffix(part[:i], "*")
			if !ok {
				p.fail("bad index %q", s)
				return out
			}
			out.Terms = append(out.Terms, IndexTerm{p.val(part[i:]), p.dim(c)})
		}
	}
	return out
}

// header reads the lines before the first statement of a kernel.
func (p *parser) header(w []string) bool {
	switch w[0] {
	case "wide":
		p.k.Wide = p.want(w, "wide")
	case "in", "out", "update", "local":
		if !p.want(w, "", "", "") {
			return true
		}
		e, n, ok := strings.Cut(w[2], "[")
		if !ok || !strings.HasSuffix(n, "]") {
			p.fail("expected type[length], got %q", w[2])
			return true
		}
		p.k.Bufs = append(p.k.Bufs, &Buffer{Name: w[1], Elem: p.elem(e), Len: p.dim(n[:len(n)-1]), Out: w[0] != "in", Update: w[0] == "update", Local: w[0] == "local"})
	case "inplace":
		if p.want(w, "", "", "") {
			i, j := slices.Index(p.k.Bufs, p.buffer(w[1])), slices.Index(p.k.Bufs, p.buffer(w[2]))
			p.k.InPlace = append(p.k.InPlace, [2]int{i, j})
		}
	case "int":
		if p.want(w, "", "") {
			p.k.Ints = append(p.k.Ints, p.def(w[1], Int))
		}
	case "grid":
		if p.want(w, "", "", "", "of", "", "grain", "") {
			p.k.Grid = &Grid{Lo: p.def(w[1], Int), Hi: p.def(w[2], Int), N: p.dim(w[4]), Grain: p.dim(w[6])}
		}
	case "cost":
		if p.want(w, "", "", "") {
			p.k.Cost = Cost{p.dim(w[1]), p.dim(w[2])}
		}
	default:
		return false
	}
	return true
}

// block reads statements up to a line that starts with a brace. Lines that
// extra takes are not statements.
func (p *parser) block(into *[]Stmt, extra func(w []string) bool) {
	if p.depth++; p.depth > 200 {
		p.fail("nested too deeply")
		return
	}
	defer func() { p.depth-- }()
	for p.next() {
		if strings.HasPrefix(p.cur.text, "}") {
			return
		}
		w := p.words()
		if len(w) == 0 {
			p.fail("cannot read %q", p.cur.text)
			return
		}
		if extra != nil && extra(w) {
			continue
		}
		p.stmt(into, w)
	}
	p.fail("missing }")
}

func (p *parser) stmt(into *[]Stmt, w []string) {
	switch w[0] {
	case "prefetch":
		if p.want(w, "", "") {
			b, at := p.place(w[1])
			*into = append(*into, &Prefetch{Buf: b, At: p.index(at)})
		}
	case "store":
		if w, _, mask := p.options(w, 3); p.want(w, "", "", "") {
			b, at := p.place(w[1])
			*into = append(*into, &Store{Buf: b, At: p.index(at), Src: p.val(w[2]), Mask: mask})
		}
	case "for":
		p.loop(into, w)
	case "if":
		if p.want(w, "", "", "{") {
			s := &If{Cond: p.val(w[1])}
			*into = append(*into, s)
			p.block(&s.Then, nil)
			if p.err == nil && p.cur.text == "} else {" {
				p.block(&s.Else, nil)
			}
			if p.err == nil && p.cur.text != "}" {
				p.fail("expected }")
			}
		}
	case "merge":
		if !p.want(w, "", "", "", "=", "", "") {
			return
		}
		if n := len(*into); n > 0 {
			if s, ok := (*into)[n-1].(*If); ok {
				then, els := p.val(w[4]), p.val(w[5])
				s.Merge = append(s.Merge, &Merge{Dst: p.define(w[1], w[2]), Then: then, Else: els})
				return
			}
		}
		p.fail("merge without if")
	case "extern":
		if len(w) < 2 {
			p.fail("extern without a name")
			return
		}
		s := &Extern{Fn: w[1]}
		for _, x := range w[2:] {
			if strings.HasPrefix(x, "%") {
				s.Args = append(s.Args, p.val(x))
				continue
			}
			b, in := p.place(x)
			at, n, ok := strings.Cut(in, " : ")
			if !ok {
				p.fail("expected buffer[index : length], got %q", x)
			}
			s.Bufs = append(s.Bufs, Span{Buf: b, At: p.index(at), Len: p.bound(n)})
		}
		*into = append(*into, s)
	default:
		p.instr(into, w)
	}
}

func (p *parser) loop(into *[]Stmt, w []string) {
	s := &For{Step: 1}
	if _, c, ok := strings.Cut(p.cur.text, " // "); ok {
		s.Comment = oneLine(c)
	}
	if len(w) < 7 {
		p.fail("cannot read %q", p.cur.text)
		return
	}
	rest := w[6:]
	if !p.want(w[:6], "for", "", "=", "", "to", "") {
		return
	}
	s.From, s.To = p.bound(w[3]), p.bound(w[5])
	after := ""
	for len(rest) > 2 {
		switch rest[0] {
		case "step":
			n, err := strconv.Atoi(rest[1])
			if err != nil {
				p.fail("bad step %q", rest[1])
			}
			s.Step = n
		case "after":
			after = rest[1]
		default:
			p.fail("cannot read %q", p.cur.text)
			return
		}
		rest = rest[2:]
	}
	if !p.want(rest, "{") {
		return
	}
	s.Var = p.def(w[1], Int)
	*into = append(*into, s)
	type result struct {
		c    *Carry
		name string
	}
	var outs []result
	p.block(&s.Body, func(w []string) bool {
		switch w[0] {
		case "carry":
			if p.want(w, "", "", "", "=", "") {
				init := p.val(w[4])
				s.Carry = append(s.Carry, &Carry{Phi: p.define(w[1], w[2]), Init: init})
			}
		case "next":
			if p.want(w, "", "", "=", "", "out", "") {
				phi := p.val(w[1])
				i := slices.IndexFunc(s.Carry, func(c *Carry) bool { return c.Phi == phi })
				if i < 0 {
					p.fail("next of %s, which the loop does not carry", w[1])
					return true
				}
				s.Carry[i].Next = p.val(w[3])
				outs = append(outs, result{s.Carry[i], w[5]})
			}
		default:
			return false
		}
		return true
	})
	for _, o := range outs {
		o.c.Out = p.def(o.name, o.c.Phi.Elem)
		o.c.Out.Vec = o.c.Phi.Vec
	}
	if after != "" {
		s.After = p.def(after, Int)
	}
	if p.err == nil && p.cur.text != "}" {
		p.fail("expected }")
	}
}

// options takes "lane %1" and "mask %2" off the end of w, which has n words
// before them.
func (p *parser) options(w []string, n int) (rest []string, lane, mask *Val) {
	for len(w) > n+1 {
		at := len(w) - 2
		switch w[at] {
		case "lane":
			lane = p.val(w[at+1])
		case "mask":
			mask = p.val(w[at+1])
		default:
			return w, lane, mask
		}
		w = w[:at]
	}
	return w, lane, mask
}

// instr reads "%3 f32 = op operands" and loads.
func (p *parser) instr(into *[]Stmt, w []string) {
	if len(w) < 4 || w[2] != "=" {
		p.fail("cannot read %q", p.cur.text)
		return
	}
	rest := w[4:]
	if w[3] == "load" {
		if rest, lane, mask := p.options(rest, 1); p.want(rest, "") {
			b, at := p.place(rest[0])
			ix := p.index(at)
			*into = append(*into, &Load{Dst: p.define(w[0], w[1]), Buf: b, At: ix, Lane: lane, Mask: mask})
		}
		return
	}
	op := slices.IndexFunc(Table[:], func(in Info) bool { return in.Name == w[3] })
	if op < 0 {
		p.fail("unknown op %q", w[3])
		return
	}
	s := &Instr{Op: Op(op)}
	switch s.Op {
	case Const:
		if p.want(rest, "") {
			x, err := strconv.ParseFloat(rest[0], 64)
			if err != nil {
				p.fail("bad number %q", rest[0])
			}
			s.Imm = x
		}
	case Size:
		if p.want(rest, "") {
			s.Dim = p.dim(rest[0])
		}
	default:
		for _, x := range rest {
			s.Args = append(s.Args, p.val(x))
		}
	}
	s.Dst = p.define(w[0], w[1])
	*into = append(*into, s)
}
