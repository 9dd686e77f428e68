package amd64

import (
	"math"
	"slices"

	"github.com/lmc-lang/lmc/ir/loop"
)

// Numbers of integer registers with a fixed purpose, in gpNames.
const (
	regAX = 0
	regDX = 2
)

// gpNames are the integer registers, those with short encodings first. BP is
// the frame pointer; R14 and R15 belong to nobody in functions with arguments
// on the stack.
var gpNames = []string{"AX", "CX", "DX", "BX", "SI", "DI", "R8", "R9", "R10", "R11", "R12", "R13", "R14", "R15"}

// numRegs is the number of machine registers of a class. K0 means no mask.
func numRegs(t *loop.Target, c class) int {
	switch c {
	case gp:
		return len(gpNames)
	case vec:
		return t.Regs
	}
	return 7
}

// An allocation gives the registers of a function their places.
type allocation struct {
	t    *loop.Target
	code []*ins
	regs []*vreg

	slots []int // widths of the slots of the frame
	// What spilling costs in each loop, in those inside it not included: loads
	// and stores, weighted by the loops around.
	costs   map[*loop.For]float64
	vectors bool  // some were vectors
	loopAt  []int // number of the innermost loop of each instruction
	// While spilling: what is still in a register.
	recent map[*vreg]*recent
}

// allocate finds a machine register for every register, spilling some if there
// are too few.
func (a *allocation) allocate() error {
	for round := 0; ; round++ {
		liveness(a.code, a.regs)
		a.coalesce()
		a.weigh()
		spilled := a.assign()
		if len(spilled) == 0 {
			return nil
		}
		if round > 50 {
			return errTooMany
		}
		if err := a.spill(spilled); err != nil {
			return err
		}
	}
}

// root is the register that r was joined with.
func root(r *vreg) *vreg {
	for r.into != nil {
		r = r.into
	}
	return r
}

// coalesce joins registers of which one is a copy of the other, where they are
// not live at once: most copied first, the carried values of inner loops.
func (a *allocation) coalesce() {
	var cs []*ins
	for _, in := range a.code {
		if in.kind == copies {
			cs = append(cs, in)
		}
	}
	slices.SortStableFunc(cs, func(x, y *ins) int { return y.depth - x.depth })
	joined := false
	for _, in := range cs {
		s, d := root(in.args[0].reg), root(in.args[1].reg)
		if s == d || s.class != d.class || s.fixed >= 0 || d.fixed >= 0 || s.made != nil && !s.made.konst || meet(s.ranges, d.ranges) {
			continue
		}
		if s.temp || d.temp || s.split || d.split || s.slot >= 0 || d.slot >= 0 {
			continue
		}
		d.ranges = union(d.ranges, s.ranges)
		d.width = max(d.width, s.width)
		d.made = nil
		s.into = d
		joined = true
	}
	if !joined {
		return
	}
	for _, in := range a.code {
		in.rename(root)
	}
	a.code = slices.DeleteFunc(a.code, func(in *ins) bool { return in.kind == copies && in.args[0].reg == in.args[1].reg })
	a.regs = slices.DeleteFunc(a.regs, func(r *vreg) bool { return r.into != nil })
	liveness(a.code, a.regs)
}

// rename replaces registers.
func (in *ins) rename(f func(*vreg) *vreg) {
	for i := range in.args {
		x := &in.args[i]
		if x.reg != nil {
			x.reg = f(x.reg)
		}
		if x.mem != nil && (x.mem.base != nil || x.mem.index != nil) {
			m := *x.mem
			if m.base != nil {
				m.base = f(m.base)
			}
			if m.index != nil {
				m.index = f(m.index)
			}
			x.mem = &m
		}
	}
}

// weigh computes what it costs if a register is in memory.
func (a *allocation) weigh() {
	_, at := innerLoops(a.code)
	a.loopAt = at
	for _, r := range a.regs {
		r.uses = r.uses[:0]
		r.size = 16
		for _, s := range r.ranges {
			r.size += s.to - s.from
		}
	}
	// Loops are numbered in the order of the code.
	add := func(r *vreg, loop int, cost float64, def bool) {
		if n := len(r.uses); n == 0 || r.uses[n-1].loop != loop {
			r.uses = append(r.uses, loopUse{loop: loop})
		}
		u := &r.uses[len(r.uses)-1]
		u.cost += cost
		u.def = u.def || def
	}
	for n, in := range a.code {
		often := in.often()
		for i := range in.args {
			x := &in.args[i]
			if x.reg != nil {
				if in.use&(1<<i) != 0 {
					c := often
					if int(in.fold) == i && in.inMemory() < 0 {
						c /= 2
					}
					if x.reg.made != nil {
						c /= 2
					}
					add(x.reg, at[n], c, false)
				}
				if in.def&(1<<i) != 0 {
					c := often
					if x.reg.made != nil {
						c = 0
					}
					add(x.reg, at[n], c, true)
				}
			}
			if x.mem != nil {
				if x.mem.base != nil {
					add(x.mem.base, at[n], often, false)
				}
				if x.mem.index != nil {
					add(x.mem.index, at[n], often, false)
				}
			}
		}
	}
}

// weight is what it costs to free r in the innermost loop that instruction n is
// in, for each place that is free then. In other loops that only read it, it is
// loaded before the loop.
func (a *allocation) weight(r *vreg, n int) float64 {
	here := a.loopAt[min(n, len(a.loopAt)-1)]
	sum := 0.0
	for _, u := range r.uses {
		c := u.cost
		if u.loop >= 0 && u.loop != here && !u.def && !r.split {
			c /= 8
		}
		sum += c
	}
	return sum / float64(r.size)
}

// assign gives registers places in the order in which they start to live. It
// returns those that have to be spilled, because no place is free.
func (a *allocation) assign() (spilled []*vreg) {
	type place struct{ holds []*vreg }
	var places [numClasses][]place
	for c := range numClasses {
		places[c] = make([]place, numRegs(a.t, c))
	}
	put := func(r *vreg, phys int) {
		r.phys, r.rest = phys, r.ranges
		p := &places[r.class][phys]
		p.holds = append(p.holds, r)
	}
	free := func(r *vreg, phys int) bool {
		p := &places[r.class][phys]
		for i := 0; i < len(p.holds); i++ {
			x := p.holds[i]
			// Registers come in the order in which they start to live: what has
			// ended by now is in nobody's way.
			for len(x.rest) > 0 && x.rest[0].to <= r.ranges[0].from {
				x.rest = x.rest[1:]
			}
			if len(x.rest) == 0 {
				p.holds = slices.Delete(p.holds, i, i+1)
				i--
			} else if meet(x.rest, r.ranges) {
				return false
			}
		}
		return true
	}
	var order []*vreg
	for _, r := range a.regs {
		switch {
		case len(r.ranges) == 0:
			r.phys = 0
		case r.fixed >= 0:
			put(r, r.fixed)
		default:
			order = append(order, r)
		}
	}
	slices.SortStableFunc(order, func(x, y *vreg) int { return x.ranges[0].from - y.ranges[0].from })
	hints := a.hints()
	for _, r := range order {
		found := -1
		for _, h := range hints[r.id] {
			if h.phys >= 0 && h.class == r.class && len(h.ranges) > 0 && free(r, h.phys) {
				found = h.phys
				break
			}
		}
		for p := 0; found < 0 && p < len(places[r.class]); p++ {
			if free(r, p) {
				found = p
			}
		}
		if found >= 0 {
			put(r, found)
			continue
		}
		// The place whose holders in the way are the cheapest, if they are
		// cheaper than r.
		n := r.ranges[0].from / 2
		cheapest := a.weight(r, n)
		if !r.spillable() {
			cheapest = math.Inf(1)
		}
		for p := range places[r.class] {
			sum := 0.0
			for _, x := range places[r.class][p].holds {
				if meet(x.rest, r.ranges) {
					sum += a.weight(x, n)
					if !x.spillable() {
						sum = math.Inf(1)
					}
				}
			}
			if sum < cheapest {
				cheapest, found = sum, p
			}
		}
		if found < 0 {
			spilled = append(spilled, r)
			continue
		}
		p := &places[r.class][found]
		p.holds = slices.DeleteFunc(p.holds, func(x *vreg) bool {
			gone := meet(x.rest, r.ranges)
			if gone {
				spilled = append(spilled, x)
			}
			return gone
		})
		put(r, found)
	}
	return spilled
}

func (r *vreg) spillable() bool { return !r.temp && r.fixed < 0 }

// hints are places that a register would like: those of registers that end
// where it starts, so that it can overwrite them.
func (a *allocation) hints() [][]*vreg {
	out := make([][]*vreg, len(a.regs))
	for _, r := range a.regs {
		r.phys = -1
		if r.fixed >= 0 {
			r.phys = r.fixed
		}
	}
	for _, in := range a.code {
		switch in.kind {
		case fma:
			d := in.args[3].reg
			for _, i := range []int{2, 0, 1} {
				if s := in.args[i].reg; s != nil {
					out[d.id] = append(out[d.id], s)
				}
			}
		case copies:
			s, d := in.args[0].reg, in.args[1].reg
			out[d.id] = append(out[d.id], s)
			out[s.id] = append(out[s.id], d)
		}
	}
	return out
}
