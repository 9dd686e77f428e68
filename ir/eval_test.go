package ir_test

import (
	"testing"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/ops"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func tensor(t *testing.T, e ir.Elem, shape []int, xs ...float64) *ir.Data {
	d, err := ir.DataOf(e, shape, xs)
	require.NoError(t, err)
	return d
}

func TestEvaluator(t *testing.T) {
	b, n := loop.Sym("B"), loop.Sym("N")
	g := ops.On(ir.NewBuilder("softmax"))
	x := g.Param("x", ir.Tensor(ir.F32, b, n))
	e := g.Exp(g.Sub(x, g.Spread(g.MaxOf(x, 1), x, 1)))
	f, err := g.Return(g.Div(e, g.Spread(g.Sum(e, 1), x, 1)), g.Size(n))
	require.NoError(t, err)

	ev := &ir.Evaluator{Dims: map[string]int{"B": 2, "N": 3}}
	for range 2 { // the second time from kernels made before
		out, err := ev.Run(f, []*ir.Data{tensor(t, ir.F32, []int{2, 3}, 1, 1, 1, 0, 0, 1000)})
		require.NoError(t, err)
		assert.InDeltaSlice(t, []float64{1. / 3, 1. / 3, 1. / 3, 0, 0, 1}, out[0].F, 1e-6)
		assert.Equal(t, []int{2, 3}, out[0].Shape)
		assert.Equal(t, []int32{3}, out[1].I)
	}
}

// TestWide: with Wide, f32 has the precision of float64.
func TestWide(t *testing.T) {
	g := ops.On(ir.NewBuilder("f"))
	x := g.Param("x", ir.Tensor(ir.F32))
	f, err := g.Return(g.Add(x, g.Float(1)))
	require.NoError(t, err)
	for wide, want := range map[bool]float64{false: 1, true: 1 + 1e-12} {
		out, err := (&ir.Evaluator{Wide: wide}).Run(f, []*ir.Data{ir.Scalar(ir.F32, 1e-12)})
		require.NoError(t, err)
		assert.Equal(t, want, out[0].F[0])
	}
}

func TestEvaluatorErrors(t *testing.T) {
	b := loop.Sym("B")
	g := ops.On(ir.NewBuilder("f"))
	x, i := g.Param("x", ir.Tensor(ir.F32, b)), g.Param("i", ir.Tensor(ir.I32))
	g.Pos = ir.Pos{File: "m.lm", Line: 3, Col: 1}
	f, err := g.Return(g.Gather(x, i, 0))
	require.NoError(t, err)
	three, one := tensor(t, ir.F32, []int{3}, 1, 2, 3), ir.Scalar(ir.I32, 1)
	for _, c := range []struct {
		dims map[string]int
		args []*ir.Data
		want string
	}{
		{nil, []*ir.Data{three, one}, "f: argument x: the size B is not known"},
		{map[string]int{"B": 4}, []*ir.Data{three, one}, "f: argument x: is f32[3], want f32[B], where B = 4"},
		{map[string]int{"B": 3}, []*ir.Data{three}, "f: 1 arguments, want 2"},
		{map[string]int{"B": 3}, []*ir.Data{three, three}, "f: argument i: is f32[3], want i32"},
		{map[string]int{"B": 3}, []*ir.Data{{Elem: ir.F32, Shape: []int{3}}, one}, "f: argument x: has 0 elements, want 3"},
		{map[string]int{"B": 3}, []*ir.Data{three, ir.Scalar(ir.I32, 3)}, "m.lm:3:1: %2 = gather %0 %1 axis=0 : f32: kernel gather: index 3 out of range [0, 3)"},
		{map[string]int{"B": 3}, []*ir.Data{three, ir.Scalar(ir.I32, -1)}, "index -1 out of range [0, 3)"},
	} {
		_, err := (&ir.Evaluator{Dims: c.dims}).Run(f, c.args)
		assert.ErrorContains(t, err, c.want)
	}
	_, err = ir.DataOf(ir.F32, []int{2}, []float64{1})
	assert.EqualError(t, err, "1 elements for the shape [2]")
}
