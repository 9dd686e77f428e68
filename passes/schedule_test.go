package passes

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/ops"
)

var (
	symB, symT = loop.Sym("B"), loop.Sym("T")
	n          = loop.N
)

// program makes f the only entry point of a program. An argument of type i32[3]
// called key is the random key.
func program(f *ir.Func) *Program {
	e := &ir.Entry{Func: f}
	sig := &loop.Entry{Name: "F"}
	for i, p := range f.Params {
		e.In = append(e.In, ir.Binding{Kind: ir.ArgKind, Index: i})
		sig.Args = append(sig.Args, loop.Param{Name: "x" + string(rune('a'+i)), Elem: p.Type.Elem, Shape: p.Type.Shape})
	}
	for i, r := range f.Results {
		e.Out = append(e.Out, ir.Binding{Kind: ir.ResultKind, Index: i})
		sig.Results = append(sig.Results, loop.Param{Name: "y" + string(rune('a'+i)), Elem: r.Type.Elem, Shape: r.Type.Shape})
	}
	return &Program{Module: &ir.Module{API: &loop.API{Entries: []*loop.Entry{sig}}, Entries: []*ir.Entry{e}}}
}

// randomData fills a tensor with random numbers; integers are below limit.
func randomData(ev *ir.Evaluator, t ir.Type, r *rand.Rand, limit int) *ir.Data {
	d, err := ev.New(t)
	if err != nil {
		panic(err)
	}
	for i := range d.F {
		d.F[i] = r.NormFloat64()
	}
	for i := range d.I {
		d.I[i] = int32(r.IntN(limit))
		if t.Elem == ir.Bool {
			d.I[i] &= 1
		}
	}
	return d
}

func toMem(d *ir.Data) loop.Mem {
	switch d.Elem {
	case ir.F32:
		return append([]float64(nil), d.F...)
	case ir.Bool:
		x := make([]bool, len(d.I))
		for i, v := range d.I {
			x[i] = v != 0
		}
		return x
	}
	return append([]int32(nil), d.I...)
}

func toFloats(m loop.Mem) (out []float64) {
	switch m := m.(type) {
	case []float64:
		return m
	case []int32:
		for _, v := range m {
			out = append(out, float64(v))
		}
	case []bool:
		for _, v := range m {
			out = append(out, map[bool]float64{true: 1}[v])
		}
	}
	return out
}

// lowered schedules f, verifies and runs it on random data, and compares it
// with the evaluator; all in float64, so that only mistakes make a difference.
func lowered(t *testing.T, f *ir.Func, dims map[string]int) *loop.Program {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	ev := &ir.Evaluator{Dims: dims, Wide: true}
	return loweredOn(t, f, dims, func(_ int, u ir.Type) *ir.Data { return randomData(ev, u, r, 3) })
}

// loweredOn is lowered on given data.
func loweredOn(t require.TestingT, f *ir.Func, dims map[string]int, data func(i int, u ir.Type) *ir.Data) *loop.Program {
	p := program(f)
	out, err := Lower(p)
	require.NoError(t, err, "%v", f)
	require.NoError(t, out.Verify(dims), "%s", dumpProgram(out))
	ev := &ir.Evaluator{Dims: dims, Wide: true}
	mem := &loop.Memory{Dims: dims, Wide: true, Poison: true, Mem: map[loop.Place]loop.Mem{}}
	var args []*ir.Data
	sig := p.API.Entries[0]
	for i, q := range f.Params {
		d := data(i, q.Type)
		args = append(args, d)
		mem.Mem[loop.Place{Space: loop.Arg, Elem: q.Type.Elem, Name: sig.Args[i].Name}] = toMem(d)
	}
	want, err := ev.Run(f, args)
	require.NoError(t, err)
	for i, q := range f.Results {
		mem.Mem[loop.Place{Space: loop.Result, Elem: q.Type.Elem, Name: sig.Results[i].Name}] = loop.NewMem(q.Type.Elem, want[i].Len(), true)
	}
	require.NoError(t, loop.RunProc(sig.Proc, mem), "%s", dumpProgram(out))
	for i, q := range f.Results {
		got := toFloats(mem.Mem[loop.Place{Space: loop.Result, Elem: q.Type.Elem, Name: sig.Results[i].Name}])
		requireClose(t, want[i], got, i, out)
	}
	return out
}

func requireClose(t require.TestingT, want *ir.Data, got []float64, i int, out *loop.Program) {
	big := 0.0
	for _, x := range want.F {
		if a := math.Abs(x); a > big && !math.IsInf(a, 0) {
			big = a
		}
	}
	for k := range got {
		w := 0.0
		if want.Elem == ir.F32 {
			w = want.F[k]
		} else {
			w = float64(want.I[k])
		}
		if w == got[k] || math.IsNaN(w) && math.IsNaN(got[k]) || math.Abs(w-got[k]) <= 1e-9*(1+big) {
			continue
		}
		require.Failf(t, "wrong result", "result %d, element %d: got %v, want %v\n%s", i, k, got[k], w, dumpProgram(out))
	}
}

func dumpProgram(p *loop.Program) string { return p.String() }

func build(t *testing.T, f func(g ops.Graph) []*ir.Value) *ir.Func {
	t.Helper()
	b := ir.NewBuilder("f")
	out, err := b.Return(f(ops.On(b))...)
	require.NoError(t, err)
	return out
}

func TestLowerSimple(t *testing.T) {
	f := build(t, func(g ops.Graph) []*ir.Value {
		x := g.Param("x", ir.Tensor(ir.F32, symB, n(5)))
		w := g.Param("w", ir.Tensor(ir.F32, n(5), n(7)))
		b := g.Param("b", ir.Tensor(ir.F32, n(7)))
		y := g.Dot("bi,io->bo", x, w)
		y = g.Add(y, g.Broadcast(b, y.Type.Shape, 1))
		y = g.Tanh(y)
		z := g.Reshape(y, symB.MulN(7))
		return []*ir.Value{z, g.Sum(y, 0), y}
	})
	lowered(t, f, map[string]int{"B": 3})
}

func TestLowerScan(t *testing.T) {
	for _, reverse := range []bool{false, true} {
		for _, axis := range []int{0, 1} {
			f := build(t, func(g ops.Graph) []*ir.Value {
				body := ops.On(ir.NewBuilder("cell"))
				i := body.Param("i", ir.Tensor(ir.I32))
				h := body.Param("h", ir.Tensor(ir.F32, symB, n(4)))
				a := body.Param("a", ir.Tensor(ir.F32, symB, n(4)))
				x := body.Param("x", ir.Tensor(ir.F32, symB, n(3)))
				w := body.Param("w", ir.Tensor(ir.F32, n(7), n(4)))
				next := body.Tanh(body.Dot("bi,io->bo", body.Concat(1, h, x), w))
				k := body.Broadcast(body.Cast(i, ir.F32), next.Type.Shape)
				bf, err := body.Return(next, body.Add(a, body.Mul(next, k)), body.Mul(next, next), h)
				require.NoError(t, err)

				shape := []ir.Dim{symT, symB, n(3)}
				if axis == 1 {
					shape = []ir.Dim{symB, symT, n(3)}
				}
				xs := g.Param("x", ir.Tensor(ir.F32, shape...))
				w0 := g.Param("w", ir.Tensor(ir.F32, n(7), n(4)))
				h0 := g.Param("h", ir.Tensor(ir.F32, symB, n(4)))
				s := g.Scan(ops.Loop{Body: bf, Extent: symT, Reverse: reverse, Inits: []*ir.Value{h0, g.Like(h0, 0)},
					Slices: []*ir.Value{xs}, InAxes: []int{axis}, Invariants: []*ir.Value{w0}, OutAxes: []int{0, 1}})
				return []*ir.Value{g.Get(s, 0), g.Get(s, 1), g.Get(s, 2), g.Get(s, 3)}
			})
			lowered(t, f, map[string]int{"B": 2, "T": 5})
			lowered(t, f, map[string]int{"B": 1, "T": 0})
		}
	}
}
