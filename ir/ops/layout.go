package ops

import (
	"fmt"
	"slices"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

var anyElem = []ir.Elem{ir.F32, ir.I32, ir.Bool}

func init() {
	define(Reshape, ir.Op{
		Name: "reshape", Doc: "reshape has the elements of x in row-major order in another shape.",
		Args: unaryArgs, Attrs: []ir.Key{Shape}, Traits: ir.Traits{Layout: true},
		Infer: func(v *ir.Value) (ir.Type, error) {
			if err := tensor(v, 0, anyElem...); err != nil {
				return ir.Type{}, err
			}
			t := v.Arg(0).WithShape(Shape.Of(v)...)
			if n, m := v.Arg(0).Len(), t.Len(); !n.Eq(m) {
				return errorf("%v has %v elements, %v has %v", v.Arg(0), n, t, m)
			}
			return t, extents(t.Shape)
		},
		At: func(e *ir.Emitter, v *ir.Value, idx []loop.Index) *loop.Val {
			return e.Pull(v.Args[0], reshaped(e, idx, v.Type.Shape, v.Arg(0).Shape))
		},
		Fold: func(b *ir.Builder, v *ir.Value) *ir.Value {
			x := v.Args[0]
			switch {
			case ir.SameShape(x.Type.Shape, v.Type.Shape):
				return x
			case x.Op == Reshape:
				return On(b).Reshape(x.Args[0], v.Type.Shape...)
			}
			return splat(b, v)
		},
		Grad: func(b *ir.Builder, v, dy *ir.Value) []*ir.Value {
			return []*ir.Value{On(b).Reshape(dy, v.Arg(0).Shape...)}
		},
		Samples: []ir.Sample{
			{Types: types(floats(2, 3)), Attrs: settings(Shape.Is(dims(3, 2))), In: data(row(1, 2, 3, 4, 5, 6)), Want: row(1, 2, 3, 4, 5, 6)},
			{Types: types(floats(2, 3, 4)), Attrs: settings(Shape.Is(dims(3, 2, 1, 4))), In: data(count(24)), Want: count(24)},
			{Types: types(floats()), Attrs: settings(Shape.Is(dims(1, 1))), In: data(row(7)), Want: row(7)},
			{Types: types(floats(2, 3)), Attrs: settings(Shape.Is(dims(4))), Err: "f32[2, 3] has 6 elements, f32[4] has 4"},
		},
	})
	define(Transpose, ir.Op{
		Name: "transpose", Doc: "transpose permutes the axes: axis i of the result is axis perm[i] of x.",
		Args: unaryArgs, Attrs: []ir.Key{Perm}, Traits: ir.Traits{Layout: true},
		Infer: func(v *ir.Value) (ir.Type, error) {
			if err := tensor(v, 0, anyElem...); err != nil {
				return ir.Type{}, err
			}
			perm := Perm.Of(v)
			if sorted := slices.Sorted(slices.Values(perm)); len(perm) != v.Arg(0).Rank() || !slices.Equal(sorted, others(len(perm))) {
				return errorf("%v is not a permutation of the axes of %v", perm, v.Arg(0))
			}
			out := make([]ir.Dim, len(perm))
			for i, p := range perm {
				out[i] = v.Arg(0).Shape[p]
			}
			return v.Arg(0).WithShape(out...), nil
		},
		At: func(e *ir.Emitter, v *ir.Value, idx []loop.Index) *loop.Val {
			from := make([]loop.Index, len(idx))
			for i, p := range Perm.Of(v) {
				from[p] = idx[i]
			}
			return e.Pull(v.Args[0], from)
		},
		Fold: func(b *ir.Builder, v *ir.Value) *ir.Value {
			x, perm := v.Args[0], Perm.Of(v)
			switch {
			case slices.Equal(perm, others(len(perm))):
				return x
			case x.Op == Transpose:
				both := make([]int, len(perm))
				for i, p := range perm {
					both[i] = Perm.Of(x)[p]
				}
				return On(b).Transpose(x.Args[0], both...)
			}
			return splat(b, v)
		},
		Grad: func(b *ir.Builder, v, dy *ir.Value) []*ir.Value {
			return []*ir.Value{On(b).Transpose(dy, inverse(Perm.Of(v))...)}
		},
		Samples: []ir.Sample{
			{Types: types(floats(2, 3)), Attrs: settings(Perm.Is([]int{1, 0})), In: data(row(1, 2, 3, 4, 5, 6)), Want: row(1, 4, 2, 5, 3, 6)},
			{Types: types(floats(1, 2, 3)), Attrs: settings(Perm.Is([]int{2, 0, 1})), In: data(row(1, 2, 3, 4, 5, 6)), Want: row(1, 4, 2, 5, 3, 6)},
			{Types: types(floats(2, 3)), Attrs: settings(Perm.Is([]int{0, 0})), Err: "[0 0] is not a permutation of the axes of f32[2, 3]"},
		},
	})
	define(Broadcast, ir.Op{
		Name: "broadcast", Doc: "broadcast repeats x: axis i of x becomes axis axes[i] of the result, repeated if its extent is 1; x is repeated along the other axes.",
		Args: unaryArgs, Attrs: []ir.Key{Shape, Axes}, Traits: ir.Traits{Layout: true},
		Infer: func(v *ir.Value) (ir.Type, error) {
			if err := tensor(v, 0, anyElem...); err != nil {
				return ir.Type{}, err
			}
			x, axes, t := v.Arg(0), Axes.Of(v), v.Arg(0).WithShape(Shape.Of(v)...)
			if err := axesOf(t, axes); err != nil {
				return ir.Type{}, err
			}
			if len(axes) != x.Rank() {
				return errorf("%d axes for %v", len(axes), x)
			}
			for i, a := range axes {
				if !x.Shape[i].Is(1) && !x.Shape[i].Eq(t.Shape[a]) {
					return errorf("axis %d of %v does not fit axis %d of %v", i, x, a, t)
				}
			}
			return t, extents(t.Shape)
		},
		At: func(e *ir.Emitter, v *ir.Value, idx []loop.Index) *loop.Val {
			from := make([]loop.Index, v.Arg(0).Rank())
			for i, a := range Axes.Of(v) {
				if !v.Arg(0).Shape[i].Is(1) {
					from[i] = idx[a]
				}
			}
			return e.Pull(v.Args[0], from)
		},
		Fold: func(b *ir.Builder, v *ir.Value) *ir.Value {
			x := v.Args[0]
			switch {
			case ir.SameShape(x.Type.Shape, v.Type.Shape):
				return x
			case x.Op == Broadcast:
				axes := slices.Clone(Axes.Of(x))
				for i, a := range axes {
					axes[i] = Axes.Of(v)[a]
				}
				return On(b).Broadcast(x.Args[0], v.Type.Shape, axes...)
			}
			return splat(b, v)
		},
		Grad: func(b *ir.Builder, v, dy *ir.Value) []*ir.Value {
			x, axes := v.Arg(0), Axes.Of(v)
			repeated := others(v.Type.Rank(), axes...)
			for i, a := range axes {
				if x.Shape[i].Is(1) && !v.Type.Shape[a].Is(1) {
					repeated = append(repeated, a)
				}
			}
			slices.Sort(repeated)
			g := On(b)
			return []*ir.Value{g.Reshape(g.Sum(dy, repeated...), x.Shape...)}
		},
		Samples: []ir.Sample{
			{Types: types(floats(2)), Attrs: settings(Shape.Is(dims(3, 2)), Axes.Is([]int{1})), In: data(row(1, 2)), Want: row(1, 2, 1, 2, 1, 2)},
			{Types: types(floats(2, 1)), Attrs: settings(Shape.Is(dims(2, 3)), Axes.Is([]int{0, 1})), In: data(row(1, 2)), Want: row(1, 1, 1, 2, 2, 2)},
			{Types: types(ints()), Attrs: settings(Shape.Is(dims(2)), Axes.Is(nil)), In: data(row(7)), Want: row(7, 7)},
			{Types: types(floats(2)), Attrs: settings(Shape.Is(dims(3, 3)), Axes.Is([]int{1})), Err: "axis 0 of f32[2] does not fit axis 1 of f32[3, 3]"},
			{Types: types(floats(2)), Attrs: settings(Shape.Is(dims(3)), Axes.Is([]int{})), Err: "0 axes for f32[2]"},
			{Types: types(floats(2, 2)), Attrs: settings(Shape.Is(dims(2, 2)), Axes.Is([]int{1, 0})), Err: "axes [1 0] are not ascending"},
		},
	})
	define(Flip, ir.Op{
		Name: "flip", Doc: "flip reverses x along the axes.",
		Args: unaryArgs, Attrs: []ir.Key{Axes}, Traits: ir.Traits{Layout: true},
		Infer: func(v *ir.Value) (ir.Type, error) {
			if err := tensor(v, 0, anyElem...); err != nil {
				return ir.Type{}, err
			}
			return v.Arg(0), axesOf(v.Arg(0), Axes.Of(v))
		},
		At: func(e *ir.Emitter, v *ir.Value, idx []loop.Index) *loop.Val {
			from := slices.Clone(idx)
			for _, a := range Axes.Of(v) {
				from[a] = plus(idx[a].Scale(loop.N(-1)), v.Type.Shape[a].AddN(-1))
			}
			return e.Pull(v.Args[0], from)
		},
		Fold: func(b *ir.Builder, v *ir.Value) *ir.Value {
			x := v.Args[0]
			if len(Axes.Of(v)) == 0 {
				return x
			}
			if x.Op == Flip && slices.Equal(Axes.Of(x), Axes.Of(v)) {
				return x.Args[0]
			}
			return splat(b, v)
		},
		Grad: func(b *ir.Builder, v, dy *ir.Value) []*ir.Value {
			return []*ir.Value{On(b).Flip(dy, Axes.Of(v)...)}
		},
		Samples: []ir.Sample{
			{Types: types(floats(2, 3)), Attrs: settings(Axes.Is([]int{1})), In: data(count(6)), Want: row(2, 1, 0, 5, 4, 3)},
			{Types: types(floats(2, 3)), Attrs: settings(Axes.Is([]int{0, 1})), In: data(count(6)), Want: row(5, 4, 3, 2, 1, 0)},
			{Types: types(floats(2)), Attrs: settings(Axes.Is([]int{1})), Err: "f32[2] has no axis 1"},
		},
	})
	define(Concat, ir.Op{
		Name: "concat", Doc: "concat joins tensors along an axis, the only one in which they may differ.",
		Args:  []ir.Arg{{Name: "xs", Doc: "at least one", Variadic: true}},
		Attrs: []ir.Key{Axis}, Traits: ir.Traits{Layout: true},
		Infer: inferConcat,
		At: func(e *ir.Emitter, v *ir.Value, idx []loop.Index) *loop.Val {
			axis := Axis.Of(v)
			at := e.IndexVal(idx[axis])
			var from func(k int, start ir.Dim) *loop.Val
			from = func(k int, start ir.Dim) *loop.Val {
				pull := func() *loop.Val { return e.Pull(v.Args[k], with(idx, axis, plus(idx[axis], start.Neg()))) }
				if k == len(v.Args)-1 {
					return pull()
				}
				end := start.Add(v.Arg(k).Shape[axis])
				return choose(e, e.Do(loop.Lt, at, e.SizeOf(end)), pull, func() *loop.Val { return from(k+1, end) })
			}
			return from(0, ir.Dim{})
		},
		Fold: func(b *ir.Builder, v *ir.Value) *ir.Value {
			if len(v.Args) == 1 {
				return v.Args[0]
			}
			for i, a := range v.Args {
				if a.Op == Concat && Axis.Of(a) == Axis.Of(v) {
					return On(b).Concat(Axis.Of(v), slices.Concat(v.Args[:i], a.Args, v.Args[i+1:])...)
				}
			}
			return nil
		},
		Grad: func(b *ir.Builder, v, dy *ir.Value) []*ir.Value {
			axis, start := Axis.Of(v), ir.Dim{}
			out := make([]*ir.Value, len(v.Args))
			for i, a := range v.Args {
				out[i] = On(b).Part(dy, axis, start, a.Type.Shape[axis])
				start = start.Add(a.Type.Shape[axis])
			}
			return out
		},
		Samples: []ir.Sample{
			{Types: types(floats(2, 1), floats(2, 2)), Attrs: settings(Axis.Is(1)), In: data(row(1, 2), row(3, 4, 5, 6)), Want: row(1, 3, 4, 2, 5, 6)},
			{Types: types(ints(1), ints(1), ints(2)), Attrs: settings(Axis.Is(0)), In: data(row(1), row(2), row(3, 4)), Want: row(1, 2, 3, 4)},
			{Types: types(floats(2, 1), floats(3, 2)), Attrs: settings(Axis.Is(1)), Err: "f32[2, 1] and f32[3, 2] differ in axis 0"},
			{Types: types(floats(2), ints(2)), Attrs: settings(Axis.Is(0)), Err: "operands have different types: f32[2] and i32[2]"},
			{Attrs: settings(Axis.Is(0)), Err: "no operands"},
		},
	})
}

func inferConcat(v *ir.Value) (ir.Type, error) {
	if len(v.Args) == 0 {
		return errorf("no operands")
	}
	t, axis := v.Arg(0), Axis.Of(v)
	var n ir.Dim
	for i := range v.Args {
		u := v.Arg(i)
		if err := tensor(v, i, anyElem...); err != nil {
			return ir.Type{}, err
		}
		if u.Elem != t.Elem || u.Rank() != t.Rank() {
			return errorf("operands have different types: %v and %v", t, u)
		}
		if err := axisOf(u, axis); err != nil {
			return ir.Type{}, err
		}
		for k := range u.Shape {
			if k != axis && !u.Shape[k].Eq(t.Shape[k]) {
				return errorf("%v and %v differ in axis %d", t, u, k)
			}
		}
		n = n.Add(u.Shape[axis])
	}
	return t.WithShape(replaced(t.Shape, axis, n)...), nil
}

// splat folds a layout op of a constant.
func splat(b *ir.Builder, v *ir.Value) *ir.Value {
	if x, ok := constant(v.Args[0]); ok {
		return On(b).Like(v, x)
	}
	return nil
}

// inverse is the permutation that undoes perm.
func inverse(perm []int) []int {
	out := make([]int, len(perm))
	for i, p := range perm {
		out[p] = i
	}
	return out
}

// count is 0, 1, … n-1.
func count(n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = float64(i)
	}
	return out
}

// reshaped turns an index into a tensor of the shape from into the index of
// the same element in the shape to. Axes that only pass through stay affine:
// the shapes are cut into the smallest groups of equal product, and only a
// group that splits a joined axis needs divisions.
func reshaped(e *ir.Emitter, idx []loop.Index, from, to []ir.Dim) []loop.Index {
	out := make([]loop.Index, len(to))
	for _, g := range groups(from, to) {
		f, t := from[g.from:g.fromEnd], to[g.to:g.toEnd]
		copy(out[g.to:], e.Delinear(ir.Linear(f, idx[g.from:g.fromEnd]), t))
	}
	return out
}

// A group is a run of axes of each of two shapes that have one product.
type group struct{ from, fromEnd, to, toEnd int }

// groups cuts two shapes of one product into groups, as small as can be found.
func groups(from, to []ir.Dim) []group {
	var out []group
	var g group
	p, q := loop.N(1), loop.N(1)
	// takes reports whether a group that lacks the factor q/p wants one more axis on the side of p.
	takes := func(p, q ir.Dim) bool { _, ok := q.Div(p); return ok }
	for g.fromEnd < len(from) || g.toEnd < len(to) {
		moreFrom, moreTo := g.fromEnd < len(from), g.toEnd < len(to)
		empty := g.from == g.fromEnd && g.to == g.toEnd
		switch {
		case empty && moreFrom && moreTo:
			p, q = from[g.fromEnd], to[g.toEnd]
			g.fromEnd++
			g.toEnd++
		case moreFrom && (takes(p, q) || !moreTo):
			p = p.Mul(from[g.fromEnd])
			g.fromEnd++
		case moreTo && (takes(q, p) || !moreFrom):
			q = q.Mul(to[g.toEnd])
			g.toEnd++
		default:
			p, q = p.Mul(from[g.fromEnd]), q.Mul(to[g.toEnd])
			g.fromEnd++
			g.toEnd++
		}
		if p.Eq(q) {
			out = append(out, g)
			g = group{g.fromEnd, g.fromEnd, g.toEnd, g.toEnd}
			p, q = loop.N(1), loop.N(1)
		}
	}
	if g.from < g.fromEnd || g.to < g.toEnd {
		out = append(out, g) // the products differ only in form, or are 0
	}
	return out
}

// partial checks that [start, start+(n-1)*step] is inside an axis where that is known.
func partial(t ir.Type, axis int, start, n ir.Dim, step int) error {
	if k, ok := start.Const(); ok && k < 0 {
		return fmt.Errorf("axis %d starts at %d", axis, k)
	}
	if k, ok := n.Const(); ok && k <= 0 {
		return nil
	}
	end := start.Add(n.AddN(-1).MulN(step)).AddN(1)
	if k, ok := t.Shape[axis].Sub(end).Const(); ok && k < 0 {
		return fmt.Errorf("elements up to %v of axis %d of %v", end, axis, t)
	}
	return nil
}
