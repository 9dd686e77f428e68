package check

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/ir"
)

const trained = `package p
import "optim"
dim B
layer L[D] {
	param w f32[D, D] = 0
	param b f32[D] = 0
	state n f32 = 0
	func forward(x f32[B, D]) f32[B, D] {
		if training {
			n += 1
		}
		return x @ w + b
	}
}
model M[D = 2, K = 3] {
	ls   [K]L[D]
	head L[D]
	param s f32 = 1
	func Loss(x f32[B, D], h f32[D]) (loss f32[B], h f32[D], size f32) {
		for _, l := range ls {
			x = l(x)
		}
		y := head(x) * s * normal[B, D](0, 1) + h
		return sum(y, axis = -1), x[0], f32(B)
	}
	func Mean(x f32[B, D]) f32 {
		return mean(head(x))
	}
	train Step {
		minimize   = Loss
		optimizer  = optim.AdamW(lr = warmupCosine(step, peak = 0.5, warmup = 10, total = 100), eps = 0, decay = 0.1)
		penalty    = 0.5 * sum(head.w**2)
		clip       = globalNorm(2)
		accumulate = 4
		ema        = 0.99
		remat      = "ls"
		group rank < 2 { decay = 0 }
		group "ls.*.w", "head.b" { lr = 0.5 * lr }
	}
	train Half {
		minimize  = Mean
		update    = head.w, s
		optimizer = optim.SGD(0.1, momentum = 0.9, nesterov = true)
	}
	train Private {
		minimize  = Loss
		update    = head
		clip      = perExample(1.5)
		noise     = 0.7
		optimizer = optim.SGD(lr = -0.1)
	}
}
`

func TestTrain(t *testing.T) {
	m := program(t, trained)
	api, tr := m.API.Trainers[0], m.Trainers[0]
	for _, f := range functions(m) {
		require.NoError(t, ir.Verify(f), "%s", f)
	}
	assert.Equal(t, "[0 1 3 4 6]", sprint(tr.Update), "not the states")
	assert.Equal(t, "[{1 1}]", sprint(api.Carried))
	assert.Equal(t, []any{2.0, "globalNorm", 4, 0.99, "[ls]"}, []any{tr.Clip, tr.ClipKey, api.Accumulate, api.EMA, sprint(tr.Remat)})
	var names []string
	for _, o := range api.Options {
		names = append(names, o.Name)
	}
	assert.Equal(t, []string{"Peak", "Warmup", "Total", "Eps", "Decay"}, names)
	assert.True(t, api.Options[1].Integer)
	assert.InDelta(t, 10, api.Options[1].Default, 0)

	kinds := map[ir.Kind]int{}
	for _, o := range tr.Loss.Out {
		kinds[o.Kind]++
	}
	assert.Equal(t, map[ir.Kind]int{ir.LossKind: 1, ir.ResultKind: 2, ir.WeightKind: 2}, kinds)
	assert.Equal(t, "f32[B]", tr.Loss.Func.Results[0].Type.String())
	assert.Empty(t, api.Loss.Results[0].Shape)
	assert.True(t, api.Loss.Random)

	// Moments are two for each weight, one after the other.
	require.Len(t, api.Moments, 10)
	at := 0
	for i, mo := range api.Moments {
		assert.Equal(t, tr.Update[i/2], mo.Weight)
		assert.Equal(t, at, mo.Offset)
		at += m.API.Weights[mo.Weight].Len()
	}

	// One step of AdamW on one element: weight, gradient, m, v, step, options.
	update := func(rule int, shape ...int) float64 {
		n := 1
		for _, k := range shape {
			n *= k
		}
		fill := func(x float64) *ir.Data {
			d := floats(shape)
			for range n {
				d.F = append(d.F, x)
			}
			return d
		}
		opt := []*ir.Data{floats(nil, .5), ints(nil, 10), ints(nil, 100), floats(nil, 0), floats(nil, .1)}
		ev := ir.Evaluator{Wide: true}
		out, err := ev.Run(tr.Rules[rule].Func, append([]*ir.Data{fill(2), fill(4), fill(0), fill(0), ints(nil, 4)}, opt...))
		require.NoError(t, err)
		require.Len(t, out, 3)
		assert.InDelta(t, .1*4, out[1].F[0], 1e-12)
		assert.InDelta(t, .001*16, out[2].F[0], 1e-12)
		return out[0].F[0]
	}
	// lr is 0.5 * (4+1)/10; m/(1-0.9**5) over the root of v/(1-0.999**5).
	adam := (.4 / (1 - .59049)) / 4 / 0.0316227766016838 * 0.0706396
	lr := .25
	assert.InDelta(t, 2-lr/2*(adam+.1*2), update(0, 2, 2), 1e-4, "ls.w: half the rate")
	assert.InDelta(t, 2-lr*adam, update(1, 2), 1e-4, "ls.b: no decay")
	assert.InDelta(t, 2-lr*(adam+.1*2), update(2, 2, 2), 1e-4, "head.w")
	assert.InDelta(t, 2-lr/2*adam, update(3, 2), 1e-4, "head.b")
	assert.InDelta(t, 2-lr*adam, update(4), 1e-4, "s")

	half := m.API.Trainers[1]
	assert.Equal(t, "[3 6]", sprint(half.Updates))
	require.Len(t, half.Options, 1, "momentum decides what there is")
	assert.Equal(t, "LR", half.Options[0].Name)
	private := m.API.Trainers[2]
	assert.True(t, private.PerExample)
	assert.InDelta(t, -0.1, private.Options[0].Default, 0)
	assert.InDelta(t, .7, m.Trainers[2].Noise, 0)
}
