package amd64

import (
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"github.com/lmc-lang/lmc/ir/loop"
)

// Integers are kept as sums over roots: Int values that are in registers, such
// as loop counters and what was loaded from memory. A sum is computed where it
// is needed, term by term, each in the block that computes its root: so the
// terms of outer loops are added outside.

// affine is the result of s as a sum, if it is one.
func (l *lowerer) affine(s *loop.Instr) (loop.Index, bool) {
	if s.Dst.Elem != loop.Int {
		return loop.Index{}, false
	}
	of := func(i int) loop.Index { return l.sumOf(s.Args[i]) }
	switch s.Op {
	case loop.Const:
		return loop.AtDim(loop.N(int(s.Imm))), true
	case loop.Size:
		return loop.AtDim(s.Dim), true
	case loop.Add:
		return of(0).Add(of(1)), true
	case loop.Sub:
		return of(0).Add(of(1).Scale(loop.N(-1))), true
	case loop.Neg:
		return of(0).Scale(loop.N(-1)), true
	case loop.Mul:
		x, y := of(0), of(1)
		if len(x.Terms) == 0 {
			return y.Scale(x.Off), true
		}
		if len(y.Terms) == 0 {
			return x.Scale(y.Off), true
		}
	}
	return loop.Index{}, false
}

// sumOf is v as a sum over roots; what is not known is a root.
func (l *lowerer) sumOf(v *loop.Val) loop.Index {
	if x, ok := l.ints[v]; ok {
		return x
	}
	return loop.At(v)
}

// roots is an index as a sum over roots.
func (l *lowerer) roots(at loop.Index) loop.Index {
	out := loop.Index{Off: at.Off}
	for _, t := range at.Terms {
		out = out.Add(l.sumOf(t.Var).Scale(t.Coef))
	}
	return out
}

func (l *lowerer) bound(b loop.Bound) loop.Index {
	if b.Val != nil {
		return l.sumOf(b.Val)
	}
	return loop.AtDim(b.Dim)
}

func constIndex(x loop.Index) (int, bool) {
	n, ok := x.Off.Const()
	return n, ok && len(x.Terms) == 0
}

// intReg is the Int v in a register.
func (l *lowerer) intReg(v *loop.Val) *vreg { return l.sum("", l.sumOf(v)) }

// intArg is an index as an operand: a number, or a register.
func (l *lowerer) intArg(x loop.Index) arg {
	if n, ok := constIndex(x); ok && n == int(int32(n)) {
		return immArg(n)
	}
	return regArg(l.sum("", x))
}

// cutConst takes the constant term from a dim.
func cutConst(d loop.Dim) (loop.Dim, int) {
	for _, t := range d.Terms() {
		if len(t.Factors) == 0 {
			return d.AddN(-t.Coef), t.Coef
		}
	}
	return d, 0
}

// sum is a register with x, and the address of the slice base if that is set; x
// is in bytes then.
func (l *lowerer) sum(base string, x loop.Index) *vreg {
	off, c := cutConst(x.Off)
	terms := l.sorted(x.Terms)
	if base == "" && len(terms) == 0 && len(off.Terms()) == 0 {
		r := l.newReg(gp, 8)
		l.op("MOVQ", immArg(c), regArg(r))
		return r
	}
	r := l.partial(base, terms, off)
	if c == 0 {
		return r
	}
	b := l.root
	if n := len(terms); n > 0 {
		b = l.home[terms[n-1].Var]
	}
	return l.once(b, sumKey(base, terms, off)+" + "+loop.N(c).String(), func(d *vreg) {
		if c != int(int32(c)) {
			l.op("MOVQ", immArg(c), regArg(d))
			l.op("ADDQ", regArg(r), regArg(d))
			return
		}
		l.op("LEAQ", memArg(&mem{base: r, disp: c}), regArg(d))
	})
}

// once computes what key says in b, if that is not known yet.
func (l *lowerer) once(b *block, key string, compute func(d *vreg)) *vreg {
	if r := b.known[key]; r != nil {
		return r
	}
	r := l.newReg(gp, 8)
	l.in(b, func() { compute(r) })
	b.known[key] = r
	return r
}

// sorted has the terms of outer blocks first, counters of loops before what
// their bodies compute.
func (l *lowerer) sorted(terms []loop.IndexTerm) []loop.IndexTerm {
	level := func(t loop.IndexTerm) int {
		b := l.home[t.Var]
		if b == nil {
			l.fail("bug in codegen/amd64: %s is used before it is computed", t.Var)
			return 0
		}
		return b.level
	}
	out := slices.Clone(terms)
	slices.SortStableFunc(out, func(x, y loop.IndexTerm) int { return level(x) - level(y) })
	return out
}

func sumKey(base string, terms []loop.IndexTerm, off loop.Dim) string {
	var b strings.Builder
	b.WriteString(base + "+" + off.String())
	for _, t := range terms {
		b.WriteString(" + " + t.Coef.String() + "*" + t.Var.String())
	}
	return b.String()
}

// partial is base + off + terms, which are sorted; off has no constant term.
func (l *lowerer) partial(base string, terms []loop.IndexTerm, off loop.Dim) *vreg {
	none := len(off.Terms()) == 0
	n := len(terms)
	switch {
	case n == 0 && base == "":
		return l.size(off)
	case n == 0 && none:
		return l.argument(base)
	case n == 0:
		p, s := l.argument(base), l.size(off)
		return l.once(l.root, sumKey(base, terms, off), func(d *vreg) {
			l.op("LEAQ", memArg(&mem{base: p, index: s, scale: 1}), regArg(d))
		})
	case n == 1 && base == "" && none && terms[0].Coef.Is(1):
		return l.root1(terms[0].Var)
	}
	last := terms[n-1]
	b := l.home[last.Var]
	if b == nil {
		return l.newReg(gp, 8) // failed before
	}
	key := sumKey(base, terms, off)
	if r := b.known[key]; r != nil {
		return r
	}
	var r *vreg
	l.in(b, func() {
		if n == 1 && base == "" && none {
			r = l.product(last)
			return
		}
		rest := l.partial(base, terms[:n-1], off)
		m := &mem{base: rest, scale: 1}
		if c, ok := last.Coef.Const(); ok && isScale(c) && !l.advances(last) {
			m.index, m.scale = l.root1(last.Var), c
		} else {
			m.index = l.product(last)
		}
		r = l.newReg(gp, 8)
		l.op("LEAQ", memArg(m), regArg(r))
	})
	b.known[key] = r
	return r
}

func isScale(c int) bool { return c == 1 || c == 2 || c == 4 || c == 8 }

// root1 is the register of a root.
func (l *lowerer) root1(v *loop.Val) *vreg {
	x := l.vals[v]
	if x == nil || x.regs[0] == nil {
		l.fail("bug in codegen/amd64: %s is in no register", v)
		return l.newReg(gp, 8)
	}
	return x.regs[0]
}

// product is a root times its coefficient, in the block of the root.
func (l *lowerer) product(t loop.IndexTerm) *vreg {
	if t.Coef.Is(1) {
		return l.root1(t.Var)
	}
	if l.advances(t) {
		return l.blk.plan.product(t.Coef).reg
	}
	return l.once(l.home[t.Var], t.Coef.String()+"*"+t.Var.String(), func(d *vreg) {
		x := l.root1(t.Var)
		c, ok := t.Coef.Const()
		switch {
		case ok && c == -1:
			l.copy(d, x)
			l.op("NEGQ", regArg(d))
		case ok && c > 0 && c&(c-1) == 0:
			l.copy(d, x)
			l.op("SHLQ", immArg(bits.TrailingZeros(uint(c))), regArg(d))
		case ok && c == int(int32(c)):
			l.op("IMUL3Q", immArg(c), regArg(x), regArg(d))
		default:
			y := l.sum("", loop.AtDim(t.Coef))
			l.copy(d, x)
			l.op("IMULQ", regArg(y), regArg(d))
		}
	})
}

// argument is the address of a slice, or a number that is passed.
func (l *lowerer) argument(name string) *vreg {
	return l.once(l.root, name, func(d *vreg) {
		p := l.param[name]
		if p == "" {
			l.fail("bug before codegen/amd64: %s is no argument", name)
		}
		m := &mem{name: p}
		d.made = &recipe{mem: m}
		l.op("MOVQ", memArg(m), regArg(d))
	})
}

// size is a dim in a register, computed at the start.
func (l *lowerer) size(d loop.Dim) *vreg {
	ts := d.Terms()
	if len(ts) == 1 && ts[0].Coef == 1 && len(ts[0].Factors) == 1 && ts[0].Factors[0].Sym != "" {
		return l.argument("$" + ts[0].Factors[0].Sym)
	}
	return l.once(l.root, "size "+d.String(), func(sum *vreg) {
		for i, t := range ts {
			part := sum
			if i > 0 {
				part = l.newReg(gp, 8)
			}
			if len(t.Factors) == 0 {
				l.op("MOVQ", immArg(t.Coef), regArg(part))
			}
			for j, f := range t.Factors {
				x := l.factor(f)
				if j == 0 {
					l.copy(part, x)
				} else {
					l.op("IMULQ", regArg(x), regArg(part))
				}
			}
			if len(t.Factors) > 0 && t.Coef != 1 {
				if t.Coef == int(int32(t.Coef)) {
					l.op("IMUL3Q", immArg(t.Coef), regArg(part), regArg(part))
				} else {
					c := l.newReg(gp, 8)
					l.op("MOVQ", immArg(t.Coef), regArg(c))
					l.op("IMULQ", regArg(c), regArg(part))
				}
			}
			if i > 0 {
				l.op("ADDQ", regArg(part), regArg(sum))
			}
		}
	})
}

func (l *lowerer) factor(f loop.DimFactor) *vreg {
	if f.Sym != "" {
		return l.argument("$" + f.Sym)
	}
	return l.once(l.root, "floor("+f.Num.String()+")/("+f.Den.String()+")", func(d *vreg) {
		l.divide(d, nil, loop.AtDim(f.Num), loop.AtDim(f.Den))
	})
}

// Division rounds to minus infinity: the remainder of the machine has the sign
// of a; where it is not 0 and its sign is not that of b, the quotient is one
// less and the remainder b more.
const floorInts = "MOVQ a, AX; CQO AX, DX; IDIVQ b, AX, DX; MOVQ DX, h; XORQ b, h; SARQ $63, h; TESTQ DX, DX; CMOVQEQ DX, h; "

// divide sets quo or rem, if that is not nil.
func (l *lowerer) divide(quo, rem *vreg, a, b loop.Index) {
	if c, ok := constIndex(b); ok && c > 0 && c&(c-1) == 0 {
		x := l.sum("", a)
		if quo != nil {
			l.copy(quo, x)
			if c > 1 {
				l.op("SARQ", immArg(bits.TrailingZeros(uint(c))), regArg(quo))
			}
			return
		}
		if c-1 == int(int32(c-1)) {
			l.copy(rem, x)
			l.op("ANDQ", immArg(c-1), regArg(rem))
			return
		}
	}
	if c, ok := constIndex(b); ok && c > 2 && c < 1<<31 {
		q := l.quotient(a, c)
		if quo != nil {
			l.copy(quo, q)
			return
		}
		l.op("IMUL3Q", immArg(-c), regArg(q), regArg(rem))
		l.op("ADDQ", regArg(l.sum("", a)), regArg(rem))
		return
	}
	x := &value{elem: loop.Int, regs: [2]*vreg{l.sum("", a)}}
	y := &value{elem: loop.Int, regs: [2]*vreg{l.sum("", b)}}
	from := operands{{v: x}, {v: y}}
	if quo != nil {
		l.expand(floorInts+"ADDQ h, AX; MOVQ AX, d", from, quo, l.width)
	} else {
		l.expand(floorInts+"ANDQ b, h; ADDQ h, DX; MOVQ DX, d", from, rem, l.width)
	}
}

// quotient is a divided by c, rounded down: the high half of the product with a
// reciprocal. A negative a is -1 - x for some x >= 0, and the quotient then
// -1 - x/c.
//
// The reciprocal is 2**(63+n)/c for 2**n > c, rounded up. It is too large by less
// than 2**n/2**(63+n), so that x < 2**63 times that is too large by less than
// 1/c, and rounding down gives the right number.
func (l *lowerer) quotient(a loop.Index, c int) *vreg {
	terms := l.sorted(a.Terms)
	b := l.root
	if n := len(terms); n > 0 {
		b = l.home[terms[n-1].Var]
	}
	return l.once(b, sumKey("", terms, a.Off)+" / "+itoa(c), func(d *vreg) {
		n := bits.Len(uint(c - 1))
		hi := uint64(1) << (n - 1) // of 2**(63+n)
		q, r := bits.Div64(hi, 0, uint64(c))
		if r > 0 {
			q++
		}
		form := "MOVQ a, g; SARQ $63, g; MOVQ a, h; XORQ g, h; MOVQ h, AX; MOVQ $" + strconv.FormatUint(q, 10) + ", i; MULQ i, AX, DX; MOVQ DX, h; "
		if n > 1 {
			form += "SHRQ $" + itoa(n-1) + ", h; "
		}
		l.expand(form+"XORQ g, h; MOVQ h, d", operands{{v: &value{elem: loop.Int, regs: [2]*vreg{l.sum("", a)}}}}, d, l.width)
	})
}
