package passes_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/dsl/check"
	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/ops"
	"github.com/lmc-lang/lmc/passes"
)

// compiled runs all passes on a text.
func compiled(t *testing.T, name string, text []byte, o check.Options) (*ir.Module, *passes.Program) {
	t.Helper()
	file, diags := dsl.Parse(name, text)
	require.False(t, diags.HasErrors(), "%v", diags)
	m, diags := check.Check([]*dsl.File{file}, o)
	require.False(t, diags.HasErrors(), "%v", diags)
	p, err := passes.Run(m, passes.Options{})
	require.NoError(t, err)
	return m, p
}

// A direct step does what gradients and update do one after the other, touches
// only the rows that are read, and changes nothing if the loss is not finite.
func TestDirectStep(t *testing.T) {
	text, err := os.ReadFile("../examples/word2vec.lm")
	require.NoError(t, err)
	m, p := compiled(t, "word2vec.lm", text, check.Options{Set: map[string]string{"V": "7", "D": "5"}})
	s := p.Steps[0]
	require.NotNil(t, s.Direct)
	count := 0
	for _, v := range s.Direct.Func.Values {
		if v.Op == ops.ScatterAdd {
			count++
		}
		assert.NotEqual(t, ops.Scatter, v.Op, "a gradient as large as the table:\n%v", s.Direct.Func)
	}
	assert.Equal(t, 3, count)

	x := newExample(t, m, p, 0)
	ev := &ir.Evaluator{Dims: x.dims, Wide: true}
	type key struct {
		kind  ir.Kind
		index int
	}
	run := func(e *ir.Entry, known map[key]*ir.Data) {
		var args []*ir.Data
		for _, in := range e.In {
			d := known[key{in.Kind, in.Index}]
			if in.Kind == ir.ScalarKind {
				d = ir.Scalar(ir.F32, 0.1)
			}
			require.NotNil(t, d, "%v", in)
			args = append(args, d)
		}
		out, err := ev.Run(e.Func, args)
		require.NoError(t, err)
		for i, o := range e.Out {
			known[key{o.Kind, o.Index}] = out[i]
		}
	}
	start := func() map[key]*ir.Data {
		known := map[key]*ir.Data{}
		for i, in := range s.Gradients.In {
			known[key{in.Kind, in.Index}] = x.args[i]
		}
		return known
	}
	want, got := start(), start()
	run(s.Gradients, want)
	run(s.Apply, want)
	run(s.Direct, got)
	for w := range m.API.Weights {
		assert.InDeltaSlice(t, want[key{ir.WeightKind, w}].F, got[key{ir.WeightKind, w}].F, 1e-12)
		assert.NotEqual(t, start()[key{ir.WeightKind, w}].F, got[key{ir.WeightKind, w}].F)
	}

	bad := start()
	for i := range bad[key{ir.WeightKind, 0}].F {
		bad[key{ir.WeightKind, 0}].F[i] = 1e300
		bad[key{ir.WeightKind, 1}].F[i] = 1e300
	}
	before := append([]float64(nil), bad[key{ir.WeightKind, 1}].F...)
	run(s.Direct, bad)
	assert.Equal(t, before, bad[key{ir.WeightKind, 1}].F)
}

// Whatever sums and signs there are between the entries of a table, no gradient
// is as large as the table.
func TestDirectStepOfSums(t *testing.T) {
	text, err := os.ReadFile("../bench/w10.lm")
	require.NoError(t, err)
	_, p := compiled(t, "w10.lm", text, check.Options{})
	require.NotNil(t, p.Steps[0].Direct)
	for _, v := range p.Steps[0].Direct.Func.Values {
		assert.NotEqual(t, ops.Scatter, v.Op, "%v", p.Steps[0].Direct.Func)
	}
}

// Other trainers keep their gradients.
func TestNoDirectStep(t *testing.T) {
	for _, train := range []string{"optimizer = optim.Adam(lr = 0.1)", "optimizer = optim.SGD(lr = 0.1)\nclip = globalNorm(1)", "optimizer = optim.SGD(lr = 0.1, momentum = 0.9)", "optimizer = optim.SGD(lr = 0.1, decay = 0.1)"} {
		_, p := compiled(t, "m.lm", []byte(`package m
import "optim"
dim B
model M[V = 5, D = 3] {
	param w f32[V, D] = normal(1)
	func Loss(ids i32[B]) f32 {
		x[b,d] := w[ids[b], d]
		return mean(x*x)
	}
	train Step {
		minimize = Loss
		`+train+`
	}
}`), check.Options{})
		assert.Nil(t, p.Steps[0].Direct, train)
	}
}

// Several updates of one table are all in its own memory: nothing is copied.
func TestDirectStepInPlace(t *testing.T) {
	text, err := os.ReadFile("../examples/word2vec.lm")
	require.NoError(t, err)
	_, p := compiled(t, "word2vec.lm", text, check.Options{})
	program, err := passes.Lower(p)
	require.NoError(t, err)
	for _, k := range program.Kernels {
		assert.NotEqual(t, "copy", k.Name)
	}
}
