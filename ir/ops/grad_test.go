package ops

import (
	"math"
	"slices"
	"testing"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestGradientConventions checks gradients where there is no derivative: each
// choice that a doc sentence states. F is a function of x (and of y, if there
// is one), of which the gradient of the sum is wanted.
func TestGradientConventions(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	for _, c := range []struct {
		name   string
		f      func(g Graph, x, y *ir.Value) *ir.Value
		x, y   []float64
		dx, dy []float64
	}{
		{name: "max shares ties", f: Graph.Max, x: row(1, 2, 3), y: row(1, 3, 2), dx: row(0.5, 0, 1), dy: row(0.5, 1, 0)},
		{name: "min shares ties", f: Graph.Min, x: row(1, 2, 3), y: row(1, 3, 2), dx: row(0.5, 1, 0), dy: row(0.5, 0, 1)},
		{name: "relu by select is 0 at 0", f: func(g Graph, x, _ *ir.Value) *ir.Value { return g.Select(g.Less(g.Like(x, 0), x), x, g.Like(x, 0)) }, x: row(-1, 0, 1), dx: row(0, 0, 1)},
		{name: "clamp by select is 1 at the ends", f: func(g Graph, x, _ *ir.Value) *ir.Value {
			lo, hi := g.Like(x, -1), g.Like(x, 1)
			return g.Select(g.Less(x, lo), lo, g.Select(g.Less(hi, x), hi, x))
		}, x: row(-2, -1, 0, 1, 2), dx: row(0, 1, 1, 1, 0)},
		{name: "abs is flat at 0", f: func(g Graph, x, _ *ir.Value) *ir.Value { return g.Abs(x) }, x: row(-1, 0, 1), dx: row(-1, 0, 1)},
		{name: "max_of shares ties", f: func(g Graph, x, _ *ir.Value) *ir.Value { return g.MaxOf(x, 0) }, x: row(2, 1, 2), dx: row(0.5, 0, 0.5)},
		{name: "min_of shares ties", f: func(g Graph, x, _ *ir.Value) *ir.Value { return g.MinOf(x, 0) }, x: row(2, 1, 1), dx: row(0, 0.5, 0.5)},
		{name: "segment_max shares ties", f: func(g Graph, x, _ *ir.Value) *ir.Value { return g.SegmentMax(x, g.Integer(0, dims(3)...), loop.N(2)) }, x: row(2, 1, 2), dx: row(0.5, 0, 0.5)},
		{name: "prod at zeros", f: func(g Graph, x, _ *ir.Value) *ir.Value { return g.Prod(x, 0) }, x: row(0, 3, 5), dx: row(15, 0, 0)},
		{name: "prod at two zeros", f: func(g Graph, x, _ *ir.Value) *ir.Value { return g.Prod(x, 0) }, x: row(0, 3, 0), dx: row(0, 0, 0)},
		{name: "pow at 0", f: Graph.Pow, x: row(0, 0, 0), y: row(2, 1, 0), dx: row(0, 1, 0), dy: row(0, 0, 0)},
		{name: "pow of a negative number", f: Graph.Pow, x: row(-2, -3), y: row(3, 2), dx: row(12, -6), dy: row(nan, nan)},
		{name: "floor and its kind", f: func(g Graph, x, _ *ir.Value) *ir.Value { return g.Add(g.Floor(x), g.Add(g.Sign(x), g.Round(x))) }, x: row(0.5, 2), dx: row(0, 0)},
		{name: "cast to i32 and back", f: func(g Graph, x, _ *ir.Value) *ir.Value { return g.Cast(g.Cast(x, ir.I32), ir.F32) }, x: row(0.5, 2), dx: row(0, 0)},
		{name: "stop", f: func(g Graph, x, _ *ir.Value) *ir.Value { return g.Mul(x, g.Stop(x)) }, x: row(3), dx: row(3)},
		{name: "the branch not taken: sqrt", f: func(g Graph, x, _ *ir.Value) *ir.Value {
			return g.Select(g.Less(g.Like(x, 0), x), g.Sqrt(x), g.Like(x, 0))
		}, x: row(0, 4), dx: row(0, 0.25)},
		{name: "the branch not taken: log", f: func(g Graph, x, _ *ir.Value) *ir.Value {
			return g.Select(g.Less(g.Like(x, 0), x), g.Log(x), g.Like(x, 0))
		}, x: row(0, -1, 4), dx: row(0, 0, 0.25)},
		{name: "the branch not taken: norm", f: func(g Graph, x, y *ir.Value) *ir.Value {
			return g.Select(g.Less(g.Like(x, 0), y), g.Mul(x, g.Rsqrt(y)), g.Like(x, 0))
		}, x: row(0, 2), y: row(0, 4), dx: row(0, 0.5), dy: row(0, -0.125)},
		{name: "the branch not taken: quotient", f: func(g Graph, x, y *ir.Value) *ir.Value {
			return g.Select(g.Equal(y, g.Like(y, 0)), g.Like(x, 0), g.Div(x, y))
		}, x: row(0, 1, 2), y: row(0, 0, 4), dx: row(0, 0, 0.25), dy: row(0, 0, -0.125)},
		{name: "the branch not taken: exp", f: func(g Graph, x, _ *ir.Value) *ir.Value {
			return g.Select(g.Less(x, g.Like(x, 10)), g.Exp(x), x)
		}, x: row(0, 1e6), dx: row(1, 1)},
		{name: "mulz", f: Graph.Mulz, x: row(0, 2), y: row(inf, 3), dx: row(inf, 3), dy: row(0, 2)},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := On(ir.NewBuilder("f"))
			params := []*ir.Value{g.Param("x", floats(len(c.x)))}
			args := []*ir.Data{{Elem: ir.F32, Shape: []int{len(c.x)}, F: c.x}}
			var y *ir.Value
			if c.y != nil {
				y = g.Param("y", floats(len(c.y)))
				params = append(params, y)
				args = append(args, &ir.Data{Elem: ir.F32, Shape: []int{len(c.y)}, F: c.y})
			}
			z := c.f(g, params[0], y)
			grads, err := Backprop(g.Builder, []*ir.Value{z}, []*ir.Value{g.Like(z, 1)}, params)
			require.NoError(t, err)
			f, err := g.Return(grads...)
			require.NoError(t, err)
			require.NoError(t, ir.Verify(f))
			for _, wide := range []bool{false, true} {
				out, err := (&ir.Evaluator{Wide: wide}).Run(f, args)
				require.NoError(t, err)
				for i, want := range slices.DeleteFunc([][]float64{c.dx, c.dy}, func(x []float64) bool { return x == nil }) {
					for k := range want {
						x, y := want[k], out[i].F[k]
						assert.True(t, x == y || math.IsNaN(x) && math.IsNaN(y) || math.Abs(x-y) < 1e-6, "d %d: %v, want %v\n%v", i, out[i].F, want, f)
					}
				}
			}
		})
	}
}
