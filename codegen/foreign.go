package codegen

import (
	"fmt"
	"strings"

	"github.com/lmc-lang/lmc/ir/loop"
)

// foreign prints a way to load, and where the rules can be inverted to write,
// the checkpoints of each names block.
func (g *gen) foreign() error {
	if len(g.api.Names) == 0 {
		return nil
	}
	f := g.file("names_gen.go")
	for _, t := range g.api.Names {
		var rules strings.Builder
		for _, r := range t.Rules {
			fmt.Fprintf(&rules, "{Pattern: %q, Expr: &%s},\n", r.Pattern, nameExpr(r.Expr))
		}
		ignore := ""
		if len(t.Ignore) > 0 {
			ignore = fmt.Sprintf("Ignore: []string{%s},\n", quoted(t.Ignore))
		}
		kv := []string{
			"Name", exported(t.Name), "name", t.Name, "var", g.top.pick(lower(identifier(t.Name)) + "Names"),
			"stale", g.stale("w"), "rules", rules.String(), "ignore", ignore, "float", g.float(),
		}
		f.add(`
// Load$Name reads a safetensors file whose tensors have the names and layouts
// of the names block $name. If it does not fit, the error is a
// *runtime.MismatchError and nothing changes.
func (w *Weights) Load$Name(r io.Reader) error {
	if !w.guard.Hold() {
		return inUse("Load$Name")
	}
	defer w.guard.Release()
	$stale _, err := runtime.ReadForeign(r, params, w.data, $var, runtime.LoadOptions{Model: modelName})
	return err
}`, kv...)
		if invertible(t) {
			f.add(`
// Write$Name writes the weights as Load$Name reads them. like, the header of a
// file of that kind, gives the shapes that the rules do not determine; it may be
// nil if they do.
func (w *Weights) Write$Name(out io.Writer, like *runtime.File) (int64, error) {
	if !w.guard.Share() {
		return 0, inUse("Write$Name")
	}
	defer w.guard.Unshare()
	return runtime.WriteForeign(out, params, w.data, $var, like, w.Meta)
}`, kv...)
		}
		f.add(`
// $var is the names block $name.
var $var = runtime.NameTable{
	Name: "$name",
	Rules: []runtime.NameRule{
$rules},
$ignore}`, kv...)
	}
	return nil
}

// invertible is whether every rule of a table can be written, too.
func invertible(t *loop.NameTable) bool {
	var ok func(*loop.NameExpr) bool
	ok = func(e *loop.NameExpr) bool {
		if e.Op == "add" || e.Op == "slice" {
			return false
		}
		for _, a := range e.Args {
			if !ok(a) {
				return false
			}
		}
		return true
	}
	for _, r := range t.Rules {
		if !ok(r.Expr) {
			return false
		}
	}
	return true
}

// nameExpr is the literal of an expression over foreign tensors.
func nameExpr(e *loop.NameExpr) string {
	s := fmt.Sprintf("runtime.NameExpr{Op: %q", e.Op)
	if e.Name != "" {
		s += fmt.Sprintf(", Name: %q", e.Name)
	}
	if len(e.Args) > 0 {
		var args []string
		for _, a := range e.Args {
			args = append(args, "&"+nameExpr(a))
		}
		s += ", Args: []*runtime.NameExpr{" + strings.ReplaceAll(strings.Join(args, ", "), "&runtime.NameExpr{", "{") + "}"
	}
	if len(e.Ints) > 0 {
		s += ", Ints: " + ints(e.Ints)
	}
	return s + "}"
}

func quoted(ss []string) string {
	q := make([]string, len(ss))
	for i, s := range ss {
		q[i] = fmt.Sprintf("%q", s)
	}
	return strings.Join(q, ", ")
}
