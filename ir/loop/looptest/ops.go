// Package looptest has kernels with inputs, for the tests of everything that
// prints or runs kernels: one for each form of each op, samples in the shape of
// real kernels, and random ones.
package looptest

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/lmc-lang/lmc/ir/loop"
)

// A Case is a kernel with sizes and inputs.
type Case struct {
	Kernel *loop.Kernel
	Dims   map[string]int
	Ints   []int
	// Inputs has the elements of every buffer, outputs too, as float64: bools
	// are 0 or 1, floats are rounded to the width of the build.
	Inputs [][]float64
}

// Memory returns fresh memory for the buffers of c.
func (c *Case) Memory(wide bool) []loop.Mem {
	out := make([]loop.Mem, len(c.Inputs))
	for i, in := range c.Inputs {
		m := loop.NewMem(c.Kernel.Bufs[i].Elem, len(in), wide || c.Kernel.Wide)
		switch m := m.(type) {
		case []float32:
			for k, x := range in {
				m[k] = float32(x)
			}
		case []float64:
			copy(m, in)
		case []int32:
			for k, x := range in {
				m[k] = int32(x)
			}
		case []bool:
			for k, x := range in {
				m[k] = x != 0
			}
		}
		out[i] = m
	}
	return out
}

// Specials are the values that tell apart what ordinary ones do not.
var Specials = []float64{
	0, math.Copysign(0, -1), 1, -1, 0.5, -0.5, 1.5, 2.5, -2.5, 2, 3, -3, 7, 10, -10, 88.5, -88.5, 100, -104, 1e4,
	math.Inf(1), math.Inf(-1), math.NaN(), math.MaxFloat32, -math.MaxFloat32, 0x1p-126, 0x1p-149, -0x1p-149, 1 + 0x1p-23,
	1 - 0x1p-24, 1.0 / 3, math.Pi, -math.E, 1 << 23, 1<<23 + 1, 1 << 31, -1 << 31, 1e10, 1e-10, 0.1,
}

// SpecialInts are the same for i32.
var SpecialInts = []float64{0, 1, -1, 2, -2, 3, -3, 7, -7, 10, 100, -1000, math.MaxInt32, math.MinInt32, math.MaxInt32 - 1, 1 << 16}

// specials are the special values of a type.
func specials(e loop.Elem) []float64 {
	switch e {
	case loop.F32:
		return Specials
	case loop.Bool:
		return []float64{0, 1}
	}
	return SpecialInts
}

// Ops returns a kernel for each form of each op, over all combinations of
// special values of two operands (a third takes turns). Ops of native kernels
// are not among them.
func Ops() []*Case {
	var out []*Case
	for op := range loop.Table {
		in := &loop.Table[op]
		if in.Native {
			continue
		}
		seen := map[string]bool{}
		for _, f := range in.Forms {
			name := in.Name
			for _, a := range f.Args {
				name += "_" + a.String()
			}
			name += "_to_" + f.Result.String()
			if !seen[name] {
				seen[name] = true
				out = append(out, opCase(loop.Op(op), &f, name))
			}
		}
	}
	return out
}

// opCase is the kernel z[i] = op(a[i], b[i], c[i]).
func opCase(op loop.Op, f *loop.Form, name string) *Case {
	b := loop.NewBuilder(name)
	b.K.Doc = fmt.Sprintf("z = %s elementwise (test)", loop.Table[op].Name)
	var args [][]float64
	first, second := specials(f.Args[0]), []float64{0}
	if len(f.Args) > 1 {
		second = specials(f.Args[1])
	}
	for i, x := range first {
		for j, y := range second {
			row := []float64{x, y, 0}
			if len(f.Args) > 2 {
				third := specials(f.Args[2])
				row[2] = third[(7*i+5*j)%len(third)]
			}
			args = append(args, row)
		}
	}
	faults := f.Fault
	if faults {
		kept := args[:0]
		for _, r := range args {
			if op == loop.Check && 0 <= r[0] && r[0] < r[1] || op != loop.Check && r[1] != 0 {
				kept = append(kept, r)
			}
		}
		args = kept
	}
	n := len(args)
	c := &Case{Dims: map[string]int{"N": n}}
	stored := func(e loop.Elem) loop.Elem {
		if e == loop.Int {
			return loop.I32
		}
		return e
	}
	var bufs []*loop.Buffer
	for k, e := range f.Args {
		bufs = append(bufs, b.Buffer(string(rune('a'+k)), stored(e), loop.Sym("N"), false))
		col := make([]float64, n)
		for i, r := range args {
			col[i] = r[k]
		}
		c.Inputs = append(c.Inputs, col)
	}
	z := b.Buffer("z", stored(f.Result), loop.Sym("N"), true)
	c.Inputs = append(c.Inputs, make([]float64, n))
	b.Range("i", loop.Sym("N"), func(i *loop.Val) {
		var xs []*loop.Val
		for k, e := range f.Args {
			xs = append(xs, b.ConvertTo(e, b.Load(bufs[k], loop.At(i))))
		}
		var r *loop.Val
		if op == loop.Convert {
			r = b.ConvertTo(f.Result, xs[0])
		} else {
			r = b.Do(op, xs...)
		}
		b.Store(z, loop.At(i), b.ConvertTo(stored(f.Result), r))
	})
	c.Kernel = b.K
	return c
}

// fill makes n pseudo-random elements of type e, some of them special.
func fill(r *rand.Rand, e loop.Elem, n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		switch {
		case e == loop.Bool:
			out[i] = float64(r.IntN(2))
		case e == loop.I32:
			out[i] = float64(r.IntN(9))
		case r.IntN(16) == 0:
			out[i] = Specials[r.IntN(len(Specials))]
		default:
			out[i] = float64(float32(r.NormFloat64()))
		}
	}
	return out
}
