package ops

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestManual(t *testing.T) {
	text, ok := Manual("gather")
	assert.True(t, ok)
	assert.Equal(t, `gather x idx axis=

gather takes the entries idx of x along an axis, which is replaced by the axes
of idx. An index outside of the axis is a fault.

operands
  x
  idx  i32; a fault if out of range

attributes
  axis  the axis worked along

properties
  meaning   one element from elements of the operands
  gradient  yes

examples
  gather f32[3, 2]{0 1 2 3 4 5} i32[2, 2]{2 0 1 2} axis=0  = {4 5 0 1 2 3 4 5}
  gather f32[2, 3]{0 1 2 3 4 5} i32[2]{2 0} axis=1  = {2 0 5 3}
  gather i32[3]{7 8 9} i32{1} axis=0  = {8}
  gather f32[3] f32 axis=0  error: operand idx is f32, want i32
  gather f32[3] i32 axis=1  error: f32[3] has no axis 1
`, text)

	_, ok = Manual("frobnicate")
	assert.False(t, ok)
	all, _ := Manual("")
	table := Markdown()
	for _, op := range Table {
		assert.Contains(t, all, "\n  "+op.Name+" ")
		assert.Contains(t, table, "\n| `"+op.Name)
		one, ok := Manual(op.Name)
		assert.True(t, ok && strings.Contains(one, "gradient"), op.Name)
	}
}

var update = flag.Bool("update", false, "rewrite docs/operations.md")

// TestMarkdown keeps the page of the documentation equal to the table.
func TestMarkdown(t *testing.T) {
	const page = "../../docs/operations.md"
	want := "# Operations\n\nPrinted from the op table by `go test ./ir/ops -update`; `lmc ops name` shows operands, attributes and examples.\n\n" + Markdown()
	if *update {
		require.Empty(t, os.Getenv("CI"), "-update is refused in CI")
		require.NoError(t, os.WriteFile(page, []byte(want), 0o644))
	}
	got, err := os.ReadFile(page)
	require.NoError(t, err)
	assert.Equal(t, want, string(got))
}
