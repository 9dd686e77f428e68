// Command detect trains the head of a detector to find boxes in a picture of features.
package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"sort"

	"example.com/programs/gen/detector"
	"example.com/programs/kit"
	"github.com/lmc-lang/lmc/runtime"
)

//go:generate go tool lmc build -q -set K=2 -set A=3 -set C=8 -o ../gen/detector ../../detector.lm

// A picture has side × side places, each with channels features, and at most
// most boxes.
const side, channels, most, anchorsPer = 12, 8, 3, 3

func main() {
	steps := flag.Int("steps", 1500, "steps of training")
	flag.Parse()
	w, losses := train(*steps, 8)
	p, found := judge(w, 200)
	fmt.Printf("loss %.3f → %.3f; mean average precision %.3f, %.1f %% of the boxes found\n", losses[0], kit.Mean(losses[len(losses)-20:]), p, 100*found)
	kit.Check(kit.Plot(kit.Out("detect.svg"), "Detection head", "step", "focal and box loss", kit.Series{Y: kit.Average(losses, 20)}))
}

// anchors are boxes of three shapes around each place.
func anchors() runtime.Tensor2[float32] {
	var out []float32
	for y := range side {
		for x := range side {
			for _, s := range [anchorsPer][2]float32{{3, 3}, {5, 3}, {3, 5}} {
				cx, cy := float32(x)+0.5, float32(y)+0.5
				out = append(out, cx-s[0]/2, cy-s[1]/2, cx+s[0]/2, cy+s[1]/2)
			}
		}
	}
	return kit.Matrix(out, 4)
}

// A scene is pictures and the boxes in them.
type scene struct {
	x      runtime.Tensor4[float32]
	boxes  runtime.Tensor3[float32]
	labels runtime.Tensor2[int32]
	n      []int32
}

// draw makes n pictures. A box of kind k raises feature k; the rest is noise.
func draw(r *rand.Rand, n int) scene {
	s := scene{runtime.NewTensor4[float32](nil, n, side, side, channels), runtime.NewTensor3[float32](nil, n, most, 4), runtime.NewTensor2[int32](nil, n, most), nil}
	for i := range s.x.Data {
		s.x.Data[i] = float32(0.2 * r.NormFloat64())
	}
	for b := range n {
		count := 1 + r.IntN(most)
		s.n = append(s.n, int32(count))
		for k := range count {
			// Boxes lie in lanes of four columns, so that they do not overlap.
			w, h := 3+r.IntN(2), 3+r.IntN(3)
			x0, y0 := 4*k, r.IntN(side-h)
			kind := r.IntN(2)
			s.labels.Data[b*most+k] = int32(kind)
			copy(s.boxes.Data[(b*most+k)*4:], []float32{float32(x0), float32(y0), float32(x0 + w), float32(y0 + h)})
			for y := y0; y < y0+h; y++ {
				for x := x0; x < x0+w; x++ {
					s.x.Data[((b*side+y)*side+x)*channels+kind]++
				}
			}
		}
	}
	return s
}

func train(steps, batch int) (*detector.Weights, []float64) {
	r := kit.NewRand(1)
	o := detector.DefaultStepOptions()
	o.LR = 0.02
	w := detector.InitWeights(1)
	t := detector.NewStep(w, o)
	at := anchors()
	var losses []float64
	for range steps {
		s := draw(r, batch)
		losses = append(losses, float64(kit.Must(t.Step(s.x, at, s.boxes, s.labels, s.n)).Loss))
	}
	return w, losses
}

// judge is the mean average precision at an overlap of a half, and the share of
// boxes that are found with a score above 0.3.
func judge(w *detector.Weights, n int) (precision, found float64) {
	sc := draw(kit.NewRand(77), n)
	boxes, label, score, count, err := detector.NewSession(w).Detect(nil, nil, nil, nil, sc.x, anchors())
	kit.Check(err)
	type hit struct {
		score float32
		right bool
	}
	var hits [2][]hit
	var total [2]int
	good := 0
	for b := range n {
		var taken [most]bool
		for g := range int(sc.n[b]) {
			total[sc.labels.Data[b*most+g]]++
		}
		for i := range int(count[b]) {
			k := label.Data[b*100+i]
			h := hit{score: score.Data[b*100+i]}
			for g := range int(sc.n[b]) {
				if !taken[g] && sc.labels.Data[b*most+g] == k && iou(boxes.Data[(b*100+i)*4:], sc.boxes.Data[(b*most+g)*4:]) >= 0.5 {
					taken[g], h.right = true, true
					if h.score > 0.3 {
						good++
					}
					break
				}
			}
			hits[k] = append(hits[k], h)
		}
	}
	for k, hs := range hits {
		sort.SliceStable(hs, func(i, j int) bool { return hs[i].score > hs[j].score })
		right := 0
		for i, h := range hs {
			if h.right {
				right++
				precision += float64(right) / float64(i+1) / float64(total[k]) / 2
			}
		}
	}
	return precision, float64(good) / float64(total[0]+total[1])
}

// iou is the overlap of two boxes.
func iou(a, b []float32) float32 {
	w := max(0, min(a[2], b[2])-max(a[0], b[0]))
	h := max(0, min(a[3], b[3])-max(a[1], b[1]))
	return w * h / ((a[2]-a[0])*(a[3]-a[1]) + (b[2]-b[0])*(b[3]-b[1]) - w*h)
}
