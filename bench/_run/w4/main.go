// Program w4 times ResNet-18.
package main

import (
	"lmcbench/harness"
	infer "lmcbench/model/w4infer"
	train "lmcbench/model/w4train"

	"github.com/lmc-lang/lmc/runtime"
)

// order lists the parameters of one convolution and its norm after another.
func order() []string {
	var out []string
	unit := func(path string) {
		out = append(out, path+".conv.w:OIHW", path+".bn.g", path+".bn.b")
	}
	unit("stem")
	for _, block := range []string{"s1", "s2", "d3", "s4", "d5", "s6", "d7", "s8"} {
		unit(block + ".c1")
		unit(block + ".c2")
		if block[0] == 'd' {
			unit(block + ".short")
		}
	}
	return append(out, "fc.w:OI", "fc.b")
}

func main() {
	harness.Main(train.KernelPath(), harness.Workloads{
		"W4.train": func(r *harness.Run) {
			w := train.InitWeights(1) // states start from their own values
			harness.Init(w.All(), order()...)
			w.Changed()
			s := train.NewStep(w, train.DefaultStepOptions())
			var x [8]runtime.Tensor4[float32]
			var y [8][]int32
			for b := range x {
				x[b], y[b] = harness.Images(uint64(10+b), 16, 32, 32, 3), harness.Ints(uint64(50+b), 10, 16)
			}
			r.Train(func(i int) float32 { return harness.Must(s.Step(x[i%8], y[i%8])).Loss })
		},
		"W4.infer": func(r *harness.Run) {
			w := infer.InitWeights(1)
			harness.Init(w.All(), order()...)
			w.Changed()
			s := infer.NewSession(w)
			x := harness.Images(500, 1, 32, 32, 3)
			y := make([]float32, 0, 10)
			r.Infer(func() []float32 { return harness.Must(s.Logits(y, x)).Data })
		},
	})
}
