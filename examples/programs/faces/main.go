// Command faces learns to tell whether two pictures are of the same person, by
// triplets and by ArcFace, and is judged by persons it has never seen. The
// pictures are vectors that each person, pose and light contribute to.
package main

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"sort"

	"example.com/programs/gen/arcface"
	"example.com/programs/gen/triplet"
	"example.com/programs/kit"
)

//go:generate go tool lmc build -q -model Triplet -pkg triplet -set I=96 -set D=16 -o ../gen/triplet ../../metric.lm
//go:generate go tool lmc build -q -model ArcFace -pkg arcface -set I=96 -set D=16 -set N=60 -set scale=16 -set margin=0.3 -o ../gen/arcface ../../metric.lm

const pixels, dims, persons = 96, 16, 60

func main() {
	steps := flag.Int("steps", 800, "steps of training")
	flag.Parse()
	w := newWorld(1)
	a, b, raw := w.triplets(*steps, 64), w.arc(*steps, 64), w.judge(func(x []float32) []float32 { return x }, pixels)
	fmt.Printf("pairs of strangers told right: %.1f %% by their pixels, %.1f %% by triplets, %.1f %% by ArcFace\n", 100*raw, 100*a, 100*b)
	kit.Check(kit.Plot(kit.Out("faces.svg"), "Metric learning", "step", "loss",
		kit.Series{Name: "triplets", Y: kit.Average(w.losses[0], 20)}, kit.Series{Name: "ArcFace", Y: kit.Average(w.losses[1], 20)}))
}

// A world makes pictures: a person is a direction in a small space, and so are
// pose and light, which matter more.
type world struct {
	r          *rand.Rand
	mix, noise []float32
	losses     [2][]float64 // of the steps of triplets and arc
}

func newWorld(seed uint64) *world {
	r := kit.NewRand(seed)
	return &world{r: r, mix: kit.Normal(r, 12*pixels), noise: kit.Normal(r, 8*pixels)}
}

func (w *world) person() []float32 { return kit.Normal(w.r, 12) }

func (w *world) picture(p []float32) []float32 {
	out := make([]float32, pixels)
	pose := kit.Normal(w.r, 8)
	for i := range out {
		s := 0.2 * w.r.NormFloat64()
		for k, v := range p {
			s += float64(v*w.mix[k*pixels+i]) / 3
		}
		for k, v := range pose {
			s += 1.2 * float64(v*w.noise[k*pixels+i]) / 2.8
		}
		out[i] = float32(math.Tanh(s))
	}
	return out
}

// crowd is persons to learn from.
func (w *world) crowd() [][]float32 {
	var out [][]float32
	for range persons {
		out = append(out, w.person())
	}
	return out
}

// triplets trains with pictures of a few persons in each batch, four of each.
func (w *world) triplets(steps, batch int) float64 {
	crowd := w.crowd()
	v := triplet.InitWeights(1)
	t := triplet.NewStep(v, triplet.DefaultStepOptions())
	for range steps {
		var x []float32
		var who []int32
		for _, p := range w.r.Perm(persons)[:batch/4] {
			for range 4 {
				x, who = append(x, w.picture(crowd[p])...), append(who, int32(p))
			}
		}
		r := kit.Must(t.Step(kit.Matrix(x, pixels), who))
		w.losses[0] = append(w.losses[0], float64(r.Loss))
	}
	s := triplet.NewSession(v)
	return w.judge(func(x []float32) []float32 { return kit.Must(s.Embed(nil, kit.Matrix(x, pixels))).Data }, dims)
}

func (w *world) arc(steps, batch int) float64 {
	crowd := w.crowd()
	v := arcface.InitWeights(1)
	o := arcface.DefaultStepOptions()
	o.LR = 0.05
	t := arcface.NewStep(v, o)
	for range steps {
		var x []float32
		var who []int32
		for _, p := range kit.Pick(w.r, batch, persons) {
			x, who = append(x, w.picture(crowd[p])...), append(who, int32(p))
		}
		r := kit.Must(t.Step(kit.Matrix(x, pixels), who))
		w.losses[1] = append(w.losses[1], float64(r.Loss))
	}
	s := arcface.NewSession(v)
	return w.judge(func(x []float32) []float32 { return kit.Must(s.Embed(nil, kit.Matrix(x, pixels))).Data }, dims)
}

// judge is the share of pairs of pictures of strangers that are told right with
// the best threshold for their distance.
func (w *world) judge(embed func(x []float32) []float32, width int) float64 {
	const pairs = 600
	var a, b []float32
	same := make([]bool, pairs)
	for i := range same {
		p := w.person()
		q := p
		if same[i] = i%2 == 0; !same[i] {
			q = w.person()
		}
		a, b = append(a, w.picture(p)...), append(b, w.picture(q)...)
	}
	x, y := embed(a), embed(b)
	order, far := make([]int, pairs), make([]float64, pairs)
	for i := range order {
		order[i] = i
		for k := range width {
			d := float64(x[i*width+k] - y[i*width+k])
			far[i] += d * d
		}
	}
	sort.Slice(order, func(i, k int) bool { return far[order[i]] < far[order[k]] })
	right, best := pairs/2, 0
	for _, i := range order { // all up to i are said to be the same
		if same[i] {
			right++
		} else {
			right--
		}
		best = max(best, right)
	}
	return float64(best) / pairs
}
