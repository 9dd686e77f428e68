package loop

import (
	"fmt"
	"math"
	"reflect"

	"github.com/lmc-lang/lmc/runtime"
)

// An Info is one row of Table: all that is known about an op.
type Info struct {
	Name  string
	Doc   string // the meaning, with the special cases
	Args  int
	Forms []Form // one for each combination of element types that is legal
	// Native: it stands in kernels for native targets only, in which a float has
	// 32 bits.
	Native bool
}

// A Form is an op on operands of given element types. It has two spellings of
// the same bits: Fn is called by the interpreter, Go is printed.
type Form struct {
	// Fn is a function over bool, int32, int and either float32 or float64.
	// Its signature says which operands are legal.
	Fn any
	// Go is the expression over the operands $0, $1 and $2. "c ? a : b" stands
	// for an if statement. Names of functions outside the language are
	// qualified by their package: runtime, math or cmp.
	Go string
	// Pin: a compiler may fuse the operation with one that uses its result, so
	// that the rounding has to be written down as a conversion.
	Pin bool
	// Fault: it may fault, and must run exactly where it stands.
	Fault bool

	Args   []Elem
	Result Elem
	Float  int // bits of F32: 32, 64, or 0 if there is no float in the signature
}

// Form returns the row's form for operands and a result of these types, or nil
// if there is none. Wide chooses float64 for F32.
func (in *Info) Form(args []*Val, result Elem, wide bool) *Form {
	for i := range in.Forms {
		f := &in.Forms[i]
		if f.Result == result && f.takes(args) && (f.Float == 0 || wide == (f.Float == 64)) {
			return f
		}
	}
	return nil
}

func (f *Form) takes(args []*Val) bool {
	if len(args) != len(f.Args) {
		return false
	}
	for k, a := range args {
		if a == nil || a.Elem != f.Args[k] {
			return false
		}
	}
	return true
}

// Result is the element type of the op's result for these operands. Where they
// are illegal, which Verify reports, it is any type.
func (in *Info) Result(args []*Val) Elem {
	for i := range in.Forms {
		if in.Forms[i].takes(args) {
			return in.Forms[i].Result
		}
	}
	return in.Forms[0].Result
}

// forms is one form for each function, all with one spelling, in which $W is
// replaced by 32 or 64 and $F by float32 or float64.
func forms(spelling string, fns ...any) []Form {
	out := make([]Form, len(fns))
	for i, fn := range fns {
		f := Form{Fn: fn}
		t := reflect.TypeOf(fn)
		for k := range t.NumIn() {
			f.Args = append(f.Args, f.elem(t.In(k)))
		}
		f.Result = f.elem(t.Out(0))
		f.Go = expand(spelling, f.Float)
		out[i] = f
	}
	return out
}

func expand(spelling string, bits int) string {
	out := ""
	for i := 0; i < len(spelling); i++ {
		switch {
		case spelling[i] == '$' && spelling[i+1] == 'W':
			out += fmt.Sprint(bits)
			i++
		case spelling[i] == '$' && spelling[i+1] == 'F':
			out += fmt.Sprintf("float%d", bits)
			i++
		default:
			out += spelling[i : i+1]
		}
	}
	return out
}

func (f *Form) elem(t reflect.Type) Elem {
	switch t.Kind() {
	case reflect.Float32:
		f.Float = 32
		return F32
	case reflect.Float64:
		f.Float = 64
		return F32
	case reflect.Int32:
		return I32
	case reflect.Int:
		return Int
	}
	return Bool
}

func pinned(fs []Form) []Form {
	for i := range fs {
		fs[i].Pin = fs[i].Float != 0
	}
	return fs
}

func faulty(fs []Form) []Form {
	for i := range fs {
		fs[i].Fault = true
	}
	return fs
}

func join(fs ...[]Form) []Form {
	var out []Form
	for _, f := range fs {
		out = append(out, f...)
	}
	return out
}

type number interface {
	float32 | float64 | int32 | int
}

func add[T number](a, b T) T { return a + b }
func sub[T number](a, b T) T { return a - b }
func mul[T number](a, b T) T { return a * b }
func neg[T number](a T) T    { return -a }
func lt[T number](a, b T) bool {
	return a < b
}
func le[T number](a, b T) bool {
	return a <= b
}
func eq[T number | bool](a, b T) bool { return a == b }
func div[T float32 | float64](a, b T) T {
	return a / b
}
func least[T int32 | int](a, b T) T    { return min(a, b) }
func greatest[T int32 | int](a, b T) T { return max(a, b) }
func absInt32(a int32) int32           { return max(a, -a) }
func signOf(a int32) int32 {
	switch {
	case a > 0:
		return 1
	case a < 0:
		return -1
	}
	return 0
}

func divInt(a, b int) int {
	if b == 0 {
		panic(&fault{"division of %d by zero", []any{a}})
	}
	return runtime.FloorDiv(a, b)
}

func modInt(a, b int) int {
	if b == 0 {
		panic(&fault{"remainder of %d by zero", []any{a}})
	}
	return runtime.Mod(a, b)
}

func choose[T number | bool](c bool, a, b T) T {
	if c {
		return a
	}
	return b
}

func fromBool[T number](c bool) T {
	if c {
		return 1
	}
	return 0
}

func isNonzero[T number](a T) bool { return a != 0 }

func castTo[T, S number](a S) T { return T(a) }

func truncInt[T float32 | float64](a T) int { return int(runtime.ToInt32(a)) }

func check(i, n int) int {
	if i < 0 || i >= n {
		panic(&fault{"index %d out of range [0, %d)", []any{i, n}})
	}
	return i
}

func mix(stream, i int) int { return int(runtime.Mix(uint64(stream), uint64(i)) >> 1) }

// draw is a random function with the int operands of kernels.
func draw[F float32 | float64](f func(seed, stream, ctr uint64) F) func(seed, stream, counter int) F {
	return func(seed, stream, counter int) F { return f(uint64(seed), uint64(stream), uint64(counter)) }
}

// Table defines the arithmetic of kernels.
var Table = [numOps]Info{
	Const: {Name: "const", Doc: "the number Imm, rounded to the element type"},
	Size:  {Name: "size", Doc: "the value of Dim"},

	Add: {Name: "add", Doc: "a + b; integers wrap around", Args: 2,
		Forms: forms("$0 + $1", add[float32], add[float64], add[int32], add[int])},
	Sub: {Name: "sub", Doc: "a - b; integers wrap around", Args: 2,
		Forms: forms("$0 - $1", sub[float32], sub[float64], sub[int32], sub[int])},
	Mul: {Name: "mul", Doc: "a * b; integers wrap around", Args: 2,
		Forms: pinned(forms("$0 * $1", mul[float32], mul[float64], mul[int32], mul[int]))},
	Div: {Name: "div", Doc: "a / b; integers round toward minus infinity, i32 by 0 is 0, int by 0 is a fault", Args: 2,
		Forms: join(forms("$0 / $1", div[float32], div[float64]), forms("runtime.FloorDiv($0, $1)", runtime.FloorDiv[int32]), faulty(forms("runtime.FloorDiv($0, $1)", divInt)))},
	Mod: {Name: "mod", Doc: "a - b*floor(a/b), with the sign of b; i32 by 0 is 0, int by 0 is a fault", Args: 2,
		Forms: join(forms("runtime.Mod$W($0, $1)", runtime.Mod32, runtime.Mod64), forms("runtime.Mod($0, $1)", runtime.Mod[int32]), faulty(forms("runtime.Mod($0, $1)", modInt)))},
	Min: {Name: "min", Doc: "a < b ? a : b", Args: 2,
		Forms: join(forms("runtime.Min$W($0, $1)", runtime.Min32, runtime.Min64), forms("min($0, $1)", least[int32], least[int]))},
	Max: {Name: "max", Doc: "a > b ? a : b", Args: 2,
		Forms: join(forms("runtime.Max$W($0, $1)", runtime.Max32, runtime.Max64), forms("max($0, $1)", greatest[int32], greatest[int]))},
	FMA: {Name: "fma", Doc: "a*b + c, rounded once", Args: 3,
		Forms: join(forms("runtime.FMA32($0, $1, $2)", runtime.FMA32), forms("math.FMA($0, $1, $2)", math.FMA))},
	Neg: {Name: "neg", Doc: "-a: the sign flipped, of zeros too", Args: 1,
		Forms: forms("-$0", neg[float32], neg[float64], neg[int32], neg[int])},
	Abs: {Name: "abs", Doc: "|a|; that of the least i32 is itself", Args: 1,
		Forms: join(forms("runtime.Abs$W($0)", runtime.Abs32, runtime.Abs64), forms("max($0, -$0)", absInt32))},
	Sign: {Name: "sign", Doc: "-1, 0 or 1; NaN and zeros stay as they are", Args: 1,
		Forms: join(forms("runtime.Sign$W($0)", runtime.Sign32, runtime.Sign64), forms("int32(cmp.Compare($0, 0))", signOf))},
	Floor: {Name: "floor", Doc: "the greatest integral value <= a", Args: 1,
		Forms: forms("runtime.Floor$W($0)", runtime.Floor32, runtime.Floor64)},
	Ceil: {Name: "ceil", Doc: "the least integral value >= a", Args: 1,
		Forms: forms("runtime.Ceil$W($0)", runtime.Ceil32, runtime.Ceil64)},
	Round: {Name: "round", Doc: "the nearest integral value, half to even", Args: 1,
		Forms: forms("runtime.Round$W($0)", runtime.Round32, runtime.Round64)},
	Sqrt: {Name: "sqrt", Doc: "the square root, correctly rounded; NaN below 0", Args: 1,
		Forms: forms("runtime.Sqrt$W($0)", runtime.Sqrt32, runtime.Sqrt64)},
	Exp: {Name: "exp", Doc: "e**a", Args: 1,
		Forms: forms("runtime.Exp$W($0)", runtime.Exp32, runtime.Exp64)},
	Expm1: {Name: "expm1", Doc: "e**a - 1, accurate near 0", Args: 1,
		Forms: forms("runtime.Expm1$W($0)", runtime.Expm132, runtime.Expm164)},
	Log: {Name: "log", Doc: "the natural logarithm; -Inf at 0, NaN below", Args: 1,
		Forms: forms("runtime.Log$W($0)", runtime.Log32, runtime.Log64)},
	Log1p: {Name: "log1p", Doc: "log(1 + a), accurate near 0", Args: 1,
		Forms: forms("runtime.Log1p$W($0)", runtime.Log1p32, runtime.Log1p64)},
	Sin: {Name: "sin", Doc: "the sine", Args: 1,
		Forms: forms("runtime.Sin$W($0)", runtime.Sin32, runtime.Sin64)},
	Cos: {Name: "cos", Doc: "the cosine", Args: 1,
		Forms: forms("runtime.Cos$W($0)", runtime.Cos32, runtime.Cos64)},
	Tan: {Name: "tan", Doc: "the tangent", Args: 1,
		Forms: forms("runtime.Tan$W($0)", runtime.Tan32, runtime.Tan64)},
	Asin: {Name: "asin", Doc: "the arcsine; NaN outside [-1, 1]", Args: 1,
		Forms: forms("runtime.Asin$W($0)", runtime.Asin32, runtime.Asin64)},
	Acos: {Name: "acos", Doc: "the arccosine; NaN outside [-1, 1]", Args: 1,
		Forms: forms("runtime.Acos$W($0)", runtime.Acos32, runtime.Acos64)},
	Atan: {Name: "atan", Doc: "the arctangent", Args: 1,
		Forms: forms("runtime.Atan$W($0)", runtime.Atan32, runtime.Atan64)},
	Tanh: {Name: "tanh", Doc: "the hyperbolic tangent", Args: 1,
		Forms: forms("runtime.Tanh$W($0)", runtime.Tanh32, runtime.Tanh64)},
	Sigmoid: {Name: "sigmoid", Doc: "1/(1 + e**-a), without overflow", Args: 1,
		Forms: forms("runtime.Sigmoid$W($0)", runtime.Sigmoid32, runtime.Sigmoid64)},
	Erf: {Name: "erf", Doc: "the error function", Args: 1,
		Forms: forms("runtime.Erf$W($0)", runtime.Erf32, runtime.Erf64)},
	Pow: {Name: "pow", Doc: "a**b, special cases as in package math", Args: 2,
		Forms: forms("runtime.Pow$W($0, $1)", runtime.Pow32, runtime.Pow64)},
	Lt: {Name: "lt", Doc: "a < b; false where one is NaN", Args: 2,
		Forms: forms("$0 < $1", lt[float32], lt[float64], lt[int32], lt[int])},
	Le: {Name: "le", Doc: "a <= b; false where one is NaN", Args: 2,
		Forms: forms("$0 <= $1", le[float32], le[float64], le[int32], le[int])},
	Eq: {Name: "eq", Doc: "a == b; false where one is NaN", Args: 2,
		Forms: forms("$0 == $1", eq[float32], eq[float64], eq[int32], eq[int], eq[bool])},
	And: {Name: "and", Doc: "both", Args: 2, Forms: forms("$0 && $1", func(a, b bool) bool { return a && b })},
	Or:  {Name: "or", Doc: "at least one", Args: 2, Forms: forms("$0 || $1", func(a, b bool) bool { return a || b })},
	Not: {Name: "not", Doc: "the opposite", Args: 1, Forms: forms("!$0", func(a bool) bool { return !a })},
	Select: {Name: "select", Doc: "c ? a : b; both have been computed", Args: 3,
		Forms: forms("$0 ? $1 : $2", choose[float32], choose[float64], choose[int32], choose[int], choose[bool])},
	Convert: {Name: "convert", Doc: "to another type: floats truncate and saturate to 32 bits, NaN is 0; int to i32 wraps around; bools are 0 or 1; to bool is != 0", Args: 1,
		Forms: join(
			forms("runtime.ToInt32($0)", runtime.ToInt32[float32], runtime.ToInt32[float64]),
			forms("int(runtime.ToInt32($0))", truncInt[float32], truncInt[float64]),
			forms("$F($0)", castTo[float32, int32], castTo[float64, int32], castTo[float32, int], castTo[float64, int]),
			forms("int($0)", castTo[int, int32]),
			forms("int32($0)", castTo[int32, int]),
			forms("$0 != 0", isNonzero[float32], isNonzero[float64], isNonzero[int32], isNonzero[int]),
			forms("$0 ? 1 : 0", fromBool[float32], fromBool[float64], fromBool[int32], fromBool[int]),
		)},
	Check: {Name: "check", Doc: "i, and a fault unless 0 <= i < n", Args: 2,
		Forms: faulty(forms("runtime.Index($0, $1)", check))},
	Fold: {Name: "fold", Doc: "the random stream of draw i within stream s", Args: 2,
		Forms: forms("int(runtime.Mix(uint64($0), uint64($1)) >> 1)", mix)},
	Uniform: {Name: "uniform", Doc: "a random number in [0, 1) for (seed, stream, counter)", Args: 3,
		Forms: join(
			forms("runtime.Uniform(uint64($0), uint64($1), uint64($2))", draw(runtime.Uniform)),
			forms("runtime.Uniform64(uint64($0), uint64($1), uint64($2))", draw(runtime.Uniform64)))},
	Normal: {Name: "normal", Doc: "a standard normal random number for (seed, stream, counter)", Args: 3,
		Forms: join(
			forms("runtime.Normal(uint64($0), uint64($1), uint64($2))", draw(runtime.Normal)),
			forms("runtime.Normal64(uint64($0), uint64($1), uint64($2))", draw(runtime.Normal64)))},

	BitAnd: {Name: "bitand", Native: true, Doc: "the bits that both have", Args: 2, Forms: forms("$0 & $1", func(a, b int32) int32 { return a & b })},
	BitOr:  {Name: "bitor", Native: true, Doc: "the bits that one has", Args: 2, Forms: forms("$0 | $1", func(a, b int32) int32 { return a | b })},
	BitXor: {Name: "bitxor", Native: true, Doc: "the bits that differ", Args: 2, Forms: forms("$0 ^ $1", func(a, b int32) int32 { return a ^ b })},
	ShiftLeft: {Name: "shl", Native: true, Doc: "a << b; 0 unless 0 <= b < 32", Args: 2,
		Forms: forms("int32(uint32($0) << uint32($1))", func(a, b int32) int32 { return int32(uint32(a) << uint32(b)) })},
	ShiftRight: {Name: "shr", Native: true, Doc: "a >> b with zeros coming in; 0 unless 0 <= b < 32", Args: 2,
		Forms: forms("int32(uint32($0) >> uint32($1))", func(a, b int32) int32 { return int32(uint32(a) >> uint32(b)) })},
	MulHigh: {Name: "mulhigh", Native: true, Doc: "the high 32 bits of the product of a and b as unsigned numbers", Args: 2,
		Forms: forms("int32(uint64(uint32($0)) * uint64(uint32($1)) >> 32)", func(a, b int32) int32 { return int32(uint64(uint32(a)) * uint64(uint32(b)) >> 32) })},
	Bits: {Name: "bits", Native: true, Doc: "the representation of a float", Args: 1,
		Forms: forms("int32(math.Float32bits($0))", func(a float32) int32 { return int32(math.Float32bits(a)) })},
	FromBits: {Name: "frombits", Native: true, Doc: "the float with a representation", Args: 1,
		Forms: forms("math.Float32frombits(uint32($0))", func(a int32) float32 { return math.Float32frombits(uint32(a)) })},
	Scale: {Name: "scale", Native: true, Doc: "a * 2**b for a whole number b, rounded once", Args: 2,
		Forms: forms("runtime.Scale32($0, $1)", runtime.Scale32)},

	Splat:      {Name: "splat", Native: true, Doc: "a vector with a in every lane", Args: 1},
	Iota:       {Name: "iota", Native: true, Doc: "the vector 0, 1, 2, …"},
	First:      {Name: "first", Native: true, Doc: "the mask of the first a lanes", Args: 1},
	AddAcross:  {Name: "addacross", Native: true, Doc: "the sum of the lanes: lane l takes lane l+8, then l+4, l+2, l+1", Args: 1},
	MinAcross:  {Name: "minacross", Native: true, Doc: "the least lane, in the tree of addacross", Args: 1},
	MaxAcross:  {Name: "maxacross", Native: true, Doc: "the greatest lane, in the tree of addacross", Args: 1},
	UnpackLow:  {Name: "unpacklow", Native: true, Doc: "of each four lanes a0, b0, a1, b1", Args: 2},
	UnpackHigh: {Name: "unpackhigh", Native: true, Doc: "of each four lanes a2, b2, a3, b3", Args: 2},
	PairLow:    {Name: "pairlow", Native: true, Doc: "of each four lanes a0, a1, b0, b1", Args: 2},
	PairHigh:   {Name: "pairhigh", Native: true, Doc: "of each four lanes a2, a3, b2, b3", Args: 2},
	QuadEven:   {Name: "quadeven", Native: true, Doc: "fours of lanes: those numbered 0 and 2 of a, then of b", Args: 2},
	QuadOdd:    {Name: "quadodd", Native: true, Doc: "fours of lanes: those numbered 1 and 3 of a, then of b", Args: 2},
}
