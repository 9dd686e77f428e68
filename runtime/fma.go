package runtime

import "math"

// FMA32 is a*b + c, rounded once. The product of two float32 is exact in
// float64; the sum is rounded to odd there, so that the second rounding, to
// float32, is that of the exact sum.
func FMA32(a, b, c float32) float32 {
	p, q := float64(float64(a)*float64(b)), float64(c)
	s := p + q
	if s-s != 0 {
		return float32(s) // NaN or infinite
	}
	t := s - p
	err := (p - (s - t)) + (q - t) // s + err is the exact sum
	if bits := math.Float64bits(s); err != 0 && bits&1 == 0 {
		if err > 0 == (s > 0) {
			bits++
		} else {
			bits--
		}
		s = math.Float64frombits(bits)
	}
	return float32(s)
}
