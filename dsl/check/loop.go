package check

import (
	"fmt"
	"maps"

	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// maxUnroll is how often a loop is written out when its counter must be known
// at compile time.
const maxUnroll = 256

// An unroll says that the loop of frame fr must be written out: the value of
// its counter is needed when the model is compiled.
type unroll struct{ fr *frame }

// unrollFor throws an unroll if what t is depends on the counter of a loop of
// constant length that could be written out.
func (c *checker) unrollFor(t tensor) {
	if t.aff == nil {
		return
	}
	for _, s := range t.aff.Syms() {
		for f := c.fr; f != nil; f = f.up {
			if f.sym != s || f.dyn != nil {
				continue
			}
			if n, ok := f.trip.Const(); ok && n <= maxUnroll {
				panic(unroll{f})
			}
		}
	}
}

// loop is a for statement.
func (c *checker) loop(s *dsl.ForStmt) {
	over := c.live(c.eval(s.X))
	switch v := over.(type) {
	case *stack:
		c.scan(s, v.count, nil, plainPath(v.inst.path), func(f *frame) value { return v.element(copyOf{loop: f}) }, func(i int) value { return v.element(copyOf{n: i}) })
	case list:
		c.unrolled(s, len(v.items), func(i int) value { return v.items[i] })
	case num, dim:
		d, ok := asDim(v)
		if !ok {
			break
		}
		if n, isConst := d.Const(); isConst && n < 0 {
			c.failf(s.X, "a loop cannot run %d times", n)
		}
		c.noValue(s)
		c.scan(s, d, nil, "", nil, nil)
		return
	case tensor:
		if v.elem != ir.I32 || len(v.dims) > 0 || len(v.idx) > 0 {
			d := c.errorf(s.X, "`range` needs a dimension, an integer or an array of layers, found %s", v.show())
			if len(v.dims) > 0 {
				d.Helpf("to loop over an axis, range over its dimension and index: `for t := range T { … x[:, t] … }`")
			}
			c.fail(d)
		}
		c.noValue(s)
		c.unrollFor(v)
		c.scan(s, dim{}, &v, "", nil, nil)
		return
	}
	switch over.(type) {
	case *stack, list:
		return
	}
	c.failf(s.X, "`range` needs a dimension, an integer or an array of layers, found %s", over.show())
}

func (c *checker) noValue(s *dsl.ForStmt) {
	if s.Value != nil {
		c.failf(s.Value, "a range over a number has one variable")
	}
}

// scan checks a loop of trip iterations (or dyn at run time) once, for all of
// them, and makes a Scan of it. element gives the second variable from the
// frame, or from the counter where the loop is written out after all.
func (c *checker) scan(s *dsl.ForStmt, trip dim, dyn *tensor, path string, element func(*frame) value, at func(int) value) {
	whole := map[*variable]bool{}
	for range 1000 {
		fr := newFrame(c.fr, "loop")
		fr.whole = whole
		fr.trip, fr.dyn, fr.path = trip.Dim, dyn, path
		c.entry.loops++
		fr.sym = fmt.Sprintf("%s#%d", s.Key.Text, c.entry.loops)
		if dyn != nil {
			fr.trip = loop.Sym(fr.sym + ".n")
			c.entry.low[fr.sym+".n"] = loop.N(0)
		}
		c.entry.ranges[fr.sym] = fr.trip
		fr.counter = fr.g.Param(s.Key.Text, ir.Tensor(ir.I32))

		draws := maps.Clone(c.entry.draws)
		errs := c.errors
		again := c.attempt(fr, func() {
			c.enter(func() {
				c.loopVars(s, fr.count(), func() value { return element(fr) })
				c.block(s.Body)
			})
		})
		switch again := again.(type) {
		case nil:
		case retry:
			whole[again.v] = true
			c.entry.draws = draws
			continue
		case unroll:
			c.entry.draws = draws
			n, _ := trip.Const()
			if at == nil {
				at = func(i int) value { return number(i) }
			}
			c.unrolled(s, n, at)
			return
		}
		switch {
		case c.errors > errs:
			c.recoverLoop(fr)
		case !trip.Is(0) || dyn != nil:
			fr.end()
		}
		return
	}
	panic("bug in check: a loop does not settle")
}

// loopVars declares the variables of a for statement.
func (c *checker) loopVars(s *dsl.ForStmt, key value, element func() value) {
	if s.Key.Text != "_" {
		c.declare(s.Key.Text, s.Key, key)
	}
	if s.Value != nil && s.Value.Text != "_" {
		c.declare(s.Value.Text, s.Value, element())
	}
}

// attempt runs f in frame fr and returns a retry or unroll that it threw for
// that frame.
func (c *checker) attempt(fr *frame, f func()) (again any) {
	up, fn, sc, trace, facts := c.fr, c.fn, c.sc, len(c.trace), len(c.facts)
	path, loops, depth := c.fr.g.Scope, c.fn.loops, c.depth
	restore := func() {
		c.fr, c.fn, c.sc, c.trace, c.facts = up, fn, sc, c.trace[:trace], c.facts[:facts]
		c.fr.g.Scope, c.fn.loops, c.depth = path, loops, depth
	}
	defer func() {
		r := recover()
		switch r := r.(type) {
		case nil:
			return
		case retry:
			if r.fr == fr {
				restore()
				again = r
				return
			}
		case unroll:
			if r.fr == fr {
				restore()
				again = r
				return
			}
		}
		panic(r)
	}()
	c.fr = fr
	c.fn.loops++
	f()
	restore()
	return nil
}

// unrolled writes a loop out.
func (c *checker) unrolled(s *dsl.ForStmt, n int, at func(int) value) {
	if n > maxUnroll {
		c.failf(s.X, "a loop that needs its counter at compile time may run %d times at most, not %d", maxUnroll, n)
	}
	for i := range n {
		errs := c.errors
		c.fn.loops++
		c.enter(func() {
			c.loopVars(s, number(i), func() value { return at(i) })
			c.block(s.Body)
		})
		c.fn.loops--
		if c.errors > errs {
			return // once is enough
		}
	}
}

// recoverLoop gives the variables that a faulty loop has changed some value of
// the right type, so that checking can go on.
func (c *checker) recoverLoop(fr *frame) {
	for _, b := range fr.order {
		if !b.written {
			continue
		}
		if _, bad := b.cur.(poison); bad {
			c.fr.write(b.v, poison{})
		}
	}
}
