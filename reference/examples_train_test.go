package reference

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/codegen"
	"github.com/lmc-lang/lmc/dsl/check"
	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/runtime"
)

// A wideTensor, a task and a reply are what testdata/train.go understands
// and answers.
type wideTensor struct {
	Shape []int    `json:"shape"`
	Bits  []uint64 `json:"bits"`
}

type task struct {
	Package string             `json:"package"`
	Do      string             `json:"do"`
	Name    string             `json:"name"`
	Options map[string]float64 `json:"options"`
	Steps   int                `json:"steps"`
	Spans   [][2]int           `json:"spans"` // of weights: first and number
	Args    []wideTensor       `json:"args"`
}

type reply struct {
	Results []wideTensor `json:"results"`
	Allocs  uint64       `json:"allocs"`
	Error   string       `json:"error"`
}

func wide(d *ir.Data) wideTensor {
	out := wideTensor{Shape: append([]int{}, d.Shape...)}
	for _, x := range d.Floats() {
		out.Bits = append(out.Bits, math.Float64bits(x))
	}
	return out
}

func (w wideTensor) floats() []float64 {
	out := make([]float64, len(w.Bits))
	for i, b := range w.Bits {
		out[i] = math.Float64frombits(b)
	}
	return out
}

// A trained example is one whose packages, for both float types, are compiled.
type trained struct {
	*example
	narrow, wide *compiled // wide is nil if the example is there in a larger size, too
}

// wideName is the package that computes in float64.
func (x *example) wideName() string { return x.name() + "64" }

// trainModule compiles all examples into one program and returns its path.
func trainModule(t *testing.T) (string, []*trained) {
	t.Helper()
	var all []*trained
	var packages []*compiled
	for _, x := range slices.Concat(examples, medium) {
		tr := &trained{example: x}
		m := x.module(t, check.Options{})
		var err error
		tr.narrow, err = compile(m, codegen.Options{Tests: true})
		require.NoError(t, err, x.name())
		all, packages = append(all, tr), append(packages, tr.narrow)
		larger := func(y *example) bool { return x != y && x.file == y.file && x.model == y.model }
		if slices.ContainsFunc(medium, larger) {
			continue
		}
		m = x.module(t, check.Options{Float64: true})
		m.API.Package = x.wideName()
		tr.wide, err = compile(m, codegen.Options{})
		require.NoError(t, err, x.wideName())
		packages = append(packages, tr.wide)
	}
	mod := newDriver(t, "train.go", packages...)
	mod.write(t, "steps.go", typedSteps(packages))
	args := []string{"test"} // vet, and the tests that were generated
	for _, x := range medium {
		args = append(args, "./"+x.name())
	}
	out, err := mod.command(nil, args...).CombinedOutput()
	require.NoError(t, err, "%s", tail(out))
	return mod.build(t, "train"), all
}

// typedSteps is the text of the calls that train.go cannot make by reflection.
func typedSteps(packages []*compiled) []byte {
	var imports, b strings.Builder
	for _, c := range packages {
		api := c.program.API
		fmt.Fprintf(&imports, "\t%q\n", importPath(api.Package))
		for _, g := range api.Generators {
			fmt.Fprintf(&b, "\tpackages[%[1]q][\"Default%[2]sOptions\"] = %[1]s.Default%[2]sOptions\n", api.Package, g.Name)
		}
		for _, tr := range api.Trainers {
			fmt.Fprintf(&b, "\tsteps[\"%[1]s %[2]s\"] = func(trainer any, args []any) func() (float64, error) {\n\t\ts := trainer.(*%[1]s.%[2]s)\n", api.Package, tr.Name)
			var names []string
			for i, p := range stepArgs(tr) {
				typ := map[loop.Elem]string{loop.F32: "float32", loop.I32: "int32", loop.Bool: "bool"}[p.Elem]
				if api.Float64 && p.Elem == loop.F32 {
					typ = "float64"
				}
				switch n := len(p.Shape); n {
				case 0:
				case 1:
					typ = "[]" + typ
				default:
					typ = fmt.Sprintf("runtime.Tensor%d[%s]", n, typ)
				}
				names = append(names, fmt.Sprintf("a%d", i))
				fmt.Fprintf(&b, "\t\ta%d := args[%[1]d].(%s)\n", i, typ)
			}
			fmt.Fprintf(&b, "\t\treturn func() (float64, error) {\n\t\t\tr, err := s.Step(%s)\n\t\t\treturn float64(r.Loss), err\n\t\t}\n\t}\n", strings.Join(names, ", "))
		}
	}
	return []byte("package main\n\nimport (\n" + imports.String() + "\t\"github.com/lmc-lang/lmc/runtime\"\n)\n\nvar _ runtime.Tensor2[int32]\n\nfunc init() {\n" + b.String() + "}\n")
}

// stepArgs are the arguments of a step: those of the loss that are not carried
// from step to step.
func stepArgs(tr *loop.Trainer) []loop.Param {
	var out []loop.Param
	for i, p := range tr.Loss.Args {
		if !slices.ContainsFunc(tr.Carried, func(c loop.Carried) bool { return c.Arg == i }) {
			out = append(out, p)
		}
	}
	return out
}

// do runs the program on tasks, with the kernels of a target, or with the best
// ones.
func do(t testing.TB, program string, procs int, target string, tasks []task) []reply {
	t.Helper()
	var in, stderr bytes.Buffer
	for _, x := range tasks {
		require.NoError(t, json.NewEncoder(&in).Encode(x))
	}
	cmd := exec.Command(program)
	cmd.Stdin, cmd.Stderr = &in, &stderr
	cmd.Env = append(os.Environ(), fmt.Sprintf("GOMAXPROCS=%d", procs))
	if target != "" {
		cmd.Env = append(cmd.Env, "LMC_TARGET="+target)
	}
	b, err := cmd.Output()
	require.NoError(t, err, "%s", tail(stderr.Bytes()))
	var out []reply
	for dec := json.NewDecoder(bytes.NewReader(b)); dec.More(); {
		var o reply
		require.NoError(t, dec.Decode(&o))
		out = append(out, o)
	}
	require.Len(t, out, len(tasks))
	return out
}

// TestExamplesTrain trains every example, generated and compiled, with its
// numbers in float32, and compares the gradients of the same package in
// float64 with the evaluator, and with slopes of the loss that the package itself
// computes, for elements of every block of parameters.
func TestExamplesTrain(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles all examples twice")
	}
	program, all := trainModule(t)
	each(t, "examples trained", all, (*trained).name, func(t *testing.T, x *trained) {
		tasks := x.tasks(t)
		got := do(t, program, 1, "", tasks)
		for i, o := range do(t, program, 2, "", tasks) {
			require.Empty(t, o.Error, "%s %s", tasks[i].Do, tasks[i].Name)
			assert.Equal(t, got[i].Results, o.Results, "%s %s on 1 and 2 processors", tasks[i].Do, tasks[i].Name)
			assert.Zero(t, got[i].Allocs, "allocations of %s on 1 processor", tasks[i].Name)
			assert.Zero(t, o.Allocs, "allocations of %s on 2 processors", tasks[i].Name)
		}
		results := append(x.check(t, tasks, got), x.targets(t, program, tasks, got)...)
		t.Logf("%-12s %-12s %s", x.file, x.model, strings.Join(results, "; "))
	})
}

// targets compares replies of the best kernels, which got has, with those of
// others: the native ones have the same bits, the portable ones round
// otherwise, and training carries that on.
func (x *trained) targets(t *testing.T, program string, tasks []task, got []reply) (summary []string) {
	best := runtime.KernelPath()
	if best == "portable" {
		return nil
	}
	narrow := func(r task) bool { return r.Package == x.name() }
	n := 0
	for n < len(tasks) && narrow(tasks[n]) {
		n++
	}
	require.False(t, slices.ContainsFunc(tasks[n:], narrow), "what is in float64 comes last")
	if best != "amd64-avx2" {
		for i, o := range do(t, program, 1, "amd64-avx2", tasks[:n]) {
			assert.Equal(t, got[i].Results, o.Results, "%s %s with kernels for AVX2", tasks[i].Do, tasks[i].Name)
		}
	}
	// Batch norm of three elements, as small as ResNet is here, amplifies rounding
	// errors a thousandfold in a step.
	worst, steps := 0.0, 5
	if x.file == "resnet" {
		steps = 1
	}
	for i, o := range do(t, program, 2, "portable", tasks[:n]) {
		require.Empty(t, o.Error, "%s %s", tasks[i].Do, tasks[i].Name)
		assert.Zero(t, o.Allocs, "allocations of %s with portable kernels", tasks[i].Name)
		if tasks[i].Do != "train" {
			continue
		}
		want := got[i].Results[0].floats()
		for step, loss := range o.Results[0].floats()[:steps] {
			differ := math.Abs(loss-want[step]) / max(1, math.Abs(want[step]))
			assert.Less(t, differ, 1e-3, "loss %d of %s with portable kernels: %v, not %v", step, tasks[i].Name, loss, want[step])
			worst = max(worst, differ)
		}
	}
	return append(summary, fmt.Sprintf("portable losses differ by %.1e", worst))
}

// tasks are all that is asked about an example: training from the start by
// every trainer; then decoding, in whole and by pieces, and text; then the
// gradients in float64.
func (x *trained) tasks(t *testing.T) (out []task) {
	api := x.narrow.program.API
	add := func(r task, args ...*ir.Data) {
		if r.Package == "" {
			r.Package = x.name()
		}
		for _, a := range args {
			r.Args = append(r.Args, wide(a))
		}
		out = append(out, r)
	}
	for _, tr := range api.Trainers {
		steps := 40
		if x.steps > 0 {
			steps = x.steps
		}
		add(task{Do: "init"})
		add(task{Do: "train", Name: tr.Name, Options: x.opts, Steps: steps}, x.stepData(t, tr)...)
	}
	if n := x.full["T"]; n > 0 {
		whole := ir.NewData(ir.I32, 2, n)
		for i := range whole.I {
			whole.I[i] = int32((i*i + 3) % 7)
		}
		add(task{Do: "call", Name: "Logits"}, whole)
		for _, cut := range x.pieces() {
			add(task{Do: cut.do, Name: cut.entry}, cut.args(whole)...)
		}
	}
	for _, g := range api.Generators {
		prompt := ir.NewData(ir.I32, 2)
		prompt.I[0], prompt.I[1] = 3, 1
		add(task{Do: "generate", Name: g.Name, Options: map[string]float64{"Limit": 8}}, prompt)
	}
	if x.wide == nil {
		return out
	}
	flat := ir.NewData(ir.F32, 0)
	ws := x.weights(api)
	for i, w := range api.Weights {
		flat.F = slices.Grow(flat.F, w.Offset+w.Len())[:max(len(flat.F), w.Offset+w.Len())]
		copy(flat.F[w.Offset:], ws[i].F)
	}
	flat.Shape[0] = len(flat.F)
	add(task{Package: x.wideName(), Do: "set"}, flat)
	for _, tr := range api.Trainers {
		add(task{Package: x.wideName(), Do: "gradients", Name: tr.Name}, x.stepData(t, tr)...)
	}
	for i, tr := range api.Trainers {
		if !x.private(i) {
			add(task{Package: x.wideName(), Do: "slopes", Name: tr.Name, Spans: blocks(api, tr)}, x.stepData(t, tr)...)
		}
	}
	return out
}

// stepData are the arguments of a step.
func (x *trained) stepData(t testing.TB, tr *loop.Trainer) []*ir.Data {
	var out []*ir.Data
	for i, d := range x.draw(t, tr.Loss, 1) {
		if !slices.ContainsFunc(tr.Carried, func(c loop.Carried) bool { return c.Arg == i }) {
			out = append(out, d)
		}
	}
	return out
}

// A piece is a call that reads tokens from..to of a text, with those before in
// the cache.
type piece struct {
	do, entry string
	from, to  int
}

func (x *trained) pieces() []piece {
	if x.model == "WaveNet" {
		out := []piece{{do: "reset"}}
		for p := range x.full["T"] {
			out = append(out, piece{"call", "Next", p, p + 1})
		}
		return out
	}
	return []piece{{do: "reset"}, {"call", "Decode", 0, 3}, {"call", "Decode", 3, 4}, {"call", "Decode", 4, 5}, {"call", "Decode", 5, 7}}
}

func (p piece) args(whole *ir.Data) []*ir.Data {
	if p.do != "call" {
		return nil
	}
	B, T := whole.Shape[0], whole.Shape[1]
	ids := ir.NewData(ir.I32, B, p.to-p.from)
	for b := range B {
		copy(ids.I[b*(p.to-p.from):], whole.I[b*T+p.from:b*T+p.to])
	}
	if p.entry == "Next" {
		ids.Shape = ids.Shape[:1]
	}
	return []*ir.Data{ids, ir.Scalar(ir.I32, float64(p.from))}
}

// check judges the replies to tasks.
func (x *trained) check(t *testing.T, tasks []task, got []reply) (summary []string) {
	var logits []float64
	vocabulary := 0
	pieces := x.pieces()
	piece, trainer := 0, 0
	for i, r := range tasks {
		o := got[i]
		switch {
		case r.Do == "train":
			losses := o.Results[0].floats()
			for k, l := range losses {
				require.False(t, math.IsNaN(l) || math.IsInf(l, 0), "loss %d is %v", k, l)
			}
			first, last := average(losses[:5]), average(losses[len(losses)-5:])
			assert.Less(t, last, first-0.02*math.Abs(first), "the loss falls: %v", losses)
			summary = append(summary, fmt.Sprintf("%s %.4g → %.4g in %d steps", r.Name, first, last, r.Steps))
		case r.Name == "Logits":
			logits, vocabulary = o.Results[0].floats(), o.Results[0].Shape[2]
			summary = append(summary, "decodes")
		case r.Do == "reset" || r.Name == "Decode" || r.Name == "Next":
			p := pieces[piece]
			if piece++; p.do == "reset" {
				continue
			}
			z := o.Results[0].floats()
			for b := range 2 {
				want := logits[(b*x.full["T"]+p.to-1)*vocabulary:][:vocabulary]
				near(t, fmt.Sprintf("%s of %d to %d", p.entry, p.from, p.to), want, z[b*vocabulary:][:vocabulary], 1e-4)
			}
		case r.Do == "generate":
			tokens := o.Results[0].Bits
			assert.NotEmpty(t, tokens)
			summary = append(summary, fmt.Sprintf("%d tokens", len(tokens)))
		case r.Do == "gradients":
			api := x.wide.program.API
			loss, grads := x.evaluated(t, trainer)
			require.InDelta(t, loss, o.Results[0].floats()[0], 1e-9*max(1, math.Abs(loss)))
			all := o.Results[1].floats()
			for _, k := range api.Trainers[trainer].Updates {
				w := api.Weights[k]
				near(t, "gradient of "+w.Path, grads[k], all[w.Offset:][:w.Len()], 1e-8)
			}
			trainer++
			summary = append(summary, "gradients in f64")
		case r.Do == "slopes":
			n := slopesAgree(t, x.wide.program.API, r, o)
			summary = append(summary, fmt.Sprintf("%d slopes in %d blocks", n, len(r.Spans)))
		}
	}
	return summary
}

func average(xs []float64) float64 {
	sum := 0.0
	for _, x := range xs {
		sum += x
	}
	return sum / float64(len(xs))
}

// evaluated is the loss and the gradients of trainer i by the evaluator.
func (x *trained) evaluated(t testing.TB, i int) (float64, [][]float64) {
	tr := &trial{example: x.example, module: x.wide.module, program: x.wide.passes, lowered: x.wide.program}
	tr.weights = x.weights(x.wide.program.API)
	e, sig := tr.program.Steps[i].Gradients, tr.lowered.API.Trainers[i]
	ev := tr.evaluator(t, sig.Loss)
	in := tr.args(t, e, sig.Loss, ev)
	for k, b := range e.In {
		carried := func(c loop.Carried) bool { return c.Arg == b.Index }
		if b.Kind == ir.ScalarKind || b.Kind == ir.ArgKind && slices.ContainsFunc(sig.Carried, carried) {
			in[k] = ir.NewData(in[k].Elem, in[k].Shape...) // as at the start
		}
	}
	out, err := ev.Run(e.Func, in)
	require.NoError(t, err)
	grads, loss := make([][]float64, len(tr.weights)), 0.0
	for k, b := range e.Out {
		switch b.Kind {
		case ir.LossKind:
			loss = out[k].F[0]
		case ir.GradKind:
			grads[b.Index] = out[k].F
		}
	}
	return loss, grads
}
