package runtime

import (
	"fmt"
	"iter"
	"strconv"
	"strings"
)

// A ParamInfo is a row of the table of a generated package: one declared
// parameter or state with all its copies. The weights of a model are one slice;
// a row says where in it the parameter is, row-major as
// [Counts..., Shape...]. Files name every copy: blocks.3.attn.qkv.w.
type ParamInfo struct {
	Name   string // blocks.{0}.attn.qkv.w; {k} stands for the index on the k-th stack
	Shape  []int  // of one copy
	Counts []int  // copies, outermost stack first; empty if the name is plain
	Offset int    // first element in the slice
	State  bool   // saved but not trained
	Init   Init
}

// Size is the number of elements of one copy.
func (p *ParamInfo) Size() int {
	n, _ := Size(p.Shape)
	return n
}

// Copies is the number of copies, 1 without a stack.
func (p *ParamInfo) Copies() int {
	n, _ := Size(p.Counts)
	return n
}

// Len is the number of elements of all copies.
func (p *ParamInfo) Len() int { return p.Size() * p.Copies() }

// CopyName is the name of copy c, counting with the innermost stack fastest.
func (p *ParamInfo) CopyName(c int) string {
	if len(p.Counts) == 0 {
		return p.Name
	}
	index := make([]int, len(p.Counts))
	for k := len(index) - 1; k >= 0; k-- {
		index[k], c = c%p.Counts[k], c/p.Counts[k]
	}
	var b strings.Builder
	rest := p.Name
	for k := 0; ; k++ {
		before, hole, after, ok := cutHole(rest)
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		at := k // a hole that is not a number is the next one in order
		if n, err := strconv.Atoi(hole); err == nil {
			at = n
		}
		if at < len(index) {
			b.WriteString(strconv.Itoa(index[at]))
		}
		rest = after
	}
}

// cutHole splits s around its first {hole}.
func cutHole(s string) (before, hole, after string, ok bool) {
	if before, after, ok = strings.Cut(s, "{"); ok {
		if hole, after, ok = strings.Cut(after, "}"); ok {
			return before, hole, after, true
		}
	}
	return s, "", "", false
}

// A View is one copy of a parameter within a slice.
type View[F Float] struct {
	Name  string
	Shape []int
	Data  []F // shared with the slice
	State bool
}

// Views are all copies of all parameters, in the order of the table. Data is
// the weights, their gradients, or any slice with the same layout.
func Views[F Float](params []ParamInfo, data []F) iter.Seq[View[F]] {
	return func(yield func(View[F]) bool) {
		for i := range params {
			p := &params[i]
			for c := range p.Copies() {
				if !yield(view(p, c, p.CopyName(c), data)) {
					return
				}
			}
		}
	}
}

func view[F Float](p *ParamInfo, c int, name string, data []F) View[F] {
	n := p.Size()
	lo := p.Offset + c*n
	return View[F]{Name: name, Shape: p.Shape, Data: data[lo : lo+n : lo+n], State: p.State}
}

// Lookup is the parameter of that expanded name.
func Lookup[F Float](params []ParamInfo, data []F, name string) (View[F], bool) {
	for v := range Views(params, data) {
		if v.Name == name {
			return v, true
		}
	}
	return View[F]{}, false
}

// CheckParams verifies a table: the rows lie within n elements and do not
// overlap, names are unique, and each hole has a stack.
func CheckParams(params []ParamInfo, n int) error {
	names := map[string]bool{}
	owner := make([]string, n)
	for i := range params {
		p := &params[i]
		size, ok1 := Size(p.Shape)
		copies, ok2 := Size(p.Counts)
		total, ok3 := Size([]int{size, copies})
		if !ok1 || !ok2 || !ok3 || p.Offset < 0 || total > n-p.Offset {
			return fmt.Errorf("%s%s at %d is not within %d elements", p.Name, shapeName(append(append([]int(nil), p.Counts...), p.Shape...)), p.Offset, n)
		}
		if strings.Count(p.Name, "{") != len(p.Counts) {
			return fmt.Errorf("%s needs one hole for each of %d stacks", p.Name, len(p.Counts))
		}
		for c := range copies {
			name := p.CopyName(c)
			if names[name] {
				return fmt.Errorf("two parameters are called %s", name)
			}
			names[name] = true
		}
		for at := p.Offset; at < p.Offset+total; at++ {
			if owner[at] != "" {
				return fmt.Errorf("%s and %s overlap at %d", owner[at], p.Name, at)
			}
			owner[at] = p.Name
		}
	}
	return nil
}
