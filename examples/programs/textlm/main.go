// Command textlm trains three decoders — GPT-2, Llama and Mixtral — in small
// sizes on the same text and lets each go on with a beginning.
package main

import (
	"flag"
	"fmt"
	"iter"
	"os"
	"strings"

	"example.com/programs/gen/gpt2"
	"example.com/programs/gen/llama"
	"example.com/programs/gen/mixtral"
	"example.com/programs/kit"
	"github.com/lmc-lang/lmc/runtime"
)

//go:generate go tool lmc build -q -model GPT2 -pkg gpt2 -set V=128 -set C=64 -set D=64 -set L=2 -set H=4 -set drop=0 -set Step.accumulate=1 -set Text.stop=0 -o ../gen/gpt2 ../../gpt2.lm
//go:generate go tool lmc build -q -model Llama -pkg llama -set V=128 -set C=64 -set D=64 -set F=128 -set L=2 -set G=2 -set R=2 -set Text.stop=0 -o ../gen/llama ../../llama.lm
//go:generate go tool lmc build -q -model Mixtral -pkg mixtral -set V=128 -set C=64 -set D=64 -set F=64 -set L=2 -set G=2 -set R=2 -set E=4 -set A=2 -set Text.stop=0 -o ../gen/mixtral ../../llama.lm

func main() {
	data := flag.String("data", "../text/tales.txt", "a text")
	steps := flag.Int("steps", 400, "steps of training")
	start := flag.String("start", "The ", "how to begin")
	flag.Parse()
	text := ascii(string(kit.Must(os.ReadFile(*data))))
	var curves []kit.Series
	for _, m := range models {
		losses, l := m.train(text, *steps, 8, 64)
		fmt.Printf("%s: %.3f nats a letter\n  %q\n", m.name, kit.Mean(losses[len(losses)-20:]), l.goOn(*start, 64, 0.8, 7))
		curves = append(curves, kit.Series{Name: m.name, Y: kit.Average(losses, 10)})
	}
	kit.Check(kit.Plot(kit.Out("textlm.svg"), "Three decoders on one text", "step", "nats a letter", curves...))
}

// ascii is the letters of a text as tokens.
func ascii(text string) []int32 {
	var out []int32
	for _, c := range text {
		if c < 128 && c > 0 {
			out = append(out, c)
		}
	}
	return out
}

// A model is a way to train one of the decoders.
type model struct {
	name  string
	train func(text []int32, steps, batch, length int) ([]float64, *language)
}

type (
	ids    = runtime.Tensor2[int32]
	logits = func(x ids) (runtime.Tensor3[float32], error)
	decode = func(x ids, p int) (runtime.Tensor2[float32], error)
)

// A language is a trained decoder.
type language struct {
	logits logits
	decode decode
	reset  func()
	text   func(prompt []int32, limit int, temperature float32, seed uint64) iter.Seq2[int32, error]
}

// goOn continues a text up to a length.
func (l *language) goOn(start string, length int, temperature float32, seed uint64) string {
	var b strings.Builder
	for id, err := range l.text(ascii(start), length, temperature, seed) {
		kit.Check(err)
		b.WriteRune(id)
	}
	return b.String()
}

// fit trains on pieces that begin anywhere.
func fit(text []int32, steps, batch, length int, step func(x, next ids) (float32, error)) (losses []float64) {
	r := kit.NewRand(1)
	for range steps {
		x, next := runtime.NewTensor2[int32](nil, batch, length), runtime.NewTensor2[int32](nil, batch, length)
		for b, at := range kit.Pick(r, batch, len(text)-length) {
			copy(x.Data[b*length:], text[at:at+length])
			copy(next.Data[b*length:], text[at+1:at+1+length])
		}
		losses = append(losses, float64(kit.Must(step(x, next))))
	}
	return losses
}

var models = []model{
	{"GPT-2", func(text []int32, steps, batch, length int) ([]float64, *language) {
		o := gpt2.DefaultStepOptions()
		o.Peak, o.Warmup, o.Total, o.Floor = 6e-3, 10, steps, 1e-4
		w := gpt2.InitWeights(1)
		t, s := gpt2.NewStep(w, o), gpt2.NewSession(w)
		return fit(text, steps, batch, length, func(x, next ids) (float32, error) {
				r, err := t.Step(x, next)
				return r.Loss, err
			}), &language{
				func(x ids) (runtime.Tensor3[float32], error) { return s.Logits(nil, x) },
				func(x ids, p int) (runtime.Tensor2[float32], error) { return s.Decode(nil, x, p) }, s.Reset,
				func(prompt []int32, limit int, temperature float32, seed uint64) iter.Seq2[int32, error] {
					o := gpt2.DefaultTextOptions()
					o.Limit, o.Temperature, o.Seed = limit, temperature, seed
					return s.Text(prompt, o)
				}}
	}},
	{"Llama", func(text []int32, steps, batch, length int) ([]float64, *language) {
		o := llama.DefaultStepOptions()
		o.Peak, o.Warmup, o.Total = 3e-3, 10, steps
		w := llama.InitWeights(1)
		t, s := llama.NewStep(w, o), llama.NewSession(w)
		return fit(text, steps, batch, length, func(x, next ids) (float32, error) {
				r, err := t.Step(x, next)
				return r.Loss, err
			}), &language{
				func(x ids) (runtime.Tensor3[float32], error) { return s.Logits(nil, x) },
				func(x ids, p int) (runtime.Tensor2[float32], error) { return s.Decode(nil, x, p) }, s.Reset,
				func(prompt []int32, limit int, temperature float32, seed uint64) iter.Seq2[int32, error] {
					o := llama.DefaultTextOptions()
					o.Limit, o.Temperature, o.Seed = limit, temperature, seed
					return s.Text(prompt, o)
				}}
	}},
	{"Mixtral", func(text []int32, steps, batch, length int) ([]float64, *language) {
		o := mixtral.DefaultStepOptions()
		o.Peak, o.Warmup, o.Total = 3e-3, 10, steps
		w := mixtral.InitWeights(1)
		t, s := mixtral.NewStep(w, o), mixtral.NewSession(w)
		return fit(text, steps, batch, length, func(x, next ids) (float32, error) {
				r, err := t.Step(x, next)
				return r.Loss, err
			}), &language{
				func(x ids) (runtime.Tensor3[float32], error) { return s.Logits(nil, x) },
				func(x ids, p int) (runtime.Tensor2[float32], error) { return s.Decode(nil, x, p) }, s.Reset,
				func(prompt []int32, limit int, temperature float32, seed uint64) iter.Seq2[int32, error] {
					o := mixtral.DefaultTextOptions()
					o.Limit, o.Temperature, o.Seed = limit, temperature, seed
					return s.Text(prompt, o)
				}}
	}},
}
