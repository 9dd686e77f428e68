package passes

import (
	"slices"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/ops"
)

// A ramp is an integer tensor whose elements are sign*i + from for the index i
// along axis; sign is 1, -1, or 0 for a constant.
type ramp struct {
	axis, sign int
	from       ir.Dim
}

// rampOf finds out whether v is a ramp.
func rampOf(v *ir.Value) (ramp, bool) {
	switch v.Op {
	case ops.Iota:
		return ramp{axis: ops.Axis.Of(v), sign: 1}, true
	case ops.Const:
		return ramp{from: ir.Dim{}.AddN(int(ops.Fill.Of(v)))}, true
	case ops.Size:
		return ramp{from: ops.Extent.Of(v)}, true
	case ops.Neg:
		r, ok := rampOf(v.Args[0])
		return ramp{r.axis, -r.sign, r.from.Neg()}, ok
	case ops.Broadcast:
		r, ok := rampOf(v.Args[0])
		if ok && r.sign != 0 {
			if r.axis >= v.Arg(0).Rank() || v.Arg(0).Shape[r.axis].Is(1) {
				return ramp{}, false
			}
			r.axis = ops.Axes.Of(v)[r.axis]
		}
		return r, ok
	case ops.Add, ops.Sub:
		r, ok1 := rampOf(v.Args[0])
		q, ok2 := rampOf(v.Args[1])
		if v.Op == ops.Sub {
			q = ramp{q.axis, -q.sign, q.from.Neg()}
		}
		if !ok1 || !ok2 || r.sign != 0 && q.sign != 0 {
			return ramp{}, false
		}
		if r.sign == 0 {
			r, q = q, r
		}
		r.from = r.from.Add(q.from)
		return r, true
	}
	return ramp{}, false
}

// A span is a truth value that holds for the indices lo <= i < hi along axis.
type span struct {
	axis   int
	lo, hi ir.Dim
}

func (s span) equal(t span) bool { return s.axis == t.axis && s.lo.Eq(t.lo) && s.hi.Eq(t.hi) }

// spanOf finds out whether v is a span.
func spanOf(v *ir.Value) (span, bool) {
	switch v.Op {
	case ops.Broadcast:
		s, ok := spanOf(v.Args[0])
		if !ok || v.Arg(0).Shape[s.axis].Is(1) {
			return span{}, false
		}
		s.axis = ops.Axes.Of(v)[s.axis]
		return s, true
	case ops.Less, ops.LessEqual:
		a, ok1 := rampOf(v.Args[0])
		b, ok2 := rampOf(v.Args[1])
		if !ok1 || !ok2 || (a.sign == 0) == (b.sign == 0) || v.Type.Rank() == 0 {
			return span{}, false
		}
		strict := 0
		if v.Op == ops.Less {
			strict = 1
		}
		d := b.from.Sub(a.from).AddN(-strict) // b - a - strict >= 0
		sign, axis := b.sign-a.sign, max(a.axis*a.sign*a.sign, b.axis*b.sign*b.sign)
		s := span{axis: axis, hi: v.Type.Shape[axis]}
		if sign > 0 {
			s.lo = d.Neg()
		} else {
			s.hi = d.AddN(1)
		}
		return s, true
	case ops.And:
		s, ok1 := spanOf(v.Args[0])
		t, ok2 := spanOf(v.Args[1])
		if !ok1 || !ok2 || s.axis != t.axis {
			return span{}, false
		}
		n := v.Type.Shape[s.axis]
		if s.lo.Is(0) {
			s.lo = t.lo
		} else if !t.lo.Is(0) {
			return span{}, false
		}
		if s.hi.Eq(n) {
			s.hi = t.hi
		} else if !t.hi.Eq(n) {
			return span{}, false
		}
		return s, true
	}
	return span{}, false
}

// atLeast0 reports whether d cannot be negative: symbols are not.
func atLeast0(d ir.Dim) bool {
	for _, t := range d.Terms() {
		if t.Coef < 0 {
			return false
		}
	}
	return true
}

// gatherOfRun is a gather of neighbouring rows, perhaps only where a guard
// holds and of row 0 elsewhere: a slice of x, padded with zeros where it is
// too short. Rows that the guard lets through have to be inside x provably.
func gatherOfRun(_ *simplifier, g ops.Graph, v *ir.Value) *ir.Value {
	x, idx, axis := v.Args[0], v.Args[1], ops.Axis.Of(v)
	if idx.Type.Rank() != 1 {
		return nil
	}
	n, rows := idx.Type.Shape[0], x.Type.Shape[axis]
	where, guarded := span{hi: n}, false
	if idx.Op == ops.Select && idx.Args[2].Op == ops.Const && ops.Fill.Of(idx.Args[2]) == 0 {
		if where, guarded = spanOf(idx.Args[0]); !guarded {
			return nil
		}
		idx = idx.Args[1]
	}
	r, ok := rampOf(idx)
	if !ok || r.sign == 0 {
		return nil
	}
	// Row from+i, or after a flip from+(n-1-i), for lo <= i < hi.
	from := r.from
	lo, hi := where.lo, where.hi
	if r.sign < 0 {
		from = from.Sub(n).AddN(1)
		lo, hi = n.Sub(where.hi), n.Sub(where.lo)
	}
	if !atLeast0(lo.Add(from)) || !atLeast0(rows.Sub(hi).Sub(from)) {
		return nil
	}
	var before, after ir.Dim
	over := from.Add(n).Sub(rows)
	switch {
	case atLeast0(from):
	case atLeast0(from.Neg()):
		before = from.Neg()
	default:
		return nil
	}
	switch {
	case atLeast0(over.Neg()):
	case atLeast0(over):
		after = over
	default:
		return nil
	}
	rank := x.Type.Rank()
	at := func(d ir.Dim) []ir.Dim {
		out := make([]ir.Dim, rank)
		out[axis] = d
		return out
	}
	y := x
	if !before.Is(0) || !after.Is(0) {
		if !guarded {
			return nil
		}
		y = g.Pad(x, g.Constant(x.Type.Elem, 0), at(before), at(after), make([]int, rank))
	}
	y = g.Part(y, axis, from.Add(before), n)
	if r.sign < 0 {
		y = g.Flip(y, axis)
	}
	if !guarded {
		return y
	}
	first := g.Reshape(g.Part(x, axis, ir.Dim{}, countOf(nil)), slices.Delete(slices.Clone(x.Type.Shape), axis, axis+1)...)
	c := g.Broadcast(v.Args[1].Args[0], v.Type.Shape, axis)
	return g.Select(c, y, g.Broadcast(first, v.Type.Shape, without(rank, []int{axis})...))
}

// selectTwice drops the part of a choice that the choice around it does not
// let through.
func selectTwice(_ *simplifier, g ops.Graph, v *ir.Value) *ir.Value {
	c, x, y := v.Args[0], v.Args[1], v.Args[2]
	switch {
	case x.Op == ops.Select && sameCondition(c, x.Args[0]):
		return g.Select(c, x.Args[1], y)
	case y.Op == ops.Select && sameCondition(c, y.Args[0]):
		return g.Select(c, x, y.Args[2])
	}
	return nil
}

func sameCondition(a, b *ir.Value) bool {
	if a == b {
		return true
	}
	s, ok1 := spanOf(a)
	t, ok2 := spanOf(b)
	return ok1 && ok2 && s.equal(t)
}

// selectOfPad drops a choice between x and zeros where x is padded with zeros
// already.
func selectOfPad(_ *simplifier, _ ops.Graph, v *ir.Value) *ir.Value {
	x, alt := v.Args[1], v.Args[2]
	s, ok := spanOf(v.Args[0])
	if !ok || alt.Op != ops.Const {
		return nil
	}
	p, start := x, ir.Dim{}
	if p.Op == ops.Slice {
		if ops.Steps.Of(p)[s.axis] != 1 {
			return nil
		}
		start, p = ops.Starts.Of(p)[s.axis], p.Args[0]
	}
	if p.Op != ops.Pad || ops.Interior.Of(p)[s.axis] != 0 || p.Args[1].Op != ops.Const || ops.Fill.Of(p.Args[1]) != ops.Fill.Of(alt) {
		return nil
	}
	// x is inside for lo <= i < hi; all of what is outside must be padding.
	lo := ops.Lo.Of(p)[s.axis].Sub(start)
	hi := lo.Add(p.Arg(0).Shape[s.axis])
	n := v.Type.Shape[s.axis]
	if (s.lo.Is(0) || s.lo.Eq(lo)) && (s.hi.Eq(n) || s.hi.Eq(hi)) {
		return x
	}
	return nil
}
