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
	b, names, types, err := t.evaluate()
	if err != nil {
		return err
	}
	params := strings.Join(grouped(names, types), ", ")
	kv := []string{
		"Name", t.Name, "params", params, "args", strings.Join(names, ", "), "float", t.g.float(),
		"count", strconv.Itoa(t.g.count()), "moments", strconv.Itoa(t.moments()), "scalars", strconv.Itoa(len(t.Scalars)),
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
	fields.WriteString("Norm float64 // of the gradient, before it is clipped; 0 where no update happened\n")
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
			fmt.Fprintf(&fields, "%s %s // %s of the step before\n", n, g.elem(a.Elem), a.Name)
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
		if len(t.Options) > 0 {
			fmt.Fprintf(&fields, "options [%d]float64\n", len(t.Options))
		}
		fmt.Fprintf(&fields, "scalars [%d]float64\n}\n", n)
	}
	if len(t.Scalars) > 0 {
		init.WriteString("s.m.scalars = make([]$float, $scalars)\n")
	}
	if t.moments() > 0 {
		init.WriteString("s.m.moments = make([]$float, $moments)\n")
	}
	if g.uses["weights"] {
		init.WriteString("s.m.weights = w.data\n")
	}
	for _, m := range t.Moments {
		if m.Init != 0 {
			init.WriteString("s.resetMoments()\n")
			break
		}
	}
	f.add(`
$doc
//
// A trainer owns the gradients, the state of the optimiser, the number of steps
// done, and the memory for a step: it grows to the largest sizes seen, and then
// a step allocates nothing. It serves one goroutine at a time.
type $Name struct {
	w       *Weights
	m       memory
	guard   runtime.Guard
	fold    runtime.Fold[$float]
	grads   []$float
	options $NameOptions
	steps   int64 // updates done
	epoch, batches int64 // position in the data
	$fields
}

// New$Name makes a trainer of w that has done no step.
func New$Name(w *Weights, o $NameOptions) *$Name {
	s := &$Name{w: w, options: o, grads: make([]$float, $count)}
	$init
	return s
}

// Steps is the number of updates done.
func (s *$Name) Steps() int64 { return s.steps }

// Options are the options with which the trainer was made, and the seed of a
// checkpoint if one was loaded.
func (s *$Name) Options() $NameOptions { return s.options }`,
		append(kv, "doc", commentText(doc), "fields", fill(fields.String(), kv...), "init", fill(init.String(), kv...))...)
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

// evaluate prints the method that Step and Gradients share: it checks the batch
// and computes loss, metrics and gradients. It returns the parameters, too.
func (t *trainer) evaluate() (text string, names, types []string, err error) {
	g, e := t.g, t.Loss
	sc := newScope(ours...)
	for _, n := range strings.Fields("fn grads loss") {
		sc[n] = true
	}
	b := g.newBinder(e, "fn", sc)
	b.fail = "out, "
	for i, a := range e.Args {
		if _, ok := t.carried[i]; ok {
			b.absent[i] = true
			continue
		}
		if a.Default != nil {
			return "", nil, nil, fmt.Errorf("%s: %s of %s has a default; the arguments of a loss that is trained may not", t.Name, a.Name, e.Name)
		}
		names, types = append(names, b.vars[i]), append(types, g.goType(a))
	}
	b.checks()
	b.inputs(&t.slots)
	for i, a := range e.Args {
		if b.absent[i] && b.passes(a.Name) {
			t.lend(b, i, a)
		}
	}
	if g.uses["key"] {
		step := "int32(s.steps)"
		if t.Accumulate > 1 {
			step = fmt.Sprintf("int32(s.steps*%d + s.micro)", t.Accumulate)
		}
		b.line("s.m.key = [3]int32{int32(uint32(s.options.Seed)), int32(uint32(s.options.Seed >> 32)), %s}", step)
	}
	if s := b.grow("s.m", e.Proc, t.Apply); s != "" {
		b.line("%s", s)
	}
	outs := map[string]string{}
	var lossSlot string
	var set strings.Builder
	for i, r := range e.Results {
		name := carriedResult(t, i)
		switch {
		case i == 0 || len(r.Shape) == 0: // of a loss for each example there is the mean
			slot := g.slot(r.Elem, &t.slots)
			outs[r.Name] = "s.m." + slotSlice(slot)
			switch {
			case i == 0:
				lossSlot = "s.m." + slot
				fmt.Fprintf(&set, "out.Loss = %s\n", lossSlot)
			case !t.from[i]:
				fmt.Fprintf(&set, "out.%s = s.m.%s\n", t.metricField(i), slot)
			default:
				fmt.Fprintf(&set, "s.%sNext = s.m.%s\n", name, slot)
			}
		case t.from[i]:
			b.line("s.%sNext = runtime.Resize(s.%sNext, %s)", name, name, b.dim(loop.Product(r.Shape)))
			outs[r.Name] = "s." + name + "Next"
		default:
			d := lower(t.metricField(i)) + "Data"
			b.line("s.%s = runtime.Resize(s.%s, %s)", d, d, b.dim(loop.Product(r.Shape)))
			outs[r.Name] = "s." + d
			value := "s." + d
			if len(r.Shape) > 1 {
				var ds []string
				for _, x := range r.Shape {
					ds = append(ds, b.dim(x))
				}
				value = fmt.Sprintf("%s{Data: s.%s, Shape: [%d]int{%s}}", g.tensor(r.Elem, len(r.Shape)), d, len(ds), strings.Join(ds, ", "))
			}
			fmt.Fprintf(&set, "out.%s = %s\n", t.metricField(i), value)
		}
	}
	if g.uses["grads"] {
		b.line("s.m.grads = grads")
	}
	b.line("%s", b.run("s.m", outs))
	b.line("%s", strings.TrimSuffix(set.String(), "\n"))
	b.line("if loss := float64(out.Loss); loss-loss != 0 {\nreturn out, s.notFinite(fn, \"the loss\", loss)\n}")
	b.line("return out, nil")
	if b.err != nil {
		return "", nil, nil, b.err
	}
	params := append([]string{"fn string", "grads []" + g.float()}, grouped(names, types)...)
	text = fill(`
// evaluate computes the loss, the metrics, and the gradients into grads.
func (s *$Name) evaluate($params) (out $NameResult, err error) {
	defer runtime.Recover(&err, modelName, fn)
	$declarations$body}

// notFinite is the error of a step that met a NaN or an infinity.
func (s *$Name) notFinite(fn, what string, value float64) error {
	return &runtime.NonFiniteError{Model: modelName, Func: fn, What: what, Value: value, Step: s.steps}
}`, "Name", t.Name, "params", strings.Join(params, ", "), "declarations", b.declarations(), "body", b.body.String())
	return text, names, types, nil
}

// carriedResult is the field of a result that is fed to the next step, or "".
func carriedResult(t *trainer, result int) string {
	for _, c := range t.Carried {
		if c.Result == result {
			return carriedName(t.Loss.Args[c.Arg])
		}
	}
	return ""
}

// lend gives a carried argument the memory of the step before, or zeros.
func (t *trainer) lend(b *binder, i int, a loop.Param) {
	n := carriedName(a)
	if len(a.Shape) == 0 {
		slot := t.g.slot(a.Elem, &t.slots)
		b.line("s.m.%s = s.%s", slot, n)
		b.data[i] = "s.m." + slotSlice(slot)
		return
	}
	b.data[i] = "s." + n
	start := fmt.Sprintf("s.%s = runtime.Resize(s.%s, %s)\nclear(s.%s)\n", n, n, b.dim(loop.Product(a.Shape)), n)
	if isConst(a.Shape) {
		b.line("if !s.carrying {\n%s}", start)
		return
	}
	var ds []string
	for _, d := range a.Shape {
		ds = append(ds, b.dim(d))
	}
	b.line(`switch shape := [%d]int{%s}; {
case !s.carrying:
%ss.%sShape = shape
case s.%sShape != shape:
return out, &runtime.ShapeError{Model: modelName, Func: fn, Arg: "%s, carried from the step before (see Reset),", Want: fmt.Sprint(shape), Got: s.%sShape[:], Len: -1}
}`, len(ds), strings.Join(ds, ", "), start, n, n, a.Name, n)
}

// step prints Step.
func (t *trainer) step(f *file, kv []string) {
	var keep, restore, finish string
	if t.states {
		keep = "s.keepStates()\n"
		restore = "s.restoreStates()\n"
		f.add(`
// keepStates and restoreStates undo what the loss did to the states.
func (s *$Name) keepStates() {
	n := 0
	for i := range params {
		if p := &params[i]; p.State {
			n += copy(s.states[n:], s.w.data[p.Offset:][:p.Len()])
		}
	}
}

func (s *$Name) restoreStates() {
	n := 0
	for i := range params {
		if p := &params[i]; p.State {
			n += copy(s.w.data[p.Offset:][:p.Len()], s.states[n:])
		}
	}
}`, kv...)
	}
	carry := ""
	if len(t.Carried) > 0 {
		carry = "s.carry()\n"
	}
	doc := ""
	if t.Accumulate > 1 {
		doc = fmt.Sprintf("\n\nIt computes one of %d micro-batches; the last of them updates the weights with the mean of their gradients.", t.Accumulate)
		finish += fmt.Sprintf("if s.micro++; s.micro < %d {\n%sreturn out, nil\n}\n", t.Accumulate, carry)
	}
	begin := ""
	if t.Accumulate > 1 {
		begin = fmt.Sprintf("s.m.scalars[%d] = min(1, $float(s.micro)) // 0 starts the sum of gradients anew\n", t.accumulateScalar())
	}
	after := ""
	if t.Accumulate > 1 {
		after = "s.micro = 0\nout.Updated = true\n"
	}
	undo := restore
	if t.Accumulate > 1 {
		undo += "s.micro = 0\n"
		doc += " An error discards the micro-batches since the last update."
	}
	f.add(`
$doc
func (s *$Name) Step($params) (out $NameResult, err error) {
	if err = s.acquire("Step"); err != nil {
		return out, err
	}
	defer s.release()
	$keep$begin if out, err = s.evaluate("Step", s.grads, $args); err != nil {
		$undo return out, err
	}
	out.Step = s.steps
	$finish out.Norm = math.Sqrt(s.fold.SumSquares(s.grads))$mean
	if out.Norm-out.Norm != 0 {
		$again return out, s.notFinite("Step", "the norm of the gradient", out.Norm)
	}
	$carry s.update()
	$after out.Step = s.steps
	return out, nil
}`, append(kv, "doc", commentText(wrap("Step trains the weights on one batch. The loss is that before the update. If the loss or the gradient is NaN or infinite, "+
		"the error is a *runtime.NonFiniteError and the weights stay as they were."+doc)), "keep", keep, "begin", fill(begin, kv...), "undo", undo, "finish", finish, "carry", carry, "after", after,
		"mean", map[bool]string{true: fmt.Sprintf(" / %d", t.Accumulate)}[t.Accumulate > 1],
		"again", undo)...)
}

// accumulateScalar is the index of the scalar that says whether gradients are
// added to those of the micro-batches before.
func (t *trainer) accumulateScalar() int {
	for i, n := range t.Scalars {
		if n == "accumulate" {
			return i
		}
	}
	return 0
}

// update prints the method that applies the gradients.
func (t *trainer) update(f *file, kv []string) error {
	g := t.g
	var host string
	if t.hostScalars() > 0 {
		var err error
		if host, err = t.hostCall(); err != nil {
			return err
		}
		text, err := PrintKernel(t.Host, t.hostName(), true)
		if err != nil {
			return err
		}
		defer f.add("$text", "text", text)
	}
	p := g.procs[t.Apply]
	if len(p.args)+len(p.results)+len(p.syms) > 0 {
		return fmt.Errorf("bug in pass plan: %s takes arguments of an entry point", p.Name)
	}
	f.add(`
// update applies the gradients to the weights.
func (s *$Name) update() {
	$host s.m.$apply()
	s.steps++
}`, append(kv, "host", host, "apply", p.method)...)
	return nil
}

func (t *trainer) hostName() string {
	if t.host == "" {
		t.host = t.g.top.pick(lower(t.Name) + "Scalars")
	}
	return t.host
}

// hostScalars is the number of scalars that the host computes.
func (t *trainer) hostScalars() int {
	if t.Host == nil {
		return 0
	}
	n, _ := t.Host.Bufs[len(t.Host.Bufs)-1].Len.Const()
	return n
}

// hostCall prints the evaluation of the scalars of a step. Its kernel has the
// buffers step, options and scalars.
func (t *trainer) hostCall() (string, error) {
	k := t.Host
	if len(k.Bufs) != 3 || k.Bufs[0].Elem != loop.I32 || k.Bufs[0].Out || k.Bufs[1].Out || !k.Bufs[2].Out ||
		len(KernelSyms(k))+len(k.Ints) > 0 || !k.Bufs[1].Len.Is(len(t.Options)) || t.hostScalars() > len(t.Scalars) {
		return "", fmt.Errorf("bug in pass schedule: %s is not a function of the step and %d options to %d scalars", k.Name, len(t.Options), len(t.Scalars))
	}
	var b strings.Builder
	b.WriteString("s.host.step[0] = int32(s.steps)\n")
	options := "nil"
	if len(t.Options) > 0 {
		var values []string
		for _, o := range t.Options {
			v := "s.options." + o.Name
			if o.Integer {
				v = "float64(" + v + ")"
			}
			values = append(values, v)
		}
		fmt.Fprintf(&b, "s.host.options = [...]float64{%s}\n", strings.Join(values, ", "))
		options = "s.host.options[:]"
	}
	fmt.Fprintf(&b, "%s(s.host.step[:], %s, s.host.scalars[:])\n", t.hostName(), options)
	fmt.Fprintf(&b, "for i, x := range s.host.scalars {\ns.m.scalars[i] = %s(x)\n}\n", t.g.float())
	return b.String(), nil
}

// gradients prints Gradients.
func (t *trainer) gradients(f *file, kv []string) {
	lock, unlock, keep, restore := "Share", "Unshare", "", ""
	doc := "Several trainers may do so at once with the same weights."
	if t.states {
		lock, unlock = "Hold", "Release"
		keep, restore = "s.keepStates()\ndefer s.restoreStates()\n", ""
		doc = "The states of the weights stay as they are."
	}
	begin := ""
	if t.Accumulate > 1 {
		begin = fmt.Sprintf("s.m.scalars[%d] = 0\n", t.accumulateScalar())
	}
	all := ""
	if len(t.Updates) < len(t.g.api.Weights) {
		all = "clear(into.data)\n"
	}
	f.add(`
$doc
func (s *$Name) Gradients($paramscomma into *Weights) (loss $float, err error) {
	if !s.guard.Hold() {
		return 0, fmt.Errorf("%s: Gradients: the trainer is %w", modelName, runtime.ErrInUse)
	}
	defer s.guard.Release()
	if !s.w.guard.$lock() {
		return 0, inUse("Gradients")
	}
	defer s.w.guard.$unlock()
	if !into.guard.Hold() {
		return 0, inUse("Gradients")
	}
	defer into.guard.Release()
	$begin$all$keep out, err := s.evaluate("Gradients", into.data, $args)
	return out.Loss, err
}`, append(kv, "paramscomma", comma(kvOf(kv, "params")), "lock", lock, "unlock", unlock, "keep", keep, "restore", restore, "begin", begin, "all", all,
		"doc", commentText(wrap("Gradients computes the loss and its gradient with respect to every weight that "+t.Name+
			" trains, and zero for the others, and changes neither the weights nor the trainer. It is what Step applies, before it is clipped. "+doc)))...)
}

// apply prints the update by gradients that were computed elsewhere.
func (t *trainer) apply(f *file, kv []string) {
	use, grow := "s.m.grads = grads.data\n", ""
	if !t.g.uses["grads"] {
		use = ""
	}
	if t.Accumulate > 1 {
		use = fmt.Sprintf("for i, g := range grads.data {\ns.grads[i] = %d * g // the update takes the mean of %d micro-batches\n}\ns.m.grads, s.micro = s.grads, 0\n", t.Accumulate, t.Accumulate)
	}
	b := t.g.newBinder(t.Loss, "", scope{})
	if s := b.grow("s.m", t.Trainer.Apply); s != "" {
		grow = s + "\n"
	}
	f.add(`
// Apply updates the weights by gradients that were computed elsewhere, such as
// the mean of what Gradients of several trainers gave, and returns their norm
// before they are clipped. It may overwrite them.
func (s *$Name) Apply(grads *Weights) (norm float64, err error) {
	if err := s.acquire("Apply"); err != nil {
		return 0, err
	}
	defer s.release()
	if !grads.guard.Hold() {
		return 0, inUse("Apply")
	}
	defer grads.guard.Release()
	norm = math.Sqrt(s.fold.SumSquares(grads.data))
	if norm-norm != 0 {
		return norm, s.notFinite("Apply", "the norm of the gradient", norm)
	}
	$use$grow s.update()
	return norm, nil
}`, append(kv, "use", use, "grow", grow)...)
}

func comma(s string) string {
	if s == "" {
		return ""
	}
	return s + ","
}

func kvOf(kv []string, key string) string {
	for i := 0; i < len(kv); i += 2 {
		if kv[i] == key {
			return kv[i+1]
		}
	}
	return ""
}
