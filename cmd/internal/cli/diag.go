package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/lmc-lang/lmc/cmd/internal/compile"
	"github.com/lmc-lang/lmc/dsl"
)

// maxDiagnostics is how many messages are shown; who needs more sees them when
// the first are gone.
const maxDiagnostics = 20

// A reporter prints diagnostics.
type reporter struct {
	style string // auto, short, full
	json  bool
}

// reportFlags declares the flags that say how messages look.
func reportFlags(fs *flag.FlagSet) *reporter {
	r := &reporter{}
	fs.StringVar(&r.style, "diagnostics", "auto", "`how` messages look: short (one line), full (with the text), or auto (full on a terminal)")
	fs.BoolVar(&r.json, "json", false, "print messages as JSON, one a line")
	return r
}

// check rejects a style that does not exist.
func (r *reporter) check() error {
	switch r.style {
	case "auto", "short", "full":
		return nil
	}
	return usagef("-diagnostics is short, full or auto, not %q", r.style)
}

// print writes messages about a source to standard error.
func (r *reporter) print(e *env, s *compile.Source, ds dsl.Diagnostics) {
	shown := ds[:min(len(ds), maxDiagnostics)]
	if r.json {
		for _, d := range shown {
			e.err.Write(d.JSON())
		}
		return
	}
	tty := isTerminal(e.err)
	full := r.style == "full" || r.style == "auto" && tty
	var b strings.Builder
	dsl.RenderAll(&b, shown, s.Text, full)
	text := b.String()
	if full && tty && os.Getenv("NO_COLOR") == "" {
		text = coloured(text)
	}
	io.WriteString(e.err, text)
	if n := len(ds) - len(shown); n > 0 {
		fmt.Fprintf(e.err, "and %d more\n", n)
	}
}

// fail prints the diagnostics of err, if it has any.
func (r *reporter) fail(e *env, s *compile.Source, err error) error {
	var m *compile.Mistakes
	if errors.As(err, &m) {
		r.print(e, s, m.Diags)
		return errMistakes
	}
	return err
}

// coloured marks severities and underlines in text for a terminal.
func coloured(text string) string {
	const red, yellow, cyan, bold, reset = "\x1b[31m", "\x1b[33m", "\x1b[36m", "\x1b[1m", "\x1b[m"
	var b strings.Builder
	for line := range strings.Lines(text) {
		body := strings.TrimSuffix(line, "\n")
		gutter, rest, isExcerpt := strings.Cut(body, " | ")
		switch {
		case isExcerpt && strings.TrimSpace(gutter) == "" && strings.ContainsAny(rest, "^-"):
			b.WriteString(gutter + " | " + red + rest + reset)
		case strings.HasPrefix(strings.TrimSpace(body), "= "):
			b.WriteString(cyan + body + reset)
		case strings.Contains(body, ": error: "):
			at, msg, _ := strings.Cut(body, ": error: ")
			b.WriteString(bold + at + ": " + red + "error:" + reset + bold + " " + msg + reset)
		case strings.Contains(body, ": warning: "):
			at, msg, _ := strings.Cut(body, ": warning: ")
			b.WriteString(bold + at + ": " + yellow + "warning:" + reset + bold + " " + msg + reset)
		default:
			b.WriteString(body)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// isTerminal is whether w is a terminal that understands more than lines.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
