// Program w8 times the encoder of BERT.
package main

import (
	"fmt"

	"lmcbench/harness"
	model "lmcbench/model/w8"

	"github.com/lmc-lang/lmc/runtime"
)

func main() {
	harness.Main(model.KernelPath(), harness.Workloads{"W8.infer": func(r *harness.Run) {
		order := []string{"tok", "pos", "seg", "ln.g", "ln.b"}
		for i := range 12 {
			for _, p := range []string{"q.w:OI", "q.b", "k.w:OI", "k.b", "v.w:OI", "v.b", "o.w:OI", "o.b", "ln1.g", "ln1.b", "up.w:OI", "up.b", "down.w:OI", "down.b", "ln2.g", "ln2.b"} {
				order = append(order, fmt.Sprintf("blocks.%d.%s", i, p))
			}
		}
		w := model.NewWeights()
		harness.Init(w.All(), order...)
		w.Changed()
		s := model.NewSession(w)
		ids := runtime.NewTensor2(harness.Ints(500, 30522, 128), 1, 128)
		y := make([]float32, 0, 128*768)
		r.Infer(func() []float32 { return harness.Must(s.Encode(y, ids)).Data })
	}})
}
