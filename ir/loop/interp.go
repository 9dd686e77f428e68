package loop

import "fmt"

// A Mem is memory for one buffer: []float32, []float64, []int32 or []bool.
// F32 buffers may have either float type whatever the width of the arithmetic;
// the interpreter converts.
type Mem any

// NewMem allocates n elements of type e, floats 64 bits wide if wide is set.
func NewMem(e Elem, n int, wide bool) Mem {
	switch {
	case e == I32:
		return make([]int32, n)
	case e == Bool:
		return make([]bool, n)
	case wide:
		return make([]float64, n)
	}
	return make([]float32, n)
}

// Run interprets k over its whole grid: the meaning of the kernel, and the
// oracle for whatever prints it. Env has the symbols of k's dims, args one run
// of memory for each of k.Bufs, ints one number for each of k.Ints. Wide is
// the build with -float f64. Anything out of bounds is an error.
func Run(k *Kernel, env map[string]int, wide bool, args []Mem, ints []int) error {
	p, err := Compile(k, env, wide)
	if err != nil {
		return err
	}
	return p.Run(args, ints)
}

// An Interp is a kernel compiled to closures for given dims. It may be run
// again, but not by two goroutines at once.
type Interp struct {
	k    *Kernel
	n    int // grid
	lens []int
	exec runner
	wide bool
}

// A runner is a machine of either float type.
type runner interface {
	bind(i int, e Elem, m Mem) (back func(), err error)
	run(ints []int, lo, hi int)
}

// Compile prepares k, which must hold what Verify checks, for running.
func Compile(k *Kernel, env map[string]int, wide bool) (*Interp, error) {
	if err := k.Verify(); err != nil {
		return nil, err
	}
	p := &Interp{k: k, wide: wide || k.Wide}
	for _, b := range k.Bufs {
		n, err := b.Len.Eval(env)
		if err != nil {
			return nil, fmt.Errorf("kernel %s: length of %s: %w", k.Name, b.Name, err)
		}
		if n < 0 {
			return nil, fmt.Errorf("kernel %s: length of %s is %s = %d", k.Name, b.Name, b.Len, n)
		}
		p.lens = append(p.lens, n)
	}
	var err error
	if k.Grid != nil {
		if p.n, err = k.Grid.N.Eval(env); err != nil {
			return nil, fmt.Errorf("kernel %s: grid: %w", k.Name, err)
		}
	}
	if wide || k.Wide {
		p.exec, err = compile[float64](k, env, p.lens)
	} else {
		p.exec, err = compile[float32](k, env, p.lens)
	}
	if err != nil {
		return nil, fmt.Errorf("kernel %s: %w", k.Name, err)
	}
	return p, nil
}

// Grid is the number of independent pieces, 0 without a grid.
func (p *Interp) Grid() int { return p.n }

// Run runs the kernel over its whole grid.
func (p *Interp) Run(args []Mem, ints []int) error { return p.RunRange(args, ints, 0, p.n) }

// RunRange runs the pieces [lo, hi) of the grid.
func (p *Interp) RunRange(args []Mem, ints []int, lo, hi int) (err error) {
	k := p.k
	for _, b := range k.Bufs[len(k.Arguments()):] { // scratch with rubbish in it
		m := NewMem(b.Elem, p.lens[len(args)], p.wide)
		poison(m)
		args = append(args[:len(args):len(args)], m)
	}
	if len(args) != len(k.Bufs) || len(ints) != len(k.Ints) {
		return fmt.Errorf("kernel %s: called with %d buffers and %d ints, wants %d and %d", k.Name, len(args), len(ints), len(k.Bufs), len(k.Ints))
	}
	var back []func()
	for i, b := range k.Bufs {
		if n := memLen(args[i]); n != p.lens[i] {
			return fmt.Errorf("kernel %s: %s has %d elements, wants %s = %d", k.Name, b.Name, n, b.Len, p.lens[i])
		}
		f, err := p.exec.bind(i, b.Elem, args[i])
		if err != nil {
			return fmt.Errorf("kernel %s: %s: %w", k.Name, b.Name, err)
		}
		if f != nil && b.Out {
			back = append(back, f)
		}
	}
	defer func() {
		switch r := recover().(type) {
		case nil:
		case *fault:
			err = fmt.Errorf("kernel %s: %w", k.Name, r)
		case error:
			err = fmt.Errorf("kernel %s: %w", k.Name, r)
		default:
			err = fmt.Errorf("kernel %s: %v", k.Name, r)
		}
	}()
	p.exec.run(ints, lo, hi)
	for _, f := range back {
		f()
	}
	return nil
}

func memLen(m Mem) int {
	switch m := m.(type) {
	case []float32:
		return len(m)
	case []float64:
		return len(m)
	case []int32:
		return len(m)
	case []bool:
		return len(m)
	}
	return -1
}

// A fault ends a kernel: an index out of range, or a division by zero. It
// travels as a panic inside the interpreter only.
type fault struct {
	format string
	args   []any
}

func (f *fault) Error() string { return fmt.Sprintf(f.format, f.args...) }

// A machine has the registers of a kernel, by type, and its memory.
type machine[F float32 | float64] struct {
	f    []F
	n    []int32
	i    []int
	b    []bool
	bufs []cells[F]
	body []step[F]

	ints   []*int // registers of Kernel.Ints
	lo, hi *int
}

// cells is the memory of a buffer: the slice of its type is set.
type cells[F float32 | float64] struct {
	f []F
	n []int32
	b []bool
}

// A step is a statement.
type step[F float32 | float64] func(m *machine[F])

func (m *machine[F]) bind(i int, e Elem, mem Mem) (func(), error) {
	c := &m.bufs[i]
	*c = cells[F]{}
	ok := false
	switch e {
	case I32:
		c.n, ok = mem.([]int32)
	case Bool:
		c.b, ok = mem.([]bool)
	case F32:
		if c.f, ok = mem.([]F); ok {
			break
		}
		switch x := mem.(type) {
		case []float32:
			c.f, ok = converted[F](x), true
			return func() { convertTo(x, c.f) }, nil
		case []float64:
			c.f, ok = converted[F](x), true
			return func() { convertTo(x, c.f) }, nil
		}
	}
	if !ok {
		return nil, fmt.Errorf("is %s, got %T", e, mem)
	}
	return nil, nil
}

func converted[F, G float32 | float64](x []G) []F {
	y := make([]F, len(x))
	convertTo(y, x)
	return y
}

func convertTo[F, G float32 | float64](y []F, x []G) {
	for i, v := range x {
		y[i] = F(v)
	}
}

func (m *machine[F]) run(ints []int, lo, hi int) {
	for i, p := range m.ints {
		*p = ints[i]
	}
	if m.lo != nil {
		*m.lo, *m.hi = lo, hi
	}
	for _, s := range m.body {
		s(m)
	}
}
