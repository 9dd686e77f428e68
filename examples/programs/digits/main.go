// Command digits trains a convolutional network on MNIST.
package main

import (
	"flag"
	"fmt"

	"example.com/programs/gen/cnn"
	"example.com/programs/kit"
)

//go:generate go tool lmc build -q -o ../gen/cnn ../../cnn.lm

func main() {
	data := flag.String("data", "../../../shared/data/mnist", "folder with the test set of MNIST")
	steps := flag.Int("steps", 2500, "steps of training")
	flag.Parse()
	learn, test, err := kit.MNIST(*data)
	kit.Check(err)
	w, losses := train(learn, *steps, 64, 2, true)
	right, wrong := score(w, test)
	fmt.Printf("accuracy on %d images: %.2f %%\n", test.Len(), 100*right)
	kit.Check(w.SaveFile(kit.Out("digits.safetensors")))
	kit.Check(kit.Plot(kit.Out("digits.svg"), "CNN on MNIST", "step", "loss", kit.Series{Y: kit.Average(losses, 20)}))
	kit.Check(kit.Sheet(kit.Out("digits-wrong.png"), 16, 28, 28, 1, 0, 1, test.Batch(wrong[:min(32, len(wrong))]).X))
}

// train makes a network from images that are moved by up to shift pixels.
func train(d kit.Digits, steps, batch, shift int, report bool) (*cnn.Weights, []float64) {
	r := kit.NewRand(1)
	o := cnn.DefaultStepOptions()
	o.Steps = steps
	w := cnn.InitWeights(1)
	t := cnn.NewStep(w, o)
	var losses []float64
	for i := range steps {
		b := d.Batch(kit.Pick(r, batch, d.Len())).Shifted(r, shift)
		res := kit.Must(t.Step(kit.Images(b.X, 28, 28, 1), b.Y))
		losses = append(losses, float64(res.Loss))
		if report && (i+1)%100 == 0 {
			fmt.Printf("step %d: loss %.4f\n", i+1, kit.Mean(losses[i-99:]))
		}
	}
	return w, losses
}

// score is the share of images that are recognised, and the others.
func score(w *cnn.Weights, d kit.Digits) (right float64, wrong []int) {
	s := cnn.NewSession(w)
	for i := 0; i < d.Len(); i += 100 {
		b := d.Slice(i, min(i+100, d.Len()))
		z := kit.Must(s.Logits(nil, kit.Images(b.X, 28, 28, 1)))
		for k, y := range b.Y {
			best := 0
			for c, v := range z.Data[k*10 : k*10+10] {
				if v > z.Data[k*10+best] {
					best = c
				}
			}
			if int32(best) != y {
				wrong = append(wrong, i+k)
			}
		}
	}
	return 1 - float64(len(wrong))/float64(d.Len()), wrong
}
