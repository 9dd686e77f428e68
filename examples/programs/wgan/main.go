// Command wgan trains a Wasserstein GAN on points of a ring and on digits.
package main

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"

	"example.com/programs/gen/wgan"
	"example.com/programs/gen/wganring"
	"example.com/programs/kit"
)

//go:generate go tool lmc build -q -set Z=48 -set H=256 -o ../gen/wgan ../../wgan.lm
//go:generate go tool lmc build -q -pkg wganring -set I=2 -set Z=4 -set H=64 -o ../gen/wganring ../../wgan.lm

func main() {
	data := flag.String("data", "../../../shared/data/mnist", "folder with the test set of MNIST")
	steps := flag.Int("steps", 4000, "steps of the generator")
	flag.Parse()
	x, dist := ring(1, 2000)
	hit, modes := judge(x)
	fmt.Printf("ring: %.0f %% of the points are near one of 8 places, %d of which are found; distance %.3f\n", 100*hit, modes, dist[len(dist)-1])
	var px, py []float64
	for i := 0; i < len(x); i += 2 {
		px, py = append(px, float64(x[i])), append(py, float64(x[i+1]))
	}
	kit.Check(kit.Plot(kit.Out("wgan-ring.svg"), "Points made by a WGAN-GP", "x", "y", kit.Series{X: px, Y: py, Dots: true}))

	learn, _, err := kit.MNIST(*data)
	kit.Check(err)
	r := kit.NewRand(1)
	w := wgan.InitWeights(1)
	critic, gen := wgan.NewCriticStep(w, wgan.DefaultCriticStepOptions()), wgan.NewGenStep(w, wgan.DefaultGenStepOptions())
	noise := func(n int) []float32 { return kit.Normal(r, 48*n) }
	var seen []float64
	for i := range *steps {
		var d float64
		for range 5 {
			b := learn.Batch(kit.Pick(r, 64, learn.Len()))
			res := kit.Must(critic.Step(kit.Matrix(b.X, 784), kit.Matrix(noise(64), 48)))
			d = float64(res.Distance)
		}
		kit.Must(gen.Step(kit.Matrix(noise(64), 48)))
		seen = append(seen, d)
		if (i+1)%200 == 0 {
			fmt.Printf("step %d: distance %.3f\n", i+1, kit.Mean(seen[len(seen)-200:]))
		}
	}
	kit.Check(kit.Sheet(kit.Out("wgan.png"), 16, 28, 28, 1, 0, 1, kit.Must(wgan.NewSession(w).Sample(nil, kit.Matrix(noise(48), 48))).Data))
	kit.Check(kit.Plot(kit.Out("wgan.svg"), "WGAN-GP on MNIST", "step of the generator", "distance", kit.Series{Y: kit.Average(seen, 50)}))
}

// radius is that of the ring. The critic's slopes are kept near 1, so what it can
// say of two points is their distance; around a ring of radius 1 it says too
// little, and the generator chases one place after another.
const radius = 8

// place is one of the eight on the circle, in units of its radius.
func place(k int) (x, y float64) {
	y, x = math.Sincos(float64(k) * math.Pi / 4)
	return x, y
}

// points draws n points, each near one of the places.
func points(r *rand.Rand, n int) []float32 {
	var out []float32
	for range n {
		x, y := place(r.IntN(8))
		out = append(out, float32(radius*(x+0.05*r.NormFloat64())), float32(radius*(y+0.05*r.NormFloat64())))
	}
	return out
}

// ring trains on such points and makes 400, and the distance in every step.
func ring(seed uint64, steps int) ([]float32, []float64) {
	const batch, rate = 64, 3e-3
	r := kit.NewRand(seed)
	w := wganring.InitWeights(seed)
	co, g := wganring.DefaultCriticStepOptions(), wganring.DefaultGenStepOptions()
	co.LR, g.LR = rate, rate
	critic, gen := wganring.NewCriticStep(w, co), wganring.NewGenStep(w, g)
	var dist []float64
	for range steps {
		var last float64
		for range 5 {
			res := kit.Must(critic.Step(kit.Matrix(points(r, batch), 2), kit.Matrix(kit.Normal(r, 4*batch), 4)))
			last = float64(res.Distance)
		}
		kit.Must(gen.Step(kit.Matrix(kit.Normal(r, 4*batch), 4)))
		dist = append(dist, last)
	}
	return kit.Must(wganring.NewSession(w).Sample(nil, kit.Matrix(kit.Normal(r, 4*400), 4))).Data, dist
}

// judge is the share of points near one of the eight places, and how many places have some.
func judge(x []float32) (hit float64, modes int) {
	var found [8]int
	n := len(x) / 2
	for i := range n {
		for k := range found {
			px, py := place(k)
			if math.Hypot(float64(x[2*i])/radius-px, float64(x[2*i+1])/radius-py) < 0.25 {
				found[k]++
				hit += 1 / float64(n)
			}
		}
	}
	for _, k := range found {
		if k > n/80 {
			modes++
		}
	}
	return hit, modes
}
