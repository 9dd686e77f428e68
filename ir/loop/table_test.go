package loop_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/loop/looptest"
)

// evaluate runs op on one set of operands.
func evaluate(t *testing.T, op loop.Op, wide bool, result loop.Elem, elems []loop.Elem, x ...float64) float64 {
	t.Helper()
	b := loop.NewBuilder("k")
	out := result
	if out == loop.Int {
		out = loop.I32
	}
	y := b.Buffer("y", out, loop.N(1), true)
	var args []*loop.Val
	for i, e := range elems {
		args = append(args, b.Const(e, x[i]))
	}
	dst := b.NewVal(result, "")
	b.Emit(&loop.Instr{Op: op, Dst: dst, Args: args})
	b.Store(y, loop.Index{}, b.ConvertTo(out, dst))
	m := loop.NewMem(out, 1, wide)
	require.NoError(t, loop.Run(b.K, nil, wide, []loop.Mem{m}, nil))
	switch m := m.(type) {
	case []float32:
		return float64(m[0])
	case []float64:
		return m[0]
	case []int32:
		return float64(m[0])
	case []bool:
		if m[0] {
			return 1
		}
	}
	return 0
}

func floats(f func(a, b float64) float64) func(a, b float64) float64 { return f }

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// TestTableAgainstItsWords compares every op that is exact with what the doc of
// its row says, written down once more in float64.
func TestTableAgainstItsWords(t *testing.T) {
	words := map[loop.Op]func(a, b float64) float64{
		loop.Add:   floats(func(a, b float64) float64 { return a + b }),
		loop.Sub:   floats(func(a, b float64) float64 { return a - b }),
		loop.Mul:   floats(func(a, b float64) float64 { return a * b }),
		loop.Neg:   floats(func(a, _ float64) float64 { return -a }),
		loop.Abs:   floats(func(a, _ float64) float64 { return math.Abs(a) }),
		loop.Floor: floats(func(a, _ float64) float64 { return math.Floor(a) }),
		loop.Ceil:  floats(func(a, _ float64) float64 { return math.Ceil(a) }),
		loop.Round: floats(func(a, _ float64) float64 { return math.RoundToEven(a) }),
		loop.Sqrt:  floats(func(a, _ float64) float64 { return math.Sqrt(a) }),
		loop.Lt:    floats(func(a, b float64) float64 { return truth(a < b) }),
		loop.Le:    floats(func(a, b float64) float64 { return truth(a <= b) }),
		loop.Eq:    floats(func(a, b float64) float64 { return truth(a == b) }),
		loop.And:   floats(func(a, b float64) float64 { return a * b }),
		loop.Or:    floats(func(a, b float64) float64 { return truth(a+b > 0) }),
		loop.Not:   floats(func(a, _ float64) float64 { return 1 - a }),
		loop.Max: floats(func(a, b float64) float64 {
			if a > b {
				return a
			}
			return b
		}),
		loop.Min: floats(func(a, b float64) float64 {
			if a < b {
				return a
			}
			return b
		}),
		loop.Sign: floats(func(a, _ float64) float64 {
			if a == 0 || a != a {
				return a
			}
			return math.Copysign(1, a)
		}),
	}
	integers := map[loop.Op]func(a, b float64) float64{
		loop.Mul: floats(func(a, b float64) float64 { return float64(int32(int64(a) * int64(b))) }),
		loop.Div: floats(func(a, b float64) float64 {
			if b == 0 {
				return 0
			}
			return math.Floor(a / b)
		}),
		loop.Mod: floats(func(a, b float64) float64 {
			if b == 0 {
				return 0
			}
			return a - b*math.Floor(a/b)
		}),
	}
	wrap := func(x float64) float64 { return float64(int32(int64(x))) }
	n := 0
	for op := range loop.Table {
		op := loop.Op(op)
		for _, f := range loop.Table[op].Forms {
			word := words[op]
			float := f.Args[0] == loop.F32
			if !float && integers[op] != nil {
				word = integers[op]
			}
			if word == nil {
				continue
			}
			first, second := values(f.Args[0]), []float64{0}
			if len(f.Args) > 1 {
				second = values(f.Args[1])
			}
			for _, a := range first {
				for _, b := range second {
					if f.Fault && b == 0 || f.Args[0] == loop.Int && (op == loop.Mul || math.Abs(a) > 1<<20) {
						continue
					}
					if f.Float == 32 {
						a, b = float64(float32(a)), float64(float32(b))
					}
					want := word(a, b)
					switch {
					case f.Result == loop.F32 && f.Float == 32:
						want = float64(float32(want)) // exact in float64 before, or rounds innocently
					case !float && f.Result != loop.Bool:
						want = wrap(want)
					}
					got := evaluate(t, op, f.Float == 64, f.Result, f.Args, a, b)
					assert.True(t, math.Float64bits(got) == math.Float64bits(want) || got != got && want != want || f.Float == 0 && got == want,
						"%s%v(%v, %v) = %v, want %v", loop.Table[op].Name, f.Args, a, b, got, want)
					n++
				}
			}
		}
	}
	require.Greater(t, n, 5000)
}

func values(e loop.Elem) []float64 {
	switch e {
	case loop.F32:
		return looptest.Specials
	case loop.Bool:
		return []float64{0, 1}
	}
	return looptest.SpecialInts
}

func TestConversions(t *testing.T) {
	for _, c := range []struct {
		from, to loop.Elem
		x, want  float64
	}{
		{loop.F32, loop.I32, 2.9, 2}, {loop.F32, loop.I32, -2.9, -2}, {loop.F32, loop.I32, math.NaN(), 0},
		{loop.F32, loop.I32, math.Inf(1), math.MaxInt32}, {loop.F32, loop.I32, -1e20, math.MinInt32},
		{loop.F32, loop.Bool, math.NaN(), 1}, {loop.F32, loop.Bool, math.Copysign(0, -1), 0}, {loop.F32, loop.Int, 1e20, math.MaxInt32},
		{loop.I32, loop.F32, 16777217, 16777216}, {loop.I32, loop.Bool, -3, 1}, {loop.Int, loop.I32, 1<<32 + 5, 5},
		{loop.Bool, loop.F32, 1, 1}, {loop.Bool, loop.I32, 0, 0}, {loop.Int, loop.F32, 1<<24 + 1, 1 << 24},
	} {
		got := evaluate(t, loop.Convert, false, c.to, []loop.Elem{c.from}, c.x)
		assert.Equal(t, c.want, got, "%s to %s: %v", c.from, c.to, c.x)
	}
}

func TestEveryRowHasADocAndAMeaning(t *testing.T) {
	names := map[string]bool{}
	for op, in := range loop.Table {
		assert.NotEmpty(t, in.Name, op)
		assert.NotEmpty(t, in.Doc, in.Name)
		assert.False(t, names[in.Name], in.Name)
		names[in.Name] = true
		if op := loop.Op(op); op != loop.Const && op != loop.Size && !op.Across() {
			assert.NotEmpty(t, in.Forms, in.Name)
		}
		for _, f := range in.Forms {
			assert.Len(t, f.Args, in.Args, in.Name)
			assert.NotContains(t, f.Go, "$W", in.Name)
		}
	}
}
