// Command gan trains a DCGAN on digits, enlarged to 64 × 64 pixels.
package main

import (
	"flag"
	"fmt"
	"math/rand/v2"

	"example.com/programs/gen/gan"
	"example.com/programs/kit"
)

//go:generate go tool lmc build -q -set Z=32 -set C=8 -o ../gen/gan ../../gan.lm

const latent = 32

func main() {
	data := flag.String("data", "../../../shared/data/mnist", "folder with the test set of MNIST")
	steps := flag.Int("steps", 1500, "steps of each half")
	flag.Parse()
	learn, _, err := kit.MNIST(*data)
	kit.Check(err)
	g := start(1, 1e-3, 3e-3)
	var dl, gl []float64
	for i := range *steps {
		a, b := g.round(func(r *rand.Rand, n int) []float32 { return enlarge(learn.Batch(kit.Pick(r, n, learn.Len()))) }, 32)
		dl, gl = append(dl, a), append(gl, b)
		if (i+1)%50 == 0 {
			fmt.Printf("step %d: discriminator %.3f, generator %.3f\n", i+1, kit.Mean(dl[len(dl)-50:]), kit.Mean(gl[len(gl)-50:]))
			kit.Check(kit.Sheet(kit.Out("gan.png"), 8, 64, 64, 1, -1, 1, gray(g.draw(16))))
		}
	}
	kit.Check(kit.Plot(kit.Out("gan.svg"), "DCGAN on MNIST", "step", "loss", kit.Series{Name: "discriminator", Y: kit.Average(dl, 20)}, kit.Series{Name: "generator", Y: kit.Average(gl, 20)}))
	kit.Check(g.w.SaveFile(kit.Out("gan.safetensors")))
}

// A game is a network whose halves train in turn.
type game struct {
	r    *rand.Rand
	w    *gan.Weights
	disc *gan.DiscStep
	gen  *gan.GenStep
}

func start(seed uint64, discRate, genRate float64) *game {
	w := gan.InitWeights(seed)
	d, g := gan.DefaultDiscStepOptions(), gan.DefaultGenStepOptions()
	d.LR, g.LR = discRate, genRate
	return &game{kit.NewRand(seed), w, gan.NewDiscStep(w, d), gan.NewGenStep(w, g)}
}

func (g *game) noise(n int) []float32 { return kit.Normal(g.r, latent*n) }

// round is one step of each half.
func (g *game) round(real func(r *rand.Rand, n int) []float32, n int) (disc, gen float64) {
	a := kit.Must(g.disc.Step(kit.Images(real(g.r, n), 64, 64, 3), kit.Matrix(g.noise(n), latent)))
	b := kit.Must(g.gen.Step(kit.Matrix(g.noise(n), latent)))
	return float64(a.Loss), float64(b.Loss)
}

// draw makes n images.
func (g *game) draw(n int) []float32 {
	z := kit.Matrix(kit.Normal(kit.NewRand(7), latent*n), latent)
	return kit.Must(gan.NewSession(g.w).Sample(nil, z)).Data
}

// enlarge makes 64 × 64 pixels in three channels from -1 to 1 of digits.
func enlarge(d kit.Digits) []float32 {
	out := make([]float32, 0, d.Len()*64*64*3)
	for i := range d.Y {
		img := d.X[i*784:][:784]
		for y := range 64 {
			for x := range 64 {
				v := float32(-1)
				if a, b := (x-4)/2, (y-4)/2; x >= 4 && y >= 4 && a < 28 && b < 28 {
					v = 2*img[b*28+a] - 1
				}
				out = append(out, v, v, v)
			}
		}
	}
	return out
}

// gray is the first channel.
func gray(x []float32) []float32 {
	var out []float32
	for i := 0; i < len(x); i += 3 {
		out = append(out, x[i])
	}
	return out
}
