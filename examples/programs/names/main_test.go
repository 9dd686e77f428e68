package main

import (
	"bytes"
	"slices"
	"testing"

	"example.com/programs/gen/grulm"
	"example.com/programs/gen/lstmlm"
	"example.com/programs/kit"
)

// counting is a text whose letters depend on those 12 before, which is more
// than a piece of 6 letters: only a state that is carried on can know them.
func counting(n int) []int32 {
	r := kit.NewRand(4)
	var out []int32
	for i := range n {
		if i%12 == 0 {
			out = append(out, int32(1+r.IntN(4)))
		} else {
			out = append(out, 1+(out[i-1]+int32(i%12)-1)%4)
		}
	}
	return out
}

func TestRecurrent(t *testing.T) {
	text := counting(4000)
	losses := gru(text, 150, 8, 6)
	first, last := kit.Mean(losses[:5]), kit.Mean(losses[145:])
	t.Logf("GRU: %.2f → %.2f nats a letter", first, last)
	if last > 0.6 {
		t.Error("the GRU has not learned to count")
	}
	o := lstmlm.DefaultStepOptions()
	o.LR = 2
	s := lstmlm.NewStep(lstmlm.InitWeights(1), o)
	var all []float64
	for i := range 60 {
		ids, next := piece(text, i, 4, 12)
		all = append(all, float64(kit.Must(s.Step(ids, next)).Loss))
	}
	t.Logf("LSTM with variational dropout: %.2f → %.2f nats a letter", all[0], kit.Mean(all[55:]))
	if kit.Mean(all[55:]) > 2 {
		t.Error("the LSTM has not learned")
	}
}

// TestCarried: two pieces with the state carried on score what one long piece does.
func TestCarried(t *testing.T) {
	w := grulm.InitWeights(1)
	s := grulm.NewSession(w)
	ids := kit.Matrix([]int32{3, 1, 4, 1, 5, 9, 2, 6}, 8)
	zero := kit.Matrix(make([]float32, 64), 64)
	whole, _, err := s.Logits(nil, nil, ids, zero)
	kit.Check(err)
	a, h, err := s.Logits(nil, nil, kit.Matrix(ids.Data[:3], 3), zero)
	kit.Check(err)
	b, _, err := s.Logits(nil, nil, kit.Matrix(ids.Data[3:], 5), h)
	kit.Check(err)
	for i, v := range slices.Concat(a.Data, b.Data) {
		if d := v - whole.Data[i]; d > 1e-5 || d < -1e-5 {
			t.Fatalf("score %d is %v, want %v", i, v, whole.Data[i])
		}
	}
}

// TestResumed: training that stops, saves and goes on has the same bits as
// training that did not stop. The state of the text is not in a checkpoint: both
// begin anew there.
func TestResumed(t *testing.T) {
	text := counting(2000)
	steps := func(s *grulm.Step, from, to int) {
		for i := from; i < to; i++ {
			ids, next := piece(text, i, 4, 6)
			kit.Must(s.Step(ids, next))
		}
	}
	w := grulm.InitWeights(1)
	s := grulm.NewStep(w, grulm.DefaultStepOptions())
	steps(s, 0, 7)
	var file bytes.Buffer
	kit.Check(s.Save(&file))
	steps(s, 7, 12)
	v := grulm.NewWeights()
	again := grulm.NewStep(v, grulm.DefaultStepOptions())
	kit.Check(again.Load(&file))
	steps(again, 7, 12)
	if !slices.Equal(w.Data(), v.Data()) {
		t.Error("the weights differ")
	}
}
