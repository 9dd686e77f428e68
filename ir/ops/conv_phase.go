package ops

import (
	"slices"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// mostPhases is how many contractions a strided one may become.
const mostPhases = 8

// A phase is the places r, r+stride, … along a spatial axis. The taps that
// reach them are the ones from first on, step by step; none if there are no
// taps. Windows lie there as in a convolution with stride 1.
type phase struct {
	first, step, taps int
	lo, hi, dilation  int
}

// phasesOf is the phases of spatial axis i of size places, with windows; nil if
// they do not divide it.
func (g Geometry) phasesOf(i, size, windows int) []phase {
	s, d := g.Stride[i], g.Dilation[i]
	if size%s != 0 {
		return nil
	}
	out := make([]phase, s)
	for r := range out {
		p := &out[r]
		for k := range g.Kernel[i] {
			if (r+g.PadLo[i]-k*d)%s != 0 {
				continue
			}
			switch p.taps++; p.taps {
			case 1:
				p.first = k
			case 2:
				p.step = k - p.first
			}
		}
		p.step = max(p.step, 1)
		if p.taps == 0 {
			continue
		}
		p.dilation = max(p.step*d/s, 1)
		p.lo = (r + g.PadLo[i] - p.first*d) / s
		p.hi = windows - (size/s + p.lo - p.dilation*(p.taps-1))
		if r+g.PadLo[i] < p.first*d || p.hi < 0 {
			return nil
		}
	}
	return out
}

// phases is the gradient of a strided convolution to its input, of type t, as
// one gradient without stride for each phase of the places: only a part of the
// taps reaches a place, and no product is one with 0. It is nil where places
// are not known to be multiples of the strides.
func (g Graph) phases(dy, w *ir.Value, geo Geometry, groups int, t ir.Type) *ir.Value {
	n := geo.Rank()
	axes, count := make([][]phase, n), 1
	for i := range n {
		size, known := t.Shape[1+i].Const()
		windows, also := dy.Type.Shape[1+i].Const()
		if !known || !also {
			return nil
		}
		if axes[i] = geo.phasesOf(i, size, windows); axes[i] == nil {
			return nil
		}
		count *= len(axes[i])
	}
	if count == 1 || count > mostPhases {
		return nil
	}
	// The places of the phases of axis i and those inside it, in order.
	chosen := make([]phase, n)
	var join func(i int) *ir.Value
	join = func(i int) *ir.Value {
		if i == n {
			return g.phase(dy, w, geo, groups, t, chosen)
		}
		var parts []*ir.Value
		for _, p := range axes[i] {
			chosen[i] = p
			x := join(i + 1)
			parts = append(parts, g.Reshape(x, slices.Insert(slices.Clone(x.Type.Shape), 2+i, loop.N(1))...))
		}
		x := g.Concat(2+i, parts...)
		shape := slices.Delete(slices.Clone(x.Type.Shape), 2+i, 3+i)
		shape[1+i] = t.Shape[1+i]
		return g.Reshape(x, shape...)
	}
	return join(0)
}

// phase is the places of one phase of each axis.
func (g Graph) phase(dy, w *ir.Value, geo Geometry, groups int, t ir.Type, of []phase) *ir.Value {
	shape, filter := slices.Clone(t.Shape), slices.Clone(w.Type.Shape)
	starts, steps := make([]ir.Dim, len(filter)), make([]int, len(filter))
	for i := range filter {
		starts[i], steps[i] = loop.N(0), 1
	}
	var inner Geometry
	for i, p := range of {
		places, _ := shape[1+i].Div(loop.N(geo.Stride[i]))
		shape[1+i] = places
		starts[i], steps[i], filter[i] = loop.N(p.first), p.step, loop.N(p.taps)
		inner.Stride = append(inner.Stride, 1)
		inner.PadLo, inner.PadHi = append(inner.PadLo, p.lo), append(inner.PadHi, p.hi)
		inner.Dilation = append(inner.Dilation, p.dilation)
	}
	if slices.ContainsFunc(of, func(p phase) bool { return p.taps == 0 }) {
		return g.Constant(t.Elem, 0, shape...)
	}
	return g.ConvInput(dy, g.Slice(w, starts, filter, steps), inner, groups, shape)
}
