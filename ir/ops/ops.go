// Package ops is the table of operations. An op is declared once, here: the
// handle below, its rules in the init function of its family's file, and a
// method of Graph to apply it.
package ops

import "github.com/lmc-lang/lmc/ir"

// The handles. An initialiser may not mention itself and gradients do, so the
// init functions of the families fill these in.
var (
	// Sources (source.go).
	Const   = new(ir.Op) // Float|Int|Truth by Elem, broadcast to Shape: attrs Fill, ElemAttr, Shape
	Iota    = new(ir.Op) // i32[Shape] counting along Axis
	Size    = new(ir.Op) // i32 scalar: the dim Extent
	Uniform = new(ir.Op) // f32[Shape] in [0, 1): operands key i32[3], then i32 scalars (loop counters); attr Stream
	Normal  = new(ir.Op) // like Uniform, standard normal

	// Pointwise on f32 or i32 (pointwise.go). Operands have equal shapes.
	Add = new(ir.Op)
	Sub = new(ir.Op)
	Mul = new(ir.Op)
	Div = new(ir.Op) // f32: quotient. i32: rounded toward minus infinity
	Mod = new(ir.Op) // sign of the divisor
	Min = new(ir.Op) // a < b ? a : b
	Max = new(ir.Op) // a > b ? a : b
	Pow = new(ir.Op) // f32
	Neg = new(ir.Op)
	Abs = new(ir.Op)
	// Mulz is x*y, but 0 wherever x is 0: a cotangent of zero stops at a place
	// where the slope is infinite or undefined. Gradients of log, sqrt, … use it, so
	// that `where` protects the branch not taken.
	Mulz = new(ir.Op)

	// Pointwise on f32 (math.go).
	Sign, Floor, Ceil, Round               = new(ir.Op), new(ir.Op), new(ir.Op), new(ir.Op)
	Exp, Expm1, Log, Log1p, Sqrt, Rsqrt    = new(ir.Op), new(ir.Op), new(ir.Op), new(ir.Op), new(ir.Op), new(ir.Op)
	Sin, Cos, Tan, Asin, Acos, Atan        = new(ir.Op), new(ir.Op), new(ir.Op), new(ir.Op), new(ir.Op), new(ir.Op)
	Tanh, Sigmoid, Erf, Square, Reciprocal = new(ir.Op), new(ir.Op), new(ir.Op), new(ir.Op), new(ir.Op)

	// Comparison and logic (logic.go): bool results.
	Less, LessEqual, Equal = new(ir.Op), new(ir.Op), new(ir.Op)
	And, Or, Not           = new(ir.Op), new(ir.Op), new(ir.Op)
	Select                 = new(ir.Op) // bool, T, T
	Cast                   = new(ir.Op) // to ElemAttr; f32 to i32 truncates

	// Layout (layout.go).
	Reshape   = new(ir.Op) // to Shape
	Transpose = new(ir.Op) // Perm: axis i of the result is axis Perm[i] of the operand
	Broadcast = new(ir.Op) // to Shape; Axes[i] is the axis of the result that operand axis i becomes
	Slice     = new(ir.Op) // Starts, Shape, Steps ([]int), all per axis
	Pad       = new(ir.Op) // x, scalar fill; Lo, Hi ([]Dim) per axis, Interior []int
	Concat    = new(ir.Op) // variadic, along Axis
	Flip      = new(ir.Op) // Axes
	DynSlice  = new(ir.Op) // x, i i32 scalar: [i:i+Extent] along Axis, Extent 1 for one; 0 <= i is checked
	DynUpdate = new(ir.Op) // x, y, i: x with y written at i along Axis

	// Reductions over Axes, which disappear (reduce.go). ArgMax and ArgMin: i32, first of equals, over Axis.
	Sum, Prod, MaxOf, MinOf = new(ir.Op), new(ir.Op), new(ir.Op), new(ir.Op)
	All, Any                = new(ir.Op), new(ir.Op)
	ArgMax, ArgMin          = new(ir.Op), new(ir.Op)
	CumSum                  = new(ir.Op) // along Axis; Exclusive, Reverse

	// Contraction (dot.go): Spec like "bthc,bshc->bhts", one letter per axis. Every letter stands in at
	// least two of the three; a letter in both operands and not in the result is summed.
	Dot = new(ir.Op)

	// Gather and scatter (gather.go).
	Gather     = new(ir.Op) // x, idx i32[I...]: rows of x along Axis; result x.shape with the axis replaced by I...; indices are checked
	Scatter    = new(ir.Op) // dy, idx, shaped like Gather's result; Axis, Extent: adds into zeros, the transpose of Gather
	TakeAlong  = new(ir.Op) // x, idx of x's shape but along Axis: x[.., idx[..j..], ..]
	PutAlong   = new(ir.Op) // dy, idx; Axis, Extent: the transpose of TakeAlong, adding
	SegmentSum = new(ir.Op) // x[E, ...], seg i32[E]; Extent N: result [N, ...]; seg outside [0,N) counts nowhere
	SegmentMax = new(ir.Op) // like SegmentSum; empty segments are 0; ties: all of them share the gradient equally
	GatherND   = new(ir.Op) // x, then one i32 index tensor per axis in Axes, all of one shape I; the indexed axes are replaced by I... which come first, then the rest
	ScatterAdd = new(ir.Op) // x, dy, idx: x with the entries of dy added at the places idx along Axis
	ScatterND  = new(ir.Op) // transpose of GatherND: dy, then indices; Axes, Shape (of x)

	// Windows on any number of middle axes (window.go): x[B, S..., C] and per spatial axis
	// Window, Strides, PadLo, PadHi, Dilation.
	Window         = new(ir.Op) // -> [B, O..., K..., C], Fill outside
	Fold           = new(ir.Op) // transpose of Window with Fill 0: y, attrs and Shape of x: adds overlaps
	Unwindow       = new(ir.Op) // y[B, O..., C], attrs and Shape [B, S..., C] -> [B, S..., K..., C]: for the place s and tap k the y that read it there, 0 if none
	CausalWindow   = new(ir.Op) // x[B, T, C], dilation i32 scalar -> [B, T, Extent, C]: x[t-(K-1-k)*dilation], 0 before the start
	CausalFold     = new(ir.Op) // transpose of CausalWindow: y[B, T, K, C], dilation -> [B, T, C]: sum over k of y[t+(K-1-k)*dilation, k]
	CausalUnwindow = new(ir.Op) // y[B, T, C], dilation -> [B, T, Extent, C]: y[t+(K-1-k)*dilation], 0 after the end
	Conv           = new(ir.Op) // x[B, S..., I], w[K..., I/Groups, O]; Strides, PadLo, PadHi, Dilation, Groups -> [B, O..., O]
	ConvInput      = new(ir.Op) // gradient of Conv to x: dy, w; attrs and Shape of x
	ConvFilter     = new(ir.Op) // gradient of Conv to w: x, dy; attrs and Shape of w

	// Winograd's form of convolutions (winograd.go): a matrix applied from both sides to each tile.
	Tiles  = new(ir.Op) // x[B, S, T, C...]; Matrix, PadLo, Shape -> [B, I, J, n*n, C...]
	Untile = new(ir.Op) // y[B, I, J, n*n, C...]; Matrix, Shape -> [B, S, T, C...]

	// Order (order.go), along the last axis: i32 indices, ties to the lower index first.
	SortIndex = new(ir.Op) // ascending, or Descending
	TopKIndex = new(ir.Op) // of the Extent largest, descending
	NMS       = new(ir.Op) // boxes [B, N, 4], scores [B, N]; IOU, Extent = limit -> i32[B, limit+1+N]: kept indices, their number, scratch
	NMSKeep   = new(ir.Op) // boxes [B, N, 4], scores [B, N]; IOU, Extent = limit -> i32[B, limit], padded with 0
	NMSCount  = new(ir.Op) // the same -> i32[B]

	// Control (control.go).
	Scan = new(ir.Op) // see control.go
	Get  = new(ir.Op) // element Axis of a tuple
	Stop = new(ir.Op) // its operand; no gradient
)

// The attributes.
var (
	Fill      = ir.NewAttr[float64]("fill", "the value of every element")
	ElemAttr  = ir.NewAttr[ir.Elem]("elem", "the element type of the result")
	Shape     = ir.NewAttr[[]ir.Dim]("shape", "the shape of the result")
	Axis      = ir.NewAttr[int]("axis", "the axis worked along")
	Axes      = ir.NewAttr[[]int]("axes", "the axes worked along, ascending")
	Extent    = ir.NewAttr[ir.Dim]("extent", "the extent of the axis")
	Stream    = ir.NewAttr[uint64]("stream", "names the random stream: a hash of the path of the draw")
	Perm      = ir.NewAttr[[]int]("perm", "axis i of the result is axis perm[i] of the operand")
	Starts    = ir.NewAttr[[]ir.Dim]("starts", "first index per axis")
	Steps     = ir.NewAttr[[]int]("steps", "step per axis")
	Lo        = ir.NewAttr[[]ir.Dim]("lo", "elements added in front, per axis")
	Hi        = ir.NewAttr[[]ir.Dim]("hi", "elements added behind, per axis")
	Interior  = ir.NewAttr[[]int]("interior", "elements added between neighbours, per axis")
	Spec      = ir.NewAttr[string]("spec", "letters of the axes: a,b->result")
	Exclusive = ir.NewAttr[bool]("exclusive", "leave out the element itself")
	Reverse   = ir.NewAttr[bool]("reverse", "from the end")
	Kernel    = ir.NewAttr[[]int]("window", "extent of the window per spatial axis")
	Strides   = ir.NewAttr[[]int]("strides", "step of the window per spatial axis")
	PadLo     = ir.NewAttr[[]int]("padlo", "padding in front per spatial axis")
	PadHi     = ir.NewAttr[[]int]("padhi", "padding behind per spatial axis")
	Dilation  = ir.NewAttr[[]int]("dilation", "distance of taps per spatial axis")
	Groups    = ir.NewAttr[int]("groups", "groups of channels that do not mix")
	Matrix    = ir.NewAttr[string]("matrix", "the matrix of Winograd's form: what it is for, and the results of a tile along an axis")
	Descend   = ir.NewAttr[bool]("descend", "largest first")
	IOU       = ir.NewAttr[float64]("iou", "overlap from which a box is dropped")
	Body      = ir.NewAttr[*ir.Func]("body", "the sub-function")
	Carries   = ir.NewAttr[int]("carries", "number of carried values")
	InAxes    = ir.NewAttr[[]int]("inaxes", "axis that the loop walks, per sliced operand")
	OutAxes   = ir.NewAttr[[]int]("outaxes", "axis that the loop walks, per collected result")
	Dynamic   = ir.NewAttr[bool]("dynamic", "the number of iterations is the first operand")
)

// A Graph builds values with one method per op. It is a Builder.
type Graph struct{ *ir.Builder }

// On is a Graph that appends to b.
func On(b *ir.Builder) Graph { return Graph{b} }
