package passes

import (
	"flag"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/ops"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// pick is an op applied like one of its samples.
type picked struct {
	op *ir.Op
	s  ir.Sample
}

// samples lists every application that random graphs are made of.
func samplesOf() []picked {
	var out []picked
	for _, op := range ops.Table {
		if op.Control != nil {
			continue
		}
		for _, s := range op.Samples {
			if s.Err == "" && len(s.Types) > 0 {
				out = append(out, picked{op, s})
			}
		}
	}
	return out
}

// randomGraph draws a function: ops of the table on parameters and on each
// other, wherever the types fit; some of them once more in a loop.
func randomGraph(t *rapid.T) *ir.Func {
	all := samplesOf()
	n := rapid.IntRange(1, 12).Draw(t, "ops")
	chosen := make([]picked, n)
	var types []ir.Type
	for i := range chosen {
		chosen[i] = rapid.SampledFrom(all).Draw(t, "op")
		for _, u := range chosen[i].s.Types {
			if !slices.ContainsFunc(types, u.Equal) {
				types = append(types, u)
			}
		}
	}
	g := ops.On(ir.NewBuilder("f"))
	var pool []*ir.Value
	for i, u := range types {
		pool = append(pool, g.Param(fmt.Sprintf("p%d", i), u))
	}
	body := ops.On(ir.NewBuilder("body"))
	body.Param("i", i32())
	inner := make([]*ir.Value, len(pool))
	for i, p := range pool {
		inner[i] = body.Param(fmt.Sprintf("q%d", i), p.Type)
	}
	outer := extend(t, g, pool, chosen)
	if !rapid.Bool().Draw(t, "loop") {
		return must(g.Return(outer...))
	}
	// The same picks, connected anew, in a loop that carries the first f32 parameter whose type comes out.
	grown := extend(t, body, inner, chosen)
	l := ops.Loop{Extent: loop.N(rapid.IntRange(1, 3).Draw(t, "trip")), Reverse: rapid.Bool().Draw(t, "reverse")}
	carry, next := -1, (*ir.Value)(nil)
	for i, p := range pool {
		for _, v := range grown {
			if carry < 0 && p.Type.Elem == ir.F32 && v.Type.Equal(p.Type) && v.Op != ir.Param {
				carry, next = i, v
			}
		}
	}
	results := slices.Clone(grown)
	order := upTo(len(pool))
	if carry >= 0 {
		results = append([]*ir.Value{next}, grown...)
		l.Inits = []*ir.Value{pool[carry]}
		order = append([]int{carry}, slices.Delete(order, carry, carry+1)...)
	}
	for _, i := range order[len(l.Inits):] {
		l.Invariants = append(l.Invariants, pool[i])
	}
	for _, v := range grown {
		l.OutAxes = append(l.OutAxes, rapid.IntRange(0, v.Type.Rank()).Draw(t, "axis"))
	}
	l.Body = reordered(must(body.Return(results...)), order)
	s := g.Scan(l)
	for i := range s.Type.Tuple {
		outer = append(outer, g.Get(s, i))
	}
	return must(g.Return(outer...))
}

func must(f *ir.Func, err error) *ir.Func {
	if err != nil {
		panic(err)
	}
	return f
}

// reordered is the body f with parameters, but for the counter, in the given
// order.
func reordered(f *ir.Func, order []int) *ir.Func {
	b := ir.NewBuilder(f.Name)
	params := make([]*ir.Value, len(f.Params))
	params[0] = copyParam(b, f.Params[0])
	for _, i := range order {
		params[1+i] = copyParam(b, f.Params[1+i])
	}
	return must(b.Return(b.Inline(f, params)...))
}

// extend appends the picks to g and returns the tensors that came out last.
func extend(t *rapid.T, g ops.Graph, pool []*ir.Value, chosen []picked) []*ir.Value {
	pool = slices.Clone(pool)
	start := len(pool)
	for _, c := range chosen {
		args := make([]*ir.Value, len(c.s.Types))
		for i, u := range c.s.Types {
			var fit []*ir.Value
			for _, v := range pool {
				// Integers are indices: only parameters are known to be in range.
				if v.Type.Equal(u) && (u.Elem != ir.I32 || v.Op == ir.Param) {
					fit = append(fit, v)
				}
			}
			args[i] = fit[len(fit)-1-rapid.IntRange(0, len(fit)-1).Draw(t, "operand")]
		}
		pool = append(pool, g.Do(c.op, args, c.s.Attrs...))
	}
	out := pool[start:]
	return out[max(0, len(out)-3):]
}

// tame reports whether f gives numbers that rounding does not tear apart.
func (o *oracle) tame(f *ir.Func) bool {
	args, err := o.args(f)
	if err != nil {
		return false
	}
	out, err := o.run(f, args)
	if err != nil {
		return false
	}
	for _, d := range out {
		for _, x := range d.Floats() {
			if math.IsNaN(x) || math.Abs(x) > 1e4 {
				return false
			}
		}
	}
	return true
}

// withGradient appends the gradient of the sum of the results.
func withGradient(f *ir.Func) (*ir.Func, error) {
	b := ir.NewBuilder(f.Name)
	g := ops.On(b)
	var args, wrt []*ir.Value
	for _, p := range f.Params {
		q := copyParam(b, p)
		args = append(args, q)
		if p.Type.Elem == ir.F32 {
			wrt = append(wrt, q)
		}
	}
	results := b.Inline(f, args)
	var outs, cots []*ir.Value
	for _, r := range results {
		if r.Type.Elem == ir.F32 {
			outs, cots = append(outs, r), append(cots, g.Like(r, 1))
		}
	}
	grads, err := ops.Backprop(b, outs, cots, wrt)
	if err != nil {
		return nil, err
	}
	return b.Return(append(results, grads...)...)
}

// Passes keep the meaning of random functions and of their gradients,
// whatever the order of their values.
func TestRandomGraphs(t *testing.T) {
	require.NoError(t, flag.Set("rapid.seed", "7"))
	if testing.Short() {
		require.NoError(t, flag.Set("rapid.checks", "20"))
	}
	skipped, done := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		f := randomGraph(t)
		require.NoError(t, ir.Verify(f))
		o := newOracle(11)
		if !o.tame(f) {
			skipped++
			return
		}
		if h, err := withGradient(f); err != nil {
			t.Fatal(err)
		} else if o.tame(h) {
			f = h
		}
		require.NoError(t, ir.Verify(f))
		_, err := Run(moduleOf(f), checked(o))
		if err != nil {
			t.Fatalf("%v\n%v", err, f)
		}
		done++
	})
	t.Logf("%d functions, %d skipped", done, skipped)
	require.Greater(t, done, skipped/4)
}
