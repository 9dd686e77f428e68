package codegen

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lmc-lang/lmc/ir/loop"
)

// session prints the Session with a method for every entry point. The struct
// comes last, when it is known what it must hold.
func (g *gen) session() error {
	f := g.file("session_gen.go")
	var methods []string
	for _, e := range g.api.Entries {
		text, err := g.entry(e)
		if err != nil {
			return err
		}
		methods = append(methods, text)
	}
	copies, done := "", ""
	if g.hasPrepared() {
		copies = fill("copies *runtime.PreparedCopies[$float] // of the call, if its end is to be told\n", "float", g.float())
		done = "if s.copies != nil {\ns.w.prepared.Done(s.copies)\ns.copies = nil\n}\n"
	}
	f.add(`
// A Session runs the functions of the model. It owns the memory for them, which
// grows to the largest sizes seen and never shrinks: a call of sizes seen before
// allocates nothing but the results for which it gets no memory. A session
// serves one goroutine at a time; sessions share their weights.
//
// Where a method has a parameter dst, the result is written to dst[:0] like with
// append: into its memory if the capacity suffices, else into new memory. dst
// may be nil.
type Session struct {
	w     *Weights
	m     memory
	guard runtime.Guard
	$copies$caches
}

// NewSession makes a session that uses w.
func NewSession(w *Weights) *Session {
	return &Session{w: w$init}
}

// Weights are the weights that the session uses.
func (s *Session) Weights() *Weights { return s.w }`,
		"copies", copies, "caches", g.cacheFields(), "init", g.memoryInit("w"))
	g.kernelMethods(f, "Session", "session")
	if len(g.api.Caches) > 0 {
		f.add(`
// Reset empties the caches: the next call starts a new sequence, and may have
// another batch.
func (s *Session) Reset() { s.bound, s.filled = false, 0 }`)
	}
	f.add(`
// acquire reserves the session for one call of fn and shares the weights.
func (s *Session) acquire(fn string) error {
	if !s.guard.Hold() {
		return fmt.Errorf("%s: %s: the session is %w", modelName, fn, runtime.ErrInUse)
	}
	if !s.w.guard.Share() {
		s.guard.Release()
		return fmt.Errorf("%s: %s: the weights are %w", modelName, fn, runtime.ErrInUse)
	}
	return nil
}

func (s *Session) release() {
	$done	s.w.guard.Unshare()
	s.guard.Release()
}`, "done", done)
	g.prepared(f)
	for _, m := range methods {
		f.add("$m", "m", m)
	}
	return nil
}

// memoryInit is the field of a composite literal that lends weights to memory
// and chooses kernels.
func (g *gen) memoryInit(w string) string {
	var fields []string
	if g.hasNative() {
		fields = append(fields, "kernels: kernelsNamed(KernelPath())")
	}
	if g.uses["weights"] {
		fields = append(fields, "weights: "+w+".data")
	}
	if len(fields) == 0 {
		return ""
	}
	return ", m: memory{" + strings.Join(fields, ", ") + "}"
}

// kernelMethods prints the methods of a session or trainer that tell and choose
// which kernels it runs.
func (g *gen) kernelMethods(f *file, typ, what string) {
	path, use := `"portable"`, "runtime.CheckTarget(modelName, path, \"portable\")"
	if g.hasNative() {
		path, use = "s.m.kernels.path", "s.m.use(path)"
	}
	f.add(`
// KernelPath names the kernels that the $what runs.
func (s *$typ) KernelPath() string { return $path }

// UseKernels makes the $what run other kernels than those that were chosen when
// it was made. It is an error if the package has no kernels of that name or this
// machine does not run them.
func (s *$typ) UseKernels(path string) error {
	if !s.guard.Hold() {
		return fmt.Errorf("%s: UseKernels: the $what is %w", modelName, runtime.ErrInUse)
	}
	defer s.guard.Release()
	return $use
}`, "what", what, "typ", typ, "path", path, "use", use)
}

// entry prints the method of an entry point.
func (g *gen) entry(e *loop.Entry) (string, error) {
	names := newScope(ours...)
	names["s"], names["o"] = true, true
	b := g.newBinder(e, fmt.Sprintf("%q", e.Name), names)

	// Results: tensors in memory of the caller, scalars by value.
	type result struct {
		loop.Param
		name, typ, dst, data string
	}
	var rs []result
	tensors := 0
	for _, r := range e.Results {
		if len(r.Shape) > 0 {
			tensors++
		}
	}
	for _, r := range e.Results {
		x := result{Param: r, typ: g.tensor(r.Elem, len(r.Shape))}
		switch {
		case len(e.Results) == 1:
			x.name = "out"
		default:
			x.name = names.pick(resultName(r), "Out")
		}
		if len(r.Shape) > 0 {
			x.dst, x.data = "dst", names.pick(x.name+"Data")
			if tensors > 1 {
				x.dst = names.pick("dst" + upper(identifier(resultName(r))))
			}
		}
		rs = append(rs, x)
	}
	var pn, pt, rn, rt []string
	for _, r := range rs {
		if r.dst != "" {
			pn, pt = append(pn, r.dst), append(pt, "[]"+g.elem(r.Elem))
		}
		rn, rt = append(rn, r.name), append(rt, r.typ)
	}
	for i, a := range e.Args {
		if a.Default == nil {
			pn, pt = append(pn, b.vars[i]), append(pt, g.goType(a))
		}
	}
	if e.Random {
		pn, pt = append(pn, "seed"), append(pt, "uint64")
	}
	if hasOptions(e) {
		pn, pt = append(pn, "o"), append(pt, e.Name+"Options")
	}
	b.fail = strings.Join(rn, ", ")
	if b.fail != "" {
		b.fail += ", "
	}
	rn, rt = append(rn, "err"), append(rt, "error")

	b.checks()
	var slots [3]int
	b.inputs(&slots)
	if e.Random {
		g.setKey(b, "seed", "0")
	}
	if e.Caches {
		g.bindCaches(b)
	}
	if s := g.prepares(e); s != "" {
		b.line("%s", s)
	}
	if s := b.grow("s.m", e.Proc); s != "" {
		b.line("%s", s)
	}
	outs := map[string]string{}
	var values []string
	for _, r := range rs {
		if r.dst == "" {
			slot := g.slot(r.Elem, &slots)
			outs[r.Name] = "s.m." + slotSlice(slot)
			values = append(values, "s.m."+slot)
			continue
		}
		outs[r.Name] = r.data
		b.line("%s := runtime.Resize(%s, %s)", r.data, r.dst, b.dim(loop.Product(r.Shape)))
		if len(r.Shape) == 1 {
			values = append(values, r.data)
			continue
		}
		var ds []string
		for _, d := range r.Shape {
			ds = append(ds, b.dim(d))
		}
		values = append(values, fmt.Sprintf("%s{Data: %s, Shape: [%d]int{%s}}", r.typ, r.data, len(ds), strings.Join(ds, ", ")))
	}
	g.separate(b, func(yield func(loop.Elem, string)) {
		for _, r := range rs {
			if r.dst != "" {
				yield(r.Elem, r.data)
			}
		}
	})
	b.line("%s", b.run("s.m", outs))
	if e.Caches {
		g.advanceCaches(b)
	}
	b.line("return %s", strings.Join(append(values, "nil"), ", "))
	if b.err != nil {
		return "", b.err
	}

	var text strings.Builder
	if hasOptions(e) {
		text.WriteString(g.entryOptions(e))
	}
	text.WriteString(g.entryDoc(e))
	fmt.Fprintf(&text, "func (s *Session) %s(%s) (%s) {\n", e.Name, strings.Join(grouped(pn, pt), ", "), strings.Join(grouped(rn, rt), ", "))
	b.fail = strings.TrimSuffix(b.fail, ", ")
	fmt.Fprintf(&text, "if err = s.acquire(%s); err != nil {\nreturn %s\n}\n", b.fn, strings.Join(append(slices.Clone(rn[:len(rn)-1]), "err"), ", "))
	fmt.Fprintf(&text, "defer s.release()\ndefer runtime.Recover(&err, modelName, %s)\n", b.fn)
	text.WriteString(b.declarations())
	text.WriteString(b.body.String())
	text.WriteString("}")
	return text.String(), nil
}

func resultName(r loop.Param) string {
	if r.Name == "" {
		return "out"
	}
	return r.Name
}

// separate copies an argument that shares memory with the destination of a
// result, so that writing one does not change the other.
func (g *gen) separate(b *binder, results func(func(loop.Elem, string))) {
	var dsts [3][]string
	results(func(e loop.Elem, dst string) { dsts[e] = append(dsts[e], dst) })
	var n [3]int
	for i, a := range b.e.Args {
		if b.absent[i] || a.IsDim || len(a.Shape) == 0 || len(dsts[a.Elem]) == 0 || !b.passes(a.Name) {
			continue
		}
		v := b.names.pick(b.vars[i] + "Data")
		f := [...]string{"floatCopies", "intCopies", "flagCopies"}[a.Elem]
		b.line("%s := runtime.Apart(%s, &s.m.%s[%d], %s)", v, b.data[i], f, n[a.Elem], strings.Join(dsts[a.Elem], ", "))
		b.data[i] = v
		n[a.Elem]++
		g.scratch[a.Elem] = max(g.scratch[a.Elem], n[a.Elem])
	}
}

// setKey is the statement that sets the random key.
func (g *gen) setKey(b *binder, seed, step string) {
	if g.uses["key"] {
		b.line("s.m.key = [3]int32{int32(uint32(%s)), int32(uint32(%s >> 32)), %s}", seed, seed, step)
	} else {
		b.line("_ = %s // nothing is drawn", seed)
	}
}

// entryDoc is the doc comment of a method.
func (g *gen) entryDoc(e *loop.Entry) string {
	doc := strings.TrimRight(e.Doc, "\n")
	if doc == "" {
		doc = e.Name + " is a function of the model."
	}
	var args []string
	for _, a := range e.Args {
		if !a.IsDim {
			args = append(args, a.Name+" "+declared(a))
		}
	}
	var results []string
	for _, r := range e.Results {
		results = append(results, strings.TrimSpace(r.Name+" "+declared(r)))
	}
	if len(results) == 1 {
		results[0] = declared(e.Results[0])
	}
	doc += "\n\n\t" + e.Name + "(" + strings.Join(args, ", ") + ") (" + strings.Join(results, ", ") + ")"
	if len(results) == 1 {
		doc = doc[:len(doc)-len(results[0])-2] + results[0]
	}
	if len(e.Need) > 0 {
		var needs []string
		for _, n := range e.Need {
			needs = append(needs, n.Text)
		}
		doc += "\n\nIt needs " + strings.Join(needs, ", ") + "."
	}
	if e.Random {
		doc += "\n\nThe seed determines what is drawn."
	}
	return commentText(doc) + "\n"
}

// entryOptions is the struct of the optional arguments of a method.
func (g *gen) entryOptions(e *loop.Entry) string {
	var fields, values strings.Builder
	for _, a := range e.Args {
		if a.Default == nil {
			continue
		}
		n := upper(identifier(a.Name))
		fmt.Fprintf(&fields, "%s %s\n", n, g.elem(a.Elem))
		fmt.Fprintf(&values, "%s: %s,\n", n, g.literal(a.Elem, *a.Default))
	}
	return fill(`
// $NameOptions are the optional arguments of $Name.
type $NameOptions struct {
$fields}

// Default$NameOptions has the values that the model declares.
func Default$NameOptions() $NameOptions {
	return $NameOptions{
$values}
}`, "Name", e.Name, "fields", fields.String(), "values", values.String()) + "\n\n"
}

// memoryType prints the struct of everything that procedures work on. It is
// called last.
func (g *gen) memoryType() error {
	f := g.file("memory_gen.go")
	var b strings.Builder
	field := func(use, name, typ, doc string) {
		if g.uses[use] {
			fmt.Fprintf(&b, "%s %s // %s\n", name, typ, doc)
		}
	}
	fl := "[]" + g.float()
	var plans []string
	for _, x := range g.order {
		if x.plan != "" {
			plans = append(plans, x.plan+" runtime.Plan\n")
		}
	}
	if g.hasNative() {
		fmt.Fprintf(&b, "kernels *kernelTable // for the target that was chosen\n")
	}
	field("scratch", "scratch", "runtime.Scratch", "of pieces of kernels that run at the same time")
	field("floats", "floats", fl, "scratch, planned by the compiler")
	field("ints", "ints", "[]int32", "")
	field("flags", "flags", "[]bool", "")
	field("weights", "weights", fl, "of the model, shared")
	field("grads", "grads", fl, "laid out like weights")
	field("prepared", "prepared", "[]"+fl, "parts of what is computed from weights alone, shared")
	field("moments", "moments", fl, "state of the optimiser")
	field("scalars", "scalars", fl, "of the step: rates and the like")
	field("cacheFloats", "cacheFloats", fl, "caches of the session")
	field("cacheInts", "cacheInts", "[]int32", "")
	field("cacheFlags", "cacheFlags", "[]bool", "")
	field("key", "key", "[3]int32", "random key: low and high half of the seed, step")
	for e, n := range g.slots {
		if n > 0 {
			fmt.Fprintf(&b, "%s [%d]%s // scalar arguments and results\n", [...]string{"floatSlots", "intSlots", "flagSlots"}[e], n, g.elem(loop.Elem(e)))
		}
	}
	for e, n := range g.scratch {
		if n > 0 {
			fmt.Fprintf(&b, "%s [%d][]%s // of arguments that share memory with a result\n", [...]string{"floatCopies", "intCopies", "flagCopies"}[e], n, g.elem(loop.Elem(e)))
		}
	}
	if len(plans) > 0 {
		fmt.Fprintf(&b, "\n// Where the slots of functions are in scratch memory.\n%s\n", strings.Join(plans, ""))
	}
	var tasks []string
	for _, k := range g.p.Kernels {
		if x := g.kernel[k]; x != nil && x.task != "" {
			tasks = append(tasks, x.field+" "+x.task)
		}
	}
	if len(tasks) > 0 {
		fmt.Fprintf(&b, "\n// Parallel loops, kept here so that starting one allocates nothing.\n%s\n", strings.Join(tasks, "\n"))
	}
	f.add(`
// memory is what the procedures of the model work on.
type memory struct {
$fields}`, "fields", strings.ReplaceAll(b.String(), " // \n", "\n"))
	g.growText(f)
	if g.uses["span"] {
		f.add(`
// span is the n elements of x from off on.
func span[T any](x []T, off, n int) []T { return x[off : off+n : off+n] }`)
	}
	if g.uses["lent"] {
		f.add(`
// lent is span of a part that portable kernels do not read and lack.
func lent[T any](x []T, off, n int) []T {
	if x == nil {
		return nil
	}
	return x[off : off+n : off+n]
}`)
	}
	if g.uses["need"] {
		f.add(`
// need is the error of a call whose sizes break a condition of the model.
func need(fn, condition string, got ...runtime.DimValue) error {
	return &runtime.BoundError{Model: modelName, Func: fn, Need: condition, Got: got}
}`)
	}
	if g.uses["copyParams"] {
		f.add(`
// copyParams copies the parameters of one layout to those of another with the
// same names.
func copyParams(dst []$float, to []runtime.ParamInfo, src []$float, from []runtime.ParamInfo) {
	for i := range to {
		for k := range from {
			if p, q := &to[i], &from[k]; p.Name == q.Name {
				copy(dst[p.Offset:][:p.Len()], src[q.Offset:][:q.Len()])
			}
		}
	}
}`, "float", g.float())
	}
	return nil
}

// growText prints the method that makes room in the arena.
func (g *gen) growText(f *file) {
	if !g.uses["grow"] {
		return
	}
	var names []string
	var body strings.Builder
	for _, n := range []string{"floats", "ints", "flags"} {
		if g.uses[n] {
			names = append(names, n)
			fmt.Fprintf(&body, "m.%s = runtime.Resize(m.%s, %s)\n", n, n, n)
		}
	}
	f.add(`
// grow makes room for a call; memory never shrinks.
func (m *memory) grow($names int) {
$body}`, "names", strings.Join(names, ", "), "body", body.String())
}
