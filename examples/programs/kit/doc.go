// Package kit is what the programs beside it share: reading data, drawing
// batches, and pictures of what came out.
package kit

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/lmc-lang/lmc/runtime"
)

// NewRand is a generator of random numbers for a seed.
func NewRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

// Must is x, or the end of the program.
func Must[T any](x T, err error) T {
	Check(err)
	return x
}

// Check ends the program if there is an error.
func Check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Out is the path of a file that a program writes.
func Out(name string) string {
	Check(os.MkdirAll("out", 0o777))
	return filepath.Join("out", name)
}

// Rows is the rows of x, each of the given width, that pick lists, one after the other.
func Rows[T any](x []T, width int, pick []int) []T {
	out := make([]T, 0, width*len(pick))
	for _, i := range pick {
		out = append(out, x[i*width:(i+1)*width]...)
	}
	return out
}

// Pick draws n of m numbers, with repetition.
func Pick(r *rand.Rand, n, m int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = r.IntN(m)
	}
	return out
}

// Matrix is x as a tensor of rows of the given width.
func Matrix[T any](x []T, width int) runtime.Tensor2[T] {
	return runtime.NewTensor2(x, len(x)/width, width)
}

// Images is x as a tensor of images.
func Images(x []float32, h, w, c int) runtime.Tensor4[float32] {
	return runtime.NewTensor4(x, len(x)/(h*w*c), h, w, c)
}

// Mean is the mean of all numbers.
func Mean(xs []float64) float64 {
	sum := 0.0
	for _, x := range xs {
		sum += x
	}
	return sum / float64(len(xs))
}

// Normal fills a slice of n numbers from a normal distribution.
func Normal(r *rand.Rand, n int) []float32 {
	out := make([]float32, n)
	for i := range out {
		out[i] = float32(r.NormFloat64())
	}
	return out
}

// Average smooths a curve: each number becomes the mean of it and up to n-1 before.
func Average(ys []float64, n int) []float64 {
	out, sum := make([]float64, len(ys)), 0.0
	for i, y := range ys {
		sum += y
		if i >= n {
			sum -= ys[i-n]
		}
		out[i] = sum / float64(min(i+1, n))
	}
	return out
}
