package passes

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/ops"
)

// signatures makes up the signatures of the losses of p, which tests of passes
// leave out.
func signatures(p *Program) {
	for i, t := range p.API.Trainers {
		if t.Loss != nil && len(t.Loss.Results) > 0 || p.Steps[i].Gradients == nil {
			continue
		}
		t.Loss = &loop.Entry{Name: t.Name}
		e := p.Steps[i].Gradients
		for k, b := range e.In {
			if b.Kind == ir.ArgKind {
				for len(t.Loss.Args) <= b.Index {
					t.Loss.Args = append(t.Loss.Args, loop.Param{})
				}
				u := e.Func.Params[k].Type
				t.Loss.Args[b.Index] = loop.Param{Name: fmt.Sprintf("a%d", b.Index), Elem: u.Elem, Shape: u.Shape}
			}
		}
		for k, b := range e.Out {
			if b.Kind == ir.LossKind || b.Kind == ir.ResultKind {
				for len(t.Loss.Results) <= b.Index {
					t.Loss.Results = append(t.Loss.Results, loop.Param{})
				}
				u := e.Func.Results[k].Type
				t.Loss.Results[b.Index] = loop.Param{Name: fmt.Sprintf("r%d", b.Index), Elem: u.Elem, Shape: u.Shape}
			}
		}
	}
}

// checkLowered schedules p and compares every procedure with the function that
// it was made from.
func checkLowered(t *testing.T, p *Program, dims map[string]int) *loop.Program {
	t.Helper()
	signatures(p)
	out, err := Lower(p)
	require.NoError(t, err)
	require.NoError(t, out.Verify(dims), "%v", out)
	s := &scheduler{p: p, out: out}
	check := func(e *ir.Entry, sig *loop.Entry, proc *loop.Proc, tr *loop.Trainer) {
		t.Helper()
		checkEntry(t, s, e, sig, proc, tr, dims)
	}
	for i, e := range p.Entries {
		check(e, out.API.Entries[i], out.API.Entries[i].Proc, nil)
	}
	for i, st := range p.Steps {
		tr := out.API.Trainers[i]
		check(st.Gradients, tr.Loss, tr.Loss.Proc, tr)
		check(st.Apply, &loop.Entry{}, tr.Apply, tr)
		if st.Direct != nil {
			check(st.Direct, tr.Direct, tr.Direct.Proc, tr)
		}
		checkHost(t, st.Host, tr.Host)
	}
	for i, g := range out.API.Generators {
		check(p.Samplers[i].Step, g.Step, g.Step.Proc, nil)
		check(p.Samplers[i].Sample, g.Sample, g.Sample.Proc, nil)
	}
	return out
}

func checkEntry(t *testing.T, s *scheduler, e *ir.Entry, sig *loop.Entry, proc *loop.Proc, tr *loop.Trainer, dims map[string]int) {
	t.Helper()
	r := rand.New(rand.NewPCG(3, 4))
	ev := &ir.Evaluator{Dims: dims, Wide: true}
	params, err := s.places(newMemory(), e.Func.Params, e.In, sig, tr, false)
	require.NoError(t, err)
	results, err := s.places(newMemory(), e.Func.Results, e.Out, sig, tr, true)
	require.NoError(t, err)
	size := map[loop.Place]int{}
	span := func(p *place) (loop.Place, int, int) {
		off, err := p.off.Eval(dims)
		require.NoError(t, err)
		n, err := p.len.Eval(dims)
		require.NoError(t, err)
		at := loop.Place{Space: p.space, Elem: p.elem, Name: p.name}
		size[at] = max(size[at], off+n)
		return at, off, off + n
	}
	for _, p := range append(append([]*place(nil), params...), results...) {
		span(p)
	}
	mem := &loop.Memory{Dims: dims, Wide: true, Poison: true, Mem: map[loop.Place]loop.Mem{}}
	for at, n := range size {
		mem.Mem[at] = loop.NewMem(at.Elem, n, true)
	}
	var args []*ir.Data
	for i, q := range e.Func.Params {
		d := randomData(ev, q.Type, r, 2)
		if e.In[i].Kind == ir.ScalarKind || e.In[i].Kind == ir.MomentKind {
			for k := range d.F {
				d.F[k] *= d.F[k]
			}
		}
		args = append(args, d)
		at, lo, hi := span(params[i])
		write(mem.Mem[at], lo, hi, toMem(d))
	}
	want, err := ev.Run(e.Func, args)
	require.NoError(t, err)
	require.NoError(t, loop.RunProc(proc, mem), "%s\n%v", proc.Name, s.out)
	for i := range e.Func.Results {
		at, lo, hi := span(results[i])
		requireClose(t, want[i], toFloats(mem.Mem[at])[lo:hi], i, s.out)
	}
}

func write(to loop.Mem, lo, hi int, from loop.Mem) {
	switch to := to.(type) {
	case []float64:
		copy(to[lo:hi], from.([]float64))
	case []int32:
		copy(to[lo:hi], from.([]int32))
	case []bool:
		copy(to[lo:hi], from.([]bool))
	}
}

func checkHost(t *testing.T, f *ir.Func, k *loop.Kernel) {
	t.Helper()
	if f == nil {
		return
	}
	ev := &ir.Evaluator{Wide: true}
	args := []*ir.Data{ir.Scalar(ir.I32, 3)}
	var options []float64
	for i, p := range f.Params[1:] {
		x := 0.25 * float64(i+1)
		if p.Type.Elem == ir.I32 {
			x = float64(i + 2)
		}
		options = append(options, x)
		args = append(args, ir.Scalar(p.Type.Elem, x))
	}
	want, err := ev.Run(f, args)
	require.NoError(t, err)
	got := make([]float64, len(want))
	require.NoError(t, loop.Run(k, nil, true, []loop.Mem{[]int32{3}, options, got}, nil))
	for i, w := range want {
		require.InDelta(t, w.F[0], got[i], 1e-12)
	}
}

func TestLowerSteps(t *testing.T) {
	dims := map[string]int{"B": 3, "T": 5}
	t.Run("net", func(t *testing.T) {
		p, err := Run(netModule(t, nil), Options{})
		require.NoError(t, err)
		checkLowered(t, p, dims)
	})
	t.Run("all", func(t *testing.T) {
		p, err := Run(netModule(t, func(tr *ir.Trainer, a *loop.Trainer) {
			tr.Clip, tr.ClipKey, a.Accumulate, a.EMA = 0.1, "globalNorm", 2, 0.5
			tr.Penalty = squares(t)
		}), Options{})
		require.NoError(t, err)
		checkLowered(t, p, dims)
	})
	for name, f := range map[string]func(*entryBuilder) *ir.Value{"recurrent": recurrent, "deep": deep, "attention": attention, "penalised": penalised, "embedded": embedded} {
		t.Run(name, func(t *testing.T) {
			p, err := Run(lossModule(t, f), Options{})
			require.NoError(t, err)
			checkLowered(t, p, dims)
			checkLowered(t, p, map[string]int{"B": 1, "T": 1})
		})
	}
}

func TestLowerDynamicLoop(t *testing.T) {
	g := ops.On(ir.NewBuilder("f"))
	trip, x := g.Param("n", i32()), g.Param("x", f32("B", 3))
	b := ops.On(ir.NewBuilder("body"))
	i, h, w := b.Param("i", i32()), b.Param("h", x.Type), b.Param("w", x.Type)
	f, err := b.Return(b.Add(b.Mul(h, w), b.Broadcast(b.Cast(i, ir.F32), h.Type.Shape)))
	require.NoError(t, err)
	s := g.Scan(ops.Loop{Body: f, Trip: trip, Inits: []*ir.Value{x}, Invariants: []*ir.Value{x}})
	fn, err := g.Return(g.Get(s, 0))
	require.NoError(t, err)
	out := lowered(t, fn, map[string]int{"B": 2})
	l := out.API.Entries[0].Proc.Steps[1].(*loop.Loop)
	require.NotNil(t, l.NRef)
	require.Len(t, l.Body.Steps, 1, "the carried value is replaced in place")
}

// A decoding step: caches of all layers are updated in their memory, a few
// elements at a time.
func TestCachesInPlace(t *testing.T) {
	const L, C = 3, 7
	g := ops.On(ir.NewBuilder("decode"))
	cache, x := g.Param("keys", f32(L, "B", C, 4)), g.Param("x", f32("B", "T", 4))
	b := ops.On(ir.NewBuilder("block"))
	b.Param("l", i32())
	h, keys := b.Param("h", x.Type), b.Param("keys", f32("B", C, 4))
	full := b.DynUpdate(keys, h, b.Size(loop.Sym("P")), 1)
	scores := b.Dot("btk,bck->btc", h, full)
	f, err := b.Return(b.Dot("btc,bck->btk", scores, full), full)
	require.NoError(t, err)
	s := g.Scan(ops.Loop{Body: f, Extent: n(L), Inits: []*ir.Value{x}, Slices: []*ir.Value{cache}, InAxes: []int{0}, OutAxes: []int{0}})
	fn, err := g.Return(g.Get(s, 0), g.Get(s, 1))
	require.NoError(t, err)
	p := program(fn)
	p.API.Entries[0].Results[1] = loop.Param{}
	p.API.Caches = []*loop.Cache{{Path: "blocks.{0}.keys", Elem: ir.F32, Shape: dimsOf("B", C, 4), Counts: []int{L}}}
	p.Entries[0].In[0] = ir.Binding{Kind: ir.CacheKind}
	p.Entries[0].Out[1] = ir.Binding{Kind: ir.CacheKind}
	out := checkLowered(t, p, map[string]int{"B": 2, "T": 2, "P": 3})
	var names []string
	for _, step := range out.API.Entries[0].Proc.Steps[1].(*loop.Loop).Body.Steps {
		names = append(names, step.(*loop.Call).Kernel.Name)
	}
	require.Equal(t, []string{"fDynUpdate", "fDot", "fDot2"}, names, "%v", out)
}

// Every op of the table, alone, like each of its samples.
func TestLowerOps(t *testing.T) {
	for _, c := range samplesOf() {
		if len(c.s.In) == 0 {
			continue
		}
		t.Run(c.op.Name, func(t *testing.T) {
			g := ops.On(ir.NewBuilder("f"))
			args := make([]*ir.Value, len(c.s.Types))
			for i, u := range c.s.Types {
				args[i] = g.Param("p", u)
			}
			f, err := g.Return(g.Do(c.op, args, c.s.Attrs...))
			require.NoError(t, err)
			ev := &ir.Evaluator{Wide: true}
			loweredOn(t, f, nil, func(i int, u ir.Type) *ir.Data {
				d, err := ev.New(u)
				require.NoError(t, err)
				copy(d.F, c.s.In[i])
				for k := range d.I {
					d.I[k] = int32(c.s.In[i][k])
				}
				return d
			})
		})
	}
}

// Functions of all ops of the table, in and out of loops.
func TestLowerRandomGraphs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := randomGraph(t)
		ev := &ir.Evaluator{Wide: true}
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		var args []*ir.Data
		for _, p := range f.Params {
			args = append(args, randomData(ev, p.Type, r, 2))
		}
		if _, err := ev.Run(f, args); err != nil {
			t.Skip("an index is out of range")
		}
		loweredOn(t, f, nil, func(i int, _ ir.Type) *ir.Data { return args[i] })
	})
}
