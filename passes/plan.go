package passes

import (
	"slices"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// An alloc is one run of memory: a slot of the arena, whose place is planned when
// everything has been scheduled, or a place outside it.
type alloc struct {
	id    int
	space loop.Space
	name  string
	elem  loop.Elem
	off   ir.Dim // outside the arena
	size  ir.Dim

	// The calls from first to last need what is in it. A loop that uses a slot
	// made outside it needs it all the time.
	first, last int
	touched     bool
	depth       int // loops around the place where it was made
}

// A place is where a tensor is: a view of an alloc.
type place struct {
	*alloc
	at      ir.Dim            // of element 0, from the start of the alloc
	step    []loop.StrideTerm // moves the start with the counters of loops
	strides []ir.Dim          // per axis; nil for row-major
	moves   []loop.StrideTerm // if strides are set: added to addresses inside kernels
	len     ir.Dim            // elements from the start on
	shift   ir.Dim            // if strides are set: of element 0 from the start
	shared  bool              // a part of a tensor whose other parts may be written by the same kernel
	counter string            // not in memory: the counter of this loop
}

// view is how kernels address the place.
func (p *place) view() view {
	w := view{strides: p.strides, moves: p.moves, shift: p.shift, len: p.len, counter: p.counter}
	if p.shared {
		w.whole = p.alloc
	}
	return w
}

// same reports whether p and q are the same elements in the same order.
func (p *place) same(q *place) bool {
	return p.alloc != nil && p.alloc == q.alloc && p.at.Eq(q.at) && p.len.Eq(q.len) && p.shift.Eq(q.shift) && sameTerms(p.step, q.step) &&
		(p.strides == nil) == (q.strides == nil) && ir.SameShape(p.strides, q.strides) && sameTerms(p.moves, q.moves)
}

func sameTerms(a, b []loop.StrideTerm) bool {
	return slices.EqualFunc(a, b, func(x, y loop.StrideTerm) bool { return x.Var == y.Var && x.Coef.Eq(y.Coef) })
}

// slice is the part of p, a tensor of the given shape, at the counter of a
// loop on an axis, without that axis.
func (p *place) slice(shape []ir.Dim, axis int, loopVar string) *place {
	strides := p.strides
	if strides == nil {
		strides = rowMajor(shape)
	}
	move := loop.StrideTerm{Var: loopVar, Coef: strides[axis]}
	q := *p
	if p.strides == nil && loop.Product(shape[:axis]).Is(1) {
		q.step = append(slices.Clone(p.step), move)
		q.len = loop.Product(shape[axis+1:])
		return &q
	}
	q.strides = usedStrides(slices.Delete(slices.Clone(strides), axis, axis+1), slices.Delete(slices.Clone(shape), axis, axis+1))
	q.moves = append(slices.Clone(p.moves), move)
	return &q
}

// parts cuts p, a tensor of the given shape, along axis into parts of the given
// extents. They are memory of their own if they are aligned runs, else views of
// all of p.
func (p *place) parts(shape []ir.Dim, axis int, extents []ir.Dim) []*place {
	strides := p.strides
	if strides == nil {
		strides = rowMajor(shape)
	}
	runs := p.strides == nil && loop.Product(shape[:axis]).Is(1)
	from := make([]ir.Dim, len(extents))
	var at ir.Dim
	for i, n := range extents {
		from[i] = at
		if c, ok := at.Const(); ok && c%loop.ArenaAlign != 0 {
			runs = false
		}
		at = at.Add(n.Mul(strides[axis]))
	}
	out := make([]*place, len(extents))
	for i, n := range extents {
		q := *p
		if runs {
			q.at, q.len = p.at.Add(from[i]), n.Mul(strides[axis])
		} else {
			part := slices.Clone(shape)
			part[axis] = n
			q.strides, q.shift, q.shared = usedStrides(strides, part), p.shift.Add(from[i]), true
		}
		out[i] = &q
	}
	return out
}

// reshaped is p, a tensor of shape from, as a tensor of shape to; false if that
// takes other strides.
func (p *place) reshaped(from, to []ir.Dim) (*place, bool) {
	if p.strides == nil || p.counter != "" {
		return p, true
	}
	q := *p
	q.strides = make([]ir.Dim, len(to))
	i, j := 0, 0
	for i < len(from) || j < len(to) {
		// The shortest runs of axes with equally many elements.
		a, b := regroup(from[i:], to[j:])
		if a < 0 {
			return nil, false
		}
		// The axes of from in the run have to be one run of memory.
		var inner ir.Dim
		known := false
		n := loop.N(1)
		for k := i + a - 1; k >= i; k-- {
			if from[k].Is(1) {
				continue
			}
			if !known {
				inner, known = p.strides[k], true
			} else if !p.strides[k].Eq(inner.Mul(n)) {
				return nil, false
			}
			n = n.Mul(from[k])
		}
		for k := j + b - 1; k >= j; k-- {
			q.strides[k] = inner
			inner = inner.Mul(to[k])
		}
		i, j = i+a, j+b
	}
	q.strides = usedStrides(q.strides, to)
	return &q, true
}

// usedStrides drops the strides of axes of extent 1, so that equal places look
// equal.
func usedStrides(strides, shape []ir.Dim) []ir.Dim {
	out := slices.Clone(strides)
	for i, d := range shape {
		if d.Is(1) {
			out[i] = ir.Dim{}
		}
	}
	return out
}

// regroup returns the lengths of the shortest beginnings of two shapes that
// have equally many elements; negative if there are none.
func regroup(from, to []ir.Dim) (a, b int) {
	for n := 1; n <= len(from)+len(to); n++ {
		for a := min(n, len(from)); a >= max(0, n-len(to)); a-- {
			if loop.Product(from[:a]).Eq(loop.Product(to[:n-a])) {
				return a, n - a
			}
		}
	}
	return -1, -1
}

// ref is the memory that a kernel gets.
func (p *place) ref() loop.Ref {
	return loop.Ref{Space: p.space, Elem: p.elem, Name: p.name, Off: p.off.Add(p.at), Stride: p.step, Len: p.len}
}

// A memory hands out allocs and follows when they are needed. Time is counted
// in calls of kernels.
type memory struct {
	allocs []*alloc
	fixed  map[string]*alloc
	now    int
	depth  int
	refs   []pending
	calls  map[int]*loop.Kernel // by time
	procs  []*loop.Proc         // of the entry point, outer ones first
	// consumes: gradients are consumed as they are produced; see arrange.
	consumes bool
}

// A pending is a Ref that waits for the plan.
type pending struct {
	ref *loop.Ref
	*alloc
}

func newMemory() *memory { return &memory{fixed: map[string]*alloc{}, calls: map[int]*loop.Kernel{}} }

// slot is a new slot of the arena for a tensor of type t.
func (m *memory) slot(t ir.Type) *place {
	a := &alloc{id: len(m.allocs), space: loop.Arena, elem: t.Elem, size: t.Len(), depth: m.depth}
	m.allocs = append(m.allocs, a)
	return &place{alloc: a, len: a.size}
}

// outside is a place outside the arena, the same alloc for the same memory.
func (m *memory) outside(s loop.Space, name string, off ir.Dim, t ir.Type) *place {
	key := s.String() + "/" + name + "/" + t.Elem.String() + "/" + off.String()
	a := m.fixed[key]
	if a == nil {
		a = &alloc{space: s, name: name, elem: t.Elem, off: off, size: t.Len()}
		m.fixed[key] = a
	}
	return &place{alloc: a, len: a.size}
}

// touch notes that the current call uses a.
func (m *memory) touch(a *alloc) {
	if !a.touched {
		a.first, a.touched = m.now, true
	}
	a.last = max(a.last, m.now)
}

// leave ends a loop that began at time from: what was made outside it and is
// used inside it is needed from its beginning to its end.
func (m *memory) leave(from int) {
	for _, a := range m.allocs {
		if a.touched && a.depth <= m.depth && a.last >= from {
			a.first, a.last = min(a.first, from), m.now
		}
	}
}
