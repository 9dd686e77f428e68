// Package ir is the typed graph of a model: straight-line functions over
// tensor values, without memory, aliasing or control flow. Loops over layers
// and over time are ops that hold a sub-function. Nothing is implicit: a
// broadcast or a conversion is an op that stands in the function.
//
// Reading order: Type, Op, Value, Func here; Builder in build.go; Module in
// module.go; the ops themselves are in package ops.
package ir

import (
	"fmt"
	"strings"

	"github.com/lmc-lang/lmc/ir/loop"
)

// Dim is the size of an axis; see loop.Dim.
type Dim = loop.Dim

// Elem is an element type: F32, I32 or Bool. F32 is float64 under -float f64.
type Elem = loop.Elem

// The element types of tensors.
const (
	F32  = loop.F32
	I32  = loop.I32
	Bool = loop.Bool
)

// A Type is the element type and shape of a tensor, or, for the results of a
// loop, a tuple of types. Types are immutable.
type Type struct {
	Elem  Elem
	Shape []Dim  // nil for a scalar
	Tuple []Type // if not nil, the other fields are not used
}

// Tensor is the type of tensors of the given shape.
func Tensor(e Elem, shape ...Dim) Type { return Type{Elem: e, Shape: shape} }

// Rank is the number of axes.
func (t Type) Rank() int { return len(t.Shape) }

// Len is the number of elements.
func (t Type) Len() Dim { return loop.Product(t.Shape) }

// Equal reports whether t and u are the same type.
func (t Type) Equal(u Type) bool {
	if (t.Tuple == nil) != (u.Tuple == nil) || len(t.Tuple) != len(u.Tuple) {
		return false
	}
	for i := range t.Tuple {
		if !t.Tuple[i].Equal(u.Tuple[i]) {
			return false
		}
	}
	return t.Tuple != nil || t.Elem == u.Elem && SameShape(t.Shape, u.Shape)
}

// SameShape reports whether a and b are equal axis by axis.
func SameShape(a, b []Dim) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !a[i].Eq(b[i]) {
			return false
		}
	}
	return true
}

// WithShape is t with another shape.
func (t Type) WithShape(shape ...Dim) Type { return Type{Elem: t.Elem, Shape: shape} }

// WithElem is t with another element type.
func (t Type) WithElem(e Elem) Type { return Type{Elem: e, Shape: t.Shape} }

// String prints t as it is written in the text form: f32[B, 4*D], f32, (f32, i32[3]).
func (t Type) String() string {
	if t.Tuple != nil {
		s := make([]string, len(t.Tuple))
		for i, u := range t.Tuple {
			s[i] = u.String()
		}
		return "(" + strings.Join(s, ", ") + ")"
	}
	if len(t.Shape) == 0 {
		return t.Elem.String()
	}
	return t.Elem.String() + ShapeString(t.Shape)
}

// ShapeString prints a shape: [B, 10].
func ShapeString(shape []Dim) string {
	s := make([]string, len(shape))
	for i, d := range shape {
		s[i] = d.String()
	}
	return "[" + strings.Join(s, ", ") + "]"
}

// A Pos is a place in the model's text; the zero Pos is unknown.
type Pos struct {
	File      string
	Line, Col int
}

func (p Pos) String() string {
	if p.Line == 0 {
		return "-"
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

// A Value is the result of one application of an op. Values are immutable
// once built; a pass makes new ones.
type Value struct {
	ID    int // dense in its Func, in order
	Op    *Op
	Type  Type
	Args  []*Value
	Pos   Pos
	Scope string // path of the layer it was written in, e.g. blocks.attn; names kernels
	attrs []Setting
}

// Arg is the type of operand i.
func (v *Value) Arg(i int) Type { return v.Args[i].Type }

// Attrs lists the attributes of v in the order of its op's declaration.
func (v *Value) Attrs() []Setting { return v.attrs }

func (v *Value) String() string { return fmt.Sprintf("%%%d", v.ID) }

// A Func is a straight list of values, definitions before uses. Params come
// first in Values, in order.
type Func struct {
	Name    string
	Doc     string
	Params  []*Value
	Values  []*Value
	Results []*Value
}

// ResultTypes lists the types of the results.
func (f *Func) ResultTypes() []Type {
	ts := make([]Type, len(f.Results))
	for i, r := range f.Results {
		ts[i] = r.Type
	}
	return ts
}

// Uses counts, by ID, how often each value is an operand or a result.
func (f *Func) Uses() []int {
	n := make([]int, len(f.Values))
	for _, v := range f.Values {
		for _, a := range v.Args {
			n[a.ID]++
		}
	}
	for _, r := range f.Results {
		n[r.ID]++
	}
	return n
}
