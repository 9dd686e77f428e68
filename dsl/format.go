package dsl

import (
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/alecthomas/participle/v2/lexer"
)

// Format lays out a source file in the one usual way: tabs, blanks around
// operators, aligned columns of fields, settings and comments. It works on
// tokens and keeps the author's lines, so no comment can get lost. What it
// leaves to the author: where lines end, single empty lines, and whether
// + - * / % stand close (`b1*m + c`).
//
// A file with mistakes is laid out too; err then holds the Diagnostics.
func Format(filename string, src []byte) (text []byte, err error) {
	toks := scanPlain(filename, string(src)).toks
	p := &layout{src: string(src)}
	for _, t := range toks {
		if !written(t) {
			continue
		}
		p.toks = append(p.toks, t)
	}
	p.dropSemicolons()
	p.subscripts()
	p.layLines()
	text = p.text()
	if again := scanPlain(filename, string(text)).toks; !sameTokens(toks, again) {
		return src, errors.New("bug in dsl.Format: the program would change: " + filename)
	}
	_, diags := Parse(filename, src)
	return text, diags.Err()
}

// written tells whether t stands in the text, other than blanks.
func written(t lexer.Token) bool {
	return t.Type != tokSpace && t.Type != tokUnclosed && !t.EOF() && (t.Type != tokSemi || t.Value == ";")
}

// sameTokens compares two texts without blanks and semicolons.
func sameTokens(a, b []lexer.Token) bool {
	drop := func(t lexer.Token) bool { return !written(t) || t.Type == tokSemi }
	a, b = slices.DeleteFunc(slices.Clone(a), drop), slices.DeleteFunc(slices.Clone(b), drop)
	return slices.EqualFunc(a, b, func(x, y lexer.Token) bool {
		return x.Type == y.Type && strings.TrimRight(x.Value, " \t") == strings.TrimRight(y.Value, " \t")
	})
}

// scope is what a pair of braces holds.
type scope int

const (
	scopeOther   scope = iota // a file, or something in ( ) or [ ]
	scopeMembers              // fields and tensors are aligned
	scopeEntries              // settings are aligned
	scopeStmts
)

var scopeOf = map[string]scope{
	"layer": scopeMembers, "model": scopeMembers, "optimizer": scopeMembers,
	"train": scopeEntries, "generate": scopeEntries, "names": scopeEntries, "group": scopeEntries,
	"func": scopeStmts, "for": scopeStmts,
}

// layout is a text on its way from tokens to aligned lines.
type layout struct {
	src     string
	toks    []lexer.Token // without blanks and semicolons that are not written
	compact map[int]bool  // commas, by token, that no blank follows: q[b,h,t,c]
	open    []bracket
	header  int // the number of open brackets around the `func` whose { is to come, plus 1; or 0
	lines   []outLine
}

type bracket struct {
	char  string
	line  int // in the source
	scope scope
}

// outLine is one line of the result. Cells of one kind are aligned with those
// of the lines above and below.
type outLine struct {
	indent  int
	kind    lineKind
	cells   []string
	comment string // behind the code
}

type lineKind int

const (
	plainLine lineKind = iota
	emptyLine
	fieldLine
	tensorLine
	entryLine
)

func (p *layout) is(i int, value string) bool {
	return i >= 0 && i < len(p.toks) && p.toks[i].Type != tokString && p.toks[i].Type != tokComment && p.toks[i].Value == value
}

func (p *layout) isType(i int, t lexer.TokenType) bool {
	return i >= 0 && i < len(p.toks) && p.toks[i].Type == t
}

// tight tells whether token i follows the one before without a blank.
func (p *layout) tight(i int) bool {
	return i > 0 && p.toks[i-1].Pos.Offset+len(p.toks[i-1].Value) == p.toks[i].Pos.Offset
}

func (p *layout) sameLine(i, j int) bool {
	return i >= 0 && j < len(p.toks) && p.toks[i].Pos.Line == p.toks[j].Pos.Line
}

// operand tells whether token i ends an operand: what follows is binary.
func (p *layout) operand(i int) bool {
	return p.isType(i, tokIdent) || p.isType(i, tokNumber) || p.isType(i, tokString) ||
		p.is(i, ")") || p.is(i, "]") || p.is(i, "...")
}

// unary tells whether token i is a sign or a negation.
func (p *layout) unary(i int) bool {
	return p.is(i, "!") || p.is(i, "-") && !p.operand(i-1)
}

// dropSemicolons removes those that the end of a line or a brace implies.
func (p *layout) dropSemicolons() {
	kept := p.toks[:0:0]
	for i, t := range p.toks {
		if n := len(kept); t.Type == tokSemi && (n == 0 || kept[n-1].Pos.Line < t.Pos.Line || kept[n-1].Type == tokSemi || kept[n-1].Value == "{") {
			continue
		}
		next := i + 1
		for p.isType(next, tokSemi) {
			next++
		}
		if t.Type == tokSemi && (!p.sameLine(i, next) || p.isType(next, tokComment) || p.is(next, "}")) {
			continue
		}
		kept = append(kept, t)
	}
	p.toks = kept
}

// subscripts finds the brackets that hold only indices of one letter, numbers
// of one digit and `...`: those are written without blanks.
func (p *layout) subscripts() {
	p.compact = map[int]bool{}
	for i := range p.toks {
		if !p.is(i, "[") || !p.operand(i-1) {
			continue
		}
		letters := false
		j := i + 1
		for ; p.sameLine(i, j) && !p.is(j, "]"); j++ {
			v := p.toks[j].Value
			if v != "," && v != "..." && !compactWord(v) {
				break
			}
			letters = letters || p.isType(j, tokIdent)
		}
		if !p.is(j, "]") || !p.sameLine(i, j) || !letters {
			continue
		}
		for k := i + 1; k < j; k++ {
			p.compact[k] = p.is(k, ",")
		}
	}
}

// layLines cuts the tokens into lines.
func (p *layout) layLines() {
	for i := 0; i < len(p.toks); {
		end := i + 1
		for p.sameLine(i, end) {
			end++
		}
		closes := p.is(i, "}") || p.is(i, ")") || p.is(i, "]")
		if n := len(p.lines); n > 0 && p.toks[i].Pos.Line > p.toks[i-1].Pos.Line+1 &&
			!closes && !p.is(i-1, "{") && !p.is(i-1, "(") && !p.is(i-1, "[") {
			p.lines = append(p.lines, outLine{kind: emptyLine})
		}
		p.lines = append(p.lines, p.line(i, end))
		i = end
	}
}

// line lays out the tokens from i up to end.
func (p *layout) line(i, end int) outLine {
	l := outLine{}
	if p.inList() && beginsStatement(p.src[p.toks[i].Pos.Offset:], true) {
		p.leaveLists()
	}
	if p.toks[end-1].Type == tokComment && end-1 > i {
		end--
		l.comment = strings.TrimRight(p.toks[end].Value, " \t")
	}
	inner := scopeOther
	if n := len(p.open); n > 0 {
		inner = p.open[n-1].scope
	}
	var breaks []int
	l.kind, breaks = p.columns(i, end, inner)
	array := -1 // the ] of an array of layers
	if l.kind == fieldLine && p.is(breaks[0], "[") {
		array = p.closing(breaks[0], end)
	}
	closers := 0
	for closers < end-i && (p.is(i+closers, "}") || p.is(i+closers, ")") || p.is(i+closers, "]")) {
		closers++
	}
	l.indent = p.depth(0)
	var cell strings.Builder
	for k := i; k < end; k++ {
		switch {
		case k == i:
		case slices.Contains(breaks, k):
			l.cells = append(l.cells, cell.String())
			cell.Reset()
		case k == array+1 && array >= 0:
		case p.blank(k):
			cell.WriteByte(' ')
		}
		cell.WriteString(strings.TrimRight(p.toks[k].Value, " \t"))
		if opened := p.track(k, i); k < i+closers && opened > 0 {
			l.indent = p.depth(opened) // like the line of what is closed here
		}
	}
	if p.is(i, "|>") || p.isType(i, tokComment) && p.is(p.nextCode(i), "|>") {
		l.indent++
	}
	l.cells = append(l.cells, cell.String())
	p.keepTokens(&l, i, end)
	return l
}

// nextCode returns the next token after i that is not a comment.
func (p *layout) nextCode(i int) int {
	for p.isType(i, tokComment) {
		i++
	}
	return i
}

// keepTokens falls back to the line as it is written where blanks that were
// left out would join two tokens, as in wrong code like `! =`.
func (p *layout) keepTokens(l *outLine, i, end int) {
	again := scanPlain("", strings.Join(l.cells, " ")).toks
	again = slices.DeleteFunc(again, func(t lexer.Token) bool { return !written(t) })
	same := slices.EqualFunc(again, p.toks[i:end], func(a, b lexer.Token) bool {
		return a.Type == b.Type && a.Value == strings.TrimRight(b.Value, " \t")
	})
	if !same {
		last := p.toks[end-1]
		l.kind = plainLine
		l.cells = []string{strings.TrimRight(p.src[p.toks[i].Pos.Offset:last.Pos.Offset+len(last.Value)], " \t")}
	}
}

// depth is the indentation of a line here: brackets that were opened in the
// same line count once, and those of the given line or later not at all.
func (p *layout) depth(before int) int {
	n, line := 0, 0
	for _, b := range p.open {
		if b.line != line && (before == 0 || b.line < before) {
			n++
		}
		line = b.line
	}
	return n
}

// track follows the brackets; first is the first token of the line. It returns
// the line in which the bracket was opened that token k closes, or 0.
func (p *layout) track(k, first int) (opened int) {
	if p.toks[k].Type == tokKeyword && p.toks[k].Value == "func" && (k == first || p.is(k-1, "{") || p.is(k-1, ";")) {
		p.header = len(p.open) + 1
	}
	if p.toks[k].Type != tokOp {
		return 0
	}
	switch v := p.toks[k].Value; v {
	case "(", "[":
		p.open = append(p.open, bracket{v, p.toks[k].Pos.Line, scopeOther})
	case "{":
		p.leaveLists()
		p.open = append(p.open, bracket{v, p.toks[k].Pos.Line, p.scopeAt(k)})
		p.header = 0
	case ")", "]":
		if p.inList() {
			return p.pop()
		}
	case "}":
		p.leaveLists()
		if len(p.open) > 0 {
			return p.pop()
		}
	}
	return 0
}

func (p *layout) pop() (line int) {
	line = p.open[len(p.open)-1].line
	p.open = p.open[:len(p.open)-1]
	return line
}

// inList and leaveLists are those of the scanner: wrong code is indented as it
// is understood.
func (p *layout) inList() bool { return len(p.open) > 0 && p.open[len(p.open)-1].char != "{" }

func (p *layout) leaveLists() {
	for p.inList() {
		p.open = p.open[:len(p.open)-1]
	}
}

// scopeAt finds out what the brace at k opens: the nearest keyword before it
// tells; conditions hold what stands around them.
func (p *layout) scopeAt(k int) scope {
	for j := k - 1; j >= 0 && !p.is(j, "{") && !p.is(j, "}"); j-- {
		if s, ok := scopeOf[p.toks[j].Value]; ok && p.toks[j].Type == tokKeyword && p.startsItem(j) {
			return s
		}
	}
	for n := len(p.open) - 1; n >= 0; n-- {
		if p.open[n].char == "{" {
			return p.open[n].scope
		}
	}
	return scopeOther
}

// startsItem tells whether a declaration or statement begins at j: `layer` and
// `func` may also be types.
func (p *layout) startsItem(j int) bool {
	return !p.sameLine(j-1, j) || p.is(j-1, "{") || p.is(j-1, "}") || p.is(j-1, ";")
}

// columns tells what kind of line this is, and before which tokens its columns
// after the first one start.
func (p *layout) columns(i, end int, inner scope) (lineKind, []int) {
	switch {
	case inner == scopeEntries && p.is(i+1, "=") && i+2 < end:
		return entryLine, []int{i + 1}
	case inner != scopeMembers:
		return plainLine, nil
	}
	kind, j := fieldLine, i
	if p.is(i, "param") || p.is(i, "state") || p.is(i, "cache") {
		kind, j = tensorLine, i+1
	}
	if !p.isType(j, tokIdent) {
		return plainLine, nil
	}
	for j++; p.is(j, ",") && p.isType(j+1, tokIdent) && j+1 < end; j += 2 {
	}
	if j >= end || !(p.isType(j, tokIdent) || kind == fieldLine && p.is(j, "[") && p.isType(p.closing(j, end)+1, tokIdent)) {
		return plainLine, nil
	}
	breaks := []int{j}
	if kind == tensorLine {
		depth := 0
		for k := j; k < end; k++ {
			switch {
			case p.is(k, "(") || p.is(k, "["):
				depth++
			case p.is(k, ")") || p.is(k, "]"):
				depth--
			case p.is(k, "=") && depth == 0:
				return kind, append(breaks, k)
			}
		}
	}
	return kind, breaks
}

// closing returns the bracket that closes the one at i, or end.
func (p *layout) closing(i, end int) int {
	depth := 0
	for k := i; k < end; k++ {
		if p.is(k, "[") {
			depth++
		} else if p.is(k, "]") {
			if depth--; depth == 0 {
				return k
			}
		}
	}
	return end
}

// text aligns the columns and joins the lines.
func (p *layout) text() []byte {
	for from := 0; from < len(p.lines); {
		to := from + 1
		for to < len(p.lines) && p.lines[to].kind == p.lines[from].kind && p.lines[to].indent == p.lines[from].indent {
			to++
		}
		alignCells(p.lines[from:to])
		from = to
	}
	alignComments(p.lines)
	var b strings.Builder
	for _, l := range p.lines {
		if l.kind != emptyLine {
			b.WriteString(strings.Repeat("\t", l.indent) + l.cells[0] + l.comment)
		}
		b.WriteByte('\n')
	}
	return []byte(b.String())
}

// alignCells joins the cells of lines of one kind. A cell is as wide as the
// widest one directly above and below it, but the last of a line is not.
func alignCells(lines []outLine) {
	for col := 0; ; col++ {
		any := false
		for from := 0; from < len(lines); from++ {
			width, to := 0, from
			for to < len(lines) && col+1 < len(lines[to].cells) {
				width = max(width, utf8.RuneCountInString(lines[to].cells[col]))
				to++
			}
			for k := from; k < to; k++ {
				c := &lines[k].cells[col]
				*c += strings.Repeat(" ", width+1-utf8.RuneCountInString(*c))
				any = true
			}
			from = max(from, to-1)
		}
		if !any {
			break
		}
	}
	for k := range lines {
		if lines[k].kind != emptyLine {
			lines[k].cells = []string{strings.Join(lines[k].cells, "")}
		}
	}
}

// commentGap is the number of blanks before a comment behind code.
const commentGap = 3

// alignComments puts the comments behind consecutive lines below each other.
func alignComments(lines []outLine) {
	for from := 0; from < len(lines); from++ {
		width, to := 0, from
		for to < len(lines) && lines[to].comment != "" && lines[to].indent == lines[from].indent {
			width = max(width, utf8.RuneCountInString(lines[to].cells[0]))
			to++
		}
		for k := from; k < to; k++ {
			l := &lines[k]
			l.comment = strings.Repeat(" ", width-utf8.RuneCountInString(l.cells[0])+commentGap) + l.comment
		}
		from = max(from, to-1)
	}
}
