package docs

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/dsl/check"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"
)

// messages are what the checker says about all of a text.
func messages(name string, text []byte) dsl.Diagnostics {
	f, ds := dsl.Parse(name, text)
	if f.Package != nil {
		_, more := check.All([]*dsl.File{f}, check.Options{})
		ds = append(ds, more...)
	}
	ds.Sort()
	return ds
}

// TestLanguage tries what language.md says.
func TestLanguage(t *testing.T) {
	ar, err := txtar.ParseFile("testdata/language.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, ar.Files)
	for _, f := range ar.Files {
		t.Run(f.Name, func(t *testing.T) {
			want, _, ok := strings.Cut(strings.TrimPrefix(string(f.Data), "// "), "\n")
			require.True(t, ok)
			got := "ok"
			if ds := messages("p.lm", f.Data); len(ds) > 0 {
				got = ds[0].Severity.String() + ": " + ds[0].Msg
			}
			assert.Equal(t, want, got)
		})
	}
}

// TestLibrary compares the names that language.md lists with the library.
func TestLibrary(t *testing.T) {
	text, err := os.ReadFile("language.md")
	require.NoError(t, err)
	word := regexp.MustCompile(`[A-Za-z]\w*`)
	lists := map[string]string{"prelude": "- without import:"}
	for _, name := range dsl.StdNames() {
		if lists[name] == "" {
			lists[name] = "- `import \"" + name + "\"`:"
		}
	}
	for name, head := range lists {
		_, list, ok := strings.Cut(string(text), "\n"+head)
		require.True(t, ok, "language.md has no list of %s", name)
		list, _, _ = strings.Cut(list, "\n-")
		list, _, _ = strings.Cut(list, "\n\n")
		listed := word.FindAllString(list, -1)
		listed = slices.DeleteFunc(listed, func(w string) bool { return w == "and" || w == "for" || w == "matrices" })
		src, _ := dsl.Std(name)
		f, ds := dsl.Parse(name+".lm", src)
		require.Empty(t, ds)
		var declared []string
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *dsl.FuncDecl:
				declared = append(declared, d.Name.Text)
			case *dsl.LayerDecl:
				declared = append(declared, d.Name.Text)
			}
		}
		assert.ElementsMatch(t, declared, listed, "language.md lists %s", name)
	}
}

// TestPackages checks the whole packages that pages show.
func TestPackages(t *testing.T) {
	block := regexp.MustCompile("(?s)\n```\n(package .*?\n)```\n")
	n := 0
	for _, page := range []string{"language.md", "pipeline.md", "generated.md", "../README.md"} {
		text, err := os.ReadFile(page)
		if os.IsNotExist(err) {
			continue
		}
		require.NoError(t, err)
		for _, m := range block.FindAllSubmatch(text, -1) {
			n++
			ds := messages(page, m[1])
			assert.Empty(t, ds, "%s:\n%s", page, m[1])
			tidy, err := dsl.Format(page, m[1])
			require.NoError(t, err)
			assert.Equal(t, string(tidy), string(m[1]), "%s", page)
		}
	}
	assert.Positive(t, n)
}

// TestMessages keeps the messages in language.md equal to those of the checker.
func TestMessages(t *testing.T) {
	ar, err := txtar.ParseFile("testdata/messages.txtar")
	require.NoError(t, err)
	texts := map[string][]byte{}
	for _, f := range ar.Files {
		texts[f.Name] = f.Data
	}
	page, err := os.ReadFile("language.md")
	require.NoError(t, err)
	place := regexp.MustCompile(`(?s)<!-- message (\w+) -->\n.*?<!-- end -->`)
	shown := 0
	golden(t, "language.md", place.ReplaceAllStringFunc(string(page), func(at string) string {
		name := place.FindStringSubmatch(at)[1]
		ds := messages("m.lm", texts[name])
		require.NotEmpty(t, ds, name)
		shown++
		return "<!-- message " + name + " -->\n```\n" + dsl.Render(ds[0], texts[name], true) + "```\n<!-- end -->"
	}))
	assert.Len(t, texts, shown)
}
