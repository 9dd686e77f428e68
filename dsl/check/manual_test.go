package check

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMarkdown keeps the page of the documentation equal to the table.
func TestMarkdown(t *testing.T) {
	const page = "../../docs/builtins.md"
	want := "# Operations of the language\n\nPrinted from the table by `go test ./dsl/check -update`. What has a default may be left out. " +
		"Operators, index notation and the functions written in `.lm` are described in [language.md](language.md); " +
		"the operations that the compiler works on in [operations.md](operations.md).\n\n" + Markdown()
	if *update {
		require.Empty(t, os.Getenv("CI"), "-update is refused in CI")
		require.NoError(t, os.WriteFile(page, []byte(want), 0o666))
	}
	got, err := os.ReadFile(page)
	require.NoError(t, err)
	assert.Equal(t, want, string(got))
	for name, b := range builtins {
		assert.True(t, strings.HasPrefix(b.doc, name+" ") && strings.HasSuffix(b.doc, "."), "doc of %s", name)
	}
}
