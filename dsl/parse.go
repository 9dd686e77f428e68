package dsl

import (
	"strings"

	"github.com/alecthomas/participle/v2/lexer"
)

// Parse reads a source file. The name is used in messages only. The File is
// never nil and holds whatever could be read, with Bad nodes in place of the
// rest; the diagnostics are sorted by place, one for each mistake.
func Parse(filename string, src []byte) (*File, Diagnostics) {
	toks, deep := scan(filename, string(src))
	start := Pos{Line: 1, Col: 1}
	f := &fileParser{file: &File{Span: Span{start, start}, Name: filename, Src: src}, docs: docComments(toks)}
	if deep != nil {
		f.report(fileless(failAt(deep, "brackets are nested too deeply here", "")))
	} else {
		f.parse(peeking(toks))
	}
	for _, d := range f.diags {
		d.File = filename
	}
	f.diags.Sort()
	return f.file, f.diags
}

// ParseExpr reads a single expression, as in the -set of a command line.
// The expression is nil if there are diagnostics.
func ParseExpr(filename string, src []byte) (Expr, Diagnostics) {
	toks, deep := scan(filename, string(src))
	var x gExpr
	var err error
	if deep != nil {
		err = failAt(deep, "brackets are nested too deeply here", "")
	} else {
		lex := peeking(toks)
		err = x.Parse(lex)
		for err == nil && !lex.Peek().EOF() {
			if t := lex.Next(); t.Type != tokSemi {
				err = expected("end of file", t)
			}
		}
	}
	if err != nil {
		d := fileless(err)
		d.File = filename
		return nil, Diagnostics{d}
	}
	return x.X, nil
}

// fileParser makes a File of the items at the top of a text.
type fileParser struct {
	file    *File
	docs    map[int]string // by the line of the declaration below
	diags   Diagnostics
	decls   bool // a declaration has been read
	rubbish bool // something that is no declaration has been reported; it may go on for long
}

func (f *fileParser) report(d *Diagnostic) { f.diags = append(f.diags, d) }

func (f *fileParser) parse(lex *lexer.PeekingLexer) {
	first := *lex.Peek()
	f.file.Span = tokenSpan(&first)
	if first.Type != tokKeyword || first.Value != "package" {
		if Suggest(first.Value, []string{"package"}) == "" {
			f.report(fileless(failAt(&first, "expected keyword `package`, found "+describe(&first), "a file starts with `package name`")))
			f.rubbish = true
		}
	}
	for start := true; !lex.Peek().EOF(); start = false {
		t := *lex.Peek()
		switch {
		case t.Type == tokSemi, t.Type == tokUnclosed:
			lex.Next()
		case isOp(&t, "}"):
			lex.Next()
			f.noDecl(fileless(failAt(&t, "unexpected `}`", "there is one `}` too many here or above")))
		default:
			f.item(lex, &t, start)
		}
	}
}

// noDecl reports something that does not start a declaration, but not what
// follows it up to the next declaration with a body.
func (f *fileParser) noDecl(d *Diagnostic) {
	if !f.rubbish {
		f.report(d)
	}
	f.rubbish = true
}

// item reads one declaration, which starts with t. The first of a file should
// be its package.
func (f *fileParser) item(lex *lexer.PeekingLexer, t *lexer.Token, first bool) {
	v, bad, err := parseItem(lex, parsers().top, &topRules)
	isTop := t.Type == tokKeyword && isTopKeyword[t.Value]
	switch {
	case err == nil:
	case !isTop && err.Pos == toPos(t.Pos) && !strings.HasPrefix(err.Help, "did you mean"):
		if t.Type == tokKeyword {
			err.Help = "it belongs into a layer or func; is there a `}` too many above?"
		}
		f.noDecl(err)
	default:
		f.report(err)
	}
	if t.Value == "layer" || t.Value == "model" || t.Value == "optimizer" {
		f.rubbish = false
	}
	if bad != nil {
		f.add(bad)
		f.decls = f.decls || isTop && !first && t.Value != "import"
		return
	}
	switch {
	case v.Package != nil:
		if !first {
			f.report(fileless(failAt(t, "`package` must be the first thing in a file", "")))
			return
		}
		f.file.Package = v.Package.Name.Name
		f.file.Doc = f.docs[t.Pos.Line]
		f.file.End = f.file.Package.End
	case v.Import != nil:
		f.imports(v.Import, t)
	default:
		f.add(f.decl(v))
		f.decls = true
	}
}

var isTopKeyword = setOf(topRules.keywords...)

func (f *fileParser) add(d Decl) {
	f.file.Decls = append(f.file.Decls, d)
	f.file.End = d.Range().End
}

func (f *fileParser) imports(g *gImport, t *lexer.Token) {
	if f.decls {
		f.report(fileless(failAt(t, "imports must stand before all declarations", "")))
	}
	paths := []*String{}
	if g.Path != nil {
		paths = append(paths, g.Path.String)
	} else {
		paths = append(paths, g.List.List...)
	}
	for _, p := range paths {
		f.file.Imports = append(f.file.Imports, &Import{p.Span, p})
		f.file.End = p.End
	}
}

// docComments finds the comments that stand directly above a line that does not
// start with a comment, and returns them by that line, without the slashes.
func docComments(toks []lexer.Token) map[int]string {
	docs := map[int]string{}
	var lines []string
	end := 0    // line of the last of lines
	inLine := 0 // a line in which a token was seen
	for i := range toks {
		t := &toks[i]
		switch {
		case t.Type == tokSpace || t.Type == tokSemi || t.Pos.Line == inLine:
			continue
		case t.Type == tokComment:
			if t.Pos.Line != end+1 {
				lines = nil
			}
			lines = append(lines, strings.TrimPrefix(strings.TrimPrefix(t.Value, "//"), " "))
			end = t.Pos.Line
		default:
			if lines != nil && t.Pos.Line == end+1 {
				docs[t.Pos.Line] = strings.Join(lines, "\n")
			}
			lines = nil
		}
		inLine = t.Pos.Line
	}
	return docs
}
