package main

import (
	"testing"

	"example.com/programs/gen/detector"
	"example.com/programs/kit"
)

func TestBoxes(t *testing.T) {
	w, losses := train(250, 4)
	p, found := judge(w, 40)
	t.Logf("loss %.2f → %.2f; mean average precision %.3f, %.0f %% of the boxes found", losses[0], kit.Mean(losses[240:]), p, 100*found)
	if p < 0.6 {
		t.Error("want a precision of 0.6")
	}
	// What is left after suppression does not overlap, and scores fall.
	s := draw(kit.NewRand(5), 10)
	boxes, _, score, n, err := detector.NewSession(w).Detect(nil, nil, nil, nil, s.x, anchors())
	kit.Check(err)
	for b := range 10 {
		for i := range int(n[b]) {
			if i > 0 && score.Data[b*100+i] > score.Data[b*100+i-1] {
				t.Fatal("scores rise")
			}
			for k := range i {
				if o := iou(boxes.Data[(b*100+i)*4:], boxes.Data[(b*100+k)*4:]); o > 0.5001 {
					t.Fatalf("two boxes overlap by %v", o)
				}
			}
		}
	}
}
