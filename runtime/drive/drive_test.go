package drive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/runtime"
)

// plane is a generated package as drive sees it: y = x·w by gradient descent.
type plane struct {
	w    []float32
	meta map[string]string
	step int64
	seed uint64
}

type planeResult struct {
	Step int64
	Loss float32
}

var planeParams = []runtime.ParamInfo{{Name: "w", Shape: []int{2}}}

func (p *plane) Step(x runtime.Tensor2[float32], y []float32) (out planeResult, err error) {
	grad := make([]float64, len(p.w))
	loss := 0.0
	for i := range y {
		d := -float64(y[i])
		for k, w := range p.w {
			d += float64(w) * float64(x.At(i, k))
		}
		loss += d * d
		for k := range grad {
			grad[k] += 2 * d * float64(x.At(i, k))
		}
	}
	n := float64(len(y))
	if loss-loss != 0 {
		return out, &runtime.NonFiniteError{Model: "plane", Func: "Step", What: "the loss", Value: loss, Step: p.step}
	}
	for k := range p.w {
		p.w[k] -= float32(0.05 * grad[k] / n)
	}
	p.step++
	return planeResult{p.step, float32(loss / n)}, nil
}

func (p *plane) Predict(dst []float32, x runtime.Tensor2[float32]) ([]float32, error) {
	dst = runtime.Resize(dst, x.Shape[0])
	for i := range dst {
		dst[i] = 0
		for k, w := range p.w {
			dst[i] += w * x.At(i, k)
		}
	}
	return dst, nil
}

func (p *plane) Loss(x runtime.Tensor2[float32], y []float32) (float32, error) {
	got, _ := p.Predict(nil, x)
	loss := float32(0)
	for i := range y {
		loss += (got[i] - y[i]) * (got[i] - y[i]) / float32(len(y))
	}
	return loss, nil
}

func (p *plane) place() runtime.Checkpoint {
	return runtime.Checkpoint{Model: "plane", Trainer: "Step", Step: p.step, Seed: p.seed, Extra: p.meta}
}

func (p *plane) SaveFile(name string) error {
	return runtime.WriteFileAtomic(name, func(w io.Writer) error {
		_, err := runtime.SaveCheckpoint(w, p.place(), runtime.Section[float32]{Params: planeParams, Data: p.w})
		return err
	})
}

func (p *plane) LoadFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	at, err := runtime.LoadCheckpoint(f, p.place(), runtime.Section[float32]{Params: planeParams, Data: p.w})
	p.step, p.meta = at.Step, at.Extra
	return err
}

func (p *plane) Steps() int64           { return p.step }
func (p *plane) SetPosition(_, _ int64) {}

func program(p *plane) Program {
	b, d := Dim{"B", 0}, Dim{"", 2}
	x, y := Arg{"x", "f32", []Dim{b, d}}, Arg{"y", "f32", []Dim{b}}
	return Program{
		Model: "Plane", Params: 2, Kernels: "portable",
		Loss: Func{Name: "Loss", Args: []Arg{x, y}},
		Entries: []Func{
			{Name: "Loss", Args: []Arg{x, y}, Results: []Arg{{"", "f32", nil}}},
			{Name: "Predict", Args: []Arg{x}, Results: []Arg{{"", "f32", []Dim{b}}}},
		},
		Options: map[string]float64{"LR": 0.05},
		New: func(seed uint64, options map[string]float64) (*Run, error) {
			p.w, p.meta, p.seed = make([]float32, 2), map[string]string{}, seed
			return &Run{
				Trainer: p, Weights: p, Meta: &p.meta, Step: p.Step,
				Entries: map[string]any{"Loss": p.Loss, "Predict": p.Predict},
				Views:   func() []Weight { return Views(runtime.Views(planeParams, p.w)) },
			}, nil
		},
	}
}

// tableFile writes a CSV file of n points with y = 2a - 3b.
func tableFile(t *testing.T, n int) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("a,b,y\n")
	for i := range n {
		x, y := float64(i*7%11)-5, float64(i*5%13)-6
		fmt.Fprintf(&b, "%g,%g,%g\n", x, y, 2*x-3*y)
	}
	return file(t, "table.csv", b.String())
}

func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o666))
	return path
}

// train runs a whole session and returns what it printed.
func train(t *testing.T, p Program, c Config) (string, error) {
	t.Helper()
	var out bytes.Buffer
	s, err := newSession(p, c, &out)
	if err != nil {
		return "", err
	}
	err = s.run()
	return out.String(), err
}

func TestTrain(t *testing.T) {
	dir := t.TempDir()
	c := Config{
		CSV: tableFile(t, 100), Target: "y", Raw: true, Steps: 200, Seed: 1, Holdout: 0.1,
		Out: filepath.Join(dir, "w.safetensors"), Checkpoint: filepath.Join(dir, "c.safetensors"), Curve: filepath.Join(dir, "l.svg"),
	}
	p := &plane{}
	out, err := train(t, program(p), c)
	require.NoError(t, err)
	assert.InDeltaSlice(t, []float64{2, -3}, []float64{float64(p.w[0]), float64(p.w[1])}, 1e-3)
	assert.Contains(t, out, "90 rows to train, 10 held out")
	assert.Contains(t, out, "held out: root mean square error")
	assert.Regexp(t, `(?m)^  a +2.0000$`, out)
	svg, err := os.ReadFile(c.Curve)
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(string(svg), "<svg "))

	// Stopped in the middle and resumed, the same bits come out.
	whole := p.w
	c.Steps, c.Out = 70, filepath.Join(dir, "w2.safetensors")
	_, err = train(t, program(&plane{}), c)
	require.NoError(t, err)
	c.Steps, c.Resume = 200, true
	q := &plane{}
	_, err = train(t, program(q), c)
	require.NoError(t, err)
	assert.Equal(t, whole, q.w)

	// Other data has other features.
	c.CSV = file(t, "other.csv", "u,v,y\n1,2,3\n4,5,6\n")
	_, err = train(t, program(&plane{}), c)
	assert.ErrorContains(t, err, "was trained on data with another features")
}

func TestDivergence(t *testing.T) {
	dir := t.TempDir()
	p := &plane{}
	c := Config{CSV: tableFile(t, 40), Target: "y", Raw: true, Steps: 50, Out: filepath.Join(dir, "w.safetensors"), Checkpoint: filepath.Join(dir, "c.safetensors")}
	prog := program(p)
	make := prog.New
	prog.New = func(seed uint64, o map[string]float64) (*Run, error) {
		r, err := make(seed, o)
		p.w[0] = float32(math.Inf(1))
		return r, err
	}
	_, err := train(t, prog, c)
	require.ErrorContains(t, err, "training diverged: plane: Step: the loss is")
	assert.ErrorContains(t, err, "try a lower rate: -lr 0.005")
	assert.NoFileExists(t, c.Out)
}

// TestBind has data and losses that fit, what the dims become, and those that
// do not fit, with the message.
func TestBind(t *testing.T) {
	num := func(n int) Dim { return Dim{N: n} }
	sym := func(s string) Dim { return Dim{Name: s} }
	arg := func(name, elem string, ds ...Dim) Arg { return Arg{name, elem, ds} }
	loss := func(args ...Arg) Func { return Func{Name: "Loss", Args: args} }
	rows := func(n int, cols ...*Column) *Data { return &Data{Source: "d", Rows: n, Columns: cols} }
	feat := func(w int) *Column {
		return &Column{Name: "x", Role: features, Shape: []int{w}, F: make([]float32, 2*w)}
	}
	words := func(s ...string) *Column { return &Column{Name: "kind", Role: target, text: s} }
	image := func() *Column {
		return &Column{Name: "images", Role: features, Shape: []int{4, 6}, F: make([]float32, 48)}
	}
	labels := func(x ...int32) *Column { return &Column{Name: "labels", Role: target, I: x} }
	scores := func(d Dim, args ...Arg) []Func {
		return []Func{{Name: "Logits", Args: args, Results: []Arg{arg("", "f32", sym("B"), d)}}}
	}
	letters := &Data{Source: "t", Tokens: []int32{0, 1, 2}, Vocab: []rune("abc")}
	b := sym("B")
	for _, c := range []struct {
		name   string
		data   *Data
		loss   Func
		scores []Func
		known  map[string]int
		err    string
	}{
		{"classes", rows(2, feat(3), words("u", "v")), loss(arg("x", "f32", b, sym("I")), arg("y", "i32", b)), scores(sym("C"), arg("x", "f32", b, sym("I"))), map[string]int{"I": 3, "C": 2}, ""},
		{"target first", rows(2, feat(3), words("u", "v")), loss(arg("label", "i32", b), arg("a", "f32", b, num(3))), nil, map[string]int{}, ""},
		{"regression", rows(2, feat(3), words("1", "2.5")), loss(arg("x", "f32", b, num(3)), arg("y", "f32", b)), nil, map[string]int{}, ""},
		{"column of numbers", rows(2, feat(1), words("1", "2")), loss(arg("x", "f32", b), arg("y", "f32", b)), nil, map[string]int{}, ""},
		{"matrix target", rows(2, feat(2), words("1", "2")), loss(arg("x", "f32", b, num(2)), arg("y", "f32", b, num(1))), nil, map[string]int{}, ""},
		{"flat images", rows(2, image(), labels(0, 9)), loss(arg("x", "f32", b, sym("I")), arg("y", "i32", b)), scores(sym("C"), arg("x", "f32", b, sym("I"))), map[string]int{"I": 24, "C": 10}, ""},
		{"images with a channel", rows(2, image(), labels(0, 1)), loss(arg("x", "f32", b, num(4), num(6), num(1)), arg("y", "i32", b)), nil, map[string]int{}, ""},
		{"images", rows(2, image(), labels(0, 1)), loss(arg("x", "f32", b, sym("H"), sym("W")), arg("y", "i32", b)), nil, map[string]int{"H": 4, "W": 6}, ""},
		{"unsupervised", rows(2, feat(3)), loss(arg("x", "f32", b, num(3))), nil, map[string]int{}, ""},
		{"letters", letters, loss(arg("ids", "i32", b, sym("T")), arg("next", "i32", b, sym("T"))), []Func{{Name: "Logits", Args: []Arg{arg("ids", "i32", b, sym("T"))}, Results: []Arg{arg("", "f32", b, sym("T"), sym("V"))}}}, map[string]int{"V": 3}, ""},
		{"letters without next", letters, loss(arg("ids", "i32", sym("T"))), nil, map[string]int{}, ""},

		{"width", rows(2, feat(3), words("1", "2")), loss(arg("x", "f32", b, num(4)), arg("y", "f32", b)), nil, nil, "d: a row of x has 3 numbers along axis 1, but the argument x f32[B, 4] of Loss wants 4"},
		{"no target", rows(2, feat(3)), loss(arg("x", "f32", b, num(3)), arg("y", "f32", b)), nil, nil, "there is no data for the argument y f32[B] of Loss; the target is not given: -target COLUMN or -labels FILE"},
		{"target not wanted", rows(2, feat(3), words("1", "2")), loss(arg("x", "f32", b, num(3))), nil, nil, "d: no argument of the model is for kind; Loss takes x f32[B, 3]"},
		{"too many classes", rows(2, feat(3), words("u", "v")), loss(arg("x", "f32", b, num(3)), arg("y", "i32", b)), scores(num(1), arg("x", "f32", b, num(3))), nil, "d: kind has 2 classes, but Logits of the model scores 1"},
		{"label out of range", rows(2, image(), labels(3, 7)), loss(arg("x", "f32", b, num(24)), arg("y", "i32", b)), scores(num(5), arg("x", "f32", b, num(24))), nil, "d: the label in row 2 is 7, but Logits of the model scores 5 classes (0 to 4)"},
		{"negative label", rows(2, image(), labels(3, -1)), loss(arg("x", "f32", b, num(24)), arg("y", "i32", b)), nil, nil, "d: the label in row 2 is -1; labels count from 0"},
		{"words for numbers", rows(2, feat(3), words("u", "v")), loss(arg("x", "f32", b, num(3)), arg("y", "f32", b)), nil, nil, `d: row 1: kind is "u", but the model wants a number`},
		{"shape", rows(2, image(), labels(3, 1)), loss(arg("x", "f32", b, num(2), num(3), num(4)), arg("y", "i32", b)), nil, nil, "d: a row of images has the shape [4 6], but the argument x f32[B, 2, 3, 4] of Loss wants [2 3 4]"},
		{"two dims of one name", rows(2, image(), labels(0, 1)), loss(arg("x", "f32", b, sym("S"), sym("S")), arg("y", "i32", b)), nil, nil, "d: a row of images has 6 numbers along axis 2, but the argument x f32[B, S, S] of Loss wants 4 (S=6)"},
		{"scalar", rows(2, feat(3)), loss(arg("x", "f32")), nil, nil, "the argument x f32 of Loss is one number; data has a number for each row"},
		{"letters for numbers", letters, loss(arg("x", "f32", b, num(3))), nil, nil, "-text needs a loss of tokens, like Loss(ids, next i32[B, T]), but Loss takes x f32[B, 3]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Bind(c.data, c.loss, c.scores)
			if c.err != "" {
				require.Error(t, err)
				first, _, _ := strings.Cut(err.Error(), "\n")
				assert.Equal(t, c.err, first)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, c.known, got.Known)
		})
	}
}

func TestAdvice(t *testing.T) {
	b, n := Dim{Name: "B"}, Dim{N: 3}
	x, y := Arg{"x", "f32", []Dim{b, n}}, Arg{"y", "i32", []Dim{b}}
	for want, args := range map[string][]Arg{
		"-csv FILE -target|-images FILE|-in x=x.npy -in y=y.npy|-in FILE": {x, y},
		"-csv FILE -target|-in x=x.npy -in y=y.npy|-in FILE":              {x, {"y", "f32", []Dim{b}}},
		"-csv FILE|-in x=x.npy|-in FILE":                                  {x},
		"-text FILE|-in ids=ids.npy|-in FILE":                             {{"ids", "i32", []Dim{b, b}}},
		"-images FILE|-in x=x.npy -in y=y.npy|-in FILE":                   {{"x", "f32", []Dim{b, n, n, {N: 1}}}, y},
		"-in x=x.npy -in y=y.npy|-in FILE":                                {{"x", "f32", []Dim{b, n, n, n}}, y},
		"-in a=a.npy -in b=b.npy|-in FILE":                                {{"a", "f32", []Dim{b, n, n, n}}, {"b", "f32", []Dim{b, n}}},
	} {
		lines := strings.Split(Advice(Func{Name: "Loss", Args: args}), "\n")[1:]
		parts := strings.Split(want, "|")
		require.Len(t, lines, len(parts), want)
		for i, p := range parts {
			assert.True(t, strings.HasPrefix(lines[i], "  "+p), "%q begins with %q", lines[i], p)
		}
	}
}

func TestBatches(t *testing.T) {
	c := &Config{CSV: tableFile(t, 50), Target: "y", Raw: true, Seed: 7, Holdout: 0.2, Batch: 8}
	d, err := Load(c)
	require.NoError(t, err)
	p := program(&plane{})
	b, err := Bind(d, p.Loss, p.Entries)
	require.NoError(t, err)
	s, err := newRows(d, b, c)
	require.NoError(t, err)
	require.EqualValues(t, 5, s.perEpoch())
	// In an epoch every row to train occurs once, and none that is held out.
	seen := map[[3]float32]int{}
	for k := range int64(5) {
		x := s.batch(k)
		require.Equal(t, []int{8, 2}, x[0].shape)
		for i, y := range x[1].f {
			seen[[3]float32{x[0].f[2*i], x[0].f[2*i+1], y}]++
		}
	}
	assert.Len(t, seen, 40)
	held := s.held()
	require.Len(t, held, 2)
	assert.Equal(t, []int{2, 2}, held[1][0].shape)
	// Any batch can be made again.
	third := append([]float32(nil), s.batch(13)[0].f...)
	s.batch(2)
	assert.Equal(t, third, s.batch(13)[0].f)
}

func TestText(t *testing.T) {
	path := file(t, "t.txt", strings.Repeat("abcdefghij", 20)+"\r\n")
	c := &Config{Text: path, Seed: 1, Holdout: 0.1, Batch: 3, Length: 4}
	d, err := Load(c)
	require.NoError(t, err)
	require.Equal(t, []rune("\nabcdefghij"), d.Vocab)
	bt := []Dim{{Name: "B"}, {Name: "T"}}
	p := Program{Loss: Func{Name: "Loss", Args: []Arg{{"next", "i32", bt}, {"ids", "i32", bt}}}}
	b, err := Bind(d, p.Loss, nil)
	require.NoError(t, err)
	assert.Equal(t, []int{1, 0}, []int{b.Input, b.Next})
	for _, follow := range []bool{false, true} {
		p.Carries = follow
		s, err := newText(d, b, &p, c)
		require.NoError(t, err)
		for k := range int64(20) {
			x := s.batch(k)
			require.Equal(t, []int{3, 4}, x[0].shape)
			for i, id := range x[1].i {
				require.Equal(t, id%10+1, x[0].i[i]) // the letter that follows
			}
		}
		if follow {
			next := s.batch(0)[0].i[3]
			assert.Equal(t, next, s.batch(1)[1].i[0], "pieces follow each other")
		}
	}
	for text, want := range map[string]string{"": "is empty", "abc": "too few for pieces of 4", "a\xff": "is not a text in UTF-8"} {
		c := &Config{Text: file(t, "u.txt", text), Length: 4}
		d, err := Load(c)
		if err == nil {
			_, err = newText(d, b, &p, c)
		}
		assert.ErrorContains(t, err, want)
	}
}

// TestGenerate lets a model without a generate block write.
func TestGenerate(t *testing.T) {
	bt := []Dim{{Name: "B"}, {Name: "T"}}
	d, err := Load(&Config{Text: file(t, "t.txt", strings.Repeat("abc", 50))})
	require.NoError(t, err)
	p := Program{Loss: Func{Name: "Loss", Args: []Arg{{"ids", "i32", bt}}}}
	p.Entries = []Func{{Name: "Logits", Args: p.Loss.Args, Results: []Arg{{"", "f32", append(bt[:2:2], Dim{N: 3})}}}}
	b, err := Bind(d, p.Loss, p.Entries)
	require.NoError(t, err)
	src, err := newText(d, b, &p, &Config{Length: 8})
	require.NoError(t, err)
	var out bytes.Buffer
	logits := func(dst []float32, ids runtime.Tensor2[int32]) (runtime.Tensor3[float32], error) {
		z := runtime.NewTensor3[float32](nil, 1, ids.Shape[1], 3)
		for i, id := range ids.Data {
			z.Data[3*i+int(id+1)%3] = 50
		}
		return z, nil
	}
	s := &session{p: p, d: d, b: b, src: src, out: &out, c: Config{Sample: 20}, labels: -1, r: &Run{Entries: map[string]any{"Logits": logits}}}
	s.functions()
	s.showText()
	assert.Contains(t, out.String(), "what it writes:\n  abcabcabcabcabcabcab\n")
	out.Reset()
	s.c.Prompt = "ax"
	s.showText()
	assert.Contains(t, out.String(), `no sample: the letter 'x' of -prompt does not occur in`)
	out.Reset()
	s.c.Prompt = ""
	s.r.Generate = func([]int32, uint64) iter.Seq2[int32, error] {
		return func(yield func(int32, error) bool) { yield(0, errors.New("broken")) }
	}
	s.showText()
	assert.Contains(t, out.String(), "no sample: broken")
}

func TestProgress(t *testing.T) {
	var out bytes.Buffer
	for _, terminal := range []bool{false, true} {
		out.Reset()
		p := newProgress(&out, terminal, 0, 1000, 0)
		at := p.start
		p.now = func() time.Time { return at }
		for k := range int64(1000) {
			at = at.Add(20 * time.Millisecond)
			p.step(k+1, 100/float64(k+10))
			if k == 499 {
				p.validated(k+1, 0.25, 0.9)
			}
		}
		p.end()
		text := out.String()
		if terminal {
			require.True(t, strings.Contains(text, "\r\x1b[Kstep  501/1000 [============            ]  loss 0.1997"), text[:min(len(text), 300)])
			assert.Contains(t, text, "held out 0.2500 (90.0 % right)  50.0 steps/s  ")
			assert.True(t, strings.HasSuffix(text, "steps/s\n"))
			continue
		}
		assert.NotContains(t, text, "\x1b")
		assert.Contains(t, text, "step  451/1000  loss 0.2218  50.0 steps/s  11s left\n")
		assert.Contains(t, text, "step  500  held out 0.2500 (90.0 % right)\n")
		assert.Less(t, strings.Count(text, "\n"), 12)
	}
}
