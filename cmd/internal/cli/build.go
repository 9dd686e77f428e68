package cli

import (
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/lmc-lang/lmc/cmd/internal/compile"
	"github.com/lmc-lang/lmc/codegen"
	"github.com/lmc-lang/lmc/dsl"
)

// A builder is one run of lmc build.
type builder struct {
	*env
	*reporter
	opt        *compile.Options
	out, pkg   string
	target     string
	standalone bool
	check      bool
	dump       string
	stats      bool
	tests      bool
	quiet      bool
}

func buildFlags(fs *flag.FlagSet) func(*env) error {
	b := &builder{opt: modelFlags(fs), reporter: reportFlags(fs)}
	fs.StringVar(&b.out, "o", "", "write to this `folder`")
	fs.StringVar(&b.pkg, "pkg", "", "the `name` of the Go package")
	fs.BoolVar(&b.standalone, "standalone", false, "copy the runtime into the output, which then imports the standard library only")
	fs.StringVar(&b.target, "target", "native", "native: kernels in assembly, too, where a `target` gains by them; or portable: Go only")
	fs.BoolVar(&b.check, "check", false, "write nothing; print a diff and exit with 1 if the output is stale")
	fs.StringVar(&b.dump, "dump", "", "print the functions after this `pass`")
	fs.BoolVar(&b.stats, "stats", false, "print what functions, files and kernels cost")
	fs.BoolVar(&b.tests, "tests", false, "write tests and examples of the package, too")
	fs.BoolVar(&b.quiet, "q", false, "do not print what was made")
	return func(e *env) error {
		b.env = e
		return b.run()
	}
}

func (b *builder) run() error {
	if err := b.reporter.check(); err != nil {
		return err
	}
	if err := knownStage(b.dump); b.dump != "" && err != nil {
		return err
	}
	if b.target != "native" && b.target != "portable" {
		return usagef("build -target is native or portable, not %q", b.target)
	}
	path, err := oneText(b.args, "build")
	if err != nil {
		return err
	}
	s, err := compile.Read(path)
	if err != nil {
		return err
	}
	models := s.Models()
	if b.opt.Model != "all" || len(models) == 0 {
		if b.opt.Model == "all" {
			b.opt.Model = ""
		}
		p, err := b.model(s, "")
		if err != nil {
			return err
		}
		return b.write(s, p)
	}
	if b.pkg != "" {
		return usagef("-pkg names one package, but -model all makes one of each model")
	}
	var all []*built // before the first is written, so that a mistake in the last changes nothing
	for _, m := range models {
		b.opt.Model = m
		p, err := b.model(s, strings.ToLower(m))
		if err != nil {
			return err
		}
		for _, o := range all {
			if o.place == p.place {
				return usagef("two models would be the package %s; build them one by one with -model and -o", p.place.Package)
			}
		}
		all = append(all, p)
	}
	for _, p := range all {
		if err := b.write(s, p); err != nil {
			return err
		}
	}
	return nil
}

// A built is a package that has been made, but not written.
type built struct {
	m     *compile.Model
	files []codegen.File
	place compile.Place
	times []string // of the stages
	took  time.Duration

	several bool // others are made in the same run
}

// model builds one model; sub is the subfolder and package it gets if there are
// several.
func (b *builder) model(s *compile.Source, sub string) (*built, error) {
	start := time.Now()
	trace := compile.Trace{DumpAfter: b.dump}
	if b.dump != "" {
		trace.Dump = func(_, text string) { io.WriteString(b.env.out, text) }
	}
	var times []string
	if b.stats {
		trace.Time = func(stage string, took time.Duration) {
			times = append(times, fmt.Sprintf("%s %.1f ms", stage, took.Seconds()*1e3))
		}
	}
	m, err := s.Compile(*b.opt, trace)
	if err != nil {
		return nil, b.fail(b.env, s, err)
	}
	b.print(b.env, s, m.Diags)
	dir, pkg := b.out, b.pkg
	if sub != "" {
		if dir == "" {
			dir = filepath.Dir(filepath.FromSlash(s.Path))
		}
		dir, pkg = filepath.Join(dir, sub), sub
	}
	place, err := s.Where(dir, pkg)
	if err != nil {
		return nil, err
	}
	out := compile.Output{Package: place.Package, Standalone: b.standalone, Tests: b.tests, Portable: b.target == "portable"}
	if b.standalone || b.tests {
		if out.ImportPath, err = compile.ImportPath(place.Dir); err != nil {
			return nil, err
		}
	}
	files, err := m.Files(out)
	if err != nil {
		return nil, b.fail(b.env, s, err)
	}
	return &built{m, files, place, times, time.Since(start), sub != ""}, nil
}

// write writes a package, or compares it with what is there.
func (b *builder) write(s *compile.Source, p *built) error {
	start := time.Now()
	if b.check {
		diff, err := codegen.Stale(p.place.Dir, p.files)
		if err != nil {
			return err
		}
		if diff != "" {
			io.WriteString(b.env.out, diff)
			fmt.Fprintf(b.err, "lmc: the code in %s is stale: run `lmc build %s`\n", filepath.ToSlash(p.place.Dir), s.Path)
			return errMistakes
		}
		return nil
	}
	report, err := codegen.Write(p.place.Dir, p.files)
	if err != nil {
		where := ""
		if p.several {
			where = " to " + filepath.ToSlash(p.place.Dir)
		}
		return fmt.Errorf("nothing was written%s: %w", where, err)
	}
	if b.stats {
		p.m.Stats(b.env.out, p.files)
		fmt.Fprintf(b.env.out, "\ntime: %s\n", strings.Join(p.times, ", "))
	}
	if !b.quiet {
		b.summary(p.m, p.files, p.place, report, p.took+time.Since(start))
	}
	return nil
}

// summary says what was made.
func (b *builder) summary(m *compile.Model, files []codegen.File, place compile.Place, r codegen.Report, took time.Duration) {
	for i, line := range m.Summary(files) {
		if i > 0 {
			line = "  " + line
		}
		fmt.Fprintln(b.err, line)
	}
	what := fmt.Sprintf("wrote %d", len(r.Written))
	if len(r.Written) == 0 {
		what = "nothing changed"
	}
	if n := len(r.Removed); n > 0 {
		what += fmt.Sprintf(", removed %d", n)
	}
	fmt.Fprintf(b.err, "  package %s in %s: %s, %.2f s\n", place.Package, filepath.ToSlash(place.Dir), what, took.Seconds())
}

// oneText is the text that a command is about: its argument, or the only one in
// the folder.
func oneText(args []string, command string) (string, error) {
	switch len(args) {
	case 1:
		if filepath.Ext(args[0]) != ".lm" {
			return "", usagef("%s needs a model text, which ends in .lm, not %s", command, args[0])
		}
		return args[0], nil
	case 0:
		names, _ := filepath.Glob("*.lm")
		if len(names) == 1 {
			return names[0], nil
		}
		if len(names) > 1 {
			return "", usagef("%s needs one of %s", command, strings.Join(names, ", "))
		}
		return "", usagef("%s needs a model text, FILE.lm", command)
	}
	return "", usagef("%s takes one text, not %d: %s", command, len(args), strings.Join(args, " "))
}

// knownStage rejects a pass that does not exist.
func knownStage(name string) error {
	stages := compile.Stages()
	for _, s := range append(stages, "all") {
		if s == name {
			return nil
		}
	}
	hint := "the passes are " + strings.Join(stages, ", ")
	if name == "fuse" || name == "plan" {
		hint = "it is a part of schedule"
	}
	if s := dsl.Suggest(name, stages); s != "" {
		hint = fmt.Sprintf("did you mean %s?", s)
	}
	return usagef("there is no pass %q; %s", name, hint)
}

func dumpFlags(fs *flag.FlagSet) func(*env) error {
	opt, r := modelFlags(fs), reportFlags(fs)
	after := fs.String("after", compile.Schedule, "the `pass`: "+strings.Join(compile.Stages(), ", ")+", or all")
	return func(e *env) error {
		if err := r.check(); err != nil {
			return err
		}
		if err := knownStage(*after); err != nil {
			return err
		}
		path, err := oneText(e.args, "dump")
		if err != nil {
			return err
		}
		s, err := compile.Read(path)
		if err != nil {
			return err
		}
		_, err = s.Compile(*opt, compile.Trace{DumpAfter: *after, Dump: func(pass, text string) {
			if *after == "all" {
				fmt.Fprintf(e.out, "==== %s ====\n", pass)
			}
			io.WriteString(e.out, text)
		}})
		return r.fail(e, s, err)
	}
}
