package dsl

import (
	"github.com/alecthomas/participle/v2"
	"github.com/alecthomas/participle/v2/lexer"
)

// The leaves and lists of the grammar. A leaf that stands where the grammar
// cannot do without it fails with a message of its own; one that may be left
// out answers participle.NextMatch.

func isNameToken(t *lexer.Token) bool { return t.Type == tokIdent }

func takeName(lex *lexer.PeekingLexer) *Name {
	t := lex.Next()
	return &Name{tokenSpan(t), t.Value}
}

func expectedName(t *lexer.Token) error {
	help := ""
	switch {
	case t.Type == tokKeyword && t.Value == "range":
		help = "write `for i := range n`, or `for _ := range n`"
	case t.Type == tokKeyword:
		help = "`" + t.Value + "` is a keyword; choose another name"
	}
	return failAt(t, "expected a name, found "+describe(t), help)
}

// Parse reads an identifier.
func (g *gName) Parse(lex *lexer.PeekingLexer) error {
	if !isNameToken(lex.Peek()) {
		return expectedName(lex.Peek())
	}
	g.Name = takeName(lex)
	return nil
}

var typeKeywords = setOf("dim", "func", "layer")

// Parse reads the name of a type, or finds none.
func (g *gTypeName) Parse(lex *lexer.PeekingLexer) error {
	if t := lex.Peek(); !isNameToken(t) && !(t.Type == tokKeyword && typeKeywords[t.Value]) {
		return participle.NextMatch
	}
	g.Name = takeName(lex)
	return nil
}

// Parse reads `...`, or finds none.
func (g *gPack) Parse(lex *lexer.PeekingLexer) error {
	if !isOp(lex.Peek(), "...") {
		return participle.NextMatch
	}
	g.Span = tokenSpan(lex.Next())
	return nil
}

// Parse reads a string.
func (g *gString) Parse(lex *lexer.PeekingLexer) error {
	if lex.Peek().Type != tokString {
		return expected("a string", lex.Peek())
	}
	t := lex.Next()
	g.String = &String{tokenSpan(t), unquote(t.Value)}
	return nil
}

// Parse reads the key of a setting: a name, a pattern in quotes, or `optimizer`.
func (g *gKey) Parse(lex *lexer.PeekingLexer) error {
	t := lex.Peek()
	if !isNameToken(t) && t.Type != tokString && !(t.Type == tokKeyword && t.Value == "optimizer") {
		return expected("a setting", t)
	}
	lex.Next()
	*g = gKey{Text: t.Value, At: tokenSpan(t), Quoted: t.Type == tokString}
	if g.Quoted {
		g.Text = unquote(t.Value)
	}
	return nil
}

var isAssignOp = setOf(":=", "=", "+=", "-=", "*=", "/=")

// Parse reads an assignment operator.
func (g *gAssignOp) Parse(lex *lexer.PeekingLexer) error {
	t := lex.Peek()
	if t.Type != tokOp || !isAssignOp[t.Value] {
		help := ""
		if t.Type == tokSemi {
			help = "calls have no effect besides their results: assign them, or return them"
		}
		return failAt(t, "expected `:=` or `=`, found "+describe(t), help)
	}
	lex.Next()
	*g = gAssignOp{t.Value, tokenSpan(t)}
	return nil
}

// Parse reads an expression.
func (g *gExpr) Parse(lex *lexer.PeekingLexer) (err error) {
	p := &exprParser{lex: lex}
	g.X, err = p.expr(0)
	return err
}

// Parse reads one or more expressions with commas between them.
func (g *gExprs) Parse(lex *lexer.PeekingLexer) error {
	p := &exprParser{lex: lex}
	for {
		x, err := p.expr(0)
		if err != nil {
			return err
		}
		g.List = append(g.List, x)
		if !p.at(",") {
			return nil
		}
		p.take()
	}
}

// Parse reads the values of a return, or finds none.
func (g *gValues) Parse(lex *lexer.PeekingLexer) error {
	if t := lex.Peek(); t.EOF() || t.Type == tokSemi || isOp(t, "}") {
		return participle.NextMatch
	}
	var list gExprs
	err := list.Parse(lex)
	g.List = list.List
	return err
}

// Parse reads one or more names with commas between them.
func (g *gNames) Parse(lex *lexer.PeekingLexer) error {
	for {
		if !isNameToken(lex.Peek()) {
			return expectedName(lex.Peek())
		}
		g.List = append(g.List, takeName(lex))
		if !isOp(lex.Peek(), ",") {
			return nil
		}
		lex.Next()
	}
}

// Parse reads the paths of an import in parentheses. Commas and semicolons
// between them are allowed; line ends are neither.
func (g *gStrings) Parse(lex *lexer.PeekingLexer) error {
	if !isOp(lex.Peek(), "(") {
		return expectedPath(lex.Peek())
	}
	p := &exprParser{lex: lex}
	_, open := p.take()
	for !p.at(")") {
		if t := p.peek(); t.Type != tokString {
			if t.EOF() || t.Type == tokSemi || t.Type == tokKeyword {
				return p.unclosed(open, "(", "`)`", t)
			}
			return expectedPath(t)
		}
		t, at := p.take()
		g.List = append(g.List, &String{at, unquote(t.Value)})
		if t := p.peek(); isOp(t, ",") || t.Type == tokSemi && t.Value == ";" {
			p.take()
		}
	}
	p.take()
	return nil
}

func expectedPath(t *lexer.Token) error {
	help := ""
	if t.Type == tokIdent {
		help = "write `" + quote(t.Value) + "`"
	}
	return failAt(t, "expected a path in quotes, found "+describe(t), help)
}

// Parse reads the patterns of an `ignore`: strings with commas between them.
func (g *gPatterns) Parse(lex *lexer.PeekingLexer) error {
	for {
		if lex.Peek().Type != tokString {
			if g.List == nil {
				return expected("`=`", lex.Peek())
			}
			return expected("a string", lex.Peek())
		}
		t := lex.Next()
		g.List = append(g.List, &String{tokenSpan(t), unquote(t.Value)})
		if !isOp(lex.Peek(), ",") {
			return nil
		}
		lex.Next()
	}
}

// Parse reads the dims of a type in brackets, or finds none.
func (g *gDims) Parse(lex *lexer.PeekingLexer) error {
	if !isOp(lex.Peek(), "[") {
		return participle.NextMatch
	}
	p := &exprParser{lex: lex}
	open := tokenSpan(p.peek())
	var err error
	g.List, err = parseList(p, "]", func() (Expr, error) { return p.expr(0) })
	return notEmpty(p, open, len(g.List), err)
}

// notEmpty reports brackets without anything in them.
func notEmpty(p *exprParser, open Span, n int, err error) error {
	if err == nil && n == 0 {
		return failNode(Span{open.Pos, p.end}, "nothing stands between these brackets", "")
	}
	return err
}

// Parse reads the dims of a declaration in brackets, or finds none.
func (g *gGenerics) Parse(lex *lexer.PeekingLexer) error {
	if !isOp(lex.Peek(), "[") {
		return participle.NextMatch
	}
	p := &exprParser{lex: lex}
	open := tokenSpan(p.peek())
	var err error
	g.List, err = parseList(p, "]", func() (*gGeneric, error) {
		v, err := parsers().generic.ParseFromLexer(lex, participle.AllowTrailing(true))
		p.end = toPos(v.EndPos)
		return v, err
	})
	return notEmpty(p, open, len(g.List), err)
}

// scalarTypes are names that are hardly those of parameters.
var scalarTypes = setOf("f32", "i32", "bool")

// Parse reads parameters in parentheses, or finds none.
func (g *gParams) Parse(lex *lexer.PeekingLexer) error {
	if !isOp(lex.Peek(), "(") {
		return participle.NextMatch
	}
	p := &exprParser{lex: lex}
	g.At = tokenSpan(p.peek())
	var err error
	g.List, err = parseList(p, ")", func() (*gParam, error) {
		v, err := parsers().param.ParseFromLexer(lex, participle.AllowTrailing(true))
		switch {
		case err == nil && p.at(":"):
			err = failAt(p.peek(), "expected a type, found `:`", "a parameter is written `x f32[B]`, without a colon")
		case err == nil && p.at("[") && v.Type == nil && scalarTypes[v.Name.Text]:
			err = failNode(v.Name, "a name is missing before this type", "write `x "+v.Name.Text+"[…]`")
		}
		p.end = toPos(v.EndPos)
		return v, err
	})
	g.At.End = p.end
	if t := p.peek(); err != nil && isNameToken(t) && scalarTypes[t.Value] && t.Pos.Offset == fileless(err).Pos.Offset {
		fileless(err).Help = "is a `)` missing before " + describe(t) + "?" // the result follows
	}
	return err
}

// Parse reads the body of a layer.
func (g *gMembers) Parse(lex *lexer.PeekingLexer) error {
	return parseLoop(lex, &g.loop, parsers().member, &memberRules)
}

// Parse reads the body of a block.
func (g *gEntries) Parse(lex *lexer.PeekingLexer) error {
	return parseLoop(lex, &g.loop, parsers().entry, &entryRules)
}

// Parse reads the body of a function, loop or condition.
func (g *gBody) Parse(lex *lexer.PeekingLexer) error {
	return parseLoop(lex, &g.loop, parsers().stmt, &stmtRules)
}
