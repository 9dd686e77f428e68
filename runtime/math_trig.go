package runtime

import (
	"math"
	"math/bits"
)

const (
	twoOverPi = 0x1.45f306dc9c883p-1
	pio2Hi    = 0x1.921fb544p+0       // π/2 in two parts: products of the first part
	pio2Lo    = 0x1.0b4611a626331p-34 // and integers below 2^20 are exact
)

// The polynomials below have relative errors under 2^-40.
var (
	// (sin(r) - r)/r³ and (cos(r) - 1 + r²/2)/r⁴ in r², for |r| <= π/4
	sinPoly = [5]float64{-0x1.5555555552235p-3, 0x1.1111110c86c6fp-7, -0x1.a019f938b3df1p-13, 0x1.71d76ca94f045p-19, -0x1.a9617632acb57p-26}
	cosPoly = [5]float64{0x1.5555555552dcfp-5, -0x1.6c16c1671ff04p-10, 0x1.a019fa5ec6639p-16, -0x1.27e00b06d6fd6p-22, 0x1.1bbe6237d68d6p-29}
	// (atan(x) - x)/x³ in x², for |x| <= √2-1
	atanPoly = [8]float64{-0x1.555555550bf8ep-2, 0x1.9999992bf0c2dp-3, -0x1.24922d0cd1949p-3, 0x1.c715739b5530bp-4, -0x1.73e0e2e3374d7p-4, 0x1.35fc7b94fd1b6p-4, -0x1.e27122f1f6bf3p-5, 0x1.f9ba2610394c0p-6}
	// (asin(x) - x)/x³ in x², for |x| <= ½
	asinPoly = [9]float64{0x1.5555555659f5fp-3, 0x1.333331f3009bbp-4, 0x1.6db76283e6ba9p-5, 0x1.f1ab4aecb3584p-6, 0x1.7027963ef78f9p-6, 0x1.0e13915f23e6bp-6, 0x1.30d1f8ef707cep-6, -0x1.6f6b9c5fa0904p-9, 0x1.0568669d68e4bp-5}
	// log2((1+s)/(1-s))/s in s², for (1+s)/(1-s) in [√½, √2]
	log2Poly = [6]float64{0x1.71547652b8255p+1, 0x1.ec709dc53996bp-1, 0x1.2776c29552635p-1, 0x1.a61a2d8e5e929p-2, 0x1.47957ebffadfap-2, 0x1.21af0881586edp-2}
	// (2**r - 1)/r for |r| <= ½
	exp2Poly = [8]float64{0x1.62e42fef89b70p-1, 0x1.ebfbdff8eddd2p-3, 0x1.c6b08dcf0b2b1p-5, 0x1.3b2ab5edb2231p-7, 0x1.5d874cca97e39p-10, 0x1.430aa7caa7d9ep-13, 0x1.00d878e9e4f1ap-16, 0x1.61c5f288d0d81p-20}
)

// horner is c[0] + c[1]*x + c[2]*x² + …
func horner(c []float64, x float64) float64 {
	y := c[len(c)-1]
	for i := len(c) - 2; i >= 0; i-- {
		y = mad64(y, x, c[i])
	}
	return y
}

// trigReduce is x = r + n*π/2 with |r| <= π/4 and n modulo 4; x is finite.
func trigReduce(x float32) (r float64, n int) {
	v := float64(x)
	if math.Abs(v) < 1<<20 {
		n := math.RoundToEven(v * twoOverPi)
		r := mad64(n, -pio2Hi, v)
		return mad64(n, -pio2Lo, r), int(n) & 3
	}
	return trigReduceLarge(x)
}

// twoOverPiBits has the first 256 bits of 2/π after the point.
var twoOverPiBits = [4]uint64{0xA2F9836E4E441529, 0xFC2757D1F534DDC0, 0xDB6295993C439041, 0xFE5163ABDEBBC561}

// trigReduceLarge multiplies x by the bits of 2/π that matter: those that
// decide n modulo 4 and 64 bits of the fraction (Payne and Hanek).
func trigReduceLarge(x float32) (r float64, n int) {
	b := math.Float32bits(x)
	m := uint64(b&0x007FFFFF | 0x00800000)
	e := int(b>>23&0xFF) - 150 // |x| = m * 2**e, -3 <= e <= 104
	// 128 bits of 2/π from bit e-2 on: multiples of 4 are left away.
	from := e - 2
	var hi, lo uint64
	if from < 0 {
		hi = twoOverPiBits[0] >> uint(-from)
		lo = twoOverPiBits[0]<<uint(64+from) | twoOverPiBits[1]>>uint(-from)
	} else {
		w, s := from/64, uint(from%64)
		hi = twoOverPiBits[w]<<s | twoOverPiBits[w+1]>>(64-s)
		lo = twoOverPiBits[w+1]<<s | twoOverPiBits[w+2]>>(64-s)
	}
	// hi:lo is 2/π * 2**e modulo 4, the point after the second bit.
	carry, _ := bits.Mul64(m, lo)
	p := m*hi + carry
	n = int((p + 1<<61) >> 62)
	frac := int64(p - uint64(n)<<62) // |frac| <= 2**61
	r = float64(float64(frac) * (0x1.921fb54442d18p+0 * 0x1p-62))
	if b>>31 != 0 {
		return -r, -n & 3
	}
	return r, n & 3
}

func sinReduced(r float64) float64 {
	z := float64(r * r)
	return mad64(float64(z*r), horner(sinPoly[:], z), r)
}

func cosReduced(r float64) float64 {
	z := float64(r * r)
	return mad64(float64(z*z), horner(cosPoly[:], z), mad64(-0.5, z, 1))
}

// Sin32 is the sine, to 1 ulp for every x, always in [-1, 1]; NaN at ±Inf.
func Sin32(x float32) float32 {
	if x-x != 0 { // NaN or infinite
		return float32(math.NaN())
	}
	if Abs32(x) < 0x1p-12 {
		return x // keeps -0
	}
	r, n := trigReduce(x)
	y := 0.0
	if n&1 == 0 {
		y = sinReduced(r)
	} else {
		y = cosReduced(r)
	}
	if n&2 != 0 {
		y = -y
	}
	return float32(y)
}

// Cos32 is the cosine, to 1 ulp for every x, always in [-1, 1]; NaN at ±Inf.
func Cos32(x float32) float32 {
	if x-x != 0 {
		return float32(math.NaN())
	}
	r, n := trigReduce(x)
	y := 0.0
	if n&1 == 0 {
		y = cosReduced(r)
	} else {
		y = sinReduced(r)
	}
	if (n+1)&2 != 0 {
		y = -y
	}
	return float32(y)
}

// Tan32 is the tangent, to 1 ulp for every x; NaN at ±Inf.
func Tan32(x float32) float32 {
	if x-x != 0 {
		return float32(math.NaN())
	}
	if Abs32(x) < 0x1p-12 {
		return x // keeps -0
	}
	r, n := trigReduce(x)
	if n&1 == 0 {
		return float32(sinReduced(r) / cosReduced(r))
	}
	return float32(-cosReduced(r) / sinReduced(r))
}

// atanSmall is atan for 0 <= x <= 1.
func atanSmall(x float64) float64 {
	base := 0.0
	if x > math.Sqrt2-1 {
		base, x = math.Pi/4, (x-1)/(x+1)
	}
	z := float64(x * x)
	return base + mad64(float64(z*x), horner(atanPoly[:], z), x)
}

// Atan32 is the arctangent, to 1 ulp, in [-π/2, π/2].
func Atan32(x float32) float32 {
	a := math.Abs(float64(x))
	var y float64
	if a > 1 {
		y = math.Pi/2 - atanSmall(1/a)
	} else {
		y = atanSmall(a) // also NaN
	}
	return Copysign32(float32(y), x)
}

// asinSmall is asin for 0 <= x <= ½.
func asinSmall(x float64) float64 {
	z := float64(x * x)
	return mad64(float64(z*x), horner(asinPoly[:], z), x)
}

// Asin32 is the arcsine, to 1 ulp; NaN outside [-1, 1].
func Asin32(x float32) float32 {
	a := math.Abs(float64(x))
	var y float64
	if a > 0.5 {
		y = math.Pi/2 - 2*asinSmall(math.Sqrt((1-a)*0.5))
	} else {
		y = asinSmall(a) // also NaN
	}
	return Copysign32(float32(y), x)
}

// Acos32 is the arccosine, to 1 ulp, in [0, π]; NaN outside [-1, 1].
func Acos32(x float32) float32 {
	v := float64(x)
	switch {
	case v > 0.5:
		return float32(2 * asinSmall(math.Sqrt((1-v)*0.5)))
	case v < -0.5:
		return float32(math.Pi - 2*asinSmall(math.Sqrt((1+v)*0.5)))
	case v < 0:
		return float32(math.Pi/2 + asinSmall(-v))
	}
	return float32(math.Pi/2 - asinSmall(v)) // also NaN
}

// log2f is log2(x) for finite x > 0 that came from a float32, with a relative
// error under 2^-40.
func log2f(x float64) float64 {
	b := math.Float64bits(x)
	const sqrtHalf = 0x3FE6A09E667F3BCD
	b += 0x3FF0000000000000 - sqrtHalf
	n := float64(int64(b>>52) - 1023)
	m := math.Float64frombits(b&(1<<52-1) + sqrtHalf)
	s := (m - 1) / (m + 1)
	return mad64(s, horner(log2Poly[:], float64(s*s)), n)
}

// exp2f is 2**x for |x| < 1000, with a relative error under 2^-40.
func exp2f(x float64) float64 {
	n := math.RoundToEven(x)
	r := x - n
	y := mad64(r, horner(exp2Poly[:], r), 1)
	return y * math.Float64frombits(uint64(int64(n)+1023)<<52)
}

// Pow32 is x**y, to 1 ulp, with the special cases of [math.Pow]: 1 for y = 0
// and for x = 1 whatever the other is, NaN for x < 0 and y not an integer.
func Pow32(x, y float32) float32 {
	switch {
	case y == 0 || x == 1:
		return 1
	case y == 1:
		return x
	case y == 2:
		return float32(x * x)
	case x != x || y != y || x == 0 || x-x != 0 || y-y != 0:
		return float32(math.Pow(float64(x), float64(y))) // exact results only
	}
	sign := float32(1)
	if x < 0 {
		if y != Floor32(y) {
			return float32(math.NaN())
		}
		if half := 0.5 * y; half != Floor32(half) {
			sign = -1
		}
	}
	e := float64(float64(y) * log2f(math.Abs(float64(x))))
	if e > 200 { // far beyond the range of float32, so that exp2f keeps to its own
		e = 200
	} else if e < -200 {
		e = -200
	}
	return sign * float32(exp2f(e))
}
