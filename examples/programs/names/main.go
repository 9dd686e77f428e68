// Command names trains recurrent networks on a list of first names, in pieces
// that carry their state on, and makes up new ones.
package main

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	"example.com/programs/gen/grulm"
	"example.com/programs/gen/lstmlm"
	"example.com/programs/kit"
	"github.com/lmc-lang/lmc/runtime"
)

//go:generate go tool lmc build -q -model LSTMLM -pkg lstmlm -set V=27 -set D=128 -set L=2 -set drop=0.1 -set hdrop=0.1 -o ../gen/lstmlm ../../rnnlm.lm
//go:generate go tool lmc build -q -model GRULM -pkg grulm -set V=27 -set D=64 -set drop=0 -o ../gen/grulm ../../rnnlm.lm

func main() {
	data := flag.String("data", "../../../shared/data/names/names.txt", "a list of names")
	steps := flag.Int("steps", 4000, "steps of training")
	flag.Parse()
	lines := kit.Must(kit.Lines(*data))
	r := kit.NewRand(1)
	r.Shuffle(len(lines), func(i, k int) { lines[i], lines[k] = lines[k], lines[i] })
	text := letters(strings.Join(lines, "\n"))
	cut := len(text) * 9 / 10
	w := lstmlm.InitWeights(1)
	o := lstmlm.DefaultStepOptions()
	o.LR = 4
	t := lstmlm.NewStep(w, o)
	var losses []float64
	for i := range *steps {
		ids, next := piece(text[:cut], i, 32, 40)
		res := kit.Must(t.Step(ids, next))
		losses = append(losses, float64(res.Loss))
		if (i+1)%200 == 0 {
			fmt.Printf("step %d: %.3f nats a letter, %.3f on names held out\n", i+1, kit.Mean(losses[i-199:]), heldOut(w, text[cut:]))
		}
	}
	known := map[string]bool{}
	for _, s := range lines {
		known[strings.ToLower(s)] = true
	}
	for _, s := range invent(w, r, 20) {
		fmt.Printf("%s%s ", s, map[bool]string{true: "*"}[known[s]])
	}
	fmt.Println("(* is in the list)")
	kit.Check(kit.Plot(kit.Out("names.svg"), "LSTM on names", "step", "nats a letter", kit.Series{Y: kit.Average(losses, 50)}))
}

// letters numbers the ends of lines 0 and letters 1 to 26.
func letters(text string) []int32 {
	var out []int32
	for _, c := range strings.ToLower(text) {
		if c == '\n' {
			out = append(out, 0)
		} else if c >= 'a' && c <= 'z' {
			out = append(out, c-'a'+1)
		}
	}
	return out
}

// piece is the k-th piece of a text that is cut into so many lanes, which are
// read side by side: what follows in a lane is in the next piece.
func piece(text []int32, k, lanes, length int) (ids, next runtime.Tensor2[int32]) {
	lane := (len(text) - 1) / lanes
	at := k * length % (lane - length)
	ids, next = runtime.NewTensor2[int32](nil, lanes, length), runtime.NewTensor2[int32](nil, lanes, length)
	for b := range lanes {
		copy(ids.Data[b*length:], text[b*lane+at:][:length])
		copy(next.Data[b*length:], text[b*lane+at+1:][:length])
	}
	return ids, next
}

// heldOut is the loss on a text, piece by piece, with the state carried on.
func heldOut(w *lstmlm.Weights, text []int32) float64 {
	const lanes, length = 16, 40
	s := lstmlm.NewSession(w)
	h, c := runtime.NewTensor3[float32](nil, 2, lanes, 128), runtime.NewTensor3[float32](nil, 2, lanes, 128)
	var losses []float64
	for k := range (len(text)/lanes - length) / length {
		ids, next := piece(text, k, lanes, length)
		loss, h2, c2, err := s.Loss(nil, nil, ids, next, h, c)
		kit.Check(err)
		losses, h, c = append(losses, float64(loss)), h2, c2
	}
	return kit.Mean(losses)
}

// invent writes names, letter by letter.
func invent(w *lstmlm.Weights, r *rand.Rand, n int) []string {
	s := lstmlm.NewSession(w)
	var out []string
	for range n {
		h, c := runtime.NewTensor3[float32](nil, 2, 1, 128), runtime.NewTensor3[float32](nil, 2, 1, 128)
		last := int32(0)
		name := ""
		for len(name) < 20 {
			z, h2, c2, err := s.Logits(nil, nil, nil, kit.Matrix([]int32{last}, 1), h, c)
			kit.Check(err)
			h, c = h2, c2
			if last = choose(r, z.Data, 0.8); last == 0 {
				break
			}
			name += string(rune('a' + last - 1))
		}
		out = append(out, name)
	}
	return out
}

// choose draws from the softmax of z.
func choose(r *rand.Rand, z []float32, temperature float64) int32 {
	most, sum := z[0], 0.0
	for _, v := range z {
		most = max(most, v)
	}
	for _, v := range z {
		sum += math.Exp(float64(v-most) / temperature)
	}
	u := r.Float64() * sum
	for i, v := range z {
		if u -= math.Exp(float64(v-most) / temperature); u < 0 {
			return int32(i)
		}
	}
	return int32(len(z) - 1)
}

// gru trains the other model, which has one layer, and gives its losses.
func gru(text []int32, steps, lanes, length int) []float64 {
	o := grulm.DefaultStepOptions()
	o.LR = 1e-2
	t := grulm.NewStep(grulm.InitWeights(1), o)
	var losses []float64
	for i := range steps {
		ids, next := piece(text, i, lanes, length)
		losses = append(losses, float64(kit.Must(t.Step(ids, next)).Loss))
	}
	return losses
}
