package passes

import (
	"cmp"
	"slices"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// arena gives every slot its offset, so that slots needed at the same time do
// not overlap whatever the sizes are, and returns how many elements of each
// type that takes. Each slot takes the lowest place that is free; where sizes
// are symbolic, free means provably free. Of several orders the one that needs
// least is taken.
func (m *memory) arena() (need [3]ir.Dim) {
	sample := samples(m.allocs)
	size := func(a *alloc) int { return sample(a.size) }
	orders := []func(a, b *alloc) int{
		func(a, b *alloc) int { return cmp.Compare(size(b), size(a)) },
		func(a, b *alloc) int { return cmp.Compare(size(b)*(b.last-b.first+1), size(a)*(a.last-a.first+1)) },
		func(a, b *alloc) int { return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(size(b), size(a))) },
	}
	best, least := 0, 0
	for i, by := range orders {
		sum := 0
		for _, d := range m.place(by, sample) {
			sum += sample(d)
		}
		if i == 0 || sum < least {
			best, least = i, sum
		}
	}
	need = m.place(orders[best], sample)
	for _, r := range m.refs {
		r.ref.Off = r.ref.Off.Add(r.off)
	}
	return need
}

// place gives every slot its offset, in the given order.
func (m *memory) place(by func(a, b *alloc) int, sample func(ir.Dim) int) (need [3]ir.Dim) {
	order := slices.Clone(m.allocs)
	slices.SortStableFunc(order, by)
	var done []*alloc
	for _, a := range order {
		if !a.touched {
			continue
		}
		a.off = lowest(a, done, sample)
		a.top = a.end()
		done = append(done, a)
		need[a.elem] = upper(need[a.elem], a.top)
	}
	return need
}

// end is the first element after a, rounded up to the alignment of slots where
// that is a number.
func (a *alloc) end() ir.Dim {
	size := a.size
	if n, ok := size.Const(); ok {
		by := loop.ArenaAlign / 4
		if a.elem == loop.Bool {
			by = loop.ArenaAlign
		}
		size = loop.N((n + by - 1) / by * by)
	}
	return a.off.Add(size)
}

// lowest is the lowest offset for a beside the slots done.
func lowest(a *alloc, done []*alloc, sample func(ir.Dim) int) ir.Dim {
	var busy []*alloc
	for _, b := range done {
		if b.elem == a.elem && a.first <= b.last && b.first <= a.last {
			busy = append(busy, b)
		}
	}
	candidates := []ir.Dim{{}}
	var top ir.Dim
	for _, b := range busy {
		candidates = append(candidates, b.top)
		top = upper(top, b.top)
	}
	candidates = append(candidates, top)
	slices.SortStableFunc(candidates, func(c, d ir.Dim) int { return cmp.Compare(sample(c), sample(d)) })
	for i, c := range candidates {
		if i > 0 && c.Eq(candidates[i-1]) {
			continue
		}
		a.off = c
		end := a.end()
		free := func(b *alloc) bool { return atLeast(c, b.top, sample) || atLeast(b.off, end, sample) }
		if !slices.ContainsFunc(busy, func(b *alloc) bool { return !free(b) }) {
			return c
		}
	}
	return top
}

// atLeast reports whether a >= b for all sizes; false if that is not obvious.
func atLeast(a, b ir.Dim, sample func(ir.Dim) int) bool {
	if sample(a) < sample(b) {
		return false
	}
	for _, t := range a.Sub(b).Terms() {
		if t.Coef < 0 {
			return false
		}
	}
	return true
}

// upper is a dim that is at least a and at least b for all sizes: the larger
// coefficient of each term.
func upper(a, b ir.Dim) ir.Dim {
	more := b.Sub(a)
	for _, t := range more.Terms() {
		if t.Coef > 0 {
			a = a.Add(monomial(t))
		}
	}
	return a
}

func monomial(t loop.DimTerm) ir.Dim {
	d := loop.N(t.Coef)
	for _, f := range t.Factors {
		if f.Sym != "" {
			d = d.Mul(loop.Sym(f.Sym))
		} else {
			d = d.Mul(f.Num.FloorDiv(f.Den))
		}
	}
	return d
}

// samples evaluates dims for typical sizes: to put slots in order, and to see
// quickly that one dim is not always larger than another.
func samples(allocs []*alloc) func(ir.Dim) int {
	env := map[string]int{}
	for _, a := range allocs {
		for _, s := range a.size.Syms() {
			env[s] = 0
		}
	}
	names := make([]string, 0, len(env))
	for s := range env {
		names = append(names, s)
	}
	slices.Sort(names)
	for i, s := range names {
		env[s] = 16 + 3*i
	}
	return func(d ir.Dim) int {
		n, err := d.Eval(env)
		if err != nil {
			return 0
		}
		return n
	}
}
