package dsl

// Node is any part of the syntax tree. Range gives its exact text: from its
// first byte up to, not including, the byte after its last token. Comments,
// blanks and the semicolon that ends a statement are never part of it.
// All nodes but File and Decl lists are pointers, and none is shared, except a
// Type that several grouped parameters have in common (`x, y f32[B]`).
type Node interface {
	Range() Span
}

// Decl is a declaration at the top of a file:
// *DimDecl, *ConstDecl, *FuncDecl, *LayerDecl or *Bad.
type Decl interface {
	Node
	declNode()
}

// Member is one item in the body of a layer: *TensorDecl, *ConstDecl, *DimDecl,
// *FuncDecl, *AssertStmt, *BlockDecl, *FieldDecl, *IfMember or *Bad.
type Member interface {
	Node
	memberNode()
}

// Stmt is a statement of a function: *ReturnStmt, *VarStmt, *ConstDecl,
// *AssertStmt, *ForStmt, *IfStmt, *AssignStmt or *Bad. The Else of an IfStmt
// may also be a *Body.
type Stmt interface {
	Node
	stmtNode()
}

// Entry is one item of a train, generate or names block:
// *Setting, *Group, *Ignore or *Bad.
type Entry interface {
	Node
	entryNode()
}

// File is one parsed source file.
type File struct {
	Span           // from `package` to the end of the last declaration
	Name    string // as given to Parse; used in messages
	Src     []byte // the text itself
	Doc     string // the comment above `package`
	Package *Name  // nil only after a syntax error
	Imports []*Import
	Decls   []Decl
}

// Import is one path of an import; `import ("nn", "optim")` gives two.
type Import struct {
	Span
	Path *String
}

// DimDecl declares dimensions: `dim B, T <= 1024`.
type DimDecl struct {
	Span
	Doc   string
	Items []*DimItem // at least one
}

// DimItem is one name of a DimDecl, with its bound if it has one.
type DimItem struct {
	Span
	Name  *Name
	Rel   string // "", "<=" or ">="
	Bound Expr   // nil when Rel is ""
}

// ConstDecl declares a constant, `const K = D / H`, or a table in index
// notation, `const pos[t: C, d: D] = t * d`. It stands in files, layers and functions.
type ConstDecl struct {
	Span
	Doc   string
	Name  *Name
	Index []*Item // nil for a plain constant
	Value Expr
}

// LayerKind tells layer, model and optimizer apart.
type LayerKind string

// The kinds of a LayerDecl are their keywords.
const (
	KindLayer     LayerKind = "layer"
	KindModel     LayerKind = "model"
	KindOptimizer LayerKind = "optimizer"
)

// LayerDecl declares a layer, a model or an optimizer, with a body or as a
// variant of another one (`model GPT2XL = GPT2[D = 1600]`).
type LayerDecl struct {
	Span
	Doc      string
	Kind     LayerKind
	Name     *Name
	Alias    Expr       // the right side of the variant form; then all of the rest is empty
	Generics []*Generic // dims, in brackets
	Params   []*Param   // options, in parentheses
	Members  []Member
}

// Generic is one dimension parameter of a layer or func: `D`, `D = 768` or `...`.
type Generic struct {
	Span
	Name    *Name // its Text is "..." for the pack
	Default Expr  // or nil
}

// IsPack tells whether the generic is `...`.
func (g *Generic) IsPack() bool { return g.Name.Text == "..." }

// Param is a parameter or a result.
type Param struct {
	Span          // its own name, type and default; a type shared with later names is not in it
	Name    *Name // nil for the only result of a func, when it has no name
	Type    *Type // never nil; in `x, y f32[B]` both have the same *Type
	Default Expr  // or nil
}

// Type is a type: `f32`, `f32[B, T, 3*D]`, `dim`, `func`, `layer`, `init`.
type Type struct {
	Span
	Name *Name
	Dims []Expr // nil without brackets; *Ellipsis is the pack, *Underscore "infer this one"
}

// TensorKind is the storage class of a TensorDecl.
type TensorKind string

// The storage classes are their keywords.
const (
	KindParam TensorKind = "param" // trained, saved
	KindState TensorKind = "state" // saved, not trained
	KindCache TensorKind = "cache" // of a session, not saved
)

// TensorDecl declares tensors of a layer: `param w, v f32[I, O] = normal(0.02)`.
type TensorDecl struct {
	Span
	Doc   string
	Kind  TensorKind
	Names []*Name // at least one
	Type  *Type
	Init  Expr // or nil
}

// FieldDecl declares sub-layers: `ln1, ln2 nn.LayerNorm[D](eps = 1e-12)` or
// `blocks [L]Block[D, H]`.
type FieldDecl struct {
	Span
	Doc   string
	Names []*Name // at least one
	Count Expr    // the L of `[L]Block`, or nil
	Layer Expr    // *Name, *Select, *Index or *Call
}

// IfMember includes members under a compile-time condition. `else if` is an
// Else that holds just one *IfMember.
type IfMember struct {
	Span
	Cond Expr
	Then []Member
	Else []Member // nil without else
}

// BlockKind tells what a BlockDecl describes.
type BlockKind string

// The kinds of a BlockDecl are their keywords.
const (
	KindTrain    BlockKind = "train"
	KindGenerate BlockKind = "generate"
	KindNames    BlockKind = "names"
)

// BlockDecl is a train, generate or names block.
type BlockDecl struct {
	Span
	Doc     string
	Kind    BlockKind
	Name    *Name
	Entries []Entry
}

// Setting is `key = value, value`. In names blocks the key is a quoted pattern.
type Setting struct {
	Span
	Doc    string
	Key    string // a string's value, without the quotes
	KeyAt  Span
	Quoted bool   // the key was written as a string
	Values []Expr // at least one
}

// Group is `group rank < 2 { decay = 0 }`: settings for some parameters only.
type Group struct {
	Span
	Doc     string
	Select  []Expr // conditions over `rank`, or *String patterns; at least one
	Entries []Entry
}

// Ignore is `ignore "pattern", "pattern"` of a names block.
type Ignore struct {
	Span
	Patterns []*String // at least one
}

// FuncDecl is a function, or a method when it is the member of a layer.
type FuncDecl struct {
	Span
	Doc      string
	Name     *Name
	Generics []*Generic
	Params   []*Param
	Results  []*Param // either named, or just one without a name, or none
	Body     *Body
}

// Body is the braces of a function, loop or condition, and what they hold.
type Body struct {
	Span
	Stmts []Stmt
}

// ReturnStmt is `return x, y`.
type ReturnStmt struct {
	Span
	Values []Expr
}

// VarStmt declares variables with a type: `var y f32[B, T, H] = 0`. Without
// Init they are zero.
type VarStmt struct {
	Span
	Names []*Name // at least one
	Type  *Type
	Init  Expr // or nil
}

// AssertStmt is `assert P + T <= C, "message"`.
type AssertStmt struct {
	Span
	Doc  string
	Cond Expr
	Msg  *String // or nil
}

// ForStmt is `for Key, Value := range X { … }`.
type ForStmt struct {
	Span
	Key   *Name // may be `_`
	Value *Name // or nil
	X     Expr
	Body  *Body
}

// IfStmt is `if Cond { … } else …`.
type IfStmt struct {
	Span
	Cond Expr
	Then *Body
	Else Stmt // nil, *IfStmt or *Body
}

// AssignStmt is `Left Op Right`, where Op is one of := = += -= *= /=. A left
// side is a *Name, an *Underscore, or an *Index of a *Name: with indices an
// index definition, with slices and numbers the replacement of a part.
type AssignStmt struct {
	Span
	Left  []Expr // at least one
	Op    string
	OpAt  Span
	Right []Expr // at least one
}

// Bad stands for text that could not be parsed; the error is in the
// diagnostics. Names are the names that it seems to declare, so that uses of
// them need not be reported as well.
type Bad struct {
	Span
	Names []string
}

func (*DimDecl) declNode()   {}
func (*ConstDecl) declNode() {}
func (*FuncDecl) declNode()  {}
func (*LayerDecl) declNode() {}
func (*Bad) declNode()       {}

func (*TensorDecl) memberNode() {}
func (*ConstDecl) memberNode()  {}
func (*DimDecl) memberNode()    {}
func (*FuncDecl) memberNode()   {}
func (*AssertStmt) memberNode() {}
func (*BlockDecl) memberNode()  {}
func (*FieldDecl) memberNode()  {}
func (*IfMember) memberNode()   {}
func (*Bad) memberNode()        {}

func (*ReturnStmt) stmtNode() {}
func (*VarStmt) stmtNode()    {}
func (*ConstDecl) stmtNode()  {}
func (*AssertStmt) stmtNode() {}
func (*ForStmt) stmtNode()    {}
func (*IfStmt) stmtNode()     {}
func (*Body) stmtNode()       {}
func (*AssignStmt) stmtNode() {}
func (*Bad) stmtNode()        {}

func (*Setting) entryNode() {}
func (*Group) entryNode()   {}
func (*Ignore) entryNode()  {}
func (*Bad) entryNode()     {}
