package passes

import (
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/ops"
)

// An attend is a case of softmax(x·y)·v.
type attend struct {
	b, h, g, t, s, d any // batch, heads, heads that share keys, queries, keys, channels
	causal           bool
	data             bool // a mask that is an argument
	drop             bool
	turned           bool // queries and keys are turned by position, half with half
	dims             map[string]int
}

func (a attend) String() string {
	return fmt.Sprintf("%v causal=%v data=%v drop=%v turned=%v %v", []any{a.b, a.h, a.g, a.t, a.s, a.d}, a.causal, a.data, a.drop, a.turned, a.dims)
}

// safeSoftmax is softmax over the last axis, zeros for rows of -inf.
func safeSoftmax(g ops.Graph, x *ir.Value) *ir.Value {
	last := x.Type.Rank() - 1
	m := g.MaxOf(x, last)
	none := g.Equal(m, g.Like(m, math.Inf(-1)))
	e := g.Exp(g.Sub(x, g.Spread(m, x, last)))
	e = g.Select(g.Spread(none, x, last), g.Like(e, 0), e)
	s := g.Sum(e, last)
	s = g.Select(g.Equal(s, g.Like(s, 0)), g.Like(s, 1), s)
	return g.Div(e, g.Spread(s, x, last))
}

// turned is x with its halves along the last axis turned by the position along
// axis 1.
func turned(g ops.Graph, x *ir.Value) *ir.Value {
	shape := slices.Clone(x.Type.Shape)
	last := len(shape) - 1
	c, _ := shape[last].Const()
	shape[last] = n(c / 2)
	part := func(from int) *ir.Value {
		starts, steps := make([]ir.Dim, len(shape)), make([]int, len(shape))
		for i := range steps {
			steps[i] = 1
		}
		starts[last] = n(from)
		return g.Slice(x, starts, shape, steps)
	}
	a, b := part(0), part(c/2)
	t := g.Cast(g.Iota(1, shape...), ir.F32)
	t = g.Mul(t, g.Like(t, 0.1))
	return g.Concat(last, g.Sub(a, g.Mul(b, t)), g.Add(b, g.Mul(a, t)))
}

// forward builds the attention and its parameters.
func (a attend) forward(g ops.Graph) (y *ir.Value, params []*ir.Value) {
	q := g.Param("q", f32(a.b, a.t, a.h, a.g, a.d))
	k, v := g.Param("k", f32(a.b, a.s, a.h, a.d)), g.Param("v", f32(a.b, a.s, a.h, a.d))
	qs, ks := q, k
	if a.turned {
		qs, ks = turned(g, q), turned(g, k)
	}
	z := g.Dot("bthgc,bshc->bhgts", qs, ks)
	z = g.Mul(z, g.Like(z, 0.25))
	low := g.Like(z, math.Inf(-1))
	shape := z.Type.Shape
	if a.causal {
		more := shape[4].Sub(shape[3])
		two := shape[3:]
		t := g.Add(g.Iota(0, two...), g.Expand(g.Size(more), two...))
		z = g.Select(g.Broadcast(g.LessEqual(g.Iota(1, two...), t), shape, 3, 4), z, low)
	}
	if a.data {
		ok := g.Param("ok", ir.Tensor(ir.Bool, shape[0], shape[3], shape[4]))
		z = g.Select(g.Broadcast(ok, shape, 0, 3, 4), z, low)
	}
	p := safeSoftmax(g, z)
	if a.drop {
		key := g.Param("key", ir.Tensor(ir.I32, n(3)))
		keep := g.Less(g.Like(p, 0.3), g.Do(ops.Uniform, []*ir.Value{key}, ops.Stream.Is(7), ops.Shape.Is(shape)))
		p = g.Select(keep, g.Div(p, g.Like(p, 0.7)), g.Like(p, 0))
	}
	return g.Dot("bhgts,bshc->bthgc", p, v), []*ir.Value{q, k, v}
}

func (a attend) build(t *testing.T, gradient bool) *ir.Func {
	return build(t, func(g ops.Graph) []*ir.Value {
		y, wrt := a.forward(g)
		if !gradient {
			return []*ir.Value{y}
		}
		dy := g.Mul(y, y)
		out, err := ops.Backprop(g.Builder, []*ir.Value{y}, []*ir.Value{dy}, wrt)
		require.NoError(t, err)
		return append([]*ir.Value{y}, out...)
	})
}

func attentions() []attend {
	return []attend{
		{b: 2, h: 3, g: 1, t: 20, s: 20, d: 5},
		{b: 2, h: 3, g: 1, t: 20, s: 20, d: 5, causal: true},
		{b: 2, h: 2, g: 2, t: 30, s: 40, d: 8, causal: true, drop: true},
		{b: 1, h: 2, g: 1, t: 64, s: 64, d: 16, causal: true},
		{b: 2, h: 1, g: 1, t: 33, s: 70, d: 4, data: true},
		{b: "B", h: 2, g: 1, t: "T", s: "T", d: 8, causal: true, dims: map[string]int{"B": 2, "T": 37}},
		{b: "B", h: 2, g: 1, t: "T", s: "T", d: 8, causal: true, dims: map[string]int{"B": 1, "T": 1}},
		{b: "B", h: 2, g: 1, t: "T", s: "S", d: 20, dims: map[string]int{"B": 2, "T": 5, "S": 35}},
		{b: "B", h: 2, g: 1, t: "T", s: "T", d: 20, turned: true, causal: true, dims: map[string]int{"B": 2, "T": 5}},
		{b: 2, h: 2, g: 1, t: 50, s: 50, d: 20, turned: true, causal: true},
		{b: 1, h: 1, g: 2, t: 600, s: 600, d: 3, causal: true},
		{b: 2, h: 1, g: 1, t: "T", s: "T", d: 3, causal: true, dims: map[string]int{"T": 531}},
		{b: 2, h: 1, g: 1, t: "T", s: "S", d: 3, dims: map[string]int{"T": 531, "S": 20}},
		{b: "B", h: 2, g: 3, t: "T", s: "S", d: 8, dims: map[string]int{"B": 2, "T": 13, "S": 50}},
		{b: "B", h: 2, g: 1, t: "T", s: "T", d: 8, data: true, causal: true, drop: true, dims: map[string]int{"B": 2, "T": 18}},
	}
}

// randomAttention has sizes around those of blocks, panels and vectors.
func randomAttention(r *rand.Rand) attend {
	a := attend{b: 1 + r.IntN(2), h: 1 + r.IntN(2), g: 1 + r.IntN(2), d: 2 + r.IntN(20), causal: r.IntN(2) > 0, data: r.IntN(3) == 0, drop: r.IntN(4) == 0, turned: r.IntN(3) == 0}
	if a.turned {
		a.d = 2 * (a.d.(int)/2 + 1)
	}
	t := 2*a.d.(int) + r.IntN(70)
	s := t + 2*a.d.(int)*r.IntN(2)
	a.t, a.s = t, s
	if r.IntN(3) == 0 {
		a.t, a.s, a.dims = "T", "S", map[string]int{"T": t, "S": s}
		if s == t {
			a.s = "T"
		}
		a.causal = a.causal && s == t
	}
	return a
}

// Attention in both directions is one kernel each, in all forms the same
// function for any split of its grid, and has no tensor with an element for each
// query and key.
func TestChains(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	cases := attentions()
	for range 12 {
		cases = append(cases, randomAttention(r))
	}
	scores := regexp.MustCompile(`T\*[ST]|S\*T`)
	for _, a := range cases {
		for _, gradient := range []bool{false, true} {
			name := fmt.Sprint(a, " gradient=", gradient)
			f, err := simplified(a.build(t, gradient))
			require.NoError(t, err, name)
			out := lowered(t, f, a.dims)
			want := map[bool]int{false: 1, true: 2}[gradient]
			for _, k := range out.Kernels {
				if !strings.HasPrefix(k.Name, "fChain") {
					continue
				}
				want--
				require.Len(t, k.Native, 2, name)
				if !a.drop { // the key would be random
					checkNative(t, name, k, a.dims, r)
					checkSplits(t, k, a.dims, r)
				}
			}
			require.Zero(t, want, "%s: kernels that are missing\n%v", name, out)
			for _, s := range out.Procs[len(out.Procs)-1].Slots {
				require.NotRegexp(t, scores, s.Size.String(), name)
			}
		}
	}
}

// simplified is f after the passes over functions.
func simplified(f *ir.Func) (*ir.Func, error) {
	for _, pass := range []func(*ir.Func) (*ir.Func, error){simplify, cse, dce, simplifyLate, cse, dce} {
		var err error
		if f, err = pass(f); err != nil {
			return nil, err
		}
	}
	return f, nil
}
