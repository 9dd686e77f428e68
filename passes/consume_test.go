package passes

import (
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/dsl/check"
	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/ops"
)

// consuming is p of a module, with all gradients consumed as they are produced,
// however small.
func consuming(t *testing.T, m *ir.Module) *Program {
	t.Helper()
	list := slices.Clone(List)
	for i, x := range list {
		if x.Name == "direct" {
			c := *x
			c.Run = func(p *Program) error { return directFrom(p, 0) }
			list[i] = &c
		}
	}
	p, err := run(list, newProgram(m), Options{})
	require.NoError(t, err)
	return p
}

// moduleText is the model of a text.
func moduleText(t *testing.T, text string) *ir.Module {
	t.Helper()
	file, diags := dsl.Parse("m.lm", []byte(text))
	require.False(t, diags.HasErrors(), "%v", diags)
	m, diags := check.Check([]*dsl.File{file}, check.Options{})
	require.False(t, diags.HasErrors(), "%v", diags)
	return m
}

// tied is a stack of layers between a table and its transpose, with a weight
// whose slope may be infinite.
func tied(layers int, train string) string {
	return `package m
import "nn"
import "optim"
dim B
layer Block[D] {
	ln   nn.LayerNorm[D]
	up   nn.Linear[D, 2*D]
	down nn.Linear[2*D, D]
	func forward(x f32[B, D]) f32[B, D] { return x + down(tanh(up(ln(x)))) }
}
model M[V = 7, D = 4, L = ` + strconv.Itoa(layers) + `] {
	param w f32[V, D] = normal(1)
	param scale f32[D] = 1
	blocks [L]Block[D]
	func Loss(ids, next i32[B]) f32 {
		x[b,d] := w[ids[b], d] * sqrt(scale[d])
		for _, block := range blocks {
			x = block(x)
		}
		return crossEntropy(x @ w.T, next)
	}
	train Step {
		minimize = Loss
		` + train + `
	}
}`
}

// A stepRun is the data of a step by kind and index.
type stepRun map[ir.Binding]*ir.Data

func keyOf(b ir.Binding) ir.Binding { return ir.Binding{Kind: b.Kind, Index: b.Index} }

func (s stepRun) run(t *testing.T, e *ir.Entry) {
	t.Helper()
	var args []*ir.Data
	for _, in := range e.In {
		require.NotNil(t, s[keyOf(in)], "%v", in)
		args = append(args, s[keyOf(in)])
	}
	out, err := (&ir.Evaluator{Dims: map[string]int{"B": 5}, Wide: true}).Run(e.Func, args)
	require.NoError(t, err)
	for i, o := range e.Out {
		s[keyOf(o)] = out[i]
	}
}

// startOf is random data for the parameters of e.
func startOf(t *testing.T, e *ir.Entry) stepRun {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	ev := &ir.Evaluator{Dims: map[string]int{"B": 5}, Wide: true}
	s := stepRun{}
	for i, in := range e.In {
		d := randomData(ev, e.Func.Params[i].Type, r, 7)
		for k := range d.F {
			d.F[k] = math.Abs(d.F[k]) + 0.01 // roots are taken of moments and of scale
		}
		s[keyOf(in)] = d
	}
	return s
}

var consumers = map[string]string{
	"AdamW":    `optimizer = optim.AdamW(lr = 0.1)`,
	"momentum": `optimizer = optim.SGD(lr = 0.1, momentum = 0.9)`,
	"average":  "optimizer = optim.Adam(lr = 0.1)\nema = 0.9",
	"values":   "optimizer = optim.Adam(lr = 0.1)\nclip = value(0.01)",
	"Muon":     "optimizer = optim.Muon(lr = 0.1)\ngroup rank < 2 {\noptimizer = optim.SGD(lr = 0.1)\n}",
}

// A step that consumes gradients does what gradients and update do one after the
// other, and gives the square of the norm.
func TestConsumedStep(t *testing.T) {
	for name, train := range consumers {
		t.Run(name, func(t *testing.T) {
			s := consuming(t, moduleText(t, tied(3, train))).Steps[0]
			require.NotNil(t, s.Direct)
			want, got := startOf(t, s.Direct), startOf(t, s.Direct)
			want.run(t, s.Gradients)
			sum := 0.0
			for b, d := range want {
				for _, x := range d.F {
					if b.Kind == ir.GradKind {
						sum += x * x
					}
				}
			}
			want.run(t, s.Apply)
			got.run(t, s.Direct)
			for _, o := range s.Direct.Out {
				if o.Kind == ir.SquaresKind {
					assert.InEpsilon(t, sum, got[keyOf(o)].F[0], 1e-9)
					continue
				}
				assert.InDeltaSlice(t, want[keyOf(o)].F, got[keyOf(o)].F, 1e-9, "%v", o)
			}
		})
	}
}

// Where a gradient is not finite its elements of weights and moments stay as
// they were; where the loss is not, all do.
func TestConsumedNotFinite(t *testing.T) {
	for name, train := range consumers {
		t.Run(name, func(t *testing.T) {
			m := moduleText(t, tied(2, train))
			s := consuming(t, m).Steps[0]
			weight := func(path string) ir.Binding {
				i := slices.IndexFunc(m.API.Weights, func(w *loop.Weight) bool { return w.Path == path })
				require.GreaterOrEqual(t, i, 0)
				return ir.Binding{Kind: ir.WeightKind, Index: i}
			}
			finite := func(s stepRun, what string) {
				for b, d := range s {
					for _, x := range d.F {
						require.False(t, x-x != 0 && (b.Kind == ir.WeightKind || b.Kind == ir.MomentKind), "%s: %v", what, b)
					}
				}
			}
			got := startOf(t, s.Direct)
			got[weight("scale")].F[1] = 0 // its slope is infinite
			got.run(t, s.Direct)
			finite(got, "gradient")
			assert.Zero(t, got[weight("scale")].F[1])
			before := startOf(t, s.Direct)
			assert.NotEqual(t, before[weight("w")].F, got[weight("w")].F)
			norm := got[ir.Binding{Kind: ir.SquaresKind}].F[0]
			assert.True(t, norm-norm != 0)

			got, before = startOf(t, s.Direct), startOf(t, s.Direct)
			got[weight("scale")].F[0] = -1 // its root is NaN, and so is the loss
			before[weight("scale")].F[0] = -1
			got.run(t, s.Direct)
			for b, d := range before {
				assert.Equal(t, d.F, got[b].F, "%v", b)
			}
		})
	}
}

// Steps that consume gradients are the same when they have been scheduled, in
// place in weights and moments.
func TestLowerConsumed(t *testing.T) {
	for name, train := range consumers {
		t.Run(name, func(t *testing.T) {
			checkLowered(t, consuming(t, moduleText(t, tied(3, train))), map[string]int{"B": 5})
		})
	}
	for name, f := range map[string]func(*entryBuilder) *ir.Value{"recurrent": recurrent, "deep": deep, "attention": attention, "penalised": penalised, "embedded": embedded} {
		t.Run(name, func(t *testing.T) {
			checkLowered(t, consuming(t, lossModule(t, f)), map[string]int{"B": 3, "T": 5})
		})
	}
}

// No gradient of a stack leaves its loop, nothing is copied, and the code does
// not depend on the number of layers.
func TestConsumedInLoop(t *testing.T) {
	text := map[int]int{}
	for _, layers := range []int{3, 30} {
		p := consuming(t, moduleText(t, tied(layers, consumers["AdamW"])))
		out, err := Lower(p)
		require.NoError(t, err)
		for _, k := range out.Kernels {
			assert.NotEqual(t, "copy", k.Name)
		}
		text[layers] = len(out.Kernels)
		for _, v := range p.Steps[0].Direct.Func.Values {
			if v.Op == ops.Scan {
				assert.LessOrEqual(t, len(ops.LoopOf(v).OutAxes), 12)
			}
		}
	}
	assert.Equal(t, text[3], text[30])
}

// GPT-2 of 124M parameters trains within three times its parameters and 15 %:
// with AdamW, a step needs memory for one layer's gradients at a time, or for
// the gradient of the table. That is so whether or not the compiler knows the
// batch.
func TestPeakOfConsumedStep(t *testing.T) {
	text, err := os.ReadFile("../bench/gpt.lm")
	require.NoError(t, err)
	file, diags := dsl.Parse("gpt.lm", text)
	require.False(t, diags.HasErrors(), "%v", diags)
	for name, dims := range map[string][]check.DimOption{"closed": {{Name: "B", Rel: "=", N: 4}, {Name: "T", Rel: "=", N: 64}}, "open": nil} {
		m, diags := check.Check([]*dsl.File{file}, check.Options{Model: "W7", Dims: dims})
		require.False(t, diags.HasErrors(), "%v", diags)
		p, err := Run(m, Options{})
		require.NoError(t, err)
		out, err := Lower(p)
		require.NoError(t, err)
		params := 0
		for _, w := range m.API.Weights {
			params += w.Len()
		}
		step := out.API.Trainers[0].Direct.Proc
		assert.Equal(t, dims == nil, step.Slots != nil)
		plan, err := step.Plan(map[string]int{"B": 4, "T": 64})
		require.NoError(t, err)
		assert.Less(t, float64(plan.Need[loop.F32]), 0.45*float64(params), name)
		t.Logf("%s: %v elements", name, plan.Need)
	}
}
