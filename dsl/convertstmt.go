package dsl

func (f *fileParser) body(g *gBody) *Body {
	b := &Body{Span: g.At}
	for _, it := range g.Items {
		if it.bad != nil {
			b.Stmts = append(b.Stmts, it.bad)
		} else {
			b.Stmts = append(b.Stmts, f.stmt(it.item))
		}
	}
	f.diags = append(f.diags, g.Errs...)
	return b
}

func (f *fileParser) stmt(g *gStmt) Stmt {
	switch {
	case g.Return != nil:
		r := &ReturnStmt{Span: span(g.Return.Pos, g.Return.EndPos)}
		if g.Return.Values != nil {
			r.Values = g.Return.Values.List
		}
		return r
	case g.For != nil:
		return f.loop(g.For)
	case g.If != nil:
		return f.condition(g.If)
	case g.Var != nil:
		v := g.Var
		return &VarStmt{span(v.Pos, v.EndPos), v.Names.List, convertType(&v.Type), defaultValue(v.Init)}
	case g.Const != nil:
		return f.constant(g.Const)
	case g.Assert != nil:
		return f.assert(g.Assert)
	}
	return f.assign(g.Assign)
}

func (f *fileParser) loop(g *gFor) *ForStmt {
	s := &ForStmt{Span: span(g.Pos, g.EndPos), Key: g.Vars.List[0], X: g.X.X, Body: f.body(&g.Body)}
	if len(g.Vars.List) > 1 {
		s.Value = g.Vars.List[1]
	}
	if len(g.Vars.List) > 2 {
		f.fail(g.Vars.List[2], "a `for` has at most two variables: the index and the layer", "")
	}
	return s
}

// condition turns the list of else branches into nested conditions.
func (f *fileParser) condition(g *gIf) *IfStmt {
	first := &IfStmt{span(g.Pos, g.EndPos), g.Cond.X, f.body(&g.Then), nil}
	last := first
	for i, e := range g.Else {
		body := f.body(&e.Body)
		if e.Cond != nil {
			next := &IfStmt{Span{toPos(e.Cond.Pos), first.End}, e.Cond.X.X, body, nil}
			last.Else = next
			last = next
			continue
		}
		last.Else = body
		f.lastElse(i, len(g.Else), body)
	}
	return first
}

func (f *fileParser) assign(g *gAssign) *AssignStmt {
	a := &AssignStmt{span(g.Pos, g.EndPos), g.Left.List, g.Op.Op, g.Op.At, g.Right.List}
	for _, x := range a.Left {
		f.target(x)
	}
	if a.Op != ":=" && a.Op != "=" && (len(a.Left) > 1 || len(a.Right) > 1) {
		f.fail(a.OpAt, "`"+a.Op+"` takes one value on each side", "")
	}
	return a
}

// target checks the left side of an assignment.
func (f *fileParser) target(x Expr) {
	switch left := x.(type) {
	case *Name, *Underscore:
		return
	case *Index:
		if _, ok := left.X.(*Name); ok {
			return
		}
		if inner, ok := left.X.(*Index); ok {
			f.fail(x, "only a variable, or a part of one, can be assigned", "write all indices in one pair of brackets: `"+(&Index{X: inner.X, Items: append(inner.Items[:len(inner.Items):len(inner.Items)], left.Items...)}).String()+"`")
			return
		}
	}
	f.fail(x, "only a variable, or a part of one, can be assigned", "")
}
