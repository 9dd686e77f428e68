package passes

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/ops"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// shuffled is f with its values in another order that is as good, also in
// loops.
func shuffled(f *ir.Func, rng *rand.Rand) (*ir.Func, error) {
	b := ir.NewBuilder(f.Name)
	b.F.Doc = f.Doc
	env := make([]*ir.Value, len(f.Values))
	for _, p := range f.Params {
		env[p.ID] = copyParam(b, p)
	}
	todo := slices.Clone(f.Values[len(f.Params):])
	for len(todo) > 0 {
		var ready []int
		for i, v := range todo {
			if !slices.ContainsFunc(v.Args, func(a *ir.Value) bool { return env[a.ID] == nil }) {
				ready = append(ready, i)
			}
		}
		i := ready[rng.IntN(len(ready))]
		v := todo[i]
		todo = slices.Delete(todo, i, i+1)
		attrs, err := withBodies(v, func(f *ir.Func) (*ir.Func, error) { return shuffled(f, rng) })
		if err != nil {
			return nil, err
		}
		args := make([]*ir.Value, len(v.Args))
		for k, a := range v.Args {
			args[k] = env[a.ID]
		}
		b.Pos, b.Scope = v.Pos, v.Scope
		env[v.ID] = b.Do(v.Op, args, attrs...)
	}
	results := make([]*ir.Value, len(f.Results))
	for i, r := range f.Results {
		results[i] = env[r.ID]
	}
	return b.Return(results...)
}

// oracle runs functions on random numbers.
type oracle struct {
	rng  *rand.Rand
	dims map[string]int
}

func newOracle(seed uint64) *oracle {
	return &oracle{rand.New(rand.NewPCG(seed, 1)), map[string]int{"B": 3, "T": 4, "N": 5}}
}

func (o *oracle) args(f *ir.Func) ([]*ir.Data, error) {
	ev := &ir.Evaluator{Dims: o.dims}
	args := make([]*ir.Data, len(f.Params))
	for i, p := range f.Params {
		d, err := ev.New(p.Type)
		if err != nil {
			return nil, err
		}
		for k := range d.F {
			d.F[k] = float64(float32(o.rng.NormFloat64()))
		}
		for k := range d.I {
			d.I[k] = int32(o.rng.IntN(2))
		}
		args[i] = d
	}
	return args, nil
}

func (o *oracle) run(f *ir.Func, args []*ir.Data) ([]*ir.Data, error) {
	return (&ir.Evaluator{Dims: o.dims, Wide: true}).Run(f, args)
}

// same evaluates both functions, in float64.
func (o *oracle) same(before, after *ir.Func) error {
	args, err := o.args(before)
	if err != nil {
		return err
	}
	want, err := o.run(before, args)
	if err != nil {
		return nil // a fault of the function itself, such as a random index
	}
	got, err := o.run(after, args)
	if err != nil {
		return err
	}
	return closeData(want, got, 1e-9)
}

func closeData(want, got []*ir.Data, tol float64) error {
	if len(want) != len(got) {
		return fmt.Errorf("%d results, want %d", len(got), len(want))
	}
	for i := range want {
		x, y := want[i].Floats(), got[i].Floats()
		if !slices.Equal(want[i].Shape, got[i].Shape) {
			return fmt.Errorf("result %d is %v, want %v", i, got[i].Shape, want[i].Shape)
		}
		scale := 1.0
		for _, v := range x {
			if !math.IsInf(v, 0) && !math.IsNaN(v) {
				scale = max(scale, math.Abs(v))
			}
		}
		for k := range x {
			if x[k] == y[k] || math.IsNaN(x[k]) && math.IsNaN(y[k]) || math.Abs(x[k]-y[k]) <= tol*scale {
				continue
			}
			return fmt.Errorf("element %d of result %d is %v, want %v", k, i, y[k], x[k])
		}
	}
	return nil
}

// checked are the options with which tests run passes: values are shuffled
// before, and functions evaluated before and after each pass.
func checked(o *oracle) Options {
	return Options{
		Before: func(p *Program) error {
			return each(func(f *ir.Func) (*ir.Func, error) { return shuffled(f, o.rng) })(p)
		},
		Compare: o.same,
	}
}

// moduleOf wraps functions as entries.
func moduleOf(fs ...*ir.Func) *ir.Module {
	m := &ir.Module{API: &loop.API{}}
	for _, f := range fs {
		m.API.Entries = append(m.API.Entries, &loop.Entry{Name: f.Name})
		m.Entries = append(m.Entries, &ir.Entry{Func: f, In: make([]ir.Binding, len(f.Params)), Out: make([]ir.Binding, len(f.Results))})
	}
	return m
}

// count counts the ops of f and of its loops.
func countOps(f *ir.Func) map[string]int {
	n := map[string]int{}
	for _, v := range f.Values {
		n[v.Op.Name]++
		for _, s := range v.Attrs() {
			if sub := s.Func(); sub != nil {
				for op, k := range countOps(sub) {
					n[op] += k
				}
			}
		}
	}
	return n
}

func TestPassList(t *testing.T) {
	require.NoError(t, ordered(List))
	for _, p := range List {
		assert.True(t, strings.HasPrefix(p.Doc, p.Name+" ") && strings.HasSuffix(p.Doc, "."), p.Name)
		for _, a := range p.After {
			assert.NotEmpty(t, a.Why, p.Name)
		}
	}
	assert.ErrorContains(t, ordered([]*Pass{{Name: "b", After: []After{{"a", "it needs a"}}}}), "bug in pass b: it comes before a, but it needs a")
	assert.ErrorContains(t, ordered([]*Pass{{Name: "b"}, {Name: "b"}}), "stands twice")
}

// simpleFunc is x + x.
func simpleFunc(t *testing.T) *ir.Func {
	g := ops.On(ir.NewBuilder("F"))
	x := g.Param("x", ir.Tensor(ir.F32, loop.N(2)))
	f, err := g.Return(g.Add(x, x))
	require.NoError(t, err)
	return f
}

func TestBugReports(t *testing.T) {
	breaks := func(do func(p *Program) error, holds func(p *Program) error) error {
		_, err := run([]*Pass{{Name: "break", Run: do, Holds: holds}}, newProgram(moduleOf(simpleFunc(t))), checked(newOracle(1)))
		return err
	}
	wrong := each(func(f *ir.Func) (*ir.Func, error) {
		return rewrite(f, func(g ops.Graph, v *ir.Value, args []*ir.Value) *ir.Value { return g.Mul(args[0], args[1]) })
	})
	invalid := each(func(f *ir.Func) (*ir.Func, error) {
		g := *f
		g.Values = slices.Clone(f.Values)
		w := *g.Values[1]
		w.Type = ir.Tensor(ir.F32)
		g.Values[1], g.Results = &w, []*ir.Value{&w}
		return &g, nil
	})
	for _, c := range []struct {
		name, want string
		run, holds func(p *Program) error
	}{
		{"result", "bug in pass break: changes the result of F: element ", wrong, nil},
		{"verify", "bug in pass break: F: the type is f32, want f32[2]", invalid, nil},
		{"error", "bug in pass break: it fails", func(*Program) error { return errors.New("it fails") }, nil},
		{"holds", "bug in pass break: what break promises does not hold: no", func(*Program) error { return nil }, func(*Program) error { return errors.New("no") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := breaks(c.run, c.holds)
			require.ErrorContains(t, err, c.want)
			_, dir, ok := strings.Cut(err.Error(), "the functions are in ")
			require.True(t, ok)
			dir = strings.TrimSuffix(dir, ")")
			defer os.RemoveAll(dir)
			for _, name := range []string{"before.ir", "after.ir"} {
				text, err := os.ReadFile(filepath.Join(dir, name))
				require.NoError(t, err)
				assert.Contains(t, string(text), "func F {")
			}
		})
	}
	err := breaks(func(*Program) error { return mistake("no such thing") }, nil)
	assert.EqualError(t, err, "no such thing", "a mistake of the user is no bug")
}

func TestDump(t *testing.T) {
	dumped := map[string]string{}
	var timed []string
	o := Options{Dump: func(pass, text string) { dumped[pass] = text }, DumpAfter: "cse"}
	_, err := Run(moduleOf(simpleFunc(t)), o)
	require.NoError(t, err)
	require.Len(t, dumped, 1)
	assert.Contains(t, dumped["cse"], "// F\nfunc F {")
	o.DumpAfter = "all"
	for _, p := range List {
		timed = append(timed, p.Name)
	}
	_, err = Run(moduleOf(simpleFunc(t)), o)
	require.NoError(t, err)
	assert.Len(t, dumped, len(List)+1)
	assert.Equal(t, strings.Join(timed, ", "), Names())
}
