package main

import "testing"

func TestStrangers(t *testing.T) {
	w := newWorld(1)
	raw := w.judge(func(x []float32) []float32 { return x }, pixels)
	a, b := w.triplets(60, 32), w.arc(300, 32)
	t.Logf("pairs told right: %.1f %% by pixels, %.1f %% by triplets, %.1f %% by ArcFace", 100*raw, 100*a, 100*b)
	if a < raw+0.05 || b < raw+0.05 {
		t.Error("want 5 % more than by pixels")
	}
}
