package ops

import (
	"slices"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// PanelWidth is the number of columns of a panel of [Packed].
const PanelWidth = 32

// Packed is an operand of a contraction of which there is a copy in panels.
var Packed = new(ir.Op)

func init() {
	define(Packed, ir.Op{
		Name: "packed", Doc: "packed is w. panels has the same elements, with axis cut into runs of 32 that are innermost, " +
			"their number outermost: [n/32, …, 32]. Schedules may read either.",
		Args: []ir.Arg{{Name: "w"}, {Name: "panels"}}, Attrs: []ir.Key{Axis}, Traits: ir.Traits{Layout: true},
		Infer: func(v *ir.Value) (ir.Type, error) {
			if err := tensor(v, 0, ir.F32); err != nil {
				return ir.Type{}, err
			}
			w, a := v.Arg(0), Axis.Of(v)
			if a < 0 || a >= w.Rank() {
				return errorf("%v has no axis %d", w, a)
			}
			if n, ok := w.Shape[a].Const(); !ok || n%PanelWidth != 0 {
				return errorf("axis %d of %v has no runs of %d", a, w, PanelWidth)
			}
			if t := panelsOf(w, a); !v.Arg(1).Equal(t) {
				return errorf("panels are %v, want %v", v.Arg(1), t)
			}
			return w, nil
		},
		At: func(e *ir.Emitter, v *ir.Value, idx []loop.Index) *loop.Val { return e.Pull(v.Args[0], idx) },
		Grad: func(b *ir.Builder, v, dy *ir.Value) []*ir.Value {
			return []*ir.Value{dy, nil}
		},
		Samples: []ir.Sample{
			{Types: types(floats(1, 32), floats(1, 1, 32)), Attrs: settings(Axis.Is(1)), In: data(count(32), count(32)), Want: count(32)},
			{Types: types(floats(2, 33), floats(1, 2, 32)), Attrs: settings(Axis.Is(1)), Err: "axis 1 of f32[2, 33] has no runs of 32"},
			{Types: types(floats(32, 2), floats(2, 1, 32)), Attrs: settings(Axis.Is(0)), Err: "panels are f32[2, 1, 32], want f32[1, 2, 32]"},
			{Types: types(floats(32), floats(1, 32)), Attrs: settings(Axis.Is(1)), Err: "f32[32] has no axis 1"},
		},
	})
}

// panelsOf is the type of the panels of a tensor of type w.
func panelsOf(w ir.Type, axis int) ir.Type {
	shape := slices.Delete(slices.Clone(w.Shape), axis, axis+1)
	return w.WithShape(slices.Concat([]ir.Dim{w.Shape[axis].FloorDiv(loop.N(PanelWidth))}, shape, []ir.Dim{loop.N(PanelWidth)})...)
}

// Panels is w with an axis cut into runs of PanelWidth, as Packed wants it.
func (g Graph) Panels(w *ir.Value, axis int) *ir.Value {
	shape := slices.Clone(w.Type.Shape)
	shape[axis] = shape[axis].FloorDiv(loop.N(PanelWidth))
	shape = slices.Insert(shape, axis+1, loop.N(PanelWidth))
	perm := []int{axis}
	for i := range shape {
		if i != axis && i != axis+1 {
			perm = append(perm, i)
		}
	}
	return g.Transpose(g.Reshape(w, shape...), append(perm, axis+1)...)
}
