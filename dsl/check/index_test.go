package check

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/ir"
)

// grid is a tensor of the given shape with elements f(index).
func grid(shape []int, f func(i []int) float64) []float64 {
	var out []float64
	at := make([]int, len(shape))
	var walk func(k int)
	walk = func(k int) {
		if k == len(shape) {
			out = append(out, f(at))
			return
		}
		for at[k] = 0; at[k] < shape[k]; at[k]++ {
			walk(k + 1)
		}
	}
	walk(0)
	return out
}

// TestIndexDefinitions compares index definitions with loops written by hand.
// The arguments are x f32[B, T, D], y f32[B, T, D], w f32[D, E], s f32[T],
// k i32[B, T] in [0, E), j i32[B] in [0, T), with B = 2, T = 4, D = 3, E = 5.
func TestIndexDefinitions(t *testing.T) {
	const B, T, D, E = 2, 4, 3, 5
	x, y := seq(B, T, D), seq(B, T, D)
	for i := range y.F {
		y.F[i] = math.Sin(float64(i))
	}
	w, s := seq(D, E), seq(T)
	k, j := ints([]int{B, T}, 1, 0, 4, 2, 3, 3, 0, 1), ints([]int{B}, 2, 1)
	X := func(b, t, d int) float64 { return x.F[(b*T+t)*D+d] }
	Y := func(b, t, d int) float64 { return y.F[(b*T+t)*D+d] }
	W := func(d, e int) float64 { return w.F[d*E+e] }
	S := func(t int) float64 { return s.F[t] }
	K := func(b, t int) int { return int(k.I[b*T+t]) }
	J := func(b int) int { return int(j.I[b]) }
	sum := func(n int, f func(i int) float64) (z float64) {
		for i := range n {
			z += f(i)
		}
		return z
	}
	where := func(c bool, a, b func() float64) float64 {
		if c {
			return a()
		}
		return b()
	}
	num := func(x float64) func() float64 { return func() float64 { return x } }

	for _, c := range []struct {
		def   string
		shape []int
		want  func(i []int) float64
	}{
		// Moving axes.
		{"z[d,b,t] := x[b,t,d]", []int{D, B, T}, func(i []int) float64 { return X(i[1], i[2], i[0]) }},
		{"z[t,b] := x[b,t,2] - s[t]", []int{T, B}, func(i []int) float64 { return X(i[1], i[0], 2) - S(i[0]) }},
		{"z[b] := x[b,-1,0] * 2", []int{B}, func(i []int) float64 { return X(i[0], T-1, 0) * 2 }},
		{"z[b,d] := x[b,T-2,d] + x[0,0,d]", []int{B, D}, func(i []int) float64 { return X(i[0], T-2, i[1]) + X(0, 0, i[1]) }},
		{"z[d: D] := w[d,d]", []int{D}, func(i []int) float64 { return W(i[0], i[0]) }},
		{"z[t: T] := s[T-1-t]", []int{T}, func(i []int) float64 { return S(T - 1 - i[0]) }},
		{"z[..., d] := x[..., d] * w[d,0]", []int{B, T, D}, func(i []int) float64 { return X(i[0], i[1], i[2]) * W(i[2], 0) }},
		// Indices as numbers, tables, masks.
		{"z[t: T, d: D] := t / (d + 1)", []int{T, D}, func(i []int) float64 { return float64(i[0]) / float64(i[1]+1) }},
		{"z[t: T, u: T] := where(u <= t, s[u], -1)", []int{T, T}, func(i []int) float64 {
			return where(i[1] <= i[0], func() float64 { return S(i[1]) }, num(-1))
		}},
		{"z[b, t: T] := where(t < j[b], 1.0, 0)", []int{B, T}, func(i []int) float64 { return where(i[1] < J(i[0]), num(1), num(0)) }},
		{"z[t: T] := f32(t % 2) + 10_000**(-t / T)", []int{T}, func(i []int) float64 {
			return float64(i[0]%2) + math.Pow(10000, -float64(i[0])/T)
		}},
		{"z[t: T, d] := pos[t,d] + x[0,t,d]", []int{T, D}, func(i []int) float64 {
			return float64(100*i[0]+i[1]) + X(0, i[0], i[1])
		}},
		// Parts of axes.
		{"z[c: 2, e] := w[c+1, e] - w[c,e]", []int{2, E}, func(i []int) float64 { return W(i[0]+1, i[1]) - W(i[0], i[1]) }},
		{"z[c: 2, e: 2] := w[2*c, 2*e+1]", []int{2, 2}, func(i []int) float64 { return W(2*i[0], 2*i[1]+1) }},
		{"z[t: T-1] := s[t+1] - s[t]", []int{T - 1}, func(i []int) float64 { return S(i[0]+1) - S(i[0]) }},
		{"z[t] := s[t] + where(t >= 1, s[t-1], 0)", []int{T}, func(i []int) float64 {
			return S(i[0]) + where(i[0] >= 1, func() float64 { return S(i[0] - 1) }, num(0))
		}},
		{"z[t] := s[t] + where(t == 0, 0, s[t-1]) * where(t + 2 < T, s[t+2], 7)", []int{T}, func(i []int) float64 {
			return S(i[0]) + where(i[0] == 0, num(0), func() float64 { return S(i[0] - 1) })*where(i[0]+2 < T, func() float64 { return S(i[0] + 2) }, num(7))
		}},
		{"z[t] := f32(t >= 1 && s[t] > s[t-1] && s[t-1] > 0.15)", []int{T}, func(i []int) float64 {
			return where(i[0] >= 1 && S(i[0]-1) > .15, num(1), num(0))
		}},
		{"z[u: 2*T] := where(u < T, s[u], 0)", []int{2 * T}, func(i []int) float64 {
			return where(i[0] < T, func() float64 { return S(i[0]) }, num(0))
		}},
		{"z[t: T, u: T] := where(u <= t, s[t-u], 0)", []int{T, T}, func(i []int) float64 {
			return where(i[1] <= i[0], func() float64 { return S(i[0] - i[1]) }, num(0))
		}},
		{"z[u: 2*T] := where(u % 2 == 0, 0, s[floor(u/2)])", []int{2 * T}, func(i []int) float64 {
			return where(i[0]%2 == 0, num(0), func() float64 { return S(i[0] / 2) })
		}},
		// Gathers.
		{"z[b,t,d] := w[d, k[b,t]]", []int{B, T, D}, func(i []int) float64 { return W(i[2], K(i[0], i[1])) }},
		{"z[b] := x[b, j[b], 1]", []int{B}, func(i []int) float64 { return X(i[0], J(i[0]), 1) }},
		{"z[b,d] := x[b, j[b], d]", []int{B, D}, func(i []int) float64 { return X(i[0], J(i[0]), i[1]) }},
		{"z[b,t,d] := x[b, k[b,t] % T, d]", []int{B, T, D}, func(i []int) float64 { return X(i[0], K(i[0], i[1])%T, i[2]) }},
		{"z[b,t] := w[j[b], k[b,t]]", []int{B, T}, func(i []int) float64 { return W(J(i[0]), K(i[0], i[1])) }},
		{"z[b,t] := x[b, j[b], k[b,t] % D]", []int{B, T}, func(i []int) float64 { return X(i[0], J(i[0]), K(i[0], i[1])%D) }},
		{"z[b,t] := where(k[b,t] < D, x[b, t, k[b,t]], -1)", []int{B, T}, func(i []int) float64 {
			return where(K(i[0], i[1]) < D, func() float64 { return X(i[0], i[1], K(i[0], i[1])) }, num(-1))
		}},
		{"z[b] := where(j[b] > 1, s[2*j[b] - 2], 0)", []int{B}, func(i []int) float64 {
			return where(J(i[0]) > 1, func() float64 { return S(2*J(i[0]) - 2) }, num(0))
		}},
		{"z[b,c] := (x * x)[b, j[b], c] + sum(x, axis = 0)[j[b], c]", []int{B, D}, func(i []int) float64 {
			return math.Pow(X(i[0], J(i[0]), i[1]), 2) + X(0, J(i[0]), i[1]) + X(1, J(i[0]), i[1])
		}},
		// Reductions.
		{"z[b,t,e] := sum[d](x[b,t,d] * w[d,e])", []int{B, T, E}, func(i []int) float64 {
			return sum(D, func(d int) float64 { return X(i[0], i[1], d) * W(d, i[2]) })
		}},
		{"z[t,b,u] := sum[d](x[b,t,d] * y[b,u,d] / 2) / sqrt(D)", []int{T, B, T}, func(i []int) float64 {
			return sum(D, func(d int) float64 { return X(i[1], i[0], d) * Y(i[1], i[2], d) / 2 }) / math.Sqrt(D)
		}},
		{"z[b] := sum[t,d](x[b,t,d] * y[b,t,d])", []int{B}, func(i []int) float64 {
			return sum(T*D, func(k int) float64 { return X(i[0], k/D, k%D) * Y(i[0], k/D, k%D) })
		}},
		{"z[b,e] := 3 * sum[t,d](s[t] * x[b,t,d] * w[d,e] / y[b,t,d]) - s[0]", []int{B, E}, func(i []int) float64 {
			return 3*sum(T*D, func(k int) float64 { return S(k/D) * X(i[0], k/D, k%D) * W(k%D, i[1]) / (Y(i[0], k/D, k%D)) }) - S(0)
		}},
		{"z[b] := mean[t,d](x[b,t,d] * s[t])", []int{B}, func(i []int) float64 {
			return sum(T*D, func(k int) float64 { return X(i[0], k/D, k%D) * S(k/D) }) / (T * D)
		}},
		{"z[b] := mean[t](2 * s[t] * x[b,0,0])", []int{B}, func(i []int) float64 { return 2 * .25 * X(i[0], 0, 0) }},
		{"z[b] := sum[t: T](x[b,0,0])", []int{B}, func(i []int) float64 { return T * X(i[0], 0, 0) }},
		{"z[t] := sum[b](f32(k[b,t]))", []int{T}, func(i []int) float64 { return float64(K(0, i[0]) + K(1, i[0])) }},
		{"z[b] := sum[t](where(k[b,t] > 2, 1, 0)) / T", []int{B}, func(i []int) float64 {
			return sum(T, func(t int) float64 { return where(K(i[0], t) > 2, num(1), num(0)) }) / T
		}},
		{"z[d] := max[b,t](y[b,t,d]) - min[...](y[...,d]) + prod[b](x[b,0,d])", []int{D}, func(i []int) float64 {
			hi, lo := math.Inf(-1), math.Inf(1)
			for b := range B {
				for t := range T {
					hi, lo = max(hi, Y(b, t, i[0])), min(lo, Y(b, t, i[0]))
				}
			}
			return hi - lo + X(0, 0, i[0])*X(1, 0, i[0])
		}},
		{"z[b] := f32(any[t](k[b,t] == 4)) + 2 * f32(all[t](k[b,t] < 4))", []int{B}, func(i []int) float64 {
			return where(i[0] == 0, num(1), num(2))
		}},
		{"z[b] := sum[t](x[b,t,0] * sum[d](y[b,t,d] * w[d,1]))", []int{B}, func(i []int) float64 {
			return sum(T, func(t int) float64 {
				return X(i[0], t, 0) * sum(D, func(d int) float64 { return Y(i[0], t, d) * W(d, 1) })
			})
		}},
		{"z[b,t] := x[b,t,0] / (x[b,t,:] |> sum)", []int{B, T}, func(i []int) float64 {
			return X(i[0], i[1], 0) / sum(D, func(d int) float64 { return X(i[0], i[1], d) })
		}},
		{"z[b,t] := relu(y[b,t,0]) + norm(y[b,t,:])", []int{B, T}, func(i []int) float64 {
			return max(Y(i[0], i[1], 0), 0) + math.Sqrt(sum(D, func(d int) float64 { return math.Pow(Y(i[0], i[1], d), 2) }))
		}},
		{"z[b] := -mean[...](x[..., k[...] % D]) + x[b,0,0]", []int{B}, func(i []int) float64 {
			return -sum(B*T, func(n int) float64 { return X(n/T, n%T, K(n/T, n%T)%D) })/(B*T) + X(i[0], 0, 0)
		}},
		{"z := s\n\t\tz[t] = s[T-1-t] + z[t]", []int{T}, func(i []int) float64 { return S(i[0]) + S(T-1-i[0]) }},
		{"var z f32[T, D]\n\t\tfor t := range T {\n\t\t\tz[t, d] = s[t] * x[0,t,d]\n\t\t}", []int{T, D}, func(i []int) float64 { return S(i[0]) * X(0, i[0], i[1]) }},
		{"z := w\n\t\tz[e: E, 1] = 0\n\t\tz[1, e] = where(e == 0, 0, 1)", []int{D, E}, nil},
		{"z := w\n\t\tz[d, 1] = 7\n\t\tz[1, e] = where(e == 0, 0, 1)", []int{D, E}, func(i []int) float64 {
			switch {
			case i[0] == 1:
				return where(i[1] == 0, num(0), num(1))
			case i[1] == 1:
				return 7
			}
			return W(i[0], i[1])
		}},
	} {
		t.Run(c.def, func(t *testing.T) {
			typ := "f32[_"
			for range c.shape[1:] {
				typ += ", _"
			}
			text := `package p
dim B, T
model M[D = 3, E = 5] {
	const pos[t: 7, d: D] = 100.0 * t + d
	func F(x, y f32[B, T, D], w f32[D, E], s f32[T], k i32[B, T], j i32[B]) ` + typ + `] {
		assert T >= 4 && T <= 7
		_, _, _, _, _, _ = x, y, w, s, k, j
		` + c.def + `
		return z
	}
}
`
			if c.want == nil {
				require.NotEmpty(t, messages(t, text))
				return
			}
			m := program(t, text)
			out := run(t, m, "F", map[string]int{"B": B, "T": T}, map[string]*ir.Data{"x": x, "y": y, "w": w, "s": s, "k": k, "j": j, "pos": floats([]int{7, D}, tableData(m)...)})
			require.Equal(t, c.shape, out[0].Shape)
			require.InDeltaSlice(t, grid(c.shape, c.want), out[0].F, 1e-6)
		})
	}
}

// tableData is the first table of m.
func tableData(m *ir.Module) []float64 {
	if len(m.API.Tables) == 0 {
		return nil
	}
	return m.API.Tables[0].Data
}
