// Command wave trains a WaveNet on sound and goes on with it, sample by sample.
package main

import (
	"flag"
	"fmt"
	"math"
	"path/filepath"

	"example.com/programs/gen/wavenet"
	"example.com/programs/kit"
	"github.com/lmc-lang/lmc/runtime"
)

//go:generate go tool lmc build -q -set Q=64 -set R=24 -set S=32 -set L=10 -o ../gen/wavenet ../../wavenet.lm

const levels = 64

func main() {
	data := flag.String("data", "../../../shared/data/fsdd/recordings", "folder with recordings of spoken digits")
	steps := flag.Int("steps", 600, "steps of training")
	flag.Parse()
	var sound []int32
	for k := range 10 {
		x, _, err := kit.WAV(filepath.Join(*data, fmt.Sprintf("7_jackson_%d.wav", k)))
		kit.Check(err)
		sound = append(sound, quiet(x)...)
	}
	w, losses := train(sound, *steps, 2, 2000)
	fmt.Printf("%.3f nats a sample\n", kit.Mean(losses[len(losses)-10:]))
	made := generate(w, sound[:1000], 3000, 1)
	var y []float64
	for _, q := range made {
		y = append(y, loud(q))
	}
	kit.Check(kit.Plot(kit.Out("wave.svg"), "A WaveNet goes on after sample 1000", "sample", "", kit.Series{Y: y}))
	kit.Check(kit.Plot(kit.Out("wave-loss.svg"), "WaveNet on spoken digits", "step", "nats a sample", kit.Series{Y: kit.Average(losses, 10)}))
}

// quiet is samples as levels of the mu law; loud is the way back.
func quiet(x []float32) []int32 {
	var out []int32
	for _, v := range x {
		y := math.Copysign(math.Log1p(255*math.Abs(float64(v)))/math.Log1p(255), float64(v))
		out = append(out, int32(min(levels-1, max(0, math.Floor((y+1)/2*levels)))))
	}
	return out
}

func loud(q int32) float64 {
	y := (float64(q)+0.5)/levels*2 - 1
	return math.Copysign(math.Expm1(math.Abs(y)*math.Log1p(255))/255, y)
}

func train(sound []int32, steps, batch, length int) (*wavenet.Weights, []float64) {
	r := kit.NewRand(1)
	o := wavenet.DefaultStepOptions()
	o.LR = 3e-3
	w := wavenet.InitWeights(1)
	t := wavenet.NewStep(w, o)
	var losses []float64
	for range steps {
		x, next := runtime.NewTensor2[int32](nil, batch, length), runtime.NewTensor2[int32](nil, batch, length)
		for b, at := range kit.Pick(r, batch, len(sound)-length) {
			copy(x.Data[b*length:], sound[at:at+length])
			copy(next.Data[b*length:], sound[at+1:at+1+length])
		}
		losses = append(losses, float64(kit.Must(t.Step(x, next)).Loss))
	}
	return w, losses
}

// generate goes on with a beginning; each sample costs the same, however many
// came before. With seed 0 it takes the likeliest level.
func generate(w *wavenet.Weights, start []int32, n int, seed uint64) []int32 {
	r := kit.NewRand(seed)
	s := wavenet.NewSession(w)
	out := append([]int32(nil), start...)
	for p := range n - 1 {
		z := kit.Must(s.Next(nil, out[p:p+1], int32(p)))
		if p+1 < len(start) {
			continue
		}
		top, sum := 0, 0.0
		for i, v := range z.Data {
			if v > z.Data[top] {
				top = i
			}
		}
		pick := top
		if seed != 0 {
			for _, v := range z.Data {
				sum += math.Exp(float64(v - z.Data[top]))
			}
			u := r.Float64() * sum
			for i, v := range z.Data {
				if u -= math.Exp(float64(v - z.Data[top])); u < 0 {
					pick = i
					break
				}
			}
		}
		out = append(out, int32(pick))
	}
	return out
}
