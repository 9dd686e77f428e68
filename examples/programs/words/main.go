// Command words learns vectors for the words of a text, such that words in like
// places have like vectors.
package main

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"sort"
	"strings"
	"unicode"

	"example.com/programs/gen/word2vec"
	"example.com/programs/kit"
)

//go:generate go tool lmc build -q -set V=3000 -set D=64 -o ../gen/word2vec ../../word2vec.lm

const vocabulary, negatives = 3000, 8

func main() {
	data := flag.String("data", "../../../shared/data/text8-like/plato-republic-clean.txt", "a text")
	steps := flag.Int("steps", 6000, "steps of training")
	flag.Parse()
	c := read(string(kit.Must(os.ReadFile(*data))))
	w, losses := c.train(*steps, 512, 5)
	fmt.Printf("%d words, %d of them different; loss %.3f → %.3f\n", len(c.text), len(c.names), kit.Mean(losses[:50]), kit.Mean(losses[len(losses)-50:]))
	for _, s := range []string{"king", "war", "soul", "music", "two", "father", "good", "gold"} {
		if id, ok := c.ids[s]; ok {
			fmt.Printf("  %s: %s\n", s, strings.Join(c.near(w, id, 8), " "))
		}
	}
	kit.Check(w.SaveFile(kit.Out("words.safetensors")))
	kit.Check(kit.Plot(kit.Out("words.svg"), "Skip-gram with negative sampling", "step", "loss", kit.Series{Y: kit.Average(losses, 50)}))
}

// A corpus is a text as numbers of words, the frequent ones first.
type corpus struct {
	text   []int32
	names  []string
	counts []int
	ids    map[string]int32
	alias  alias // of negative samples
	keep   []float64
}

// read numbers the most frequent words of a text; others are left out.
func read(text string) *corpus {
	ws := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) })
	count := map[string]int{}
	for _, w := range ws {
		count[w]++
	}
	c := &corpus{ids: map[string]int32{}}
	for w := range count {
		c.names = append(c.names, w)
	}
	sort.Slice(c.names, func(i, k int) bool {
		a, b := c.names[i], c.names[k]
		return count[a] > count[b] || count[a] == count[b] && a < b
	})
	c.names = c.names[:min(len(c.names), vocabulary)]
	var weights []float64
	for i, w := range c.names {
		c.ids[w], c.counts = int32(i), append(c.counts, count[w])
		weights = append(weights, math.Pow(float64(count[w]), 0.75))
		f := float64(count[w]) / float64(len(ws))
		c.keep = append(c.keep, math.Sqrt(1e-3/f)+1e-3/f) // very frequent words are read now and then
	}
	for _, w := range ws {
		if id, ok := c.ids[w]; ok {
			c.text = append(c.text, id)
		}
	}
	c.alias = newAlias(weights)
	return c
}

// train takes pairs of words at most window apart, and random words against them.
func (c *corpus) train(steps, batch, window int) (*word2vec.Weights, []float64) {
	r := kit.NewRand(1)
	o := word2vec.DefaultStepOptions()
	o.LR = 0.05 * float64(batch) // the loss is a mean, and each pair has words of its own
	w := word2vec.InitWeights(1)
	t := word2vec.NewStep(w, o)
	var losses []float64
	for range steps {
		var center, near, noise []int32
		for len(center) < batch {
			i := r.IntN(len(c.text))
			if r.Float64() > c.keep[c.text[i]] {
				continue
			}
			k := i + 1 + r.IntN(window)
			if r.IntN(2) == 0 {
				k = i - 1 - r.IntN(window)
			}
			if k < 0 || k >= len(c.text) || r.Float64() > c.keep[c.text[k]] {
				continue
			}
			center, near = append(center, c.text[i]), append(near, c.text[k])
			for range negatives {
				noise = append(noise, c.alias.draw(r))
			}
		}
		losses = append(losses, float64(kit.Must(t.Step(center, near, kit.Matrix(noise, negatives))).Loss))
	}
	return w, losses
}

// near are the n words most like one word.
func (c *corpus) near(w *word2vec.Weights, id int32, n int) []string {
	best := kit.Must(word2vec.NewSession(w).Similar(nil, []int32{id}, n+1))
	var out []string
	for _, k := range best.Data {
		if k != id && int(k) < len(c.names) {
			out = append(out, c.names[k])
		}
	}
	return out[:min(n, len(out))]
}

// An alias table draws numbers with given weights in constant time (Walker, 1974).
type alias struct {
	split []float64
	other []int32
}

func newAlias(weights []float64) alias {
	n, sum := len(weights), 0.0
	for _, w := range weights {
		sum += w
	}
	a := alias{make([]float64, n), make([]int32, n)}
	var low, high []int
	for i, w := range weights {
		a.split[i], a.other[i] = w*float64(n)/sum, int32(i)
		if a.split[i] < 1 {
			low = append(low, i)
		} else {
			high = append(high, i)
		}
	}
	for len(low) > 0 && len(high) > 0 {
		i, k := low[len(low)-1], high[len(high)-1]
		low = low[:len(low)-1]
		a.other[i] = int32(k)
		if a.split[k] -= 1 - a.split[i]; a.split[k] < 1 {
			high, low = high[:len(high)-1], append(low, k)
		}
	}
	for _, i := range append(low, high...) {
		a.split[i] = 1 // but for rounding
	}
	return a
}

func (a alias) draw(r *rand.Rand) int32 {
	i := r.IntN(len(a.split))
	if r.Float64() < a.split[i] {
		return int32(i)
	}
	return a.other[i]
}
