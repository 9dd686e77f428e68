package loop

// An API is the public signature of a generated package: plain data, in the
// order in which it is printed. Shapes are dims: constants, or polynomials in
// symbols that an entry point binds from its arguments.
type API struct {
	Package string // Go package name
	Model   string // name of the model in the text
	Source  string // base name of the text
	Doc     string // doc comment of the model or package
	Hash    string // of the model's meaning (ModelHash)
	Float64 bool   // -float f64

	Weights    []*Weight
	Caches     []*Cache
	Tables     []*TableData
	Prepared   []*PreparedPart // at most 64
	Entries    []*Entry
	Trainers   []*Trainer
	Generators []*Generator
	Names      []*NameTable
}

// A Weight is one declared parameter or state of the model, in all copies.
type Weight struct {
	Path   string // pattern over copies: blocks.{0}.attn.qkv.w; plain where Counts is empty
	Shape  []Dim  // of one copy; constant
	Counts []int  // copies, outermost stack first; stored as [Counts..., Shape...]
	State  bool   // saved but not trained
	Offset int    // of the first element in the backing slice
	Init   Init
	Doc    string
}

// Len is the number of elements in all copies.
func (w *Weight) Len() int {
	n, _ := Product(w.Shape).Const()
	for _, c := range w.Counts {
		n *= c
	}
	return n
}

// An Init says how the elements of each copy start.
type Init struct {
	Kind string    // const, uniform, normal, glorot, he, orthogonal
	Args []float64 // const: value; uniform: lo, hi; normal: std; glorot: in, out; he: fan; orthogonal: gain
}

// A Cache is memory of a session that decode-like entries write.
type Cache struct {
	Path   string // like Weight.Path
	Elem   Elem
	Shape  []Dim // may contain symbols (B), bound by the first call
	Counts []int
	Offset Dim // in the caches of its element type
}

// A PreparedPart is memory beside the weights for values that entries read and
// that depend on weights and constants alone. It is up to date until the weights
// change.
type PreparedPart struct {
	Name   string // of the space
	Size   int    // elements
	Proc   *Proc  // weights and tables to the part
	Native bool   // portable kernels do not read it
}

// TableData is a constant tensor computed when the model was compiled.
type TableData struct {
	Name  string
	Elem  Elem
	Shape []int
	Data  []float64
}

// A Param is an argument or a result of an entry point.
type Param struct {
	Name  string
	Elem  Elem
	Shape []Dim
	IsDim bool // a parameter of type dim: an int that binds the symbol Name
	// Default is the value of an optional scalar argument, printed as an option; nil if it is required.
	Default *float64
}

// An Entry is an exported function of the model.
type Entry struct {
	Name    string
	Doc     string
	Args    []Param
	Results []Param
	Dims    []Bind    // how the symbols get their values, in order
	Need    []Need    // conditions checked on entry
	Ranges  []InRange // arguments whose elements are indices
	Random  bool      // takes a seed
	Caches  bool      // reads or writes caches
	Proc    *Proc
	FLOPs   Dim
	// Prepared are the indices of the parts that Proc reads, ascending.
	Prepared []int
}

// A Bind says that symbol Sym is the extent of axis Axis of argument Arg, or
// the value of the dim argument Arg if Axis is -1. If Times is not 0, the extent
// is Times*Sym + Rest, where Rest is made of symbols that were bound before.
type Bind struct {
	Sym   string
	Arg   int
	Axis  int
	Times int
	Rest  Dim
}

// A Need is the condition Expr >= 0, shown to users as Text.
type Need struct {
	Expr Dim
	Text string // "T <= 1024"
}

// An InRange says that every element of argument Arg must be in [0, N).
type InRange struct {
	Arg int
	N   Dim
}

// A Trainer is a train block.
type Trainer struct {
	Name string
	Doc  string
	Loss *Entry // signature of the loss; its Proc computes the loss and all gradients
	// Metrics are the further results of the loss; Carried pairs a result with the argument that gets it in the next step.
	Carried []Carried
	Options []Option
	Scalars []string // names of the scalars of a step, in the order of the Scalars space
	Host    *Kernel  // Wide kernel: step and options in, scalars out
	Moments []*Moment
	Apply   *Proc // gradients, moments, scalars and weights to new moments and weights
	// Direct computes the loss and updates in one, without gradients; nil if there is no such form. If it has one result more than
	// the loss, that is the square of their norm.
	Direct     *Entry
	Updates    []int // indices of the weights that this step trains
	Accumulate int   // micro-batches per update, at least 1
	EMA        float64
	PerExample bool // Grad works example by example (DP-SGD)
}

// A Carried pairs the result Result of the loss with its argument Arg.
type Carried struct{ Result, Arg int }

// An Option is a number of the train block that can be set when a trainer is
// made.
type Option struct {
	Name    string // Go field name
	Doc     string
	Default float64
	Integer bool
}

// A Moment is one state of the optimiser for one weight, shaped like it unless
// Shape says otherwise.
type Moment struct {
	Weight int // index into API.Weights
	Name   string
	Shape  []Dim
	Init   float64
	Offset int
}

// A Generator is a generate block: cached decoding, one token at a time.
type Generator struct {
	Name    string
	Doc     string
	Step    *Entry // ids i32[B, T], P dim -> scores f32[B, V]
	Sample  *Entry // scores -> i32[B], random
	Stop    int    // token that ends the text, -1 if none
	Limit   int    // most tokens, 0 if none
	Options []Option
}

// A NameTable is a names block: how a foreign checkpoint maps to the weights.
type NameTable struct {
	Name   string
	Rules  []NameRule
	Ignore []string
}

// A NameRule gives the weight(s) that Pattern matches as Expr.
type NameRule struct {
	Pattern string
	Expr    *NameExpr
}

// A NameExpr is an expression over foreign tensors.
type NameExpr struct {
	Op   string // tensor, transpose, permute, reshape, concat, stack, add, slice
	Name string // tensor: pattern of the foreign name
	Args []*NameExpr
	Ints []int // permute: axes; reshape: shape; concat, stack: axis; slice: axis, lo, hi
}
