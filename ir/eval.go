package ir

import (
	"fmt"
	"slices"

	"github.com/lmc-lang/lmc/ir/loop"
)

// An Evaluator runs functions by interpreting the naive loops of every op: the
// oracle of all tests. Wide evaluates f32 in float64. Dims gives the value of
// every symbol and must not change between runs. An Evaluator is not for
// concurrent use.
type Evaluator struct {
	Dims map[string]int
	Wide bool

	kernels map[*Value]*naive // built before
	expands map[*Value]*Func
}

// naive is the kernel of one value, ready to run.
type naive struct {
	in  []*Value
	run *loop.Interp
}

// Run evaluates f on args, one for each parameter, and returns its results in
// order; a result that is a tuple counts as its elements. Errors are wrong
// arguments, sizes that are not known and faults such as an index out of range;
// the message names the value.
func (ev *Evaluator) Run(f *Func, args []*Data) ([]*Data, error) {
	if len(args) != len(f.Params) {
		return nil, fmt.Errorf("%s: %d arguments, want %d", f.Name, len(args), len(f.Params))
	}
	env := make([][]*Data, len(f.Values))
	for i, p := range f.Params {
		if err := ev.fits(args[i], p.Type); err != nil {
			return nil, fmt.Errorf("%s: argument %s: %w", f.Name, p.Scope, err)
		}
		env[p.ID] = args[i : i+1]
	}
	var last []int // by ID: where each value is used last, so that memory is given back
	if len(f.Values) > 64 {
		last = lastUses(f)
	}
	for i, v := range f.Values {
		if v.Op == Param {
			continue
		}
		var in []*Data
		for _, a := range v.Args {
			in = append(in, env[a.ID]...)
		}
		out, err := ev.value(v, in)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", v.Pos, v.Long(), err)
		}
		env[v.ID] = out
		if last != nil {
			for _, a := range v.Args {
				if last[a.ID] == i {
					env[a.ID] = nil
				}
			}
		}
	}
	var out []*Data
	for _, r := range f.Results {
		out = append(out, env[r.ID]...)
	}
	return out, nil
}

func lastUses(f *Func) []int {
	last := make([]int, len(f.Values))
	for i, v := range f.Values {
		for _, a := range v.Args {
			last[a.ID] = i
		}
	}
	for _, r := range f.Results {
		last[r.ID] = len(f.Values)
	}
	return last
}

// value evaluates v on the data of its operands, those of tuples element by
// element.
func (ev *Evaluator) value(v *Value, args []*Data) ([]*Data, error) {
	switch {
	case v.Op.Control != nil:
		return v.Op.Control(ev, v, args)
	case v.Op.Expand != nil:
		f, err := ev.expand(v)
		if err != nil {
			return nil, err
		}
		return ev.Run(f, args)
	}
	k, err := ev.kernel(v)
	if err != nil {
		return nil, err
	}
	out, err := ev.New(v.Type)
	if err != nil {
		return nil, err
	}
	mem := make([]loop.Mem, 0, len(k.in)+1)
	for _, in := range k.in {
		mem = append(mem, args[slices.Index(v.Args, in)].mem())
	}
	mem = append(mem, out.mem())
	if err := k.run.Run(mem, nil); err != nil {
		return nil, err
	}
	out.settle(mem[len(mem)-1])
	return []*Data{out}, nil
}

func (ev *Evaluator) expand(v *Value) (*Func, error) {
	if f := ev.expands[v]; f != nil {
		return f, nil
	}
	f, err := ExpandFunc(v)
	if err != nil {
		return nil, err
	}
	if ev.expands == nil {
		ev.expands = map[*Value]*Func{}
	}
	ev.expands[v] = f
	return f, nil
}

// ExpandFunc is the definition of v, whose op is a composite, as a function of
// v's operands.
func ExpandFunc(v *Value) (*Func, error) {
	b := NewBuilder(v.Op.Name)
	w := &Value{Op: v.Op, Type: v.Type, Pos: v.Pos, Scope: v.Scope, attrs: v.attrs}
	for i, a := range v.Args {
		w.Args = append(w.Args, b.Param(operandName(v.Op, i), a.Type))
	}
	y := v.Op.Expand(b, w)
	if b.Err == nil && !y.Type.Equal(v.Type) {
		b.Err = fmt.Errorf("bug in op %s: it is %v, but its definition is %v", v.Op.Name, v.Type, y.Type)
	}
	return b.Return(y)
}

func operandName(op *Op, i int) string {
	n := len(op.Args) - 1
	if i < n || !op.Args[n].Variadic {
		return op.Args[i].Name
	}
	return fmt.Sprintf("%s%d", op.Args[n].Name, i-n)
}

func (ev *Evaluator) kernel(v *Value) (*naive, error) {
	if k := ev.kernels[v]; k != nil {
		return k, nil
	}
	k, in, err := NaiveKernel(v)
	if err != nil {
		return nil, err
	}
	run, err := loop.Compile(k, ev.Dims, ev.Wide)
	if err != nil {
		return nil, err
	}
	if ev.kernels == nil {
		ev.kernels = map[*Value]*naive{}
	}
	n := &naive{in, run}
	ev.kernels[v] = n
	return n, nil
}

// NaiveKernel is the meaning of v alone as a kernel: its buffers are the
// operands returned, each once, and the result. It is an error if v's op is
// neither pointwise nor has At or Lower.
func NaiveKernel(v *Value) (*loop.Kernel, []*Value, error) {
	e := &Emitter{Builder: loop.NewBuilder(v.Op.Name)}
	var in []*Value
	var bufs []*loop.Buffer
	for i, a := range v.Args {
		if !slices.Contains(in, a) {
			in = append(in, a)
			bufs = append(bufs, e.Buffer(fmt.Sprintf("x%d", i), a.Type.Elem, a.Type.Len(), false))
		}
	}
	out := e.Buffer("y", v.Type.Elem, v.Type.Len(), true)
	e.Memory = func(a *Value) *loop.Buffer { return bufs[slices.Index(in, a)] }
	e.Pull = func(a *Value, idx []loop.Index) *loop.Val {
		return e.Load(e.Memory(a), Linear(a.Type.Shape, idx))
	}
	op := v.Op
	switch {
	case op.Lower != nil:
		op.Lower(e, v, out)
	case op.At != nil, op.Lane != nil:
		e.Nest(v.Type.Shape, func(idx []loop.Index) {
			e.Store(out, Linear(v.Type.Shape, idx), e.Element(v, idx))
		})
	default:
		return nil, nil, fmt.Errorf("bug: op %s has no kernel", op.Name)
	}
	return e.K, in, nil
}

// Element emits the element of v at idx by its op's Lane or At.
func (e *Emitter) Element(v *Value, idx []loop.Index) *loop.Val {
	if v.Op.At != nil {
		return v.Op.At(e, v, idx)
	}
	args := make([]*loop.Val, len(v.Args))
	for i, a := range v.Args {
		args[i] = e.Pull(a, slices.Clone(idx))
	}
	return v.Op.Lane(e, v, args)
}
