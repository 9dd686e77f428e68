package dsl

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"
)

func TestSourcesParse(t *testing.T) {
	for path, src := range sources(t) {
		f, diags := Parse(path, src)
		assert.Empty(t, diags, path)
		assert.Equal(t, strings.TrimSuffix(strings.TrimSuffix(filepath.Base(path), ".lm"), "_compact"), f.Package.Text,
			"a package is named like its file")
		assert.NotEmpty(t, f.Doc, path)
		checkTree(t, f)
	}
}

// checkTree checks what the documentation of Node promises: exact places
// inside of those of the parent, in the order of the text, and no missing parts.
func checkTree(t testing.TB, f *File) {
	_, diags := Parse(f.Name, f.Src)
	isWhole := len(diags) == 0 // otherwise a brace may be missing after a semicolon
	var stack []Span
	var visit func(n Node)
	visit = func(n Node) {
		s := n.Range()
		if s.Pos.Offset > s.End.Offset || s.End.Offset > len(f.Src) {
			t.Fatalf("%s: %T ends before it starts, or behind the file: %v", f.Name, n, s)
		}
		for _, p := range []Pos{s.Pos, s.End} {
			before := f.Src[:p.Offset]
			line, col := bytes.Count(before, []byte("\n"))+1, p.Offset-bytes.LastIndexByte(before, '\n')
			if p.Line != line || p.Col != col {
				t.Fatalf("%s: %T is at offset %d, which is %d:%d, not %v", f.Name, n, p.Offset, line, col, p)
			}
		}
		text := string(f.Src[s.Pos.Offset:s.End.Offset])
		if text != strings.Trim(text, " \t\r\n") || strings.HasSuffix(text, ";") && isWhole {
			t.Fatalf("%s: blanks around %T: %q", f.Name, n, text)
		}
		if len(stack) > 0 {
			up := stack[len(stack)-1]
			if s.Pos.Offset < up.Pos.Offset || s.End.Offset > up.End.Offset {
				t.Fatalf("%s: %T at %v leaves its parent %v", f.Name, n, s, up)
			}
		}
		if name, ok := n.(*Name); ok && name.Text != text && name.Text != "_" {
			t.Fatalf("%s: name %q has the text %q", f.Name, name.Text, text)
		}
		stack = append(stack, s)
		Walk(n, func(c Node) bool {
			if c == n {
				return true
			}
			visit(c)
			return false
		})
		stack = stack[:len(stack)-1]
	}
	visit(f)
}

// TestSyntaxErrors keeps the messages for wrong programs: testdata/syntax.
func TestSyntaxErrors(t *testing.T) {
	paths, err := filepath.Glob("testdata/syntax/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			ar, err := txtar.ParseFile(path)
			require.NoError(t, err)
			src := getPart(ar, "in.lm")
			f, diags := Parse("in.lm", src)
			checkTree(t, f)
			var got strings.Builder
			require.NoError(t, RenderAll(&got, diags, func(string) []byte { return src }, true))
			checkGolden(t, path, ar, "want", got.String())
		})
	}
}

// TestExprTrees fixes precedence and associativity.
func TestExprTrees(t *testing.T) {
	tests := []struct{ src, want string }{
		{"1 + 2*3", "(+ 1 (* 2 3))"},
		{"a - b - c", "(- (- a b) c)"},
		{"-a**2", "(- (** a 2))"},
		{"a**-b", "(** a (- b))"},
		{"a**b**c", "(** a (** b c))"},
		{"2**-x**2", "(** 2 (- (** x 2)))"},
		{"a*b@c", "(@ (* a b) c)"},
		{"-a*b", "(* (- a) b)"},
		{"!a && b || c", "(|| (&& (! a) b) c)"},
		{"a < b && c == d", "(&& (< a b) (== c d))"},
		{"x |> f |> g(2)", "(|> (|> x f) (call g 2))"},
		{"a + b |> reshape[B, T]", "(|> (+ a b) (index reshape B T))"},
		{"x[1:, :n, a:b, :, ..., _, D = 3, t: T]", "(index x 1: :n a:b : ... _ D=3 t:T)"},
		{"f(x, k = 2,)", "(call f x k=2)"},
		{"f[a](b)[c].T", "(. (index (call (index f a) b) c) T)"},
		{`"h.{i}.w".T`, `(. "h.{i}.w" T)`},
		{"[1, .5, -3]", "(list 1 .5 (- 3))"},
		{"(a + b) * c", "(* (+ a b) c)"},
		{"- -a", "(- (- a))"},
		{"1_000 + 1e-5 + 1.5e3", "(+ (+ 1_000 1e-5) 1.5e3)"},
		{"x[0...]", ""},
		{"w.1", ""},
		{"a +", ""},
		{"", ""},
		{"a b", ""},
		{"a < b < c", ""},
		{"x |> f |> g(2)+1", ""},
		{"x[]", ""},
	}
	for _, tt := range tests {
		x, diags := ParseExpr("", []byte(tt.src))
		if tt.want == "" {
			assert.Len(t, diags, 1, tt.src)
			assert.Nil(t, x, tt.src)
			continue
		}
		require.Empty(t, diags, tt.src)
		assert.Equal(t, tt.want, tree(x), tt.src)
		again, diags := ParseExpr("", []byte(x.String()))
		require.Empty(t, diags, "%s: printed as %s", tt.src, x)
		assert.Equal(t, tt.want, tree(again), "%s: printed as %s", tt.src, x)
	}
}

// tree prints the structure of an expression.
func tree(x Expr) string {
	switch x := x.(type) {
	case *Unary:
		return "(" + x.Op + " " + tree(x.X) + ")"
	case *Binary:
		return "(" + x.Op + " " + tree(x.X) + " " + tree(x.Y) + ")"
	case *Paren:
		return tree(x.X)
	case *Select:
		return "(. " + tree(x.X) + " " + x.Name.Text + ")"
	case *List:
		s := "(list"
		for _, it := range x.Items {
			s += " " + tree(it)
		}
		return s + ")"
	case *Call:
		s := "(call " + tree(x.Fun)
		for _, a := range x.Args {
			s += " "
			if a.Name != nil {
				s += a.Name.Text + "="
			}
			s += tree(a.Value)
		}
		return s + ")"
	case *Index:
		s := "(index " + tree(x.X)
		for _, it := range x.Items {
			s += " " + strings.ReplaceAll(it.String(), " ", "")
		}
		return s + ")"
	}
	return x.String()
}

func TestNumbers(t *testing.T) {
	tests := []struct {
		src   string
		isInt bool
		v     float64
	}{{"12", true, 12}, {"1_000", true, 1000}, {"1e-5", false, 1e-5}, {".5", false, .5}, {"2.", false, 2}, {"1E3", false, 1000}}
	for _, tt := range tests {
		x, diags := ParseExpr("", []byte(tt.src))
		require.Empty(t, diags, tt.src)
		n := x.(*Number)
		assert.Equal(t, tt.isInt, n.IsInt(), tt.src)
		assert.Equal(t, tt.v, n.Float(), tt.src)
		i, ok := n.Int()
		assert.Equal(t, tt.isInt, ok, tt.src)
		if ok {
			assert.Equal(t, int64(tt.v), i)
		}
	}
	x, _ := ParseExpr("", []byte("99999999999999999999"))
	_, ok := x.(*Number).Int()
	assert.False(t, ok, "too large for an int64")
}

// TestTree looks at one file that has every construct.
func TestTree(t *testing.T) {
	src, err := os.ReadFile("testdata/all.lm")
	require.NoError(t, err)
	f, diags := Parse("all.lm", src)
	require.Empty(t, diags)
	checkTree(t, f)

	seen := map[string]bool{}
	Walk(f, func(n Node) bool {
		seen[strings.TrimPrefix(reflect.TypeOf(n).String(), "*dsl.")] = true
		return true
	})
	for _, kind := range []string{"File", "Import", "DimDecl", "DimItem", "ConstDecl", "LayerDecl", "Generic", "Param", "Type",
		"TensorDecl", "FieldDecl", "IfMember", "BlockDecl", "Setting", "Group", "Ignore", "FuncDecl", "Body", "ReturnStmt", "VarStmt",
		"AssertStmt", "ForStmt", "IfStmt", "AssignStmt", "Name", "Number", "String", "Select", "Call", "Arg", "Index", "Item",
		"Unary", "Binary", "Paren", "List", "Underscore", "Ellipsis"} {
		assert.True(t, seen[kind], "no %s in the tree", kind)
	}

	assert.Equal(t, "Package ok uses every construct of the language.\nIt means nothing.", f.Doc)
	assert.Equal(t, "nn", f.Imports[0].Path.Value)
	layer := f.Decls[4].(*LayerDecl)
	assert.Equal(t, "L is a layer.", layer.Doc)
	assert.Equal(t, KindLayer, layer.Kind)
	assert.True(t, layer.Generics[2].IsPack())
	assert.Equal(t, "dim", layer.Params[4].Type.Name.Text)
	model := f.Decls[5].(*LayerDecl)
	loss := model.Members[1].(*FuncDecl)
	assert.Same(t, loss.Params[1].Type, loss.Params[2].Type, "p, q i32")
	assert.Equal(t, "q", loss.Params[2].Name.Text)
	assert.Equal(t, "loss", loss.Results[0].Name.Text)
	assert.Equal(t, "f32[B, D]", loss.Results[1].Type.String())
	train := model.Members[2].(*BlockDecl)
	assert.Equal(t, "optimizer", train.Entries[3].(*Setting).Key)
	assert.Equal(t, "what to make small", train.Entries[0].(*Setting).Doc)
	names := model.Members[4].(*BlockDecl)
	assert.True(t, names.Entries[0].(*Setting).Quoted)
	assert.Equal(t, "h.*.mask", names.Entries[1].(*Ignore).Patterns[0].Value)
	variant := f.Decls[6].(*LayerDecl)
	assert.Equal(t, "M[D = 16](p = 0.2)", variant.Alias.String())
	assert.Nil(t, variant.Members)
}

func TestDeepNesting(t *testing.T) {
	deep := func(s string) string { return strings.Repeat(s, 10_000) }
	tests := []string{
		"package a\nfunc f() { x := " + deep("(") + "1" + deep(")") + " }",
		"package a\nfunc f() { x := " + deep("(") + " }",
		"package a\nfunc f() { x := " + deep("f[") + " }",
		"package a\nfunc f() { x := " + deep("-") + "1 }",
		"package a\nfunc f() { x := 1" + deep("**1") + " }",
		"package a\nfunc f() { x := 1" + deep("+1") + " }",
		"package a\nfunc f() { x := f" + deep("(1)") + " }",
		"package a\nfunc f() { " + deep("if a { ") + " }",
		"package a\nlayer L { " + deep("if a { ") + " }",
		"package a\nlayer L { train S { " + deep("group a { ") + " } }",
	}
	for _, src := range tests {
		f, diags := Parse("deep.lm", []byte(src))
		require.Len(t, diags, 1, src[:40])
		assert.Regexp(t, "nested too deeply|too long", diags[0].Msg)
		checkTree(t, f)
		_, diags = ParseExpr("deep.lm", []byte(src[28:]))
		assert.NotEmpty(t, diags)
	}
	// Long but flat is fine.
	_, diags := Parse("long.lm", []byte("package a\nfunc f() {\n"+deep("x := [1, 2]\n")+"if a { }"+strings.Repeat(" else if b { }", 1000)+"\n}"))
	assert.Empty(t, diags)
}

func TestParseExpr(t *testing.T) {
	_, diags := ParseExpr("-set", []byte("1 +"))
	require.Len(t, diags, 1)
	assert.Equal(t, "-set:1:4: error: expected an expression after `+`, found end of file", diags[0].Error())
	_, diags = ParseExpr("-set", []byte("1 2"))
	assert.Equal(t, "-set:1:3: error: expected end of file, found `2`", diags[0].Error())
}
