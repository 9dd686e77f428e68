package passes

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/ops"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "write want.ir of the files in testdata")

// functions are the passes over functions that files in testdata may name.
var functions = map[string]func(*ir.Func) (*ir.Func, error){
	"simplify": simplify, "simplifyLate": simplifyLate, "cse": cse, "invariants": invariants, "dce": dce, "batch": batch, "winograd": inCheapestForm,
	"fuse": func(f *ir.Func) (*ir.Func, error) { return fuse(f, false) },
}

// TestFiles runs the passes that the first line of each file names on in.ir.
// The other sections are optional: want.ir is the function that comes out,
// count has lines "op n" with the number of such ops in it and in its loops,
// holds has lines that must stand in it, or must not after "!".
func TestFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			ar, err := txtar.ParseFile(file)
			require.NoError(t, err)
			section := func(name string) (string, bool) {
				i := slices.IndexFunc(ar.Files, func(f txtar.File) bool { return f.Name == name })
				if i < 0 {
					return "", false
				}
				return string(ar.Files[i].Data), true
			}
			text, ok := section("in.ir")
			require.True(t, ok, "no in.ir")
			in, err := ir.Parse(text, ops.ByName)
			require.NoError(t, err)
			require.NoError(t, ir.Verify(in))
			out := in
			first, _, _ := strings.Cut(string(ar.Comment), "\n")
			for _, name := range strings.Fields(first) {
				run := functions[name]
				require.NotNil(t, run, "no pass %s", name)
				out, err = run(out)
				require.NoError(t, err)
				require.NoError(t, ir.Verify(out))
				require.NoError(t, newOracle(1).same(in, out), "%v", out)
				if name == "fuse" {
					continue // it moves values to where they are used, in any order
				}
				again, err := run(out)
				require.NoError(t, err)
				assert.Equal(t, out.String(), again.String(), "%s twice", name)
			}
			got := out.String() + "\n"
			if want, ok := section("want.ir"); ok {
				if *update {
					require.Empty(t, os.Getenv("CI"), "goldens are not written in CI")
					for i := range ar.Files {
						if ar.Files[i].Name == "want.ir" {
							ar.Files[i].Data = []byte(got)
						}
					}
					require.NoError(t, os.WriteFile(file, txtar.Format(ar), 0o644))
				} else {
					assert.Equal(t, want, got)
				}
			}
			if lines, ok := section("count"); ok {
				have := countOps(out)
				for _, line := range strings.Split(strings.TrimSpace(lines), "\n") {
					op, n, _ := strings.Cut(line, " ")
					require.NotNil(t, ops.ByName(op), "no op %s", op)
					want, err := strconv.Atoi(n)
					require.NoError(t, err)
					assert.Equal(t, want, have[op], "%s\n%s", op, got)
				}
			}
			if lines, ok := section("holds"); ok {
				for _, line := range strings.Split(strings.TrimSpace(lines), "\n") {
					if not, ok := strings.CutPrefix(line, "!"); ok {
						assert.NotContains(t, got, strings.TrimSpace(not))
					} else {
						assert.Contains(t, got, line)
					}
				}
			}
		})
	}
}
