package drive

// validate is the loss on data held out, at most limit batches of it (0 for
// all), and the share of right classes or -1.
func (s *session) validate(held [][]*tensor, limit int) (loss, accuracy float64, ok bool) {
	if limit > 0 && len(held) > limit {
		held = held[:limit]
	}
	if len(held) == 0 || s.lossFunc == nil {
		return 0, 0, false
	}
	var sum, n float64
	right, all := 0, 0
	for _, b := range held {
		x, _, err := evaluate(s.r.Entries[s.lossFunc.Name], b)
		if err != nil || len(x) == 0 {
			return 0, 0, false
		}
		size := float64(b[0].shape[0])
		sum, n = sum+mean(x)*size, n+size
		if s.labels >= 0 && s.scores != nil && b[s.labels].i != nil {
			got, err := s.predict(b)
			if err != nil {
				return 0, 0, false
			}
			for i, c := range got {
				all++
				if c == int(b[s.labels].i[i]) {
					right++
				}
			}
		}
	}
	accuracy = -1
	if all > 0 {
		accuracy = float64(right) / float64(all)
	}
	return sum / n, accuracy, true
}

// predict is the most likely class of each row of a batch.
func (s *session) predict(b []*tensor) ([]int, error) {
	data, shape, err := s.score(b)
	if err != nil {
		return nil, err
	}
	var out []int
	if len(shape) == 1 {
		for _, x := range data {
			out = append(out, int(x))
		}
		return out, nil
	}
	w := shape[1]
	for i := range shape[0] {
		best := 0
		for k, x := range data[i*w : (i+1)*w] {
			if x > data[i*w+best] {
				best = k
			}
		}
		out = append(out, best)
	}
	return out, nil
}

// score calls the function that scores a batch, without its labels.
func (s *session) score(b []*tensor) (data []float64, shape []int, err error) {
	var in []*tensor
	for i, x := range b {
		if i != s.labels && (!s.d.IsText() || i == s.b.Input) {
			in = append(in, x)
		}
	}
	return evaluate(s.r.Entries[s.scores.Name], in)
}

func mean(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return sum / float64(len(x))
}
