package passes

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// program schedules every function of the program.
func (s *scheduler) program() error {
	api := s.out.API
	layOut(api)
	api.Prepared = nil
	for i, q := range s.p.Prepared {
		part := &loop.PreparedPart{Name: strconv.Itoa(i), Size: q.Size, Native: q.Native}
		api.Prepared = append(api.Prepared, part)
	}
	for i, q := range s.p.Prepared {
		sig := &loop.Entry{}
		if err := s.entry("prepare"+strconv.Itoa(i), q.Entry, sig, nil); err != nil {
			return err
		}
		api.Prepared[i].Proc = sig.Proc
	}
	for i, e := range api.Entries {
		if err := s.entry(e.Name, s.p.Entries[i], e, nil); err != nil {
			return err
		}
	}
	for i, t := range api.Trainers {
		step := s.p.Steps[i]
		if err := s.entry(t.Name, step.Gradients, t.Loss, t); err != nil {
			return err
		}
		apply := &loop.Entry{}
		if err := s.entry(t.Name+"Apply", step.Apply, apply, t); err != nil {
			return err
		}
		t.Apply = apply.Proc
		if step.Direct != nil {
			sig := *t.Loss
			if consumes(step.Direct) {
				sig.Results = append(slices.Clone(sig.Results), loop.Param{Name: squaresName(&sig), Elem: loop.F32})
			}
			if err := s.entry(t.Name+"Direct", step.Direct, &sig, t); err != nil {
				return err
			}
			t.Direct = &sig
		}
		if step.Host != nil {
			var err error
			if t.Host, err = hostKernel(s.name(camel(t.Name)+"Scalars"), step.Host); err != nil {
				return err
			}
		}
	}
	for i, g := range api.Generators {
		if err := s.entry(g.Name+"Step", s.p.Samplers[i].Step, g.Step, nil); err != nil {
			return err
		}
		if err := s.entry(g.Name+"Sample", s.p.Samplers[i].Sample, g.Sample, nil); err != nil {
			return err
		}
	}
	return nil
}

// layOut places weights, moments and caches one after the other.
func layOut(api *loop.API) {
	at := 0
	for _, w := range api.Weights {
		w.Offset = at
		at += w.Len()
	}
	for _, t := range api.Trainers {
		at := 0
		for _, m := range t.Moments {
			m.Offset = at
			w := *api.Weights[m.Weight]
			if m.Shape != nil {
				w.Shape = m.Shape
			}
			at += w.Len()
		}
	}
	var end [3]ir.Dim
	for _, c := range api.Caches {
		c.Offset = end[c.Elem]
		n := loop.Product(c.Shape)
		for _, k := range c.Counts {
			n = n.MulN(k)
		}
		end[c.Elem] = end[c.Elem].Add(n)
	}
}

// entry schedules one function and plans its memory.
func (s *scheduler) entry(name string, e *ir.Entry, sig *loop.Entry, t *loop.Trainer) error {
	if e == nil || e.Func == nil {
		return nil
	}
	f, mem := e.Func, newMemory()
	mem.consumes = consumes(e)
	var err error
	if mem.consumes {
		if f, err = rowSums(f); err != nil {
			return err
		}
	}
	if f, err = fuse(f, mem.consumes); err != nil {
		return err
	}
	proc := &loop.Proc{Name: s.name(camel(name)), Doc: e.Func.Doc}
	mem.procs = append(mem.procs, proc)
	params, err := s.places(mem, f.Params, e.In, sig, t, false)
	if err != nil {
		return err
	}
	dest, err := s.places(mem, f.Results, e.Out, sig, t, true)
	if err != nil {
		return err
	}
	if err := s.function(mem, f, proc, camel(name), nil, params, dest); err != nil {
		return err
	}
	if err := mem.arena(proc); err != nil {
		return err
	}
	s.uses = append(s.uses, mem.use(proc))
	for i := len(mem.procs) - 1; i >= 0; i-- {
		p := mem.procs[i]
		p.Dims = procDims(p)
		s.out.Procs = append(s.out.Procs, p)
	}
	sig.Proc, sig.FLOPs, sig.Prepared = proc, procFLOPs(proc), s.partsOf(e)
	return nil
}

// partsOf lists the prepared parts that e reads.
func (s *scheduler) partsOf(e *ir.Entry) []int {
	var out []int
	for _, b := range e.In {
		if b.Kind == ir.PreparedKind {
			out = append(out, s.p.PreparedValues[b.Index].Part)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// places finds the memory of parameters or results.
func (s *scheduler) places(mem *memory, vs []*ir.Value, bs []ir.Binding, sig *loop.Entry, t *loop.Trainer, results bool) ([]*place, error) {
	api := s.out.API
	out := make([]*place, len(vs))
	metrics := 0
	for i, v := range vs {
		b, ty := bs[i], v.Type
		at := func(sp loop.Space, off int) *place { return mem.outside(sp, "", loop.N(off), ty) }
		switch b.Kind {
		case ir.ArgKind:
			out[i] = mem.outside(loop.Arg, sig.Args[b.Index].Name, ir.Dim{}, ty)
		case ir.LossKind:
			out[i] = mem.outside(loop.Result, sig.Results[0].Name, ir.Dim{}, ty)
		case ir.SquaresKind:
			out[i] = mem.outside(loop.Result, sig.Results[len(sig.Results)-1].Name, ir.Dim{}, ty)
		case ir.ResultKind:
			out[i] = mem.outside(loop.Result, sig.Results[b.Index].Name, ir.Dim{}, ty)
			metrics++
		case ir.WeightKind:
			out[i] = at(loop.Weights, api.Weights[b.Index].Offset)
		case ir.GradKind:
			out[i] = at(loop.Grads, api.Weights[b.Index].Offset)
		case ir.CacheKind:
			out[i] = mem.outside(loop.Caches, "", api.Caches[b.Index].Offset, ty)
		case ir.MomentKind:
			out[i] = at(loop.Moments, t.Moments[b.Index].Offset)
		case ir.ScalarKind:
			out[i] = at(loop.Scalars, b.Index)
		case ir.KeyKind:
			out[i] = at(loop.Key, 0)
		case ir.PreparedKind:
			x := s.p.PreparedValues[b.Index]
			out[i] = mem.outside(loop.Prepared, api.Prepared[x.Part].Name, loop.N(x.Offset), ty)
		case ir.TableKind:
			out[i] = mem.outside(loop.ConstTable, api.Tables[b.Index].Name, ir.Dim{}, ty)
		default:
			return nil, fmt.Errorf("bug in pass schedule: %s is of unknown kind %d", b.Name, b.Kind)
		}
	}
	return out, nil
}

// squaresName is a name for the sum of the squares of the gradient that neither
// an argument nor a result has.
func squaresName(e *loop.Entry) string {
	name := "squares"
	for slices.ContainsFunc(slices.Concat(e.Args, e.Results), func(p loop.Param) bool { return p.Name == name }) {
		name += "2"
	}
	return name
}

// procDims lists the symbols in p and the procedures that it calls.
func procDims(p *loop.Proc) []string {
	var out []string
	add := func(ds ...ir.Dim) {
		for _, d := range ds {
			out = append(out, d.Syms()...)
		}
	}
	for _, s := range p.Slots {
		add(s.Size)
	}
	for _, s := range p.Steps {
		switch s := s.(type) {
		case *loop.Call:
			for _, r := range s.Args {
				add(r.Off, r.Len)
				for _, t := range r.Stride {
					add(t.Coef)
				}
			}
			kernelDims(s.Kernel, add)
		case *loop.Loop:
			add(s.N)
			out = append(out, procDims(s.Body)...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// kernelDims calls add with every dim in k.
func kernelDims(k *loop.Kernel, add func(...ir.Dim)) {
	index := func(i loop.Index) {
		add(i.Off)
		for _, t := range i.Terms {
			add(t.Coef)
		}
	}
	for _, b := range k.Bufs {
		add(b.Len)
	}
	if k.Grid != nil {
		add(k.Grid.N, k.Grid.Grain)
	}
	walk(k.Body, func(s loop.Stmt) {
		switch s := s.(type) {
		case *loop.Instr:
			add(s.Dim)
		case *loop.Load:
			index(s.At)
		case *loop.Store:
			index(s.At)
		case *loop.For:
			add(s.From.Dim, s.To.Dim)
		case *loop.Extern:
			for _, b := range s.Bufs {
				index(b.At)
				add(b.Len.Dim)
			}
		}
	})
}

// procFLOPs adds up the cost of the calls of p.
func procFLOPs(p *loop.Proc) ir.Dim {
	var sum ir.Dim
	for _, s := range p.Steps {
		switch s := s.(type) {
		case *loop.Call:
			sum = sum.Add(s.Kernel.Cost.FLOPs)
		case *loop.Loop:
			n := s.N
			if s.NRef != nil {
				n = loop.N(1)
			}
			sum = sum.Add(n.Mul(procFLOPs(s.Body)))
		}
	}
	return sum
}

// hostKernel computes the scalars of a step in float64. Its buffers are the
// step (i32[1]), the options in order, all as floats, and the scalars.
func hostKernel(name string, f *ir.Func) (*loop.Kernel, error) {
	e := newEmitter(name)
	e.K.Doc = name + " computes the scalars of a step from its number and the options."
	e.K.Wide = true
	step := e.Buffer("step", loop.I32, loop.N(1), false)
	options := e.Buffer("options", loop.F32, loop.N(max(0, len(f.Params)-1)), false)
	scalars := e.Buffer("scalars", loop.F32, loop.N(len(f.Results)), true)
	for i, p := range f.Params {
		if i == 0 {
			e.bind(p, nil, e.Load(step, loop.Index{}))
			continue
		}
		e.bind(p, nil, e.ConvertTo(p.Type.Elem, e.Load(options, loop.AtDim(loop.N(i-1)))))
	}
	for i, r := range f.Results {
		e.Store(scalars, loop.AtDim(loop.N(i)), e.pull(r, nil))
	}
	return e.K, e.K.Verify()
}
