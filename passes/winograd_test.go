package passes

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/ops"
)

// A padded is a convolution with a filter of 3 by 3.
type padded struct {
	b         any
	h, w      int
	in, out   int
	padLo, hi []int
}

func (c padded) geometry() ops.Geometry {
	return ops.Geometry{Kernel: []int{3, 3}, Stride: []int{1, 1}, PadLo: c.padLo, PadHi: c.hi, Dilation: []int{1, 1}}
}

// functions are the convolution and its gradients, with what follows them.
func (c padded) functions(t *testing.T) []*ir.Func {
	x, w, geo := f32(c.b, c.h, c.w, c.in), f32(3, 3, c.in, c.out), c.geometry()
	f := func(make func(g ops.Graph) *ir.Value, follow bool) *ir.Func {
		return build(t, func(g ops.Graph) []*ir.Value {
			y := make(g)
			if !follow {
				return []*ir.Value{y}
			}
			z := g.Param("z", y.Type)
			bias := g.Param("bias", y.Type.WithShape(y.Type.Shape[3]))
			s := g.Add(g.Add(y, z), g.Broadcast(bias, y.Type.Shape, 3))
			return []*ir.Value{g.Max(s, g.Like(s, 0)), s}
		})
	}
	dy := func(g ops.Graph) *ir.Value {
		places, err := geo.Places(x.Shape[1:3])
		require.NoError(t, err)
		return g.Param("dy", x.WithShape(x.Shape[0], places[0], places[1], n(c.out)))
	}
	var out []*ir.Func
	for _, follow := range []bool{false, true} {
		out = append(out,
			f(func(g ops.Graph) *ir.Value { return g.Conv(g.Param("x", x), g.Param("w", w), geo, 1) }, follow),
			f(func(g ops.Graph) *ir.Value { return g.ConvInput(dy(g), g.Param("w", w), geo, 1, x.Shape) }, follow),
			f(func(g ops.Graph) *ir.Value { return g.ConvFilter(g.Param("x", x), dy(g), geo, 1, w.Shape) }, follow))
	}
	return out
}

// inForm is f with convolutions in their form number k.
func inForm(t *testing.T, f *ir.Func, k int) *ir.Func {
	w, err := winogradWith(f, func(v *ir.Value) (winogradForm, bool) {
		forms := winogradForms(v)
		if forms == nil {
			return winogradForm{}, false
		}
		return forms[k], true
	})
	require.NoError(t, err)
	return w
}

// Winograd's form means what the convolution does, for tiles that hang over the
// image, any padding and any number of channels, and so do its kernels.
func TestWinograd(t *testing.T) {
	none, one, two := []int{0, 0}, []int{1, 1}, []int{2, 2}
	native := 0
	for _, c := range []padded{
		{1, 3, 3, 1, 1, none, none}, {2, 8, 8, 16, 16, one, one}, {1, 4, 4, 17, 20, one, one}, {2, 5, 11, 3, 18, one, one},
		{"B", 7, 6, 16, 5, none, one}, {1, 13, 9, 2, 33, two, none}, {3, 10, 3, 5, 16, []int{0, 2}, []int{1, 0}}, {1, 6, 18, 32, 4, none, none},
	} {
		for _, f := range c.functions(t) {
			for k := range 2 {
				w := inForm(t, f, k)
				name := fmt.Sprint(c, k, w)
				require.Equal(t, 1, countOps(w)["untile"], name)
				require.NoError(t, newOracle(5).same(f, w), name)
				out := lowered(t, w, map[string]int{"B": 3})
				for _, k := range out.Kernels {
					if len(k.Native) > 0 {
						native++
						checkNative(t, name, k, map[string]int{"B": 3}, rand.New(rand.NewPCG(7, 8)))
					}
				}
			}
		}
	}
	assert.Greater(t, native, 300)
}

// What is not a convolution of 3 by 3 without steps, or gains nothing, stays.
func TestWinogradForms(t *testing.T) {
	square := func(kernel, stride, pad, dilation int) ops.Geometry {
		two := func(x int) []int { return []int{x, x} }
		return ops.Geometry{Kernel: two(kernel), Stride: two(stride), PadLo: two(pad), PadHi: two(pad), Dilation: two(dilation)}
	}
	for _, c := range []struct {
		b             any
		size, in, out int
		geo           ops.Geometry
		groups, m     int
		prepared      int // m where filters are prepared
	}{
		{16, 32, 64, 64, square(3, 1, 1, 1), 1, 4, 4},
		{16, 4, 512, 512, square(3, 1, 1, 1), 1, 2, 2},
		{1, 32, 64, 64, square(3, 1, 1, 1), 1, 4, 4},
		{"B", 32, 64, 64, square(3, 1, 1, 1), 1, 4, 4},
		{1, 4, 512, 512, square(3, 1, 1, 1), 1, 0, 0},
		{1, 14, 32, 64, square(3, 1, 1, 1), 1, 0, 4},
		{1, 8, 256, 256, square(3, 1, 1, 1), 1, 0, 0},
		{16, 32, 3, 64, square(3, 1, 1, 1), 1, 0, 0},
		{16, 32, 64, 1, square(3, 1, 1, 1), 1, 0, 0},
		{16, 32, 64, 64, square(3, 2, 1, 1), 1, 0, 0},
		{16, 32, 64, 64, square(3, 1, 2, 2), 1, 0, 0},
		{16, 32, 64, 64, square(3, 1, 3, 1), 1, 0, 0},
		{16, 32, 64, 64, square(5, 1, 2, 1), 1, 0, 0},
		{16, 32, 64, 64, square(3, 1, 1, 1), 2, 0, 0},
	} {
		g := ops.On(ir.NewBuilder("f"))
		y := g.Conv(g.Param("x", f32(c.b, c.size, c.size, c.in)), g.Param("w", f32(c.geo.Kernel[0], c.geo.Kernel[1], c.in/c.groups, c.out)), c.geo, c.groups)
		require.NoError(t, g.Err)
		for inference, m := range map[bool]int{false: c.m, true: c.prepared} {
			form, ok := cheapestForm(y, inference)
			assert.Equal(t, m > 0, ok, "%v %v", c, inference)
			assert.Equal(t, m, form.m, "%v %v", c, inference)
		}
	}
}

// inCheapestForm is f as a function of training has it.
func inCheapestForm(f *ir.Func) (*ir.Func, error) {
	return winogradWith(f, func(v *ir.Value) (winogradForm, bool) { return cheapestForm(v, false) })
}

// In float32 the results are nearly as exact as those of the convolution.
func TestWinogradRounding(t *testing.T) {
	c := padded{2, 8, 8, 64, 16, []int{1, 1}, []int{1, 1}}
	for i, f := range c.functions(t)[:3] {
		args, err := newOracle(3).args(f)
		require.NoError(t, err)
		exact, err := (&ir.Evaluator{Wide: true}).Run(f, args)
		require.NoError(t, err)
		off := func(f *ir.Func) float64 {
			got, err := (&ir.Evaluator{}).Run(f, args)
			require.NoError(t, err)
			sum := 0.0
			for k, x := range got[0].F {
				sum += (x - exact[0].F[k]) * (x - exact[0].F[k])
			}
			return math.Sqrt(sum)
		}
		direct := off(f)
		for k, factor := range []float64{2, 4} {
			got := off(inForm(t, f, k))
			t.Logf("function %d, form %d: %.2g times the error of the convolution", i, k, got/direct)
			assert.Less(t, got, factor*direct)
		}
	}
}

// A stack of convolutions is a loop: those in it are written in the form, too,
// also in the loop of their gradients.
func TestWinogradInLoops(t *testing.T) {
	geo := padded{padLo: []int{1, 1}, hi: []int{1, 1}}.geometry()
	f := build(t, func(b ops.Graph) []*ir.Value {
		x, w := b.Param("x", f32(2, 6, 7, 16)), b.Param("w", f32(3, 3, 3, 16, 16))
		g, _ := body("layer")
		y, wi := g.Param("y", x.Type), g.Param("w", f32(3, 3, 16, 16))
		layer := finish(g, g.Tanh(g.Conv(y, wi, geo, 1)))
		return []*ir.Value{b.Get(b.Scan(ops.Loop{Body: layer, Extent: n(3), Inits: []*ir.Value{x}, Slices: []*ir.Value{w}, InAxes: []int{0}}), 0)}
	})
	f = must(withGradient(f))
	for k := range 2 {
		w := inForm(t, f, k)
		have := countOps(w)
		require.GreaterOrEqual(t, have["untile"], 3)
		require.Zero(t, have["conv"]+have["conv_input"]+have["conv_filter"])
		require.NoError(t, newOracle(5).same(f, w))
		lowered(t, w, nil)
	}
}

// Filters are prepared where weights stay, which is not so in entries with state.
func TestWinogradOfInference(t *testing.T) {
	for _, changes := range []bool{false, true} {
		p := program(build(t, func(g ops.Graph) []*ir.Value {
			two := func(x int) []int { return []int{x, x} }
			geo := ops.Geometry{Kernel: two(3), Stride: two(1), PadLo: two(1), PadHi: two(1), Dilation: two(1)}
			return []*ir.Value{g.Conv(g.Param("x", f32(1, 14, 14, 32)), g.Param("w", f32(3, 3, 32, 64)), geo, 1)}
		}))
		if changes {
			p.Entries[0].Out[0].Kind = ir.WeightKind
		}
		require.NoError(t, winograd(p))
		assert.Equal(t, map[bool]int{false: 1}[changes], countOps(p.Entries[0].Func)["untile"])
	}
}
