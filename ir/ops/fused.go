package ops

import (
	"fmt"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// Fused is a group of values that one kernel computes. The pass fuse makes it.
var Fused = new(ir.Op)

// Group applies body to args as one kernel; read its results with Get.
func (g Graph) Group(body *ir.Func, args ...*ir.Value) *ir.Value {
	return g.Do(Fused, args, Body.Is(body))
}

func init() {
	*Fused = ir.Op{
		Name: "fused",
		Doc: "fused applies its body, whose values are computed by one kernel: parameters are read from memory, " +
			"results are written to it, and nothing else is. The result is the tuple of the body's results.",
		Args:  []ir.Arg{{Name: "operands", Doc: "one for each parameter of the body", Variadic: true}},
		Attrs: []ir.Key{Body},
		Infer: func(v *ir.Value) (ir.Type, error) {
			body := Body.Of(v)
			if len(v.Args) != len(body.Params) {
				return ir.Type{}, fmt.Errorf("%d operands for a body with %d parameters", len(v.Args), len(body.Params))
			}
			for i, p := range body.Params {
				if !p.Type.Equal(v.Arg(i)) {
					return ir.Type{}, fmt.Errorf("operand %d is %v, the body wants %v", i, v.Arg(i), p.Type)
				}
			}
			if len(body.Results) == 0 {
				return ir.Type{}, fmt.Errorf("the body has no results")
			}
			for i, r := range body.Results {
				if r.Type.Tuple != nil {
					return ir.Type{}, fmt.Errorf("result %d is a tuple", i)
				}
			}
			return ir.Type{Tuple: body.ResultTypes()}, nil
		},
		Control: func(ev *ir.Evaluator, v *ir.Value, args []*ir.Data) ([]*ir.Data, error) {
			return ev.Run(Body.Of(v), args)
		},
		Samples: fusedSamples(),
	}
}

func fusedSamples() []ir.Sample {
	b := ir.NewBuilder("twice")
	x := b.Param("x", ir.Tensor(ir.F32, loop.N(2)))
	body := &ir.Func{Name: b.F.Name, Params: b.F.Params, Values: b.F.Values, Results: []*ir.Value{x, x}}
	attrs := []ir.Setting{Body.Is(body)}
	return []ir.Sample{
		{Types: []ir.Type{x.Type}, Attrs: attrs, In: [][]float64{{1, 2}}, Want: []float64{1, 2, 1, 2}},
		{Types: []ir.Type{ir.Tensor(ir.F32)}, Attrs: attrs, Err: "operand 0 is f32, the body wants f32[2]"},
	}
}
