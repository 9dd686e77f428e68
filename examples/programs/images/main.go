// Command images trains small versions of VGG and of ResNet to tell shapes.
package main

import (
	"flag"
	"fmt"
	"math/rand/v2"

	"example.com/programs/gen/resnet18"
	"example.com/programs/gen/resnet50"
	"example.com/programs/gen/vgg"
	"example.com/programs/kit"
	"github.com/lmc-lang/lmc/runtime"
)

//go:generate go tool lmc build -q -set P=1 -set W=6 -set C=3 -set drop=0 -o ../gen/vgg ../../vgg.lm
//go:generate go tool lmc build -q -model ResNet18 -pkg resnet18 -set P=32 -set W=8 -set C=3 -o ../gen/resnet18 ../../resnet.lm
//go:generate go tool lmc build -q -model ResNet50 -pkg resnet50 -set P=32 -set W=4 -set C=3 -o ../gen/resnet50 ../../resnet.lm

func main() {
	steps := flag.Int("steps", 500, "steps of training")
	flag.Parse()
	x, _ := shapes(kit.NewRand(9), 12)
	kit.Check(kit.Sheet(kit.Out("shapes.png"), 12, 32, 32, 3, -1.2, 1.8, x))
	var curves []kit.Series
	for _, m := range models {
		losses, right := m.run(*steps, 32)
		fmt.Printf("%s: loss %.3f, %.1f %% of new shapes\n", m.name, losses[len(losses)-1], 100*right)
		curves = append(curves, kit.Series{Name: m.name, Y: kit.Average(losses, 10)})
	}
	kit.Check(kit.Plot(kit.Out("images.svg"), "Squares, circles and crosses", "step", "loss", curves...))
}

// A model trains for some steps and says what share of new shapes it tells.
type model struct {
	name         string
	steps, batch int // that are enough for a test
	run          func(steps, batch int) (losses []float64, right float64)
}

type (
	pictures = runtime.Tensor4[float32]
	stepFunc func(x pictures, y []int32) (float32, error)
	callFunc func(x pictures) ([]float32, error)
)

var models = []model{
	{"VGG", 400, 16, func(steps, batch int) ([]float64, float64) {
		w := vgg.InitWeights(3)
		o := vgg.DefaultStepOptions()
		o.LR = 0.001
		t, s := vgg.NewStep(w, o), vgg.NewSession(w)
		return fit(steps, batch, func(x pictures, y []int32) (float32, error) {
			r, err := t.Step(x, y)
			return r.Loss, err
		}, func(x pictures) ([]float32, error) {
			z, err := s.Logits(nil, x)
			return z.Data, err
		})
	}},
	{"ResNet-18", 300, 16, func(steps, batch int) ([]float64, float64) {
		w := resnet18.InitWeights(1)
		o := resnet18.DefaultStepOptions()
		o.Peak, o.Warmup, o.Total = 0.02, 5, steps
		t, s := resnet18.NewStep(w, o), resnet18.NewSession(w)
		return fit(steps, batch, func(x pictures, y []int32) (float32, error) {
			r, err := t.Step(x, y)
			return r.Loss, err
		}, func(x pictures) ([]float32, error) {
			z, err := s.Logits(nil, x)
			return z.Data, err
		})
	}},
	{"ResNet-50", 450, 24, func(steps, batch int) ([]float64, float64) {
		w := resnet50.InitWeights(1)
		o := resnet50.DefaultStepOptions()
		o.Peak, o.Warmup, o.Total = 0.02, 5, steps
		t, s := resnet50.NewStep(w, o), resnet50.NewSession(w)
		return fit(steps, batch, func(x pictures, y []int32) (float32, error) {
			r, err := t.Step(x, y)
			return r.Loss, err
		}, func(x pictures) ([]float32, error) {
			z, err := s.Logits(nil, x)
			return z.Data, err
		})
	}},
}

// fit trains on shapes and then scores one new shape at a time: normalisation
// uses what it has learned of the statistics, not those of a batch.
func fit(steps, batch int, step stepFunc, call callFunc) (losses []float64, right float64) {
	r := kit.NewRand(7)
	for range steps {
		x, y := shapes(r, batch)
		losses = append(losses, float64(kit.Must(step(kit.Images(x, 32, 32, 3), y))))
	}
	const n = 100
	x, y := shapes(r, n)
	for i := range n {
		z := kit.Must(call(kit.Images(x[i*3072:(i+1)*3072], 32, 32, 3)))
		best := 0
		for c := range z {
			if z[c] > z[best] {
				best = c
			}
		}
		if int32(best) == y[i] {
			right += 1.0 / n
		}
	}
	return losses, right
}

// shapes draws n images of 32 × 32 pixels: squares, circles and crosses of any colour.
func shapes(r *rand.Rand, n int) (x []float32, y []int32) {
	for range n {
		kind := r.IntN(3)
		cx, cy, size := 10+12*r.Float64(), 10+12*r.Float64(), 5+4*r.Float64()
		var back, front [3]float64
		for c := range 3 {
			back[c], front[c] = 0.2*r.Float64(), 0.7+0.3*r.Float64()
		}
		for p := range 32 * 32 {
			dx, dy := (float64(p%32)-cx)/size, (float64(p/32)-cy)/size
			in := false
			switch kind {
			case 0:
				in = max(dx, -dx) < 1 && max(dy, -dy) < 1
			case 1:
				in = dx*dx+dy*dy < 1
			case 2:
				in = (max(dx, -dx) < 0.3 || max(dy, -dy) < 0.3) && max(dx, -dx) < 1 && max(dy, -dy) < 1
			}
			for c := range 3 {
				v := back[c]
				if in {
					v = front[c]
				}
				x = append(x, float32(3*(v-0.4+0.02*r.NormFloat64())))
			}
		}
		y = append(y, int32(kind))
	}
	return x, y
}
