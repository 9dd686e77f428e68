package loop

import (
	"fmt"

	"github.com/lmc-lang/lmc/runtime"
)

// A Program is everything that codegen prints: the public signature, the
// kernels, and the procedures that call them over planned memory.
type Program struct {
	API     *API
	Kernels []*Kernel // in the order of first use; equal kernels are one
	Procs   []*Proc   // bodies of loops before the procedures that call them
}

// A Proc is a straight list of kernel calls and loops: one entry point of the
// model, or the body of a loop.
//
// Where all sizes are known, its memory is planned when the model is compiled:
// Arena says how much it needs. Otherwise Slots has the tensors in its arena, and
// whoever runs it plans them by runtime.Plan when sizes are known. A body has
// neither: it works in the memory of the entry point.
type Proc struct {
	Name  string   // from the model's own names, e.g. lossBlocks
	Doc   string   // one line
	Dims  []string // symbols its offsets, extents and kernels need, in order
	Vars  []string // counters of the enclosing loops, outermost first
	Steps []Step
	Arena [3]int // elements that this procedure needs, by Elem (F32, I32, Bool), loops included
	Slots []Slot
}

// A Slot is a tensor in the arena of a procedure whose place depends on sizes.
type Slot struct {
	Elem        Elem
	Size        Dim
	First, Last int // calls that need it; time passes from call to call
}

// Plan plans the arena of the entry point p for the given sizes.
func (p *Proc) Plan(dims map[string]int) (*runtime.Plan, error) {
	if len(p.Slots) == 0 {
		return &runtime.Plan{Need: p.Arena}, nil
	}
	var sizes []int
	for _, s := range p.Slots {
		n, err := s.Size.Eval(dims)
		if err != nil {
			return nil, fmt.Errorf("proc %s: arena: %w", p.Name, err)
		}
		sizes = append(sizes, n)
	}
	plan := &runtime.Plan{}
	plan.Place(p.Lives(), sizes...)
	return plan, nil
}

// Lives are the slots of p as the runtime plans them.
func (p *Proc) Lives() []runtime.Slot {
	var out []runtime.Slot
	for _, s := range p.Slots {
		out = append(out, runtime.Slot{Elem: int(s.Elem), First: s.First, Last: s.Last})
	}
	return out
}

// A Step is *Call or *Loop.
type Step interface{ step() }

// A Call runs a kernel over its whole grid.
type Call struct {
	Kernel *Kernel
	Args   []Ref // one per Kernel.Bufs
	Ints   []IntRef
}

// A Loop runs Body N times with Var = 0 … N-1, or down from N-1 if Reverse.
type Loop struct {
	Var     string
	N       Dim
	NRef    *Ref // if set, N is this i32 element instead
	Reverse bool
	Body    *Proc
}

func (*Call) step() {}
func (*Loop) step() {}

// An IntRef is a run-time integer of a call: a loop counter of the procedure.
type IntRef struct{ Var string }

// A Space says which memory a Ref points into.
type Space uint8

// The spaces.
const (
	Arena      Space = iota // scratch of the session, by element type
	Weights                 // parameters and state: the backing slice of Weights
	Grads                   // gradients, laid out like Weights
	Moments                 // optimiser state of a trainer
	Caches                  // caches of a session
	Arg                     // the argument called Name of the entry point
	Result                  // the result called Name of the entry point
	Scalars                 // the trainer's scalars of this step (learning rate, …)
	Key                     // the random key: seed (low, high half), step; i32[3]
	ConstTable              // the constant table called Name
	Prepared                // part Name of what is computed from weights and constants alone: API.Prepared
)

func (s Space) String() string {
	return [...]string{"arena", "weights", "grads", "moments", "caches", "arg", "result", "scalars", "key", "table", "prepared"}[s]
}

// A Ref is a run of memory: Len elements from Off, plus Coef times the loop
// counters, plus the place of the slot if it is in one.
type Ref struct {
	Space  Space
	Elem   Elem
	Name   string // for Arg, Result, ConstTable and Prepared
	Slot   int    // in Arena: 1 for the first of the entry point's Slots; 0 for none
	Off    Dim
	Stride []StrideTerm
	Len    Dim
}

// A StrideTerm moves a Ref by Coef elements for each count of the loop Var.
type StrideTerm struct {
	Var  string
	Coef Dim
}
