package main

import (
	"testing"

	"example.com/programs/kit"
)

// TestReverse: the Transformer learns to write sequences backwards, and to add
// one to each word; beam search finds what is at least as likely as greedy search.
func TestReverse(t *testing.T) {
	r := kit.NewRand(1)
	var pairs []pair
	for range 20 {
		var p pair
		for range 3 + r.IntN(3) {
			p.from = append(p.from, words+int32(r.IntN(8)))
		}
		for i := range p.from {
			p.to = append(p.to, p.from[len(p.from)-1-i]+10)
		}
		pairs = append(pairs, p)
	}
	w, losses := train(pairs, 400, 10, 1000)
	tr := newTranslator(w)
	greedy, beam := 0, 0
	for _, p := range pairs {
		g, a := tr.Greedy(p.from)
		b, c := tr.Beam(p.from, 3)
		greedy += same(g, p.to)
		beam += same(b, p.to)
		if c < a-1e-4 {
			t.Errorf("beam search found %.4f, greedy search %.4f", c, a)
		}
	}
	t.Logf("loss %.2f → %.2f; of 20 pairs: %d by greedy search, %d by beam search", losses[0], losses[len(losses)-1], greedy, beam)
	if greedy < 15 || beam < 15 {
		t.Error("want 15")
	}
}
