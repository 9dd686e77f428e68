package ops

import (
	"fmt"
	"slices"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// Tuple makes a tuple of its operands. It stands only between a Get and the
// gradient of the loop that it reads.
var Tuple = new(ir.Op)

// Remat is the attribute of Scan that trades time for memory.
var Remat = ir.NewAttr[bool]("remat", "compute the body once more in the backward pass instead of keeping its values")

// A Loop is a Scan taken apart. Its body has the parameters
//
//	counter i32, carries…, slices…, invariants…
//
// and the results: next carries…, collected…. A slice is its operand without
// axis InAxes[k], at the counter; a collected value is stored at the counter
// along a new axis OutAxes[k]. The counter runs over [0, Extent), or down from
// Extent-1. A loop over the run-time number Trip has neither slices nor
// collected results, for their extent would not be known.
type Loop struct {
	Body       *ir.Func
	Extent     ir.Dim
	Trip       *ir.Value // i32 scalar, or nil for Extent
	Reverse    bool
	Remat      bool
	Inits      []*ir.Value
	Slices     []*ir.Value
	InAxes     []int
	Invariants []*ir.Value
	OutAxes    []int
}

// LoopOf takes the Scan v apart.
func LoopOf(v *ir.Value) Loop { return LoopWith(v, v.Args) }

// LoopWith is LoopOf(v) with other operands.
func LoopWith(v *ir.Value, args []*ir.Value) Loop {
	l := Loop{Body: Body.Of(v), Extent: Extent.Of(v), Reverse: Reverse.Of(v), Remat: Remat.Of(v), InAxes: InAxes.Of(v), OutAxes: OutAxes.Of(v)}
	if Dynamic.Of(v) {
		l.Trip, args = args[0], args[1:]
	}
	l.Inits, args = args[:Carries.Of(v)], args[Carries.Of(v):]
	l.Slices, l.Invariants = args[:len(l.InAxes)], args[len(l.InAxes):]
	return l
}

// Counter is the parameter that counts iterations.
func (l Loop) Counter() *ir.Value { return l.Body.Params[0] }

// Carry is the parameter of carried value i.
func (l Loop) Carry(i int) *ir.Value { return l.Body.Params[1+i] }

// Slice is the parameter of sliced operand i.
func (l Loop) Slice(i int) *ir.Value { return l.Body.Params[1+len(l.Inits)+i] }

// Invariant is the parameter of invariant operand i.
func (l Loop) Invariant(i int) *ir.Value {
	return l.Body.Params[1+len(l.Inits)+len(l.Slices)+i]
}

// Scan applies a loop. Element i of the result is the last value of carry i,
// then come the collected values; see Get.
func (g Graph) Scan(l Loop) *ir.Value {
	var args []*ir.Value
	if l.Trip != nil {
		args = append(args, l.Trip)
	}
	args = slices.Concat(args, l.Inits, l.Slices, l.Invariants)
	return g.Do(Scan, args, Body.Is(l.Body), Extent.Is(l.Extent), Dynamic.Is(l.Trip != nil), Reverse.Is(l.Reverse),
		Remat.Is(l.Remat), Carries.Is(len(l.Inits)), InAxes.Is(l.InAxes), OutAxes.Is(l.OutAxes))
}

func init() {
	*Scan = ir.Op{
		Name: "scan",
		Doc: "scan runs its body once per count, in order: carried values go from one iteration to the next, " +
			"slices of operands come in at the counter and collected values are stored at it. " +
			"The gradient is a scan in the opposite direction; values of the body that it needs are collected by a second scan, " +
			"which is merged with the first one by the pass cse.",
		Args:    []ir.Arg{{Name: "operands", Doc: "number of iterations if dynamic, first carried values, sliced operands, invariants", Variadic: true}},
		Attrs:   []ir.Key{Extent, Dynamic, Reverse, Remat, Carries, InAxes, OutAxes, Body},
		Infer:   inferScan,
		Control: runScan,
		Grad: func(b *ir.Builder, v, dy *ir.Value) []*ir.Value {
			need := make([]bool, len(v.Args))
			for i, a := range v.Args {
				need[i] = differentiable(a.Type)
			}
			out, err := scanGrad(b, v, dy, need)
			if err != nil {
				if b.Err == nil {
					b.Err = err
				}
				return make([]*ir.Value, len(v.Args))
			}
			return out
		},
		Samples: scanSamples(),
	}
	*Get = ir.Op{
		Name:  "get",
		Doc:   "get is element axis of a tuple.",
		Args:  []ir.Arg{{Name: "x", Doc: "tuple"}},
		Attrs: []ir.Key{Axis},
		Traits: ir.Traits{
			Layout: true,
		},
		Infer: func(v *ir.Value) (ir.Type, error) {
			t := v.Arg(0).Tuple
			if i := Axis.Of(v); t == nil || i < 0 || i >= len(t) {
				return ir.Type{}, fmt.Errorf("no element %d in %v", i, v.Arg(0))
			}
			return t[Axis.Of(v)], nil
		},
		Fold: func(b *ir.Builder, v *ir.Value) *ir.Value {
			if x := v.Args[0]; x.Op == Tuple {
				return x.Args[Axis.Of(v)]
			}
			return nil
		},
		Grad: func(b *ir.Builder, v, dy *ir.Value) []*ir.Value {
			g := On(b)
			parts := make([]*ir.Value, len(v.Arg(0).Tuple))
			for i, t := range v.Arg(0).Tuple {
				if i == Axis.Of(v) {
					parts[i] = dy
				} else {
					parts[i] = g.Constant(t.Elem, 0, t.Shape...)
				}
			}
			return []*ir.Value{g.Do(Tuple, parts)}
		},
		Control: func(_ *ir.Evaluator, v *ir.Value, args []*ir.Data) ([]*ir.Data, error) {
			return args[Axis.Of(v):][:1], nil
		},
	}
	*Tuple = ir.Op{
		Name: "tuple",
		Doc:  "tuple makes a tuple of its operands: the cotangent of a loop.",
		Args: []ir.Arg{{Name: "xs", Doc: "the elements", Variadic: true}},
		Infer: func(v *ir.Value) (ir.Type, error) {
			ts := make([]ir.Type, len(v.Args))
			for i := range ts {
				if ts[i] = v.Arg(i); ts[i].Tuple != nil {
					return ir.Type{}, fmt.Errorf("element %d is a tuple", i)
				}
			}
			return ir.Type{Tuple: ts}, nil
		},
		Grad: func(b *ir.Builder, v, dy *ir.Value) []*ir.Value {
			out := make([]*ir.Value, len(v.Args))
			for i, a := range v.Args {
				if differentiable(a.Type) {
					out[i] = On(b).Get(dy, i)
				}
			}
			return out
		},
		Control: func(_ *ir.Evaluator, _ *ir.Value, args []*ir.Data) ([]*ir.Data, error) { return args, nil },
	}
	*Stop = ir.Op{
		Name:  "stop",
		Doc:   "stop is its operand, a constant for gradients.",
		Args:  []ir.Arg{{Name: "x"}},
		Infer: func(v *ir.Value) (ir.Type, error) { return v.Arg(0), nil },
		Lane:  func(_ *ir.Emitter, _ *ir.Value, args []*loop.Val) *loop.Val { return args[0] },
	}
}

func inferScan(v *ir.Value) (ir.Type, error) {
	carries, in, out := Carries.Of(v), InAxes.Of(v), OutAxes.Of(v)
	body, extent, skip := Body.Of(v), Extent.Of(v), 0
	if Dynamic.Of(v) {
		skip = 1
		if len(in) > 0 || len(out) > 0 {
			return ir.Type{}, fmt.Errorf("a loop over a run-time number has slices or collected values")
		}
	}
	switch {
	case carries < 0 || len(v.Args) < skip+carries+len(in):
		return ir.Type{}, fmt.Errorf("%d operands are too few", len(v.Args))
	case skip == 1 && !v.Arg(0).Equal(ir.Tensor(ir.I32)):
		return ir.Type{}, fmt.Errorf("the number of iterations is %v, want i32", v.Arg(0))
	case len(body.Params) != len(v.Args)-skip+1:
		return ir.Type{}, fmt.Errorf("the body has %d parameters, want %d", len(body.Params), len(v.Args)-skip+1)
	case len(body.Results) != carries+len(out):
		return ir.Type{}, fmt.Errorf("the body has %d results, want %d", len(body.Results), carries+len(out))
	case !body.Params[0].Type.Equal(ir.Tensor(ir.I32)):
		return ir.Type{}, fmt.Errorf("the counter is %v, want i32", body.Params[0].Type)
	}
	for i, a := range v.Args[skip:] {
		t := a.Type
		if k := i - carries; k >= 0 && k < len(in) {
			if in[k] < 0 || in[k] >= t.Rank() {
				return ir.Type{}, fmt.Errorf("%v has no axis %d", t, in[k])
			}
			if !t.Shape[in[k]].Eq(extent) {
				return ir.Type{}, fmt.Errorf("axis %d of %v is walked in %v steps", in[k], t, extent)
			}
			t = t.WithShape(slices.Delete(slices.Clone(t.Shape), in[k], in[k]+1)...)
		}
		if p := body.Params[1+i].Type; !p.Equal(t) || t.Tuple != nil {
			return ir.Type{}, fmt.Errorf("parameter %d of the body is %v, want %v", 1+i, p, t)
		}
	}
	ts := make([]ir.Type, len(body.Results))
	for i, r := range body.Results {
		ts[i] = r.Type
		if i < carries {
			if want := v.Arg(skip + i); !ts[i].Equal(want) {
				return ir.Type{}, fmt.Errorf("carried value %d becomes %v, want %v", i, ts[i], want)
			}
			continue
		}
		at := out[i-carries]
		if ts[i].Tuple != nil || at < 0 || at > ts[i].Rank() {
			return ir.Type{}, fmt.Errorf("%v cannot be collected along axis %d", ts[i], at)
		}
		ts[i] = ts[i].WithShape(slices.Insert(slices.Clone(ts[i].Shape), at, extent)...)
	}
	return ir.Type{Tuple: ts}, nil
}

// scanSamples is a delay line: each iteration gives out the slice before. The
// wanted numbers are those of all results, one after the other.
func scanSamples() []ir.Sample {
	b := ir.NewBuilder("delay")
	b.Param("i", ir.Tensor(ir.I32))
	c, x := b.Param("c", ir.Tensor(ir.F32)), b.Param("x", ir.Tensor(ir.F32))
	body, _ := b.Return(x, c)
	attrs := func(reverse bool) []ir.Setting {
		return []ir.Setting{Extent.Is(loop.N(3)), Dynamic.Is(false), Reverse.Is(reverse), Remat.Is(false), Carries.Is(1),
			InAxes.Is([]int{0}), OutAxes.Is([]int{0}), Body.Is(body)}
	}
	types := []ir.Type{ir.Tensor(ir.F32), ir.Tensor(ir.F32, loop.N(3))}
	return []ir.Sample{
		{Types: types, Attrs: attrs(false), In: [][]float64{{9}, {1, 2, 3}}, Want: []float64{3, 9, 1, 2}},
		{Types: types, Attrs: attrs(true), In: [][]float64{{9}, {1, 2, 3}}, Want: []float64{1, 2, 3, 9}},
		{Types: []ir.Type{types[1], types[1]}, Attrs: attrs(false), Err: "parameter 1 of the body is f32, want f32[3]"},
		{Types: []ir.Type{types[0], ir.Tensor(ir.F32, loop.N(4))}, Attrs: attrs(false), Err: "axis 0 of f32[4] is walked in 3 steps"},
	}
}
