package ops

import (
	"slices"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// Convolutions are products of windows: the windows are never in memory, for
// the product pulls what it needs. Conv, the gradient to its input and that to
// its filter are closed under differentiation.

var convAttrs = []ir.Key{Strides, PadLo, PadHi, Dilation, Groups}

func init() {
	one := Valid(2).settings()
	strided := Geometry{Stride: []int{2}, PadLo: []int{1}, PadHi: []int{1}, Dilation: []int{1}}.settings()
	twoD := Geometry{Stride: []int{1, 2}, PadLo: []int{0, 1}, PadHi: []int{1, 0}, Dilation: []int{1, 1}}.settings()
	attrs := func(geometry []ir.Setting, groups int, more ...ir.Setting) []ir.Setting {
		return slices.Concat(geometry, []ir.Setting{Groups.Is(groups)}, more)
	}
	define(Conv, ir.Op{
		Name: "conv",
		Doc: "conv slides the filter w[K..., I/groups, N] over x[B, S..., I], any number of spatial axes, without flipping it (cross-correlation, as in PyTorch): the result is [B, O..., N] with O as in window. " +
			"Group g of the channels of the result sees group g of the channels of x.",
		Args: []ir.Arg{{Name: "x"}, {Name: "w"}}, Attrs: convAttrs, Traits: ir.Traits{Reduces: true}, Tol: 1e-5,
		Infer: func(v *ir.Value) (ir.Type, error) { return inferConv(v, v.Arg(0), v.Arg(1)) },
		Expand: func(b *ir.Builder, v *ir.Value) *ir.Value {
			g, x, w := On(b), v.Args[0], v.Args[1]
			geo := GeometryOf(v)
			return contract(g, geo.Rank(), Groups.Of(v), "bokc,kcn->bon", g.Window(x, geo, 0), w, v.Type)
		},
		Grad: func(b *ir.Builder, v, dy *ir.Value) []*ir.Value {
			g, x, w := On(b), v.Args[0], v.Args[1]
			geo := GeometryOf(v)
			return []*ir.Value{g.ConvInput(dy, w, geo, Groups.Of(v), x.Type.Shape), g.ConvFilter(x, dy, geo, Groups.Of(v), w.Type.Shape)}
		},
		Samples: []ir.Sample{
			{Types: types(floats(1, 3, 1), floats(2, 1, 1)), Attrs: attrs(one, 1), In: data(row(1, 2, 3), row(10, 1)), Want: row(12, 23)},
			{Types: types(floats(1, 4, 2), floats(3, 2, 1)), Attrs: attrs(strided, 1), In: data(count(8), row(1, 2, 3, 4, 5, 6)), Want: row(32, 112)},
			{Types: types(floats(1, 2, 2), floats(1, 1, 4)), Attrs: attrs(Valid(1).settings(), 2), In: data(row(1, 2, 3, 4), row(1, 2, 3, 4)), Want: row(1, 2, 6, 8, 3, 6, 12, 16)},
			{Types: types(floats(1, 2, 3, 1), floats(2, 1, 1, 1)), Attrs: attrs(twoD, 1), In: data(row(1, 2, 3, 4, 5, 6), row(1, 10)), Want: row(0, 52, 0, 5)},
			{Types: types(floats(1, 3, 1), floats(2, 2, 1)), Attrs: attrs(one, 1), Err: "the filter f32[2, 2, 1] has 2 channels per group, f32[1, 3, 1] has 1 in 1 groups"},
			{Types: types(floats(1, 3, 4), floats(2, 2, 3)), Attrs: attrs(one, 2), Err: "the 3 channels of the filter f32[2, 2, 3] do not make 2 groups"},
			{Types: types(floats(1, 1, 1), floats(2, 1, 1)), Attrs: attrs(one, 1), Err: "a window of 2 places does not fit into spatial axis 0 of extent 1"},
			{Types: types(floats(1, 3, 1), floats(2, 1)), Attrs: attrs(one, 1), Err: "the filter f32[2, 1] does not fit f32[1, 3, 1]"},
		},
	})
	define(ConvInput, ir.Op{
		Name: "conv_input", Doc: "conv_input is the gradient of conv to x, also called transposed convolution: from dy[B, O..., N] and the filter w it makes a tensor of the given shape, that of x.",
		Args: []ir.Arg{{Name: "dy"}, {Name: "w"}}, Attrs: append([]ir.Key{Shape}, convAttrs...), Traits: ir.Traits{Reduces: true}, Tol: 1e-5,
		Infer: func(v *ir.Value) (ir.Type, error) {
			x := ir.Tensor(ir.F32, Shape.Of(v)...)
			want, err := inferConv(v, x, v.Arg(1))
			if err == nil && !want.Equal(v.Arg(0)) {
				return errorf("operand dy is %v, want %v", v.Arg(0), want)
			}
			return x, err
		},
		Expand: func(b *ir.Builder, v *ir.Value) *ir.Value {
			g, dy, w := On(b), v.Args[0], v.Args[1]
			geo := GeometryOf(v)
			if x := g.phases(dy, w, geo, Groups.Of(v), v.Type); x != nil {
				return x
			}
			places := slices.Clone(v.Type.Shape)
			places[len(places)-1] = dy.Type.Shape[len(places)-1]
			return contract(g, geo.Rank(), Groups.Of(v), "bokn,kcn->boc", g.Unwindow(dy, geo, places), w, v.Type)
		},
		Grad: func(b *ir.Builder, v, dz *ir.Value) []*ir.Value {
			g, dy, w := On(b), v.Args[0], v.Args[1]
			geo := GeometryOf(v)
			return []*ir.Value{g.Conv(dz, w, geo, Groups.Of(v)), g.ConvFilter(dz, dy, geo, Groups.Of(v), w.Type.Shape)}
		},
		Samples: []ir.Sample{
			{Types: types(floats(1, 2, 1), floats(2, 1, 1)), Attrs: attrs(one, 1, Shape.Is(dims(1, 3, 1))), In: data(row(1, 2), row(10, 1)), Want: row(10, 21, 2)},
			{Types: types(floats(1, 2, 1), floats(3, 2, 1)), Attrs: attrs(strided, 1, Shape.Is(dims(1, 4, 2))), In: data(row(1, 10), row(1, 2, 3, 4, 5, 6)), Want: row(3, 4, 15, 26, 30, 40, 50, 60)},
			{Types: types(floats(1, 2, 4), floats(1, 1, 4)), Attrs: attrs(Valid(1).settings(), 2, Shape.Is(dims(1, 2, 2))), In: data(row(1, 2, 3, 4, 5, 6, 7, 8), row(1, 2, 3, 4)), Want: row(5, 25, 17, 53)},
			{Types: types(floats(1, 2, 1), floats(2, 1, 1)), Attrs: attrs(one, 1, Shape.Is(dims(1, 4, 1))), Err: "operand dy is f32[1, 2, 1], want f32[1, 3, 1]"},
		},
	})
	define(ConvFilter, ir.Op{
		Name: "conv_filter", Doc: "conv_filter is the gradient of conv to the filter: from x[B, S..., I] and dy[B, O..., N] it makes a tensor of the given shape, that of w.",
		Args: []ir.Arg{{Name: "x"}, {Name: "dy"}}, Attrs: append([]ir.Key{Shape}, convAttrs...), Traits: ir.Traits{Reduces: true}, Tol: 1e-5,
		Infer: func(v *ir.Value) (ir.Type, error) {
			w := ir.Tensor(ir.F32, Shape.Of(v)...)
			want, err := inferConv(v, v.Arg(0), w)
			if err == nil && !want.Equal(v.Arg(1)) {
				return errorf("operand dy is %v, want %v", v.Arg(1), want)
			}
			return w, err
		},
		Expand: func(b *ir.Builder, v *ir.Value) *ir.Value {
			g, x, dy := On(b), v.Args[0], v.Args[1]
			geo := GeometryOf(v)
			return contract(g, geo.Rank(), Groups.Of(v), "bokc,bon->kcn", g.Window(x, geo, 0), dy, v.Type)
		},
		Grad: func(b *ir.Builder, v, dz *ir.Value) []*ir.Value {
			g, x, dy := On(b), v.Args[0], v.Args[1]
			geo := GeometryOf(v)
			return []*ir.Value{g.ConvInput(dy, dz, geo, Groups.Of(v), x.Type.Shape), g.Conv(x, dz, geo, Groups.Of(v))}
		},
		Samples: []ir.Sample{
			{Types: types(floats(1, 3, 1), floats(1, 2, 1)), Attrs: attrs(one, 1, Shape.Is(dims(2, 1, 1))), In: data(row(1, 2, 3), row(10, 1)), Want: row(12, 23)},
			{Types: types(floats(1, 4, 2), floats(1, 2, 1)), Attrs: attrs(strided, 1, Shape.Is(dims(3, 2, 1))), In: data(count(8), row(1, 10)), Want: row(20, 30, 40, 51, 62, 73)},
			{Types: types(floats(1, 2, 2), floats(1, 2, 4)), Attrs: attrs(Valid(1).settings(), 2, Shape.Is(dims(1, 1, 4))), In: data(row(1, 2, 3, 4), row(1, 2, 3, 4, 5, 6, 7, 8)), Want: row(16, 20, 34, 40)},
			{Types: types(floats(1, 3, 1), floats(1, 3, 1)), Attrs: attrs(one, 1, Shape.Is(dims(2, 1, 1))), Err: "operand dy is f32[1, 3, 1], want f32[1, 2, 1]"},
		},
	})
}

// inferConv is the type of the convolution of x with w, by v's attributes.
func inferConv(v *ir.Value, x, w ir.Type) (ir.Type, error) {
	for i := range v.Args {
		if err := tensor(v, i, ir.F32); err != nil {
			return ir.Type{}, err
		}
	}
	n := w.Rank() - 2
	if n < 1 || x.Rank() != n+2 {
		return errorf("the filter %v does not fit %v", w, x)
	}
	geo := Geometry{Stride: Strides.Of(v), PadLo: PadLo.Of(v), PadHi: PadHi.Of(v), Dilation: Dilation.Of(v)}
	for i, d := range w.Shape[:n] {
		k, ok := d.Const()
		if !ok {
			return errorf("axis %d of the filter %v is not a constant", i, w)
		}
		geo.Kernel = append(geo.Kernel, k)
	}
	if err := geo.check(x); err != nil {
		return ir.Type{}, err
	}
	groups, in, channels := Groups.Of(v), w.Shape[n], w.Shape[n+1]
	if groups < 1 || !in.MulN(groups).Eq(x.Shape[n+1]) {
		return errorf("the filter %v has %v channels per group, %v has %v in %d groups", w, in, x, x.Shape[n+1], groups)
	}
	if _, ok := channels.Div(loop.N(groups)); !ok {
		return errorf("the %v channels of the filter %v do not make %d groups", channels, w, groups)
	}
	places, err := geo.Places(x.Shape[1 : 1+n])
	if err != nil {
		return ir.Type{}, err
	}
	return x.WithShape(slices.Concat(x.Shape[:1], places, []ir.Dim{channels})...), nil
}

// contract is a Dot of tensors with windows, in groups. In the spec, o and k
// stand for the n axes of places and of taps, c and n for channels; groups
// split the channels of c and n, which must be the last axes or, in filters,
// (c, n): there only n is split.
func contract(g Graph, n, groups int, spec string, x, y *ir.Value, t ir.Type) *ir.Value {
	c, _ := ParseContraction(spec)
	const places, taps = "opqrst", "kijlmu"
	letters := func(part string) string {
		out := ""
		for _, r := range part {
			switch r {
			case 'o':
				out += places[:n]
			case 'k':
				out += taps[:n]
			default:
				out += string(r)
			}
		}
		return out
	}
	if groups == 1 {
		return g.Dot(letters(c.X)+","+letters(c.Y)+"->"+letters(c.Out), x, y)
	}
	// The group is an axis of its own, in front of the channels that it splits.
	split := func(v *ir.Value) *ir.Value {
		shape := v.Type.Shape
		last := len(shape) - 1
		per, _ := shape[last].Div(loop.N(groups))
		return g.Reshape(v, slices.Concat(shape[:last], []ir.Dim{loop.N(groups), per})...)
	}
	grouped := func(part string) string {
		l := letters(part)
		return l[:len(l)-1] + "g" + l[len(l)-1:]
	}
	return g.Reshape(g.Dot(grouped(c.X)+","+grouped(c.Y)+"->"+grouped(c.Out), split(x), split(y)), t.Shape...)
}
