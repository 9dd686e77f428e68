package cli

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		args []string
		rest []string
		o    string
		q    bool
		err  string
	}{
		{[]string{"a.lm"}, []string{"a.lm"}, "", false, ""},
		{[]string{"-o", "d", "a.lm", "-q"}, []string{"a.lm"}, "d", true, ""},
		{[]string{"a.lm", "--o=d", "b.lm"}, []string{"a.lm", "b.lm"}, "d", false, ""},
		{[]string{"-q=false", "a.lm", "-o", "-"}, []string{"a.lm"}, "-", false, ""},
		{[]string{"-q", "--", "-o", "x"}, []string{"-o", "x"}, "", true, ""},
		{[]string{"a", "--", "-o"}, []string{"a", "-o"}, "", false, ""},
		{[]string{"-"}, []string{"-"}, "", false, ""},
		{[]string{"a.lm", "-o"}, nil, "", false, "flag needs an argument: -o"},
		{[]string{"a.lm", "-ou", "d"}, nil, "", false, "x has no flag -ou; did you mean -o?"},
		{[]string{"-zzz"}, nil, "", false, "x has no flag -zzz; `lmc help x` shows the flags"},
		{[]string{"-q=maybe"}, nil, "", false, "invalid boolean value"},
	} {
		fs := flag.NewFlagSet("x", flag.ContinueOnError)
		fs.SetOutput(io.Discard)
		o, q := fs.String("o", "", ""), fs.Bool("q", false, "")
		rest, err := parse(fs, c.args)
		if c.err != "" {
			assert.ErrorContains(t, err, c.err, c.args)
			continue
		}
		require.NoError(t, err, c.args)
		assert.Equal(t, c.rest, rest, c.args)
		assert.Equal(t, c.o, *o, c.args)
		assert.Equal(t, c.q, *q, c.args)
	}
	fs := flag.NewFlagSet("x", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	_, err := parse(fs, []string{"a", "-h"})
	assert.ErrorIs(t, err, flag.ErrHelp)
}

func TestColoured(t *testing.T) {
	t.Setenv("NO_COLOR", "")
	assert.Equal(t, "\x1b[1ma.lm:1:2: \x1b[31merror:\x1b[m\x1b[1m no\x1b[m\n  |\n1 | x ^ y\n  | \x1b[31m^ \x1b[m\n\x1b[36m  = help: yes\x1b[m\n",
		coloured("a.lm:1:2: error: no\n  |\n1 | x ^ y\n  | ^ \n  = help: yes\n"))
}

func TestPlainError(t *testing.T) {
	_, err := os.Open("missing/file")
	assert.Equal(t, "missing/file: no such file or directory", plainError(err))
	assert.Equal(t, "x", plainError(errors.New("x")))
}

// TestBug shows what a panic of ours looks like.
func TestBug(t *testing.T) {
	e := &env{err: &buffer{}}
	assert.Equal(t, exitTrouble, e.exit(errors.New("bug in pass fuse: no")))
	assert.Contains(t, e.err.(*buffer).text, "lmc: bug in pass fuse: no\nThis is not your mistake. Please report it")
}

// TestOutputLost: what cannot be printed is an error.
func TestOutputLost(t *testing.T) {
	var errs bytes.Buffer
	assert.Equal(t, exitTrouble, Main([]string{"ops"}, nil, full{}, &errs))
	assert.Equal(t, "lmc: standard output: no space left on device\n", errs.String())
}

type full struct{}

func (full) Write([]byte) (int, error) {
	return 0, &os.PathError{Op: "write", Path: "standard output", Err: syscall.ENOSPC}
}

type buffer struct{ text string }

func (b *buffer) Write(p []byte) (int, error) {
	b.text += string(p)
	return len(p), nil
}
