package passes

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/runtime"
)

// A mathFunc is a function of expandMath: what it shall be, and what it
// promises.
type mathFunc struct {
	op     loop.Op
	want   func(x, y float64) float64
	ulp    float64 // the most that was measured, rounded up
	instr  int     // instructions, constants and casts excepted
	lo, hi float64 // range
}

func one(f func(float64) float64) func(x, y float64) float64 {
	return func(x, _ float64) float64 { return f(x) }
}

func sigmoid(x float64) float64 {
	if x < 0 {
		return math.Exp(x) / (1 + math.Exp(x))
	}
	return 1 / (1 + math.Exp(-x))
}

const halfPi = float64(float32(math.Pi / 2)) // greater than π/2

var mathFuncs = []mathFunc{
	{loop.Exp, one(math.Exp), 0.9, 13, 0, inf},
	{loop.Expm1, one(math.Expm1), 1.95, 19, -1, inf},
	{loop.Sigmoid, one(sigmoid), 3.7, 14, 0, 1},
	{loop.Tanh, one(math.Tanh), 3.2, 27, -1, 1},
	{loop.Erf, one(math.Erf), 3, 15, -1, 1},
	{loop.Log, one(math.Log), 1.2, 26, -inf, inf},
	{loop.Log1p, one(math.Log1p), 1.8, 26, -inf, inf},
	{loop.Sin, one(math.Sin), 1.7, 77, -1, 1},
	{loop.Cos, one(math.Cos), 1.7, 78, -1, 1},
	{loop.Tan, one(math.Tan), 3.5, 79, -inf, inf},
	{loop.Asin, one(math.Asin), 2.4, 17, -halfPi, halfPi},
	{loop.Acos, one(math.Acos), 2, 20, 0, float64(float32(math.Pi))},
	{loop.Atan, one(math.Atan), 2, 18, -halfPi, halfPi},
	{loop.Pow, math.Pow, 2.6, 83, -inf, inf},
}

const mathPoints = 1 << 13

// mathKernel applies f to mathPoints elements of x and y.
func mathKernel(t testing.TB, f func(b *loop.Builder, x, y *loop.Val) *loop.Val) *loop.Kernel {
	b := loop.NewBuilder("math")
	n := loop.N(mathPoints)
	x, y := b.Buffer("x", loop.F32, n, false), b.Buffer("y", loop.F32, n, false)
	z := b.Buffer("z", loop.F32, n, true)
	b.For("i", loop.Bound{}, loop.Bound{Dim: n}, loop.Lanes, nil, func(i *loop.Val, _ []*loop.Val) []*loop.Val {
		b.StoreVec(z, loop.At(i), f(b, b.LoadVec(x, loop.At(i), nil), b.LoadVec(y, loop.At(i), nil)), nil)
		return nil
	})
	k := loop.Tidy(b.K)
	require.NoError(t, k.Verify())
	return k
}

// instructions counts what k computes in loops, casts excepted.
func instructions(body []loop.Stmt, inLoop bool) int {
	n := 0
	for _, s := range body {
		switch s := s.(type) {
		case *loop.Instr:
			if inLoop && s.Op != loop.Bits && s.Op != loop.FromBits {
				n++
			}
		case *loop.For:
			n += instructions(s.Body, true)
		}
	}
	return n
}

// ulps is the distance of got from want in units of the last place of want.
func ulps(got float32, want float64) float64 {
	w := float32(want)
	switch {
	case w != w:
		if got != got {
			return 0
		}
		return inf
	case math.IsInf(float64(w), 0):
		if got == w {
			return 0
		}
		// The next number would be 2**128.
		return math.Abs(float64(got)-math.Copysign(0x1p128, want))/0x1p104 + 0.5
	case want == 0:
		if math.Float32bits(got) == math.Float32bits(w) {
			return 0
		}
		return math.Abs(float64(got))/0x1p-149 + 0.5
	}
	_, e := math.Frexp(want)
	return math.Abs(float64(got)-want) / math.Ldexp(1, max(e-24, -149))
}

// A mathRun is a kernel of mathKernel, ready to run.
type mathRun struct {
	k       *loop.Interp
	x, y, z []float32
}

func newMathRun(t testing.TB, k *loop.Kernel) *mathRun {
	p, err := loop.Compile(k, nil, false)
	require.NoError(t, err)
	return &mathRun{p, make([]float32, mathPoints), make([]float32, mathPoints), make([]float32, mathPoints)}
}

func (r *mathRun) run(t testing.TB) {
	require.NoError(t, r.k.Run([]loop.Mem{r.x, r.y, r.z}, nil))
}

var specials = func() []float32 {
	var out []float32
	for _, x := range []float64{0, 0x1p-149, 0x1.8p-148, 0x1.fffffcp-127, 0x1p-126, 0x1p-60, 0x1p-24, 0x1p-12, 0.25, 0.5, 1, 1.5, 2, 3, 4, 5,
		math.Ln2, math.Pi / 4, math.Pi / 2, math.Pi, 9.01, 9.02, 17, 87.3, 88.37, 88.72, 88.722839, 88.72284, 89, 103.97, 103.98, 104, 105, 127, 128, 150, 1e4, 1e6,
		1e10, 0x1p31, 0x1p127, 16367173 * 0x1p72, math.MaxFloat32, inf} {
		for _, y := range []float32{float32(x), math.Nextafter32(float32(x), 0), math.Nextafter32(float32(x), float32(inf))} {
			out = append(out, y, -y)
		}
	}
	return append(out, float32(math.NaN()))
}()

// Each function is within its bound on a sweep of all exponents, on one of the
// range where it is not trivial, and on special values, zeros with their sign;
// each is in its range everywhere.
func TestNativeMath(t *testing.T) {
	for _, f := range mathFuncs {
		t.Run(loop.Table[f.op].Name, func(t *testing.T) {
			t.Parallel()
			k := mathKernel(t, func(b *loop.Builder, x, y *loop.Val) *loop.Val {
				args := []*loop.Val{x, y}
				z, ok := expandMath(b, f.op, args[:loop.Table[f.op].Args])
				require.True(t, ok)
				return z
			})
			n := instructions(k.Body, false)
			assert.Equal(t, f.instr, n)
			assert.Equal(t, k.String(), reparsed(t, k))
			r := newMathRun(t, k)
			rng := rand.New(rand.NewPCG(1, 2))
			worst, at := 0.0, ""
			check := func() {
				r.run(t)
				for i, got := range r.z {
					x, y := float64(r.x[i]), float64(r.y[i])
					want := f.want(x, y)
					if u := ulps(got, want); u > worst || u != u {
						worst, at = u, fmt.Sprintf("%x, %x: %g, want %g", x, y, got, want)
					}
					if float64(got) < f.lo || float64(got) > f.hi || got == 0 && math.Float32bits(got) != math.Float32bits(float32(want)) {
						t.Fatalf("%s(%g, %g) = %g, want %g", loop.Table[f.op].Name, x, y, got, want)
					}
				}
			}
			// Special values, in all pairs.
			for i := 0; i < len(specials)*len(specials); i += mathPoints {
				for j := range r.x {
					r.x[j], r.y[j] = specials[(i+j)%len(specials)], specials[(i+j)/len(specials)%len(specials)]
				}
				check()
			}
			// Bits in steps through all numbers.
			const rounds = 12
			for i := range rounds {
				for j := range r.x {
					r.x[j] = math.Float32frombits(uint32(i*mathPoints+j)*(1<<32/(rounds*mathPoints)) + rng.Uint32N(1<<32/(rounds*mathPoints)))
					r.y[j] = float32(rng.NormFloat64() * 3)
				}
				check()
			}
			// Numbers of ordinary size.
			for i := range 2 * rounds {
				for j := range r.x {
					s := [...]float64{1, 1, 4, 10, 90}[i%5]
					r.x[j] = float32((2*rng.Float64() - 1) * s)
					if f.op == loop.Log || f.op == loop.Pow {
						r.x[j] = float32(math.Exp(2 * float64(r.x[j]) / s))
					}
					r.y[j] = float32((2*rng.Float64() - 1) * 130 / max(0.1, math.Abs(math.Log2(math.Abs(float64(r.x[j]))))))
				}
				check()
			}
			assert.LessOrEqual(t, worst, f.ulp, at)
			t.Logf("%d instructions, %.3f ulp at %s", n, worst, at)
		})
	}
}

func reparsed(t *testing.T, k *loop.Kernel) string {
	again, err := loop.ParseKernel(k.String())
	require.NoError(t, err)
	return again.String()
}

func TestExpandMathRefuses(t *testing.T) {
	b := loop.NewBuilder("k")
	x := b.ConstVec(loop.F32, 1)
	for _, c := range []struct {
		op   loop.Op
		args []*loop.Val
	}{
		{loop.Mod, []*loop.Val{x, x}},
		{loop.Add, []*loop.Val{x, x}},
		{loop.Exp, []*loop.Val{b.Const(loop.F32, 1)}},
		{loop.Div, []*loop.Val{b.ConstVec(loop.I32, 1), b.ConstVec(loop.I32, 1)}},
	} {
		_, ok := expandMath(b, c.op, c.args)
		assert.False(t, ok, "%v", loop.Table[c.op].Name)
	}
	_, ok := expandDivide(b, loop.Div, b.ConstVec(loop.I32, 1), 0)
	assert.False(t, ok)
}

// Division by constants has the bits of the ops that it stands for.
func TestExpandDivide(t *testing.T) {
	numbers := []int32{0, 1, 2, 3, 6, 7, 255, 256, 1e6, 1<<30 - 1, 1 << 30, 1<<31 - 2, math.MaxInt32}
	for _, x := range numbers {
		numbers = append(numbers, -x, -x-1)
	}
	for len(numbers)%loop.Lanes != 0 {
		numbers = append(numbers, int32(-len(numbers)*98765431))
	}
	for _, d := range []int32{1, 2, 3, 5, 6, 7, 9, 10, 16, 48, 641, 768, 50257, 1 << 16, 1<<16 + 1, 1 << 30, 1<<30 + 1, math.MaxInt32} {
		b := loop.NewBuilder("divide")
		n := loop.N(len(numbers))
		x, q, r := b.Buffer("x", loop.I32, n, false), b.Buffer("q", loop.I32, n, true), b.Buffer("r", loop.I32, n, true)
		b.For("i", loop.Bound{}, loop.Bound{Dim: n}, loop.Lanes, nil, func(i *loop.Val, _ []*loop.Val) []*loop.Val {
			v := b.LoadVec(x, loop.At(i), nil)
			y, ok := expandDivide(b, loop.Div, v, d)
			require.True(t, ok)
			b.StoreVec(q, loop.At(i), y, nil)
			y, _ = expandDivide(b, loop.Mod, v, d)
			b.StoreVec(r, loop.At(i), y, nil)
			return nil
		})
		gotQ, gotR := make([]int32, len(numbers)), make([]int32, len(numbers))
		require.NoError(t, loop.Run(b.K, nil, false, []loop.Mem{numbers, gotQ, gotR}, nil))
		for i, x := range numbers {
			assert.Equal(t, runtime.FloorDiv(x, d), gotQ[i], "%d / %d", x, d)
			assert.Equal(t, runtime.Mod(x, d), gotR[i], "%d mod %d", x, d)
		}
	}
}

// Random numbers are those of the runtime: the same bits for uniform ones, the
// same but for rounding for normal ones.
func TestExpandRandom(t *testing.T) {
	const n = 256
	build := func(expand func(b *loop.Builder, seed, stream, base, lane *loop.Val) *loop.Val, by int) *loop.Interp {
		b := loop.NewBuilder("random")
		seed, stream, base := b.Int("seed"), b.Int("stream"), b.Int("base")
		y := b.Buffer("y", loop.F32, loop.N(n), true)
		lane := b.Do(loop.Mul, b.Do(loop.Iota), b.ConstVec(loop.I32, float64(by)))
		b.For("i", loop.Bound{}, loop.Bound{Dim: loop.N(n)}, loop.Lanes, nil, func(i *loop.Val, _ []*loop.Val) []*loop.Val {
			at := b.Do(loop.Add, base, b.Do(loop.Mul, i, b.SizeOf(loop.N(by))))
			b.StoreVec(y, loop.At(i), expand(b, seed, stream, at, lane), nil)
			return nil
		})
		k := loop.Tidy(b.K)
		t.Logf("%d instructions for a vector", instructions(k.Body, false))
		p, err := loop.Compile(k, nil, false)
		require.NoError(t, err)
		return p
	}
	// Four vectors at once, for bases that are multiples of 4.
	build4 := func(expand func(b *loop.Builder, seed, stream, base *loop.Val) [4]*loop.Val) *loop.Interp {
		b := loop.NewBuilder("random4")
		seed, stream, base := b.Int("seed"), b.Int("stream"), b.Int("base")
		y := b.Buffer("y", loop.F32, loop.N(n), true)
		b.For("i", loop.Bound{}, loop.Bound{Dim: loop.N(n)}, 4*loop.Lanes, nil, func(i *loop.Val, _ []*loop.Val) []*loop.Val {
			for k, x := range expand(b, seed, stream, b.Do(loop.Add, base, i)) {
				b.StoreVec(y, loop.At(i).Add(loop.AtDim(loop.N(k*loop.Lanes))), x, nil)
			}
			return nil
		})
		k := loop.Tidy(b.K)
		t.Logf("%d instructions for four vectors", instructions(k.Body, false))
		p, err := loop.Compile(k, nil, false)
		require.NoError(t, err)
		return p
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for _, by := range []int{1, 3, 4, 768, 0} {
		uniform, normal := build(expandUniform, by), build(expandNormal, by)
		aligned := by == 0
		if aligned {
			uniform, normal, by = build4(expandUniform4), build4(expandNormal4), 1
		}
		for i := range 40 {
			seed, stream, base := int(rng.Int64()), int(rng.Int64()), rng.IntN(1<<40)
			switch {
			case i == 0:
				seed, stream, base = 0, 0, 0
			case i < 9: // carries
				base = 1<<32 - i*n/8
			}
			if aligned {
				base &^= 3
			}
			y := make([]float32, n)
			require.NoError(t, uniform.Run([]loop.Mem{y}, []int{seed, stream, base}))
			for j := range y {
				require.Equal(t, runtime.Uniform(uint64(seed), uint64(stream), uint64(base+j*by)), y[j])
			}
			require.NoError(t, normal.Run([]loop.Mem{y}, []int{seed, stream, base}))
			for j := range y {
				require.InDelta(t, runtime.Normal(uint64(seed), uint64(stream), uint64(base+j*by)), y[j], 2e-6)
			}
		}
	}
}
