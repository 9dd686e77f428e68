package codegen

import (
	"bytes"
	"fmt"
	"go/scanner"
	"go/token"
	"slices"
	"strings"

	"github.com/dave/jennifer/jen"
)

// imports are the packages that generated code may mention, by the name under
// which it does.
var imports = map[string]string{
	"bytes":   "bytes",
	"cmp":     "cmp",
	"context": "context",
	"errors":  "errors",
	"fmt":     "fmt",
	"fs":      "io/fs",
	"io":      "io",
	"iter":    "iter",
	"maps":    "maps",
	"math":    "math",
	"os":      "os",
	"runtime": Module + "/runtime",
	"slices":  "slices",
	"strings": "strings",
	"sync":    "sync",
	"testing": "testing",
}

// A file collects the declarations of one output file.
type file struct {
	name  string
	build string // the constraint under which it is built; empty: always
	doc   string // of the package
	decls []string
}

// add appends declarations: Go text in which $Key stands for the value that
// follows the key in kv.
func (f *file) add(text string, kv ...string) {
	f.decls = append(f.decls, strings.Trim(fill(text, kv...), "\n"))
}

// fill replaces $Key by its value.
func fill(text string, kv ...string) string {
	type pair struct{ key, value string }
	var ps []pair
	for i := 0; i < len(kv); i += 2 {
		ps = append(ps, pair{"$" + kv[i], kv[i+1]})
	}
	// The longest key wins where one begins with another.
	slices.SortStableFunc(ps, func(a, b pair) int { return len(b.key) - len(a.key) })
	var flat []string
	for _, p := range ps {
		flat = append(flat, p.key, p.value)
	}
	return strings.NewReplacer(flat...).Replace(text)
}

// render makes the files.
func (g *gen) render() ([]File, error) {
	var out []File
	for _, f := range g.files {
		if len(f.decls) == 0 && f.doc == "" {
			continue
		}
		data, err := g.renderFile(f)
		if err != nil {
			return nil, err
		}
		out = append(out, File{f.name, data})
	}
	return out, nil
}

func (g *gen) renderFile(f *file) ([]byte, error) {
	j := jen.NewFilePathName(g.importPath(), g.api.Package)
	j.HeaderComment(fmt.Sprintf(Header, g.api.Source))
	if f.doc != "" {
		j.PackageComment(commentText(f.doc))
	}
	for _, name := range sortedKeys(imports) {
		j.ImportName(g.path(name), name)
	}
	for i, d := range f.decls {
		if i > 0 {
			j.Line()
		}
		j.Add(g.qualified(d))
	}
	var b bytes.Buffer
	if err := j.Render(&b); err != nil {
		msg, src, _ := strings.Cut(err.Error(), " while formatting source:\n")
		return nil, fmt.Errorf("bug in codegen: %s does not parse: %s%s", f.name, msg, around(src, msg))
	}
	out := groupImports(b.Bytes())
	if f.build != "" {
		head, rest, _ := bytes.Cut(out, []byte("\n\n"))
		out = slices.Concat(head, []byte("\n\n//go:build "+f.build+"\n\n"), rest)
	}
	return out, nil
}

// around is the lines of src near the position in a message.
func around(src, msg string) string {
	var line, col int
	if _, err := fmt.Sscanf(msg, "Error %d:%d:", &line, &col); err != nil {
		return ""
	}
	lines := strings.Split(src, "\n")
	lo, hi := max(line-4, 0), min(line+2, len(lines))
	return "\n" + strings.Join(lines[min(lo, hi):hi], "\n")
}

// path is the import path of a package by its name.
func (g *gen) path(name string) string {
	if name == "runtime" {
		return g.runtimePath()
	}
	return imports[name]
}

// qualified is Go text as jennifer code: every pkg.Name of a known package
// becomes a qualified identifier, so that jennifer writes the imports.
func (g *gen) qualified(text string) *jen.Statement {
	s := jen.Null()
	src := []byte(text)
	fset := token.NewFileSet()
	var sc scanner.Scanner
	sc.Init(fset.AddFile("", fset.Base(), len(src)), src, func(token.Position, string) {}, 0)
	type tok struct {
		at  int
		tok token.Token
		lit string
	}
	var a, b tok // the two tokens before the current one
	from := 0
	for {
		pos, t, lit := sc.Scan()
		if t == token.EOF {
			break
		}
		c := tok{fset.Position(pos).Offset, t, lit}
		if _, known := imports[a.lit]; known && a.tok == token.IDENT && b.tok == token.PERIOD && c.tok == token.IDENT {
			if a.at > from {
				s.Op(text[from:a.at])
			}
			s.Qual(g.path(a.lit), c.lit)
			from = c.at + len(c.lit)
		}
		a, b = b, c
	}
	if from < len(text) {
		s.Op(text[from:])
	}
	return s
}

// commentText is text as the lines of a comment.
func commentText(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight("// "+l, " ")
		if strings.HasPrefix(l, "\t") {
			lines[i] = "//" + l
		}
	}
	return strings.Join(lines, "\n")
}

// wrap breaks the lines of paragraphs.
func wrap(text string) string {
	const width = 77
	paragraphs := strings.Split(text, "\n\n")
	for i, p := range paragraphs {
		var b strings.Builder
		at := 0
		for _, w := range strings.Fields(p) {
			switch {
			case at == 0:
			case at+1+len(w) > width:
				b.WriteByte('\n')
				at = 0
			default:
				b.WriteByte(' ')
				at++
			}
			b.WriteString(w)
			at += len(w)
		}
		paragraphs[i] = b.String()
	}
	return strings.Join(paragraphs, "\n\n")
}

// groupImports puts the standard library before the others, as goimports does.
func groupImports(src []byte) []byte {
	open, end := []byte("import (\n"), []byte("\n)")
	i := bytes.Index(src, open)
	if i < 0 {
		return src
	}
	i += len(open)
	n := bytes.Index(src[i:], end)
	var own, others []string
	for _, l := range strings.Split(string(src[i:i+n]), "\n") {
		if first, _, _ := strings.Cut(strings.Trim(strings.TrimSpace(l), `"`), "/"); strings.Contains(first, ".") || strings.HasSuffix(l, "/runtime\"") {
			others = append(others, l)
		} else {
			own = append(own, l)
		}
	}
	if len(own) == 0 || len(others) == 0 {
		return src
	}
	block := strings.Join(own, "\n") + "\n\n" + strings.Join(others, "\n")
	return slices.Concat(src[:i], []byte(block), src[i+n:])
}
