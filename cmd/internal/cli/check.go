package cli

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/lmc-lang/lmc/cmd/internal/compile"
	"github.com/lmc-lang/lmc/codegen"
	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/ir/ops"
	lmcruntime "github.com/lmc-lang/lmc/runtime"
)

func checkFlags(fs *flag.FlagSet) func(*env) error { return checker(fs, false) }

func vetFlags(fs *flag.FlagSet) func(*env) error { return checker(fs, true) }

// checker is the commands check and vet.
func checker(fs *flag.FlagSet, vet bool) func(*env) error {
	opt, r := modelFlags(fs), reportFlags(fs)
	return func(e *env) error {
		if err := r.check(); err != nil {
			return err
		}
		paths := e.args
		if len(paths) == 0 {
			path, err := oneText(nil, fs.Name())
			if err != nil {
				return err
			}
			paths = []string{path}
		}
		opt.Vet = vet
		failed := false
		for _, path := range paths {
			s, err := compile.Read(path)
			if err != nil {
				return err
			}
			ds := s.CheckAll(*opt)
			r.print(e, s, ds)
			failed = failed || ds.HasErrors()
		}
		if failed {
			return errMistakes
		}
		return nil
	}
}

// A formatter is one run of lmc fmt.
type formatter struct {
	*env
	*reporter
	write, diff, list bool
}

func fmtFlags(fs *flag.FlagSet) func(*env) error {
	f := &formatter{reporter: reportFlags(fs)}
	fs.BoolVar(&f.write, "w", false, "write the result to the file instead of standard output")
	fs.BoolVar(&f.diff, "d", false, "print differences instead of the result")
	fs.BoolVar(&f.list, "l", false, "print the names of files that would change")
	return func(e *env) error {
		f.env = e
		if err := f.reporter.check(); err != nil {
			return err
		}
		if len(e.args) == 0 {
			if f.write {
				return usagef("fmt -w needs files")
			}
			src, err := io.ReadAll(e.in)
			if err != nil {
				return err
			}
			return f.file("<standard input>", src)
		}
		mistakes := false
		for _, path := range e.args {
			src, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			err = f.file(path, src)
			if err != nil && !errors.Is(err, errMistakes) {
				return err
			}
			mistakes = mistakes || err != nil
		}
		if mistakes {
			return errMistakes
		}
		return nil
	}
}

// file formats one text. A text with syntax errors stays as it is.
func (f *formatter) file(path string, src []byte) error {
	name := filepath.ToSlash(path)
	out, err := dsl.Format(name, src)
	var ds dsl.Diagnostics
	switch {
	case errors.As(err, &ds):
		s, readErr := compile.Read(path)
		if readErr != nil { // standard input
			s = &compile.Source{}
		}
		f.print(f.env, s, ds)
		return errMistakes
	case err != nil:
		return err
	}
	same := bytes.Equal(src, out)
	if f.list && !same {
		fmt.Fprintln(f.out, name)
	}
	if f.diff && !same {
		io.WriteString(f.out, codegen.Diff(name, string(src), string(out)))
	}
	switch {
	case f.write && !same:
		return lmcruntime.WriteFileAtomic(path, func(w io.Writer) error {
			_, err := w.Write(out)
			return err
		})
	case !f.write && !f.list && !f.diff:
		_, err := f.out.Write(out)
		return err
	}
	return nil
}

func opsFlags(*flag.FlagSet) func(*env) error {
	return func(e *env) error {
		names := e.args
		if len(names) == 0 {
			names = []string{""}
		}
		for i, n := range names {
			text, ok := ops.Manual(n)
			if !ok {
				var all []string
				for _, f := range ops.Families {
					for _, op := range f.Ops {
						all = append(all, op.Name)
					}
				}
				hint := "`lmc ops` lists them"
				if s := dsl.Suggest(n, all); s != "" {
					hint = fmt.Sprintf("did you mean %s?", s)
				}
				return usagef("there is no operation %q; %s", n, hint)
			}
			if i > 0 {
				fmt.Fprintln(e.out)
			}
			io.WriteString(e.out, text)
		}
		return nil
	}
}

func versionFlags(fs *flag.FlagSet) func(*env) error {
	verbose := fs.Bool("v", false, "print what a report of a bug needs: Go, machine, kernels")
	return func(e *env) error {
		fmt.Fprintln(e.out, "lmc "+version())
		if *verbose {
			fmt.Fprintf(e.out, "go       %s\nsystem   %s/%s, %d cores\nkernels  %s\n",
				runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), lmcruntime.KernelPath())
			if cpu := cpuName(); cpu != "" {
				fmt.Fprintf(e.out, "cpu      %s\n", cpu)
			}
		}
		return nil
	}
}

// version is that of the module, as the go command recorded it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "(unknown)"
	}
	v := info.Main.Version
	for _, d := range info.Deps {
		if d.Path == codegen.Module { // lmc runs as a tool of another module
			v = d.Version
		}
	}
	if v == "" {
		v = "(devel)"
	}
	return v
}

// cpuName is the model of the processor where the system tells it in a file.
func cpuName() string {
	data, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(data)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
