package dsl

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// place finds text in a line of a source that has only this line; x@@+ is its
// second occurrence, x@@++ the third.
func place(t *testing.T, line int, text, find string) Span {
	find, nth, _ := strings.Cut(find, "@@")
	at := strings.Index(text, find)
	for range len(nth) {
		at += 1 + strings.Index(text[at+1:], find)
	}
	require.GreaterOrEqual(t, at, 0, find)
	return Span{Pos{line, at + 1, at}, Pos{line, at + len(find) + 1, at + len(find)}}
}

// TestRender compares the layout of messages with that of the language's
// gallery of errors.
func TestRender(t *testing.T) {
	type note struct{ find, text string }
	tests := []struct {
		file  string
		line  int
		text  string // the source line
		find  string // Pos to End
		msg   string
		label string
		notes []note
		in    []string
		help  string
		want  string
	}{
		{
			file: "01_matmul.lm", line: 7, text: "\t\treturn x @ w", find: "x @ w",
			msg:   "the inner dimensions of `@` differ: D=10 and 1",
			notes: []note{{"x", "f32[N=100, D=10]"}, {"w", "f32[1, D=10]"}},
			help:  "did you mean `x @ w.T`? it has the shape [N=100, 1]",
			want: `01_matmul.lm:7:10: error: the inner dimensions of '@' differ: D=10 and 1
  |
7 |         return x @ w
  |                ^   ^ f32[1, D=10]
  |                f32[N=100, D=10]
  = help: did you mean 'x @ w.T'? it has the shape [N=100, 1]
`},
		{
			file: "02_stretch.lm", line: 7, text: "\t\treturn mean((x @ w - y)**2)", find: "x @ w - y",
			msg:   "the shapes of `-` do not fit: [N=100] is not the end of [N=100, 1]",
			notes: []note{{"x @ w", "f32[N=100, 1]"}, {"y", "f32[N=100]"}},
			help:  "take the only column: `(x @ w)[:, 0]`. (NumPy would stretch both to [N=100, N=100].)",
			want: `02_stretch.lm:7:16: error: the shapes of '-' do not fit: [N=100] is not the end of [N=100, 1]
  |
7 |         return mean((x @ w - y)**2)
  |                      ^^^^^   ^ f32[N=100]
  |                      f32[N=100, 1]
  = help: take the only column: '(x @ w)[:, 0]'. (NumPy would stretch both to [N=100, N=100].)
`},
		{
			file: "03_dim.lm", line: 10, text: "\tfunc Logits(x f32[B, TT, D]) f32[B, TT, C] {", find: "TT",
			msg:  "`TT` is not declared",
			help: "did you mean the dimension `T`? A new one is declared with `dim TT` at the top of the file",
			want: `03_dim.lm:10:23: error: 'TT' is not declared
   |
10 |     func Logits(x f32[B, TT, D]) f32[B, TT, C] {
   |                          ^^
   = help: did you mean the dimension 'T'? A new one is declared with 'dim TT' at the top of the file
`},
		{
			file: "05_heads.lm", line: 8, text: "\tconst K = D / H   // channels of a head", find: "D / H",
			msg:   "`D / H` is not a whole number",
			notes: []note{{"D", "D=770"}, {"H", "H=12"}},
			in:    []string{"Attention[D, H], declared at 05_heads.lm:18:7", "Block[D, H], declared at 05_heads.lm:22:12"},
			help:  "`/` never rounds; write `floor(D / H)` if that is what you want",
			want: `05_heads.lm:8:12: error: 'D / H' is not a whole number
  |
8 |     const K = D / H   // channels of a head
  |               ^   ^ H=12
  |               D=770
  = in: Attention[D, H], declared at 05_heads.lm:18:7
  = in: Block[D, H], declared at 05_heads.lm:22:12
  = help: '/' never rounds; write 'floor(D / H)' if that is what you want
`},
		{
			file: "06_index.lm", line: 6, text: "\tz[b,h,t,s] := sum[c](q[b,t,h,c] * k[b,s,h,c])", find: "c@@++",
			msg: "index `c` has two ranges: 64 and 32", label: "axis 3 of `k` is 32",
			notes: []note{{"c@@+", "axis 3 of `q` is 64"}},
			help:  "to use only a part of the longer axis, write the range where the index is declared: `c: 64`",
			want: `06_index.lm:6:44: error: index 'c' has two ranges: 64 and 32
  |
6 |     z[b,h,t,s] := sum[c](q[b,t,h,c] * k[b,s,h,c])
  |                                               ^ axis 3 of 'k' is 32
  |                                  ^ axis 3 of 'q' is 64
  = help: to use only a part of the longer axis, write the range where the index is declared: 'c: 64'
`},
		{
			file: "07_reshape.lm", line: 11, text: "\t\treturn reshape[B, T, 3, H, K](qkv(x))", find: "reshape[B, T, 3, H, K](qkv(x))",
			msg:   "reshape must keep the number of elements: 2304*B*T is not 2160*B*T",
			label: "[B, T, 3, H=12, K=60]",
			notes: []note{{"qkv(x)", "f32[B, T, 3*D=2304]"}},
			help:  "apart from B*T, there are 2304 elements on one side and 2160 on the other",
			want: `07_reshape.lm:11:10: error: reshape must keep the number of elements: 2304*B*T is not 2160*B*T
   |
11 |         return reshape[B, T, 3, H, K](qkv(x))
   |                ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ [B, T, 3, H=12, K=60]
   |                                       ^^^^^^ f32[B, T, 3*D=2304]
   = help: apart from B*T, there are 2304 elements on one side and 2160 on the other
`},
		{
			file: "14_call.lm", line: 13, text: "\t\treturn x + dn(relu(up(ln(x))))", find: "relu(up(ln(x)))",
			msg: "nn.Linear[64, 64] wants `x` to be f32[..., D=64]", label: "this is f32[B, T, 4*D=256]",
			in:   []string{"bad.Block[64], called at 14_call.lm:22:8"},
			help: "axis 2 must be D=64, but it is 4*D=256",
			want: `14_call.lm:13:17: error: nn.Linear[64, 64] wants 'x' to be f32[..., D=64]
   |
13 |         return x + dn(relu(up(ln(x))))
   |                       ^^^^^^^^^^^^^^^ this is f32[B, T, 4*D=256]
   = in: bad.Block[64], called at 14_call.lm:22:8
   = help: axis 2 must be D=64, but it is 4*D=256
`},
		{
			file: "21_count.lm", line: 12, text: "\t\ty := lstm(x, zero, zero)", find: "lstm(x, zero, zero)",
			msg: "this gives 3 values; give each a name, or `_`",
			want: `21_count.lm:12:8: error: this gives 3 values; give each a name, or '_'
   |
12 |         y := lstm(x, zero, zero)
   |              ^^^^^^^^^^^^^^^^^^^
`},
		{
			file: "25_swapped.lm", line: 16, text: "\tattn Attention[D, C, H]", find: "C",
			msg:  "`C` is passed for dimension `H` of Attention[D, H, C], which has its own `C`",
			in:   []string{"Attention[D, C, H], declared at 25_swapped.lm:16:7"},
			help: "put them in order, or say what you mean: `H = C`",
			want: `25_swapped.lm:16:20: error: 'C' is passed for dimension 'H' of Attention[D, H, C], which has its own 'C'
   |
16 |     attn Attention[D, C, H]
   |                       ^
   = in: Attention[D, C, H], declared at 25_swapped.lm:16:7
   = help: put them in order, or say what you mean: 'H = C'
`},
		{ // three places, one without a text, letters of two bytes
			file: "three.lm", line: 3, text: "\tz := \"ä€\" + b + c\t+ d", find: "b",
			msg:   "m",
			notes: []note{{"d", "last"}, {"\"ä€\"", "first"}, {"b", "middle"}, {"c", ""}},
			want: `three.lm:3:17: error: m
  |
3 |     z := "ä€" + b + c    + d
  |          ^^^^   ^   ^      ^ last
  |          |      middle
  |          first
`},
		{ // overlapping notes
			file: "overlap.lm", line: 3, text: "f(a + b)", find: "f",
			msg:   "m",
			notes: []note{{"a + b", "sum"}, {"b", "right"}, {"a", "left"}},
			want: `overlap.lm:3:1: error: m
  |
3 | f(a + b)
  |   ^^^^^ sum
  |   ^   ^ right
  |   left
`},
	}
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			at := place(t, tt.line, tt.text, tt.find)
			d := Errorf(tt.file, at, "%s", tt.msg).Helpf("%s", tt.help)
			d.Label, d.In = tt.label, tt.in
			for _, n := range tt.notes {
				d.Note(place(t, tt.line, tt.text, n.find), "%s", n.text)
			}
			src := []byte(strings.Repeat("\n", tt.line-1) + tt.text + "\n")
			want := strings.ReplaceAll(tt.want, "'", "`")
			assert.Equal(t, want, Render(d, src, true))
			first, _, _ := strings.Cut(want, "\n")
			assert.Equal(t, first+"\n", Render(d, src, false))
		})
	}
}

func TestRenderOtherLines(t *testing.T) {
	src := []byte("\n\tbn   nn.BatchNorm[O]\n" + strings.Repeat("\n", 9) + "\tclip = perExample(1.0)\n")
	d := Errorf("dp.lm", Span{Pos{12, 9, 0}, Pos{12, 19, 0}}, "`perExample` needs a loss whose examples do not influence each other")
	d.Note(Span{Pos{2, 7, 0}, Pos{2, 22, 0}}, "mean over B here: nn/nn.lm:66").Helpf("nn.GroupNorm normalises every example by itself")
	assert.Equal(t, strings.ReplaceAll(`dp.lm:12:9: error: 'perExample' needs a loss whose examples do not influence each other
   |
12 |     clip = perExample(1.0)
   |            ^^^^^^^^^^
 2 |     bn   nn.BatchNorm[O]
   |          --------------- mean over B here: nn/nn.lm:66
   = help: nn.GroupNorm normalises every example by itself
`, "'", "`"), Render(d, src, true))
}

func TestRenderSpansAndEdges(t *testing.T) {
	src := []byte("f(a,\n\tb)\n")
	d := Errorf("m.lm", Span{Pos{1, 1, 0}, Pos{2, 4, 8}}, "two lines")
	assert.Equal(t, "m.lm:1:1: error: two lines\n  |\n1 | f(a,\n  | ^^^^\n", Render(d, src, true))
	d = &Diagnostic{File: "m.lm", Severity: Warning, Pos: Pos{9, 5, 99}, Msg: "behind the end", Help: "none"}
	assert.Equal(t, "m.lm:9:5: warning: behind the end\n  |\n9 |\n  |     ^\n  = help: none\n", Render(d, src, true))
	assert.Equal(t, "m.lm:9:5: warning: behind the end\n  = help: none\n", Render(d, nil, true))
}

func TestDiagnosticsList(t *testing.T) {
	at := func(off int) Span { return Span{Pos{1, off + 1, off}, Pos{1, off + 2, off + 1}} }
	ds := Diagnostics{Errorf("b.lm", at(0), "x"), Errorf("a.lm", at(5), "y"), Errorf("a.lm", at(2), "z"), Errorf("a.lm", at(5), "y")}
	ds.Sort()
	var b bytes.Buffer
	require.NoError(t, RenderAll(&b, ds, func(string) []byte { return nil }, false))
	assert.Equal(t, "a.lm:1:3: error: z\na.lm:1:6: error: y\nb.lm:1:1: error: x\n", b.String())
	assert.EqualError(t, ds.Err(), "a.lm:1:3: error: z (and 2 more)")
	warning := Diagnostics{{File: "a.lm", Severity: Warning, Msg: "w"}}
	assert.NoError(t, warning.Err())
	assert.False(t, warning.HasErrors())
}

func TestDiagnosticJSON(t *testing.T) {
	d := Errorf("a.lm", Span{Pos{2, 3, 9}, Pos{2, 6, 12}}, "a < b").Helpf("h")
	d.Note(Span{Pos{2, 3, 9}, Pos{2, 4, 10}}, "f32[B]")
	d.In = []string{"L[3]"}
	assert.Equal(t, `{"file":"a.lm","line":2,"column":3,"endLine":2,"endColumn":6,"severity":"error","message":"a < b",`+
		`"notes":[{"line":2,"column":3,"endLine":2,"endColumn":4,"text":"f32[B]"}],"in":["L[3]"],"help":"h"}`+"\n", string(d.JSON()))
	assert.Equal(t, `{"file":"a.lm","line":0,"column":0,"endLine":0,"endColumn":0,"severity":"warning","message":"w"}`+"\n",
		string((&Diagnostic{File: "a.lm", Severity: Warning, Msg: "w"}).JSON()))
}

func TestSuggest(t *testing.T) {
	tests := []struct {
		word string
		from []string
		want string
	}{
		{"bais", []string{"w0", "bias"}, "bias"},
		{"minimise", []string{"minimize", "optimizer"}, "minimize"},
		{"gan", []string{"gen", "disc"}, "gen"},
		{"TT", []string{"B", "T"}, "T"},
		{"parm", []string{"cache", "param"}, "param"},
		{"x", []string{"y", "z"}, ""},
		{"t", []string{"B", "T"}, "T"},
		{"fc", []string{"func"}, ""},
		{"fnc", []string{"func"}, "func"},
		{"bias", []string{"bais", "bias"}, ""},
		{"something", []string{"else"}, ""},
		{"", []string{"a"}, ""},
	}
	for _, tt := range tests {
		assert.Equal(t, tt.want, Suggest(tt.word, tt.from), tt.word)
	}
	assert.Equal(t, 1, editDistance("ab", "ba"))
	assert.Equal(t, 3, editDistance("abc", ""))
	assert.Equal(t, 2, editDistance("größe", "grose"))
}

func TestRenderLongLine(t *testing.T) {
	line := "return " + strings.Repeat("x+", 300) + "y" + strings.Repeat("+z", 300)
	at := place(t, 5, line, "y")
	shown := strings.Split(Render(Errorf("m.lm", at, "long"), []byte(strings.Repeat("\n", 4)+line), true), "\n")
	assert.Less(t, len(shown[2]), 300)
	mark := strings.Index(shown[3], "^")
	assert.Equal(t, "+y+", string([]rune(shown[2])[mark-1:mark+2]))
}

func TestRenderHarmless(t *testing.T) {
	d := Errorf("m.lm", Span{Pos{1, 1, 0}, Pos{1, 2, 1}}, "unexpected `\x1b[31m`")
	assert.Equal(t, "m.lm:1:1: error: unexpected `\ufffd[31m`\n  |\n1 | \ufffd[2J\ufffd\n  | ^\n", Render(d, []byte("\x1b[2J\xff"), true))
}

func TestRenderPlaceOfTheUser(t *testing.T) {
	d := Errorf("nn/nn.lm", Span{Pos{3, 1, 0}, Pos{3, 2, 1}}, "too wide")
	d.In = []string{"gelu, called at nn/nn.lm:7:1", "Linear[3, 4], declared at m.lm:4:2", "F, called at m.lm:9:9"}
	assert.Equal(t, "nn/nn.lm:3:1: error: too wide (in Linear[3, 4], declared at m.lm:4:2)\n", Render(d, nil, false))
	d.File = "m.lm"
	assert.Equal(t, "m.lm:3:1: error: too wide\n", Render(d, nil, false))
}
