package dsl

import (
	"strconv"
	"strings"
)

// Expr is an expression: *Name, *Number, *String, *Select, *Call, *Index,
// *Unary, *Binary, *Paren, *List, *Underscore or *Ellipsis. String prints it in
// one line as lmc fmt would, whatever the spacing in the source.
type Expr interface {
	Node
	String() string
	exprNode()
}

// Name is an identifier. The predeclared names (true, false, inf, nan, pi,
// training, step) are Names too.
type Name struct {
	Span
	Text string
}

// Number is a literal: `12`, `1_000`, `1e-5`, `.5`.
type Number struct {
	Span
	Text string // as written
}

// IsInt tells whether the literal has neither a point nor an exponent.
func (n *Number) IsInt() bool { return !strings.ContainsAny(n.Text, ".eE") }

// Int returns the value of an integer literal; ok is false when it is not one
// or does not fit.
func (n *Number) Int() (v int64, ok bool) {
	v, err := strconv.ParseInt(strings.ReplaceAll(n.Text, "_", ""), 10, 64)
	return v, err == nil
}

// Float returns the value of any literal, rounded to float64. A literal beyond
// its range gives an infinity.
func (n *Number) Float() float64 {
	v, _ := strconv.ParseFloat(strings.ReplaceAll(n.Text, "_", ""), 64) // on overflow v is ±Inf
	return v
}

// String is a string literal.
type String struct {
	Span
	Value string // without quotes and escapes
}

// Select is `X.Name`: a field, a method, a name of a package, or `.T`.
type Select struct {
	Span
	X    Expr
	Name *Name
}

// Call is `Fun(Args)`.
type Call struct {
	Span
	Fun  Expr
	Args []*Arg
}

// Arg is one argument, `x` or `name = x`.
type Arg struct {
	Span
	Name  *Name // or nil
	Value Expr
}

// Index is `X[Items]`: dims of a layer or operation, indices, slices, or the
// declared indices on the left side of an index definition.
type Index struct {
	Span
	X     Expr
	Items []*Item // at least one
}

// ItemKind is the form of an Item.
type ItemKind int

// The forms of an Item.
const (
	ItemPlain ItemKind = iota // an expression, `...` or `_`
	ItemNamed                 // Name = X
	ItemSlice                 // Lo:Hi, also `t: T`, which Declares tells apart
)

// Item is one item in index brackets.
type Item struct {
	Span
	Kind   ItemKind
	Name   *Name // of ItemNamed
	X      Expr  // of ItemPlain and ItemNamed
	Lo, Hi Expr  // of ItemSlice; either may be nil
}

// Declares returns the index and its range if the item has the form
// `name: range`. A slice between two names looks the same: only the place
// (the left side of a definition) tells them apart.
func (it *Item) Declares() (name *Name, limit Expr, ok bool) {
	n, isName := it.Lo.(*Name)
	if it.Kind != ItemSlice || !isName || it.Hi == nil {
		return nil, nil, false
	}
	return n, it.Hi, true
}

// Unary is `-X` or `!X`.
type Unary struct {
	Span
	Op   string
	OpAt Span
	X    Expr
}

// Binary is `X Op Y`. Op is one of + - * / % @ ** == != < <= > >= && || |>.
type Binary struct {
	Span
	X    Expr
	Op   string
	OpAt Span
	Y    Expr
}

// Paren is `(X)`.
type Paren struct {
	Span
	X Expr
}

// List is `[a, b]`: a constant list.
type List struct {
	Span
	Items []Expr
}

// Underscore is `_`: a value to throw away, a new axis, or a dim to infer.
type Underscore struct{ Span }

// Ellipsis is `...`: a pack of axes or of indices.
type Ellipsis struct{ Span }

func (*Name) exprNode()       {}
func (*Number) exprNode()     {}
func (*String) exprNode()     {}
func (*Select) exprNode()     {}
func (*Call) exprNode()       {}
func (*Index) exprNode()      {}
func (*Unary) exprNode()      {}
func (*Binary) exprNode()     {}
func (*Paren) exprNode()      {}
func (*List) exprNode()       {}
func (*Underscore) exprNode() {}
func (*Ellipsis) exprNode()   {}

// Unparen returns x without the parentheses around it.
func Unparen(x Expr) Expr {
	for {
		p, ok := x.(*Paren)
		if !ok {
			return x
		}
		x = p.X
	}
}

func (n *Name) String() string   { return n.Text }
func (n *Number) String() string { return n.Text }
func (s *String) String() string { return quote(s.Value) }
func (s *Select) String() string { return s.X.String() + "." + s.Name.Text }
func (c *Call) String() string   { return c.Fun.String() + "(" + joinStrings(c.Args, ", ") + ")" }
func (u *Unary) String() string  { return u.Op + u.X.String() }
func (p *Paren) String() string  { return "(" + p.X.String() + ")" }
func (l *List) String() string   { return "[" + joinStrings(l.Items, ", ") + "]" }

func (*Underscore) String() string { return "_" }
func (*Ellipsis) String() string   { return "..." }

// String prints `x` or `name = x`.
func (a *Arg) String() string {
	if a.Name != nil {
		return a.Name.Text + " = " + a.Value.String()
	}
	return a.Value.String()
}

// String prints `x[b,t]` without blanks where all items are short, as the
// formatter does, and `x[b, t-1]` otherwise.
func (x *Index) String() string {
	sep := ","
	letters := false
	for _, it := range x.Items {
		switch v := it.X.(type) {
		case *Name:
			letters = true
			if !compactWord(v.Text) {
				sep = ", "
			}
		case *Number:
			if !compactWord(v.Text) {
				sep = ", "
			}
		case *Ellipsis:
		default:
			sep = ", "
		}
		if it.Kind != ItemPlain {
			sep = ", "
		}
	}
	if !letters {
		sep = ", "
	}
	return x.X.String() + "[" + joinStrings(x.Items, sep) + "]"
}

// String prints the item as it stands between its brackets.
func (it *Item) String() string {
	switch it.Kind {
	case ItemNamed:
		return it.Name.Text + " = " + it.X.String()
	case ItemSlice:
		var lo, hi string
		if it.Lo != nil {
			lo = it.Lo.String()
		}
		if it.Hi != nil {
			hi = it.Hi.String()
		}
		return lo + ":" + hi
	}
	return it.X.String()
}

// String prints blanks around every operator but **.
func (b *Binary) String() string {
	op := " " + b.Op + " "
	if b.Op == "**" {
		op = "**"
	}
	return b.X.String() + op + b.Y.String()
}

// String prints `f32[B, T]`.
func (t *Type) String() string {
	if t.Dims == nil {
		return t.Name.Text
	}
	return t.Name.Text + "[" + joinStrings(t.Dims, ", ") + "]"
}

func joinStrings[T interface{ String() string }](list []T, sep string) string {
	parts := make([]string, len(list))
	for i, x := range list {
		parts[i] = x.String()
	}
	return strings.Join(parts, sep)
}

// compactWord tells whether an item may stand in compact brackets: q[b,h,0].
func compactWord(s string) bool {
	return len(s) == 1 && (s[0] >= 'a' && s[0] <= 'z' || s[0] >= '0' && s[0] <= '9')
}

// quote is the inverse of unquote: only the quote and the backslash are escaped.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// unquote drops the quotes of a string token; a backslash stands for the byte after it.
func unquote(s string) string {
	s = strings.TrimSuffix(strings.TrimPrefix(s, `"`), `"`)
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
