package ir_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/ops"
	"github.com/lmc-lang/lmc/ir/ops/opstest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestRoundTrip prints random functions of all ops, reads them back and
// compares text and results.
func TestRoundTrip(t *testing.T) {
	for seed := range uint64(150) {
		c, err := opstest.Random(rand.New(rand.NewPCG(seed, 0)), 12, nil)
		require.NoError(t, err)
		require.NoError(t, ir.Verify(c.Func))
		text := c.Func.String()
		f, err := ir.Parse(text, ops.ByName)
		require.NoError(t, err, text)
		require.Equal(t, text, f.String())
		want, err := (&ir.Evaluator{}).Run(c.Func, c.Args)
		require.NoError(t, err, text)
		got, err := (&ir.Evaluator{}).Run(f, c.Args)
		require.NoError(t, err)
		for i := range want {
			for k, x := range want[i].Floats() {
				y := got[i].Floats()[k]
				require.True(t, x == y || math.IsNaN(x) && math.IsNaN(y), text)
			}
		}
	}
}

func TestParseErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", `line 1: expected "func", found ""`},
		{"func f {\n  %1 = param x : f32\n  return %1\n}", "line 2: the value %1 is number 0"},
		{"func f {\n  %0 = frob\n  return %0\n}", `line 2: there is no op "frob"`},
		{"func f {\n  %0 = param x : f32[B]\n  %1 = neg %1 : f32[B]\n  return %1\n}", "line 3: there is no value %1 before"},
		{"func f {\n  %0 = param x : f32[B]\n  %1 = neg %0 : f32[T]\n  return %1\n}", "line 3: neg: the type is f32[B], not f32[T]"},
		{"func f {\n  %0 = param x : f32[B]\n  %1 = sum %0 axis=[0] : f32\n  return %1\n}", `line 3: sum has no attribute "axis"`},
		{"func f {\n  %0 = param x : f32[B]\n  %1 = sum %0 axes=[0\n  return %1\n}", `line 3: expected "=", found ""`},
		{"func f {\n  %0 = param x : f32[B]\n  %1 = sum %0 axes=[x] : f32\n  return %1\n}", "line 3: axes=[x]: strconv"},
		{"func f {\n  %0 = param x : f32[B]\n  %1 = sum %0 : f32\n  return %1\n}", "line 3: sum: 0 attributes, want 1"},
		{"func f {\n  %0 = param x : f16\n  return %0\n}", `line 2: unknown element type "f16"`},
		{"func f {\n  %0 = param x : f32[B*]\n  return %0\n}", "line 2: dim"},
		{"func f {\n  %0 = size extent=B : i32\n  %1 = param x : f32\n  return %1\n}", "line 3: parameters come first"},
		{"func f {\n  %0 = param x : f32\n  return %0\n} func", "line 4: unexpected \"func\" after the function"},
		{"func f {\n  %0 = param x : (f32)\n  return %0\n}", "is no param"},
	} {
		_, err := ir.Parse(c.text, ops.ByName)
		assert.ErrorContains(t, err, c.want, c.text)
	}
}

func TestParseText(t *testing.T) {
	const text = `// a comment
func f {
  %0 = param x : f32[B, floor((T+1)/(2)), 2*C]

  // another one
  %1 = sum %0 axes=[1,2] : f32[B]
  %2 = const fill=-Inf elem=f32 shape=[B] : f32[B]
  %3 = dot %1 %2 spec="a,a->" : f32
  %4 = size extent=2*B*C : i32
  return %3 %4
}
`
	f, err := ir.Parse(text, ops.ByName)
	require.NoError(t, err)
	assert.Len(t, f.Results, 2)
	assert.Equal(t, "f32[B, floor((T+1)/(2)), 2*C]", f.Params[0].Type.String())
}

// FuzzParse checks that no text makes the parser, or an op's rule, panic, and
// that what parses prints and parses again.
func FuzzParse(f *testing.F) {
	for seed := range uint64(30) {
		c, err := opstest.Random(rand.New(rand.NewPCG(seed, 1)), 6, nil)
		require.NoError(f, err)
		f.Add(c.Func.String())
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ir.Parse(text, ops.ByName)
		if err != nil {
			return
		}
		again, err := ir.Parse(p.String(), ops.ByName)
		require.NoError(t, err)
		require.Equal(t, p.String(), again.String())
	})
}
