package ops

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/lmc-lang/lmc/ir"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestTable runs the samples of every op and checks every gradient against
// central differences. A new op needs no new test code.
func TestTable(t *testing.T) {
	for _, family := range Families {
		t.Run(family.Name, func(t *testing.T) {
			samples, grads, second := 0, 0, 0
			for _, op := range family.Ops {
				t.Run(op.Name, func(t *testing.T) {
					checkDeclared(t, op)
					for i, s := range op.Samples {
						t.Run(fmt.Sprint(i), func(t *testing.T) {
							samples++
							checkSample(t, op, s)
							if s.Err == "" && op.Grad != nil && s.NoGrad == "" {
								n, m := checkGradients(t, op, s)
								grads += n
								second += m
							}
						})
					}
				})
			}
			t.Logf("%s: %d ops, %d samples, %d gradients and %d gradients of gradients checked", family.Name, len(family.Ops), samples, grads, second)
		})
	}
}

func TestNames(t *testing.T) {
	seen := map[string]bool{}
	for _, op := range Table {
		assert.False(t, seen[op.Name], "%s stands twice in the table", op.Name)
		seen[op.Name] = true
		assert.Same(t, op, ByName(op.Name))
	}
	assert.Nil(t, ByName("frobnicate"))
}

// checkDeclared checks what must be there of every op.
func checkDeclared(t *testing.T, op *ir.Op) {
	require.NotEmpty(t, op.Name)
	assert.True(t, strings.HasPrefix(op.Doc, op.Name+" "), "the doc of %s starts with its name", op.Name)
	assert.True(t, strings.HasSuffix(op.Doc, "."), "the doc of %s ends with a period", op.Name)
	assert.NotNil(t, op.Infer, op.Name)
	meanings := 0
	for _, is := range []bool{op.Lane != nil, op.At != nil, op.Lower != nil, op.Expand != nil, op.Control != nil} {
		if is {
			meanings++
		}
	}
	assert.Equal(t, 1, meanings, "%s has exactly one of Lane, At, Lower, Expand and Control", op.Name)
	for i, a := range op.Args {
		assert.True(t, a.Name != "" && (!a.Variadic || i == len(op.Args)-1), "operand %d of %s", i, op.Name)
	}
	good, bad := 0, 0
	for _, s := range op.Samples {
		if s.Err == "" {
			good++
		} else {
			bad++
		}
	}
	if op.Control == nil && op != Stop {
		assert.NotZero(t, good, "%s has samples", op.Name)
		assert.True(t, bad > 0 || len(op.Args) == 0, "%s has samples of wrong types", op.Name)
	}
}

// apply builds a function of the sample's operands; the op is the only value,
// unless it folds.
func apply(op *ir.Op, s ir.Sample) (*ir.Builder, *ir.Value) {
	b := ir.NewBuilder(op.Name)
	args := make([]*ir.Value, len(s.Types))
	for i, u := range s.Types {
		args[i] = b.Param(fmt.Sprintf("x%d", i), u)
	}
	return b, b.Do(op, args, s.Attrs...)
}

func arguments(t *testing.T, s ir.Sample, in [][]float64) []*ir.Data {
	require.Len(t, in, len(s.Types), "as many inputs as operands")
	args := make([]*ir.Data, len(in))
	for i, u := range s.Types {
		shape := make([]int, u.Rank())
		for k, d := range u.Shape {
			shape[k], _ = d.Const()
		}
		d, err := ir.DataOf(u.Elem, shape, in[i])
		require.NoError(t, err)
		args[i] = d
	}
	return args
}

func checkSample(t *testing.T, op *ir.Op, s ir.Sample) {
	b, v := apply(op, s)
	if s.Err != "" {
		require.ErrorContains(t, b.Err, s.Err)
		return
	}
	f, err := b.Return(v)
	require.NoError(t, err)
	require.NoError(t, ir.Verify(f))
	for _, wide := range []bool{false, true} {
		ev := &ir.Evaluator{Wide: wide}
		out, err := ev.Run(f, arguments(t, s, s.In))
		require.NoError(t, err)
		var got []float64
		for _, d := range out {
			got = append(got, d.Floats()...)
		}
		tol := op.Tol
		if v.Op != op {
			tol = max(tol, v.Op.Tol)
		}
		equalFloats(t, s.Want, got, tol, f)
	}
}

// equalFloats compares with a relative error of the largest number; where that
// is 0, bit by bit as float32.
func equalFloats(t *testing.T, want, got []float64, tol float64, what fmt.Stringer) {
	require.Equal(t, len(want), len(got), "%v", what)
	scale := 0.0
	for _, x := range want {
		if !math.IsInf(x, 0) && !math.IsNaN(x) {
			scale = max(scale, math.Abs(x))
		}
	}
	for i, x := range want {
		y := got[i]
		same := x == y && math.Signbit(x) == math.Signbit(y) || math.IsNaN(x) && math.IsNaN(y) ||
			math.Abs(x-y) <= tol*scale || float32(x) == float32(y) && math.Signbit(x) == math.Signbit(y)
		assert.True(t, same, "element %d is %v, want %v\n%v", i, y, x, what)
	}
}

// checkGradients checks the gradient to each f32 operand, and the gradients of
// that, on the sample's operands and on others near by. It returns how many it checked.
func checkGradients(t *testing.T, op *ir.Op, s ir.Sample) (first, second int) {
	_, v := apply(op, s)
	if !differentiable(v.Type) || v.Type.Tuple != nil {
		return 0, 0
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2 {
		for k, u := range s.Types {
			if u.Elem != ir.F32 || u.Tuple != nil {
				continue
			}
			f := gradientOf(t, op, s, k)
			if f == nil {
				continue
			}
			dy := noise(rng, v.Type)
			checkDirection(t, f.forward, f.backward, arguments(t, s, s.In), k, dy, op.Name)
			first++
			if s.NoGrad2 == "" {
				for j, p := range f.backward.Params {
					if p.Type.Elem != ir.F32 {
						continue
					}
					b2 := backwardOf(t, f.backward, j)
					if b2 == nil {
						continue
					}
					args := append(arguments(t, s, s.In), dy)
					checkDirection(t, f.backward, b2, args, j, noise(rng, f.backward.Results[0].Type), op.Name+" twice")
					second++
				}
			}
		}
		s.In = jitter(rng, s)
	}
	return first, second
}

type pair struct{ forward, backward *ir.Func }

// gradientOf is the sample's function and the function of its operands and of
// the cotangent that gives the gradient to operand k.
func gradientOf(t *testing.T, op *ir.Op, s ir.Sample, k int) *pair {
	b, v := apply(op, s)
	f, err := b.Return(v)
	require.NoError(t, err)
	back := backwardOf(t, f, k)
	if back == nil {
		return nil
	}
	return &pair{f, back}
}

// backwardOf is the gradient of f's only result to parameter k, a function of
// f's parameters and the cotangent; nil if nothing flows back.
func backwardOf(t *testing.T, f *ir.Func, k int) *ir.Func {
	b := ir.NewBuilder(f.Name)
	args := make([]*ir.Value, len(f.Params))
	for i, p := range f.Params {
		args[i] = b.Param(p.Scope, p.Type)
	}
	dy := b.Param("d", f.Results[0].Type)
	y := b.Inline(f, args)[0]
	grads, err := Backprop(b, []*ir.Value{y}, []*ir.Value{dy}, []*ir.Value{args[k]})
	require.NoError(t, err)
	if grads[0] == nil || isZero(grads[0]) {
		return nil
	}
	back, err := b.Return(grads[0])
	require.NoError(t, err)
	require.NoError(t, ir.Verify(back))
	checkClosed(t, back)
	return back
}

// checkClosed checks that a gradient consists of ops of the table.
func checkClosed(t *testing.T, f *ir.Func) {
	for _, v := range f.Values {
		if v.Op != ir.Param {
			require.True(t, slices.Contains(Table, v.Op), "%s is not in the table", v.Op.Name)
		}
	}
}

// checkDirection compares the gradient of <f(x), dy> to argument k, in
// float64, with central differences.
func checkDirection(t *testing.T, f, back *ir.Func, args []*ir.Data, k int, dy *ir.Data, what string) {
	forward, reverse := &ir.Evaluator{Wide: true}, &ir.Evaluator{Wide: true}
	out, err := reverse.Run(back, append(slices.Clone(args), dy))
	require.NoError(t, err)
	value := func() float64 {
		out, err := forward.Run(f, args)
		require.NoError(t, err)
		sum := 0.0
		for i, y := range out[0].F {
			sum += y * dy.F[i]
		}
		return sum
	}
	x := args[k].F
	for j := range x {
		const h = 1e-6
		at := x[j]
		x[j] = at + h
		up := value()
		x[j] = at - h
		down := value()
		x[j] = at
		want, got := (up-down)/(2*h), out[0].F[j]
		scale := max(1, math.Abs(want), math.Abs(up)*1e-2)
		if !assert.InDelta(t, want, got, 2e-7*scale*100, "%s: d x%d[%d] is %v, central difference %v\n%v", what, k, j, got, want, back) {
			return
		}
	}
}

func noise(rng *rand.Rand, u ir.Type) *ir.Data {
	d, _ := (&ir.Evaluator{}).New(u)
	for i := range d.F {
		d.F[i] = rng.NormFloat64()
	}
	return d
}

// jitter moves the f32 operands of a sample a little, so that they stay in
// the domain of the op.
func jitter(rng *rand.Rand, s ir.Sample) [][]float64 {
	out := make([][]float64, len(s.In))
	for i, xs := range s.In {
		out[i] = slices.Clone(xs)
		if s.Types[i].Elem == ir.F32 {
			for k := range xs {
				out[i][k] += rng.Float64() * 0.1
			}
		}
	}
	return out
}
