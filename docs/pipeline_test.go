// Package docs has the tests of the documentation: pages that are printed from
// the code are kept equal to it, and what pages show is compiled and run.
package docs

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strings"
	"testing"
	"text/template"

	"github.com/lmc-lang/lmc/codegen"
	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/dsl/check"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/passes"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the pages that are printed from the code")

// golden compares a page with what it ought to be, or writes it.
func golden(t *testing.T, page, want string) {
	t.Helper()
	if *update {
		require.Empty(t, os.Getenv("CI"), "-update is refused in CI")
		require.NoError(t, os.WriteFile(page, []byte(want), 0o666))
	}
	got, err := os.ReadFile(page)
	require.NoError(t, err)
	assert.Equal(t, want, string(got), "if this is as it should be: go test ./docs -update")
}

// A pipeline is one model at every stage.
type pipeline struct {
	Source  string
	file    *dsl.File
	dumps   map[string]string
	program *loop.Program
	gen     []codegen.File
	Last    string // the last pass
}

func compile(t *testing.T, name string, src []byte) *pipeline {
	p := &pipeline{Source: string(src), dumps: map[string]string{}, Last: passes.List[len(passes.List)-1].Name}
	var ds dsl.Diagnostics
	p.file, ds = dsl.Parse(name, src)
	require.NoError(t, ds.Err())
	m, ds := check.Check([]*dsl.File{p.file}, check.Options{})
	require.NoError(t, ds.Err())
	q, err := passes.Run(m, passes.Options{DumpAfter: "all", Dump: func(pass, text string) { p.dumps[pass] = text }})
	require.NoError(t, err)
	p.program, err = passes.Lower(q)
	require.NoError(t, err)
	p.gen, err = codegen.Generate(p.program, codegen.Options{Portable: true})
	require.NoError(t, err)
	return p
}

// AST is the syntax tree of the body of a func.
func (p *pipeline) AST(name string) (string, error) {
	var out strings.Builder
	dsl.Walk(p.file, func(n dsl.Node) bool {
		if f, ok := n.(*dsl.FuncDecl); ok && f.Name.Text == name {
			tree(&out, f.Body, 0)
		}
		return true
	})
	if out.Len() == 0 {
		return "", fmt.Errorf("there is no func %s", name)
	}
	return out.String(), nil
}

// tree prints n and the nodes below it, each a level deeper.
func tree(b *strings.Builder, n dsl.Node, depth int) {
	text := strings.TrimPrefix(fmt.Sprintf("%T", n), "*dsl.")
	at := n.Range().Pos
	switch n := n.(type) {
	case *dsl.Name:
		text += " " + n.Text
	case *dsl.Binary:
		text += " " + n.Op
	}
	fmt.Fprintf(b, "%-32s %d:%d\n", strings.Repeat("  ", depth)+text, at.Line, at.Col)
	first := true
	dsl.Walk(n, func(c dsl.Node) bool {
		if first { // n itself
			first = false
			return true
		}
		tree(b, c, depth+1)
		return false
	})
}

// After is the function called name after a pass.
func (p *pipeline) After(pass, name string) (string, error) {
	_, text, ok := strings.Cut(p.dumps[pass], "// "+name+"\n")
	if !ok {
		return "", fmt.Errorf("there is no function %s after %s", name, pass)
	}
	text, _, _ = strings.Cut(text, "\n}\n")
	return text + "\n}\n", nil
}

// Groups is the table of the kernels of a step.
func (p *pipeline) Groups() (string, error) {
	var b strings.Builder
	b.WriteString("| kernel | computes |\n|---|---|\n")
	for _, name := range []string{"step", "stepApply"} {
		ks, err := p.kernels(name)
		if err != nil {
			return "", err
		}
		for _, k := range ks {
			fmt.Fprintf(&b, "| `%s` | %s |\n", k.Name, k.Doc)
		}
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

func (p *pipeline) kernels(proc string) ([]*loop.Kernel, error) {
	for _, q := range p.program.Procs {
		if q.Name != proc {
			continue
		}
		var out []*loop.Kernel
		for _, s := range q.Steps {
			if c, ok := s.(*loop.Call); ok && !slices.Contains(out, c.Kernel) {
				out = append(out, c.Kernel)
			}
		}
		return out, nil
	}
	return nil, fmt.Errorf("there is no procedure %s", proc)
}

// part is the piece of the printed program that starts with head.
func (p *pipeline) part(head string) (string, error) {
	text := "\n" + p.program.String()
	_, text, ok := strings.Cut(text, "\n"+head)
	if !ok {
		return "", fmt.Errorf("the program has no %s", head)
	}
	text, _, _ = strings.Cut(text, "\n}\n")
	return head + text + "\n}\n", nil
}

// Proc is a procedure.
func (p *pipeline) Proc(name string) (string, error) { return p.part("proc " + name + "(") }

// Kernel is the last kernel that a procedure calls.
func (p *pipeline) Kernel(proc string) (string, error) {
	ks, err := p.kernels(proc)
	if err != nil {
		return "", err
	}
	return p.part("kernel " + ks[len(ks)-1].Name + " {")
}

// Go is the function of the last kernel that a procedure calls.
func (p *pipeline) Go(proc string) (string, error) {
	ks, err := p.kernels(proc)
	if err != nil {
		return "", err
	}
	return p.decl(func(f *ast.FuncDecl) bool { return f.Recv == nil && f.Name.Name == ks[len(ks)-1].Name })
}

// GoProc is the method that is a procedure.
func (p *pipeline) GoProc(proc string) (string, error) {
	return p.decl(func(f *ast.FuncDecl) bool { return f.Recv != nil && f.Name.Name == proc })
}

// decl is the first function of the generated package for which is holds.
func (p *pipeline) decl(is func(*ast.FuncDecl) bool) (string, error) {
	for _, file := range p.gen {
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, file.Name, file.Data, parser.ParseComments)
		if err != nil {
			return "", err
		}
		for _, d := range f.Decls {
			if d, ok := d.(*ast.FuncDecl); ok && is(d) {
				var b bytes.Buffer
				err := format.Node(&b, fset, d)
				return b.String() + "\n", err
			}
		}
	}
	return "", fmt.Errorf("the package has no such function")
}

// TestPipeline keeps pipeline.md equal to what the compiler does.
func TestPipeline(t *testing.T) {
	src, err := os.ReadFile("testdata/tiny.lm")
	require.NoError(t, err)
	text, err := os.ReadFile("testdata/pipeline.md.tmpl")
	require.NoError(t, err)
	page := template.Must(template.New("pipeline.md").Parse(string(text)))
	var b bytes.Buffer
	require.NoError(t, page.Execute(&b, compile(t, "tiny.lm", src)))
	golden(t, "pipeline.md", b.String())
}
