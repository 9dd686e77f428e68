package main

import "testing"

func TestShapes(t *testing.T) {
	for _, m := range models {
		losses, right := m.run(m.steps, m.batch)
		t.Logf("%-9s loss %.3f → %.3f, %.0f %% of new shapes, one at a time", m.name, losses[0], losses[len(losses)-1], 100*right)
		if right < 0.5 {
			t.Errorf("%s tells %.0f %%, want 50", m.name, 100*right)
		}
	}
}
