package dsl

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Render returns a message as people read it, with a line end. In full, the
// line of the source follows, with the places underlined; src is the text of
// d.File. Without it, or without full, it is one line, which for a place in the
// standard library says where the user's text led there. Characters that would
// change what a terminal shows are replaced.
//
//	01.lm:7:10: error: the inner dimensions of `@` differ: D=10 and 1
//	  |
//	7 |         return x @ w
//	  |                ^   ^ f32[1, D=10]
//	  |                f32[N=100, D=10]
//	  = help: did you mean `x @ w.T`?
func Render(d *Diagnostic, src []byte, full bool) string {
	head := d.Error() + "\n"
	if !full {
		return harmless(d.Error() + userPlace(d) + "\n")
	}
	r := renderer{lines: strings.Split(string(src), "\n")}
	last := d.Pos.Line
	for _, n := range d.Notes {
		last = max(last, n.Pos.Line)
	}
	r.gutter = strings.Repeat(" ", len(strconv.Itoa(last)))
	r.out.WriteString(head)
	if src != nil && d.Pos.IsValid() {
		r.excerpt(d)
	}
	for _, in := range d.In {
		r.remark("in", in)
	}
	if d.Help != "" {
		r.remark("help", d.Help)
	}
	return harmless(r.out.String())
}

// harmless replaces control characters and what is not UTF-8.
func harmless(s string) string {
	return strings.Map(func(c rune) rune {
		if c != '\n' && (c < ' ' || c >= 0x7f && c < 0xa0) {
			return utf8.RuneError
		}
		return c
	}, s)
}

// userPlace is the innermost step of how d came about that stands in the
// user's text, if d itself is about the standard library.
func userPlace(d *Diagnostic) string {
	if !isStdFile(d.File) {
		return ""
	}
	for _, in := range d.In {
		i := strings.LastIndex(in, " at ")
		file, _, _ := strings.Cut(in[i+1:], ":")
		if i >= 0 && !isStdFile(strings.TrimPrefix(file, "at ")) {
			return " (in " + in + ")"
		}
	}
	return ""
}

// isStdFile tells whether file is the name of a text of the standard library in
// messages.
func isStdFile(file string) bool {
	dir, base, _ := strings.Cut(file, "/")
	_, ok := Std(dir)
	return ok && base == dir+".lm"
}

// RenderAll writes all messages, in full ones with an empty line between them.
// source returns the text of a file, or nil.
func RenderAll(w io.Writer, ds Diagnostics, source func(file string) []byte, full bool) error {
	for i, d := range ds {
		text := Render(d, source(d.File), full)
		if full && i > 0 {
			text = "\n" + text
		}
		if _, err := io.WriteString(w, text); err != nil {
			return err
		}
	}
	return nil
}

type renderer struct {
	lines  []string
	cut    map[int]int // bytes that are left out at the start of very long lines
	gutter string      // as wide as the highest line number
	out    strings.Builder
}

// mark is an underline in the columns from to to of the shown line.
type mark struct {
	from, to int
	text     string
}

func (r *renderer) remark(kind, text string) {
	fmt.Fprintf(&r.out, "%s = %s: %s\n", r.gutter, kind, text)
}

// excerpt writes the line of d with its underlines, then other lines that notes
// stand in.
func (r *renderer) excerpt(d *Diagnostic) {
	var here, other []Note
	for _, n := range d.Notes {
		if n.Pos.Line == d.Pos.Line {
			here = append(here, n)
		} else {
			other = append(other, n)
		}
	}
	fmt.Fprintf(&r.out, "%s |\n", r.gutter)
	r.shorten(d.Pos)
	for _, n := range other {
		r.shorten(n.Pos)
	}
	r.line(d.Pos.Line)
	if d.Label != "" || len(here) == 0 {
		r.underline([]mark{r.mark(Note{d.Pos, d.End, d.Label})}, "^")
	}
	for len(here) > 0 { // notes that overlap go into rows of their own
		var row []mark
		var rest []Note
		for _, n := range here {
			m := r.mark(n)
			if slices.ContainsFunc(row, func(o mark) bool { return m.from < o.to && o.from < m.to }) {
				rest = append(rest, n)
			} else {
				row = append(row, m)
			}
		}
		r.underline(row, "^")
		here = rest
	}
	shown := d.Pos.Line
	for _, n := range other {
		if n.Pos.Line != shown {
			r.line(n.Pos.Line)
			shown = n.Pos.Line
		}
		r.underline([]mark{r.mark(n)}, "-")
	}
}

func (r *renderer) source(line int) string {
	if line < 1 || line > len(r.lines) {
		return ""
	}
	return strings.TrimRight(r.lines[line-1], "\r")
}

// shorten leaves of a very long line what stands around p.
func (r *renderer) shorten(p Pos) {
	const most, before, dots = 240, 80, "…"
	line := r.source(p.Line)
	if _, done := r.cut[p.Line]; done || len(line) <= most {
		return
	}
	from := min(max(0, p.Col-1-before), len(line)-most)
	to := from + most
	for from > 0 && !utf8.RuneStart(line[from]) {
		from--
	}
	for to < len(line) && !utf8.RuneStart(line[to]) {
		to--
	}
	short := line[from:to]
	if from > 0 {
		short = dots + short
		from -= len(dots)
	}
	if to < len(line) {
		short += dots
	}
	if r.cut == nil {
		r.cut = map[int]int{}
	}
	r.cut[p.Line] = from
	r.lines[p.Line-1] = short
}

func (r *renderer) line(n int) {
	text := strings.TrimRight(fmt.Sprintf("%*d | %s", len(r.gutter), n, showTabs(r.source(n))), " ")
	r.out.WriteString(text + "\n")
}

// mark gives the columns of a note in the shown line; what goes on in later
// lines is underlined up to the end of the first.
func (r *renderer) mark(n Note) mark {
	line := r.source(n.Pos.Line)
	start, end := n.Pos.Col, n.End.Col
	if cut, is := r.cut[n.Pos.Line]; is {
		start, end = min(max(start-cut, 1), len(line)), min(end-cut, len(line)+1)
	}
	if n.End.Line > n.Pos.Line {
		end = len(strings.TrimRight(line, " \t")) + 1
	}
	from := shownWidth(line, start-1)
	return mark{from, max(from+1, shownWidth(line, end-1)), n.Text}
}

// underline writes one row of underlines; the text of the rightmost stands
// beside it, the others below, from right to left.
func (r *renderer) underline(row []mark, char string) {
	slices.SortStableFunc(row, func(a, b mark) int { return a.from - b.from })
	var line strings.Builder
	col := 0
	for _, m := range row {
		line.WriteString(strings.Repeat(" ", m.from-col) + strings.Repeat(char, m.to-m.from))
		col = m.to
	}
	r.row(line.String() + " " + row[len(row)-1].text)
	for i := len(row) - 2; i >= 0; i-- {
		if row[i].text == "" {
			continue
		}
		line.Reset()
		col = 0
		for _, m := range row[:i] { // bars lead down to the texts that are still to come
			if m.text != "" {
				line.WriteString(strings.Repeat(" ", m.from-col) + "|")
				col = m.from + 1
			}
		}
		r.row(line.String() + strings.Repeat(" ", row[i].from-col) + row[i].text)
	}
}

func (r *renderer) row(text string) {
	r.out.WriteString(strings.TrimRight(r.gutter+" | "+text, " ") + "\n")
}

const tabWidth = 4

func showTabs(s string) string { return strings.ReplaceAll(s, "\t", strings.Repeat(" ", tabWidth)) }

// shownWidth is the number of columns that the first n bytes of a line take.
func shownWidth(line string, n int) int {
	past := max(0, n-len(line))
	line = line[:min(max(n, 0), len(line))]
	return utf8.RuneCountInString(line) + (tabWidth-1)*strings.Count(line, "\t") + past
}

// JSON returns a message as one line of JSON, for editors: file, line, column,
// endLine, endColumn (columns in bytes), severity, message, label, notes, in,
// help. What is empty is left out.
func (d *Diagnostic) JSON() []byte {
	type note struct {
		Line      int    `json:"line"`
		Column    int    `json:"column"`
		EndLine   int    `json:"endLine"`
		EndColumn int    `json:"endColumn"`
		Text      string `json:"text"`
	}
	end := d.End
	if !end.IsValid() {
		end = d.Pos
	}
	v := struct {
		File      string   `json:"file"`
		Line      int      `json:"line"`
		Column    int      `json:"column"`
		EndLine   int      `json:"endLine"`
		EndColumn int      `json:"endColumn"`
		Severity  Severity `json:"severity"`
		Message   string   `json:"message"`
		Label     string   `json:"label,omitempty"`
		Notes     []note   `json:"notes,omitempty"`
		In        []string `json:"in,omitempty"`
		Help      string   `json:"help,omitempty"`
	}{d.File, d.Pos.Line, d.Pos.Col, end.Line, end.Col, d.Severity, d.Msg, d.Label, nil, d.In, d.Help}
	for _, n := range d.Notes {
		v.Notes = append(v.Notes, note{n.Pos.Line, n.Pos.Col, n.End.Line, n.End.Col, n.Text})
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // messages are full of < and >
	if err := enc.Encode(v); err != nil {
		panic("bug in dsl: " + err.Error()) // strings and numbers always encode
	}
	return []byte(b.String())
}
