package main

import (
	"testing"

	"example.com/programs/kit"
)

func TestDrawn(t *testing.T) {
	r := kit.NewRand(1)
	w, losses := train(kit.DrawnDigits(r, 1000), 120, 32, 0, false)
	right, _ := score(w, kit.DrawnDigits(r, 300))
	t.Logf("loss %.3f → %.3f; %.1f %% of drawn digits", losses[0], losses[len(losses)-1], 100*right)
	if right < 0.9 {
		t.Errorf("%.1f %% are right, want 90", 100*right)
	}
}
