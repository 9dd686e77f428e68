// Command speech trains a recogniser of spoken digits, letter by letter, with
// connectionist temporal classification.
package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"

	"example.com/programs/gen/ctc"
	"example.com/programs/kit"
	"github.com/lmc-lang/lmc/runtime"
)

//go:generate go tool lmc build -q -set F=20 -set D=40 -set L=2 -set V=27 -o ../gen/ctc ../../ctc.lm

var digits = []string{"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"}

func main() {
	data := flag.String("data", "../../../shared/data/fsdd/recordings", "folder with recordings")
	steps := flag.Int("steps", 3000, "steps of training")
	flag.Parse()
	var learn, test []utterance
	files := kit.Must(filepath.Glob(filepath.Join(*data, "*.wav")))
	for _, f := range files {
		parts := strings.Split(strings.TrimSuffix(filepath.Base(f), ".wav"), "_")
		x, rate, err := kit.WAV(f)
		kit.Check(err)
		u := utterance{spectrum(x, rate), int(parts[0][0] - '0')}
		if len(parts[2]) == 1 && parts[2] < "5" {
			test = append(test, u)
		} else {
			learn = append(learn, u)
		}
	}
	w, losses := train(learn, *steps, 16, 3e-3, func(step int, w *ctc.Weights, loss float64) {
		if step%500 == 0 {
			right, _ := score(w, test)
			fmt.Printf("step %d: %.3f nats a letter, %.1f %% of the test\n", step, loss, 100*right)
		}
	})
	right, read := score(w, test)
	fmt.Printf("%d recordings to learn, %d to test: %.2f %% right; letters read, for example: %v\n", len(learn), len(test), 100*right, read[:10])
	kit.Check(kit.Plot(kit.Out("speech.svg"), "CTC on spoken digits", "step", "nats a letter", kit.Series{Y: kit.Average(losses, 20)}))
	kit.Check(w.SaveFile(kit.Out("speech.safetensors")))
}

// An utterance is a digit as frames of loudness in bands of frequencies.
type utterance struct {
	frames [][]float32
	digit  int
}

// spell is the letters of a digit, from 1.
func spell(d int) []int32 {
	var out []int32
	for _, c := range digits[d] {
		out = append(out, c-'a'+1)
	}
	return out
}

// pack puts utterances side by side, with silence behind the shorter ones.
func pack(us []utterance) (x runtime.Tensor3[float32], frames []int32, y runtime.Tensor2[int32], letters []int32) {
	most := 0
	for _, u := range us {
		most = max(most, len(u.frames))
	}
	x, y = runtime.NewTensor3[float32](nil, len(us), most, bands), runtime.NewTensor2[int32](nil, len(us), 5)
	for b, u := range us {
		for t, f := range u.frames {
			copy(x.Data[(b*most+t)*bands:], f)
		}
		for i := range 5 { // what is beyond the letters does not count
			y.Data[b*5+i] = 1
		}
		copy(y.Data[b*5:], spell(u.digit))
		frames, letters = append(frames, int32(len(u.frames))), append(letters, int32(len(digits[u.digit])))
	}
	return x, frames, y, letters
}

func train(us []utterance, steps, batch int, rate float64, seen func(step int, w *ctc.Weights, loss float64)) (*ctc.Weights, []float64) {
	r := kit.NewRand(1)
	o := ctc.DefaultStepOptions()
	o.LR = rate
	w := ctc.InitWeights(1)
	t := ctc.NewStep(w, o)
	var losses []float64
	for i := range steps {
		if i == steps*2/3 { // smaller steps at the end
			o.LR = rate / 5
			kit.Check(t.SetOptions(o))
		}
		var picked []utterance
		for _, k := range kit.Pick(r, batch, len(us)) {
			picked = append(picked, us[k].masked(r))
		}
		x, frames, y, letters := pack(picked)
		res := kit.Must(t.Step(x, frames, y, letters))
		losses = append(losses, float64(res.Loss))
		seen(i+1, w, kit.Mean(losses[max(0, i-50):]))
	}
	return w, losses
}

// masked is an utterance without some neighbouring bands and frames (Park et
// al., 2019): what is said must be known from the rest.
func (u utterance) masked(r *rand.Rand) utterance {
	band, n := r.IntN(bands), r.IntN(4)
	frame, m := r.IntN(len(u.frames)), r.IntN(4)
	out := utterance{digit: u.digit}
	for t, f := range u.frames {
		f = slices.Clone(f)
		for k := range f {
			if k >= band && k < band+n || t >= frame && t < frame+m {
				f[k] = 0
			}
		}
		out.frames = append(out.frames, f)
	}
	return out
}

// read is the letters that the best of each frame spell.
func read(best []int32) string {
	var b strings.Builder
	last := int32(0)
	for _, c := range best {
		if c != 0 && c != last {
			b.WriteByte(byte('a' + c - 1))
		}
		last = c
	}
	return b.String()
}

// score is the share of utterances whose letters are nearest to the right digit.
func score(w *ctc.Weights, us []utterance) (right float64, texts []string) {
	s := ctc.NewSession(w)
	for _, u := range us {
		x, _, _, _ := pack([]utterance{u})
		text := read(kit.Must(s.Greedy(nil, x)).Data)
		texts = append(texts, text)
		best := 0
		for d := range digits {
			if distance(text, digits[d]) < distance(text, digits[best]) {
				best = d
			}
		}
		if best == u.digit {
			right += 1 / float64(len(us))
		}
	}
	return right, texts
}

// distance is the number of letters to change, add or drop.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for i := range row {
		row[i] = i
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for k := range len(b) {
			d := last
			if a[i] != b[k] {
				d++
			}
			last, row[k+1] = row[k+1], min(d, row[k+1]+1, row[k]+1)
		}
	}
	return row[len(b)]
}
