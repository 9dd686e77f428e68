package reference

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/codegen"
	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/dsl/check"
)

// TestExamplesBuild makes packages of all models of all examples; vet and the
// Go compiler accept them.
func TestExamplesBuild(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles large models")
	}
	t.Parallel()
	texts, err := filepath.Glob("../examples/*.lm")
	require.NoError(t, err)
	require.NotEmpty(t, texts)
	var packages []*compiled
	for _, name := range texts {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		f, ds := dsl.Parse(filepath.Base(name), text)
		require.Empty(t, ds)
		for _, d := range f.Decls {
			l, ok := d.(*dsl.LayerDecl)
			if !ok || l.Kind != dsl.KindModel {
				continue
			}
			t.Run(l.Name.Text, func(t *testing.T) {
				m, err := checked(filepath.Base(name), text, check.Options{Model: l.Name.Text})
				require.NoError(t, err)
				m.API.Package = strings.TrimSuffix(filepath.Base(name), ".lm") + strings.ToLower(l.Name.Text)
				m.API.Package = strings.ReplaceAll(m.API.Package, "_", "")
				c, err := compile(m, codegen.Options{Tests: true})
				if assert.NoError(t, err) {
					packages = append(packages, c)
				}
			})
		}
	}
	mod := newModule(t, packages...)
	out, err := mod.command(nil, "vet", "./...").CombinedOutput()
	assert.NoError(t, err, "%s", tail(out))
}
