// Program w3 times a small convolutional network.
package main

import (
	"lmcbench/harness"
	infer "lmcbench/model/w3infer"
	train "lmcbench/model/w3train"

	"github.com/lmc-lang/lmc/runtime"
)

var order = []string{"conv1.w:OIHW", "conv1.b", "conv2.w:OIHW", "conv2.b", "fc1.w:OIHW/7x7", "fc1.b", "fc2.w:OI", "fc2.b"}

func main() {
	harness.Main(train.KernelPath(), harness.Workloads{
		"W3.train": func(r *harness.Run) {
			w := train.NewWeights()
			harness.Init(w.All(), order...)
			w.Changed()
			s := train.NewStep(w, train.DefaultStepOptions())
			var x [16]runtime.Tensor4[float32]
			var y [16][]int32
			for b := range x {
				x[b], y[b] = harness.Images(uint64(10+b), 32, 28, 28, 1), harness.Ints(uint64(50+b), 10, 32)
			}
			r.Train(func(i int) float32 { return harness.Must(s.Step(x[i%16], y[i%16])).Loss })
		},
		"W3.infer": func(r *harness.Run) {
			w := infer.NewWeights()
			harness.Init(w.All(), order...)
			w.Changed()
			s := infer.NewSession(w)
			x := harness.Images(500, 1, 28, 28, 1)
			y := make([]float32, 0, 10)
			r.Infer(func() []float32 { return harness.Must(s.Logits(y, x)).Data })
		},
	})
}
