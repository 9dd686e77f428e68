package runtime

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
)

var (
	inf32 = float32(math.Inf(1))
	nan32 = float32(math.NaN())
	negz  = float32(math.Copysign(0, -1))
)

// ulp32 is the distance from got to the exact value want, in units of the last
// place of want as a float32 (subnormals included).
func ulp32(got float32, want float64) float64 {
	switch w := float32(want); {
	case got != got || w != w:
		if got != got && w != w {
			return 0
		}
		return math.Inf(1)
	case got == w && got-got != 0:
		return 0
	case got-got != 0: // overflow: as if the exponent had no bound
		return math.Abs(math.Copysign(0x1p128, float64(got))-want) / 0x1p104
	}
	return math.Abs(float64(got)-want) / spacing(want)
}

func spacing(x float64) float64 {
	if x == 0 {
		return 0x1p-149
	}
	_, e := math.Frexp(x)
	return math.Ldexp(1, max(e-24, -149))
}

// sweep calls f for floats of both signs, all exponents and NaN, about n of them.
func sweep(n int, f func(x float32)) {
	step := uint32(1<<32/uint64(n)) | 1
	for b, k := uint32(0), 0; k < n; b, k = b+step, k+1 {
		f(math.Float32frombits(b))
	}
}

var unary32 = []struct {
	name   string
	f      func(float32) float32
	exact  func(float64) float64
	maxULP float64
	lo, hi float64 // a range to sweep densely
	min    float64 // range of the function
	max    float64
}{
	{"Exp", Exp32, Exp64, 1.1, -104, 89, 0, math.Inf(1)},
	{"Expm1", Expm132, Expm164, 2.6, -20, 89, -1, math.Inf(1)},
	{"Log", Log32, Log64, 1.1, 0, 8, math.Inf(-1), 89},
	{"Log1p", Log1p32, Log1p64, 2, -1, 8, math.Inf(-1), 89},
	{"Tanh", Tanh32, Tanh64, 3.5, -9.5, 9.5, -1, 1},
	{"Sigmoid", Sigmoid32, Sigmoid64, 3, -105, 20, 0, 1},
	{"Erf", Erf32, Erf64, 2, -4.5, 4.5, -1, 1},
	{"Sqrt", Sqrt32, Sqrt64, 0.5, 0, 100, 0, math.Inf(1)},
	{"Rsqrt", Rsqrt32, Rsqrt64, 1.6, 0, 100, math.Inf(-1), math.Inf(1)},
	{"Sin", Sin32, Sin64, 0.501, -20, 20, -1, 1},
	{"Cos", Cos32, Cos64, 0.501, -20, 20, -1, 1},
	{"Tan", Tan32, Tan64, 0.501, -20, 20, math.Inf(-1), math.Inf(1)},
	{"Asin", Asin32, Asin64, 0.501, -1, 1, -1.5707964, 1.5707964},
	{"Acos", Acos32, Acos64, 0.501, -1, 1, 0, 3.1415928},
	{"Atan", Atan32, Atan64, 0.501, -10, 10, -1.5707964, 1.5707964},
}

func TestUnary32AgainstFloat64(t *testing.T) {
	for _, c := range unary32 {
		t.Run(c.name, func(t *testing.T) {
			worst, at := 0.0, float32(0)
			check := func(x float32) {
				y := c.f(x)
				if y < float32(c.min) || y > float32(c.max) {
					t.Fatalf("%s(%v) = %v leaves [%v, %v]", c.name, x, y, c.min, c.max)
				}
				if u := ulp32(y, c.exact(float64(x))); !(u <= worst) {
					worst, at = u, x
				}
			}
			n := 200_000
			if testing.Short() {
				n = 20_000
			}
			sweep(n, check)
			for i := range n {
				check(float32(c.lo + (c.hi-c.lo)*float64(i)/float64(n)))
			}
			t.Logf("max %.3f ulp at %v (%#08x)", worst, at, math.Float32bits(at))
			assert.LessOrEqual(t, worst, c.maxULP, "%s(%v) = %v, exact %v", c.name, at, c.f(at), c.exact(float64(at)))
		})
	}
}

func TestUnary32SpecialValues(t *testing.T) {
	pi2 := float32(math.Pi / 2)
	for _, c := range []struct {
		name                    string
		f                       func(float32) float32
		zero, negZero, inf, neg float32 // at 0, -0, +Inf, -Inf
	}{
		{"Exp", Exp32, 1, 1, inf32, 0},
		{"Expm1", Expm132, 0, negz, inf32, -1},
		{"Log", Log32, -inf32, -inf32, inf32, nan32},
		{"Log1p", Log1p32, 0, negz, inf32, nan32},
		{"Tanh", Tanh32, 0, negz, 1, -1},
		{"Sigmoid", Sigmoid32, 0.5, 0.5, 1, 0},
		{"Erf", Erf32, 0, negz, 1, -1},
		{"Sqrt", Sqrt32, 0, negz, inf32, nan32},
		{"Rsqrt", Rsqrt32, inf32, -inf32, 0, nan32},
		{"Sin", Sin32, 0, negz, nan32, nan32},
		{"Cos", Cos32, 1, 1, nan32, nan32},
		{"Tan", Tan32, 0, negz, nan32, nan32},
		{"Asin", Asin32, 0, negz, nan32, nan32},
		{"Acos", Acos32, pi2, pi2, nan32, nan32},
		{"Atan", Atan32, 0, negz, pi2, -pi2},
		{"Floor", Floor32, 0, negz, inf32, -inf32},
		{"Ceil", Ceil32, 0, negz, inf32, -inf32},
		{"Round", Round32, 0, negz, inf32, -inf32},
		{"Sign", Sign32, 0, negz, 1, -1},
		{"Abs", Abs32, 0, 0, inf32, inf32},
	} {
		for _, p := range [][2]float32{{0, c.zero}, {negz, c.negZero}, {inf32, c.inf}, {-inf32, c.neg}, {nan32, nan32}} {
			got := c.f(p[0])
			if p[1] != p[1] {
				assert.True(t, got != got, "%s(%v) = %v", c.name, p[0], got)
			} else {
				assert.Equal(t, math.Float32bits(p[1]), math.Float32bits(got), "%s(%v) = %v, want %v", c.name, p[0], got, p[1])
			}
		}
	}
	tiny := math.Float32frombits(1)
	for _, f := range []func(float32) float32{Expm132, Log1p32, Tanh32, Sin32, Tan32, Asin32, Atan32} {
		assert.Equal(t, tiny, f(tiny))
		assert.Equal(t, -tiny, f(-tiny))
	}
	assert.Equal(t, float32(-103.278929903431851103), Log32(tiny))
	assert.Equal(t, -inf32, Log1p32(-1))
	assert.Less(t, Exp32(math.Float32frombits(0x42B17217)), inf32)
	assert.Equal(t, inf32, Exp32(math.Float32frombits(0x42B17218)))
	assert.Equal(t, tiny, Exp32(math.Float32frombits(0xC2CFF1B4)))
	assert.Zero(t, Exp32(math.Float32frombits(0xC2CFF1B5)))
}

func TestPow32(t *testing.T) {
	special := []float32{0, negz, 1, -1, 2, -2, 3, -3, 0.5, -0.5, 1e-40, inf32, -inf32, nan32, 1e30, -1e30, 3e38, 16777217}
	for _, x := range special {
		for _, y := range special {
			want := Pow64(float64(x), float64(y))
			got := Pow32(x, y)
			if want != want {
				assert.True(t, got != got, "Pow32(%v, %v) = %v", x, y, got)
				continue
			}
			assert.LessOrEqual(t, ulp32(got, want), 0.51, "Pow32(%v, %v) = %v, want %v", x, y, got, want)
			assert.Equal(t, math.Signbit(want), math.Signbit(float64(got)), "Pow32(%v, %v) = %v, want %v", x, y, got, want)
		}
	}
	worst := 0.0
	for i := range 200_000 {
		x := float32(math.Exp2(float64(i%997)/8 - 62))
		y := float32(float64(i)/200_000*8 - 4)
		worst = max(worst, ulp32(Pow32(x, y), math.Pow(float64(x), float64(y))))
	}
	t.Logf("max %.3f ulp", worst)
	assert.LessOrEqual(t, worst, 0.51)
}

func TestRoundAndSign(t *testing.T) {
	for _, c := range []struct{ x, floor, ceil, round float32 }{
		{0.5, 0, 1, 0}, {1.5, 1, 2, 2}, {2.5, 2, 3, 2}, {-0.5, -1, negz, negz}, {-1.5, -2, -1, -2}, {8388609, 8388609, 8388609, 8388609}, {1e30, 1e30, 1e30, 1e30},
	} {
		assert.Equal(t, c.floor, Floor32(c.x))
		assert.Equal(t, c.ceil, Ceil32(c.x))
		assert.Equal(t, c.round, Round32(c.x))
		assert.EqualValues(t, c.floor, Floor64(float64(c.x)))
		assert.EqualValues(t, c.ceil, Ceil64(float64(c.x)))
		assert.EqualValues(t, c.round, Round64(float64(c.x)))
	}
	assert.EqualValues(t, 1, Sign64(3))
	assert.EqualValues(t, 3, Abs64(-3))
	assert.EqualValues(t, 2, Max64(1, 2))
	assert.EqualValues(t, 1, Min64(1, 2))
	assert.EqualValues(t, -1, Sign64(-3))
}

func TestMaxIsNotCommutative(t *testing.T) {
	isNaN := func(x float32) bool { return x != x }
	assert.True(t, isNaN(Max32(1, nan32)) && isNaN(Min32(1, nan32)))
	assert.EqualValues(t, 1, Max32(nan32, 1))
	assert.EqualValues(t, 1, Min32(nan32, 1))
	assert.True(t, math.Signbit(float64(Max32(0, negz))))
	assert.False(t, math.Signbit(float64(Max32(negz, 0))))
	assert.EqualValues(t, 2, Max32(1, 2))
	assert.EqualValues(t, 1, Min32(1, 2))
	assert.EqualValues(t, 1, Max64(math.NaN(), 1))
	assert.True(t, math.IsNaN(Min64(1, math.NaN())))
}

func TestFloorDivAndMod(t *testing.T) {
	for _, c := range []struct{ a, b, div, mod int32 }{
		{7, 3, 2, 1}, {-7, 3, -3, 2}, {7, -3, -3, -2}, {-7, -3, 2, -1}, {6, 3, 2, 0}, {-6, 3, -2, 0},
		{5, 0, 0, 0}, {math.MinInt32, -1, math.MinInt32, 0}, {math.MinInt32, 1, math.MinInt32, 0}, {math.MaxInt32, -1, -math.MaxInt32, 0},
	} {
		assert.Equal(t, c.div, FloorDiv(c.a, c.b), "%d / %d", c.a, c.b)
		assert.Equal(t, c.mod, Mod(c.a, c.b), "%d mod %d", c.a, c.b)
	}
	for _, c := range []struct{ a, b, mod float32 }{
		{5.5, 2, 1.5}, {-5.5, 2, 0.5}, {5.5, -2, -0.5}, {-5.5, -2, -1.5}, {1e30, 3, float32(math.Mod(float64(float32(1e30)), 3))},
	} {
		assert.Equal(t, c.mod, Mod32(c.a, c.b), "%v mod %v", c.a, c.b)
	}
	assert.True(t, math.IsNaN(float64(Mod32(1, 0))))
	assert.True(t, math.Signbit(Mod64(4, -2)))
	assert.EqualValues(t, 2, MaxInt32(1, 2))
	assert.EqualValues(t, 1, MinInt32(1, 2))
}

func TestToInt32Saturates(t *testing.T) {
	for _, c := range []struct {
		x    float32
		want int32
	}{
		{1.9, 1}, {-1.9, -1}, {0, 0}, {negz, 0}, {nan32, 0}, {inf32, math.MaxInt32}, {-inf32, math.MinInt32},
		{2147483648, math.MaxInt32}, {2147483520, 2147483520}, {-2147483648, math.MinInt32}, {-3e9, math.MinInt32}, {1e38, math.MaxInt32},
	} {
		assert.Equal(t, c.want, ToInt32(c.x), "%v", c.x)
		assert.Equal(t, c.want, ToInt32(float64(c.x)), "%v", c.x)
	}
	assert.EqualValues(t, math.MaxInt32, ToInt32(2147483647.5))
	assert.EqualValues(t, math.MaxInt32, ToInt32(2147483647.0))
}

// The bits of results must not change: other ports and the interpreter of
// kernels are compared with them. A change here is a change of every golden.
func TestPinnedBits(t *testing.T) {
	h := uint32(2166136261)
	for _, c := range unary32 {
		sweep(1<<14, func(x float32) {
			y := c.f(x)
			b := math.Float32bits(y)
			if y != y {
				b = 0x7FC00000
			}
			h = (h ^ b) * 16777619
		})
	}
	assert.Equal(t, uint32(0xaaf53b69), h, "%#08x", h)
}

var sink32 float32

func BenchmarkExp32(b *testing.B)     { benchUnary(b, Exp32) }
func BenchmarkLog32(b *testing.B)     { benchUnary(b, Log32) }
func BenchmarkTanh32(b *testing.B)    { benchUnary(b, Tanh32) }
func BenchmarkSigmoid32(b *testing.B) { benchUnary(b, Sigmoid32) }
func BenchmarkErf32(b *testing.B)     { benchUnary(b, Erf32) }
func BenchmarkSin32(b *testing.B)     { benchUnary(b, Sin32) }

func benchUnary(b *testing.B, f func(float32) float32) {
	x := float32(0)
	for b.Loop() {
		sink32 = f(x)
		x += 0.001
		if x > 4 {
			x = -4
		}
	}
}
