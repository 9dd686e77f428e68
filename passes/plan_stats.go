package passes

import (
	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// A MemoryUse is what the plan of one entry point needs, for -stats.
type MemoryUse struct {
	*loop.Proc     // its Plan is what the arena takes
	Tensors    int // that share the arena
	// Unshared is what it would be if every tensor had memory of its own.
	Unshared [3]ir.Dim
	Calls    []CallUse
}

// A CallUse is what is live while one kernel runs. Calls in loops are listed
// once.
type CallUse struct {
	Kernel string
	Live   [3]ir.Dim
}

// use sums up the plan of m.
func (m *memory) use(proc *loop.Proc) *MemoryUse {
	u := &MemoryUse{Proc: proc}
	calls := make([]CallUse, m.now+1)
	for at, k := range m.calls {
		calls[at].Kernel = k.Name
	}
	for _, a := range m.allocs {
		if !a.touched {
			continue
		}
		u.Tensors++
		u.Unshared[a.elem] = u.Unshared[a.elem].Add(a.size)
		for t := a.first; t <= min(a.last, m.now); t++ {
			calls[t].Live[a.elem] = calls[t].Live[a.elem].Add(a.size)
		}
	}
	for _, s := range calls {
		if s.Kernel != "" {
			u.Calls = append(u.Calls, s)
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
