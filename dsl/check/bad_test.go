package check

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/dsl"
)

// TestBad checks that every wrong program gets exactly its message.
func TestBad(t *testing.T) {
	text, err := os.ReadFile("testdata/bad/EXPECTED.txt")
	require.NoError(t, err)
	want := map[string]string{}
	for _, block := range strings.Split(strings.TrimSpace(string(text)), "\n\n") {
		name, _, _ := strings.Cut(block, ":")
		want[name] = block + "\n"
	}
	files, err := filepath.Glob("testdata/bad/*.lm")
	require.NoError(t, err)
	require.Len(t, files, len(want))
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(name, func(t *testing.T) {
			src, err := os.ReadFile(file)
			require.NoError(t, err)
			f, ds := dsl.Parse(name, src)
			require.Empty(t, ds)
			_, ds = All([]*dsl.File{f}, Options{Vet: true})
			var out strings.Builder
			for _, d := range ds {
				out.WriteString(dsl.Render(d, src, true))
			}
			assert.Equal(t, want[name], out.String())
		})
	}
}
