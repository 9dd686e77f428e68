package amd64

import (
	"math/bits"
	"slices"
)

// A span is a range of positions in which a register holds something that is
// still needed. Instruction i reads at position 2i and writes at 2i+1, so what
// is read for the last time and what is written can be one register.
type span struct{ from, to int } // from <= position < to

// A part is a stretch of code without jumps or labels inside.
type part struct {
	from, to int // of the instructions
	next     []int
	// Sets of registers: read before they are written, written, live at the
	// start and at the end.
	uses, defs, in, out set
}

type set []uint64

func (b set) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }
func (b set) add(i int)      { b[i/64] |= 1 << (i % 64) }

// each calls f for the elements of b.
func (b set) each(f func(i int)) {
	for w, x := range b {
		for ; x != 0; x &= x - 1 {
			f(64*w + bits.TrailingZeros64(x))
		}
	}
}

// parts cuts code.
func parts(code []*ins, regs int) []*part {
	var out []*part
	at := map[int]int{} // label to part
	start := 0
	cut := func(end int) {
		if end > start {
			out = append(out, &part{from: start, to: end})
			start = end
		}
	}
	for i, in := range code {
		switch in.kind {
		case label:
			cut(i)
			at[in.label] = len(out)
		case jump, ret:
			cut(i + 1)
		}
	}
	cut(len(code))
	words := (regs + 63) / 64
	room := make(set, 4*words*len(out))
	for i, p := range out {
		for _, x := range []*set{&p.uses, &p.defs, &p.in, &p.out} {
			*x, room = room[:words:words], room[words:]
		}
		last := code[p.to-1]
		if last.kind == jump {
			p.next = append(p.next, at[last.label])
		}
		if last.kind != ret && (last.kind != jump || last.op != "JMP") && i+1 < len(out) {
			p.next = append(p.next, i+1)
		}
	}
	return out
}

// liveness finds the ranges of all registers:
//
//	out(p) = union of in(q) for the parts q that may follow
//	in(p)  = uses(p) + (out(p) - defs(p))
func liveness(code []*ins, regs []*vreg) {
	for i, r := range regs {
		r.id, r.ranges = i, nil
	}
	ps := parts(code, len(regs))
	ts := touchesOf(code)
	for _, p := range ps {
		for n := p.from; n < p.to; n++ {
			of := ts.of(n)
			for _, t := range of {
				if t.use && !p.defs.has(t.reg.id) {
					p.uses.add(t.reg.id)
				}
			}
			for _, t := range of {
				if t.def {
					p.defs.add(t.reg.id)
				}
			}
		}
	}
	for changed := true; changed; {
		changed = false
		for i := len(ps) - 1; i >= 0; i-- {
			p := ps[i]
			for _, n := range p.next {
				for w, x := range ps[n].in {
					p.out[w] |= x
				}
			}
			for w := range p.in {
				x := p.uses[w] | p.out[w]&^p.defs[w]
				changed = changed || x != p.in[w]
				p.in[w] = x
			}
		}
	}
	// From the end to the start; ranges grow at their front.
	open := make([]int, len(regs)) // where the range that is open ends, 0 if none
	for i := len(ps) - 1; i >= 0; i-- {
		p := ps[i]
		p.out.each(func(r int) { open[r] = 2 * p.to })
		for n := p.to - 1; n >= p.from; n-- {
			of := ts.of(n)
			for _, t := range of {
				if t.def {
					end := open[t.reg.id]
					if end == 0 {
						end = 2*n + 2 // never read
					}
					t.reg.ranges = append(t.reg.ranges, span{2*n + 1, end})
					open[t.reg.id] = 0
				}
			}
			for _, t := range of {
				if t.use && open[t.reg.id] == 0 {
					open[t.reg.id] = 2*n + 1
				}
			}
		}
		p.in.each(func(r int) {
			regs[r].ranges = append(regs[r].ranges, span{2 * p.from, open[r]})
			open[r] = 0
		})
	}
	for _, r := range regs {
		slices.Reverse(r.ranges)
		r.ranges = merged(r.ranges)
	}
}

// A touch is the use of a register by an instruction.
type touch struct {
	reg      *vreg
	use, def bool
}

// touches are those of all instructions, one after the other, and for each
// instruction where its own end.
type touches struct {
	all  []touch
	ends []int32
}

func touchesOf(code []*ins) *touches {
	ts := &touches{make([]touch, 0, 3*len(code)), make([]int32, len(code))}
	for i, in := range code {
		in.each(func(r *vreg, use, def bool) { ts.all = append(ts.all, touch{r, use, def}) })
		ts.ends[i] = int32(len(ts.all))
	}
	return ts
}

// of are the touches of instruction n.
func (ts *touches) of(n int) []touch {
	if n == 0 {
		return ts.all[:ts.ends[0]]
	}
	return ts.all[ts.ends[n-1]:ts.ends[n]]
}

// merged joins ranges, sorted by start, that touch, in place.
func merged(in []span) []span {
	out := in[:0]
	for _, s := range in {
		if n := len(out); n > 0 && out[n-1].to >= s.from {
			out[n-1].to = max(out[n-1].to, s.to)
		} else {
			out = append(out, s)
		}
	}
	return out
}

// meet reports whether two sorted lists of ranges overlap.
func meet(a, b []span) bool {
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0].to <= b[0].from:
			a = a[1:]
		case b[0].to <= a[0].from:
			b = b[1:]
		default:
			return true
		}
	}
	return false
}

// union merges two sorted lists of ranges.
func union(a, b []span) []span {
	out := make([]span, 0, len(a)+len(b))
	for len(a) > 0 || len(b) > 0 {
		if len(b) == 0 || len(a) > 0 && a[0].from <= b[0].from {
			out, a = append(out, a[0]), a[1:]
		} else {
			out, b = append(out, b[0]), b[1:]
		}
	}
	return merged(out)
}

// pressure is the most registers of a class that are live at one place; those
// that can be made again do not count.
func pressure(regs []*vreg, c class) int {
	type event struct{ at, by int }
	var events []event
	for _, r := range regs {
		if r.class == c && r.into == nil && r.made == nil {
			for _, s := range r.ranges {
				events = append(events, event{s.from, 1}, event{s.to, -1})
			}
		}
	}
	slices.SortFunc(events, func(x, y event) int {
		if x.at != y.at {
			return x.at - y.at
		}
		return x.by - y.by
	})
	n, most := 0, 0
	for _, e := range events {
		n += e.by
		most = max(most, n)
	}
	return most
}
