package check

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/ops"
)

// stretch brings s and t to one shape by the rules of broadcasting: of equal
// rank, a literal 1 stretches; else the shorter shape must be the end of the
// longer one. Indices of index notation come first and are aligned by name.
func (c *checker) stretch(e dsl.Node, op string, x, y dsl.Expr, s, t tensor) (p, q tensor, dims []dim, idx []*index) {
	dims, why := broadcast(s.dims, t.dims)
	if why != "" {
		d := c.errorf(e, "the shapes of `%s` do not fit: %s", op, why)
		if x != nil && y != nil {
			d.Note(x, "%s", s.ctype).Note(y, "%s", t.ctype)
			d.Help = broadcastHelp(x, y, s, t)
		}
		c.fail(d)
	}
	idx = mergeIndices(s.idx, t.idx)
	return c.expand(s, idx, dims), c.expand(t, idx, dims), dims, idx
}

// align is stretch for scalars: only indices differ.
func (c *checker) align(s, t tensor) (x, y *ir.Value, dims []dim, idx []*index) {
	idx = mergeIndices(s.idx, t.idx)
	return c.expand(s, idx, s.dims).v, c.expand(t, idx, t.dims).v, s.dims, idx
}

// mergeIndices is the indices of a and b: those of the left side of a
// definition in its order, so that the larger operand need not be transposed,
// then the others.
func mergeIndices(a, b []*index) []*index {
	if len(b) == 0 || slices.Equal(a, b) {
		return a
	}
	out := slices.Clone(a)
	for _, i := range b {
		if !slices.Contains(out, i) {
			out = append(out, i)
		}
	}
	slices.SortStableFunc(out, byPlace)
	return out
}

// byPlace orders indices as on the left side of their definition; those of
// reductions come last.
func byPlace(x, y *index) int {
	return cmp.Compare(x.rank, y.rank)
}

// expand broadcasts t to the indices idx and the shape dims, which must have
// t's own among them.
func (c *checker) expand(t tensor, idx []*index, dims []dim) tensor {
	v := c.fr.use(t)
	out := t
	out.ctype, out.idx, out.fr, out.v = ctype{t.elem, dims}, idx, c.fr, v
	if slices.Equal(t.idx, idx) && sameDims(t.dims, dims) {
		return out
	}
	var shape []loop.Dim
	for _, i := range idx {
		shape = append(shape, i.extent())
	}
	shape = append(shape, shapeOf(dims)...)
	if v.Op == ops.Const && len(t.idx) == 0 && len(t.dims) == 0 { // a number: make it in its full shape
		out.v = c.fr.g.Constant(t.elem, ops.Fill.Of(v), shape...)
		return out
	}
	// Bring the indices into the order of idx, then drop axes of length 1 that
	// stretch, then broadcast.
	perm := make([]int, 0, len(v.Type.Shape))
	for _, i := range idx {
		if k := slices.Index(t.idx, i); k >= 0 {
			perm = append(perm, k)
		}
	}
	var axes []int
	for k, i := range idx {
		if slices.Contains(t.idx, i) {
			axes = append(axes, k)
		}
	}
	keep := slices.Clone(axes) // axes of the result
	off := len(dims) - len(t.dims)
	var squeezed []loop.Dim
	for _, p := range perm {
		squeezed = append(squeezed, v.Type.Shape[p])
	}
	for k, d := range t.dims {
		perm = append(perm, len(t.idx)+k)
		if d.Is(1) && !dims[off+k].Is(1) {
			continue
		}
		keep = append(keep, len(idx)+off+k)
		squeezed = append(squeezed, d.Dim)
	}
	v = c.fr.g.Transpose(v, perm...)
	v = c.fr.g.Reshape(v, squeezed...)
	out.v = c.fr.g.Broadcast(v, shape, keep...)
	return out
}

// broadcast is the common shape of a and b, or says why there is none.
func broadcast(a, b []dim) ([]dim, string) {
	switch {
	case len(a) == 0:
		return b, ""
	case len(b) == 0:
		return a, ""
	case len(a) == len(b):
		out := make([]dim, len(a))
		for i := range a {
			switch {
			case a[i].Eq(b[i].Dim):
				out[i] = a[i]
				if out[i].text == "" {
					out[i].text = b[i].text
				}
			case a[i].Is(1):
				out[i] = b[i]
			case b[i].Is(1):
				out[i] = a[i]
			default:
				return nil, fmt.Sprintf("axis %d is %s on the left and %s on the right", i, a[i], b[i])
			}
		}
		return out, ""
	}
	long, short := a, b
	if len(a) < len(b) {
		long, short = b, a
	}
	if !sameDims(short, long[len(long)-len(short):]) {
		return nil, fmt.Sprintf("[%s] is not the end of [%s]", dimList(short), dimList(long))
	}
	return long, ""
}

// broadcastHelp guesses what was meant where two shapes do not fit.
func broadcastHelp(x, y dsl.Expr, s, t tensor) string {
	if len(s.dims) == len(t.dims) {
		return ""
	}
	long, short, le, se := s, t, x, y
	if len(s.dims) < len(t.dims) {
		long, short, le, se = t, s, y, x
	}
	if len(short.dims) == 1 && len(long.dims) == 2 && long.dims[1].Is(1) && long.dims[0].Eq(short.dims[0].Dim) {
		text := le.String()
		if _, ok := le.(*dsl.Binary); ok {
			text = "(" + text + ")"
		}
		n := long.dims[0]
		return fmt.Sprintf("take the only column: `%s[:, 0]`. (NumPy would stretch both to [%s, %s].)", text, n, n)
	}
	for i := 0; i+len(short.dims) <= len(long.dims); i++ {
		if !sameDims(short.dims, long.dims[i:i+len(short.dims)]) {
			continue
		}
		items := append(slices.Repeat([]string{":"}, len(short.dims)), slices.Repeat([]string{"_"}, len(long.dims)-i-len(short.dims))...)
		return fmt.Sprintf("to use it along axis %d, add axes: `%s[%s]`", i, se, strings.Join(items, ", "))
	}
	return ""
}
