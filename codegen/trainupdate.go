package codegen

import (
	"fmt"
	"strings"

	"github.com/lmc-lang/lmc/ir/loop"
)

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
func (s *$Name) update($norm) {
	$host s.m.$apply()
	s.steps++
}`, append(kv, "host", host, "apply", p.method, "norm", t.normParam("norm float64"))...)
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

// hostOptions is the number of options that the function of the scalars takes:
// those of the trainer and, where it clips by it, the norm of the gradient.
func (t *trainer) hostOptions() int {
	if t.Host == nil {
		return 0
	}
	n, _ := t.Host.Bufs[1].Len.Const()
	return n
}

// normParam is text if the update wants the norm of the gradient, else "".
func (t *trainer) normParam(text string) string {
	if t.hostOptions() > len(t.Options) {
		return text
	}
	return ""
}

// hostCall prints the evaluation of the scalars of a step. Its kernel has the
// buffers step, options and scalars.
func (t *trainer) hostCall() (string, error) {
	k := t.Host
	if len(k.Bufs) != 3 || k.Bufs[0].Elem != loop.I32 || k.Bufs[0].Out || k.Bufs[1].Out || !k.Bufs[2].Out ||
		len(KernelSyms(k))+len(k.Ints) > 0 || t.hostOptions() > len(t.Options)+1 || t.hostScalars() > len(t.Scalars) {
		return "", fmt.Errorf("bug in pass schedule: %s is not a function of the step and %d options to %d scalars", k.Name, len(t.Options), len(t.Scalars))
	}
	var b strings.Builder
	b.WriteString("s.host.step[0] = int32(s.steps)\n")
	options := "nil"
	if t.hostOptions() > 0 {
		var values []string
		for _, o := range t.Options {
			v := "s.options." + o.Name
			if o.Integer {
				v = "float64(" + v + ")"
			}
			values = append(values, v)
		}
		if t.hostOptions() > len(t.Options) {
			values = append(values, "norm")
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
	$staleInto$begin$all$keep out, err := s.evaluate("Gradients", into.data, $args)
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
	$stale$staleGrads norm = math.Sqrt(s.fold.SumSquares(grads.data))
	if norm-norm != 0 {
		return norm, s.notFinite("Apply", "the norm of the gradient", norm)
	}
	$use$grow s.update($norm)
	return norm, nil
}`, append(kv, "use", use, "grow", grow, "norm", t.normParam("norm"))...)
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
