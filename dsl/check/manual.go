package check

import (
	"fmt"
	"strings"
)

// Markdown is the page of the documentation about the operations that a text
// may call, printed from the table of builtins.
func Markdown() string {
	var b strings.Builder
	b.WriteString("| operation | meaning |\n|---|---|\n")
	for _, n := range sortedKeys(builtins) {
		fmt.Fprintf(&b, "| `%s` | %s |\n", strings.ReplaceAll(signatures[n], "|", `\|`), strings.ReplaceAll(builtins[n].doc, "|", `\|`))
	}
	return b.String()
}
