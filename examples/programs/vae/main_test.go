package main

import (
	"testing"

	"example.com/programs/kit"
)

// TestDescribed: digits described by 16 numbers cost fewer nats than the mean
// image, and new ones are made of ink and paper.
func TestDescribed(t *testing.T) {
	r := kit.NewRand(1)
	learn, test := kit.DrawnDigits(r, 1000), kit.DrawnDigits(r, 200)
	w, losses := train(learn, 120)
	got := bound(w, test)
	t.Logf("%.1f → %.1f nats per image, %.1f on new ones", losses[0], losses[len(losses)-1], got)
	if got > 240 {
		t.Error("want 240 at most")
	}
	ink := 0
	for _, v := range draw(w, 50) {
		if v > 0.5 {
			ink++
		}
	}
	if ink < 50*20 || ink > 50*300 {
		t.Errorf("%d pixels of 50 new digits are ink", ink)
	}
}
