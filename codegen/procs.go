package codegen

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lmc-lang/lmc/ir/loop"
)

// A proc is what is known about a procedure: the method of memory that it
// becomes, and what it needs from its caller.
type proc struct {
	*loop.Proc
	method  string
	syms    []string // symbols
	vars    []string // counters of enclosing loops
	args    []io     // arguments of the entry point
	results []io     // results of the entry point
	locals  map[string]string
	entry   *proc  // what it belongs to: an entry point, for which plan is set if it has slots
	plan    string // the field of memory with the plan of the slots
	planner string // the method that makes it
	slots   string // the variable with the slots
}

// An io is an argument or a result that a procedure reads or writes.
type io struct {
	name string
	elem loop.Elem
}

// analyse finds the reachable procedures and kernels and names them.
func (g *gen) analyse() error {
	var roots []*loop.Proc
	for _, e := range g.api.Entries {
		roots = append(roots, e.Proc)
	}
	for _, t := range g.api.Trainers {
		roots = append(roots, t.Loss.Proc, t.Apply)
		if t.Direct != nil {
			roots = append(roots, t.Direct.Proc)
		}
	}
	for _, x := range g.api.Generators {
		if !g.isEntry(x.Step) {
			roots = append(roots, x.Step.Proc)
		}
		roots = append(roots, x.Sample.Proc)
	}
	for _, p := range g.parts {
		roots = append(roots, p.Proc)
	}
	for _, r := range roots {
		if r == nil {
			return fmt.Errorf("bug in codegen: an entry point has no procedure")
		}
		if err := g.visit(r, nil); err != nil {
			return err
		}
	}
	for _, k := range g.p.Kernels {
		if x := g.kernel[k]; x != nil {
			x.name = g.top.pick(lower(k.Name), "Kernel")
		}
	}
	for k, x := range g.kernel {
		if x.name == "" {
			return fmt.Errorf("bug in codegen: kernel %s is not in the list of the program", k.Name)
		}
	}
	if err := g.natives(); err != nil {
		return err
	}
	for _, x := range g.order {
		x.names(g.top)
	}
	return nil
}

// visit analyses r and the loop bodies in it. It is a part of entry, or an entry
// point.
func (g *gen) visit(r *loop.Proc, entry *proc) error {
	if g.procs[r] != nil {
		return nil
	}
	x := &proc{Proc: r, entry: entry}
	if entry == nil {
		x.entry = x
	}
	if len(r.Slots) > 0 {
		x.plan, x.planner, x.slots = g.fields.pick(lower(r.Name)+"Plan"), g.fields.pick("plan"+upper(r.Name)), g.top.pick(lower(r.Name)+"Slots")
	}
	syms := map[string]bool{}
	vars := map[string]bool{}
	dim := func(d loop.Dim) {
		for _, s := range d.Syms() {
			syms[s] = true
		}
	}
	ref := func(r loop.Ref) {
		dim(r.Off)
		dim(r.Len)
		for _, s := range r.Stride {
			vars[s.Var] = true
			dim(s.Coef)
		}
		v := io{r.Name, r.Elem}
		switch r.Space {
		case loop.Arg:
			if !slices.Contains(x.args, v) {
				x.args = append(x.args, v)
			}
		case loop.Result:
			if !slices.Contains(x.results, v) {
				x.results = append(x.results, v)
			}
		case loop.ConstTable:
			g.uses["table "+r.Name] = true
		case loop.Prepared:
			_, p := g.part(r.Name)
			g.uses["prepared"] = g.uses["prepared"] || !(p.Native && g.opt.Portable)
		default:
			g.uses[g.field(r.Space, r.Elem)] = true
		}
	}
	for _, s := range r.Slots {
		dim(s.Size)
	}
	for _, s := range r.Steps {
		switch s := s.(type) {
		case *loop.Call:
			k := g.kernel[s.Kernel]
			if k == nil {
				var err error
				if k, err = g.newKernel(s.Kernel); err != nil {
					return err
				}
				g.kernel[s.Kernel] = k
			}
			if len(s.Args) != len(s.Kernel.Arguments()) || len(s.Ints) != len(s.Kernel.Ints) {
				return fmt.Errorf("bug in pass schedule: %s calls kernel %s with %d buffers and %d integers, not %d and %d",
					r.Name, s.Kernel.Name, len(s.Args), len(s.Ints), len(s.Kernel.Arguments()), len(s.Kernel.Ints))
			}
			for _, n := range k.syms {
				syms[n] = true
			}
			for _, a := range s.Args {
				ref(a)
			}
			for _, i := range s.Ints {
				vars[i.Var] = true
			}
		case *loop.Loop:
			if err := g.visit(s.Body, x.entry); err != nil {
				return err
			}
			b := g.procs[s.Body]
			for _, n := range b.syms {
				syms[n] = true
			}
			for _, v := range b.vars {
				if v != s.Var {
					vars[v] = true
				}
			}
			for _, v := range b.args {
				if !slices.Contains(x.args, v) {
					x.args = append(x.args, v)
				}
			}
			for _, v := range b.results {
				if !slices.Contains(x.results, v) {
					x.results = append(x.results, v)
				}
			}
			if s.NRef != nil {
				ref(*s.NRef)
			} else {
				dim(s.N)
			}
		}
	}
	x.syms = inOrder(syms, r.Dims)
	x.vars = inOrder(vars, r.Vars)
	if len(x.vars) > len(r.Vars) {
		return fmt.Errorf("bug in pass plan: procedure %s uses loop counters %v, but is inside of %v", r.Name, x.vars, r.Vars)
	}
	x.method = g.fields.pick(lower(r.Name), "Run")
	g.procs[r] = x
	g.order = append(g.order, x)
	return nil
}

// names gives every parameter and loop counter of a procedure its Go name.
// None hides a function of the package.
func (x *proc) names(top scope) {
	s := top.clone()
	s["m"] = true
	x.locals = map[string]string{}
	for _, n := range x.syms {
		x.locals["sym "+n] = s.pick(n)
	}
	for _, n := range x.vars {
		x.locals["var "+n] = s.pick(n)
	}
	for _, v := range x.args {
		x.locals["arg "+v.name] = s.pick(v.name, "Arg")
	}
	for _, v := range x.results {
		name := v.name
		if name == "" {
			name = "out"
		}
		x.locals["result "+v.name] = s.pick(name, "Out")
	}
	for _, st := range x.Steps {
		if l, ok := st.(*loop.Loop); ok && x.locals["var "+l.Var] == "" {
			x.locals["var "+l.Var] = s.pick(l.Var)
		}
	}
}

func (x *proc) sym(n string) string { return x.locals["sym "+n] }

// inOrder is the keys of set: first those of list in its order, then the rest.
func inOrder(set map[string]bool, list []string) []string {
	var out []string
	for _, n := range list {
		if set[n] && !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	for _, n := range sortedKeys(set) {
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

// field is the field of memory that holds a space.
func (g *gen) field(s loop.Space, e loop.Elem) string {
	switch s {
	case loop.Arena:
		return [...]string{"floats", "ints", "flags"}[e]
	case loop.Caches:
		return [...]string{"cacheFloats", "cacheInts", "cacheFlags"}[e]
	}
	return s.String() // weights, grads, moments, scalars, key
}

// procedures prints the procedures, each a method of memory.
func (g *gen) procedures() error {
	f := g.file("procs_gen.go")
	for _, x := range g.order {
		text, err := g.procText(x)
		if err != nil {
			return err
		}
		f.add(text)
		g.planText(f, x)
	}
	return nil
}

// planText prints the method that plans the slots of x.
func (g *gen) planText(f *file, x *proc) {
	if x.plan == "" {
		return
	}
	var lives, sizes []string
	for i, s := range x.Lives() {
		elem := ""
		if s.Elem > 0 {
			elem = fmt.Sprintf("Elem: %d, ", s.Elem)
		}
		lives = append(lives, fmt.Sprintf("{%sFirst: %d, Last: %d},\n", elem, s.First, s.Last))
		sizes = append(sizes, dimExpr(x.Slots[i].Size, x.sym, false)+",\n")
	}
	f.add(`
// $slots are the tensors of $method in scratch memory.
var $slots = []runtime.Slot{
$lives}

// $planner finds places for them.
func (m *memory) $planner($syms int) {
	m.$plan.Place($slots,
$sizes)
}`, "method", x.method, "plan", x.plan, "slots", x.slots, "planner", x.planner, "syms", strings.Join(g.procArgs(x, &proc{syms: x.slotSyms()}), ", "),
		"lives", strings.Join(lives, ""), "sizes", strings.Join(sizes, ""))
}

// slotSyms are the symbols in the sizes of the slots of x.
func (x *proc) slotSyms() []string {
	syms := map[string]bool{}
	for _, s := range x.Slots {
		for _, n := range s.Size.Syms() {
			syms[n] = true
		}
	}
	return inOrder(syms, x.Dims)
}

func (g *gen) procText(x *proc) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\nfunc (m *memory) %s(%s) {\n", procDoc(x), x.method, g.procParams(x))
	for i, s := range x.Steps {
		if i > 0 && i%stepsPerFunc == 0 {
			// The compiler takes more than linear time for a long function.
			next := fmt.Sprintf("%sPart%d", x.method, i/stepsPerFunc+1)
			fmt.Fprintf(&b, "m.%s(%s)\n}\n\n// %s goes on with %s.\nfunc (m *memory) %s(%s) {\n",
				next, strings.Join(g.procArgs(x, x), ", "), next, x.method, next, g.procParams(x))
		}
		switch s := s.(type) {
		case *loop.Call:
			b.WriteString(g.callText(x, s) + "\n")
		case *loop.Loop:
			b.WriteString(g.loopText(x, s) + "\n")
		default:
			return "", fmt.Errorf("bug in codegen: step %T", s)
		}
	}
	b.WriteString("}")
	return b.String(), nil
}

// procDoc is the comment above a procedure.
func procDoc(x *proc) string {
	doc := strings.TrimSuffix(strings.TrimSpace(x.Doc), ".")
	first, rest, more := strings.Cut(doc, " ")
	switch named := strings.EqualFold(first, x.Name); {
	case doc == "" || named && !more:
		doc = " computes " + upper(x.Name)
	case named:
		doc = " " + rest
	case strings.HasSuffix(first, "s") && first == lower(first): // a verb
		doc = " " + doc
	default:
		doc = ": " + doc
	}
	return commentText(wrap(x.method + doc + "."))
}

// stepsPerFunc is the number of calls after which a procedure goes on in another
// function.
const stepsPerFunc = 500

// procArgs are the arguments with which procedure x calls b.
func (g *gen) procArgs(x, b *proc) []string {
	var args []string
	for _, n := range b.syms {
		args = append(args, x.sym(n))
	}
	for _, n := range b.vars {
		args = append(args, x.locals["var "+n])
	}
	for _, v := range b.args {
		args = append(args, x.locals["arg "+v.name])
	}
	for _, v := range b.results {
		args = append(args, x.locals["result "+v.name])
	}
	return args
}

// procParams is the parameter list of a procedure: sizes and counters, then
// arguments and results.
func (g *gen) procParams(x *proc) string {
	var groups []string
	var ints []string
	for _, n := range x.syms {
		ints = append(ints, x.sym(n))
	}
	for _, n := range x.vars {
		ints = append(ints, x.locals["var "+n])
	}
	if len(ints) > 0 {
		groups = append(groups, strings.Join(ints, ", ")+" int")
	}
	var names []string
	var types []string
	for _, v := range x.args {
		names, types = append(names, x.locals["arg "+v.name]), append(types, "[]"+g.elem(v.elem))
	}
	for _, v := range x.results {
		names, types = append(names, x.locals["result "+v.name]), append(types, "[]"+g.elem(v.elem))
	}
	return strings.Join(append(groups, grouped(names, types)...), ", ")
}

// grouped is parameters in Go's short form: x, y []float32.
func grouped(names, types []string) []string {
	var out []string
	for i := 0; i < len(names); {
		j := i
		for j < len(names) && types[j] == types[i] {
			j++
		}
		out = append(out, strings.Join(names[i:j], ", ")+" "+types[i])
		i = j
	}
	return out
}

// loopText prints a loop over a body.
func (g *gen) loopText(x *proc, l *loop.Loop) string {
	b := g.procs[l.Body]
	counter := x.locals["var "+l.Var]
	args := g.procArgs(x, b)
	counts := slices.Contains(b.vars, l.Var)
	n := dimExpr(l.N, x.sym, false)
	if l.NRef != nil {
		n = "int(" + g.element(x, *l.NRef) + ")"
	}
	head := "for " + counter + " := range " + n
	switch {
	case !counts:
		head = "for range " + n
	case l.Reverse:
		head = fmt.Sprintf("for %s := %s; %s >= 0; %s--", counter, minusOne(l, n), counter, counter)
	}
	return fmt.Sprintf("%s {\n%s\n}", head, brokenCall("m."+b.method, args))
}

func minusOne(l *loop.Loop, n string) string {
	if c, ok := l.N.Const(); ok && l.NRef == nil {
		return fmt.Sprint(c - 1)
	}
	return n + " - 1"
}

// memoryOf is the slice that a reference points into.
func (g *gen) memoryOf(x *proc, r loop.Ref) string {
	switch r.Space {
	case loop.Arg:
		return x.locals["arg "+r.Name]
	case loop.Result:
		return x.locals["result "+r.Name]
	case loop.ConstTable:
		if g.isLazy(r.Name) {
			return g.tableName(r.Name) + "()"
		}
		return g.tableName(r.Name)
	case loop.Prepared:
		i, _ := g.part(r.Name)
		return fmt.Sprintf("m.prepared[%d]", i)
	}
	return "m." + g.field(r.Space, r.Elem)
}

// offset is the offset of a reference as an expression; ok if it is constant.
func (g *gen) offset(x *proc, r loop.Ref) (off string, n int, ok bool) {
	if n, ok = r.Off.Const(); ok && len(r.Stride) == 0 && r.Slot == 0 {
		return fmt.Sprint(n), n, true
	}
	var parts []string
	for _, s := range r.Stride {
		v := x.locals["var "+s.Var]
		switch {
		case s.Coef.Is(1):
			parts = append(parts, v)
		case s.Coef.Is(0):
		default:
			parts = append(parts, v+"*"+dimExpr(s.Coef, x.sym, true))
		}
	}
	if !r.Off.Is(0) || len(parts) == 0 && r.Slot == 0 {
		parts = append([]string{dimExpr(r.Off, x.sym, false)}, parts...)
	}
	if r.Slot > 0 {
		parts = append([]string{fmt.Sprintf("m.%s.At[%d]", x.entry.plan, r.Slot-1)}, parts...)
	}
	return strings.Join(parts, " + "), 0, false
}

// slice is a reference as a slice expression without spare capacity.
func (g *gen) slice(x *proc, r loop.Ref) string {
	if r.Space == loop.Prepared {
		switch _, p := g.part(r.Name); {
		case p == nil || p.Native && g.opt.Portable:
			return "nil"
		case p.Native:
			g.uses["lent"] = true
			off, _, _ := g.offset(x, r)
			return fmt.Sprintf("lent(%s, %s, %s)", g.memoryOf(x, r), off, dimExpr(r.Len, x.sym, false))
		}
	}
	mem := g.memoryOf(x, r)
	off, lo, fixed := g.offset(x, r)
	n, sized := r.Len.Const()
	switch {
	case (r.Space == loop.Arg || r.Space == loop.Result) && fixed && lo == 0 && len(r.Stride) == 0:
		return mem // the whole of it: its length has been checked
	case r.Space == loop.Key:
		return mem + "[:]"
	case fixed && sized && lo == 0:
		return fmt.Sprintf("%s[:%d:%d]", mem, n, n)
	case fixed && sized:
		return fmt.Sprintf("%s[%d:%d:%d]", mem, lo, lo+n, lo+n)
	}
	g.uses["span"] = true
	return fmt.Sprintf("span(%s, %s, %s)", mem, off, dimExpr(r.Len, x.sym, false))
}

// element is the only element of a reference.
func (g *gen) element(x *proc, r loop.Ref) string {
	off, _, _ := g.offset(x, r)
	return g.memoryOf(x, r) + "[" + off + "]"
}
