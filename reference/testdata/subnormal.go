//go:build ignore

// Times the gradients of the perceptron on ordinary and on subnormal inputs,
// with the kernels of every target that there are.
package main

import (
	"encoding/json"
	"math"
	"os"
	"syscall"
	"time"

	"example.com/reference/mlp"
	"github.com/lmc-lang/lmc/runtime"
)

// A timing is what the program prints: how many times as long subnormal numbers
// take, and how many elements of the gradient are such.
type timing struct {
	Path       string
	Ratio      float64
	Subnormals int
}

// used is the processor time of this process, which other processes change
// less than the time of day.
func used() time.Duration {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func main() {
	const batch = 64
	labels := make([]int32, batch)
	inputs := func(scale float32) runtime.Tensor2[float32] {
		x := runtime.NewTensor2[float32](nil, batch, 784)
		for i := range x.Data {
			x.Data[i] = float32(i%13+1) * scale
		}
		return x
	}
	var out []timing
	for _, path := range []string{"portable", "amd64-avx2", "amd64-avx512"} {
		s, grads := mlp.NewStep(mlp.InitWeights(1), mlp.DefaultStepOptions()), mlp.NewWeights()
		if s.UseKernels(path) != nil {
			continue
		}
		// In turn, so that what else the machine does is the same for both.
		least := [2]time.Duration{time.Hour, time.Hour}
		for range 100 {
			for i, x := range []runtime.Tensor2[float32]{inputs(0.1), inputs(1e-40)} {
				start := used()
				if _, err := s.Gradients(x, labels, grads); err != nil {
					panic(err)
				}
				least[i] = min(least[i], used()-start)
			}
		}
		r := timing{Path: path, Ratio: float64(least[1]) / float64(least[0])}
		for _, g := range grads.Data() {
			if g != 0 && math.Abs(float64(g)) < 0x1p-126 {
				r.Subnormals++
			}
		}
		out = append(out, r)
	}
	json.NewEncoder(os.Stdout).Encode(out)
}
