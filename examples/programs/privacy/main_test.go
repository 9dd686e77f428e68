package main

import (
	"math"
	"testing"

	"example.com/programs/gen/dpsgd"
	"example.com/programs/kit"
)

// TestEpsilon compares with known values: without sampling, the divergence is
// a/2σ²; and the setting of many papers, 60 epochs of MNIST in lots of 256 with
// noise 1.1, costs about 3 at delta 1e-5.
func TestEpsilon(t *testing.T) {
	for _, a := range []int{2, 8, 32} {
		if got, want := divergence(1-1e-12, 2, a), float64(a)/8; math.Abs(got-want) > 1e-6 {
			t.Errorf("order %d: %v, want %v", a, got, want)
		}
	}
	if e := Epsilon(256.0/60000, 1.1, 60*60000/256, 1e-5); e < 2.4 || e > 3.1 {
		t.Errorf("epsilon is %.2f, want about 2.9", e)
	}
	last := 0.0
	for _, steps := range []int{1, 10, 100, 1000} {
		e := Epsilon(0.01, noise, steps, 1e-5)
		if e <= last {
			t.Errorf("epsilon does not grow: %v after %v", e, last)
		}
		last = e
	}
}

func TestPrivate(t *testing.T) {
	r := kit.NewRand(1)
	learn, test := kit.DrawnDigits(r, 400), kit.DrawnDigits(r, 200)
	w := train(learn, 50, 40, func(int, *dpsgd.Weights) {})
	a := score(w, test)
	t.Logf("%.1f %% of drawn digits with epsilon %.2f at delta 1e-3", 100*a, Epsilon(1.0/8, noise, 40, 1e-3))
	if a < 0.4 {
		t.Error("want 40 %")
	}
	// The same seed, data and steps give the same weights; the noise is not shared.
	again := train(learn, 20, 2, func(int, *dpsgd.Weights) {})
	other := train(learn, 20, 2, func(int, *dpsgd.Weights) {})
	for i, v := range again.Data() {
		if v != other.Data()[i] {
			t.Fatal("training is not reproducible")
		}
	}
}
