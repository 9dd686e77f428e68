package codegen

import (
	"fmt"
	"go/format"
	"slices"
	"strings"

	"github.com/lmc-lang/lmc/ir/loop"
)

// KernelSyms lists the symbols that the Go function of k takes as int
// parameters, in order. Its native forms take the same.
func KernelSyms(k *loop.Kernel) []string {
	syms := formSyms(loop.Tidy(k))
	for _, n := range k.Native {
		syms = append(syms, formSyms(n.Kernel)...)
	}
	slices.Sort(syms)
	return slices.Compact(syms)
}

// formSyms are the symbols that a form of a kernel mentions.
func formSyms(k *loop.Kernel) []string {
	syms := bodySyms(k.Body, nil)
	if k.Grid != nil {
		syms = append(append(syms, k.Grid.N.Syms()...), k.Grid.Grain.Syms()...)
	}
	for _, b := range k.Bufs[len(k.Arguments()):] {
		syms = append(syms, b.Len.Syms()...)
	}
	return syms
}

func bodySyms(body []loop.Stmt, into []string) []string {
	add := func(ds ...loop.Dim) {
		for _, d := range ds {
			into = append(into, d.Syms()...)
		}
	}
	index := func(at loop.Index) {
		add(at.Off)
		for _, t := range at.Terms {
			add(t.Coef)
		}
	}
	for _, s := range body {
		switch s := s.(type) {
		case *loop.Instr:
			add(s.Dim)
		case *loop.Load:
			index(s.At)
		case *loop.Store:
			index(s.At)
		case *loop.For:
			add(s.From.Dim, s.To.Dim)
			into = bodySyms(s.Body, into)
		case *loop.If:
			into = bodySyms(s.Else, bodySyms(s.Then, into))
		case *loop.Extern:
			for _, sp := range s.Bufs {
				index(sp.At)
				add(sp.Len.Dim)
			}
		}
	}
	return into
}

// PrintKernel prints k as the Go function called name, with gofmt's layout: its
// arguments, then the sizes of KernelSyms, then its integers, then its local
// buffers, then the range lo, hi of its grid if it has one. Names of other packages are qualified: runtime,
// math, cmp.
//
// The function computes the same bits as the interpreter: an expression of the
// kernel is one of Go, rounded where it is, and a product that could be fused
// with a sum says so by a conversion. Values that are used once stand where they
// are used; rows of memory that a loop runs along are cut before it, so that
// the compiler needs no bounds checks inside.
func PrintKernel(k *loop.Kernel, name string, float64s bool) (string, error) {
	if err := k.Verify(); err != nil {
		return "", fmt.Errorf("bug before codegen: %w", err)
	}
	syms := KernelSyms(k)
	tidy := lowerSelects(loop.Tidy(k))
	// The first time finds out which sizes deserve a variable.
	sizes := map[string]*size{}
	p := newKernelPrinter(tidy, name, syms, float64s, sizes, false)
	p.function()
	p = newKernelPrinter(tidy, name, syms, float64s, sizes, true)
	text := p.function()
	if p.err != nil {
		return "", fmt.Errorf("bug in codegen: kernel %s: %w", k.Name, p.err)
	}
	const clause = "package p\n\n"
	out, err := format.Source([]byte(clause + text))
	if err != nil {
		return "", fmt.Errorf("bug in codegen: kernel %s does not parse: %w\n%s", k.Name, err, text)
	}
	return strings.TrimSpace(strings.TrimPrefix(string(out), clause)), nil
}

// A kernelPrinter prints one kernel.
type kernelPrinter struct {
	k     *loop.Kernel
	name  string
	syms  []string
	wide  bool
	float string // the Go type of F32
	plan  *usage

	bufs   map[*loop.Buffer]string
	symbol map[string]string
	vals   map[*loop.Val]expr
	vars   map[*loop.Val]string // variable of a class of values, by representative
	locals []frame              // names and rows of the open blocks
	sizes  map[string]*size
	final  bool // sizes are known
	loops  int  // depth

	lines []string
	err   error
}

// A frame is what is known in an open block.
type frame struct {
	names map[string]bool
	rows  map[string]string // row slices and elements, by key
	// addresses are what an innermost loop computes before it, by access.
	addresses map[string]address

	loop   *loop.For          // whose body the block is, if it is one
	inside map[*loop.Val]bool // what the loop defines
	before []string           // lines to print before the loop
}

func newFrame(names map[string]bool) frame {
	return frame{names: names, rows: map[string]string{}, addresses: map[string]address{}}
}

// A size is a dim that is not just a number or a symbol.
type size struct {
	dim   loop.Dim
	uses  int
	inner bool // used inside a loop
	name  string
}

func newKernelPrinter(k *loop.Kernel, name string, syms []string, wide bool, sizes map[string]*size, final bool) *kernelPrinter {
	p := &kernelPrinter{
		k: k, name: name, syms: syms, wide: wide || k.Wide, float: "float32",
		bufs: map[*loop.Buffer]string{}, symbol: map[string]string{},
		vals: map[*loop.Val]expr{}, vars: map[*loop.Val]string{}, sizes: sizes, final: final,
	}
	if p.wide {
		p.float = "float64"
	}
	p.plan = planUsage(k)
	p.locals = []frame{newFrame(newScope(name))}
	return p
}

func (p *kernelPrinter) fail(format string, a ...any) {
	if p.err == nil {
		p.err = fmt.Errorf(format, a...)
	}
}

func (p *kernelPrinter) line(format string, a ...any) {
	p.lines = append(p.lines, fmt.Sprintf(format, a...))
}

// pick takes a name that no open block uses.
func (p *kernelPrinter) pick(want string) string {
	return p.pickIn(len(p.locals)-1, want)
}

func (p *kernelPrinter) pickIn(depth int, want string) string {
	want = identifier(want)
	name := want
	for i := 2; p.taken(name); i++ {
		name = fmt.Sprintf("%s%d", want, i)
	}
	p.locals[depth].names[name] = true
	return name
}

// taken is whether an open block uses name.
func (p *kernelPrinter) taken(name string) bool {
	for _, f := range p.locals {
		if f.names[name] {
			return true
		}
	}
	return isKeyword(name)
}

// openLoop opens the body of s.
func (p *kernelPrinter) openLoop(s *loop.For) {
	p.open()
	f := &p.locals[len(p.locals)-1]
	f.loop, f.inside = s, map[*loop.Val]bool{}
	definedIn([]loop.Stmt{s}, f.inside)
}

func (p *kernelPrinter) open() {
	p.locals = append(p.locals, newFrame(map[string]bool{}))
}

func (p *kernelPrinter) close() { p.locals = p.locals[:len(p.locals)-1] }

// goType is the Go type of values of type e.
func (p *kernelPrinter) goType(e loop.Elem) string {
	return [...]string{p.float, "int32", "bool", "int"}[e]
}

// function is the text of the whole function.
func (p *kernelPrinter) function() string {
	var params, types []string
	param := func(name, typ string) string {
		name = p.pick(name)
		params, types = append(params, name), append(types, typ)
		return name
	}
	buffer := func(b *loop.Buffer) { p.bufs[b] = param(b.Name, "[]"+p.goType(b.Elem)) }
	arguments := p.k.Arguments()
	for _, b := range arguments {
		buffer(b)
	}
	for _, s := range p.syms {
		p.symbol[s] = param(s, "int")
	}
	for _, v := range p.k.Ints {
		p.vals[v] = variable(param(hint(v, "n"), "int"))
	}
	for _, b := range p.k.Bufs[len(arguments):] {
		buffer(b)
	}
	if g := p.k.Grid; g != nil {
		p.vals[g.Lo] = variable(param("lo", "int"))
		p.vals[g.Hi] = variable(param("hi", "int"))
	}
	for _, key := range sortedKeys(p.sizes) {
		if s := p.sizes[key]; p.final && s.worthVariable() {
			s.name = p.pick(sizeName(s.dim))
			p.line("%s := %s", s.name, dimExpr(s.dim, p.symName, false))
		}
	}
	body := p.takeLines(func() { p.block(p.k.Body) })
	p.lines = append(append(p.lines, p.hints()...), body...)

	var b strings.Builder
	if p.k.Doc != "" {
		fmt.Fprintf(&b, "// %s: %s\n", p.name, strings.Join(strings.Fields(p.k.Doc), " "))
	}
	fmt.Fprintf(&b, "func %s(%s) {\n", p.name, strings.Join(grouped(params, types), ", "))
	for _, l := range p.lines {
		b.WriteString(l)
		b.WriteByte('\n')
	}
	b.WriteString("}\n")
	return b.String()
}

// takeLines returns what body prints instead of printing it.
func (p *kernelPrinter) takeLines(body func()) []string {
	outer := p.lines
	p.lines = nil
	body()
	inner := p.lines
	p.lines = outer
	return inner
}

// hints tell the compiler the lengths of buffers that loops run along from end
// to end.
func (p *kernelPrinter) hints() []string {
	var out []string
	for _, b := range p.k.Bufs {
		if n, ok := p.locals[0].rows["whole "+b.Name]; ok {
			out = append(out, fmt.Sprintf("%s = %s[:%s]", p.bufs[b], p.bufs[b], n))
		}
	}
	return out
}

func (p *kernelPrinter) symName(s string) string {
	if n := p.symbol[s]; n != "" {
		return n
	}
	p.fail("the size %s is not a parameter", s)
	return s
}

// worthVariable is whether a size is computed once, before everything else.
func (s *size) worthVariable() bool { return s.inner || s.uses > 1 }

// sizeName names the variable of a size after its symbols.
func sizeName(d loop.Dim) string {
	ts := d.Terms()
	if len(ts) != 1 {
		return "n"
	}
	name := ""
	for _, f := range ts[0].Factors {
		if f.Sym == "" {
			return "n"
		}
		name += f.Sym
	}
	if c := ts[0].Coef; c > 1 {
		name += fmt.Sprint(c)
	} else if c < 0 {
		return "n"
	}
	return name
}

// dim is d as an expression.
func (p *kernelPrinter) dim(d loop.Dim) expr {
	if n, ok := d.Const(); ok {
		e := expr{text: fmt.Sprint(n), prec: primary, constant: true, simple: true}
		if n < 0 {
			e.prec = unary
		}
		return e
	}
	ts := d.Terms()
	if len(ts) == 1 && ts[0].Coef == 1 && len(ts[0].Factors) == 1 && ts[0].Factors[0].Sym != "" {
		return variable(p.symName(ts[0].Factors[0].Sym))
	}
	key := d.String()
	s := p.sizes[key]
	if s == nil {
		s = &size{dim: d}
		p.sizes[key] = s
	}
	if !p.final {
		s.uses++
		s.inner = s.inner || p.loops > 0
	}
	if s.name != "" {
		return variable(s.name)
	}
	e := expr{text: dimExpr(d, p.symName, false), prec: 4}
	if len(ts) == 1 {
		e.prec = 5
	}
	if e.prec == 5 && ts[0].Coef == 1 && len(ts[0].Factors) == 1 {
		e.prec = primary
	}
	return e
}
