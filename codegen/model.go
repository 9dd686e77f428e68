package codegen

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/runtime"
)

// model prints the documentation of the package and the facts about the model.
func (g *gen) model() error {
	f := g.file("model_gen.go")
	f.doc = g.packageDoc()
	f.add(`
// This package needs a runtime that has the interface of this version.
const _ = runtime.Version1

const modelName = $name

// ModelHash names what the model computes: texts with the same meaning have the
// same hash. Files of weights carry it.
const ModelHash = $hash

// ParamCount is the number of trained parameters.
const ParamCount = $params

// KernelPath names the kernels that new sessions run: the best ones for this
// machine, or those that the environment variable LMC_TARGET names.
func KernelPath() string { return runtime.ChooseTarget($targets) }`,
		"name", strconv.Quote(g.api.Package), "hash", strconv.Quote(g.api.Hash), "params", strconv.Itoa(g.paramCount()),
		"targets", map[bool]string{true: "kernelPaths()...", false: `"portable"`}[g.hasNative()])
	g.arenaBytes(f)
	for _, e := range g.api.Entries {
		g.flops(f, e.Name, e.Name, e.FLOPs)
	}
	for _, t := range g.api.Trainers {
		g.flops(f, t.Name, "the loss and the gradients of "+t.Name, t.Loss.FLOPs)
	}
	return nil
}

func (g *gen) paramCount() int {
	n := 0
	for _, w := range g.api.Weights {
		if !w.State {
			n += w.Len()
		}
	}
	return n
}

// flops prints the number of floating-point operations of a call.
func (g *gen) flops(f *file, name, what string, d loop.Dim) {
	if d.Is(0) {
		return
	}
	if n, ok := d.Const(); ok {
		f.add(`
// FLOPs$Name is the number of floating-point operations of $what.
const FLOPs$Name = $n`, "Name", name, "what", what, "n", strconv.Itoa(n))
		return
	}
	local, names := symbols(d.Syms())
	f.add(`
// FLOPs$Name is the number of floating-point operations of $what.
func FLOPs$Name($syms int) float64 {
	return $expr
}`, "Name", name, "what", what, "syms", strings.Join(names, ", "),
		"expr", dimFloat(d, local))
}

// symbols gives symbols their names as parameters of a function.
func symbols(syms []string) (func(string) string, []string) {
	s := newScope("mem")
	m := map[string]string{}
	var names []string
	for _, n := range syms {
		m[n] = s.pick(n)
		names = append(names, m[n])
	}
	return func(n string) string { return m[n] }, names
}

// arenaBytes prints how much scratch memory a session or trainer needs.
func (g *gen) arenaBytes(f *file) {
	width := 4
	if g.api.Float64 {
		width = 8
	}
	most := 0
	var planned []*proc
	set := map[string]bool{}
	for _, x := range g.order {
		most = max(most, (&runtime.Plan{Need: x.Arena}).Bytes(width))
		if x.plan != "" {
			planned = append(planned, x)
		}
		for _, s := range x.slotSyms() {
			set[s] = true
		}
	}
	if planned == nil {
		f.add(`
// ArenaBytes is the size of the scratch memory of a session or a trainer.
const ArenaBytes = $n`, "n", strconv.Itoa(most))
		return
	}
	local, names := symbols(sortedKeys(set))
	exprs := []string{strconv.Itoa(most)}
	var plans strings.Builder
	for _, x := range planned {
		var args []string
		for _, n := range x.slotSyms() {
			args = append(args, local(n))
		}
		fmt.Fprintf(&plans, "mem.%s(%s)\n", x.planner, strings.Join(args, ", "))
		exprs = append(exprs, fmt.Sprintf("mem.%s.Bytes(%d)", x.plan, width))
	}
	f.add(`
// ArenaBytes is the size of the scratch memory of a session or a trainer that
// has seen calls of these sizes.
func ArenaBytes($syms int) int {
	var mem memory
	$plans	return $expr
}`, "syms", strings.Join(names, ", "), "plans", plans.String(), "expr", largest(exprs))
}

// packageDoc is the comment of the text with a summary of what was made of it.
func (g *gen) packageDoc() string {
	var b strings.Builder
	doc := strings.TrimSpace(g.api.Doc)
	if doc == "" {
		doc = fmt.Sprintf("Package %s is the model %s.", g.api.Package, g.api.Model)
	}
	b.WriteString(doc)
	fmt.Fprintf(&b, "\n\n# Model\n\n%s has %s parameters in %s:\n\n", g.api.Model, thousands(g.paramCount()), plural(g.tensorCount(), "tensor"))
	var rows [][]string
	for _, w := range g.api.Weights {
		state := ""
		if w.State {
			state = "state"
		}
		copies := ""
		for _, c := range w.Counts {
			copies += strconv.Itoa(c) + " × "
		}
		rows = append(rows, []string{pathDoc(w, []string{"i", "j", "k"}), copies + shapeText("f32", w.Shape), initDoc(w.Init), state})
	}
	b.WriteString(columns(rows))
	if len(g.api.Entries) > 0 {
		b.WriteString("\nA [Session] runs its functions:\n\n")
		rows = nil
		for _, e := range g.api.Entries {
			rows = append(rows, []string{signature(e)})
		}
		b.WriteString(columns(rows))
	}
	g.usage(&b)
	return strings.TrimRight(b.String(), "\n")
}

// usage shows how the package is used.
func (g *gen) usage(b *strings.Builder) {
	name := g.api.Package
	b.WriteString("\n# Use\n\n")
	if len(g.api.Trainers) > 0 {
		t := g.api.Trainers[0]
		fmt.Fprintf(b, "A [%s] trains weights on batches and yields the loss of each step:\n\n", t.Name)
		fmt.Fprintf(b, "\tw := %s.InitWeights(1)\n\ts := %s.New%s(w, %s.Default%sOptions())\n", name, name, t.Name, name, t.Name)
		fmt.Fprintf(b, "\tfor r, err := range s.Fit(ctx, batches) {\n\t\tif err != nil {\n\t\t\treturn err\n\t\t}\n\t\tfmt.Println(r.Step, r.Loss)\n\t}\n")
		fmt.Fprintf(b, "\terr := w.SaveFile(\"%s.safetensors\")\n\n", name)
	}
	if len(g.api.Entries) > 0 {
		e := g.api.Entries[0]
		var args, results []string
		for _, r := range e.Results {
			results = append(results, resultName(r))
			if len(r.Shape) > 0 {
				args = append(args, "nil")
			}
		}
		if len(results) == 1 {
			results[0] = "out"
		}
		for _, a := range e.Args {
			if a.Default == nil {
				args = append(args, a.Name)
			}
		}
		if e.Random {
			args = append(args, "seed")
		}
		if hasOptions(e) {
			args = append(args, name+".Default"+e.Name+"Options()")
		}
		b.WriteString("A [Session] uses them, as any number of sessions may:\n\n")
		fmt.Fprintf(b, "\tw := %s.NewWeights()\n\tif err := w.LoadFile(\"%s.safetensors\"); err != nil {\n\t\treturn err\n\t}\n", name, name)
		fmt.Fprintf(b, "\t%s, err := %s.NewSession(w).%s(%s)\n", strings.Join(results, ", "), name, e.Name, strings.Join(args, ", "))
	}
	for _, x := range g.api.Generators {
		fmt.Fprintf(b, "\n[Session.%s] generates:\n\n\ts := %s.NewSession(w)\n", x.Name, name)
		fmt.Fprintf(b, "\tfor token, err := range s.%s(prompt, %s.Default%sOptions()) {\n\t\t…\n\t}\n", x.Name, name, x.Name)
	}
}

func (g *gen) tensorCount() int {
	n := 0
	for _, w := range g.api.Weights {
		c := 1
		for _, k := range w.Counts {
			c *= k
		}
		n += c
	}
	return n
}

// signature is an entry point as the text declares it.
func signature(e *loop.Entry) string {
	var args, results []string
	for _, a := range e.Args {
		args = append(args, a.Name+" "+declared(a))
	}
	for _, r := range e.Results {
		results = append(results, declared(r))
	}
	s := e.Name + "(" + strings.Join(args, ", ") + ") "
	if len(results) == 1 {
		return s + results[0]
	}
	return s + "(" + strings.Join(results, ", ") + ")"
}

func initDoc(i loop.Init) string {
	if zeroInit(i) {
		return "0"
	}
	var args []string
	for _, a := range i.Args {
		args = append(args, strconv.FormatFloat(a, 'g', -1, 64))
	}
	if i.Kind == "const" {
		return args[0]
	}
	return i.Kind + "(" + strings.Join(args, ", ") + ")"
}

// columns lays out rows as preformatted text.
func columns(rows [][]string) string {
	var width []int
	for _, r := range rows {
		for i, c := range r {
			if i == len(width) {
				width = append(width, 0)
			}
			width[i] = max(width[i], len([]rune(c)))
		}
	}
	var b strings.Builder
	for _, r := range rows {
		line := "\t"
		for i, c := range r {
			line += c + strings.Repeat(" ", width[i]-len([]rune(c))+2)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

// thousands is 124_439_808 as Go writes it for readers.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return thousands(n) + " " + what + "s"
}
