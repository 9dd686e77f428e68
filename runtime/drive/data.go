package drive

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/lmc-lang/lmc/runtime"
)

// A Column is one tensor of a data set: Rows × Shape numbers.
type Column struct {
	Name  string
	Role  role
	Shape []int // of one row
	F     []float32
	I     []int32

	path    string    // the file it is from, if that is not the source of all
	text    []string  // of a target in a CSV file, before it is known what the model wants
	Names   []string  // of features
	Classes []string  // of labels
	Mean    []float64 // taken off the features
	Std     []float64 // divided by
}

// A role is what a column of a file without names of arguments is for.
type role uint8

const (
	byName role = iota
	features
	target
)

// Data is everything that was read: rows of columns, or one text.
type Data struct {
	Source  string // for messages
	Rows    int
	Columns []*Column

	Tokens []int32 // of a text
	Vocab  []rune
}

// from is the file that a column is from, for messages.
func (d *Data) from(c *Column) string {
	if c.path != "" {
		return c.path
	}
	return d.Source
}

// IsText is whether the data is one sequence of tokens.
func (d *Data) IsText() bool { return d.Tokens != nil }

// Load reads the data that c names.
func Load(c *Config) (*Data, error) {
	given := 0
	for _, on := range []bool{c.Text != "", c.CSV != "", len(c.Inputs) > 0, c.Images != "" || c.Labels != ""} {
		if on {
			given++
		}
	}
	if given > 1 {
		return nil, errors.New("give the data in one way: -text, -csv, -images with -labels, or -in")
	}
	switch {
	case c.Text != "":
		return loadText(c.Text)
	case c.CSV != "":
		return loadCSV(c)
	case c.Images != "" || c.Labels != "":
		return loadImages(c.Images, c.Labels)
	case len(c.Inputs) > 0:
		return loadInputs(c.Inputs)
	}
	return nil, errors.New("there is no data")
}

// readFile reads a file; errors name it.
func readFile(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	var p *os.PathError
	if errors.As(err, &p) {
		return nil, fmt.Errorf("cannot read %s: %w", filepath.ToSlash(path), p.Err)
	}
	return data, err
}

// loadText makes tokens of the letters of a text.
func loadText(path string) (*Data, error) {
	raw, err := readFile(path)
	if err != nil {
		return nil, err
	}
	text := []rune(strings.ReplaceAll(string(raw), "\r\n", "\n"))
	if len(text) == 0 {
		return nil, fmt.Errorf("%s is empty", path)
	}
	if i := slices.Index(text, '\uFFFD'); i >= 0 {
		return nil, fmt.Errorf("%s is not a text in UTF-8: see letter %d", path, i+1)
	}
	vocab := slices.Clone(text)
	slices.Sort(vocab)
	vocab = slices.Compact(vocab)
	index := make(map[rune]int32, len(vocab))
	for i, r := range vocab {
		index[r] = int32(i)
	}
	d := &Data{Source: path, Vocab: vocab, Tokens: make([]int32, len(text))}
	for i, r := range text {
		d.Tokens[i] = index[r]
	}
	return d, nil
}

// loadInputs reads the files of -in.
func loadInputs(inputs []Input) (*Data, error) {
	d := &Data{}
	var sources []string
	for _, in := range inputs {
		sources = append(sources, in.Path)
		var cols []*Column
		var rows []int
		var err error
		switch ext := strings.ToLower(filepath.Ext(in.Path)); ext {
		case ".npy":
			if in.Name == "" {
				return nil, fmt.Errorf("-in %s: say which argument it is: -in x=%s", in.Path, in.Path)
			}
			var c *Column
			var n int
			c, n, err = loadNPY(in.Path)
			cols, rows = []*Column{c}, []int{n}
		case ".safetensors":
			cols, rows, err = loadTensors(in.Path)
		default:
			return nil, fmt.Errorf("-in %s: want a .npy or .safetensors file", in.Path)
		}
		if err != nil {
			return nil, err
		}
		if in.Name != "" {
			if len(cols) > 1 {
				return nil, fmt.Errorf("-in %s=%s: the file has %d tensors; give it without a name, and name the tensors like the arguments", in.Name, in.Path, len(cols))
			}
			cols[0].Name = in.Name
		}
		for i, c := range cols {
			c.path = in.Path
			if len(d.Columns) > 0 && rows[i] != d.Rows {
				return nil, fmt.Errorf("%s has %d rows, but %s has %d", d.Columns[0].Name, d.Rows, c.Name, rows[i])
			}
			d.Rows = rows[i]
			d.Columns = append(d.Columns, c)
		}
	}
	d.Source = strings.Join(sources, ", ")
	return d, d.finite()
}

// loadTensors reads all tensors of a safetensors file; the first axis counts
// rows.
func loadTensors(path string) (cols []*Column, rows []int, err error) {
	f, err := os.Open(path)
	if err != nil {
		_, err = readFile(path)
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	file, err := runtime.OpenSafetensors(f, info.Size())
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	for _, t := range file.Tensors {
		if len(t.Shape) == 0 {
			return nil, nil, fmt.Errorf("%s: %s is a single number; the first axis counts rows", path, t.Name)
		}
		n, ok := runtime.Size(t.Shape)
		if !ok {
			return nil, nil, fmt.Errorf("%s: %s is too large", path, t.Name)
		}
		c := &Column{Name: t.Name, Shape: t.Shape[1:]}
		if strings.HasPrefix(t.DType, "I") || strings.HasPrefix(t.DType, "U") || t.DType == "BOOL" {
			c.I = make([]int32, n)
			err = runtime.ReadTensor(t, c.I)
		} else {
			c.F = make([]float32, n)
			err = runtime.ReadTensor(t, c.F)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", path, err)
		}
		cols, rows = append(cols, c), append(rows, t.Shape[0])
	}
	if len(cols) == 0 {
		return nil, nil, fmt.Errorf("%s has no tensors", path)
	}
	return cols, rows, nil
}

// finite rejects NaN and infinities.
func (d *Data) finite() error {
	if d.Rows == 0 {
		return fmt.Errorf("%s has no rows", d.Source)
	}
	for _, c := range d.Columns {
		width := max(1, len(c.F)/d.Rows)
		for i, x := range c.F {
			if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
				return fmt.Errorf("%s: %s has the value %v in row %d", d.from(c), c.Name, x, i/width+1)
			}
		}
	}
	return nil
}

// ints makes whole numbers of a column.
func (c *Column) ints(source string) error {
	if c.I != nil || c.text != nil && c.labels(source) == nil {
		return nil
	}
	out := make([]int32, len(c.F))
	for i, x := range c.F {
		out[i] = int32(x)
		if float32(out[i]) != x {
			return fmt.Errorf("%s: %s has the value %v, but the model wants whole numbers", source, c.Name, x)
		}
	}
	c.I, c.F = out, nil
	return nil
}

// labels numbers the values of a text column: whole numbers in their order,
// others in the order of the alphabet.
func (c *Column) labels(source string) error {
	classes := slices.Clone(c.text)
	numbers := !slices.ContainsFunc(classes, func(s string) bool {
		_, err := strconv.Atoi(s)
		return err != nil
	})
	slices.SortFunc(classes, func(a, b string) int {
		if numbers {
			x, _ := strconv.Atoi(a)
			y, _ := strconv.Atoi(b)
			if x != y {
				return x - y
			}
		}
		return strings.Compare(a, b)
	})
	classes = slices.Compact(classes)
	const most = 10_000
	if len(classes) > most {
		return fmt.Errorf("%s: %s has %d different values, too many for classes", source, columnName(c.Name), len(classes))
	}
	index := map[string]int32{}
	for i, s := range classes {
		index[s] = int32(i)
	}
	c.I = make([]int32, len(c.text))
	for i, s := range c.text {
		c.I[i] = index[s]
	}
	c.Classes = classes
	return nil
}

// floats makes f32 of a column.
func (c *Column) floats(source string) error {
	switch {
	case c.F != nil:
	case c.text != nil:
		c.F = make([]float32, len(c.text))
		for i, s := range c.text {
			x, err := parseNumber(s)
			if err != nil {
				return fmt.Errorf("%s: row %d: %s is %q, but the model wants a number", source, i+1, c.Name, s)
			}
			c.F[i] = float32(x)
		}
	default:
		c.F = make([]float32, len(c.I))
		for i, x := range c.I {
			c.F[i] = float32(x)
		}
	}
	c.I, c.Classes = nil, nil
	return nil
}

// classes is one more than the greatest label.
func (c *Column) classes() int {
	n := len(c.Classes)
	for _, x := range c.I {
		n = max(n, int(x)+1)
	}
	return n
}
