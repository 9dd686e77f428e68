package runtime

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A doubler prepares twice what is in w, and counts.
type doubler struct {
	w    []float32
	runs *atomic.Int32
}

func (d *doubler) Prepare(i int, parts [][]float32) {
	d.runs.Add(1)
	for k := range parts[i] {
		parts[i][k] = 2 * d.w[k]
	}
}

var doubleSizes = []int{3, 2}

// call is what a session does.
func call(p *Prepared[float32], kind int, need uint64, d *doubler) []float32 {
	c, counted := p.Ready(kind, need), false
	if c == nil {
		c, counted = p.Make(kind, need, doubleSizes, d)
	}
	y := append([]float32(nil), c.Parts[0]...)
	if counted {
		p.Done(c)
	}
	return y
}

func TestPrepared(t *testing.T) {
	var p Prepared[float32]
	d := &doubler{[]float32{1, 2, 3}, new(atomic.Int32)}
	runs := func(want int32) {
		t.Helper()
		assert.Equal(t, want, d.runs.Swap(0))
	}
	assert.Equal(t, []float32{2, 4, 6}, call(&p, 0, 1, d))
	call(&p, 0, 1, d)
	runs(1) // once
	call(&p, 0, 3, d)
	runs(1) // the other part
	call(&p, 1, 1, d)
	runs(1) // for other kernels

	d.w[0] = 5
	p.Stale()
	assert.Equal(t, []float32{10, 4, 6}, call(&p, 0, 1, d))
	assert.Equal(t, []float32{10, 4, 6}, call(&p, 1, 1, d))
	runs(2)
	assert.Zero(t, testing.AllocsPerRun(10, func() { p.Stale(); p.Make(0, 3, doubleSizes, d) }))
	d.runs.Store(0)

	// Lent: every call, but for those that overlap.
	p.Lend()
	for x := range 3 {
		d.w[1] = float32(x)
		assert.Equal(t, []float32{10, 2 * float32(x), 6}, call(&p, 0, 1, d))
	}
	runs(3)
	c, counted := p.Make(0, 1, doubleSizes, d)
	require.True(t, counted)
	call(&p, 0, 1, d)
	call(&p, 0, 3, d)
	runs(2) // and the part that was missing
	p.Settle()
	p.Done(c)
	d.w[2] = 0
	assert.Equal(t, []float32{10, 4, 0}, call(&p, 0, 1, d))
	call(&p, 0, 1, d)
	runs(1)
}

// Any number of calls at once, some of which make what others read, and views that
// are asked for meanwhile.
func TestPreparedAtOnce(t *testing.T) {
	var p Prepared[float32]
	w := []float32{1, 2, 3}
	for round := range 20 {
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				d := &doubler{w, new(atomic.Int32)}
				for range 20 {
					assert.Equal(t, []float32{2 * w[0], 4, 6}, call(&p, i%2, uint64(1|i&2), d))
				}
				if i == 7 && round%3 == 1 {
					p.Lend()
				}
				if i == 7 && round%3 == 2 {
					p.Settle()
				}
			})
		}
		wg.Wait()
		w[0]++
		p.Stale()
	}
}
