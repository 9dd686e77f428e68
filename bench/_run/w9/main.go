// Program w9 times a WaveNet.
package main

import (
	"fmt"

	"lmcbench/harness"
	model "lmcbench/model/w9"

	"github.com/lmc-lang/lmc/runtime"
)

func weights() *model.Weights {
	order := []string{"emb.w"}
	for _, part := range [][2]string{{"gate", "OIK"}, {"res", "OI"}, {"skip", "OI"}} {
		for i := range 20 {
			path := fmt.Sprintf("blocks.%d.%s", i, part[0])
			order = append(order, path+".w:"+part[1], path+".b")
		}
	}
	w := model.NewWeights()
	harness.Init(w.All(), append(order, "post1.w:OI", "post1.b", "post2.w:OI", "post2.b")...)
	w.Changed()
	return w
}

func main() {
	harness.Main(model.KernelPath(), harness.Workloads{
		"W9.train": func(r *harness.Run) {
			s := model.NewStep(weights(), model.DefaultStepOptions())
			var ids, next [4]runtime.Tensor2[int32]
			for b := range ids {
				ids[b], next[b] = harness.Pieces(uint64(10+b), 256, 1, 8000)
			}
			r.Train(func(i int) float32 { return harness.Must(s.Step(ids[i%4], next[i%4])).Loss })
		},
		"W9.infer": func(r *harness.Run) {
			s := model.NewSession(weights())
			ids := runtime.NewTensor2(harness.Ints(500, 256, 8000), 1, 8000)
			y := make([]float32, 0, 8000*256)
			r.Infer(func() []float32 { return harness.Must(s.Logits(y, ids)).Data })
		},
	})
}
