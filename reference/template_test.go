package reference

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
)

// The methods below are what the templates in testdata/ops may use; they see a
// case.
type templateCase struct{ *opCase }

// Case is the name of the case.
func (c templateCase) Case() string { return c.Name }

// A is an attribute as it is written in the language; empty if there is none.
func (c templateCase) A(name string) string {
	switch v := c.Attrs[name].(type) {
	case nil:
		return ""
	case string:
		return v
	default:
		b, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return string(b)
	}
}

// AttrSet tells whether the attribute is there and not null.
func (c templateCase) AttrSet(name string) bool { return c.Attrs[name] != nil }

// Has tells whether there is an input of that name.
func (c templateCase) Has(input string) bool {
	return slices.ContainsFunc(c.opCase.Inputs, func(v vector) bool { return v.Name == input })
}

// Inputs lists all inputs.
func (c templateCase) Inputs() string {
	var out []string
	for _, v := range c.opCase.Inputs {
		out = append(out, v.Name)
	}
	return strings.Join(out, ", ")
}

func (c templateCase) vector(name string) vector {
	for _, v := range slices.Concat(c.Outputs, c.opCase.Inputs) {
		if v.Name == name {
			return v
		}
	}
	panic("no tensor " + name)
}

func (c templateCase) input(name string) vector {
	i := slices.IndexFunc(c.opCase.Inputs, func(v vector) bool { return v.Name == name })
	return c.opCase.Inputs[i]
}

// S is the shape of a tensor, without brackets.
func (c templateCase) S(name string) string { return list(c.vector(name).Shape) }

// D is one extent of a tensor; outputs go before inputs of the same name.
func (c templateCase) D(name string, axis int) int { return c.vector(name).Shape[axis] }

// B is an input with axes of length 1 in front, as many as it takes to be
// stretched as NumPy does.
func (c templateCase) B(name string) string {
	v := c.input(name)
	n := len(c.Outputs[0].Shape) - len(v.Shape)
	if n == 0 || len(v.Shape) == 0 {
		return inputName(name)
	}
	return inputName(name) + "[" + strings.Join(slices.Repeat([]string{"_"}, n), ", ") + "]"
}

// Axes are the named arguments for the axes to fold: ", axis = 1, keep = true".
func (c templateCase) Axes(more ...string) string {
	out := ""
	for _, a := range []string{"axis", "axes"} {
		if c.Attrs[a] != nil {
			out = ", axis = " + c.A(a)
		}
	}
	if len(more) > 0 {
		return out + ", " + more[0]
	}
	if k, _ := c.Attrs["keepdims"].(bool); k {
		out += ", keep = true"
	}
	return out
}

// Count is how many elements each result is folded from.
func (c templateCase) Count() int { return len(c.opCase.Inputs[0].Data) / len(c.Outputs[0].Data) }

// Ln2 is the logarithm of 2.
func (c templateCase) Ln2() float64 { return math.Ln2 }

// Einsum is the definition of y that the attribute equation says.
func (c templateCase) Einsum() string {
	left, right, _ := strings.Cut(c.Attrs["equation"].(string), "->")
	index := func(s string) string {
		var names []string
		for _, r := range strings.TrimPrefix(s, "...") {
			names = append(names, "i"+string(r))
		}
		out := strings.Join(names, ",")
		if strings.HasPrefix(s, "...") {
			out = "...," + out
		}
		return out
	}
	var factors, bound []string
	for i, s := range strings.Split(left, ",") {
		n := c.opCase.Inputs[i].Name
		factors = append(factors, n+"["+index(s)+"]")
		for _, r := range strings.TrimPrefix(s, "...") {
			if !strings.ContainsRune(right, r) && !slices.Contains(bound, "i"+string(r)) {
				bound = append(bound, "i"+string(r))
			}
		}
	}
	value := strings.Join(factors, " * ")
	if len(bound) > 0 {
		value = "sum[" + strings.Join(bound, ",") + "](" + value + ")"
	}
	if right == "" {
		return "y := " + value
	}
	return "y[" + index(right) + "] := " + value
}

// Expand is y, which is x with more and longer axes.
func (c templateCase) Expand() string {
	x, y := c.opCase.Inputs[0].Shape, c.Outputs[0].Shape
	var left, right []string
	for i, n := range y {
		left = append(left, fmt.Sprintf("i%d: %d", i, n))
		if k := i - (len(y) - len(x)); k >= 0 {
			if x[k] == 1 {
				right = append(right, "0")
			} else {
				right = append(right, fmt.Sprintf("i%d", i))
			}
		}
	}
	value := "x"
	if len(right) > 0 {
		value = "x[" + strings.Join(right, ", ") + "]"
	}
	return "y[" + strings.Join(left, ", ") + "] := " + value
}

// In says that element a of axis k of x is in the i-th of the parts into which
// adaptive pooling cuts it.
func (c templateCase) In(i, a string, k int) string {
	lo, hi := c.part(i, k)
	return fmt.Sprintf("%s >= %s && %s < %s", a, lo, a, hi)
}

// Width is the length of the i-th part of axis k.
func (c templateCase) Width(i string, k int) string {
	lo, hi := c.part(i, k)
	return hi + " - " + lo
}

func (c templateCase) part(i string, k int) (lo, hi string) {
	n, m := c.opCase.Inputs[0].Shape[k], c.Outputs[0].Shape[k]
	return fmt.Sprintf("floor(%d*%s / %d)", n, i, m), fmt.Sprintf("ceil(%d*(%s + 1) / %d)", n, i, m)
}
