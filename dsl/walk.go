package dsl

// Walk calls f for n and, where f returns true, for the nodes below it, in the
// order of the text. Nil nodes are skipped. A type that grouped parameters
// share is visited once, with the last of them.
func Walk(n Node, f func(Node) bool) {
	if isNil(n) || !f(n) {
		return
	}
	w := func(c Node) { Walk(c, f) }
	switch n := n.(type) {
	case *File:
		w(n.Package)
		walkList(n.Imports, f)
		walkList(n.Decls, f)
	case *Import:
		w(n.Path)
	case *DimDecl:
		walkList(n.Items, f)
	case *DimItem:
		w(n.Name)
		w(n.Bound)
	case *ConstDecl:
		w(n.Name)
		walkList(n.Index, f)
		w(n.Value)
	case *LayerDecl:
		w(n.Name)
		w(n.Alias)
		walkList(n.Generics, f)
		walkList(n.Params, f)
		walkList(n.Members, f)
	case *Generic:
		w(n.Name)
		w(n.Default)
	case *Param:
		w(n.Name)
		if n.Type != nil && n.Type.Pos.Offset < n.End.Offset { // else it belongs to a later name
			w(n.Type)
		}
		w(n.Default)
	case *Type:
		w(n.Name)
		walkList(n.Dims, f)
	case *TensorDecl:
		walkList(n.Names, f)
		w(n.Type)
		w(n.Init)
	case *FieldDecl:
		walkList(n.Names, f)
		w(n.Count)
		w(n.Layer)
	case *IfMember:
		w(n.Cond)
		walkList(n.Then, f)
		walkList(n.Else, f)
	case *BlockDecl:
		w(n.Name)
		walkList(n.Entries, f)
	case *Setting:
		walkList(n.Values, f)
	case *Group:
		walkList(n.Select, f)
		walkList(n.Entries, f)
	case *Ignore:
		walkList(n.Patterns, f)
	case *FuncDecl:
		w(n.Name)
		walkList(n.Generics, f)
		walkList(n.Params, f)
		walkList(n.Results, f)
		w(n.Body)
	default:
		walkStmt(n, f)
	}
}

func walkStmt(n Node, f func(Node) bool) {
	w := func(c Node) { Walk(c, f) }
	switch n := n.(type) {
	case *Body:
		walkList(n.Stmts, f)
	case *ReturnStmt:
		walkList(n.Values, f)
	case *VarStmt:
		walkList(n.Names, f)
		w(n.Type)
		w(n.Init)
	case *AssertStmt:
		w(n.Cond)
		w(n.Msg)
	case *ForStmt:
		w(n.Key)
		w(n.Value)
		w(n.X)
		w(n.Body)
	case *IfStmt:
		w(n.Cond)
		w(n.Then)
		w(n.Else)
	case *AssignStmt:
		walkList(n.Left, f)
		walkList(n.Right, f)
	default:
		walkExpr(n, f)
	}
}

func walkExpr(n Node, f func(Node) bool) {
	w := func(c Node) { Walk(c, f) }
	switch n := n.(type) {
	case *Select:
		w(n.X)
		w(n.Name)
	case *Call:
		w(n.Fun)
		walkList(n.Args, f)
	case *Arg:
		w(n.Name)
		w(n.Value)
	case *Index:
		w(n.X)
		walkList(n.Items, f)
	case *Item:
		w(n.Name)
		w(n.X)
		w(n.Lo)
		w(n.Hi)
	case *Unary:
		w(n.X)
	case *Binary:
		w(n.X)
		w(n.Y)
	case *Paren:
		w(n.X)
	case *List:
		walkList(n.Items, f)
	}
}

func walkList[N Node](list []N, f func(Node) bool) {
	for _, n := range list {
		Walk(n, f)
	}
}

// isNil tells whether n is nil or a nil pointer: optional parts of nodes are both.
func isNil(n Node) bool {
	switch n := n.(type) {
	case nil:
		return true
	case *Name:
		return n == nil
	case *String:
		return n == nil
	case *Type:
		return n == nil
	case *Body:
		return n == nil
	}
	return false
}
