package reference

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/codegen"
	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/dsl/check"
	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// cornerExtents are the sizes with which every function of testdata/corners is
// called, one after the other by the same session: small, all ones, and such
// that vectors and tiles are not filled.
var cornerExtents = []map[string]int{
	{"B": 2, "T": 5, "S": 6, "N": 4, "M": 3, "K": 3, "H": 4, "W": 5, "G": 3, "E": 7},
	{"B": 1, "T": 1, "S": 1, "N": 1, "M": 1, "K": 1, "H": 1, "W": 1, "G": 1, "E": 1},
	{"B": 3, "T": 17, "S": 19, "N": 33, "M": 18, "K": 21, "H": 9, "W": 7, "G": 5, "E": 40},
}

// TestCorners runs odd but legal programs: every function of the texts in
// testdata/corners, and its gradient for all arguments and parameters, by the
// evaluator and as generated packages with the kernels of each target, and in
// float64. Gradients are compared with slopes, too.
func TestCorners(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/corners/*.lm")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	var all []*corner
	var packages []*compiled
	for _, name := range files {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		c := newCorner(t, filepath.Base(name), text)
		all, packages = append(all, c), append(packages, c.compiled, c.double)
	}
	driver := newDriver(t, "driver.go", packages...).build(t, "driver")
	each(t, "corners of the language", all, func(c *corner) string { return c.program.API.Package }, func(t *testing.T, c *corner) {
		c.run(t, driver)
		c.train(t, driver)
		c.slopes(t)
	})
}

// TestCornersUseLibrary: everything that the standard library declares stands in
// some text of the corners, and so is compiled and run.
func TestCornersUseLibrary(t *testing.T) {
	files, err := filepath.Glob("testdata/corners/*.lm")
	require.NoError(t, err)
	used := map[string]bool{}
	for _, name := range files {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		for _, w := range regexp.MustCompile(`\w+`).FindAllString(string(text), -1) {
			used[w] = true
		}
	}
	for _, name := range dsl.StdNames() {
		src, _ := dsl.Std(name)
		f, ds := dsl.Parse(name+".lm", src)
		require.Empty(t, ds)
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *dsl.FuncDecl:
				assert.True(t, used[d.Name.Text], "%s.%s", name, d.Name.Text)
			case *dsl.LayerDecl:
				assert.True(t, used[d.Name.Text], "%s.%s", name, d.Name.Text)
			}
		}
	}
}

// A corner is one text of testdata/corners.
type corner struct {
	*smallModel
	double *compiled // computes in float64
}

func newCorner(t *testing.T, name string, text []byte) *corner {
	c := &corner{smallModel: &smallModel{rng: rand.New(rand.NewPCG(5, 6)), extents: cornerExtents}}
	if err := c.compile(name, withGradients(text)); err != nil {
		for _, one := range separate(text) { // which of the functions?
			if err := c.compile(name, withGradients(one)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		require.NoError(t, err)
	}
	n := 0
	for _, w := range c.program.API.Weights {
		n = max(n, w.Offset+w.Len())
	}
	for range n {
		c.weights = append(c.weights, float64(float32(c.rng.NormFloat64()*0.4)))
	}
	for _, w := range c.program.API.Weights {
		if w.State {
			for i := range w.Len() {
				c.weights[w.Offset+i] = 0.5 + math.Abs(c.weights[w.Offset+i])
			}
		}
	}
	return c
}

// compile makes the packages of a text for both float types.
func (c *corner) compile(name string, text []byte) error {
	for i, into := range []**compiled{&c.compiled, &c.double} {
		m, err := checked(name, text, check.Options{Float64: i == 1})
		if err != nil {
			return err
		}
		if i == 1 {
			m.API.Package += "64"
		}
		if *into, err = compile(m, codegen.Options{}); err != nil {
			return err
		}
	}
	return nil
}

// separate cuts a text into texts with one function of the model each.
func separate(text []byte) (out [][]byte) {
	at := signature.FindAllIndex(text, -1)
	if at == nil {
		return nil
	}
	for _, one := range at {
		end := bytes.Index(text[one[0]:], []byte("\n\t}\n"))
		out = append(out, slices.Concat(text[:at[0][0]], text[one[0]:one[0]+end], []byte("\n\t}\n}\n")))
	}
	return out
}

// signature matches the first line of an exported function.
var signature = regexp.MustCompile(`(?m)^\tfunc ([A-Z]\w*)\((.*)\) (.+) \{$`)

// withGradients adds to the model, for every exported function whose result is
// f32, one that gives its gradients for all arguments of that element type, times
// a cotangent; where the type of the result is inferred, it gives those of
// sum(made * cos(made)). A comment that ends with "no gradient" says where there is
// none, or none to be measured.
func withGradients(text []byte) []byte {
	end := strings.LastIndex(string(text), "}")
	var b strings.Builder
	for _, at := range signature.FindAllSubmatchIndex(text, -1) {
		name, params, result := string(text[at[2]:at[3]]), string(text[at[4]:at[5]]), string(text[at[6]:at[7]])
		if !strings.HasPrefix(result, "f32") || strings.HasSuffix(string(text[:at[0]]), "no gradient\n") {
			continue
		}
		var names, wrt, grads []string
		fields := splitList(params)
		typ := ""
		for i := len(fields) - 1; i >= 0; i-- {
			n, ty, ok := strings.Cut(fields[i], " ")
			if ok {
				typ = ty
			}
			names = append([]string{n}, names...)
			if strings.HasPrefix(typ, "f32") {
				wrt, grads = append([]string{n}, wrt...), append([]string{n + "Grad " + typ}, grads...)
			}
		}
		if len(wrt) == 0 {
			continue
		}
		term := "made * cotangent"
		if strings.Contains(result, "_") {
			term = "made * cos(made)"
		} else {
			params += ", cotangent " + result
		}
		if result != "f32" {
			term = "sum(" + term + ")"
		}
		fmt.Fprintf(&b, "\n\tfunc %sGrad(%s) (%s) {\n\t\tmade := %[1]s(%[4]s)\n\t\treturn grad[%[5]s](%[6]s)\n\t}\n",
			name, params, strings.Join(grads, ", "), strings.Join(names, ", "), strings.Join(wrt, ", "), term)
	}
	return []byte(string(text[:end]) + b.String() + string(text[end:]))
}

// splitList splits at the commas outside of brackets.
func splitList(s string) (out []string) {
	depth, from := 0, 0
	for i, r := range s {
		switch {
		case r == '[' || r == '(':
			depth++
		case r == ']' || r == ')':
			depth--
		case r == ',' && depth == 0:
			out, from = append(out, strings.TrimSpace(s[from:i])), i+1
		}
	}
	return append(out, strings.TrimSpace(s[from:]))
}

// fits tells whether an entry can be called with these sizes.
func fits(e *loop.Entry, size map[string]int) bool {
	for _, n := range e.Need {
		if v, err := n.Expr.Eval(size); err != nil || v < 0 {
			return false
		}
	}
	return true
}

// run calls everything.
func (c *corner) run(t *testing.T, driver string) {
	api := c.program.API
	requests, want := []request{c.all()}, [][]*ir.Data{nil}
	add := func(size map[string]int, do, name string, sig *loop.Entry, e *ir.Entry, carried ...loop.Carried) {
		if !fits(sig, size) {
			return
		}
		dims, args := c.args(t, sig, size)
		r := request{Package: api.Package, Do: do, Name: name}
		for i, a := range args {
			if slices.ContainsFunc(carried, func(x loop.Carried) bool { return x.Arg == i }) {
				args[i] = ir.NewData(a.Elem, a.Shape...) // as at the first step
				continue
			}
			r.Args = append(r.Args, tensorOf(a))
		}
		results, err := c.evaluate(e, dims, args)
		require.NoError(t, err, name)
		requests, want = append(requests, r), append(want, results)
	}
	for _, size := range c.extents {
		for i, e := range api.Entries {
			add(size, "call", e.Name, e, c.module.Entries[i])
		}
		for i, tr := range api.Trainers {
			add(size, "derivative", tr.Name, tr.Loss, c.passes.Steps[i].Gradients, tr.Carried...)
		}
	}
	compare := func(target string) {
		for i, a := range ask(t, []string{"LMC_TARGET=" + target}, []string{driver}, requests) {
			r := requests[i]
			if !assert.Empty(t, a.Error, "%s %s, %s", r.Do, r.Name, target) {
				continue
			}
			for k, x := range a.Results {
				agree(t, fmt.Sprintf("%s %s, result %d, %s", r.Do, r.Name, k, target), want[i][k], x, 1e-4)
			}
		}
	}
	for _, target := range targets() {
		compare(target)
	}
	requests = slices.Clone(requests)
	for i := range requests {
		requests[i].Package += "64"
	}
	compare("float64")
}

// train makes some steps with each trainer: the weights that they end with do
// not depend on the target, but for rounding.
func (c *corner) train(t *testing.T, driver string) {
	api := c.program.API
	for _, tr := range api.Trainers {
		requests := []request{c.all()}
		_, args := c.args(t, tr.Loss, c.extents[0])
		r := request{Package: api.Package, Do: "step", Name: tr.Name}
		for i, a := range args {
			if !slices.ContainsFunc(tr.Carried, func(x loop.Carried) bool { return x.Arg == i }) {
				r.Args = append(r.Args, tensorOf(a))
			}
		}
		requests = append(requests, r, r, r, request{Package: api.Package, Do: "data"})
		var want *ir.Data
		for _, target := range append([]string{"float64"}, targets()...) {
			of := slices.Clone(requests)
			for i := range of {
				if target == "float64" {
					of[i].Package += "64"
				}
			}
			answers := ask(t, []string{"LMC_TARGET=" + target}, []string{driver}, of)
			for i, a := range answers {
				require.Empty(t, a.Error, "%s %s, %s", of[i].Do, tr.Name, target)
			}
			got := answers[len(answers)-1].Results[0]
			if want == nil {
				want = got.data(ir.F32)
				start := tensor{Bits: c.all().Args[0].Bits}
				assert.NotEqual(t, start.Bits, got.Bits, "%s does nothing", tr.Name)
			}
			agree(t, fmt.Sprintf("weights after steps of %s, %s", tr.Name, target), want, got, 1e-3)
		}
	}
}

// slopes compares the gradients of functions and trainers with central
// differences, on the smallest sizes. A function that jumps there fails.
func (c *corner) slopes(t *testing.T) {
	size := c.extents[0]
	for i, e := range c.program.API.Entries {
		k := slices.IndexFunc(c.program.API.Entries, func(g *loop.Entry) bool { return g.Name == e.Name+"Grad" })
		if k < 0 || !fits(e, size) {
			continue
		}
		dims, args := c.args(t, c.program.API.Entries[k], size)
		grads, err := c.evaluate(c.module.Entries[k], dims, args)
		require.NoError(t, err)
		args, cotangent := args[:len(e.Args)], args[len(e.Args):]
		value := func() float64 {
			out, err := c.evaluate(c.module.Entries[i], dims, args)
			require.NoError(t, err)
			sum := 0.0
			for j, x := range out[0].F {
				if len(cotangent) > 0 {
					sum += x * cotangent[0].F[j]
				} else {
					sum += x * math.Cos(x)
				}
			}
			return sum
		}
		n := 0
		for a, x := range args {
			if x.Elem != ir.F32 {
				continue
			}
			g := grads[n]
			n++
			for j := 0; j < len(x.F); j += 1 + len(x.F)/24 {
				c.slope(t, fmt.Sprintf("%s: element %d of %s", e.Name, j, e.Args[a].Name), g.F[j], &x.F[j], value)
			}
		}
	}
	for i, tr := range c.program.API.Trainers {
		dims, args := c.args(t, tr.Loss, size)
		for _, x := range tr.Carried {
			args[x.Arg] = ir.NewData(args[x.Arg].Elem, args[x.Arg].Shape...)
		}
		out, err := c.evaluate(c.passes.Steps[i].Gradients, dims, args)
		require.NoError(t, err)
		loss := c.module.Trainers[i].Loss
		for _, k := range tr.Updates {
			w := c.program.API.Weights[k]
			for j := 0; j < w.Len(); j += 1 + w.Len()/24 {
				c.slope(t, fmt.Sprintf("%s: element %d of %s", tr.Name, j, w.Path), out[1].F[w.Offset+j], &c.weights[w.Offset+j], func() float64 {
					out, err := c.evaluate(loss, dims, args)
					require.NoError(t, err)
					sum := 0.0
					for _, x := range out[0].F {
						sum += x / float64(len(out[0].F))
					}
					return sum
				})
			}
		}
	}
}

// slope compares one gradient.
func (c *corner) slope(t *testing.T, what string, g float64, x *float64, value func() float64) {
	old := *x
	slope := 0.0
	for _, h := range []float64{1e-4, 1e-6} {
		*x = old + h
		up := value()
		*x = old - h
		down := value()
		*x = old
		slope = (up - down) / (2 * h)
		if math.Abs(slope-g) <= 1e-5+1e-4*math.Abs(g) {
			return
		}
	}
	assert.Fail(t, what, "the slope is %v, but the gradient is %v", slope, g)
}
