package reference

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/codegen"
	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/dsl/check"
)

// TestExamplesBuild makes packages of all models of all examples, at full size;
// vet accepts them, with LMC_FULL also the Go compiler and its assembler, and
// docs/size.md says how large they are.
func TestExamplesBuild(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles large models")
	}
	t.Parallel()
	texts, err := filepath.Glob("../examples/*.lm")
	require.NoError(t, err)
	require.NotEmpty(t, texts)
	var packages []*compiled
	var rows []*sizeRow
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
				start := time.Now()
				c, err := compile(m, codegen.Options{Tests: true})
				if assert.NoError(t, err) {
					packages = append(packages, c)
					rows = append(rows, newSizeRow(c, strings.TrimSuffix(filepath.Base(name), ".lm"), l.Name.Text, time.Since(start)))
				}
			})
		}
	}
	mod := newDriver(t, "driver.go", packages...)
	out, err := mod.command(nil, "vet", "./...").CombinedOutput()
	assert.NoError(t, err, "%s", tail(out))
	if full := os.Getenv("LMC_FULL") != ""; full || *update {
		for i, r := range rows {
			r.build(t, mod, packages[i])
		}
	} else {
		t.Log("without LMC_FULL packages of full size are vetted, but not compiled and assembled")
	}
	checkSizes(t, rows)
}

// TestExampleLayers: the lines of GPT-2 with 48 layers are those with 2, but for
// numbers and blanks that align them. The update of a stack is a loop over all
// its elements, which may be worth sharing among workers or not.
func TestExampleLayers(t *testing.T) {
	number, blanks := regexp.MustCompile(`[0-9]+`), regexp.MustCompile(` +`)
	hash := regexp.MustCompile(`(?m)^const ModelHash = .*$`)
	space := regexp.MustCompile(`span\(m\.\w+, [^,]*,`)            // the plan puts slots in another order
	first := regexp.MustCompile(`m\.(floats|ints|flags)\[[^]]*\]`) // so are those before the first of open size
	wrap := regexp.MustCompile(`,\n\t+`)                           // long offsets make more lines
	emitted := func(layers string) map[string][]string {
		c := compileFile(t, "../examples/gpt2.lm", check.Options{Model: "GPT2", Set: map[string]string{"L": layers}})
		out := map[string][]string{}
		for _, f := range c.files {
			text := hash.ReplaceAllString(string(f.Data), "")
			text = blanks.ReplaceAllString(number.ReplaceAllString(wrap.ReplaceAllString(text, ", "), "0"), " ")
			text = first.ReplaceAllString(space.ReplaceAllString(text, "span("), "span( 0)")
			name := regexp.MustCompile(`^kernels[0-9]+`).ReplaceAllString(f.Name, "kernels")
			update := false
			for _, line := range strings.Split(text, "\n") {
				if line != "" && !strings.ContainsAny(line[:1], "\t })") && !strings.HasSuffix(line, ":") {
					update = false // a declaration begins
				}
				if update = update || strings.Contains(line, "tepApply"); !update {
					out[name] = append(out[name], line)
				}
			}
		}
		return out
	}
	two, many := emitted("2"), emitted("48")
	require.Greater(t, len(two), 5)
	for _, name := range slices.Sorted(maps.Keys(two)) {
		assert.Equal(t, two[name], many[name], name)
	}
	assert.Len(t, many, len(two))
}

// TestGivenTexts makes packages of the texts with which the language was
// designed: the examples that differ from those of this repository, and the
// layers and optimisers, imported as packages of a user.
func TestGivenTexts(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles large models")
	}
	t.Parallel()
	texts, err := filepath.Glob(filepath.Join(shared(t, "language", "examples"), "*.lm"))
	require.NoError(t, err)
	require.NotEmpty(t, texts)
	build := func(t *testing.T, name string, text []byte, opt check.Options) {
		m, err := checked(name, text, opt)
		require.NoError(t, err)
		_, err = compile(m, codegen.Options{})
		require.NoError(t, err)
	}
	for _, name := range texts {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		if ours, err := os.ReadFile(filepath.Join("../examples", filepath.Base(name))); err == nil && bytes.Equal(text, ours) {
			continue // TestExamplesBuild has it
		}
		f, ds := dsl.Parse(filepath.Base(name), text)
		require.Empty(t, ds)
		for _, d := range f.Decls {
			if l, ok := d.(*dsl.LayerDecl); ok && l.Kind == dsl.KindModel {
				t.Run(l.Name.Text, func(t *testing.T) {
					build(t, filepath.Base(name), text, check.Options{Model: l.Name.Text})
				})
			}
		}
	}
	t.Run("library", func(t *testing.T) {
		text, err := os.ReadFile("testdata/corners/library.lm")
		require.NoError(t, err)
		for _, name := range []string{"nn", "rnn", "optim"} {
			text = bytes.ReplaceAll(text, []byte(`"`+name+`"`), []byte(`"./`+name+`"`))
		}
		build(t, "library.lm", text, check.Options{Import: func(path string) ([]*dsl.File, dsl.Diagnostics, error) {
			name := filepath.Base(path) + ".lm"
			src, err := os.ReadFile(shared(t, "language", "std", name))
			if err != nil {
				return nil, nil, err
			}
			f, ds := dsl.Parse(name, src)
			return []*dsl.File{f}, ds, nil
		}})
	})
}
