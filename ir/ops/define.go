package ops

import (
	"fmt"
	"math"
	"slices"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// define fills in the handle op. Cheap pointwise ops of constants fold.
func define(op *ir.Op, o ir.Op) {
	if own := o.Fold; o.Lane != nil && !o.Costly {
		o.Fold = func(b *ir.Builder, v *ir.Value) *ir.Value {
			if own != nil {
				if w := own(b, v); w != nil {
					return w
				}
			}
			return foldConstants(b, v)
		}
	}
	*op = o
}

// foldConstants evaluates a pointwise op of constants. The IR does not know
// whether f32 will be float32 or float64, so it folds only where rounding the
// float64 result once gives what float32 arithmetic gives.
func foldConstants(b *ir.Builder, v *ir.Value) *ir.Value {
	if len(v.Args) == 0 {
		return nil
	}
	e := &ir.Emitter{Builder: loop.NewBuilder("constant")}
	out := e.Buffer("y", v.Type.Elem, loop.N(1), true)
	args := make([]*loop.Val, len(v.Args))
	for i, a := range v.Args {
		x, ok := constant(a)
		if !ok {
			return nil
		}
		args[i] = e.Const(a.Type.Elem, x)
	}
	e.Store(out, loop.Index{}, v.Op.Lane(e, v, args))
	narrow, ok1 := runConstant(e.K, v.Type.Elem, false)
	wide, ok2 := runConstant(e.K, v.Type.Elem, true)
	if !ok1 || !ok2 || float32(narrow) != float32(wide) || math.Signbit(narrow) != math.Signbit(wide) {
		return nil
	}
	return On(b).Constant(v.Type.Elem, wide, v.Type.Shape...)
}

func runConstant(k *loop.Kernel, e ir.Elem, wide bool) (float64, bool) {
	m := loop.NewMem(e, 1, wide)
	if err := loop.Run(k, nil, wide, []loop.Mem{m}, nil); err != nil {
		return 0, false
	}
	switch m := m.(type) {
	case []float32:
		return float64(m[0]), true
	case []float64:
		return m[0], true
	case []int32:
		return float64(m[0]), true
	case []bool:
		if m[0] {
			return 1, true
		}
	}
	return 0, true
}

// constant returns the element of the constant v.
func constant(v *ir.Value) (float64, bool) {
	if v.Op != Const {
		return 0, false
	}
	return Fill.Of(v), true
}

// isZeroOfSign reports whether v is the constant zero; a float zero must have
// the sign given.
func isZeroOfSign(v *ir.Value, negative bool) bool {
	return isZero(v) && (v.Type.Elem != ir.F32 || math.Signbit(Fill.Of(v)) == negative)
}

// lane makes a Lane of one instruction.
func lane(op loop.Op) func(e *ir.Emitter, v *ir.Value, args []*loop.Val) *loop.Val {
	return func(e *ir.Emitter, _ *ir.Value, args []*loop.Val) *loop.Val { return e.Do(op, args...) }
}

// Type rules that several ops share.

func errorf(format string, a ...any) (ir.Type, error) { return ir.Type{}, fmt.Errorf(format, a...) }

// same is the rule of pointwise ops: operands of one type, which has one of
// the element types elems; it is the type of the result.
func same(elems ...ir.Elem) func(v *ir.Value) (ir.Type, error) {
	return func(v *ir.Value) (ir.Type, error) {
		t := v.Arg(0)
		for i := range v.Args {
			if err := tensor(v, i, elems...); err != nil {
				return ir.Type{}, err
			}
			if u := v.Arg(i); !u.Equal(t) {
				return errorf("operands have different types: %v and %v", t, u)
			}
		}
		return t, nil
	}
}

// tensor checks that operand i is a tensor with one of the element types.
func tensor(v *ir.Value, i int, elems ...ir.Elem) error {
	t := v.Arg(i)
	if t.Tuple == nil && slices.Contains(elems, t.Elem) {
		return nil
	}
	want := ""
	for k, e := range elems {
		if k > 0 {
			want += " or "
		}
		want += e.String()
	}
	return fmt.Errorf("%s is %v, want %s", argName(v, i), t, want)
}

func argName(v *ir.Value, i int) string {
	as := v.Op.Args
	if n := len(as) - 1; i >= n && as[n].Variadic {
		return fmt.Sprintf("operand %d of %s", i-n, as[n].Name)
	}
	return "operand " + as[i].Name
}

// scalarInt checks that operand i is an i32 scalar.
func scalarInt(v *ir.Value, i int) error {
	if t := v.Arg(i); !t.Equal(ir.Tensor(ir.I32)) {
		return fmt.Errorf("%s is %v, want i32", argName(v, i), t)
	}
	return nil
}

// axisOf checks that t has the axis.
func axisOf(t ir.Type, axis int) error {
	if axis < 0 || axis >= t.Rank() {
		return fmt.Errorf("%v has no axis %d", t, axis)
	}
	return nil
}

// axesOf checks that axes are axes of t, ascending.
func axesOf(t ir.Type, axes []int) error {
	for i, a := range axes {
		if err := axisOf(t, a); err != nil {
			return err
		}
		if i > 0 && axes[i-1] >= a {
			return fmt.Errorf("axes %v are not ascending", axes)
		}
	}
	return nil
}

// extents checks that no extent is known to be negative.
func extents(shape []ir.Dim) error {
	for i, d := range shape {
		if n, ok := d.Const(); ok && n < 0 {
			return fmt.Errorf("axis %d of %s has a negative extent", i, ir.ShapeString(shape))
		}
	}
	return nil
}

// without is shape without the axes, which ascend.
func without(shape []ir.Dim, axes ...int) []ir.Dim {
	out := make([]ir.Dim, 0, len(shape))
	for i, d := range shape {
		if !slices.Contains(axes, i) {
			out = append(out, d)
		}
	}
	return out
}

// replaced is shape with another extent of axis.
func replaced(shape []ir.Dim, axis int, n ir.Dim) []ir.Dim {
	out := slices.Clone(shape)
	out[axis] = n
	return out
}

// spliced is shape with by in the place of axis.
func spliced(shape []ir.Dim, axis int, by []ir.Dim) []ir.Dim {
	return slices.Concat(shape[:axis], by, shape[axis+1:])
}

// others lists the axes of a tensor of the given rank that are not in axes.
func others(rank int, axes ...int) []int {
	var out []int
	for i := range rank {
		if !slices.Contains(axes, i) {
			out = append(out, i)
		}
	}
	return out
}

// Emission helpers.

func choose(e *ir.Emitter, c *loop.Val, then, els func() *loop.Val) *loop.Val {
	return e.If(c, func() []*loop.Val { return []*loop.Val{then()} }, func() []*loop.Val { return []*loop.Val{els()} })[0]
}

// integer is the Int n.
func integer(e *ir.Emitter, n int) *loop.Val { return e.SizeOf(loop.N(n)) }

// inside is 0 <= i and i < n.
func inside(e *ir.Emitter, i *loop.Val, n ir.Dim) *loop.Val {
	return e.Do(loop.And, e.Do(loop.Le, integer(e, 0), i), e.Do(loop.Lt, i, e.SizeOf(n)))
}

// plus is i + d.
func plus(i loop.Index, d ir.Dim) loop.Index { return i.Add(loop.AtDim(d)) }

// with is idx with index i replaced.
func with(idx []loop.Index, i int, x loop.Index) []loop.Index {
	out := slices.Clone(idx)
	out[i] = x
	return out
}

// element pulls the i32 scalar v as an Int.
func element(e *ir.Emitter, v *ir.Value, idx []loop.Index) *loop.Val {
	return e.ConvertTo(loop.Int, e.Pull(v, idx))
}

// Types and attributes of samples.

func dims(ns ...int) []ir.Dim {
	out := make([]ir.Dim, len(ns))
	for i, n := range ns {
		out[i] = loop.N(n)
	}
	return out
}

func floats(shape ...int) ir.Type { return ir.Tensor(ir.F32, dims(shape...)...) }
func ints(shape ...int) ir.Type   { return ir.Tensor(ir.I32, dims(shape...)...) }
func bools(shape ...int) ir.Type  { return ir.Tensor(ir.Bool, dims(shape...)...) }

func types(ts ...ir.Type) []ir.Type          { return ts }
func settings(ss ...ir.Setting) []ir.Setting { return ss }
func data(xs ...[]float64) [][]float64       { return xs }
func row(xs ...float64) []float64            { return xs }
