package codegen

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/lmc-lang/lmc/ir/loop"
)

// A trainer is what is known about a train block while its file is printed.
type trainer struct {
	*loop.Trainer
	g       *gen
	states  bool         // the loss assigns states
	carried map[int]int  // argument that is carried over: the result it comes from
	from    map[int]bool // results that are carried over
	slots   [3]int
	moment  map[string]string // tables of the moments
	host    string            // name of the function that computes the scalars
}

func (g *gen) trainers() error {
	for _, t := range g.api.Trainers {
		g.uses["moments"] = g.uses["moments"] || len(t.Moments) > 0
		g.uses["scalars"] = g.uses["scalars"] || len(t.Scalars) > 0
		x := &trainer{Trainer: t, g: g, carried: map[int]int{}, from: map[int]bool{}}
		x.states = g.writesWeights(t.Loss.Proc, map[*loop.Proc]bool{})
		for _, c := range t.Carried {
			x.carried[c.Arg], x.from[c.Result] = c.Result, true
		}
		if len(t.Loss.Results) == 0 {
			return fmt.Errorf("bug in pass derive: %s has no loss", t.Name)
		}
		if err := x.print(g.file(strings.ToLower(t.Name) + "_gen.go")); err != nil {
			return err
		}
	}
	return nil
}

// writesWeights is whether a procedure or a loop in it assigns states.
func (g *gen) writesWeights(p *loop.Proc, seen map[*loop.Proc]bool) bool {
	if seen[p] {
		return false
	}
	seen[p] = true
	for _, s := range p.Steps {
		switch s := s.(type) {
		case *loop.Call:
			for i, r := range s.Args {
				if r.Space == loop.Weights && s.Kernel.Bufs[i].Out {
					return true
				}
			}
		case *loop.Loop:
			if g.writesWeights(s.Body, seen) {
				return true
			}
		}
	}
	return false
}

// moments is the number of elements of the optimiser's state.
func (t *trainer) moments() int {
	n := 0
	for _, m := range t.Moments {
		n = max(n, m.Offset+t.momentWeight(m).Len())
	}
	return n
}

// momentWeight is the layout of a moment: that of its weight, but for the shape
// of one copy if it has one of its own.
func (t *trainer) momentWeight(m *loop.Moment) *loop.Weight {
	w := *t.g.api.Weights[m.Weight]
	w.Offset, w.State, w.Init = m.Offset, false, loop.Init{}
	if m.Shape != nil {
		w.Shape = m.Shape
	}
	if m.Init != 0 {
		w.Init = loop.Init{Kind: "const", Args: []float64{m.Init}}
	}
	return &w
}

func (t *trainer) print(f *file) error {
	b, names, types, err := t.evaluate("evaluate", t.Loss.Proc)
	if err != nil {
		return err
	}
	if t.Direct != nil {
		text, _, _, err := t.evaluate("train", t.Direct.Proc)
		if err != nil {
			return err
		}
		b += "\n" + text
	}
	params := strings.Join(grouped(names, types), ", ")
	kv := []string{
		"Name", t.Name, "params", params, "args", strings.Join(names, ", "), "float", t.g.float(),
		"count", strconv.Itoa(t.g.count()), "moments", strconv.Itoa(t.moments()), "scalars", strconv.Itoa(len(t.Scalars)),
		"staleInto", t.g.stale("into"), "staleGrads", t.g.stale("grads"), "stale", t.g.stale("s.w"),
	}
	t.options(f)
	t.result(f)
	t.typ(f, kv)
	t.step(f, kv)
	f.add("$text", "text", b)
	if err := t.update(f, kv); err != nil {
		return err
	}
	t.gradients(f, kv)
	t.apply(f, kv)
	t.carry(f)
	t.momentTable(f)
	t.checkpoint(f, kv)
	t.average(f, kv)
	t.fit(f, names, types, kv)
	return nil
}

// options prints the struct of options.
func (t *trainer) options(f *file) {
	var fields, values strings.Builder
	for _, o := range t.Options {
		typ, value := "float64", strconv.FormatFloat(o.Default, 'g', -1, 64)
		if o.Integer {
			typ, value = "int", strconv.FormatInt(int64(o.Default), 10)
		}
		doc := ""
		if o.Doc != "" {
			doc = " // " + strings.ReplaceAll(strings.TrimSpace(o.Doc), "\n", " ")
		}
		fmt.Fprintf(&fields, "%s %s%s\n", o.Name, typ, doc)
		fmt.Fprintf(&values, "%s: %s,\n", o.Name, value)
	}
	f.add(`
// $NameOptions are the numbers of $Name that can be chosen when a trainer is made.
type $NameOptions struct {
$fields	Seed uint64 // of all that training draws
}

// Default$NameOptions has the values that the model declares.
func Default$NameOptions() $NameOptions {
	return $NameOptions{$values}
}`, "Name", t.Name, "fields", fields.String(), "values", spaced(values.String()))
}

// spaced is the inside of a composite literal over several lines.
func spaced(s string) string {
	if s == "" {
		return ""
	}
	return "\n" + s
}

// metrics are the results of the loss that are neither the loss nor carried
// over.
func (t *trainer) metrics() []int {
	var out []int
	for i := range t.Loss.Results {
		if i > 0 && !t.from[i] {
			out = append(out, i)
		}
	}
	return out
}

// metricField is the name of a metric in the result of a step.
func (t *trainer) metricField(i int) string {
	s := scope{"Step": true, "Loss": true, "Norm": true, "Updated": true}
	name := ""
	for _, k := range t.metrics() {
		n := t.Loss.Results[k].Name
		if n == "" {
			n = "Metric"
		}
		n = s.pick(upper(identifier(n)), "Metric")
		if k == i {
			name = n
		}
	}
	return name
}

func (t *trainer) result(f *file) {
	g := t.g
	var fields strings.Builder
	fmt.Fprintf(&fields, "Step int64 // updates done\nLoss %s\n", g.float())
	borrowed := ""
	for _, i := range t.metrics() {
		r := t.Loss.Results[i]
		fmt.Fprintf(&fields, "%s %s // %s\n", t.metricField(i), g.tensor(r.Elem, len(r.Shape)), declared(r))
		if len(r.Shape) > 0 {
			borrowed = " Tensors in it\n// are valid until the next step."
		}
	}
	norm := "of the gradient, before it is clipped; 0 where no update happened"
	if t.Direct != nil && !t.knowsNorm() {
		norm = "of the gradient: 0, for it is not known"
	}
	fmt.Fprintf(&fields, "Norm float64 // %s\n", norm)
	if t.Accumulate > 1 {
		fmt.Fprintf(&fields, "Updated bool // this was the last of %d micro-batches\n", t.Accumulate)
	}
	f.add(`
// $NameResult is what a step reports.$borrowed
type $NameResult struct {
$fields}`, "Name", t.Name, "fields", fields.String(), "borrowed", borrowed)
}

// typ prints the trainer itself.
func (t *trainer) typ(f *file, kv []string) {
	g := t.g
	doc := strings.TrimSpace(t.Doc)
	if doc == "" {
		doc = fmt.Sprintf("%s minimises %s.", t.Name, t.Loss.Name)
	}
	var fields, init strings.Builder
	if t.Accumulate > 1 {
		fields.WriteString("micro int64 // micro-batches since the last update\n")
	}
	if t.states {
		fields.WriteString("states []$float // of the weights before the step\n")
		n := 0
		for _, w := range g.api.Weights {
			if w.State {
				n += w.Len()
			}
		}
		fmt.Fprintf(&init, "s.states = make([]$float, %d)\n", n)
	}
	if len(t.Carried) > 0 {
		fields.WriteString("carrying bool // there was a step since Reset\n")
	}
	for _, c := range t.Carried {
		a, r := t.Loss.Args[c.Arg], t.Loss.Results[c.Result]
		n := carriedName(a)
		if len(a.Shape) == 0 {
			fmt.Fprintf(&fields, "%s, %sNext %s // %s of the step before, and of this one\n", n, n, g.elem(a.Elem), r.Name)
			continue
		}
		fmt.Fprintf(&fields, "%s, %sNext []%s // %s of the step before, and of this one\n", n, n, g.elem(a.Elem), r.Name)
		if !isConst(a.Shape) {
			fmt.Fprintf(&fields, "%sShape [%d]int\n", n, len(a.Shape))
		}
	}
	for _, i := range t.metrics() {
		if r := t.Loss.Results[i]; len(r.Shape) > 0 {
			fmt.Fprintf(&fields, "%s []%s\n", lower(t.metricField(i))+"Data", g.elem(r.Elem))
		}
	}
	if n := t.hostScalars(); n > 0 {
		fields.WriteString("host struct { // arguments and results of the scalars' function\nstep [1]int32\n")
		if t.hostOptions() > 0 {
			fmt.Fprintf(&fields, "options [%d]float64\n", t.hostOptions())
		}
		fmt.Fprintf(&fields, "scalars [%d]float64\n}\n", n)
	}
	if len(t.Scalars) > 0 {
		init.WriteString("s.m.scalars = make([]$float, $scalars)\n")
	}
	if t.moments() > 0 {
		init.WriteString("s.m.moments = runtime.Aligned[$float]($moments)\n")
	}
	if g.uses["weights"] {
		init.WriteString("s.m.weights = w.data\n")
	}
	if g.hasNative() {
		init.WriteString("s.m.kernels = kernelsNamed(KernelPath())\n")
	}
	for _, m := range t.Moments {
		if m.Init != 0 {
			init.WriteString("s.resetMoments()\n")
			break
		}
	}
	gradsField, gradsInit := fill("grads   []$float", kv...), fill(", grads: runtime.Aligned[$float]($count)", kv...)
	owned := "the gradients, "
	if t.Direct != nil {
		gradsField, gradsInit, owned = "", "", ""
	}
	owns := commentText(wrap("A trainer owns " + owned + "the state of the optimiser, the number of steps done, and the memory for a step: it grows to the largest sizes seen, " +
		"and then a step allocates nothing. It serves one goroutine at a time."))
	f.add(`
$doc
//
$owns
type $Name struct {
	w       *Weights
	m       memory
	guard   runtime.Guard
	fold    runtime.Fold[$float]
	$gradsField
	options $NameOptions
	steps   int64 // updates done
	epoch, batches int64 // position in the data
	$fields
}

// New$Name makes a trainer of w that has done no step.
func New$Name(w *Weights, o $NameOptions) *$Name {
	s := &$Name{w: w, options: o$gradsInit}
	$init
	return s
}

// Steps is the number of updates done.
func (s *$Name) Steps() int64 { return s.steps }

// Options are the options of the next step, with the seed of a checkpoint if one
// was loaded.
func (s *$Name) Options() $NameOptions { return s.options }

// SetOptions changes the options of the steps to come.
func (s *$Name) SetOptions(o $NameOptions) error {
	if err := s.acquire("SetOptions"); err != nil {
		return err
	}
	defer s.release()
	s.options = o
	return nil
}`,
		append(kv, "doc", commentText(doc), "owns", owns, "gradsField", gradsField, "gradsInit", gradsInit, "fields", fill(fields.String(), kv...), "init", fill(init.String(), kv...))...)
	g.kernelMethods(f, t.Name, "trainer")
	lock := "s.w.guard.Hold()"
	f.add(`
// acquire reserves the trainer and its weights for one call of fn.
func (s *$Name) acquire(fn string) error {
	if !s.guard.Hold() {
		return fmt.Errorf("%s: %s: the trainer is %w", modelName, fn, runtime.ErrInUse)
	}
	if !$lock {
		s.guard.Release()
		return inUse(fn)
	}
	return nil
}

func (s *$Name) release() {
	s.w.guard.Release()
	s.guard.Release()
}`, append(kv, "lock", lock)...)
}

func carriedName(a loop.Param) string { return "last" + upper(identifier(a.Name)) }

func isConst(shape []loop.Dim) bool {
	for _, d := range shape {
		if _, ok := d.Const(); !ok {
			return false
		}
	}
	return true
}
