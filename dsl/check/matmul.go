package check

import (
	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/ir"
)

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// matmul is x @ y: the last axis of x against the last but one of y. y may be
// a vector, a matrix, or a stack of matrices with the leading dims of x.
func (c *checker) matmul(e dsl.Node, x, y dsl.Expr, s, t tensor) value {
	fail := func(format string, args ...any) *dsl.Diagnostic {
		return c.errorf(e, format, args...).Note(x, "%s", s.ctype).Note(y, "%s", t.ctype)
	}
	n, m := len(s.dims), len(t.dims)
	switch {
	case n == 0 || m == 0:
		c.fail(fail("`@` needs tensors on both sides").Helpf("use `*` to scale by a number"))
	case s.elem != ir.F32 || t.elem != ir.F32:
		d := fail("`@` cannot multiply %s by %s", s.elem, t.elem)
		if s.elem == ir.I32 {
			d.Helpf("convert: `f32(%s)`", x)
		} else if t.elem == ir.I32 {
			d.Helpf("convert: `f32(%s)`", y)
		}
		c.fail(d)
	case len(s.idx) > 0 || len(t.idx) > 0:
		c.fail(fail("`@` works on whole tensors").Helpf("inside index notation write the sum: `sum[k](a[i,k] * b[k,j])`"))
	}
	last := s.dims[n-1]
	if m == 1 {
		if !last.Eq(t.dims[0].Dim) {
			c.fail(fail("`@` sums over the last axis of the left side, which is %s, but the right side has length %s", last, t.dims[0]))
		}
		left := letters[:n]
		return c.dot(ctype{ir.F32, s.dims[:n-1]}, left+","+left[n-1:]+"->"+left[:n-1], s, t)
	}
	inner, out := t.dims[m-2], t.dims[m-1]
	if !last.Eq(inner.Dim) {
		d := fail("the inner dimensions of `@` differ: %s and %s", last, inner)
		if last.Eq(out.Dim) && m == 2 {
			d.Helpf("did you mean `%s @ %s.T`? it has the shape [%s]", x, y, dimList(append(append([]dim{}, s.dims[:n-1]...), inner)))
		}
		c.fail(d)
	}
	dims := append(append([]dim{}, s.dims[:n-1]...), out)
	left := letters[:n]
	z := string(letters[n])
	right := left[n-1:] + z
	if m > 2 {
		if n != m {
			c.fail(fail("`@` of two stacks of matrices needs the same number of axes"))
		}
		for i := 0; i < n-2; i++ {
			if !s.dims[i].Eq(t.dims[i].Dim) {
				c.fail(fail("the stacks of `@` differ in axis %d: %s and %s", i, s.dims[i], t.dims[i]))
			}
		}
		right = left[:n-2] + right
	}
	return c.dot(ctype{ir.F32, dims}, left+","+right+"->"+left[:n-1]+z, s, t)
}

func (c *checker) dot(typ ctype, spec string, s, t tensor) tensor {
	return tensor{ctype: typ, v: c.fr.g.Dot(spec, c.fr.use(s), c.fr.use(t)), fr: c.fr}
}
