package passes

import (
	"strings"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/ops"
)

// packs is the operand of a contraction v, whose operands are args, that is worth
// a copy in panels for schedules in vectors, and its axis of columns; -1 for
// none. It is a weight, and all sizes are known.
//
// A copy pays where the weight would be read badly or copied in every call, and
// the other operand does not have so many rows that this hardly counts: columns
// that are no neighbours, rows that lie half a page apart or a multiple of that.
// Windows of convolutions are copied themselves, block by block, and gain nothing.
// Where there are one or two of those rows the weight is read once, at the speed of
// memory, wherever it is. A function that changes weights makes the copy itself,
// before a loop, whose iterations together have to have enough rows.
func (r *preparer) packs(v *ir.Value, args []*ir.Value, at stillness) (operand, axis int) {
	spec, err := ops.ParseContraction(ops.Spec.Of(v))
	if err != nil || v.Type.Elem != ir.F32 || !fixed(v) {
		return -1, 0
	}
	extent := func(r rune) int {
		n, _ := spec.Extent(r, v.Arg(0), v.Arg(1)).Const()
		return n
	}
	letters := []string{spec.X, spec.Y}
	col := rune(0)
	for _, r := range spec.Out {
		if extent(r) != 1 {
			col = r
		}
	}
	if col == 0 || containsRune(spec.X, col) == containsRune(spec.Y, col) {
		return -1, 0
	}
	if containsRune(spec.Y, col) {
		operand = 1
	}
	w, other := letters[operand], letters[1-operand]
	rows, sums, last := 1, 1, rune(0)
	for _, r := range other {
		switch {
		case !containsRune(spec.Out, r):
			sums *= extent(r)
		case !containsRune(w, r):
			rows *= extent(r)
		}
	}
	for _, r := range w {
		if !containsRune(spec.Out, r) && extent(r) > 1 {
			last = r
		}
	}
	axis = strings.IndexRune(w, col)
	n := extent(col)
	if x := args[operand]; !at.still(x) || !isWeight(x) || last == 0 || rows < fewestRows || rows >= mostRows || n%ops.PanelWidth != 0 || n*sums < smallestPacked {
		return -1, 0
	}
	if repeats(args[1-operand]) || r.changing && r.trips*rows < worthACopy {
		return -1, 0
	}
	stride := 1
	for _, r := range w[strings.IndexRune(w, last)+1:] {
		stride *= extent(r)
	}
	if axis == len(w)-1 && (n == ops.PanelWidth || rows < inPlace && stride%halfPage != 0) {
		return -1, 0 // it is a panel, or good enough
	}
	return operand, axis
}

// repeated gives the loops of e, which may change weights, copies in panels of what
// their iterations read again and again.
func (r *preparer) repeated(e *ir.Entry) error {
	if e == nil || e.Func == nil {
		return nil
	}
	f, err := expand(e.Func)
	if err != nil {
		return err
	}
	r.changing = true
	defer func() { r.changing = false }()
	if f, err = r.level(f, make([]bool, len(f.Params))); err == nil {
		e.Func, err = dce(f)
	}
	return err
}

const (
	fewestRows     = 3
	mostRows       = 128
	worthACopy     = 128     // rows that gain what a copy costs
	smallestPacked = 1 << 12 // elements
	halfPage       = 512     // elements
)

// repeats reports whether v has elements of what it reads several times, as
// windows have.
func repeats(v *ir.Value) bool {
	for v.Op.Layout && len(v.Args) == 1 && v.Args[0].Type.Tuple == nil {
		x := v.Args[0]
		if estimate(v.Type.Len()) > estimate(x.Type.Len()) {
			return true
		}
		v = x
	}
	return false
}

// isWeight reports whether v is a parameter, seen through layout.
func isWeight(v *ir.Value) bool {
	for v.Op.Layout && len(v.Args) == 1 {
		v = v.Args[0]
	}
	return v.Op == ir.Param
}

// findPanels finds how the panels of operand i, the vector operand, are read;
// false if there are none.
func (g *gemm) findPanels(t *dotEmitter, i int) bool {
	x := g.p.dot.Args[i]
	if i != g.vector || x.Op != ops.Packed {
		return false
	}
	panel := t.NewVal(loop.Int, "")
	idx := []loop.Index{loop.At(panel)}
	for k, r := range []string{g.spec.X, g.spec.Y}[i] {
		switch {
		case k != ops.Axis.Of(x):
			idx = append(idx, t.at[r])
		case r != g.col:
			return false
		}
	}
	t.pull(x.Args[1], append(idx, t.at[g.col]))
	l, ok := t.K.Body[0].(*loop.Load)
	if !ok || len(t.K.Body) != 1 {
		t.K.Body = nil
		return false
	}
	g.operand[i] = operandForm{buf: l.Buf, at: l.At, panel: panel}
	return true
}

// inPanels reports whether the vector operand is read in panels of PanelWidth.
func (g *gemm) inPanels() bool { return g.operand[g.vector].panel != nil }

// enterPanel notes where the columns of the piece begin, from the number of the
// piece: in which panel, and how far in it.
func (g *gemm) enterPanel(piece *loop.Val) {
	if n := g.width() / ops.PanelWidth; n > 0 {
		g.panelAt, g.inPanelAt = loop.At(piece).Scale(loop.N(n)), loop.Index{}
		return
	}
	n := g.SizeOf(loop.N(ops.PanelWidth / g.width()))
	g.panelAt = loop.At(g.Do(loop.Div, piece, n))
	g.inPanelAt = loop.At(g.Do(loop.Mod, piece, n)).Scale(loop.N(g.width()))
}

// columnInPanels is the panel of the current column, and the place in it.
func (g *gemm) columnInPanels() (panel, column loop.Index) {
	from := g.at[g.col].Add(g.lo.Scale(loop.N(-1)))
	c, ok := from.Off.Const()
	if !ok || len(from.Terms) > 0 {
		panic("bug in pass schedule: a column in a panel is not known")
	}
	return g.panelAt.Add(loop.AtDim(loop.N(c / ops.PanelWidth))), g.inPanelAt.Add(loop.AtDim(loop.N(c % ops.PanelWidth)))
}
