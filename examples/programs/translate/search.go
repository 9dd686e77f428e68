package main

import (
	"math"
	"sort"

	"example.com/programs/gen/transformer"
	"example.com/programs/kit"
	"github.com/lmc-lang/lmc/runtime"
)

// A translator searches for the most likely translation.
type translator struct{ s *transformer.Session }

func newTranslator(w *transformer.Weights) *translator {
	return &translator{transformer.NewSession(w)}
}

// scores are the log probabilities of the word that follows each of the
// beginnings, which have the same length.
func (t *translator) scores(from []int32, starts [][]int32) [][]float64 {
	n, T := len(starts), len(starts[0])
	src, dst := runtime.NewTensor2[int32](nil, n, len(from)), runtime.NewTensor2[int32](nil, n, T)
	length := make([]int32, n)
	for b, s := range starts {
		copy(src.Data[b*len(from):], from)
		copy(dst.Data[b*T:], s)
		length[b] = int32(len(from))
	}
	mem := kit.Must(t.s.Encode(nil, src, length))
	z := kit.Must(t.s.Decode(nil, dst, mem, length))
	var out [][]float64
	for b := range n {
		row := z.Data[(b*T+T-1)*vocabulary:][:vocabulary]
		top, sum := row[0], 0.0
		for _, v := range row {
			top = max(top, v)
		}
		for _, v := range row {
			sum += math.Exp(float64(v - top))
		}
		lp := make([]float64, vocabulary)
		for i, v := range row {
			lp[i] = float64(v-top) - math.Log(sum)
		}
		out = append(out, lp)
	}
	return out
}

// Greedy takes the best word at each place; it also gives the log probability
// of the whole.
func (t *translator) Greedy(from []int32) (to []int32, logp float64) {
	to = []int32{begin}
	for len(to) < most {
		lp := t.scores(from, [][]int32{to})[0]
		best := 0
		for i, v := range lp {
			if v > lp[best] {
				best = i
			}
		}
		logp += lp[best]
		if int32(best) == end {
			break
		}
		to = append(to, int32(best))
	}
	return to[1:], logp
}

// Beam keeps the best `width` beginnings at each place.
func (t *translator) Beam(from []int32, width int) (to []int32, logp float64) {
	type start struct {
		ids  []int32
		logp float64
	}
	open, best := []start{{ids: []int32{begin}}}, start{logp: math.Inf(-1)}
	for len(open) > 0 && len(open[0].ids) < most {
		var ids [][]int32
		for _, s := range open {
			ids = append(ids, s.ids)
		}
		var more []start
		for b, lp := range t.scores(from, ids) {
			for id, v := range lp {
				s := start{open[b].ids, open[b].logp + v}
				if int32(id) == end {
					if s.logp > best.logp {
						best = s
					}
					continue
				}
				s.ids = append(append([]int32(nil), s.ids...), int32(id))
				more = append(more, s)
			}
		}
		sort.SliceStable(more, func(i, k int) bool { return more[i].logp > more[k].logp })
		open = more[:min(width, len(more))]
		for len(open) > 0 && open[len(open)-1].logp <= best.logp { // can only get less likely
			open = open[:len(open)-1]
		}
	}
	if best.ids == nil {
		return nil, best.logp
	}
	return best.ids[1:], best.logp
}
