package amd64

import (
	"fmt"
	"math"
	"strconv"

	"github.com/lmc-lang/lmc/ir/loop"
)

// A lowerer turns the statements of a kernel into instructions over virtual
// registers.
type lowerer struct {
	*prepared
	t      *loop.Target
	width  int               // bytes of a vector register
	param  map[string]string // a slice or number of the function's arguments, as operand
	orders orders

	// Of a run in the order demanded: what has not been computed, and the halves
	// that have been (bits).
	pending map[*loop.Val]loop.Stmt
	done    map[*loop.Val]int

	regs []*vreg
	vals map[*loop.Val]*value
	ints map[*loop.Val]loop.Index // Ints as sums over others, which are in registers
	home map[*loop.Val]*block     // of those others: where they are computed

	root   *block
	blk    *block
	stubs  []*ins // after the last return: what happens when an index is out of range
	labels int
	slots  []int // widths of the slots of the frame
	err    error
}

// A block is a sequence of statements, of the kernel, a loop or a branch. What
// is computed once for it is known from then on.
type block struct {
	parent *block
	level  int // number of blocks around it
	depth  int // number of loops around it
	code   []*ins
	known  map[string]*vreg
	loop   bool
	of     *loop.For // the innermost loop around
	plan   *plan     // of an innermost loop
}

// A value is where a value of the kernel is. An Int is not here unless it is in
// a register.
type value struct {
	elem loop.Elem
	vec  bool
	regs [2]*vreg // its register, or two for the halves of a vector
	// Or it is the constant with these bits (all ones for a true lane).
	konst bool
	bits  uint32
	// Or it is in memory, and is loaded where it is used; splat: into all lanes.
	from  *mem
	splat bool
}

func newLowerer(p *prepared, t *loop.Target, o orders) *lowerer {
	l := &lowerer{
		prepared: p, t: t, width: 4 * t.Lanes, orders: o, param: map[string]string{},
		vals: map[*loop.Val]*value{}, ints: map[*loop.Val]loop.Index{}, home: map[*loop.Val]*block{},
		pending: map[*loop.Val]loop.Stmt{}, done: map[*loop.Val]int{},
	}
	l.root = &block{known: map[string]*vreg{}}
	l.blk = l.root
	return l
}

func (l *lowerer) fail(format string, a ...any) {
	if l.err == nil {
		l.err = fmt.Errorf(format, a...)
	}
}

func (l *lowerer) newReg(c class, width int) *vreg {
	r := &vreg{id: len(l.regs), class: c, width: width, fixed: -1, slot: -1}
	l.regs = append(l.regs, r)
	return r
}

func (l *lowerer) fixedReg(phys int) *vreg {
	r := l.newReg(gp, 8)
	r.fixed = phys
	return r
}

// regFor is a new register for a value like v.
func (l *lowerer) regFor(v *loop.Val) *vreg {
	switch {
	case v.Vec && v.Elem == loop.Bool && l.t.Lanes == 16:
		return l.newReg(mask, 8)
	case v.Vec:
		return l.newReg(vec, l.width)
	case v.Elem == loop.F32:
		return l.newReg(vec, 16)
	}
	return l.newReg(gp, 8)
}

// put appends in to the current block. The widths of its operands are those that
// their registers have now; they may be joined with wider ones.
func (l *lowerer) put(in *ins) {
	in.depth, in.of = l.blk.depth, l.blk.of
	in.setWidths()
	l.blk.code = append(l.blk.code, in)
}

// op emits a plain instruction.
func (l *lowerer) op(name string, args ...arg) *ins {
	in := newIns(name, args...)
	l.put(in)
	return in
}

func (l *lowerer) copy(dst, src *vreg) {
	if dst != src {
		l.put(&ins{kind: copies, args: []arg{regArg(src), regArg(dst)}, use: 1, def: 2, fold: 0})
	}
}

func (l *lowerer) label(n int, name string) {
	l.put(&ins{kind: label, label: n, name: name, fold: -1})
}

func (l *lowerer) jump(cond string, to int, name string) {
	l.put(&ins{kind: jump, op: cond, label: to, name: name, fold: -1})
}

func (l *lowerer) newLabel() int { l.labels++; return l.labels }

// in emits what body does at the end of b, which is the current block or around
// it: before the statement of b that is being lowered.
func (l *lowerer) in(b *block, body func()) {
	outer := l.blk
	l.blk = b
	body()
	l.blk = outer
}

// open makes a block inside the current one, the body of a loop if that is set,
// and lowers body into it.
func (l *lowerer) open(of *loop.For, body func(b *block)) *block {
	outer := l.blk
	b := &block{parent: outer, level: outer.level + 1, depth: outer.depth, known: map[string]*vreg{}, of: outer.of, plan: outer.plan}
	if of != nil {
		b.loop, b.of = true, of
		b.depth++
	}
	l.blk = b
	body(b)
	l.blk = outer
	return b
}

// find is what a block around the current one knows.
func (l *lowerer) find(key string) *vreg {
	for b := l.blk; b != nil; b = b.parent {
		if r := b.known[key]; r != nil {
			return r
		}
	}
	return nil
}

// constant is a register with a constant in every lane. It is made before the
// outermost loop around the current block.
func (l *lowerer) constant(bits uint32) *vreg {
	key := "#" + strconv.FormatUint(uint64(bits), 16)
	if r := l.find(key); r != nil {
		return r
	}
	at, host := l.blk, l.blk
	for b := l.blk; b != nil; b = b.parent {
		if b.loop {
			at, host = b, b.parent
		}
	}
	r := l.newReg(vec, l.width)
	r.made = &recipe{konst: true, bits: bits}
	at.known[key] = r
	l.in(host, func() { l.put(setConstant(l.t, bits, r)) })
	return r
}

// setConstant puts a constant into every lane of r.
func setConstant(t *loop.Target, bits uint32, r *vreg) *ins {
	if bits == 0 {
		return &ins{kind: zero, args: []arg{regArg(r)}, def: 1, fold: -1}
	}
	return newIns("VBROADCASTSS", memArg(&mem{konst: true, bits: bits}), regArg(r))
}

// val is the value v, which is no Int.
func (l *lowerer) val(v *loop.Val) *value {
	x := l.vals[v]
	if x == nil {
		if v.Elem == loop.Int {
			return &value{elem: loop.Int, regs: [2]*vreg{l.intReg(v)}}
		}
		l.fail("bug in codegen/amd64: %s is used before it is computed", v)
		x = &value{elem: v.Elem, vec: v.Vec, konst: true}
	}
	return x
}

// src is the half h of v as an operand.
func (l *lowerer) src(v *loop.Val, h int) source {
	if v.Elem == loop.Int {
		if c, ok := l.ints[v].Off.Const(); ok && len(l.ints[v].Terms) == 0 && c == int(int32(c)) {
			return source{&value{elem: loop.Int, konst: true, bits: uint32(int32(c))}, 0}
		}
		return source{&value{elem: loop.Int, regs: [2]*vreg{l.intReg(v)}}, 0}
	}
	l.demand(v, h)
	return source{l.val(v), h}
}

// force brings an operand into a register.
func (l *lowerer) force(s source) *vreg {
	v, h := s.v, s.half
	if v.regs[h] != nil {
		return v.regs[h]
	}
	switch {
	case v.konst && v.vec && v.elem == loop.Bool && l.t.Lanes == 16:
		r := l.newReg(mask, 8)
		if v.bits == 0 {
			l.op("KXORW", regArg(r), regArg(r), regArg(r)).use = 0
		} else {
			l.put(&ins{kind: zero, args: []arg{regArg(r)}, def: 1, fold: -1})
		}
		return r
	case v.konst && (v.vec || v.elem == loop.F32):
		return l.constant(v.bits)
	case v.konst:
		r := l.newReg(gp, 8)
		n := int(int32(v.bits))
		if v.elem == loop.Bool {
			n = int(v.bits & 1)
		}
		l.op("MOVQ", immArg(n), regArg(r))
		return r
	}
	r := l.newReg(vec, l.width)
	switch {
	case v.splat:
		v.regs[1] = r
		l.op("VBROADCASTSS", memArg(v.from), regArg(r))
		h = 0
	case v.vec:
		l.op("VMOVUPS", memArg(v.from.plus(h*l.width)), regArg(r))
	case v.elem == loop.F32:
		r.width = 16
		l.op("VMOVSS", memArg(v.from), regArg(r))
	case v.elem == loop.I32:
		r.class, r.width = gp, 8
		l.op("MOVL", memArg(v.from), regArg(r))
	default:
		r.class, r.width = gp, 8
		l.op("MOVBLZX", memArg(v.from), regArg(r))
	}
	v.regs[h] = r
	return r
}

// arg is an operand in a register. Constants are as wide as vectors, also where
// they are used as scalars.
func (l *lowerer) arg(s source) arg {
	a := regArg(l.force(s))
	if !s.v.vec && a.reg.class == vec {
		a.width = 16
	}
	return a
}

// reg is the half h of v in a register.
func (l *lowerer) reg(v *loop.Val, h int) *vreg { return l.force(l.src(v, h)) }

// foldable is an operand as part of an instruction: in memory, or a number.
func (l *lowerer) foldable(s source, t tok, op string) (arg, bool) {
	v := s.v
	switch {
	case v.regs[s.half] != nil:
		return arg{}, false
	case v.konst && !v.vec && v.elem != loop.F32:
		n := int(int32(v.bits))
		if v.elem == loop.Bool {
			n = int(v.bits & 1)
		}
		return immArg(n), op[0] != 'V' && op != "MOVLQSX" // those take registers and memory
	case v.konst && (l.blk.depth > 0 || v.elem == loop.Bool && l.t.Lanes == 16):
		return arg{}, false
	case v.konst:
		bcst := l.broadcasts(op)
		return memArg(&mem{konst: true, bits: v.bits, bcst: bcst}), !bcst || t.bcst
	case v.splat:
		m := *v.from
		m.bcst = true
		return memArg(&m), t.bcst && l.broadcasts(op)
	case v.vec:
		return memArg(v.from.plus(s.half * l.width)), true
	}
	one := map[bool]string{true: "SS", false: "L"}[v.elem == loop.F32]
	fits := len(op) > 2 && op[len(op)-len(one):] == one || op == "VMOVD" || op == "MOVLQSX" && v.elem == loop.I32
	return memArg(v.from), v.elem != loop.Bool && fits
}

// uniform reports whether the halves of v are equal, and one register.
func (l *lowerer) uniform(v *loop.Val) bool {
	l.demand(v, 0)
	x := l.val(v)
	return x.konst || x.splat || x.regs[0] != nil && x.regs[0] == x.regs[1]
}

// set gives v its register for the half h; both for a scalar or 2.
func (l *lowerer) set(v *loop.Val, h int, r *vreg) {
	x := l.vals[v]
	if x == nil {
		x = &value{elem: v.Elem, vec: v.Vec}
		l.vals[v] = x
	}
	if h == both {
		x.regs = [2]*vreg{r, r}
	} else {
		x.regs[h] = r
	}
	if v.Elem == loop.Int {
		l.ints[v], l.home[v] = loop.At(v), l.blk
	}
}

const both = 2

// span is the number of registers of v.
func (l *lowerer) span(v *loop.Val) int {
	if v.Vec {
		return l.t.Span()
	}
	return 1
}

// moveTo sets a register to the half h of v.
func (l *lowerer) moveTo(dst *vreg, v *loop.Val, h int) {
	s := l.src(v, h)
	switch {
	case s.v.regs[s.half] == nil && s.v.konst && (v.Vec || v.Elem == loop.F32) && dst.class == vec:
		l.put(setConstant(l.t, s.v.bits, dst))
	default:
		l.copy(dst, l.force(s))
	}
}

// constBits is a constant as it is in a lane.
func constBits(e loop.Elem, x float64) uint32 {
	switch e {
	case loop.F32:
		return math.Float32bits(float32(x))
	case loop.I32:
		return uint32(int32(x))
	}
	if x != 0 {
		return math.MaxUint32
	}
	return 0
}
