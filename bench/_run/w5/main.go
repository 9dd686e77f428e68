// Program w5 times a language model with an LSTM.
package main

import (
	"lmcbench/harness"
	model "lmcbench/model/w5"

	"github.com/lmc-lang/lmc/runtime"
)

func weights() *model.Weights {
	w := model.NewWeights()
	harness.Init(w.All(), "emb.w", "lstm.wx:OI", "lstm.wh:OI", "lstm.bx", "lstm.bh", "out.w:OI", "out.b")
	w.Changed()
	return w
}

func main() {
	harness.Main(model.KernelPath(), harness.Workloads{
		"W5.train": func(r *harness.Run) {
			s := model.NewStep(weights(), model.DefaultStepOptions())
			var ids, next [16]runtime.Tensor2[int32]
			for b := range ids {
				ids[b], next[b] = harness.Pieces(uint64(10+b), 1000, 20, 35)
			}
			r.Train(func(i int) float32 { return harness.Must(s.Step(ids[i%16], next[i%16])).Loss })
		},
		"W5.infer": func(r *harness.Run) {
			s := model.NewSession(weights())
			ids := runtime.NewTensor2(harness.Ints(500, 1000, 20*35), 20, 35)
			y := make([]float32, 0, 20*35*1000)
			r.Infer(func() []float32 { return harness.Must(s.Logits(y, ids)).Data })
		},
	})
}
