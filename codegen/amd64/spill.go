package amd64

import "errors"

var errTooMany = errors.New("bug in codegen/amd64: no registers left although everything is spilled")

// spill rewrites the code so that the given registers are in the frame, or are
// made again, wherever they are used.
func (a *allocation) spill(regs []*vreg) error {
	for _, r := range regs {
		if !r.spillable() {
			return errTooMany
		}
		r.out = true
		a.vectors = a.vectors || r.class == vec
		if r.made == nil {
			a.slots = append(a.slots, r.width)
			r.slot = len(a.slots)
		}
	}
	a.code = a.split(regs)
	code := make([]*ins, 0, len(a.code)+8)
	a.recent = map[*vreg]*recent{}
	for i, in := range a.code {
		if in.kind == label || in.kind == jump {
			clear(a.recent)
		}
		for r, x := range a.recent {
			if i > x.at+shareReload {
				delete(a.recent, r)
			}
		}
		code = a.respill(code, in, i)
	}
	a.code = code
	kept := a.regs[:0]
	for _, r := range a.regs {
		if !r.out {
			kept = append(kept, r)
		}
	}
	a.regs = kept
	return nil
}

// split gives each register that is spilled, and that an innermost loop reads but
// does not write, a register of its own in this loop, which is set before it.
func (a *allocation) split(regs []*vreg) []*ins {
	loops, _ := innerLoops(a.code)
	for i, s := range loops {
		for _, in := range a.code[s.from:s.to] {
			in.each(func(r *vreg, use, def bool) {
				if !r.out {
					return
				}
				if n := len(r.loops); n == 0 || r.loops[n-1].loop != i {
					r.loops = append(r.loops, inLoop{loop: i})
				}
				x := &r.loops[len(r.loops)-1]
				x.reads, x.writes = x.reads || use, x.writes || def
			})
		}
	}
	before := map[int][]*ins{}
	for _, r := range regs {
		if r.split {
			continue
		}
		for _, x := range r.loops {
			if !x.reads || x.writes {
				continue
			}
			s := loops[x.loop]
			own := &vreg{class: r.class, width: r.width, fixed: -1, slot: -1, split: true, made: r.made}
			if r.made == nil {
				own.made = &recipe{mem: r.place(false)}
			}
			a.regs = append(a.regs, own)
			for _, in := range a.code[s.from:s.to] {
				in.rename(func(x *vreg) *vreg {
					if x == r {
						return own
					}
					return x
				})
			}
			in := a.reload(r, own, a.code[s.from])
			before[s.from] = append(before[s.from], in)
			a.costs[in.of] += in.often()
		}
	}
	if len(before) == 0 {
		return a.code
	}
	code := make([]*ins, 0, len(a.code)+len(regs)*4)
	for i, in := range a.code {
		code = append(append(code, before[i]...), in)
	}
	return code
}

// often is how often an instruction is taken to run.
func (in *ins) often() float64 {
	n := 1.0
	for range in.depth {
		n *= 8
	}
	return n
}

// innerLoops are the innermost loops, from the label to the jump back, and for
// each instruction the number of the one it is in, or -1.
func innerLoops(code []*ins) (loops []span, in []int) {
	at := map[int]int{} // label of a loop
	last := -1          // label that was seen last
	in = make([]int, len(code))
	for i, x := range code {
		in[i] = -1
		switch {
		case x.kind == label && x.loop:
			at[x.label], last = i, x.label
		case x.kind == jump && x.label == last && at[last] < i:
			for j := at[last]; j <= i; j++ {
				in[j] = len(loops)
			}
			loops = append(loops, span{at[last], i + 1})
			last = -1
		}
	}
	return loops, in
}

// A recent is a register into which a spilled one was loaded, by or for the
// instruction at.
type recent struct {
	reg *vreg
	at  int
}

// shareReload is for how many instructions what was loaded stays.
const shareReload = 3

// respill appends in to code, with loads before it and stores after it.
func (a *allocation) respill(code []*ins, in *ins, at int) []*ins {
	touched, only := false, true
	in.each(func(r *vreg, use, def bool) {
		touched = touched || r.out
		only = only && r.out && def && !use && r.made != nil
	})
	if !touched {
		return append(code, in)
	}
	if only {
		return code // the value is made where it is used
	}
	often := in.often()
	if in.kind == copies {
		return a.spillCopy(code, in, often)
	}
	a.foldOperand(in, often)
	var after []*ins
	now := map[*vreg]*vreg{}
	replace := func(r *vreg) *vreg {
		if !r.out {
			return r
		}
		if x := a.recent[r]; x != nil && now[r] == nil {
			now[r] = x.reg
		}
		if now[r] == nil {
			t := &vreg{class: r.class, width: r.width, fixed: -1, slot: -1, temp: true}
			a.regs = append(a.regs, t)
			now[r] = t
		}
		return now[r]
	}
	var loads, stores []*vreg
	seen := map[*vreg]bool{}
	in.each(func(r *vreg, use, def bool) {
		if r.out && use && !seen[r] {
			seen[r] = true
			loads = append(loads, r)
		}
		if r.out && def && r.made == nil {
			stores = append(stores, r)
		}
	})
	for _, r := range loads {
		if a.recent[r] == nil {
			code = append(code, a.reload(r, replace(r), in))
			a.recent[r] = &recent{replace(r), at}
			a.costs[in.of] += often
		}
	}
	in.rename(replace)
	for _, r := range stores {
		a.recent[r] = &recent{replace(r), at}
		after = append(after, a.storeSlot(replace(r), r, in))
		a.costs[in.of] += often
	}
	return append(append(code, in), after...)
}

// spillCopy is a copy from or to the frame.
func (a *allocation) spillCopy(code []*ins, in *ins, often float64) []*ins {
	s, d := in.args[0].reg, in.args[1].reg
	delete(a.recent, d)
	a.costs[in.of] += often
	switch {
	case s.out && d.out:
		t := &vreg{class: s.class, width: max(s.width, d.width), fixed: -1, slot: -1, temp: true}
		a.regs = append(a.regs, t)
		code = append(code, a.reload(s, t, in))
		if d.made == nil {
			code = append(code, a.storeSlot(t, d, in))
		}
		return code
	case s.out:
		return append(code, a.reload(s, d, in))
	case d.made != nil:
		return code
	}
	return append(code, a.storeSlot(s, d, in))
}

// place is where a spilled register can be read, or nil if an instruction must
// make it.
func (r *vreg) place(bcst bool) *mem {
	switch {
	case r.made == nil:
		return &mem{slot: r.slot}
	case r.made.konst:
		return &mem{konst: true, bits: r.made.bits, bcst: bcst}
	}
	return r.made.mem
}

// foldOperand makes a spilled register a memory operand, if in takes one there.
func (a *allocation) foldOperand(in *ins, often float64) {
	if in.fold < 0 || in.inMemory() >= 0 {
		return
	}
	candidates := []int{int(in.fold)}
	switch {
	case in.kind == fma:
		candidates = []int{0, 1, 2}
	case in.swap:
		candidates = append(candidates, int(in.fold)+1)
	}
	for _, i := range candidates {
		r := in.args[i].reg
		if r == nil || !r.out || a.recent[r] != nil {
			continue
		}
		times := 0
		in.each(func(x *vreg, _, _ bool) {
			if x == r {
				times++
			}
		})
		if times > 1 {
			continue
		}
		if r.made != nil && r.made.konst && a.t.Lanes == 16 && !in.bcst && !in.scalar() {
			continue // the table of constants has one element for AVX-512
		}
		in.args[i] = memArg(r.place(in.bcst))
		a.costs[in.of] += often / 4
		if in.swap && i != int(in.fold) {
			in.args[in.fold], in.args[i] = in.args[i], in.args[in.fold]
		}
		return
	}
}

// scalar reports whether an instruction works on one float.
func (in *ins) scalar() bool {
	return in.kind == fma && in.args[3].width == 16 || len(in.op) > 2 && in.op[len(in.op)-2:] == "SS" || in.op == "VMOVD"
}

// reload reads a spilled register, for the instruction at.
func (a *allocation) reload(r, into *vreg, at *ins) *ins {
	var in *ins
	switch {
	case r.made != nil && r.made.konst:
		in = setConstant(a.t, r.made.bits, into)
	case r.class == gp:
		in = newIns("MOVQ", memArg(r.place(false)), regArg(into))
	case r.class == mask:
		in = newIns("KMOVQ", memArg(r.place(false)), regArg(into))
	default:
		in = newIns("VMOVUPS", memArg(r.place(false)), regArg(into))
	}
	in.depth, in.of = at.depth, at.of
	in.setWidths()
	return in
}

func (a *allocation) storeSlot(from, r *vreg, at *ins) *ins {
	op := map[class]string{gp: "MOVQ", mask: "KMOVQ", vec: "VMOVUPS"}[r.class]
	in := newIns(op, regArg(from), memArg(r.place(false)))
	in.depth, in.of = at.depth, at.of
	in.setWidths()
	return in
}
