package reference

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/dsl/check"
	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/passes"
	"github.com/lmc-lang/lmc/runtime"
)

// A model is one of the complete reference models with what it must reproduce.
type model struct {
	name   string
	output string   // the name of the output in the file
	args   []string // of the loss, by their names in the batch file
	long   bool     // too much for the evaluator to train

	*compiled
	dir      string
	batches  map[string]tensorFile
	expected map[string]tensorFile
	final    map[string]tensorFile
	train    training
}

// training is train.json.
type training struct {
	Losses    []float64
	Tolerance struct {
		Outputs      float64  `json:"outputs_atol"`
		GradsRtol    float64  `json:"grads_rtol"`
		GradsAtol    float64  `json:"grads_atol"`
		Loss         float64  `json:"loss_rtol"`
		Curve        float64  `json:"loss_curve_rtol"`
		Final        float64  `json:"final_params_atol"`
		Incomparable []string `json:"final_params_not_comparable"`
	}
}

// A tensorFile is a tensor of a safetensors file.
type tensorFile struct {
	elem  ir.Elem
	shape []int
	data  []float64
}

// models are the reference models, not loaded yet.
func models() []*model {
	return []*model{
		{name: "linreg", output: "pred", args: []string{"x", "y"}},
		{name: "mlp", output: "logits", args: []string{"x", "y"}},
		{name: "cnn", output: "logits", args: []string{"x", "y"}},
		{name: "gpt_mini", output: "logits", args: []string{"tokens", "targets"}, long: true},
	}
}

// load compiles the model and reads its files.
func (m *model) load(t *testing.T, opt ...check.Options) {
	m.dir = shared(t, "models", m.name)
	m.compiled = compileFile(t, filepath.Join("testdata", "models", m.name+".lm"), append(opt, check.Options{})[0])
	m.batches = tensors(t, filepath.Join(m.dir, "batch.safetensors"))
	m.expected = tensors(t, filepath.Join(m.dir, "expected.safetensors"))
	m.final = tensors(t, filepath.Join(m.dir, "final.safetensors"))
	readJSON(t, filepath.Join(m.dir, "train.json"), &m.train)
	require.Len(t, m.train.Losses, 20)
}

// tensors reads a safetensors file.
func tensors(t testing.TB, name string) map[string]tensorFile {
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	f, err := runtime.ReadSafetensors(bytes.NewReader(b))
	require.NoError(t, err)
	out := map[string]tensorFile{}
	for _, x := range f.Tensors {
		y := tensorFile{elem: ir.F32, shape: x.Shape}
		if x.DType == "I64" || x.DType == "I32" {
			y.elem = ir.I32
			ints, err := x.Int32s(nil)
			require.NoError(t, err)
			for _, n := range ints {
				y.data = append(y.data, float64(n))
			}
		} else {
			y.data, err = x.Float64s(nil)
			require.NoError(t, err)
		}
		out[x.Name] = y
	}
	return out
}

// batch is batch i as arguments for the entry; the files are channels-first
// with one channel, which is the same memory as channels-last.
func (m *model) batch(t testing.TB, e *loop.Entry, i int) []*ir.Data {
	var out []*ir.Data
	for k, p := range e.Args {
		x := m.batches[m.args[k]]
		i := i % x.shape[0]
		n := len(x.data) / x.shape[0]
		shape := slices.Clone(x.shape[1:])
		for a, d := range p.Shape {
			if c, ok := d.Const(); ok {
				shape[a] = c
			}
		}
		d, err := ir.DataOf(x.elem, shape, x.data[i*n:(i+1)*n])
		require.NoError(t, err)
		out = append(out, d)
	}
	return out
}

// close compares a tensor with one of a file.
func (m *model) close(t testing.TB, name string, want, got tensorFile, rtol, atol float64) {
	if !assert.Len(t, got.data, len(want.data), name) {
		return
	}
	worst, at := 0.0, 0
	for i, x := range want.data {
		if d := math.Abs(got.data[i]-x) - rtol*math.Abs(x); d > worst || math.IsNaN(got.data[i]) {
			worst, at = d, i
			if math.IsNaN(got.data[i]) {
				worst = math.Inf(1)
				break
			}
		}
	}
	assert.LessOrEqual(t, worst, atol, "%s: element %d is %v, want %v", name, at, got.data[at], want.data[at])
}

// forward compares outputs, loss and gradients at the initial weights.
func (m *model) forward(t testing.TB, output []float64, loss float64, grads map[string]tensorFile) {
	tol := m.train.Tolerance
	m.close(t, "output", m.expected["output."+m.output], tensorFile{data: output}, 0, tol.Outputs)
	assert.InEpsilon(t, m.expected["loss"].data[0], loss, tol.Loss, "loss")
	n := 0
	for _, name := range sortedNames(m.expected) {
		p, ok := strings.CutPrefix(name, "grad.")
		if !ok {
			continue
		}
		n++
		if assert.Contains(t, grads, p) {
			m.close(t, name, m.expected[name], grads[p], tol.GradsRtol, tol.GradsAtol)
		}
	}
	assert.Len(t, grads, n)
}

// curve compares the losses and the weights after 20 steps.
func (m *model) curve(t testing.TB, losses []float64, final map[string]tensorFile) {
	for i, x := range m.train.Losses {
		assert.InEpsilon(t, x, losses[i], m.train.Tolerance.Curve, "loss of step %d", i)
	}
	for _, name := range sortedNames(m.final) {
		if !strings.HasPrefix(name, "final_eval") && !slices.Contains(m.train.Tolerance.Incomparable, name) && assert.Contains(t, final, name) {
			m.close(t, "final "+name, m.final[name], final[name], 0, m.train.Tolerance.Final)
		}
	}
}

func sortedNames(m map[string]tensorFile) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// TestModels compares generated packages, with the kernels of each target, with
// the reference models: outputs, loss, every gradient under its foreign name, and
// 20 steps of training.
func TestModels(t *testing.T) { generatedModels(t, "models", check.Options{}) }

// TestModelsFloat64 is TestModels with packages that compute in float64.
func TestModelsFloat64(t *testing.T) {
	generatedModels(t, "models in float64", check.Options{Float64: true})
}

func generatedModels(t *testing.T, family string, opt check.Options) {
	t.Parallel()
	ms := models()
	var packages []*compiled
	for _, m := range ms {
		m.load(t, opt)
		packages = append(packages, m.compiled)
	}
	mod := newDriver(t, "driver.go", packages...)
	driver := mod.build(t, "driver")
	each(t, family, ms, (*model).title, func(t *testing.T, m *model) {
		for _, target := range targets() {
			if opt.Float64 && target != "portable" {
				continue // the only kernels there are
			}
			answers, grads, final := m.drive(t, []string{"LMC_TARGET=" + target}, []string{driver}, t.TempDir())
			m.forward(t, answers[1].Results[0].data(ir.F32).F, answers[2].Results[0].data(ir.F32).F[0], grads)
			var losses []float64
			for _, a := range answers[3:23] {
				losses = append(losses, a.Results[0].data(ir.F32).F[0])
			}
			m.curve(t, losses, final)
		}
	})
}

func (m *model) title() string { return m.name }

// drive asks for output, gradients and 20 steps.
func (m *model) drive(t testing.TB, env, command []string, dir string) (answers []answer, grads, final map[string]tensorFile) {
	api := m.program.API
	pkg, loss := api.Package, api.Trainers[0].Loss
	args := func(e *loop.Entry, i int) (out []tensor) {
		for _, d := range m.batch(t, e, i) {
			out = append(out, tensorOf(d))
		}
		return out
	}
	weights, err := filepath.Abs(filepath.Join(m.dir, "weights.safetensors"))
	require.NoError(t, err)
	gradFile, finalFile := filepath.Join(dir, pkg+"_grads.safetensors"), filepath.Join(dir, pkg+"_final.safetensors")
	requests := []request{
		{Package: pkg, Do: "load", Name: "Reference", File: weights},
		{Package: pkg, Do: "call", Name: "Output", Args: args(entryNamed(api, "Output"), 0)},
		{Package: pkg, Do: "gradients", Name: "Step Reference", File: gradFile, Like: weights, Args: args(loss, 0)},
	}
	for i := range 20 {
		requests = append(requests, request{Package: pkg, Do: "step", Name: "Step", Args: args(loss, i)})
	}
	requests = append(requests, request{Package: pkg, Do: "save", Name: "Reference", File: finalFile, Like: weights})
	answers = ask(t, env, command, requests)
	for i, a := range answers {
		require.Empty(t, a.Error, "%s %s", requests[i].Do, requests[i].Name)
	}
	return answers, tensors(t, gradFile), tensors(t, finalFile)
}

func entryNamed(api *loop.API, name string) *loop.Entry {
	for _, e := range api.Entries {
		if e.Name == name {
			return e
		}
	}
	return nil
}

// TestModelsEvaluated is TestModels with the evaluator, in float64, on what the
// passes make of the models.
func TestModelsEvaluated(t *testing.T) {
	if testing.Short() {
		t.Skip("interprets whole models")
	}
	t.Parallel()
	each(t, "models, evaluated", models(), (*model).title, func(t *testing.T, m *model) {
		m.load(t)
		ev := m.evaluator(t)
		grads := ev.gradients(t, 0)
		e := slices.IndexFunc(m.program.API.Entries, func(e *loop.Entry) bool { return e.Name == "Output" })
		out := ev.run(t, m.passes.Entries[e], m.batch(t, m.program.API.Entries[e], 0))
		m.forward(t, out[0].F, ev.loss, ev.foreign(t, grads))
		if m.long {
			return
		}
		var losses []float64
		for i := range 20 {
			losses = append(losses, ev.step(t, i))
		}
		m.curve(t, losses, ev.foreign(t, ev.weights))
	})
}

// An evaluated model is trained by the evaluator.
type evaluated struct {
	*model
	ir.Evaluator
	step0   *passes.Step
	weights []*ir.Data // whole stacks
	moments []*ir.Data
	loss    float64
}

func (m *model) evaluator(t testing.TB) *evaluated {
	ev := &evaluated{model: m, step0: m.passes.Steps[0]}
	ev.Wide = true
	ev.Dims = map[string]int{}
	api := m.program.API
	loss := api.Trainers[0].Loss
	for _, b := range loss.Dims {
		ev.Dims[b.Sym] = m.batch(t, loss, 0)[b.Arg].Shape[b.Axis]
	}
	params, n := paramsOf(api)
	flat := make([]float64, n)
	f, err := os.Open(filepath.Join(m.dir, "weights.safetensors"))
	require.NoError(t, err)
	defer f.Close()
	_, err = runtime.ReadForeign(f, params, flat, foreignTable(api.Names[0]), runtime.LoadOptions{})
	require.NoError(t, err)
	for i, p := range params {
		d, err := ir.DataOf(ir.F32, slices.Concat(p.Counts, p.Shape), flat[p.Offset:][:params[i].Len()])
		require.NoError(t, err)
		ev.weights = append(ev.weights, d)
	}
	for _, mo := range api.Trainers[0].Moments {
		d := ir.NewData(ir.F32, ev.weights[mo.Weight].Shape...)
		for i := range d.F {
			d.F[i] = mo.Init
		}
		ev.moments = append(ev.moments, d)
	}
	return ev
}

// paramsOf is the table of weights as the runtime wants it, and its length.
func paramsOf(api *loop.API) (out []runtime.ParamInfo, n int) {
	for _, w := range api.Weights {
		p := runtime.ParamInfo{Name: w.Path, Counts: w.Counts, Offset: w.Offset, State: w.State}
		for _, d := range w.Shape {
			k, _ := d.Const()
			p.Shape = append(p.Shape, k)
		}
		out = append(out, p)
		n = max(n, w.Offset+w.Len())
	}
	return out, n
}

// foreignTable is a names block as the runtime wants it.
func foreignTable(t *loop.NameTable) runtime.NameTable {
	var expr func(e *loop.NameExpr) *runtime.NameExpr
	expr = func(e *loop.NameExpr) *runtime.NameExpr {
		out := &runtime.NameExpr{Op: e.Op, Name: e.Name, Ints: e.Ints}
		for _, a := range e.Args {
			out.Args = append(out.Args, expr(a))
		}
		return out
	}
	out := runtime.NameTable{Name: t.Name, Ignore: t.Ignore}
	for _, r := range t.Rules {
		out.Rules = append(out.Rules, runtime.NameRule{Pattern: r.Pattern, Expr: expr(r.Expr)})
	}
	return out
}

// foreign is one tensor per weight under the names of the reference.
func (ev *evaluated) foreign(t testing.TB, stacks []*ir.Data) map[string]tensorFile {
	params, n := paramsOf(ev.program.API)
	flat := make([]float64, n)
	for i, p := range params {
		copy(flat[p.Offset:], stacks[i].F)
	}
	like, err := os.Open(filepath.Join(ev.dir, "weights.safetensors"))
	require.NoError(t, err)
	defer like.Close()
	shapes, err := runtime.ReadSafetensors(like)
	require.NoError(t, err)
	var b bytes.Buffer
	_, err = runtime.WriteForeign(&b, params, flat, foreignTable(ev.program.API.Names[0]), shapes, nil)
	require.NoError(t, err)
	name := filepath.Join(t.TempDir(), "x.safetensors")
	require.NoError(t, os.WriteFile(name, b.Bytes(), 0o666))
	return tensors(t, name)
}

// run evaluates an entry; further are gradients and scalars by kind.
func (ev *evaluated) run(t testing.TB, e *ir.Entry, args []*ir.Data, further ...[]*ir.Data) []*ir.Data {
	of := map[ir.Kind][]*ir.Data{ir.ArgKind: args, ir.WeightKind: ev.weights, ir.MomentKind: ev.moments}
	for i, k := range []ir.Kind{ir.GradKind, ir.ScalarKind} {
		if i < len(further) {
			of[k] = further[i]
		}
	}
	var in []*ir.Data
	for _, b := range e.In {
		require.Less(t, b.Index, len(of[b.Kind]), b.Name)
		in = append(in, of[b.Kind][b.Index])
	}
	out, err := ev.Run(e.Func, in)
	require.NoError(t, err)
	return out
}

// gradients are those of the loss of batch i, one for each weight.
func (ev *evaluated) gradients(t testing.TB, i int) []*ir.Data {
	out := ev.run(t, ev.step0.Gradients, ev.batch(t, ev.program.API.Trainers[0].Loss, i))
	grads := make([]*ir.Data, len(ev.weights))
	for k, b := range ev.step0.Gradients.Out {
		switch b.Kind {
		case ir.LossKind:
			ev.loss = out[k].F[0]
		case ir.GradKind:
			grads[b.Index] = out[k]
		}
	}
	return grads
}

// step is one step of training with batch i; it returns the loss before.
func (ev *evaluated) step(t testing.TB, i int) float64 {
	grads := ev.gradients(t, i)
	in := []*ir.Data{ir.Scalar(ir.I32, float64(i))}
	for _, o := range ev.program.API.Trainers[0].Options {
		e := ir.F32
		if o.Integer {
			e = ir.I32
		}
		in = append(in, ir.Scalar(e, o.Default))
	}
	require.Len(t, ev.step0.Host.Params, len(in), fmt.Sprint(ev.step0.Host))
	scalars, err := ev.Run(ev.step0.Host, in)
	require.NoError(t, err)
	out := ev.run(t, ev.step0.Apply, nil, grads, scalars)
	for k, b := range ev.step0.Apply.Out {
		switch b.Kind {
		case ir.WeightKind:
			ev.weights[b.Index] = out[k]
		case ir.MomentKind:
			ev.moments[b.Index] = out[k]
		}
	}
	return ev.loss
}
