package check

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/ir"
)

// TestBuiltins evaluates operations against numbers computed by hand. x is
// f32[2, 3] with 0.1 … 0.6, v is f32[3] with 0.3, -0.2, 0.5, k is i32[2] with
// 1, 0, m is bool[3] with true, false, true, n is 2.
func TestBuiltins(t *testing.T) {
	e := math.Exp
	for _, c := range []struct {
		expr, typ string
		want      []float64
	}{
		{"exp(v)", "f32[C]", []float64{e(.3), e(-.2), e(.5)}},
		{"v |> sign", "f32[C]", []float64{1, -1, 1}},
		{"f32(C) * cos(pi / 4) * v[0]", "f32", []float64{3 * math.Sqrt2 / 2 * .3}},
		{"v * rsqrt(C + 1)", "f32[C]", []float64{.15, -.1, .25}},
		{"sqrt(P + 3) * v[0]", "f32", []float64{.6}},
		{"sigmoid(v) + erf(v) - tanh(v)", "f32[C]", []float64{
			1/(1+e(-.3)) + math.Erf(.3) - math.Tanh(.3), 1/(1+e(.2)) + math.Erf(-.2) - math.Tanh(-.2), 1/(1+e(-.5)) + math.Erf(.5) - math.Tanh(.5)}},
		{"floor(10 * v) + ceil(3 * v) + round(5 * v)", "f32[C]", []float64{3 + 1 + 2, -2 + 0 - 1, 5 + 2 + 2}},
		{"f32(floor(n / 3)) + f32(ceil(n / 3)) + floor(A * C / 4) + ceil((A + 2) / C)", "f32", []float64{0 + 1 + 1 + 2}},
		{"f32(floor((k - 3) / A))", "f32[A]", []float64{-1, -2}},
		{"abs(v) + f32(abs(k - 1)[0])", "f32[C]", []float64{.3, .2, .5}},
		{"max(v, 0)", "f32[C]", []float64{.3, 0, .5}},
		{"min(x, v)", "f32[A, C]", []float64{.1, -.2, .3, .3, -.2, .5}},
		{"f32(max(k, n - 2))", "f32[A]", []float64{1, 0}},
		{"f32(max(A, C) + min(P, P + 1))", "f32", []float64{4}},
		{"clamp(v, -0.1, 0.4)", "f32[C]", []float64{.3, -.1, .4}},
		{"logAddExp(v, v[0])", "f32[C]", []float64{.3 + math.Ln2, math.Log(e(-.2) + e(.3)), math.Log(e(.5) + e(.3))}},
		{"exp(logAddExp(where(v < 0, -inf, v), -inf))", "f32[C]", []float64{e(.3), 0, e(.5)}},
		{"where(v < 0, 0, v)", "f32[C]", []float64{.3, 0, .5}},
		{"where(x > 0.35, v, x)", "f32[A, C]", []float64{.1, .2, .3, .3, -.2, .5}},
		{"f32(where(k == 0, n, 7))", "f32[A]", []float64{7, 2}},
		{"where(training, 1, 2) * v", "f32[C]", []float64{.6, -.4, 1}},
		{"stop(v) + stop(2)", "f32[C]", []float64{2.3, 1.8, 2.5}},

		{"sum(x)", "f32", []float64{2.1}},
		{"sum(x, axis = 0)", "f32[C]", []float64{.5, .7, .9}},
		{"sum(x, axis = [0, -1], keep = true)", "f32[1, 1]", []float64{2.1}},
		{"mean(x, axis = -1)", "f32[A]", []float64{.2, .5}},
		{"mean(x) * prod(x, axis = 1)", "f32[A]", []float64{.35 * .006, .35 * .12}},
		{"max(x, axis = 0) - min(x, axis = 0)", "f32[C]", []float64{.3, .3, .3}},
		{"x / max(x, axis = 1, keep = true)", "f32[A, C]", []float64{1. / 3, 2. / 3, 1, 4. / 6, 5. / 6, 1}},
		{"f32(sum(k)) + f32(all(m)) + 2 * f32(any(m))", "f32", []float64{3}},
		{"f32(argmax(v)) + f32(argmin(x, axis = 0))", "f32[C]", []float64{2, 2, 2}},
		{"f32(argmax(x, keep = true))", "f32[A, 1]", []float64{2, 2}},
		{"norm(v) + norm(0 * v)", "f32", []float64{math.Sqrt(.38)}},
		{"norm(x, axis = 0)", "f32[C]", []float64{math.Sqrt(.17), math.Sqrt(.29), math.Sqrt(.45)}},
		{"cumsum(x)", "f32[A, C]", []float64{.1, .3, .6, .4, .9, 1.5}},
		{"cumsum(x, axis = 0, exclusive = true, reverse = true)", "f32[A, C]", []float64{.4, .5, .6, 0, 0, 0}},

		{"reshape[A * C](x)", "f32[A*C]", []float64{.1, .2, .3, .4, .5, .6}},
		{"permute(x, 1, 0)", "f32[C, A]", []float64{.1, .4, .2, .5, .3, .6}},
		{"concat(x, v[_], axis = 0)", "f32[A + 1, C]", []float64{.1, .2, .3, .4, .5, .6, .3, -.2, .5}},
		{"concat(v, v, v[:1])", "f32[2*C + 1]", []float64{.3, -.2, .5, .3, -.2, .5, .3}},
		{"flip(x)", "f32[A, C]", []float64{.3, .2, .1, .6, .5, .4}},
		{"flip(x, axis = 0)", "f32[A, C]", []float64{.4, .5, .6, .1, .2, .3}},
		{"gather(x, k)", "f32[A, C]", []float64{.4, .5, .6, .1, .2, .3}},
		{"gather(x, k, axis = 1)", "f32[A, A]", []float64{.2, .1, .5, .4}},
		{"f32(size(x) / size(x, axis = 0))", "f32", []float64{3}},
		{"sort(v)", "f32[C]", []float64{-.2, .3, .5}},
		{"f32(argsort(v, descending = true))", "f32[C]", []float64{2, 0, 1}},
		{"segmentSum[C](x, k)", "f32[C, C]", []float64{.4, .5, .6, .1, .2, .3, 0, 0, 0}},
		{"segmentMax[1](x, k)", "f32[1, C]", []float64{.4, .5, .6}},

		{"f32[A](2) + f32(k)", "f32[A]", []float64{3, 2}},
		{"f32[C](m)", "f32[C]", []float64{1, 0, 1}},
		{"f32[A, C](v)", "f32[A, C]", nil},
		{"f32(i32(10 * v)) + f32(bool(k[0]))", "f32[C]", []float64{4, -1, 6}},
		{"f32(i32(2.7)) + f32(true) + f32(P)", "f32", []float64{4}},

		{"softmax(x)[1]", "f32[C]", []float64{e(-.2) / (1 + e(-.1) + e(-.2)), e(-.1) / (1 + e(-.1) + e(-.2)), 1 / (1 + e(-.1) + e(-.2))}},
		{"crossEntropy(x, k)", "f32", []float64{math.Log(e(.1)+e(.2)+e(.3))/2 + math.Log(e(.4)+e(.5)+e(.6))/2 - .3}},
		{"flatten(x[_])", "f32[1, _]", []float64{.1, .2, .3, .4, .5, .6}},
	} {
		t.Run(c.expr, func(t *testing.T) {
			text := "package p\nmodel M[A = 2, C = 3] {\n\tfunc F(x f32[A, C], v f32[C], k i32[A], m bool[C], n i32, P dim) " + c.typ + " {\n\t\treturn " + c.expr + "\n\t}\n}\n"
			if c.want == nil {
				assert.NotEmpty(t, messages(t, text))
				return
			}
			m := program(t, text)
			out := run(t, m, "F", map[string]int{"P": 1}, map[string]*ir.Data{
				"x": seq(2, 3), "v": floats([]int{3}, .3, -.2, .5), "k": ints([]int{2}, 1, 0), "n": ints(nil, 2),
				"m": {Elem: ir.Bool, Shape: []int{3}, I: []int32{1, 0, 1}},
			})
			require.InDeltaSlice(t, c.want, out[0].F, 1e-6)
		})
	}
}

// TestTuples checks operations with several results.
func TestTuples(t *testing.T) {
	m := program(t, `package p
model M[N = 5] {
	func F(x f32[2, N], k dim) (p f32[2, k], q i32[2, k], r f32[2, 2], s f32[2, N - 2]) {
		best, id := topk(x, k)
		a, b := split(x, [2, N - 2])
		p, q := split(x, 2, axis = 0)
		_, _ = p, q
		return best, id, a, b
	}
	func Boxes(b f32[1, 3, 4], s f32[1, 3]) (k i32[1, 2], c i32[1]) {
		keep, n := nms(b, s, iou = 0.5, limit = 2)
		return keep, n
	}
}`)
	require.Len(t, m.API.Entries[0].Need, 2)
	assert.Equal(t, "k <= 5", m.API.Entries[0].Need[1].Text, "the caller's choice is checked on entry")
	out := run(t, m, "F", map[string]int{"k": 2}, map[string]*ir.Data{"x": floats([]int{2, 5}, 1, 5, 3, 5, 2, -1, -2, 0, -4, 7)})
	assert.Equal(t, []float64{5, 5, 7, 0}, out[0].F)
	assert.Equal(t, []int32{1, 3, 4, 2}, out[1].I)
	assert.Equal(t, []float64{1, 5, -1, -2}, out[2].F)
	assert.Equal(t, []float64{3, 5, 2, 0, -4, 7}, out[3].F)
	out = run(t, m, "Boxes", nil, map[string]*ir.Data{"b": floats([]int{1, 3, 4}, 0, 0, 2, 2, 0, 0, 2, 1.9, 5, 5, 6, 6), "s": floats([]int{1, 3}, .5, .9, .1)})
	assert.Equal(t, []int32{1, 2}, out[0].I)
	assert.Equal(t, []int32{2}, out[1].I)
}

// TestWindows compares convolutions and pools with their definitions.
func TestWindows(t *testing.T) {
	m := program(t, `package p
dim B, T
model M {
	func Conv(x f32[B, T, 2], w f32[3, 2, 4]) f32[B, _, 4] { return conv1d(x, w, stride = 2, pad = 1) }
	func Same(x f32[B, T, 2], w f32[3, 2, 4]) f32[B, T, 4] { return conv1d(x, w, pad = "same") }
	func Causal(x f32[B, T, 2], w f32[3, 2, 4], d i32) (y, z f32[B, T, 4]) {
		return conv1d(x, w, pad = "causal", dilation = d), conv1d(x, w, pad = "causal", dilation = 2)
	}
	func Up(x f32[1, 2, 2, 1], w f32[2, 2, 1, 1]) f32[1, _, _, 1] { return conv2dTranspose(x, w, stride = 2) }
	func Pool(x f32[1, 4, 4, 1]) (y f32[1, 2, 2, 1], z f32[1, 3, 3, 1]) { return maxPool(x, 2), avgPool(x, 2, stride = 1) }
}`)
	x, w := seq(1, 6, 2), seq(3, 2, 4)
	naive := func(stride, lo, d, n int) []float64 {
		var out []float64
		for o := range n {
			for c := range 4 {
				s := 0.0
				for k := range 3 {
					at := o*stride + k*d - lo
					for i := range 2 {
						if at >= 0 && at < 6 {
							s += x.F[2*at+i] * w.F[8*k+4*i+c]
						}
					}
				}
				out = append(out, s)
			}
		}
		return out
	}
	dims := map[string]int{"B": 1, "T": 6}
	args := map[string]*ir.Data{"x": x, "w": w, "d": ints(nil, 2)}
	assert.InDeltaSlice(t, naive(2, 1, 1, 3), run(t, m, "Conv", dims, args)[0].F, 1e-9)
	assert.InDeltaSlice(t, naive(1, 1, 1, 6), run(t, m, "Same", dims, args)[0].F, 1e-9)
	out := run(t, m, "Causal", dims, args)
	assert.InDeltaSlice(t, naive(1, 4, 2, 6), out[0].F, 1e-9)
	assert.InDeltaSlice(t, naive(1, 4, 2, 6), out[1].F, 1e-9)
	out = run(t, m, "Up", nil, map[string]*ir.Data{"x": floats([]int{1, 2, 2, 1}, 1, 2, 3, 4), "w": floats([]int{2, 2, 1, 1}, 1, 10, 100, 1000)})
	assert.Equal(t, []float64{1, 10, 2, 20, 100, 1000, 200, 2000, 3, 30, 4, 40, 300, 3000, 400, 4000}, out[0].F)
	out = run(t, m, "Pool", nil, map[string]*ir.Data{"x": seq(1, 4, 4, 1)})
	assert.InDeltaSlice(t, []float64{.6, .8, 1.4, 1.6}, out[0].F, 1e-9)
	assert.InDeltaSlice(t, []float64{.35, .45, .55, .75, .85, .95, 1.15, 1.25, 1.35}, out[1].F, 1e-9)
}

// TestRandom checks that draws differ by their place and by loop counters,
// and that categorical follows its logits.
func TestRandom(t *testing.T) {
	m := program(t, `package p
dim B
model M {
	func F(B dim) (a f32[B], b f32[B], z f32[B], c f32[2, 4]) {
		var c f32[2, 4]
		for i := range 2 {
			c[i] = uniform[4](0, 1)
		}
		return uniform[B](2, 3), uniform[B](2, 3), normal[B](0.1, mean = 5), c
	}
	func Pick(x f32[B, 3]) i32[B] { return categorical(x) }
}`)
	key := ints([]int{3}, 1, 2, 3)
	out := run(t, m, "F", map[string]int{"B": 100}, map[string]*ir.Data{"key": key})
	assert.NotEqual(t, out[0].F, out[1].F)
	for i := range 100 {
		assert.True(t, out[0].F[i] >= 2 && out[0].F[i] < 3)
		assert.InDelta(t, 5, out[2].F[i], .6)
	}
	assert.NotEqual(t, out[3].F[:4], out[3].F[4:])
	x := floats([]int{600, 3})
	for range 600 {
		x.F = append(x.F, math.Log(.2), math.Log(.5), math.Log(.3))
	}
	n := make([]float64, 3)
	for _, i := range run(t, m, "Pick", map[string]int{"B": 600}, map[string]*ir.Data{"key": key, "x": x})[0].I {
		n[i]++
	}
	assert.InDeltaSlice(t, []float64{120, 300, 180}, n, 40)
}

// TestGrad checks grad of variables, of parameters, of gradients, and of each
// example.
func TestGrad(t *testing.T) {
	m := program(t, `package p
dim B
model M[C = 3] {
	param w f32[C] = 1
	func loss(x f32[B, C]) f32[B] { return sum((x * w)**3, axis = 1) }
	func X(x f32[B, C]) f32[B, C] { return grad[x](sum(loss(x))) }
	func W(x f32[B, C]) (g f32[B, C], h f32[C]) { return grad[x, w](sum(loss(x))) }
	func Twice(x f32[B, C]) f32[B, C] {
		g := grad[x](sum(loss(x)))
		return grad[x](sum(g * g))
	}
	func Each(x f32[B, C]) f32[B] {
		n[b] := norm(grad[w](loss(x)[b]))
		return n
	}
	func Loop(x f32[B, C], n i32) f32[B, C] {
		y := f32[B, C](0)
		for i := range n {
			z := x * (f32(i) + 1)
			y += grad[z](sum(loss(z)))
		}
		return y
	}
}`)
	x, w := seq(2, 3), []float64{2, -1, .5}
	args := map[string]*ir.Data{"x": x, "w": floats([]int{3}, w...), "n": ints(nil, 2)}
	gx, gxx, loop, each, gw := make([]float64, 6), make([]float64, 6), make([]float64, 6), make([]float64, 2), make([]float64, 3)
	for i, v := range x.F {
		c := w[i%3]
		gx[i] = 3 * v * v * c * c * c
		gxx[i] = 2 * gx[i] * 6 * v * c * c * c
		loop[i] = gx[i] + 4*gx[i]
		gw[i%3] += 3 * v * v * v * c * c
		each[i/3] += math.Pow(3*v*v*v*c*c, 2)
	}
	dims := map[string]int{"B": 2}
	assert.InDeltaSlice(t, gx, run(t, m, "X", dims, args)[0].F, 1e-9)
	assert.InDeltaSlice(t, gx, run(t, m, "W", dims, args)[0].F, 1e-9)
	assert.InDeltaSlice(t, gw, run(t, m, "W", dims, args)[1].F, 1e-9)
	assert.InDeltaSlice(t, gxx, run(t, m, "Twice", dims, args)[0].F, 1e-9)
	assert.InDeltaSlice(t, loop, run(t, m, "Loop", dims, args)[0].F, 1e-9)
	assert.InDeltaSlice(t, []float64{math.Sqrt(each[0]), math.Sqrt(each[1])}, run(t, m, "Each", dims, args)[0].F, 1e-9)
}

// messages are the first lines of the messages about the text of a package.
func messages(t *testing.T, text string) []string {
	t.Helper()
	f, ds := dsl.Parse("test.lm", []byte(text))
	require.Empty(t, ds)
	_, ds = Check([]*dsl.File{f}, Options{})
	var out []string
	for _, d := range ds {
		out = append(out, d.Msg)
	}
	return out
}
