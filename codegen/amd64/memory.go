package amd64

import (
	"github.com/lmc-lang/lmc/ir/loop"
)

// load lowers a load for some halves of its vector.
func (l *lowerer) load(s *loop.Load, halves []int) {
	switch {
	case !s.Dst.Vec:
		if halves[0] == 0 {
			l.vals[s.Dst] = &value{elem: s.Dst.Elem, from: l.address(s.Buf, s.At, false)}
			if !l.fold[s] {
				l.force(source{l.vals[s.Dst], 0})
			}
		}
		return
	case s.Dst.Elem == loop.Bool:
		l.loadBools(s)
		return
	case s.Lane != nil:
		for _, h := range halves {
			l.gather(s, h)
		}
		return
	case s.Mask == nil:
		if l.vals[s.Dst] == nil {
			l.vals[s.Dst] = &value{elem: s.Dst.Elem, vec: true, from: l.address(s.Buf, s.At, false)}
		}
		if !l.fold[s] {
			for _, h := range halves {
				l.force(source{l.vals[s.Dst], h})
			}
		}
		return
	}
	m := l.address(s.Buf, s.At, false)
	for _, h := range halves {
		r := l.newReg(vec, l.width)
		if l.t.Lanes == 16 {
			l.op("VMOVUPS.Z", memArg(m), regArg(l.reg(s.Mask, h)), regArg(r))
		} else {
			l.op("VMASKMOVPS", memArg(m.plus(h*l.width)), regArg(l.reg(s.Mask, h)), regArg(r))
		}
		l.set(s.Dst, h, r)
	}
}

// store lowers a store of some halves of its vector.
func (l *lowerer) store(s *loop.Store, halves []int) {
	if s.Src.Vec && s.Src.Elem == loop.Bool {
		l.storeBools(s)
		return
	}
	m := l.address(s.Buf, s.At, false)
	if !s.Src.Vec {
		x := l.src(s.Src, 0)
		op := map[loop.Elem]string{loop.F32: "VMOVSS", loop.I32: "MOVL", loop.Bool: "MOVB"}[s.Src.Elem]
		if a, ok := l.foldable(x, tok{mem: true}, op); ok && a.isImm {
			l.op(op, a, memArg(m))
		} else {
			l.op(op, l.arg(x), memArg(m))
		}
		return
	}
	for _, h := range halves {
		x := regArg(l.reg(s.Src, h))
		to := memArg(m.plus(h * l.width))
		switch {
		case s.Mask == nil:
			l.op("VMOVUPS", x, to)
		case l.t.Lanes == 16:
			l.op("VMOVUPS", x, regArg(l.reg(s.Mask, h)), to)
		default:
			l.op("VMASKMOVPS", x, regArg(l.reg(s.Mask, h)), to)
		}
	}
}

// gather loads the lanes of the half h from where they are.
func (l *lowerer) gather(s *loop.Load, h int) {
	m := l.address(s.Buf, s.At, true)
	m.index, m.scale = l.reg(s.Lane, h), 4
	r, only := l.newReg(vec, l.width), l.newReg(mask, 8)
	if l.t.Lanes == 8 {
		only = l.newReg(vec, l.width)
	}
	// The mask is used up; what it leaves out stays 0.
	if s.Mask == nil {
		l.put(l.allOnes(only))
	} else {
		l.copy(only, l.reg(s.Mask, h))
	}
	l.put(setConstant(l.t, 0, r))
	if l.t.Lanes == 16 {
		l.op("VGATHERDPS", memArg(m), regArg(only), regArg(r))
	} else {
		l.op("VGATHERDPS", regArg(only), memArg(m), regArg(r))
	}
	l.set(s.Dst, h, r)
}

// allOnes sets all bits of r.
func (l *lowerer) allOnes(r *vreg) *ins {
	if r.class == mask {
		return &ins{kind: zero, args: []arg{regArg(r)}, def: 1, fold: -1}
	}
	in := newIns("VPCMPEQD", regArg(r), regArg(r), regArg(r))
	in.use = 0
	return in
}

// slotOf makes room in the frame.
func (l *lowerer) slotOf(width int) *mem {
	l.slots = append(l.slots, width)
	return &mem{slot: len(l.slots)}
}

// loadBools lowers a load of bools, which are bytes of 0 or 1 in memory.
func (l *lowerer) loadBools(s *loop.Load) {
	if s.Lane == nil && (s.Mask == nil || l.t.Lanes == 16) {
		m := l.address(s.Buf, s.At, false)
		if l.t.Lanes == 8 {
			l.boolsFrom(s.Dst, m)
			return
		}
		bytes, r := l.newReg(vec, 16), l.newReg(mask, 8)
		if s.Mask == nil {
			l.op("VMOVDQU8", memArg(m), regArg(bytes))
		} else {
			l.op("VMOVDQU8.Z", memArg(m), regArg(l.reg(s.Mask, 0)), regArg(bytes))
		}
		l.op("VPTESTMB", regArg(bytes), regArg(bytes), regArg(r))
		l.set(s.Dst, 0, r)
		return
	}
	// One by one, by way of the frame.
	copied := l.slotOf(16)
	none := l.newReg(vec, 16)
	l.put(setConstant(l.t, 0, none))
	l.op("VMOVUPS", regArg(none), memArg(copied))
	m := l.address(s.Buf, s.At, s.Lane != nil)
	var lanes *mem
	if s.Lane != nil {
		lanes = l.slotOf(64)
		for h := range l.t.Span() {
			l.op("VMOVUPS", regArg(l.reg(s.Lane, h)), memArg(lanes.plus(h*l.width)))
		}
	}
	l.eachLane(s.Mask, func(lane int) {
		from := m.plus(lane)
		x := l.newReg(gp, 8)
		if lanes != nil {
			at := l.newReg(gp, 8)
			l.op("MOVLQSX", memArg(lanes.plus(4*lane)), regArg(at))
			c := *m
			c.index, c.scale = at, 1
			from = &c
		}
		l.op("MOVBLZX", memArg(from), regArg(x))
		l.op("MOVB", regArg(x), memArg(copied.plus(lane)))
	})
	if l.t.Lanes == 8 {
		l.boolsFrom(s.Dst, copied)
		return
	}
	bytes, r := l.newReg(vec, 16), l.newReg(mask, 8)
	l.op("VMOVDQU8", memArg(copied), regArg(bytes))
	l.op("VPTESTMB", regArg(bytes), regArg(bytes), regArg(r))
	l.set(s.Dst, 0, r)
}

// eachLane emits what body does for the lanes in mask; all, if that is nil.
func (l *lowerer) eachLane(only *loop.Val, body func(lane int)) {
	var bits *vreg
	if only != nil {
		bits = l.newReg(gp, 8)
		if l.t.Lanes == 16 {
			l.op("KMOVW", regArg(l.reg(only, 0)), regArg(bits))
		} else {
			high := l.newReg(gp, 8)
			l.op("VMOVMSKPS", regArg(l.reg(only, 0)), regArg(bits))
			l.op("VMOVMSKPS", regArg(l.reg(only, 1)), regArg(high))
			l.op("SHLL", immArg(8), regArg(high))
			l.op("ORL", regArg(high), regArg(bits))
		}
	}
	for lane := range loop.Lanes {
		skip := 0
		if only != nil {
			skip = l.newLabel()
			l.op("BTL", immArg(lane), regArg(bits))
			l.jump("JCC", skip, "lane")
		}
		body(lane)
		if only != nil {
			l.label(skip, "lane")
		}
	}
}

// boolsFrom makes the mask v from bytes in memory, on AVX2.
func (l *lowerer) boolsFrom(v *loop.Val, m *mem) {
	for h := range 2 {
		r := l.newReg(vec, l.width)
		l.op("VPMOVZXBD", memArg(m.plus(8*h)), regArg(r))
		l.op("VPCMPGTD", regArg(l.constant(0)), regArg(r), regArg(r))
		l.set(v, h, r)
	}
}

// bytesOf makes bytes of a mask.
func (l *lowerer) bytesOf(v *loop.Val) *vreg {
	r := l.newReg(vec, 16)
	if l.t.Lanes == 16 {
		l.op("VPMOVM2B", regArg(l.reg(v, 0)), regArg(r))
	} else {
		// Four quarters of four lanes, narrowed twice.
		narrow := func(h int) *vreg {
			low, high := l.reg(v, h), l.newReg(vec, 16)
			l.op("VEXTRACTF128", immArg(1), regArg(low), regArg(high))
			r := l.newReg(vec, 16)
			l.op("VPACKSSDW", regArg(high), arg{reg: low, width: 16}, regArg(r))
			return r
		}
		low, high := narrow(0), narrow(1)
		l.op("VPACKSSWB", regArg(high), regArg(low), regArg(r))
	}
	one := l.newReg(vec, 16)
	l.op("VPABSB", regArg(r), regArg(one)) // -1 to 1
	return one
}

func (l *lowerer) storeBools(s *loop.Store) {
	bytes := l.bytesOf(s.Src)
	m := l.address(s.Buf, s.At, false)
	switch {
	case s.Mask == nil:
		l.op("VMOVUPS", regArg(bytes), memArg(m))
	case l.t.Lanes == 16:
		l.op("VMOVDQU8", regArg(bytes), regArg(l.reg(s.Mask, 0)), memArg(m))
	default:
		copied := l.slotOf(16)
		l.op("VMOVUPS", regArg(bytes), memArg(copied))
		l.eachLane(s.Mask, func(lane int) {
			x := l.newReg(gp, 8)
			l.op("MOVBLZX", memArg(copied.plus(lane)), regArg(x))
			l.op("MOVB", regArg(x), memArg(m.plus(lane)))
		})
	}
}
