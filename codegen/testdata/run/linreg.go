package linreg

import (
	"bytes"
	"context"
	"errors"
	"math"
	goruntime "runtime"
	"slices"
	"testing"

	"example.com/m/linreg/runtime"
)

// data is a hyperplane without noise.
func data() (x runtime.Tensor2[float32], y []float32) {
	x = runtime.NewTensor2[float32](nil, 100, 10)
	r := runtime.NewRand(1, "data")
	for i := range x.Data {
		x.Data[i] = 2*r.Float32() - 1
	}
	y = make([]float32, 100)
	for i := range y {
		y[i] = 0.5
		for d, v := range x.Row(i) {
			y[i] += v * float32(d)
		}
	}
	return x, y
}

func TestTrains(t *testing.T) {
	x, y := data()
	w := InitWeights(1)
	o := DefaultStepOptions()
	o.LR = 0.3
	s := NewStep(w, o)
	batches := func(yield func(StepBatch, error) bool) {
		for yield(StepBatch{x, y}, nil) {
		}
	}
	var last StepResult
	for p, err := range s.Fit(context.Background(), batches) {
		if err != nil {
			t.Fatal(err)
		}
		if last = p; p.Step == 300 {
			break
		}
	}
	if last.Loss > 1e-6 || math.Abs(float64(*w.B()-0.5)) > 1e-3 || math.Abs(float64(w.W()[9]-9)) > 1e-3 {
		t.Errorf("loss %v, w %v, b %v", last.Loss, w.W(), *w.B())
	}
	if _, n := s.Position(); n != 299 && n != 300 || s.Steps() != 300 {
		t.Errorf("%d batches, %d steps", n, s.Steps())
	}
}

func TestContextEnds(t *testing.T) {
	x, y := data()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	steps := 0
	var last error
	for _, err := range NewStep(NewWeights(), DefaultStepOptions()).Fit(ctx, func(yield func(StepBatch, error) bool) {
		for yield(StepBatch{x, y}, nil) {
		}
	}) {
		steps++
		last = err
		cancel()
	}
	if steps != 2 || !errors.Is(last, context.Canceled) {
		t.Error(steps, last)
	}
}

func TestGradients(t *testing.T) {
	x, y := data()
	w := InitWeights(1)
	s := NewStep(w, DefaultStepOptions())
	g, loss := NewWeights(), float32(0)
	var err error
	if loss, err = s.Gradients(x, y, g); err != nil {
		t.Fatal(err)
	}
	const h = 1.0 / 64
	probe := func(p *float32) float64 {
		was := *p
		*p = was + h
		a, _ := s.Gradients(x, y, NewWeights())
		*p = was - h
		b, _ := s.Gradients(x, y, NewWeights())
		*p = was
		return float64(a-b) / (2 * h)
	}
	if d := probe(&w.W()[3]); math.Abs(d-float64(g.W()[3])) > 1e-2 || loss <= 0 {
		t.Errorf("central difference %v, gradient %v", d, g.W()[3])
	}
	if _, err := s.Gradients(x, y, w); !errors.Is(err, runtime.ErrInUse) {
		t.Error(err)
	}
}

// TestApply: the mean of the gradients of two halves is the gradient.
func TestApply(t *testing.T) {
	x, y := data()
	one, two := InitWeights(1), InitWeights(1)
	s := NewStep(one, DefaultStepOptions())
	a, b := NewWeights(), NewWeights()
	for range 3 {
		if _, err := NewStep(two, DefaultStepOptions()).Step(x, y); err != nil {
			t.Fatal(err)
		}
		_, err1 := s.Gradients(runtime.NewTensor2(x.Data[:500], 50, 10), y[:50], a)
		_, err2 := s.Gradients(runtime.NewTensor2(x.Data[500:], 50, 10), y[50:], b)
		for i := range a.Data() {
			a.Data()[i] = (a.Data()[i] + b.Data()[i]) / 2
		}
		norm, err3 := s.Apply(a)
		if err := errors.Join(err1, err2, err3); err != nil || norm == 0 {
			t.Fatal(err)
		}
	}
	for i, v := range one.Data() {
		if math.Abs(float64(v-two.Data()[i])) > 1e-5 {
			t.Error(i, v, two.Data()[i])
		}
	}
}

func TestBadInput(t *testing.T) {
	x, y := data()
	w := InitWeights(1)
	s, m := NewStep(w, DefaultStepOptions()), NewSession(w)
	want := func(err error, text string) {
		t.Helper()
		if err == nil || err.Error() != text {
			t.Errorf("got %v, want %s", err, text)
		}
	}
	_, err := s.Step(x, y[:99])
	var shape *runtime.ShapeError
	if !errors.As(err, &shape) {
		t.Error(err)
	}
	want(err, "linreg: Step: y: want f32[N=100], got [99]")
	_, err = m.Predict(nil, runtime.NewTensor2(x.Data, 100, 11))
	want(err, "linreg: Predict: x: the shape [100, 11] does not fit data of length 1000")
	y[7] = float32(math.NaN())
	_, err = s.Step(x, y)
	var nonFinite *runtime.NonFiniteError
	if !errors.As(err, &nonFinite) {
		t.Error(err)
	}
	want(err, "linreg: Step: the loss is NaN at step 0")
	if *w.B() != 0 || s.Steps() != 0 {
		t.Error("the weights changed")
	}
	if err := w.Load(bytes.NewReader([]byte("nonsense"))); err == nil {
		t.Error("loaded nonsense")
	}
}

func TestSessionReusesMemory(t *testing.T) {
	x, _ := data()
	m := NewSession(InitWeights(1))
	out, err := m.Predict(nil, x)
	if err != nil || len(out) != 100 {
		t.Fatal(err)
	}
	again, err := m.Predict(out, runtime.NewTensor2(x.Data[:20], 2, 10))
	if err != nil || len(again) != 2 || &again[0] != &out[0] {
		t.Error("not the same memory")
	}
}

// A writer calls a function when it is written to.
type writer func()

func (w writer) Write(p []byte) (int, error) { w(); return len(p), nil }

func TestInUse(t *testing.T) {
	x, y := data()
	w := InitWeights(1)
	s, m := NewStep(w, DefaultStepOptions()), NewSession(w)
	calls := 0
	use := func(want error, call func() error) {
		calls++
		if err := call(); !errors.Is(err, want) {
			t.Errorf("call %d: got %v, want %v", calls, err, want)
		}
	}
	// While the weights are written they can be read, not changed.
	w.WriteTo(writer(func() {
		use(runtime.ErrInUse, func() error { _, err := s.Step(x, y); return err })
		use(runtime.ErrInUse, func() error { return w.Load(bytes.NewReader(nil)) })
		use(nil, func() error { _, err := m.Predict(nil, x); return err })
	}))
	// A checkpoint has them for itself.
	s.Save(writer(func() {
		use(runtime.ErrInUse, func() error { _, err := s.Step(x, y); return err })
		use(runtime.ErrInUse, func() error { _, err := m.Predict(nil, x); return err })
		use(runtime.ErrInUse, func() error { _, err := w.WriteTo(&bytes.Buffer{}); return err })
	}))
	use(nil, func() error { _, err := s.Step(x, y); return err })
	if calls < 7 {
		t.Error(calls)
	}
}

// TestSameBits: the number of workers changes nothing.
func TestSameBits(t *testing.T) {
	var want []float32
	for _, procs := range []int{1, 2, 3} {
		was := goruntime.GOMAXPROCS(procs)
		x, y := data()
		w := InitWeights(1)
		s := NewStep(w, DefaultStepOptions())
		for range 20 {
			if _, err := s.Step(x, y); err != nil {
				t.Fatal(err)
			}
		}
		goruntime.GOMAXPROCS(was)
		if want == nil {
			want = w.Data()
		} else if !slices.Equal(want, w.Data()) {
			t.Error("other weights with", procs)
		}
	}
}
