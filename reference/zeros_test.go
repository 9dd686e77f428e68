package reference

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/codegen"
	"github.com/lmc-lang/lmc/dsl/check"
	"github.com/lmc-lang/lmc/ir"
)

// zeros has the three places where a loss or a gradient is 0 by convention, and
// where the formula alone gives NaN.
const zeros = `package zeros

import "nn"

dim B, T, S, N

model Zeros {
	// Attended is attention with its gradients; example b sees n[b] of the keys.
	func Attended(q f32[B, 2, T, 8], k, v f32[B, 2, S, 8], n i32[B], dy f32[B, 2, T, 8]) (y, dq f32[B, 2, T, 8], dk, dv f32[B, 2, S, 8]) {
		ok[b, t: T, s: S] := s < n[b]
		y := nn.Attend(q, k, v, ok)
		dq, dk, dv := grad[q, k, v](sum(y * dy))
		return y, dq, dk, dv
	}

	// Strict lets no position look at itself, so the first one sees nothing.
	func Strict(q, k, v f32[B, 2, T, 8], dy f32[B, 2, T, 8]) (y, dq, dk, dv f32[B, 2, T, 8]) {
		z[b,h,t,s] := where(s < t, sum[c](q[b,h,t,c] * k[b,h,s,c]), -inf)
		y := softmax(z) @ v
		dq, dk, dv := grad[q, k, v](sum(y * dy))
		return y, dq, dk, dv
	}

	// Guarded is 0 where x is not positive, also its slope.
	func Guarded(x f32[N]) (y, dx f32[N]) {
		y := where(x > 0, log(x) * sqrt(x) / x + x**-1.5, 0)
		return y, grad[x](sum(y))
	}

	// Second is the gradient of a gradient of the same.
	func Second(x f32[N]) f32[N] {
		y := where(x > 0, log(x) * sqrt(x), 0)
		g := grad[x](sum(y))
		return grad[x](sum(g * g))
	}
}
`

// TestZeros: rows of attention without keys, words that cannot be said in the
// frames there are, and branches not taken give zeros and no NaN, forwards and
// backwards, with the kernels of every target.
func TestZeros(t *testing.T) {
	t.Parallel()
	m, err := checked("zeros.lm", []byte(zeros), check.Options{})
	require.NoError(t, err)
	z, err := compile(m, codegen.Options{})
	require.NoError(t, err)
	ctc := compileFile(t, "../examples/ctc.lm", check.Options{Set: values("F=4 D=3 L=2 V=5")})
	driver := newDriver(t, "driver.go", z, ctc).build(t, "driver")
	rng := rand.New(rand.NewPCG(1, 2))
	noise := func(shape ...int) tensor {
		d := ir.NewData(ir.F32, shape...)
		for i := range d.F {
			d.F[i] = rng.NormFloat64()
		}
		return tensorOf(d)
	}
	ints := func(xs ...int32) tensor {
		return tensorOf(&ir.Data{Elem: ir.I32, Shape: []int{len(xs)}, I: xs})
	}
	call := func(name string, args ...tensor) request {
		return request{Package: "zeros", Do: "call", Name: name, Args: args}
	}
	y := tensorOf(&ir.Data{Elem: ir.I32, Shape: []int{2, 3}, I: []int32{1, 1, 2, 3, 4, 1}})
	edge := tensorOf(&ir.Data{Elem: ir.F32, Shape: []int{6}, F: []float64{0, -1, math.Inf(-1), 4, math.Copysign(0, -1), 0.25}})
	const T, S = 37, 45 // blocks of rows that are not full
	requests := []request{
		call("Attended", noise(3, 2, T, 8), noise(3, 2, S, 8), noise(3, 2, S, 8), ints(0, S, 1), noise(3, 2, T, 8)),
		call("Strict", noise(2, 2, T, 8), noise(2, 2, T, 8), noise(2, 2, T, 8), noise(2, 2, T, 8)),
		call("Guarded", edge),
		call("Second", edge),
		{Package: "ctc", Do: "init"},
		{Package: "ctc", Do: "derivative", Name: "Step", Args: []tensor{noise(2, 6, 4), ints(3, 2), y, ints(3, 3)}},
	}
	zero := func(t *testing.T, what string, xs []float64, at func(i int) bool) {
		for i, x := range xs {
			require.False(t, math.IsNaN(x) || math.IsInf(x, 0), "%s: element %d is %v", what, i, x)
			if at(i) {
				require.Zero(t, x, "%s: element %d", what, i)
			}
		}
		most := 0.0
		for i, x := range xs {
			if !at(i) {
				most = max(most, math.Abs(x))
			}
		}
		assert.True(t, most > 0 || at(0) && at(len(xs)-1), "%s: all is zero", what)
	}
	each(t, "zeros by convention", targets(), func(s string) string { return s }, func(t *testing.T, target string) {
		answers := ask(t, []string{"LMC_TARGET=" + target}, []string{driver}, requests)
		var got [][][]float64
		for i, a := range answers {
			require.Empty(t, a.Error, requests[i].Name)
			var xs [][]float64
			for _, r := range a.Results {
				xs = append(xs, r.data(ir.F32).F)
			}
			got = append(got, xs)
		}
		for i, xs := range got[0] { // the first example sees no key
			zero(t, "Attended", xs, func(k int) bool { return k < len(xs)/3 || i >= 2 && k >= len(xs)*2/3 && k%(S*8) >= 8 })
		}
		for i, xs := range got[1] { // the first position sees nothing, nobody sees the last one
			zero(t, "Strict", xs, func(k int) bool { return i < 2 && k%(T*8) < 8 || i >= 2 && k%(T*8) >= (T-1)*8 })
		}
		for _, xs := range append(got[2], got[3]...) {
			zero(t, "where", xs, func(k int) bool { return k != 3 && k != 5 })
		}
		for _, xs := range got[5] { // 1 1 2 needs four frames, 3 4 1 needs three
			zero(t, "ctc", xs, func(int) bool { return true })
		}
	})
}
