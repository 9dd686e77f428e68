package amd64

import (
	"github.com/lmc-lang/lmc/ir/loop"
)

// An order is one in which a run of statements that have no blocks inside is
// done. Which one keeps the fewest registers live depends on the code; compile
// tries them.
type order uint8

const (
	asWritten order = iota
	// halved does everything for the low halves of vectors first, on AVX2.
	halved
	// demanded does stores in order, for low halves first, and computes a half of
	// a vector when a store needs it.
	demanded
)

// orders are the orders for runs directly in a loop, nil outside of loops. The
// zero value of an order is for loops that are not in the map.
type orders map[*loop.For]order

// stmts lowers statements into the current block.
func (l *lowerer) stmts(body []loop.Stmt) {
	order := l.orders[l.blk.of]
	halves := []int{0, 1}[:l.t.Span()]
	for len(body) > 0 && l.err == nil {
		n := 1
		if order != asWritten {
			n = max(1, l.run(body, order))
		}
		switch {
		case n < 3 || order == asWritten:
			if s, ok := body[0].(*loop.For); ok {
				l.ahead(s, body[1:])
			}
			for _, s := range body[:n] {
				l.stmt(s, halves)
			}
		case order == halved:
			for h := range halves {
				for _, s := range body[:n] {
					l.stmt(s, halves[h:h+1])
				}
			}
		default:
			l.demandRun(body[:n], halves)
		}
		body = body[n:]
	}
}

func (l *lowerer) stmt(s loop.Stmt, halves []int) {
	if l.err != nil {
		return
	}
	switch s := s.(type) {
	case *loop.Instr:
		l.instr(s, halves)
	case *loop.Load:
		l.load(s, halves)
	case *loop.Prefetch:
		if halves[0] == 0 {
			l.op("PREFETCHT1", memArg(l.address(s.Buf, s.At, false)))
		}
	case *loop.Store:
		l.store(s, halves)
	case *loop.For:
		l.loop(s)
	case *loop.If:
		l.branch(s)
	default:
		l.fail("target %s lacks statement %T", l.t.Name, s)
	}
}

// run is the number of statements at the start of body that may be done in
// another order: what they do with memory for one half does not meet what they
// do for the other.
func (l *lowerer) run(body []loop.Stmt, order order) int {
	type access struct {
		buf   *loop.Buffer
		at    loop.Index
		write bool
	}
	var seen []access
	// apart reports whether the halves of two accesses do not meet: they are the
	// same lanes, or far apart.
	apart := func(x, y access) bool {
		if !x.write && !y.write || !l.shared(x.buf, y.buf) {
			return true
		}
		n, ok := constIndex(x.at.Add(y.at.Scale(loop.N(-1))))
		return ok && (n == 0 || n >= loop.Lanes || n <= -loop.Lanes)
	}
	note := func(x access) bool {
		for _, y := range seen {
			if !apart(x, y) {
				return false
			}
		}
		seen = append(seen, x)
		return true
	}
	for i, s := range body {
		ok := false
		switch s := s.(type) {
		case *loop.Instr:
			switch s.Op {
			case loop.AddAcross, loop.MinAcross, loop.MaxAcross, loop.QuadEven, loop.QuadOdd:
				ok = order == demanded
			default:
				ok = true
			}
		case *loop.Load:
			ok = s.Lane == nil && s.Dst.Vec && s.Dst.Elem != loop.Bool || l.frozen[s.Buf] && !s.Dst.Vec
			ok = ok && note(access{s.Buf, s.At, false})
		case *loop.Prefetch:
			ok = true
		case *loop.Store:
			ok = s.Src.Vec && s.Src.Elem != loop.Bool && note(access{s.Buf, s.At, true})
		}
		if !ok {
			return i
		}
	}
	return len(body)
}

// demandRun lowers a run in the order demanded.
func (l *lowerer) demandRun(body []loop.Stmt, halves []int) {
	inRun := map[*loop.Val]int{}
	for _, s := range body {
		if in, ok := s.(*loop.Instr); ok && l.fused[in] {
			continue // is done by the If, behind the run
		}
		operandsOf(s, func(v *loop.Val) { inRun[v]++ })
		switch s := s.(type) {
		case *loop.Instr:
			if s.Dst.Elem != loop.Int {
				l.pending[s.Dst] = s
			}
		case *loop.Load:
			l.pending[s.Dst] = s
		}
	}
	// Integers are not computed in another order, nor what only they are needed for.
	for _, s := range body {
		switch s := s.(type) {
		case *loop.Instr:
			if s.Dst.Elem == loop.Int {
				l.instr(s, halves)
			}
		case *loop.Prefetch:
			l.stmt(s, halves)
		}
	}
	for h := range halves {
		for i, s := range body {
			st, ok := s.(*loop.Store)
			if !ok {
				continue
			}
			for _, x := range body[:i] {
				if x, ok := x.(*loop.Load); ok && l.shared(x.Buf, st.Buf) {
					l.force(l.src(x.Dst, h)) // before it is overwritten
				}
			}
			l.store(st, halves[h:h+1])
		}
	}
	for _, s := range body {
		v := result(s)
		if in, ok := s.(*loop.Instr); v == nil || ok && l.fused[in] {
			continue
		}
		if inRun[v] < l.uses[v] {
			for h := range l.span(v) {
				l.src(v, h)
			}
		}
	}
	for _, s := range body {
		delete(l.pending, result(s))
		delete(l.done, result(s))
	}
}

// result is the value that s defines, if it is one.
func result(s loop.Stmt) *loop.Val {
	switch s := s.(type) {
	case *loop.Instr:
		return s.Dst
	case *loop.Load:
		return s.Dst
	}
	return nil
}

// demand computes the half h of v, if it has not been.
func (l *lowerer) demand(v *loop.Val, h int) {
	s := l.pending[v]
	if s == nil || l.done[v]&(1<<h) != 0 {
		return
	}
	l.done[v] |= 1 << h
	if in, ok := s.(*loop.Instr); ok && (in.Op == loop.QuadEven || in.Op == loop.QuadOdd) && l.t.Span() == 2 {
		l.quads(v, h)
		return
	}
	l.stmt(s, []int{h})
}

// quad finds the four lanes numbered q of v: where v is a permutation of fours,
// in its operand.
func (l *lowerer) quad(v *loop.Val, q int) (*loop.Val, int) {
	in, ok := l.pending[v].(*loop.Instr)
	if !ok || in.Op != loop.QuadEven && in.Op != loop.QuadOdd {
		return v, q
	}
	odd := 0
	if in.Op == loop.QuadOdd {
		odd = 1
	}
	return l.quad(in.Args[q/2], 2*(q%2)+odd)
}

// quads makes the half h of permuted fours of lanes from where they are.
func (l *lowerer) quads(v *loop.Val, h int) {
	x, i := l.quad(v, 2*h)
	y, j := l.quad(v, 2*h+1)
	low, high := l.reg(x, i/2), l.reg(y, j/2)
	if low == high && i%2 == 0 && j%2 == 1 {
		l.set(v, h, low)
		return
	}
	r := l.newReg(vec, l.width)
	l.op("VPERM2F128", immArg(i%2+16*(2+j%2)), regArg(high), regArg(low), regArg(r)).fold = 1
	l.set(v, h, r)
}
