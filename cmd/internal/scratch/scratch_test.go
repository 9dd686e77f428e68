package scratch

import (
	"bytes"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/cmd/internal/compile"
	"github.com/lmc-lang/lmc/codegen"
)

// TestMain prints the main functions of the examples, which must parse.
func TestMainFunction(t *testing.T) {
	for _, name := range []string{"linreg", "chargpt", "rnnlm", "gan"} {
		s, err := compile.Read("../../../examples/" + name + ".lm")
		require.NoError(t, err)
		m, err := s.Compile(compile.Options{}, compile.Trace{})
		require.NoError(t, err)
		for i, tr := range m.Program.API.Trainers {
			src, err := Main(m.Program.API, tr, m.Trainee(i))
			require.NoError(t, err)
			_, err = parser.ParseFile(token.NewFileSet(), "main.go", src, 0)
			require.NoError(t, err)
			assert.Contains(t, string(src), "model.New"+tr.Name+"(w, o)")
		}
	}
}

// TestFiles finds everything in the program that it imports.
func TestFiles(t *testing.T) {
	files, err := Files([]codegen.File{{Name: "a.go", Data: []byte("package a\n")}}, []byte("package main\n"))
	require.NoError(t, err)
	var names []string
	for _, f := range files {
		names = append(names, f.Name)
		assert.False(t, strings.HasSuffix(f.Name, "_test.go"))
	}
	for _, want := range []string{"go.mod", "main.go", "model/a.go", "runtime/tensor.go", "runtime/drive/drive.go"} {
		assert.Contains(t, names, want)
	}
}

// TestBuild compiles a program once, runs it, and passes its exit code on.
func TestBuild(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	t.Setenv("LocalAppData", cache)
	files := []codegen.File{
		{Name: "go.mod", Data: []byte("module x\n\ngo 1.24\n")},
		{Name: "main.go", Data: []byte("package main\n\nimport \"os\"\n\nfunc main() { os.Stdout.WriteString(os.Args[1]); os.Exit(7) }\n")},
	}
	calls := 0
	path, err := Build(files, func() { calls++ })
	require.NoError(t, err)
	again, err := Build(files, func() { calls++ })
	require.NoError(t, err)
	assert.Equal(t, path, again)
	assert.Equal(t, 1, calls)
	var out bytes.Buffer
	code, err := Run(path, "hello", &out, &out, nil)
	require.NoError(t, err)
	assert.Equal(t, 7, code)
	assert.Equal(t, "hello", out.String())

	files[1].Data = []byte("package main\n\nfunc main() { nothing() }\n")
	_, err = Build(files, func() {})
	require.ErrorContains(t, err, "bug in codegen: the package does not compile")
	left, err := filepath.Glob(filepath.Join(filepath.Dir(filepath.Dir(path)), "new-*"))
	require.NoError(t, err)
	assert.Empty(t, left, "nothing half-made stays")

	t.Setenv("PATH", t.TempDir())
	_, err = Build(files, func() {})
	assert.ErrorContains(t, err, "needs the go command")
	_, err = os.Stat(path)
	assert.NoError(t, err)
}
