package main

import (
	"math"
	"math/cmplx"
	"testing"

	"example.com/programs/gen/ctc"
	"example.com/programs/kit"
)

// TestBeeps: words of beeps, one pitch for each letter, of varying length and
// with pauses, are read letter by letter.
func TestBeeps(t *testing.T) {
	r := kit.NewRand(1)
	var all []utterance
	for i := range 120 {
		u := utterance{digit: []int{1, 2, 6}[i%3]} // one, two, six
		for _, c := range spell(u.digit) {
			for range 2 + r.IntN(2) {
				f := make([]float32, bands)
				for k := range f {
					f[k] = float32(0.1 * r.NormFloat64())
				}
				f[c%bands]++
				u.frames = append(u.frames, f)
			}
			u.frames = append(u.frames, make([]float32, bands))
		}
		all = append(all, u)
	}
	w, losses := train(all[:90], 90, 8, 1e-2, func(int, *ctc.Weights, float64) {})
	right, texts := score(w, all[90:])
	t.Logf("%.2f → %.3f nats a letter; %.0f %% right: %v", losses[0], losses[len(losses)-1], 100*right, texts[:3])
	if right < 0.9 {
		t.Error("want 90 %")
	}
}

// TestInfeasible: a word that does not fit into its frames has no loss and no
// gradient, and does not disturb the others.
func TestInfeasible(t *testing.T) {
	short := utterance{frames: [][]float32{make([]float32, bands), make([]float32, bands)}, digit: 3} // three
	x, frames, y, letters := pack([]utterance{short})
	w, g := ctc.InitWeights(1), ctc.NewWeights()
	loss, err := ctc.NewStep(w, ctc.DefaultStepOptions()).Gradients(x, frames, y, letters, g)
	kit.Check(err)
	if loss != 0 {
		t.Errorf("the loss is %v, want 0", loss)
	}
	for _, v := range g.Data() {
		if v != 0 {
			t.Fatalf("a gradient is %v, want 0", v)
		}
	}
}

func TestSpectrum(t *testing.T) {
	x := make([]complex128, 64)
	for i := range x {
		x[i] = cmplx.Rect(1, 2*math.Pi*5*float64(i)/64)
	}
	fft(x)
	for k, v := range x {
		want := 0.0
		if k == 5 {
			want = 64
		}
		if math.Abs(cmplx.Abs(v)-want) > 1e-9 {
			t.Fatalf("%d: %v", k, v)
		}
	}
	if d := distance("seven", "sven"); d != 1 {
		t.Error(d)
	}
}
