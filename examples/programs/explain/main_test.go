package main

import (
	"testing"

	"example.com/programs/kit"
)

// TestSum: integrated gradients add up to the difference of the scores.
func TestSum(t *testing.T) {
	r := kit.NewRand(1)
	w := train(kit.DrawnDigits(r, 800), 150)
	d := kit.DrawnDigits(r, 200)
	right, x := score(w, d), explain(w, d.Slice(0, 20))
	t.Logf("%.1f %% of drawn digits; sums are right within %.2g", 100*right, x.gap)
	if right < 0.9 {
		t.Error("want 90 %")
	}
	if x.gap > 0.02 {
		t.Error("the sums are wrong")
	}
	// Most of it falls on pixels that are ink.
	ink, all := 0.0, 0.0
	for i, v := range x.ig {
		v = max(v, -v)
		all += float64(v)
		if d.X[i] > 0.3 {
			ink += float64(v)
		}
	}
	if ink < 0.7*all {
		t.Errorf("%.0f %% of the attribution is on ink, want 70", 100*ink/all)
	}
}
