package check

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/ir"
)

// TestFeatures evaluates what the examples do not use: funcs and layers as
// options, lists, constants, generics of funcs, states, nested stacks.
func TestFeatures(t *testing.T) {
	m := program(t, `package p
dim B, N, T
const list = [1, 2.5, 4]
const whole = [3, 1, 2]
const half = 0.5
func twice(x f32[...]) f32[...] {
	return 2 * x
}
func fill[N, ...](x f32) f32[N, ...] {
	return f32[N, ...](x)
}
func count(x f32[..., N], n i32 = 2) (a, b i32) {
	return n, size(x)
}
layer Act[D](f func = twice, on bool = true) {
	param w f32[D] = 1
	func forward(x f32[B, D]) f32[B, D] {
		if on {
			return f(x * w)
		} else if D > 100 {
			return x
		}
		return x * w
	}
}
layer Deep[D, L](of layer) {
	first of[D]
	rest  [L-1]of[D](on = false)
	func forward(x f32[B, D]) f32[B, D] {
		x = first(x)
		for _, r := range rest {
			x = r(x)
		}
		return x
	}
}
layer Grid[D, K, L] {
	rows [K]Deep[D, L](Act)
	func forward(x f32[B, D]) f32[B, D] {
		for _, r := range rows {
			x = r(x)
		}
		return x
	}
}
layer Mean[D] {
	state sum f32[D] = 0
	state n   f32    = 0
	func forward(x f32[B, D]) f32[B, D] {
		if training {
			sum += x[0]
			n += 1
		}
		return x - sum / max(n, 1)
	}
}
model M[D = 2, K = 2, L = 3] {
	grid Grid[D, K, L]
	act  Act[D](relu, true)
	mean Mean[D]
	func Net(x f32[B, D]) f32[B, D] {
		return x |> grid |> act
	}
	func Lists(x f32, k i32) (a, b, c f32, d i32) {
		a := x
		for i, v := range list {
			a += v * (i + 1)
		}
		b := x
		n := 0
		for i := range 5 {
			b += list[i % 3]
			n = n + whole[i % 3]
		}
		return a * half, b, x * list[-1] + list[k], n
	}
	func Funcs(x f32[B, D]) (y f32[3, B, D], a, b, c i32) {
		a, b := count(x)
		_, c := count(x, n = 7)
		return fill[3, B, D](2) * x[_], a, b, c
	}
	func Mode(x f32[B, D]) f32[B, D] {
		return mean(x)
	}
	func Dims(x f32[B, T]) (n, m, r f32) {
		n := f32(B * T - T)
		m := 0.0
		if B * T > 0 {
			m = sqrt(B + T)
		}
		var r f32 = 1
		for t := range T {
			r *= t + 1
		}
		return n, m, r
	}
}
`)
	args := weightsOf(m)
	for _, w := range []string{"grid.rows.{0}.first.w", "grid.rows.{0}.rest.{1}.w", "act.w", "mean.sum"} {
		require.Contains(t, args, w)
		args[w].F = seq(args[w].Shape...).F
	}
	dims := map[string]int{"B": 1, "T": 3}
	args["x"] = floats([]int{1, 2}, 1, -1)
	// first.w is [.1 .2 .3 .4], rest.w [.1 … .8]: rows multiply by 2 w0 w1 w2.
	out := run(t, m, "Net", dims, args)
	require.InDeltaSlice(t, []float64{2 * .1 * .1 * .3 * 2 * .3 * .5 * .7 * .1, 0}, out[0].F, 1e-12)

	args["x"], args["k"] = floats(nil, 10), ints(nil, 1)
	out = run(t, m, "Lists", dims, args)
	assert.InDelta(t, (10+1+5+12)*.5, out[0].F[0], 1e-9)
	assert.InDelta(t, 10+1+2.5+4+1+2.5, out[1].F[0], 1e-9)
	assert.InDelta(t, 42.5, out[2].F[0], 1e-9)
	assert.Equal(t, []int32{3 + 1 + 2 + 3 + 1}, out[3].I)

	args["x"] = floats([]int{1, 2}, 1, -1)
	out = run(t, m, "Funcs", dims, args)
	assert.Equal(t, []float64{2, -2, 2, -2, 2, -2}, out[0].F)
	assert.Equal(t, []int32{2}, out[1].I)
	assert.Equal(t, []int32{2}, out[2].I)
	assert.Equal(t, []int32{2}, out[3].I)

	args["mean.n"] = floats(nil, 2)
	args["mean.sum"] = floats([]int{2}, 4, 8)
	require.Equal(t, []float64{-1, -5}, run(t, m, "Mode", dims, args)[0].F)

	args["x"] = floats([]int{1, 3}, 1, 2, 3)
	out = run(t, m, "Dims", dims, args)
	assert.Equal(t, []float64{0, 2, 6}, []float64{out[0].F[0], out[1].F[0], out[2].F[0]})
}

// TestCacheDims checks that a cache gets the batch of the model, whatever the
// layer calls it.
func TestCacheDims(t *testing.T) {
	m := program(t, `package p
dim B, N
layer Store[D] {
	cache past f32[B, 4, D]
	func put(x f32[B, D], p i32) f32[B, D] {
		past[:, p % 4] = x
		return past[:, 0]
	}
}
model M[D = 2] {
	s [3]Store[D]
	func Put(x f32[N, D], p i32) f32[N, D] {
		for _, l := range s {
			x = l.put(x, p)
		}
		return x
	}
}
`)
	require.Len(t, m.API.Caches, 1)
	assert.Equal(t, "[N 4 2]", sprint(m.API.Caches[0].Shape))
	args := map[string]*ir.Data{"x": seq(1, 2), "p": ints(nil, 4)}
	caches(m, map[string]int{"N": 1}, args)
	assert.Equal(t, []float64{.1, .2}, runCached(t, m, "Put", map[string]int{"N": 1}, args)[0].F)
}
