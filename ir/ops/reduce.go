package ops

import (
	"math"
	"slices"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// A reducer is what reductions over axes differ in.
type reducer struct {
	name, doc string
	elems     []ir.Elem
	init      func(e ir.Elem) float64
	step      func(e *ir.Emitter, acc, x *loop.Val) *loop.Val
	fold      func(b *ir.Builder, v *ir.Value, x float64) *ir.Value // of a constant
	grad      func(b *ir.Builder, v, dy *ir.Value) []*ir.Value
	tol       float64
	samples   []ir.Sample
}

func (r reducer) op() ir.Op {
	return ir.Op{
		Name: r.name, Doc: r.doc, Args: unaryArgs, Attrs: []ir.Key{Axes}, Traits: ir.Traits{Reduces: true}, Tol: r.tol,
		Reducer: &ir.Reducer{Init: r.init, Step: r.step},
		Infer: func(v *ir.Value) (ir.Type, error) {
			if err := tensor(v, 0, r.elems...); err != nil {
				return ir.Type{}, err
			}
			if err := axesOf(v.Arg(0), Axes.Of(v)); err != nil {
				return ir.Type{}, err
			}
			return v.Arg(0).WithShape(without(v.Arg(0).Shape, Axes.Of(v)...)...), nil
		},
		At: func(e *ir.Emitter, v *ir.Value, idx []loop.Index) *loop.Val {
			x, axes := v.Args[0], Axes.Of(v)
			shape := make([]ir.Dim, len(axes))
			for i, a := range axes {
				shape[i] = x.Type.Shape[a]
			}
			return e.ReduceNest(shape, e.Const(v.Type.Elem, r.init(v.Type.Elem)), func(at []loop.Index, acc *loop.Val) *loop.Val {
				return r.step(e, acc, e.Pull(x, joined(idx, at, axes)))
			})
		},
		Fold: func(b *ir.Builder, v *ir.Value) *ir.Value {
			x := v.Args[0]
			if len(Axes.Of(v)) == 0 {
				return x
			}
			if c, ok := constant(x); ok && r.fold != nil {
				return r.fold(b, v, c)
			}
			return nil
		},
		Grad: r.grad, Samples: r.samples,
	}
}

// joined is the index that has at on the axes, which ascend, and idx on the others.
func joined(idx, at []loop.Index, axes []int) []loop.Index {
	out := make([]loop.Index, 0, len(idx)+len(at))
	i, k := 0, 0
	for n := range cap(out) {
		if k < len(axes) && axes[k] == n {
			out = append(out, at[k])
			k++
		} else {
			out = append(out, idx[i])
			i++
		}
	}
	return out
}

// accumulate makes the step of a reducer of one instruction.
func accumulate(op loop.Op) func(e *ir.Emitter, acc, x *loop.Val) *loop.Val {
	return func(e *ir.Emitter, acc, x *loop.Val) *loop.Val { return e.Do(op, acc, x) }
}

// latest makes the step of max and min: x stays out if it is NaN.
func latest(op loop.Op) func(e *ir.Emitter, acc, x *loop.Val) *loop.Val {
	return func(e *ir.Emitter, acc, x *loop.Val) *loop.Val { return e.Do(op, x, acc) }
}

func always(x float64) func(ir.Elem) float64 { return func(ir.Elem) float64 { return x } }

// lowest and highest are the ends of an element type.
func lowest(e ir.Elem) float64 {
	if e == ir.I32 {
		return math.MinInt32
	}
	return math.Inf(-1)
}

func highest(e ir.Elem) float64 {
	if e == ir.I32 {
		return math.MaxInt32
	}
	return math.Inf(1)
}

// Spread broadcasts y, a reduction of x over axes, to the shape of x.
func (g Graph) Spread(y, x *ir.Value, axes ...int) *ir.Value {
	return g.Broadcast(y, x.Type.Shape, others(x.Type.Rank(), axes...)...)
}

// attained is the gradient of a reduction that picks elements: those that
// equal the result share the cotangent.
func attained(b *ir.Builder, v, dy *ir.Value) []*ir.Value {
	g := On(b)
	x, axes := v.Args[0], Axes.Of(v)
	hit := g.Equal(x, g.Spread(v, x, axes...))
	n := g.Sum(g.Cast(hit, ir.F32), axes...)
	return []*ir.Value{g.Select(hit, g.Spread(g.Div(dy, n), x, axes...), g.Like(x, 0))}
}

func init() {
	axes := func(ns ...int) []ir.Setting { return settings(Axes.Is(ns)) }
	numbers, truths := []ir.Elem{ir.F32, ir.I32}, []ir.Elem{ir.Bool}
	bad := []ir.Sample{
		{Types: types(floats(2, 3)), Attrs: axes(2), Err: "f32[2, 3] has no axis 2"},
		{Types: types(floats(2, 3)), Attrs: axes(1, 0), Err: "axes [1 0] are not ascending"},
	}
	keep := func(b *ir.Builder, v *ir.Value, x float64) *ir.Value {
		for _, a := range Axes.Of(v) {
			if n, ok := v.Arg(0).Shape[a].Const(); !ok || n < 1 {
				return nil
			}
		}
		return On(b).Like(v, x)
	}

	define(Sum, reducer{
		name: "sum", doc: "sum adds up the elements over the axes, which disappear; the last axis runs fastest. Over no elements it is 0.",
		elems: numbers, init: always(0), step: accumulate(loop.Add), tol: 1e-5,
		fold: func(b *ir.Builder, v *ir.Value, x float64) *ir.Value {
			n := loop.N(1)
			for _, a := range Axes.Of(v) {
				n = n.Mul(v.Arg(0).Shape[a])
			}
			switch k, ok := n.Const(); {
			case x == 0:
				return On(b).Like(v, 0)
			case ok && x == math.Trunc(x) && math.Abs(x)*float64(k) < 1<<24: // every partial sum is exact
				return On(b).Like(v, x*float64(k))
			}
			return nil
		},
		grad: func(b *ir.Builder, v, dy *ir.Value) []*ir.Value {
			return []*ir.Value{On(b).Spread(dy, v.Args[0], Axes.Of(v)...)}
		},
		samples: append([]ir.Sample{
			{Types: types(floats(2, 3)), Attrs: axes(1), In: data(row(1, 2, 3, 4, 5, 6)), Want: row(6, 15)},
			{Types: types(floats(2, 3)), Attrs: axes(0, 1), In: data(row(1, 2, 3, 4, 5, 6)), Want: row(21)},
			{Types: types(floats(2, 0)), Attrs: axes(1), In: data(row()), Want: row(0, 0)},
			{Types: types(ints(2, 3)), Attrs: axes(0), In: data(row(1, 2, 3, 4, 5, 6)), Want: row(5, 7, 9)},
			{Types: types(bools(2)), Attrs: axes(0), Err: "operand x is bool[2], want f32 or i32"},
		}, bad...),
	}.op())
	define(Prod, reducer{
		name: "prod", doc: "prod multiplies the elements over the axes, which disappear. Over no elements it is 1. The gradient is right at zeros: the product of the other elements; that of the gradient is not.",
		elems: numbers, init: always(1), step: accumulate(loop.Mul), tol: 1e-5,
		fold: func(b *ir.Builder, v *ir.Value, x float64) *ir.Value {
			if x == 1 {
				return On(b).Like(v, 1)
			}
			return nil
		},
		grad: func(b *ir.Builder, v, dy *ir.Value) []*ir.Value {
			// The product of the others is that of all but the zeros, divided by the
			// element; at a zero it is that of all but the zeros if there is no other one.
			g := On(b)
			x, axes := v.Args[0], Axes.Of(v)
			zero := g.Equal(x, g.Like(x, 0))
			rest := g.Select(zero, g.Like(x, 1), x)
			n := g.Sum(g.Cast(zero, ir.F32), axes...)
			p := g.Prod(rest, axes...)
			none, one := g.Spread(g.Equal(n, g.Like(n, 0)), x, axes...), g.Spread(g.Equal(n, g.Like(n, 1)), x, axes...)
			others := g.Select(g.Or(none, g.And(zero, one)), g.Div(g.Spread(p, x, axes...), rest), g.Like(x, 0))
			return []*ir.Value{g.Mulz(g.Spread(dy, x, axes...), others)}
		},
		samples: append([]ir.Sample{
			{Types: types(floats(2, 3)), Attrs: axes(1), In: data(row(1, 2, 3, 4, 5, -6)), Want: row(6, -120)},
			{Types: types(floats(3, 3)), Attrs: axes(1), In: data(row(1, 0, 3, 0, 5, 0, 1, 2, 4)), Want: row(0, 0, 8), NoGrad2: "zeros"},
			{Types: types(ints(2, 3)), Attrs: axes(0), In: data(row(1, 2, 3, 4, 5, 6)), Want: row(4, 10, 18)},
		}, bad...),
	}.op())
	define(MaxOf, reducer{
		name: "max_of", doc: "max_of is the largest element over the axes, which disappear. NaN stays out; over no elements, or NaN only, it is -inf. Equal elements share the gradient equally, as in PyTorch's amax.",
		elems: numbers, init: lowest, step: latest(loop.Max), fold: keep, grad: attained,
		samples: append([]ir.Sample{
			{Types: types(floats(2, 3)), Attrs: axes(1), In: data(row(1, 5, 3, -4, -5, -6)), Want: row(5, -4)},
			{Types: types(floats(3)), Attrs: axes(0), In: data(row(1, math.NaN(), 0)), Want: row(1), NoGrad: "NaN"},
			{Types: types(floats(2, 0)), Attrs: axes(1), In: data(row()), Want: row(math.Inf(-1), math.Inf(-1)), NoGrad: "no elements"},
			{Types: types(ints(2, 3)), Attrs: axes(0, 1), In: data(row(1, 2, 3, 4, 5, -6)), Want: row(5)},
		}, bad...),
	}.op())
	define(MinOf, reducer{
		name: "min_of", doc: "min_of is the smallest element over the axes, which disappear. NaN stays out; over no elements, or NaN only, it is inf. Equal elements share the gradient equally, as in PyTorch's amin.",
		elems: numbers, init: highest, step: latest(loop.Min), fold: keep, grad: attained,
		samples: append([]ir.Sample{
			{Types: types(floats(2, 3)), Attrs: axes(1), In: data(row(1, 5, 3, -4, -5, -6)), Want: row(1, -6)},
			{Types: types(floats(3)), Attrs: axes(0), In: data(row(math.NaN(), 1, math.NaN())), Want: row(1), NoGrad: "NaN"},
			{Types: types(ints(2, 3)), Attrs: axes(0, 1), In: data(row(1, 2, 3, 4, 5, -6)), Want: row(-6)},
		}, bad...),
	}.op())
	define(All, reducer{
		name: "all", doc: "all is true if every element over the axes is, which disappear.",
		elems: truths, init: always(1), step: accumulate(loop.And), fold: keep,
		samples: []ir.Sample{
			{Types: types(bools(2, 2)), Attrs: axes(1), In: data(row(1, 1, 1, 0)), Want: row(1, 0)},
			{Types: types(floats(2)), Attrs: axes(0), Err: "operand x is f32[2], want bool"},
		},
	}.op())
	define(Any, reducer{
		name: "any", doc: "any is true if at least one element over the axes is, which disappear.",
		elems: truths, init: always(0), step: accumulate(loop.Or), fold: keep,
		samples: []ir.Sample{
			{Types: types(bools(2, 2)), Attrs: axes(1), In: data(row(0, 0, 1, 0)), Want: row(0, 1)},
			{Types: types(floats(2)), Attrs: axes(0), Err: "operand x is f32[2], want bool"},
		},
	}.op())

	define(ArgMax, arg("arg_max", "arg_max is the index of the first largest element along an axis, which disappears. NaN stays out; it is 0 if there is nothing else. Nothing flows back.",
		lowest, func(e *ir.Emitter, x, best *loop.Val) *loop.Val { return e.Do(loop.Lt, best, x) }, row(1, 0)))
	define(ArgMin, arg("arg_min", "arg_min is the index of the first smallest element along an axis, which disappears. NaN stays out; it is 0 if there is nothing else. Nothing flows back.",
		highest, func(e *ir.Emitter, x, best *loop.Val) *loop.Val { return e.Do(loop.Lt, x, best) }, row(0, 2)))

	define(CumSum, ir.Op{
		Name: "cum_sum", Doc: "cum_sum adds up along an axis: element i is the sum of the elements up to i, or of those before i if exclusive; from the end if reverse.",
		Args: unaryArgs, Attrs: []ir.Key{Axis, Exclusive, Reverse}, Traits: ir.Traits{Reduces: true}, Tol: 1e-5,
		Infer: func(v *ir.Value) (ir.Type, error) {
			if err := tensor(v, 0, numbers...); err != nil {
				return ir.Type{}, err
			}
			return v.Arg(0), axisOf(v.Arg(0), Axis.Of(v))
		},
		Lower: lowerCumSum,
		Grad: func(b *ir.Builder, v, dy *ir.Value) []*ir.Value {
			return []*ir.Value{On(b).CumSum(dy, Axis.Of(v), Exclusive.Of(v), !Reverse.Of(v))}
		},
		Samples: []ir.Sample{
			{Types: types(floats(2, 3)), Attrs: settings(Axis.Is(1), Exclusive.Is(false), Reverse.Is(false)), In: data(row(1, 2, 3, 4, 5, 6)), Want: row(1, 3, 6, 4, 9, 15)},
			{Types: types(floats(2, 3)), Attrs: settings(Axis.Is(1), Exclusive.Is(true), Reverse.Is(false)), In: data(row(1, 2, 3, 4, 5, 6)), Want: row(0, 1, 3, 0, 4, 9)},
			{Types: types(floats(2, 3)), Attrs: settings(Axis.Is(0), Exclusive.Is(false), Reverse.Is(true)), In: data(row(1, 2, 3, 4, 5, 6)), Want: row(5, 7, 9, 4, 5, 6)},
			{Types: types(ints(3)), Attrs: settings(Axis.Is(0), Exclusive.Is(true), Reverse.Is(true)), In: data(row(1, 2, 3)), Want: row(5, 3, 0)},
			{Types: types(floats(3)), Attrs: settings(Axis.Is(1), Exclusive.Is(true), Reverse.Is(true)), Err: "f32[3] has no axis 1"},
		},
	})
}

// arg is arg_max or arg_min; the samples have the wanted indices of two rows.
func arg(name, doc string, init func(ir.Elem) float64, better func(e *ir.Emitter, x, best *loop.Val) *loop.Val, want []float64) ir.Op {
	return ir.Op{
		Name: name, Doc: doc, Args: unaryArgs, Attrs: []ir.Key{Axis}, Traits: ir.Traits{Reduces: true},
		Infer: func(v *ir.Value) (ir.Type, error) {
			if err := tensor(v, 0, ir.F32, ir.I32); err != nil {
				return ir.Type{}, err
			}
			if err := axisOf(v.Arg(0), Axis.Of(v)); err != nil {
				return ir.Type{}, err
			}
			return ir.Tensor(ir.I32, without(v.Arg(0).Shape, Axis.Of(v))...), nil
		},
		At: func(e *ir.Emitter, v *ir.Value, idx []loop.Index) *loop.Val {
			x, axis := v.Args[0], Axis.Of(v)
			start := []*loop.Val{e.Const(x.Type.Elem, init(x.Type.Elem)), integer(e, 0)}
			return e.ConvertTo(loop.I32, e.For("k", loop.Bound{}, loop.Bound{Dim: x.Type.Shape[axis]}, 1, start, func(k *loop.Val, best []*loop.Val) []*loop.Val {
				y := e.Pull(x, slices.Insert(slices.Clone(idx), axis, loop.At(k)))
				c := better(e, y, best[0])
				return []*loop.Val{e.Do(loop.Select, c, y, best[0]), e.Do(loop.Select, c, k, best[1])}
			})[1])
		},
		Samples: []ir.Sample{
			{Types: types(floats(2, 3)), Attrs: settings(Axis.Is(1)), In: data(row(1, 5, 5, 4, 4, -6)), Want: want},
			{Types: types(floats(3, 2)), Attrs: settings(Axis.Is(0)), In: data(row(1, 4, 5, 4, 5, -6)), Want: want},
			{Types: types(ints(3)), Attrs: settings(Axis.Is(0)), In: data(row(2, 2, 2)), Want: row(0)},
			{Types: types(floats(3)), Attrs: settings(Axis.Is(0)), In: data(row(math.NaN(), math.NaN(), math.NaN())), Want: row(0)},
			{Types: types(bools(3)), Attrs: settings(Axis.Is(0)), Err: "operand x is bool[3], want f32 or i32"},
			{Types: types(floats(3)), Attrs: settings(Axis.Is(-1)), Err: "f32[3] has no axis -1"},
		},
	}
}

func lowerCumSum(e *ir.Emitter, v *ir.Value, out *loop.Buffer) {
	x, axis := v.Args[0], Axis.Of(v)
	n := x.Type.Shape[axis]
	e.Nest(without(x.Type.Shape, axis), func(idx []loop.Index) {
		e.For("k", loop.Bound{}, loop.Bound{Dim: n}, 1, []*loop.Val{e.Const(x.Type.Elem, 0)}, func(k *loop.Val, acc []*loop.Val) []*loop.Val {
			i := loop.At(k)
			if Reverse.Of(v) {
				i = plus(i.Scale(loop.N(-1)), n.AddN(-1))
			}
			at := slices.Insert(slices.Clone(idx), axis, i)
			next := e.Do(loop.Add, acc[0], e.Pull(x, at))
			stored := next
			if Exclusive.Of(v) {
				stored = acc[0]
			}
			e.Store(out, ir.Linear(v.Type.Shape, at), stored)
			return []*loop.Val{next}
		})
	})
}
