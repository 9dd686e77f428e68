package xor

import (
	"testing"

	"github.com/lmc-lang/lmc/runtime"
)

// TestTrain learns the four cases, saves the weights, and uses them.
func TestTrain(t *testing.T) {
	x := runtime.NewTensor2([]float32{0, 0, 0, 1, 1, 0, 1, 1}, 4, 2)
	y := []float32{0, 1, 1, 0}
	w := InitWeights(1)
	step := NewStep(w, DefaultStepOptions())
	var first, last float32
	for i := range 300 {
		r, err := step.Step(x, y)
		if err != nil {
			t.Fatal(err)
		}
		if last = r.Loss; i == 0 {
			first = last
		}
	}
	if !(last < 0.05 && last < first/5) {
		t.Errorf("the loss went from %v to %v only", first, last)
	}
	file := t.TempDir() + "/xor.safetensors"
	if err := w.SaveFile(file); err != nil {
		t.Fatal(err)
	}
	loaded := NewWeights()
	if err := loaded.LoadFile(file); err != nil {
		t.Fatal(err)
	}
	p, err := NewSession(loaded).Predict(nil, x)
	if err != nil {
		t.Fatal(err)
	}
	for i := range p {
		if d := p[i] - y[i]; d < -0.2 || d > 0.2 {
			t.Errorf("case %d is predicted as %v, not %v", i, p[i], y[i])
		}
	}
}
