// Command privacy trains a classifier of digits with differential privacy and
// says how much of it is left.
package main

import (
	"flag"
	"fmt"

	"example.com/programs/gen/dpsgd"
	"example.com/programs/kit"
)

//go:generate go tool lmc build -q -o ../gen/dpsgd ../../dpsgd.lm

// The noise of the text, in units of the length to which gradients are clipped.
const noise = 1.1

func main() {
	data := flag.String("data", "../../../shared/data/mnist", "folder with the test set of MNIST")
	lot := flag.Int("lot", 256, "expected number of examples in a step")
	steps := flag.Int("steps", 600, "steps of training")
	delta := flag.Float64("delta", 1e-5, "probability with which the bound may fail")
	flag.Parse()
	learn, test, err := kit.MNIST(*data)
	kit.Check(err)
	var at, eps, acc []float64
	w := train(learn, *lot, *steps, func(step int, w *dpsgd.Weights) {
		if step%100 == 0 || step == *steps {
			e := Epsilon(float64(*lot)/float64(learn.Len()), noise, step, *delta)
			a := score(w, test)
			fmt.Printf("step %d: accuracy %.2f %%, epsilon %.2f at delta %g\n", step, 100*a, e, *delta)
			at, eps, acc = append(at, float64(step)), append(eps, e), append(acc, 100*a)
		}
	})
	kit.Check(w.SaveFile(kit.Out("privacy.safetensors")))
	kit.Check(kit.Plot(kit.Out("privacy.svg"), "Digits with differential privacy", "epsilon", "accuracy, %", kit.Series{X: eps, Y: acc}))
}

// train draws each example for a step by itself, as the accountant assumes, so
// that lots vary in size.
func train(d kit.Digits, lot, steps int, seen func(step int, w *dpsgd.Weights)) *dpsgd.Weights {
	r := kit.NewRand(1)
	o := dpsgd.DefaultStepOptions()
	o.Seed = 3
	w := dpsgd.InitWeights(1)
	t := dpsgd.NewStep(w, o)
	for i := range steps {
		var pick []int
		for len(pick) == 0 {
			for k := range d.Len() {
				if r.Float64() < float64(lot)/float64(d.Len()) {
					pick = append(pick, k)
				}
			}
		}
		b := d.Batch(pick)
		kit.Must(t.Step(kit.Images(b.X, 28, 28, 1), b.Y))
		seen(i+1, w)
	}
	return w
}

// score is the share of images that are recognised.
func score(w *dpsgd.Weights, d kit.Digits) float64 {
	s := dpsgd.NewSession(w)
	right := 0
	for i := 0; i < d.Len(); i += 100 {
		b := d.Slice(i, min(i+100, d.Len()))
		z := kit.Must(s.Logits(nil, kit.Images(b.X, 28, 28, 1)))
		for k, y := range b.Y {
			best := 0
			for c := range 10 {
				if z.Data[k*10+c] > z.Data[k*10+best] {
					best = c
				}
			}
			if int32(best) == y {
				right++
			}
		}
	}
	return float64(right) / float64(d.Len())
}
