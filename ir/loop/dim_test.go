package loop

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFloorDiv(t *testing.T) {
	for _, c := range [][3]string{
		{"2*H", "2", "H"},
		{"2*H-1", "2", "H-1"},
		{"4*H+6", "4", "H+1"},
		{"H-1", "2", "floor((H-1)/(2))"},
		{"B*T+T", "T", "B+1"},
		{"-7", "2", "-4"},
		{"B*T+1", "T", "floor((B*T+1)/(T))"},
	} {
		n, err := ParseDim(c[0])
		require.NoError(t, err)
		m, err := ParseDim(c[1])
		require.NoError(t, err)
		assert.Equal(t, c[2], n.FloorDiv(m).String())
	}
}

// TestDims checks the arithmetic of random dims against that of integers, and
// that they print and parse.
func TestDims(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var random func(depth int) Dim
	random = func(depth int) Dim {
		if depth == 0 || rng.IntN(4) == 0 {
			if rng.IntN(2) == 0 {
				return N(rng.IntN(7) - 3)
			}
			return Sym([]string{"B", "T", "C"}[rng.IntN(3)])
		}
		x, y := random(depth-1), random(depth-1)
		switch rng.IntN(4) {
		case 0:
			return x.Add(y)
		case 1:
			return x.Sub(y)
		case 2:
			return x.Mul(y)
		}
		return x.FloorDiv(N(1 + rng.IntN(4)))
	}
	env := map[string]int{"B": 5, "T": 3, "C": 7}
	for range 500 {
		x, y, n := random(3), random(3), 1+rng.IntN(4)
		a, err := x.Eval(env)
		require.NoError(t, err)
		b, err := y.Eval(env)
		require.NoError(t, err)
		floor := a / n
		if a%n < 0 {
			floor--
		}
		for d, want := range map[*Dim]int{ptr(x.Add(y)): a + b, ptr(x.Sub(y)): a - b, ptr(x.Mul(y)): a * b, ptr(x.FloorDiv(N(n))): floor} {
			got, err := d.Eval(env)
			require.NoError(t, err)
			require.Equal(t, want, got, "%v and %v: %v", x, y, d)
			again, err := ParseDim(d.String())
			require.NoError(t, err)
			require.True(t, again.Eq(*d), "%v parses as %v", d, again)
		}
		if q, ok := x.Mul(y).Div(y); ok {
			require.True(t, q.Eq(x), "%v * %v / itself is %v", x, y, q)
		}
	}
}

func ptr(d Dim) *Dim { return &d }
