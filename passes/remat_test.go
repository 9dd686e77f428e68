package passes

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/ir/loop"
)

// TestCheapValuesAreNotKept: of each layer of a stack there is one tensor as wide
// as the hidden layer between the forward and the backward pass, what goes into
// the activation: neither the activation, nor where it was positive, nor what
// dropout drew.
func TestCheapValuesAreNotKept(t *testing.T) {
	for _, c := range []struct{ name, forward string }{
		{"relu", "relu(u)"}, {"gelu", "gelu(u)"}, {"geluTanh", "geluTanh(u)"}, {"silu", "silu(u)"}, {"tanh", "tanh(u)"}, {"sigmoid", "sigmoid(u)"},
		{"dropout", "dropout(relu(u), 0.3)"}, {"before", "gelu(dropout(u, 0.3))"}, {"where", "where(u > 1, u*u, 0.5*u)"},
		{"clamp", "clamp(u, -1, 1)"}, {"max", "max(u, 0.1*u)"}, {"abs", "abs(u)*exp(-u)"},
	} {
		text := `package p
import "optim"
dim B
layer Block[D = 8, H = 56] {
	param v f32[D, H] = normal(1)
	param w f32[H, D] = normal(1)
	func forward(x f32[B, D]) f32[B, D] {
		u := x @ v
		return x + (FORWARD) @ w
	}
}
model M {
	blocks [3]Block
	func Loss(x f32[B, 8]) f32 {
		var y f32[B, 8] = x
		for _, b := range blocks { y = b(y) }
		return mean(y*y)
	}
	train Step {
		minimize = Loss
		optimizer = optim.SGD(lr = 0.1)
	}
}
`
		p, err := Run(moduleText(t, strings.Replace(text, "FORWARD", c.forward, 1)), Options{})
		require.NoError(t, err, c.name)
		out, err := Lower(p)
		require.NoError(t, err, c.name)
		kept := 0 // tensors as wide as the hidden layer, for all layers
		for _, s := range out.API.Trainers[0].Loss.Proc.Slots {
			n, err := s.Size.Eval(map[string]int{"B": 1})
			require.NoError(t, err)
			if n%(3*56) == 0 {
				kept++
				assert.Equal(t, loop.F32, s.Elem, c.name)
				assert.Equal(t, 3*56, n, c.name)
			} else {
				assert.LessOrEqual(t, n, 56, "%s: of one layer, or as wide as its input", c.name)
			}
		}
		assert.Equal(t, 1, kept, c.name)
	}
}
