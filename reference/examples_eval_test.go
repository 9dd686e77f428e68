package reference

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/dsl/check"
	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/passes"
)

// A trial is an example whose functions the evaluator runs in float64.
type trial struct {
	*example
	module  *ir.Module // as checked
	program *passes.Program
	lowered *loop.Program
	weights []*ir.Data
}

// zeroKey is the random key of all runs: seed 0, step 0.
var zeroKey = ir.NewData(ir.I32, 3)

// args binds the parameters of e: drawn arguments, weights, and random numbers
// for what is left.
func (x *trial) args(t testing.TB, e *ir.Entry, sig *loop.Entry, ev *ir.Evaluator) []*ir.Data {
	t.Helper()
	r := rand.New(rand.NewPCG(11, 13))
	var drawn, in []*ir.Data
	if len(sig.Args) > 0 {
		drawn = x.draw(t, sig, 1)
	}
	for i, b := range e.In {
		var d *ir.Data
		switch b.Kind {
		case ir.ArgKind:
			d = drawn[b.Index]
		case ir.WeightKind:
			d = x.weights[b.Index].Clone()
		case ir.KeyKind:
			d = zeroKey
		case ir.TableKind:
			c := x.module.API.Tables[b.Index]
			var err error
			d, err = ir.DataOf(c.Elem, c.Shape, c.Data)
			require.NoError(t, err)
		case ir.PreparedKind:
			d = x.prepared(t, b.Index, sig)
		default: // positive: moments are squares, scalars are rates
			var err error
			d, err = ev.New(e.Func.Params[i].Type)
			require.NoError(t, err)
			for k := range d.F {
				d.F[k] = 0.1 + 0.5*r.Float64()
				if b.Kind == ir.GradKind {
					d.F[k] -= 0.3
				}
			}
		}
		in = append(in, d)
	}
	return in
}

// prepared is a value that the program computes from weights and constants alone.
func (x *trial) prepared(t testing.TB, value int, sig *loop.Entry) *ir.Data {
	t.Helper()
	e := x.program.Prepared[x.program.PreparedValues[value].Part].Entry
	ev := x.evaluator(t, sig)
	out, err := ev.Run(e.Func, x.args(t, e, &loop.Entry{Name: "prepared"}, ev))
	require.NoError(t, err)
	for i, b := range e.Out {
		if b.Index == value {
			return out[i]
		}
	}
	t.Fatalf("no function prepares value %d", value)
	return nil
}

// evaluator has the sizes for an entry with the signature sig.
func (x *trial) evaluator(t testing.TB, sig *loop.Entry) *ir.Evaluator {
	return &ir.Evaluator{Dims: x.env(t, sig), Wide: true}
}

// scheduled compares the procedure made from e with e itself.
func (x *trial) scheduled(t testing.TB, e *ir.Entry, sig *loop.Entry, proc *loop.Proc, tr *loop.Trainer) {
	t.Helper()
	ev := x.evaluator(t, sig)
	mem := &loop.Memory{Dims: ev.Dims, Wide: true, Poison: true, Mem: map[loop.Place]loop.Mem{}}
	span := func(v *ir.Value, b ir.Binding) (loop.Place, int, int) {
		at, off := x.place(b, v.Type.Elem, sig, tr)
		lo, err := off.Eval(ev.Dims)
		require.NoError(t, err)
		n, err := v.Type.Len().Eval(ev.Dims)
		require.NoError(t, err)
		return at, lo, lo + n
	}
	size := map[loop.Place]int{}
	for i, v := range slices.Concat(e.Func.Params, e.Func.Results) {
		at, _, hi := span(v, slices.Concat(e.In, e.Out)[i])
		size[at] = max(size[at], hi)
	}
	for at, n := range size {
		mem.Mem[at] = loop.NewMem(at.Elem, n, true)
	}
	args := x.args(t, e, sig, ev)
	for i, v := range e.Func.Params {
		at, lo, hi := span(v, e.In[i])
		fill(mem.Mem[at], lo, hi, args[i])
	}
	want, err := ev.Run(e.Func, args)
	require.NoError(t, err, sig.Name)
	require.NoError(t, loop.RunProc(proc, mem), proc.Name)
	for i, v := range e.Func.Results {
		at, lo, hi := span(v, e.Out[i])
		near(t, fmt.Sprintf("%s: result %d, %s", proc.Name, i, e.Out[i].Name), want[i].Floats(), floats(mem.Mem[at], lo, hi), 1e-9)
	}
}

// place is where a parameter or result lies, and its first element there.
func (x *trial) place(b ir.Binding, e loop.Elem, sig *loop.Entry, tr *loop.Trainer) (loop.Place, loop.Dim) {
	api := x.lowered.API
	at := func(s loop.Space, off int) (loop.Place, loop.Dim) {
		return loop.Place{Space: s, Elem: e}, loop.N(off)
	}
	switch b.Kind {
	case ir.ArgKind:
		return loop.Place{Space: loop.Arg, Elem: e, Name: sig.Args[b.Index].Name}, loop.Dim{}
	case ir.LossKind, ir.ResultKind:
		return loop.Place{Space: loop.Result, Elem: e, Name: sig.Results[b.Index].Name}, loop.Dim{}
	case ir.WeightKind:
		return at(loop.Weights, api.Weights[b.Index].Offset)
	case ir.GradKind:
		return at(loop.Grads, api.Weights[b.Index].Offset)
	case ir.CacheKind:
		return loop.Place{Space: loop.Caches, Elem: e}, api.Caches[b.Index].Offset
	case ir.MomentKind:
		return at(loop.Moments, tr.Moments[b.Index].Offset)
	case ir.ScalarKind:
		return at(loop.Scalars, b.Index)
	case ir.KeyKind:
		return at(loop.Key, 0)
	case ir.PreparedKind:
		v := x.program.PreparedValues[b.Index]
		return loop.Place{Space: loop.Prepared, Elem: e, Name: strconv.Itoa(v.Part)}, loop.N(v.Offset)
	}
	return loop.Place{Space: loop.ConstTable, Elem: e, Name: api.Tables[b.Index].Name}, loop.Dim{}
}

func fill(m loop.Mem, lo, hi int, d *ir.Data) {
	switch m := m.(type) {
	case []float64:
		copy(m[lo:hi], d.F)
	case []int32:
		copy(m[lo:hi], d.I)
	case []bool:
		for i, x := range d.I {
			m[lo+i] = x != 0
		}
	}
}

func floats(m loop.Mem, lo, hi int) []float64 {
	var out []float64
	switch m := m.(type) {
	case []float64:
		return m[lo:hi]
	case []int32:
		for _, x := range m[lo:hi] {
			out = append(out, float64(x))
		}
	case []bool:
		for _, x := range m[lo:hi] {
			v := 0.0
			if x {
				v = 1
			}
			out = append(out, v)
		}
	}
	return out
}

// near requires that got is want; tol is relative to the largest element.
func near(t testing.TB, what string, want, got []float64, tol float64) {
	t.Helper()
	require.Equal(t, len(want), len(got), what)
	scale := 1e-3
	for _, x := range want {
		if a := math.Abs(x); !math.IsInf(a, 0) {
			scale = max(scale, a)
		}
	}
	for i, x := range want {
		if x != got[i] && !(math.Abs(x-got[i]) <= tol*scale) {
			t.Fatalf("%s: element %d is %v, want %v", what, i, got[i], x)
		}
	}
}

// finite requires numbers.
func finite(t testing.TB, what string, out []*ir.Data) {
	t.Helper()
	for i, d := range out {
		for k, x := range d.F {
			if math.IsNaN(x) || math.IsInf(x, 0) {
				t.Fatalf("%s: element %d of result %d is %v", what, k, i, x)
			}
		}
	}
}

// slopes compares the gradients of a train block with central differences of
// its loss in training mode, for a few elements of every weight.
func (x *trial) slopes(t testing.TB, i int) (checked int) {
	kinks, each := 0, 2
	if len(x.weights) > 20 {
		each = 1
	}
	t.Helper()
	loss, e, sig := x.module.Trainers[i].Loss, x.program.Steps[i].Gradients, x.lowered.API.Trainers[i].Loss
	ev := x.evaluator(t, sig)
	grads := x.args(t, e, sig, ev)
	for k, b := range e.In {
		if b.Kind == ir.ScalarKind {
			grads[k] = ir.Scalar(ir.F32, 0) // the first micro-batch
		}
	}
	out, err := ev.Run(e.Func, grads)
	require.NoError(t, err)
	finite(t, sig.Name+": gradients", out)
	args := x.args(t, loss, sig, ev)
	value := func() float64 {
		out, err := ev.Run(loss.Func, args)
		require.NoError(t, err)
		sum := 0.0
		for _, y := range out[0].F {
			sum += y
		}
		return sum / float64(len(out[0].F))
	}
	r := rand.New(rand.NewPCG(17, 19))
	at := value()
	require.InDelta(t, at, out[0].F[0], 1e-9)
	for k, b := range e.Out {
		if b.Kind != ir.GradKind {
			continue
		}
		p := slices.IndexFunc(loss.In, func(in ir.Binding) bool { return in.Kind == ir.WeightKind && in.Index == b.Index })
		if p < 0 {
			for _, g := range out[k].F {
				require.Zero(t, g, b.Name)
			}
			continue
		}
		picked := r.Perm(len(args[p].F))
		slices.SortStableFunc(picked, func(a, c int) int { // half of them where there is a slope
			return boolInt(out[k].F[a] == 0) - boolInt(out[k].F[c] == 0)
		})
		for _, j := range picked[:min(each, len(picked))] {
			w, g := &args[p].F[j], out[k].F[j]
			ok := false
			var up, down float64
			for _, h := range []float64{1e-5, 1e-7} { // smaller if there is a kink nearby
				old := *w
				*w = old + h
				up = (value() - at) / h
				*w = old - h
				down = (at - value()) / h
				*w = old
				if ok = math.Abs((up+down)/2-g) <= 1e-6+1e-4*math.Abs(g)+1e-9/h*1e-3; ok {
					break
				}
			}
			if kink := math.Abs(up-down) > 0.01*(math.Abs(g)+1e-3); !ok && !kink {
				t.Fatalf("%s: the slope at element %d of %s is %v, but the gradient is %v", sig.Name, j, b.Name, (up+down)/2, g)
			}
			if ok {
				checked++
			} else {
				kinks++
			}
		}
	}
	require.LessOrEqual(t, kinks, checked, "too many elements near kinks")
	return checked
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// trial compiles the example up to the schedule.
func (x *example) trial(t testing.TB, change func(*ir.Module)) *trial {
	t.Helper()
	m := x.module(t, check.Options{})
	if change != nil {
		change(m)
	}
	out := &trial{example: x, module: m, weights: x.weights(m.API)}
	require.NoError(t, guarded(func() (err error) {
		if out.program, err = passes.Run(m, passes.Options{}); err == nil {
			out.lowered, err = passes.Lower(out.program)
		}
		return err
	}))
	return out
}

// TestExamples runs every function of every example: as checked, after the
// passes, and scheduled over planned memory, and compares gradients with
// slopes.
func TestExamples(t *testing.T) {
	if testing.Short() {
		t.Skip("interprets all examples")
	}
	for _, x := range examples {
		t.Run(x.name(), func(t *testing.T) {
			start := time.Now()
			tr := x.trial(t, nil)
			n := 0
			for i, e := range tr.lowered.API.Entries {
				ev := tr.evaluator(t, e)
				in := tr.args(t, tr.module.Entries[i], e, ev)
				plain, err := ev.Run(tr.module.Entries[i].Func, in)
				require.NoError(t, err)
				finite(t, e.Name, plain)
				better, err := tr.evaluator(t, e).Run(tr.program.Entries[i].Func, tr.args(t, tr.program.Entries[i], e, ev))
				require.NoError(t, err)
				for k := range plain {
					near(t, fmt.Sprintf("%s: result %d after the passes", e.Name, k), plain[k].Floats(), better[k].Floats(), 1e-9)
				}
				tr.scheduled(t, tr.program.Entries[i], e, e.Proc, nil)
			}
			for i, s := range tr.program.Steps {
				sig := tr.lowered.API.Trainers[i]
				tr.scheduled(t, s.Gradients, sig.Loss, sig.Loss.Proc, sig)
				tr.scheduled(t, s.Apply, &loop.Entry{Name: sig.Name}, sig.Apply, sig)
			}
			for i, s := range tr.program.Samplers {
				sig := tr.lowered.API.Generators[i]
				tr.scheduled(t, s.Step, sig.Step, sig.Step.Proc, nil)
				tr.scheduled(t, s.Sample, sig.Sample, sig.Sample.Proc, nil)
			}
			private := false
			for _, s := range tr.module.Trainers {
				private = private || s.ClipKey == "perExample"
			}
			if private { // clipped and with noise: no slope of the loss
				tr = x.trial(t, func(m *ir.Module) { m.Trainers[0].Clip, m.Trainers[0].Noise = 1e6, 0 })
			}
			for i := range tr.program.Steps {
				n += tr.slopes(t, i)
			}
			t.Logf("%-12s %-12s %2d functions, %3d slopes, %5d ms", x.file, x.model, len(tr.program.Entries)+2*len(tr.program.Steps)+2*len(tr.program.Samplers), n, time.Since(start).Milliseconds())
		})
	}
}
