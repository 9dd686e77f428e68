package dsl

import (
	"errors"
	"regexp"
	"strings"
	"sync"

	"github.com/alecthomas/participle/v2"
	"github.com/alecthomas/participle/v2/lexer"
)

type parserSet struct {
	top     *participle.Parser[gTop]
	member  *participle.Parser[gMember]
	entry   *participle.Parser[gEntry]
	stmt    *participle.Parser[gStmt]
	generic *participle.Parser[gGeneric]
	param   *participle.Parser[gParam]
}

var parsers = sync.OnceValue(func() parserSet {
	return parserSet{build[gTop](), build[gMember](), build[gEntry](), build[gStmt](), build[gGeneric](), build[gParam]()}
})

// rules says how the items of one kind of list look, for messages and recovery.
type rules struct {
	what     string            // "a statement"
	keywords []string          // what an item may start with, besides names
	help     string            // for something that no item starts with
	misplace map[string]string // help for keywords that belong elsewhere
}

var (
	topRules = rules{
		what:     "a declaration",
		keywords: []string{"package", "import", "dim", "const", "func", "layer", "model", "optimizer"},
		help:     "it starts with dim, const, func, layer, model or optimizer",
		misplace: map[string]string{},
	}
	memberRules = rules{
		what: "a member of a layer",
		keywords: []string{"param", "state", "cache", "const", "dim", "func", "if", "assert",
			"train", "generate", "names"},
		help: "it is a field, `name Layer[dims]`, or starts with param, state, cache, const, dim, func, if, assert, train, generate or names",
		misplace: map[string]string{
			"for": "statements stand inside a func", "return": "statements stand inside a func",
			"var":   "statements stand inside a func; what is kept is declared with `param`, `state` or `cache`",
			"layer": "layers are declared outside of each other", "model": "models are declared outside of layers",
			"group": "`group` stands inside a `train` block",
		},
	}
	entryRules = rules{
		what:     "a setting",
		keywords: []string{"group", "optimizer"},
		help:     "it is written `name = value`",
		misplace: map[string]string{},
	}
	stmtRules = rules{
		what:     "a statement",
		keywords: []string{"return", "for", "if", "var", "const", "assert"},
		help:     "it is an assignment, or starts with return, for, if, var, const or assert",
		misplace: map[string]string{
			"else": "`else` stands on the line of the `}` before it", "func": "a func cannot stand inside another one",
			"param": "`param` is a member of the layer, outside of its funcs", "state": "`state` is a member of the layer, outside of its funcs",
			"cache": "`cache` is a member of the layer, outside of its funcs", "dim": "dims are declared in the file or in the layer",
		},
	}
)

// parseLoop reads { items }. After a mistake in an item it goes on with the
// next one; mistakes are kept in l, only a missing { is returned.
func parseLoop[T any](lex *lexer.PeekingLexer, l *loop[T], parser *participle.Parser[T], r *rules) error {
	open := *lex.Peek()
	if !isOp(&open, "{") {
		return expected("`{`", &open)
	}
	lex.Next()
	l.At = tokenSpan(&open)
	for {
		t := lex.Peek()
		switch {
		case isOp(t, "}"):
			l.At.End = tokenSpan(lex.Next()).End
			return nil
		case t.EOF(), t.Type == tokUnclosed:
			l.At.End = tokenSpan(lastToken(lex)).End
			if !t.EOF() {
				lex.Next()
				t = nextWritten(lex)
			}
			d := fileless(failAt(t, "expected `}`, found "+describe(t), "`{` at "+l.At.Pos.String()+" is never closed"))
			l.Errs = append(l.Errs, d)
			return nil
		case t.Type == tokSemi:
			lex.Next()
		default:
			var it loopItem[T]
			var err *Diagnostic
			it.item, it.bad, err = parseItem(lex, parser, r)
			l.Items = append(l.Items, it)
			if err != nil {
				l.Errs = append(l.Errs, err)
			}
		}
	}
}

// parseItem reads one item and the semicolon behind it. After an error it
// skips to where the next item may start. An item in braces that is followed
// by rubbish is returned, with the error.
func parseItem[T any](lex *lexer.PeekingLexer, parser *participle.Parser[T], r *rules) (*T, *Bad, *Diagnostic) {
	start, rawStart := lex.MakeCheckpoint(), lex.RawCursor()
	v, err := parser.ParseFromLexer(lex, participle.AllowTrailing(true))
	atEnd, braced := false, false
	if err == nil {
		t := lex.Peek()
		if t.EOF() || t.Type == tokSemi {
			lex.Next()
			return v, nil, nil
		}
		if isOp(t, "}") || t.Type == tokUnclosed || lastToken(lex).Type == tokUnclosed {
			return v, nil, nil // the list ends here, or the item does without its }
		}
		err, atEnd = expected("end of line", t), true
		braced = isOp(lastToken(lex), "}")
	}
	d := fileless(err)
	lex.LoadCheckpoint(start)
	if own, ok := err.(*syntaxError); !ok || !own.bad {
		improve(d, lex, r, atEnd)
	}
	if strings.HasPrefix(d.Msg, "expected `range`") && d.Help == "" {
		d.Help = "a loop is written `for i := range N { … }`"
	}
	if noBrace := strings.HasPrefix(d.Msg, "expected `{`"); !noBrace || !skipBody(lex) {
		skipItem(lex)
	}
	if braced {
		return v, nil, d
	}
	return nil, badItem(lex.Range(rawStart, lex.RawCursor())), d
}

// improve makes the message about the first word of an item, which lex is at,
// where that word is what is wrong. atEnd tells that the item could be read,
// but does not end where it should.
func improve(d *Diagnostic, lex *lexer.PeekingLexer, r *rules, atEnd bool) {
	first := lex.Peek()
	at := tokenSpan(first)
	atFirst := d.Pos == at.Pos
	if first.Type == tokIdent && d.Pos.Line == at.Pos.Line {
		near := Suggest(first.Value, r.keywords)
		atSecond := d.Pos.Offset == at.End.Offset+1
		if near != "" && (atFirst || atEnd || atSecond || near == "func" && looksLikeFunc(lex)) {
			d.Pos, d.End = at.Pos, at.End
			d.Msg, d.Help = r.what+" cannot start with `"+first.Value+"`", "did you mean `"+near+"`?"
			return
		}
	}
	if atFirst {
		d.Msg, d.Help, d.End = r.what+" cannot start with "+describe(first), r.help, at.End
		if first.Type != tokKeyword {
			return
		}
		if help, ok := r.misplace[first.Value]; ok {
			d.Help = help
		}
		if assigned(lex) {
			d.Help = "`" + first.Value + "` is a keyword; choose another name"
		}
	}
}

// assigned tells whether an assignment operator follows the next token.
func assigned(lex *lexer.PeekingLexer) bool {
	start := lex.MakeCheckpoint()
	defer lex.LoadCheckpoint(start)
	lex.Next()
	return lex.Peek().Type == tokOp && isAssignOp[lex.Peek().Value]
}

// looksLikeFunc tells whether a name and a parenthesis follow the next token.
func looksLikeFunc(lex *lexer.PeekingLexer) bool {
	start := lex.MakeCheckpoint()
	defer lex.LoadCheckpoint(start)
	lex.Next()
	return isNameToken(lex.Next()) && isOp(lex.Peek(), "(")
}

// skipItem goes to the start of the next item: behind the next semicolon
// outside braces, or before the } that closes the list. Brackets and
// parentheses do not count: one of them may be what is missing.
func skipItem(lex *lexer.PeekingLexer) {
	depth := 0
	if isOp(lex.Peek(), "{") { // a brace that nothing precedes does not count
		lex.Next()
		return
	}
	head := lex.Peek().Value == "for" // of a loop as in C, with semicolons
	for {
		t := lex.Peek()
		switch {
		case t.EOF():
			return
		case isOp(t, "{"):
			depth++
		case isOp(t, "}") || t.Type == tokUnclosed:
			if depth == 0 {
				return
			}
			depth--
		}
		lex.Next()
		if head && t.Type == tokSemi && t.Value == ";" {
			continue
		}
		if (t.Type == tokSemi || t.Type == tokUnclosed) && depth == 0 {
			return
		}
	}
}

// skipBody goes behind the body of an item that lacks its {. That exists if
// its } is known to be one too many, and all lines before that are indented.
func skipBody(lex *lexer.PeekingLexer) bool {
	start := lex.MakeCheckpoint()
	first := lex.Next()
	for prev := first; ; prev = lex.Next() {
		t := lex.Peek()
		if t.Type == tokBad && t.Value == "}" {
			lex.Next()
			return true
		}
		if t.EOF() || t.Pos.Line > prev.Pos.Line && t.Type != tokSemi && t.Pos.Column <= first.Pos.Column {
			lex.LoadCheckpoint(start)
			return false
		}
	}
}

// badItem stands for the tokens that were skipped, without blanks around them.
func badItem(toks []lexer.Token) *Bad {
	b := &Bad{}
	wantName := true // only keywords, names and commas so far: `x, y :=`, `param w f32`
	for i := range toks {
		t := &toks[i]
		if t.Type == tokSpace || t.Type == tokComment || t.Type == tokSemi {
			continue
		}
		s := tokenSpan(t)
		if !b.Pos.IsValid() {
			b.Pos = s.Pos
		}
		b.End = s.End
		switch {
		case wantName && t.Type == tokIdent:
			b.Names = append(b.Names, t.Value)
			wantName = i+1 < len(toks) && isOp(&toks[i+1], ",")
		case !isOp(t, ",") && t.Type != tokKeyword:
			wantName = false
		}
	}
	return b
}

// nextWritten returns the next token that stands in the text.
func nextWritten(lex *lexer.PeekingLexer) *lexer.Token {
	start := lex.MakeCheckpoint()
	defer lex.LoadCheckpoint(start)
	for lex.Peek().Type == tokUnclosed {
		lex.Next()
	}
	return lex.Peek()
}

// lastToken returns the last token that was taken; there must be one.
func lastToken(lex *lexer.PeekingLexer) *lexer.Token {
	at := lex.RawCursor() // directly behind it
	return &lex.Range(at-1, at)[0]
}

// quotedWant finds the first thing that participle expected: the rest of its
// list is the tail of a grammar rule, not an alternative.
var quotedWant = regexp.MustCompile(`\(expected \(*(?:"([^"]+)"|(\w+))`)

var spokenWant = map[string]string{
	"GType": "a type", "gParams": "`(`", "GTensor": "a declaration",
}

// fileless makes a Diagnostic, still without its file, of any error of participle.
func fileless(err error) *Diagnostic {
	var own *syntaxError
	if errors.As(err, &own) {
		return own.d
	}
	var unexpected *participle.UnexpectedTokenError
	if errors.As(err, &unexpected) {
		t := &unexpected.Unexpected
		m := quotedWant.FindStringSubmatch(unexpected.Message())
		switch {
		case m != nil && m[1] != "":
			return fileless(expected("`"+m[1]+"`", t))
		case m != nil && spokenWant[m[2]] != "":
			return fileless(expected(spokenWant[m[2]], t))
		}
		return fileless(failAt(t, "unexpected "+describe(t), ""))
	}
	var other participle.Error
	if errors.As(err, &other) {
		p := toPos(other.Position())
		return &Diagnostic{Pos: p, End: p, Msg: other.Message()}
	}
	return &Diagnostic{Pos: Pos{Line: 1, Col: 1}, Msg: err.Error()}
}
