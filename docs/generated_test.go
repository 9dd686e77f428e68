package docs

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"text/template"

	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/codegen"
)

// A demo is the model of generated.md, and the Go code that uses it.
type demo struct {
	*pipeline
	fset *token.FileSet
	text []byte
	use  *ast.File
}

// Use is the body of an example.
func (d *demo) Use(name string) (string, error) {
	for _, x := range d.use.Decls {
		f, ok := x.(*ast.FuncDecl)
		if !ok || f.Name.Name != "Example_"+name {
			continue
		}
		lines := strings.Split(string(d.text[d.fset.Position(f.Body.Lbrace).Offset+1:d.fset.Position(f.Body.Rbrace).Offset]), "\n")
		for i := range lines {
			lines[i] = strings.TrimPrefix(lines[i], "\t")
		}
		return strings.TrimSpace(strings.Join(lines, "\n")) + "\n", nil
	}
	return "", fmt.Errorf("there is no example %s", name)
}

// Exported lists the exported functions and types of the generated package.
func (d *demo) Exported() (string, error) {
	var b strings.Builder
	for _, file := range d.gen {
		if filepath.Ext(file.Name) != ".go" {
			continue
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, file.Name, file.Data, 0)
		if err != nil {
			return "", err
		}
		for _, x := range f.Decls {
			f, ok := x.(*ast.FuncDecl)
			if !ok || !f.Name.IsExported() || f.Recv != nil && !exportedRecv(f) {
				continue
			}
			f.Body = nil
			if err := format.Node(&b, fset, f); err != nil {
				return "", err
			}
			b.WriteByte('\n')
		}
	}
	return b.String(), nil
}

func exportedRecv(f *ast.FuncDecl) bool {
	t := f.Recv.List[0].Type
	if p, ok := t.(*ast.StarExpr); ok {
		t = p.X
	}
	n, ok := t.(*ast.Ident)
	return ok && n.IsExported()
}

func readDemo(t *testing.T) *demo {
	src, err := os.ReadFile("testdata/demo.lm")
	require.NoError(t, err)
	d := &demo{pipeline: compile(t, "demo.lm", src), fset: token.NewFileSet()}
	d.gen, err = codegen.Generate(d.program, codegen.Options{}) // with native kernels
	require.NoError(t, err)
	d.text, err = os.ReadFile("testdata/demo_test.go.txt")
	require.NoError(t, err)
	d.use, err = parser.ParseFile(d.fset, "demo_test.go", d.text, parser.ParseComments)
	require.NoError(t, err)
	return d
}

// TestGenerated keeps the code that generated.md shows equal to the code that
// is run below.
func TestGenerated(t *testing.T) {
	text, err := os.ReadFile("testdata/generated.md.tmpl")
	require.NoError(t, err)
	page := template.Must(template.New("generated.md").Parse(string(text)))
	var b bytes.Buffer
	require.NoError(t, page.Execute(&b, readDemo(t)))
	golden(t, "generated.md", b.String())
}

// TestExamples compiles the model in a module of its own and runs what
// generated.md shows.
func TestExamples(t *testing.T) {
	if testing.Short() {
		t.Skip("skip: it runs go test")
	}
	d := readDemo(t)
	dir := t.TempDir()
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	write := func(name string, data []byte) {
		file := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o777))
		require.NoError(t, os.WriteFile(file, data, 0o666))
	}
	const lmc = "github.com/lmc-lang/lmc"
	write("go.mod", []byte("module example.com/docs\n\ngo 1.26.0\n\nrequire "+lmc+" v0.0.0\n\nreplace "+lmc+" => "+root+"\n"))
	for _, f := range d.gen {
		write("demo/"+f.Name, f.Data)
	}
	write("demo/demo_test.go", d.text)
	cmd := exec.Command("go", "test", "./...")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off", "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}
