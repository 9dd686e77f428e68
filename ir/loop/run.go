package loop

import (
	"fmt"
	"math"
)

// A Place is a run of memory that Refs of a Program point into.
type Place struct {
	Space Space
	Elem  Elem
	Name  string // for Arg, Result, ConstTable and Prepared
}

func (p Place) String() string {
	if p.Name != "" {
		return fmt.Sprintf("%s(%s).%s", p.Space, p.Name, p.Elem)
	}
	return fmt.Sprintf("%s.%s", p.Space, p.Elem)
}

// A Memory is what a Program runs on.
type Memory struct {
	Dims map[string]int
	Wide bool // the build with -float f64
	Mem  map[Place]Mem
	// Target runs the native forms for it where there are some.
	Target *Target
	// Poison fills an arena that the run allocates with NaN and large negative
	// numbers, so that reading what was not written shows.
	Poison bool

	compiled map[*Kernel]*Interp
	slots    []int // where those of the procedure are
}

// RunProc interprets the steps of p on m: the oracle for whole programs. An
// arena is allocated if m has none; all other places that p refers to must be
// there.
func RunProc(p *Proc, m *Memory) error {
	if m.Mem == nil {
		m.Mem = map[Place]Mem{}
	}
	if m.compiled == nil {
		m.compiled = map[*Kernel]*Interp{}
	}
	plan, err := p.Plan(m.Dims)
	if err != nil {
		return err
	}
	m.slots = plan.At
	for e, n := range plan.Need {
		at := Place{Space: Arena, Elem: Elem(e)}
		if m.Mem[at] == nil && n > 0 {
			m.Mem[at] = NewMem(Elem(e), n, m.Wide)
			if m.Poison {
				poison(m.Mem[at])
			}
		}
	}
	return m.steps(p, map[string]int{})
}

func poison(x Mem) {
	switch x := x.(type) {
	case []float32:
		for i := range x {
			x[i] = float32(math.NaN())
		}
	case []float64:
		for i := range x {
			x[i] = math.NaN()
		}
	case []int32:
		for i := range x {
			x[i] = -0x5AFE5AFE
		}
	case []bool:
		for i := range x {
			x[i] = true
		}
	}
}

func (m *Memory) steps(p *Proc, vars map[string]int) error {
	for i, s := range p.Steps {
		var err error
		switch s := s.(type) {
		case *Call:
			err = m.call(s, vars)
		case *Loop:
			err = m.loop(s, vars)
		}
		if err != nil {
			return fmt.Errorf("proc %s, step %d: %w", p.Name, i, err)
		}
	}
	return nil
}

func (m *Memory) call(s *Call, vars map[string]int) error {
	k := m.compiled[s.Kernel]
	if k == nil {
		var err error
		form := s.Kernel
		if n := form.For(m.Target); n != nil {
			form = n
		}
		if k, err = Compile(form, m.Dims, m.Wide); err != nil {
			return err
		}
		m.compiled[s.Kernel] = k
	}
	args := make([]Mem, len(s.Args))
	for i, r := range s.Args {
		var err error
		if args[i], err = m.slice(r, vars); err != nil {
			return err
		}
	}
	ints := make([]int, len(s.Ints))
	for i, r := range s.Ints {
		ints[i] = vars[r.Var]
	}
	return k.Run(args, ints)
}

func (m *Memory) loop(s *Loop, vars map[string]int) error {
	n, err := s.N.Eval(m.Dims)
	if s.NRef != nil {
		var x Mem
		if x, err = m.slice(*s.NRef, vars); err == nil {
			n = int(x.([]int32)[0])
		}
	}
	if err != nil {
		return err
	}
	outer, had := vars[s.Var]
	for i := range max(n, 0) {
		vars[s.Var] = i
		if s.Reverse {
			vars[s.Var] = n - 1 - i
		}
		if err := m.steps(s.Body, vars); err != nil {
			return fmt.Errorf("%s = %d: %w", s.Var, vars[s.Var], err)
		}
	}
	delete(vars, s.Var)
	if had {
		vars[s.Var] = outer
	}
	return nil
}

// span is the range of elements that r stands for, with slots at the places
// given.
func (r Ref) span(dims, vars map[string]int, slots []int) (lo, n int, err error) {
	if lo, err = r.Off.Eval(dims); err != nil {
		return
	}
	if r.Slot > 0 {
		if r.Slot > len(slots) {
			return 0, 0, fmt.Errorf("%s: there is no such slot", r)
		}
		lo += slots[r.Slot-1]
	}
	if n, err = r.Len.Eval(dims); err != nil {
		return
	}
	for _, t := range r.Stride {
		c, err := t.Coef.Eval(dims)
		if err != nil {
			return 0, 0, err
		}
		x, ok := vars[t.Var]
		if !ok {
			return 0, 0, fmt.Errorf("%s: there is no loop over %s here", r, t.Var)
		}
		lo += c * x
	}
	return lo, n, nil
}

func (m *Memory) slice(r Ref, vars map[string]int) (Mem, error) {
	lo, n, err := r.span(m.Dims, vars, m.slots)
	if err != nil {
		return nil, err
	}
	at := Place{r.Space, r.Elem, r.Name}
	all := m.Mem[at]
	if n == 0 && all == nil {
		return NewMem(r.Elem, 0, m.Wide), nil
	}
	if all == nil {
		return nil, fmt.Errorf("%s: there is no such memory", r)
	}
	if lo < 0 || n < 0 || lo > memLen(all)-n {
		return nil, fmt.Errorf("%s: [%d:%d] is outside of %d elements", r, lo, lo+n, memLen(all))
	}
	switch x := all.(type) {
	case []float32:
		return x[lo : lo+n : lo+n], nil
	case []float64:
		return x[lo : lo+n : lo+n], nil
	case []int32:
		return x[lo : lo+n : lo+n], nil
	case []bool:
		return x[lo : lo+n : lo+n], nil
	}
	return nil, fmt.Errorf("%s: memory is %T", r, all)
}
