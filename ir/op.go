package ir

import (
	"github.com/lmc-lang/lmc/ir/loop"
)

// An Op is everything lmc knows about one operation. It is declared once, in
// package ops; nobody switches over ops.
//
// Exactly one of Lane, At, Lower, Expand and Control gives its meaning.
type Op struct {
	Name  string
	Doc   string // starts with the name; states conventions and the source of the definition
	Args  []Arg
	Attrs []Key
	Traits

	// Infer is the type rule: operands and attributes of v are set.
	Infer func(v *Value) (Type, error)

	// Grad returns one cotangent per operand (nil for none) from the cotangent
	// dy of the result. A nil Grad means that nothing flows back.
	Grad func(b *Builder, v, dy *Value) []*Value

	// Fold returns a simpler value equal to v, or nil. It must not loop.
	Fold func(b *Builder, v *Value) *Value

	// Lane computes one element from the elements of the operands at the same
	// place: the op is pointwise, its operands all have the result's shape.
	Lane func(e *Emitter, v *Value, args []*loop.Val) *loop.Val

	// At computes the element at idx, one index per axis, pulling the operands'
	// elements that it needs. Only elements inside the operand's shape may be pulled.
	At func(e *Emitter, v *Value, idx []loop.Index) *loop.Val

	// Lower writes the whole result to out. Operands are pulled, or read whole
	// from memory with e.Memory.
	Lower func(e *Emitter, v *Value, out *loop.Buffer)

	// Expand defines the op over other ops.
	Expand func(b *Builder, v *Value) *Value

	// Control ops hold a sub-function; the evaluator runs them through Control.
	Control func(ev *Evaluator, v *Value, args []*Data) ([]*Data, error)

	// Reducer is set for reductions over the axes of an attribute Axes whose At
	// is a plain fold: schedules share loops between them and split sums.
	Reducer *Reducer

	// Tol is the relative error to expect of the result in float32, 0 if exact.
	Tol float64

	Samples []Sample
}

// A Reducer says how a reduction folds elements: Step(… Step(Step(Init, x0), x1) …).
// Step also joins the folds of two parts.
type Reducer struct {
	Init func(e Elem) float64
	Step func(e *Emitter, acc, x *loop.Val) *loop.Val
}

// An Arg is one operand in an op's signature. Only the last may be variadic.
type Arg struct {
	Name     string
	Doc      string
	Variadic bool
}

// Traits are declared properties of an op.
type Traits struct {
	// Layout: At only moves elements (reshape, broadcast, slice, …): pulling it
	// costs no arithmetic worth keeping.
	Layout bool
	// Source: no operands that matter; cheap to compute anywhere (const, iota, random).
	Source bool
	// Reduces: At loops over elements of the operands (sum, max, dot, …).
	Reduces bool
	// Costly: one element costs much more than an addition (exp, pow, random, …).
	Costly bool
	// Whole: operands must be in memory for Lower (sort, scatter).
	Whole bool
}

// A Sample is an application with the result wanted, or the type error.
type Sample struct {
	Types []Type // of the operands
	Attrs []Setting
	In    [][]float64
	Want  []float64
	Err   string // wanted part of the message of Infer
	// NoGrad says why the gradient cannot be checked by central differences here (a kink or a step).
	NoGrad string
	// NoGrad2 says why that of the gradient cannot.
	NoGrad2 string
}

// Param is the op of function parameters. It has no operands.
var Param = &Op{Name: "param", Doc: "param is a parameter of the function."}

// An Emitter builds the kernel of a group of values: ops pull the elements
// of their operands, and whoever drives the emission decides which values are
// in memory and which are computed in place.
type Emitter struct {
	*loop.Builder
	// Pull returns the element of v at idx, one index per axis of v.
	Pull func(v *Value, idx []loop.Index) *loop.Val
	// Memory returns the buffer that holds v, row-major; it is there for
	// operands of ops with trait Whole.
	Memory func(v *Value) *loop.Buffer
}

// Linear is the address of idx in a row-major tensor of the given shape.
func Linear(shape []Dim, idx []loop.Index) loop.Index {
	var at loop.Index
	stride := loop.N(1)
	for i := len(shape) - 1; i >= 0; i-- {
		at = at.Add(idx[i].Scale(stride))
		stride = stride.Mul(shape[i])
	}
	return at
}

// Delinear splits the address at into one index per axis of shape, by
// division and remainder where that cannot be avoided.
func (e *Emitter) Delinear(at loop.Index, shape []Dim) []loop.Index {
	idx := make([]loop.Index, len(shape))
	last := -1 // outermost axis longer than 1
	for i, d := range shape {
		if !d.Is(1) {
			last = i
			break
		}
	}
	if last < 0 {
		return idx
	}
	var rest *loop.Val
	for i := len(shape) - 1; i > last; i-- {
		if shape[i].Is(1) {
			continue
		}
		if rest == nil {
			rest = e.IndexVal(at)
		}
		n := e.SizeOf(shape[i])
		idx[i] = loop.At(e.Do(loop.Mod, rest, n))
		rest = e.Do(loop.Div, rest, n)
	}
	if rest == nil {
		idx[last] = at
	} else {
		idx[last] = loop.At(rest)
	}
	return idx
}

// Nest loops over shape, outermost axis first, and calls body with the counters.
func (e *Emitter) Nest(shape []Dim, body func(idx []loop.Index)) {
	idx := make([]loop.Index, len(shape))
	var rec func(i int)
	rec = func(i int) {
		if i == len(shape) {
			body(idx)
			return
		}
		if shape[i].Is(1) {
			idx[i] = loop.Index{}
			rec(i + 1)
			return
		}
		e.Range("i", shape[i], func(k *loop.Val) {
			idx[i] = loop.At(k)
			rec(i + 1)
		})
	}
	rec(0)
}

// ReduceNest folds body over shape, starting with init.
func (e *Emitter) ReduceNest(shape []Dim, init *loop.Val, body func(idx []loop.Index, acc *loop.Val) *loop.Val) *loop.Val {
	idx := make([]loop.Index, len(shape))
	var rec func(i int, acc *loop.Val) *loop.Val
	rec = func(i int, acc *loop.Val) *loop.Val {
		if i == len(shape) {
			return body(idx, acc)
		}
		if shape[i].Is(1) {
			idx[i] = loop.Index{}
			return rec(i+1, acc)
		}
		return e.Reduce("k", shape[i], acc, func(k, acc *loop.Val) *loop.Val {
			idx[i] = loop.At(k)
			return rec(i+1, acc)
		})
	}
	return rec(0, init)
}
