package check

import (
	"slices"
	"strings"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/ops"
)

func init() {
	add(
		row{name: "conv1d", params: "x, w, stride = 1, pad = 0, dilation = 1, groups = 1", doc: "conv1d slides the filter w f32[K, I, O] over x f32[B, T, I]; pad is a number, \"same\" or \"causal\".", run: func(a *args) value { return a.conv(1) }},
		row{name: "conv2d", params: "x, w, stride = 1, pad = 0, dilation = 1, groups = 1", doc: "conv2d slides the filter w f32[K, L, I, O] over x f32[B, H, W, I]; pad is a number, one per axis, or \"same\".", run: func(a *args) value { return a.conv(2) }},
		row{name: "conv2dTranspose", params: "x, w, stride = 1, pad = 0, dilation = 1, groups = 1", doc: "conv2dTranspose is the transpose of conv2d with the filter w f32[K, L, O, I]: it enlarges x f32[B, H, W, I] by stride.", run: func(a *args) value { return a.convTranspose() }},
		row{name: "maxPool", params: "x, size, stride = size, pad = 0", doc: "maxPool is the largest element of each window of x f32[B, H, W, C]; padding does not count.", run: func(a *args) value {
			return a.pool(-inf, func(g ops.Graph, w *ir.Value, axes []int) *ir.Value { return g.MaxOf(w, axes...) })
		}},
		row{name: "avgPool", params: "x, size, stride = size, pad = 0", doc: "avgPool is the mean of each window of x f32[B, H, W, C]; padding counts as 0.", run: func(a *args) value {
			return a.pool(0, func(g ops.Graph, w *ir.Value, axes []int) *ir.Value { return meanOf(g, w, axes...) })
		}},
	)
}

// images is the argument x of a window operation: f32[B, S…, C] with n spatial axes.
func (a *args) images(n int) tensor {
	x := a.float("x")
	a.wholeOnly(x)
	if n > 0 && len(x.dims) != n+2 || len(x.dims) < 3 {
		want := map[int]string{0: "f32[B, H, W, C]", 1: "f32[B, T, C]", 2: "f32[B, H, W, C]"}[n]
		a.failf(a.node("x"), "`%s` needs %s, found %s", a.row.name, want, x.ctype)
	}
	return x
}

// filter is the argument w, for n spatial axes; in and out are its last axes.
func (a *args) filter(n int) (w tensor, kernel []int) {
	w = a.float("w")
	a.wholeOnly(w)
	if len(w.dims) != n+2 {
		want := map[int]string{1: "f32[K, I, O]", 2: "f32[K, L, I, O]"}[n]
		a.failf(a.node("w"), "the filter of `%s` must be %s, found %s", a.row.name, want, w.ctype)
	}
	for i, d := range w.dims[:n] {
		k, ok := d.Const()
		if !ok {
			a.failf(a.node("w"), "axis %d of the filter must be known when the model is compiled, but it is %s", i, d)
		}
		kernel = append(kernel, k)
	}
	return w, kernel
}

// geometry reads stride, pad and dilation.
func (a *args) geometry(kernel []int, pads ...string) ops.Geometry {
	n := len(kernel)
	g := ops.Geometry{Kernel: kernel, Stride: a.ints("stride", n, 1, 1), Dilation: slices.Repeat([]int{1}, n)}
	if strings.Contains(a.row.params, "dilation") {
		g.Dilation = a.ints("dilation", n, 1, 1)
	}
	g.PadLo, g.PadHi = make([]int, n), make([]int, n)
	if !a.has("pad") {
		return g
	}
	word, isWord := a.constant("pad").(str)
	if !isWord {
		p := a.ints("pad", n, 0, 0)
		g.PadLo, g.PadHi = p, slices.Clone(p)
		return g
	}
	if !slices.Contains(pads, string(word)) {
		d := a.errorf(a.node("pad"), "`%s` has no padding %q", a.row.name, string(word))
		a.fail(suggest(d, string(word), pads, "pad is a number"))
	}
	for i, k := range kernel {
		all := g.Dilation[i] * (k - 1)
		switch word {
		case "causal":
			g.PadLo[i] = all
		case "same":
			g.PadLo[i], g.PadHi[i] = all/2, all-all/2
		}
	}
	return g
}

// channels checks that x has the channels that the filter wants.
func (a *args) channels(x, w tensor, want dim, groups int) {
	have := x.dims[len(x.dims)-1]
	if have.Eq(want.MulN(groups)) {
		return
	}
	d := a.errorf(a.call.at, "the input has %s channels, but the filter wants %s", have, plain(want.MulN(groups)))
	if groups > 1 {
		d = a.errorf(a.call.at, "the input has %s channels, but the filter wants %s in %d groups", have, plain(want.MulN(groups)), groups)
	}
	a.fail(d.Note(a.node("x"), "%s", x.ctype).Note(a.node("w"), "%s", w.ctype))
}

// windows is the number of windows along the spatial axes of x.
func (a *args) windows(x tensor, g ops.Geometry) []dim {
	n := len(g.Kernel)
	out := make([]dim, n)
	for i, d := range x.dims[1 : n+1] {
		room := d.AddN(g.PadLo[i] + g.PadHi[i] - g.Dilation[i]*(g.Kernel[i]-1) - 1)
		a.need(a.node("x"), room, d, "a window of "+number(g.Dilation[i]*(g.Kernel[i]-1)+1).String()+" does not fit into axis "+number(i+1).String()+", which has length "+d.String())
		out[i] = plain(room.FloorDiv(loop.N(g.Stride[i])).AddN(1))
		if out[i].Eq(d.Dim) {
			out[i] = d
		}
	}
	return out
}

func (a *args) conv(n int) value {
	x := a.images(n)
	w, kernel := a.filter(n)
	groups := a.int("groups", 1, 1)
	a.channels(x, w, w.dims[n], groups)
	out := w.dims[n+1]
	if _, ok := out.Div(loop.N(groups)); !ok {
		a.failf(a.node("groups"), "%s channels do not make %d groups", out, groups)
	}
	pads := []string{"same"}
	if n == 1 {
		pads = append(pads, "causal")
		if d, ok := a.runtimeDilation(); ok {
			return a.causal(x, w, d, groups)
		}
	}
	geo := a.geometry(kernel, pads...)
	dims := slices.Concat(x.dims[:1], a.windows(x, geo), []dim{out})
	return a.made(ir.F32, dims, a.fr.g.Conv(x.v, w.v, geo, groups))
}

// runtimeDilation is the argument dilation if it is an i32 of the run time.
func (a *args) runtimeDilation() (tensor, bool) {
	if !a.has("dilation") {
		return tensor{}, false
	}
	t, ok := a.value("dilation").(tensor)
	if !ok || t.soft != nil {
		return tensor{}, false
	}
	t = a.tensor("dilation", ir.I32)
	if t.elem != ir.I32 || len(t.dims) > 0 || len(t.idx) > 0 {
		a.failf(a.node("dilation"), "`dilation` must be one i32, found %s", t.ctype)
	}
	return t, true
}

// causal is conv1d with pad = "causal" and a dilation of the run time.
func (a *args) causal(x, w, dilation tensor, groups int) value {
	pad := ""
	if a.has("pad") {
		s, _ := a.constant("pad").(str)
		pad = string(s)
	}
	if pad != "causal" || groups > 1 || a.int("stride", 1, 1) != 1 {
		a.failf(a.node("dilation"), "a dilation that changes at run time needs pad = \"causal\" and neither stride nor groups")
	}
	g := a.fr.g
	win := g.CausalWindow(x.v, dilation.v, w.dims[0].Dim)
	return a.made(ir.F32, []dim{x.dims[0], x.dims[1], w.dims[2]}, g.Dot("btki,kio->bto", win, w.v))
}

func (a *args) convTranspose() value {
	x := a.images(2)
	w, kernel := a.filter(2)
	groups := a.int("groups", 1, 1)
	in := w.dims[3]
	if !x.dims[3].Eq(in.Dim) {
		a.fail(a.errorf(a.call.at, "the input has %s channels, but the filter wants %s", x.dims[3], in).Note(a.node("x"), "%s", x.ctype).Note(a.node("w"), "%s", w.ctype))
	}
	geo := a.geometry(kernel)
	dims := []dim{x.dims[0]}
	for i, h := range x.dims[1:3] {
		d := h.AddN(-1).MulN(geo.Stride[i]).AddN(geo.Dilation[i]*(kernel[i]-1) + 1 - geo.PadLo[i] - geo.PadHi[i])
		a.need(a.node("x"), d.AddN(-1), h, "the padding leaves nothing of axis "+number(i+1).String())
		dims = append(dims, plain(d))
	}
	dims = append(dims, plain(w.dims[2].MulN(groups)))
	return a.made(ir.F32, dims, a.fr.g.ConvInput(x.v, w.v, geo, groups, shapeOf(dims)))
}

func (a *args) pool(fill float64, fold func(g ops.Graph, w *ir.Value, axes []int) *ir.Value) value {
	x := a.images(0)
	n := len(x.dims) - 2
	kernel := a.ints("size", n, 1, 1)
	geo := a.geometry(kernel)
	if !a.has("stride") {
		geo.Stride = kernel
	}
	places := a.windows(x, geo)
	for i, p := range geo.PadLo {
		if 2*p > kernel[i] {
			a.failf(a.node("pad"), "the padding of `%s` may be half of a window at most", a.row.name)
		}
	}
	win := a.fr.g.Window(x.v, geo, fill)
	var axes []int
	for i := range n {
		axes = append(axes, 1+n+i)
	}
	dims := slices.Concat(x.dims[:1], places, x.dims[n+1:])
	return a.made(ir.F32, dims, fold(a.fr.g, win, axes))
}
