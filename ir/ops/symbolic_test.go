package ops

import (
	"math/rand/v2"
	"testing"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestSymbolic checks rules and meaning with symbols for extents: each case is
// evaluated with symbols and with numbers in their place.
func TestSymbolic(t *testing.T) {
	b, h, c, k := loop.Sym("B"), loop.Sym("H"), loop.Sym("C"), loop.Sym("K")
	env := map[string]int{"B": 2, "H": 5, "C": 4, "K": 3}
	one, two := Valid(3), Valid(3)
	two.Stride, two.PadLo, two.PadHi = []int{2}, []int{1}, []int{1}
	for _, s := range []struct {
		name  string
		shape []ir.Dim
		f     func(g Graph, x *ir.Value, n func(ir.Dim) ir.Dim) *ir.Value
		want  string
	}{
		{"join", []ir.Dim{b, h, c}, func(g Graph, x *ir.Value, n func(ir.Dim) ir.Dim) *ir.Value { return g.Reshape(x, n(b.Mul(h)), n(c)) }, "f32[B*H, C]"},
		{"split", []ir.Dim{b.Mul(h), c}, func(g Graph, x *ir.Value, n func(ir.Dim) ir.Dim) *ir.Value {
			return g.Reshape(x, n(b), n(h), n(c))
		}, "f32[B, H, C]"},
		{"join across", []ir.Dim{b, h, c}, func(g Graph, x *ir.Value, n func(ir.Dim) ir.Dim) *ir.Value {
			return g.Reshape(g.Transpose(x, 2, 0, 1), n(c.Mul(b)), loop.N(1), n(h))
		}, "f32[B*C, 1, H]"},
		{"split in halves", []ir.Dim{b, c.MulN(2)}, func(g Graph, x *ir.Value, n func(ir.Dim) ir.Dim) *ir.Value {
			return g.Mul(g.Part(x, 1, ir.Dim{}, n(c)), g.Part(x, 1, n(c), n(c)))
		}, "f32[B, C]"},
		{"shift", []ir.Dim{b, h}, func(g Graph, x *ir.Value, n func(ir.Dim) ir.Dim) *ir.Value {
			return g.Pad(g.Part(x, 1, ir.Dim{}, n(h.AddN(-1))), g.Float(7), dims(0, 1), dims(0, 0), []int{0, 0})
		}, "f32[B, H]"},
		{"reverse", []ir.Dim{b, h}, func(g Graph, x *ir.Value, n func(ir.Dim) ir.Dim) *ir.Value {
			return g.Flip(g.CumSum(x, 1, false, true), 1)
		}, "f32[B, H]"},
		{"concat", []ir.Dim{b, h}, func(g Graph, x *ir.Value, n func(ir.Dim) ir.Dim) *ir.Value { return g.Concat(1, x, g.Neg(x), x) }, "f32[B, 3*H]"},
		{"convolution", []ir.Dim{b, h, loop.N(1)}, func(g Graph, x *ir.Value, n func(ir.Dim) ir.Dim) *ir.Value {
			return g.Conv(x, g.Float(0.5, dims(3, 1, 2)...), one, 1)
		}, "f32[B, H-2, 2]"},
		{"strided convolution", []ir.Dim{b, h, loop.N(1)}, func(g Graph, x *ir.Value, n func(ir.Dim) ir.Dim) *ir.Value {
			return g.Conv(x, g.Float(0.5, dims(3, 1, 2)...), two, 1)
		}, "f32[B, floor((H-1)/(2))+1, 2]"},
		{"transposed convolution", []ir.Dim{b, h, loop.N(1)}, func(g Graph, x *ir.Value, n func(ir.Dim) ir.Dim) *ir.Value {
			return g.ConvInput(x, g.Float(0.5, dims(3, 2, 1)...), two, 1, []ir.Dim{n(b), n(h.MulN(2)), loop.N(2)})
		}, "f32[B, 2*H, 2]"},
		{"contraction", []ir.Dim{b, h, c}, func(g Graph, x *ir.Value, n func(ir.Dim) ir.Dim) *ir.Value { return g.Dot("bhc,bkc->bhk", x, x) }, "f32[B, H, H]"},
		{"sort", []ir.Dim{b, h, c}, func(g Graph, x *ir.Value, n func(ir.Dim) ir.Dim) *ir.Value {
			return g.TakeAlong(x, g.SortIndex(x, 1, true), 1)
		}, "f32[B, H, C]"},
		{"largest", []ir.Dim{b, h}, func(g Graph, x *ir.Value, n func(ir.Dim) ir.Dim) *ir.Value {
			return g.TakeAlong(x, g.TopKIndex(x, 1, n(k)), 1)
		}, "f32[B, K]"},
	} {
		t.Run(s.name, func(t *testing.T) {
			build := func(n func(ir.Dim) ir.Dim) *ir.Func {
				g := On(ir.NewBuilder("f"))
				shape := make([]ir.Dim, len(s.shape))
				for i, d := range s.shape {
					shape[i] = n(d)
				}
				f, err := g.Return(s.f(g, g.Param("x", ir.Tensor(ir.F32, shape...)), n))
				require.NoError(t, err)
				require.NoError(t, ir.Verify(f))
				return f
			}
			symbolic := build(func(d ir.Dim) ir.Dim { return d })
			assert.Equal(t, s.want, symbolic.Results[0].Type.String())
			numeric := build(func(d ir.Dim) ir.Dim {
				n, err := d.Eval(env)
				require.NoError(t, err)
				return loop.N(n)
			})
			x := noise(rand.New(rand.NewPCG(5, 6)), numeric.Params[0].Type)
			want, err := (&ir.Evaluator{}).Run(numeric, []*ir.Data{x})
			require.NoError(t, err)
			got, err := (&ir.Evaluator{Dims: env}).Run(symbolic, []*ir.Data{x})
			require.NoError(t, err)
			assert.Equal(t, want[0].F, got[0].F)
			assert.NotZero(t, want[0].Len())

			back := backwardOf(t, symbolic, 0)
			backNumeric := backwardOf(t, numeric, 0)
			dy := noise(rand.New(rand.NewPCG(7, 8)), numeric.Results[0].Type)
			want, err = (&ir.Evaluator{}).Run(backNumeric, []*ir.Data{x, dy})
			require.NoError(t, err)
			got, err = (&ir.Evaluator{Dims: env}).Run(back, []*ir.Data{x, dy})
			require.NoError(t, err)
			assert.Equal(t, want[0].F, got[0].F)
		})
	}
}
