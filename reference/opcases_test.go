package reference

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/template"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"github.com/lmc-lang/lmc/codegen"
	"github.com/lmc-lang/lmc/dsl/check"
	"github.com/lmc-lang/lmc/ir"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// A family is the ops of one file in testdata/ops: a section for each op, or
// for one case of it, is the body of the function of the case, a template over
// its attributes and shapes.
type family struct {
	name    string
	helpers string
	bodies  map[string]string // by op, or op__variant
	cases   []*opCase
	// symbolic: the shapes in the signatures are dimensions instead of numbers.
	symbolic bool
}

// families reads the texts and sorts the cases into them. Every case needs a
// text.
func families(t *testing.T, cases []*opCase) []*family {
	files, err := filepath.Glob("testdata/ops/*.txtar")
	require.NoError(t, err)
	var out []*family
	for _, name := range files {
		a, err := txtar.ParseFile(name)
		require.NoError(t, err)
		f := &family{name: strings.TrimSuffix(filepath.Base(name), ".txtar"), bodies: map[string]string{}}
		for _, s := range a.Files {
			if s.Name == "helpers" {
				f.helpers = string(s.Data)
				continue
			}
			require.NotContains(t, f.bodies, s.Name)
			f.bodies[s.Name] = string(s.Data)
		}
		out = append(out, f)
	}
	for _, c := range cases {
		i := slices.IndexFunc(out, func(f *family) bool { return f.body(c) != "" })
		require.GreaterOrEqual(t, i, 0, "no text for %s", c.Name)
		out[i].cases = append(out[i].cases, c)
	}
	return out
}

func (f *family) body(c *opCase) string {
	if s, ok := f.bodies[c.Op+"__"+c.variant()]; ok {
		return s
	}
	return f.bodies[c.Op]
}

// text is the package with the functions of some cases.
func (f *family) text(t *testing.T, cases []*opCase) []byte {
	var funcs bytes.Buffer
	for _, c := range cases {
		tm, err := template.New(c.Name).Option("missingkey=error").Parse(f.body(c))
		require.NoError(t, err)
		var body bytes.Buffer
		require.NoError(t, tm.Execute(&body, templateCase{c}))
		funcs.WriteString(c.text(body.String(), f.symbolic))
	}
	imports := ""
	if strings.Contains(funcs.String(), "nn.") {
		imports = "import \"nn\"\n\n"
	}
	dims := ""
	if f.symbolic {
		names := map[string]bool{}
		for _, n := range symbols.FindAllString(funcs.String(), -1) {
			names[n] = true
		}
		dims = "dim " + strings.Join(slices.Sorted(maps.Keys(names)), ", ") + "\n\n"
	}
	return fmt.Appendf(nil, "package %s\n\n%s%s%s\nmodel %s {\n%s}\n", f.name, imports, dims, f.helpers, capital(f.name), funcs.String())
}

// symbols are the dimensions in symbolic signatures.
var symbols = regexp.MustCompile(`\bN\d+\b`)

// An outcome is what became of a case at each stage that it went through.
type outcome struct {
	family *family
	c      *opCase
	failed []string // stages, with what went wrong
}

func (o *outcome) fail(stage string, err error) {
	if err == nil {
		return
	}
	why := firstLine(err)
	if d, ok := err.(*difference); ok {
		why = d.name + " differs"
	}
	o.failed = append(o.failed, stage+": "+why)
}

// working returns the cases for which f does not fail together with the others,
// and calls bad for the rest. It first tries all at once.
func working(cases []*opCase, f func([]*opCase) error, bad func(*opCase, error)) []*opCase {
	if len(cases) == 0 || f(cases) == nil {
		return cases
	}
	var good []*opCase
	for _, c := range cases {
		if err := f([]*opCase{c}); err != nil {
			bad(c, err)
			continue
		}
		good = append(good, c)
	}
	return good
}

// TestOps writes every reference case in the language and compares what comes
// out of the evaluator, in float64 and in float32, and of generated packages
// with the kernels of each target.
func TestOps(t *testing.T) {
	t.Parallel()
	fs := families(t, opCases(t))
	outcomes, _, _ := runFamilies(t, fs)
	report(t, fs, outcomes)
}

// TestOpsOfAnySize is TestOps with dimensions instead of numbers in the
// signatures of all cases whose text suits any size.
func TestOpsOfAnySize(t *testing.T) {
	t.Parallel()
	fs := families(t, opCases(t))
	n := 0
	for _, f := range fs {
		f.symbolic = true
		f.cases = slices.DeleteFunc(f.cases, func(c *opCase) bool {
			_, err := checked(f.name+".lm", f.text(t, []*opCase{c}), check.Options{})
			return err != nil
		})
		n += len(f.cases)
	}
	t.Logf("%d cases", n)
	assert.GreaterOrEqual(t, n, anySize, "fewer texts suit any size than before")
	outcomes, packages, driver := runFamilies(t, fs)
	for c, o := range outcomes {
		assert.Empty(t, o.failed, c.Name)
	}
	for i, f := range fs {
		for k, size := range []func(n int) int{func(int) int { return 1 }, func(n int) int { return 2*n + 3 }, func(n int) int { return 16 + n%2 }} {
			t.Run(fmt.Sprintf("%s %d", f.name, k), func(t *testing.T) { f.resized(t, packages[i], driver, size) })
		}
	}
}

// resized runs the cases of a family with other sizes and data drawn from that
// of the case, in generated Go and by the evaluator.
func (f *family) resized(t *testing.T, p *compiled, driver string, size func(n int) int) {
	rng := rand.New(rand.NewPCG(1, 2))
	var requests []request
	var want [][]*ir.Data
	for i, c := range f.cases {
		dims := map[string]int{}
		for name, n := range sizes(c) {
			dims[name] = size(n)
		}
		sig := p.program.API.Entries[i]
		ok := !slices.Contains(c.Tags, "numerics") // its data is at the limit of float32
		for _, n := range sig.Need {
			v, err := n.Expr.Eval(dims)
			require.NoError(t, err)
			ok = ok && v >= 0
		}
		if !ok {
			continue
		}
		var args []*ir.Data
		r := request{Package: f.name, Do: "call", Name: c.function()}
		for k, v := range c.params() {
			var shape []int
			for _, d := range sig.Args[k].Shape {
				n, err := d.Eval(dims)
				require.NoError(t, err)
				shape = append(shape, n)
			}
			d := ir.NewData(v.elem(), shape...)
			for e := range d.Len() {
				x := float64(v.Data[rng.IntN(len(v.Data))])
				for _, in := range sig.Ranges {
					if in.Arg == k {
						n, err := in.N.Eval(dims)
						require.NoError(t, err)
						x = min(x, float64(n-1))
					}
				}
				if d.Elem == ir.F32 {
					d.F[e] = float64(float32(x))
				} else {
					d.I[e] = int32(x)
				}
			}
			args, r.Args = append(args, d), append(r.Args, tensorOf(d))
		}
		out, err := evaluate(p.module, p.module.Entries[i], &ir.Evaluator{Wide: true, Dims: dims}, args)
		if err != nil {
			continue // such as an index out of range
		}
		requests, want = append(requests, r), append(want, out)
	}
	for _, target := range targets() {
		for i, a := range ask(t, []string{"LMC_TARGET=" + target}, []string{driver}, requests) {
			if !assert.Empty(t, a.Error, "%s, %s", requests[i].Name, target) {
				continue
			}
			for k, x := range a.Results {
				agree(t, fmt.Sprintf("%s, result %d, %s", requests[i].Name, k, target), want[i][k], x, 1e-4)
			}
		}
	}
}

// anySize is how many cases TestOpsOfAnySize has.
const anySize = 282

// runFamilies runs all cases. It returns also the packages and the program that
// runs them.
func runFamilies(t *testing.T, fs []*family) (outcomes map[*opCase]*outcome, packages []*compiled, driver string) {
	outcomes = map[*opCase]*outcome{}
	running := map[*family][]*opCase{}
	for _, f := range fs {
		for _, c := range f.cases {
			outcomes[c] = &outcome{family: f, c: c}
		}
		bad := func(stage string) func(c *opCase, err error) {
			return func(c *opCase, err error) {
				outcomes[c].fail(stage, err)
				t.Logf("%s: %s: %v", c.Name, stage, err)
			}
		}
		module := func(cs []*opCase) (m *ir.Module, err error) {
			err = guarded(func() (err error) {
				m, err = checked(f.name+".lm", f.text(t, cs), check.Options{})
				return err
			})
			return m, err
		}
		good := working(f.cases, func(cs []*opCase) error { _, err := module(cs); return err }, bad("check"))
		if len(good) == 0 {
			continue
		}
		m, err := module(good)
		require.NoError(t, err)
		for i, c := range good {
			for _, wide := range []bool{true, false} {
				err := guarded(func() error {
					got, err := evaluate(m, m.Entries[i], &ir.Evaluator{Wide: wide, Dims: sizes(c)}, c.args(t))
					if err != nil {
						return err
					}
					return c.compare(got)
				})
				if err != nil {
					bad(map[bool]string{true: "evaluator, float64", false: "evaluator, float32"}[wide])(c, err)
				}
			}
		}
		var p *compiled
		good = working(good, func(cs []*opCase) error {
			m, err := module(cs)
			if err == nil {
				p, err = compile(m, codegen.Options{})
			}
			return err
		}, bad("build"))
		if len(good) == 0 {
			continue
		}
		if len(p.module.Entries) != len(good) { // the last one tried was a single case
			m, err = module(good)
			require.NoError(t, err)
			p, err = compile(m, codegen.Options{})
			require.NoError(t, err, f.name)
		}
		packages = append(packages, p)
		running[f] = good
	}
	return outcomes, packages, generated(t, fs, packages, running, outcomes)
}

// sizes are the values of the dimensions in a symbolic signature.
func sizes(c *opCase) map[string]int {
	out := map[string]int{}
	for _, v := range slices.Concat(c.Inputs, c.Outputs) {
		for _, n := range v.Shape {
			out[fmt.Sprintf("N%d", n)] = n
		}
	}
	return out
}

// evaluate runs an entry on the arguments of a case.
func evaluate(m *ir.Module, e *ir.Entry, ev *ir.Evaluator, args []*ir.Data) ([]*ir.Data, error) {
	var in []*ir.Data
	for _, b := range e.In {
		switch b.Kind {
		case ir.ArgKind:
			in = append(in, args[b.Index])
		case ir.KeyKind:
			in = append(in, ir.NewData(ir.I32, 3))
		case ir.TableKind:
			x := m.API.Tables[b.Index]
			d, err := ir.DataOf(ir.Elem(x.Elem), x.Shape, x.Data)
			if err != nil {
				return nil, err
			}
			in = append(in, d)
		default:
			return nil, fmt.Errorf("no data for %s", b.Name)
		}
	}
	return ev.Run(e.Func, in)
}

// generated compiles the packages into one program and runs all cases.
func generated(t *testing.T, fs []*family, packages []*compiled, running map[*family][]*opCase, outcomes map[*opCase]*outcome) (driver string) {
	if len(packages) == 0 {
		return ""
	}
	driver = newDriver(t, "driver.go", packages...).build(t, "driver")
	var requests []request
	var asked []*opCase
	for _, f := range fs {
		for _, c := range running[f] {
			r := request{Package: f.name, Do: "call", Name: c.function()}
			for _, d := range c.args(t) {
				r.Args = append(r.Args, tensorOf(d))
			}
			requests = append(requests, r)
			asked = append(asked, c)
		}
	}
	for _, target := range targets() {
		for i, a := range ask(t, []string{"LMC_TARGET=" + target}, []string{driver}, requests) {
			c := asked[i]
			err := fmt.Errorf("%s", a.Error)
			if a.Error == "" {
				all := slices.Concat(c.Outputs, c.InputGrads)
				var got []*ir.Data
				for k, x := range a.Results {
					got = append(got, x.data(all[min(k, len(all)-1)].elem()))
				}
				err = c.compare(got)
			}
			outcomes[c].fail("generated, "+target, err)
			if err != nil {
				t.Logf("%s: generated, %s: %v", c.Name, target, err)
			}
		}
	}
	return driver
}

// report compares the outcomes with docs/ops-missing.md.
func report(t *testing.T, fs []*family, outcomes map[*opCase]*outcome) {
	var b, bad strings.Builder
	b.WriteString(missingHeader)
	total := 0
	for _, f := range fs {
		passed, failed := 0, 0
		for _, c := range f.cases {
			if o := outcomes[c]; len(o.failed) > 0 {
				failed++
				fmt.Fprintf(&bad, "| %s | `%s` | %s |\n", f.name, c.Name, strings.ReplaceAll(strings.Join(o.failed, "; "), "|", "\\|"))
			} else {
				passed++
			}
		}
		summary(t, f.name, passed, failed)
		fmt.Fprintf(&b, "| %s | %d | %d |\n", f.name, passed, failed)
		total += passed
	}
	fmt.Fprintf(&b, "| all | %d | %d |\n", total, len(outcomes)-total)
	summary(t, "all operations", total, len(outcomes)-total)
	if bad.Len() > 0 {
		b.WriteString("\n## Cases that fail\n\n| family | case | why |\n|---|---|---|\n" + bad.String())
	}
	const name = "../docs/ops-missing.md"
	if *update {
		require.NotEqual(t, "true", os.Getenv("CI"), "-update is refused in CI")
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o777))
		require.NoError(t, os.WriteFile(name, []byte(b.String()), 0o666))
		return
	}
	want, err := os.ReadFile(name)
	require.NoError(t, err)
	assert.Equal(t, string(want), b.String(), "run go test ./reference -run TestOps$ -update if this is right")
}

const missingHeader = `# Operations and the reference cases

Every reference case is written in the language, with the gradients that it
asks for, and run by the evaluator in float64 and in float32 and as generated
packages, with the portable kernels, those for AVX2 and those for AVX-512. The
texts are in ` + "`reference/testdata/ops`" + `; this page is written by
` + "`go test ./reference -run 'TestOps$' -update`" + `.

The recorded optimisers, schedules, initialisers and random numbers are compared
by other tests of that folder.

| family | passed | failed |
|---|---|---|
`
