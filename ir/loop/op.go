package loop

// An Op names what an Instr computes. Table has its meaning.
type Op uint8

// The ops of the kernel IR. Operands and result have one element type unless
// the comment says otherwise.
const (
	Const Op = iota // Imm
	Size            // Dim, as Int
	Add             // F32 I32 Int
	Sub             // F32 I32 Int
	Mul             // F32 I32 Int
	Div             // F32; on I32 and Int the quotient rounded toward minus infinity
	Mod             // F32 I32 Int: a - b*floor(a/b), the sign of b
	Min             // F32 I32 Int: a < b ? a : b
	Max             // F32 I32 Int: a > b ? a : b
	FMA             // F32: a*b + c, rounded once
	Neg             // F32 I32 Int
	Abs             // F32 I32
	Sign            // F32 I32: -1, 0 or 1; NaN stays NaN
	Floor           // F32
	Ceil            // F32
	Round           // F32, half to even
	Sqrt            // F32
	Exp
	Expm1
	Log
	Log1p
	Sin
	Cos
	Tan
	Asin
	Acos
	Atan
	Tanh
	Sigmoid
	Erf
	Pow     // F32: a ** b
	Lt      // F32 I32 Int -> Bool
	Le      // F32 I32 Int -> Bool
	Eq      // F32 I32 Int Bool -> Bool
	And     // Bool
	Or      // Bool
	Not     // Bool
	Select  // Bool, T, T -> T
	Convert // any -> any: F32 -> I32 truncates and saturates, NaN -> 0; Bool -> 0 or 1; any -> Bool is != 0
	Check   // Int i, Int n -> Int: i, and a fault unless 0 <= i < n
	Fold    // Int stream, Int i -> Int: a new random stream (runtime.Mix), kept in 63 bits
	Uniform // Int seed, Int stream, Int counter -> F32 in [0, 1)
	Normal  // Int seed, Int stream, Int counter -> F32, standard normal

	// On bits, for polynomials and random numbers.
	BitAnd     // I32
	BitOr      // I32
	BitXor     // I32
	ShiftLeft  // I32: by 32 or more, or less than 0, is 0
	ShiftRight // I32: zeros come in; by 32 or more, or less than 0, is 0
	MulHigh    // I32: the high half of the product of a and b as unsigned numbers
	Bits       // F32 -> I32: the representation
	FromBits   // I32 -> F32
	Scale      // F32: a * 2**b for whole b, rounded once

	// Across lanes; see vector.go.
	Splat     // T -> T vector: every lane is a
	Iota      // -> I32 vector: 0, 1, 2, …
	First     // Int -> Bool vector: lane l is l < a
	AddAcross // F32 I32 vector -> scalar
	MinAcross // F32 I32 vector -> scalar
	MaxAcross // F32 I32 vector -> scalar
	UnpackLow
	UnpackHigh
	PairLow
	PairHigh
	QuadEven
	QuadOdd
	numOps
)
