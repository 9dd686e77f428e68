package check

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/ir"
)

// A bailout ends the statement (or member) in which a mistake was found. The
// diagnostic has been recorded before it is thrown.
type bailout struct{}

// errorf starts a diagnostic about n in the file being checked. Report it with
// fail or report.
func (c *checker) errorf(n dsl.Node, format string, args ...any) *dsl.Diagnostic {
	d := dsl.Errorf(c.fileName(), n, format, args...)
	d.In = slices.Clone(c.trace)
	slices.Reverse(d.In)
	if n := len(d.In); n > 8 {
		d.In = slices.Concat(d.In[:5], []string{fmt.Sprintf("… %d more …", n-7)}, d.In[n-2:])
	}
	return d
}

// fail records d and ends the statement. It does not return.
func (c *checker) fail(d *dsl.Diagnostic) {
	c.report(d)
	panic(bailout{})
}

// failf is fail(errorf(…)).
func (c *checker) failf(n dsl.Node, format string, args ...any) {
	c.fail(c.errorf(n, format, args...))
}

// report records d. The same text at the same place is said once.
func (c *checker) report(d *dsl.Diagnostic) {
	c.failed = true
	c.errors++
	if c.quiet > 0 {
		return
	}
	if c.prefix != "" {
		d.Msg = c.prefix + d.Msg
		d.Severity = c.severity
	}
	for _, o := range c.diags {
		if o.File == d.File && o.Pos == d.Pos && o.Msg == d.Msg {
			return
		}
	}
	c.diags = append(c.diags, d)
}

// silent ends the statement without a message: something it needs is poisoned.
func (c *checker) silent() {
	c.failed = true
	c.errors++
	panic(bailout{})
}

// try runs f and tells whether it came through without a bailout.
func (c *checker) try(f func()) (ok bool) {
	fr, fn, sc, trace, facts := c.fr, c.fn, c.sc, len(c.trace), len(c.facts)
	path, depth := c.fr.g.Scope, c.depth
	defer func() {
		if r := recover(); r != nil {
			if _, is := r.(bailout); !is {
				panic(r)
			}
			c.fr, c.fn, c.sc, c.trace, c.facts = fr, fn, sc, c.trace[:trace], c.facts[:facts]
			c.fr.g.Scope, c.depth = path, depth
			ok = false
		}
	}()
	f()
	return true
}

func (c *checker) fileName() string {
	if c.fn != nil && c.fn.file != nil {
		return c.fn.file.Name
	}
	return ""
}

// in runs f with a line in the trace of its messages: "Block[D], declared at
// gpt.lm:3:4".
func (c *checker) in(at dsl.Node, what, how string, f func()) {
	c.trace = append(c.trace, fmt.Sprintf("%s, %s at %s:%s", what, how, c.fileName(), at.Range().Pos))
	n := len(c.trace)
	f()
	c.trace = c.trace[:n-1]
}

// text is the source of n in one line, as the user wrote it.
func (c *checker) text(n dsl.Node) string {
	r := n.Range()
	if c.fn == nil || c.fn.file == nil || r.Pos.Offset >= r.End.Offset || r.End.Offset > len(c.fn.file.Src) {
		return fmt.Sprint(n)
	}
	return strings.Join(strings.Fields(string(c.fn.file.Src[r.Pos.Offset:r.End.Offset])), " ")
}

// at sets the place that the values made next come from, and returns it to
// what it was when the result is called.
func (c *checker) at(n dsl.Node) {
	p := n.Range().Pos
	c.fr.g.Pos = ir.Pos{File: c.sourceName(), Line: p.Line, Col: p.Col}
}

// sourceName is the name of the file being checked as generated code shows it:
// without the folder in which the user's text happens to lie.
func (c *checker) sourceName() string {
	name := c.fileName()
	if c.fn != nil && c.fn.pkg == c.root {
		return path.Base(strings.ReplaceAll(name, "\\", "/"))
	}
	return name
}

// suggest sets the help to "did you mean …?" if one of names is near word, and
// to other if not.
func suggest(d *dsl.Diagnostic, word string, names []string, other string) *dsl.Diagnostic {
	if s := dsl.Suggest(word, names); s != "" {
		return d.Helpf("did you mean `%s`?", s)
	}
	d.Help = other
	return d
}
