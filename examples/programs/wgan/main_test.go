package main

import (
	"math"
	"slices"
	"testing"

	"example.com/programs/gen/wganring"
	"example.com/programs/kit"
)

// TestRing: training that is short finds all places, and most points are near one.
func TestRing(t *testing.T) {
	x, dist := ring(1, 1000)
	hit, modes := judge(x)
	t.Logf("%.0f %% of the points are near one of 8 places, %d of which are found; distance %.3f", 100*hit, modes, dist[len(dist)-1])
	if hit < 0.5 || modes < 7 {
		t.Error("want 50 % and 7 places")
	}
}

// TestKernels: all kernels that a package has see the same losses but for
// rounding, before training has made more of it.
func TestKernels(t *testing.T) {
	var want []float64
	for _, path := range []string{"portable", "amd64-avx2", "amd64-avx512"} {
		w := wganring.InitWeights(2)
		critic, gen := wganring.NewCriticStep(w, wganring.DefaultCriticStepOptions()), wganring.NewGenStep(w, wganring.DefaultGenStepOptions())
		if critic.UseKernels(path) != nil || gen.UseKernels(path) != nil {
			t.Logf("%s: not on this machine", path)
			continue
		}
		r := kit.NewRand(3)
		var got []float64
		for range 20 {
			c := kit.Must(critic.Step(kit.Matrix(points(r, 64), 2), kit.Matrix(kit.Normal(r, 4*64), 4)))
			g := kit.Must(gen.Step(kit.Matrix(kit.Normal(r, 4*64), 4)))
			got = append(got, float64(c.Loss), float64(g.Loss))
		}
		if want == nil {
			want = got
		}
		for i, v := range got {
			if d := math.Abs(v - want[i]); d > 1e-4*(1+math.Abs(want[i])) {
				t.Fatalf("%s: loss %d is %v, want %v", path, i, v, want[i])
			}
		}
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
