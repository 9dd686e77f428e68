package runtime

import (
	"cmp"
	"slices"
)

// A Slot is a tensor in scratch memory: calls from First to Last need it, and
// another slot may be in the same memory before and after them.
type Slot struct {
	Elem        int // 0 for floats, 1 for int32, 2 for bool: each has an arena
	First, Last int
}

// A Plan says where the slots of a function are in its arenas. The zero value is
// the plan of no slots.
type Plan struct {
	At   []int  // the first element of each slot, a multiple of 64 bytes
	Need [3]int // elements of the arenas

	sizes, trial, order []int
	placed              []int // slots that have a place, by At
}

// Place plans slots that are as large as sizes says, if the plan as it is has no
// room for them; of several ways to place them it takes the one that needs least.
// A plan of the same slots places them in the same way. Only the first plan
// allocates.
func (p *Plan) Place(slots []Slot, sizes ...int) {
	if len(p.sizes) == len(sizes) {
		fits := true
		for i, n := range sizes {
			fits = fits && n <= p.sizes[i]
		}
		if fits {
			return
		}
	}
	p.sizes = append(p.sizes[:0], sizes...)
	span := func(i int) int { return slots[i].Last - slots[i].First + 1 }
	p.Need = [3]int{}
	for k, by := range [...]func(i, j int) int{
		func(i, j int) int { return cmp.Compare(sizes[j], sizes[i]) },
		func(i, j int) int { return cmp.Compare(sizes[j]*span(j), sizes[i]*span(i)) },
		func(i, j int) int {
			return cmp.Or(cmp.Compare(slots[i].First, slots[j].First), cmp.Compare(sizes[j], sizes[i]))
		},
	} {
		if need := p.try(slots, by); k == 0 || bytesOf(need, 4) < bytesOf(p.Need, 4) {
			p.Need = need
			p.At, p.trial = p.trial, p.At
		}
	}
}

// Bytes is the size of the arenas for floats of the given width.
func (p *Plan) Bytes(float int) int { return bytesOf(p.Need, float) }

func bytesOf(need [3]int, float int) int { return need[0]*float + need[1]*4 + need[2] }

// try gives each slot the lowest place that is free, in the order of by, and puts
// it into p.trial.
func (p *Plan) try(slots []Slot, by func(i, j int) int) (need [3]int) {
	n := len(p.sizes)
	p.trial, p.order, p.placed = slices.Grow(p.trial[:0], n)[:n], p.order[:0], p.placed[:0]
	for i := range n {
		p.order = append(p.order, i)
	}
	slices.SortStableFunc(p.order, by)
	for _, i := range p.order {
		a := &slots[i]
		by := [...]int{16, 16, 64}[a.Elem]
		size := (p.sizes[i] + by - 1) / by * by
		at, before := 0, len(p.placed)
		for _, j := range p.placed {
			if b := &slots[j]; b.Elem != a.Elem || b.First > a.Last || a.First > b.Last {
				continue
			}
			if p.trial[j] >= at+size {
				break // there is a gap
			}
			at = max(at, p.trial[j]+(p.sizes[j]+by-1)/by*by)
		}
		for before > 0 && p.trial[p.placed[before-1]] > at {
			before--
		}
		p.trial[i] = at
		p.placed = slices.Insert(p.placed, before, i)
		need[a.Elem] = max(need[a.Elem], at+size)
	}
	return need
}
