package runtime

import "math"

// Exp64 and the other functions whose names end in 64 are those of package
// math where it has them; see the float32 functions for special cases.
func Exp64(x float64) float64 { return math.Exp(x) }

// Expm164 is e**x - 1.
func Expm164(x float64) float64 { return math.Expm1(x) }

// Log64 is the natural logarithm.
func Log64(x float64) float64 { return math.Log(x) }

// Log1p64 is log(1+x).
func Log1p64(x float64) float64 { return math.Log1p(x) }

// Tanh64 is the hyperbolic tangent.
func Tanh64(x float64) float64 { return math.Tanh(x) }

// Sigmoid64 is 1/(1 + e**-x).
func Sigmoid64(x float64) float64 {
	z := math.Exp(-math.Abs(x))
	if x < 0 {
		return z / (1 + z)
	}
	return 1 / (1 + z)
}

// Erf64 is the error function.
func Erf64(x float64) float64 { return math.Erf(x) }

// Sqrt64 is the square root.
func Sqrt64(x float64) float64 { return math.Sqrt(x) }

// Rsqrt64 is 1/√x.
func Rsqrt64(x float64) float64 { return 1 / math.Sqrt(x) }

// Sin64 is the sine.
func Sin64(x float64) float64 { return math.Sin(x) }

// Cos64 is the cosine.
func Cos64(x float64) float64 { return math.Cos(x) }

// Tan64 is the tangent.
func Tan64(x float64) float64 { return math.Tan(x) }

// Asin64 is the arcsine.
func Asin64(x float64) float64 { return math.Asin(x) }

// Acos64 is the arccosine.
func Acos64(x float64) float64 { return math.Acos(x) }

// Atan64 is the arctangent.
func Atan64(x float64) float64 { return math.Atan(x) }

// Pow64 is x**y.
func Pow64(x, y float64) float64 { return math.Pow(x, y) }

// Abs64 is |x|.
func Abs64(x float64) float64 { return math.Abs(x) }

// Floor64 is the greatest integer value <= x.
func Floor64(x float64) float64 { return math.Floor(x) }

// Ceil64 is the least integer value >= x.
func Ceil64(x float64) float64 { return math.Ceil(x) }

// Round64 is the nearest integer value, the even one if two are equally near.
func Round64(x float64) float64 { return math.RoundToEven(x) }

// Sign64 is 1 for x > 0, -1 for x < 0, and x itself for ±0 and NaN.
func Sign64(x float64) float64 {
	if x > 0 {
		return 1
	}
	if x < 0 {
		return -1
	}
	return x
}

// Max64 is a where a > b, otherwise b; see [Max32].
func Max64(a, b float64) float64 {
	if a > b {
		return a
	}
	return b
}

// Min64 is a where a < b, otherwise b; see [Max32].
func Min64(a, b float64) float64 {
	if a < b {
		return a
	}
	return b
}

// Mod64 is the remainder of floor division, a - b*floor(a/b), rounded once: it
// has the sign of b, also where it is 0. Mod64(a, 0) and Mod64(±Inf, b) are NaN.
func Mod64(a, b float64) float64 {
	r := math.Mod(a, b)
	if r == 0 {
		return math.Copysign(0, b)
	}
	if r < 0 != (b < 0) {
		r += b
	}
	return r
}

// FloorDiv is a/b rounded towards minus infinity, as in Python. Division by
// zero gives 0, and the one quotient that does not fit, MinInt32 / -1, wraps.
func FloorDiv[I int32 | int](a, b I) I {
	if b == 0 {
		return 0
	}
	q := a / b
	if a%b != 0 && a < 0 != (b < 0) {
		q--
	}
	return q
}

// Mod is the remainder of [FloorDiv]: it has the sign of b, as in Python, and
// is 0 for b = 0.
func Mod[I int32 | int](a, b I) I {
	if b == 0 {
		return 0
	}
	r := a % b
	if r != 0 && r < 0 != (b < 0) {
		r += b
	}
	return r
}

// ToInt32 converts towards zero. What does not fit becomes the nearest int32,
// and NaN becomes 0, on every port. (Go leaves both to the machine.)
func ToInt32[F Float](x F) int32 {
	switch {
	case x >= 1<<31:
		return math.MaxInt32
	case x >= -1<<31:
		return int32(x)
	case x < 0:
		return math.MinInt32
	}
	return 0 // NaN
}

// MaxInt32 is the greater of a and b.
func MaxInt32(a, b int32) int32 { return max(a, b) }

// MinInt32 is the lesser of a and b.
func MinInt32(a, b int32) int32 { return min(a, b) }
