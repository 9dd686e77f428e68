// Program w2 times a multilayer perceptron.
package main

import (
	"lmcbench/harness"
	infer "lmcbench/model/w2infer"
	tiny "lmcbench/model/w2tiny"
	train "lmcbench/model/w2train"

	"github.com/lmc-lang/lmc/runtime"
)

var order = []string{"fc1.w:OI", "fc1.b", "fc2.w:OI", "fc2.b", "out.w:OI", "out.b"}

func main() {
	harness.Main(train.KernelPath(), harness.Workloads{
		"W2.train": func(r *harness.Run) {
			w := train.NewWeights()
			harness.Init(w.All(), order...)
			w.Changed()
			s := train.NewStep(w, train.DefaultStepOptions())
			var x [16]runtime.Tensor2[float32]
			var y [16][]int32
			for b := range x {
				x[b], y[b] = runtime.NewTensor2(harness.Rand(uint64(10+b), 32*784), 32, 784), harness.Ints(uint64(50+b), 10, 32)
			}
			r.Train(func(i int) float32 { return harness.Must(s.Step(x[i%16], y[i%16])).Loss })
		},
		"W2.infer": func(r *harness.Run) {
			w := infer.NewWeights()
			harness.Init(w.All(), order...)
			w.Changed()
			s := infer.NewSession(w)
			x := runtime.NewTensor2(harness.Rand(500, 784), 1, 784)
			y := make([]float32, 0, 10)
			r.Infer(func() []float32 { return harness.Must(s.Logits(y, x)).Data })
		},
		"Tiny.infer": func(r *harness.Run) {
			w := tiny.NewWeights()
			harness.Init(w.All(), order...)
			w.Changed()
			s := tiny.NewSession(w)
			x := runtime.NewTensor2(harness.Rand(500, 6), 1, 6)
			y := make([]float32, 0, 4)
			r.Infer(func() []float32 { return harness.Must(s.Logits(y, x)).Data })
		},
	})
}
