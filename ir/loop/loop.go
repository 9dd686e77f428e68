// Package loop is the kernel-level IR: structured loops over buffers, and the
// Program that calls them. A Kernel says exactly which roundings happen and in
// which order, so the interpreter and every printer must produce the same bits.
//
// The float contract:
//
//   - each op rounds once, to the element type; nothing is reassociated,
//     contracted or approximated after a kernel has been built;
//   - fma is an op of its own and never an optimisation of mul and add;
//   - max is a > b ? a : b and min is a < b ? a : b: they are not commutative
//     on NaN or on zeros of different sign, and are never swapped;
//   - exp, log, tanh, erf and their kind are the runtime package's functions,
//     the same arithmetic in every printer;
//   - NaN payloads are not compared.
//
// F32 is the floating element type of the build: float32, or float64 under
// `lmc build -float f64`. The IR is the same for both.
package loop

// An Elem is the element type of a buffer or value.
type Elem uint8

// The element types. Int is Go's int: loop counters and addresses; it exists
// in kernels only, never in a tensor.
const (
	F32 Elem = iota
	I32
	Bool
	Int
)

func (e Elem) String() string { return [...]string{"f32", "i32", "bool", "int"}[e] }

// Lanes is the number of lanes of a vector value on every target: one register
// of AVX-512, two of AVX2, four of NEON. So a kernel in vectors has the same
// bits on all of them.
const Lanes = 16

// A Val is a value, defined once: by an Instr, a Load, a For (its counter and
// its carries), an If, or as a parameter of the kernel. It is a scalar or, if
// Vec is set, a vector of Lanes of them; an Int is always a scalar.
type Val struct {
	ID   int
	Elem Elem
	Vec  bool
	Name string // a hint for printers; not unique, may be empty
}

// A Buffer is a contiguous argument of a kernel. Two buffers of a kernel never
// overlap, except that an output may be the same memory as an input marked
// with the same InPlace pair by the planner (see Kernel.InPlace).
type Buffer struct {
	Name string
	Elem Elem
	Len  Dim  // number of elements
	Out  bool // written; an Out buffer may be read after it was written
	// Update is set of an Out buffer that is changed in part: what was in it before
	// is read or stays.
	Update bool
	// Local is scratch that each range of the grid brings along: no argument of
	// a Call. What is in it when the kernel starts is undefined. It is Out, and
	// comes last.
	Local bool
}

// An Index is an address in elements: the sum of Coef*Var over Terms, plus Off.
type Index struct {
	Terms []IndexTerm
	Off   Dim
}

// An IndexTerm is one summand of an Index. Var is an Int value.
type IndexTerm struct {
	Var  *Val
	Coef Dim
}

// A Stmt is *Instr, *Load, *Store, *For, *If or *Extern.
type Stmt interface{ stmt() }

// An Instr computes Dst from Args; see Table for the ops. Const and Size carry
// their operand in Imm and Dim. An op on vectors works lane by lane, on vectors
// only; those that do not, such as Splat, are listed in vector.go.
type Instr struct {
	Op   Op
	Dst  *Val
	Args []*Val
	Imm  float64 // for Const: exact in the element type of Dst
	Dim  Dim     // for Size
}

// A Load reads one element of Buf, or a vector: Lanes elements from At on or,
// with Lane, lane l from At + Lane[l]. With Mask, lanes whose mask is false are
// 0 (false) and their memory is not touched; it need not exist.
type Load struct {
	Dst  *Val
	Buf  *Buffer
	At   Index
	Lane *Val // optional: I32 vector
	Mask *Val // optional: Bool vector
}

// A Prefetch is a hint: the element of Buf at At, and those in its line of the
// cache, are read some hundred operations later. They need not exist.
type Prefetch struct {
	Buf *Buffer
	At  Index
}

// A Store writes one element of Buf, which must be Out, or a vector: Lanes
// elements from At on, those whose Mask is false excepted.
type Store struct {
	Buf  *Buffer
	At   Index
	Src  *Val
	Mask *Val // optional: Bool vector
}

// A For runs Body for Var = From, From+Step, … while Var+Step <= To, so that a
// loop with Step > 1 leaves a tail of fewer than Step; the tail loop starts at
// the Var of the first one (see After). From and To are Int values or dims.
type For struct {
	Var      *Val
	From, To Bound
	Step     int // >= 1
	Carry    []*Carry
	Body     []Stmt
	After    *Val // optional: the value of Var after the loop
	Comment  string
}

// A Bound is an end of a loop: Val if it is set, else Dim.
type Bound struct {
	Val *Val
	Dim Dim
}

// A Carry is a value that flows around a loop: Phi is Init in the first
// iteration and Next of the iteration before in the others. Out is its value
// after the loop (Init if the loop did not run).
type Carry struct{ Phi, Init, Next, Out *Val }

// An If runs Then or Else. Each Merge gives the value that both ends agree on.
type If struct {
	Cond       *Val // Bool
	Then, Else []Stmt
	Merge      []*Merge
}

// A Merge defines Dst as Then or Else, whichever branch ran.
type Merge struct{ Dst, Then, Else *Val }

// An Extern calls a function of the runtime package that works on whole runs
// of memory, such as a sort. See Externs for the ones there are.
type Extern struct {
	Fn   string
	Bufs []Span // in the order of the function's slice parameters
	Args []*Val // Int, then others, as the function wants them
}

// A Span is the part [At, At+Len) of a buffer.
type Span struct {
	Buf *Buffer
	At  Index
	Len Bound
}

func (*Instr) stmt()    {}
func (*Load) stmt()     {}
func (*Prefetch) stmt() {}
func (*Store) stmt()    {}
func (*For) stmt()      {}
func (*If) stmt()       {}
func (*Extern) stmt()   {}

// A Kernel is one leaf function over buffers.
//
// If Grid is set, the body works on [Lo, Hi) of a range of N independent
// pieces; any split of the range gives the same bits. Otherwise the body does
// everything.
type Kernel struct {
	Name    string
	Doc     string    // one line: what it computes, with the source position
	Bufs    []*Buffer // inputs, then outputs
	Ints    []*Val    // run-time integers, e.g. the number of a loop iteration
	Grid    *Grid
	Body    []Stmt
	InPlace [][2]int // pairs (input, output) of Bufs that may be the same memory
	Cost    Cost
	Wide    bool // F32 is float64 here whatever the build: scalars of a step on the host

	// Native are forms of the same function in vectors, at most one for each
	// target; see Native.
	Native []Native
}

// A Native is the form of a kernel for one target. It has the same arguments
// and in-place pairs, perhaps Local buffers, and a grid of its own; its results
// may differ in rounding. Two targets may share one kernel.
type Native struct {
	Target *Target
	*Kernel
}

// For is the form of k for target, or nil.
func (k *Kernel) For(t *Target) *Kernel {
	for _, n := range k.Native {
		if n.Target == t {
			return n.Kernel
		}
	}
	return nil
}

// A Grid is the parallel range of a kernel.
type Grid struct {
	Lo, Hi *Val // Int
	N      Dim
	Grain  Dim // pieces worth a dispatch, at least 1
}

// A Cost is what one call does, for -stats and for the parallel split.
type Cost struct {
	FLOPs, Bytes Dim
}
