// Program w7 times GPT-2.
package main

import (
	"lmcbench/harness"
	decode "lmcbench/model/w7decode"
	train "lmcbench/model/w7train"

	"github.com/lmc-lang/lmc/runtime"
)

func main() {
	harness.Main(train.KernelPath(), harness.Workloads{
		"W7.train.B4": func(r *harness.Run) {
			w := train.NewWeights()
			harness.Init(w.All(), harness.GPT(12, true)...)
			w.Changed()
			s := train.NewStep(w, train.DefaultStepOptions())
			var ids, next [8]runtime.Tensor2[int32]
			for b := range ids {
				ids[b], next[b] = harness.Pieces(uint64(10+b), 50257, 4, 64)
			}
			r.Train(func(i int) float32 { return harness.Must(s.Step(ids[i%8], next[i%8])).Loss })
		},
		"W7.decode": func(r *harness.Run) {
			w := decode.NewWeights()
			harness.Init(w.All(), harness.GPT(12, true)...)
			w.Changed()
			s := decode.NewSession(w)
			prompt := runtime.NewTensor2(harness.Ints(500, 50257, 256), 1, 256)
			id := runtime.NewTensor2[int32](nil, 1, 1)
			next := make([]int32, 0, 1)
			reset := func() {
				s.Reset()
				id.Data[0] = harness.Must(s.Prefill(next, prompt, 0))[0]
			}
			r.Tokens(64, reset, func(i int) int32 {
				id.Data[0] = harness.Must(s.Decode(next, id, 256+i))[0]
				return id.Data[0]
			})
		},
	})
}
