package lmc

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"testing"

	"os"

	"github.com/stretchr/testify/require"
)

// mayImport says which packages of this module each package may import: the
// direction of the pipeline. A package that is not listed may import nothing of
// the module.
var mayImport = map[string][]string{
	".":                {"runtime"},
	"runtime":          {},
	"runtime/drive":    {"runtime"},
	"ir/loop":          {"runtime"},
	"ir":               {"ir/loop"},
	"ir/ops":           {"ir", "ir/loop"},
	"ir/loop/looptest": {"ir/loop", "runtime"},
	"ir/ops/opstest":   {"ir", "ir/ops"},
	"dsl":              {"ir", "ir/ops", "ir/loop"},
	"dsl/check":        {"dsl", "ir", "ir/ops", "ir/loop"},
	"passes":           {"ir", "ir/ops", "ir/loop"},
	"codegen/amd64":    {"ir/loop"},
	"codegen":          {".", "codegen/amd64", "ir/loop", "runtime"},
	"cmd/lmc":          {"*"},
	"cmd/internal":     {"*"},
}

// TestImports keeps the arrows of the architecture: text → AST → IR → passes →
// program → files, and nothing points back.
func TestImports(t *testing.T) {
	const module = "github.com/lmc-lang/lmc"
	checked := 0
	err := fs.WalkDir(os.DirFS("."), ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); name == "testdata" || name == "examples" || name == "bench" || name != "." && strings.HasPrefix(name, ".") {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(file) != ".go" || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		require.NoError(t, err)
		dir := path.Dir(file)
		allowed := mayImport[dir]
		for key, list := range mayImport {
			if dir != key && strings.HasPrefix(dir, key+"/") && mayImport[dir] == nil && key != "." {
				allowed = list
			}
		}
		for _, spec := range f.Imports {
			p, _ := strconv.Unquote(spec.Path.Value)
			if p != module && !strings.HasPrefix(p, module+"/") {
				continue
			}
			rel := strings.TrimPrefix(strings.TrimPrefix(p, module), "/")
			if rel == "" {
				rel = "."
			}
			ok := rel == dir
			for _, a := range allowed {
				ok = ok || a == "*" || a == rel
			}
			checked++
			require.True(t, ok, "%s imports %s, against the direction of the pipeline", file, rel)
		}
		return nil
	})
	require.NoError(t, err)
	require.Positive(t, checked)
}
