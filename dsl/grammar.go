package dsl

import (
	"github.com/alecthomas/participle/v2"
	"github.com/alecthomas/participle/v2/lexer"
)

// The grammar of everything but expressions and lists, as participle reads it.
// These types live only during a parse; convert.go makes the syntax tree of
// them. All alternatives differ in their first token, so the parsers look no
// further (UseLookahead(0)): what fails after a token was taken has failed.
// Semicolons are left to the loops in parse.go.

type gTop struct {
	Package *gPackage `parser:"(  @@"`
	Import  *gImport  `parser:" | @@"`
	Dim     *gDim     `parser:" | @@"`
	Const   *gConst   `parser:" | @@"`
	Func    *gFunc    `parser:" | @@"`
	Layer   *gLayer   `parser:" | @@ )"`
}

type gPackage struct {
	Name gName `parser:"'package':Keyword @@"`
}

type gImport struct {
	Path *gString  `parser:"'import':Keyword ( @@"`
	List *gStrings `parser:"                 | @@ )"`
}

type gDim struct {
	Pos, EndPos lexer.Position
	Items       []*gDimItem `parser:"'dim':Keyword @@ ( ',' @@ )*"`
}

type gDimItem struct {
	Pos, EndPos lexer.Position
	Name        gName  `parser:"@@"`
	Rel         string `parser:"( @( '<=' | '>=' )"`
	Bound       *gExpr `parser:"  @@ )?"`
}

type gConst struct {
	Pos, EndPos lexer.Position
	Left        gExpr `parser:"'const':Keyword @@"`
	Value       gExpr `parser:"'=' @@"`
}

type gLayer struct {
	Pos, EndPos lexer.Position
	Kind        string     `parser:"@( 'layer':Keyword | 'model':Keyword | 'optimizer':Keyword )"`
	Name        gName      `parser:"@@"`
	Alias       *gExpr     `parser:"( '=' @@"`
	Generics    *gGenerics `parser:"| @@?"`
	Params      *gParams   `parser:"  @@?"`
	Members     *gMembers  `parser:"  @@ )"`
}

type gGeneric struct {
	Pos, EndPos lexer.Position
	Name        *gName    `parser:"( @@"`
	Pack        *gPack    `parser:"| @@ )"`
	Default     *gDefault `parser:"@@?"`
}

type gDefault struct {
	Value gExpr `parser:"'=' @@"`
}

type gParam struct {
	Pos, EndPos lexer.Position
	Name        gName     `parser:"@@"`
	Type        *gType    `parser:"@@?"`
	Default     *gDefault `parser:"@@?"`
}

type gType struct {
	Pos, EndPos lexer.Position
	Name        gTypeName `parser:"@@"`
	Dims        *gDims    `parser:"@@?"`
}

type gMember struct {
	Tensor *gTensor   `parser:"(  @@"`
	Const  *gConst    `parser:" | @@"`
	Dim    *gDim      `parser:" | @@"`
	Func   *gFunc     `parser:" | @@"`
	If     *gIfMember `parser:" | @@"`
	Assert *gAssert   `parser:" | @@"`
	Block  *gBlock    `parser:" | @@"`
	Field  *gField    `parser:" | @@ )"`
}

type gTensor struct {
	Pos, EndPos lexer.Position
	Kind        string    `parser:"@( 'param':Keyword | 'state':Keyword | 'cache':Keyword )"`
	Names       gNames    `parser:"@@"`
	Type        gType     `parser:"@@"`
	Init        *gDefault `parser:"@@?"`
}

type gField struct {
	Pos, EndPos lexer.Position
	Names       gNames `parser:"@@"`
	Count       *gExpr `parser:"( '[' @@ ']' )?"`
	Layer       gExpr  `parser:"@@"`
}

type gIfMember struct {
	Pos, EndPos lexer.Position
	Cond        gExpr          `parser:"'if':Keyword @@"`
	Then        gMembers       `parser:"@@"`
	Else        []*gElseMember `parser:"@@*"`
}

type gElseMember struct {
	Cond    *gElseIf `parser:"'else':Keyword @@?"`
	Members gMembers `parser:"@@"`
}

type gElseIf struct {
	Pos lexer.Position
	X   gExpr `parser:"'if':Keyword @@"`
}

type gBlock struct {
	Pos, EndPos lexer.Position
	Kind        string   `parser:"@( 'train':Keyword | 'generate':Keyword | 'names':Keyword )"`
	Name        gName    `parser:"@@"`
	Entries     gEntries `parser:"@@"`
}

type gEntry struct {
	Pos, EndPos lexer.Position
	Group       *gGroup    `parser:"( @@"`
	Key         *gKey      `parser:"| @@"`
	Values      *gExprs    `parser:"  ( '=' @@"`
	Patterns    *gPatterns `parser:"  | @@ ) )"`
}

type gGroup struct {
	Select  gExprs   `parser:"'group':Keyword @@"`
	Entries gEntries `parser:"@@"`
}

type gFunc struct {
	Pos, EndPos lexer.Position
	Name        gName      `parser:"'func':Keyword @@"`
	Generics    *gGenerics `parser:"@@?"`
	Params      gParams    `parser:"@@"`
	Results     *gParams   `parser:"( @@"`
	Result      *gType     `parser:"| @@ )?"`
	Body        gBody      `parser:"@@"`
}

type gStmt struct {
	Return *gReturn `parser:"(  @@"`
	For    *gFor    `parser:" | @@"`
	If     *gIf     `parser:" | @@"`
	Var    *gVar    `parser:" | @@"`
	Const  *gConst  `parser:" | @@"`
	Assert *gAssert `parser:" | @@"`
	Assign *gAssign `parser:" | @@ )"`
}

type gReturn struct {
	Pos, EndPos lexer.Position
	Values      *gValues `parser:"'return':Keyword @@?"`
}

type gFor struct {
	Pos, EndPos lexer.Position
	Vars        gNames `parser:"'for':Keyword @@"`
	X           gExpr  `parser:"':=' 'range':Keyword @@"`
	Body        gBody  `parser:"@@"`
}

type gIf struct {
	Pos, EndPos lexer.Position
	Cond        gExpr    `parser:"'if':Keyword @@"`
	Then        gBody    `parser:"@@"`
	Else        []*gElse `parser:"@@*"`
}

type gElse struct {
	Cond *gElseIf `parser:"'else':Keyword @@?"`
	Body gBody    `parser:"@@"`
}

type gVar struct {
	Pos, EndPos lexer.Position
	Names       gNames    `parser:"'var':Keyword @@"`
	Type        gType     `parser:"@@"`
	Init        *gDefault `parser:"@@?"`
}

type gAssert struct {
	Pos, EndPos lexer.Position
	Cond        gExpr    `parser:"'assert':Keyword @@"`
	Msg         *gString `parser:"( ',' @@ )?"`
}

type gAssign struct {
	Pos, EndPos lexer.Position
	Left        gExprs    `parser:"@@"`
	Op          gAssignOp `parser:"@@"`
	Right       gExprs    `parser:"@@"`
}

// The leaves and lists below have parsers of their own (leaves.go): they keep
// exact places, and say in their own words what is missing.

type gName struct{ *Name }
type gTypeName struct{ *Name }
type gPack struct{ Span }
type gString struct{ *String }
type gKey struct {
	Text   string
	At     Span
	Quoted bool
}
type gAssignOp struct {
	Op string
	At Span
}
type gExpr struct{ X Expr }
type gExprs struct{ List []Expr }
type gValues struct{ List []Expr }
type gNames struct{ List []*Name }
type gStrings struct{ List []*String }
type gPatterns struct{ List []*String }
type gDims struct{ List []Expr }
type gGenerics struct{ List []*gGeneric }
type gParams struct {
	At   Span
	List []*gParam
}

// loop is a list in braces. Each item has its own parse, so that a mistake
// spoils one item only; what went wrong is kept beside the items.
type loop[T any] struct {
	At    Span
	Items []loopItem[T]
	Errs  Diagnostics
}

// loopItem is an item or, in place of one that cannot be read, bad.
type loopItem[T any] struct {
	item *T
	bad  *Bad
}

type gMembers struct{ loop[gMember] }
type gEntries struct{ loop[gEntry] }
type gBody struct{ loop[gStmt] }

func build[G any]() *participle.Parser[G] {
	return participle.MustBuild[G](participle.Lexer(lmLexer{}), participle.Elide("Comment", "Space"), participle.UseLookahead(0))
}
