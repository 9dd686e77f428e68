package check

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/ir"
)

// TestLoops evaluates every form of loop against numbers computed by hand.
func TestLoops(t *testing.T) {
	m := program(t, `package p
dim B, T
layer Add[D] {
	param w f32[D] = 0
	cache past f32[B, 2, D]
	func forward(x f32[B, D]) f32[B, D] {
		return x + w
	}
	func step(x f32[B, D], p i32) f32[B, D] {
		old := past[:, p % 2]
		past[:, p % 2] = x
		return old + w
	}
}
model M[D = 2, L = 3] {
	blocks [L]Add[D]

	func Stack(x f32[B, D]) f32[B, D] {
		for _, b := range blocks {
			x = b(x) * 2
		}
		return x
	}
	func Sums(x f32[B, T, D], h f32[B, D]) (y f32[B, T, D], h f32[B, D]) {
		var y f32[B, T, D]
		for t := range T {
			h += x[:, t]
			y[:, t] = h
		}
		return y, h
	}
	func States(x f32[B, D], h f32[L, B, D]) (x f32[B, D], h f32[L, B, D]) {
		for l, b := range blocks {
			x = b(x) + h[l]
			h[l] = x * (l + 1)
		}
		return x, h
	}
	func Nested(x f32[B, T, D]) f32[B, T, D] {
		for _, b := range blocks {
			for t := range T {
				x[:, t] = b(x[:, t])
			}
		}
		return x
	}
	func Steps(x f32[B, D], p i32) f32[B, D] {
		for _, b := range blocks {
			x = b.step(x, p)
		}
		return x
	}
	func Dynamic(x f32, n i32) (x f32, k i32) {
		k := 0
		for i := range n {
			x += f32(i)
			k += 2
		}
		return x, k
	}
	func Written(x f32[B, 4]) f32[B, 4] {
		for i := range 3 {
			if i == 1 {
				x *= 2
			}
			x[:, i:i+2] = x[:, 0:2]
		}
		return x
	}
	func Windows(x f32[T, D]) f32[T, D] {
		var y f32[T, D]
		for t := range T {
			y[t] = x[t]
			for s := range T {
				y[t] = y[t] + x[s] * 10
			}
		}
		return y
	}
	func Shift(x f32[5]) f32[5] {
		for i := range 4 {
			x[i+1] = x[i] + x[i+1]
		}
		return x
	}
	func Last(x f32[B, D]) f32[B, D] {
		return blocks[-1](blocks[0](x))
	}
}
`)
	w := floats([]int{3, 2}, 1, 2, 10, 20, 100, 200)
	x := floats([]int{1, 2}, 1, 1)
	one := map[string]int{"B": 1, "T": 3}
	args := map[string]*ir.Data{"x": x, "blocks.{0}.w": w}

	require.Equal(t, []float64{256, 504}, run(t, m, "Stack", one, args)[0].F)
	args["x"], args["h"] = floats([]int{1, 3, 2}, 1, 2, 3, 4, 5, 6), floats([]int{1, 2}, 10, 10)
	out := run(t, m, "Sums", one, args)
	require.Equal(t, []float64{11, 12, 14, 16, 19, 22}, out[0].F)
	require.Equal(t, []float64{19, 22}, out[1].F)
	require.Equal(t, []float64{112, 224, 114, 226, 116, 228}, run(t, m, "Nested", one, args)[0].F)

	args["x"], args["h"] = x, floats([]int{3, 1, 2}, 1, 1, 2, 2, 3, 3)
	out = run(t, m, "States", one, args)
	require.Equal(t, []float64{118, 229}, out[0].F)
	require.Equal(t, []float64{3, 4, 30, 52, 354, 687}, out[1].F)

	args["p"] = ints(nil, 5)
	args["blocks.{0}.past"] = floats([]int{3, 1, 2, 2}, 0, 0, 1, 1, 0, 0, 2, 2, 0, 0, 3, 3)
	out = run(t, m, "Steps", one, args)
	require.Equal(t, []float64{103, 203}, out[0].F)
	require.Equal(t, []float64{0, 0, 1, 1, 0, 0, 2, 3, 0, 0, 12, 22}, out[1].F)

	args["x"], args["n"] = floats(nil, 0.5), ints(nil, 4)
	out = run(t, m, "Dynamic", one, args)
	require.Equal(t, []float64{6.5}, out[0].F)
	require.Equal(t, []int32{8}, out[1].I)

	args["x"] = floats([]int{1, 4}, 1, 2, 3, 4)
	require.Equal(t, []float64{2, 2, 2, 2}, run(t, m, "Written", one, args)[0].F)
	args["x"] = floats([]int{3, 2}, 1, 2, 3, 4, 5, 6)
	require.Equal(t, []float64{91, 122, 93, 124, 95, 126}, run(t, m, "Windows", one, args)[0].F)
	args["x"] = floats([]int{5}, 1, 2, 3, 4, 5)
	require.Equal(t, []float64{1, 3, 6, 10, 15}, run(t, m, "Shift", one, args)[0].F)
	args["x"] = x
	require.Equal(t, []float64{102, 203}, run(t, m, "Last", one, args)[0].F)
}
