package amd64

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/lmc-lang/lmc/ir/loop"
)

// Header is what a file of functions printed by Print begins with, after its
// build constraint.
const Header = "#include \"textflag.h\"\n#include \"funcdata.h\"\n"

// noSplitFrame is the most that a function and what calls it with its arguments
// on the stack may take without asking whether there is room.
const noSplitFrame = 512

// Print prints k, which is a form in vectors for the target t, as the assembly
// function called name, and its declaration in Go. Its parameters are those of
// the portable function: the buffers as slices, the symbols syms, k.Ints; then
// local buffers; then, if k has a grid, the range lo, hi.
//
// If Faults(k), it has results bad and n: an index and the bound that it
// violates, n = 0 if all is well, and n = -1 if bad was divided by 0.
//
// The error says what the target lacks, or begins with "bug".
func Print(k *loop.Kernel, t *loop.Target, name string, syms []string) (asm, stub string, err error) {
	return printIn(k, t, name, syms, allOrders(t))
}

func allOrders(t *loop.Target) []order {
	if t.Span() == 2 {
		return []order{asWritten, demanded, halved}
	}
	return []order{asWritten, demanded}
}

func printIn(k *loop.Kernel, t *loop.Target, name string, syms []string, tried []order) (asm, stub string, err error) {
	if err := k.Verify(); err != nil {
		return "", "", fmt.Errorf("bug before codegen/amd64: %w", err)
	}
	f, err := compile(loop.Tidy(k), t, syms, tried)
	if err != nil {
		return "", "", fmt.Errorf("kernel %s: %w", k.Name, err)
	}
	p := &printer{f: f, name: name}
	return p.function(), f.sig.stub(k, name), nil
}

// Pressure is the most vector registers that k has live at once on t, apart
// from constants. If it is at most t.Regs, nothing is spilled.
func Pressure(k *loop.Kernel, t *loop.Target) int {
	k = loop.Tidy(k)
	l, err := lower(prepare(k), t, newSignature(k, allSyms(k)), nil)
	if err != nil {
		return 0
	}
	a := &allocation{t: t, code: l.root.code, regs: l.regs}
	liveness(a.code, a.regs)
	a.coalesce()
	return pressure(a.regs, vec)
}

// Faults reports whether the function of k may find an index out of range, or
// divide an Int by 0.
func Faults(k *loop.Kernel) bool { return faults(loop.Tidy(k)) }

func faults(k *loop.Kernel) bool {
	zero := map[*loop.Val]bool{}
	found := false
	for _, s := range k.Body {
		everywhere(s, func(s loop.Stmt) {
			in, ok := s.(*loop.Instr)
			if !ok {
				return
			}
			switch c, known := in.Dim.Const(); {
			case in.Op == loop.Const && in.Imm != 0, in.Op == loop.Size && known && c != 0:
				zero[in.Dst] = false
			case in.Dst.Elem == loop.Int:
				zero[in.Dst] = true
			}
			switch in.Op {
			case loop.Check:
				found = true
			case loop.Div, loop.Mod:
				nonzero, known := zero[in.Args[1]]
				found = found || in.Dst.Elem == loop.Int && (nonzero || !known)
			}
		})
	}
	return found
}

// A function is the code of a kernel with machine registers.
type function struct {
	k     *loop.Kernel
	t     *loop.Target
	sig   *sig
	code  []*ins
	slots []int
	cost  float64 // of spilling
}

// lower makes the code of k with virtual registers.
func lower(p *prepared, t *loop.Target, sig *sig, o orders) (*lowerer, error) {
	k := p.k
	l := newLowerer(p, t, o)
	l.param = sig.places
	if k.Wide {
		return nil, fmt.Errorf("target %s has no float64", t.Name)
	}
	for _, v := range append(slices.Clone(k.Ints), gridEnds(k)...) {
		l.set(v, 0, l.argument(sig.ints[v]))
	}
	l.stmts(p.body)
	if sig.faults {
		l.result("bad", immArg(0))
		l.result("n", immArg(0))
	}
	l.put(&ins{kind: ret, fold: -1})
	l.root.code = append(l.root.code, l.stubs...)
	return l, l.err
}

// compile finds the code of k. If vectors are spilled, all loops are tried in each
// order, and then each loop in the order that needs the fewest loads and
// stores of spilled registers there.
func compile(k *loop.Kernel, t *loop.Target, syms []string, tried []order) (*function, error) {
	sig := newSignature(k, syms)
	p := prepare(k)
	var best *function
	costs := make([]map[*loop.For]float64, len(tried))
	attempt := func(o orders) (costs map[*loop.For]float64, enough bool, err error) {
		l, err := lower(p, t, sig, o)
		if err != nil {
			return nil, false, err
		}
		a := &allocation{t: t, code: l.root.code, regs: l.regs, slots: l.slots, costs: map[*loop.For]float64{}}
		if err := a.allocate(); err != nil {
			return nil, false, err
		}
		cost := a.cost(p)
		if best == nil || cost < best.cost {
			best = &function{k: k, t: t, sig: sig, code: a.code, slots: a.slots, cost: cost}
		}
		return a.costs, !a.vectors, nil
	}
	loops := p.loops()
	for i, x := range tried {
		all := orders{}
		for _, s := range loops {
			all[s] = x
		}
		var err error
		enough := false
		if costs[i], enough, err = attempt(all); err != nil {
			return nil, err
		}
		if enough || len(tried) == 1 {
			return best, nil
		}
	}
	least := func(s *loop.For) (least int) {
		for i := range tried {
			if costs[i][s] < costs[least][s] {
				least = i
			}
		}
		return least
	}
	for i := range tried {
		// An order that is the best one everywhere has been tried.
		if !slices.ContainsFunc(loops, func(s *loop.For) bool { return costs[least(s)][s] < costs[i][s] }) {
			return best, nil
		}
	}
	mixed := orders{}
	for _, s := range loops {
		mixed[s] = tried[least(s)]
	}
	if _, _, err := attempt(mixed); err != nil {
		return nil, err
	}
	return best, nil
}

// loops are all loops of p, and nil for what is in none.
func (p *prepared) loops() []*loop.For {
	out := []*loop.For{nil}
	for _, s := range p.body {
		everywhere(s, func(s loop.Stmt) {
			if s, ok := s.(*loop.For); ok {
				out = append(out, s)
			}
		})
	}
	return out
}

// cost is the sum of the costs of all loops.
func (a *allocation) cost(p *prepared) (sum float64) {
	for _, s := range p.loops() {
		sum += a.costs[s]
	}
	return sum
}

// A printer writes a function.
type printer struct {
	f    *function
	name string

	b       strings.Builder
	offsets []int          // of the slots of the frame
	consts  map[uint32]int // places in the table of constants
	order   []uint32
	lanes   bool // the table of lanes is used
}

func (p *printer) function() string {
	f := p.f
	frame := 0
	for _, w := range f.slots {
		p.offsets = append(p.offsets, frame)
		frame += w
	}
	p.consts = map[uint32]int{}
	var body strings.Builder
	wide := false
	for i, in := range f.code {
		for _, a := range in.args {
			wide = wide || a.reg != nil && a.reg.class == vec && a.reg.width > 16
		}
		p.ins(&body, in, p.innermost(f.code[i:]))
	}
	code := body.String()
	if wide {
		code = strings.ReplaceAll(code, "\tRET\n", "\tVZEROUPPER\n\tRET\n")
	}
	p.tables()
	fmt.Fprintf(&p.b, "// %s\n", f.doc(p.name))
	flags, split := "NOSPLIT", frame+f.sig.size > noSplitFrame
	if split {
		flags = "0"
	}
	fmt.Fprintf(&p.b, "TEXT ·%s(SB), %s, $%d-%d\n", p.name, flags, frame, f.sig.size)
	if split {
		p.b.WriteString("\tNO_LOCAL_POINTERS\n")
	}
	p.b.WriteString(code)
	return p.b.String()
}

// doc is the first line of the comment of the function.
func (f *function) doc(name string) string {
	if f.k.Doc == "" {
		return name + " is kernel " + f.k.Name + " for " + f.t.Name + "."
	}
	return name + ": " + strings.Join(strings.Fields(f.k.Doc), " ")
}

// innermost reports whether the loop whose label code begins with has no other
// one inside.
func (p *printer) innermost(code []*ins) bool {
	if !code[0].loop {
		return false
	}
	for _, in := range code[1:] {
		switch {
		case in.kind == jump && in.label == code[0].label:
			return true
		case in.kind == label && in.loop:
			return false
		}
	}
	return false
}

func (p *printer) ins(b *strings.Builder, in *ins, align bool) {
	switch in.kind {
	case label:
		if align {
			b.WriteString("\tPCALIGN $32\n")
		}
		b.WriteString(labelText(in) + ":\n")
		return
	case comment:
		b.WriteString("\n\t// " + in.note + "\n")
		return
	case jump:
		b.WriteString("\t" + in.op + " " + labelText(in) + "\n")
		return
	case ret:
		b.WriteString("\tRET\n")
		return
	case copies:
		s, d := in.args[0].reg, in.args[1].reg
		if s.phys == d.phys {
			return
		}
		op := map[class]string{gp: "MOVQ", mask: "KMOVQ", vec: "VMOVAPS"}[d.class]
		w := min(in.args[0].width, in.args[1].width)
		b.WriteString("\t" + op + " " + regText(s, w) + ", " + regText(d, w) + "\n")
		return
	case zero:
		r := in.args[0].reg
		x := regText(r, in.args[0].width)
		switch {
		case r.class == mask:
			b.WriteString("\tKXNORW " + x + ", " + x + ", " + x + "\n")
		case p.f.t.Lanes == 16 && r.phys > 15:
			b.WriteString("\tVPXORD " + x + ", " + x + ", " + x + "\n")
		default: // clears the whole register
			x = regText(r, 16)
			b.WriteString("\tVXORPS " + x + ", " + x + ", " + x + "\n")
		}
		return
	case fma:
		p.fma(b, in)
		return
	}
	p.line(b, in.op, in.args[:len(in.args)-int(in.hide)])
}

func (p *printer) line(b *strings.Builder, op string, args []arg) {
	bcst := false
	for _, a := range args {
		bcst = bcst || a.mem != nil && a.mem.bcst
	}
	if bcst {
		op, rest, _ := strings.Cut(op, ".")
		b.WriteString("\t" + op + ".BCST")
		if rest != "" {
			b.WriteString("." + rest)
		}
	} else {
		b.WriteString("\t" + op)
	}
	for i, a := range args {
		if i == 0 {
			b.WriteByte(' ')
		} else {
			b.WriteString(", ")
		}
		b.WriteString(p.arg(a))
	}
	b.WriteByte('\n')
}

// fma prints a*b + c to d. The result overwrites an operand:
//
//	231: d = a*b + d    213: d = b*d + c    132: d = d*a + c, a in memory
func (p *printer) fma(b *strings.Builder, in *ins) {
	args := slices.Clone(in.args)
	d := args[3].reg
	suffix := "PS"
	if args[3].width == 16 {
		suffix = "SS"
	}
	same := func(i int) bool { return args[i].reg != nil && args[i].reg.phys == d.phys }
	if args[1].mem != nil || same(0) && args[0].mem == nil && args[1].mem == nil {
		args[0], args[1] = args[1], args[0] // a is in memory, or b overwritten
	}
	move := func(i int) {
		p.ins(b, &ins{kind: copies, args: []arg{args[i], args[3]}}, false)
		args[i] = args[3]
	}
	order := ""
	var rest []arg
	switch {
	case same(2):
		order, rest = "231", []arg{args[0], args[1]}
	case same(1) && args[0].mem != nil:
		order, rest = "132", []arg{args[0], args[2]}
	case same(1):
		order, rest = "213", []arg{args[2], args[0]}
	case same(0) && args[2].mem != nil, same(0):
		order, rest = "213", []arg{args[2], args[1]}
	case args[2].mem != nil:
		move(1)
		order, rest = "213", []arg{args[2], args[0]}
	default:
		move(2)
		order, rest = "231", []arg{args[0], args[1]}
	}
	p.line(b, in.op+order+suffix, append(rest, args[3]))
}

func (p *printer) arg(a arg) string {
	switch {
	case a.reg != nil:
		return regText(a.reg, a.width)
	case a.isImm:
		if a.imm > 1<<16 {
			return fmt.Sprintf("$0x%x", a.imm)
		}
		return "$" + strconv.FormatInt(a.imm, 10)
	}
	m := a.mem
	switch {
	case m.konst:
		at, ok := p.consts[m.bits]
		if !ok {
			at = len(p.order) * p.constSize()
			p.consts[m.bits] = at
			p.order = append(p.order, m.bits)
		}
		return p.symbol("const", at)
	case m.name == "lanes":
		p.lanes = true
		return p.symbol("lanes", m.disp)
	case m.name != "":
		return m.name
	case m.slot > 0:
		return fmt.Sprintf("%d(SP)", p.offsets[m.slot-1]+m.disp)
	}
	s := "(" + regText(m.base, 0) + ")"
	if m.disp != 0 {
		s = strconv.Itoa(m.disp) + s
	}
	if m.index != nil {
		s += "(" + regText(m.index, 0) + "*" + strconv.Itoa(m.scale) + ")"
	}
	return s
}

// constSize is the room of a constant: instructions of AVX2 read whole vectors.
func (p *printer) constSize() int {
	if p.f.t.Lanes == 16 {
		return 4
	}
	return 32
}

func (p *printer) symbol(table string, at int) string {
	return p.name + "_" + table + "<>+" + strconv.Itoa(at) + "(SB)"
}

// tables prints the constants that the function refers to.
func (p *printer) tables() {
	for _, x := range p.order {
		for i := 0; i < p.constSize(); i += 4 {
			fmt.Fprintf(&p.b, "DATA %s/4, $0x%08x\n", p.symbol("const", p.consts[x]+i), x)
		}
	}
	if len(p.order) > 0 {
		fmt.Fprintf(&p.b, "GLOBL %s_const<>(SB), RODATA|NOPTR, $%d\n\n", p.name, len(p.order)*p.constSize())
	}
	if p.lanes {
		for i := range loop.Lanes {
			fmt.Fprintf(&p.b, "DATA %s/4, $%d\n", p.symbol("lanes", 4*i), i)
		}
		fmt.Fprintf(&p.b, "GLOBL %s_lanes<>(SB), RODATA|NOPTR, $%d\n\n", p.name, 4*loop.Lanes)
	}
}

// regText is the name of a register; width, if not 0, is that of a vector.
func regText(r *vreg, width int) string {
	switch r.class {
	case gp:
		return gpNames[r.phys]
	case mask:
		return "K" + strconv.Itoa(r.phys+1)
	}
	if width == 0 {
		width = r.width
	}
	return map[int]string{16: "X", 32: "Y", 64: "Z"}[width] + strconv.Itoa(r.phys)
}

func labelText(in *ins) string {
	name := strings.Map(func(r rune) rune {
		if r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, in.name)
	n := in.label
	if n < 0 {
		return name + "_" + strconv.Itoa(-n) + "x"
	}
	return name + "_" + strconv.Itoa(n)
}
