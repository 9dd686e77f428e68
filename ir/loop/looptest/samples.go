package looptest

import (
	"math"
	"math/rand/v2"

	"github.com/lmc-lang/lmc/ir/loop"
)

// A sample is a kernel with the sizes to run it at.
type sample struct {
	build func(b *loop.Builder)
	dims  []map[string]int
	ints  []int
}

type dims = map[string]int

// Samples returns kernels of the shapes that schedules make, each at several
// sizes, with pseudo-random inputs.
func Samples() []*Case {
	var out []*Case
	for _, name := range sampleNames {
		s := samples[name]
		b := loop.NewBuilder(name)
		b.K.Doc = "a sample (test.lm:1:1)"
		s.build(b)
		for _, d := range s.dims {
			out = append(out, NewCase(b.K, d, s.ints, 1))
		}
	}
	return out
}

// NewCase is k at the given sizes with pseudo-random inputs.
func NewCase(k *loop.Kernel, d dims, ints []int, seed uint64) *Case {
	r := rand.New(rand.NewPCG(seed, 1))
	c := &Case{Kernel: k, Dims: d, Ints: ints}
	for _, buf := range k.Bufs {
		n, err := buf.Len.Eval(d)
		if err != nil {
			panic(err)
		}
		c.Inputs = append(c.Inputs, fill(r, buf.Elem, n))
	}
	return c
}

var sampleNames = []string{
	"relu", "gemm33", "matmul", "softmax", "layerNorm", "gelu", "embed", "scatter", "cumsum", "conv", "argmax",
	"swap", "causal", "transpose", "dropout", "axpy", "hostScalars", "mask", "sumAll", "sorted", "band", "stacked", "unroll", "swapEnds", "modulo",
}

func sym(s string) loop.Dim { return loop.Sym(s) }

func grid(b *loop.Builder, n loop.Dim) (lo, hi loop.Bound) {
	g := &loop.Grid{Lo: b.NewVal(loop.Int, "lo"), Hi: b.NewVal(loop.Int, "hi"), N: n, Grain: loop.N(16)}
	b.K.Grid = g
	return loop.Bound{Val: g.Lo}, loop.Bound{Val: g.Hi}
}

// over is a loop without carries.
func over(b *loop.Builder, name string, from, to loop.Bound, body func(i *loop.Val)) {
	b.For(name, from, to, 1, nil, func(i *loop.Val, _ []*loop.Val) []*loop.Val { body(i); return nil })
}

// at is row*stride + col.
func at(row *loop.Val, stride loop.Dim, col *loop.Val) loop.Index {
	return loop.At(row).Scale(stride).Add(loop.At(col))
}

var samples = map[string]sample{
	"relu": {func(b *loop.Builder) {
		n := sym("B").MulN(3)
		x, y := b.Buffer("x", loop.F32, n, false), b.Buffer("y", loop.F32, n, true)
		lo, hi := grid(b, n)
		over(b, "i", lo, hi, func(i *loop.Val) {
			b.Store(y, loop.At(i), b.Do(loop.Max, b.Load(x, loop.At(i)), b.Const(loop.F32, 0)))
		})
	}, []dims{{"B": 0}, {"B": 1}, {"B": 7}}, nil},

	"gemm33": {func(b *loop.Builder) { Gemm(b, 3, 3) }, []dims{{"M": 0, "N": 4, "K": 3}, {"M": 1, "N": 1, "K": 1}, {"M": 7, "N": 5, "K": 8}, {"M": 6, "N": 3, "K": 0}}, nil},

	"matmul": {func(b *loop.Builder) {
		m := sym("B")
		x, w := b.Buffer("x", loop.F32, m.MulN(5), false), b.Buffer("w", loop.F32, loop.N(20), false)
		bias := b.Buffer("bias", loop.F32, loop.N(4), false)
		y := b.Buffer("y", loop.F32, m.MulN(4), true)
		lo, hi := grid(b, m)
		over(b, "i", lo, hi, func(i *loop.Val) {
			b.Range("j", loop.N(4), func(j *loop.Val) {
				acc := b.Reduce("k", loop.N(5), b.Load(bias, loop.At(j)), func(k, acc *loop.Val) *loop.Val {
					return b.Do(loop.Add, acc, b.Do(loop.Mul, b.Load(x, at(i, loop.N(5), k)), b.Load(w, at(k, loop.N(4), j))))
				})
				b.Store(y, at(i, loop.N(4), j), acc)
			})
		})
	}, []dims{{"B": 0}, {"B": 3}}, nil},

	"softmax": {func(b *loop.Builder) {
		m, n := sym("B"), sym("T")
		x, y := b.Buffer("x", loop.F32, m.Mul(n), false), b.Buffer("y", loop.F32, m.Mul(n), true)
		b.K.InPlace = [][2]int{{0, 1}}
		lo, hi := grid(b, m)
		over(b, "i", lo, hi, func(i *loop.Val) {
			most := b.Const(loop.F32, math.Inf(-1))
			most.Name = "most"
			most = b.Reduce("j", n, most, func(j, acc *loop.Val) *loop.Val {
				return b.Do(loop.Max, b.Load(x, at(i, n, j)), acc)
			})
			zero := b.Const(loop.F32, 0)
			zero.Name = "sum"
			sum := b.Reduce("j", n, zero, func(j, acc *loop.Val) *loop.Val {
				e := b.Do(loop.Exp, b.Do(loop.Sub, b.Load(x, at(i, n, j)), most))
				b.Store(y, at(i, n, j), e)
				return b.Do(loop.Add, acc, e)
			})
			inv := b.Do(loop.Div, b.Const(loop.F32, 1), sum)
			b.Range("j", n, func(j *loop.Val) {
				b.Store(y, at(i, n, j), b.Do(loop.Mul, b.Load(y, at(i, n, j)), inv))
			})
		})
	}, []dims{{"B": 3, "T": 0}, {"B": 1, "T": 1}, {"B": 4, "T": 9}}, nil},

	"layerNorm": {func(b *loop.Builder) {
		m, n := sym("B"), loop.N(6)
		x := b.Buffer("x", loop.F32, m.Mul(n), false)
		g, beta := b.Buffer("gamma", loop.F32, n, false), b.Buffer("beta", loop.F32, n, false)
		y, mean, rstd := b.Buffer("y", loop.F32, m.Mul(n), true), b.Buffer("mean", loop.F32, m, true), b.Buffer("rstd", loop.F32, m, true)
		lo, hi := grid(b, m)
		over(b, "i", lo, hi, func(i *loop.Val) {
			count := b.ConvertTo(loop.F32, b.SizeOf(n))
			sum := b.Reduce("j", n, b.Const(loop.F32, 0), func(j, acc *loop.Val) *loop.Val {
				return b.Do(loop.Add, acc, b.Load(x, at(i, n, j)))
			})
			mu := b.Do(loop.Div, sum, count)
			mu.Name = "mu"
			b.Store(mean, loop.At(i), mu)
			sq := b.Reduce("j", n, b.Const(loop.F32, 0), func(j, acc *loop.Val) *loop.Val {
				d := b.Do(loop.Sub, b.Load(x, at(i, n, j)), mu)
				return b.Do(loop.Add, acc, b.Do(loop.Mul, d, d))
			})
			r := b.Do(loop.Div, b.Const(loop.F32, 1), b.Do(loop.Sqrt, b.Do(loop.Add, b.Do(loop.Div, sq, count), b.Const(loop.F32, 1e-5))))
			r.Name = "r"
			b.Store(rstd, loop.At(i), r)
			b.Range("j", n, func(j *loop.Val) {
				v := b.Do(loop.Mul, b.Do(loop.Sub, b.Load(x, at(i, n, j)), mu), r)
				b.Store(y, at(i, n, j), b.Do(loop.Add, b.Do(loop.Mul, v, b.Load(g, loop.At(j))), b.Load(beta, loop.At(j))))
			})
		})
	}, []dims{{"B": 0}, {"B": 3}}, nil},

	"gelu": {func(b *loop.Builder) {
		n := loop.N(8)
		m := sym("B")
		x, bias := b.Buffer("x", loop.F32, m.Mul(n), false), b.Buffer("bias", loop.F32, n, false)
		y := b.Buffer("y", loop.F32, m.Mul(n), true)
		lo, hi := grid(b, m)
		over(b, "i", lo, hi, func(i *loop.Val) {
			b.Range("j", n, func(j *loop.Val) {
				v := b.Do(loop.Add, b.Load(x, at(i, n, j)), b.Load(bias, loop.At(j)))
				cube := b.Do(loop.Mul, b.Do(loop.Mul, v, v), v)
				u := b.Do(loop.Mul, b.Const(loop.F32, math.Sqrt(2/math.Pi)), b.Do(loop.Add, v, b.Do(loop.Mul, b.Const(loop.F32, 0.044715), cube)))
				t := b.Do(loop.Add, b.Const(loop.F32, 1), b.Do(loop.Tanh, u))
				b.Store(y, at(i, n, j), b.Do(loop.Mul, b.Do(loop.Mul, b.Const(loop.F32, 0.5), v), t))
			})
		})
	}, []dims{{"B": 5}}, nil},

	"embed": {func(b *loop.Builder) {
		m := sym("B").Mul(sym("T"))
		ids, table := b.Buffer("ids", loop.I32, m, false), b.Buffer("table", loop.F32, loop.N(9*4), false)
		pos := b.Buffer("pos", loop.F32, sym("T").MulN(4), false)
		y := b.Buffer("y", loop.F32, m.MulN(4), true)
		lo, hi := grid(b, m)
		over(b, "i", lo, hi, func(i *loop.Val) {
			id := b.Do(loop.Check, b.ConvertTo(loop.Int, b.Load(ids, loop.At(i))), b.SizeOf(loop.N(9)))
			id.Name = "id"
			t := b.Do(loop.Mod, i, b.SizeOf(sym("T")))
			b.Range("j", loop.N(4), func(j *loop.Val) {
				b.Store(y, at(i, loop.N(4), j), b.Do(loop.Add, b.Load(table, at(id, loop.N(4), j)), b.Load(pos, at(t, loop.N(4), j))))
			})
		})
	}, []dims{{"B": 0, "T": 3}, {"B": 2, "T": 3}}, nil},

	"scatter": {func(b *loop.Builder) {
		m := sym("B")
		ids, dy := b.Buffer("ids", loop.I32, m, false), b.Buffer("dy", loop.F32, m.MulN(4), false)
		dw := b.Buffer("dw", loop.F32, loop.N(9*4), true)
		b.Range("i", loop.N(36), func(i *loop.Val) { b.Store(dw, loop.At(i), b.Const(loop.F32, 0)) })
		b.Range("i", m, func(i *loop.Val) {
			id := b.Do(loop.Check, b.ConvertTo(loop.Int, b.Load(ids, loop.At(i))), b.SizeOf(loop.N(9)))
			b.Range("j", loop.N(4), func(j *loop.Val) {
				w := at(id, loop.N(4), j)
				b.Store(dw, w, b.Do(loop.Add, b.Load(dw, w), b.Load(dy, at(i, loop.N(4), j))))
			})
		})
	}, []dims{{"B": 0}, {"B": 6}}, nil},

	"cumsum": {func(b *loop.Builder) {
		n := sym("T")
		x, y := b.Buffer("x", loop.F32, n, false), b.Buffer("y", loop.F32, n, true)
		b.Range("i", n, func(i *loop.Val) {
			first := b.Do(loop.Eq, i, b.Const(loop.Int, 0))
			before := b.If(first, func() []*loop.Val { return []*loop.Val{b.Const(loop.F32, 0)} }, func() []*loop.Val {
				return []*loop.Val{b.Load(y, loop.At(i).Add(loop.AtDim(loop.N(-1))))}
			})
			b.Store(y, loop.At(i), b.Do(loop.Add, before[0], b.Load(x, loop.At(i))))
		})
	}, []dims{{"T": 0}, {"T": 9}}, nil},

	"conv": {func(b *loop.Builder) {
		n, ci, co, width := sym("T"), loop.N(2), loop.N(3), 3
		x, w := b.Buffer("x", loop.F32, n.Mul(ci), false), b.Buffer("w", loop.F32, ci.Mul(co).MulN(width), false)
		y := b.Buffer("y", loop.F32, n.Mul(co), true)
		lo, hi := grid(b, n)
		over(b, "t", lo, hi, func(t *loop.Val) {
			b.Range("o", co, func(o *loop.Val) {
				acc := b.Reduce("k", loop.N(width), b.Const(loop.F32, 0), func(k, acc *loop.Val) *loop.Val {
					s := b.IndexVal(loop.At(t).Add(loop.At(k)).Add(loop.AtDim(loop.N(-1))))
					in := b.Do(loop.And, b.Do(loop.Le, b.Const(loop.Int, 0), s), b.Do(loop.Lt, s, b.SizeOf(n)))
					return b.If(in, func() []*loop.Val {
						return []*loop.Val{b.Reduce("c", ci, acc, func(c, acc *loop.Val) *loop.Val {
							wi := at(k, ci.Mul(co), o).Add(loop.At(c).Scale(co))
							return b.Do(loop.Add, acc, b.Do(loop.Mul, b.Load(x, at(s, ci, c)), b.Load(w, wi)))
						})}
					}, func() []*loop.Val { return []*loop.Val{acc} })[0]
				})
				b.Store(y, at(t, co, o), acc)
			})
		})
	}, []dims{{"T": 0}, {"T": 1}, {"T": 5}}, nil},

	"argmax": {func(b *loop.Builder) {
		m, n := sym("B"), loop.N(7)
		x, y := b.Buffer("x", loop.F32, m.Mul(n), false), b.Buffer("y", loop.I32, m, true)
		lo, hi := grid(b, m)
		over(b, "i", lo, hi, func(i *loop.Val) {
			start := []*loop.Val{b.Load(x, loop.At(i).Scale(n)), b.Const(loop.I32, 0)}
			start[0].Name, start[1].Name = "best", "place"
			out := b.For("j", loop.Bound{Dim: loop.N(1)}, loop.Bound{Dim: n}, 1, start, func(j *loop.Val, phi []*loop.Val) []*loop.Val {
				v := b.Load(x, at(i, n, j))
				more := b.Do(loop.Lt, phi[0], v)
				return []*loop.Val{b.Do(loop.Select, more, v, phi[0]), b.Do(loop.Select, more, b.ConvertTo(loop.I32, j), phi[1])}
			})
			b.Store(y, loop.At(i), out[1])
		})
	}, []dims{{"B": 4}}, nil},

	"swap": {func(b *loop.Builder) {
		x, y := b.Buffer("x", loop.F32, sym("T").AddN(2), false), b.Buffer("y", loop.F32, loop.N(3), true)
		out := b.For("i", loop.Bound{}, loop.Bound{Dim: sym("T")}, 1, []*loop.Val{b.Load(x, loop.AtDim(loop.N(0))), b.Load(x, loop.AtDim(loop.N(1))), b.Const(loop.I32, 1)},
			func(i *loop.Val, p []*loop.Val) []*loop.Val {
				return []*loop.Val{p[1], b.Do(loop.Add, p[0], b.Load(x, loop.At(i))), b.Do(loop.Mul, p[2], b.Const(loop.I32, 3))}
			})
		b.Store(y, loop.AtDim(loop.N(0)), out[0])
		b.Store(y, loop.AtDim(loop.N(1)), out[1])
		b.Store(y, loop.AtDim(loop.N(2)), b.ConvertTo(loop.F32, out[2]))
	}, []dims{{"T": 0}, {"T": 1}, {"T": 4}}, nil},

	"causal": {func(b *loop.Builder) {
		n, d := sym("T"), loop.N(4)
		q, k := b.Buffer("q", loop.F32, n.Mul(d), false), b.Buffer("k", loop.F32, n.Mul(d), false)
		s := b.Buffer("s", loop.F32, n.Mul(n), true)
		lo, hi := grid(b, n)
		over(b, "i", lo, hi, func(i *loop.Val) {
			end := loop.Bound{Val: b.Do(loop.Add, i, b.Const(loop.Int, 1))}
			over(b, "j", loop.Bound{}, end, func(j *loop.Val) {
				dot := b.Reduce("c", d, b.Const(loop.F32, 0), func(c, acc *loop.Val) *loop.Val {
					return b.Do(loop.Add, acc, b.Do(loop.Mul, b.Load(q, at(i, d, c)), b.Load(k, at(j, d, c))))
				})
				b.Store(s, at(i, n, j), b.Do(loop.Mul, dot, b.Const(loop.F32, 0.5)))
			})
			over(b, "j", end, loop.Bound{Dim: n}, func(j *loop.Val) {
				b.Store(s, at(i, n, j), b.Const(loop.F32, math.Inf(-1)))
			})
		})
	}, []dims{{"T": 0}, {"T": 1}, {"T": 5}}, nil},

	"transpose": {func(b *loop.Builder) {
		n, m := sym("B"), loop.N(3)
		x, y := b.Buffer("x", loop.F32, n.Mul(m), false), b.Buffer("y", loop.F32, n.Mul(m), true)
		lo, hi := grid(b, n.Mul(m))
		over(b, "i", lo, hi, func(i *loop.Val) {
			row, col := b.Do(loop.Div, i, b.SizeOf(n)), b.Do(loop.Mod, i, b.SizeOf(n))
			b.Store(y, loop.At(i), b.Load(x, at(col, m, row)))
		})
	}, []dims{{"B": 0}, {"B": 5}}, nil},

	"dropout": {func(b *loop.Builder) {
		n := sym("B")
		x, key := b.Buffer("x", loop.F32, n, false), b.Buffer("key", loop.I32, loop.N(3), false)
		y, kept := b.Buffer("y", loop.F32, n, true), b.Buffer("kept", loop.Bool, n, true)
		layer := b.Int("layer")
		lo, hi := grid(b, n)
		seed := b.ConvertTo(loop.Int, b.Load(key, loop.AtDim(loop.N(0))))
		seed.Name = "seed"
		stream := b.Do(loop.Fold, b.SizeOf(loop.N(1<<62+12345)), layer)
		stream.Name = "stream"
		over(b, "i", lo, hi, func(i *loop.Val) {
			keep := b.Do(loop.Lt, b.Do(loop.Uniform, seed, stream, i), b.Const(loop.F32, 0.75))
			v := b.Load(x, loop.At(i))
			b.Store(kept, loop.At(i), keep)
			b.Store(y, loop.At(i), b.Do(loop.Select, keep, b.Do(loop.Div, v, b.Const(loop.F32, 0.75)), b.Const(loop.F32, 0)))
		})
	}, []dims{{"B": 0}, {"B": 33}}, []int{3}},

	"axpy": {func(b *loop.Builder) {
		n := sym("B")
		x, w, scalars := b.Buffer("x", loop.F32, n, false), b.Buffer("w", loop.F32, n, false), b.Buffer("scalars", loop.F32, loop.N(2), false)
		out := b.Buffer("wOut", loop.F32, n, true)
		b.K.InPlace = [][2]int{{1, 3}}
		lr := b.Load(scalars, loop.AtDim(loop.N(1)))
		lr.Name = "lr"
		lo, hi := grid(b, n)
		over(b, "i", lo, hi, func(i *loop.Val) {
			b.Store(out, loop.At(i), b.Do(loop.Sub, b.Load(w, loop.At(i)), b.Do(loop.Mul, lr, b.Load(x, loop.At(i)))))
		})
	}, []dims{{"B": 0}, {"B": 9}}, nil},

	"hostScalars": {func(b *loop.Builder) {
		b.K.Wide = true
		in, out := b.Buffer("in", loop.F32, loop.N(2), false), b.Buffer("out", loop.F32, loop.N(2), true)
		step, rate := b.Load(in, loop.AtDim(loop.N(0))), b.Load(in, loop.AtDim(loop.N(1)))
		warm := b.Do(loop.Min, b.Do(loop.Div, step, b.Const(loop.F32, 100)), b.Const(loop.F32, 1))
		b.Store(out, loop.AtDim(loop.N(0)), b.Do(loop.Mul, rate, warm))
		b.Store(out, loop.AtDim(loop.N(1)), b.Do(loop.Sub, b.Const(loop.F32, 1), b.Do(loop.Pow, b.Const(loop.F32, 0.999), step)))
	}, []dims{{}}, nil},

	"mask": {func(b *loop.Builder) {
		n := sym("B")
		p, q := b.Buffer("p", loop.Bool, n, false), b.Buffer("q", loop.Bool, n, false)
		x, y := b.Buffer("x", loop.I32, n, false), b.Buffer("y", loop.I32, n, true)
		r := b.Buffer("r", loop.Bool, n, true)
		b.Range("i", n, func(i *loop.Val) {
			c := b.Do(loop.Or, b.Do(loop.And, b.Load(p, loop.At(i)), b.Do(loop.Not, b.Load(q, loop.At(i)))), b.Do(loop.Eq, b.Load(x, loop.At(i)), b.Const(loop.I32, 3)))
			b.Store(r, loop.At(i), b.Do(loop.Eq, c, b.Load(q, loop.At(i))))
			odd := b.Do(loop.Eq, b.Do(loop.Mod, b.Load(x, loop.At(i)), b.Const(loop.I32, 2)), b.Const(loop.I32, 1))
			v := b.If(b.Do(loop.And, c, odd), func() []*loop.Val {
				return []*loop.Val{b.Do(loop.Mul, b.Load(x, loop.At(i)), b.Const(loop.I32, -7)), b.ConvertTo(loop.I32, i)}
			}, func() []*loop.Val {
				return []*loop.Val{b.Do(loop.Neg, b.Load(x, loop.At(i))), b.Do(loop.Sign, b.Load(x, loop.At(i)))}
			})
			b.Store(y, loop.At(i), b.Do(loop.Sub, v[0], v[1]))
		})
	}, []dims{{"B": 0}, {"B": 20}}, nil},

	"sumAll": {func(b *loop.Builder) {
		m, n := sym("B"), loop.N(4)
		x, y := b.Buffer("x", loop.F32, m.Mul(n), false), b.Buffer("y", loop.F32, loop.N(1), true)
		sum := b.Reduce("i", m, b.Const(loop.F32, 0), func(i, acc *loop.Val) *loop.Val {
			return b.Reduce("j", n, acc, func(j, acc *loop.Val) *loop.Val {
				return b.Do(loop.Add, acc, b.Load(x, at(i, n, j)))
			})
		})
		b.Store(y, loop.AtDim(loop.N(0)), b.Do(loop.Div, sum, b.ConvertTo(loop.F32, b.SizeOf(m.Mul(n)))))
	}, []dims{{"B": 0}, {"B": 3}}, nil},

	"sorted": {func(b *loop.Builder) {
		m, n := sym("B"), loop.N(6)
		x := b.Buffer("x", loop.F32, m.Mul(n), false)
		order, top := b.Buffer("order", loop.I32, m.Mul(n), true), b.Buffer("top", loop.I32, m.MulN(2), true)
		lo, hi := grid(b, m)
		down := b.Const(loop.Bool, 1)
		over(b, "i", lo, hi, func(i *loop.Val) {
			row := loop.At(i).Scale(n)
			b.Emit(&loop.Extern{Fn: "sort_index", Args: []*loop.Val{down}, Bufs: []loop.Span{{Buf: x, At: row, Len: loop.Bound{Dim: n}}, {Buf: order, At: row, Len: loop.Bound{Dim: n}}}})
			b.Emit(&loop.Extern{Fn: "topk_index", Bufs: []loop.Span{{Buf: x, At: row, Len: loop.Bound{Dim: n}}, {Buf: top, At: loop.At(i).Scale(loop.N(2)), Len: loop.Bound{Dim: loop.N(2)}}}})
		})
	}, []dims{{"B": 0}, {"B": 4}}, nil},

	"band": {func(b *loop.Builder) {
		n := sym("T")
		x, y := b.Buffer("x", loop.F32, n, false), b.Buffer("y", loop.F32, n, true)
		b.Range("i", n, func(i *loop.Val) {
			from := b.Do(loop.Max, b.Do(loop.Sub, i, b.Const(loop.Int, 2)), b.Const(loop.Int, 0))
			to := b.Do(loop.Min, b.Do(loop.Add, i, b.Const(loop.Int, 3)), b.SizeOf(n))
			acc := b.For("j", loop.Bound{Val: from}, loop.Bound{Val: to}, 1, []*loop.Val{b.Const(loop.F32, 0)}, func(j *loop.Val, p []*loop.Val) []*loop.Val {
				w := b.ConvertTo(loop.F32, b.Do(loop.Sub, j, i))
				return []*loop.Val{b.Do(loop.Add, p[0], b.Do(loop.Mul, w, b.Load(x, loop.At(j))))}
			})
			b.Store(y, loop.At(i), acc[0])
		})
	}, []dims{{"T": 0}, {"T": 1}, {"T": 8}}, nil},

	"stacked": {func(b *loop.Builder) {
		m, n := sym("B"), sym("T")
		x, y := b.Buffer("x", loop.F32, m.Mul(n).MulN(2), false), b.Buffer("y", loop.F32, m.Mul(n).MulN(2), true)
		lo, hi := grid(b, m)
		over(b, "b", lo, hi, func(i *loop.Val) {
			b.Range("h", loop.N(2), func(h *loop.Val) {
				b.Range("t", n, func(t *loop.Val) {
					from := loop.At(i).Scale(n.MulN(2)).Add(loop.At(t).Scale(loop.N(2))).Add(loop.At(h))
					to := loop.At(h).Scale(m.Mul(n)).Add(loop.At(i).Scale(n)).Add(loop.At(t))
					b.Store(y, to, b.Do(loop.Mul, b.Load(x, from), b.Do(loop.Mul, b.Load(x, from), b.Const(loop.F32, -0.5))))
				})
			})
		})
	}, []dims{{"B": 2, "T": 3}, {"B": 0, "T": 3}}, nil},

	"swapEnds": {func(b *loop.Builder) {
		n := sym("T").AddN(2)
		x, y := b.Buffer("x", loop.F32, n, false), b.Buffer("y", loop.F32, n, true)
		b.Range("i", n, func(i *loop.Val) { b.Store(y, loop.At(i), b.Load(x, loop.At(i))) })
		first, last := loop.AtDim(loop.N(0)), loop.AtDim(sym("T").AddN(1))
		v := b.Load(y, first)
		b.Store(y, first, b.Load(y, last))
		b.Store(y, last, v)
		b.Range("i", sym("T"), func(i *loop.Val) {
			here, next := loop.At(i), loop.At(i).Add(loop.AtDim(loop.N(1)))
			v, w := b.Load(y, here), b.Load(y, next)
			b.Store(y, here, b.Do(loop.Neg, w))
			b.Store(y, next, v)
		})
	}, []dims{{"T": 0}, {"T": 3}}, nil},

	"modulo": {func(b *loop.Builder) {
		y := b.Buffer("y", loop.I32, sym("T"), true)
		b.Range("i", sym("T"), func(i *loop.Val) {
			k := b.Do(loop.Mod, i, b.Const(loop.Int, -3)) // never positive
			k = b.Do(loop.Add, b.Do(loop.Mod, k, b.Const(loop.Int, 5)), b.Do(loop.Mul, b.Do(loop.Div, k, b.Const(loop.Int, 2)), b.Const(loop.Int, 10)))
			b.Store(y, loop.At(i), b.ConvertTo(loop.I32, k))
		})
	}, []dims{{"T": 7}}, nil},

	"unroll": {func(b *loop.Builder) {
		n := sym("T")
		x, w := b.Buffer("x", loop.F32, n.MulN(2), false), b.Buffer("w", loop.F32, n, false)
		y := b.Buffer("y", loop.F32, loop.N(2), true)
		b.Range("r", loop.N(2), func(r *loop.Val) {
			zero := b.Const(loop.F32, 0)
			f := &loop.For{Var: b.NewVal(loop.Int, "k"), To: loop.Bound{Dim: n}, Step: 4, After: b.NewVal(loop.Int, "k")}
			phi := []*loop.Val{b.NewVal(loop.F32, "s"), b.NewVal(loop.F32, "u")}
			out := []*loop.Val{b.NewVal(loop.F32, "s"), b.NewVal(loop.F32, "u")}
			b.Emit(f)
			term := func(k *loop.Val, c int) *loop.Val {
				off := loop.AtDim(loop.N(c))
				return b.Do(loop.Mul, b.Load(x, at(r, n, k).Add(off)), b.Load(w, loop.At(k).Add(off)))
			}
			inner := func() []*loop.Val {
				s := b.Do(loop.Add, phi[0], term(f.Var, 0))
				u := b.Do(loop.Add, phi[1], term(f.Var, 1))
				return []*loop.Val{b.Do(loop.Add, s, term(f.Var, 2)), b.Do(loop.Add, u, term(f.Var, 3))}
			}
			b.Into(&f.Body, func() {
				next := inner()
				for i := range phi {
					f.Carry = append(f.Carry, &loop.Carry{Phi: phi[i], Init: zero, Next: next[i], Out: out[i]})
				}
			})
			sum := b.Do(loop.Add, out[0], out[1])
			sum.Name = "sum"
			sum = b.For("k", loop.Bound{Val: f.After}, loop.Bound{Dim: n}, 1, []*loop.Val{sum}, func(k *loop.Val, p []*loop.Val) []*loop.Val {
				return []*loop.Val{b.Do(loop.Add, p[0], term(k, 0))}
			})[0]
			b.Store(y, loop.At(r), sum)
		})
	}, []dims{{"T": 0}, {"T": 3}, {"T": 4}, {"T": 11}}, nil},
}

// Gemm builds y = x @ w in tiles of rows x depths, the shape of the portable
// schedule: the innermost loop runs along rows of w and y.
func Gemm(b *loop.Builder, rows, depths int) {
	GemmOf(b, rows, depths, sym("M"), sym("N"), sym("K"))
}

// GemmOf is Gemm for the given sizes.
func GemmOf(b *loop.Builder, rows, depths int, m, n, k loop.Dim) {
	x, w, y := b.Buffer("x", loop.F32, m.Mul(k), false), b.Buffer("w", loop.F32, k.Mul(n), false), b.Buffer("y", loop.F32, m.Mul(n), true)
	lo, hi := grid(b, m)
	shift := func(i loop.Index, by loop.Dim) loop.Index { return i.Add(loop.AtDim(by)) }
	tile := func(i *loop.Val, r int) {
		for q := range r {
			b.Range("j", n, func(j *loop.Val) { b.Store(y, shift(at(i, n, j), n.MulN(q)), b.Const(loop.F32, 0)) })
		}
		rest := loop.Bound{}
		for _, d := range []int{depths, 1} {
			f := &loop.For{Var: b.NewVal(loop.Int, "l"), From: rest, To: loop.Bound{Dim: k}, Step: d, After: b.NewVal(loop.Int, "l")}
			if d == 1 {
				f.After = nil
			}
			b.Emit(f)
			b.Into(&f.Body, func() {
				var xs [][]*loop.Val
				for q := range r {
					var row []*loop.Val
					for s := range d {
						row = append(row, b.Load(x, shift(at(i, k, f.Var), k.MulN(q).AddN(s))))
					}
					xs = append(xs, row)
				}
				b.Range("j", n, func(j *loop.Val) {
					for q := range r {
						yi := shift(at(i, n, j), n.MulN(q))
						acc := b.Load(y, yi)
						for s := range d {
							acc = b.Do(loop.Add, acc, b.Do(loop.Mul, xs[q][s], b.Load(w, shift(at(f.Var, n, j), n.MulN(s)))))
						}
						b.Store(y, yi, acc)
					}
				})
			})
			rest = loop.Bound{Val: f.After}
			if d == 1 || depths == 1 {
				break
			}
		}
	}
	main := &loop.For{Var: b.NewVal(loop.Int, "i"), From: lo, To: hi, Step: rows, After: b.NewVal(loop.Int, "i")}
	b.Emit(main)
	b.Into(&main.Body, func() { tile(main.Var, rows) })
	over(b, "i", loop.Bound{Val: main.After}, hi, func(i *loop.Val) { tile(i, 1) })
}
