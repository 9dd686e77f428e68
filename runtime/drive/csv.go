package drive

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// loadCSV reads a table with a column to predict; all others are features. The
// first row has the names of the columns if one of its cells is not a number.
func loadCSV(c *Config) (*Data, error) {
	raw, err := readFile(c.CSV)
	if err != nil {
		return nil, err
	}
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf"))))
	r.Comma = comma(raw)
	r.TrimLeadingSpace = true
	r.FieldsPerRecord = -1
	t := table{path: c.CSV}
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			var p *csv.ParseError
			if errors.As(err, &p) {
				return nil, fmt.Errorf("%s:%d:%d: %w", c.CSV, p.Line, p.Column, p.Err)
			}
			return nil, fmt.Errorf("%s: %w", c.CSV, err)
		}
		line, _ := r.FieldPos(0)
		for i := range row {
			row[i] = strings.TrimSpace(row[i])
		}
		if len(t.rows) > 0 && len(row) != len(t.rows[0]) {
			return nil, fmt.Errorf("%s:%d: this row has %d columns, but the first has %d", c.CSV, line, len(row), len(t.rows[0]))
		}
		t.rows, t.lines = append(t.rows, row), append(t.lines, line)
	}
	if len(t.rows) == 0 {
		return nil, fmt.Errorf("%s is empty", c.CSV)
	}
	t.header()
	if len(t.rows) == 0 {
		return nil, fmt.Errorf("%s has names of columns, but no rows", c.CSV)
	}
	return t.data(c)
}

// comma is what separates columns: the one of , ; tab that the first line has
// most of.
func comma(raw []byte) rune {
	line, _, _ := bytes.Cut(raw, []byte("\n"))
	best := ','
	for _, r := range []rune{';', '\t'} {
		if bytes.Count(line, []byte(string(r))) > bytes.Count(line, []byte(string(best))) {
			best = r
		}
	}
	return best
}

// A table is a CSV file.
type table struct {
	path  string
	names []string
	rows  [][]string
	lines []int
}

// header takes the names of the columns off the rows if there are any: a first
// row with a word above numbers, or words only.
func (t *table) header() {
	first := t.rows[0]
	words, above := 0, 0
	for i, s := range first {
		if _, err := parseNumber(s); err != nil {
			words++
			if len(t.rows) > 1 {
				if _, err := parseNumber(t.rows[1][i]); err == nil {
					above++
				}
			}
		}
	}
	if above > 0 || words == len(first) {
		t.names = first
		t.rows, t.lines = t.rows[1:], t.lines[1:]
		return
	}
	for i := range first {
		t.names = append(t.names, "column "+strconv.Itoa(i+1))
	}
}

// columnName is how messages call a column, which may have just a number.
func columnName(name string) string {
	if strings.HasPrefix(name, "column ") {
		return name
	}
	return "column " + name
}

// column finds a column by its name or its number.
func (t *table) column(name, flag string) (int, error) {
	for i, n := range t.names {
		if n == name {
			return i, nil
		}
	}
	for i, n := range t.names {
		if strings.EqualFold(n, name) {
			return i, nil
		}
	}
	n, err := strconv.Atoi(name)
	if err == nil && n < 0 {
		n += len(t.names) + 1
	}
	if err == nil && 1 <= n && n <= len(t.names) {
		return n - 1, nil
	}
	return 0, fmt.Errorf("%s %s: %s has no such column; it has %s", flag, name, t.path, strings.Join(t.names, ", "))
}

// data makes columns of the table.
func (t *table) data(c *Config) (*Data, error) {
	d := &Data{Source: c.CSV, Rows: len(t.rows)}
	at := -1
	if c.Target != "" {
		i, err := t.column(c.Target, "-target")
		if err != nil {
			return nil, err
		}
		at = i
	}
	dropped := map[int]bool{}
	for _, name := range c.Drop {
		i, err := t.column(name, "-drop")
		if err != nil {
			return nil, err
		}
		dropped[i] = true
	}
	x := &Column{Name: "x", Role: features}
	var keep []int
	for i, n := range t.names {
		if i != at && !dropped[i] {
			keep = append(keep, i)
			x.Names = append(x.Names, n)
		}
	}
	if len(keep) == 0 {
		return nil, fmt.Errorf("%s has no columns besides the target", c.CSV)
	}
	x.Shape = []int{len(keep)}
	wide := make([]float64, 0, len(keep)*len(t.rows))
	for r, row := range t.rows {
		for _, i := range keep {
			v, err := parseNumber(row[i])
			if err != nil {
				return nil, fmt.Errorf("%s:%d: %s is %q, not a number; -drop %q leaves it out%s", c.CSV, t.lines[r], columnName(t.names[i]), row[i], t.names[i], orTarget(c))
			}
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return nil, fmt.Errorf("%s:%d: %s is %v", c.CSV, t.lines[r], columnName(t.names[i]), v)
			}
			wide = append(wide, v)
		}
	}
	if !c.Raw {
		x.normalise(wide, len(keep))
	}
	x.F = make([]float32, len(wide))
	for i, v := range wide {
		x.F[i] = float32(v)
	}
	d.Columns = []*Column{x}
	if at >= 0 {
		y := &Column{Name: t.names[at], Role: target}
		for r, row := range t.rows {
			v := row[at]
			if f, err := parseNumber(v); v == "" || err == nil && (math.IsNaN(f) || math.IsInf(f, 0)) {
				return nil, fmt.Errorf("%s:%d: the target %s is %q", c.CSV, t.lines[r], t.names[at], v)
			}
			y.text = append(y.text, v)
		}
		d.Columns = append(d.Columns, y)
	}
	return d, nil
}

func orTarget(c *Config) string {
	if c.Target == "" {
		return ", -target makes it what is to be predicted"
	}
	return ""
}

// normalise gives every column the mean 0 and the standard deviation 1.
func (c *Column) normalise(x []float64, width int) {
	rows := len(x) / width
	c.Mean, c.Std = make([]float64, width), make([]float64, width)
	for j := range width {
		var sum, squares float64
		for i := range rows {
			sum += x[i*width+j]
		}
		mean := sum / float64(rows)
		for i := range rows {
			d := x[i*width+j] - mean
			squares += d * d
		}
		std := math.Sqrt(squares / float64(rows))
		if std == 0 {
			std = 1 // a constant column
		}
		for i := range rows {
			x[i*width+j] = (x[i*width+j] - mean) / std
		}
		c.Mean[j], c.Std[j] = mean, std
	}
}

// parseNumber reads a number; an empty cell is none.
func parseNumber(s string) (float64, error) {
	return strconv.ParseFloat(s, 64)
}
