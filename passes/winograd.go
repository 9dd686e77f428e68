package passes

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/ops"
)

// winograd writes convolutions with filters of 3 by 3 in Winograd's form, also
// those that are gradients: tiles of the image and the filter are transformed,
// multiplied place by place, summed over channels, and transformed back. That
// takes n*n = (m+2)² products of channels for m*m results, in place of 9*m*m:
// a quarter for m = 4, the most that float32 bears well.
func winograd(p *Program) error {
	still := map[**ir.Func]bool{}
	for _, e := range p.inference() {
		if e != nil && !changesWeights(e) {
			still[&e.Func] = true
		}
	}
	for _, s := range p.slots() {
		f, err := winogradWith(*s.f, func(v *ir.Value) (winogradForm, bool) { return cheapestForm(v, still[s.f]) })
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		*s.f = f
	}
	return nil
}

// winogradWith writes convolutions in the form that is chosen for them, if any is.
func winogradWith(f *ir.Func, choose func(v *ir.Value) (winogradForm, bool)) (*ir.Func, error) {
	var fail error
	w, err := rewrite(f, func(g ops.Graph, v *ir.Value, args []*ir.Value) *ir.Value {
		c, ok := choose(v)
		if ok {
			return c.write(g, v, args)
		}
		attrs, err := withBodies(v, func(f *ir.Func) (*ir.Func, error) { return winogradWith(f, choose) })
		if err != nil {
			fail = err
			return nil
		}
		return g.Do(v.Op, args, attrs...)
	})
	return w, errors.Join(fail, err)
}

// A winogradForm is how a convolution is written: tiles of m by m results, of
// which there are so many along each axis.
type winogradForm struct {
	m     int
	pad   []int // in front of the image of the convolution
	along [2]int
}

// write is the convolution v of args in the form c.
func (c winogradForm) write(g ops.Graph, v *ir.Value, args []*ir.Value) *ir.Value {
	switch v.Op {
	case ops.Conv:
		u := c.filter(g, args[1], "filter")
		m := g.Dot("bijtc,ctn->bijtn", c.tiles(g, args[0], "input", c.pad), u)
		return g.Untile(m, c.matrix("output"), v.Type.Shape)
	case ops.ConvInput:
		// The convolution of the gradient with the turned filter.
		pad := []int{2 - c.pad[0], 2 - c.pad[1]}
		u := c.filter(g, args[1], "turned")
		m := g.Dot("bijtn,ctn->bijtc", c.tiles(g, args[0], "input", pad), u)
		return g.Untile(m, c.matrix("output"), v.Type.Shape)
	default:
		x, dy := c.tiles(g, args[0], "input", c.pad), c.tiles(g, args[1], "spread", []int{0, 0})
		u := g.Dot("bijtc,bijtn->ctn", x, dy)
		s := u.Type.Shape
		u = g.Reshape(u, s[0], loop.N(1), loop.N(1), s[1], s[2])
		w := v.Type.Shape
		return g.Transpose(g.Untile(u, c.matrix("collect"), []ir.Dim{w[2], w[0], w[1], w[3]}), 1, 2, 0, 3)
	}
}

func (c winogradForm) matrix(name string) string { return name + strconv.Itoa(c.m) }

func (c winogradForm) tiles(g ops.Graph, x *ir.Value, matrix string, pad []int) *ir.Value {
	return g.Tiles(x, c.matrix(matrix), pad, c.along[0], c.along[1])
}

// filter is the transformed filter w: channels in, places, channels out. So each
// of its tiles is one run of memory, as those of images are: places a large
// power of 2 apart would share a few lines of the level 1 cache.
func (c winogradForm) filter(g ops.Graph, w *ir.Value, matrix string) *ir.Value {
	u := g.Tiles(g.Transpose(w, 2, 0, 1, 3), c.matrix(matrix), []int{0, 0}, 1, 1)
	s := u.Type.Shape
	return g.Reshape(u, s[0], s[3], s[4])
}

// winogradForms are the forms that v has.
func winogradForms(v *ir.Value) []winogradForm {
	var image []ir.Dim // of the results of tiles
	switch v.Op {
	case ops.Conv, ops.ConvInput:
		image = v.Type.Shape
	case ops.ConvFilter:
		image = v.Arg(1).Shape
	default:
		return nil
	}
	geo := ops.GeometryOf(v)
	if geo.Rank() != 2 || ops.Groups.Of(v) != 1 {
		return nil
	}
	var size [2]int
	for i := range size {
		n, known := image[1+i].Const()
		if !known || n == 0 || geo.Kernel[i] != 3 || geo.Stride[i] != 1 || geo.Dilation[i] != 1 || geo.PadLo[i] > 2 {
			return nil
		}
		size[i] = n
	}
	var out []winogradForm
	for _, m := range []int{2, 4} {
		c := winogradForm{m: m, pad: geo.PadLo}
		for i, n := range size {
			c.along[i] = ops.TilesAlong(c.matrix("output"), n)
		}
		out = append(out, c)
	}
	return out
}

// cheapestForm is the cheapest form of v, if that gains by it. In functions of
// inference filters are prepared: they need not be transformed, but read.
func cheapestForm(v *ir.Value, inference bool) (best winogradForm, ok bool) {
	forms := winogradForms(v)
	if forms == nil {
		return best, false
	}
	image, filter := v.Type.Shape, v.Arg(1).Shape
	if v.Op == ops.ConvFilter {
		image, filter = filter, image
	}
	in, known := filter[2].Const()
	out, also := filter[3].Const()
	if !known || !also {
		return best, false
	}
	images, known := image[0].Const()
	if !known {
		images = 1
	}
	filterCost := func(numbers int) float64 {
		switch {
		case !inference:
			return winogradFilter
		case numbers*in*out <= nearFilter:
			return preparedNear
		}
		return preparedFar
	}
	least := float64(9 * images * constant(image[1]) * constant(image[2]))
	if inference {
		least += 9 * filterCost(9)
	}
	for _, c := range forms {
		if cost := c.cost(images, in, out, filterCost((c.m+2)*(c.m+2))); cost < least {
			best, ok, least = c, true, cost
		}
	}
	return best, ok
}

// What a number of a transformed filter or image costs, to be computed, written
// and read again, in products of a contraction: measured on convolutions of
// ResNet-18, where large filters do not stay in a cache. Prepared ones, and those
// of the filter as it is, are read from a cache or from memory.
const (
	winogradFilter = 30
	preparedNear   = 4
	preparedFar    = 45
	nearFilter     = 1 << 18 // numbers of a filter that stays in a level 2 cache
	winogradImage  = 20
)

// cost is the products that the form takes for each pair of channels in and out.
func (c winogradForm) cost(images, in, out int, filter float64) float64 {
	tiles := float64(images * c.along[0] * c.along[1])
	numbers := float64((c.m + 2) * (c.m + 2))
	return numbers * (tiles*(1+winogradImage*(1/float64(in)+1/float64(out))) + filter)
}
