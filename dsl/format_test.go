package dsl

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestSourcesFormatted: the library and the examples are how lmc fmt writes them.
func TestSourcesFormatted(t *testing.T) {
	all := sources(t)
	src, err := os.ReadFile("testdata/all.lm")
	require.NoError(t, err)
	all["testdata/all.lm"] = src
	for path, src := range all {
		got, err := Format(path, src)
		require.NoError(t, err)
		assert.Equal(t, string(src), string(got), path)
	}
}

// TestFormatFromScratch squeezes blanks and alignment out of the library and
// the examples and expects lmc fmt to put them back.
func TestFormatFromScratch(t *testing.T) {
	for path, src := range sources(t) {
		var flat strings.Builder
		for line := range strings.Lines(string(src)) {
			line = strings.TrimLeft(line, "\t")
			code, comment, found := strings.Cut(line, "   //")
			for !strings.HasPrefix(code, "//") && strings.Contains(code, "  ") {
				code = strings.ReplaceAll(code, "  ", " ")
			}
			if found {
				code += " //" + comment
			}
			flat.WriteString(code)
		}
		got, err := Format(path, []byte(flat.String()))
		require.NoError(t, err)
		assert.Equal(t, string(src), string(got), path)
	}
}

func TestFormat(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"blanks", "package   a\r\n\r\n\r\n\r\nfunc f( x   f32[B,T] ,y f32 )f32[ B , T ]{return x+y  *   2}\n\n\n",
			"package a\n\nfunc f(x f32[B, T], y f32) f32[B, T] { return x+y * 2 }\n"},
		{"indentation", "package a\nlayer L[D]{\nfunc f(x f32) f32{\nif training{\nx=-x\n}else{\nx=! y\n}\nreturn x\n}\n}",
			"package a\nlayer L[D] {\n\tfunc f(x f32) f32 {\n\t\tif training {\n\t\t\tx = -x\n\t\t} else {\n\t\t\tx = !y\n\t\t}\n\t\treturn x\n\t}\n}\n"},
		{"columns", "package a\nlayer L[D] {\n\ta , bc M[D] // x\n\td [3]nn.M[D]   // yy\n\tparam w f32 = 1\n\tparam ww,v f32[D] = 2\n\tcache k f32[D, D]\n\n\te M[D]\n}\n",
			"package a\nlayer L[D] {\n\ta, bc M[D]         // x\n\td     [3]nn.M[D]   // yy\n\tparam w     f32    = 1\n\tparam ww, v f32[D] = 2\n\tcache k     f32[D, D]\n\n\te M[D]\n}\n"},
		{"settings", "package a\nmodel M {\n train S{\nclip=3;\naccumulate = 1\ngroup rank<2{decay=0}\n lr = 2\n}\n}\n",
			"package a\nmodel M {\n\ttrain S {\n\t\tclip       = 3\n\t\taccumulate = 1\n\t\tgroup rank < 2 { decay = 0 }\n\t\tlr = 2\n\t}\n}\n"},
		{"assignments are not aligned", "package a\nfunc f() {\n\ta = 1\n\tbcd = 2\n\tif x {\n\t\ta = 1\n\t\tbcd = 2\n\t}\n}\n",
			"package a\nfunc f() {\n\ta = 1\n\tbcd = 2\n\tif x {\n\t\ta = 1\n\t\tbcd = 2\n\t}\n}\n"},
		{"members under conditions are", "package a\nlayer L {\n\tif c {\n\t\ta M\n\t\tbcd M\n\t} else {\n\t\ta M\n\t\tbcd M\n\t}\n}\n",
			"package a\nlayer L {\n\tif c {\n\t\ta   M\n\t\tbcd M\n\t} else {\n\t\ta   M\n\t\tbcd M\n\t}\n}\n"},
		{"indices", "package a\nfunc f() {\n\tz[ b , h,0, ... ] = x[b , t - 1] + y[t:T, : , :n, a :b, _] + l[1,2] + f(a,b)\n}\n",
			"package a\nfunc f() {\n\tz[b,h,0,...] = x[b, t - 1] + y[t:T, :, :n, a:b, _] + l[1, 2] + f(a, b)\n}\n"},
		{"continued lines", "package a\nfunc f() {\ny := x\n// why\n|>relu // c\n|>f(1,\n2)\nz := g(h(\n1,\n),\n2)\n}\n",
			"package a\nfunc f() {\n\ty := x\n\t\t// why\n\t\t|> relu   // c\n\t\t|> f(1,\n\t\t2)\n\tz := g(h(\n\t\t1,\n\t),\n\t\t2)\n}\n"},
		{"semicolons", "package a;\nfunc f() { a = 1 ;b = 2; };;\n;\nfunc g() { ; }\n",
			"package a\nfunc f() { a = 1; b = 2 }\n\nfunc g() {}\n"},
		{"empty lines in braces", "\n\npackage a\nfunc f() {\n\n\n\ta = 1\n\n\n\tb = 2\n\n}\n", "package a\nfunc f() {\n\ta = 1\n\n\tb = 2\n}\n"},
		{"results", "package a\nfunc f(x f32)(y f32,z f32){ return g(x)(y) }\nfunc g(x f32,\ny f32)(z f32) { return -(x) }\n",
			"package a\nfunc f(x f32) (y f32, z f32) { return g(x)(y) }\nfunc g(x f32,\n\ty f32) (z f32) { return -(x) }\n"},
		{"operators", "package a\nconst k = a ** - b*(c-d) @e|>f&&! g\nconst l = - 1 + -x - - y\n",
			"package a\nconst k = a**-b*(c-d) @ e |> f && !g\nconst l = -1 + -x - -y\n"},
		{"comments", "//a\n\n\n// b  \npackage a // c\ndim B // d\ndim TT // e\n\ndim C // f\n// g",
			"//a\n\n// b\npackage a   // c\ndim B       // d\ndim TT      // e\n\ndim C   // f\n// g\n"},
		{"nothing", "", ""},
		{"only blanks", "\n \n", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Format("a.lm", []byte(tt.in))
			var diags Diagnostics
			if err != nil && !errors.As(err, &diags) {
				t.Fatal(err)
			}
			assert.Equal(t, tt.want, string(got))
			again, _ := Format("a.lm", got)
			assert.Equal(t, tt.want, string(again), "twice")
		})
	}
}

// TestFormatWrong: files with mistakes are laid out too, and keep their tokens.
func TestFormatWrong(t *testing.T) {
	tests := []struct{ in, want string }{
		{"package a\nfunc f() {\nx := g(1, [2\nreturn x\n}\n", "package a\nfunc f() {\n\tx := g(1, [2\n\treturn x\n}\n"},
		{"package a\nconst x = ! = 2 /  / 3\n", "package a\nconst x = ! = 2 /  / 3\n"},
		{"package a\nconst x = 1 . T  ..  .\n", "package a\nconst x = 1 . T  ..  .\n"},
		{"package a\nconst x = \"abc  \nconst   y = 'q'\n", "package a\nconst x = \"abc\nconst y = 'q'\n"},
		{"}}\n)\nx", "} }\n)\nx\n"},
	}
	for _, tt := range tests {
		got, err := Format("a.lm", []byte(tt.in))
		var diags Diagnostics
		require.ErrorAs(t, err, &diags, tt.in)
		assert.Equal(t, tt.want, string(got))
	}
}

func TestStd(t *testing.T) {
	assert.Equal(t, []string{"nn", "optim", "prelude", "rnn", "schedule"}, StdNames())
	for _, name := range StdNames() {
		src, ok := Std(name)
		require.True(t, ok, name)
		f, diags := Parse(name, src)
		assert.Empty(t, diags)
		assert.Equal(t, name, f.Package.Text)
	}
	for _, name := range []string{"", "none", "../std/nn", "nn.lm"} {
		_, ok := Std(name)
		assert.False(t, ok, name)
	}
}
