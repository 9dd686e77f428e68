package ops

import (
	"fmt"
	"slices"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// A Geometry says where windows lie, one number per spatial axis: window o
// reads the places o*Stride + k*Dilation - PadLo for k = 0 … Kernel-1. Places
// outside of the tensor are padding.
type Geometry struct {
	Kernel, Stride, PadLo, PadHi, Dilation []int
}

// Valid is the geometry of windows of the given extents, next to each other by
// one place, without padding.
func Valid(kernel ...int) Geometry {
	n := len(kernel)
	g := Geometry{Kernel: kernel, Stride: make([]int, n), PadLo: make([]int, n), PadHi: make([]int, n), Dilation: make([]int, n)}
	for i := range n {
		g.Stride[i], g.Dilation[i] = 1, 1
	}
	return g
}

// GeometryOf reads the geometry of a window op, or of a convolution, whose
// kernel is that of the filter.
func GeometryOf(v *ir.Value) Geometry {
	g := Geometry{Stride: Strides.Of(v), PadLo: PadLo.Of(v), PadHi: PadHi.Of(v), Dilation: Dilation.Of(v)}
	if slices.Contains(v.Op.Attrs, ir.Key(Kernel)) {
		g.Kernel = Kernel.Of(v)
		return g
	}
	filter := v.Type.Shape
	switch v.Op {
	case Conv, ConvInput:
		filter = v.Arg(1).Shape
	case ConvFilter:
		filter = Shape.Of(v)
	}
	for _, d := range filter[:max(0, len(filter)-2)] {
		n, _ := d.Const()
		g.Kernel = append(g.Kernel, n)
	}
	return g
}

// Settings are the attributes of a window op.
func (g Geometry) Settings() []ir.Setting {
	return append([]ir.Setting{Kernel.Is(g.Kernel)}, g.settings()...)
}

// settings are the attributes of a convolution.
func (g Geometry) settings() []ir.Setting {
	return []ir.Setting{Strides.Is(g.Stride), PadLo.Is(g.PadLo), PadHi.Is(g.PadHi), Dilation.Is(g.Dilation)}
}

// Rank is the number of spatial axes.
func (g Geometry) Rank() int { return len(g.Kernel) }

// check reports what is wrong with g for a tensor [batch, spatial…, channels].
func (g Geometry) check(t ir.Type) error {
	n := g.Rank()
	if len(g.Stride) != n || len(g.PadLo) != n || len(g.PadHi) != n || len(g.Dilation) != n {
		return fmt.Errorf("%d windows, %d strides, %d and %d paddings, %d dilations", n, len(g.Stride), len(g.PadLo), len(g.PadHi), len(g.Dilation))
	}
	if n == 0 || t.Rank() != n+2 {
		return fmt.Errorf("%v has not batch, %d spatial axes and channels", t, n)
	}
	for i := range n {
		if g.Kernel[i] < 1 || g.Stride[i] < 1 || g.Dilation[i] < 1 || g.PadLo[i] < 0 || g.PadHi[i] < 0 {
			return fmt.Errorf("spatial axis %d has the window %d, stride %d, padding %d and %d, dilation %d", i, g.Kernel[i], g.Stride[i], g.PadLo[i], g.PadHi[i], g.Dilation[i])
		}
	}
	return nil
}

// Places is the number of windows along each spatial axis of these extents.
func (g Geometry) Places(spatial []ir.Dim) ([]ir.Dim, error) {
	out := make([]ir.Dim, len(spatial))
	for i, s := range spatial {
		room := s.AddN(g.PadLo[i] + g.PadHi[i] - g.Dilation[i]*(g.Kernel[i]-1) - 1)
		if n, ok := room.Const(); ok && n < 0 {
			return nil, fmt.Errorf("a window of %d places does not fit into spatial axis %d of extent %v with the padding %d and %d",
				g.Dilation[i]*(g.Kernel[i]-1)+1, i, s, g.PadLo[i], g.PadHi[i])
		}
		out[i] = room.FloorDiv(loop.N(g.Stride[i])).AddN(1)
	}
	return out, nil
}

// taps is the extents of the window as dims.
func (g Geometry) taps() []ir.Dim { return dims(g.Kernel...) }

// read is the index that window o reads with tap k along spatial axis i.
func (g Geometry) read(i int, o, k loop.Index) loop.Index {
	return plus(o.Scale(loop.N(g.Stride[i])).Add(k.Scale(loop.N(g.Dilation[i]))), loop.N(-g.PadLo[i]))
}

// reader is the index of the window that reads place s with tap k along
// spatial axis i, and whether there is one of n; nil if there always is.
func (g Geometry) reader(e *ir.Emitter, i int, s, k loop.Index, n ir.Dim) (loop.Index, *loop.Val) {
	o := plus(s.Add(k.Scale(loop.N(-g.Dilation[i]))), loop.N(g.PadLo[i]))
	at := e.IndexVal(o)
	var ok *loop.Val
	if g.Stride[i] > 1 {
		step := integer(e, g.Stride[i])
		ok = e.Do(loop.Eq, e.Do(loop.Mod, at, step), integer(e, 0))
		at = e.Do(loop.Div, at, step)
		o = loop.At(at)
	} else if g.Kernel[i] == 1 && g.PadLo[i] == 0 && g.PadHi[i] == 0 {
		return o, nil
	}
	in := inside(e, at, n)
	if ok != nil {
		in = e.Do(loop.And, ok, in)
	}
	return o, in
}

// orZero is x where ok holds (nil: always), else 0 of x's type.
func orZero(e *ir.Emitter, ok *loop.Val, elem ir.Elem, x func() *loop.Val) *loop.Val {
	if ok == nil {
		return x()
	}
	return choose(e, ok, x, func() *loop.Val { return e.Const(elem, 0) })
}

func both(e *ir.Emitter, p, q *loop.Val) *loop.Val {
	switch {
	case p == nil:
		return q
	case q == nil:
		return p
	}
	return e.Do(loop.And, p, q)
}

// windowAttrs are the attributes of window ops, without Fill and Shape.
var windowAttrs = []ir.Key{Kernel, Strides, PadLo, PadHi, Dilation}

func init() {
	g2 := Geometry{Kernel: []int{2}, Stride: []int{1}, PadLo: []int{1}, PadHi: []int{0}, Dilation: []int{1}}
	g3 := Geometry{Kernel: []int{2}, Stride: []int{2}, PadLo: []int{0}, PadHi: []int{1}, Dilation: []int{2}}
	twoD := Geometry{Kernel: []int{2, 1}, Stride: []int{1, 2}, PadLo: []int{0, 1}, PadHi: []int{1, 0}, Dilation: []int{1, 1}}
	define(Window, ir.Op{
		Name: "window", Doc: "window lays out windows: x[B, S..., C] becomes [B, O..., K..., C] with the element of x at o*stride + k*dilation - padlo, or fill outside of x. " +
			"O is floor((S + padlo + padhi - dilation*(K-1) - 1) / stride) + 1, as in PyTorch without ceil_mode.",
		Args: unaryArgs, Attrs: append([]ir.Key{Fill}, windowAttrs...), Traits: ir.Traits{Layout: true},
		Infer: func(v *ir.Value) (ir.Type, error) {
			if err := tensor(v, 0, ir.F32, ir.I32); err != nil {
				return ir.Type{}, err
			}
			return windows(GeometryOf(v), v.Arg(0))
		},
		At: func(e *ir.Emitter, v *ir.Value, idx []loop.Index) *loop.Val {
			g := GeometryOf(v)
			n := g.Rank()
			from := slices.Concat(idx[:1+n], idx[1+2*n:])
			var ok *loop.Val
			for i := range n {
				s := g.read(i, idx[1+i], idx[1+n+i])
				from[1+i] = s
				if g.PadLo[i] > 0 || g.PadHi[i] > 0 {
					ok = both(e, ok, inside(e, e.IndexVal(s), v.Arg(0).Shape[1+i]))
				}
			}
			pull := func() *loop.Val { return e.Pull(v.Args[0], from) }
			if ok == nil {
				return pull()
			}
			return choose(e, ok, pull, func() *loop.Val { return e.Const(v.Type.Elem, Fill.Of(v)) })
		},
		Grad: func(b *ir.Builder, v, dy *ir.Value) []*ir.Value {
			return []*ir.Value{On(b).Fold(dy, GeometryOf(v), v.Arg(0).Shape)}
		},
		Samples: []ir.Sample{
			{Types: types(floats(1, 3, 1)), Attrs: append(g2.Settings(), Fill.Is(9)), In: data(row(1, 2, 3)), Want: row(9, 1, 1, 2, 2, 3)},
			{Types: types(floats(1, 4, 1)), Attrs: append(g3.Settings(), Fill.Is(0)), In: data(row(1, 2, 3, 4)), Want: row(1, 3, 3, 0)},
			{Types: types(floats(1, 2, 3, 1)), Attrs: append(twoD.Settings(), Fill.Is(0)), In: data(row(1, 2, 3, 4, 5, 6)), Want: row(0, 0, 2, 5, 0, 0, 5, 0)},
			{Types: types(floats(1, 1, 1)), Attrs: append(Valid(2).Settings(), Fill.Is(0)), Err: "a window of 2 places does not fit into spatial axis 0 of extent 1 with the padding 0 and 0"},
			{Types: types(floats(1, 1, 1)), Attrs: append(Valid(2, 2).Settings(), Fill.Is(0)), Err: "f32[1, 1, 1] has not batch, 2 spatial axes and channels"},
			{Types: types(floats(1, 1, 1)), Attrs: append(Valid(0).Settings(), Fill.Is(0)), Err: "spatial axis 0 has the window 0, stride 1, padding 0 and 0, dilation 1"},
		},
	})
	define(Fold, ir.Op{
		Name: "fold", Doc: "fold is the transpose of window: y[B, O..., K..., C] becomes the given shape [B, S..., C], where each element is the sum of the elements of y that window reads there; what lies in the padding is dropped.",
		Args: []ir.Arg{{Name: "y"}}, Attrs: append([]ir.Key{Shape}, windowAttrs...), Traits: ir.Traits{Reduces: true}, Tol: 1e-6,
		Infer: func(v *ir.Value) (ir.Type, error) {
			if err := tensor(v, 0, ir.F32); err != nil {
				return ir.Type{}, err
			}
			t := v.Arg(0).WithShape(Shape.Of(v)...)
			want, err := windows(GeometryOf(v), t)
			if err != nil {
				return ir.Type{}, err
			}
			if !v.Arg(0).Equal(want) {
				return errorf("operand y is %v, want %v", v.Arg(0), want)
			}
			return t, nil
		},
		At: func(e *ir.Emitter, v *ir.Value, idx []loop.Index) *loop.Val {
			g := GeometryOf(v)
			n := g.Rank()
			return e.ReduceNest(g.taps(), e.Const(v.Type.Elem, 0), func(k []loop.Index, acc *loop.Val) *loop.Val {
				from := slices.Concat(idx[:1+n], k, idx[1+n:])
				var ok *loop.Val
				for i := range n {
					o, in := g.reader(e, i, idx[1+i], k[i], v.Arg(0).Shape[1+i])
					from[1+i], ok = o, both(e, ok, in)
				}
				return e.Do(loop.Add, acc, orZero(e, ok, v.Type.Elem, func() *loop.Val { return e.Pull(v.Args[0], from) }))
			})
		},
		Grad: func(b *ir.Builder, v, dy *ir.Value) []*ir.Value {
			return []*ir.Value{On(b).Window(dy, GeometryOf(v), 0)}
		},
		Samples: []ir.Sample{
			{Types: types(floats(1, 3, 2, 1)), Attrs: append(g2.Settings(), Shape.Is(dims(1, 3, 1))), In: data(row(1, 2, 3, 4, 5, 6)), Want: row(5, 9, 6)},
			{Types: types(floats(1, 2, 2, 1)), Attrs: append(g3.Settings(), Shape.Is(dims(1, 4, 1))), In: data(row(1, 2, 3, 4)), Want: row(1, 0, 5, 0)},
			{Types: types(floats(1, 3, 2, 1)), Attrs: append(g2.Settings(), Shape.Is(dims(1, 4, 1))), Err: "operand y is f32[1, 3, 2, 1], want f32[1, 4, 2, 1]"},
		},
	})
	define(Unwindow, ir.Op{
		Name: "unwindow", Doc: "unwindow looks at windows from the places they read: y[B, O..., C] becomes [B, S..., K..., C] with the element of y whose window reads place s with tap k, or 0 if there is none. Shape is [B, S..., C].",
		Args: []ir.Arg{{Name: "y"}}, Attrs: append([]ir.Key{Shape}, windowAttrs...), Traits: ir.Traits{Layout: true},
		Infer: func(v *ir.Value) (ir.Type, error) {
			if err := tensor(v, 0, ir.F32); err != nil {
				return ir.Type{}, err
			}
			g, t := GeometryOf(v), v.Arg(0).WithShape(Shape.Of(v)...)
			if err := g.check(t); err != nil {
				return ir.Type{}, err
			}
			n := g.Rank()
			places, err := g.Places(t.Shape[1 : 1+n])
			if err != nil {
				return ir.Type{}, err
			}
			if want := slices.Concat(t.Shape[:1], places, t.Shape[1+n:]); !ir.SameShape(v.Arg(0).Shape, want) {
				return errorf("operand y is %v, want %v", v.Arg(0), t.WithShape(want...))
			}
			return t.WithShape(slices.Concat(t.Shape[:1+n], g.taps(), t.Shape[1+n:])...), nil
		},
		At: func(e *ir.Emitter, v *ir.Value, idx []loop.Index) *loop.Val {
			g := GeometryOf(v)
			n := g.Rank()
			from := slices.Concat(idx[:1+n], idx[1+2*n:])
			var ok *loop.Val
			for i := range n {
				o, in := g.reader(e, i, idx[1+i], idx[1+n+i], v.Arg(0).Shape[1+i])
				from[1+i], ok = o, both(e, ok, in)
			}
			return orZero(e, ok, v.Type.Elem, func() *loop.Val { return e.Pull(v.Args[0], from) })
		},
		Grad: gradUnwindow,
		Samples: []ir.Sample{
			{Types: types(floats(1, 3, 1)), Attrs: append(g2.Settings(), Shape.Is(dims(1, 3, 1))), In: data(row(1, 2, 3)), Want: row(2, 1, 3, 2, 0, 3)},
			{Types: types(floats(1, 2, 1)), Attrs: append(g3.Settings(), Shape.Is(dims(1, 4, 1))), In: data(row(1, 2)), Want: row(1, 0, 0, 0, 2, 1, 0, 0)},
			{Types: types(floats(1, 2, 2, 1)), Attrs: append(twoD.Settings(), Shape.Is(dims(1, 2, 3, 1))), In: data(row(1, 2, 3, 4)), Want: row(0, 0, 2, 0, 0, 0, 0, 0, 4, 2, 0, 0)},
			{Types: types(floats(1, 2, 1)), Attrs: append(g2.Settings(), Shape.Is(dims(1, 3, 1))), Err: "operand y is f32[1, 2, 1], want f32[1, 3, 1]"},
		},
	})

	causal := []ir.Arg{{Name: "x"}, {Name: "dilation", Doc: "i32 scalar: distance of taps, a run-time number"}}
	define(CausalWindow, ir.Op{
		Name: "causal_window", Doc: "causal_window lays out windows that look back: x[B, T, C] becomes [B, T, K, C] with x[t - (K-1-k)*dilation], or 0 outside of x. K is extent, a constant.",
		Args: causal, Attrs: []ir.Key{Extent}, Traits: ir.Traits{Layout: true},
		Infer: inferCausal,
		At: func(e *ir.Emitter, v *ir.Value, idx []loop.Index) *loop.Val {
			back := plus(idx[2].Scale(loop.N(-1)), Extent.Of(v).AddN(-1))
			return causally(e, v, idx[1], back, -1, func(s loop.Index) []loop.Index { return []loop.Index{idx[0], s, idx[3]} })
		},
		Grad: func(b *ir.Builder, v, dy *ir.Value) []*ir.Value {
			return []*ir.Value{On(b).CausalFold(dy, v.Args[1]), nil}
		},
		Samples: []ir.Sample{
			{Types: types(floats(1, 4, 1), ints()), Attrs: settings(Extent.Is(loop.N(2))), In: data(row(1, 2, 3, 4), row(2)), Want: row(0, 1, 0, 2, 1, 3, 2, 4)},
			{Types: types(floats(1, 2, 2), ints()), Attrs: settings(Extent.Is(loop.N(3))), In: data(row(1, 2, 3, 4), row(1)), Want: row(0, 0, 0, 0, 1, 2, 0, 0, 1, 2, 3, 4)},
			{Types: types(floats(1, 4), ints()), Attrs: settings(Extent.Is(loop.N(2))), Err: "operand x is f32[1, 4], want batch, time and channels"},
			{Types: types(floats(1, 4, 1), ints(1)), Attrs: settings(Extent.Is(loop.N(2))), Err: "operand dilation is i32[1], want i32"},
			{Types: types(floats(1, 4, 1), ints()), Attrs: settings(Extent.Is(loop.N(0))), Err: "the window has 0 taps"},
		},
	})
	define(CausalFold, ir.Op{
		Name: "causal_fold", Doc: "causal_fold is the transpose of causal_window: y[B, T, K, C] becomes [B, T, C], the sum over k of y[t + (K-1-k)*dilation, k], with 0 outside of y.",
		Args: []ir.Arg{{Name: "y"}, causal[1]}, Traits: ir.Traits{Reduces: true}, Tol: 1e-6,
		Infer: func(v *ir.Value) (ir.Type, error) {
			if err := tensor(v, 0, ir.F32); err != nil {
				return ir.Type{}, err
			}
			y := v.Arg(0)
			if y.Rank() != 4 {
				return errorf("operand y is %v, want batch, time, taps and channels", y)
			}
			return y.WithShape(without(y.Shape, 2)...), scalarInt(v, 1)
		},
		At: func(e *ir.Emitter, v *ir.Value, idx []loop.Index) *loop.Val {
			n := v.Arg(0).Shape[2]
			return e.Reduce("k", n, e.Const(loop.F32, 0), func(k, acc *loop.Val) *loop.Val {
				ahead := plus(loop.At(k).Scale(loop.N(-1)), n.AddN(-1))
				return e.Do(loop.Add, acc, causally(e, v, idx[1], ahead, 1, func(s loop.Index) []loop.Index {
					return []loop.Index{idx[0], s, loop.At(k), idx[2]}
				}))
			})
		},
		Grad: func(b *ir.Builder, v, dy *ir.Value) []*ir.Value {
			return []*ir.Value{On(b).CausalWindow(dy, v.Args[1], v.Arg(0).Shape[2]), nil}
		},
		Samples: []ir.Sample{
			{Types: types(floats(1, 3, 2, 1), ints()), In: data(row(1, 2, 3, 4, 5, 6), row(1)), Want: row(5, 9, 6)},
			{Types: types(floats(1, 4, 1), ints()), Err: "operand y is f32[1, 4, 1], want batch, time, taps and channels"},
		},
	})
	define(CausalUnwindow, ir.Op{
		Name: "causal_unwindow", Doc: "causal_unwindow looks at causal windows from the places they read: y[B, T, C] becomes [B, T, K, C] with y[t + (K-1-k)*dilation], or 0 outside of y.",
		Args: []ir.Arg{{Name: "y"}, causal[1]}, Attrs: []ir.Key{Extent}, Traits: ir.Traits{Layout: true},
		Infer: inferCausal,
		Expand: func(b *ir.Builder, v *ir.Value) *ir.Value {
			return On(b).CausalWindow(v.Args[0], On(b).Neg(v.Args[1]), Extent.Of(v))
		},
		Grad: func(b *ir.Builder, v, dy *ir.Value) []*ir.Value {
			return []*ir.Value{On(b).CausalFold(dy, On(b).Neg(v.Args[1])), nil}
		},
		Samples: []ir.Sample{
			{Types: types(floats(1, 4, 1), ints()), Attrs: settings(Extent.Is(loop.N(2))), In: data(row(1, 2, 3, 4), row(2)), Want: row(3, 1, 4, 2, 0, 3, 0, 4)},
			{Types: types(floats(4), ints()), Attrs: settings(Extent.Is(loop.N(2))), Err: "operand y is f32[4], want batch, time and channels"},
		},
	})
}

// windows is the type of the windows of x.
func windows(g Geometry, x ir.Type) (ir.Type, error) {
	if err := g.check(x); err != nil {
		return ir.Type{}, err
	}
	n := g.Rank()
	places, err := g.Places(x.Shape[1 : 1+n])
	if err != nil {
		return ir.Type{}, err
	}
	return x.WithShape(slices.Concat(x.Shape[:1], places, g.taps(), x.Shape[1+n:])...), nil
}

// gradUnwindow adds up, tap by tap, what the places that a window reads give
// back to it.
func gradUnwindow(b *ir.Builder, v, dy *ir.Value) []*ir.Value {
	g := On(b)
	geo := GeometryOf(v)
	n := geo.Rank()
	places := v.Arg(0).Shape[1 : 1+n]
	var total *ir.Value
	k := make([]int, n)
	for {
		tap := dy // only tap k, then without the axes of taps
		for i := range n {
			tap = g.Part(tap, 1+n+i, loop.N(k[i]), loop.N(1))
		}
		tap = g.Reshape(tap, slices.Concat(dy.Type.Shape[:1+n], dy.Type.Shape[1+2*n:])...)
		lo, hi, starts, steps := make([]ir.Dim, n+2), make([]ir.Dim, n+2), make([]ir.Dim, n+2), make([]int, n+2)
		steps[0], steps[n+1] = 1, 1
		for i := range n {
			lo[1+i], hi[1+i] = loop.N(geo.PadLo[i]), loop.N(geo.PadHi[i])
			starts[1+i], steps[1+i] = loop.N(k[i]*geo.Dilation[i]), geo.Stride[i]
		}
		tap = g.Pad(tap, g.Float(0), lo, hi, make([]int, n+2))
		part := g.Slice(tap, starts, slices.Concat(dy.Type.Shape[:1], places, dy.Type.Shape[1+2*n:]), steps)
		if total == nil {
			total = part
		} else {
			total = g.Add(total, part)
		}
		i := n - 1
		for ; i >= 0; i-- {
			if k[i]++; k[i] < geo.Kernel[i] {
				break
			}
			k[i] = 0
		}
		if i < 0 {
			break
		}
	}
	return []*ir.Value{total}
}

func inferCausal(v *ir.Value) (ir.Type, error) {
	if err := tensor(v, 0, ir.F32); err != nil {
		return ir.Type{}, err
	}
	x := v.Arg(0)
	if x.Rank() != 3 {
		return errorf("%s is %v, want batch, time and channels", argName(v, 0), x)
	}
	if n, ok := Extent.Of(v).Const(); ok && n < 1 {
		return errorf("the window has %d taps", n)
	}
	return x.WithShape(x.Shape[0], x.Shape[1], Extent.Of(v), x.Shape[2]), scalarInt(v, 1)
}

// causally pulls the element of operand 0 that is taps*dilation steps from t in
// the direction given, or 0 if that is outside.
func causally(e *ir.Emitter, v *ir.Value, t, taps loop.Index, direction int, from func(s loop.Index) []loop.Index) *loop.Val {
	d := element(e, v.Args[1], nil)
	move := e.Do(loop.Mul, e.IndexVal(taps), d)
	s := t.Add(loop.At(move).Scale(loop.N(direction)))
	return orZero(e, inside(e, e.IndexVal(s), v.Arg(0).Shape[1]), v.Type.Elem, func() *loop.Val { return e.Pull(v.Args[0], from(s)) })
}
