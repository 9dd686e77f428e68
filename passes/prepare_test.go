package passes

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/ops"
)

// Entries whose values are prepared give what the functions of the text give, with
// the kernels of every target: those of both native ones the same bits.
func TestPrepare(t *testing.T) {
	module := moduleFile(t, "passes/testdata/prepare", "", nil)
	p, err := Run(module, Options{})
	require.NoError(t, err)
	out, why, err := lowerAll(p)
	require.NoError(t, err)
	require.NoError(t, out.Verify(nil), "%v", out)
	for _, k := range out.Kernels {
		require.NoError(t, why[k], k.Name)
		for i, b := range k.Bufs {
			for _, form := range k.Native {
				if b.Name == "panels" {
					require.True(t, loads(form.Kernel, i), "%s does not read its panels", k.Name)
				}
			}
		}
	}
	r := rand.New(rand.NewPCG(7, 8))
	ev := &ir.Evaluator{Wide: true}
	weights := make([]*ir.Data, len(out.API.Weights))
	for i := range weights {
		weights[i] = randomData(ev, p.stackType(i), r, 2)
		if out.API.Weights[i].State {
			for k, x := range weights[i].F {
				weights[i].F[k] = x * x
			}
		}
	}
	args := map[string][]*ir.Data{}
	for i, e := range module.Entries {
		name := out.API.Entries[i].Name
		var in []*ir.Data
		for k, b := range e.In {
			if b.Kind == ir.WeightKind {
				in = append(in, weights[b.Index])
				continue
			}
			args[name] = append(args[name], randomData(ev, e.Func.Params[k].Type, r, 2))
			in = append(in, args[name][len(args[name])-1])
		}
		want, err := ev.Run(e.Func, in)
		require.NoError(t, err)
		onTargets(t, name, want[0].F, func(target *loop.Target) []float32 {
			return runEntry(t, out, i, weights, e, in, target)
		})
	}
}

// onTargets compares what every target gives with want, and the native ones with
// each other.
func onTargets(t *testing.T, name string, want []float64, run func(*loop.Target) []float32) {
	t.Helper()
	var native []float32
	for _, target := range append([]*loop.Target{nil}, loop.Targets...) {
		got := run(target)
		closeTo32(t, want, got, name)
		switch {
		case target == nil:
		case native == nil:
			native = got
		default:
			require.Equal(t, native, got, "%s: targets differ", name)
		}
	}
}

// loads reports whether k reads its argument i.
func loads(k *loop.Kernel, i int) bool {
	found := false
	walk(k.Body, func(s loop.Stmt) {
		l, ok := s.(*loop.Load)
		found = found || ok && l.Buf == k.Bufs[i]
	})
	return found
}

// runEntry runs entry i for one target: what it reads of prepared parts first.
func runEntry(t *testing.T, out *loop.Program, i int, weights []*ir.Data, e *ir.Entry, in []*ir.Data, target *loop.Target) []float32 {
	t.Helper()
	sig := out.API.Entries[i]
	m := &loop.Memory{Mem: map[loop.Place]loop.Mem{}, Target: target, Poison: true}
	var all []float32
	for k, w := range out.API.Weights {
		all = append(all[:w.Offset], narrow32(weights[k].F)...)
	}
	m.Mem[loop.Place{Space: loop.Weights}] = all
	arg := 0
	for k, b := range e.In {
		if b.Kind == ir.ArgKind {
			m.Mem[loop.Place{Space: loop.Arg, Name: sig.Args[arg].Name}] = narrow32(in[k].F)
			arg++
		}
	}
	for _, part := range out.API.Prepared {
		x := make([]float32, part.Size)
		for k := range x {
			x[k] = float32(math.NaN())
		}
		m.Mem[loop.Place{Space: loop.Prepared, Name: part.Name}] = x
	}
	for _, k := range sig.Prepared {
		if part := out.API.Prepared[k]; target != nil || !part.Native {
			delete(m.Mem, loop.Place{Space: loop.Arena})
			require.NoError(t, loop.RunProc(part.Proc, m))
		}
	}
	n, _ := loop.Product(sig.Results[0].Shape).Const()
	y := make([]float32, n)
	m.Mem[loop.Place{Space: loop.Result, Name: sig.Results[0].Name}] = y
	delete(m.Mem, loop.Place{Space: loop.Arena})
	require.NoError(t, loop.RunProc(sig.Proc, m))
	return y
}

func narrow32(x []float64) []float32 {
	y := make([]float32, len(x))
	for i := range x {
		y[i] = float32(x[i])
	}
	return y
}

func closeTo32(t *testing.T, want []float64, got []float32, name string) {
	t.Helper()
	require.Len(t, got, len(want), name)
	most := 0.0
	for _, x := range want {
		most = max(most, math.Abs(x))
	}
	for i, x := range want {
		require.InDelta(t, x, float64(got[i]), 1e-4*(1+most), "%s %d", name, i)
	}
}

// What is prepared: weights in panels where that pays, what takes more than
// reading it back, for all copies in a stack; the same value once.
func TestPrepareChoice(t *testing.T) {
	p, err := Run(moduleFile(t, "passes/testdata/prepare", "", nil), Options{})
	require.NoError(t, err)
	reads := map[string][]ir.Type{}
	values := map[string][]int{}
	for i, e := range p.Entries {
		name := p.API.Entries[i].Name
		for k, b := range e.In {
			if b.Kind == ir.PreparedKind {
				reads[name] = append(reads[name], e.Func.Params[k].Type)
				values[name] = append(values[name], b.Index)
			}
		}
	}
	want := map[string][]ir.Type{
		"Far": {f32(16, 9, 32)}, "Same": {f32(16, 9, 32)}, "Columns": {f32(3, 43, 32)}, "Many": {f32(2, 130, 32)},
		"Batches": {f32(2, 2, 65, 32)}, "Deep": {f32(3, 16, 512, 32), f32(3, 512)}, "Image": {f32(64)}, "Chance": {f32(512)},
	}
	assert.Equal(t, want, reads)
	assert.Equal(t, values["Far"], values["Same"])
	for i, q := range p.Prepared {
		panels := !slices.ContainsFunc(q.Func.Results, func(v *ir.Value) bool { return v.Type.Rank() < 3 })
		assert.Equal(t, panels, q.Native, "part %d", i)
	}
}

// A size that a call binds makes a value vary, and so does a counter of a loop.
func TestPrepareVaries(t *testing.T) {
	b := newEntry("f", "")
	x := b.param(ir.Tensor(ir.F32, symB, n(4)), ir.Binding{Kind: ir.ArgKind, Name: "x"})
	w := b.param(f32(4), ir.Binding{Kind: ir.WeightKind, Name: "w"})
	wide := b.Exp(b.Broadcast(w, x.Type.Shape, 1))
	count := b.Cast(b.Iota(0, x.Type.Shape...), ir.F32)
	e, err := b.entry([]*ir.Value{b.Add(b.Mul(x, wide), b.Exp(count))}, []ir.Binding{{Kind: ir.ResultKind}})
	require.NoError(t, err)
	p := &Program{Module: &ir.Module{API: &loop.API{}, Entries: []*ir.Entry{e}}}
	require.NoError(t, prepare(p))
	assert.Empty(t, p.Prepared, "%v", p.Entries[0].Func)
	assert.NotContains(t, p.Entries[0].Func.String(), ops.Packed.Name)
}

// nested is a loop over t inside one over stacked weights w; v is the same in both.
func nested(t *testing.T, times int) *ir.Func {
	g := ops.On(ir.NewBuilder("f"))
	x := g.Param("x", f32(16, 64))
	w, v := g.Param("w", f32(2, 64, 512)), g.Param("v", f32(64, 512))

	b := ops.On(ir.NewBuilder("step"))
	b.Param("t", i32())
	h, bw, bv := b.Param("h", x.Type), b.Param("w", f32(64, 512)), b.Param("v", v.Type)
	up := b.Tanh(b.Do(ops.Dot, []*ir.Value{h, bv}, ops.Spec.Is("ab,bc->ac")))
	over := b.Do(ops.Dot, []*ir.Value{h, bw}, ops.Spec.Is("ab,bc->ac"))
	down := b.Do(ops.Dot, []*ir.Value{b.Add(up, over), bw}, ops.Spec.Is("ac,bc->ab"))
	step, err := b.Return(b.Tanh(down))
	require.NoError(t, err)

	l := ops.On(ir.NewBuilder("layer"))
	l.Param("l", i32())
	lh, lw, lv := l.Param("h", x.Type), l.Param("w", f32(64, 512)), l.Param("v", v.Type)
	s := l.Scan(ops.Loop{Body: step, Extent: loop.N(times), Inits: []*ir.Value{lh}, Invariants: []*ir.Value{lw, lv}})
	layer, err := l.Return(l.Get(s, 0))
	require.NoError(t, err)

	s = g.Scan(ops.Loop{Body: layer, Extent: loop.N(2), Inits: []*ir.Value{x}, Slices: []*ir.Value{w}, InAxes: []int{0}, Invariants: []*ir.Value{v}})
	f, err := g.Return(g.Get(s, 0))
	require.NoError(t, err)
	return f
}

// A function that changes weights makes panels before the loops that do not
// change them, where those have enough rows in all; the results are the same.
func TestPanelsOfLoops(t *testing.T) {
	panels := func(f *ir.Func) (n int) {
		for _, v := range f.Values {
			if v.Op == ops.Transpose {
				n++
			}
		}
		return n
	}
	rewritten := func(times int) *Program {
		p := program(nested(t, times))
		p.Entries[0].Out = append(p.Entries[0].Out, ir.Binding{Kind: ir.WeightKind})
		require.NoError(t, prepare(p))
		p.Entries[0].Out = p.Entries[0].Out[:1]
		require.NoError(t, verify(p))
		return p
	}
	assert.NotContains(t, rewritten(7).String(), ops.Packed.Name, "7 times 16 rows")

	p := rewritten(8)
	f := p.Entries[0].Func
	assert.Equal(t, 1, panels(f), "of v:\n%v", f)
	for _, v := range f.Values {
		if v.Op == ops.Scan {
			assert.Equal(t, 2, panels(ops.LoopOf(v).Body), "of a layer:\n%v", f)
		}
	}
	out, _, err := lowerAll(p)
	require.NoError(t, err)
	require.NoError(t, out.Verify(nil), "%v", out)
	r := rand.New(rand.NewPCG(7, 8))
	ev := &ir.Evaluator{Wide: true}
	var in []*ir.Data
	for _, q := range f.Params {
		in = append(in, randomData(ev, q.Type, r, 2))
		for i := range in[len(in)-1].F {
			in[len(in)-1].F[i] /= 32 // so that rounding is not amplified
		}
	}
	want, err := ev.Run(nested(t, 8), in)
	require.NoError(t, err)
	onTargets(t, "nested", want[0].F, func(target *loop.Target) []float32 {
		return runEntry(t, out, 0, nil, p.Entries[0], in, target)
	})
}
