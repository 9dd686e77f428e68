package ir

import (
	"fmt"
	"slices"

	"github.com/lmc-lang/lmc/ir/loop"
)

// Data is a tensor of the evaluator. F holds F32 elements (rounded to float32
// unless the evaluator is Wide), I the others; Bool is 0 or 1.
type Data struct {
	Elem  Elem
	Shape []int
	F     []float64
	I     []int32
}

// NewData is a tensor of zeros.
func NewData(e Elem, shape ...int) *Data {
	d := &Data{Elem: e, Shape: shape}
	if e == F32 {
		d.F = make([]float64, d.Len())
	} else {
		d.I = make([]int32, d.Len())
	}
	return d
}

// DataOf is a tensor with the elements xs, converted to e. It is an error if
// the shape does not have as many.
func DataOf(e Elem, shape []int, xs []float64) (*Data, error) {
	d := NewData(e, shape...)
	if d.Len() != len(xs) {
		return nil, fmt.Errorf("%d elements for the shape %v", len(xs), shape)
	}
	for i, x := range xs {
		if e == F32 {
			d.F[i] = x
		} else {
			d.I[i] = int32(x)
		}
	}
	return d, nil
}

// Scalar is a tensor without axes.
func Scalar(e Elem, x float64) *Data {
	d := NewData(e)
	if e == F32 {
		d.F[0] = x
	} else {
		d.I[0] = int32(x)
	}
	return d
}

// Len is the number of elements.
func (d *Data) Len() int {
	n := 1
	for _, k := range d.Shape {
		n *= k
	}
	return n
}

// Clone is a copy of d.
func (d *Data) Clone() *Data {
	return &Data{Elem: d.Elem, Shape: slices.Clone(d.Shape), F: slices.Clone(d.F), I: slices.Clone(d.I)}
}

// Floats is the elements of d as float64.
func (d *Data) Floats() []float64 {
	if d.Elem == F32 {
		return d.F
	}
	out := make([]float64, len(d.I))
	for i, x := range d.I {
		out[i] = float64(x)
	}
	return out
}

// mem is the memory of d for the interpreter: its own, except for bools.
func (d *Data) mem() loop.Mem {
	switch d.Elem {
	case F32:
		return d.F
	case I32:
		return d.I
	}
	b := make([]bool, len(d.I))
	for i, x := range d.I {
		b[i] = x != 0
	}
	return b
}

// settle takes the elements back that mem did not share.
func (d *Data) settle(m loop.Mem) {
	if b, ok := m.([]bool); ok {
		for i, x := range b {
			d.I[i] = 0
			if x {
				d.I[i] = 1
			}
		}
	}
}

// New is a tensor of zeros of type t, which must not be a tuple.
func (ev *Evaluator) New(t Type) (*Data, error) {
	if t.Tuple != nil {
		return nil, fmt.Errorf("bug: data of the tuple %v", t)
	}
	shape := make([]int, t.Rank())
	for i, d := range t.Shape {
		n, err := d.Eval(ev.Dims)
		if err != nil {
			return nil, err
		}
		if n < 0 {
			return nil, fmt.Errorf("axis %d of %v has the extent %d", i, t, n)
		}
		shape[i] = n
	}
	return NewData(t.Elem, shape...), nil
}

// fits returns why d is not of type t, or nil.
func (ev *Evaluator) fits(d *Data, t Type) error {
	if t.Tuple != nil {
		return fmt.Errorf("is a tuple, which no argument can be")
	}
	if d.Elem != t.Elem || len(d.Shape) != t.Rank() {
		return fmt.Errorf("is %v%v, want %v", d.Elem, d.Shape, t)
	}
	for i, s := range t.Shape {
		n, err := s.Eval(ev.Dims)
		if err != nil {
			return err
		}
		if n != d.Shape[i] {
			return fmt.Errorf("is %v%v, want %v, where %v = %d", d.Elem, d.Shape, t, s, n)
		}
	}
	n, have := d.Len(), len(d.I)
	if d.Elem == F32 {
		have = len(d.F)
	}
	if n != have {
		return fmt.Errorf("has %d elements, want %d", have, n)
	}
	return nil
}
