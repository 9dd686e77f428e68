// Program w10 times skip-gram with negative sampling.
package main

import (
	"lmcbench/harness"
	model "lmcbench/model/w10"

	"github.com/lmc-lang/lmc/runtime"
)

func main() {
	harness.Main(model.KernelPath(), harness.Workloads{"W10.train": func(r *harness.Run) {
		w := model.NewWeights()
		harness.Init(w.All(), "inp", "out")
		w.Changed()
		s := model.NewStep(w, model.DefaultStepOptions())
		const V, B, K = 50000, 512, 5
		var center, near [64][]int32
		var noise [64]runtime.Tensor2[int32]
		for b := range center {
			seed := uint64(b)
			center[b], near[b] = harness.Ints(10+seed, V, B), harness.Ints(100+seed, V, B)
			noise[b] = runtime.NewTensor2(harness.Ints(200+seed, V, B*K), B, K)
		}
		r.Train(func(i int) float32 {
			i %= 64
			return harness.Must(s.Step(center[i], near[i], noise[i])).Loss
		})
	}})
}
