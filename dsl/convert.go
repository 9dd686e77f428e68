package dsl

import (
	"github.com/alecthomas/participle/v2/lexer"
)

// Here the types of the grammar become the syntax tree, and what the grammar
// cannot say is checked: which expressions may stand on the left of an
// assignment, that every parameter has a type, that `else` is the last.

func span(pos, end lexer.Position) Span { return Span{toPos(pos), toPos(end)} }

// fail reports a mistake in the text of n.
func (f *fileParser) fail(n Node, msg, help string) { f.report(fileless(failNode(n, msg, help))) }

func (f *fileParser) decl(g *gTop) Decl {
	switch {
	case g.Dim != nil:
		return f.dim(g.Dim)
	case g.Const != nil:
		return f.constant(g.Const)
	case g.Func != nil:
		return f.function(g.Func)
	}
	return f.layer(g.Layer)
}

func (f *fileParser) dim(g *gDim) *DimDecl {
	d := &DimDecl{Span: span(g.Pos, g.EndPos), Doc: f.docs[g.Pos.Line]}
	for _, it := range g.Items {
		d.Items = append(d.Items, &DimItem{span(it.Pos, it.EndPos), it.Name.Name, it.Rel, optional(it.Bound)})
	}
	return d
}

func optional(g *gExpr) Expr {
	if g == nil {
		return nil
	}
	return g.X
}

func defaultValue(g *gDefault) Expr {
	if g == nil {
		return nil
	}
	return g.Value.X
}

func (f *fileParser) constant(g *gConst) *ConstDecl {
	c := &ConstDecl{Span: span(g.Pos, g.EndPos), Doc: f.docs[g.Pos.Line], Value: g.Value.X}
	switch left := g.Left.X.(type) {
	case *Name:
		c.Name = left
	case *Index:
		if name, ok := left.X.(*Name); ok {
			c.Name, c.Index = name, left.Items
		}
	}
	if c.Name == nil {
		f.fail(g.Left.X, "only a name, or a name with indices, can be declared", "write `const K = …` or `const k[i: N] = …`")
		c.Name = &Name{g.Left.X.Range(), "_"}
	}
	return c
}

func (f *fileParser) layer(g *gLayer) *LayerDecl {
	l := &LayerDecl{Span: span(g.Pos, g.EndPos), Doc: f.docs[g.Pos.Line], Kind: LayerKind(g.Kind), Name: g.Name.Name,
		Alias: optional(g.Alias)}
	if g.Generics != nil {
		l.Generics = generics(g.Generics)
	}
	if g.Params != nil {
		l.Params = f.params(g.Params, "parameter")
	}
	if g.Members != nil {
		l.Members = f.members(g.Members)
	}
	if l.Alias != nil && !isLayerForm(l.Alias) {
		f.fail(l.Alias, "expected a layer with its dims and options, like GPT2[D = 1600](drop = 0)", "")
	}
	return l
}

func generics(g *gGenerics) []*Generic {
	var list []*Generic
	for _, x := range g.List {
		v := &Generic{Span: span(x.Pos, x.EndPos), Default: defaultValue(x.Default)}
		if x.Name != nil {
			v.Name = x.Name.Name
		} else {
			v.Name = &Name{x.Pack.Span, "..."}
		}
		list = append(list, v)
	}
	return list
}

// params gives every name its type: that of the next name that has one.
func (f *fileParser) params(g *gParams, what string) []*Param {
	list := make([]*Param, len(g.List))
	var typ *Type
	for i := len(g.List) - 1; i >= 0; i-- {
		x := g.List[i]
		p := &Param{Span: span(x.Pos, x.EndPos), Name: x.Name.Name, Default: defaultValue(x.Default)}
		switch {
		case x.Type != nil:
			typ = convertType(x.Type)
		case typ == nil:
			f.fail(p.Name, what+" `"+p.Name.Text+"` has no type", "write `"+p.Name.Text+" f32`, or `"+p.Name.Text+" f32[…]` with its dims")
			none := Span{p.Name.End, p.Name.End}
			typ = &Type{Span: none, Name: &Name{none, "_"}}
		case p.Default != nil:
			f.fail(p, what+" `"+p.Name.Text+"` has a default, so it needs a type of its own", "")
		}
		p.Type = typ
		list[i] = p
	}
	return list
}

func convertType(g *gType) *Type {
	t := &Type{Span: span(g.Pos, g.EndPos), Name: g.Name.Name}
	if g.Dims != nil {
		t.Dims = g.Dims.List
	}
	return t
}

func (f *fileParser) function(g *gFunc) *FuncDecl {
	d := &FuncDecl{Span: span(g.Pos, g.EndPos), Doc: f.docs[g.Pos.Line], Name: g.Name.Name,
		Params: f.params(&g.Params, "parameter"), Body: f.body(&g.Body)}
	if g.Generics != nil {
		d.Generics = generics(g.Generics)
	}
	switch {
	case g.Result != nil:
		t := convertType(g.Result)
		d.Results = []*Param{{Span: t.Span, Type: t}}
	case g.Results != nil && len(g.Results.List) == 0:
		f.fail(g.Results.At, "nothing stands between these parentheses", "a func without results has no second pair of parentheses")
	case g.Results != nil:
		d.Results = f.params(g.Results, "result")
	}
	return d
}

func (f *fileParser) members(g *gMembers) []Member {
	list := []Member{}
	for _, it := range g.Items {
		if it.bad != nil {
			list = append(list, it.bad)
		} else {
			list = append(list, f.member(it.item))
		}
	}
	f.diags = append(f.diags, g.Errs...) // after those of the items: of several unclosed braces, the inner one is told
	return list
}

func (f *fileParser) member(g *gMember) Member {
	switch {
	case g.Tensor != nil:
		t := g.Tensor
		return &TensorDecl{span(t.Pos, t.EndPos), f.docs[t.Pos.Line], TensorKind(t.Kind), t.Names.List,
			convertType(&t.Type), defaultValue(t.Init)}
	case g.Const != nil:
		return f.constant(g.Const)
	case g.Dim != nil:
		return f.dim(g.Dim)
	case g.Func != nil:
		return f.function(g.Func)
	case g.If != nil:
		return f.ifMember(g.If)
	case g.Assert != nil:
		return f.assert(g.Assert)
	case g.Block != nil:
		b := g.Block
		return &BlockDecl{span(b.Pos, b.EndPos), f.docs[b.Pos.Line], BlockKind(b.Kind), b.Name.Name,
			f.entries(&b.Entries, BlockKind(b.Kind))}
	}
	d := &FieldDecl{span(g.Field.Pos, g.Field.EndPos), f.docs[g.Field.Pos.Line], g.Field.Names.List,
		optional(g.Field.Count), g.Field.Layer.X}
	if !isLayerForm(d.Layer) {
		f.fail(d.Layer, "expected a layer, like nn.Linear[I, O](bias = false)", "")
	}
	return d
}

// isLayerForm tells whether x may name an instance of a layer.
func isLayerForm(x Expr) bool {
	if c, ok := x.(*Call); ok {
		x = c.Fun
	}
	if i, ok := x.(*Index); ok {
		x = i.X
	}
	if s, ok := x.(*Select); ok {
		x = s.X
	}
	_, ok := x.(*Name)
	return ok
}

// ifMember turns the list of else branches into nested conditions.
func (f *fileParser) ifMember(g *gIfMember) *IfMember {
	first := &IfMember{span(g.Pos, g.EndPos), g.Cond.X, f.members(&g.Then), nil}
	last := first
	for i, e := range g.Else {
		members := f.members(&e.Members)
		if e.Cond != nil {
			next := &IfMember{Span{toPos(e.Cond.Pos), first.End}, e.Cond.X.X, members, nil}
			last.Else = []Member{next}
			last = next
			continue
		}
		last.Else = members
		f.lastElse(i, len(g.Else), e.Members.At)
	}
	return first
}

// lastElse reports branches after a plain else.
func (f *fileParser) lastElse(i, n int, at Node) {
	if i < n-1 {
		f.fail(at, "another `else` follows this one", "only the last `else` can be without a condition")
	}
}

func (f *fileParser) assert(g *gAssert) *AssertStmt {
	a := &AssertStmt{Span: span(g.Pos, g.EndPos), Doc: f.docs[g.Pos.Line], Cond: g.Cond.X}
	if g.Msg != nil {
		a.Msg = g.Msg.String
	}
	return a
}

func (f *fileParser) entries(g *gEntries, kind BlockKind) []Entry {
	list := []Entry{}
	for _, it := range g.Items {
		if it.bad != nil {
			list = append(list, it.bad)
		} else {
			list = append(list, f.entry(it.item, kind))
		}
	}
	f.diags = append(f.diags, g.Errs...)
	return list
}

func (f *fileParser) entry(g *gEntry, kind BlockKind) Entry {
	at := span(g.Pos, g.EndPos)
	switch {
	case g.Group != nil:
		return &Group{at, f.docs[g.Pos.Line], g.Group.Select.List, f.entries(&g.Group.Entries, kind)}
	case g.Values != nil:
		return &Setting{at, f.docs[g.Pos.Line], g.Key.Text, g.Key.At, g.Key.Quoted, g.Values.List}
	}
	ig := &Ignore{Span: at, Patterns: g.Patterns.List}
	if g.Key.Quoted || g.Key.Text != "ignore" || kind != KindNames {
		f.fail(ig.Patterns[0], "expected `=`, found `"+ig.Patterns[0].String()+"`", "")
	}
	return ig
}
