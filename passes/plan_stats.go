package passes

import (
	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// A MemoryUse is what the plan of one entry point needs, for -stats.
type MemoryUse struct {
	Proc  string
	Arena [3]ir.Dim // elements of the arena, by element type
	Slots int       // tensors that share it
	// Unshared is what it would be if every tensor had memory of its own.
	Unshared [3]ir.Dim
	Steps    []StepUse
}

// A StepUse is what is live while one kernel runs. Calls in loops are listed
// once.
type StepUse struct {
	Kernel string
	Live   [3]ir.Dim
}

// use sums up the plan of m.
func (m *memory) use(proc string, arena [3]ir.Dim) *MemoryUse {
	u := &MemoryUse{Proc: proc, Arena: arena}
	steps := make([]StepUse, m.now+1)
	for at, k := range m.calls {
		steps[at].Kernel = k.Name
	}
	for _, a := range m.allocs {
		if !a.touched {
			continue
		}
		u.Slots++
		u.Unshared[a.elem] = u.Unshared[a.elem].Add(a.size)
		for t := a.first; t <= min(a.last, m.now); t++ {
			steps[t].Live[a.elem] = steps[t].Live[a.elem].Add(a.size)
		}
	}
	for _, s := range steps {
		if s.Kernel != "" {
			u.Steps = append(u.Steps, s)
		}
	}
	return u
}

// LowerWithStats is Lower, and tells how the memory of each entry point is
// used.
func LowerWithStats(p *Program) (*loop.Program, []*MemoryUse, error) {
	s := newScheduler(p)
	if err := s.program(); err != nil {
		return nil, nil, err
	}
	return s.out, s.uses, nil
}
