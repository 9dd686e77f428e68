package check

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// A value is what an expression stands for. The kinds are
//
//	compile time   num, dim, boolean, str, list, initial, *layer, *stack
//	run time       tensor
//	names          *function, *layerDecl, *builtin, elemType, *pkg, spec
//	other          tuple, pack, *index, nothing, poison
//
// show says in words what a value is, for messages.
type value interface{ show() string }

// numKind tells what a num may become.
type numKind uint8

const (
	untypedInt   numKind = iota // a literal without point, or computed from such
	untypedFloat                // any other literal
	typedF32                    // passed as f32 or converted
	typedI32
)

// A num is a number known when the model is compiled. Arithmetic on nums is
// exact in float64 and rounds only where a num meets a tensor.
type num struct {
	f    float64
	kind numKind
}

func (n num) isInt() bool { return n.kind == untypedInt || n.kind == typedI32 }

func (n num) String() string { return strconv.FormatFloat(n.f, 'g', -1, 64) }

// A boolean is a truth value known when the model is compiled.
type boolean bool

// A str is a string; options of some builtins are strings.
type str string

// A list is a constant list, [1, 2, 4].
type list struct {
	items []value
	name  string // of the const, for the table that a run-time index makes of it
}

// A tuple is what a func with several results returns.
type tuple []value

// A pack is what `...` stands for in a func.
type pack []dim

// An initial is the rule by which a parameter starts, like glorot(I, O).
type initial struct{ loop.Init }

// An elemType is the name of an element type: f32 in f32(x).
type elemType struct{ elem ir.Elem }

// A spec is a callee with its brackets, before the call: sum[c], f32[B, H].
type spec struct {
	of    value
	items []*dsl.Item
	at    *dsl.Index
}

// nothing is what a func without results returns.
type nothing struct{}

// poison is the value of a name whose declaration has an error; whoever uses
// it fails silently.
type poison struct{}

// A tensor is a value computed when the model runs.
//
// Inside index notation a tensor has one value per combination of indices: the
// first axes of v are the ranges of idx, in that order, and the others are
// dims. Outside idx is empty.
type tensor struct {
	ctype
	v  *ir.Value // its value, in the function of fr
	fr *frame
	// idx are the indices that the value depends on.
	idx []*index
	// untyped is set for integers (elem is i32) that become f32 where the
	// context wants it, as Go's untyped constants do: dims, counters, indices.
	untyped bool
	// aff is the value itself, if it is an integer that is a polynomial in
	// dims, loop counters and indices; bounds are proved with it.
	aff *loop.Dim
	// guard is what the tensor says when true, for a bool scalar that
	// compares integers: all of these are >= 0.
	guard []loop.Dim
	// arg is 1 + the number of the entry's argument whose elements these are,
	// moved about but not changed; 0 for others.
	arg int
	// soft is the value of a scalar that is an option of a train block: known,
	// but meant to stay a run-time number. Use pins it.
	soft *soft
}

// A soft is the present value of a run-time option, and the options it comes from.
type soft struct {
	val  value // num or boolean
	opts []*option
}

// An option is a literal of a train or generate block that becomes a field of
// the options struct, unless a compile-time decision needs it.
type option struct {
	name   string
	pinned bool // a condition, dim or layout depends on it: compile it in
}

// scalar tells whether t is one element (per combination of indices).
func (t tensor) scalar() bool { return len(t.dims) == 0 }

func (n num) show() string {
	return "the number " + n.String()
}
func (d dim) show() string       { return "the dimension " + d.String() }
func (b boolean) show() string   { return "the constant " + strconv.FormatBool(bool(b)) }
func (s str) show() string       { return "the string " + strconv.Quote(string(s)) }
func (l list) show() string      { return fmt.Sprintf("a list of %d", len(l.items)) }
func (i initial) show() string   { return "an initial value" }
func (e elemType) show() string  { return "the type " + e.elem.String() }
func (s spec) show() string      { return s.of.show() + " with brackets" }
func (nothing) show() string     { return "nothing" }
func (poison) show() string      { return "an unknown value" }
func (p pack) show() string      { return "the axes [" + dimList(p) + "]" }
func (b *builtin) show() string  { return "the operation " + b.name }
func (p *pkg) show() string      { return "the package " + p.name }
func (f *function) show() string { return "the func " + f.decl.Name.Text }

func (t tensor) show() string {
	if t.untyped {
		return "an integer"
	}
	return t.ctype.String()
}

func (t tuple) show() string {
	s := make([]string, len(t))
	for i, v := range t {
		s[i] = v.show()
	}
	return "(" + strings.Join(s, ", ") + ")"
}

// untyped tells whether v is a number that takes the type of its context.
func untyped(v value) bool {
	switch v := v.(type) {
	case num:
		return v.kind == untypedInt || v.kind == untypedFloat
	case dim:
		return true
	case tensor:
		return v.untyped
	}
	return false
}
