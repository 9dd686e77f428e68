package check

import (
	"strconv"
	"strings"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// A dim is the size of an axis together with the text in which the user thinks
// of it: D or 4*D, whatever its value is. The text survives calls of library
// layers, so that messages speak of the user's names.
type dim struct {
	loop.Dim
	text string // without blanks; empty if the value says it all
}

// number is the dim n without a name.
func number(n int) dim { return dim{Dim: loop.N(n)} }

// symbol is the rigid dim called name: a size that an entry point learns from
// its arguments.
func symbol(name string) dim { return dim{Dim: loop.Sym(name)} }

// plain is d without the user's text.
func plain(d loop.Dim) dim { return dim{Dim: d} }

// named is d under the name text.
func (d dim) named(text string) dim { return dim{d.Dim, text} }

// String is how messages show d: the user's text and its value, D=10 or
// 4*D=256, and only one of them where they are equal.
func (d dim) String() string {
	p := compact(d.poly())
	if d.text == "" || d.text == p {
		return p
	}
	return d.text + "=" + p
}

// label is the shortest name for d: the user's text, else the value.
func (d dim) label() string {
	if d.text != "" {
		return d.text
	}
	return d.poly()
}

// poly prints the value of d for messages: P + T - 1, 2304*B*T. Constants
// stand last and numbers in front of a product.
func (d dim) poly() string { return polyString(d.Dim) }

func compact(s string) string { return strings.ReplaceAll(s, " ", "") }

func polyString(d loop.Dim) string {
	terms := d.Terms()
	if len(terms) == 0 {
		return "0"
	}
	var pos, neg, last []loop.DimTerm
	for _, t := range terms {
		switch {
		case len(t.Factors) == 0:
			last = append(last, t)
		case t.Coef > 0:
			pos = append(pos, t)
		default:
			neg = append(neg, t)
		}
	}
	var b strings.Builder
	for i, t := range append(append(pos, neg...), last...) {
		c := t.Coef
		switch {
		case i > 0 && c < 0:
			b.WriteString(" - ")
			c = -c
		case i > 0:
			b.WriteString(" + ")
		case c < 0:
			b.WriteString("-")
			c = -c
		}
		if c != 1 || len(t.Factors) == 0 {
			b.WriteString(strconv.Itoa(c))
			if len(t.Factors) > 0 {
				b.WriteByte('*')
			}
		}
		for k, f := range t.Factors {
			if k > 0 {
				b.WriteByte('*')
			}
			if f.Sym == "" {
				b.WriteString("floor((" + compact(polyString(f.Num)) + ")/" + compact(polyString(f.Den)) + ")")
			} else {
				b.WriteString(f.Sym)
			}
		}
	}
	return b.String()
}

// dimList prints a shape without brackets: B, T, 4*D=256.
func dimList(ds []dim) string {
	s := make([]string, len(ds))
	for i, d := range ds {
		s[i] = d.String()
	}
	return strings.Join(s, ", ")
}

// A ctype is the type of a tensor with the texts of its dims.
type ctype struct {
	elem ir.Elem
	dims []dim
}

// shape is the shape without texts.
func (t ctype) shape() []loop.Dim { return shapeOf(t.dims) }

// ir is the type without texts.
func (t ctype) ir() ir.Type { return ir.Tensor(t.elem, t.shape()...) }

// String prints f32[B, 4*D=256].
func (t ctype) String() string {
	if len(t.dims) == 0 {
		return t.elem.String()
	}
	return t.elem.String() + "[" + dimList(t.dims) + "]"
}

// same tells whether t and u are equal types.
func (t ctype) same(u ctype) bool { return t.elem == u.elem && sameDims(t.dims, u.dims) }

func shapeOf(ds []dim) []loop.Dim {
	if len(ds) == 0 {
		return nil
	}
	s := make([]loop.Dim, len(ds))
	for i, d := range ds {
		s[i] = d.Dim
	}
	return s
}

func sameDims(a, b []dim) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !a[i].Eq(b[i].Dim) {
			return false
		}
	}
	return true
}

// product is the number of elements of a shape.
func product(ds []dim) loop.Dim { return loop.Product(shapeOf(ds)) }

// dimsOf gives the dims of a shape back their plain form.
func dimsOf(shape []loop.Dim) []dim {
	ds := make([]dim, len(shape))
	for i, d := range shape {
		ds[i] = plain(d)
	}
	return ds
}
