package passes

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/ops"
)

// A contraction that is tested: extents by letter, symbols for capitals.
type dotCase struct {
	spec string
	dims map[rune]ir.Dim
	env  map[string]int
}

func dotCases() []dotCase {
	n := func(sizes ...int) map[rune]ir.Dim {
		m := map[rune]ir.Dim{}
		for i, s := range sizes {
			m[rune('a'+i)] = loop.N(s)
		}
		return m
	}
	sym := func(m map[rune]ir.Dim, r rune, s string) map[rune]ir.Dim { m[r] = loop.Sym(s); return m }
	var out []dotCase
	for _, spec := range []string{"ab,bc->ac", "ab,cb->ac", "ba,bc->ac", "ba,cb->ac"} {
		for _, s := range [][]int{{1, 5, 3}, {1, 40, 100}, {7, 33, 65}, {30, 16, 32}, {53, 100, 80}, {64, 64, 10}, {13, 17, 1}, {24, 48, 96}} {
			out = append(out, dotCase{spec, n(s...), nil})
		}
		for _, size := range []int{1, 23, 24, 61} {
			out = append(out,
				dotCase{spec, sym(n(0, 20, 50), 'a', "M"), map[string]int{"M": size}},
				dotCase{spec, sym(n(30, 20, 0), 'c', "N"), map[string]int{"N": size}},
				dotCase{spec, sym(n(30, 0, 40), 'b', "K"), map[string]int{"K": size}})
		}
		out = append(out, dotCase{spec, n(30, 3100, 33), nil}, dotCase{spec, sym(n(530, 0, 33), 'b', "K"), map[string]int{"K": 1030}})
	}
	out = append(out,
		dotCase{"ab,bc->ac", n(100, 512, 130), nil}, // rows a page apart
		dotCase{"ba,bc->ac", n(512, 260, 130), nil}, // sums a page apart
		dotCase{"ab,bc->ac", n(5, 300, 1100), nil},  // few rows, sums a page apart
		dotCase{"ab,bc->ac", n(34, 260, 1030), nil}, // more rows than a tile has
		dotCase{"ab,bc->ac", n(700, 20, 40), nil},   // equal blocks of rows
		dotCase{"ab,cb->ac", n(700, 20, 40), nil},
		dotCase{"ab,bc->ac", n(100, 40, 64), nil}, // a tile has whole rows
		dotCase{"ab,cb->ac", n(300, 100, 48), nil},
		dotCase{"ba,bc->ac", n(90, 256, 60), nil},
		dotCase{"ab,bc->ac", sym(n(0, 50, 64), 'a', "M"), map[string]int{"M": 131}},
		dotCase{"abc,cd->abd", n(3, 5, 20, 40), nil},
		dotCase{"abd,cd->abc", n(3, 5, 20, 40), nil},
		dotCase{"abd,abc->cd", n(3, 50, 20, 40), nil},
		dotCase{"acbe,adbe->abcd", n(2, 30, 3, 40, 16), nil}, // attention scores
		dotCase{"acbe,aecd->acbd", n(2, 30, 3, 40, 16), nil}, // weighted values
		dotCase{"acbe,aecd->abcd", n(2, 30, 3, 40, 16), nil}, // into another layout
		dotCase{"abcd,dae->bce", n(3, 40, 5, 7, 33), nil},    // two summed letters
		dotCase{"abcd,abce->de", n(2, 5, 7, 20, 33), nil},    // three
		dotCase{"adc,dab->bc", n(16, 128, 130, 9), nil},      // the sums over d a page apart
		dotCase{"abcd,bde->ace", n(3, 2, 4, 20, 33), nil},    // rows that do not join
		dotCase{"abc,c->ab", n(3, 5, 20), nil},               // no letter of its own: portable
		dotCase{"a,ab->b", n(50, 70), nil},                   // no rows
		dotCase{"a,ab->b", n(75, 10), nil},                   // sums made of four
		dotCase{"a,ab->b", n(38, 30), nil},                   // of two
		dotCase{"ab,bc->ac", n(2, 53, 16), nil},
		dotCase{"ab,bac->c", n(9, 8, 12), nil}, // over letters that do not join
		dotCase{"ab,ab->a", n(50, 70), nil},    // a batch of sums: portable
	)
	return out
}

func (c dotCase) shape(letters string) []ir.Dim {
	var out []ir.Dim
	for _, r := range letters {
		out = append(out, c.dims[r])
	}
	return out
}

// build is the contraction alone, or followed by a bias, an activation and the
// sum with another tensor.
func (c dotCase) build(t *testing.T, follow bool) *ir.Func {
	return build(t, func(g ops.Graph) []*ir.Value {
		spec, err := ops.ParseContraction(c.spec)
		require.NoError(t, err)
		x, y := g.Param("x", f32(0).WithShape(c.shape(spec.X)...)), g.Param("y", f32(0).WithShape(c.shape(spec.Y)...))
		if !follow {
			return []*ir.Value{g.Dot(c.spec, x, y)}
		}
		z := g.Param("z", f32(0).WithShape(c.shape(spec.Out)...))
		v := g.Dot(c.spec, x, y)
		return []*ir.Value{g.Add(g.Mul(v, z), z), v}
	})
}

// Native forms of contractions agree with the portable kernel, with each other
// to the bit, and for any split of their grids.
func TestNativeDots(t *testing.T) {
	native := 0
	for _, c := range dotCases() {
		for _, follow := range []bool{false, true} {
			name := fmt.Sprintf("%s %v %v %v", c.spec, c.dims, c.env, follow)
			r := rand.New(rand.NewPCG(7, 8))
			out, err := Lower(program(c.build(t, follow)))
			require.NoError(t, err, name)
			for _, k := range out.Kernels {
				if len(k.Native) == 0 {
					continue
				}
				native++
				checkNative(t, name, k, c.env, r)
			}
		}
	}
	assert.Greater(t, native, 150)
}

// Convolutions: the windows are computed, or in memory where nothing is padded.
func TestNativeConvolutions(t *testing.T) {
	geometry := func(kernel, stride, pad, dilation int) ops.Geometry {
		two := func(x int) []int { return []int{x, x} }
		return ops.Geometry{Kernel: two(kernel), Stride: two(stride), PadLo: two(pad), PadHi: two(pad), Dilation: two(dilation)}
	}
	native := 0
	for _, c := range []struct {
		b    any
		size int
		i, o int
		geo  ops.Geometry
	}{
		{2, 9, 3, 20, geometry(3, 1, 1, 1)}, {3, 8, 16, 33, geometry(3, 2, 1, 1)}, {2, 6, 20, 16, geometry(1, 1, 0, 1)},
		{1, 4, 40, 16, geometry(3, 1, 1, 1)}, {2, 12, 5, 7, geometry(3, 1, 2, 2)}, {"B", 5, 8, 16, geometry(3, 1, 1, 1)},
		{70, 4, 8, 40, geometry(3, 1, 1, 1)}, {2, 12, 5, 16, geometry(2, 2, 0, 1)},
		{1, 4, 128, 40, geometry(3, 1, 1, 1)}, {1, 3, 512, 40, geometry(3, 1, 1, 1)}, {"B", 5, 160, 70, geometry(3, 1, 1, 1)},
	} {
		x := f32(c.b, c.size, c.size, c.i)
		w := f32(c.geo.Kernel[0], c.geo.Kernel[1], c.i, c.o)
		f := build(t, func(g ops.Graph) []*ir.Value {
			x, w, b := g.Param("x", x), g.Param("w", w), g.Param("b", f32(c.o))
			y := g.Conv(x, w, c.geo, 1)
			y = g.Add(y, g.Broadcast(b, y.Type.Shape, 3))
			return []*ir.Value{y, g.ConvInput(y, w, c.geo, 1, x.Type.Shape), g.ConvFilter(x, y, c.geo, 1, w.Type.Shape)}
		})
		out, err := Lower(program(f))
		require.NoError(t, err)
		for _, k := range out.Kernels {
			if len(k.Native) > 0 {
				native++
				checkNative(t, fmt.Sprint(c), k, map[string]int{"B": 3}, rand.New(rand.NewPCG(7, 8)))
			}
		}
	}
	assert.GreaterOrEqual(t, native, 24)
}

// Pieces of a convolution along one axis read windows in place, but for those at
// the border, which may be all: both give what the portable kernel gives.
func TestNativeWindowsInPlace(t *testing.T) {
	line := func(kernel, stride, lo, hi, dilation int) ops.Geometry {
		return ops.Geometry{Kernel: []int{kernel}, Stride: []int{stride}, PadLo: []int{lo}, PadHi: []int{hi}, Dilation: []int{dilation}}
	}
	var functions []*ir.Func
	for _, c := range []struct {
		b, size any
		geo     ops.Geometry
	}{
		{1, 1100, line(3, 1, 1, 1, 1)}, {2, 700, line(2, 1, 0, 3, 3)}, {1, 1300, line(3, 2, 1, 1, 1)}, {1, "T", line(3, 1, 40, 40, 40)},
	} {
		x, w := f32(c.b, c.size, 16), f32(c.geo.Kernel[0], 16, 40)
		functions = append(functions, build(t, func(g ops.Graph) []*ir.Value {
			x, w := g.Param("x", x), g.Param("w", w)
			y := g.Conv(x, w, c.geo, 1)
			return []*ir.Value{y, g.ConvInput(y, w, c.geo, 1, x.Type.Shape), g.ConvFilter(x, y, c.geo, 1, w.Type.Shape)}
		}))
	}
	for _, c := range []struct {
		b, t     any
		taps     int
		dilation int // of run time if negative: zero in the test
	}{
		{1, 1100, 2, 1}, {1, 1100, 2, 300}, {2, 700, 3, 40}, {1, 600, 2, 700}, {1, 530, 2, -1}, {1, "T", 2, 7}, {3, 1024, 4, 16},
	} {
		x, w := f32(c.b, c.t, 16), f32(c.taps, 16, 40)
		functions = append(functions, build(t, func(g ops.Graph) []*ir.Value {
			x, w, b := g.Param("x", x), g.Param("w", w), g.Param("b", f32(40))
			d := g.Integer(c.dilation)
			if c.dilation < 0 {
				d = g.Param("d", i32())
			}
			v := g.CausalWindow(x, d, loop.N(c.taps))
			y := g.Dot("btki,kio->bto", v, w)
			z := g.Add(y, g.Broadcast(b, y.Type.Shape, 2))
			dx := g.Dot("btko,kio->bti", g.CausalUnwindow(z, d, loop.N(c.taps)), w)
			return []*ir.Value{z, dx, g.Dot("btki,bto->kio", v, z)}
		}))
	}
	native := 0
	for _, f := range functions {
		out, err := Lower(program(f))
		require.NoError(t, err)
		for _, k := range out.Kernels {
			if len(k.Native) > 0 {
				native++
				checkNative(t, f.String(), k, map[string]int{"T": 1030}, rand.New(rand.NewPCG(7, 8)))
			}
		}
	}
	assert.Greater(t, native, 30)
}

// checkNative compares the native forms of k with k.
func checkNative(t *testing.T, name string, k *loop.Kernel, env map[string]int, r *rand.Rand) {
	t.Helper()
	args := kernelArgs(t, k, env, r)
	poisonOuts(k, args)
	require.NoError(t, loop.Run(k, env, false, args, make([]int, len(k.Ints))), name)
	want := outs(k, args)
	portable := bits(k, args)
	for _, pair := range k.InPlace {
		over := overwritten(k, args, pair)
		require.NoError(t, loop.Run(k, env, false, over, make([]int, len(k.Ints))), name)
		require.Equal(t, portable, bits(k, over), "%s: not in place, %v", name, pair)
	}
	var first []uint32
	for _, n := range k.Native {
		poisonOuts(k, args)
		p, err := loop.Compile(n.Kernel, env, false)
		require.NoError(t, err, name)
		require.NoError(t, p.Run(args, make([]int, len(k.Ints))), "%s\n%v", name, n.Kernel)
		for i, y := range outs(k, args) {
			closeTo(t, want[i], y, name+"\n"+n.Kernel.String())
		}
		got := bits(k, args)
		if first == nil {
			first = got
		}
		require.Equal(t, first, got, "%s: %s differs from the other target", name, n.Target.Name)
		for _, pair := range k.InPlace {
			over := overwritten(k, args, pair)
			require.NoError(t, p.Run(over, make([]int, len(k.Ints))))
			require.Equal(t, got, bits(k, over), "%s: not in place, %v", name, pair)
		}
		if n.Grid == nil {
			continue
		}
		poisonOuts(k, args)
		for lo := 0; lo < p.Grid(); {
			hi := min(p.Grid(), lo+1+r.IntN(3))
			require.NoError(t, p.RunRange(args, make([]int, len(k.Ints)), lo, hi))
			lo = hi
		}
		require.Equal(t, got, bits(k, args), "%s: the grid of %s cannot be split", name, n.Target.Name)
	}
}

// overwritten are arguments like args where an output of k is in the memory of an
// input.
func overwritten(k *loop.Kernel, args []loop.Mem, pair [2]int) []loop.Mem {
	over := make([]loop.Mem, len(args))
	for i := range args {
		over[i] = clone(args[i])
	}
	poisonOuts(k, over)
	over[pair[1]] = over[pair[0]]
	return over
}

func clone(m loop.Mem) loop.Mem {
	switch m := m.(type) {
	case []float32:
		return slices.Clone(m)
	case []int32:
		return slices.Clone(m)
	}
	return slices.Clone(m.([]bool))
}

// outs copies the outputs of k that are no scratch.
func outs(k *loop.Kernel, args []loop.Mem) [][]float32 {
	var out [][]float32
	for i, b := range k.Arguments() {
		if !b.Out || b.Name[0] != 'y' {
			continue
		}
		var y []float32
		switch x := args[i].(type) {
		case []float32:
			y = slices.Clone(x)
		case []int32:
			for _, v := range x {
				y = append(y, float32(v))
			}
		case []bool:
			for _, v := range x {
				y = append(y, map[bool]float32{true: 1}[v])
			}
		}
		out = append(out, y)
	}
	return out
}

func closeTo(t *testing.T, want, got []float32, name string) {
	t.Helper()
	most := 0.0
	for _, x := range want {
		if a := math.Abs(float64(x)); !math.IsInf(a, 0) && !math.IsNaN(a) {
			most = max(most, a)
		}
	}
	for i, x := range want {
		if x == got[i] || x != x && got[i] != got[i] {
			continue
		}
		if d := math.Abs(float64(x - got[i])); !(d <= 1e-5*(most+1)) {
			require.Failf(t, "differs", "element %d: %g, portable %g\n%s", i, got[i], x, name)
		}
	}
}

// The index of the largest element, for rows with several vectors and a rest.
func TestNativeArgMax(t *testing.T) {
	for _, n := range []any{5, 16, 33, 65, 200, "N"} {
		f := build(t, func(g ops.Graph) []*ir.Value {
			x := g.Param("x", f32(7, n))
			return []*ir.Value{g.Do(ops.ArgMax, []*ir.Value{x}, ops.Axis.Is(1))}
		})
		out, err := Lower(program(f))
		require.NoError(t, err)
		require.Len(t, out.Kernels, 1)
		require.NotEmpty(t, out.Kernels[0].Native)
		checkNative(t, fmt.Sprint(n), out.Kernels[0], map[string]int{"N": 77}, rand.New(rand.NewPCG(7, 8)))
	}
}

// A filter whose innermost axis is neither the columns nor the last summed axis
// cannot be read in place, however few places there are.
func TestNativeConvolutionChannelsFirst(t *testing.T) {
	for _, places := range []any{3, 7, 60, "M"} {
		f := build(t, func(g ops.Graph) []*ir.Value {
			x, w := g.Param("x", f32(2, 3, places)), g.Param("w", f32(4, 3, 3)) // channels first, as elsewhere
			y := g.Conv(g.Transpose(x, 0, 2, 1), g.Transpose(w, 2, 1, 0), ops.Valid(3), 1)
			return []*ir.Value{g.Transpose(y, 0, 2, 1)}
		})
		out, err := Lower(program(f))
		require.NoError(t, err)
		native := 0
		for _, k := range out.Kernels {
			if len(k.Native) > 0 {
				native++
				checkNative(t, fmt.Sprint(places), k, map[string]int{"M": 9}, rand.New(rand.NewPCG(7, 8)))
			}
		}
		require.NotZero(t, native)
	}
}
