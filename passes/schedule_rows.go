package passes

import (
	"slices"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/ops"
)

// rows emits a group of rows: a loop over rows and, for each row, phases. A
// phase is the loops over what is inside a row that can run when the reductions
// of the phases before are known; those over the same extents are one loop.
// Values that cost much and are needed in several phases are kept, others are
// computed again.
func (b *kernelBuilder) rows(p *plan) {
	keep := b.keep(p, p.members)
	b.nest(p.extents, func(row []loop.Index) { b.phases(p, p.members, keep, row) })
}

// at is the index of v in the given row, with inner for the other axes.
func (p *plan) at(v *ir.Value, row, inner []loop.Index) []loop.Index {
	idx := make([]loop.Index, v.Type.Rank())
	k := 0
	for i, r := range p.rowOf[v] {
		switch {
		case r >= 0:
			idx[i] = row[r]
		case !v.Type.Shape[i].Is(1):
			idx[i] = inner[k]
			k++
		}
	}
	return idx
}

// inner are the extents of the axes of v inside a row.
func (p *plan) inner(v *ir.Value) []ir.Dim {
	var out []ir.Dim
	for i, r := range p.rowOf[v] {
		if r < 0 && !v.Type.Shape[i].Is(1) {
			out = append(out, v.Type.Shape[i])
		}
	}
	return out
}

// phases emits the phases of one row.
func (b *kernelBuilder) phases(p *plan, members []*ir.Value, keep map[*ir.Value]storage, row []loop.Index) {
	stored := map[*ir.Value]bool{}
	for phase := 0; phase <= p.phases; phase++ {
		var loops []*rowLoop
		at := func(extents []ir.Dim) *rowLoop {
			for _, l := range loops {
				if ir.SameShape(l.extents, extents) {
					return l
				}
			}
			loops = append(loops, &rowLoop{extents: extents})
			return loops[len(loops)-1]
		}
		var later, single []*ir.Value
		for _, v := range members {
			_, kept := keep[v]
			switch {
			case v.Op.Reduces && p.avail[v] == phase+1 && v.Op.Reducer != nil:
				l := at(longer(reducedExtents(v)))
				l.reductions = append(l.reductions, v)
			case v.Op.Reduces && p.avail[v] == phase+1:
				later = append(later, v)
			case v.Op.Reduces:
			case p.avail[v] != phase || !p.output[v] && !kept:
			case p.inRow(v):
				single = append(single, v)
			default:
				l := at(p.inner(v))
				l.stores = append(l.stores, v)
			}
		}
		b.storeSingle(p, single, row)
		for _, l := range loops {
			b.rowLoop(p, l, keep, row)
			// From now on what is in memory is read there, unless something else
			// has taken its place.
			for _, v := range l.stores {
				stored[v] = true
				for w, s := range keep {
					if w != v && len(b.out[v]) > 0 && s.buf == b.out[v][0].buf {
						delete(b.in, w)
					}
				}
				if s, ok := keep[v]; ok {
					b.in[v] = s
				} else {
					b.in[v] = b.out[v][0]
				}
			}
		}
		for _, v := range later {
			idx := p.at(v, row, nil)
			x := b.pull(v, idx)
			b.bind(v, idx, x)
		}
		for _, v := range members {
			if v.Op.Reduces && p.avail[v] == phase+1 && p.output[v] {
				idx := p.at(v, row, nil)
				b.store(v, idx, b.pull(v, idx))
			}
		}
	}
	for v := range stored {
		delete(b.in, v) // the next part of the kernel is another row
	}
}

// storeSingle stores values that have one element in a row. In a native form
// they are all read before one is written, which may be in the place of an
// operand of another; portable code would keep too many at a time.
func (b *kernelBuilder) storeSingle(p *plan, vs []*ir.Value, row []loop.Index) {
	xs := make([]*loop.Val, len(vs))
	for i, v := range vs {
		xs[i] = b.pull(v, p.at(v, row, nil))
		if !b.native {
			b.store(v, p.at(v, row, nil), xs[i])
		}
	}
	if b.native {
		for i, v := range vs {
			b.store(v, p.at(v, row, nil), xs[i])
		}
	}
}

// A rowLoop is a loop over a part of a row: over axes that are longer than 1.
type rowLoop struct {
	extents    []ir.Dim
	reductions []*ir.Value
	stores     []*ir.Value
}

// parts is the number of partial results of a sum: as many additions can be
// under way at once.
const parts = 4

// rowLoop emits one loop: it folds all its reductions and stores all its
// values.
func (b *kernelBuilder) rowLoop(p *plan, l *rowLoop, keep map[*ir.Value]storage, row []loop.Index) {
	depth := len(l.extents)
	if depth == 0 {
		b.foldOne(p, l, keep, row)
		return
	}
	split := !b.native && len(l.reductions) > 0 && b.worthSplitting(p, l)
	n := 1
	if split {
		n = parts
	}
	init := func(copies int) []*loop.Val {
		var acc []*loop.Val
		for range copies {
			for _, v := range l.reductions {
				acc = append(acc, b.Const(v.Type.Elem, v.Op.Reducer.Init(v.Type.Elem)))
			}
		}
		return acc
	}
	inner := make([]loop.Index, depth)
	var rec func(axis int, acc []*loop.Val) []*loop.Val
	rec = func(axis int, acc []*loop.Val) []*loop.Val {
		extent := l.extents[axis]
		if extent.Is(1) && axis < depth-1 {
			inner[axis] = loop.Index{}
			return rec(axis+1, acc)
		}
		if axis < depth-1 {
			return b.For("i", loop.Bound{}, loop.Bound{Dim: extent}, 1, acc, func(i *loop.Val, phi []*loop.Val) []*loop.Val {
				b.parallel[i] = b.native
				inner[axis] = loop.At(i)
				return rec(axis+1, phi)
			})
		}
		to := loop.Bound{Dim: extent}
		if depth == 1 && b.limit != nil {
			to = loop.Bound{Val: b.limit}
		}
		if n == 1 {
			return b.For("j", loop.Bound{}, to, 1, acc, func(j *loop.Val, phi []*loop.Val) []*loop.Val {
				b.parallel[j] = b.native
				inner[axis] = loop.At(j)
				return b.fold(p, l, keep, row, inner, phi)
			})
		}
		m := len(l.reductions)
		var after *loop.Val
		acc = b.steps("j", loop.Bound{}, to, n, acc, &after, func(j *loop.Val, phi []*loop.Val) []*loop.Val {
			var next []*loop.Val
			for part := range n {
				inner[axis] = loop.At(j).Add(loop.AtDim(loop.N(part)))
				next = append(next, b.fold(p, l, keep, row, inner, phi[part*m:(part+1)*m])...)
			}
			return next
		})
		if c, ok := extent.Const(); ok && c%n == 0 && to.Val == nil {
			return acc
		}
		rest := b.For("j", loop.Bound{Val: after}, to, 1, acc[:m], func(j *loop.Val, phi []*loop.Val) []*loop.Val {
			inner[axis] = loop.At(j)
			return b.fold(p, l, keep, row, inner, phi)
		})
		return append(slices.Clone(rest), acc[m:]...)
	}
	acc := rec(0, init(n))
	m := len(l.reductions)
	for i, v := range l.reductions {
		x := acc[i]
		for part := 1; part < n; part++ {
			x = v.Op.Reducer.Step(&b.Emitter, x, acc[part*m+i])
		}
		b.bind(v, p.at(v, row, nil), x)
	}
}

// foldOne is a loop over no axes: one element.
func (b *kernelBuilder) foldOne(p *plan, l *rowLoop, keep map[*ir.Value]storage, row []loop.Index) {
	var acc []*loop.Val
	for _, v := range l.reductions {
		acc = append(acc, b.Const(v.Type.Elem, v.Op.Reducer.Init(v.Type.Elem)))
	}
	for i, x := range b.fold(p, l, keep, row, nil, acc) {
		b.bind(l.reductions[i], p.at(l.reductions[i], row, nil), x)
	}
}

// fold takes one element into every reduction of l and stores its values.
func (b *kernelBuilder) fold(p *plan, l *rowLoop, keep map[*ir.Value]storage, row, inner []loop.Index, acc []*loop.Val) []*loop.Val {
	next := make([]*loop.Val, len(acc))
	for i, v := range l.reductions {
		x := b.pull(v.Args[0], operandIndex(v, p.at(v, row, nil), allIndices(inner, reducedExtents(v))))
		next[i] = v.Op.Reducer.Step(&b.Emitter, acc[i], x)
	}
	type write struct {
		v   *ir.Value
		idx []loop.Index
		x   *loop.Val
	}
	var writes []write
	for _, v := range l.stores {
		idx := p.at(v, row, inner)
		writes = append(writes, write{v, idx, b.pull(v, idx)})
	}
	for _, w := range writes { // after all loads: results may replace operands
		b.store(w.v, w.idx, w.x)
		if s, ok := keep[w.v]; ok {
			b.Store(s.buf, s.address(w.idx), w.x)
		}
	}
	return next
}

// allIndices are the indices of axes of which inner has those longer than 1.
func allIndices(inner []loop.Index, extents []ir.Dim) []loop.Index {
	out := make([]loop.Index, len(extents))
	k := 0
	for i, d := range extents {
		if !d.Is(1) {
			out[i] = inner[k]
			k++
		}
	}
	return out
}

// operandIndex is the index in the operand of the reduction v whose result has
// index idx.
func operandIndex(v *ir.Value, idx, inner []loop.Index) []loop.Index {
	axes := ops.Axes.Of(v)
	out := make([]loop.Index, 0, len(idx)+len(inner))
	i, k := 0, 0
	for n := range len(idx) + len(axes) {
		if k < len(axes) && axes[k] == n {
			out = append(out, inner[k])
			k++
		} else {
			out = append(out, idx[i])
			i++
		}
	}
	return out
}

// worthSplitting reports whether the reductions of l are so cheap that their
// chains of additions would be what they wait for.
func (b *kernelBuilder) worthSplitting(p *plan, l *rowLoop) bool {
	last := l.extents[len(l.extents)-1]
	if c, ok := last.Const(); ok && c < 4*parts {
		return false
	}
	for _, v := range l.reductions {
		if b.costly(v.Args[0], nil) {
			return false
		}
	}
	for _, v := range l.stores {
		if b.costly(v, nil) {
			return false
		}
	}
	return len(l.reductions) <= 3
}

// costly reports whether computing an element of v, as far as it is not in
// memory or kept, takes a function such as exp.
func (b *kernelBuilder) costly(v *ir.Value, kept map[*ir.Value]storage) bool {
	if v.Op == ir.Param || v.Op.Reduces {
		return false
	}
	if _, ok := b.in[v]; ok {
		return false
	}
	return v.Op.Costly || slices.ContainsFunc(v.Args, func(a *ir.Value) bool {
		_, ok := kept[a]
		return !ok && b.costly(a, kept)
	})
}

// keep decides where the values go that cost much, are no results and are
// needed in a phase after the one that computes them: into the memory of a
// result that is written later, or into scratch.
func (b *kernelBuilder) keep(p *plan, members []*ir.Value) map[*ir.Value]storage {
	keep := map[*ir.Value]storage{}
	lent := map[*ir.Value]bool{}
	needed := p.needed(members)
	for _, v := range members {
		if p.output[v] || v.Op.Reduces || p.inRow(v) || needed[v] <= p.avail[v] || !b.costly(v, keep) {
			continue
		}
		var host *ir.Value
		for _, o := range members {
			if p.output[o] && !lent[o] && !b.over[o] && o.Type.Equal(v.Type) && slices.Equal(p.rowOf[o], p.rowOf[v]) && p.avail[o] >= needed[v] && p.avail[o] > p.avail[v] && p.readInPlace(v, members) {
				host = o
				break
			}
		}
		if host != nil {
			lent[host] = true
			keep[v] = b.out[host][0]
			continue
		}
		keep[v] = b.scratch(p, v)
	}
	return keep
}

// scratch is memory for v of the kernel's own: for one row if rows are computed
// one after the other.
func (b *kernelBuilder) scratch(p *plan, v *ir.Value) storage {
	s := storage{strides: rowMajor(v.Type.Shape)}
	if !b.sequential {
		s.buf = b.Buffer(b.names.pick("", "scratch"), v.Type.Elem, v.Type.Len(), true)
		return s
	}
	n := loop.N(1)
	for i := len(s.strides) - 1; i >= 0; i-- {
		if p.rowOf[v][i] >= 0 {
			s.strides[i] = loop.N(0)
			continue
		}
		s.strides[i] = n
		n = n.Mul(v.Type.Shape[i])
	}
	if s.buf = b.rowOf[v]; s.buf == nil {
		s.buf = b.Local(b.names.pick("", "row"), v.Type.Elem, n)
		b.rowOf[v] = s.buf
	}
	return s
}

// needed is the last phase in which each member is asked for.
func (p *plan) needed(members []*ir.Value) map[*ir.Value]int {
	out := map[*ir.Value]int{}
	for i := len(members) - 1; i >= 0; i-- {
		w := members[i]
		at := p.avail[w]
		if w.Op.Reduces {
			at--
		} else if !p.output[w] {
			at = max(at, out[w])
		}
		for _, r := range p.reads[w] {
			out[r.from] = max(out[r.from], at)
		}
	}
	return out
}

// readInPlace reports whether all that read v want the element at their own
// index, so that it may be overwritten by one of them.
func (p *plan) readInPlace(v *ir.Value, members []*ir.Value) bool {
	for _, w := range members {
		for _, r := range p.reads[w] {
			if r.from != v || w.Op.Reducer != nil {
				continue
			}
			for i, o := range r.axes {
				if o.kind != unit && (o.kind != fromAxis || o.axis != i) {
					return false
				}
			}
		}
	}
	return true
}
