package check

import (
	"testing"

	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/ir"
	"github.com/stretchr/testify/require"
)

// TestDropEverything: dropout with probability 1 gives zeros, not 0/0.
func TestDropEverything(t *testing.T) {
	const text = "package d\n\nimport \"optim\"\n\nmodel Net[D = 4] {\n\tparam w f32[D] = 1\n\n\tfunc Loss(x f32[D]) f32 {\n\t\treturn sum(dropout(x, 1) * w)\n\t}\n\n\ttrain Step {\n\t\tminimize  = Loss\n\t\toptimizer = optim.SGD(lr = 0.1)\n\t}\n}\n"
	f, ds := dsl.Parse("d.lm", []byte(text))
	require.Empty(t, ds)
	m, ds := Check([]*dsl.File{f}, Options{})
	require.Empty(t, ds)
	loss := m.Trainers[0].Loss
	var args []*ir.Data
	for _, p := range loss.Func.Params {
		d := &ir.Data{Elem: p.Type.Elem}
		for _, n := range p.Type.Shape {
			c, _ := n.Const()
			d.Shape = append(d.Shape, c)
		}
		d.F, d.I = make([]float64, d.Len()), make([]int32, d.Len())
		if d.Elem == ir.F32 {
			d.I = nil
			for i := range d.F {
				d.F[i] = 1
			}
		} else {
			d.F = nil
		}
		args = append(args, d)
	}
	out, err := (&ir.Evaluator{}).Run(loss.Func, args)
	require.NoError(t, err)
	require.Equal(t, []float64{0}, out[0].F)
}
