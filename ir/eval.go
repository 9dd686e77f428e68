package ir

import "github.com/lmc-lang/lmc/ir/loop"

// Data is a tensor of the evaluator. F holds F32 elements (rounded to float32
// unless the evaluator is Wide), I the others; Bool is 0 or 1.
type Data struct {
	Elem  Elem
	Shape []int
	F     []float64
	I     []int32
}

// Len is the number of elements.
func (d *Data) Len() int {
	n := 1
	for _, k := range d.Shape {
		n *= k
	}
	return n
}

// An Evaluator runs functions by interpreting the naive loops of every op: the
// oracle of all tests. Wide evaluates f32 in float64.
type Evaluator struct {
	Dims map[string]int
	Wide bool
	// Memo is scratch of the evaluator: kernels built before.
	kernels map[*Value]*loop.Kernel
}
