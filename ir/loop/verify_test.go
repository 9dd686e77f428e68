package loop_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/ir/loop"
)

const good = `// y = max(x, 0) (mlp.lm:3:5)
kernel relu {
  in x f32[784*B]
  in n i32[B]
  out y f32[784*B]
  inplace x y
  int %layer.5
  grid %lo.0 %hi.1 of 784*B grain 4096
  cost 784*B 6272*B
  for %i.2 = %lo.0 to %hi.1 step 2 after %j.9 { // pairs
    carry %acc.10 f32 = %14
    %3 f32 = load x[%i.2]
    %4 f32 = const 0
    %5 f32 = max %3 %4
    store y[%i.2 + 3] %5
    next %acc.10 = %5 out %11
  }
}
`

// TestVerify makes one mistake at a time in a text that is right.
func TestVerify(t *testing.T) {
	base := strings.Replace(strings.Replace(good, "int %layer.5", "int %layer.6", 1), "= %14", "= %14", 1)
	base = strings.Replace(base, "  for %i.2", "  %14 f32 = const -0\n  for %i.2", 1)
	k, err := loop.ParseKernel(base)
	require.NoError(t, err)
	require.Equal(t, base, k.String())
	for _, c := range []struct{ name, old, new, want string }{
		{"undefined", "max %3 %4", "max %3 %7", `undefined value "%7"`},
		{"defined twice", "%5 f32 = max", "%3 f32 = max", "repeated value"},
		{"order", "%5 f32 = max %3 %4", "%5 f32 = max %5 %4", "undefined value"},
		{"type of operands", "%4 f32 = const 0", "%4 i32 = const 0", "max: no such form: (f32, i32) -> f32"},
		{"type of result", "%5 f32 = max", "%5 int = max", "no such form"},
		{"constant", "%4 f32 = const 0", "%4 f32 = const 0\n%20 i32 = const 0.5", "not a whole number"},
		{"constant range", "%4 f32 = const 0", "%4 f32 = const 0\n%20 i32 = const 1e10", "out of range"},
		{"constant bool", "%4 f32 = const 0", "%4 f32 = const 0\n%20 bool = const 2", "a bool is 0 or 1"},
		{"store to input", "store y[%i.2 + 3]", "store x[%i.2 + 3]", "store to x, which is no output"},
		{"store type", "store y[%i.2 + 3] %5", "store y[%i.2 + 3] %i.2", "is int, must be f32"},
		{"load before store", "load x[%i.2]", "load z[%i.2]", "no buffer"},
		{"index type", "load x[%i.2]", "load x[%14]", "is f32, must be int"},
		{"outside", "    next %acc.10 = %5 out %11\n  }", "    next %acc.10 = %5 out %11\n  }\n  store y[0] %5", "used outside the block"},
		{"carry type", "%acc.10 f32", "%acc.10 i32", "must be i32"},
		{"step", "step 2", "step 0", "step 0"},
		{"in place", "inplace x y", "inplace n y", "not an input and an output of one type and length"},
		{"order of buffers", "in n i32[B]\n  out y", "out n i32[B]\n  in y", "comes after an output"},
		{"same name", "in n i32", "in x i32", "two buffers are called x"},
		{"unknown op", "f32 = max", "f32 = most", `unknown op "most"`},
		{"extern", "    store y", "    extern sort_all x[0 : 1]\n    store y", "there is no extern"},
		{"extern buffers", "    store y", "    extern topk_index x[0 : 1] x[0 : 1]\n    store y", "index must be i32"},
		{"extern write", "    store y", "    extern topk_index x[0 : 1] n[0 : 1]\n    store y", "store to n, which is no output"},
		{"condition", "    store y", "    if %3 {\n    }\n    store y", "is f32, must be bool"},
		{"missing brace", "  }\n}\n", "  }\n", "missing }"},
		{"text after", "  }\n}\n", "  }\n}\n}\n", "text after the kernel"},
	} {
		text := strings.Replace(base, c.old, c.new, 1)
		require.NotEqual(t, base, text, c.name)
		_, err := loop.ParseKernel(text)
		if assert.Error(t, err, c.name) {
			assert.Contains(t, err.Error(), c.want, c.name)
		}
	}
}

func TestVerifyBuilt(t *testing.T) {
	build := func(f func(b *loop.Builder)) error {
		b := loop.NewBuilder("k")
		f(b)
		return b.K.Verify()
	}
	one := loop.N(1)
	for name, c := range map[string]struct {
		want string
		f    func(b *loop.Builder)
	}{
		"fine": {"", func(b *loop.Builder) { b.Buffer("y", loop.F32, one, true) }},
		"load before store": {"load from output y before it is written", func(b *loop.Builder) {
			b.Load(b.Buffer("y", loop.F32, one, true), loop.Index{})
		}},
		"load of an update": {"", func(b *loop.Builder) {
			y := b.Buffer("y", loop.F32, one, true)
			y.Update = true
			b.Load(y, loop.Index{})
		}},
		"update of an input": {"is updated, but no output", func(b *loop.Builder) {
			b.Buffer("x", loop.F32, one, false).Update = true
		}},
		"foreign buffer": {"no argument", func(b *loop.Builder) {
			b.Load(&loop.Buffer{Name: "z", Len: one}, loop.Index{})
		}},
		"merge": {"is i32, must be f32", func(b *loop.Builder) {
			b.If(b.Const(loop.Bool, 1), func() []*loop.Val { return []*loop.Val{b.Const(loop.F32, 1)} },
				func() []*loop.Val { return []*loop.Val{b.Const(loop.I32, 1)} })
		}},
		"nil operand": {"operand of add is nil", func(b *loop.Builder) {
			b.Emit(&loop.Instr{Op: loop.Add, Dst: b.NewVal(loop.F32, ""), Args: []*loop.Val{nil, nil}})
		}},
		"no op":          {"does not exist", func(b *loop.Builder) { b.Emit(&loop.Instr{Op: 200, Dst: b.NewVal(loop.F32, "")}) }},
		"buffer of ints": {"tensors of int do not exist", func(b *loop.Builder) { b.Buffer("x", loop.Int, one, false) }},
		"name":           {"not an identifier", func(b *loop.Builder) { b.Buffer("a.b", loop.F32, one, false) }},
		"carry": {"a carry is not complete", func(b *loop.Builder) {
			b.Emit(&loop.For{Var: b.NewVal(loop.Int, ""), Step: 1, Carry: []*loop.Carry{{}}})
		}},
		"size": {"not an identifier", func(b *loop.Builder) { b.SizeOf(loop.Sym("a b")) }},
	} {
		err := build(c.f)
		if c.want == "" {
			assert.NoError(t, err, name)
		} else if assert.Error(t, err, name) {
			assert.Contains(t, err.Error(), c.want, name)
		}
	}
}

func FuzzParseKernel(f *testing.F) {
	f.Add(good)
	f.Add("kernel k {\n}\n")
	f.Fuzz(func(t *testing.T, text string) {
		k, err := loop.ParseKernel(text)
		if err != nil {
			return
		}
		again, err := loop.ParseKernel(k.String())
		require.NoError(t, err, k.String())
		require.Equal(t, k.String(), again.String())
	})
}

func TestFaultsAreErrors(t *testing.T) {
	for name, c := range map[string]struct{ body, want string }{
		"load":     {"%1 f32 = load x[7]\nstore y[0] %1", "kernel k: load x[7]: index out of range, x has 2 elements"},
		"negative": {"%1 f32 = load x[-1]\nstore y[0] %1", "load x[-1]: index out of range"},
		"store":    {"%1 f32 = const 1\nstore y[2] %1", "store to y[2]: index out of range, y has 2 elements"},
		"check":    {"%1 int = const 5\n%2 int = size 3\n%3 int = check %1 %2", "index 5 out of range [0, 3)"},
		"divide":   {"%1 int = const 5\n%2 int = const 0\n%3 int = div %1 %2", "division of 5 by zero"},
		"extern":   {"extern topk_index x[1 : 2] i[0 : 1]", "topk_index: x[1:3] out of range, x has 2 elements"},
		"lengths":  {"extern topk_index x[0 : 1] i[0 : 2]", "topk_index: index must not be longer than x"},
	} {
		k, err := loop.ParseKernel("kernel k {\nin x f32[2]\nout y f32[2]\nout i i32[2]\n" + c.body + "\n}\n")
		require.NoError(t, err, name)
		err = loop.Run(k, nil, false, []loop.Mem{make([]float32, 2), make([]float32, 2), make([]int32, 2)}, nil)
		if assert.Error(t, err, name) {
			assert.Contains(t, err.Error(), c.want, name)
		}
	}
	k, err := loop.ParseKernel("kernel k {\nin x f32[B]\n}\n")
	require.NoError(t, err)
	assert.ErrorContains(t, loop.Run(k, map[string]int{"B": 3}, false, []loop.Mem{make([]float32, 2)}, nil), "x has 2 elements, wants B = 3")
	assert.ErrorContains(t, loop.Run(k, nil, false, []loop.Mem{make([]float32, 2)}, nil), "the size B is not known")
	assert.ErrorContains(t, loop.Run(k, map[string]int{"B": 2}, false, []loop.Mem{make([]int32, 2)}, nil), "x: is f32, got []int32")
	assert.ErrorContains(t, loop.Run(k, map[string]int{"B": 2}, false, nil, nil), "called with 0 buffers")
}

// TestFloat32OnDoubleMemory: tensors of the evaluator are float64 slices.
func TestFloat32OnDoubleMemory(t *testing.T) {
	k, err := loop.ParseKernel("kernel k {\nin x f32[1]\nout y f32[1]\n%1 f32 = load x[0]\n%2 f32 = const 0.1\n%3 f32 = mul %1 %2\nstore y[0] %3\n}\n")
	require.NoError(t, err)
	y := make([]float64, 1)
	require.NoError(t, loop.Run(k, nil, false, []loop.Mem{[]float64{3}, y}, nil))
	three, tenth := float32(3), float32(0.1)
	assert.Equal(t, float64(three*tenth), y[0])
	require.NoError(t, loop.Run(k, nil, true, []loop.Mem{[]float64{3}, y}, nil))
	assert.Equal(t, 0.30000000000000004, y[0])
}
