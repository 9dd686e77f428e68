package check

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/dsl"
)

var word = regexp.MustCompile(`[A-Za-z_][A-Za-z0-9_]*|[0-9.]+|[^\sA-Za-z0-9_]+|\s+`)

// TestMutants changes words of programs and checks that nothing panics,
// whatever the text has become.
func TestMutants(t *testing.T) {
	var texts []string
	names, err := filepath.Glob("../std/*.lm")
	require.NoError(t, err)
	more, err := filepath.Glob("testdata/*/*.lm")
	require.NoError(t, err)
	examples, err := filepath.Glob("../../examples/*.lm")
	require.NoError(t, err)
	for _, n := range slices.Concat(names, more, examples) {
		src, err := os.ReadFile(n)
		require.NoError(t, err)
		texts = append(texts, string(src))
	}
	msgs, err := os.ReadFile("testdata/messages.txt")
	require.NoError(t, err)
	for _, b := range strings.Split(string(msgs), "=== ")[1:] {
		_, b, _ = strings.Cut(b, "\n")
		b, _, _ = strings.Cut(b, "---\n")
		texts = append(texts, b)
	}
	r := rand.New(rand.NewPCG(1, 2))
	n := 2
	if testing.Short() {
		n = 1
	}
	for i, text := range texts {
		for range n {
			mutant := mutate(r, text)
			require.NotPanics(t, func() {
				f, _ := dsl.Parse("m.lm", []byte(mutant))
				_, ds := All([]*dsl.File{f}, Options{})
				for _, d := range ds {
					dsl.Render(d, f.Src, true)
				}
			}, "text %d:\n%s", i, mutant)
		}
	}
}

// mutate deletes, repeats, swaps or replaces a few words.
func mutate(r *rand.Rand, text string) string {
	words := word.FindAllString(text, -1)
	for range 1 + r.IntN(3) {
		i, j := r.IntN(len(words)), r.IntN(len(words))
		switch r.IntN(4) {
		case 0:
			words[i] = ""
		case 1:
			words[i] += " " + words[i]
		case 2:
			words[i], words[j] = words[j], words[i]
		case 3:
			words[i] = words[j]
		}
	}
	return strings.Join(words, "")
}
