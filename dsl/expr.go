package dsl

import (
	"github.com/alecthomas/participle/v2"
	"github.com/alecthomas/participle/v2/lexer"
)

// Expressions are parsed by precedence climbing behind participle's Parseable:
// a grammar with one rule per level would be slow and would speak of its rules
// in messages.

// Levels of precedence, low to high; Go's, with @ as a product, ** above the
// unary operators and |> below everything.
const (
	precPipe = iota + 1
	precOr
	precAnd
	precCompare
	precSum
	precProduct
	precUnary
	precPower
)

var precedence = map[string]int{
	"|>": precPipe,
	"||": precOr,
	"&&": precAnd,
	"==": precCompare, "!=": precCompare, "<": precCompare, "<=": precCompare, ">": precCompare, ">=": precCompare,
	"+": precSum, "-": precSum,
	"*": precProduct, "/": precProduct, "%": precProduct, "@": precProduct,
	"**": precPower,
}

// maxDepth bounds how deep an expression goes without brackets (`----x`,
// `a**b**c`), maxChain how many operators, calls and indices follow each other.
const (
	maxDepth = 500
	maxChain = 2000
)

// syntaxError carries a Diagnostic, still without its file, through participle.
type syntaxError struct {
	d   *Diagnostic
	bad bool // it is about a Bad token, wherever that stands
}

func (e *syntaxError) Error() string   { return e.d.Msg }
func (e *syntaxError) Message() string { return e.d.Msg }
func (e *syntaxError) Position() lexer.Position {
	return toLexerPos("", e.d.Pos)
}

var _ participle.Error = (*syntaxError)(nil)

func toLexerPos(file string, p Pos) lexer.Position {
	return lexer.Position{Filename: file, Line: p.Line, Column: p.Col, Offset: p.Offset}
}

func toPos(p lexer.Position) Pos { return Pos{p.Line, p.Column, p.Offset} }

// tokenSpan is the text of a token; the semicolon that a line end stands for is empty.
func tokenSpan(t *lexer.Token) Span {
	p := toPos(t.Pos)
	if t.EOF() || t.Type == tokUnclosed || t.Type == tokSemi && t.Value != ";" {
		return Span{p, p}
	}
	n := len(t.Value)
	return Span{p, Pos{p.Line, p.Col + n, p.Offset + n}}
}

// failAt reports a token that cannot stand where it stands. A Bad token is
// always reported as such, whatever was expected.
func failAt(t *lexer.Token, msg, help string) error {
	if t.Type == tokBad {
		msg, help = badToken(t)
	}
	s := tokenSpan(t)
	return &syntaxError{&Diagnostic{Pos: s.Pos, End: s.End, Msg: msg, Help: help}, t.Type == tokBad}
}

func failNode(n Node, msg, help string) error {
	return &syntaxError{d: &Diagnostic{Pos: n.Range().Pos, End: n.Range().End, Msg: msg, Help: help}}
}

// expected reports that something else than t was expected.
func expected(what string, t *lexer.Token) error {
	return failAt(t, "expected "+what+", found "+describe(t), "")
}

func isOp(t *lexer.Token, op string) bool { return t.Type == tokOp && t.Value == op }

// exprParser parses expressions from a token stream.
type exprParser struct {
	lex   *lexer.PeekingLexer
	last  *lexer.Token // that was taken, or nil
	end   Pos          // of last
	depth int
}

func (p *exprParser) peek() *lexer.Token { return p.lex.Peek() }
func (p *exprParser) at(op string) bool  { return isOp(p.lex.Peek(), op) }

func (p *exprParser) take() (*lexer.Token, Span) {
	t := p.lex.Next()
	s := tokenSpan(t)
	p.last, p.end = t, s.End
	return t, s
}

// expr parses operators that bind tighter than level min.
func (p *exprParser) expr(min int) (Expr, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, failAt(p.peek(), "this expression is nested too deeply", "give a part of it a name")
	}
	defer func() { p.depth-- }()
	x, err := p.unary()
	for n := 0; err == nil; n++ {
		t := p.peek()
		prec := precedence[t.Value]
		if t.Type != tokOp || prec <= min {
			return x, nil
		}
		if n == maxChain {
			return nil, failAt(t, "this expression is too long", "give a part of it a name")
		}
		x, err = p.binary(x, prec)
	}
	return nil, err
}

func (p *exprParser) binary(x Expr, prec int) (Expr, error) {
	op, at := p.take()
	if prec == precCompare {
		if b, ok := x.(*Binary); ok && precedence[b.Op] == precCompare {
			return nil, failNode(at, "comparisons do not chain", "write `a < b && b < c`")
		}
	}
	right := prec
	if op.Value == "**" { // right-associative, and its right side may be -x
		right = precUnary - 1
	}
	y, err := p.expr(right)
	if err != nil {
		return nil, err
	}
	if op.Value == "|>" {
		if err := pipeTarget(y); err != nil {
			return nil, err
		}
	}
	return &Binary{Span: Span{x.Range().Pos, p.end}, X: x, Op: op.Value, OpAt: at, Y: y}, nil
}

// pipeTarget checks the right side of |>.
func pipeTarget(y Expr) error {
	switch y.(type) {
	case *Name, *Select, *Call, *Index:
		return nil
	}
	return failNode(y, "the right side of `|>` must be a function or a call", "`x |> f(a)` means `f(x, a)`")
}

func (p *exprParser) unary() (Expr, error) {
	if !p.at("-") && !p.at("!") {
		return p.postfix()
	}
	op, at := p.take()
	x, err := p.expr(precUnary - 1) // so that -a**2 is -(a**2)
	if err != nil {
		return nil, err
	}
	return &Unary{Span: Span{at.Pos, p.end}, Op: op.Value, OpAt: at, X: x}, nil
}

func (p *exprParser) postfix() (Expr, error) {
	x, err := p.primary()
	for n := 0; err == nil; n++ {
		start := p.peek()
		switch {
		case n == maxChain:
			return nil, failAt(start, "this expression is too long", "give a part of it a name")
		case p.at("."):
			p.take()
			x, err = p.selector(x)
		case p.at("("):
			var args []*Arg
			args, err = parseList(p, ")", p.arg)
			x = &Call{Span: Span{x.Range().Pos, p.end}, Fun: x, Args: args}
		case p.at("["):
			var items []*Item
			items, err = parseList(p, "]", p.item)
			if err == nil && len(items) == 0 {
				err = failNode(Span{toPos(start.Pos), p.end}, "nothing stands between these brackets", "")
			}
			x = &Index{Span: Span{x.Range().Pos, p.end}, X: x, Items: items}
		default:
			return x, nil
		}
	}
	return nil, err
}

func (p *exprParser) selector(x Expr) (Expr, error) {
	if t := p.peek(); t.Type != tokIdent {
		return nil, failAt(t, "expected a name after `.`, found "+describe(t), "")
	}
	t, at := p.take()
	return &Select{Span: Span{x.Range().Pos, at.End}, X: x, Name: &Name{at, t.Value}}, nil
}

func (p *exprParser) primary() (Expr, error) {
	t := p.peek()
	switch {
	case t.Type == tokIdent && t.Value == "_":
		_, at := p.take()
		return &Underscore{at}, nil
	case t.Type == tokIdent:
		_, at := p.take()
		return &Name{at, t.Value}, nil
	case t.Type == tokNumber:
		_, at := p.take()
		return &Number{at, t.Value}, nil
	case t.Type == tokString:
		_, at := p.take()
		return &String{at, unquote(t.Value)}, nil
	case isOp(t, "..."):
		_, at := p.take()
		return &Ellipsis{at}, nil
	case isOp(t, "["):
		items, err := parseList(p, "]", func() (Expr, error) { return p.expr(0) })
		return &List{Span: Span{toPos(t.Pos), p.end}, Items: items}, err
	case isOp(t, "("):
		return p.paren()
	case t.Type == tokKeyword:
		return nil, failAt(t, "expected an expression, found "+describe(t), keywordHelp[t.Value])
	}
	if p.last != nil && p.last.Type == tokOp && precedence[p.last.Value] > 0 {
		return nil, expected("an expression after `"+p.last.Value+"`", t)
	}
	return nil, expected("an expression", t)
}

// keywordHelp is for keywords in expressions that are something else in other languages.
var keywordHelp = map[string]string{
	"func":  "there are no function values; declare a func and write its name",
	"if":    "to choose between two values, use where(condition, a, b)",
	"for":   "`for` is a statement; index notation or a reduction may be what you want",
	"state": "`state` is a keyword; choose another name",
	"model": "`model` is a keyword; choose another name",
	"group": "`group` is a keyword; choose another name",
	"names": "`names` is a keyword; choose another name",
	"train": "`train` is a keyword; inside functions, the constant `training` tells whether a step is running",
	"param": "`param` is a keyword; choose another name",
	"cache": "`cache` is a keyword; choose another name",
	"layer": "`layer` is a keyword; choose another name",
	"range": "`range` stands only in `for i := range n`",
}

func (p *exprParser) paren() (Expr, error) {
	_, open := p.take()
	x, err := p.expr(0)
	if err != nil {
		return nil, err
	}
	if !p.at(")") {
		return nil, p.unclosed(open, "(", "`)`", p.peek())
	}
	_, end := p.take()
	return &Paren{Span: Span{open.Pos, end.End}, X: x}, nil
}

// unclosed reports that a list goes on in the wrong way at t. If t stands in
// another line than the last token, then it is the end of the line that is wrong.
func (p *exprParser) unclosed(open Span, bracket, want string, t *lexer.Token) error {
	never := "`" + bracket + "` at " + open.Pos.String() + " is never closed"
	atEnd := t.EOF() || t.Type == tokSemi && t.Value != ";"
	switch {
	case t.Type == tokBad:
		return expected(want, t)
	case !atEnd && t.Pos.Line > p.end.Line:
		return failNode(Span{p.end, p.end}, "expected "+want+", found end of line", never)
	case atEnd || isOp(t, "{") || isOp(t, "}") || t.Type == tokSemi || t.Type == tokKeyword:
		return failAt(t, "expected "+want+", found "+describe(t), never)
	case want != "`)`" && (t.Type == tokIdent || t.Type == tokNumber || t.Type == tokString):
		return failAt(t, "expected "+want+", found "+describe(t), "is a comma missing before "+describe(t)+"?")
	}
	return expected(want, t)
}

// parseList parses items between brackets, with commas between them and maybe
// one at the end.
func parseList[T any](p *exprParser, closing string, item func() (T, error)) ([]T, error) {
	t, open := p.take()
	list := []T{}
	for !p.at(closing) {
		if next := p.peek(); next.EOF() || next.Type == tokSemi {
			return nil, p.unclosed(open, t.Value, "`"+closing+"`", p.peek())
		}
		x, err := item()
		if err != nil {
			return nil, err
		}
		list = append(list, x)
		if p.at(",") {
			p.take()
		} else if !p.at(closing) {
			return nil, p.unclosed(open, t.Value, "`,` or `"+closing+"`", p.peek())
		}
	}
	p.take()
	return list, nil
}

// arg parses an argument of a call: x or name = x.
func (p *exprParser) arg() (*Arg, error) {
	x, err := p.expr(0)
	if err != nil {
		return nil, err
	}
	name, ok := x.(*Name)
	if !ok || !p.at("=") {
		return &Arg{Span: x.Range(), Value: x}, nil
	}
	p.take()
	v, err := p.expr(0)
	if err != nil {
		return nil, err
	}
	return &Arg{Span: Span{name.Pos, p.end}, Name: name, Value: v}, nil
}

// item parses what stands in [ ]: x, a:b, a:, :b, :, name: range, D = 3, ... or _.
func (p *exprParser) item() (*Item, error) {
	it := &Item{Span: tokenSpan(p.peek())}
	var err error
	if !p.at(":") {
		if it.X, err = p.expr(0); err != nil {
			return nil, err
		}
	}
	name, isName := it.X.(*Name)
	switch {
	case isName && p.at("="):
		p.take()
		it.Kind, it.Name = ItemNamed, name
		it.X, err = p.expr(0)
	case p.at(":"):
		p.take()
		it.Kind, it.Lo, it.X = ItemSlice, it.X, nil
		if !p.at(",") && !p.at("]") {
			it.Hi, err = p.expr(0)
		}
	}
	it.End = p.end
	return it, err
}
