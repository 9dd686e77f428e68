package passes_test

import (
	"math"
	"math/rand/v2"
	"os"
	"regexp"
	"testing"

	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/dsl/check"
	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/passes"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// models are example models made small. arrange changes random arguments, by
// name, to ones that make sense.
var models = []struct {
	file, model string
	set         map[string]string
	arrange     func(args map[string]*ir.Data)
}{
	{"linreg", "", nil, nil},
	{"logreg", "", map[string]string{"I": "5", "C": "3"}, nil},
	{"mlp", "", map[string]string{"I": "5", "H": "4", "C": "3"}, nil},
	{"rnnlm", "LSTMLM", map[string]string{"D": "3", "V": "7", "L": "2"}, nil},
	{"rnnlm", "GRULM", map[string]string{"D": "3", "V": "7"}, nil},
	{"gpt2_compact", "", map[string]string{"D": "8", "H": "2", "L": "2", "V": "60", "C": "8"}, nil},
	{"gpt2", "", map[string]string{"D": "8", "H": "2", "L": "2", "V": "60", "C": "8"}, nil},
	{"llama", "Llama", map[string]string{"D": "8", "V": "60", "L": "2", "F": "6", "G": "2", "C": "8"}, nil},
	{"llama", "Mixtral", map[string]string{"D": "16", "V": "60", "L": "2", "F": "6", "G": "2", "R": "2", "C": "8", "E": "3"}, nil},
	{"transformer", "", map[string]string{"D": "8", "L": "2", "V": "11", "C": "8", "F": "6", "H": "2"}, nil},
	{"bert", "", map[string]string{"D": "8", "H": "2", "L": "2", "V": "11", "C": "8", "F": "6"}, nil},
	{"wavenet", "", map[string]string{"Q": "8", "R": "4", "S": "4", "L": "4"}, nil},
	{"graphnet", "", map[string]string{"D": "4", "A": "5", "F": "3", "L": "2"}, nil},
	{"ctc", "", map[string]string{"F": "3", "D": "2", "V": "4", "L": "2"}, func(args map[string]*ir.Data) {
		fill(args["frames"], func(int) int32 { return 3 })
		fill(args["letters"], func(int) int32 { return 1 })
	}},
	{"detector", "", map[string]string{"K": "2", "A": "2", "C": "4"}, func(args map[string]*ir.Data) {
		for _, name := range []string{"anchors", "boxes"} {
			for f, i := args[name].F, 0; i < len(f); i += 4 {
				f[i+2], f[i+3] = f[i]+1.5+f[i+2]*f[i+2], f[i+1]+1.2+f[i+3]*f[i+3]
			}
		}
	}},
	{"attribution", "", map[string]string{"I": "5", "H": "4", "C": "3"}, nil},
}

func fill(d *ir.Data, x func(i int) int32) {
	for i := range d.I {
		d.I[i] = x(i)
	}
}

// The gradients of the example models, as all passes leave them, agree with
// central differences of the loss as it was checked.
func TestExampleGradients(t *testing.T) {
	for _, c := range models {
		t.Run(c.file+c.model, func(t *testing.T) {
			text, err := os.ReadFile("../examples/" + c.file + ".lm")
			require.NoError(t, err)
			file, diags := dsl.Parse(c.file+".lm", text)
			require.False(t, diags.HasErrors(), "%v", diags)
			m, diags := check.Check([]*dsl.File{file}, check.Options{Model: c.model, Set: c.set})
			require.False(t, diags.HasErrors(), "%v", diags)
			p, err := passes.Run(m, passes.Options{})
			require.NoError(t, err)
			for i := range m.Trainers {
				x := newExample(t, m, p, i)
				if c.arrange != nil {
					c.arrange(x.named)
				}
				x.check(t)
			}
		})
	}
}

// An example is a loss with arguments.
type example struct {
	rng    *rand.Rand
	dims   map[string]int
	loss   *ir.Entry // as checked
	grads  *ir.Entry
	args   []*ir.Data // of grads; those of loss come first
	named  map[string]*ir.Data
	scalar func() float64
}

func newExample(t *testing.T, m *ir.Module, p *passes.Program, i int) *example {
	x := &example{rng: rand.New(rand.NewPCG(5, 6)), dims: map[string]int{}, loss: m.Trainers[i].Loss, grads: p.Steps[i].Gradients, named: map[string]*ir.Data{}}
	sig := m.API.Trainers[i].Loss
	for _, q := range x.grads.Func.Params {
		for _, d := range q.Type.Shape {
			for _, s := range d.Syms() {
				x.dims[s] = 3
			}
		}
	}
	ev := &ir.Evaluator{Dims: x.dims, Wide: true}
	for k, q := range x.grads.Func.Params {
		d, err := ev.New(q.Type)
		require.NoError(t, err)
		in := x.grads.In[k]
		switch in.Kind {
		case ir.TableKind:
			d, err = ir.DataOf(q.Type.Elem, d.Shape, m.API.Tables[in.Index].Data)
			require.NoError(t, err)
		case ir.ArgKind:
			n := 2
			for _, r := range sig.Ranges {
				if r.Arg == in.Index {
					n, err = r.N.Eval(x.dims)
					require.NoError(t, err)
				}
			}
			fill(d, func(int) int32 { return int32(x.rng.IntN(n)) })
			x.named[sig.Args[in.Index].Name] = d
		}
		for j := range d.F {
			if in.Kind != ir.TableKind && in.Kind != ir.ScalarKind { // a scalar stays 0: the first micro-batch
				d.F[j] = x.rng.NormFloat64() / 2
			}
		}
		x.args = append(x.args, d)
	}
	plain := &ir.Evaluator{Dims: x.dims, Wide: true}
	x.scalar = func() float64 {
		ys, err := plain.Run(x.loss.Func, x.args[:len(x.loss.Func.Params)])
		require.NoError(t, err)
		sum := 0.0
		for _, y := range ys[0].F {
			sum += y
		}
		return sum / float64(len(ys[0].F))
	}
	return x
}

func (x *example) check(t *testing.T) {
	out, err := (&ir.Evaluator{Dims: x.dims, Wide: true}).Run(x.grads.Func, x.args)
	require.NoError(t, err)
	require.False(t, math.IsNaN(out[0].F[0]) || math.IsInf(out[0].F[0], 0), "the loss is %v", out[0].F[0])
	assert.InEpsilon(t, x.scalar(), out[0].F[0], 1e-9)
	for k, o := range x.grads.Out {
		if o.Kind != ir.GradKind {
			continue
		}
		for j, in := range x.loss.In {
			if in.Kind != ir.WeightKind || in.Index != o.Index {
				continue
			}
			w := x.args[j].F
			for range 2 {
				e := x.rng.IntN(len(w))
				const h = 1e-6
				at := w[e]
				w[e] = at + h
				up := x.scalar()
				w[e] = at - h
				down := x.scalar()
				w[e] = at
				want := (up - down) / (2 * h)
				assert.InDelta(t, want, out[k].F[e], 1e-5*max(1, math.Abs(want)), "%s[%d]", o.Name, e)
			}
		}
	}
}

// No training step of a Transformer has memory with an element for each query
// and key.
func TestNoScoresInMemory(t *testing.T) {
	scores := regexp.MustCompile(`\b[ST]\*[ST]\b`)
	for _, c := range []struct{ file, model string }{{"chargpt", ""}, {"gpt2", ""}, {"gpt2_compact", ""}, {"bert", ""}, {"llama", "Llama"}, {"llama", "Mixtral"}, {"transformer", ""}} {
		text, err := os.ReadFile("../examples/" + c.file + ".lm")
		require.NoError(t, err)
		file, diags := dsl.Parse(c.file+".lm", text)
		require.False(t, diags.HasErrors(), "%v", diags)
		m, diags := check.Check([]*dsl.File{file}, check.Options{Model: c.model})
		require.False(t, diags.HasErrors(), "%v", diags)
		p, err := passes.Run(m, passes.Options{})
		require.NoError(t, err)
		out, err := passes.Lower(p)
		require.NoError(t, err)
		for _, proc := range out.Procs {
			for _, s := range proc.Slots {
				assert.NotRegexp(t, scores, s.Size.String(), "%s %s: %s", c.file, c.model, proc.Name)
			}
		}
	}
}

// TestOpenSizes: a step of sizes that are not known when it is compiled takes as
// much memory as one of sizes that are, within 5 % for what knowing them does to
// kernels.
func TestOpenSizes(t *testing.T) {
	sizes := map[string]int{"B": 6, "T": 24, "S": 9}
	for _, name := range []string{"chargpt", "cnn", "gpt2", "mlp", "rnnlm", "transformer", "vae", "wavenet"} {
		text, err := os.ReadFile("../examples/" + name + ".lm")
		require.NoError(t, err)
		file, diags := dsl.Parse(name+".lm", text)
		require.False(t, diags.HasErrors(), "%v", diags)
		lower := func(dims []check.DimOption) *loop.Program {
			m, diags := check.Check([]*dsl.File{file}, check.Options{Dims: dims})
			require.False(t, diags.HasErrors(), "%v", diags)
			p, err := passes.Run(m, passes.Options{})
			require.NoError(t, err)
			out, err := passes.Lower(p)
			require.NoError(t, err)
			return out
		}
		open := lower(nil)
		loss := open.API.Trainers[0].Loss
		var dims []check.DimOption
		for _, b := range loss.Dims {
			require.NotZero(t, sizes[b.Sym], "%s: %s", name, b.Sym)
			dims = append(dims, check.DimOption{Name: b.Sym, Rel: "=", N: sizes[b.Sym]})
		}
		require.NotEmpty(t, loss.Proc.Slots, name)
		closed := lower(dims)
		have, err := loss.Proc.Plan(sizes)
		require.NoError(t, err)
		want, err := closed.API.Trainers[0].Loss.Proc.Plan(nil)
		require.NoError(t, err)
		t.Logf("%s: %d bytes, %d where sizes are known", name, have.Bytes(4), want.Bytes(4))
		assert.Less(t, float64(have.Bytes(4)), 1.05*float64(want.Bytes(4)), name)
	}
}
