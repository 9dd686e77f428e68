package reference

import (
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/scanner"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/codegen"
	"github.com/lmc-lang/lmc/dsl/check"
)

// command builds the compiler itself.
func command(t testing.TB) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "lmc")
	b, err := exec.Command("go", "build", "-o", out, "../cmd/lmc").CombinedOutput()
	require.NoError(t, err, "%s", tail(b))
	return out
}

// folder is the contents of a folder by name.
func folder(t testing.TB, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	out := map[string]string{}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		require.NoError(t, err)
		out[e.Name()] = string(b)
	}
	return out
}

// TestSameBytes: neither the folder of the text nor the number of processors
// changes what is written.
func TestSameBytes(t *testing.T) {
	t.Parallel()
	lmc := command(t)
	texts, err := filepath.Glob("testdata/models/*.lm")
	require.NoError(t, err)
	texts = append(texts, "../examples/chargpt.lm")
	for _, text := range texts {
		t.Run(strings.TrimSuffix(filepath.Base(text), ".lm"), func(t *testing.T) {
			b, err := os.ReadFile(text)
			require.NoError(t, err)
			var first map[string]string
			for i, procs := range []string{"1", "2", "2"} {
				dir := filepath.Join(t.TempDir(), strings.Repeat("deeper/", i), fmt.Sprintf("folder%d", i))
				require.NoError(t, os.MkdirAll(dir, 0o777))
				require.NoError(t, os.WriteFile(filepath.Join(dir, filepath.Base(text)), b, 0o666))
				require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module example.com/m\n\ngo 1.26.0\n"), 0o666))
				cmd := exec.Command(lmc, "build", "-tests", "-o", "out", filepath.Base(text))
				if i == 2 { // named from elsewhere
					cmd = exec.Command(lmc, "build", "-tests", "-o", filepath.Join(dir, "out"), filepath.Join(dir, filepath.Base(text)))
				}
				if i < 2 {
					cmd.Dir = dir
				}
				cmd.Env = append(os.Environ(), "GOMAXPROCS="+procs)
				out, err := cmd.CombinedOutput()
				require.NoError(t, err, "%s", tail(out))
				got := folder(t, filepath.Join(dir, "out"))
				require.NotEmpty(t, got)
				if first == nil {
					first = got
				}
				for name := range first {
					assert.Equal(t, first[name], got[name], name)
				}
				assert.Len(t, got, len(first))
			}
		})
	}
}

// modelModule is the reference models as packages of one module.
func modelModule(t *testing.T) (*module, []*model) {
	var packages []*compiled
	ms := models()
	for _, m := range ms {
		m.load(t)
		packages = append(packages, m.compiled)
	}
	return newDriver(t, "driver.go", packages...), ms
}

// TestSameBits: training gives the same bits on any number of processors.
func TestSameBits(t *testing.T) {
	t.Parallel()
	mod, ms := modelModule(t)
	driver := mod.build(t, "driver")
	for _, m := range ms {
		t.Run(m.name, func(t *testing.T) {
			one, grads, final := m.drive(t, []string{"GOMAXPROCS=1"}, []string{driver}, t.TempDir())
			two, grads2, final2 := m.drive(t, []string{"GOMAXPROCS=2"}, []string{driver}, t.TempDir())
			assert.Equal(t, one, two)
			assert.Equal(t, grads, grads2)
			assert.Equal(t, final, final2)
		})
	}
}

// TestTargets builds generated packages without cgo for other machines, and
// compares what the build for the web computes with the portable kernels here.
func TestTargets(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the standard library for other machines")
	}
	t.Parallel()
	mod, ms := modelModule(t)
	for _, target := range []string{"linux/amd64", "linux/arm64", "darwin/arm64", "windows/amd64", "js/wasm"} {
		t.Run(target, func(t *testing.T) {
			goos, arch, _ := strings.Cut(target, "/")
			mod.build(t, "driver_"+goos+"_"+arch, "GOOS="+goos, "GOARCH="+arch)
		})
	}
	t.Run("node", func(t *testing.T) {
		node, err := exec.LookPath("node")
		if err != nil {
			t.Skip("node is not there")
		}
		command := []string{node, filepath.Join(runtime.GOROOT(), "lib", "wasm", "wasm_exec_node.js"), filepath.Join(mod.dir, "driver_js_wasm")}
		native := mod.build(t, "driver")
		for _, m := range ms[:3] {
			web, grads, final := m.drive(t, nil, command, t.TempDir())
			here, grads2, final2 := m.drive(t, []string{"LMC_TARGET=portable"}, []string{native}, t.TempDir())
			assert.Equal(t, here, web, m.name)
			assert.Equal(t, grads2, grads, m.name)
			assert.Equal(t, final2, final, m.name)
		}
	})
}

// TestClean: what is generated is as gofmt writes it, and vet finds nothing.
func TestClean(t *testing.T) {
	t.Parallel()
	var packages []*compiled
	texts, err := filepath.Glob("testdata/models/*.lm")
	require.NoError(t, err)
	for _, name := range texts {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		m, err := checked(filepath.Base(name), text, check.Options{})
		require.NoError(t, err)
		c, err := compile(m, codegen.Options{Tests: true})
		require.NoError(t, err)
		packages = append(packages, c)
		for _, f := range c.files {
			if filepath.Ext(f.Name) != ".go" {
				continue
			}
			want, err := format.Source(f.Data)
			require.NoError(t, err, f.Name)
			assert.Equal(t, string(want), string(f.Data), f.Name)
		}
	}
	mod := newDriver(t, "driver.go", packages...)
	for _, args := range [][]string{{"vet", "./..."}, {"vet", "-tags=purego", "./..."}, {"test", "./..."}} {
		out, err := mod.command(nil, args...).CombinedOutput()
		assert.NoError(t, err, "go %s: %s", args[0], tail(out))
	}
}

// TestStacksShareCode: forward and backward of 48 layers is the code of 2, but
// for numbers. The update of a stack is a loop over all its elements, which may
// be worth sharing among workers or not. TestExampleLayers compares assembly.
func TestStacksShareCode(t *testing.T) {
	t.Parallel()
	emitted := func(layers string) map[string]string {
		c := compileFile(t, "testdata/models/gpt_mini.lm", check.Options{
			Set:  map[string]string{"L": layers},
			Dims: []check.DimOption{{Name: "B", Rel: "=", N: 4}, {Name: "T", Rel: "=", N: 32}},
		})
		out := map[string]string{}
		for _, f := range c.files {
			if filepath.Ext(f.Name) != ".go" {
				continue
			}
			for name, text := range functions(t, f) {
				if !strings.Contains(name, "tepApply") {
					out[name] = text
				}
			}
		}
		return out
	}
	two, many := emitted("2"), emitted("48")
	require.Greater(t, len(two), 50)
	for _, name := range slices.Sorted(maps.Keys(two)) {
		assert.Equal(t, two[name], many[name], name)
	}
	assert.Len(t, many, len(two))
}

// functions is the text of the functions of a file, without comments and with
// numbers replaced by 0.
func functions(t testing.TB, f codegen.File) map[string]string {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, f.Name, f.Data, parser.SkipObjectResolution)
	require.NoError(t, err)
	out := map[string]string{}
	for _, d := range file.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		from, to := fset.Position(fn.Pos()).Offset, fset.Position(fn.End()).Offset
		if fn.Doc != nil {
			from = fset.Position(fn.Type.Func).Offset
		}
		src := f.Data[from:to]
		var s scanner.Scanner
		s.Init(token.NewFileSet().AddFile("", -1, len(src)), src, nil, 0)
		var words []string
		for {
			_, tok, lit := s.Scan()
			if tok == token.EOF {
				break
			}
			switch {
			case tok == token.INT || tok == token.FLOAT:
				lit = "0"
			case lit == "":
				lit = tok.String()
			}
			words = append(words, lit)
		}
		// A list that is broken over lines ends with a comma.
		text := strings.ReplaceAll(strings.Join(words, " "), ", )", ")")
		text = offsets.ReplaceAllString(text, "${1}0$3")
		out[receiver(fn)+fn.Name.Name] = text
	}
	return out
}

// offsets of slots of the arena, which are constants of the plan: sums of the
// sizes of those that it put in front.
var offsets = regexp.MustCompile(`(span \( m \. \w+ , )(0(?: \* [A-Z]\w*)*(?: \+ 0(?: \* [A-Z]\w*)*)*)( )`)

func receiver(fn *ast.FuncDecl) string {
	if fn.Recv == nil {
		return ""
	}
	x := fn.Recv.List[0].Type
	if p, ok := x.(*ast.StarExpr); ok {
		x = p.X
	}
	return x.(*ast.Ident).Name + "."
}
