package codegen

import (
	"fmt"
	"strings"

	"github.com/lmc-lang/lmc/ir/loop"
)

// evaluate prints the method that Step and Gradients share: it checks the batch
// and runs proc, which computes loss, metrics and gradients or, where the step is
// direct, updates the weights. It returns the parameters, too.
func (t *trainer) evaluate(method string, proc *loop.Proc) (text string, names, types []string, err error) {
	g := t.g
	entry := *t.Loss
	entry.Proc = proc
	e, direct := &entry, proc != t.Loss.Proc
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
	uses := []*loop.Proc{e.Proc}
	if !direct {
		uses = append(uses, t.Apply)
	}
	if s := b.grow("s.m", uses...); s != "" {
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
	if direct && t.knowsNorm() {
		slot := g.slot(loop.F32, &t.slots)
		outs[t.Direct.Results[len(e.Results)].Name] = "s.m." + slotSlice(slot)
		fmt.Fprintf(&set, "out.Norm = math.Sqrt(float64(s.m.%s))\n", slot)
	}
	if g.uses["grads"] && !direct {
		b.line("s.m.grads = grads")
	}
	b.line("%s", b.run("s.m", outs))
	b.line("%s", strings.TrimSuffix(set.String(), "\n"))
	b.line("if loss := float64(out.Loss); loss-loss != 0 {\nreturn out, s.notFinite(fn, \"the loss\", loss)\n}")
	b.line("return out, nil")
	if b.err != nil {
		return "", nil, nil, b.err
	}
	params, doc := append([]string{"fn string", "grads []" + g.float()}, grouped(names, types)...), "computes the loss, the metrics, and the gradients into grads."
	if direct {
		params, doc = append([]string{"fn string"}, params[2:]...), "computes the loss and the metrics and updates the weights, unless the loss is\n// NaN or infinite."
		if t.knowsNorm() {
			doc = "computes the loss, the metrics and the norm of the gradient, and updates the\n// weights, unless the loss is NaN or infinite."
		}
	}
	text = fill(`
// $method $doc
func (s *$Name) $method($params) (out $NameResult, err error) {
	defer runtime.Recover(&err, modelName, fn)
	$declarations$body}

// notFinite is the error of a step that met a NaN or an infinity.
func (s *$Name) notFinite(fn, what string, value float64) error {
	return &runtime.NonFiniteError{Model: modelName, Func: fn, What: what, Value: value, Step: s.steps}
}`, "Name", t.Name, "method", method, "doc", doc, "params", strings.Join(params, ", "), "declarations", b.declarations(), "body", b.body.String())
	if direct {
		text, _, _ = strings.Cut(text, "\n// notFinite is")
	}
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
	if t.Direct != nil {
		t.directStep(f, keep, restore, carry, kv)
		return
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
	$stale$keep$begin if out, err = s.evaluate("Step", s.grads, $args); err != nil {
		$undo return out, err
	}
	out.Step = s.steps
	$finish out.Norm = math.Sqrt(s.fold.SumSquares(s.grads))$mean
	if out.Norm-out.Norm != 0 {
		$again return out, s.notFinite("Step", "the norm of the gradient", out.Norm)
	}
	$carry s.update($norm)
	$after out.Step = s.steps
	return out, nil
}`, append(kv, "doc", commentText(wrap("Step trains the weights on one batch. The loss is that before the update. If the loss or the gradient is NaN or infinite, "+
		"the error is a *runtime.NonFiniteError and the weights stay as they were."+doc)), "keep", keep, "begin", fill(begin, kv...), "undo", undo, "finish", finish, "carry", carry, "after", after,
		"mean", map[bool]string{true: fmt.Sprintf(" / %d", t.Accumulate)}[t.Accumulate > 1],
		"norm", t.normParam("out.Norm"), "again", undo)...)
}

// knowsNorm reports whether the direct step gives the norm of the gradient: its
// last result is the square of it.
func (t *trainer) knowsNorm() bool { return len(t.Direct.Results) > len(t.Loss.Results) }

// directStep prints Step for a trainer that updates the weights without keeping
// gradients.
func (t *trainer) directStep(f *file, keep, restore, carry string, kv []string) {
	host := ""
	if t.hostScalars() > 0 {
		host, _ = t.hostCall() // update has reported what is wrong with it
	}
	doc := "Step trains the weights on one batch, of which it touches those rows that the batch reads. The loss is that before the update. If it is NaN or infinite, " +
		"the error is a *runtime.NonFiniteError and the weights stay as they were. The norm of the gradient is not known."
	check := ""
	if t.knowsNorm() {
		doc = "Step trains the weights on one batch. The loss is that before the update. If it is NaN or infinite, the error is a *runtime.NonFiniteError and the weights stay as they were. " +
			"Each gradient is consumed as soon as it is known, and is in memory no longer. So if only the gradient is NaN or infinite somewhere, which is the same error, just the elements of the weights where it is stay as they were; " +
			"the others have been updated, and the step does not count. The norm is that of the whole gradient."
		check = fmt.Sprintf("if out.Norm-out.Norm != 0 {\nout.Step = s.steps\n%sreturn out, s.notFinite(\"Step\", \"the norm of the gradient\", out.Norm)\n}\n", restore)
	}
	f.add(`
$doc
func (s *$Name) Step($params) (out $NameResult, err error) {
	if err = s.acquire("Step"); err != nil {
		return out, err
	}
	defer s.release()
	$stale$keep$host if out, err = s.train("Step", $args); err != nil {
		$restore return out, err
	}
	$check$carry s.steps++
	out.Step = s.steps
	return out, nil
}`, append(kv, "doc", commentText(wrap(doc)), "keep", keep, "host", host, "restore", restore, "carry", carry, "check", check)...)
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
