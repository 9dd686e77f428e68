package runtime

import (
	"sync"
	"sync/atomic"
)

// A Prepared holds what sessions compute from weights alone, such as copies in
// another layout: once for all of them and all calls until the weights change.
// It is part of the weights, and never saved. Kinds of kernels may differ in
// rounding, so each has copies of its own. The zero value is empty.
//
// A change of the weights by one that holds them exclusively calls Stale. Whoever
// lends the memory of the weights to be written calls Lend first; from then on
// nothing is known about the time of a change, and what is prepared is good for
// calls that overlap only: they may not overlap with a change. Settle ends that.
type Prepared[F Float] struct {
	mu   sync.Mutex // of everything below that is not atomic, and of making copies
	lent atomic.Bool
	now  [preparedKinds]atomic.Pointer[PreparedCopies[F]] // nil while the weights are lent
	own  [preparedKinds]*PreparedCopies[F]                // while they are
}

const preparedKinds = 2

// PreparedCopies is memory that has been prepared, in parts.
type PreparedCopies[F Float] struct {
	Parts [][]F
	ready atomic.Uint64 // bit i: part i is up to date
	users int           // calls, while the weights are lent
}

// A Preparer computes parts.
type Preparer[F Float] interface {
	// Prepare writes part i of parts, whose memory is there.
	Prepare(i int, parts [][]F)
}

// Ready is the copies for a kind of kernels, 0 or 1, if those whose bits are set in
// need are up to date, else nil.
func (p *Prepared[F]) Ready(kind int, need uint64) *PreparedCopies[F] {
	if c := p.now[kind].Load(); c != nil && c.ready.Load()&need == need {
		return c
	}
	return nil
}

// Make is Ready for a call that begins, after by has computed what is missing.
// Sizes are those of all parts. If counted is true the end of the call has to be told by
// Done.
func (p *Prepared[F]) Make(kind int, need uint64, sizes []int, by Preparer[F]) (c *PreparedCopies[F], counted bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	lent := p.lent.Load()
	if c = p.now[kind].Load(); lent {
		c = p.own[kind]
	}
	if c == nil {
		c = &PreparedCopies[F]{Parts: make([][]F, len(sizes))}
		if lent {
			p.own[kind] = c
		}
	}
	if lent && c.users == 0 {
		c.ready.Store(0)
	}
	for i, n := range sizes {
		bit := uint64(1) << i
		if need&bit == 0 || c.ready.Load()&bit != 0 {
			continue
		}
		if c.Parts[i] == nil {
			c.Parts[i] = Aligned[F](n)
		}
		by.Prepare(i, c.Parts)
		c.ready.Store(c.ready.Load() | bit)
	}
	if lent {
		c.users++
	} else {
		p.now[kind].Store(c)
	}
	return c, lent
}

// Done ends a call with copies that Make has counted.
func (p *Prepared[F]) Done(c *PreparedCopies[F]) {
	p.mu.Lock()
	c.users--
	p.mu.Unlock()
}

// Stale says that the weights have changed. No call uses them.
func (p *Prepared[F]) Stale() {
	for i := range p.now {
		if c := p.now[i].Load(); c != nil {
			c.ready.Store(0)
		}
	}
}

// Lend says that the weights may change whenever no call uses them.
func (p *Prepared[F]) Lend() {
	if p.lent.Load() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.now {
		p.now[i].Store(nil)
	}
	p.lent.Store(true)
}

// Settle says that the weights, which may have changed, will not without another
// call of Lend, Stale or Settle.
func (p *Prepared[F]) Settle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lent.Store(false)
	for i := range p.now {
		p.now[i].Store(nil)
		p.own[i] = nil
	}
}
