// Command translate trains the Transformer on pairs of sentences and
// translates by greedy and by beam search.
package main

import (
	"flag"
	"fmt"
	"strings"
	"unicode"

	"example.com/programs/gen/transformer"
	"example.com/programs/kit"
)

//go:generate go tool lmc build -q -set V=1200 -set C=24 -set D=64 -set F=128 -set L=2 -set H=4 -set drop=0 -o ../gen/transformer ../../transformer.lm

// The first tokens of the vocabulary.
const (
	begin = int32(iota)
	end
	unknown
	words
)

const vocabulary, most = 1200, 24

func main() {
	data := flag.String("data", "../../../shared/data/parallel/pud/pud.en-de-fr.tsv", "pairs of sentences")
	n := flag.Int("pairs", 100, "how many short pairs to learn")
	steps := flag.Int("steps", 1500, "steps of training")
	flag.Parse()
	c := &corpus{ids: map[string]int32{}, names: make([]string, words)}
	lines := kit.Must(kit.Lines(*data))
	for _, line := range lines[1:] {
		f := strings.Split(line, "\t")
		from, to := tokens(f[1]), tokens(f[3])
		if len(from) <= 14 && len(to) <= 14 && len(c.pairs) < *n && len(c.names)+len(from)+len(to) < vocabulary {
			c.pairs = append(c.pairs, pair{c.numbers(from), c.numbers(to)})
		}
	}
	w, losses := train(c.pairs, *steps, 20, 2500)
	fmt.Printf("%d pairs of %d words, loss %.3f\n", len(c.pairs), len(c.names), losses[len(losses)-1])
	t := newTranslator(w)
	greedy, beam := 0, 0
	for i, p := range c.pairs {
		g, _ := t.Greedy(p.from)
		b, _ := t.Beam(p.from, 4)
		greedy += same(g, p.to)
		beam += same(b, p.to)
		if i < 5 {
			fmt.Printf("  %s\n= %s\n", c.text(p.from), c.text(b))
		}
	}
	fmt.Printf("greedy search translates %d of %d sentences exactly, beam search %d\n", greedy, len(c.pairs), beam)
	kit.Check(kit.Plot(kit.Out("translate.svg"), "Transformer on pairs of sentences", "step", "loss with smoothed labels", kit.Series{Y: losses}))
}

// A pair is a sentence and its translation, without begin and end.
type pair struct{ from, to []int32 }

// A corpus numbers the words of its pairs.
type corpus struct {
	pairs []pair
	ids   map[string]int32
	names []string
}

// tokens are the words and punctuation of a sentence.
func tokens(s string) []string {
	return strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}

func (c *corpus) numbers(ws []string) []int32 {
	var out []int32
	for _, w := range ws {
		id, ok := c.ids[w]
		if !ok {
			id = int32(len(c.names))
			c.ids[w], c.names = id, append(c.names, w)
		}
		out = append(out, id)
	}
	return out
}

func (c *corpus) text(ids []int32) string {
	var out []string
	for _, id := range ids {
		out = append(out, c.names[id])
	}
	return strings.Join(out, " ")
}

func same(a, b []int32) int {
	if fmt.Sprint(a) == fmt.Sprint(b) {
		return 1
	}
	return 0
}

// train learns pairs, batch by batch.
func train(pairs []pair, steps, batch, warmup int) (*transformer.Weights, []float64) {
	r := kit.NewRand(1)
	o := transformer.DefaultStepOptions()
	o.Warmup = warmup
	w := transformer.InitWeights(1)
	t := transformer.NewStep(w, o)
	var losses []float64
	for range steps {
		picked := kit.Pick(r, batch, len(pairs))
		S, T := 0, 0 // the longest sentence and translation
		for _, k := range picked {
			S, T = max(S, len(pairs[k].from)), max(T, len(pairs[k].to)+1)
		}
		src, dst, next := kit.Matrix(make([]int32, batch*S), S), kit.Matrix(make([]int32, batch*T), T), kit.Matrix(make([]int32, batch*T), T)
		weight := kit.Matrix(make([]float32, batch*T), T)
		length := make([]int32, batch)
		for b, k := range picked {
			p := pairs[k]
			copy(src.Data[b*S:], p.from)
			length[b] = int32(len(p.from))
			dst.Data[b*T] = begin
			copy(dst.Data[b*T+1:], p.to)
			copy(next.Data[b*T:], p.to)
			next.Data[b*T+len(p.to)] = end
			for i := range len(p.to) + 1 {
				weight.Data[b*T+i] = 1
			}
		}
		losses = append(losses, float64(kit.Must(t.Step(src, length, dst, next, weight)).Loss))
	}
	return w, losses
}
