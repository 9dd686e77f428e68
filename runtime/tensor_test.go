package runtime

import (
	"errors"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTensors(t *testing.T) {
	a := NewTensor2([]int32{0, 1, 2, 3, 4, 5}, 2, 3)
	assert.EqualValues(t, 5, a.At(1, 2))
	assert.Equal(t, []int32{3, 4, 5}, a.Row(1))
	assert.Equal(t, 3, cap(a.Row(0)), "a row cannot grow into the next one")
	b := NewTensor3[float32](nil, 2, 3, 4)
	b.Data[23] = 7
	assert.EqualValues(t, 7, b.At(1, 2, 3))
	assert.EqualValues(t, 7, b.Sub(1).At(2, 3))
	c := NewTensor4[float32](nil, 1, 2, 3, 4)
	c.Data[23] = 8
	assert.EqualValues(t, 8, c.At(0, 1, 2, 3))
	assert.EqualValues(t, 8, c.Sub(0).At(1, 2, 3))
	assert.Len(t, NewTensor5[bool](nil, 1, 2, 3, 4, 5).Data, 120)
	assert.Len(t, NewTensor6[bool](nil, 1, 2, 3, 4, 5, 0).Data, 0)
	assert.Nil(t, NewTensor2[int32](nil, -1, 2).Data, "bad extents do not panic; the method that gets them complains")
}

func TestSize(t *testing.T) {
	for _, c := range []struct {
		shape []int
		n     int
		ok    bool
	}{
		{nil, 1, true}, {[]int{3, 4}, 12, true}, {[]int{3, 0, math.MaxInt}, 0, true}, {[]int{math.MaxInt, math.MaxInt, 0}, 0, true},
		{[]int{-1, 0}, 0, false}, {[]int{math.MaxInt, 2}, 0, false}, {[]int{1 << 31, 1 << 31, 1 << 31}, 0, false},
	} {
		n, ok := Size(c.shape)
		assert.Equal(t, c.ok, ok, "%v", c.shape)
		assert.Equal(t, c.n, n, "%v", c.shape)
	}
}

func TestGrow(t *testing.T) {
	d := Grow([]int{1, 2}, 3)
	assert.Len(t, d, 5)
	assert.Equal(t, []int{1, 2}, d[:2])
	assert.Len(t, Grow[int](nil, 0), 0)
	assert.Zero(t, testing.AllocsPerRun(10, func() { d = Grow(d[:0], 4); d = Resize(d, 3) }))
	assert.Len(t, Resize(d, 100), 100)
}

func TestErrorTexts(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{&BoundError{"gpt2", "Logits", "T <= 1024", []DimValue{{"T", 2000}}}, "gpt2: Logits: need T <= 1024, got T = 2000"},
		{&BoundError{"gpt2", "Decode", "P + T <= 1024", []DimValue{{"P", 1000}, {"T", 30}}}, "gpt2: Decode: need P + T <= 1024, got P = 1000, T = 30"},
		{&IndexError{"gpt2", "Loss", "ids", []int{3, 5}, 70000, 50257}, "gpt2: Loss: ids[3,5] = 70000 is not in [0, 50257)"},
		{&IndexError{"gpt2", "Loss", "", nil, -1, 7}, "gpt2: Loss: a computed index = -1 is not in [0, 7)"},
		{&ShapeError{"gpt2", "Loss", "next", "i32[B=4, T=8]", []int{4, 7}, -1}, "gpt2: Loss: next: want i32[B=4, T=8], got [4, 7]"},
		{&ShapeError{"gpt2", "Loss", "next", "i32[B, T]", []int{4, 7}, 30}, "gpt2: Loss: next: the shape [4, 7] does not fit data of length 30"},
		{&NonFiniteError{"mlp", "Step", "the loss", math.NaN(), 12}, "mlp: Step: the loss is NaN at step 12"},
		{&NonFiniteError{"mlp", "Step", "x", math.Inf(1), -1}, "mlp: Step: x is +Inf"},
		{&MismatchError{Model: "mlp", Differ: []string{"W1: file f32[784,64], model f32[784,128]", "b"}}, "mlp: W1: file f32[784,64], model f32[784,128] (and 1 more)"},
		{&MismatchError{Missing: []string{"a", "b"}, Unexpected: []string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10"}}, "the file lacks a, b; the model has no 1, 2, 3, 4, 5, 6, 7, 8 and 2 more"},
		{&MismatchError{Model: "m", Reason: "written by another model"}, "m: written by another model"},
		{&IndexFault{5, 5}, "index 5 is not in [0, 5)"},
	} {
		assert.EqualError(t, c.err, c.want)
	}
	assert.ErrorIs(t, &MismatchError{}, ErrModelMismatch)
}

func TestIndexAndRecover(t *testing.T) {
	call := func(i int32, n int) (at int, err error) {
		defer Recover(&err, "m", "F")
		return Index(i, n), nil
	}
	at, err := call(3, 4)
	require.NoError(t, err)
	assert.Equal(t, 3, at)
	for _, i := range []int32{4, -1, math.MinInt32, math.MaxInt32} {
		_, err = call(i, 4)
		var e *IndexError
		require.True(t, errors.As(err, &e))
		assert.EqualValues(t, i, e.Value)
		assert.Equal(t, 4, e.Limit)
	}
	assert.PanicsWithValue(t, "other", func() {
		var err error
		defer Recover(&err, "m", "F")
		panic("other")
	})
	assert.Zero(t, testing.AllocsPerRun(10, func() { call(1, 2) }))
}

func TestChecks(t *testing.T) {
	ids := NewTensor2([]int32{0, 1, 2, 3, 4, 9}, 2, 3)
	assert.NoError(t, CheckShape("m", "F", "ids", "i32[B, 3]", ids.Shape[:], len(ids.Data), -1, 3))
	assert.EqualError(t, CheckShape("m", "F", "ids", "i32[B, 4]", ids.Shape[:], len(ids.Data), -1, 4), "m: F: ids: want i32[B, 4], got [2, 3]")
	assert.EqualError(t, CheckShape("m", "F", "ids", "i32[B, 3]", ids.Shape[:], 5, -1, 3), "m: F: ids: the shape [2, 3] does not fit data of length 5")
	assert.EqualError(t, CheckShape("m", "F", "x", "f32[B]", []int{0}, 0, -1), "m: F: x: want f32[B], got [0]")
	assert.EqualError(t, CheckShape("m", "F", "x", "f32[B, 2*T, 3]", []int{4, 5, 3}, 60, 4, 6, 3), "m: F: x: want f32[B=4, 2*T=6, 3], got [4, 5, 3]")
	assert.Error(t, CheckShape("m", "F", "x", "f32[B]", []int{-2}, 0, -1))
	assert.NoError(t, CheckShape("m", "F", "x", "f32[N]", []int{0}, 0, 0))

	assert.NoError(t, CheckIndex("m", "F", "ids", ids.Data, ids.Shape[:], 10))
	assert.EqualError(t, CheckIndex("m", "F", "ids", ids.Data, ids.Shape[:], 9), "m: F: ids[1,2] = 9 is not in [0, 9)")
	assert.Equal(t, 1, CheckRange([]int32{0, -1, 2}, 3))
	assert.Equal(t, -1, CheckRange(nil, 0))
	assert.Zero(t, testing.AllocsPerRun(10, func() {
		if CheckShape("m", "F", "ids", "i32[B, 3]", ids.Shape[:], len(ids.Data), -1, 3) != nil || CheckIndex("m", "F", "ids", ids.Data, ids.Shape[:], 10) != nil {
			t.Fail()
		}
	}))
}

func TestGuard(t *testing.T) {
	var g Guard
	assert.True(t, g.Share() && g.Share())
	assert.False(t, g.Hold())
	g.Unshare()
	g.Unshare()
	assert.True(t, g.Hold())
	assert.False(t, g.Hold() || g.Share())
	g.Release()
	assert.True(t, g.Share())
}

func TestApart(t *testing.T) {
	x := make([]float32, 10)
	var scratch []float32
	same := func(a, b []float32) bool { return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0]) }
	for _, c := range []struct {
		src, dst []float32
		shared   bool
	}{
		{x[:5], x[5:], false}, {x[5:], x[:5], false}, {x[:6], x[5:], true}, {x[5:], x[:6], true}, {x, x[3:4], true}, {x[3:4], x, true},
		{x[:0], x, false}, {x, nil, false}, {x, make([]float32, 10), false},
	} {
		assert.Equal(t, !c.shared, same(c.src, Apart(c.src, &scratch, nil, c.dst)))
	}
	copied := Apart(x[:4], &scratch, x[2:])
	x[1] = 7
	assert.EqualValues(t, 0, copied[1])
	y := make([]float32, 10)
	assert.Zero(t, testing.AllocsPerRun(10, func() { Apart(x, &scratch, y); Apart(x, &scratch, x[3:], y) }))
}
