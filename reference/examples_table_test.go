package reference

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/dsl/check"
	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// An example is a model of ../examples at a size that the evaluator manages.
type example struct {
	file  string // without .lm
	model string
	pkg   string            // if model, in small letters, is taken
	edit  []string          // pairs: sizes that the text fixes, and small ones
	set   map[string]string // dims and options of the model
	dims  map[string]int    // sizes of the arguments
	ints  map[string][2]int // bounds of integer arguments that may not have all values of their type
	args  map[string]func(r *rand.Rand, d *ir.Data)
	opts  map[string]float64 // of the trainers: a few steps must do
	steps int                // of training, 40 if zero
	full  map[string]int     // sizes of a Decode that must agree with Logits
	// spread is the deviation of the weights at which slopes are measured, 0.3 if
	// zero: rounding hides those of a loss that is huge.
	spread float64
}

// name is the name of the generated package.
func (x *example) name() string {
	if x.pkg != "" {
		return x.pkg
	}
	return strings.ToLower(x.model)
}

// quick makes a schedule that warms up fit for a few steps.
var quick = map[string]float64{"Peak": 0.01, "Warmup": 1, "Total": 100}

var examples = []*example{
	{file: "attribution", model: "Net", pkg: "attribution", set: values("I=5 H=6 C=3"), dims: dimsOf("B=3"), ints: map[string][2]int{"steps": {2, 5}}, opts: lr(0.01)},
	{file: "bert", model: "BERT", set: values("V=17 C=8 D=8 F=12 L=2 H=2"), dims: dimsOf("B=2 T=5 M=2"), ints: map[string][2]int{"len": {1, 6}}, opts: quick},
	{file: "bert", model: "Classifier", set: values("V=17 C=8 D=8 F=12 L=2 H=2 K=2"), dims: dimsOf("B=2 T=5"), ints: map[string][2]int{"len": {1, 6}}, opts: quick},
	{file: "chargpt", model: "CharGPT", set: values("V=23 C=8 D=8 L=2 H=2"), dims: dimsOf("B=2 T=5 P=2"), opts: quick, full: dimsOf("T=7")},
	{file: "cnn", model: "CNN", edit: []string{"28", "12", "7*7", "3*3"}, set: values("C=3 W=2 H=6"), dims: dimsOf("B=3"), opts: lr(0.01)},
	{file: "ctc", model: "Speech", set: values("F=4 D=3 L=2 V=5"), dims: dimsOf("B=2 T=6 U=2"), ints: map[string][2]int{"y": {1, 5}, "letters": {1, 3}, "frames": {5, 7}}, opts: lr(0.01)},
	{file: "detector", model: "Detector", set: values("K=3 A=2 C=4"), dims: dimsOf("B=2 H=3 W=2 G=2"), ints: map[string][2]int{"n": {1, 3}, "labels": {0, 3}}, args: corners, opts: lr(0.05)},
	{file: "disease", model: "Disease", set: values("D=5 H=6"), dims: dimsOf("B=4"), opts: lr(0.02)},
	{file: "dpsgd", model: "Net", pkg: "dpsgd", edit: []string{"noise     = 1.1", "noise = 1e-3", "16", "4", "32", "4", "28", "12", "7*7", "3*3"}, set: values("C=3"), dims: dimsOf("B=3")},
	{file: "dpsgd", model: "Net", pkg: "dpsgdplain", edit: []string{"perExample(1.0", "globalNorm(1e9", "noise     = 1.1", "", "16", "4", "32", "4", "28", "12", "7*7", "3*3"}, set: values("C=3"), dims: dimsOf("B=3")},
	{file: "gan", model: "GAN", edit: []string{"64", "32", "reshape[B, 4, 4", "reshape[B, 2, 2", "4*4*8*C", "2*2*8*C"}, set: values("Z=3 C=2"), dims: dimsOf("B=2"), opts: lr(1e-3), steps: 20},
	{file: "gpt2", model: "GPT2", edit: []string{"k = 40", "k = 4"}, set: values("V=17 C=8 D=8 L=2 H=2"), dims: dimsOf("B=2 T=5 P=2"), opts: quick, steps: 160, full: dimsOf("T=7")},
	{file: "gpt2_compact", model: "GPT2", pkg: "gpt2compact", edit: []string{"k = 40", "k = 4"}, set: values("V=17 C=8 D=8 L=2 H=2"), dims: dimsOf("B=2 T=5 P=2"), opts: quick, full: dimsOf("T=7")},
	{file: "graphnet", model: "GraphNet", set: values("A=5 F=3 D=4 L=2"), dims: dimsOf("N=5 E=6 G=2"), opts: quick},
	{file: "linreg", model: "LinReg", set: values("N=8 D=3"), opts: lr(0.05)},
	{file: "llama", model: "Llama", edit: []string{"k = 50", "k = 4"}, set: values("V=17 C=8 D=16 F=12 L=2 G=2 R=2"), dims: dimsOf("B=2 T=5 P=2"), opts: quick, full: dimsOf("T=7")},
	{file: "llama", model: "Mixtral", edit: []string{"k = 50", "k = 4"}, set: values("V=17 C=8 D=16 F=6 L=2 G=2 R=1 E=4 A=2"), dims: dimsOf("B=2 T=5 P=2"), opts: quick, full: dimsOf("T=7")},
	{file: "logreg", model: "LogReg", set: values("I=5 C=3"), dims: dimsOf("B=4")},
	{file: "metric", model: "Triplet", edit: []string{"512", "8"}, set: values("I=6 D=4"), dims: dimsOf("B=6"), ints: map[string][2]int{"who": {0, 3}}, opts: lr(0.01)},
	{file: "metric", model: "ArcFace", edit: []string{"512", "8"}, set: values("I=6 D=4 N=5 scale=8"), dims: dimsOf("B=4")},
	{file: "mlp", model: "MLP", set: values("I=5 H=16 C=3"), dims: dimsOf("B=4"), opts: lr(0.02)},
	{file: "resnet", model: "ResNet18", set: values("C=3 P=16 W=2"), dims: dimsOf("B=3"), opts: quick},
	{file: "resnet", model: "ResNet50", set: values("C=3 P=16 W=2"), dims: dimsOf("B=3"), opts: quick},
	{file: "rnnlm", model: "LSTMLM", set: values("V=11 D=3 L=2"), dims: dimsOf("B=2 T=4"), opts: lr(1)},
	{file: "rnnlm", model: "GRULM", set: values("V=11 D=3"), dims: dimsOf("B=2 T=4"), opts: lr(0.02)},
	{file: "transformer", model: "Transformer", set: values("V=11 C=8 D=8 F=12 L=2 H=2"), dims: dimsOf("B=2 T=3 S=4"), ints: map[string][2]int{"len": {1, 5}}, opts: map[string]float64{"Warmup": 4}},
	{file: "vae", model: "VAE", set: values("I=6 H=8 Z=3"), dims: dimsOf("B=4"), args: map[string]func(r *rand.Rand, d *ir.Data){"x": unit}, opts: lr(0.02)},
	{file: "vgg", model: "VGG16", set: values("C=3 P=1 W=2"), dims: dimsOf("B=2"), opts: lr(0.01)},
	{file: "wavenet", model: "WaveNet", set: values("Q=8 R=3 S=4 L=3"), dims: dimsOf("B=2 T=5"), ints: map[string][2]int{"p": {0, 9}}, opts: lr(0.01), full: dimsOf("T=7")},
	{file: "wgan", model: "WGAN", set: values("I=4 Z=3 H=6"), dims: dimsOf("B=3 N=3"), opts: lr(2e-3)},
	{file: "word2vec", model: "SkipGram", set: values("V=11 D=4"), dims: dimsOf("B=3 K=2 n=2"), opts: lr(0.5)},
}

// medium are examples in sizes at which kernels run in parallel and in tiles
// that do not divide them.
var medium = []*example{
	{file: "bert", model: "BERT", pkg: "bertmedium", set: values("V=67 C=40 D=48 F=100 L=2 H=3"), dims: dimsOf("B=3 T=33 M=5"), ints: map[string][2]int{"len": {1, 34}}, opts: quick, steps: 10},
	{file: "ctc", model: "Speech", pkg: "speechmedium", set: values("F=20 D=24 L=2 V=29"), dims: dimsOf("B=5 T=23 U=5"), ints: map[string][2]int{"y": {1, 5}, "letters": {1, 6}, "frames": {11, 24}}, opts: lr(0.01), steps: 10},
	{file: "detector", model: "Detector", pkg: "detectormedium", set: values("K=7 A=9 C=19"), dims: dimsOf("B=2 H=7 W=5 G=3"), ints: map[string][2]int{"n": {1, 4}, "labels": {0, 7}}, args: corners, opts: lr(0.02), steps: 10},
	{file: "gpt2", model: "GPT2", pkg: "gpt2medium", set: values("V=131 C=40 D=48 L=2 H=3"), dims: dimsOf("B=3 T=33 P=2"), opts: quick, steps: 80, full: dimsOf("T=7")},
	{file: "graphnet", model: "GraphNet", pkg: "graphnetmedium", set: values("A=50 F=8 D=40 L=2"), dims: dimsOf("N=61 E=130 G=7"), spread: 0.05, opts: map[string]float64{"Peak": 1e-3, "Warmup": 1, "Total": 100}, steps: 10},
	{file: "llama", model: "Mixtral", pkg: "mixtralmedium", edit: []string{"k = 50", "k = 4"}, set: values("V=131 C=40 D=48 F=50 L=2 G=3 R=2 E=4 A=2"), dims: dimsOf("B=3 T=33 P=2"), opts: quick, steps: 10, full: dimsOf("T=7")},
	{file: "mlp", model: "MLP", pkg: "mlpmedium", set: values("I=117 H=75 C=10"), dims: dimsOf("B=131"), opts: lr(0.003), steps: 10},
	{file: "resnet", model: "ResNet18", pkg: "resnetmedium", set: values("C=10 P=32 W=9"), dims: dimsOf("B=3"), opts: quick, steps: 10},
	{file: "rnnlm", model: "LSTMLM", pkg: "lstmlmmedium", set: values("V=131 D=40 L=2"), dims: dimsOf("B=7 T=19"), opts: lr(3), steps: 10},
	{file: "wavenet", model: "WaveNet", pkg: "wavenetmedium", set: values("Q=40 R=20 S=36 L=12"), dims: dimsOf("B=3 T=61"), opts: lr(0.01), steps: 10, full: dimsOf("T=7")},
	{file: "word2vec", model: "SkipGram", pkg: "skipgrammedium", set: values("V=301 D=40"), dims: dimsOf("B=130 K=5 n=2"), opts: lr(100), steps: 10},
}

// corners are drawn as boxes: the far corner is beyond the near one.
var corners = map[string]func(r *rand.Rand, d *ir.Data){"anchors": box, "boxes": box}

func box(r *rand.Rand, d *ir.Data) {
	for i := 0; i < len(d.F); i += 4 {
		for k := range 2 {
			d.F[i+k] = 6 * r.Float64()
			d.F[i+k+2] = d.F[i+k] + 2 + 4*r.Float64()
		}
	}
}

// unit maps numbers to 0…1.
func unit(_ *rand.Rand, d *ir.Data) {
	for i, x := range d.F {
		d.F[i] = float64(float32(1 / (1 + math.Exp(-x))))
	}
}

func lr(x float64) map[string]float64 { return map[string]float64{"LR": x} }

func values(s string) map[string]string {
	out := map[string]string{}
	for _, f := range strings.Fields(s) {
		k, v, _ := strings.Cut(f, "=")
		out[k] = v
	}
	return out
}

func dimsOf(s string) map[string]int {
	out := map[string]int{}
	for _, f := range strings.Fields(s) {
		var k string
		var v int
		if _, err := fmt.Sscanf(strings.Replace(f, "=", " ", 1), "%s %d", &k, &v); err != nil {
			panic(err)
		}
		out[k] = v
	}
	return out
}

// text is that of the file with small sizes.
func (x *example) text(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "examples", x.file+".lm"))
	require.NoError(t, err)
	if len(x.edit) == 0 {
		return b
	}
	small := map[string]string{}
	var words []string
	for i := 0; i < len(x.edit); i += 2 {
		small[x.edit[i]] = x.edit[i+1]
		words = append(words, regexp.QuoteMeta(x.edit[i]))
	}
	word := regexp.MustCompile(`\b(` + strings.Join(words, "|") + `)\b`)
	return []byte(word.ReplaceAllStringFunc(string(b), func(s string) string { return small[s] }))
}

// module checks the example.
func (x *example) module(t testing.TB, opt check.Options) *ir.Module {
	t.Helper()
	opt.Model, opt.Set = x.model, x.set
	m, err := checked(x.file+".lm", x.text(t), opt)
	require.NoError(t, err)
	m.API.Package = x.name()
	return m
}

// env is the sizes of the arguments of an entry with its symbols.
func (x *example) env(t testing.TB, e *loop.Entry) map[string]int {
	out := map[string]int{}
	for _, b := range e.Dims {
		if n, ok := x.dims[strings.TrimRight(b.Sym, "0123456789_")]; ok {
			out[b.Sym] = n
		} else {
			t.Fatalf("%s: no size for %s", e.Name, b.Sym)
		}
	}
	return out
}

// draw makes arguments for an entry.
func (x *example) draw(t testing.TB, e *loop.Entry, seed uint64) []*ir.Data {
	t.Helper()
	env := x.env(t, e)
	r := rand.New(rand.NewPCG(seed, 7))
	var out []*ir.Data
	for i, p := range e.Args {
		if p.IsDim {
			out = append(out, ir.Scalar(ir.I32, float64(x.dims[p.Name])))
			continue
		}
		var shape []int
		for _, d := range p.Shape {
			n, err := d.Eval(env)
			require.NoError(t, err)
			shape = append(shape, n)
		}
		d := ir.NewData(p.Elem, shape...)
		lo, hi := 0, 3
		if at, ok := x.ints[p.Name]; ok {
			lo, hi = at[0], at[1]
		}
		for _, in := range e.Ranges {
			if in.Arg == i {
				n, err := in.N.Eval(env)
				require.NoError(t, err)
				if _, ok := x.ints[p.Name]; !ok || hi > n {
					hi = n
				}
			}
		}
		for k := range d.F {
			d.F[k] = float64(float32(r.NormFloat64()))
		}
		for k := range d.I {
			d.I[k] = int32(lo + r.IntN(hi-lo))
			if p.Elem == ir.Bool {
				d.I[k] &= 1
			}
		}
		if f := x.args[p.Name]; f != nil {
			f(r, d)
		}
		if p.Name == "weight" { // of examples
			for k := range d.F {
				d.F[k] = math.Abs(d.F[k])
			}
		}
		out = append(out, d)
	}
	return out
}

// weights draws all weights, near where they start.
func (x *example) weights(api *loop.API) []*ir.Data {
	r := rand.New(rand.NewPCG(3, 5))
	var out []*ir.Data
	for _, w := range api.Weights {
		shape := append([]int{}, w.Counts...)
		for _, d := range w.Shape {
			n, _ := d.Const()
			shape = append(shape, n)
		}
		d := ir.NewData(ir.F32, shape...)
		at := 0.0
		if w.Init.Kind == "const" {
			at = w.Init.Args[0]
		}
		for i := range d.F {
			d.F[i] = float64(float32(at + cmp.Or(x.spread, 0.3)*r.NormFloat64()))
			if w.State {
				d.F[i] = math.Abs(d.F[i]) + 0.1 // a variance is positive
			}
		}
		out = append(out, d)
	}
	return out
}
