package reference

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/codegen"
	"github.com/lmc-lang/lmc/dsl/check"
	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// small are the examples in sizes that the evaluator can manage.
var small = []struct {
	file, model, set string
	scale            float64        // of weights; 0 for 0.5
	more             map[string]int // one more set of extents
}{
	{file: "attribution", model: "Net", set: "I=5 H=7 C=3"},
	{file: "bert", model: "BERT", set: "V=11 C=8 D=8 F=12 L=2 H=2"},
	{file: "bert", model: "Classifier", set: "V=11 C=8 D=8 F=12 L=2 H=2 K=2"},
	{file: "chargpt", model: "CharGPT", set: "V=64 C=8 D=8 L=2 H=2"},
	{file: "ctc", model: "Speech", set: "F=3 D=4 L=2 V=5"},
	{file: "detector", model: "Detector", set: "K=3 A=2 C=4", scale: 0.1},
	{file: "disease", model: "Disease", set: "D=5 H=6"},
	{file: "dpsgd", model: "Net", set: "C=3"},
	{file: "gan", model: "GAN", set: "Z=3 C=2"},
	{file: "gpt2", model: "GPT2", set: "V=64 C=8 D=8 L=3 H=2"},
	{file: "gpt2_compact", model: "GPT2", set: "V=64 C=8 D=8 L=3 H=2"},
	{file: "graphnet", model: "GraphNet", set: "A=4 F=3 D=4 L=2"},
	{file: "linreg", model: "LinReg", set: "N=7 D=3"},
	{file: "llama", model: "Llama", set: "V=64 C=8 D=8 F=6 L=2 G=2 R=2"},
	{file: "llama", model: "Mixtral", set: "V=64 C=8 D=8 F=6 L=2 G=2 R=2 E=4 A=2"},
	{file: "logreg", model: "LogReg", set: "I=5 C=3"},
	{file: "metric", model: "Triplet", set: "I=5 D=3"},
	{file: "metric", model: "ArcFace", set: "I=5 D=3 N=4"},
	{file: "mlp", model: "MLP", set: "I=5 H=7 C=3"},
	{file: "mlp", model: "MLP", scale: 0.05, more: map[string]int{"B": 37}}, // work for several workers
	{file: "chargpt", model: "CharGPT", scale: 0.1, more: map[string]int{"B": 2, "T": 33, "P": 0}},
	{file: "rnnlm", model: "LSTMLM", set: "V=7 D=4 L=2"},
	{file: "rnnlm", model: "GRULM", set: "V=7 D=4"},
	{file: "transformer", model: "Transformer", set: "V=11 C=8 D=8 F=12 L=2 H=2"},
	{file: "vae", model: "VAE", set: "I=6 H=8 Z=3"},
	{file: "wavenet", model: "WaveNet", set: "Q=7 R=4 S=5 L=3"},
	{file: "wgan", model: "WGAN", set: "I=4 Z=3 H=6"},
	{file: "word2vec", model: "SkipGram", set: "V=9 D=5"},
}

// extents are the sizes of calls, one after the other with the same session.
var extents = []map[string]int{
	{"B": 3, "T": 5, "S": 6, "U": 2, "M": 2, "N": 6, "E": 7, "G": 3, "H": 3, "W": 4, "K": 3, "P": 0, "n": 2},
	{"B": 1, "T": 1, "S": 1, "U": 1, "M": 1, "N": 1, "E": 1, "G": 1, "H": 1, "W": 1, "K": 1, "P": 0, "n": 1},
	{"B": 2, "T": 8, "S": 7, "U": 3, "M": 5, "N": 9, "E": 16, "G": 2, "H": 5, "W": 2, "K": 8, "P": 0, "n": 8},
}

// A smallModel is an example with random weights.
type smallModel struct {
	*compiled
	rng     *rand.Rand
	weights []float64
	extents []map[string]int
}

// TestExamplesComputed compares all functions and gradients of the examples,
// made small, between generated Go and the evaluator.
func TestExamplesComputed(t *testing.T) {
	t.Parallel()
	var ms []*smallModel
	var packages []*compiled
	for _, x := range small {
		text, err := os.ReadFile(filepath.Join("..", "examples", x.file+".lm"))
		require.NoError(t, err)
		set := map[string]string{}
		for _, s := range strings.Fields(x.set) {
			k, v, _ := strings.Cut(s, "=")
			set[k] = v
		}
		m, err := checked(x.file+".lm", text, check.Options{Model: x.model, Set: set})
		require.NoError(t, err)
		m.API.Package = strings.ToLower(strings.ReplaceAll(x.file, "_", "") + x.model)
		if x.set == "" {
			m.API.Package += "large"
		}
		c, err := compile(m, codegen.Options{})
		require.NoError(t, err, x.model)
		s := &smallModel{compiled: c, rng: rand.New(rand.NewPCG(1, 2)), extents: extents}
		if x.more != nil {
			s.extents = append(slices.Clip(extents), x.more)
		}
		n := 0
		for _, w := range c.program.API.Weights {
			n = max(n, w.Offset+w.Len())
		}
		for range n {
			s.weights = append(s.weights, float64(float32(s.rng.NormFloat64()*cmp.Or(x.scale, 0.5))))
		}
		for _, w := range c.program.API.Weights {
			if w.State { // variances
				for i := range w.Len() {
					s.weights[w.Offset+i] = 0.5 + math.Abs(s.weights[w.Offset+i])
				}
			}
		}
		ms, packages = append(ms, s), append(packages, c)
	}
	driver := newDriver(t, "driver.go", packages...).build(t, "driver")
	for _, m := range ms {
		t.Run(m.program.API.Package, func(t *testing.T) {
			m.run(t, driver)
			if entryNamed(m.program.API, "Decode") != nil && len(m.program.API.Caches) > 0 {
				m.decode(t, driver)
			}
		})
	}
}

// all is the request that sets all weights.
func (m *smallModel) all() request {
	x := tensor{Shape: []int{len(m.weights)}}
	for _, w := range m.weights {
		x.Bits = append(x.Bits, math.Float32bits(float32(w)))
	}
	return request{Package: m.program.API.Package, Do: "set", Args: []tensor{x}}
}

// decode requires that reading a text in pieces scores what follows like
// reading it as a whole.
func (m *smallModel) decode(t *testing.T, driver string) {
	const batch, length = 2, 6
	pkg, vocabulary := m.program.API.Package, m.vocabulary()
	ids := make([]uint32, batch*length)
	for i := range ids {
		ids[i] = uint32(m.rng.IntN(vocabulary))
	}
	piece := func(from, to int) tensor {
		x := tensor{Shape: []int{batch, to - from}}
		for b := range batch {
			x.Bits = append(x.Bits, ids[b*length+from:b*length+to]...)
		}
		return x
	}
	ends := []int{3, 4, 6}
	requests := []request{m.all()}
	for range 2 { // a session can start anew
		requests = append(requests, request{Package: pkg, Do: "reset"})
		from := 0
		for _, to := range ends {
			requests = append(requests, request{Package: pkg, Do: "call", Name: "Decode", Args: []tensor{piece(from, to), {Bits: []uint32{uint32(from)}}}})
			from = to
		}
	}
	requests = append(requests, request{Package: pkg, Do: "call", Name: "Logits", Args: []tensor{piece(0, length)}})
	answers := ask(t, nil, []string{driver}, requests)
	for i, a := range answers {
		require.Empty(t, a.Error, requests[i].Name)
	}
	logits := answers[len(answers)-1].Results[0].data(ir.F32)
	for i, to := range append(slices.Clone(ends), ends...) {
		want := ir.NewData(ir.F32, batch, vocabulary)
		for b := range batch {
			copy(want.F[b*vocabulary:], logits.F[(b*length+to-1)*vocabulary:][:vocabulary])
		}
		agree(t, fmt.Sprintf("decoded up to %d", to), want, answers[2+i+i/len(ends)].Results[0], 2e-5)
	}
}

// vocabulary is the number of tokens.
func (m *smallModel) vocabulary() int {
	n, _ := entryNamed(m.program.API, "Decode").Results[0].Shape[1].Const()
	return n
}

// run makes all requests to one package and compares the answers.
func (m *smallModel) run(t *testing.T, driver string) {
	api := m.program.API
	requests := []request{m.all()}
	want := [][]*ir.Data{nil}
	ask1 := func(size map[string]int, do, name string, sig *loop.Entry, e *ir.Entry, carried ...loop.Carried) {
		if len(sig.Args) > 0 && slices.ContainsFunc(e.In, func(b ir.Binding) bool { return b.Kind == ir.KeyKind }) && do == "call" {
			return // draws by a seed that the caller passes
		}
		dims, args := m.args(t, sig, size)
		r := request{Package: api.Package, Do: do, Name: name}
		for i, a := range sig.Args {
			if slices.ContainsFunc(carried, func(c loop.Carried) bool { return c.Arg == i }) {
				args[i] = ir.NewData(args[i].Elem, args[i].Shape...) // as at the first step
				continue
			}
			if a.Default == nil {
				r.Args = append(r.Args, tensorOf(args[i]))
			}
		}
		results, err := m.evaluate(e, dims, args)
		require.NoError(t, err, name)
		requests, want = append(requests, r), append(want, results)
	}
	for _, size := range m.extents {
		for i, e := range api.Entries {
			if slices.ContainsFunc(e.Args, func(a loop.Param) bool { return a.Default != nil }) {
				continue
			}
			if e.Caches {
				requests, want = append(requests, request{Package: api.Package, Do: "reset"}), append(want, nil)
			}
			ask1(size, "call", e.Name, e, m.module.Entries[i])
		}
		for i, tr := range api.Trainers {
			ask1(size, "derivative", tr.Name, tr.Loss, m.passes.Steps[i].Gradients, tr.Carried...)
		}
	}
	for i, a := range ask(t, nil, []string{driver}, requests) {
		r := requests[i]
		if !assert.Empty(t, a.Error, "%s %s", r.Do, r.Name) {
			continue
		}
		for k, x := range a.Results {
			agree(t, fmt.Sprintf("%s %s, result %d", r.Do, r.Name, k), want[i][k], x, 2e-5)
		}
	}
}

// args are random arguments of an entry, and the sizes that they have.
func (m *smallModel) args(t *testing.T, e *loop.Entry, size map[string]int) (map[string]int, []*ir.Data) {
	dims := map[string]int{}
	for _, b := range e.Dims {
		require.Contains(t, size, b.Sym)
		dims[b.Sym] = size[b.Sym]
	}
	for _, n := range e.Need {
		v, err := n.Expr.Eval(dims)
		require.NoError(t, err)
		require.GreaterOrEqual(t, v, 0, n.Text)
	}
	var out []*ir.Data
	for i, a := range e.Args {
		if a.IsDim {
			out = append(out, ir.Scalar(ir.I32, float64(dims[a.Name])))
			continue
		}
		limit := 0
		for _, r := range e.Ranges {
			if r.Arg == i {
				limit, _ = r.N.Eval(dims)
			}
		}
		var shape []int
		for _, d := range a.Shape {
			n, err := d.Eval(dims)
			require.NoError(t, err)
			shape = append(shape, n)
		}
		d := ir.NewData(ir.Elem(a.Elem), shape...)
		for k := range d.F {
			d.F[k] = float64(float32(m.rng.NormFloat64()))
		}
		for k := range d.I {
			switch {
			case a.Elem == loop.Bool:
				d.I[k] = int32(m.rng.IntN(2))
			case limit > 0:
				d.I[k] = int32(m.rng.IntN(limit))
			default:
				d.I[k] = int32(1 + m.rng.IntN(2))
			}
		}
		if give := special[a.Name]; give != nil {
			give(d, dims)
		}
		out = append(out, d)
	}
	return dims, out
}

// special are arguments that cannot be anything: of each name, what is done to
// random data.
var special = map[string]func(d *ir.Data, dims map[string]int){
	"frames": func(d *ir.Data, dims map[string]int) {
		for i := range d.I {
			d.I[i] = int32(dims["T"])
		}
	},
	"letters": func(d *ir.Data, dims map[string]int) {
		for i := range d.I {
			d.I[i] = min(d.I[i], int32(dims["U"]))
		}
	},
	"anchors": boxes,
	"boxes":   boxes,
}

// boxes makes the second corner of each box lie behind the first.
func boxes(d *ir.Data, _ map[string]int) {
	for i := 0; i < len(d.F); i += 4 {
		d.F[i+2] = d.F[i] + 1 + math.Abs(d.F[i+2])
		d.F[i+3] = d.F[i+1] + 1 + math.Abs(d.F[i+3])
	}
}

// evaluate runs e in float64 on the weights; caches, moments and gradients so
// far are zero. The results are those of the entry or, for gradients, the loss
// and the gradient for all weights.
func (m *smallModel) evaluate(e *ir.Entry, dims map[string]int, args []*ir.Data) ([]*ir.Data, error) {
	api := m.program.API
	ev := &ir.Evaluator{Dims: dims, Wide: true}
	var in []*ir.Data
	for i, b := range e.In {
		d, err := ev.New(e.Func.Params[i].Type)
		if err != nil {
			return nil, err
		}
		switch b.Kind {
		case ir.ArgKind:
			d = args[b.Index]
		case ir.WeightKind:
			copy(d.F, m.weights[api.Weights[b.Index].Offset:])
		case ir.TableKind:
			if d, err = ir.DataOf(ir.Elem(api.Tables[b.Index].Elem), d.Shape, api.Tables[b.Index].Data); err != nil {
				return nil, err
			}
		}
		in = append(in, d)
	}
	out, err := ev.Run(e.Func, in)
	if err != nil {
		return nil, err
	}
	var results []*ir.Data
	var loss *ir.Data
	grads := ir.NewData(ir.F32, len(m.weights))
	for i, b := range e.Out {
		switch b.Kind {
		case ir.ResultKind:
			results = append(results, out[i])
		case ir.LossKind:
			loss = out[i]
		case ir.GradKind:
			copy(grads.F[api.Weights[b.Index].Offset:], out[i].F)
		}
	}
	if loss != nil {
		return []*ir.Data{loss, grads}, nil
	}
	return results, nil
}

// agree requires that a result is what the evaluator says in float64, within
// rtol of the largest element.
func agree(t *testing.T, what string, want *ir.Data, got tensor, rtol float64) {
	g := got.data(want.Elem)
	if !assert.Equal(t, append([]int{}, want.Shape...), got.Shape, what) {
		return
	}
	most := 0.0
	for _, x := range want.Floats() {
		if math.Abs(x) <= math.MaxFloat32 {
			most = max(most, math.Abs(x))
		}
	}
	tol := rtol * most
	if want.Elem != ir.F32 {
		tol = 0
	}
	for i, x := range want.Floats() {
		if math.Abs(x) > math.MaxFloat32 {
			x = math.Inf(int(math.Copysign(1, x)))
		}
		if y := g.Floats()[i]; x != y && !(math.Abs(x-y) <= tol+2e-6) && !(math.IsNaN(x) && math.IsNaN(y)) {
			assert.Fail(t, what, "element %d of %v is %v, want %v", i, want.Shape, y, x)
			return
		}
	}
}
