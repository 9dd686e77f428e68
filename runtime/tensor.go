package runtime

import "slices"

// Tensor2 is a dense row-major tensor of rank 2: element (i, j) is
// Data[i*Shape[1]+j]. Data is shared, not copied; a rank that is not the
// declared one does not compile, and extents are checked where a tensor enters
// a generated method.
type Tensor2[T any] struct {
	Data  []T
	Shape [2]int
}

// Tensor3 is a dense row-major tensor of rank 3; see [Tensor2].
type Tensor3[T any] struct {
	Data  []T
	Shape [3]int
}

// Tensor4 is a dense row-major tensor of rank 4; see [Tensor2].
type Tensor4[T any] struct {
	Data  []T
	Shape [4]int
}

// Tensor5 is a dense row-major tensor of rank 5; see [Tensor2].
type Tensor5[T any] struct {
	Data  []T
	Shape [5]int
}

// Tensor6 is a dense row-major tensor of rank 6; see [Tensor2].
type Tensor6[T any] struct {
	Data  []T
	Shape [6]int
}

// NewTensor2 is data seen as an n0 × n1 tensor. If data is nil, it is made; a
// length that does not fit the shape is reported by the method that gets the
// tensor.
func NewTensor2[T any](data []T, n0, n1 int) Tensor2[T] {
	s := [2]int{n0, n1}
	return Tensor2[T]{made(data, s[:]), s}
}

// NewTensor3 is data seen as a tensor of rank 3; see [NewTensor2].
func NewTensor3[T any](data []T, n0, n1, n2 int) Tensor3[T] {
	s := [3]int{n0, n1, n2}
	return Tensor3[T]{made(data, s[:]), s}
}

// NewTensor4 is data seen as a tensor of rank 4; see [NewTensor2].
func NewTensor4[T any](data []T, n0, n1, n2, n3 int) Tensor4[T] {
	s := [4]int{n0, n1, n2, n3}
	return Tensor4[T]{made(data, s[:]), s}
}

// NewTensor5 is data seen as a tensor of rank 5; see [NewTensor2].
func NewTensor5[T any](data []T, n0, n1, n2, n3, n4 int) Tensor5[T] {
	s := [5]int{n0, n1, n2, n3, n4}
	return Tensor5[T]{made(data, s[:]), s}
}

// NewTensor6 is data seen as a tensor of rank 6; see [NewTensor2].
func NewTensor6[T any](data []T, n0, n1, n2, n3, n4, n5 int) Tensor6[T] {
	s := [6]int{n0, n1, n2, n3, n4, n5}
	return Tensor6[T]{made(data, s[:]), s}
}

func made[T any](data []T, shape []int) []T {
	if n, ok := Size(shape); data == nil && ok {
		return make([]T, n)
	}
	return data
}

// At is element (i, j).
func (t Tensor2[T]) At(i, j int) T { return t.Data[i*t.Shape[1]+j] }

// Row is row i, shared with t.
func (t Tensor2[T]) Row(i int) []T {
	n := t.Shape[1]
	return t.Data[i*n : (i+1)*n : (i+1)*n]
}

// At is element (i, j, k).
func (t Tensor3[T]) At(i, j, k int) T { return t.Data[(i*t.Shape[1]+j)*t.Shape[2]+k] }

// Sub is the matrix t[i], shared with t.
func (t Tensor3[T]) Sub(i int) Tensor2[T] {
	n := t.Shape[1] * t.Shape[2]
	return Tensor2[T]{t.Data[i*n : (i+1)*n : (i+1)*n], [2]int{t.Shape[1], t.Shape[2]}}
}

// At is element (i, j, k, l).
func (t Tensor4[T]) At(i, j, k, l int) T {
	return t.Data[((i*t.Shape[1]+j)*t.Shape[2]+k)*t.Shape[3]+l]
}

// Sub is the tensor t[i] of rank 3, shared with t.
func (t Tensor4[T]) Sub(i int) Tensor3[T] {
	n := t.Shape[1] * t.Shape[2] * t.Shape[3]
	return Tensor3[T]{t.Data[i*n : (i+1)*n : (i+1)*n], [3]int{t.Shape[1], t.Shape[2], t.Shape[3]}}
}

// Size is the number of elements of a shape, 1 for a scalar. It is not ok if an
// extent is negative or the product does not fit an int.
func Size(shape []int) (n int, ok bool) {
	n = 1
	for _, d := range shape {
		if d == 0 {
			n = 0
		}
	}
	for _, d := range shape {
		if d < 0 {
			return 0, false
		}
		if n != 0 {
			if m := n * d; m/d != n || m < 0 {
				return 0, false
			} else {
				n = m
			}
		}
	}
	return n, true
}

// Grow appends n elements to dst, whatever they were before: the caller writes
// them. It allocates only if the capacity is too small.
func Grow[T any](dst []T, n int) []T {
	return slices.Grow(dst, n)[:len(dst)+n]
}

// Resize is dst with length n; it allocates only if the capacity is too small,
// and then memory that is [Aligned]. The contents are unspecified.
func Resize[T any](dst []T, n int) []T {
	if cap(dst) >= n {
		return dst[:n]
	}
	return Aligned[T](n)
}
