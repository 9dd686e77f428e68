package docs

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/lmc-lang/lmc/passes"
	"github.com/stretchr/testify/require"
)

// TestPasses keeps the list of passes in architecture.md equal to the list.
func TestPasses(t *testing.T) {
	page, err := os.ReadFile("architecture.md")
	require.NoError(t, err)
	var b strings.Builder
	b.WriteString("| pass | after |\n|---|---|\n")
	for _, p := range passes.List {
		var why []string
		for _, a := range p.After {
			why = append(why, a.Pass+": "+a.Why)
		}
		fmt.Fprintf(&b, "| %s | %s |\n", p.Doc, strings.Join(why, "; "))
	}
	place := regexp.MustCompile(`(?s)<!-- passes -->\n.*?<!-- end -->`)
	require.True(t, place.Match(page))
	golden(t, "architecture.md", place.ReplaceAllLiteralString(string(page), "<!-- passes -->\n"+b.String()+"<!-- end -->"))
}
