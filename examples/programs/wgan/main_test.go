package main

import (
	"slices"
	"testing"

	"example.com/programs/gen/wganring"
	"example.com/programs/kit"
)

func TestRing(t *testing.T) {
	x, dist := ring(3000, 64, 1e-4)
	hit, modes := judge(x)
	t.Logf("%.0f %% of the points are near one of 8 places, %d of which are found; distance %.3f", 100*hit, modes, dist[len(dist)-1])
	if hit < 0.4 || modes < 7 {
		t.Error("want 40 % and 7 places")
	}
}

// TestHalves: each step changes its own half only.
func TestHalves(t *testing.T) {
	r := kit.NewRand(1)
	w := wganring.InitWeights(1)
	half := func(name string) (out []float32) {
		for v := range w.All() {
			if v.Name[:3] == name {
				out = append(out, v.Data...)
			}
		}
		return out
	}
	gen, critic := half("gen"), half("cri")
	z, x := kit.Matrix(kit.Normal(r, 4*8), 4), kit.Matrix(kit.Normal(r, 2*8), 2)
	kit.Must(wganring.NewCriticStep(w, wganring.DefaultCriticStepOptions()).Step(x, z))
	if !slices.Equal(gen, half("gen")) || slices.Equal(critic, half("cri")) {
		t.Error("the step of the critic")
	}
	critic = half("cri")
	kit.Must(wganring.NewGenStep(w, wganring.DefaultGenStepOptions()).Step(z))
	if slices.Equal(gen, half("gen")) || !slices.Equal(critic, half("cri")) {
		t.Error("the step of the generator")
	}
}
