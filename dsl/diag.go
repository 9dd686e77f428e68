package dsl

import (
	"cmp"
	"fmt"
	"slices"
)

// Severity tells how bad a Diagnostic is.
type Severity int

// The severities.
const (
	Error Severity = iota
	Warning
)

// String returns "error" or "warning".
func (s Severity) String() string {
	if s == Warning {
		return "warning"
	}
	return "error"
}

// MarshalText writes the severity as its name.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Diagnostic is one message about a source file: what is wrong, where, what was
// found there, and what may help. One mistake gives one Diagnostic.
type Diagnostic struct {
	File     string // name of the file as the user knows it
	Pos, End Pos    // the text that the message is about; End may be zero: one byte
	Severity Severity
	Msg      string // one line, no full stop, the user's names in backquotes

	// Label is said beside the underline of Pos to End. Without a Label the
	// place itself is underlined only when no Note stands on its line.
	Label string
	Notes []Note   // other places, underlined too, with what is found there
	In    []string // how an instantiation came about, innermost first
	Help  string   // what the user could write instead; may be empty
}

// Note is a piece of text of the same file with something to say about it,
// mostly a type: "f32[N=100, D=10]".
type Note struct {
	Pos, End Pos
	Text     string
}

// Errorf starts an error about the text of n.
func Errorf(file string, n Node, format string, args ...any) *Diagnostic {
	r := n.Range()
	return &Diagnostic{File: file, Pos: r.Pos, End: r.End, Msg: fmt.Sprintf(format, args...)}
}

// Note adds a remark about the text of n and returns d.
func (d *Diagnostic) Note(n Node, format string, args ...any) *Diagnostic {
	r := n.Range()
	d.Notes = append(d.Notes, Note{r.Pos, r.End, fmt.Sprintf(format, args...)})
	return d
}

// Helpf sets the help line and returns d.
func (d *Diagnostic) Helpf(format string, args ...any) *Diagnostic {
	d.Help = fmt.Sprintf(format, args...)
	return d
}

// Error returns the message in one line, `file:line:col: error: text`, so that
// a Diagnostic is an error.
func (d *Diagnostic) Error() string {
	return fmt.Sprintf("%s:%s: %s: %s", d.File, d.Pos, d.Severity, d.Msg)
}

// Diagnostics is a list of messages.
type Diagnostics []*Diagnostic

// Sort orders the list by file, place and text, and drops repetitions of the
// same text at the same place.
func (ds *Diagnostics) Sort() {
	slices.SortStableFunc(*ds, func(a, b *Diagnostic) int {
		return cmp.Or(cmp.Compare(a.File, b.File), a.Pos.Compare(b.Pos),
			cmp.Compare(a.Severity, b.Severity), cmp.Compare(a.Msg, b.Msg))
	})
	*ds = slices.CompactFunc(*ds, func(a, b *Diagnostic) bool {
		return a.File == b.File && a.Pos == b.Pos && a.Severity == b.Severity && a.Msg == b.Msg
	})
}

// HasErrors tells whether one of the messages is more than a warning.
func (ds Diagnostics) HasErrors() bool {
	return slices.ContainsFunc(ds, func(d *Diagnostic) bool { return d.Severity == Error })
}

// Err returns the list as an error, or nil if it holds no errors.
func (ds Diagnostics) Err() error {
	if !ds.HasErrors() {
		return nil
	}
	return ds
}

// Error returns the first error and how many more there are.
func (ds Diagnostics) Error() string {
	var first *Diagnostic
	n := 0
	for _, d := range ds {
		if d.Severity == Error {
			if first == nil {
				first = d
			}
			n++
		}
	}
	switch n {
	case 0:
		return "no errors"
	case 1:
		return first.Error()
	}
	return fmt.Sprintf("%s (and %d more)", first.Error(), n-1)
}
