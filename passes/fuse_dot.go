package passes

import (
	"strings"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/ops"
)

// A dotForm is how the loops of a contraction run.
type dotForm struct {
	kind   dotKind
	vector int // axpy: the operand that is walked along the innermost axis of the result
	// Letters, outermost first. Rows are axes of the result that the vector lacks
	// (axpy) or that the first operand has and the second lacks (tiles, where
	// columns are the others); columns, of axpy, are those of the vector.
	batch, rows, columns, summed []rune
}

type dotKind uint8

const (
	axpy    dotKind = iota // rows of the result += scalar * rows of the vector operand
	tiles                  // small tiles of the result, summed along contiguous axes of both operands
	general                // one element of both operands for each product
)

// chooseForm picks the loops for dot. Load gives, for an operand and letters,
// the distance in memory of neighbours along that letter, if the operand is
// nothing but a load there.
func chooseForm(dot *ir.Value, stride func(operand int, letter rune) (ir.Dim, bool)) *dotForm {
	c, _ := ops.ParseContraction(ops.Spec.Of(dot))
	f := &dotForm{kind: general, summed: []rune(c.Summed())}
	in := containsRune
	letters := [2]string{c.X, c.Y}
	contiguous := func(operand int, r rune) bool {
		d, ok := stride(operand, r)
		return ok && d.Is(1)
	}

	// Axes of extent 1 at the end do not count.
	last := rune(0)
	for _, r := range c.Out {
		if !c.Extent(r, dot.Arg(0), dot.Arg(1)).Is(1) {
			last = r
		}
	}
	f.vector = 1
	if last != 0 && in(letters[0], last) != in(letters[1], last) {
		if in(letters[0], last) {
			f.vector = 0
		}
		if contiguous(f.vector, last) {
			f.kind = axpy
		}
	}
	if f.kind == general && len(f.summed) > 0 {
		for _, k := range f.summed {
			if contiguous(0, k) && contiguous(1, k) {
				f.kind = tiles
				// The contiguous letter is summed innermost.
				f.summed = append(dropRune(f.summed, k), k)
				f.vector = 1
				break
			}
		}
	}
	if f.kind == general {
		for _, r := range c.Out {
			if r == last {
				f.columns = []rune{r}
			} else {
				f.batch = append(f.batch, r)
			}
		}
		return f
	}
	for _, r := range c.Out {
		switch v, s := in(letters[f.vector], r), in(letters[1-f.vector], r); {
		case v && s:
			f.batch = append(f.batch, r)
		case s:
			f.rows = append(f.rows, r)
		default:
			f.columns = append(f.columns, r)
		}
	}
	return f
}

func dropRune(rs []rune, r rune) []rune {
	var out []rune
	for _, x := range rs {
		if x != r {
			out = append(out, x)
		}
	}
	return out
}

// operandStride is the distance in memory of neighbours of operand x of a dot
// along axis, if getting an element of x is one load and nothing else.
func (p *plan) operandStride(x *ir.Value, axis int, see through) (ir.Dim, bool) {
	e := newEmitter("stride")
	idx := make([]loop.Index, x.Type.Rank())
	for i := range idx {
		idx[i] = loop.At(e.NewVal(loop.Int, ""))
	}
	loads := true
	var at loop.Index
	e.Pull = func(u *ir.Value, idx []loop.Index) *loop.Val {
		if see(u) {
			return e.compute(u, idx)
		}
		s, ok := p.memory[u]
		if !ok {
			s.strides = rowMajor(u.Type.Shape)
		}
		loads = loads && !p.inside[u]
		at = s.address(idx)
		return e.NewVal(u.Type.Elem, "")
	}
	e.Pull(x, idx)
	if !loads || len(e.K.Body) > 0 {
		return ir.Dim{}, false
	}
	for _, t := range at.Terms {
		if t.Var == idx[axis].Terms[0].Var {
			return t.Coef, true
		}
	}
	return ir.Dim{}, true
}

// solveDot plans the contraction d, which pointwise values may follow. What its
// operands need is in no group with it: an element of an operand is read many
// times, best from memory.
func (p *plan) solveDot(d *ir.Value, see through) bool {
	p.kind, p.dot = contraction, d
	for _, x := range d.Args {
		if len(p.closure(x, see)) > 0 {
			return false
		}
	}
	if !p.follow(d) {
		return false
	}
	p.form = p.formOf(d, see)
	return true
}

// follow makes the axes of d the rows of a group in which all else follows from
// d element by element; false if that is not so.
func (p *plan) follow(d *ir.Value) bool {
	c, loose := p.joinAxes(p.members)
	row, ok := c.axesOf(d)
	if !ok {
		return false
	}
	extents := map[valueAxis]ir.Dim{}
	k := 0
	for _, n := range d.Type.Shape {
		if !n.Is(1) {
			extents[row[k]] = n
			k++
		}
	}
	if !p.setRows(c, loose, p.members, row, func(a valueAxis) ir.Dim { return extents[a] }) {
		return false
	}
	for _, v := range p.members {
		if !p.inRow(v) {
			return false
		}
	}
	return true
}

// formOf chooses the loops for d.
func (p *plan) formOf(d *ir.Value, see through) *dotForm {
	spec, _ := ops.ParseContraction(ops.Spec.Of(d))
	return chooseForm(d, func(operand int, r rune) (ir.Dim, bool) {
		return p.operandStride(d.Args[operand], strings.IndexRune([]string{spec.X, spec.Y}[operand], r), see)
	})
}

// closure lists the members that computing x takes.
func (p *plan) closure(x *ir.Value, see through) map[*ir.Value]bool {
	out := map[*ir.Value]bool{}
	var visit func(v *ir.Value)
	visit = func(v *ir.Value) {
		switch {
		case see(v):
			for _, a := range v.Args {
				visit(a)
			}
		case p.inside[v] && !out[v]:
			out[v] = true
			for _, r := range p.reads[v] {
				visit(r.from)
			}
		}
	}
	visit(x)
	return out
}
