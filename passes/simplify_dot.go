package passes

import (
	"strings"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/ops"
)

func dotSpec(v *ir.Value) ops.Contraction {
	c, _ := ops.ParseContraction(ops.Spec.Of(v)) // the verifier has checked it
	return c
}

func spec(x, y, out string) string { return x + "," + y + "->" + out }

// letters is the letters of s at axes.
func letters(s string, axes []int) string { return string(pick([]byte(s), axes)) }

func dotOfTranspose(_ *simplifier, g ops.Graph, v *ir.Value) *ir.Value {
	c := dotSpec(v)
	x, y := v.Args[0], v.Args[1]
	if x.Op != ops.Transpose && y.Op != ops.Transpose {
		return nil
	}
	untranspose := func(x *ir.Value, s string) (*ir.Value, string) {
		if x.Op != ops.Transpose {
			return x, s
		}
		out := make([]byte, len(s))
		for i, p := range ops.Perm.Of(x) {
			out[p] = s[i]
		}
		return x.Args[0], string(out)
	}
	x, c.X = untranspose(x, c.X)
	y, c.Y = untranspose(y, c.Y)
	return g.Dot(spec(c.X, c.Y, c.Out), x, y)
}

func transposeOfDot(s *simplifier, g ops.Graph, v *ir.Value) *ir.Value {
	x := v.Args[0]
	if x.Op != ops.Dot || !s.once(x) {
		return nil
	}
	c := dotSpec(x)
	return g.Dot(spec(c.X, c.Y, letters(c.Out, ops.Perm.Of(v))), x.Args[0], x.Args[1])
}

// dotOfBroadcast leaves out the axes that an operand repeats: the other
// operand is summed over them, or the result repeated.
func dotOfBroadcast(_ *simplifier, g ops.Graph, v *ir.Value) *ir.Value {
	if v.Args[0].Op != ops.Broadcast && v.Args[1].Op != ops.Broadcast {
		return nil
	}
	c := dotSpec(v)
	return contract(g, v.Type, c, v.Args[0], v.Args[1])
}

// contract is the contraction c of x and y, of type t, where they may repeat
// elements; nil if they do not.
func contract(g ops.Graph, t ir.Type, c ops.Contraction, x, y *ir.Value) *ir.Value {
	sx, sy := spreadOf(g, x), spreadOf(g, y)
	if len(sx.axes) == len(c.X) && len(sy.axes) == len(c.Y) {
		return nil
	}
	lx, ly := letters(c.X, sx.axes), letters(c.Y, sy.axes)
	// Letters that neither has any more: the result is repeated along them, or n times as large.
	var out []int // axes of the result that are left
	for i, r := range c.Out {
		if strings.ContainsRune(lx+ly, r) {
			out = append(out, i)
		}
	}
	n := countOf(nil)
	for i, r := range c.X {
		if !strings.ContainsRune(lx+ly+c.Out, r) {
			n = n.Mul(x.Type.Shape[i])
		}
	}
	// Letters that only one has and the result lacks are summed before.
	inner := func(z *ir.Value, own, other string) (*ir.Value, string) {
		var axes []int
		rest := ""
		for i, r := range own {
			if strings.ContainsRune(other+c.Out, r) {
				rest += string(r)
			} else {
				axes = append(axes, i)
			}
		}
		return g.Sum(z, axes...), rest
	}
	a, la := inner(sx.inner, lx, ly)
	b, lb := inner(sy.inner, ly, lx)
	w := g.Dot(spec(la, lb, letters(c.Out, out)), a, b)
	if !n.Is(1) {
		times := g.Size(n)
		if t.Elem == ir.F32 {
			times = count(g, n)
		}
		w = g.Mul(w, g.Expand(times, w.Type.Shape...))
	}
	return g.Broadcast(w, t.Shape, out...)
}

// dotWithoutSum is a product element by element if one operand has all the
// axes of the result.
func dotWithoutSum(_ *simplifier, g ops.Graph, v *ir.Value) *ir.Value {
	c := dotSpec(v)
	if c.Summed() != "" || len(c.X) != len(c.Out) && len(c.Y) != len(c.Out) {
		return nil
	}
	return g.Mul(align(g, v.Args[0], c.X, c.Out, v.Type), align(g, v.Args[1], c.Y, c.Out, v.Type))
}

// align brings x with axes own to the axes out of a tensor of type t.
func align(g ops.Graph, x *ir.Value, own, out string, t ir.Type) *ir.Value {
	var perm, axes []int
	for i, r := range out {
		if k := strings.IndexRune(own, r); k >= 0 {
			perm, axes = append(perm, k), append(axes, i)
		}
	}
	return g.Broadcast(g.Transpose(x, perm...), t.Shape, axes...)
}

// sumOfProduct finds contractions written out: both operands of the product
// are repeated along axes of the other one, and some axis of both is summed.
func sumOfProduct(s *simplifier, g ops.Graph, v *ir.Value) *ir.Value {
	p := v.Args[0]
	if p.Op != ops.Mul || !s.once(p) || p.Args[0].Op != ops.Broadcast || p.Args[1].Op != ops.Broadcast || p.Type.Rank() > 26 {
		return nil
	}
	all := "abcdefghijklmnopqrstuvwxyz"[:p.Type.Rank()]
	c := ops.Contraction{X: all, Y: all, Out: letters(all, without(len(all), ops.Axes.Of(v)))}
	x, y := spreadOf(g, p.Args[0]), spreadOf(g, p.Args[1])
	lx, ly := letters(all, x.axes), letters(all, y.axes)
	private := func(own, other string) bool {
		return strings.ContainsFunc(own, func(r rune) bool { return !strings.ContainsRune(other, r) && strings.ContainsRune(c.Out, r) })
	}
	summed := strings.ContainsFunc(lx, func(r rune) bool { return strings.ContainsRune(ly, r) && !strings.ContainsRune(c.Out, r) })
	if !private(lx, ly) || !private(ly, lx) || !summed {
		return nil
	}
	return contract(g, v.Type, c, p.Args[0], p.Args[1])
}

// foldOfDot sums over the taps of causal windows in the contraction, which then
// writes no windows. It takes as many products.
func foldOfDot(s *simplifier, g ops.Graph, v *ir.Value) *ir.Value {
	d, dilation := v.Args[0], v.Args[1]
	if !s.late || d.Op != ops.Dot || !s.once(d) {
		return nil
	}
	c := dotSpec(d)
	x, y := d.Args[0], d.Args[1]
	batch, time, tap := c.Out[:1], c.Out[1:2], c.Out[2:3]
	if !strings.Contains(c.X, time) {
		x, y, c.X, c.Y = y, x, c.Y, c.X
	}
	if len(c.X) != 3 || c.X[:2] != batch+time || strings.Contains(c.X, tap) || strings.Contains(c.Y, time) {
		return nil
	}
	windows := g.CausalUnwindow(x, dilation, d.Type.Shape[2])
	return g.Dot(spec(batch+time+tap+c.X[2:], c.Y, batch+time+c.Out[3:]), windows, y)
}
