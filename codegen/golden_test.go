package codegen

import (
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/ir/loop"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestGolden compares the files of small programs with those in testdata, which
// are there to be read and to show what a change does.
func TestPackagesGolden(t *testing.T) {
	require.False(t, *update && os.Getenv("CI") != "", "goldens are not rewritten in CI")
	for _, p := range []*loop.Program{linreg(), tiny()} {
		t.Run(p.API.Package, func(t *testing.T) {
			files, err := Generate(p, Options{Tests: true})
			require.NoError(t, err)
			dir := filepath.Join("testdata", p.API.Package)
			if *update {
				_, err := Write(dir, files)
				require.NoError(t, err)
			}
			diff, err := Stale(dir, files)
			require.NoError(t, err)
			assert.Empty(t, diff, "go test ./codegen -update, if that was the purpose")
			for _, f := range files {
				parsed, err := parser.ParseFile(token.NewFileSet(), f.Name, f.Data, parser.ParseComments)
				require.NoError(t, err)
				assert.True(t, ast.IsGenerated(parsed), f.Name)
			}
		})
	}
}

// TestSameBytes: the same program gives the same files, whatever came before.
func TestSameBytes(t *testing.T) {
	for _, p := range []func() *loop.Program{linreg, tiny} {
		want, err := Generate(p(), Options{Tests: true})
		require.NoError(t, err)
		for range 5 {
			got, err := Generate(p(), Options{Tests: true})
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
	}
}

// rename gives every argument, result and size of a program another name.
func rename(p *loop.Program, to func(string) string) {
	params := func(ps []loop.Param) {
		for i := range ps {
			if !ps[i].IsDim {
				ps[i].Name = to(ps[i].Name)
			}
		}
	}
	seen := map[*loop.Param]bool{}
	entry := func(e *loop.Entry) {
		for _, ps := range [][]loop.Param{e.Args, e.Results} {
			if len(ps) > 0 && !seen[&ps[0]] {
				seen[&ps[0]] = true
				params(ps)
			}
		}
	}
	for _, e := range p.API.Entries {
		entry(e)
	}
	for _, t := range p.API.Trainers {
		entry(t.Loss)
	}
	for _, x := range p.API.Generators {
		entry(x.Step)
		entry(x.Sample)
	}
	for _, c := range p.Procs {
		for _, s := range c.Steps {
			if c, ok := s.(*loop.Call); ok {
				for i := range c.Args {
					if r := &c.Args[i]; r.Space == loop.Arg || r.Space == loop.Result {
						r.Name = to(r.Name)
					}
				}
			}
		}
	}
}

// TestNamesHideNothing: arguments may be called like anything that generated
// code uses.
func TestNamesHideNothing(t *testing.T) {
	words := strings.Fields(`len func type range string error nil true max min append s o w m t err out dst seed
		runtime fmt math context iter need span params modelName embed block memory int float32 make copy any batch shape loss grads fn`)
	which := []string{"ids", "x", "h", "z", "loss", "scale", "out"}
	for i := range words {
		p := tiny()
		rename(p, func(n string) string {
			if k := slices.Index(which, n); k >= 0 {
				return words[(i+k)%len(words)]
			}
			return n
		})
		files, err := Generate(p, Options{Tests: true})
		require.NoError(t, err, words[i])
		require.NoError(t, Check(files, ""), words[i])
	}
}

func TestLongProceduresAreSplit(t *testing.T) {
	p := linreg()
	c := p.Procs[1]
	for range 1200 {
		c.Steps = append(c.Steps, c.Steps[0])
	}
	files, err := Generate(p, Options{})
	require.NoError(t, err)
	require.NoError(t, Check(files, ""))
	for _, f := range files {
		if f.Name == "procs_gen.go" {
			assert.Contains(t, string(f.Data), "m.stepLossPart2(N, x, y, loss)")
			assert.Contains(t, string(f.Data), "// stepLossPart3 goes on with stepLoss.")
		}
	}
}

func TestLargeTablesAreEncoded(t *testing.T) {
	for _, wide := range []bool{false, true} {
		p := tiny()
		p.API.Float64 = wide
		table := p.API.Tables[0]
		for len(table.Data) < 5000 {
			table.Data = append(table.Data, float64(len(table.Data))/3)
		}
		table.Shape = []int{1250, 4}
		files, err := Generate(p, Options{})
		require.NoError(t, err)
		require.NoError(t, Check(files, ""))
	}
}

func TestClashesAreTheUsersToSolve(t *testing.T) {
	p := tiny()
	p.API.Entries[0].Name = "Reset"
	_, err := Generate(p, Options{})
	assert.EqualError(t, err, "func Reset: the generated package has another Reset; rename one of them")
	p = tiny()
	p.API.Trainers[0].Name = "Session"
	_, err = Generate(p, Options{})
	assert.EqualError(t, err, "train Session: the generated package has another Session; rename one of them")
	p = tiny()
	p.API.Trainers[0].Name = "Kernels"
	_, err = Generate(p, Options{})
	assert.EqualError(t, err, "two generated files would be called kernels_gen.go; rename one of the blocks of the model")
}

func TestDimExpr(t *testing.T) {
	for _, c := range []struct{ dim, want string }{
		{"0", "0"}, {"3*B*T+1", "3*B*T + 1"}, {"-B+2", "-B + 2"}, {"B*T-T-1", "B*T - T - 1"},
		{"floor((B+1)/(2))*T", "T*runtime.FloorDiv(B + 1, 2)"}, {"-2*B", "-2*B"},
	} {
		d, err := loop.ParseDim(c.dim)
		require.NoError(t, err)
		got := dimExpr(d, func(s string) string { return s }, false)
		if !assert.Equal(t, c.want, got) {
			t.Log(d)
		}
	}
	assert.Equal(t, "(B + 1)", dimExpr(loop.Sym("B").AddN(1), func(s string) string { return s }, true))
}

func TestExported(t *testing.T) {
	for path, want := range map[string]string{
		"w": "W", "blocks.{0}.attn.qkv.w": "BlocksAttnQkvW", "a.{0}.b.{1}.c": "ABC", "ln1.g": "Ln1G", "first_layer.w": "FirstLayerW",
	} {
		assert.Equal(t, want, exported(path))
	}
}
