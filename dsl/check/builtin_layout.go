package check

import (
	"slices"
	"strings"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

func init() {
	add(
		row{name: "reshape", params: "x", brackets: "B, T, …", doc: "reshape gives x another shape: it joins neighbouring axes or splits one axis.", run: func(a *args) value { return a.reshape() }},
		row{name: "permute", params: "x, axes...", doc: "permute reorders the axes: axis i of the result is the i-th one listed.", run: func(a *args) value { return a.permutation() }},
		row{name: "concat", params: "xs..., axis = -1", doc: "concat joins tensors along an axis.", run: func(a *args) value { return a.concat() }},
		row{name: "split", params: "x, n, axis = -1", doc: "split cuts an axis into n equal parts, or into parts of the lengths listed.", run: func(a *args) value { return a.split() }},
		row{name: "flip", params: "x, axis = -1", doc: "flip reverses x along an axis.", run: func(a *args) value {
			t := a.tensor("x", ir.F32)
			axes := []int{a.axis("axis", t, -1)}
			return a.made(t.elem, t.dims, a.fr.g.Flip(t.v, shifted(t, axes)...), t)
		}},
		row{name: "gather", params: "x, index, axis = 0", doc: "gather takes the entries index of x along an axis, like x[index] for the first.", run: func(a *args) value {
			t, i := a.tensor("x", ir.F32), a.elem("index", ir.I32)
			a.wholeOnly(t, i)
			axis := a.axis("axis", t, 0)
			if i.arg > 0 {
				a.entry.inRange(i.arg-1, t.dims[axis].Dim)
			}
			return a.made(t.elem, slices.Concat(t.dims[:axis], i.dims, t.dims[axis+1:]), a.fr.g.Gather(t.v, i.v, axis))
		}},
		row{name: "size", params: "x, axis = …", doc: "size is the number of elements of x, or the length of an axis.", run: func(a *args) value {
			t := a.tensor("x", ir.F32)
			if a.has("axis") {
				return t.dims[a.axis("axis", t, 0)]
			}
			return plain(product(t.dims))
		}},
	)
}

func (a *args) reshape() value {
	to := a.shapeItems(a.call.items)
	if len(a.call.items) == 0 {
		a.fail(a.errorf(a.call.at, "`reshape` needs the new shape in brackets").Helpf("write `reshape[B, T](x)`"))
	}
	v := a.value("x")
	t := a.tensor("x", ir.F32)
	if s, ok := v.(tensor); ok && s.untyped {
		t = a.fr.here(s)
	}
	p, q := product(t.dims), product(to)
	shown := "[" + dimList(to) + "]"
	if !p.Eq(q) {
		d := a.errorf(a.call.at, "reshape must keep the number of elements: %s is not %s", polyString(p), polyString(q))
		d.Label = shown
		d.Note(a.node("x"), "%s", t.ctype)
		if ps, qs := p.Terms(), q.Terms(); len(ps) == 1 && len(qs) == 1 && len(ps[0].Factors) > 0 {
			m, n := loop.N(1), loop.N(1)
			if x, ok := p.Div(loop.N(ps[0].Coef)); ok {
				m = x
			}
			if x, ok := q.Div(loop.N(qs[0].Coef)); ok {
				n = x
			}
			if m.Eq(n) {
				d.Helpf("apart from %s, there are %d elements on one side and %d on the other", polyString(m), ps[0].Coef, qs[0].Coef)
			}
		}
		a.fail(d)
	}
	if bad := regroup(t.dims, to); bad != "" {
		d := a.errorf(a.call.at, "reshape may join neighbouring axes or split one axis, but this does both: %s", bad)
		d.Label = shown
		d.Note(a.node("x"), "%s", t.ctype)
		a.fail(d.Helpf("to move axes, use index notation first (`y[b,t,h,c] := x[b,h,t,c]`); to split and join, write two reshapes"))
	}
	var shape []loop.Dim
	for _, ix := range t.idx {
		shape = append(shape, ix.extent())
	}
	out := a.made(t.elem, to, a.fr.g.Reshape(t.v, append(shape, shapeOf(to)...)...), t)
	out.arg = t.arg
	return out
}

// regroup cuts two shapes of equal product into the smallest groups of equal
// product. Where both sides of a group have several axes it returns the two.
func regroup(from, to []dim) string {
	from, to = withoutOnes(from), withoutOnes(to)
	i, j := 0, 0
	for i < len(from) && j < len(to) {
		i0, j0 := i, j
		p, q := from[i].Dim, to[j].Dim
		i++
		j++
		for !p.Eq(q) {
			_, pq := q.Div(p)
			_, qp := p.Div(q)
			switch {
			case i < len(from) && (pq || !qp || j == len(to)):
				p = p.Mul(from[i].Dim)
				i++
			case j < len(to):
				q = q.Mul(to[j].Dim)
				j++
			default:
				return ""
			}
		}
		if i-i0 > 1 && j-j0 > 1 {
			return "[" + dimList(from[i0:i]) + "] to [" + dimList(to[j0:j]) + "]"
		}
	}
	return ""
}

func withoutOnes(ds []dim) []dim {
	return slices.DeleteFunc(slices.Clone(ds), func(d dim) bool { return d.Is(1) })
}

func (a *args) permutation() value {
	t := a.tensor("x", ir.F32)
	rest := a.rest
	var perm []int
	for _, r := range rest {
		v := a.live(a.arg(r))
		if l, ok := v.(list); ok && len(rest) == 1 {
			for _, x := range l.items {
				perm = append(perm, a.permAxis(r, x, t))
			}
			continue
		}
		perm = append(perm, a.permAxis(r, v, t))
	}
	seen := slices.Clone(perm)
	slices.Sort(seen)
	if len(slices.Compact(seen)) != len(t.dims) || len(perm) != len(t.dims) {
		a.fail(a.errorf(a.call.at, "`permute` must list each of the %s once", plural(len(t.dims), "axis", "axes")).Note(a.node("x"), "%s", t.ctype))
	}
	a.at(a.call.at)
	return a.permute(t, perm)
}

func (a *args) permAxis(r *argument, v value, t tensor) int {
	d, ok := asDim(v)
	n, isConst := d.Const()
	if n < 0 {
		n += len(t.dims)
	}
	if !ok || !isConst || n < 0 || n >= len(t.dims) {
		a.fail(a.errorf(r.node(), "there is no axis %s", strings.TrimPrefix(v.show(), "the number ")).Note(a.node("x"), "%s", t.ctype))
	}
	return n
}

func (a *args) concat() value {
	if len(a.rest) == 0 {
		a.failf(a.call.at, "`concat` needs tensors to join")
	}
	want := ir.F32
	for _, r := range a.rest {
		if t, ok := a.live(a.arg(r)).(tensor); ok && !t.untyped {
			want = t.elem
			break
		}
	}
	var ts []tensor
	for _, r := range a.rest {
		ts = append(ts, a.fr.here(a.asTensor(r.node(), a.arg(r), want)))
	}
	a.at(a.call.at)
	x := ts[0]
	axis := a.axis("axis", x, -1)
	length := loop.N(0)
	var idx []*index
	for i, t := range ts {
		fits := t.elem == x.elem && len(t.dims) == len(x.dims)
		for k := 0; fits && k < len(t.dims); k++ {
			fits = k == axis || t.dims[k].Eq(x.dims[k].Dim)
		}
		if !fits {
			a.fail(a.errorf(a.call.at, "`concat` along axis %d needs all other axes to be equal", axis).
				Note(a.rest[0].node(), "%s", x.ctype).Note(a.rest[i].node(), "%s", t.ctype))
		}
		length = length.Add(t.dims[axis].Dim)
		idx = mergeIndices(idx, t.idx)
	}
	vals := make([]*ir.Value, len(ts))
	for i, t := range ts {
		vals[i] = a.expand(t, idx, t.dims).v
	}
	dims := slices.Clone(x.dims)
	if len(ts) > 1 {
		dims[axis] = plain(length)
	}
	return tensor{ctype: ctype{x.elem, dims}, v: a.fr.g.Concat(axis+len(idx), vals...), fr: a.fr, idx: idx}
}

func (a *args) split() value {
	t := a.tensor("x", ir.F32)
	axis := a.axis("axis", t, -1)
	var sizes []dim
	switch v := a.constant("n").(type) {
	case list:
		sum := loop.N(0)
		for _, x := range v.items {
			d, ok := asDim(x)
			if !ok {
				a.failf(a.node("n"), "the lengths of `split` must be dimensions, found %s", x.show())
			}
			sizes = append(sizes, d)
			sum = sum.Add(d.Dim)
		}
		if !sum.Eq(t.dims[axis].Dim) {
			a.fail(a.errorf(a.node("n"), "the parts add up to %s, but axis %d has length %s", polyString(sum), axis, t.dims[axis]).Note(a.node("x"), "%s", t.ctype))
		}
	default:
		n := a.int("n", 1, 1)
		d, ok := t.dims[axis].Div(loop.N(n))
		if !ok {
			a.fail(a.errorf(a.call.at, "cannot split an axis of length %s into %d equal parts", t.dims[axis], n).Note(a.node("x"), "%s", t.ctype))
		}
		if n > 1024 {
			a.failf(a.node("n"), "`split` makes 1024 parts at most, not %d", n)
		}
		sizes = slices.Repeat([]dim{plain(d)}, n)
	}
	out := make(tuple, len(sizes))
	start := loop.N(0)
	for i, d := range sizes {
		dims := slices.Clone(t.dims)
		dims[axis] = d
		out[i] = a.made(t.elem, dims, a.part(t.v, axis+len(t.idx), start, d.Dim), t)
		start = start.Add(d.Dim)
	}
	if len(out) == 1 {
		return out[0]
	}
	return out
}

// part is n elements of v from start on along axis.
func (c *checker) part(v *ir.Value, axis int, start, n loop.Dim) *ir.Value {
	return c.steps(v, axis, start, n, 1)
}

// steps is n elements of v from start on along axis, every step-th.
func (c *checker) steps(v *ir.Value, axis int, start, n loop.Dim, step int) *ir.Value {
	shape := v.Type.Shape
	if start.Is(0) && step == 1 && n.Eq(shape[axis]) {
		return v
	}
	starts, size, by := make([]loop.Dim, len(shape)), slices.Clone(shape), slices.Repeat([]int{1}, len(shape))
	starts[axis], size[axis], by[axis] = start, n, step
	return c.fr.g.Slice(v, starts, size, by)
}
