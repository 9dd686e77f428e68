package main

import (
	"math"
	"slices"
	"strings"
	"testing"

	"example.com/programs/gen/word2vec"
	"example.com/programs/kit"
)

var topics = []string{"sun rain wind snow cloud storm", "bread milk cheese apple soup rice", "king queen prince duke throne crown"}

// TestTopics: words of one topic, which stand together, become neighbours.
func TestTopics(t *testing.T) {
	r := kit.NewRand(1)
	var text []string
	for range 1500 {
		ws := strings.Fields(topics[r.IntN(len(topics))])
		for range 6 {
			text = append(text, ws[r.IntN(len(ws))])
		}
	}
	c := read(strings.Join(text, " "))
	for i := range c.keep {
		c.keep[i] = 1
	}
	w, losses := c.train(150, 128, 2)
	right, all := 0, 0
	for _, topic := range topics {
		ws := strings.Fields(topic)
		for _, s := range ws {
			for _, n := range c.near(w, c.ids[s], 5) {
				all++
				if slices.Contains(ws, n) {
					right++
				}
			}
		}
	}
	t.Logf("loss %.2f → %.2f; %d of %d neighbours are of the same topic", losses[0], losses[len(losses)-1], right, all)
	if right < all*8/10 || all < 60 {
		t.Error("want 80 %")
	}
}

// TestSparse: a step changes the rows of the words in the batch, and no others.
func TestSparse(t *testing.T) {
	w := word2vec.InitWeights(1)
	old := w.Clone()
	s := word2vec.NewStep(w, word2vec.DefaultStepOptions())
	for range 2 { // at first, all contexts are 0, and so are the gradients of words
		kit.Must(s.Step([]int32{3, 5}, []int32{7, 3}, kit.Matrix([]int32{1, 2, 7, 7}, 2)))
	}
	rows := func(name string) (out []int) {
		a, _ := old.Param(name)
		b, _ := w.Param(name)
		for i := range vocabulary {
			if !slices.Equal(a.Data[i*64:(i+1)*64], b.Data[i*64:(i+1)*64]) {
				out = append(out, i)
			}
		}
		return out
	}
	if got := rows("word"); !slices.Equal(got, []int{3, 5}) {
		t.Errorf("words %v", got)
	}
	if got := rows("context"); !slices.Equal(got, []int{1, 2, 3, 7}) {
		t.Errorf("contexts %v", got)
	}
}

func TestAlias(t *testing.T) {
	a := newAlias([]float64{1, 2, 3, 4})
	r := kit.NewRand(1)
	var n [4]float64
	for range 100_000 {
		n[a.draw(r)] += 1e-5
	}
	for i, p := range n {
		if math.Abs(p-float64(i+1)/10) > 0.01 {
			t.Errorf("%v", n)
		}
	}
}
