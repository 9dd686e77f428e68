package runtime

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/assert"
)

func aligned(t *testing.T, x any) {
	t.Helper()
	assert.Zero(t, reflect.ValueOf(x).Pointer()%64)
}

func TestAligned(t *testing.T) {
	for n := range 200 {
		f, b, d := Aligned[float32](n), Aligned[bool](n), Aligned[float64](n)
		aligned(t, f)
		aligned(t, b)
		aligned(t, d)
		assert.Len(t, f, n)
		assert.Equal(t, n, cap(b))
	}
	assert.Len(t, Aligned[[3]int16](5), 5, "of what does not fill lines")
	assert.Len(t, Aligned[struct{}](5), 5)
}

func TestScratch(t *testing.T) {
	var s Scratch
	seen := map[*Block]bool{}
	for range 2 {
		var lent []*Block
		for n := range 150 { // more than a Scratch has by itself
			b := s.Borrow(n, 2*n, 3)
			assert.Len(t, b.Floats, n)
			assert.Len(t, b.Ints, 2*n)
			assert.Len(t, b.Flags, 3)
			aligned(t, b.Floats)
			lent = append(lent, b)
			seen[b] = true
		}
		for _, b := range lent {
			b.Return()
		}
	}
	assert.Len(t, seen, 150, "blocks are lent again")
	d := s.BorrowDoubles(3, 2, 1)
	assert.Len(t, d.Doubles, 3)
	assert.Len(t, d.Ints, 2)
	assert.Len(t, d.Flags, 1)
	aligned(t, d.Doubles)
	d.Return()
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		a, b := s.Borrow(0, 0, 1), s.Borrow(1, 2, 0)
		a.Return()
		b.Return()
	}))
}

// borrower is a loop whose pieces write to their blocks, and loops in them.
type borrower struct {
	s     *Scratch
	inner *borrower
}

func (x *borrower) Run(lo, hi int) {
	b := x.s.Borrow(100, 0, 0)
	defer b.Return()
	for i := range b.Floats {
		b.Floats[i] = float32(lo)
	}
	if x.inner != nil {
		Parallel(4, 1, x.inner)
	}
	for _, v := range b.Floats {
		if v != float32(lo) {
			panic("a block was lent twice")
		}
	}
}

func TestScratchInParallel(t *testing.T) {
	var s Scratch
	x := &borrower{&s, &borrower{&s, nil}}
	for range 200 {
		Parallel(16, 1, x)
	}
	assert.Zero(t, s.used.Load())
}

func TestFault(t *testing.T) {
	assert.NotPanics(t, func() { Fault(7, 0) })
	assert.PanicsWithError(t, "runtime error: integer divide by zero", func() { Fault(7, -1) })
	err := func() (err error) {
		defer Recover(&err, "m", "F")
		Fault(7, 5)
		return nil
	}()
	assert.EqualError(t, err, "m: F: a computed index = 7 is not in [0, 5)")
}
