package ops

import "github.com/lmc-lang/lmc/ir"

func (g Graph) one(op *ir.Op, x *ir.Value, attrs ...ir.Setting) *ir.Value {
	return g.Do(op, []*ir.Value{x}, attrs...)
}

func (g Graph) two(op *ir.Op, x, y *ir.Value, attrs ...ir.Setting) *ir.Value {
	return g.Do(op, []*ir.Value{x, y}, attrs...)
}

// Constant is the constant x of the given type.
func (g Graph) Constant(e ir.Elem, x float64, shape ...ir.Dim) *ir.Value {
	return g.Do(Const, nil, Fill.Is(x), ElemAttr.Is(e), Shape.Is(shape))
}

// Float is the f32 constant x of the given shape.
func (g Graph) Float(x float64, shape ...ir.Dim) *ir.Value { return g.Constant(ir.F32, x, shape...) }

// Integer is the i32 constant x of the given shape.
func (g Graph) Integer(x int, shape ...ir.Dim) *ir.Value {
	return g.Constant(ir.I32, float64(x), shape...)
}

// Like is the constant x of v's type.
func (g Graph) Like(v *ir.Value, x float64) *ir.Value {
	return g.Constant(v.Type.Elem, x, v.Type.Shape...)
}

// Iota counts along axis.
func (g Graph) Iota(axis int, shape ...ir.Dim) *ir.Value {
	return g.Do(Iota, nil, Axis.Is(axis), Shape.Is(shape))
}

// Size is d as an i32 scalar.
func (g Graph) Size(d ir.Dim) *ir.Value { return g.Do(Size, nil, Extent.Is(d)) }

// Random draws from op (Uniform or Normal); salt are loop counters.
func (g Graph) Random(op *ir.Op, key *ir.Value, stream uint64, salt []*ir.Value, shape ...ir.Dim) *ir.Value {
	return g.Do(op, append([]*ir.Value{key}, salt...), Stream.Is(stream), Shape.Is(shape))
}

// Neg applies the op Neg.
func (g Graph) Neg(x *ir.Value) *ir.Value { return g.one(Neg, x) }

// Abs applies the op Abs.
func (g Graph) Abs(x *ir.Value) *ir.Value { return g.one(Abs, x) }

// Sign applies the op Sign.
func (g Graph) Sign(x *ir.Value) *ir.Value { return g.one(Sign, x) }

// Floor applies the op Floor.
func (g Graph) Floor(x *ir.Value) *ir.Value { return g.one(Floor, x) }

// Ceil applies the op Ceil.
func (g Graph) Ceil(x *ir.Value) *ir.Value { return g.one(Ceil, x) }

// Round applies the op Round.
func (g Graph) Round(x *ir.Value) *ir.Value { return g.one(Round, x) }

// Exp applies the op Exp.
func (g Graph) Exp(x *ir.Value) *ir.Value { return g.one(Exp, x) }

// Expm1 applies the op Expm1.
func (g Graph) Expm1(x *ir.Value) *ir.Value { return g.one(Expm1, x) }

// Log applies the op Log.
func (g Graph) Log(x *ir.Value) *ir.Value { return g.one(Log, x) }

// Log1p applies the op Log1p.
func (g Graph) Log1p(x *ir.Value) *ir.Value { return g.one(Log1p, x) }

// Sqrt applies the op Sqrt.
func (g Graph) Sqrt(x *ir.Value) *ir.Value { return g.one(Sqrt, x) }

// Rsqrt applies the op Rsqrt.
func (g Graph) Rsqrt(x *ir.Value) *ir.Value { return g.one(Rsqrt, x) }

// Sin applies the op Sin.
func (g Graph) Sin(x *ir.Value) *ir.Value { return g.one(Sin, x) }

// Cos applies the op Cos.
func (g Graph) Cos(x *ir.Value) *ir.Value { return g.one(Cos, x) }

// Tan applies the op Tan.
func (g Graph) Tan(x *ir.Value) *ir.Value { return g.one(Tan, x) }

// Asin applies the op Asin.
func (g Graph) Asin(x *ir.Value) *ir.Value { return g.one(Asin, x) }

// Acos applies the op Acos.
func (g Graph) Acos(x *ir.Value) *ir.Value { return g.one(Acos, x) }

// Atan applies the op Atan.
func (g Graph) Atan(x *ir.Value) *ir.Value { return g.one(Atan, x) }

// Tanh applies the op Tanh.
func (g Graph) Tanh(x *ir.Value) *ir.Value { return g.one(Tanh, x) }

// Sigmoid applies the op Sigmoid.
func (g Graph) Sigmoid(x *ir.Value) *ir.Value { return g.one(Sigmoid, x) }

// Erf applies the op Erf.
func (g Graph) Erf(x *ir.Value) *ir.Value { return g.one(Erf, x) }

// Square applies the op Square.
func (g Graph) Square(x *ir.Value) *ir.Value { return g.one(Square, x) }

// Reciprocal applies the op Reciprocal.
func (g Graph) Reciprocal(x *ir.Value) *ir.Value { return g.one(Reciprocal, x) }

// Not applies the op Not.
func (g Graph) Not(x *ir.Value) *ir.Value { return g.one(Not, x) }

// Stop applies the op Stop.
func (g Graph) Stop(x *ir.Value) *ir.Value { return g.one(Stop, x) }

// Add applies the op Add.
func (g Graph) Add(x, y *ir.Value) *ir.Value { return g.two(Add, x, y) }

// Sub applies the op Sub.
func (g Graph) Sub(x, y *ir.Value) *ir.Value { return g.two(Sub, x, y) }

// Mul applies the op Mul.
func (g Graph) Mul(x, y *ir.Value) *ir.Value { return g.two(Mul, x, y) }

// Div applies the op Div.
func (g Graph) Div(x, y *ir.Value) *ir.Value { return g.two(Div, x, y) }

// Mod applies the op Mod.
func (g Graph) Mod(x, y *ir.Value) *ir.Value { return g.two(Mod, x, y) }

// Min applies the op Min.
func (g Graph) Min(x, y *ir.Value) *ir.Value { return g.two(Min, x, y) }

// Max applies the op Max.
func (g Graph) Max(x, y *ir.Value) *ir.Value { return g.two(Max, x, y) }

// Pow applies the op Pow.
func (g Graph) Pow(x, y *ir.Value) *ir.Value { return g.two(Pow, x, y) }

// Mulz applies the op Mulz.
func (g Graph) Mulz(x, y *ir.Value) *ir.Value { return g.two(Mulz, x, y) }

// Less applies the op Less.
func (g Graph) Less(x, y *ir.Value) *ir.Value { return g.two(Less, x, y) }

// LessEqual applies the op LessEqual.
func (g Graph) LessEqual(x, y *ir.Value) *ir.Value { return g.two(LessEqual, x, y) }

// Equal applies the op Equal.
func (g Graph) Equal(x, y *ir.Value) *ir.Value { return g.two(Equal, x, y) }

// And applies the op And.
func (g Graph) And(x, y *ir.Value) *ir.Value { return g.two(And, x, y) }

// Or applies the op Or.
func (g Graph) Or(x, y *ir.Value) *ir.Value { return g.two(Or, x, y) }

// Sum applies the op Sum.
func (g Graph) Sum(x *ir.Value, axes ...int) *ir.Value {
	return g.one(Sum, x, Axes.Is(axes))
}

// Prod applies the op Prod.
func (g Graph) Prod(x *ir.Value, axes ...int) *ir.Value {
	return g.one(Prod, x, Axes.Is(axes))
}

// MaxOf applies the op MaxOf.
func (g Graph) MaxOf(x *ir.Value, axes ...int) *ir.Value {
	return g.one(MaxOf, x, Axes.Is(axes))
}

// MinOf applies the op MinOf.
func (g Graph) MinOf(x *ir.Value, axes ...int) *ir.Value {
	return g.one(MinOf, x, Axes.Is(axes))
}

// All applies the op All.
func (g Graph) All(x *ir.Value, axes ...int) *ir.Value {
	return g.one(All, x, Axes.Is(axes))
}

// Any applies the op Any.
func (g Graph) Any(x *ir.Value, axes ...int) *ir.Value {
	return g.one(Any, x, Axes.Is(axes))
}

// ArgMax applies the op ArgMax.
func (g Graph) ArgMax(x *ir.Value, axis int) *ir.Value { return g.one(ArgMax, x, Axis.Is(axis)) }

// ArgMin applies the op ArgMin.
func (g Graph) ArgMin(x *ir.Value, axis int) *ir.Value { return g.one(ArgMin, x, Axis.Is(axis)) }

// Select is x where c, else y.
func (g Graph) Select(c, x, y *ir.Value) *ir.Value { return g.Do(Select, []*ir.Value{c, x, y}) }

// Cast converts x to e; it is x itself if it has that element type.
func (g Graph) Cast(x *ir.Value, e ir.Elem) *ir.Value {
	if x.Type.Elem == e {
		return x
	}
	return g.one(Cast, x, ElemAttr.Is(e))
}

// Reshape gives x another shape of as many elements.
func (g Graph) Reshape(x *ir.Value, shape ...ir.Dim) *ir.Value {
	if ir.SameShape(x.Type.Shape, shape) {
		return x
	}
	return g.one(Reshape, x, Shape.Is(shape))
}

// Transpose permutes the axes.
func (g Graph) Transpose(x *ir.Value, perm ...int) *ir.Value {
	for i, p := range perm {
		if i != p {
			return g.one(Transpose, x, Perm.Is(perm))
		}
	}
	return x
}

// Broadcast repeats x: axis i of x becomes axis axes[i] of shape.
func (g Graph) Broadcast(x *ir.Value, shape []ir.Dim, axes ...int) *ir.Value {
	if ir.SameShape(x.Type.Shape, shape) {
		return x
	}
	return g.one(Broadcast, x, Shape.Is(shape), Axes.Is(axes))
}

// Expand broadcasts a scalar to shape.
func (g Graph) Expand(x *ir.Value, shape ...ir.Dim) *ir.Value { return g.Broadcast(x, shape) }

// Slice takes shape elements from starts, every steps-th.
func (g Graph) Slice(x *ir.Value, starts, shape []ir.Dim, steps []int) *ir.Value {
	return g.one(Slice, x, Starts.Is(starts), Shape.Is(shape), Steps.Is(steps))
}

// Pad surrounds x with fill.
func (g Graph) Pad(x, fill *ir.Value, lo, hi []ir.Dim, interior []int) *ir.Value {
	return g.two(Pad, x, fill, Lo.Is(lo), Hi.Is(hi), Interior.Is(interior))
}

// Concat joins xs along axis.
func (g Graph) Concat(axis int, xs ...*ir.Value) *ir.Value {
	if len(xs) == 1 {
		return xs[0]
	}
	return g.Do(Concat, xs, Axis.Is(axis))
}

// Flip reverses the given axes.
func (g Graph) Flip(x *ir.Value, axes ...int) *ir.Value { return g.one(Flip, x, Axes.Is(axes)) }

// DynSlice takes n elements from the run-time index i on along axis.
func (g Graph) DynSlice(x, i *ir.Value, axis int, n ir.Dim) *ir.Value {
	return g.two(DynSlice, x, i, Axis.Is(axis), Extent.Is(n))
}

// DynUpdate is x with y written from the run-time index i on along axis.
func (g Graph) DynUpdate(x, y, i *ir.Value, axis int) *ir.Value {
	return g.Do(DynUpdate, []*ir.Value{x, y, i}, Axis.Is(axis))
}

// CumSum adds up along axis.
func (g Graph) CumSum(x *ir.Value, axis int, exclusive, reverse bool) *ir.Value {
	return g.one(CumSum, x, Axis.Is(axis), Exclusive.Is(exclusive), Reverse.Is(reverse))
}

// Dot contracts x and y; spec names their axes: "ab,bc->ac".
func (g Graph) Dot(spec string, x, y *ir.Value) *ir.Value { return g.two(Dot, x, y, Spec.Is(spec)) }

// Gather takes the entries idx of x along axis.
func (g Graph) Gather(x, idx *ir.Value, axis int) *ir.Value {
	return g.two(Gather, x, idx, Axis.Is(axis))
}

// Scatter adds dy into zeros at idx along axis, which has n entries.
func (g Graph) Scatter(dy, idx *ir.Value, axis int, n ir.Dim) *ir.Value {
	return g.two(Scatter, dy, idx, Axis.Is(axis), Extent.Is(n))
}

// ScatterAdd is x with the entries of dy added at the places idx along axis.
func (g Graph) ScatterAdd(x, dy, idx *ir.Value, axis int) *ir.Value {
	return g.Do(ScatterAdd, []*ir.Value{x, dy, idx}, Axis.Is(axis))
}

// TakeAlong takes one entry of x along axis for each element of idx.
func (g Graph) TakeAlong(x, idx *ir.Value, axis int) *ir.Value {
	return g.two(TakeAlong, x, idx, Axis.Is(axis))
}

// PutAlong is the transpose of TakeAlong.
func (g Graph) PutAlong(dy, idx *ir.Value, axis int, n ir.Dim) *ir.Value {
	return g.two(PutAlong, dy, idx, Axis.Is(axis), Extent.Is(n))
}

// SegmentSum adds the rows of x that have the same seg, of n.
func (g Graph) SegmentSum(x, seg *ir.Value, n ir.Dim) *ir.Value {
	return g.two(SegmentSum, x, seg, Extent.Is(n))
}

// SegmentMax takes the largest of the rows of x that have the same seg, of n.
func (g Graph) SegmentMax(x, seg *ir.Value, n ir.Dim) *ir.Value {
	return g.two(SegmentMax, x, seg, Extent.Is(n))
}

// GatherND indexes the given axes of x at once.
func (g Graph) GatherND(x *ir.Value, axes []int, idx ...*ir.Value) *ir.Value {
	return g.Do(GatherND, append([]*ir.Value{x}, idx...), Axes.Is(axes))
}

// ScatterND is the transpose of GatherND into a tensor of the given shape.
func (g Graph) ScatterND(dy *ir.Value, axes []int, shape []ir.Dim, idx ...*ir.Value) *ir.Value {
	return g.Do(ScatterND, append([]*ir.Value{dy}, idx...), Axes.Is(axes), Shape.Is(shape))
}

// Get is element i of a tuple.
func (g Graph) Get(x *ir.Value, i int) *ir.Value { return g.one(Get, x, Axis.Is(i)) }
