// Package cli is the command line of lmc: the commands, their flags, and how
// messages look.
//
// Data goes to standard output, messages to standard error. The exit codes are
// 0 for success, 1 for mistakes in a model text or stale output, and 2 for
// wrong usage, files that cannot be read or written, and bugs of lmc.
package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/lmc-lang/lmc/dsl"
)

// Exit codes.
const (
	exitOK       = 0
	exitMistakes = 1 // diagnostics, or stale output
	exitTrouble  = 2 // usage, files, bugs
)

// A command is one word after lmc.
type command struct {
	name string
	args string // of the usage line
	doc  string // one line
	// flags declares the flags of the command, and returns what runs it after
	// they have been parsed.
	flags func(*flag.FlagSet) func(*env) error
}

// commands are in the order in which help lists them.
func commands() []*command {
	return []*command{
		{"build", "[flags] [FILE.lm]", "write the Go package of a model", buildFlags},
		{"train", "[flags] FILE.lm", "build a model, train it on data, and show what it learned", trainFlags},
		{"check", "[flags] FILE.lm …", "check texts and write nothing", checkFlags},
		{"vet", "[flags] FILE.lm …", "check, and take warnings for errors", vetFlags},
		{"fmt", "[flags] [FILE.lm …]", "lay out texts in the usual way", fmtFlags},
		{"init", "NAME [DIR]", "start a module with a model to change", initFlags},
		{"ops", "[NAME]", "explain the operations", opsFlags},
		{"dump", "-after=PASS FILE.lm", "print a model as the compiler sees it after a pass", dumpFlags},
		{"version", "[-v]", "print the version of lmc", versionFlags},
	}
}

// An env is one run of a command.
type env struct {
	in   io.Reader
	out  *output
	err  io.Writer
	args []string // after the flags
}

// An output remembers the first error of writing to it, so that a command
// whose output is lost, as on a full disk, fails.
type output struct {
	io.Writer
	err error
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.Writer.Write(p)
	if o.err == nil {
		o.err = err
	}
	return n, err
}

// errUsage is an error of usage that has been reported.
var errUsage = errors.New("usage")

// A usageError is a mistake on the command line.
type usageError struct{ msg string }

func (e *usageError) Error() string { return e.msg }

func usagef(format string, a ...any) error { return &usageError{fmt.Sprintf(format, a...)} }

// errMistakes ends a command after diagnostics have been printed.
var errMistakes = errors.New("the text has mistakes")

// Main runs lmc with the arguments after its name and returns the exit code.
func Main(args []string, in io.Reader, out, errOut io.Writer) (code int) {
	e := &env{in: in, out: &output{Writer: out}, err: errOut}
	defer func() {
		if r := recover(); r != nil {
			e.bug(fmt.Sprint(r), string(debug.Stack()))
			code = exitTrouble
		}
	}()
	if err := e.dispatch(args); err != nil {
		return e.exit(err)
	}
	return e.exit(e.out.err)
}

// dispatch finds the command.
func (e *env) dispatch(args []string) error {
	if len(args) == 0 {
		e.help(e.err)
		return errUsage
	}
	name, rest := args[0], args[1:]
	switch name {
	case "help", "-h", "-help", "--help":
		if len(rest) > 0 {
			return e.run(rest[0], []string{"-h"})
		}
		e.help(e.out)
		return nil
	case "-version", "--version":
		name = "version"
	}
	if strings.HasSuffix(name, ".lm") { // lmc FILE.lm is lmc build FILE.lm
		name, rest = "build", args
	}
	return e.run(name, rest)
}

func (e *env) run(name string, args []string) error {
	var names []string
	for _, c := range commands() {
		if c.name != name {
			names = append(names, c.name)
			continue
		}
		fs := flag.NewFlagSet(name, flag.ContinueOnError)
		fs.SetOutput(io.Discard)
		run := c.flags(fs)
		rest, err := parse(fs, args)
		switch {
		case errors.Is(err, flag.ErrHelp):
			usage(e.out, c, fs)
			return nil
		case err != nil:
			return err
		}
		e.args = rest
		return run(e)
	}
	hint := "`lmc help` lists the commands"
	if s := dsl.Suggest(name, append(names, "help")); s != "" {
		hint = fmt.Sprintf("did you mean `lmc %s`?", s)
	} else if _, err := os.Stat(name); err == nil {
		hint = "a model text ends in .lm"
	}
	return usagef("there is no command %q; %s", name, hint)
}

// exit prints an error that has not been printed, and gives its exit code.
func (e *env) exit(err error) int {
	var usage *usageError
	var child *childError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errMistakes):
		return exitMistakes
	case errors.Is(err, errUsage):
		return exitTrouble
	case errors.As(err, &child):
		return child.code
	case errors.As(err, &usage):
		fmt.Fprintf(e.err, "lmc: %s\n", usage.msg)
		return exitTrouble
	case strings.Contains(err.Error(), "bug in "):
		e.bug(err.Error(), "")
		return exitTrouble
	}
	fmt.Fprintf(e.err, "lmc: %s\n", plainError(err))
	return exitTrouble
}

// bug reports a mistake of ours.
func (e *env) bug(msg, stack string) {
	if !strings.HasPrefix(msg, "bug in ") {
		msg = "bug in lmc: " + msg
	}
	fmt.Fprintf(e.err, "lmc: %s\n%sThis is not your mistake. Please report it with the text of the model and `lmc version -v`.\n", msg, stack)
}

// plainError is the message of an error without the name of the system call:
// "open x.lm: no such file or directory" becomes "x.lm: no such file or …".
func plainError(err error) string {
	var p *os.PathError
	if errors.As(err, &p) && err == error(p) {
		return filepath.ToSlash(p.Path) + ": " + p.Err.Error()
	}
	var l *os.LinkError
	if errors.As(err, &l) && err == error(l) {
		return filepath.ToSlash(l.New) + ": " + l.Err.Error()
	}
	return err.Error()
}

func (e *env) help(w io.Writer) {
	fmt.Fprint(w, "lmc compiles neural networks to Go.\n\nusage: lmc COMMAND [flags] [arguments]\n\n")
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-8s  %s\n", c.name, c.doc)
	}
	fmt.Fprint(w, "\n`lmc FILE.lm` is `lmc build FILE.lm`; `lmc help COMMAND` shows the flags of a command.\n")
}
