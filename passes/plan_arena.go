package passes

import "github.com/lmc-lang/lmc/ir/loop"

// arena plans the memory of proc so that slots needed at the same time do not
// overlap: here if all sizes are known, else generated code does it, by the same
// runtime.Plan, when they are.
func (m *memory) arena(proc *loop.Proc) error {
	number := make([]int, len(m.allocs)) // of each slot, from 1 on
	var sizes []int
	known := true
	for _, a := range m.allocs {
		if !a.touched {
			continue
		}
		proc.Slots = append(proc.Slots, loop.Slot{Elem: a.elem, Size: a.size, First: a.first, Last: a.last})
		number[a.id] = len(proc.Slots)
		n, ok := a.size.Const()
		sizes, known = append(sizes, n), known && ok
	}
	if !known {
		for _, r := range m.refs {
			r.ref.Slot = number[r.id]
		}
		return nil
	}
	plan, err := proc.Plan(nil)
	if err != nil {
		return err
	}
	for _, r := range m.refs {
		r.ref.Off = r.ref.Off.AddN(plan.At[number[r.id]-1])
	}
	proc.Arena, proc.Slots = plan.Need, nil
	return nil
}
