package dsl

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/alecthomas/participle/v2/lexer"
)

// Token types. participle wants negative numbers below its EOF, which is -1.
const (
	tokComment lexer.TokenType = -(iota + 2) // elided
	tokString
	tokNumber
	tokIdent
	tokKeyword
	tokOp
	tokSemi  // `;`, or the end of a line that ends a statement
	tokBad   // what no token starts with; its message is in badToken
	tokSpace // elided; a line end is a token of its own

	// tokUnclosed has no text. It stands before a line where a { should have
	// been closed, in texts where one } or more is missing.
	tokUnclosed
)

// The values of a tokSemi that is not written as `;` say what stood there.
const (
	semiLine  = "\n"
	semiBrace = "}" // before a closing brace
	semiEOF   = ""
)

var tokenSymbols = map[string]lexer.TokenType{
	"EOF": lexer.EOF, "Comment": tokComment, "String": tokString, "Number": tokNumber, "Ident": tokIdent,
	"Keyword": tokKeyword, "Op": tokOp, "Semi": tokSemi, "Bad": tokBad, "Space": tokSpace, "Unclosed": tokUnclosed,
}

// Keywords are the reserved words.
var Keywords = []string{
	"package", "import", "dim", "const", "func", "layer", "model", "optimizer", "param", "state", "cache", "var",
	"if", "else", "for", "range", "return", "assert", "train", "group", "generate", "names",
}

var isKeyword = setOf(Keywords...)

// startsLine holds the keywords that begin a declaration, member or statement
// and never stand inside an expression at the start of a line.
var startsLine = setOf("package", "import", "dim", "const", "func", "layer", "model", "optimizer", "param", "state",
	"cache", "var", "if", "else", "for", "return", "assert", "train", "group", "generate", "names")

func setOf(words ...string) map[string]bool {
	set := make(map[string]bool, len(words))
	for _, w := range words {
		set[w] = true
	}
	return set
}

// operators, longer ones first.
var operators = []string{
	"...", ":=", "+=", "-=", "*=", "/=", "|>", "**", "<=", ">=", "==", "!=", "&&", "||",
	"+", "-", "*", "/", "%", "@", "<", ">", "!", "=", ".", ",", ":", ";", "(", ")", "[", "]", "{", "}",
}

// lmLexer makes the scanner a participle lexer.Definition.
type lmLexer struct{}

// Symbols returns the names that the grammar's tags use for token types.
func (lmLexer) Symbols() map[string]lexer.TokenType { return tokenSymbols }

// Lex scans all of r.
func (lmLexer) Lex(filename string, r io.Reader) (lexer.Lexer, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	toks, _ := scan(filename, string(b))
	return &tokenList{toks}, nil
}

// tokenList hands out tokens that are already there; the last one is EOF.
type tokenList struct{ toks []lexer.Token }

// Next returns the next token, at the end EOF again and again.
func (l *tokenList) Next() (lexer.Token, error) {
	t := l.toks[0]
	if !t.EOF() {
		l.toks = l.toks[1:]
	}
	return t, nil
}

// peeking returns the tokens as the parsers read them, without comments and blanks.
func peeking(toks []lexer.Token) *lexer.PeekingLexer {
	lex, err := lexer.Upgrade(&tokenList{toks}, tokComment, tokSpace)
	if err != nil {
		panic("bug in dsl: " + err.Error()) // tokenList.Next never fails
	}
	return lex
}

// describe names a token in a message.
func describe(t *lexer.Token) string {
	switch {
	case t.EOF(), t.Type == tokSemi && t.Value == semiEOF:
		return "end of file"
	case t.Type == tokSemi && t.Value == semiLine:
		return "end of line"
	case t.Type == tokKeyword:
		return "keyword `" + t.Value + "`"
	}
	return "`" + t.Value + "`"
}

// badToken says what is wrong with a Bad token.
func badToken(t *lexer.Token) (msg, help string) {
	switch c := t.Value[0]; {
	case c == '"' && len(t.Value) > 1 && strings.HasSuffix(t.Value, `"`):
		return "this string is not valid UTF-8", ""
	case c == '"':
		return "this string has no end", "add a `\"` at the end of the line; a string cannot span lines"
	case isDigit(c) || c == '.':
		if strings.HasSuffix(strings.TrimRight(t.Value, "0123456789_."), "_") || strings.Contains(t.Value, "__") || strings.HasSuffix(t.Value, "_") {
			return "`" + t.Value + "` is not a number", "a `_` must stand between two digits"
		}
		return "`" + t.Value + "` is neither a number nor a name", "a name cannot start with a digit"
	case !utf8.ValidString(t.Value):
		return "this byte is not valid UTF-8", ""
	case c == '}':
		return "unexpected `}`", "there is one `}` too many here or above"
	case c == '^':
		return "unexpected `^`", "a power is written `**`"
	case c == '\'':
		return "unexpected `'`", "strings are written with `\"`"
	case c == '#':
		return "unexpected `#`", "comments start with `//`"
	}
	if r, _ := utf8.DecodeRuneInString(t.Value); !unicode.IsGraphic(r) || unicode.IsSpace(r) {
		return fmt.Sprintf("unexpected character %U", r), "it cannot be seen; delete it, or write a blank"
	}
	return "unexpected `" + t.Value + "`", ""
}
