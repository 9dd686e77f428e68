package main

import (
	"strings"
	"testing"

	"example.com/programs/kit"
)

const verse = "tick tock goes the clock, one two is the time. "

// TestDecoders: each decoder learns a verse and goes on with it; scores from
// the cache, one letter at a time, are those of the whole text.
func TestDecoders(t *testing.T) {
	text := ascii(strings.Repeat(verse, 20))
	for _, m := range models {
		t.Run(m.name, func(t *testing.T) {
			losses, l := m.train(text, 140, 2, 48)
			said := l.goOn(verse[:20], 48, 0.1, 1)
			last := kit.Mean(losses[len(losses)-5:])
			t.Logf("%.2f → %.2f nats a letter; %q", losses[0], last, said)
			if last > 0.3 || !strings.Contains(said, verse[20:40]) {
				t.Error("the verse has not been learned")
			}
			x := kit.Matrix(text[:60], 30)
			whole := kit.Must(l.logits(x))
			l.reset()
			for p := range 30 {
				z := kit.Must(l.decode(kit.Matrix([]int32{x.Data[p], x.Data[30+p]}, 1), p))
				for b := range 2 {
					for v := range 128 {
						a, w := z.Data[b*128+v], whole.Data[(b*30+p)*128+v]
						if d := a - w; d > 1e-3 || d < -1e-3 {
							t.Fatalf("score of %d at %d is %v with the cache, %v without", v, p, a, w)
						}
					}
				}
			}
		})
	}
}
