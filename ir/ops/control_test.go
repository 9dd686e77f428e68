package ops

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// loopCases are whole functions of one f32 result whose gradients are checked.
// The last parameters may be i32.
var loopCases = []struct {
	name  string
	build func(g Graph) *ir.Value
	kept  []string // ops of the values collected for the gradient of the first loop
}{
	{"lstm", lstm, []string{"param", "param", "sigmoid", "tanh"}},
	{"stacked layers", layers(false), nil},
	{"recomputed layers", layers(true), []string{"param"}},
	{"layers over time", layersOverTime, nil},
	{"reverse", func(g Graph) *ir.Value { return power(g, true) }, []string{}},
	{"invariant work", invariantWork, nil},
	{"gather", gatherLoop, nil},
	{"guards", guarded, nil},
	{"random", randomLoop, nil},
	{"output only", outputOnly, nil},
	{"two carries that swap", swapping, nil},
}

func TestLoopGradients(t *testing.T) {
	for _, c := range loopCases {
		t.Run(c.name, func(t *testing.T) {
			g := On(ir.NewBuilder("f"))
			y := c.build(g)
			f, err := g.Return(y)
			require.NoError(t, err)
			require.NoError(t, ir.Verify(f))
			rng := rand.New(rand.NewPCG(3, 4))
			args := inputs(t, rng, f)
			for k, p := range f.Params {
				if p.Type.Elem != ir.F32 {
					continue
				}
				back := backwardOf(t, f, k)
				if back == nil {
					continue
				}
				dy := noise(rng, f.Results[0].Type)
				checkDirection(t, f, back, args, k, dy, c.name)
				for j, q := range back.Params {
					if q.Type.Elem != ir.F32 {
						continue
					}
					if twice := backwardOf(t, back, j); twice != nil {
						checkDirection(t, back, twice, append(slices.Clone(args), dy), j, noise(rng, back.Results[0].Type), c.name+" twice")
					}
				}
			}
			if c.kept != nil {
				assert.Equal(t, c.kept, keptOps(t, f))
			}
		})
	}
}

// inputs are random numbers for f, small integers for i32.
func inputs(t *testing.T, rng *rand.Rand, f *ir.Func) []*ir.Data {
	args := make([]*ir.Data, len(f.Params))
	for i, p := range f.Params {
		args[i] = noise(rng, p.Type)
		for k := range args[i].I {
			args[i].I[k] = int32(rng.IntN(3))
		}
	}
	return args
}

// keptOps are the ops of what the gradient of f's first loop to all its
// operands collects.
func keptOps(t *testing.T, f *ir.Func) []string {
	i := slices.IndexFunc(f.Values, func(v *ir.Value) bool { return v.Op == Scan })
	l := LoopOf(f.Values[i])
	b := ir.NewBuilder(f.Name)
	args := make([]*ir.Value, len(f.Params))
	var wrt []*ir.Value
	for i, p := range f.Params {
		args[i] = b.Param(p.Scope, p.Type)
		if p.Type.Elem == ir.F32 {
			wrt = append(wrt, args[i])
		}
	}
	y := b.Inline(f, args)[0]
	n := len(b.F.Values)
	_, err := Backprop(b, []*ir.Value{y}, []*ir.Value{On(b).Float(1)}, wrt)
	require.NoError(t, err)
	out := []string{}
	for _, v := range b.F.Values[n:] {
		if v.Op == Scan {
			more := LoopOf(v)
			if more.Reverse == l.Reverse {
				for _, r := range more.Body.Results[len(l.Body.Results):] {
					out = append(out, r.Op.Name)
				}
			}
			break
		}
	}
	slices.Sort(out)
	return out
}

// lstm is the sum of squares of the hidden states of an LSTM over 4 steps.
func lstm(g Graph) *ir.Value {
	const T, B, I, H = 4, 2, 3, 2
	x := g.Param("x", floats(B, T, I))
	w, u := g.Param("w", floats(I, 4*H)), g.Param("u", floats(H, 4*H))
	bias := g.Param("b", floats(4*H))
	h0, c0 := g.Param("h0", floats(B, H)), g.Param("c0", floats(B, H))
	body := On(ir.NewBuilder("cell"))
	body.Param("t", ints())
	h, c := body.Param("h", floats(B, H)), body.Param("c", floats(B, H))
	xt := body.Param("x", floats(B, I))
	wi, ui, bi := body.Param("w", w.Type), body.Param("u", u.Type), body.Param("b", bias.Type)
	z := body.Add(body.Dot("bi,ij->bj", xt, wi), body.Dot("bh,hj->bj", h, ui))
	z = body.Add(z, body.Broadcast(bi, z.Type.Shape, 1))
	z = body.Reshape(z, dims(B, 4, H)...)
	part := func(k int) *ir.Value { return body.Reshape(body.Part(z, 1, loop.N(k), loop.N(1)), dims(B, H)...) }
	gates := body.Sigmoid(z)
	gate := func(k int) *ir.Value {
		return body.Reshape(body.Part(gates, 1, loop.N(k), loop.N(1)), dims(B, H)...)
	}
	c = body.Add(body.Mul(gate(0), c), body.Mul(gate(1), body.Tanh(part(2))))
	h = body.Mul(gate(3), body.Tanh(c))
	f, err := body.Return(h, c, h)
	if err != nil {
		panic(err)
	}
	s := g.Scan(Loop{Body: f, Extent: loop.N(T), Inits: []*ir.Value{h0, c0}, Slices: []*ir.Value{x}, InAxes: []int{1},
		Invariants: []*ir.Value{w, u, bias}, OutAxes: []int{1}})
	return g.Add(g.Sum(g.Square(g.Get(s, 2)), 0, 1, 2), g.Sum(g.Get(s, 1), 0, 1))
}

// layers is a stack of residual layers with weights of their own and a shared
// scale.
func layers(remat bool) func(g Graph) *ir.Value {
	return func(g Graph) *ir.Value {
		const L, B, D = 3, 2, 2
		x := g.Param("x", floats(B, D))
		w, scale := g.Param("w", floats(L, D, D)), g.Param("scale", floats(D))
		body := On(ir.NewBuilder("layer"))
		body.Param("l", ints())
		h := body.Param("h", x.Type)
		wl, sc := body.Param("w", floats(D, D)), body.Param("scale", scale.Type)
		y := body.Tanh(body.Dot("bi,ij->bj", h, wl))
		y = body.Add(h, body.Mul(y, body.Broadcast(sc, y.Type.Shape, 1)))
		f, err := body.Return(y)
		if err != nil {
			panic(err)
		}
		s := g.Scan(Loop{Body: f, Extent: loop.N(L), Remat: remat, Inits: []*ir.Value{x}, Slices: []*ir.Value{w}, InAxes: []int{0}, Invariants: []*ir.Value{scale}})
		return g.Sum(g.Square(g.Get(s, 0)), 0, 1)
	}
}

// layersOverTime is a loop over layers whose body is a loop over time.
func layersOverTime(g Graph) *ir.Value {
	const L, T, D = 2, 3, 2
	x, w := g.Param("x", floats(T, D)), g.Param("w", floats(L, D, D))
	outer := On(ir.NewBuilder("layer"))
	outer.Param("l", ints())
	h, wl := outer.Param("h", x.Type), outer.Param("w", floats(D, D))
	inner := On(ir.NewBuilder("time"))
	inner.Param("t", ints())
	s, xt, wi := inner.Param("s", floats(D)), inner.Param("x", floats(D)), inner.Param("w", floats(D, D))
	s = inner.Tanh(inner.Add(xt, inner.Dot("i,ij->j", s, wi)))
	f, err := inner.Return(s, s)
	if err != nil {
		panic(err)
	}
	run := outer.Scan(Loop{Body: f, Extent: loop.N(T), Inits: []*ir.Value{outer.Float(0, dims(D)...)}, Slices: []*ir.Value{h}, InAxes: []int{0}, Invariants: []*ir.Value{wl}, OutAxes: []int{0}})
	f, err = outer.Return(outer.Add(h, outer.Get(run, 1)))
	if err != nil {
		panic(err)
	}
	all := g.Scan(Loop{Body: f, Extent: loop.N(L), Inits: []*ir.Value{x}, Slices: []*ir.Value{w}, InAxes: []int{0}})
	return g.Sum(g.Square(g.Get(all, 0)), 0, 1)
}

// power multiplies slices, from the end if reverse.
func power(g Graph, reverse bool) *ir.Value {
	x := g.Param("x", floats(4))
	body := On(ir.NewBuilder("f"))
	i := body.Param("i", ints())
	p, xi := body.Param("p", floats()), body.Param("x", floats())
	next := body.Mul(p, body.Add(xi, body.Cast(i, ir.F32)))
	f, err := body.Return(next, p)
	if err != nil {
		panic(err)
	}
	s := g.Scan(Loop{Body: f, Extent: loop.N(4), Reverse: reverse, Inits: []*ir.Value{g.Float(1)}, Slices: []*ir.Value{x}, InAxes: []int{0}, OutAxes: []int{0}})
	return g.Add(g.Get(s, 0), g.Sum(g.Square(g.Get(s, 1)), 0))
}

// invariantWork computes the same product in every iteration.
func invariantWork(g Graph) *ir.Value {
	x, w := g.Param("x", floats(3, 2)), g.Param("w", floats(2, 2))
	body := On(ir.NewBuilder("f"))
	body.Param("i", ints())
	xi, wi := body.Param("x", floats(2)), body.Param("w", w.Type)
	same := body.Exp(body.Dot("ij,jk->ik", wi, wi))
	f, err := body.Return(body.Dot("i,ij->j", xi, same))
	if err != nil {
		panic(err)
	}
	s := g.Scan(Loop{Body: f, Extent: loop.N(3), Slices: []*ir.Value{x}, InAxes: []int{0}, Invariants: []*ir.Value{w}, OutAxes: []int{1}})
	return g.Sum(g.Square(g.Get(s, 0)), 0, 1)
}

// gatherLoop reads rows by index.
func gatherLoop(g Graph) *ir.Value {
	table, ids := g.Param("table", floats(3, 2)), g.Param("ids", ints(4, 2))
	body := On(ir.NewBuilder("f"))
	body.Param("i", ints())
	s, id, tb := body.Param("s", floats(2, 2)), body.Param("id", ints(2)), body.Param("table", table.Type)
	s = body.Sin(body.Add(s, body.Gather(tb, id, 0)))
	f, err := body.Return(s)
	if err != nil {
		panic(err)
	}
	r := g.Scan(Loop{Body: f, Extent: loop.N(4), Inits: []*ir.Value{g.Float(0, dims(2, 2)...)}, Slices: []*ir.Value{ids}, InAxes: []int{0}, Invariants: []*ir.Value{table}})
	return g.Sum(g.Square(g.Get(r, 0)), 0, 1)
}

// guarded takes logarithms only where they exist.
func guarded(g Graph) *ir.Value {
	x := g.Param("x", floats(4, 3))
	body := On(ir.NewBuilder("f"))
	i := body.Param("i", ints())
	xi := body.Param("x", floats(3))
	ok := body.Less(body.Float(0, dims(3)...), xi)
	y := body.Select(ok, body.Log(xi), body.Square(xi))
	late := body.Expand(body.Less(body.Integer(0), i), dims(3)...)
	f, err := body.Return(body.Select(late, y, body.Float(0, dims(3)...)))
	if err != nil {
		panic(err)
	}
	s := g.Scan(Loop{Body: f, Extent: loop.N(4), Slices: []*ir.Value{x}, InAxes: []int{0}, OutAxes: []int{0}})
	return g.Sum(g.Get(s, 0), 0, 1)
}

// randomLoop drops elements at random; the backward loop has to drop the same
// ones.
func randomLoop(g Graph) *ir.Value {
	x, key := g.Param("x", floats(4)), g.Param("key", ints(3))
	body := On(ir.NewBuilder("f"))
	i := body.Param("i", ints())
	h, k := body.Param("h", floats(4)), body.Param("key", ints(3))
	u := body.Random(Uniform, k, 7, []*ir.Value{i}, dims(4)...)
	keep := body.Less(u, body.Float(0.6, dims(4)...))
	f, err := body.Return(body.Mul(body.Sin(h), body.Cast(keep, ir.F32)))
	if err != nil {
		panic(err)
	}
	s := g.Scan(Loop{Body: f, Extent: loop.N(2), Inits: []*ir.Value{x}, Invariants: []*ir.Value{key}})
	return g.Sum(g.Get(s, 0), 0)
}

// outputOnly has a carried value that the collected one does not depend on.
func outputOnly(g Graph) *ir.Value {
	x, y := g.Param("x", floats(3)), g.Param("y", floats())
	body := On(ir.NewBuilder("f"))
	body.Param("i", ints())
	c, xi := body.Param("c", floats()), body.Param("x", floats())
	f, err := body.Return(body.Exp(c), body.Square(xi))
	if err != nil {
		panic(err)
	}
	s := g.Scan(Loop{Body: f, Extent: loop.N(3), Inits: []*ir.Value{y}, Slices: []*ir.Value{x}, InAxes: []int{0}, OutAxes: []int{0}})
	return g.Sum(g.Get(s, 1), 0)
}

// swapping carries two values of which only the last of one is used.
func swapping(g Graph) *ir.Value {
	a, b, x := g.Param("a", floats()), g.Param("b", floats()), g.Param("x", floats(3))
	body := On(ir.NewBuilder("f"))
	body.Param("i", ints())
	p, q, xi := body.Param("p", floats()), body.Param("q", floats()), body.Param("x", floats())
	f, err := body.Return(body.Mul(q, xi), body.Sin(p))
	if err != nil {
		panic(err)
	}
	s := g.Scan(Loop{Body: f, Extent: loop.N(3), Inits: []*ir.Value{a, b}, Slices: []*ir.Value{x}, InAxes: []int{0}})
	return g.Square(g.Get(s, 0))
}

func TestDynamicLoop(t *testing.T) {
	g := On(ir.NewBuilder("f"))
	n, x := g.Param("n", ints()), g.Param("x", floats())
	body := On(ir.NewBuilder("body"))
	body.Param("i", ints())
	c := body.Param("c", floats())
	f, err := body.Return(body.Add(c, c))
	require.NoError(t, err)
	g.Pos = ir.Pos{File: "m.lm", Line: 3, Col: 4}
	s := g.Scan(Loop{Body: f, Trip: n, Inits: []*ir.Value{x}})
	y := g.Get(s, 0)
	h, err := g.Return(y)
	require.NoError(t, err)
	out, err := (&ir.Evaluator{}).Run(h, []*ir.Data{ir.Scalar(ir.I32, 3), ir.Scalar(ir.F32, 1.5)})
	require.NoError(t, err)
	assert.Equal(t, []float64{12}, out[0].F)

	_, err = Backprop(g.Builder, []*ir.Value{y}, []*ir.Value{g.Float(1)}, []*ir.Value{x})
	var ge *GradientError
	require.ErrorAs(t, err, &ge)
	assert.Equal(t, 3, ge.Pos.Line)
	assert.Equal(t, "a loop over a run-time number of iterations has no gradient", ge.Msg)
}

// Nothing is computed for what nobody asks: a loop over frozen weights.
func TestBackpropNeeds(t *testing.T) {
	g := On(ir.NewBuilder("f"))
	y := layers(false)(g)
	n := len(g.F.Values)
	d, err := Backprop(g.Builder, []*ir.Value{y}, []*ir.Value{g.Float(1)}, []*ir.Value{g.F.Params[0]})
	require.NoError(t, err)
	require.Len(t, d, 1)
	for _, v := range g.F.Values[n:] {
		if v.Op == Scan && LoopOf(v).Reverse {
			l := LoopOf(v)
			assert.Len(t, l.Inits, 1, "only the cotangent of x is carried")
			assert.Empty(t, l.OutAxes, "no gradient of w is collected")
		}
	}
}

func TestBackpropSimple(t *testing.T) {
	g := On(ir.NewBuilder("f"))
	x, n, unused := g.Param("x", floats(2)), g.Param("n", ints()), g.Param("u", floats(2))
	y := g.Add(g.Mul(x, x), g.Stop(g.Exp(x)))
	d, err := Backprop(g.Builder, []*ir.Value{y}, []*ir.Value{g.Like(y, 1)}, []*ir.Value{x, n, unused})
	require.NoError(t, err)
	assert.Nil(t, d[1], "an integer has no gradient")
	assert.True(t, isZero(d[2]) && d[2].Type.Equal(unused.Type))
	f, err := g.Return(d[0])
	require.NoError(t, err)
	in, _ := ir.DataOf(ir.F32, []int{2}, []float64{3, -1})
	out, err := (&ir.Evaluator{}).Run(f, []*ir.Data{in, ir.Scalar(ir.I32, 0), in})
	require.NoError(t, err)
	assert.Equal(t, []float64{6, -2}, out[0].F)
}
