package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/lmc-lang/lmc/cmd/internal/compile"
	"github.com/lmc-lang/lmc/dsl"
)

// parse parses flags that may stand before, between and after the arguments,
// which it returns. Everything after -- is an argument.
func parse(fs *flag.FlagSet, args []string) (rest []string, err error) {
	for len(args) > 0 {
		n, err := leading(fs, args)
		if err != nil {
			return nil, err
		}
		if err := fs.Parse(args[:n]); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return nil, err
			}
			return nil, usagef("%s: %s (`lmc help %s` shows the flags)", fs.Name(), err, fs.Name())
		}
		args = args[n:]
		if len(args) > 0 && args[0] == "--" {
			return append(rest, args[1:]...), nil
		}
		if len(args) > 0 {
			rest, args = append(rest, args[0]), args[1:]
		}
	}
	return rest, nil
}

// leading is the number of arguments that are flags and their values, up to the
// first that is neither. A flag that is not declared is an error that names the
// one that was probably meant.
func leading(fs *flag.FlagSet, args []string) (int, error) {
	for i := 0; i < len(args); i++ {
		a := args[i]
		if len(a) < 2 || a[0] != '-' || a == "--" {
			return i, nil
		}
		name, _, hasValue := strings.Cut(strings.TrimLeft(a, "-"), "=")
		if name == "h" || name == "help" {
			return i + 1, nil
		}
		f := fs.Lookup(name)
		if f == nil {
			var names []string
			fs.VisitAll(func(f *flag.Flag) { names = append(names, f.Name) })
			hint := fmt.Sprintf("`lmc help %s` shows the flags", fs.Name())
			if s := dsl.Suggest(name, names); s != "" {
				hint = fmt.Sprintf("did you mean -%s?", s)
			}
			return 0, usagef("%s has no flag -%s; %s", fs.Name(), name, hint)
		}
		if b, ok := f.Value.(interface{ IsBoolFlag() bool }); !hasValue && (!ok || !b.IsBoolFlag()) {
			i++
		}
	}
	return len(args), nil
}

// usage prints the help of a command.
func usage(w io.Writer, c *command, fs *flag.FlagSet) {
	fmt.Fprintf(w, "lmc %s: %s\n\nusage: lmc %s %s\n", c.name, c.doc, c.name, c.args)
	first := true
	fs.VisitAll(func(f *flag.Flag) {
		if first {
			fmt.Fprint(w, "\nflags\n")
			first = false
		}
		kind, text := flag.UnquoteUsage(f)
		head := "-" + f.Name
		if kind != "" {
			head += " " + kind
		}
		if d := f.DefValue; d != "" && d != "false" && d != "0" && d != "0s" {
			text += " (default " + d + ")"
		}
		fmt.Fprintf(w, "  %-22s  %s\n", head, text)
	})
}

// settings is the value of -set, given any number of times.
type settings map[string]string

func (s settings) String() string { return "" }

// Set reads NAME=VALUE.
func (s settings) Set(text string) error {
	name, value, ok := strings.Cut(text, "=")
	name, value = strings.TrimSpace(name), strings.TrimSpace(value)
	if !ok || name == "" || value == "" {
		return fmt.Errorf("want NAME=VALUE, such as D=1024")
	}
	s[name] = value
	return nil
}

// dims is the value of -dim, given any number of times.
type dims []compile.Dim

func (d *dims) String() string { return "" }

// Set reads NAME=N or NAME<=N.
func (d *dims) Set(text string) error {
	rel := "<="
	name, value, ok := strings.Cut(text, rel)
	if !ok {
		rel = "="
		name, value, ok = strings.Cut(text, rel)
	}
	n, err := strconv.Atoi(strings.TrimSpace(value))
	if name = strings.TrimSpace(name); !ok || name == "" || strings.ContainsAny(name, "<>=") || err != nil || n < 0 {
		return fmt.Errorf("want NAME=N or NAME<=N, such as B=32")
	}
	*d = append(*d, compile.Dim{Name: name, Rel: rel, N: n})
	return nil
}

// pairs is a list of NAME=VALUE, in order; the part before = is optional if
// bare is set.
type pairs struct {
	list [][2]string
	bare bool
}

func (p *pairs) String() string { return "" }

// Set appends one pair.
func (p *pairs) Set(text string) error {
	name, value, ok := strings.Cut(text, "=")
	switch {
	case !ok && p.bare:
		name, value = "", text
	case !ok || name == "" || value == "":
		return fmt.Errorf("want NAME=VALUE")
	}
	p.list = append(p.list, [2]string{strings.TrimSpace(name), strings.TrimSpace(value)})
	return nil
}

// floatFlag is the value of -float: f32 or f64.
type floatFlag bool

func (f *floatFlag) String() string {
	if f != nil && *f {
		return "f64"
	}
	return "f32"
}

// Set reads f32 or f64.
func (f *floatFlag) Set(text string) error {
	switch text {
	case "f32", "float32":
		*f = false
	case "f64", "float64":
		*f = true
	default:
		return fmt.Errorf("want f32 or f64")
	}
	return nil
}

// modelFlags declares the flags that say which model is meant, for all commands
// that compile.
func modelFlags(fs *flag.FlagSet) *compile.Options {
	o := &compile.Options{Set: settings{}}
	fs.StringVar(&o.Model, "model", "", "the `name` of the model, if the text has several")
	fs.Var(settings(o.Set), "set", "give a dim or option of the model another value: `D=1024`")
	fs.Var((*dims)(&o.Dims), "dim", "fix or bound a dim of the arguments: `B=32` or B<=32")
	fs.Var((*floatFlag)(&o.Float64), "float", "the Go `type` of f32: f32 or f64")
	return o
}
