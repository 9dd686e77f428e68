package scratch

import (
	"fmt"
	"go/format"
	"slices"
	"strings"

	"github.com/lmc-lang/lmc/codegen"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/runtime/drive"
)

// Main prints the main function of a program that trains: a description of the
// model, and the methods of the generated package that package drive calls.
func Main(api *loop.API, trainer *loop.Trainer, p drive.Program) ([]byte, error) {
	var b strings.Builder
	line := func(format string, a ...any) { fmt.Fprintf(&b, format+"\n", a...) }
	line("// Program train trains %s.", api.Model)
	line("package main\n")
	line("import (")
	if len(api.Generators) > 0 {
		line("%q\n", "iter")
	}
	line("model %q\n%q\n)\n", ModelPath, codegen.Module+"/runtime/drive")
	line("func main() {\ndrive.Main(drive.Program{")
	line("Model: %q, Params: model.ParamCount, Kernels: model.KernelPath(), Carries: %t,", p.Model, p.Carries)
	line("Loss: drive.Func%s,", funcText(p.Loss))
	line("Entries: []drive.Func{")
	for _, f := range p.Entries {
		line("%s,", funcText(f))
	}
	line("},")
	line("Bounds: map[string]int{%s},", mapText(p.Bounds))
	line("Options: map[string]float64{%s},", mapText(p.Options))
	line("New: start,\n})\n}\n")

	line("// start makes the model and its trainer.")
	line("func start(seed uint64, options map[string]float64) (*drive.Run, error) {")
	line("w := model.InitWeights(seed)")
	line("o := model.Default%sOptions()", trainer.Name)
	line("if err := drive.SetOptions(&o, options); err != nil {\nreturn nil, err\n}")
	line("o.Seed = seed")
	line("t := model.New%s(w, o)", trainer.Name)
	line("s := model.NewSession(w)")
	line("_ = s")
	line("return &drive.Run{")
	line("Trainer: t, Weights: w, Meta: &w.Meta, Step: t.Step,")
	if p.Carries {
		line("Reset: t.Reset,")
	}
	line("Entries: map[string]any{")
	for _, f := range p.Entries {
		line("%q: s.%s,", f.Name, f.Name)
	}
	line("},")
	line("Views: func() []drive.Weight {\ndefer w.Changed() // they are read only\nreturn drive.Views(w.All())\n},")
	if len(api.Generators) > 0 {
		g := api.Generators[0].Name
		line("Generate: func(prompt []int32, seed uint64) iter.Seq2[int32, error] {")
		line("o := model.Default%sOptions()\no.Seed = seed\nreturn s.%s(prompt, o)\n},", g, g)
	}
	line("}, nil\n}")
	src, err := format.Source([]byte(b.String()))
	if err != nil {
		return nil, fmt.Errorf("bug in lmc train: %w", err)
	}
	return src, nil
}

func funcText(f drive.Func) string {
	return fmt.Sprintf("{Name: %q, Args: %s, Results: %s}", f.Name, argsText(f.Args), argsText(f.Results))
}

func argsText(args []drive.Arg) string {
	var b strings.Builder
	b.WriteString("[]drive.Arg{")
	for _, a := range args {
		fmt.Fprintf(&b, "{Name: %q, Elem: %q, Dims: []drive.Dim{", a.Name, a.Elem)
		for _, d := range a.Dims {
			fmt.Fprintf(&b, "{%q, %d}, ", d.Name, d.N)
		}
		b.WriteString("}}, ")
	}
	return b.String() + "}"
}

// mapText is the inside of a map literal, sorted.
func mapText[V any](m map[string]V) string {
	var out []string
	for k, v := range m {
		out = append(out, fmt.Sprintf("%q: %v", k, v))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}
