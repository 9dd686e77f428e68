package loop_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/ir/loop"
)

// layers is y = (x+1) run L times through the arena, with one part of 16 for
// each layer and scratch before them; there is room for 3.
func layers() *loop.Program {
	inc := must(loop.ParseKernel(`
kernel inc {
  in x f32[16]
  out y f32[16]
  inplace x y
  for %i.0 = 0 to 16 {
    %1 f32 = load x[%i.0]
    %2 f32 = const 1
    %3 f32 = add %1 %2
    store y[%i.0] %3
  }
}`))
	copyK := must(loop.ParseKernel(`
kernel keep {
  in x f32[16]
  out y f32[16]
  int %layer.5
  for %i.0 = 0 to 16 {
    %1 f32 = load x[%i.0]
    %2 f32 = convert %layer.5
    %3 f32 = add %1 %2
    store y[%i.0] %3
  }
}`))
	part := func(off int) loop.Ref {
		return loop.Ref{Space: loop.Arena, Elem: loop.F32, Off: loop.N(off), Len: loop.N(16)}
	}
	stacked := part(16)
	stacked.Stride = []loop.StrideTerm{{Var: "l", Coef: loop.N(16)}}
	body := &loop.Proc{Name: "layer", Dims: []string{"L"}, Vars: []string{"l"}, Steps: []loop.Step{
		&loop.Call{Kernel: inc, Args: []loop.Ref{part(0), part(0)}},
		&loop.Call{Kernel: copyK, Args: []loop.Ref{part(0), stacked}, Ints: []loop.IntRef{{Var: "l"}}},
	}}
	x := loop.Ref{Space: loop.Arg, Elem: loop.F32, Name: "x", Len: loop.N(16)}
	y := loop.Ref{Space: loop.Result, Elem: loop.F32, Name: "y", Len: loop.N(16)}
	last := part(0)
	last.Off = loop.Sym("L").MulN(16)
	forward := &loop.Proc{Name: "forward", Doc: "L times", Dims: []string{"L"}, Arena: [3]int{64}, Steps: []loop.Step{
		&loop.Call{Kernel: inc, Args: []loop.Ref{x, part(0)}},
		&loop.Loop{Var: "l", N: loop.Sym("L"), Body: body},
		&loop.Call{Kernel: inc, Args: []loop.Ref{last, y}},
	}}
	api := &loop.API{Package: "p", Entries: []*loop.Entry{{
		Name: "Forward", Proc: forward,
		Args:    []loop.Param{{Name: "x", Shape: []loop.Dim{loop.N(16)}}},
		Results: []loop.Param{{Name: "y", Shape: []loop.Dim{loop.N(16)}}},
	}}}
	return &loop.Program{API: api, Kernels: []*loop.Kernel{inc, copyK}, Procs: []*loop.Proc{body, forward}}
}

// inSlots is layers with memory that is planned when the number of layers is
// known.
func inSlots() *loop.Program {
	p := layers()
	body, forward := p.Procs[0], p.Procs[1]
	forward.Arena = [3]int{}
	forward.Slots = []loop.Slot{{Size: loop.N(16), Last: 2}, {Size: loop.Sym("L").MulN(16), First: 1, Last: 3}}
	for _, s := range []loop.Step{body.Steps[0], body.Steps[1], forward.Steps[0], forward.Steps[2]} {
		for i := range s.(*loop.Call).Args {
			if r := &s.(*loop.Call).Args[i]; r.Space == loop.Arena {
				r.Slot = 1
				if !r.Off.Is(0) {
					r.Slot, r.Off = 2, r.Off.AddN(-16)
				}
			}
		}
	}
	return p
}

func must(k *loop.Kernel, err error) *loop.Kernel {
	if err != nil {
		panic(err)
	}
	return k
}

func TestRunProc(t *testing.T) {
	for _, p := range []*loop.Program{layers(), inSlots()} {
		testRunProc(t, p)
	}
}

func testRunProc(t *testing.T, p *loop.Program) {
	dims := map[string]int{"L": 3}
	require.NoError(t, p.Verify(dims))
	y := make([]float32, 16)
	mem := func() *loop.Memory {
		return &loop.Memory{Dims: dims, Poison: true, Mem: map[loop.Place]loop.Mem{
			{Space: loop.Arg, Name: "x"}:    make([]float32, 16),
			{Space: loop.Result, Name: "y"}: y,
		}}
	}
	m := mem()
	require.NoError(t, loop.RunProc(p.Procs[1], m))
	assert.Equal(t, float32(0+1+3+2+1), y[7])
	require.NoError(t, loop.RunProc(p.Procs[1], m), "a second run on the same memory")
	// Down, the last slot holds the first count.
	p.Procs[1].Steps[1].(*loop.Loop).Reverse = true
	require.NoError(t, p.Verify(dims))
	require.NoError(t, loop.RunProc(p.Procs[1], mem()))
	assert.Equal(t, float32(0+1+1+2+1), y[7])
	// The count from memory.
	n := loop.Ref{Space: loop.Arg, Elem: loop.I32, Name: "n", Len: loop.N(1)}
	l := p.Procs[1].Steps[1].(*loop.Loop)
	l.NRef, l.Reverse = &n, false
	m = mem()
	m.Mem[loop.Place{Space: loop.Arg, Elem: loop.I32, Name: "n"}] = []int32{1}
	require.NoError(t, loop.RunProc(p.Procs[1], m))
	assert.True(t, y[0] != y[0], "slots that were not written are poisoned")
}

// TestProgramVerify makes one mistake at a time.
func TestProgramVerify(t *testing.T) {
	call := func(p *loop.Program, proc, step int) *loop.Call { return p.Procs[proc].Steps[step].(*loop.Call) }
	for name, c := range map[string]struct {
		want string
		f    func(p *loop.Program)
	}{
		"fine":       {"", func(p *loop.Program) {}},
		"not listed": {"the kernel is not in Kernels", func(p *loop.Program) { p.Kernels = p.Kernels[1:] }},
		"twice":      {"listed twice", func(p *loop.Program) { p.Kernels = append(p.Kernels, p.Kernels[0]) }},
		"outside": {"is outside of arena.f32, which has 64 elements", func(p *loop.Program) {
			call(p, 0, 1).Args[1].Off = loop.N(32)
		}},
		"alignment": {"is not aligned to 64 bytes", func(p *loop.Program) { call(p, 0, 0).Args[0].Off = loop.N(4) }},
		"overlap": {"overlap", func(p *loop.Program) {
			k := *p.Kernels[0]
			k.InPlace = nil
			p.Kernels[0] = &k
			for _, c := range []*loop.Call{call(p, 0, 0), call(p, 1, 0), call(p, 1, 2)} {
				c.Kernel = &k
			}
		}},
		"length": {"has 15 elements, wants 16 = 16", func(p *loop.Program) { call(p, 0, 0).Args[0].Len = loop.N(15) }},
		"type": {"is not f32", func(p *loop.Program) {
			call(p, 1, 0).Args[0] = loop.Ref{Space: loop.Key, Elem: loop.I32, Len: loop.N(3)}
		}},
		"not written":  {"was not written", func(p *loop.Program) { p.Procs[1].Steps = p.Procs[1].Steps[1:] }},
		"argument":     {"writes to arg(x).f32", func(p *loop.Program) { call(p, 1, 2).Args[1] = call(p, 1, 0).Args[0] }},
		"no parameter": {"no such parameter", func(p *loop.Program) { call(p, 1, 0).Args[0].Name = "z" }},
		"symbol":       {"the size L is not in Dims of proc forward", func(p *loop.Program) { p.Procs[1].Dims = nil }},
		"counter":      {"not in its Vars", func(p *loop.Program) { p.Procs[0].Vars = nil }},
		"no loop":      {"there is no loop over k here", func(p *loop.Program) { call(p, 0, 1).Ints[0].Var = "k" }},
		"arena":        {"is outside of arena.f32, which has 48 elements", func(p *loop.Program) { p.Procs[1].Arena[0] = 48 }},
		"body arena":   {"the body has an arena of its own", func(p *loop.Program) { p.Procs[0].Arena[0] = 48 }},
		"no slots":     {"there is no such slot", func(p *loop.Program) { call(p, 0, 0).Args[0].Slot = 1 }},
		"clobbered": {"part of it was overwritten by", func(p *loop.Program) {
			half := loop.Ref{Space: loop.Arena, Off: loop.N(48), Len: loop.N(32)}
			p.Procs[1].Arena[0] = 96
			k := must(loop.ParseKernel("kernel fill {\nout y f32[32]\n}\n"))
			p.Kernels = append(p.Kernels, k)
			half.Off = loop.N(48)
			last := call(p, 1, 2)
			p.Procs[1].Steps = append(p.Procs[1].Steps[:2], &loop.Call{Kernel: k, Args: []loop.Ref{half}}, last)
			call(p, 1, 3).Args[0].Off = loop.N(48)
			last.Args[0].Len = loop.N(16)
			straddle := *last
			straddle.Args = []loop.Ref{{Space: loop.Arena, Off: loop.N(32), Len: loop.N(32)}}
			straddle.Kernel = must(loop.ParseKernel("kernel use {\nin x f32[32]\n}\n"))
			p.Kernels = append(p.Kernels, straddle.Kernel)
			p.Procs[1].Steps = append(p.Procs[1].Steps, &straddle)
		}},
		"updated": {"was not written", func(p *loop.Program) {
			k := *p.Kernels[0]
			y := *k.Bufs[1]
			y.Update = true
			k.Bufs = []*loop.Buffer{k.Bufs[0], &y}
			k.Body = nil
			p.Kernels = append(p.Kernels, &k)
			call(p, 1, 0).Kernel = &k
		}},
		"unknown count": {"was not written", func(p *loop.Program) {
			n := loop.Ref{Space: loop.Key, Elem: loop.I32, Len: loop.N(1)}
			p.Procs[1].Steps[1].(*loop.Loop).NRef = &n
		}},
	} {
		p := layers()
		c.f(p)
		err := p.Verify(map[string]int{"L": 3})
		if c.want == "" {
			assert.NoError(t, err, name)
		} else if assert.Error(t, err, name) {
			assert.Contains(t, err.Error(), c.want, name)
		}
	}
}

// TestSlotsVerify is TestProgramVerify for slots.
func TestSlotsVerify(t *testing.T) {
	for name, c := range map[string]struct {
		want string
		f    func(forward *loop.Proc, inc *loop.Call)
	}{
		"fine":          {"", func(*loop.Proc, *loop.Call) {}},
		"outside":       {"is outside of the slot, 16 elements of f32", func(_ *loop.Proc, inc *loop.Call) { inc.Args[1].Off = loop.N(16) }},
		"no such slot":  {"there is no such slot", func(_ *loop.Proc, inc *loop.Call) { inc.Args[1].Slot = 3 }},
		"not in a slot": {"the slot is not said", func(_ *loop.Proc, inc *loop.Call) { inc.Args[1].Slot = 0 }},
		"another type":  {"is outside of the slot, 16 elements of i32", func(forward *loop.Proc, _ *loop.Call) { forward.Slots[0].Elem = loop.I32 }},
		"too short":     {"overlap", func(forward *loop.Proc, _ *loop.Call) { forward.Slots[0].Last = 0 }},
		"symbol":        {"the size M is not in Dims of proc forward", func(forward *loop.Proc, _ *loop.Call) { forward.Slots[0].Size = loop.Sym("M") }},
	} {
		p := inSlots()
		c.f(p.Procs[1], p.Procs[1].Steps[0].(*loop.Call))
		for _, layers := range []int{1, 3} {
			err := p.Verify(map[string]int{"L": layers})
			if c.want == "" {
				assert.NoError(t, err, name)
			} else if assert.Error(t, err, name) {
				assert.Contains(t, err.Error(), c.want, name)
			}
		}
	}
}

func TestProgramPrints(t *testing.T) {
	text := layers().String()
	for _, want := range []string{
		"  arena f32[64]\n", "// L times\nproc forward(L) {",
		"  call inc arg(x).f32[0 : 16] -> arena.f32[0 : 16]\n",
		"  loop l up L { // layer\n    call inc arena.f32[0 : 16] -> arena.f32[0 : 16]\n    call keep arena.f32[0 : 16] -> arena.f32[16*l + 16 : 16] l\n  }\n",
		"kernel inc {",
	} {
		assert.Contains(t, text, want)
	}
	text = inSlots().String()
	for _, want := range []string{
		"  slot 1 f32[16] 0..2\n  slot 2 f32[16*L] 1..3\n",
		"    call keep arena.f32[slot 1 : 16] -> arena.f32[slot 2 + 16*l + 0 : 16] l\n",
	} {
		assert.Contains(t, text, want)
	}
}
