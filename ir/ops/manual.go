package ops

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/lmc-lang/lmc/ir"
)

// Manual is the manual of the op called name, for `lmc ops name`; of all ops,
// a line each, if name is empty. It reports false if there is no such op.
func Manual(name string) (string, bool) {
	if name == "" {
		return summary(), true
	}
	op := ByName(name)
	if op == nil {
		return "", false
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n%s\n", signature(op), wrap(op.Doc, 80))
	for _, part := range []struct {
		title string
		rows  [][2]string
	}{{"operands", operandRows(op)}, {"attributes", attributeRows(op)}, {"properties", propertyRows(op)}, {"examples", exampleRows(op)}} {
		if len(part.rows) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n%s\n", part.title)
		width := 0
		for _, r := range part.rows {
			if len(r[0]) <= 24 {
				width = max(width, len(r[0]))
			}
		}
		for _, r := range part.rows {
			fmt.Fprintf(&b, "  %s\n", strings.TrimRight(fmt.Sprintf("%-*s  %s", width, r[0], r[1]), " "))
		}
	}
	return b.String(), true
}

// Markdown is the table of all ops for the documentation.
func Markdown() string {
	var b strings.Builder
	for _, f := range Families {
		fmt.Fprintf(&b, "## %s\n\n%s\n\n| op | meaning | gradient |\n|---|---|---|\n", f.Name, f.Doc)
		for _, op := range f.Ops {
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", strings.ReplaceAll(signature(op), "|", "\\|"), strings.ReplaceAll(op.Doc, "|", "\\|"), gradient(op))
		}
		b.WriteByte('\n')
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func summary() string {
	var b strings.Builder
	for i, f := range Families {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s: %s\n", f.Name, f.Doc)
		for _, op := range f.Ops {
			first, _, _ := strings.Cut(strings.TrimPrefix(op.Doc, op.Name+" "), ". ")
			fmt.Fprintf(&b, "  %-14s  %s\n", op.Name, strings.TrimSuffix(first, "."))
		}
	}
	return b.String()
}

// signature is name x y attr=….
func signature(op *ir.Op) string {
	s := op.Name
	for _, a := range op.Args {
		s += " " + a.Name
		if a.Variadic {
			s += "…"
		}
	}
	for _, k := range op.Attrs {
		s += " " + k.Name() + "="
	}
	return s
}

func operandRows(op *ir.Op) (rows [][2]string) {
	for _, a := range op.Args {
		doc := a.Doc
		if a.Variadic {
			doc = strings.TrimPrefix(doc+"; any number", "; ")
		}
		rows = append(rows, [2]string{a.Name, doc})
	}
	return rows
}

func attributeRows(op *ir.Op) (rows [][2]string) {
	for _, k := range op.Attrs {
		rows = append(rows, [2]string{k.Name(), k.Doc()})
	}
	return rows
}

func propertyRows(op *ir.Op) (rows [][2]string) {
	add := func(name, text string) { rows = append(rows, [2]string{name, text}) }
	switch {
	case op.Lane != nil:
		add("meaning", "element by element")
	case op.At != nil:
		add("meaning", "one element from elements of the operands")
	case op.Lower != nil:
		add("meaning", "loops over the whole result")
	case op.Expand != nil:
		add("meaning", "a composite of other ops")
	case op.Control != nil:
		add("meaning", "runs a sub-function, or picks values")
	}
	add("gradient", gradient(op))
	if op.Tol > 0 {
		add("tolerance", strconv.FormatFloat(op.Tol, 'g', -1, 64)+" of the largest element, in float32")
	}
	return rows
}

func gradient(op *ir.Op) string {
	if op.Grad != nil {
		return "yes"
	}
	return "none"
}

// exampleRows shows the samples: the application with its operands and the
// result, or the message.
func exampleRows(op *ir.Op) (rows [][2]string) {
	for _, s := range op.Samples {
		what := op.Name
		for i, t := range s.Types {
			what += " " + t.String()
			if s.Err == "" {
				what += numbers(s.In[i])
			}
		}
		for _, a := range s.Attrs {
			text := ""
			if f := a.Func(); f != nil {
				text = f.Name
			} else {
				text = a.Text()
			}
			what += " " + a.Key.Name() + "=" + text
		}
		if s.Err != "" {
			rows = append(rows, [2]string{what, "error: " + s.Err})
		} else {
			rows = append(rows, [2]string{what, "= " + strings.TrimSpace(numbers(s.Want))})
		}
	}
	return rows
}

// numbers is a row of at most eight numbers in braces.
func numbers(xs []float64) string {
	var words []string
	for i, x := range xs {
		if i == 8 {
			words = append(words, "…")
			break
		}
		w := strconv.FormatFloat(x, 'g', 6, 64)
		if math.IsInf(x, 0) {
			w = strings.ToLower(strings.TrimPrefix(w, "+"))
		}
		words = append(words, w)
	}
	return "{" + strings.Join(words, " ") + "}"
}

// wrap breaks text into lines of at most width letters.
func wrap(text string, width int) string {
	var b strings.Builder
	column := 0
	for i, w := range strings.Fields(text) {
		switch {
		case i == 0:
		case column+1+len(w) > width:
			b.WriteByte('\n')
			column = 0
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(w)
		column += len(w)
	}
	return b.String()
}
