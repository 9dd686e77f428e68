package reference

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"github.com/lmc-lang/lmc/codegen"
	"github.com/lmc-lang/lmc/dsl/check"
	"github.com/lmc-lang/lmc/ir"
)

// An optimRun is 20 recorded steps of an optimiser.
type optimRun struct {
	Case    string
	Params0 []vector
	Steps   []struct {
		Lr     float64
		Grads  []vector
		Params []vector
	}
	Rtol, Atol float64
}

// text is a model with the parameters of the run whose gradients are arguments.
func (r *optimRun) text(pkg, settings string) string {
	var params, args, terms strings.Builder
	for i, p := range r.Params0 {
		fmt.Fprintf(&params, "\tparam %s %s = 0\n", p.Name, p.typ(false))
		sep := map[bool]string{true: ", "}[i > 0]
		fmt.Fprintf(&args, "%sg%s %s", sep, p.Name, p.typ(false))
		sep = map[bool]string{true: " + "}[i > 0]
		fmt.Fprintf(&terms, "%ssum(%s * g%s)", sep, p.Name, p.Name)
	}
	imports := "import \"optim\"\n\n"
	if strings.Contains(settings, "schedule.") {
		imports += "import \"schedule\"\n\n"
	}
	return fmt.Sprintf("package %s\n\n%smodel Run {\n%s\n\tfunc Loss(%s) f32 {\n\t\treturn %s\n\t}\n\n\ttrain Step {\n\t\tminimize = Loss\n%s\t}\n}\n",
		pkg, imports, params.String(), args.String(), terms.String(), settings)
}

// flat is all elements of the parameters, as float32.
func flat(vs []vector) tensor {
	var out tensor
	for _, v := range vs {
		for _, x := range v.floats() {
			out.Bits = append(out.Bits, math.Float32bits(float32(x)))
		}
	}
	out.Shape = []int{len(out.Bits)}
	return out
}

// TestOptimizers replays the recorded gradients through generated train steps.
func TestOptimizers(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(shared(t, "opcases", "optim"), "*.json"))
	require.NoError(t, err)
	texts, err := txtar.ParseFile("testdata/optim.txtar")
	require.NoError(t, err)
	section := func(name string) string {
		i := slices.IndexFunc(texts.Files, func(f txtar.File) bool { return f.Name == name })
		require.GreaterOrEqual(t, i, 0, "no text for %s", name)
		return string(texts.Files[i].Data)
	}
	var runs []*optimRun
	var packages []*compiled
	for _, name := range files {
		r := &optimRun{}
		readJSON(t, name, r)
		runs = append(runs, r)
		pkg := strings.ReplaceAll(r.Case, "_", "")
		text := r.text(pkg, section(r.Case))
		m, err := checked(pkg+".lm", []byte(text), check.Options{})
		require.NoError(t, err)
		c, err := compile(m, codegen.Options{})
		require.NoError(t, err)
		packages = append(packages, c)
	}
	driver := newDriver(t, "driver.go", packages...).build(t, "driver")
	each(t, "optimizers", runs, func(r *optimRun) string { return r.Case }, func(t *testing.T, r *optimRun) {
		pkg := strings.ReplaceAll(r.Case, "_", "")
		requests := []request{{Package: pkg, Do: "set", Args: []tensor{flat(r.Params0)}}}
		for _, s := range r.Steps {
			var args []tensor
			for _, g := range s.Grads {
				args = append(args, tensorOf(g.data(t)))
			}
			requests = append(requests, request{Package: pkg, Do: "step", Name: "Step", Args: args}, request{Package: pkg, Do: "data"})
		}
		for _, target := range targets() {
			answers := ask(t, []string{"LMC_TARGET=" + target}, []string{driver}, requests)
			for k, s := range r.Steps {
				require.Empty(t, answers[2*k+1].Error)
				got := answers[2*k+2].Results[0].data(ir.F32).F
				at := 0
				for _, p := range s.Params {
					require.NoError(t, differ(p, r.Rtol, r.Atol, p.Shape, got[at:at+len(p.Data)]), "step %d, %s", k, target)
					at += len(p.Data)
				}
			}
		}
	})
}

// A schedule is the recorded rates of all steps.
type schedule struct {
	Case       string
	Lrs        []float64
	Rtol, Atol float64
	Attrs      struct {
		Lr      float64
		Metrics []float64 // of reduce_on_plateau
	}
}

// TestSchedules compares rates in float64, in which the host computes them.
func TestSchedules(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(shared(t, "opcases", "schedules"), "*.json"))
	require.NoError(t, err)
	text, err := os.ReadFile("testdata/schedules.lm")
	require.NoError(t, err)
	m, err := checked("schedules.lm", text, check.Options{})
	require.NoError(t, err)
	var all []*schedule
	for _, name := range files {
		s := &schedule{}
		readJSON(t, name, s)
		all = append(all, s)
	}
	each(t, "schedules", all, func(s *schedule) string { return s.Case }, func(t *testing.T, s *schedule) {
		c := opCase{Name: s.Case}
		i := slices.IndexFunc(m.Entries, func(e *ir.Entry) bool { return e.Func.Name == c.function() })
		require.GreaterOrEqual(t, i, 0)
		ev := &ir.Evaluator{Wide: true}
		if s.Attrs.Metrics != nil {
			state := []*ir.Data{ir.Scalar(ir.F32, s.Attrs.Lr), ir.Scalar(ir.F32, math.Inf(1)), ir.Scalar(ir.I32, 0)}
			for k, want := range s.Lrs {
				state, err = evaluate(m, m.Entries[i], ev, append([]*ir.Data{ir.Scalar(ir.F32, s.Attrs.Metrics[k])}, state...))
				require.NoError(t, err)
				require.InDelta(t, want, state[0].F[0], s.Atol+s.Rtol*want, "metric %d", k)
			}
			return
		}
		for step, want := range s.Lrs {
			out, err := evaluate(m, m.Entries[i], ev, []*ir.Data{ir.Scalar(ir.I32, float64(step))})
			require.NoError(t, err)
			require.InDelta(t, want, out[0].F[0], s.Atol+s.Rtol*want, "step %d", step)
		}
	})
}

// An initial value is described by the moments that many numbers must have.
type initial struct {
	Case      string
	Mean, Std float64
	Accept    *struct {
		Mean   float64  `json:"mean_abs_below"`
		Std    float64  `json:"std_rel_err_below"`
		Within *float64 `json:"all_within"`
		Least  *float64 `json:"min_extreme_fraction"`
	}
}

// TestRandom checks initialisers and random numbers against their
// distributions.
func TestRandom(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(shared(t, "opcases", "init"), "*.json"))
	require.NoError(t, err)
	c := compileFile(t, "testdata/random.lm", check.Options{})
	driver := newDriver(t, "driver.go", c).build(t, "driver")
	answers := ask(t, nil, []string{driver}, []request{
		{Package: "random", Do: "init"}, {Package: "random", Do: "data"},
		{Package: "random", Do: "call", Name: "Uniform"}, {Package: "random", Do: "call", Name: "Normal"},
	})
	for _, a := range answers {
		require.Empty(t, a.Error)
	}
	weights := answers[1].Results[0].data(ir.F32).F
	var all []*initial
	for _, name := range files {
		s := &initial{}
		readJSON(t, name, s)
		if s.Case != "gains" { // a table
			all = append(all, s)
		}
	}
	each(t, "initial values", all, func(s *initial) string { return s.Case }, func(t *testing.T, s *initial) {
		var x []float64
		for _, w := range c.program.API.Weights {
			if w.Path == s.Case {
				x = weights[w.Offset:][:w.Len()]
			}
		}
		require.NotEmpty(t, x)
		mean, variance, extreme := moments(x)
		switch {
		case s.Case == "orthogonal__square":
			orthogonal(t, x, 32, 1.5)
		case s.Accept == nil:
			assert.Equal(t, s.Mean, mean)
			assert.Zero(t, variance)
		default:
			assert.Less(t, math.Abs(mean-s.Mean), s.Accept.Mean)
			assert.Less(t, math.Abs(math.Sqrt(variance)/s.Std-1), s.Accept.Std)
			if s.Accept.Within != nil {
				assert.LessOrEqual(t, extreme, *s.Accept.Within*(1+1e-6))
				assert.Greater(t, extreme, *s.Accept.Within**s.Accept.Least)
			}
		}
	})
	draws := []string{"rng_uniform01", "rng_normal", "dropout"}
	each(t, "random numbers", draws, strings.Clone, func(t *testing.T, name string) {
		if name == "dropout" {
			dropout(t, c.module)
			return
		}
		var s struct {
			Mean, Var float64
			MeanTol   float64 `json:"mean_tol"`
			VarTol    float64 `json:"var_rel_tol"`
		}
		readJSON(t, shared(t, "opcases", "stats", name+".json"), &s)
		mean, variance, _ := moments(answers[2+slices.Index(draws, name)].Results[0].data(ir.F32).F)
		assert.InDelta(t, s.Mean, mean, s.MeanTol)
		assert.InEpsilon(t, s.Var, variance, s.VarTol)
	})
}

func moments(x []float64) (mean, variance, extreme float64) {
	for _, v := range x {
		mean += v
		extreme = max(extreme, math.Abs(v))
	}
	mean /= float64(len(x))
	for _, v := range x {
		variance += (v - mean) * (v - mean) / float64(len(x))
	}
	return mean, variance, extreme
}

// orthogonal requires that the rows of an n × n matrix are orthogonal and of
// length gain.
func orthogonal(t *testing.T, x []float64, n int, gain float64) {
	for i := range n {
		for j := range n {
			dot := 0.0
			for k := range n {
				dot += x[i*n+k] * x[j*n+k]
			}
			want := 0.0
			if i == j {
				want = gain * gain
			}
			require.InDelta(t, want, dot, 1e-4, "rows %d and %d", i, j)
		}
	}
}

// dropout checks the masks of the train step.
func dropout(t *testing.T, m *ir.Module) {
	var s struct {
		N       int
		Zero    float64 `json:"zero_fraction"`
		ZeroTol float64 `json:"zero_fraction_tol"`
		MeanTol float64 `json:"mean_tol"`
	}
	readJSON(t, shared(t, "opcases", "stats", "dropout_p0p5.json"), &s)
	e := m.Trainers[0].Loss
	ev := &ir.Evaluator{Dims: map[string]int{"N": s.N}}
	masks := func(step int32) (a, b, slope []float64) {
		var in []*ir.Data
		for i, bind := range e.In {
			switch bind.Kind {
			case ir.KeyKind:
				in = append(in, &ir.Data{Elem: ir.I32, Shape: []int{3}, I: []int32{1, 0, step}})
			case ir.ArgKind:
				in = append(in, &ir.Data{Elem: ir.F32, Shape: []int{s.N}, F: slices.Repeat([]float64{1}, s.N)})
			default:
				d, err := ev.New(e.Func.Params[i].Type)
				require.NoError(t, err)
				in = append(in, d)
			}
		}
		out, err := ev.Run(e.Func, in)
		require.NoError(t, err)
		return out[1].F, out[2].F, out[3].F
	}
	a, b, slope := masks(0)
	zeros := 0
	for _, v := range a {
		if v == 0 {
			zeros++
			continue
		}
		require.Equal(t, 2.0, v)
	}
	mean, _, _ := moments(a)
	assert.InDelta(t, s.Zero, float64(zeros)/float64(s.N), s.ZeroTol)
	assert.InDelta(t, 1, mean, s.MeanTol)
	assert.Equal(t, a, slope, "the gradient has the mask")
	assert.NotEqual(t, a, b, "two places have masks of their own")
	again, _, _ := masks(0)
	assert.Equal(t, a, again)
	next, _, _ := masks(1)
	assert.NotEqual(t, a, next)
	lag := 0.0
	for i := range a[1:] {
		lag += (a[i] - mean) * (a[i+1] - mean) / float64(s.N)
	}
	assert.Less(t, math.Abs(lag), 5/math.Sqrt(float64(s.N)))
}
