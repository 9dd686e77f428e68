package dsl

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/alecthomas/participle/v2/lexer"
)

// maxNesting bounds brackets in brackets, so that no text can exhaust the
// stack of a pass that goes down the tree.
const maxNesting = 200

// scanner cuts a text into tokens. It never fails: what it cannot read becomes
// a Bad token. All tokens together, with the spaces and without the added
// semicolons, are the text again.
type scanner struct {
	name string
	src  string
	pos  lexer.Position // Column counts bytes, other than in participle's own lexers
	toks []lexer.Token
	last int // index of the last token that is not elided, or -1
	open []openBracket
	deep *lexer.Token

	indent  int // the column in which the present statement starts
	surplus int // how many } had no {
	missing int // how many } are known to be missing
	stray   int // how many } are known to be too many
}

// openBracket is a bracket that is open, and the indentation of its statement.
type openBracket struct {
	char         byte
	indent, line int
}

// scan returns the tokens of src, EOF included, and the first bracket that is
// nested deeper than maxNesting, or nil.
func scan(name, src string) (toks []lexer.Token, deep *lexer.Token) {
	s := scanPlain(name, src)
	s.leaveLists()
	if missing, stray := len(s.open), s.surplus; missing > 0 || stray > 0 {
		s = &scanner{name: name, src: src, last: -1, missing: missing, stray: stray}
		s.all()
	}
	return s.toks, s.deep
}

// scanPlain is scan without second thoughts about braces that are missing or
// too many.
func scanPlain(name, src string) *scanner {
	s := &scanner{name: name, src: src, last: -1}
	s.all()
	return s
}

func (s *scanner) all() {
	s.pos = lexer.Position{Filename: s.name, Line: 1, Column: 1}
	for s.pos.Offset < len(s.src) {
		s.next()
	}
	if s.endsStatement() {
		s.semicolon(semiEOF)
	}
	s.toks = append(s.toks, lexer.EOFToken(s.pos))
}

// emit takes the next n bytes as one token.
func (s *scanner) emit(t lexer.TokenType, n int) {
	text := s.src[s.pos.Offset : s.pos.Offset+n]
	s.toks = append(s.toks, lexer.Token{Type: t, Value: text, Pos: s.pos})
	if t != tokComment && t != tokSpace {
		s.last = len(s.toks) - 1
	}
	s.pos.Offset += n
	s.pos.Column += n
	if text == "\n" {
		s.pos.Line++
		s.pos.Column = 1
	}
}

// startStatement notes the indentation if a statement begins here, and closes,
// where braces are missing, those whose statement is no further out.
func (s *scanner) startStatement() {
	if s.last >= 0 {
		t := s.toks[s.last]
		if t.Pos.Line == s.pos.Line || t.Type != tokSemi && t.Value != "{" && t.Value != "}" {
			return
		}
	}
	s.indent = s.pos.Column
	for s.missing > 0 && s.src[s.pos.Offset] != '}' {
		n := len(s.open)
		if n == 0 || s.open[n-1].indent < s.indent {
			return
		}
		s.open = s.open[:n-1]
		s.missing--
		s.add(tokUnclosed, "")
	}
}

func (s *scanner) semicolon(value string) { s.add(tokSemi, value) }

// add puts in a token that is not in the text, directly behind the last one,
// before the blanks and the comment that may follow it: there the node ends
// that it ends.
func (s *scanner) add(typ lexer.TokenType, value string) {
	t := s.toks[s.last]
	added := lexer.Token{Type: typ, Value: value, Pos: toLexerPos(s.name, tokenSpan(&t).End)}
	s.last++
	s.toks = append(s.toks, lexer.Token{})
	copy(s.toks[s.last+1:], s.toks[s.last:])
	s.toks[s.last] = added
}

// endsStatement tells whether a statement ends after the last token if a line
// ends there: Go's rule, but never inside ( ) or [ ].
func (s *scanner) endsStatement() bool {
	if s.last < 0 || s.inList() {
		return false
	}
	t := s.toks[s.last]
	switch t.Type {
	case tokIdent, tokNumber, tokString, tokBad:
		return true
	case tokKeyword:
		return t.Value == "return"
	case tokOp:
		return t.Value == ")" || t.Value == "]" || t.Value == "}" || t.Value == "..."
	}
	return false
}

// breaksOff tells whether the last token wants something after it. If a new
// statement begins in the next line, then that is missing, as in `y := x +`,
// or a bracket is; a semicolon here keeps it from eating what follows.
func (s *scanner) breaksOff() bool {
	if s.last < 0 {
		return false
	}
	t := s.toks[s.last]
	return t.Type == tokKeyword || t.Type == tokOp && t.Value != "{" && t.Value != "}"
}

// inList tells whether the innermost open bracket is ( or [.
func (s *scanner) inList() bool { return len(s.open) > 0 && s.open[len(s.open)-1].char != '{' }

// leaveLists forgets open ( and [ up to the innermost {: the program has
// reached a place where they must have been closed.
func (s *scanner) leaveLists() {
	for s.inList() {
		s.open = s.open[:len(s.open)-1]
	}
}

func (s *scanner) next() {
	rest := s.src[s.pos.Offset:]
	switch c := rest[0]; {
	case c == '\n':
		if beginsStatement(rest[1:], s.inList()) {
			s.leaveLists()
			if s.endsStatement() || s.breaksOff() {
				s.semicolon(semiLine)
			}
		} else if s.endsStatement() && !continuesWithPipe(rest) {
			s.semicolon(semiLine)
		}
		s.emit(tokSpace, 1)
	case isBlank(c):
		s.emit(tokSpace, len(rest)-len(strings.TrimLeft(rest, " \t\r")))
	case strings.HasPrefix(rest, "\ufeff") && s.pos.Offset == 0:
		s.emit(tokSpace, len("\ufeff"))
	case strings.HasPrefix(rest, "//"):
		s.emit(tokComment, len(strings.TrimRight(firstLine(rest), "\r")))
	default:
		s.startStatement()
		s.token(rest)
	}
}

func (s *scanner) token(rest string) {
	switch c := rest[0]; {
	case c == '"':
		n, ok := scanString(rest)
		s.emitIf(ok, tokString, n)
	case isDigit(c) || c == '.' && len(rest) > 1 && isDigit(rest[1]):
		n, ok := scanNumber(rest)
		s.emitIf(ok, tokNumber, n)
	case scanName(rest) > 0:
		n := scanName(rest)
		if isKeyword[rest[:n]] {
			s.emit(tokKeyword, n)
		} else {
			s.emit(tokIdent, n)
		}
	default:
		s.operator(rest)
	}
}

func (s *scanner) emitIf(ok bool, t lexer.TokenType, n int) {
	if !ok {
		t = tokBad
	}
	s.emit(t, n)
}

func (s *scanner) operator(rest string) {
	op := ""
	for _, o := range operators {
		if strings.HasPrefix(rest, o) {
			op = o
			break
		}
	}
	switch op {
	case "":
		_, n := utf8.DecodeRuneInString(rest)
		s.emit(tokBad, n)
		return
	case ";":
		s.emit(tokSemi, 1)
		return
	case "{":
		if s.last >= 0 && isOp(&s.toks[s.last], "{") {
			break // one too many, and so it has no }
		}
		s.leaveLists() // no list contains a brace
		s.open = append(s.open, openBracket{'{', s.indent, s.pos.Line})
	case "(", "[":
		s.open = append(s.open, openBracket{op[0], s.indent, s.pos.Line})
	case ")", "]":
		if s.inList() {
			s.open = s.open[:len(s.open)-1]
		}
	case "}":
		s.leaveLists()
		if s.endsStatement() {
			s.semicolon(semiBrace)
		}
		if s.strayBrace() {
			s.stray--
			s.emit(tokBad, 1)
			return
		}
		if len(s.open) > 0 {
			s.open = s.open[:len(s.open)-1]
		} else {
			s.surplus++
		}
	}
	s.emit(tokOp, len(op))
	if len(s.open) > maxNesting && s.deep == nil {
		t := s.toks[s.last]
		s.deep = &t
	}
}

// strayBrace tells, where there are too many }, whether this is one: it stands
// further in than the statement of the { that it would close, or behind
// something in another line.
func (s *scanner) strayBrace() bool {
	if s.stray == 0 || len(s.open) == 0 {
		return s.stray > 0
	}
	open := s.open[len(s.open)-1]
	if first := s.last < 0 || s.toks[s.last].Pos.Line < s.pos.Line; first {
		return s.pos.Column > open.indent
	}
	return open.line < s.pos.Line
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func firstLine(s string) string {
	if i := strings.IndexByte(s, '\n'); i >= 0 {
		return s[:i]
	}
	return s
}

// continuesWithPipe tells whether the next line that is not empty starts with |>.
func continuesWithPipe(s string) bool {
	for s != "" {
		s = strings.TrimLeft(s, " \t\r\n")
		if !strings.HasPrefix(s, "//") {
			return strings.HasPrefix(s, "|>")
		}
		s = s[len(firstLine(s)):]
	}
	return false
}

// beginsStatement tells whether a line starts with a word that no expression
// starts with, a closing brace, or the left side of an assignment. In a list
// `name = x` is an argument.
func beginsStatement(s string, inList bool) bool {
	s = strings.TrimLeft(s, " \t\r")
	if strings.HasPrefix(s, "}") {
		return true
	}
	n := scanName(s)
	return n > 0 && (startsLine[s[:n]] || assigns(firstLine(s), inList))
}

// assigns tells whether a line starts with names, maybe with indices, and an
// assignment operator.
func assigns(line string, inList bool) bool {
	depth := 0
	for i := 0; i < len(line); {
		switch c := line[i]; {
		case c == '[':
			depth++
			i++
		case c == ']' && depth > 0:
			depth--
			i++
		case depth > 0 || isBlank(c) || c == ',':
			i++
		case scanName(line[i:]) > 0:
			i += scanName(line[i:])
		default:
			for _, op := range []string{":=", "+=", "-=", "*=", "/="} {
				if strings.HasPrefix(line[i:], op) {
					return true
				}
			}
			return !inList && c == '=' && !strings.HasPrefix(line[i:], "==")
		}
	}
	return false
}

// scanName returns the length of the identifier at the start of s, or 0.
func scanName(s string) int {
	n := 0
	for n < len(s) {
		r, size := utf8.DecodeRuneInString(s[n:])
		if r != '_' && !unicode.IsLetter(r) && (n == 0 || !unicode.IsDigit(r)) {
			break
		}
		n += size
	}
	return n
}

// scanString returns the length of the string at the start of s; not ok means
// that its line ends first.
func scanString(s string) (n int, ok bool) {
	for n = 1; n < len(s) && s[n] != '\n'; n++ {
		switch s[n] {
		case '"':
			return n + 1, utf8.ValidString(s[:n])
		case '\\':
			if n+1 < len(s) && s[n+1] != '\n' {
				n++
			}
		}
	}
	return len(strings.TrimRight(s[:n], " \t\r")), false
}

// scanNumber returns the length of the number at the start of s. It is not ok
// if a letter follows directly, or if a _ does not stand between two digits.
func scanNumber(s string) (n int, ok bool) {
	ok = true
	digits := func() {
		for n < len(s) && (isDigit(s[n]) || s[n] == '_') {
			if s[n] == '_' && (n == 0 || !isDigit(s[n-1]) || n+1 == len(s) || !isDigit(s[n+1])) {
				ok = false
			}
			n++
		}
	}
	digits()
	if n < len(s) && s[n] == '.' && !strings.HasPrefix(s[n:], "..") {
		n++
		digits()
	}
	if n < len(s) && (s[n] == 'e' || s[n] == 'E') {
		exp := n + 1
		if exp < len(s) && (s[exp] == '+' || s[exp] == '-') {
			exp++
		}
		if exp < len(s) && isDigit(s[exp]) {
			n = exp
			digits()
		}
	}
	if m := scanName(s[n:]); m > 0 {
		return n + m, false
	}
	return n, ok
}
