package loop

// A Program is everything that codegen prints: the public signature, the
// kernels, and the procedures that call them over planned memory.
type Program struct {
	API     *API
	Kernels []*Kernel // in the order of first use; equal kernels are one
	Procs   []*Proc   // bodies of loops before the procedures that call them
	Arena   [3]Dim    // elements of the session's arena, by Elem (F32, I32, Bool); the largest over all procedures
}

// A Proc is a straight list of kernel calls and loops: one entry point of the
// model, or the body of a loop.
type Proc struct {
	Name  string   // from the model's own names, e.g. lossBlocks
	Doc   string   // one line
	Dims  []string // symbols its offsets, extents and kernels need, in order
	Vars  []string // counters of the enclosing loops, outermost first
	Steps []Step
	Arena [3]Dim // what this procedure needs, loops included
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
// counters.
type Ref struct {
	Space  Space
	Elem   Elem
	Name   string // for Arg, Result, ConstTable and Prepared
	Off    Dim
	Stride []StrideTerm
	Len    Dim
}

// A StrideTerm moves a Ref by Coef elements for each count of the loop Var.
type StrideTerm struct {
	Var  string
	Coef Dim
}
