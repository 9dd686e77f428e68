package check

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/ir"
)

// TestTensors evaluates expressions over whole tensors against numbers
// computed by hand. x is f32[2, 3] with 0.1 … 0.6, v is f32[3] with 0.1 … 0.3,
// k is i32[2] with 1, 0, n is 2, P is 1.
func TestTensors(t *testing.T) {
	for _, c := range []struct {
		expr, typ string
		want      []float64
	}{
		{"x + v", "f32[A, C]", []float64{.2, .4, .6, .5, .7, .9}},
		{"x * x[:, 0:1]", "f32[A, C]", []float64{.01, .02, .03, .16, .2, .24}},
		{"x[0, :, _] * v[_]", "f32[C, C]", []float64{.01, .02, .03, .02, .04, .06, .03, .06, .09}},
		{"x @ v", "f32[A]", []float64{.14, .32}},
		{"v @ x.T", "f32[A]", []float64{.14, .32}},
		{"v @ v", "f32", []float64{.14}},
		{"x @ x.T", "f32[A, A]", []float64{.14, .32, .32, .77}},
		{"x[_] @ x.T[_]", "f32[1, A, A]", []float64{.14, .32, .32, .77}},
		{"x[1]", "f32[C]", []float64{.4, .5, .6}},
		{"x[-1, -2]", "f32", []float64{.5}},
		{"x[:, 1:]", "f32[A, C-1]", []float64{.2, .3, .5, .6}},
		{"x[..., :-1]", "f32[A, C-1]", []float64{.1, .2, .4, .5}},
		{"x[:P, P:P+2]", "f32[P, 2]", []float64{.2, .3}},
		{"x[k]", "f32[A, C]", []float64{.4, .5, .6, .1, .2, .3}},
		{"x[:, k]", "f32[A, A]", []float64{.2, .1, .5, .4}},
		{"x[k, 1:]", "f32[A, C-1]", []float64{.5, .6, .2, .3}},
		{"x[0, n]", "f32", []float64{.3}},
		{"x[..., _, :]", "f32[A, 1, C]", []float64{.1, .2, .3, .4, .5, .6}},
		{"2 - x", "f32[A, C]", []float64{1.9, 1.8, 1.7, 1.6, 1.5, 1.4}},
		{"v**2", "f32[C]", []float64{.01, .04, .09}},
		{"(10*v)**n", "f32[C]", []float64{1, 4, 9}},
		{"2.0**k", "f32[A]", []float64{2, 1}},
		{"-v**2 * 10", "f32[C]", []float64{-.1, -.4, -.9}},
		{"f32(k) / 2", "f32[A]", []float64{.5, 0}},
		{"k / 2", "f32[A]", []float64{.5, 0}},
		{"k / n", "f32[A]", []float64{.5, 0}},
		{"f32(n) * C / P", "f32", []float64{6}},
		{"1.0 / C + f32(P)", "f32", []float64{1 + 1.0/3}},
		{"f32(7 % C)", "f32", []float64{1}},
		{"f32((k - 3) % 2)", "f32[A]", []float64{0, 1}},
		{"f32(k < 1) + f32(k >= 1 && k != 3)", "f32[A]", []float64{1, 1}},
		{"f32(!(k == 1))", "f32[A]", []float64{0, 1}},
	} {
		t.Run(c.expr, func(t *testing.T) {
			m := program(t, "package p\nmodel M[A = 2, C = 3] {\n\tfunc F(x f32[A, C], v f32[C], k i32[A], n i32, P dim) "+c.typ+
				" {\n\t\tassert P + 2 <= C && P <= A\n\t\tz := x + f32(n) * v * f32(k[0])\n\t\t_ = z\n\t\treturn "+c.expr+"\n\t}\n}\n")
			out := run(t, m, "F", map[string]int{"P": 1}, map[string]*ir.Data{
				"x": seq(2, 3), "v": seq(3), "k": ints([]int{2}, 1, 0), "n": ints(nil, 2),
			})
			require.InDeltaSlice(t, c.want, out[0].F, 1e-6)
		})
	}
}

// TestClampSlope: at its bounds clamp still has the slope 1.
func TestClampSlope(t *testing.T) {
	m := program(t, "package p\nmodel M {\n\tfunc F(x f32[4]) f32[4] {\n\t\treturn grad[x](sum(clamp(x, 0.2, 0.3)))\n\t}\n}\n")
	out := run(t, m, "F", nil, map[string]*ir.Data{"x": floats([]int{4}, 0.1, 0.2, 0.3, 0.4)})
	require.Equal(t, []float64{0, 1, 1, 0}, out[0].F)
}
