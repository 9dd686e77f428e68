package codegen

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lmc-lang/lmc/ir/loop"
)

// tests prints a test file: calls and steps that have been done before allocate
// nothing, and weights survive a file. It uses only package testing.
func (g *gen) tests() error {
	if !g.opt.Tests {
		return nil
	}
	f := g.file("model_gen_test.go")
	f.add(`
func TestWeightsSurviveAFile(t *testing.T) {
	w := InitWeights(1)
	w.Meta["note"] = "kept"
	var file bytes.Buffer
	if _, err := w.WriteTo(&file); err != nil {
		t.Fatal(err)
	}
	read := NewWeights()
	if err := read.Load(&file); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(w.Data(), read.Data()) {
		t.Error("the weights changed")
	}
	if read.Meta["note"] != "kept" {
		t.Error("the metadata is lost")
	}
}`)
	ramp, steps, calls := false, false, false
	for _, e := range g.api.Entries {
		if x := g.sampleCall(e, nil); x != nil {
			g.entryTest(f, e, x)
			g.entryExample(f, e, x)
			ramp, calls = ramp || x.ramp, true
		}
	}
	for _, t := range g.api.Trainers {
		absent := map[int]bool{}
		for _, c := range t.Carried {
			absent[c.Arg] = true
		}
		if x := g.sampleCall(t.Loss, absent); x != nil {
			steps = true
			g.stepTest(f, t, x)
			g.fitExample(f, t, x)
			ramp = ramp || x.ramp
		}
	}
	if steps || calls {
		f.add(`
// leastAllocs is the least number of allocations of a call in several tries:
// others in the process may allocate at the same time.
func leastAllocs(runs int, call func()) float64 {
	least := testing.AllocsPerRun(runs, call)
	for try := 0; least != 0 && try < 3; try++ {
		least = min(least, testing.AllocsPerRun(runs, call))
	}
	return least
}`)
	}
	if steps {
		f.add(`
// unlessFinite ends a test after an error of a step: the made-up batch may be
// one whose loss is not finite.
func unlessFinite(t *testing.T, err error) {
	t.Helper()
	if loss := (*runtime.NonFiniteError)(nil); errors.As(err, &loss) {
		t.Skip(err)
	}
	t.Fatal(err)
}`)
	}
	if ramp {
		f.add(`
// ramp fills x with small numbers.
func ramp(x []$float) {
	for i := range x {
		x[i] = $float(i%7)/8 - 0.25
	}
}`, "float", g.float())
	}
	return nil
}

// A sampleCall is the arguments of a call in a test.
type sampleCall struct {
	setup string
	args  []string
	ramp  bool
}

// sampleCall chooses small sizes that the entry point accepts; nil if none are
// found.
func (g *gen) sampleCall(e *loop.Entry, absent map[int]bool) *sampleCall {
	env := sampleDims(e)
	if env == nil {
		return nil
	}
	x := &sampleCall{}
	var b strings.Builder
	names := newScope("s", "t", "w", "r", "err", "out", "call", "file", "again", "batches", "ramp")
	for i, a := range e.Args {
		if absent[i] || a.Default != nil {
			continue
		}
		if a.IsDim {
			x.args = append(x.args, "0")
			continue
		}
		if len(a.Shape) == 0 {
			x.args = append(x.args, [...]string{loop.F32: "0.5", loop.I32: "0", loop.Bool: "true"}[a.Elem])
			continue
		}
		v := names.pick(a.Name, "Arg")
		var ds []string
		for _, d := range a.Shape {
			n, err := d.Eval(env)
			if err != nil || n < 1 {
				return nil
			}
			ds = append(ds, fmt.Sprint(n))
		}
		if len(a.Shape) == 1 {
			fmt.Fprintf(&b, "%s := make([]%s, %s)\n", v, g.elem(a.Elem), ds[0])
		} else {
			fmt.Fprintf(&b, "%s := runtime.NewTensor%d[%s](nil, %s)\n", v, len(ds), g.elem(a.Elem), strings.Join(ds, ", "))
		}
		if a.Elem == loop.F32 {
			fmt.Fprintf(&b, "ramp(%s)\n", data(v, len(a.Shape)))
			x.ramp = true
		}
		x.args = append(x.args, v)
	}
	x.setup = b.String()
	return x
}

// sampleDims chooses sizes for the symbols of an entry point.
func sampleDims(e *loop.Entry) map[string]int {
	for _, size := range []int{2, 3, 4, 8, 1, 16, 32, 64, 100} {
		env := map[string]int{}
		for _, d := range e.Dims {
			env[d.Sym] = size
			if d.Axis < 0 {
				env[d.Sym] = 0
			}
		}
		ok := true
		for _, n := range e.Need {
			v, err := n.Expr.Eval(env)
			ok = ok && err == nil && v >= 0
		}
		for _, r := range e.Ranges {
			v, err := r.N.Eval(env)
			ok = ok && err == nil && v >= 1
		}
		for _, p := range slices.Concat(e.Args, e.Results) {
			for _, d := range p.Shape {
				v, err := d.Eval(env)
				ok = ok && err == nil && v >= 1
			}
		}
		if ok {
			return env
		}
	}
	return nil
}

func (g *gen) entryTest(f *file, e *loop.Entry, x *sampleCall) {
	var decl, into, from []string
	for i, r := range e.Results {
		v := fmt.Sprintf("out%d", i+1)
		if len(e.Results) == 1 {
			v = "out"
		}
		if len(r.Shape) > 0 {
			decl = append(decl, fmt.Sprintf("var %s %s\n", v, g.tensor(r.Elem, len(r.Shape))))
			from = append(from, data(v, len(r.Shape)))
			into = append(into, v)
		} else {
			into = append(into, "_")
		}
	}
	args := append(from, x.args...)
	if e.Random {
		args = append(args, "1")
	}
	if hasOptions(e) {
		args = append(args, "Default"+e.Name+"Options()")
	}
	reset := ""
	if e.Caches {
		reset = "s.Reset()\n"
	}
	f.add(`
func Test$NameAllocatesNothing(t *testing.T) {
	$short s := NewSession(InitWeights(1))
	$setup$decl var err error
	call := func() {
		$reset $into = s.$Name($args)
	}
	if call(); err != nil {
		t.Fatal(err)
	}
	if n := leastAllocs(5, call); n != 0 {
		t.Errorf("%v allocations in a call", n)
	}
}`, "Name", e.Name, "setup", x.setup, "decl", strings.Join(decl, ""), "reset", reset, "short", g.short(),
		"into", strings.Join(append(into, "err"), ", "), "args", strings.Join(args, ", "))
}

// short is the start of a test that takes long for a large model.
func (g *gen) short() string {
	if g.count() < 10_000_000 {
		return ""
	}
	return "if testing.Short() {\nt.Skip(\"the model is large\")\n}\n"
}

// entryExample prints an example that only has to compile.
func (g *gen) entryExample(f *file, e *loop.Entry, x *sampleCall) {
	var into, args []string
	for i, r := range e.Results {
		v := fmt.Sprintf("out%d", i+1)
		if len(e.Results) == 1 {
			v = "out"
		}
		into = append(into, v)
		if len(r.Shape) > 0 {
			args = append(args, "nil")
		}
	}
	args = append(args, x.args...)
	if e.Random {
		args = append(args, "1")
	}
	if hasOptions(e) {
		args = append(args, "Default"+e.Name+"Options()")
	}
	f.add(`
func ExampleSession_$Name() {
	s := NewSession(InitWeights(1))
	$setup $into, err := s.$Name($args)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println($into)
}`, "Name", e.Name, "setup", x.setup, "into", strings.Join(into, ", "), "args", strings.Join(args, ", "))
}

func (g *gen) fitExample(f *file, t *loop.Trainer, x *sampleCall) {
	f.add(`
func Example$Name_Fit() {
	w := InitWeights(1)
	s := New$Name(w, Default$NameOptions())
	batches := func(yield func($NameBatch, error) bool) {
		$setup for yield($NameBatch{$args}, nil) {
		}
	}
	for r, err := range s.Fit(context.Background(), batches) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(r.Step, r.Loss)
		if r.Step == 100 {
			break
		}
	}
	if err := w.SaveFile("$package.safetensors"); err != nil {
		fmt.Println(err)
	}
}`, "Name", t.Name, "setup", x.setup, "args", strings.Join(x.args, ", "), "package", g.api.Package)
}

func (g *gen) stepTest(f *file, t *loop.Trainer, x *sampleCall) {
	f.add(`
func Test$NameAllocatesNothing(t *testing.T) {
	$short s := New$Name(InitWeights(1), Default$NameOptions())
	$setup var err error
	call := func() {
		_, err = s.Step($args)
	}
	for range $warm {
		if call(); err != nil {
			unlessFinite(t, err)
		}
	}
	if n := leastAllocs($runs, call); n != 0 {
		t.Errorf("%v allocations in a step", n)
	}
}

func Test$NameContinues(t *testing.T) {
	$short s := New$Name(InitWeights(1), Default$NameOptions())
	$setup for range $warm {
		if _, err := s.Step($args); err != nil {
			unlessFinite(t, err)
		}
	}
	var file bytes.Buffer
	if err := s.Save(&file); err != nil {
		t.Fatal(err)
	}
	again := New$Name(NewWeights(), Default$NameOptions())
	if err := again.Load(&file); err != nil {
		t.Fatal(err)
	}
	for range $warm {
		if _, err := s.Step($args); err != nil {
			unlessFinite(t, err)
		}
		if _, err := again.Step($args); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(s.w.Data(), again.w.Data()) {
		t.Error("after a checkpoint training goes another way")
	}
}`, "Name", t.Name, "setup", x.setup, "args", strings.Join(x.args, ", "), "short", g.short(),
		"warm", fmt.Sprint(2*max(t.Accumulate, 1)), "runs", fmt.Sprint(max(t.Accumulate, 5)))
}
