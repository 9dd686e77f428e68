package drive

import (
	"fmt"
	"math/rand/v2"
)

// A source makes the batches of a data set. Batch k is the same in every run
// with the same seed, so that a run can be resumed in the middle.
type source interface {
	batch(k int64) []*tensor
	perEpoch() int64 // batches in which each piece of the data occurs about once
	held() [][]*tensor
	describe() []string
}

// Streams of random numbers.
const (
	splitStream = iota
	shuffleStream
	offsetStream
)

func random(seed uint64, stream, k int64) *rand.Rand {
	return rand.New(rand.NewPCG(seed^0x6c6d63<<32, uint64(stream)<<56^uint64(k)))
}

// rows is a source of rows of columns.
type rows struct {
	d     *Data
	cols  []*Column // parallel to the arguments
	seed  uint64
	train []int // rows
	test  []int // rows held out
	size  int   // rows in a batch

	order []int // train in the order of epoch at
	at    int64
	buf   []*tensor
}

// newRows splits the rows of d.
func newRows(d *Data, b *Binding, c *Config) (*rows, error) {
	s := &rows{d: d, cols: b.Columns, seed: c.Seed, size: c.Batch, at: -1}
	fixed := b.Batch.N
	if fixed > 0 {
		if s.size > 0 && s.size != fixed {
			return nil, fmt.Errorf("-batch %d: the model fixes the batch to %s", s.size, rowsOf(fixed))
		}
		s.size = fixed
		if d.Rows < fixed {
			return nil, fmt.Errorf("%s has %s, but the model takes %d at a time", d.Source, rowsOf(d.Rows), fixed)
		}
	}
	order := random(c.Seed, splitStream, 0).Perm(d.Rows)
	out := int(c.Holdout * float64(d.Rows))
	switch {
	case fixed > 0:
		out = max(out/fixed, 1) * fixed
		if d.Rows < 2*fixed || c.Holdout == 0 {
			out = 0
			order = order[:0]
			for i := range d.Rows {
				order = append(order, i)
			}
		}
	case c.Holdout > 0 && d.Rows >= 10:
		out = max(out, 1)
	}
	s.test, s.train = order[:out], order[out:]
	if len(s.train) == 0 {
		return nil, fmt.Errorf("%s has %s, too few to train on", d.Source, rowsOf(d.Rows))
	}
	if s.size == 0 {
		s.size = 32
	}
	s.size = min(s.size, len(s.train))
	return s, nil
}

func rowsOf(n int) string {
	if n == 1 {
		return "1 row"
	}
	return fmt.Sprintf("%s rows", count(n))
}

func (s *rows) perEpoch() int64 { return int64(len(s.train) / s.size) }

func (s *rows) batch(k int64) []*tensor {
	if s.size == len(s.train) {
		return s.gather(&s.buf, s.train) // all rows, always in order
	}
	if epoch := k / s.perEpoch(); epoch != s.at {
		s.order = append(s.order[:0], s.train...)
		r := random(s.seed, shuffleStream, epoch)
		r.Shuffle(len(s.order), func(i, j int) { s.order[i], s.order[j] = s.order[j], s.order[i] })
		s.at = epoch
	}
	lo := int(k%s.perEpoch()) * s.size
	return s.gather(&s.buf, s.order[lo:lo+s.size])
}

// gather copies rows into tensors, which are made if they are nil.
func (s *rows) gather(into *[]*tensor, index []int) []*tensor {
	if *into == nil {
		for range s.cols {
			*into = append(*into, &tensor{})
		}
	}
	for k, c := range s.cols {
		t := (*into)[k]
		t.shape = append(append(t.shape[:0], len(index)), c.Shape...)
		t.f, t.i = t.f[:0], t.i[:0]
		for _, r := range index {
			if c.I != nil {
				w := len(c.I) / s.d.Rows
				t.i = append(t.i, c.I[r*w:(r+1)*w]...)
			} else {
				w := len(c.F) / s.d.Rows
				t.f = append(t.f, c.F[r*w:(r+1)*w]...)
			}
		}
	}
	return *into
}

// held are the batches of rows held out; the last may be smaller if the model
// takes any size.
func (s *rows) held() [][]*tensor { return s.batches(s.test) }

func (s *rows) batches(index []int) [][]*tensor {
	var out [][]*tensor
	for lo := 0; lo < len(index); lo += s.size {
		var b []*tensor
		out = append(out, s.gather(&b, index[lo:min(lo+s.size, len(index))]))
	}
	return out
}

func (s *rows) describe() []string {
	what := fmt.Sprintf("%s: %s to train", s.d.Source, rowsOf(len(s.train)))
	if len(s.test) > 0 {
		what += fmt.Sprintf(", %s held out", count(len(s.test)))
	}
	return []string{what, fmt.Sprintf("%s a step", rowsOf(s.size))}
}

// text is a source of pieces of one sequence of tokens.
type text struct {
	d           *Data
	b           *Binding
	args        int
	seed        uint64
	train, tail []int32
	size        int  // pieces in a batch
	length      int  // tokens in a piece
	follow      bool // pieces follow those of the batch before
	flat        bool // the arguments have no axis for pieces
	buf         []*tensor
}

// newText splits the text of d: its end is held out.
func newText(d *Data, b *Binding, p *Program, c *Config) (*text, error) {
	s := &text{d: d, b: b, args: len(p.Loss.Args), seed: c.Seed, size: c.Batch, length: c.Length, follow: p.Carries}
	s.flat = b.Batch == Dim{}
	if n := b.Batch.N; n > 0 {
		if s.size > 0 && s.size != n {
			return nil, fmt.Errorf("-batch %d: the model fixes it to %d", s.size, n)
		}
		s.size = n
	}
	if s.flat {
		s.size = 1
	}
	if s.size == 0 {
		s.size = 8
		if n := p.Bounds[b.Batch.Name]; n > 0 {
			s.size = min(s.size, n)
		}
	}
	if n := b.Length.N; n > 0 {
		s.length = n
	}
	limit := p.Bounds[b.Length.Name]
	if s.length == 0 {
		s.length = 64
		if limit > 0 && limit <= 1024 {
			s.length = limit
		}
	}
	if limit > 0 && s.length > limit {
		return nil, fmt.Errorf("-length %d: the model needs %s <= %d", s.length, b.Length.Name, limit)
	}
	tail := int(c.Holdout * float64(len(d.Tokens)))
	if tail <= s.length {
		tail = 0
	}
	s.train, s.tail = d.Tokens[:len(d.Tokens)-tail], d.Tokens[len(d.Tokens)-tail:]
	if len(s.train) <= s.length {
		return nil, fmt.Errorf("%s has %s letters, too few for pieces of %d", d.Source, count(len(d.Tokens)), s.length)
	}
	return s, nil
}

func (s *text) perEpoch() int64 {
	return max(1, int64((len(s.train)-1)/(s.size*s.length)))
}

func (s *text) batch(k int64) []*tensor {
	starts := make([]int, s.size)
	if s.follow {
		// Each row reads on in a stretch of its own.
		per := s.perEpoch()
		stretch := (len(s.train) - 1) / s.size
		for i := range starts {
			starts[i] = min(i*stretch+int(k%per)*s.length, len(s.train)-1-s.length)
		}
	} else {
		r := random(s.seed, offsetStream, k)
		for i := range starts {
			starts[i] = r.IntN(len(s.train) - s.length)
		}
	}
	return s.pieces(&s.buf, s.train, starts)
}

// pieces copies tokens from each start on.
func (s *text) pieces(into *[]*tensor, from []int32, starts []int) []*tensor {
	if *into == nil {
		for range s.args {
			*into = append(*into, &tensor{})
		}
	}
	for k, t := range *into {
		t.shape = append(t.shape[:0], len(starts), s.length)
		if s.flat {
			t.shape = t.shape[1:]
		}
		t.i = t.i[:0]
		for _, lo := range starts {
			if k == s.b.Next {
				lo++
			}
			t.i = append(t.i, from[lo:lo+s.length]...)
		}
	}
	return *into
}

func (s *text) held() [][]*tensor {
	var out [][]*tensor
	var starts []int
	for lo := 0; lo+s.length < len(s.tail); lo += s.length {
		if starts = append(starts, lo); len(starts) == s.size {
			var b []*tensor
			out = append(out, s.pieces(&b, s.tail, starts))
			starts = nil
		}
	}
	if len(starts) > 0 && s.b.Batch.N == 0 {
		var b []*tensor
		out = append(out, s.pieces(&b, s.tail, starts))
	}
	return out
}

func (s *text) describe() []string {
	what := fmt.Sprintf("%s: %s letters of %d kinds to train", s.d.Source, count(len(s.train)), len(s.d.Vocab))
	if len(s.tail) > 0 {
		what += fmt.Sprintf(", %s held out", count(len(s.tail)))
	}
	return []string{what, fmt.Sprintf("%d × %d letters a step", s.size, s.length)}
}
