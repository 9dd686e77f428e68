// Program w6 times nanoGPT's smallest model.
package main

import (
	"lmcbench/harness"
	one "lmcbench/model/w6b1"
	eight "lmcbench/model/w6b8"
	decode "lmcbench/model/w6decode"

	"github.com/lmc-lang/lmc/runtime"
)

// data is the batches of B rows.
func data(B int) (ids, next [8]runtime.Tensor2[int32]) {
	for b := range ids {
		ids[b], next[b] = harness.Pieces(uint64(10+b), 65, B, 256)
	}
	return ids, next
}

func main() {
	harness.Main(eight.KernelPath(), harness.Workloads{
		"W6.train.B8": func(r *harness.Run) {
			w := eight.NewWeights()
			harness.Init(w.All(), harness.GPT(6, false)...)
			w.Changed()
			s := eight.NewStep(w, eight.DefaultStepOptions())
			ids, next := data(8)
			r.Train(func(i int) float32 { return harness.Must(s.Step(ids[i%8], next[i%8])).Loss })
		},
		"W6.train.B1": func(r *harness.Run) {
			w := one.NewWeights()
			harness.Init(w.All(), harness.GPT(6, false)...)
			w.Changed()
			s := one.NewStep(w, one.DefaultStepOptions())
			ids, next := data(1)
			r.Train(func(i int) float32 { return harness.Must(s.Step(ids[i%8], next[i%8])).Loss })
		},
		"W6.fwd.B8": func(r *harness.Run) {
			w := eight.NewWeights()
			harness.Init(w.All(), harness.GPT(6, false)...)
			w.Changed()
			s := eight.NewSession(w)
			ids := runtime.NewTensor2(harness.Ints(500, 65, 8*256), 8, 256)
			y := make([]float32, 0, 8*256*65)
			r.Infer(func() []float32 { return harness.Must(s.Logits(y, ids)).Data })
		},
		"W6.decode": func(r *harness.Run) {
			w := decode.NewWeights()
			harness.Init(w.All(), harness.GPT(6, false)...)
			w.Changed()
			s := decode.NewSession(w)
			prompt := harness.Ints(500, 65, 1)
			id := runtime.NewTensor2[int32](nil, 1, 1)
			next := make([]int32, 0, 1)
			r.Tokens(255, func() { s.Reset(); id.Data[0] = prompt[0] }, func(i int) int32 {
				id.Data[0] = harness.Must(s.Decode(next, id, i))[0]
				return id.Data[0]
			})
		},
	})
}
