package passes

import (
	"slices"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/ops"
)

// A groupKind is a way to compute a group by one kernel.
type groupKind uint8

const (
	// single: one value, whatever it is.
	single groupKind = iota
	// rows: values of one iteration space and reductions over the axes inside
	// its rows; the kernel loops over rows, and inside a row over phases.
	rows
	// columns: reductions over the outer axes; the kernel loops over them and
	// adds into the result, innermost axis contiguous.
	columns
	// contraction: one dot, with what its operands need and what follows it.
	contraction
	// untiled: an untile, and what follows it element by element.
	untiled
	// chained: contractions and what is between them, a block of rows at a time;
	// see chain.
	chained
)

// A plan is a group that can be one kernel.
type plan struct {
	kind    groupKind
	members []*ir.Value // in order; all others are in memory or seen through
	inside  map[*ir.Value]bool
	output  map[*ir.Value]bool
	reads   map[*ir.Value][]reading
	see     through
	memory  map[*ir.Value]storage // where values outside the group are, if that is known yet

	joinMemory bool // members that read the same memory have the same axes

	// Of rows, columns and contraction:
	extents []ir.Dim            // of the row axes, outermost first
	rowOf   map[*ir.Value][]int // per member and axis: the row axis, or -1
	avail   map[*ir.Value]int   // phase in which a member is known; a reduction runs in the phase before
	phases  int                 // number of the last phase
	dot     *ir.Value           // of contraction
	form    *dotForm            // of contraction
	untile  *ir.Value           // of untiled

	// Of chained:
	chain  *chain
	stages []*plan                 // in order: rows and contractions
	local  []*ir.Value             // what a later stage reads and is no output
	shares map[*ir.Value]*ir.Value // local values that take the memory of others, which are not read any more
	limit  *chainLimit             // nil: all indices matter

	mayChain bool // fuse has found that the contractions are of one chain
}

// inlines finds, by ID, the values of f that move or make elements at so little
// cost that they are computed wherever they are used rather than kept: layout,
// sources, and a little arithmetic of nothing but constants and counters, such
// as a causal mask.
func inlines(f *ir.Func) []bool {
	out := make([]bool, len(f.Values))
	free := make([]int, len(f.Values)) // the arithmetic that v takes; 0 if it takes anything else
	for _, v := range f.Values {
		layout := v.Op.Layout && v.Op != ops.DynUpdate && v.Op != ops.Get
		out[v.ID] = layout || v.Op.Source
		cost := 1
		for _, a := range v.Args {
			if free[a.ID] == 0 {
				cost = mostFree + 1
			}
			cost += free[a.ID]
		}
		ok := layout || v.Op.Source && len(v.Args) == 0 || v.Op.Lane != nil
		if ok && !v.Op.Costly && cost <= mostFree {
			free[v.ID], out[v.ID] = cost, true
		}
	}
	return out
}

// mostFree bounds the size of expressions that are computed again for each use.
const mostFree = 10

// planBody plans the body of a group that fuse has made.
func planBody(body *ir.Func, memory map[*ir.Value]storage) *plan {
	output := map[*ir.Value]bool{}
	for _, r := range body.Results {
		output[r] = true
	}
	in := inlines(body)
	see := func(v *ir.Value) bool { return in[v.ID] && !output[v] }
	p := &plan{mayChain: true, memory: memory, output: output, inside: map[*ir.Value]bool{}, reads: map[*ir.Value][]reading{}}
	for _, v := range body.Values {
		if v.Op != ir.Param && !see(v) {
			p.members = append(p.members, v)
			p.inside[v] = true
			p.reads[v] = readings(v, see)
		}
	}
	if !p.solve(see) {
		p.kind = single
	}
	return p
}

// solve finds out how the group can be one kernel; false if it cannot.
func (p *plan) solve(see through) bool {
	p.see = see
	var dots, untiles []*ir.Value
	reduces, special := false, false
	for _, v := range p.members {
		switch {
		case v.Op == ops.Dot:
			dots = append(dots, v)
		case v.Op == ops.Untile:
			untiles = append(untiles, v)
		case v.Op.Lower != nil || v.Op == ops.DynUpdate:
			special = true
		case v.Op.Reduces:
			reduces = true
		}
	}
	switch {
	case len(p.members) == 0:
		return false
	case special:
		return len(p.members) == 1
	case len(untiles) > 0:
		return len(untiles) == 1 && len(dots) == 0 && !reduces && p.solveUntile(untiles[0], see)
	case len(dots) > 1:
		return p.mayChain && p.solveChain(see)
	case len(dots) == 1:
		for _, p.joinMemory = range []bool{false, true} {
			if !reduces && p.solveDot(dots[0], see) {
				return true
			}
		}
		return false
	}
	for _, p.joinMemory = range []bool{false, true} {
		if p.solveColumns() || p.solveRows() {
			return true
		}
	}
	return false
}

// A valueAxis is an axis of a value.
type valueAxis struct {
	v *ir.Value
	i int
}

// classes joins axes that have the same index throughout the group.
type classes map[valueAxis]valueAxis

func (c classes) find(a valueAxis) valueAxis {
	for {
		b, ok := c[a]
		if !ok || b == a {
			return a
		}
		a = b
	}
}

func (c classes) join(a, b valueAxis) {
	if x, y := c.find(a), c.find(b); x != y {
		c[x] = y
	}
}

// joinAxes finds the classes of the axes of members; loose are axes with an
// index that is computed or runs inside an op.
func (p *plan) joinAxes(members []*ir.Value) (c classes, loose []valueAxis) {
	c = classes{}
	among := map[*ir.Value]bool{}
	for _, w := range members {
		among[w] = true
	}
	for _, w := range members {
		for _, r := range p.reads[w] {
			if p.joinMemory && !p.inside[r.from] {
				for j, o := range r.axes {
					if o.kind == fromAxis {
						c.join(valueAxis{r.from, j}, valueAxis{w, o.axis})
					}
				}
			}
			if !among[r.from] {
				continue
			}
			for j, o := range r.axes {
				switch o.kind {
				case unit:
				case fromAxis:
					c.join(valueAxis{r.from, j}, valueAxis{w, o.axis})
				default:
					loose = append(loose, valueAxis{r.from, j})
				}
			}
		}
	}
	return c, loose
}

// axesOf lists the classes of the axes of v that are longer than 1; false if
// two of them are the same.
func (c classes) axesOf(v *ir.Value) (out []valueAxis, ok bool) {
	for i, d := range v.Type.Shape {
		if d.Is(1) {
			continue
		}
		a := c.find(valueAxis{v, i})
		if slices.Contains(out, a) {
			return nil, false
		}
		out = append(out, a)
	}
	return out, true
}

// setRows makes the classes of reference, in its order, the row axes, and
// places the axes of every member. Members that lack some row axes must be
// cheap and no results: they are computed again where they are needed.
func (p *plan) setRows(c classes, loose []valueAxis, members []*ir.Value, row []valueAxis, extent func(valueAxis) ir.Dim) bool {
	number := map[valueAxis]int{}
	p.extents = nil
	for i, a := range row {
		number[a] = i
		p.extents = append(p.extents, extent(a))
	}
	for _, a := range loose {
		if _, ok := number[c.find(a)]; ok {
			return false
		}
	}
	if p.rowOf == nil {
		p.rowOf = map[*ir.Value][]int{}
	}
	for _, v := range members {
		axes, ok := c.axesOf(v)
		if !ok {
			return false
		}
		at := make([]int, v.Type.Rank())
		n, k := 0, 0
		for i, d := range v.Type.Shape {
			at[i] = -1
			if d.Is(1) {
				continue
			}
			if r, ok := number[axes[k]]; ok {
				if !d.Eq(p.extents[r]) {
					return false
				}
				at[i] = r
				n++
			}
			k++
		}
		if n < len(row) && (p.output[v] || v.Op.Reduces || n > 0 && costly(v, p.see)) {
			return false
		}
		p.rowOf[v] = at
	}
	return true
}

// inRow reports whether v has one element per row.
func (p *plan) inRow(v *ir.Value) bool {
	for i, r := range p.rowOf[v] {
		if r < 0 && !v.Type.Shape[i].Is(1) {
			return false
		}
	}
	return true
}

// solveRows plans a group of rows: all reductions have the same rows.
func (p *plan) solveRows() bool {
	p.kind = rows
	c, loose := p.joinAxes(p.members)
	var row []valueAxis
	var first *ir.Value
	widest := p.members[0]
	for _, v := range p.members {
		axes, ok := c.axesOf(v)
		if !ok {
			return false
		}
		if wide, _ := c.axesOf(widest); len(axes) > len(wide) || len(axes) == len(wide) && p.output[v] && !p.output[widest] {
			widest = v
		}
		if !v.Op.Reduces {
			continue
		}
		if first == nil {
			first, row = v, axes
			continue
		}
		if len(axes) != len(row) {
			return false
		}
		for _, a := range axes {
			if !slices.Contains(row, a) {
				return false
			}
		}
	}
	wide, _ := c.axesOf(widest)
	if first == nil {
		row = wide
	} else {
		// The order of the rows in the widest value is that of memory.
		at := func(a valueAxis) int { return slices.Index(wide, a) }
		sorted := slices.Clone(row)
		slices.SortStableFunc(sorted, func(a, b valueAxis) int { return at(a) - at(b) })
		row = sorted
	}
	extents := map[valueAxis]ir.Dim{}
	for _, v := range p.members {
		axes, _ := c.axesOf(v)
		k := 0
		for _, d := range v.Type.Shape {
			if !d.Is(1) {
				if have, ok := extents[axes[k]]; ok && !have.Eq(d) {
					return false
				}
				extents[axes[k]] = d
				k++
			}
		}
	}
	if !p.setRows(c, loose, p.members, row, func(a valueAxis) ir.Dim { return extents[a] }) {
		return false
	}
	if first != nil && len(row) == 0 {
		for v := range p.output {
			if !p.inRow(v) {
				return false // the whole group would be sequential
			}
		}
	}
	p.setPhases(p.members)
	return p.readsKnown()
}

// setPhases numbers the phases of a row: a reduction is known one phase after
// its operands.
func (p *plan) setPhases(members []*ir.Value) {
	p.avail, p.phases = map[*ir.Value]int{}, 0
	for _, v := range members {
		n := 0
		for _, r := range p.reads[v] {
			n = max(n, p.avail[r.from])
		}
		if v.Op.Reduces {
			n++
		}
		p.avail[v] = n
		p.phases = max(p.phases, n)
	}
}

// readsKnown reports whether no reduction is asked for by a member that is
// computed for other rows than its own: members that lack row axes.
func (p *plan) readsKnown() bool {
	for _, v := range p.members {
		n := 0
		for _, r := range p.rowOf[v] {
			if r >= 0 {
				n++
			}
		}
		if n < len(p.extents) && p.avail[v] > 0 {
			return false
		}
	}
	return true
}

// solveColumns plans a group of reductions over outer axes: the innermost axis
// of their operands is an axis of the result.
func (p *plan) solveColumns() bool {
	var first *ir.Value
	for _, v := range p.members {
		if v.Op.Reduces {
			if v.Op.Reducer == nil || !p.column(v) {
				return false
			}
			if first == nil {
				first = v
			} else if !ir.SameShape(reducedExtents(first), reducedExtents(v)) {
				return false
			}
		}
	}
	if first == nil || !p.solveRows() {
		return false
	}
	p.kind = columns
	if p.phases != 1 {
		return false
	}
	for _, v := range p.members {
		if !p.inRow(v) && (p.avail[v] == 1 || p.output[v] && !ir.SameShape(p.inner(v), longer(reducedExtents(first)))) {
			return false
		}
		// The row axes stand in one order everywhere.
		last := -1
		for _, r := range p.rowOf[v] {
			if r >= 0 {
				if r < last {
					return false
				}
				last = r
			}
		}
	}
	return true
}

// column reports whether the operand of the reduction v has an axis of the
// result innermost.
func (p *plan) column(v *ir.Value) bool {
	for _, r := range p.reads[v] {
		if len(r.axes) <= v.Type.Rank() {
			continue
		}
		for j := len(r.axes) - 1; j >= 0; j-- {
			if r.axes[j].kind != unit {
				return r.axes[j].kind == fromAxis
			}
		}
	}
	return false
}

// reducedExtents are the extents of the axes over which v reduces.
func reducedExtents(v *ir.Value) []ir.Dim {
	var out []ir.Dim
	for _, a := range ops.Axes.Of(v) {
		out = append(out, v.Arg(0).Shape[a])
	}
	return out
}
