package ir

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/lmc-lang/lmc/ir/loop"
)

// An Attr is a compile-time operand of an op, typed by T. T is one of int,
// uint64, float64, bool, string, []int, Dim, []Dim, Elem and *Func.
type Attr[T any] struct{ name, doc string }

// NewAttr declares an attribute.
func NewAttr[T any](name, doc string) *Attr[T] { return &Attr[T]{name, doc} }

// Of returns the attribute of v; the verifier has checked that it is there.
func (a *Attr[T]) Of(v *Value) T {
	for _, s := range v.attrs {
		if s.Key == Key(a) {
			return s.val.(T)
		}
	}
	panic(fmt.Sprintf("bug: %s has no attribute %s", v.Op.Name, a.name))
}

// Is is the setting of a to x.
func (a *Attr[T]) Is(x T) Setting { return Setting{a, x} }

// Name is the name in the text form.
func (a *Attr[T]) Name() string { return a.name }

// Doc says what the attribute means.
func (a *Attr[T]) Doc() string { return a.doc }

func (a *Attr[T]) accepts(x any) bool { _, ok := x.(T); return ok }

func (a *Attr[T]) zero() any { var x T; return x }

// A Key is an Attr of any type.
type Key interface {
	Name() string
	Doc() string
	accepts(x any) bool
	zero() any
}

// A Setting is one attribute with its value.
type Setting struct {
	Key Key
	val any
}

// Equal reports whether s and t have the same key and value. Sub-functions
// are equal if they print alike.
func (s Setting) Equal(t Setting) bool { return s.Key == t.Key && s.Text() == t.Text() }

// Func is the sub-function that s holds, or nil.
func (s Setting) Func() *Func { f, _ := s.val.(*Func); return f }

// Dims lists the dims that s holds.
func (s Setting) Dims() []Dim {
	switch x := s.val.(type) {
	case Dim:
		return []Dim{x}
	case []Dim:
		return x
	}
	return nil
}

// Text prints the value so that parseAttr reads it back; sub-functions print
// as blocks.
func (s Setting) Text() string {
	switch x := s.val.(type) {
	case int:
		return strconv.Itoa(x)
	case uint64:
		return "0x" + strconv.FormatUint(x, 16)
	case float64:
		return strconv.FormatFloat(x, 'g', -1, 64)
	case bool:
		return strconv.FormatBool(x)
	case string:
		return strconv.Quote(x)
	case []int:
		return strings.ReplaceAll(fmt.Sprint(x), " ", ",")
	case Dim:
		return x.String()
	case []Dim:
		return strings.ReplaceAll(ShapeString(x), " ", "")
	case Elem:
		return x.String()
	case *Func:
		return x.String()
	}
	panic(fmt.Sprintf("bug: attribute %s has type %T", s.Key.Name(), s.val))
}

// parseAttr reads what Text prints, for every type but *Func.
func parseAttr(k Key, text string) (Setting, error) {
	var x any
	var err error
	switch k.zero().(type) {
	case int:
		x, err = strconv.Atoi(text)
	case uint64:
		x, err = strconv.ParseUint(strings.TrimPrefix(text, "0x"), 16, 64)
	case float64:
		x, err = strconv.ParseFloat(text, 64)
	case bool:
		x, err = strconv.ParseBool(text)
	case string:
		x, err = strconv.Unquote(text)
	case []int:
		var ns []int
		for _, w := range listItems(text) {
			n, e := strconv.Atoi(w)
			if e != nil {
				err = e
			}
			ns = append(ns, n)
		}
		x = ns
	case Dim:
		x, err = loop.ParseDim(text)
	case []Dim:
		var ds []Dim
		for _, w := range listItems(text) {
			d, e := loop.ParseDim(w)
			if e != nil {
				err = e
			}
			ds = append(ds, d)
		}
		x = ds
	case Elem:
		x, err = parseElem(text)
	default:
		err = fmt.Errorf("attribute %s cannot be read", k.Name())
	}
	return Setting{k, x}, err
}

func listItems(text string) []string {
	text = strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

func parseElem(s string) (Elem, error) {
	for _, e := range []Elem{F32, I32, Bool} {
		if e.String() == s {
			return e, nil
		}
	}
	return 0, fmt.Errorf("unknown element type %q", s)
}
