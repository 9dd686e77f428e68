package ir_test

import (
	"testing"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/ops"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// example is a good function to break.
func example(t *testing.T) *ir.Func {
	g := ops.On(ir.NewBuilder("f"))
	x := g.Param("x", ir.Tensor(ir.F32, loop.Sym("B"), loop.N(3)))
	g.Pos = ir.Pos{File: "m.lm", Line: 7, Col: 3}
	y := g.Exp(x)
	f, err := g.Return(g.Sum(g.Mul(y, x), 1))
	require.NoError(t, err)
	require.NoError(t, ir.Verify(f))
	return f
}

func TestVerify(t *testing.T) {
	for _, c := range []struct {
		name, want string
		spoil      func(f *ir.Func)
	}{
		{"ID", "the ID is 5, want 2", func(f *ir.Func) { f.Values[2].ID = 5 }},
		{"type", "the type is f32[B], want f32[B, 3]", func(f *ir.Func) { f.Values[1].Type = ir.Tensor(ir.F32, loop.Sym("B")) }},
		{"order", "operand 0, %3, is not defined before", func(f *ir.Func) { f.Values[2].Args[0] = f.Values[3] }},
		{"foreign operand", "operand 0, %1, is not defined before", func(f *ir.Func) { f.Values[2].Args[0] = &ir.Value{ID: 1} }},
		{"no operand", "operand 0 is missing", func(f *ir.Func) { f.Values[2].Args[0] = nil }},
		{"operands", "1 operands, want 2", func(f *ir.Func) { f.Values[2].Args = f.Values[2].Args[:1] }},
		{"params", "parameter 0 is not value 0", func(f *ir.Func) { f.Params[0] = &ir.Value{Op: ir.Param} }},
		{"late param", "a param stands after the parameters", func(f *ir.Func) { f.Values[1].Op = ir.Param }},
		{"result", "result 0, %3, is not a value of the function", func(f *ir.Func) { f.Values = f.Values[:3] }},
		{"no result", "result 0 is missing", func(f *ir.Func) { f.Results[0] = nil }},
		{"op", "there is no op", func(f *ir.Func) { f.Values[1].Op = nil }},
		{"meaning", "op empty has 0 of Lane, At, Lower, Expand and Control, want one", func(f *ir.Func) { f.Values[1].Op = &ir.Op{Name: "empty"} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := example(t)
			c.spoil(f)
			assert.ErrorContains(t, ir.Verify(f), c.want)
		})
	}
	assert.Error(t, ir.Verify(nil))
}

func TestVerifyMessage(t *testing.T) {
	f := example(t)
	f.Values[2].Type = ir.Tensor(ir.I32)
	assert.EqualError(t, ir.Verify(f), `the type is i32, want f32[B, 3]

in value:
  %2 = mul %1 %0 : i32
from source: m.lm:7:3
in func f:
  %0 = param x : f32[B, 3]
  %1 = exp %0 : f32[B, 3]
> %2 = mul %1 %0 : i32
  %3 = sum %2 axes=[1] : f32[B]`)
}

func TestVerifySubFunction(t *testing.T) {
	body := ir.NewBuilder("body")
	i := body.Param("i", ir.Tensor(ir.I32))
	c := body.Param("c", ir.Tensor(ir.F32))
	inner, err := body.Return(ops.On(body).Add(c, ops.On(body).Cast(i, ir.F32)))
	require.NoError(t, err)
	g := ops.On(ir.NewBuilder("f"))
	loopOf := g.Scan(ops.Loop{Body: inner, Extent: loop.N(4), Inits: []*ir.Value{g.Float(0)}})
	f, err := g.Return(g.Get(loopOf, 0))
	require.NoError(t, err)
	require.NoError(t, ir.Verify(f))
	out, err := (&ir.Evaluator{}).Run(f, nil)
	require.NoError(t, err)
	assert.Equal(t, []float64{6}, out[0].F)

	inner.Values[2].ID = 9
	assert.ErrorContains(t, ir.Verify(f), "in body: the ID is 9, want 2")
}
