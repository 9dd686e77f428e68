package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestLinks looks for the files that pages link to.
func TestLinks(t *testing.T) {
	pages, err := filepath.Glob("*.md")
	require.NoError(t, err)
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	code := regexp.MustCompile("(?s)```.*?```|`[^`\n]*`")
	for _, page := range append(pages, "../README.md", "../CONTRIBUTING.md") {
		text, err := os.ReadFile(page)
		if os.IsNotExist(err) {
			continue
		}
		require.NoError(t, err)
		for _, m := range link.FindAllSubmatch(code.ReplaceAll(text, nil), -1) {
			to, _, _ := strings.Cut(string(m[1]), "#")
			if to == "" || strings.Contains(to, "://") {
				continue
			}
			_, err := os.Stat(filepath.Join(filepath.Dir(page), to))
			assert.NoError(t, err, "%s", page)
		}
	}
}
