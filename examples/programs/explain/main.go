// Command explain trains a network on digits and shows which pixels made it decide.
package main

import (
	"flag"
	"fmt"
	"math"

	"example.com/programs/gen/attribution"
	"example.com/programs/kit"
)

//go:generate go tool lmc build -q -set I=784 -set H=64 -o ../gen/attribution ../../attribution.lm

func main() {
	data := flag.String("data", "../../../shared/data/mnist", "folder with the test set of MNIST")
	steps := flag.Int("steps", 2000, "steps of training")
	flag.Parse()
	learn, test, err := kit.MNIST(*data)
	kit.Check(err)
	w := train(learn, *steps)
	x := explain(w, test.Slice(0, 12))
	fmt.Printf("%.1f %% of the test images; the sums of the attributions differ from the scores by %.2g at most\n", 100*score(w, test), x.gap)
	kit.Check(kit.Sheet(kit.Out("explain.png"), 12, 28, 28, 1, -1, 1, x.sheet))
}

func train(d kit.Digits, steps int) *attribution.Weights {
	r := kit.NewRand(1)
	w := attribution.InitWeights(1)
	t := attribution.NewStep(w, attribution.DefaultStepOptions())
	for range steps {
		b := d.Batch(kit.Pick(r, 64, d.Len()))
		kit.Must(t.Step(kit.Matrix(b.X, 784), b.Y))
	}
	return w
}

// score is the share of images that are recognised.
func score(w *attribution.Weights, d kit.Digits) float64 {
	z := kit.Must(attribution.NewSession(w).Logits(nil, kit.Matrix(d.X, 784)))
	right := 0
	for i, y := range d.Y {
		best := 0
		for c := range 10 {
			if z.Data[i*10+c] > z.Data[i*10+best] {
				best = c
			}
		}
		if int32(best) == y {
			right++
		}
	}
	return float64(right) / float64(d.Len())
}

// An explanation is images, and under them what was found, and how far the
// integrated gradients are from what they should add up to.
type explanation struct {
	sheet []float32
	ig    []float32
	gap   float64
}

// explain attributes the score of the right class to pixels.
func explain(w *attribution.Weights, d kit.Digits) explanation {
	s := attribution.NewSession(w)
	x := kit.Matrix(d.X, 784)
	black := kit.Matrix(make([]float32, len(d.X)), 784)
	sal := kit.Must(s.Saliency(nil, x, d.Y))
	o := attribution.DefaultIntegratedGradientsOptions()
	o.Steps = 200
	ig := kit.Must(s.IntegratedGradients(nil, x, black, d.Y, o))
	at, from := kit.Must(s.Logits(nil, x)), kit.Must(s.Logits(nil, black))
	out := explanation{ig: ig.Data}
	out.sheet = append(append(append(out.sheet, d.X...), scaled(sal.Data)...), scaled(ig.Data)...)
	for i, y := range d.Y {
		sum := 0.0
		for _, v := range ig.Data[i*784 : (i+1)*784] {
			sum += float64(v)
		}
		want := float64(at.Data[i*10+int(y)] - from.Data[i*10+int(y)])
		out.gap = max(out.gap, math.Abs(sum-want))
	}
	return out
}

// scaled brings each image to -1…1.
func scaled(x []float32) []float32 {
	out := make([]float32, len(x))
	for i := 0; i < len(x); i += 784 {
		m := float32(0)
		for _, v := range x[i : i+784] {
			m = max(m, v, -v)
		}
		for k, v := range x[i : i+784] {
			out[i+k] = v / m
		}
	}
	return out
}
