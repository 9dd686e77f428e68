package codegen

import (
	"fmt"
	"strings"

	"github.com/lmc-lang/lmc/codegen/amd64"
	"github.com/lmc-lang/lmc/ir/loop"
)

// nativeFiles prints the native forms of kernels: assembly for each target; for
// amd64, and for other machines, the tables of kernels that are to be had there.
func (g *gen) nativeFiles() error {
	if !g.hasNative() {
		return nil
	}
	g.tableType(g.file("kernel_table_gen.go"))
	amd := g.file("kernels_amd64.go")
	amd.build = "amd64 && !purego"
	other := g.file("kernels_other.go")
	other.build = "!amd64 || purego"
	const doc = "// kernelTables are the tables of kernels that this build has, the best first.\n"
	tables := ""
	for _, t := range loop.Targets {
		if g.has(t) {
			tables += "&" + tableVar(t) + ", "
			g.assembly(t)
		}
	}
	amd.add(doc+"var kernelTables = []*kernelTable{$tables&portableKernels}", "tables", tables)
	other.add(doc + "var kernelTables = []*kernelTable{&portableKernels}")
	for _, t := range loop.Targets {
		if g.has(t) {
			amd.add("$text", "text", g.tableText(t))
		}
	}
	for k := range g.nativeKernels {
		for _, f := range k.forms {
			amd.add("$text", "text", f.stub)
			if f.caller != "" {
				amd.add("$text", "text", g.callerText(k, f))
			}
		}
	}
	return nil
}

// nativeKernels calls yield with the kernels that have native forms, in the
// order of the program, until it is false.
func (g *gen) nativeKernels(yield func(*kernel) bool) {
	for _, k := range g.p.Kernels {
		if x := g.kernel[k]; x != nil && len(x.forms) > 0 && !yield(x) {
			return
		}
	}
}

// formFor is the form of k for t, or nil.
func (k *kernel) formFor(t *loop.Target) *form {
	for _, f := range k.forms {
		if f.target == t {
			return f
		}
	}
	return nil
}

// has is whether some kernel has a form for t.
func (g *gen) has(t *loop.Target) bool {
	for k := range g.nativeKernels {
		if k.formFor(t) != nil {
			return true
		}
	}
	return false
}

// tableVar is the table of kernels for a target.
func tableVar(t *loop.Target) string {
	return map[*loop.Target]string{nil: "portable", loop.AVX2: "avx2", loop.AVX512: "avx512"}[t] + "Kernels"
}

// tableType prints the type of the tables of kernels, the portable one, and how
// one is chosen.
func (g *gen) tableType(f *file) {
	var fields strings.Builder
	for k := range g.nativeKernels {
		fmt.Fprintf(&fields, "%s %s\n", k.entry, g.entryType(k))
	}
	f.add(`
// A kernelTable has the kernels that exist in forms for several targets, each in
// its form for one.
type kernelTable struct {
	path string // the target, as KernelPath names it
	$fields}

$portable

// kernelPaths are the targets of kernelTables.
func kernelPaths() []string {
	var paths []string
	for _, t := range kernelTables {
		paths = append(paths, t.path)
	}
	return paths
}

// kernelsNamed is the table for the target called path.
func kernelsNamed(path string) *kernelTable {
	for _, t := range kernelTables {
		if t.path == path {
			return t
		}
	}
	return &portableKernels
}

// use chooses the kernels that m runs.
func (m *memory) use(path string) error {
	if err := runtime.CheckTarget(modelName, path, kernelPaths()...); err != nil {
		return err
	}
	m.kernels = kernelsNamed(path)
	return nil
}`, "fields", fields.String(), "portable", g.tableText(nil))
}

// tableText is the table of kernels for a target, or the portable one. Kernels
// that have no form for it are portable there.
func (g *gen) tableText(t *loop.Target) string {
	path, doc := "portable", "has the portable kernels"
	if t != nil {
		path, doc = t.Name, "has the kernels for "+t.Name
	}
	var entries strings.Builder
	for k := range g.nativeKernels {
		fn := g.portableEntry(k)
		if f := k.formFor(t); f != nil {
			fn = f.fn
			if f.caller != "" {
				fn = f.caller
			}
		}
		fmt.Fprintf(&entries, "%s: %s,\n", k.entry, fn)
	}
	return fill(`
// $var $doc.
var $var = kernelTable{
	path: "$path",
	$entries}`, "var", tableVar(t), "doc", doc, "path", path, "entries", entries.String())
}

// asmLines is where a file of assembly is split.
const asmLines = 25000

// assembly makes the files with the functions for t.
func (g *gen) assembly(t *loop.Target) {
	head := fmt.Sprintf(Header, g.api.Source) + "\n\n//go:build !purego\n\n" + amd64.Header
	text, lines, part := "", 0, 1
	flush := func() {
		if text == "" {
			return
		}
		name := "kernels_" + strings.ToLower(targetSuffix(t)) + "_amd64.s"
		if part > 1 {
			name = strings.Replace(name, "kernels", fmt.Sprintf("kernels%d", part), 1)
		}
		g.asm = append(g.asm, File{name, []byte(head + text)})
		text, lines, part = "", 0, part+1
	}
	for k := range g.nativeKernels {
		f := k.formFor(t)
		if f == nil {
			continue
		}
		n := strings.Count(f.asm, "\n") + 1
		if lines > 0 && lines+n > asmLines {
			flush()
		}
		text += "\n" + strings.Trim(f.asm, "\n") + "\n"
		lines += n
	}
	flush()
}
