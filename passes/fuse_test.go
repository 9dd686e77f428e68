package passes

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/ops"
)

// softmax over the last axis, as the checker writes it.
func softmax(g ops.Graph, x *ir.Value) *ir.Value {
	last := x.Type.Rank() - 1
	e := g.Exp(g.Sub(x, g.Spread(g.MaxOf(x, last), x, last)))
	return g.Div(e, g.Spread(g.Sum(e, last), x, last))
}

func layerNorm(g ops.Graph, x, gain, bias *ir.Value) *ir.Value {
	last := x.Type.Rank() - 1
	size := g.Cast(g.Size(x.Type.Shape[last]), ir.F32)
	over := func(s *ir.Value) *ir.Value { return g.Div(s, g.Expand(size, s.Type.Shape...)) }
	xc := g.Sub(x, g.Spread(over(g.Sum(x, last)), x, last))
	variance := over(g.Sum(g.Mul(xc, xc), last))
	r := g.Rsqrt(g.Add(variance, g.Like(variance, 1e-5)))
	y := g.Mul(xc, g.Spread(r, x, last))
	return g.Add(g.Mul(y, g.Broadcast(gain, x.Type.Shape, last)), g.Broadcast(bias, x.Type.Shape, last))
}

func gelu(g ops.Graph, x *ir.Value) *ir.Value {
	u := g.Mul(g.Add(x, g.Mul(g.Like(x, 0.044715), g.Mul(x, g.Mul(x, x)))), g.Like(x, 0.7978845608))
	return g.Mul(g.Mul(g.Like(x, 0.5), x), g.Add(g.Like(x, 1), g.Tanh(u)))
}

func linear(g ops.Graph, x, w, b *ir.Value) *ir.Value {
	y := g.Dot("bti,io->bto", x, w)
	return g.Add(y, g.Broadcast(b, y.Type.Shape, 2))
}

// calls counts the kernel calls of the entry point, loops counted once.
func calls(p *loop.Proc) int {
	n := 0
	for _, s := range p.Steps {
		switch s := s.(type) {
		case *loop.Call:
			n++
		case *loop.Loop:
			n += calls(s.Body)
		}
	}
	return n
}

func TestFusion(t *testing.T) {
	x3 := func(g ops.Graph, d int) *ir.Value { return g.Param("x", ir.Tensor(ir.F32, symB, symT, n(d))) }
	grad := func(g ops.Graph, y, dy *ir.Value, wrt ...*ir.Value) []*ir.Value {
		out, err := ops.Backprop(g.Builder, []*ir.Value{y}, []*ir.Value{dy}, wrt)
		if err != nil {
			t.Fatal(err)
		}
		return append([]*ir.Value{y}, out...)
	}
	tests := []struct {
		name  string
		calls int
		f     func(g ops.Graph) []*ir.Value
	}{
		{"chain", 1, func(g ops.Graph) []*ir.Value {
			x := x3(g, 8)
			return []*ir.Value{g.Tanh(g.Add(g.Exp(x), g.Like(x, 1)))}
		}},
		{"transposed", 1, func(g ops.Graph) []*ir.Value {
			x := x3(g, 8)
			return []*ir.Value{g.Transpose(g.Mul(x, x), 0, 2, 1)}
		}},
		{"softmax", 1, func(g ops.Graph) []*ir.Value { return []*ir.Value{softmax(g, x3(g, 10))} }},
		{"softmax gradient", 1, func(g ops.Graph) []*ir.Value {
			x, dy := x3(g, 10), g.Param("dy", ir.Tensor(ir.F32, symB, symT, n(10)))
			return grad(g, softmax(g, x), dy, x)
		}},
		{"layernorm", 1, func(g ops.Graph) []*ir.Value {
			x := x3(g, 24)
			return []*ir.Value{layerNorm(g, x, g.Param("g", ir.Tensor(ir.F32, n(24))), g.Param("b", ir.Tensor(ir.F32, n(24))))}
		}},
		{"layernorm gradient", 3, func(g ops.Graph) []*ir.Value {
			x, gain, bias := x3(g, 24), g.Param("g", ir.Tensor(ir.F32, n(24))), g.Param("b", ir.Tensor(ir.F32, n(24)))
			dy := g.Param("dy", x.Type)
			return grad(g, layerNorm(g, x, gain, bias), dy, x, gain, bias)
		}},
		{"linear gelu", 1, func(g ops.Graph) []*ir.Value {
			x := x3(g, 12)
			return []*ir.Value{gelu(g, linear(g, x, g.Param("w", ir.Tensor(ir.F32, n(12), n(16))), g.Param("b", ir.Tensor(ir.F32, n(16)))))}
		}},
		{"linear gelu gradient", 4, func(g ops.Graph) []*ir.Value {
			x, w, b := x3(g, 12), g.Param("w", ir.Tensor(ir.F32, n(12), n(16))), g.Param("b", ir.Tensor(ir.F32, n(16)))
			y := gelu(g, linear(g, x, w, b))
			return grad(g, y, g.Param("dy", y.Type), x, w, b)
		}},
		{"values beside a contraction", 2, func(g ops.Graph) []*ir.Value {
			dy, a, b := x3(g, 8), g.Param("a", ir.Tensor(ir.F32, symB, symT, n(12))), g.Param("b", ir.Tensor(ir.F32, symB, symT, n(12)))
			dz := g.Dot("bto,io->bti", dy, g.Param("w", ir.Tensor(ir.F32, n(12), n(8))))
			return []*ir.Value{g.Mul(dz, g.Sub(b, g.Mul(a, a))), g.Dot("bti,bto->io", g.Mul(a, b), dy)}
		}},
		{"attention", 1, func(g ops.Graph) []*ir.Value {
			const h, k = 2, 4
			qkv := g.Reshape(x3(g, 3*h*k), symB, symT, n(3), n(h), n(k))
			part := func(i int) *ir.Value {
				p := g.Slice(qkv, []ir.Dim{n(0), n(0), n(i), n(0), n(0)}, []ir.Dim{symB, symT, n(1), n(h), n(k)}, []int{1, 1, 1, 1, 1})
				return g.Transpose(g.Reshape(p, symB, symT, n(h), n(k)), 0, 2, 1, 3)
			}
			z := g.Dot("bhtc,bhsc->bhts", part(0), part(1))
			z = g.Mul(z, g.Like(z, 0.5))
			see := g.LessEqual(g.Iota(3, z.Type.Shape...), g.Iota(2, z.Type.Shape...))
			p := softmax(g, g.Select(see, z, g.Like(z, -1e9)))
			return []*ir.Value{g.Reshape(g.Dot("bhts,bhsc->bthc", p, part(2)), symB, symT, n(h*k))}
		}},
		{"cross entropy", 2, func(g ops.Graph) []*ir.Value {
			x := x3(g, 3)
			y := g.Param("y", ir.Tensor(ir.I32, symB, symT))
			m := g.MaxOf(x, 2)
			s := g.Sum(g.Exp(g.Sub(x, g.Spread(m, x, 2))), 2)
			pick := g.Reshape(g.TakeAlong(x, g.Reshape(y, symB, symT, n(1)), 2), symB, symT)
			return []*ir.Value{g.Sum(g.Sub(g.Add(g.Log(s), m), pick), 0, 1)}
		}},
		{"column sums", 1, func(g ops.Graph) []*ir.Value {
			x := x3(g, 9)
			return []*ir.Value{g.Sum(x, 0, 1), g.Sum(g.Mul(x, x), 0, 1)}
		}},
		{"dots of many forms", 9, func(g ops.Graph) []*ir.Value {
			p := func(name string, shape ...int) *ir.Value {
				ds := make([]ir.Dim, len(shape))
				for i, s := range shape {
					ds[i] = n(s)
				}
				return g.Param(name, ir.Tensor(ir.F32, ds...))
			}
			a, b, v := p("a", 7, 5), p("b", 5, 9), p("v", 5)
			x, y := p("x", 3, 7, 5), p("y", 3, 4, 5)
			return []*ir.Value{
				g.Dot("ik,kj->ij", a, b), g.Dot("ik,kj->ji", a, b), g.Dot("ik,k->i", a, v), g.Dot("k,k->", v, v),
				g.Dot("bik,bjk->bij", x, y), g.Dot("bik,bjk->bji", x, y), g.Dot("bik,bik->ik", x, x), g.Dot("i,j->ij", v, v),
			}
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := build(t, func(g ops.Graph) []*ir.Value { return test.f(g) })
			out := lowered(t, f, map[string]int{"B": 2, "T": 5})
			lowered(t, f, map[string]int{"B": 1, "T": 1})
			if os.Getenv("SHOW") != "" {
				t.Log(dumpProgram(out))
			}
			require.Equal(t, test.calls, calls(out.API.Entries[0].Proc), "%s", dumpProgram(out))
		})
	}
}
