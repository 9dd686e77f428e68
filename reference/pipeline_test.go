package reference

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/codegen"
	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/dsl/check"
	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/passes"
)

// shared is the path of a file or folder of the reference data. The test is
// skipped if it is not there.
func shared(t testing.TB, elem ...string) string {
	t.Helper()
	p := filepath.Join(append([]string{"..", "..", "shared"}, elem...)...)
	if _, err := os.Stat(p); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("the reference data %s is not there", p)
		}
		t.Skipf("the reference data %s is not there", p)
	}
	return p
}

// checked makes the module of a text.
func checked(name string, text []byte, opt check.Options) (*ir.Module, error) {
	f, ds := dsl.Parse(name, text)
	var m *ir.Module
	if !ds.HasErrors() {
		m, ds = check.Check([]*dsl.File{f}, opt)
	}
	if ds.HasErrors() {
		var b strings.Builder
		for _, d := range ds {
			b.WriteString(dsl.Render(d, text, true) + "\n")
		}
		return nil, &mistakes{ds, b.String()}
	}
	return m, nil
}

// mistakes are errors in a text.
type mistakes struct {
	list dsl.Diagnostics
	text string
}

func (m *mistakes) Error() string { return m.text }

// A compiled is one text at all stages.
type compiled struct {
	module  *ir.Module
	passes  *passes.Program
	program *loop.Program
	files   []codegen.File
}

// importPath is that of a generated package in the module that run builds.
func importPath(pkg string) string { return "example.com/reference/" + pkg }

// compile runs the whole pipeline on a module. A panic is an error: one case
// must not hide the others.
func compile(m *ir.Module, opt codegen.Options) (c *compiled, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	c = &compiled{module: m}
	if c.passes, err = passes.Run(m, passes.Options{}); err != nil {
		return nil, err
	}
	if c.program, err = passes.Lower(c.passes); err != nil {
		return nil, err
	}
	opt.ImportPath = importPath(m.API.Package)
	if c.files, err = codegen.Generate(c.program, opt); err != nil {
		return nil, err
	}
	return c, codegen.Check(c.files, opt.ImportPath)
}

// compileFile is compile of the text in a file.
func compileFile(t testing.TB, name string, opt check.Options) *compiled {
	t.Helper()
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	m, err := checked(filepath.Base(name), text, opt)
	require.NoError(t, err)
	c, err := compile(m, codegen.Options{})
	require.NoError(t, err)
	return c
}

// guarded calls f and makes an error of a panic.
func guarded(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return f()
}

// firstLine is what a table has room for.
func firstLine(err error) string {
	var m *mistakes
	if errors.As(err, &m) {
		return m.list[0].Msg
	}
	s, _, _ := strings.Cut(err.Error(), "\n")
	return s
}
