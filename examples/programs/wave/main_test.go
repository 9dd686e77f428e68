package main

import (
	"math"
	"testing"

	"example.com/programs/gen/wavenet"
	"example.com/programs/kit"
)

// TestTone: a WaveNet learns a tone and goes on with it.
func TestTone(t *testing.T) {
	var x []float32
	for i := range 2000 {
		x = append(x, float32(0.5*math.Sin(2*math.Pi*float64(i)/20)))
	}
	sound := quiet(x)
	w, losses := train(sound, 60, 2, 120)
	made := generate(w, sound[:100], 200, 0)
	far := 0.0
	for i := 100; i < 200; i++ {
		far += math.Abs(loud(made[i])-loud(sound[i])) / 100
	}
	t.Logf("%.2f → %.2f nats a sample; the tone goes on within %.3f", losses[0], losses[len(losses)-1], far)
	if far > 0.12 {
		t.Error("want 0.12")
	}
}

// TestRing: the ring of past inputs gives what the whole sound gives, also after
// it has gone around (it holds 512 samples, and the longest look back is 512).
func TestRing(t *testing.T) {
	const n = 1300
	r := kit.NewRand(3)
	w := wavenet.InitWeights(5)
	for i := range w.Data() {
		w.Data()[i] += float32(0.05 * r.NormFloat64())
	}
	x := make([]int32, n)
	for i := range x {
		x[i] = int32(r.IntN(levels))
	}
	whole := kit.Must(wavenet.NewSession(w).Logits(nil, kit.Matrix(x, n)))
	s := wavenet.NewSession(w)
	for p := range x {
		z := kit.Must(s.Next(nil, x[p:p+1], int32(p)))
		for v, a := range z.Data {
			if d := a - whole.Data[p*levels+v]; d > 2e-4 || d < -2e-4 {
				t.Fatalf("score of %d after %d is %v from the ring, %v from the whole", v, p, a, whole.Data[p*levels+v])
			}
		}
	}
}
