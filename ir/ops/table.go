package ops

import "github.com/lmc-lang/lmc/ir"

// A Family is a chapter of the manual.
type Family struct {
	Name string
	Doc  string
	Ops  []*ir.Op
}

// Families lists all ops in the order of the manual.
var Families = []Family{
	{"source", "Values without operands, and random numbers.",
		[]*ir.Op{Const, Iota, Size, Uniform, Normal}},
	{"pointwise", "Arithmetic, element by element. Operands have one type; nothing is broadcast.",
		[]*ir.Op{Add, Sub, Mul, Mulz, Div, Mod, Min, Max, Pow, Neg, Abs, Sign, Square, Reciprocal}},
	{"math", "Functions of one f32, element by element.",
		[]*ir.Op{Floor, Ceil, Round, Exp, Expm1, Log, Log1p, Sqrt, Rsqrt, Sin, Cos, Tan, Asin, Acos, Atan, Tanh, Sigmoid, Erf}},
	{"logic", "Comparison, choice and conversion, element by element.",
		[]*ir.Op{Less, LessEqual, Equal, And, Or, Not, Select, Cast}},
	{"layout", "Moving elements.",
		[]*ir.Op{Reshape, Transpose, Broadcast, Slice, Pad, Concat, Flip, DynSlice, DynUpdate}},
	{"reduce", "Reductions over axes, and running sums.",
		[]*ir.Op{Sum, Prod, MaxOf, MinOf, All, Any, ArgMax, ArgMin, CumSum}},
	{"contract", "Contraction.",
		[]*ir.Op{Dot, Packed}},
	{"gather", "Indexing by computed values, and the transposes, which add.",
		[]*ir.Op{Gather, Scatter, ScatterAdd, TakeAlong, PutAlong, GatherND, ScatterND, SegmentSum, SegmentMax}},
	{"window", "Windows and convolutions on any number of spatial axes, channels last.",
		[]*ir.Op{Window, Fold, Unwindow, CausalWindow, CausalFold, CausalUnwindow, Conv, ConvInput, ConvFilter, Tiles, Untile}},
	{"order", "Sorting and selection: indices, ties to the lower index.",
		[]*ir.Op{SortIndex, TopKIndex, NMS, NMSKeep, NMSCount}},
	{"control", "Loops, tuples, stops of the gradient, and groups of values that one kernel computes.",
		[]*ir.Op{Scan, Get, Tuple, Stop, Fused}},
}

// Table is every op, in the order of the manual. It does not hold ir.Param,
// which is not applied.
var Table = table()

func table() []*ir.Op {
	var out []*ir.Op
	for _, f := range Families {
		out = append(out, f.Ops...)
	}
	return out
}

// ByName returns the op called name, or nil; for ir.Parse.
func ByName(name string) *ir.Op {
	for _, op := range Table {
		if op.Name == name {
			return op
		}
	}
	return nil
}
