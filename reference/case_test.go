package reference

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/ir"
)

// An opCase is one vector for one operation: outputs, and the gradients of the
// outputs times GradOutputs with respect to some inputs.
type opCase struct {
	Name        string // of the file, without .json
	Op          string
	Attrs       map[string]any
	Tags        []string
	Inputs      []vector
	Outputs     []vector
	GradOutputs []vector `json:"grad_outputs"`
	InputGrads  []vector `json:"input_grads"`
	Rtol, Atol  float64
}

// A vector is a tensor with the values that an independent framework computed.
type vector struct {
	Name  string
	Shape []int
	Dtype string
	Data  []number
	Atol  *float64
}

// number is a JSON number, or "nan", "inf", "-inf", true or false.
type number float64

func (n *number) UnmarshalJSON(b []byte) error {
	switch s := strings.Trim(string(b), `"`); s {
	case "true":
		*n = 1
	case "false":
		*n = 0
	default:
		x, err := strconv.ParseFloat(s, 64)
		*n = number(x)
		return err
	}
	return nil
}

// opCases reads all cases.
func opCases(t testing.TB) []*opCase {
	files, err := filepath.Glob(filepath.Join(shared(t, "opcases", "cases"), "*.json"))
	require.NoError(t, err)
	var out []*opCase
	for _, name := range files {
		c := &opCase{}
		readJSON(t, name, c)
		c.Name = strings.TrimSuffix(filepath.Base(name), ".json")
		out = append(out, c)
	}
	require.NotEmpty(t, out)
	return out
}

func readJSON(t testing.TB, name string, into any) {
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, into), name)
}

func (v *vector) elem() ir.Elem {
	switch v.Dtype {
	case "int64":
		return ir.I32
	case "bool":
		return ir.Bool
	}
	return ir.F32
}

func (v *vector) floats() []float64 {
	out := make([]float64, len(v.Data))
	for i, x := range v.Data {
		out[i] = float64(x)
	}
	return out
}

func (v *vector) data(t testing.TB) *ir.Data {
	d, err := ir.DataOf(v.elem(), v.Shape, v.floats())
	require.NoError(t, err)
	return d
}

// typ is the type of v in the language. If it is symbolic, every extent n > 1
// is the dimension Nn.
func (v *vector) typ(symbolic bool) string {
	if len(v.Shape) == 0 {
		return v.elem().String()
	}
	var dims []string
	for _, n := range v.Shape {
		d := strconv.Itoa(n)
		if symbolic && n > 1 {
			d = "N" + d
		}
		dims = append(dims, d)
	}
	return fmt.Sprintf("%s[%s]", v.elem(), strings.Join(dims, ", "))
}

func list(shape []int) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(shape), " ", ", "), "[]")
}

// differ says how got is not want within the tolerances, or is nil.
func differ(want vector, rtol, atol float64, shape []int, got []float64) error {
	if want.Atol != nil {
		atol = *want.Atol
	}
	if !slices.Equal(want.Shape, shape) || len(got) != len(want.Data) {
		return fmt.Errorf("%s has the shape %v, want %v", want.Name, shape, want.Shape)
	}
	for i, x := range want.floats() {
		y := got[i]
		// Constants cancel up to one rounding of float64.
		if x == y || math.Abs(x-y) < 1e-30 || math.IsNaN(x) && math.IsNaN(y) || math.Abs(x-y) <= atol+rtol*math.Abs(x) {
			continue
		}
		return &difference{want.Name, i, y, x}
	}
	return nil
}

// A difference is an element that is wrong.
type difference struct {
	name      string
	i         int
	got, want float64
}

func (d *difference) Error() string {
	return fmt.Sprintf("element %d of %s is %v, want %v", d.i, d.name, d.got, d.want)
}

// compare compares all results of a case: outputs, then gradients.
func (c *opCase) compare(got []*ir.Data) error {
	all := slices.Concat(c.Outputs, c.InputGrads)
	if len(got) != len(all) {
		return fmt.Errorf("%d results, want %d", len(got), len(all))
	}
	for i, want := range all {
		if i >= len(c.Outputs) {
			want.Name = "the gradient of " + want.Name
		}
		if err := differ(want, c.Rtol, c.Atol, got[i].Shape, got[i].Floats()); err != nil {
			return err
		}
	}
	return nil
}

// args are what the function of the case takes: inputs, then cotangents.
func (c *opCase) args(t testing.TB) []*ir.Data {
	var out []*ir.Data
	for _, v := range c.params() {
		out = append(out, v.data(t))
	}
	return out
}

// params are the inputs with names fit for the language, then the cotangents of
// the outputs if a gradient is wanted.
func (c *opCase) params() []vector {
	var out []vector
	for _, v := range c.Inputs {
		v.Name = inputName(v.Name)
		out = append(out, v)
	}
	if len(c.InputGrads) > 0 {
		for _, v := range c.GradOutputs {
			v.Name = "d" + capital(v.Name)
			out = append(out, v)
		}
	}
	return out
}

// inputName is name, unless the language has a meaning for that.
func inputName(name string) string {
	switch name {
	case "param", "mean", "var":
		return name + "In"
	}
	return name
}

// outputName is the variable of an output: its name, unless an input has it or
// it looks like a dimension.
func (c *opCase) outputName(name string) string {
	taken := unicode.IsUpper(rune(name[0]))
	for _, v := range c.Inputs {
		taken = taken || v.Name == name
	}
	if taken {
		return strings.ToLower(name) + "Out"
	}
	return name
}

// function is the name of the exported function of the case.
func (c *opCase) function() string {
	var b strings.Builder
	for _, w := range strings.FieldsFunc(c.Name, func(r rune) bool { return r == '_' }) {
		b.WriteString(capital(w))
	}
	return b.String()
}

// variant is what tells the case from others of the op.
func (c *opCase) variant() string {
	_, v, _ := strings.Cut(c.Name, "__")
	return v
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// text is the function of the case with the given body.
func (c *opCase) text(body string, symbolic bool) string {
	var params, results, values, loss []string
	for _, v := range c.params() {
		params = append(params, v.Name+" "+v.typ(symbolic))
	}
	for _, v := range c.Outputs {
		n := c.outputName(v.Name)
		results, values = append(results, n+" "+v.typ(symbolic)), append(values, n)
	}
	var b strings.Builder
	if len(c.InputGrads) > 0 {
		for _, v := range c.GradOutputs {
			term := c.outputName(v.Name) + " * d" + capital(v.Name)
			if len(v.Shape) > 0 {
				term = "sum(" + term + ")"
			}
			loss = append(loss, term)
		}
		var wrt, grads []string
		for _, v := range c.InputGrads {
			n := inputName(v.Name)
			wrt, grads = append(wrt, n), append(grads, n+"Grad")
			results = append(results, n+"Grad "+v.typ(symbolic))
		}
		values = append(values, grads...)
		fmt.Fprintf(&b, "%s := grad[%s](%s)\n", strings.Join(grads, ", "), strings.Join(wrt, ", "), strings.Join(loss, " + "))
	}
	return fmt.Sprintf("func %s(%s) (%s) {\n%s\n%sreturn %s\n}\n",
		c.function(), strings.Join(params, ", "), strings.Join(results, ", "), strings.TrimRight(body, "\n"), b.String(), strings.Join(values, ", "))
}
