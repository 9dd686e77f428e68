// Program w1 times linear regression.
package main

import (
	"lmcbench/harness"
	model "lmcbench/model/w1"

	"github.com/lmc-lang/lmc/runtime"
)

func main() {
	harness.Main(model.KernelPath(), harness.Workloads{"W1.train1000": func(r *harness.Run) {
		x, truth, noise := harness.Rand(1, 1000), harness.Rand(2, 10), harness.Rand(3, 100)
		y := make([]float32, 100)
		for i := range y {
			for k, t := range truth {
				y[i] += x[10*i+k] * t
			}
			y[i] += 0.1 * noise[i]
		}
		xs, ys := runtime.NewTensor2(x, 100, 10), runtime.NewTensor2(y, 100, 1)
		w := model.NewWeights()
		fit := func() float32 {
			harness.Init(w.All(), "w:OI")
			w.Changed()
			s := model.NewStep(w, model.DefaultStepOptions())
			var last float32
			for range 1000 {
				last = harness.Must(s.Step(xs, ys)).Loss
			}
			return last
		}
		r.Losses = []float32{fit()}
		r.Time(func() { fit() })
	}})
}
