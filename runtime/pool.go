package runtime

import (
	"math/bits"
	"runtime"
	"sync/atomic"
	"time"
)

// A Task is the body of a parallel loop. Run does the iterations lo … hi-1; it
// is called from several goroutines at once, for different ranges.
type Task interface{ Run(lo, hi int) }

// Parallel runs the iterations 0 … n-1 of t in chunks of grain (the last one may
// be shorter) and returns when all are done. Which chunks there are depends on n
// and grain only, so partial results kept per chunk (lo/grain) and combined in
// order have the same bits for any number of workers; which goroutine runs a
// chunk, and when, is open. The caller takes part. With one chunk or
// GOMAXPROCS(1) the chunks run in order on the caller.
//
// Parallel may be called from inside a task and from many goroutines. It
// allocates nothing if t does not (a pointer to something the session owns).
// A panic of t is raised again in the caller, after the running chunks ended;
// chunks that had not started then are left out.
func Parallel(n, grain int, t Task) {
	if grain < 1 {
		grain = 1
	}
	if n <= 0 {
		return
	}
	chunks := (n-1)/grain + 1
	if chunks > 1 {
		if helpers := min(runtime.GOMAXPROCS(0), chunks) - 1; helpers > 0 {
			if j := pool.claim(); j != nil {
				j.run(n, grain, chunks, helpers, t)
				return
			}
		}
	}
	for lo := 0; lo < n; lo += grain {
		t.Run(lo, min(lo+grain, n))
		if n-lo <= grain { // lo+grain might overflow
			return
		}
	}
}

// The pool has a fixed number of job slots; a loop that finds none free runs on
// its caller alone. Workers look for open slots, spin for a while when there is
// none (a training step has the next one ready within microseconds), then park,
// then leave, so that an idle process has no goroutine of ours.
const (
	jobSlots  = 64 // one bit of workerPool.open each
	spinTime  = time.Millisecond
	idleTime  = 100 * time.Millisecond
	spinCheck = 1 << 12 // turns of a spinning worker between looks at the clock
	yieldTurn = 1 << 12 // turns of a waiting caller before it yields the processor
)

type workerPool struct {
	open atomic.Uint64 // bit i: chunks of jobs[i] are to be had
	_    [56]byte      // keep what spinning workers read apart from what others write
	// workers counts goroutines, parked those of them that sleep on wake.
	workers, parked atomic.Int32
	_               [56]byte
	wake            chan struct{}
	jobs            [jobSlots]job
}

// pool is the one piece of state of this package.
var pool = workerPool{wake: make(chan struct{}, jobSlots)}

// job is a slot for one parallel loop. Its life: a caller claims it (used),
// writes the plain fields, opens it (its bit in pool.open). Workers join it
// (refs) before they look at the bit again, so whoever sees the bit set may
// read the plain fields. Whoever takes the last chunk clears the bit. The caller
// leaves when all chunks are done; the slot can be claimed again when, also,
// the last worker has gone.
type job struct {
	next atomic.Int64 // ticket: the next chunk
	_    [56]byte
	left atomic.Int64 // chunks not done
	_    [56]byte
	refs atomic.Int32 // workers that may look at the plain fields
	used atomic.Bool
	// panicked is set by the first panic, which then writes value.
	panicked atomic.Bool
	value    any

	bit              uint64
	n, grain, chunks int
	task             Task
	_                [64]byte
}

// claim finds a free slot, or nil.
func (p *workerPool) claim() *job {
	for i := range p.jobs {
		j := &p.jobs[i]
		if !j.used.Load() && j.used.CompareAndSwap(false, true) {
			if j.refs.Load() == 0 {
				j.bit = 1 << i
				return j
			}
			j.used.Store(false)
		}
	}
	return nil
}

// run is Parallel for a claimed slot and at least two chunks.
func (j *job) run(n, grain, chunks, helpers int, t Task) {
	j.n, j.grain, j.chunks, j.task = n, grain, chunks, t
	j.next.Store(0)
	j.left.Store(int64(chunks))
	pool.open.Or(j.bit)
	pool.summon(helpers)

	returned := false
	defer func() {
		if !returned { // a task ended the caller's goroutine: leave nothing behind
			j.work()
			j.finish()
		}
	}()
	j.work()
	returned = true
	if value := j.finish(); value != nil {
		panic(value)
	}
}

// finish waits for the chunks of others and frees the slot. The result is what
// a task panicked with, or nil.
func (j *job) finish() (value any) {
	for turn := 0; j.left.Load() != 0; turn++ {
		if turn > yieldTurn {
			runtime.Gosched()
		}
	}
	if j.panicked.Load() {
		value, j.value = j.value, nil
		j.panicked.Store(false)
	}
	j.task = nil
	j.used.Store(false)
	return value
}

// work takes chunks until none is left. It returns normally after a panic.
func (j *job) work() {
	for !j.chunksDone() {
	}
}

// chunksDone runs chunks until none is left (true) or one panics (false).
func (j *job) chunksDone() (done bool) {
	c := -1 // the chunk in work
	defer func() {
		if c < 0 {
			return
		}
		if r := recover(); j.panicked.CompareAndSwap(false, true) {
			j.value = r
			if r == nil {
				j.value = "runtime: a task ended its goroutine"
			}
		}
		j.left.Add(-1)
	}()
	for {
		c = int(j.next.Add(1)) - 1
		if c >= j.chunks {
			c = -1
			return true
		}
		if c == j.chunks-1 {
			pool.open.And(^j.bit)
		}
		if !j.panicked.Load() {
			lo := c * j.grain
			j.task.Run(lo, lo+min(j.grain, j.n-lo))
		}
		c = -1
		j.left.Add(-1)
	}
}

// summon makes sure that up to n workers will look for work.
func (p *workerPool) summon(n int) {
	for w := p.workers.Load(); int(w) < n; w = p.workers.Load() {
		if p.workers.CompareAndSwap(w, w+1) {
			go p.worker()
		}
	}
	for n = min(n, int(p.parked.Load())); n > 0; n-- {
		select {
		case p.wake <- struct{}{}:
		default:
			return
		}
	}
}

// worker serves the pool until it was idle for idleTime.
func (p *workerPool) worker() {
	defer p.workers.Add(-1) // also if a task ends the goroutine
	idle := time.NewTimer(idleTime)
	defer idle.Stop()
	for last := 0; ; {
		if p.spin(&last) {
			continue
		}
		// Announce the nap before the last look, so that either a caller sees
		// the sleeper or the sleeper sees the job.
		p.parked.Add(1)
		if p.open.Load() != 0 {
			p.parked.Add(-1)
			continue
		}
		idle.Reset(idleTime)
		select {
		case <-p.wake:
			p.parked.Add(-1)
			idle.Stop()
		case <-idle.C:
			p.parked.Add(-1)
			return
		}
	}
}

// spin looks for a job, beginning behind slot *last, and works on it. It is
// false if there was none for spinTime, or if there are more workers than
// processors for them.
func (p *workerPool) spin(last *int) bool {
	var start time.Time
	for turn := 1; ; turn++ {
		if open := p.open.Load(); open != 0 {
			slot := (*last + 1 + bits.TrailingZeros64(bits.RotateLeft64(open, -(*last+1)))) % jobSlots
			*last = slot
			p.join(&p.jobs[slot], 1<<slot)
			return true
		}
		if turn%spinCheck == 0 {
			if int(p.workers.Load()) >= runtime.GOMAXPROCS(0) {
				return false
			}
			if start.IsZero() {
				start = time.Now()
			} else if time.Since(start) > spinTime {
				return false
			}
			runtime.Gosched()
		}
	}
}

// join works on a job that seemed to be open. The reference comes off even if a
// task ends the goroutine.
func (p *workerPool) join(j *job, bit uint64) {
	j.refs.Add(1)
	defer j.refs.Add(-1)
	if p.open.Load()&bit != 0 {
		j.work()
	}
}
