package compile

import (
	"errors"
	"strings"
	"time"

	"github.com/lmc-lang/lmc/codegen"
	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/dsl/check"
	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/ops"
	"github.com/lmc-lang/lmc/passes"
)

// A Trace is what to report while a model is compiled. All of it may be zero.
type Trace struct {
	Dump      func(pass, text string) // the functions after DumpAfter
	DumpAfter string                  // a name of Stages
	Time      func(stage string, took time.Duration)
}

// Schedule is the stage after all passes: kernels and memory.
const Schedule = "schedule"

// Stages are the names after which a dump can be made, in order.
func Stages() []string {
	out := []string{"check"}
	for _, p := range passes.List {
		out = append(out, p.Name)
	}
	return append(out, Schedule)
}

// A Model is a model that has been compiled to kernels.
type Model struct {
	Module  *ir.Module
	Program *loop.Program
	Source  *Source
	// Diags are warnings.
	Diags dsl.Diagnostics

	portable bool                // no native kernels were printed
	memory   []*passes.MemoryUse // of the functions
	refused  map[string][]string // why kernels have none, by name
}

// A Mistakes error is the diagnostics of a text that does not compile.
type Mistakes struct{ Diags dsl.Diagnostics }

func (m *Mistakes) Error() string { return m.Diags.Error() }

// Compile runs all stages up to kernels. Mistakes in the text are a *Mistakes.
func (s *Source) Compile(o Options, t Trace) (*Model, error) {
	start := time.Now()
	lap := func(stage string) {
		if t.Time != nil {
			t.Time(stage, time.Since(start))
		}
		start = time.Now()
	}
	var module *ir.Module
	var ds dsl.Diagnostics
	if !s.Diags.HasErrors() {
		module, ds = check.Check([]*dsl.File{s.File}, s.checkOptions(o))
	} else if s.File.Package != nil {
		_, ds = check.All([]*dsl.File{s.File}, s.checkOptions(o))
	}
	all := s.merge(ds)
	if all.HasErrors() {
		return nil, &Mistakes{all}
	}
	if module == nil {
		return nil, errors.New("bug in check: there is neither a module nor a message")
	}
	lap("check")
	p, err := passes.Run(module, passes.Options{Dump: t.Dump, DumpAfter: t.DumpAfter, Time: t.Time})
	if err != nil {
		return nil, s.mistake(err)
	}
	start = time.Now()
	program, memory, err := passes.LowerWithStats(p)
	if err != nil {
		return nil, s.mistake(err)
	}
	lap(Schedule)
	if t.Dump != nil && (t.DumpAfter == Schedule || t.DumpAfter == "all") {
		t.Dump(Schedule, program.String())
	}
	return &Model{Module: module, Program: program, Source: s, Diags: all, memory: memory}, nil
}

// mistake makes a diagnostic of an error of a pass that is the user's mistake.
func (s *Source) mistake(err error) error {
	var g *ops.GradientError
	var m *passes.Mistake
	d := &dsl.Diagnostic{File: s.Path, Pos: dsl.Pos{Line: 1, Col: 1}}
	switch {
	case errors.As(err, &g):
		d.Msg = g.Msg
		if g.Pos.Line > 0 {
			d.File, d.Pos = g.Pos.File, dsl.Pos{Line: g.Pos.Line, Col: g.Pos.Col}
		}
	case errors.As(err, &m):
		d.Msg = m.Msg
		if s.File.Package != nil {
			d.Pos, d.End = s.File.Package.Pos, s.File.Package.End
		}
	default:
		return err
	}
	return &Mistakes{dsl.Diagnostics{d}}
}

// Output says what to print of a model.
type Output struct {
	Package    string // Go package name; "" is the text's
	Standalone bool
	ImportPath string // of the output; needed if it is standalone
	Tests      bool
	Portable   bool // no native kernels
}

// Files prints the package of a model and type-checks it. No file is written.
func (m *Model) Files(o Output) ([]codegen.File, error) {
	if o.Package != "" {
		m.Program.API.Package = o.Package
	}
	m.portable, m.refused = o.Portable || m.Program.API.Float64, map[string][]string{}
	files, err := codegen.Generate(m.Program, codegen.Options{
		Standalone: o.Standalone, ImportPath: o.ImportPath, Tests: o.Tests, Portable: o.Portable,
		Refused: func(kernel string, t *loop.Target, why error) {
			m.refused[kernel] = append(m.refused[kernel], t.Name+": "+why.Error())
		},
	})
	if err != nil {
		if strings.Contains(err.Error(), "bug in ") {
			return nil, err
		}
		return nil, m.Source.mistake(&passes.Mistake{Msg: err.Error()}) // names that clash in Go
	}
	if err := codegen.Check(files, o.ImportPath); err != nil {
		return nil, err
	}
	return files, nil
}
