package long

import (
	"bytes"
	"math"
	"slices"
	"testing"

	"example.com/programs/gen/averaged"
	"example.com/programs/gen/pieces"
	"example.com/programs/gen/plain"
	"example.com/programs/gen/wganring"
	"example.com/programs/kit"
)

// data is n examples whose class is the largest of three sums.
func data(seed uint64, n int) (x []float32, y []int32) {
	x = kit.Normal(kit.NewRand(seed), 6*n)
	for i := range n {
		r := x[6*i : 6*i+6]
		s := [3]float32{r[0] + r[3], r[1] + r[4], r[2] + r[5]}
		best := int32(0)
		for k := range s {
			if s[k] > s[best] {
				best = int32(k)
			}
		}
		y = append(y, best)
	}
	return x, y
}

// TestPieces: four small batches, accumulated, are one large batch.
func TestPieces(t *testing.T) {
	v, w := plain.InitWeights(1), pieces.InitWeights(1)
	large, small := plain.NewStep(v, plain.DefaultStepOptions()), pieces.NewStep(w, pieces.DefaultStepOptions())
	for step := range 20 {
		x, y := data(uint64(step), 32)
		kit.Must(large.Step(kit.Matrix(x, 6), y))
		for k := range 4 {
			r := kit.Must(small.Step(kit.Matrix(x[48*k:48*(k+1)], 6), y[8*k:8*(k+1)]))
			if r.Updated != (k == 3) {
				t.Fatalf("updated after %d of 4", k+1)
			}
		}
	}
	if small.Steps() != 20 {
		t.Errorf("%d steps", small.Steps())
	}
	for i, a := range v.Data() {
		if d := math.Abs(float64(a - w.Data()[i])); d > 1e-4 {
			t.Fatalf("weight %d is %v, want %v", i, w.Data()[i], a)
		}
	}
}

// TestResume: training that is interrupted after any update has the same bits as
// training that is not; with dropout, moments and averages.
func TestResume(t *testing.T) {
	run := func(s *averaged.Step, from, to int) {
		for i := from; i < to; i++ {
			x, y := data(uint64(i), 8)
			kit.Must(s.Step(kit.Matrix(x, 6), y))
		}
	}
	o := averaged.DefaultStepOptions()
	o.Seed = 7
	w := averaged.InitWeights(1)
	whole := averaged.NewStep(w, o)
	run(whole, 0, 30)
	for _, stop := range []int{2, 6, 14, 28} {
		s := averaged.NewStep(averaged.InitWeights(1), o)
		run(s, 0, stop)
		var file bytes.Buffer
		kit.Check(s.Save(&file))
		v := averaged.NewWeights()
		again := averaged.NewStep(v, averaged.DefaultStepOptions())
		kit.Check(again.Load(&file))
		run(again, stop, 30)
		if !slices.Equal(v.Data(), w.Data()) {
			t.Errorf("stopped after %d: the weights differ", stop)
		}
		if !slices.Equal(again.EMA().Data(), whole.EMA().Data()) {
			t.Errorf("stopped after %d: the averages differ", stop)
		}
	}
}

// TestMixed: two trainers in turn over the same weights, each with moments of
// its own, are interrupted and go on.
func TestMixed(t *testing.T) {
	run := func(c *wganring.CriticStep, g *wganring.GenStep, from, to int) {
		for i := from; i < to; i++ {
			r := kit.NewRand(uint64(i))
			kit.Must(c.Step(kit.Matrix(kit.Normal(r, 2*8), 2), kit.Matrix(kit.Normal(r, 4*8), 4)))
			if i%3 == 2 {
				kit.Must(g.Step(kit.Matrix(kit.Normal(r, 4*8), 4)))
			}
		}
	}
	start := func() (*wganring.Weights, *wganring.CriticStep, *wganring.GenStep) {
		w := wganring.InitWeights(1)
		return w, wganring.NewCriticStep(w, wganring.DefaultCriticStepOptions()), wganring.NewGenStep(w, wganring.DefaultGenStepOptions())
	}
	w, c, g := start()
	run(c, g, 0, 20)

	_, c1, g1 := start()
	run(c1, g1, 0, 10)
	var a, b bytes.Buffer
	kit.Check(c1.Save(&a))
	kit.Check(g1.Save(&b))
	v := wganring.NewWeights()
	c2, g2 := wganring.NewCriticStep(v, wganring.DefaultCriticStepOptions()), wganring.NewGenStep(v, wganring.DefaultGenStepOptions())
	kit.Check(c2.Load(&a))
	kit.Check(g2.Load(&b))
	run(c2, g2, 10, 20)
	if !slices.Equal(v.Data(), w.Data()) {
		t.Error("the weights differ")
	}
}
