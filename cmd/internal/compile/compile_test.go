package compile

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/runtime/drive"
)

func write(t *testing.T, name, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o777))
	require.NoError(t, os.WriteFile(name, []byte(text), 0o666))
}

func TestWhere(t *testing.T) {
	for _, key := range []string{"GOPACKAGE", "GOFILE"} {
		t.Setenv(key, "")
	}
	t.Chdir(t.TempDir())
	write(t, "alone/m.lm", "package net\n")
	write(t, "same/m.lm", "package net\n")
	write(t, "same/a.go", "package net\n")
	write(t, "other/m.lm", "package net\n")
	write(t, "other/a.go", "package main\n")
	write(t, "tests/m.lm", "package net\n")
	write(t, "tests/a_test.go", "package other\n")
	write(t, "hidden/m.lm", "package net\n")
	write(t, "hidden/a.go", "//go:build never\n\npackage other\n")
	for _, c := range []struct{ file, dir, pkg, wantDir, wantPkg string }{
		{"alone/m.lm", "", "", "alone", "net"},
		{"same/m.lm", "", "", "same", "net"},
		{"other/m.lm", "", "", "other/net", "net"},
		{"other/m.lm", "", "main", "other", "main"},
		{"other/m.lm", "out", "", "out", "net"},
		{"tests/m.lm", "", "", "tests", "net"},
		{"hidden/m.lm", "", "", "hidden", "net"},
	} {
		s, err := Read(c.file)
		require.NoError(t, err)
		p, err := s.Where(c.dir, c.pkg)
		require.NoError(t, err)
		assert.Equal(t, Place{filepath.FromSlash(c.wantDir), c.wantPkg}, p, c.file)
	}
	// Under go generate the folder's package is the one that the line stands in.
	t.Setenv("GOPACKAGE", "app")
	t.Setenv("GOFILE", "m.lm")
	s, err := Read("alone/m.lm")
	require.NoError(t, err)
	p, err := s.Where("", "")
	require.NoError(t, err)
	assert.Equal(t, filepath.FromSlash("alone/net"), p.Dir)
	_, err = s.Where("", "a-b")
	assert.ErrorContains(t, err, `"a-b" cannot be the name of a Go package`)
}

func TestImportPath(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "go.mod"), "// a module\nmodule \"example.com/m\" // here\n\ngo 1.24\n")
	got, err := ImportPath(filepath.Join(dir, "a", "b"))
	require.NoError(t, err)
	assert.Equal(t, "example.com/m/a/b", got)
	got, err = ImportPath(dir)
	require.NoError(t, err)
	assert.Equal(t, "example.com/m", got)
	_, err = ImportPath(t.TempDir())
	assert.ErrorContains(t, err, "there is no go.mod around")
}

// TestImport compiles a text that imports a folder beside it.
func TestImport(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "m.lm", "package m\n\nimport \"./part\"\n\nmodel M {\n\tparam w f32[3] = 0\n\tfunc Twice() f32[3] {\n\t\treturn part.Twice(w)\n\t}\n}\n")
	write(t, "part/a.lm", "package part\n\nfunc Twice(x f32[...]) f32[...] {\n\treturn Double(x)\n}\n")
	write(t, "part/b.lm", "package part\n\nfunc Double(x f32[...]) f32[...] {\n\treturn 2 * x\n}\n")
	s, err := Read("m.lm")
	require.NoError(t, err)
	m, err := s.Compile(Options{}, Trace{})
	require.NoError(t, err)
	assert.Equal(t, "M", m.Program.API.Model)
	write(t, "part/b.lm", "package part\n\nfunc Double(x f32[...]) f32[...] {\n\treturn 2 * y\n}\n")
	s, err = Read("m.lm")
	require.NoError(t, err)
	_, err = s.Compile(Options{}, Trace{})
	var mistakes *Mistakes
	require.ErrorAs(t, err, &mistakes)
	assert.Equal(t, "part/b.lm", mistakes.Diags[0].File)
	assert.NotEmpty(t, s.Text("part/b.lm"))
	assert.NotEmpty(t, s.Text("nn/nn.lm"))
	assert.Empty(t, s.Text("none.lm"))
}

func TestSignature(t *testing.T) {
	s, err := Read("../../../examples/mlp.lm")
	require.NoError(t, err)
	g := s.Signature(Options{Set: map[string]string{"C": "7"}}, "")
	require.NotNil(t, g)
	assert.Equal(t, map[string]int{"I": 784, "H": 256}, g.Hyper)
	assert.Equal(t, "x f32[B, I]", g.Loss.Args[0].String())
	assert.Equal(t, "Logits", g.Entries[0].Name)
	assert.Equal(t, drive.Dim{Name: "C", N: 7}, g.Entries[0].Results[0].Dims[1])
	assert.Nil(t, s.Signature(Options{}, "Nothing"))
	assert.Nil(t, s.Signature(Options{Model: "Nothing"}, ""))

	// A variant has the signature of its original; what is carried is left out.
	s, err = Read("../../../examples/rnnlm.lm")
	require.NoError(t, err)
	g = s.Signature(Options{}, "")
	require.NotNil(t, g)
	require.Len(t, g.Loss.Args, 2)
	assert.Equal(t, "next i32[B, T]", g.Loss.Args[1].String())
}

func TestBound(t *testing.T) {
	T, P := loop.Sym("T"), loop.Sym("P")
	e := &loop.Entry{Need: []loop.Need{{Expr: loop.N(64).Sub(T)}, {Expr: loop.N(100).Sub(T.MulN(2))}, {Expr: loop.N(9).Sub(T).Sub(P)}}}
	assert.Equal(t, 50, bound(e, "T"))
	assert.Equal(t, 0, bound(e, "P"))
}

func TestNumbers(t *testing.T) {
	assert.Equal(t, []string{"0", "999", "1,000", "124,439,808"}, []string{Count(0), Count(999), Count(1000), Count(124439808)})
	assert.Equal(t, []string{"44 B", "1 kB", "1.5 kB", "498 MB"}, []string{Bytes(44), Bytes(1000), Bytes(1500), Bytes(497759232)})
}
