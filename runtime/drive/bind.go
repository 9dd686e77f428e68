package drive

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lmc-lang/lmc/runtime"
)

// A Binding says which part of the data each argument of the loss gets, and
// what that tells about the dims of the model.
type Binding struct {
	Columns []*Column // parallel to the arguments; nil for a text
	Input   int       // argument that is a text's tokens, of a text
	Next    int       // argument that is the tokens after those, or -1
	// Known are the extents that the data gives to named dims.
	Known map[string]int
	// Batch is the dim of the rows in a batch; Length that of the letters in a
	// piece of text. The zero Dim stands for an argument without that axis.
	Batch, Length Dim
}

// Targets are names of arguments that are to be predicted.
var targets = []string{"y", "next", "target", "targets", "label", "labels", "ynext", "want", "t"}

// Bind finds the data of every argument of the loss. scores are the functions of
// the model; one that maps the inputs to f32[…, C] tells how many classes or
// letters there are.
func Bind(d *Data, loss Func, scores []Func) (*Binding, error) {
	b := &Binding{Known: map[string]int{}, Next: -1}
	if d.IsText() {
		return b, b.text(d, loss, scores)
	}
	if err := b.match(d, loss); err != nil {
		return nil, err
	}
	for i, c := range b.Columns {
		if err := b.column(d, loss, i, c); err != nil {
			return nil, err
		}
	}
	for i, a := range loss.Args {
		if a.Elem == "i32" && len(a.Dims) <= 1 {
			if err := b.classes(d, loss, scores, i); err != nil {
				return nil, err
			}
		}
	}
	return b, nil
}

// text binds tokens: an argument i32[B, T], and perhaps a second one for the
// tokens that follow.
func (b *Binding) text(d *Data, loss Func, scores []Func) error {
	var tokens []int
	for i, a := range loss.Args {
		if a.Elem != "i32" || len(a.Dims) < 1 || len(a.Dims) > 2 {
			return fmt.Errorf("-text needs a loss of tokens, like Loss(ids, next i32[B, T]), but %s\n%s", takes(loss), Advice(loss))
		}
		tokens = append(tokens, i)
	}
	if len(tokens) < 1 || len(tokens) > 2 {
		return fmt.Errorf("-text needs a loss of one or two arguments, like Loss(ids, next i32[B, T]), but %s", takes(loss))
	}
	b.Input = tokens[0]
	if len(tokens) == 2 {
		b.Next = tokens[1]
		if isTarget(loss.Args[0].Name) && !isTarget(loss.Args[1].Name) {
			b.Input, b.Next = 1, 0
		}
		if x, y := loss.Args[b.Input].Dims, loss.Args[b.Next].Dims; !slices.Equal(x, y) {
			return fmt.Errorf("-text needs arguments of one shape, but %s", takes(loss))
		}
	}
	ds := loss.Args[b.Input].Dims
	b.Length = ds[len(ds)-1]
	if len(ds) == 2 {
		b.Batch = ds[0]
	}
	if v, f, ok := lastDim(loss, scores, []int{b.Input}, len(ds)); ok {
		return b.learn(v, len(d.Vocab), func(n int) error {
			if len(d.Vocab) <= n {
				return nil
			}
			return fmt.Errorf("%s has %d different letters, but %s of the model scores %d; -set %s=%d makes room", d.Source, len(d.Vocab), f, n, orName(v, "V"), len(d.Vocab))
		})
	}
	return nil
}

func orName(d Dim, name string) string {
	if d.Name != "" {
		return d.Name
	}
	return name
}

func isTarget(name string) bool { return slices.Contains(targets, strings.ToLower(name)) }

// takes says what a loss takes.
func takes(loss Func) string {
	var args []string
	for _, a := range loss.Args {
		args = append(args, a.String())
	}
	return fmt.Sprintf("%s takes %s", loss.Name, strings.Join(args, ", "))
}

// Advice says which flags give a loss its data.
func Advice(loss Func) string {
	tokens := len(loss.Args) <= 2
	var wide, label *Arg
	var in []string
	for i := range loss.Args {
		a := &loss.Args[i]
		tokens = tokens && a.Elem == "i32" && (len(a.Dims) == 1 || len(a.Dims) == 2)
		switch {
		case a.Elem == "f32" && len(a.Dims) >= 2 && wide == nil:
			wide = a
		case len(a.Dims) == 1:
			label = a
		}
		in = append(in, fmt.Sprintf("-in %s=%s.npy", a.Name, a.Name))
	}
	table := wide != nil && len(wide.Dims) == 2
	pictures := wide != nil && (len(wide.Dims) <= 3 || len(wide.Dims) == 4 && wide.Dims[3].N == 1)
	var lines []string
	add := func(flags, format string, a ...any) {
		lines = append(lines, fmt.Sprintf("  %-29s  %s", flags, fmt.Sprintf(format, a...)))
	}
	if tokens {
		add("-text FILE", "the letters of a text")
	}
	switch {
	case len(loss.Args) == 2 && label != nil && table:
		add("-csv FILE -target COLUMN", "a table: %s gets the target, %s the other columns", label.Name, wide.Name)
	case len(loss.Args) == 1 && table:
		add("-csv FILE", "a table: %s gets its columns", wide.Name)
	}
	if len(loss.Args) == 2 && label != nil && label.Elem == "i32" && pictures {
		add("-images FILE -labels FILE", "pictures in idx files, as of MNIST: %s gets the labels, %s the pictures", label.Name, wide.Name)
	}
	add(strings.Join(in, " "), "NumPy arrays")
	add("-in FILE.safetensors", "tensors with the names of the arguments")
	return "these flags give it data:\n" + strings.Join(lines, "\n")
}

// match finds the column of each argument by name or role.
func (b *Binding) match(d *Data, loss Func) error {
	b.Columns = make([]*Column, len(loss.Args))
	used := map[*Column]bool{}
	for i, a := range loss.Args {
		for _, c := range d.Columns {
			if c.Role == byName && c.Name == a.Name {
				b.Columns[i] = c
				used[c] = true
			}
		}
	}
	if len(used) == 0 && len(loss.Args) <= 2 && d.Columns[0].Role != byName {
		y := -1
		if len(loss.Args) == 2 {
			y = targetArg(loss)
		}
		for _, c := range d.Columns {
			for i := range loss.Args {
				if (i == y) == (c.Role == target) {
					b.Columns[i], used[c] = c, true
				}
			}
		}
	}
	var names []string
	for _, c := range d.Columns {
		if !used[c] {
			names = append(names, c.Name)
		}
	}
	for i, c := range b.Columns {
		if c == nil {
			have := "the target is not given: -target COLUMN or -labels FILE"
			if len(d.Columns) > 0 && d.Columns[0].Role == byName || len(loss.Args) > 2 {
				have = fmt.Sprintf("the data has %s", columnNames(d))
			}
			return fmt.Errorf("there is no data for the argument %s of %s; %s\n%s", loss.Args[i], loss.Name, have, Advice(loss))
		}
	}
	if len(names) > 0 {
		return fmt.Errorf("%s: no argument of the model is for %s; %s", d.Source, strings.Join(names, ", "), takes(loss))
	}
	return nil
}

func columnNames(d *Data) string {
	var names []string
	for _, c := range d.Columns {
		names = append(names, c.Name)
	}
	return strings.Join(names, ", ")
}

// targetArg is the one of two arguments that is to be predicted.
func targetArg(loss Func) int {
	x, y := loss.Args[0], loss.Args[1]
	switch {
	case isTarget(x.Name) != isTarget(y.Name):
		if isTarget(x.Name) {
			return 0
		}
		return 1
	case (x.Elem == "i32") != (y.Elem == "i32"):
		if x.Elem == "i32" {
			return 0
		}
		return 1
	case len(x.Dims) < len(y.Dims):
		return 0
	}
	return 1
}

// column fits the shape and the elements of a column to an argument.
func (b *Binding) column(d *Data, loss Func, i int, c *Column) error {
	a := loss.Args[i]
	if len(a.Dims) == 0 {
		return fmt.Errorf("the argument %s of %s is one number; data has a number for each row", a, loss.Name)
	}
	if a.Dims[0].Name != "" || i == 0 {
		b.Batch = a.Dims[0]
	}
	var err error
	switch a.Elem {
	case "i32":
		if c.text != nil {
			err = c.labels(d.from(c))
		} else {
			err = c.ints(d.from(c))
		}
	case "f32":
		err = c.floats(d.from(c))
	default:
		err = fmt.Errorf("the argument %s of %s is not of numbers", a, loss.Name)
	}
	if err != nil {
		return err
	}
	shape, ok := fitShape(c.Shape, a.Dims[1:])
	if !ok {
		return fmt.Errorf("%s: a row of %s has the shape %v, but the argument %s of %s wants %v", d.from(c), c.Name, c.Shape, a, loss.Name, a.Dims[1:])
	}
	c.Shape = shape
	for k, want := range a.Dims[1:] {
		err := b.learn(want, shape[k], func(n int) error {
			if n == shape[k] {
				return nil
			}
			return fmt.Errorf("%s: a row of %s has %s, but the argument %s of %s wants %d%s", d.from(c), c.Name, counted(c, shape, k), a, loss.Name, n, hint(want, shape[k]))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// hint says how to give a named dim the extent that the data has.
func hint(d Dim, n int) string {
	if d.Name == "" {
		return ""
	}
	return fmt.Sprintf(" (%s=%d)", d.Name, n)
}

func counted(c *Column, shape []int, axis int) string {
	if len(c.Names) > 0 {
		return fmt.Sprintf("%d numbers (%s)", shape[axis], strings.Join(c.Names[:min(len(c.Names), 8)], ", "))
	}
	return fmt.Sprintf("%d numbers along axis %d", shape[axis], axis+1)
}

// learn notes that a dim is n, unless it has an extent already, which check
// accepts or not.
func (b *Binding) learn(d Dim, n int, check func(n int) error) error {
	have, ok := b.Known[d.Name]
	switch {
	case d.Name == "" || d.N > 0:
		return check(d.N)
	case ok:
		return check(have)
	}
	b.Known[d.Name] = n
	return nil
}

// fitShape sees a row of one shape as one with the axes of dims: the same axes,
// all joined into one, or with axes of length 1 added or left out.
func fitShape(shape []int, dims []Dim) ([]int, bool) {
	if len(shape) == len(dims) {
		return shape, true
	}
	n, _ := runtime.Size(shape)
	if len(dims) == 1 {
		return []int{n}, true
	}
	if len(dims) == 0 {
		return []int{}, n == 1
	}
	var out []int
	rest := shape
	for _, d := range dims {
		switch {
		case d.N == 1 && (len(rest) == 0 || rest[0] != 1):
			out = append(out, 1)
		case len(rest) > 0:
			out, rest = append(out, rest[0]), rest[1:]
		default:
			return nil, false
		}
	}
	return out, len(rest) == 0
}

// classes compares the labels of argument y with the scores of the model.
func (b *Binding) classes(d *Data, loss Func, scores []Func, y int) error {
	c := b.Columns[y]
	for i, l := range c.I {
		if l < 0 {
			return fmt.Errorf("%s: the label in row %d is %d; labels count from 0", d.from(c), i+1, l)
		}
	}
	var inputs []int
	for i := range loss.Args {
		if i != y {
			inputs = append(inputs, i)
		}
	}
	dim, f, ok := lastDim(loss, scores, inputs, 1)
	if !ok {
		return nil
	}
	return b.learn(dim, c.classes(), func(n int) error {
		for i, l := range c.I {
			if int(l) < n {
				continue
			}
			if len(c.Classes) > 0 {
				return fmt.Errorf("%s: %s has %d classes, but %s of the model scores %d", d.from(c), c.Name, len(c.Classes), f, n)
			}
			return fmt.Errorf("%s: the label in row %d is %d, but %s of the model scores %d classes (0 to %d)", d.from(c), i+1, l, f, n, n-1)
		}
		return nil
	})
}

// lastDim is the last dim of the scores that a function computes from the given
// arguments of the loss alone: f32 of the given rank + 1.
func lastDim(loss Func, funcs []Func, inputs []int, rank int) (Dim, string, bool) {
	var bare []Func
	for _, f := range funcs {
		bare = append(bare, f.WithoutCarried())
	}
	f := scorer(loss, bare, inputs, rank+1, "f32")
	if f == nil {
		return Dim{}, "", false
	}
	ds := f.Results[0].Dims
	return ds[len(ds)-1], f.Name, true
}

// scorer is a function of exactly these arguments of the loss whose first result
// has that element type and rank.
func scorer(loss Func, funcs []Func, inputs []int, rank int, elem string) *Func {
	for i := range funcs {
		f := &funcs[i]
		if len(f.Args) != len(inputs) || len(f.Results) == 0 || len(f.Results[0].Dims) != rank || f.Results[0].Elem != elem {
			continue
		}
		ok := true
		for k, a := range f.Args {
			want := loss.Args[inputs[k]]
			ok = ok && a.Elem == want.Elem && len(a.Dims) == len(want.Dims)
		}
		if ok {
			return f
		}
	}
	return nil
}

// WithoutCarried leaves out the arguments that a result of the same name and
// type replaces in the next step.
func (f Func) WithoutCarried() Func {
	var args []Arg
	for _, a := range f.Args {
		carried := false
		for i, r := range f.Results {
			carried = carried || i > 0 && r.String() == a.String()
		}
		if !carried {
			args = append(args, a)
		}
	}
	f.Args = args
	return f
}
