package dsl

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"
)

// seeds adds all sources, whole and in pieces, to the corpus.
func seeds(f *testing.F) {
	for _, src := range sources(f) {
		f.Add(src)
		for i, piece := range strings.SplitAfter(string(src), "\n\n") {
			if i%5 == 0 {
				f.Add([]byte("package p\n" + piece))
			}
		}
	}
	all, err := os.ReadFile("testdata/all.lm")
	require.NoError(f, err)
	f.Add(all)
	paths, err := filepath.Glob("testdata/syntax/*.txtar")
	require.NoError(f, err)
	for _, p := range paths {
		ar, err := txtar.ParseFile(p)
		require.NoError(f, err)
		f.Add(getPart(ar, "in.lm"))
	}
	for _, s := range []string{"", "\xff", "\ufeffpackage a", "package a\r\n\r\nconst x = 1\r\n", "package a\nfunc f() { x[",
		"package a;;;;", "package a\nlayer L { train T { group a { x", "//", "\"", "1e", "a...b", "- -", "! ="} {
		f.Add([]byte(s))
	}
}

// FuzzParse: no text makes the parser panic; every message and every node has a
// place inside of the text; what has no message is a whole tree.
func FuzzParse(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, src []byte) {
		file, diags := Parse("f.lm", src)
		checkTree(t, file)
		for _, d := range diags {
			if d.Pos.Offset > len(src) || d.End.Offset > len(src) || d.End.Offset < d.Pos.Offset || !d.Pos.IsValid() || d.Msg == "" {
				t.Fatalf("message without a good place: %+v", d)
			}
			_ = Render(d, src, true)
			_ = d.JSON()
		}
		bad := 0
		Walk(file, func(n Node) bool {
			if _, ok := n.(*Bad); ok {
				bad++
			}
			return true
		})
		if bad > 0 && len(diags) == 0 || len(diags) == 0 && file.Package == nil {
			t.Fatal("something is missing, but nothing is said")
		}
		_, _ = ParseExpr("f.lm", src)
	})
}

// FuzzFormat: formatting twice is formatting once, and no comment gets lost.
func FuzzFormat(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, src []byte) {
		once, err := Format("f.lm", src)
		if err != nil && strings.HasPrefix(err.Error(), "bug") {
			t.Fatal(err)
		}
		twice, _ := Format("f.lm", once)
		if string(once) != string(twice) {
			t.Fatalf("not stable:\n%q\n%q", once, twice)
		}
		_, before := Parse("f.lm", src)
		_, after := Parse("f.lm", once)
		if len(before) == 0 && len(after) != 0 {
			t.Fatalf("was right before: %v", after)
		}
		if comments(src) != comments(once) {
			t.Fatalf("comments changed:\n%s\n%s", comments(src), comments(once))
		}
	})
}

func comments(src []byte) string {
	toks, _ := scan("", string(src))
	var b strings.Builder
	for _, t := range toks {
		if t.Type == tokComment {
			b.WriteString(strings.TrimRight(t.Value, " \t") + "\n")
		}
	}
	return b.String()
}
