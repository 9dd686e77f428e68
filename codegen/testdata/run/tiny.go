package tiny

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"example.com/m/tiny/runtime"
)

func ids(b, t int, tokens ...int32) runtime.Tensor2[int32] { return runtime.NewTensor2(tokens, b, t) }

func check(t *testing.T, err error, text string) {
	t.Helper()
	if got := fmt.Sprint(err); got != text {
		t.Errorf("got  %s\nwant %s", got, text)
	}
}

func TestLogits(t *testing.T) {
	w := NewWeights()
	tok := w.Tok()
	for i := range tok.Data {
		tok.Data[i] = float32(i)
	}
	for l := range 3 {
		for d := range w.BlocksW(l) {
			w.BlocksW(l)[d] = float32(l + 1)
		}
	}
	z, err := NewSession(w).Logits(nil, ids(2, 2, 0, 1, 2, 3))
	if err != nil || z.Shape != [3]int{2, 2, 5} {
		t.Fatal(err, z.Shape)
	}
	// Element d of row (1, 1): token 3 at position 1, times 1, 2, 3, plus 0, 1, 2.
	var want float32
	for d := range 4 {
		x := float32(12+d) + float32(4+d)/8
		x = ((x*1+0)*2+1)*3 + 2
		want += x * tok.At(4, d)
	}
	if got := z.At(1, 1, 4); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestBounds(t *testing.T) {
	s := NewSession(InitWeights(1))
	_, err := s.Logits(nil, ids(1, 9, make([]int32, 9)...))
	check(t, err, "tiny: Logits: need T <= 8, got T = 9")
	_, err = s.Logits(nil, ids(2, 2, 0, 1, 2, 5))
	check(t, err, "tiny: Logits: ids[1,1] = 5 is not in [0, 5)")
	_, err = s.Decode(nil, ids(1, 1, 0), -1)
	check(t, err, "tiny: Decode: need P >= 0, got P = -1")
}

func TestCaches(t *testing.T) {
	s := NewSession(InitWeights(1))
	z, err := s.Decode(nil, ids(1, 2, 3, 3), 0)
	if err != nil || !slices.Equal(z.Data, []float32{0, 0, 0, 2, 0}) {
		t.Error(z, err)
	}
	z, err = s.Decode(z.Data, ids(1, 1, 1), 2)
	if err != nil || !slices.Equal(z.Data, []float32{0, 1, 0, 2, 0}) {
		t.Error(z, err)
	}
	_, err = s.Decode(nil, ids(1, 1, 1), 2)
	check(t, err, "tiny: Decode: need P to be the filled length of the caches (Reset empties them), got P = 2, the filled length = 3")
	_, err = s.Decode(nil, ids(2, 1, 1, 1), 3)
	check(t, err, "tiny: Decode: ids: want i32[B, T] with B = 1 as in the caches (Reset empties them), got [2, 1]")
	s.Reset()
	z, err = s.Decode(nil, ids(2, 1, 1, 2), 0)
	if err != nil || !slices.Equal(z.Data, []float32{0, 1, 0, 0, 0, 0, 0, 1, 0, 0}) {
		t.Error(z, err)
	}
}

func TestText(t *testing.T) {
	s := NewSession(InitWeights(1))
	collect := func(prompt []int32, o TextOptions) (out []int32, last error) {
		for token, err := range s.Text(prompt, o) {
			if last = err; err != nil {
				break
			}
			out = append(out, token)
		}
		return out, last
	}
	// The sampler takes the token that has occurred least: 1, 2, 3, then 4, which stops.
	got, err := collect([]int32{0, 0}, DefaultTextOptions())
	if err != nil || !slices.Equal(got, []int32{1, 2, 3}) {
		t.Error(got, err)
	}
	o := DefaultTextOptions()
	o.Limit = 4
	if got, err = collect([]int32{0, 0}, o); err != nil || len(got) != 2 {
		t.Error(got, err)
	}
	_, err = collect(nil, o)
	check(t, err, "tiny: Text: the prompt is empty")
}

func TestNoise(t *testing.T) {
	s := NewSession(InitWeights(1))
	x := make([]float32, 5)
	a, _ := s.Noise(nil, x, 1, DefaultNoiseOptions())
	b, _ := s.Noise(nil, x, 1, DefaultNoiseOptions())
	c, _ := s.Noise(nil, x, 2, DefaultNoiseOptions())
	d, _ := s.Noise(nil, x, 1, NoiseOptions{Scale: 0})
	if !slices.Equal(a, b) || slices.Equal(a, c) || !slices.Equal(d, x) {
		t.Error(a, b, c, d)
	}
}

func TestTwoKeepsArgumentsApart(t *testing.T) {
	s := NewSession(InitWeights(1))
	h := runtime.NewTensor2([]float32{1, 2, 3, 4}, 1, 4)
	// The new h goes where the old one is, and is written first.
	z, h2, n, err := s.Two(nil, h.Data, h, true, 10)
	if err != nil || n != 1 || !slices.Equal(z.Data, []float32{1, 2, 3, 4}) || !slices.Equal(h2.Data, []float32{11, 12, 13, 14}) || &h2.Data[0] != &h.Data[0] {
		t.Error(z, h2, n, err)
	}
}

func TestStep(t *testing.T) {
	w := InitWeights(1)
	s := NewStep(w, DefaultStepOptions())
	x := runtime.NewTensor2([]float32{1, 2, 3, 4, 5, 6, 7, 8}, 2, 4)
	r, err := s.Step(x)
	if err != nil || r.Loss != 36 || r.Updated || r.Hits != 2 || !slices.Equal(r.Each, []float32{1, 5}) || r.Norm != 0 {
		t.Error(r, err)
	}
	// h is now x: the loss is twice as large.
	r, err = s.Step(x)
	if err != nil || r.Loss != 72 || !r.Updated || r.Step != 1 || r.Norm == 0 {
		t.Error(r, err)
	}
	// m = 1 + (6+6)/2 for d = 0; w = 1 - 0.5*m; the average is half of 0 and w.
	if got := w.BlocksW(2)[0]; got != -2.5 {
		t.Error(got)
	}
	if got := s.EMA().BlocksW(2)[0]; got != -1.25 {
		t.Error(got)
	}
	if got := w.NormCount(); got[0] != 2 || got[1] != 2 {
		t.Error(got)
	}
	_, err = s.Step(runtime.NewTensor2[float32](nil, 3, 4))
	if err == nil || !strings.HasPrefix(err.Error(), "tiny: Step: h, carried from the step before (see Reset),: want [3 4]") {
		t.Error(err)
	}
	s.Reset()
	g := NewWeights()
	g.Tok().Data[0] = 7
	loss, err := s.Gradients(x, g)
	if err != nil || loss != 36 || g.BlocksW(1)[0] != 6 || g.Tok().Data[0] != 0 || w.NormCount()[0] != 2 {
		t.Error(loss, err, g)
	}
	if r, err = s.Step(x); r.Loss != 36 || err != nil { // Gradients carried nothing over
		t.Error(r, err)
	}
}

func TestForeignNames(t *testing.T) {
	w := InitWeights(1)
	var file bytes.Buffer
	if _, err := w.WriteOther(&file, nil); err != nil {
		t.Fatal(err)
	}
	bytesOf := slices.Clone(file.Bytes())
	read := NewWeights()
	if err := read.LoadOther(&file); err != nil || !slices.Equal(read.Data(), w.Data()) {
		t.Error(err)
	}
	if err := read.Load(bytes.NewReader(bytesOf)); !errors.Is(err, runtime.ErrModelMismatch) {
		t.Error(err)
	}
	names := ""
	for v := range w.All() {
		names += v.Name + " "
	}
	if names != "tok blocks.0.w blocks.1.w blocks.2.w norm.count " {
		t.Error(names)
	}
	if v, ok := w.Param("blocks.1.w"); !ok || &v.Data[0] != &w.BlocksW(1)[0] {
		t.Error(v, ok)
	}
}
