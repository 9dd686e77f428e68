package ir

import (
	"fmt"
	"strings"
)

// String prints f in the text form that Parse reads:
//
//	func f {
//	  %0 = param x : f32[B, 10]
//	  %1 = sum %0 axes=[1] : f32[B]
//	  return %1
//	}
//
// A sub-function stands as an indented block after the attributes.
func (f *Func) String() string {
	var b strings.Builder
	f.print(&b, "")
	return b.String()
}

func (f *Func) print(b *strings.Builder, indent string) {
	fmt.Fprintf(b, "func %s {\n", f.Name)
	for _, v := range f.Values {
		fmt.Fprintf(b, "%s  ", indent)
		v.print(b, indent+"  ")
		b.WriteByte('\n')
	}
	fmt.Fprintf(b, "%s  return", indent)
	for _, r := range f.Results {
		fmt.Fprintf(b, " %v", r)
	}
	fmt.Fprintf(b, "\n%s}", indent)
}

// Long prints v with its operands, attributes and type.
func (v *Value) Long() string {
	var b strings.Builder
	v.print(&b, "")
	return b.String()
}

func (v *Value) print(b *strings.Builder, indent string) {
	fmt.Fprintf(b, "%v = %s", v, v.Op.Name)
	if v.Op == Param {
		fmt.Fprintf(b, " %s", v.Scope)
	}
	for _, a := range v.Args {
		fmt.Fprintf(b, " %v", a)
	}
	for _, s := range v.attrs {
		fmt.Fprintf(b, " %s=", s.Key.Name())
		if f := s.Func(); f != nil {
			f.print(b, indent)
		} else {
			b.WriteString(s.Text())
		}
	}
	fmt.Fprintf(b, " : %v", v.Type)
}
