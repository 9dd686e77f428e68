package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/lmc-lang/lmc/codegen"
	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/dsl/check"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/passes"
)

const modulePath = codegen.Module

// A module is the scratch module: copies of the programs in _run, and the
// packages of the models they import.
type module struct {
	here     string // the folder bench
	dir      string
	programs map[string]*loop.Program // of the models, by package
	built    map[string]string        // executables, by program
}

// newModule makes the module in dir, or in a new folder if dir is empty.
func newModule(here, dir string) (*module, error) {
	var err error
	if dir == "" {
		if dir, err = os.MkdirTemp("", "lmcbench-"); err != nil {
			return nil, err
		}
	} else if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	m := &module{here: here, dir: dir, programs: map[string]*loop.Program{}, built: map[string]string{}}
	root := filepath.Dir(here)
	goMod := fmt.Sprintf("module lmcbench\n\ngo 1.26\n\nrequire %s v0.0.0\n\nreplace %s => %s\n", modulePath, modulePath, root)
	if err := m.write("go.mod", []byte(goMod)); err != nil {
		return nil, err
	}
	run := filepath.Join(here, "_run")
	return m, filepath.WalkDir(run, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(run, path)
		if err != nil {
			return err
		}
		return m.write(rel, data)
	})
}

func (m *module) write(name string, data []byte) error {
	name = filepath.Join(m.dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return err
	}
	return os.WriteFile(name, data, 0o666)
}

// A source says what becomes a package: a model of a text, with dims that are
// fixed.
type source struct {
	text  string // a file here
	model string // "" is the first
	dims  map[string]int
}

// compile writes the package of a model.
func (m *module) compile(pkg string, s source) error {
	src, err := os.ReadFile(filepath.Join(m.here, s.text))
	if err != nil {
		return err
	}
	return m.compileText(pkg, s, src)
}

func (m *module) compileText(pkg string, s source, src []byte) error {
	if m.programs[pkg] != nil {
		return nil
	}
	file, ds := dsl.Parse(s.text, src)
	if ds.HasErrors() {
		return ds
	}
	o := check.Options{Model: s.model}
	for name, n := range s.dims {
		o.Dims = append(o.Dims, check.DimOption{Name: name, Rel: "=", N: n})
	}
	mod, ds := check.Check([]*dsl.File{file}, o)
	if ds.HasErrors() {
		return ds
	}
	derived, err := passes.Run(mod, passes.Options{})
	if err != nil {
		return err
	}
	p, err := passes.Lower(derived)
	if err != nil {
		return err
	}
	p.API.Package = pkg
	files, err := codegen.Generate(p, codegen.Options{})
	if err != nil {
		return err
	}
	if _, err := codegen.Write(filepath.Join(m.dir, "model", pkg), files); err != nil {
		return err
	}
	m.programs[pkg] = p
	return nil
}

// add compiles what a workload needs.
func (m *module) add(w *workload) error {
	if m.built[w.program] != "" {
		return nil
	}
	for _, pkg := range w.uses {
		if err := m.compile(pkg, sources[pkg]); err != nil {
			return fmt.Errorf("%s: %w", pkg, err)
		}
	}
	return m.build(w.program)
}

// build compiles a program of the module.
func (m *module) build(program string) error {
	exe := filepath.Join(m.dir, "bin", program)
	cmd := exec.Command("go", "build", "-o", exe, "./"+program)
	cmd.Dir = m.dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("bug in codegen: the package does not compile: %w\n%s", err, out)
	}
	m.built[program] = exe
	return nil
}

// A result is what a program that times a workload prints.
type result struct {
	Peer     string    `json:"peer"`
	Workload string    `json:"workload"`
	Median   float64   `json:"median_ms"`
	Min      float64   `json:"min_ms"`
	CPU      float64   `json:"cpu_ms"`
	RSS      float64   `json:"rss_mb"`
	Losses   []float64 `json:"loss"`
	Outputs  []float64 `json:"outputs"`
	Kernels  string    `json:"kernels"`
	Mallocs  float64   `json:"mallocs"`
	Cores    int       `json:"threads"`
}

// run times a workload; more are further arguments of its program.
func (m *module) run(w *workload, o options, cores int, profile string, more ...string) (*result, error) {
	args := append([]string{"-time", fmt.Sprint(o.seconds), "-losses", fmt.Sprint(len(w.losses))}, more...)
	if profile != "" {
		args = append(args, "-profile", profile)
	}
	cmd := pinned(cores, m.built[w.program], append(args, w.name)...)
	if o.target != "" {
		cmd.Env = append(cmd.Env, "LMC_TARGET="+o.target)
	}
	return output(cmd)
}

// output runs a command and decodes the line it prints.
func output(cmd *exec.Cmd) (*result, error) {
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, lastLines(errOut.String()))
	}
	r := &result{}
	if err := json.Unmarshal(out.Bytes(), r); err != nil {
		return nil, fmt.Errorf("%w: %s", err, lastLines(out.String()))
	}
	return r, nil
}

// lastLines is the end of a long text.
func lastLines(s string) string {
	s = strings.TrimSpace(s)
	return s[max(0, len(s)-400):]
}
