package codegen

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lmc-lang/lmc/ir/loop"
)

// A kernel is what is known about a kernel: its Go function and how it runs.
type kernel struct {
	*loop.Kernel
	name  string // of the function
	syms  []string
	task  string // name of the parallel task, if some call is parallel
	field string // the task in memory
	run   string // the method of memory that runs the whole grid

	// If there are native forms, calls go through the tables of kernels.
	forms  []*form
	entry  string // its field in the tables
	caller string // the Go function that gives the portable one what it needs
}

func (g *gen) newKernel(k *loop.Kernel) (*kernel, error) {
	x := &kernel{Kernel: k, syms: KernelSyms(k)}
	if k.Wide {
		return nil, fmt.Errorf("bug in codegen: kernel %s is for the host, and a procedure calls it", k.Name)
	}
	g.uses["scratch"] = g.uses["scratch"] || lends(k)
	return x, nil
}

// worthIt is whether a kernel's grid is worth the worker pool: it is not if the
// whole of it is one grain.
func worthIt(k *loop.Kernel) bool {
	if k.Grid == nil {
		return false
	}
	n, ok := k.Grid.N.Const()
	grain, known := k.Grid.Grain.Const()
	return !(ok && known && n <= max(grain, 1))
}

// callText is a call of a kernel: of the function itself, of the form of it that
// the session has chosen, or of the method that spreads its grid over the
// workers.
func (g *gen) callText(x *proc, c *loop.Call) string {
	k := g.kernel[c.Kernel]
	var args []string
	for _, r := range c.Args {
		args = append(args, g.slice(x, r))
	}
	for _, n := range k.syms {
		args = append(args, x.sym(n))
	}
	for _, i := range c.Ints {
		args = append(args, x.locals["var "+i.Var])
	}
	fn := g.portableEntry(k)
	if len(k.forms) > 0 {
		g.uses["kernels"] = true
		fn = "m.kernels." + k.entry
	}
	switch {
	case k.worthIt():
		g.parallel(k)
		fn = "m." + k.run
	default:
		args = append(args, g.scratchArg(k)...)
		if k.grid() {
			args = append(args, "0", dimExpr(k.pieces(), x.sym, false))
		}
	}
	return brokenCall(fn, args)
}

// brokenCall is a call over as many lines as it needs.
func brokenCall(fn string, args []string) string {
	const width = 110
	var b strings.Builder
	b.WriteString(fn + "(")
	at := textWidth(fn) + 1
	for i, a := range args {
		switch {
		case i == 0:
		case at+2+textWidth(a) > width:
			b.WriteString(",\n")
			at = 0
		default:
			b.WriteString(", ")
			at += 2
		}
		b.WriteString(a)
		at += textWidth(a)
	}
	return b.String() + ")"
}

// textWidth is how long text is if all numbers have four digits, so that the
// layout does not depend on their values: a model with more layers has the same lines.
func textWidth(text string) (n int) {
	digit := false
	for _, c := range []byte(text) {
		was := digit
		digit = '0' <= c && c <= '9'
		switch {
		case !digit:
			n++
		case !was:
			n += 4
		}
	}
	return n
}

// parallel names the task of a kernel that runs on several workers.
func (g *gen) parallel(k *kernel) {
	if k.task == "" {
		k.run = g.fields.pick(k.name, "Grid")
		k.task = g.top.pick(k.name+"Task", "Work")
		k.field = g.fields.pick(k.name+"Task", "Work")
		g.uses["tasks"] = true
	}
}

// kernelParams are the parameters of a kernel without local memory and the
// range, with their types.
func (g *gen) kernelParams(k *kernel, s scope) (names, types []string) {
	for _, b := range k.Arguments() {
		names, types = append(names, s.pick(b.Name)), append(types, "[]"+g.elem(b.Elem))
	}
	for _, n := range k.syms {
		names, types = append(names, s.pick(n)), append(types, "int")
	}
	for _, v := range k.Ints {
		names, types = append(names, s.pick(v.Name)), append(types, "int")
	}
	return names, types
}

// symName is the parameter of k, of those called names, for a symbol.
func (k *kernel) symName(names []string) func(string) string {
	return func(sym string) string { return names[len(k.Arguments())+slices.Index(k.syms, sym)] }
}

// taskText is the task of a kernel and the method that runs it.
func (g *gen) taskText(k *kernel) string {
	s := newScope("m", "t", "lo", "hi", "run", "n", "grain", "scratch", k.name, k.task)
	names, types := g.kernelParams(k, s)
	params := strings.Join(grouped(names, types), ", ")
	var body string
	fn, fields := g.portableEntry(k), slices.Clone(names)
	if len(k.forms) == 0 {
		body = fill(`m.$field = $task{$names}
	runtime.Parallel($n, $grain, &m.$field)`,
			"field", k.field, "task", k.task, "names", strings.Join(append(slices.Clone(names), g.scratchArg(k)...), ", "),
			"n", dimExpr(k.Grid.N, k.symName(names), false), "grain", dimExpr(k.Grid.Grain, k.symName(names), false))
	} else { // of the portable form perhaps without a grid
		body = g.formsGrid(k, names)
		fn = "t.run"
		fields, types = append([]string{"run"}, names...), append([]string{g.entryType(k)}, types...)
	}
	if k.local() {
		names, fields, types = append(names, "scratch"), append(fields, "scratch"), append(types, "*runtime.Scratch")
	}
	args := make([]string, len(names))
	for i, n := range names {
		args[i] = "t." + n
	}
	return fill(`
// $task is $kernel as a parallel loop.
type $task struct {
	$fields
}

// Run computes the pieces lo to hi-1.
func (t *$task) Run(lo, hi int) { $fn($args, lo, hi) }

// $method runs the function $kernel on all workers.
func (m *memory) $method($params) {
	$body
}`,
		"task", k.task, "kernel", k.name, "fields", strings.Join(grouped(fields, types), "\n"), "fn", fn,
		"args", strings.Join(args, ", "), "method", k.run, "params", params, "body", body)
}

// linesPerFile is where a file of kernels is split.
const linesPerFile = 5000

// kernels prints the kernels in the order of the program.
func (g *gen) kernels() error {
	f, lines, part := g.file("kernels_gen.go"), 0, 1
	for _, k := range g.p.Kernels {
		x := g.kernel[k]
		if x == nil {
			continue
		}
		text, err := PrintKernel(k, x.name, g.api.Float64)
		if err != nil {
			return err
		}
		text += g.portableCaller(x)
		if x.task != "" {
			text += "\n\n" + g.taskText(x)
		}
		n := strings.Count(text, "\n") + 2
		if lines > 0 && lines+n > linesPerFile {
			part++
			f, lines = g.file(fmt.Sprintf("kernels%d_gen.go", part)), 0
		}
		f.add("$text", "text", text)
		lines += n
	}
	return nil
}
