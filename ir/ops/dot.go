package ops

import (
	"fmt"
	"strings"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// A Contraction is a Spec taken apart: the letters of the axes.
type Contraction struct{ X, Y, Out string }

// ParseContraction reads a Spec.
func ParseContraction(spec string) (Contraction, error) {
	ins, out, ok1 := strings.Cut(spec, "->")
	x, y, ok2 := strings.Cut(ins, ",")
	c := Contraction{x, y, out}
	if !ok1 || !ok2 {
		return c, fmt.Errorf("the spec %q is not of the form a,b->c", spec)
	}
	for _, part := range []string{x, y, out} {
		for i, r := range part {
			if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
				return c, fmt.Errorf("the spec %q has the letter %q", spec, r)
			}
			if strings.ContainsRune(part[:i], r) {
				return c, fmt.Errorf("the spec %q has the letter %c twice in %s", spec, r, part)
			}
			n := 0
			for _, other := range []string{x, y, out} {
				if strings.ContainsRune(other, r) {
					n++
				}
			}
			if n < 2 {
				return c, fmt.Errorf("the spec %q has the letter %c only once", spec, r)
			}
		}
	}
	return c, nil
}

// Summed lists the letters that both operands have and the result has not, in
// the order of the first operand.
func (c Contraction) Summed() string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(c.Out, r) {
			return -1
		}
		return r
	}, c.X)
}

// Extent is the extent of a letter, given the types of the operands.
func (c Contraction) Extent(letter rune, x, y ir.Type) ir.Dim {
	if i := strings.IndexRune(c.X, letter); i >= 0 {
		return x.Shape[i]
	}
	return y.Shape[strings.IndexRune(c.Y, letter)]
}

func init() {
	define(Dot, ir.Op{
		Name: "dot",
		Doc: "dot is the product of x and y, summed over the letters of the spec that the result lacks: z[c] = sum x[a] * y[b], as in einsum. " +
			"Every letter is an axis, stands in at least two of the three and nowhere twice. Sums run in the order of x's axes, the last one fastest.",
		Args: binaryArgs, Attrs: []ir.Key{Spec}, Traits: ir.Traits{Reduces: true}, Tol: 1e-5,
		Infer: inferDot,
		At: func(e *ir.Emitter, v *ir.Value, idx []loop.Index) *loop.Val {
			c, _ := ParseContraction(Spec.Of(v))
			x, y := v.Args[0], v.Args[1]
			at := map[rune]loop.Index{}
			for i, r := range c.Out {
				at[r] = idx[i]
			}
			summed := []rune(c.Summed())
			shape := make([]ir.Dim, len(summed))
			for i, r := range summed {
				shape[i] = c.Extent(r, x.Type, y.Type)
			}
			pick := func(letters string) []loop.Index {
				out := make([]loop.Index, 0, len(letters))
				for _, r := range letters {
					out = append(out, at[r])
				}
				return out
			}
			return e.ReduceNest(shape, e.Const(v.Type.Elem, 0), func(k []loop.Index, acc *loop.Val) *loop.Val {
				for i, r := range summed {
					at[r] = k[i]
				}
				p := e.Pull(x, pick(c.X))
				q := e.Pull(y, pick(c.Y))
				return e.Do(loop.Add, acc, e.Do(loop.Mul, p, q))
			})
		},
		Grad: func(b *ir.Builder, v, dy *ir.Value) []*ir.Value {
			c, _ := ParseContraction(Spec.Of(v))
			g := On(b)
			return []*ir.Value{
				g.Dot(c.Out+","+c.Y+"->"+c.X, dy, v.Args[1]),
				g.Dot(c.Out+","+c.X+"->"+c.Y, dy, v.Args[0]),
			}
		},
		Samples: []ir.Sample{
			{Types: types(floats(2, 3), floats(3, 2)), Attrs: settings(Spec.Is("ab,bc->ac")), In: data(row(1, 2, 3, 4, 5, 6), row(1, 0, 0, 1, 2, 2)), Want: row(7, 8, 16, 17)},
			{Types: types(floats(2, 2, 3), floats(2, 3)), Attrs: settings(Spec.Is("bij,bj->ib")), In: data(count(12), row(1, 2, 3, 4, 5, 6)), Want: row(8, 107, 26, 152)},
			{Types: types(floats(2), floats(3)), Attrs: settings(Spec.Is("a,b->ba")), In: data(row(1, 2), row(3, 4, 5)), Want: row(3, 6, 4, 8, 5, 10)},
			{Types: types(floats(3), floats(3)), Attrs: settings(Spec.Is("a,a->")), In: data(row(1, 2, 3), row(4, 5, 6)), Want: row(32)},
			{Types: types(ints(2), ints(2)), Attrs: settings(Spec.Is("a,a->a")), In: data(row(1, 2), row(4, 5)), Want: row(4, 10)},
			{Types: types(floats(2, 3), floats(4, 2)), Attrs: settings(Spec.Is("ab,bc->ac")), Err: "axis b is 3 in f32[2, 3] and 4 in f32[4, 2]"},
			{Types: types(floats(2, 3), floats(3)), Attrs: settings(Spec.Is("ab,bc->ac")), Err: `the spec "ab,bc->ac" does not fit f32[2, 3] and f32[3]`},
			{Types: types(floats(2, 3), floats(3)), Attrs: settings(Spec.Is("ab,b->")), Err: `the spec "ab,b->" has the letter a only once`},
			{Types: types(floats(2, 2), floats(2)), Attrs: settings(Spec.Is("aa,a->a")), Err: `the spec "aa,a->a" has the letter a twice in aa`},
			{Types: types(floats(2), floats(2)), Attrs: settings(Spec.Is("a,a")), Err: `the spec "a,a" is not of the form a,b->c`},
			{Types: types(floats(2), ints(2)), Attrs: settings(Spec.Is("a,a->a")), Err: "operands have different types: f32[2] and i32[2]"},
		},
	})
}

func inferDot(v *ir.Value) (ir.Type, error) {
	x, y := v.Arg(0), v.Arg(1)
	for i := range v.Args {
		if err := tensor(v, i, ir.F32, ir.I32); err != nil {
			return ir.Type{}, err
		}
	}
	if x.Elem != y.Elem {
		return errorf("operands have different types: %v and %v", x, y)
	}
	c, err := ParseContraction(Spec.Of(v))
	if err != nil {
		return ir.Type{}, err
	}
	if len(c.X) != x.Rank() || len(c.Y) != y.Rank() {
		return errorf("the spec %q does not fit %v and %v", Spec.Of(v), x, y)
	}
	for i, r := range c.X {
		if k := strings.IndexRune(c.Y, r); k >= 0 && !x.Shape[i].Eq(y.Shape[k]) {
			return errorf("axis %c is %v in %v and %v in %v", r, x.Shape[i], x, y.Shape[k], y)
		}
	}
	out := make([]ir.Dim, 0, len(c.Out))
	for _, r := range c.Out {
		out = append(out, c.Extent(r, x, y))
	}
	return x.WithShape(out...), nil
}
