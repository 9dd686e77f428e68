package drive

import (
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
)

// show prints what the model has learned, by what it is: a text, how often it
// is right, weights. What cannot be shown is left out.
func (s *session) show() {
	held := s.src.held()
	what := "held out"
	if r, ok := s.src.(*rows); ok && len(held) == 0 {
		held, what = r.batches(r.train), "the training data"
	}
	if !s.d.IsText() {
		s.showErrors(held, what)
		s.showWeights()
		return
	}
	if v, _, ok := s.validate(held, 0); ok {
		fmt.Fprintf(s.out, "loss on text held out: %s nats a letter, %.2f bits\n", formatted(v), v/math.Ln2)
	}
	s.showText()
}

// showErrors prints how well rows are predicted.
func (s *session) showErrors(held [][]*tensor, what string) {
	if s.labels < 0 || s.scores == nil || len(held) == 0 {
		return
	}
	if s.p.Loss.Args[s.labels].Elem == "i32" {
		s.confusion(held, what)
		return
	}
	var want, got []float64
	for _, b := range held {
		x, _, err := s.score(b)
		if err != nil {
			return
		}
		got = append(got, x...)
		for _, y := range b[s.labels].f {
			want = append(want, float64(y))
		}
	}
	if len(want) != len(got) {
		return
	}
	m := mean(want)
	var res, tot float64
	for i, y := range want {
		res += (y - got[i]) * (y - got[i])
		tot += (y - m) * (y - m)
	}
	line := fmt.Sprintf("%s: root mean square error %s", what, formatted(math.Sqrt(res/float64(len(want)))))
	if tot > 0 {
		line += fmt.Sprintf(", R² %.4f", 1-res/tot)
	}
	fmt.Fprintln(s.out, line)
}

// maxConfusion is the most classes for which a table is shown.
const maxConfusion = 16

// confusion prints the share of right classes, and which are taken for which.
func (s *session) confusion(held [][]*tensor, what string) {
	n := 0
	type pair struct{ want, got int }
	counts := map[pair]int{}
	right, all := 0, 0
	for _, b := range held {
		got, err := s.predict(b)
		if err != nil || len(got) != len(b[s.labels].i) {
			return
		}
		for i, y := range b[s.labels].i {
			counts[pair{int(y), got[i]}]++
			n = max(n, int(y)+1, got[i]+1)
			all++
			if got[i] == int(y) {
				right++
			}
		}
	}
	fmt.Fprintf(s.out, "%s: %d of %d right, %.1f %%\n", what, right, all, 100*float64(right)/float64(all))
	if n > maxConfusion {
		return
	}
	name := func(i int) string {
		for _, c := range s.b.Columns {
			if i < len(c.Classes) {
				return c.Classes[i]
			}
		}
		return fmt.Sprint(i)
	}
	w := 4
	for i := range n {
		w = max(w, len([]rune(name(i))))
	}
	fmt.Fprintf(s.out, "\n%*s   predicted\n%*s", w, "", w, "true")
	for i := range n {
		fmt.Fprintf(s.out, "  %*s", w, name(i))
	}
	fmt.Fprintln(s.out)
	for i := range n {
		fmt.Fprintf(s.out, "%*s", w, name(i))
		for k := range n {
			text := "."
			if c := counts[pair{i, k}]; c > 0 {
				text = fmt.Sprint(c)
			}
			fmt.Fprintf(s.out, "  %*s", w, text)
		}
		fmt.Fprintln(s.out)
	}
}

// showWeights prints the weights of a linear model beside the names of its
// features, for features as they are in the file.
func (s *session) showWeights() {
	var x *Column
	for i, c := range s.b.Columns {
		if i != s.labels && len(c.Shape) == 1 && c.F != nil {
			x = c
		}
	}
	all := s.r.Views()
	if x == nil || x.Shape[0] > 64 || s.p.Params > 256 {
		return
	}
	var w, bias *Weight
	for i := range all {
		v := &all[i]
		switch {
		case v.State:
		case w == nil && len(v.Shape) >= 1 && len(v.Shape) <= 2 && v.Shape[0] == x.Shape[0]:
			w = v
		case bias == nil && len(v.Shape) <= 1:
			bias = v
		default:
			return // not one linear layer
		}
	}
	if w == nil {
		return
	}
	d := x.Shape[0]
	outs := len(w.Data) / d
	if bias != nil && len(bias.Data) != outs {
		return
	}
	// In the units of the file: w·(x-mean)/std + b.
	off := make([]float64, outs)
	if bias != nil {
		copy(off, bias.Data)
	}
	fmt.Fprintln(s.out, "\nwhat the model has learned, for the numbers as they are in the file:")
	width := len("(constant)")
	for _, n := range x.Names {
		width = max(width, len([]rune(n)))
	}
	if outs > 1 {
		fmt.Fprintf(s.out, "  %-*s", width, "")
		for k := range outs {
			fmt.Fprintf(s.out, "  %10s", s.className(k))
		}
		fmt.Fprintln(s.out)
	}
	row := func(name string, values []float64) {
		fmt.Fprintf(s.out, "  %-*s", width, name)
		for _, v := range values {
			fmt.Fprintf(s.out, "  %10s", formatted(v))
		}
		fmt.Fprintln(s.out)
	}
	for i := range d {
		name := fmt.Sprintf("x%d", i+1)
		if i < len(x.Names) {
			name = x.Names[i]
		}
		values := slices.Clone(w.Data[i*outs : (i+1)*outs])
		if x.Mean != nil {
			for k := range values {
				values[k] /= x.Std[i]
				off[k] -= values[k] * x.Mean[i]
			}
		}
		row(name, values)
	}
	if bias != nil {
		row("(constant)", off)
	}
}

func (s *session) className(k int) string {
	for _, c := range s.b.Columns {
		if k < len(c.Classes) {
			return c.Classes[k]
		}
	}
	return fmt.Sprint(k)
}

// showText lets the model write.
func (s *session) showText() {
	n := s.c.Sample
	if n <= 0 {
		return
	}
	prompt, err := s.prompt()
	if err != nil {
		fmt.Fprintln(s.out, "no sample:", err)
		return
	}
	var next func(from []int32) iter.Seq2[int32, error]
	switch {
	case s.r.Generate != nil:
		part := uint64(0)
		next = func(from []int32) iter.Seq2[int32, error] {
			part++
			return s.r.Generate(from, s.c.Seed+part)
		}
	case s.scores != nil && !s.p.Carries:
		next = s.sample
	default:
		return
	}
	letters := slices.Clone(prompt)
	for len(letters) < n {
		// A cache has an end: go on from the last letters.
		from := letters
		window := 32
		if t, ok := s.src.(*text); ok {
			window = max(1, t.length/2)
		}
		if len(from) > window {
			from = from[len(from)-window:]
		}
		before := len(letters)
		for token, err := range next(from) {
			if err != nil {
				fmt.Fprintln(s.out, "no sample:", err)
				return
			}
			if letters = append(letters, token); len(letters) >= n {
				break
			}
		}
		if len(letters) == before {
			break
		}
	}
	fmt.Fprintln(s.out, "\nwhat it writes:")
	text := make([]rune, 0, len(letters))
	for _, t := range letters {
		if int(t) < len(s.d.Vocab) {
			text = append(text, s.d.Vocab[t])
		}
	}
	for line := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n") {
		fmt.Fprintln(s.out, "  "+line)
	}
}

// prompt is the tokens that a sample begins with: those asked for, or the first
// word of the data.
func (s *session) prompt() ([]int32, error) {
	want := []rune(s.c.Prompt)
	if len(want) == 0 {
		n := 1
		for n < min(12, len(s.d.Tokens)) && s.d.Vocab[s.d.Tokens[n]] != ' ' {
			n++
		}
		return s.d.Tokens[:n], nil
	}
	var out []int32
	for _, r := range want {
		i, ok := slices.BinarySearch(s.d.Vocab, r)
		if !ok {
			return nil, fmt.Errorf("the letter %q of -prompt does not occur in %s", r, s.d.Source)
		}
		out = append(out, int32(i))
	}
	return out, nil
}

// sample draws letters from the scores of a model that has no generate block.
func (s *session) sample(from []int32) iter.Seq2[int32, error] {
	const temperature = 0.8
	return func(yield func(int32, error) bool) {
		r := random(s.c.Seed, offsetStream, -int64(len(from)))
		t, ok := s.src.(*text)
		if !ok {
			return
		}
		letters := slices.Clone(from)
		for len(letters) < t.length {
			x := &tensor{shape: []int{1, len(letters)}, i: letters}
			if t.flat {
				x.shape = x.shape[1:]
			}
			data, shape, err := evaluate(s.r.Entries[s.scores.Name], []*tensor{x})
			if err != nil {
				yield(0, err)
				return
			}
			w := shape[len(shape)-1]
			row := data[len(data)-w:]
			top := slices.Max(row)
			sum := 0.0
			for k := range row {
				row[k] = math.Exp((row[k] - top) / temperature)
				sum += row[k]
			}
			u, token := r.Float64()*sum, 0
			for token < w-1 && u >= row[token] {
				u -= row[token]
				token++
			}
			letters = append(letters, int32(token))
			if !yield(int32(token), nil) {
				return
			}
		}
	}
}
