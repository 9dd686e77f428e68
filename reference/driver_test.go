package reference

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/codegen"
	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/runtime"
)

// targets are those whose kernels this machine runs.
func targets() []string {
	return slices.DeleteFunc([]string{"portable", "amd64-avx2", "amd64-avx512"}, func(s string) bool { return !runtime.Supports(s) })
}

// summary says how many cases of a family passed, in the words that .ci/run
// prints, and fails if not all did.
func summary(t testing.TB, family string, passed, failed int) {
	t.Helper()
	t.Logf("%s: %d passed, %d failed", family, passed, failed)
	assert.Zero(t, failed, "%s: cases that fail", family)
	assert.NotZero(t, passed, "%s: no cases", family)
}

// each runs a test for each of the cases and gives their summary.
func each[T any](t *testing.T, family string, cases []T, name func(T) string, test func(t *testing.T, c T)) {
	t.Helper()
	passed := 0
	for _, c := range cases {
		if t.Run(name(c), func(t *testing.T) { test(t, c) }) {
			passed++
		}
	}
	summary(t, family, passed, len(cases)-passed)
}

// A tensor travels to the driver and back as bits, so that NaN and every
// rounding survive.
type tensor struct {
	Shape []int    `json:"shape"`
	Bits  []uint32 `json:"bits"`
}

// A request is one thing for the driver to do with a package; see
// testdata/driver.go.
type request struct {
	Package string   `json:"package"`
	Do      string   `json:"do"` // init, load, save, set, data, reset, call, gradients, derivative, step
	Name    string   `json:"name"`
	File    string   `json:"file"`
	Like    string   `json:"like"` // a file with the shapes that File is to have
	Args    []tensor `json:"args"`
}

// An answer has the results of a request, or why there are none.
type answer struct {
	Results []tensor `json:"results"`
	Error   string   `json:"error"`
}

// tensorOf is the data of the evaluator as the driver wants it.
func tensorOf(d *ir.Data) tensor {
	out := tensor{Shape: append([]int{}, d.Shape...)}
	for _, x := range d.Floats() {
		if d.Elem == ir.F32 {
			out.Bits = append(out.Bits, math.Float32bits(float32(x)))
		} else {
			out.Bits = append(out.Bits, uint32(int32(x)))
		}
	}
	return out
}

// data is the converse of tensorOf.
func (x tensor) data(e ir.Elem) *ir.Data {
	d := &ir.Data{Elem: e, Shape: x.Shape}
	for _, b := range x.Bits {
		if e == ir.F32 {
			d.F = append(d.F, float64(math.Float32frombits(b)))
		} else {
			d.I = append(d.I, int32(b))
		}
	}
	return d
}

// A module is a folder in which generated packages are compiled together with a
// program that uses them.
type module struct{ dir string }

// newModule writes a Go module with the packages and the program testdata/main.
func newModule(t testing.TB, main string, packages ...*compiled) *module {
	t.Helper()
	m := &module{t.TempDir()}
	if d := os.Getenv("LMC_KEEP"); d != "" {
		m.dir = filepath.Join(d, strings.ReplaceAll(t.Name(), "/", "_"))
		require.NoError(t, os.MkdirAll(m.dir, 0o777))
	}
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	mod := "module example.com/reference\n\ngo 1.26.0\n\nrequire github.com/lmc-lang/lmc v0.0.0\n\nreplace github.com/lmc-lang/lmc => " + root + "\n"
	m.write(t, "go.mod", []byte(mod))
	text, err := os.ReadFile(filepath.Join("testdata", main))
	require.NoError(t, err)
	m.write(t, "main.go", bytes.Replace(text, []byte("//go:build ignore\n\n"), nil, 1))
	for _, c := range packages {
		_, err := codegen.Write(filepath.Join(m.dir, c.program.API.Package), c.files)
		require.NoError(t, err)
	}
	return m
}

// newDriver is newModule for a program that finds the packages by name, in a
// table.
func newDriver(t testing.TB, main string, packages ...*compiled) *module {
	t.Helper()
	m := newModule(t, main, packages...)
	var imports, table strings.Builder
	for _, c := range packages {
		p := c.program.API.Package
		fmt.Fprintf(&imports, "\t%q\n", importPath(p))
		fmt.Fprintf(&table, "\t%q: {\"NewWeights\": %[2]s.NewWeights, \"InitWeights\": %[2]s.InitWeights, \"NewSession\": %[2]s.NewSession,\n", p, p)
		for _, tr := range c.program.API.Trainers {
			fmt.Fprintf(&table, "\t\t\"New%[1]s\": %[2]s.New%[1]s, \"Default%[1]sOptions\": %[2]s.Default%[1]sOptions,\n", tr.Name, p)
		}
		table.WriteString("\t},\n")
	}
	m.write(t, "packages.go", []byte("package main\n\nimport (\n"+imports.String()+")\n\nvar packages = map[string]map[string]any{\n"+table.String()+"}\n"))
	return m
}

func (m *module) write(t testing.TB, name string, data []byte) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(m.dir, name), data, 0o666))
}

// command is the go command in the module.
func (m *module) command(env []string, args ...string) *exec.Cmd {
	cmd := exec.Command("go", args...)
	cmd.Dir = m.dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off", "CGO_ENABLED=0")
	cmd.Env = append(cmd.Env, env...)
	return cmd
}

// build compiles the program and returns its path.
func (m *module) build(t testing.TB, name string, env ...string) string {
	t.Helper()
	out := filepath.Join(m.dir, name)
	b, err := m.command(env, "build", "-o", out, ".").CombinedOutput()
	require.NoError(t, err, "%s", tail(b))
	return out
}

// report builds the program, runs it and reads the JSON that it prints.
func (m *module) report(t testing.TB, into any, env ...string) {
	t.Helper()
	cmd := exec.Command(m.build(t, "trial"))
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	b, err := cmd.Output()
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, into))
}

func tail(b []byte) string {
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[:min(len(lines), 20)], "\n")
}

// ask runs the driver, a command, on requests.
func ask(t testing.TB, env []string, command []string, requests []request) []answer {
	t.Helper()
	var in bytes.Buffer
	enc := json.NewEncoder(&in)
	for _, r := range requests {
		require.NoError(t, enc.Encode(r))
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdin = &in
	cmd.Env = append(os.Environ(), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "%s", tail(stderr.Bytes()))
	var answers []answer
	dec := json.NewDecoder(bufio.NewReader(bytes.NewReader(out)))
	for {
		var a answer
		if err := dec.Decode(&a); err == io.EOF {
			break
		} else {
			require.NoError(t, err)
		}
		answers = append(answers, a)
	}
	require.Len(t, answers, len(requests))
	return slices.Clip(answers)
}
