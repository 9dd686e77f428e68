package loop

import (
	"errors"
	"fmt"
	"slices"

	"github.com/lmc-lang/lmc/runtime"
)

// ArenaAlign is the alignment of arena slots, in bytes, where offsets are constant.
const ArenaAlign = 64

// Verify checks p for the given dims: the oracle of the memory planner.
//
//   - every kernel holds what Kernel.Verify checks, and stands in Kernels once;
//   - a call has one Ref for each buffer, of its type and length, and one
//     counter for each integer;
//   - symbols are declared by the Dims, counters by the loops around;
//   - a Ref is inside its space, in every iteration of the loops around it;
//   - an output overlaps no other Ref of its call, unless the two are an InPlace
//     pair of the kernel and the same run of memory;
//   - constant offsets in the arena are multiples of ArenaAlign; what a loop
//     walks through is a tensor without gaps, so its strides need not be;
//   - arena memory is written before it is read, and what is read has not been
//     partly overwritten by something that straddles its bounds;
//   - a Ref into a slot stays in it.
func (p *Program) Verify(dims map[string]int) error {
	v := &programVerifier{p: p, dims: dims, kernels: map[*Kernel]bool{}}
	for _, k := range p.Kernels {
		if v.kernels[k] {
			return fmt.Errorf("kernel %s is listed twice", k.Name)
		}
		v.kernels[k] = true
		if err := k.Verify(); err != nil {
			return err
		}
	}
	if p.API != nil {
		v.spaces()
	}
	body := map[*Proc]bool{}
	for _, c := range p.Procs {
		markBodies(c, body)
	}
	var errs []error
	for _, c := range p.Procs {
		if !body[c] {
			if err := v.proc(c); err != nil {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

func markBodies(c *Proc, into map[*Proc]bool) {
	for _, s := range c.Steps {
		if l, ok := s.(*Loop); ok && !into[l.Body] {
			into[l.Body] = true
			markBodies(l.Body, into)
		}
	}
}

type programVerifier struct {
	p       *Program
	dims    map[string]int
	kernels map[*Kernel]bool
	sizes   map[Place]int           // of the spaces that the API declares
	params  map[*Proc]map[Place]int // of arguments and results

	// While a procedure is checked:
	proc0   *Proc
	plan    *runtime.Plan
	written map[Place]*runs
	vars    map[string]int
}

// spaces takes the sizes of all memory from the API.
func (v *programVerifier) spaces() {
	api := v.p.API
	v.sizes, v.params = map[Place]int{}, map[*Proc]map[Place]int{}
	n := 0
	for _, w := range api.Weights {
		n = max(n, w.Offset+w.Len())
	}
	v.sizes[Place{Space: Weights, Elem: F32}] = n
	v.sizes[Place{Space: Grads, Elem: F32}] = n
	v.sizes[Place{Space: Key, Elem: I32}] = 3
	for _, c := range api.Caches {
		size := Product(c.Shape)
		for _, k := range c.Counts {
			size = size.MulN(k)
		}
		if end, err := c.Offset.Add(size).Eval(v.dims); err == nil {
			at := Place{Space: Caches, Elem: c.Elem}
			v.sizes[at] = max(v.sizes[at], end)
		}
	}
	for _, t := range api.Tables {
		n := 1
		for _, d := range t.Shape {
			n *= d
		}
		v.sizes[Place{ConstTable, t.Elem, t.Name}] = n
	}
	for _, p := range api.Prepared {
		v.sizes[Place{Prepared, F32, p.Name}] = p.Size
	}
	entries := slices.Clone(api.Entries)
	for _, t := range api.Trainers {
		entries = append(entries, t.Loss, t.Direct)
		n := 0
		for _, m := range t.Moments {
			if m.Weight < 0 || m.Weight >= len(api.Weights) {
				continue
			}
			w := *api.Weights[m.Weight] // there is a moment for each copy
			if m.Shape != nil {
				w.Shape = m.Shape
			}
			n = max(n, m.Offset+w.Len())
		}
		at := Place{Space: Moments, Elem: F32}
		v.sizes[at] = max(v.sizes[at], n)
		at = Place{Space: Scalars, Elem: F32}
		v.sizes[at] = max(v.sizes[at], len(t.Scalars))
	}
	for _, g := range api.Generators {
		entries = append(entries, g.Step, g.Sample)
	}
	for _, e := range entries {
		if e == nil || e.Proc == nil {
			continue
		}
		m := map[Place]int{}
		for _, a := range e.Args {
			if n, err := Product(a.Shape).Eval(v.dims); err == nil && !a.IsDim {
				m[Place{Arg, a.Elem, a.Name}] = n
			}
		}
		for _, r := range e.Results {
			if n, err := Product(r.Shape).Eval(v.dims); err == nil {
				m[Place{Result, r.Elem, r.Name}] = n
			}
		}
		v.params[e.Proc] = m
	}
}

func (v *programVerifier) proc(c *Proc) error {
	v.proc0, v.written, v.vars = c, map[Place]*runs{}, map[string]int{}
	for _, s := range c.Slots {
		if err := v.declared(c, "arena", s.Size); err != nil {
			return err
		}
	}
	var err error
	if v.plan, err = c.Plan(v.dims); err != nil {
		return err
	}
	return v.steps(c)
}

func (v *programVerifier) steps(c *Proc) error {
	for x := range v.vars {
		if !slices.Contains(c.Vars, x) {
			return fmt.Errorf("proc %s: runs in a loop over %s, which is not in its Vars", c.Name, x)
		}
	}
	for i, s := range c.Steps {
		var err error
		what := ""
		switch s := s.(type) {
		case *Call:
			what = "call of " + s.Kernel.Name
			err = v.call(c, s)
		case *Loop:
			what = "loop over " + s.Var
			err = v.loop(c, s)
		}
		if err != nil {
			return fmt.Errorf("proc %s, step %d, %s: %w", c.Name, i, what, err)
		}
	}
	return nil
}

func (v *programVerifier) declared(c *Proc, what string, ds ...Dim) error {
	for _, d := range ds {
		for _, s := range d.Syms() {
			if !slices.Contains(c.Dims, s) {
				return fmt.Errorf("%s: the size %s is not in Dims of proc %s", what, s, c.Name)
			}
		}
	}
	return nil
}

func (v *programVerifier) loop(c *Proc, s *Loop) error {
	if err := v.declared(c, "count", s.N); err != nil {
		return err
	}
	if _, ok := v.vars[s.Var]; ok {
		return fmt.Errorf("a loop over %s is around it already", s.Var)
	}
	if s.Body.Arena != [3]int{} || s.Body.Slots != nil {
		return fmt.Errorf("the body has an arena of its own")
	}
	n, err := s.N.Eval(v.dims)
	before := v.written
	if s.NRef != nil {
		if err = v.read(c, *s.NRef); err != nil {
			return err
		}
		// The count is not known: what the body writes may not have been written.
		n = 2
		before = map[Place]*runs{}
		for at, r := range v.written {
			before[at] = &runs{slices.Clone(r.list)}
		}
	}
	if err != nil {
		return err
	}
	for i := range max(n, 0) {
		v.vars[s.Var] = i
		if s.Reverse {
			v.vars[s.Var] = n - 1 - i
		}
		if err := v.steps(s.Body); err != nil {
			return fmt.Errorf("%s = %d: %w", s.Var, v.vars[s.Var], err)
		}
	}
	delete(v.vars, s.Var)
	v.written = before
	return nil
}

// place checks that r is inside its space and aligned, and returns its range.
func (v *programVerifier) place(c *Proc, r Ref) (at Place, lo, hi int, err error) {
	at = Place{r.Space, r.Elem, r.Name}
	ds := []Dim{r.Off, r.Len}
	for _, t := range r.Stride {
		ds = append(ds, t.Coef)
		if !slices.Contains(c.Vars, t.Var) {
			return at, 0, 0, fmt.Errorf("%s: %s is not a counter of proc %s", r, t.Var, c.Name)
		}
	}
	if err = v.declared(c, r.String(), ds...); err != nil {
		return
	}
	lo, n, err := r.span(v.dims, v.vars, v.plan.At)
	hi = lo + n
	if err != nil {
		return
	}
	size, known := 0, true
	switch r.Space {
	case Arena:
		size = v.plan.Need[min(r.Elem, Bool)]
		if len(v.plan.At) > 0 && r.Slot == 0 {
			return at, 0, 0, fmt.Errorf("%s: the slot is not said", r)
		}
		if r.Slot > 0 {
			s, from := v.proc0.Slots[r.Slot-1], v.plan.At[r.Slot-1]
			room, err := s.Size.Eval(v.dims)
			if err != nil || r.Elem != s.Elem || lo < from || hi > from+room {
				return at, 0, 0, fmt.Errorf("%s: [%d:%d] is outside of the slot, %d elements of %s from %d on", r, lo, hi, room, s.Elem, from)
			}
		}
		bytes := 4
		if r.Elem == Bool {
			bytes = 1
		}
		for i, d := range ds {
			if k, ok := d.Const(); ok && i == 0 && k*bytes%ArenaAlign != 0 {
				return at, 0, 0, fmt.Errorf("%s: %d is not aligned to %d bytes", r, k, ArenaAlign)
			}
		}
	case Arg, Result:
		var m map[Place]int
		if m, known = v.params[v.proc0]; known {
			if size, known = m[at]; !known {
				return at, 0, 0, fmt.Errorf("%s: the entry point has no such parameter", r)
			}
		}
	default:
		size, known = v.sizes[at]
		if !known && v.sizes != nil {
			return at, 0, 0, fmt.Errorf("%s: there is no such memory", r)
		}
	}
	if err == nil && known && (lo < 0 || n < 0 || hi > size) {
		err = fmt.Errorf("%s: [%d:%d] is outside of %s, which has %d elements", r, lo, hi, at, size)
	}
	return
}

func (v *programVerifier) read(c *Proc, r Ref) error {
	at, lo, hi, err := v.place(c, r)
	if err != nil || r.Space != Arena || lo == hi {
		return err
	}
	w := v.written[at]
	if w == nil {
		w = &runs{}
	}
	if why := w.covers(lo, hi); why != "" {
		return fmt.Errorf("%s: [%d:%d] is read, %s", r, lo, hi, why)
	}
	return nil
}

func (v *programVerifier) call(c *Proc, s *Call) error {
	k := s.Kernel
	if !v.kernels[k] {
		return fmt.Errorf("the kernel is not in Kernels")
	}
	if len(s.Args) != len(k.Arguments()) || len(s.Ints) != len(k.Ints) {
		return fmt.Errorf("has %d buffers and %d integers, wants %d and %d", len(s.Args), len(s.Ints), len(k.Arguments()), len(k.Ints))
	}
	for _, i := range s.Ints {
		if _, ok := v.vars[i.Var]; !ok {
			return fmt.Errorf("there is no loop over %s here", i.Var)
		}
	}
	type run struct {
		at     Place
		lo, hi int
	}
	spans := make([]run, len(s.Args))
	for i, r := range s.Args {
		b := k.Bufs[i]
		at, lo, hi, err := v.place(c, r)
		if err != nil {
			return fmt.Errorf("%s: %w", b.Name, err)
		}
		n, err := b.Len.Eval(v.dims)
		switch {
		case err != nil:
			return fmt.Errorf("length of %s: %w", b.Name, err)
		case r.Elem != b.Elem:
			return fmt.Errorf("%s: %s is not %s", b.Name, r, b.Elem)
		case hi-lo != n:
			return fmt.Errorf("%s: %s has %d elements, wants %s = %d", b.Name, r, hi-lo, b.Len, n)
		case b.Out && (r.Space == Arg || r.Space == ConstTable || r.Space == Key || r.Space == Scalars):
			return fmt.Errorf("%s: writes to %s", b.Name, r)
		}
		spans[i] = run{at, lo, hi}
		if !b.Out || b.Update {
			if err := v.read(c, r); err != nil {
				return fmt.Errorf("%s: %w", b.Name, err)
			}
		}
	}
	for j, out := range spans {
		if !k.Bufs[j].Out {
			continue
		}
		for i, x := range spans {
			if i == j || x.at != out.at || x.lo >= out.hi || out.lo >= x.hi {
				continue
			}
			if x != out || !slices.Contains(k.InPlace, [2]int{i, j}) {
				return fmt.Errorf("%s and %s overlap", s.Args[i], s.Args[j])
			}
		}
		if out.at.Space == Arena && out.lo < out.hi {
			w := v.written[out.at]
			if w == nil {
				w = &runs{}
				v.written[out.at] = w
			}
			w.write(out.lo, out.hi)
		}
	}
	return nil
}

// runs are the parts of an arena that have been written, in order and disjoint.
type runs struct{ list []written }

// A written is the part [lo, hi) that is left of the last write [from, to).
type written struct{ lo, hi, from, to int }

func (r *runs) write(lo, hi int) {
	i := slices.IndexFunc(r.list, func(w written) bool { return w.hi > lo })
	if i < 0 {
		i = len(r.list)
	}
	j := i
	mid := []written{{lo, hi, lo, hi}}
	for ; j < len(r.list) && r.list[j].lo < hi; j++ {
		w := r.list[j]
		if w.lo < lo {
			left := w
			left.hi = lo
			mid = slices.Insert(mid, len(mid)-1, left)
		}
		if w.hi > hi {
			right := w
			right.lo = hi
			mid = append(mid, right)
		}
	}
	r.list = slices.Replace(r.list, i, j, mid...)
}

// covers returns why [lo, hi) cannot be read, or "".
func (r *runs) covers(lo, hi int) string {
	at := lo
	for _, w := range r.list {
		if w.hi <= at || at >= hi {
			continue
		}
		if w.lo > at {
			break
		}
		inside := w.from >= lo && w.to <= hi
		around := w.from <= lo && w.to >= hi
		if !inside && !around {
			return fmt.Sprintf("part of it was overwritten by [%d:%d]", w.from, w.to)
		}
		at = w.hi
	}
	if at < hi {
		return fmt.Sprintf("but [%d:…] was not written", at)
	}
	return ""
}
