package amd64

import (
	"math"

	"github.com/lmc-lang/lmc/ir/loop"
)

// instr lowers an instruction for some halves of its vectors.
func (l *lowerer) instr(s *loop.Instr, halves []int) {
	if !s.Dst.Vec {
		if halves[0] == 1 {
			return // done with the first half
		}
		halves = halves[:1]
	}
	if l.fused[s] || s.Dst.Elem == loop.Int && l.integer(s) {
		return
	}
	for _, h := range halves {
		if v := l.vals[s.Dst]; v != nil && (h == 1 && v.regs[1] != nil || v.konst || v.splat || v.from != nil) {
			continue // equal to the other half
		}
		if s.Op.Across() {
			l.across(s, h, halves)
			continue
		}
		l.lanewise(s, h)
	}
}

// integer lowers what gives an Int, except for conversions and what the table
// has; it reports whether it did.
func (l *lowerer) integer(s *loop.Instr) bool {
	if x, ok := l.affine(s); ok {
		l.ints[s.Dst] = x
		return true
	}
	switch s.Op {
	case loop.Check:
		l.check(s)
		l.ints[s.Dst] = l.sumOf(s.Args[0])
		return true
	case loop.Div, loop.Mod:
		a, b := l.sumOf(s.Args[0]), l.sumOf(s.Args[1])
		if c, ok := constIndex(b); !ok || c == 0 {
			l.checkDivisor(a, b)
		}
		r := l.newReg(gp, 8)
		if s.Op == loop.Div {
			l.divide(r, nil, a, b)
		} else {
			l.divide(nil, r, a, b)
		}
		l.set(s.Dst, 0, r)
		return true
	}
	return false
}

// lanewise lowers an op that works lane by lane, for the half h.
func (l *lowerer) lanewise(s *loop.Instr, h int) {
	switch s.Op {
	case loop.Const:
		l.vals[s.Dst] = &value{elem: s.Dst.Elem, vec: s.Dst.Vec, konst: true, bits: constBits(s.Dst.Elem, s.Imm)}
		return
	case loop.Bits, loop.FromBits:
		if s.Dst.Vec {
			l.rename(s.Dst, s.Args[0], h)
			return
		}
	}
	at := h
	if s.Dst.Vec && l.t.Span() == 2 && l.allUniform(s.Args) {
		h, at = 0, both
	}
	dst := l.regFor(s.Dst)
	if s.Op == loop.FMA {
		l.fma(s, h, dst)
	} else {
		width := 16
		if s.Dst.Vec {
			width = l.width
		}
		from := operands{}
		for i, a := range s.Args {
			from[i] = l.src(a, h)
		}
		if s.Op == loop.MulHigh && s.Dst.Vec && l.uniform(s.Args[0]) { // it commutes
			s = &loop.Instr{Op: s.Op, Dst: s.Dst, Args: []*loop.Val{s.Args[1], s.Args[0]}}
			from[0], from[1] = from[1], from[0]
		}
		form := l.form(s, from)
		if form == "" || form[0] == '(' {
			l.lacks(s, form)
			return
		}
		l.expand(form, from, dst, width)
	}
	l.set(s.Dst, at, dst)
}

// lacks says that there is no form of s.
func (l *lowerer) lacks(s *loop.Instr, why string) {
	l.fail("target %s lacks op %s of %s %s", l.t.Name, loop.Table[s.Op].Name, signature(s.Args, s.Dst.Elem), why)
}

func (l *lowerer) allUniform(args []*loop.Val) bool {
	for _, a := range args {
		if !l.uniform(a) {
			return false
		}
	}
	return true
}

// rename makes v, which has the same bits as x, the same register.
func (l *lowerer) rename(v, x *loop.Val, h int) {
	from := l.src(x, h).v
	if from.konst || from.from != nil && from.regs[h] == nil {
		c := *from
		c.elem = v.Elem
		l.vals[v] = &c
		return
	}
	if from.regs[0] == from.regs[1] {
		h = both
	}
	l.set(v, h, from.regs[h%both])
}

// form is the row of the table for s, or a cheaper one where operands are
// constants.
func (l *lowerer) form(s *loop.Instr, from operands) string {
	many := s.Dst.Vec
	switch s.Op {
	case loop.ShiftLeft, loop.ShiftRight:
		if n := from[1].v; n.konst && n.bits < 32 {
			op := map[loop.Op]string{loop.ShiftLeft: "L", loop.ShiftRight: "R"}[s.Op]
			switch {
			case many && l.t.Lanes == 16:
				return "VPS" + op + "LD $" + itoa(int(n.bits)) + ", a*, d"
			case many:
				return "VPS" + op + "LD $" + itoa(int(n.bits)) + ", a, d"
			}
			return "MOVL a, d; SH" + op + "L $" + itoa(int(n.bits)) + ", d"
		}
	case loop.Lt, loop.Le, loop.Eq:
		if x := from[0].v; !many && x.konst && x.elem != loop.F32 && x.elem != loop.Bool && !from[1].v.konst {
			size := map[loop.Elem]string{loop.I32: "L", loop.Int: "Q"}[x.elem]
			set := map[loop.Op]string{loop.Lt: "GT", loop.Le: "GE", loop.Eq: "EQ"}[s.Op]
			return "CMP" + size + " b, a*; SET" + set + " g; MOVBLZX g, d"
		}
	case loop.Select:
		if x, y := from[1].v, from[2].v; many && s.Dst.Elem != loop.Bool {
			switch {
			case y.konst && y.bits == 0 && l.t.Lanes == 16:
				return "VMOVAPS.Z b, a, d"
			case y.konst && y.bits == 0:
				return "VANDPS b+, a, d"
			case x.konst && x.bits == 0 && l.t.Lanes == 8:
				return "VANDNPS c+, a, d"
			}
		}
	case loop.MulHigh:
		if many && l.uniform(s.Args[1]) {
			return mulHighBy
		}
	case loop.Scale:
		if l.t.Lanes == 8 {
			switch lo, hi := l.between(s.Args[1], 8); {
			case lo >= -126 && hi <= 127:
				return scale1
			case lo >= -252 && hi <= 254:
				return scale2
			}
		}
	}
	return text(l.t, s.Op, signature(s.Args, s.Dst.Elem), many)
}

// between bounds the float v, if it is not NaN, by looking at most depth ops
// back.
func (l *lowerer) between(v *loop.Val, depth int) (lo, hi float64) {
	lo, hi = math.Inf(-1), math.Inf(1)
	s := l.known[v]
	if s == nil || depth == 0 {
		return
	}
	of := func(i int) (lo, hi float64) { return l.between(s.Args[i], depth-1) }
	switch s.Op {
	case loop.Const:
		return s.Imm, s.Imm
	case loop.Splat:
		return of(0)
	case loop.Round:
		a, b := of(0)
		return math.RoundToEven(a), math.RoundToEven(b)
	case loop.Floor:
		a, b := of(0)
		return math.Floor(a), math.Floor(b)
	case loop.Max:
		a, b := of(0)
		c, d := of(1)
		return math.Max(a, c), math.Max(b, d)
	case loop.Min:
		a, b := of(0)
		c, d := of(1)
		return math.Min(a, c), math.Min(b, d)
	case loop.Neg:
		a, b := of(0)
		return -b, -a
	case loop.Mul:
		a, b := of(0)
		c, d := of(1)
		for _, x := range []float64{a * c, a * d, b * c, b * d} {
			if x != x {
				return
			}
		}
		// One more for the rounding of the product.
		return min(a*c, a*d, b*c, b*d) - 1, max(a*c, a*d, b*c, b*d) + 1
	}
	return
}

// fma lowers a*b + c: the order of operands that overwrites the right one is
// chosen when the registers are known.
func (l *lowerer) fma(s *loop.Instr, h int, dst *vreg) {
	in := &ins{kind: fma, op: "VFMADD", args: make([]arg, 4), use: 7, def: 8, fold: 0, bcst: l.t.Lanes == 16 && s.Dst.Vec}
	op := "VFMADDSS"
	if s.Dst.Vec {
		op = "VFMADDPS"
	}
	memory := false
	for i, a := range s.Args {
		x := l.src(a, h)
		if m, ok := l.foldable(x, tok{mem: true, bcst: true}, op); ok && !memory && m.mem != nil {
			in.args[i], memory = m, true
			continue
		}
		in.args[i] = l.arg(x)
	}
	in.args[3] = regArg(dst)
	l.put(in)
}

// across lowers an op that is not lane by lane, for the half h.
func (l *lowerer) across(s *loop.Instr, h int, halves []int) {
	form := ""
	if special[s.Op] == "" {
		form = text(l.t, s.Op, signature(s.Args, s.Dst.Elem), true)
		if form == "" || form[0] == '(' {
			l.lacks(s, form)
			return
		}
	}
	dst := l.regFor(s.Dst)
	at := h
	width := l.width
	var from operands
	for i, a := range s.Args {
		from[i] = l.src(a, h)
	}
	switch s.Op {
	case loop.Iota:
		l.op("VMOVUPS", memArg(lanes(h*l.width)), regArg(dst))
		dst.made = &recipe{mem: lanes(h * l.width)}
		l.set(s.Dst, h, dst)
		return
	case loop.First:
		l.first(s, h, dst)
		l.set(s.Dst, h, dst)
		return
	case loop.Splat:
		x := l.src(s.Args[0], 0).v
		if x.konst {
			c := *x
			c.vec = true
			l.vals[s.Dst] = &c
			return
		}
		if x.from != nil && x.regs[0] == nil && s.Dst.Elem != loop.Bool {
			v := &value{elem: s.Dst.Elem, vec: true, from: x.from, splat: true}
			l.vals[s.Dst] = v
			if !l.foldSplat[s] {
				l.force(source{v, 0})
			}
			return
		}
		at = both
	case loop.AddAcross, loop.MinAcross, loop.MaxAcross:
		if l.t.Span() == 2 {
			from = operands{l.src(s.Args[0], 0), l.src(s.Args[0], 1)}
		}
		at = 0
	case loop.QuadEven, loop.QuadOdd:
		if l.t.Span() == 2 {
			from = operands{l.src(s.Args[h], 0), l.src(s.Args[h], 1)}
		}
	}
	l.expand(form, from, dst, width)
	l.set(s.Dst, at, dst)
}

// iota is the table 0, 1, 2, … from the given byte on.
func lanes(at int) *mem { return &mem{name: "lanes", disp: at} }

// first lowers the mask of the first n lanes: the numbers of the lanes are
// compared with n, which is cut to 0…16 so that it fits in a lane.
func (l *lowerer) first(s *loop.Instr, h int, dst *vreg) {
	x := l.sumOf(s.Args[0])
	var n *vreg
	if c, ok := constIndex(x); ok {
		n = l.constant(uint32(max(0, min(c, loop.Lanes))))
	} else {
		n = l.once(l.blk, "lanes "+sumKey("", l.sorted(x.Terms), x.Off), func(d *vreg) {
			d.class, d.width = vec, l.width
			form := "MOVQ a, g; MOVQ $16, h; CMPQ g, h; CMOVQGT h, g; MOVQ $0, h; TESTQ g, g; CMOVQLT h, g; "
			if l.t.Lanes == 16 {
				form += "VPBROADCASTD g, d"
			} else {
				form += "VMOVD g, t.x; VPBROADCASTD t.x, d"
			}
			l.expand(form, operands{{v: &value{elem: loop.Int, regs: [2]*vreg{l.sum("", x)}}}}, d, l.width)
		})
	}
	l.op("VPCMPGTD", memArg(lanes(h*l.width)), regArg(n), regArg(dst)).fold = -1
}
