package runtime

import (
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

type taskFunc func(lo, hi int)

func (f taskFunc) Run(lo, hi int) { f(lo, hi) }

// procs sets GOMAXPROCS for a test.
func procs(t testing.TB, n int) {
	old := runtime.GOMAXPROCS(n)
	t.Cleanup(func() { runtime.GOMAXPROCS(old) })
}

func TestParallelRunsEveryChunkOnce(t *testing.T) {
	for _, p := range []int{1, 2, 4} {
		procs(t, p)
		for _, c := range []struct{ n, grain int }{{0, 1}, {-1, 1}, {1, 1}, {5, 2}, {6, 2}, {7, 100}, {1000, 1}, {1000, 7}, {3, 0}, {1 << 20, 1 << 14}} {
			count := make([]atomic.Int32, max(c.n, 0))
			grain := max(c.grain, 1)
			Parallel(c.n, c.grain, taskFunc(func(lo, hi int) {
				assert.Zero(t, lo%grain)
				assert.Equal(t, min(lo+grain, c.n), hi)
				for i := lo; i < hi; i++ {
					count[i].Add(1)
				}
			}))
			for i := range count {
				if count[i].Load() != 1 {
					t.Fatalf("procs %d, n %d, grain %d: iteration %d ran %d times", p, c.n, c.grain, i, count[i].Load())
				}
			}
		}
	}
}

func TestParallelHugeRange(t *testing.T) {
	procs(t, 1)
	const n = int(^uint(0) >> 1)
	calls := 0
	Parallel(n, n/2+1, taskFunc(func(lo, hi int) { calls++ }))
	assert.Equal(t, 2, calls)
}

func TestParallelNestedAndConcurrent(t *testing.T) {
	procs(t, 4)
	var total atomic.Int64
	var wg sync.WaitGroup
	for range 100 { // more than there are slots
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 20 {
				Parallel(8, 1, taskFunc(func(lo, hi int) {
					Parallel(16, 3, taskFunc(func(lo, hi int) { total.Add(int64(hi - lo)) }))
				}))
			}
		}()
	}
	wg.Wait()
	assert.EqualValues(t, 100*20*8*16, total.Load())
	for i := range pool.jobs {
		j := &pool.jobs[i]
		assert.False(t, j.used.Load())
		assert.Nil(t, j.task, "a slot keeps no task alive")
	}
	assert.Zero(t, pool.open.Load())
}

func TestParallelPanics(t *testing.T) {
	for _, p := range []int{1, 3} {
		procs(t, p)
		for _, bad := range []int{0, 5, 99} {
			f := func() {
				Parallel(100, 1, taskFunc(func(lo, hi int) {
					if lo == bad {
						Index(7, 5)
					}
				}))
			}
			err := func() (err error) {
				defer Recover(&err, "m", "F")
				f()
				return nil
			}()
			assert.EqualError(t, err, "m: F: a computed index = 7 is not in [0, 5)")
		}
		n := atomic.Int32{}
		Parallel(100, 1, taskFunc(func(lo, hi int) { n.Add(1) }))
		assert.EqualValues(t, 100, n.Load(), "the pool works after a panic")
	}
}

func TestParallelGoexit(t *testing.T) {
	procs(t, 2)
	for range 20 {
		var wg sync.WaitGroup
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer func() { recover() }()
			Parallel(10, 1, taskFunc(func(lo, hi int) {
				time.Sleep(50 * time.Microsecond)
				if lo == 3 {
					runtime.Goexit()
				}
			}))
		}()
		wg.Wait()
	}
	n := atomic.Int32{}
	Parallel(100, 1, taskFunc(func(lo, hi int) { n.Add(1) }))
	assert.EqualValues(t, 100, n.Load())
	for i := range pool.jobs {
		assert.False(t, pool.jobs[i].used.Load())
	}
}

type countTask struct{ n atomic.Int64 }

func (c *countTask) Run(lo, hi int) { c.n.Add(int64(hi - lo)) }

func TestParallelAllocatesNothing(t *testing.T) {
	procs(t, 2)
	c := new(countTask)
	Parallel(100, 10, c) // starts the worker
	var before, after runtime.MemStats
	least := ^uint64(0)
	for range 5 { // other goroutines of the test binary may allocate
		runtime.ReadMemStats(&before)
		for range 1000 {
			Parallel(100, 10, c)
		}
		runtime.ReadMemStats(&after)
		least = min(least, after.Mallocs-before.Mallocs)
	}
	assert.Zero(t, least)
}

func TestWorkersLeaveWhenIdle(t *testing.T) {
	procs(t, 4)
	Parallel(100, 1, new(countTask))
	ours := func() int {
		buf := make([]byte, 1<<20)
		return strings.Count(string(buf[:runtime.Stack(buf, true)]), "workerPool).worker")
	}
	for deadline := time.Now().Add(10 * time.Second); ours() > 0 && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
	}
	assert.Zero(t, ours())
	assert.Zero(t, pool.workers.Load())
	assert.Zero(t, pool.parked.Load())
	c := new(countTask)
	Parallel(100, 1, c)
	assert.EqualValues(t, 100, c.n.Load(), "and come back")
}

func TestWorkersHelp(t *testing.T) {
	procs(t, 2)
	if runtime.NumCPU() < 2 {
		t.Skip("skip: one processor")
	}
	var both atomic.Bool
	for range 100 {
		var first, second atomic.Bool
		Parallel(2, 1, taskFunc(func(lo, hi int) {
			(*[2]*atomic.Bool{&first, &second}[lo]).Store(true)
			for end := time.Now().Add(5 * time.Millisecond); time.Now().Before(end); {
				if first.Load() && second.Load() {
					both.Store(true)
					return
				}
			}
		}))
		if both.Load() {
			return
		}
	}
	t.Error("no chunk ever ran beside the caller's")
}

func BenchmarkParallelEmpty2Chunks(b *testing.B) {
	c := new(countTask)
	for b.Loop() {
		Parallel(2, 1, c)
	}
}
