package check

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/dsl"
)

var update = flag.Bool("update", false, "write the golden files")

// TestMessages checks the programs of testdata/messages.txt: each stands after
// a line `=== title` and is followed by `---` and the messages that it gets.
// Lines of a program that starts with a member are put into a model.
func TestMessages(t *testing.T) {
	const file = "testdata/messages.txt"
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var out strings.Builder
	for i, block := range strings.Split(string(text), "=== ") {
		if i == 0 {
			out.WriteString(block)
			continue
		}
		title, rest, _ := strings.Cut(block, "\n")
		src, want, _ := strings.Cut(rest, "---\n")
		want = strings.TrimRight(want, "\n")
		f, ds := dsl.Parse("m.lm", []byte(src))
		require.Empty(t, ds, title)
		_, ds = All([]*dsl.File{f}, Options{})
		var got strings.Builder
		for _, d := range ds {
			got.WriteString(dsl.Render(d, f.Src, true))
		}
		out.WriteString("=== " + title + "\n" + src + "---\n" + got.String() + "\n")
		if !*update {
			t.Run(title, func(t *testing.T) { require.Equal(t, want, strings.TrimRight(got.String(), "\n")) })
		}
	}
	if *update {
		require.Empty(t, os.Getenv("CI"), "golden files are not written under CI")
		require.NoError(t, os.WriteFile(file, []byte(strings.TrimRight(out.String(), "\n")+"\n"), 0o666))
	}
}

// TestSyntaxThenChecks checks that what the parser has reported brings no
// further messages.
func TestSyntaxThenChecks(t *testing.T) {
	for _, line := range []string{"return x +", "return x^2", "return softmax(x, dim = 1)", "return 0 < x < 1", "y = x\n\t\treturn y"} {
		f, ds := dsl.Parse("m.lm", []byte("package m\ndim B\nmodel M {\n\tfunc F(x f32[B]) f32[B] {\n\t\t"+line+"\n\t}\n}\n"))
		_, more := All([]*dsl.File{f}, Options{})
		require.Len(t, append(ds, more...), 1, line)
	}
}
