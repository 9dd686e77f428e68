// Command bert pre-trains on masked words and on which sentence follows, then
// goes on from these weights to tell kinds of sentences, with few examples.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"

	"example.com/programs/gen/bert"
	"example.com/programs/gen/classifier"
	"example.com/programs/kit"
	"github.com/lmc-lang/lmc/runtime"
)

//go:generate go tool lmc build -q -model BERT -pkg bert -set V=40 -set C=24 -set D=48 -set F=96 -set L=2 -set H=4 -set drop=0 -o ../gen/bert ../../bert.lm
//go:generate go tool lmc build -q -model Classifier -pkg classifier -set V=40 -set C=24 -set D=48 -set F=96 -set L=2 -set H=4 -set drop=0 -o ../gen/classifier ../../bert.lm

// Tokens: the head of a sequence, the end of a sentence, a mask, and 4 topics of 8 words.
const (
	head = int32(iota)
	stop
	mask
	first
)

const masked = 3

func main() {
	steps := flag.Int("steps", 600, "steps of pre-training")
	flag.Parse()
	w, losses := pretrain(*steps, 32)
	fmt.Printf("pre-training: loss %.3f → %.3f\n", losses[0], kit.Mean(losses[len(losses)-20:]))
	a, b := finetune(w, 60, 16), finetune(bert.InitWeights(9), 60, 16)
	fmt.Printf("sentences told after 60 steps on 64 examples: %.1f %% with pre-training, %.1f %% without\n", 100*a, 100*b)
	kit.Check(kit.Plot(kit.Out("bert.svg"), "BERT: masked words and next sentences", "step", "loss", kit.Series{Y: kit.Average(losses, 10)}))
}

// sentence is n words of a topic. The words of a topic come in the order of
// their numbers, beginning anywhere.
func sentence(r *rand.Rand, topic, n int) []int32 {
	at := r.IntN(8)
	var out []int32
	for i := range n {
		out = append(out, first+int32(topic*8+(at+i)%8))
	}
	return out
}

// pretrain trains on pairs of sentences, half of which have the same topic.
func pretrain(steps, batch int) (*bert.Weights, []float64) {
	const T = 16
	r := kit.NewRand(1)
	o := bert.DefaultStepOptions()
	o.Peak, o.Warmup, o.Total = 3e-3, 20, steps
	w := bert.InitWeights(1)
	t := bert.NewStep(w, o)
	var losses []float64
	for range steps {
		ids, seg := runtime.NewTensor2[int32](nil, batch, T), runtime.NewTensor2[int32](nil, batch, T)
		at, was := runtime.NewTensor2[int32](nil, batch, masked), runtime.NewTensor2[int32](nil, batch, masked)
		weight := runtime.NewTensor2[float32](nil, batch, masked)
		length, follows := make([]int32, batch), make([]int32, batch)
		for b := range batch {
			topic := r.IntN(4)
			other := topic
			if r.IntN(2) == 0 {
				other = (topic + 1 + r.IntN(3)) % 4
			} else {
				follows[b] = 1
			}
			row := ids.Data[b*T : b*T]
			row = append(append(append(row, head), sentence(r, topic, 4+r.IntN(3))...), stop)
			n := len(row)
			row = append(append(row, sentence(r, other, 4+r.IntN(3))...), stop)
			for i := n; i < len(row); i++ {
				seg.Data[b*T+i] = 1
			}
			length[b] = int32(len(row))
			for m, k := range r.Perm(len(row) - 1)[:masked] {
				k++
				at.Data[b*masked+m], was.Data[b*masked+m] = int32(k), row[k]
				if row[k] != stop {
					weight.Data[b*masked+m] = 1
					row[k] = mask
				}
			}
		}
		losses = append(losses, float64(kit.Must(t.Step(ids, seg, length, at, was, weight, follows)).Loss))
	}
	return w, losses
}

// finetune trains a classifier that starts from the weights of a BERT, and gives
// the share of new sentences that it tells.
func finetune(from *bert.Weights, steps, batch int) float64 {
	var file bytes.Buffer
	kit.Must(from.WriteTo(&file))
	w := classifier.NewWeights()
	kit.Check(w.LoadPretrained(&file))
	o := classifier.DefaultStepOptions()
	o.Peak, o.Warmup, o.Total = 1e-3, 5, steps
	t := classifier.NewStep(w, o)
	r := kit.NewRand(2)
	ids, seg, length, class := examples(r, 64)
	for range steps {
		p := kit.Pick(r, batch, len(class))
		kit.Must(t.Step(kit.Matrix(kit.Rows(ids.Data, 10, p), 10), kit.Matrix(kit.Rows(seg.Data, 10, p), 10), kit.Rows(length, 1, p), kit.Rows(class, 1, p)))
	}
	const n = 200
	ids, seg, length, class = examples(r, n)
	z := kit.Must(classifier.NewSession(w).Logits(nil, ids, seg, length))
	right := 0
	for i, y := range class {
		if (z.Data[2*i+1] > z.Data[2*i]) == (y == 1) {
			right++
		}
	}
	return float64(right) / n
}

// examples are sentences of 8 words; the class is whether all are of one topic.
func examples(r *rand.Rand, n int) (ids, seg runtime.Tensor2[int32], length, class []int32) {
	const T = 10
	ids, seg = runtime.NewTensor2[int32](nil, n, T), runtime.NewTensor2[int32](nil, n, T)
	for i := range n {
		a := r.IntN(4)
		b := a
		if i%2 == 0 {
			b = (a + 1 + r.IntN(3)) % 4
		}
		row := append(ids.Data[i*T:i*T], head)
		row = append(append(append(row, sentence(r, a, 4)...), sentence(r, b, 4)...), stop)
		length, class = append(length, int32(len(row))), append(class, int32(i%2))
	}
	return ids, seg, length, class
}
