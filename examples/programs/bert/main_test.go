package main

import (
	"testing"

	"example.com/programs/gen/bert"
	"example.com/programs/kit"
)

// TestFinetune: pre-training helps to tell sentences from few examples.
func TestFinetune(t *testing.T) {
	w, losses := pretrain(500, 16)
	last := kit.Mean(losses[len(losses)-10:])
	a, b := finetune(w, 40, 16), finetune(bert.InitWeights(9), 40, 16)
	t.Logf("pre-training: loss %.2f → %.2f; sentences told: %.0f %% with it, %.0f %% without", losses[0], last, 100*a, 100*b)
	if last > 0.75*losses[0] || a < 0.75 || a < b+0.1 {
		t.Error("pre-training does not help")
	}
}
