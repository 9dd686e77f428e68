package dsl

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "write what the tests get into their golden files")

// checkGolden compares got with the part of a txtar file, or writes it there.
func checkGolden(t *testing.T, path string, ar *txtar.Archive, part, got string) {
	t.Helper()
	if *update {
		require.Empty(t, os.Getenv("CI"), "golden files change on purpose only, not in CI")
		setPart(ar, part, got)
		require.NoError(t, os.WriteFile(path, txtar.Format(ar), 0o644))
		return
	}
	require.Equal(t, string(getPart(ar, part)), got, "if this is as it should be: go test ./dsl -update")
}

func getPart(ar *txtar.Archive, name string) []byte {
	for _, f := range ar.Files {
		if f.Name == name {
			return f.Data
		}
	}
	return nil
}

func setPart(ar *txtar.Archive, name, text string) {
	for i := range ar.Files {
		if ar.Files[i].Name == name {
			ar.Files[i].Data = []byte(text)
			return
		}
	}
	ar.Files = append(ar.Files, txtar.File{Name: name, Data: []byte(text)})
}

// sources returns the standard library and the examples by path.
func sources(t testing.TB) map[string][]byte {
	all := map[string][]byte{}
	for _, pattern := range []string{"std/*.lm", "../examples/*.lm"} {
		paths, err := filepath.Glob(pattern)
		require.NoError(t, err)
		require.NotEmpty(t, paths, pattern)
		for _, p := range paths {
			b, err := os.ReadFile(p)
			require.NoError(t, err)
			all[p] = b
		}
	}
	return all
}
