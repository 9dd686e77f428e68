package check

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/dsl"
)

// checkText checks a text and returns what is said about it.
func checkText(t *testing.T, text string) string {
	t.Helper()
	f, ds := dsl.Parse("m.lm", []byte(text))
	require.Empty(t, ds)
	_, ds = Check([]*dsl.File{f}, Options{})
	var out []string
	for _, d := range ds {
		out = append(out, d.Msg)
	}
	return strings.Join(out, "\n")
}

const perMatrix = `package m

import "optim"

model M[I = 4, O = 3, L = 2] {
	param w f32[I, O] = 0.5
	param b f32[O] = 0

	func Loss(x f32[8, I], y f32[8, O]) f32 {
		return mse(x @ w + b, y)
	}

	train Step {
		minimize  = Loss
		optimizer = SETTINGS
	}
}
`

// TestOptimizerAxes: the dims of an optimizer are the axes of the parameter.
func TestOptimizerAxes(t *testing.T) {
	for _, name := range []string{"Muon", "Adafactor"} {
		in := "optim.SGD(lr = 0.1)\n\t\tgroup rank == 2 { optimizer = optim." + name + "(lr = 0.01) }"
		assert.Empty(t, checkText(t, strings.Replace(perMatrix, "SETTINGS", in, 1)))
	}
	got := checkText(t, strings.Replace(perMatrix, "SETTINGS", "optim.Muon(lr = 0.1)", 1))
	assert.Contains(t, got, "Muon[R, C] is for parameters of rank 2, but `b` is f32[O=3]")
}

// TestOptimizerStart: a state may start from an option, which is compiled in.
func TestOptimizerStart(t *testing.T) {
	assert.Empty(t, checkText(t, strings.Replace(perMatrix, "SETTINGS", "optim.Rprop(lr = 0.05)", 1)))
}
