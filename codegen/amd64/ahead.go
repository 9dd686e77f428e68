package amd64

import (
	"github.com/lmc-lang/lmc/ir/loop"
)

// What follows a tile of a contraction reads rows of other operands, a few
// vectors of each: too little, and too far apart, for the processor to see it
// coming. So it is asked for before the loop over the sums, which leaves memory
// alone for long enough.

const (
	aheadSums  = 4  // least number of sums in vectors of a loop that is a tile
	aheadLines = 96 // most lines that are asked for
	aheadPer   = 8  // least number of fma for each of them
)

// ahead asks for what the loops in rest read for each of their iterations, if s is
// the loop over the sums of a tile.
func (l *lowerer) ahead(s *loop.For, rest []loop.Stmt) {
	sums := 0
	for _, c := range s.Carry {
		if c.Phi.Vec {
			sums++
		}
	}
	if sums < aheadSums || !l.innermost(s) {
		return
	}
	fmas := 0
	reads := map[*loop.Buffer]bool{}
	for _, x := range s.Body {
		switch x := x.(type) {
		case *loop.Instr:
			if x.Op == loop.FMA && x.Dst.Vec {
				fmas++
			}
		case *loop.Load:
			reads[x.Buf] = true
		}
	}
	trips, known := l.trips(s)
	if !known {
		trips = 8
	}
	a := &lookahead{l: l, reads: reads, at: map[*loop.Val]int{}, seen: map[string]bool{}}
	for _, x := range rest {
		if f, ok := x.(*loop.For); ok {
			a.loop(f)
		}
	}
	if len(a.lines) > aheadLines || len(a.lines)*aheadPer > fmas*trips {
		return
	}
	for _, x := range a.lines {
		l.op("PREFETCHT0", memArg(l.address(x.buf, x.at, false)))
	}
}

// A line is an element of a buffer, and what lies behind it.
type line struct {
	buf *loop.Buffer
	at  loop.Index
}

// A lookahead collects what loops will read.
type lookahead struct {
	l     *lowerer
	reads map[*loop.Buffer]bool // of these nothing is collected
	at    map[*loop.Val]int     // the counters of the loops around
	outer *loop.Val             // the outermost of them
	lines []line
	seen  map[string]bool
}

// loop collects what f reads, if it runs a known number of times.
func (a *lookahead) loop(f *loop.For) {
	from, known := constIndex(a.l.bound(f.From))
	trips, few := a.l.trips(f)
	if !known || !few || len(f.Carry) > 0 {
		return
	}
	if a.outer == nil {
		a.outer = f.Var
		defer func() { a.outer = nil }()
	}
	for i := 0; i < trips && len(a.lines) <= aheadLines; i++ {
		a.at[f.Var] = from + i*f.Step
		for _, s := range f.Body {
			switch s := s.(type) {
			case *loop.For:
				a.loop(s)
			case *loop.Load:
				a.load(s)
			}
		}
	}
	delete(a.at, f.Var)
}

func (a *lookahead) load(s *loop.Load) {
	if !s.Dst.Vec || s.Dst.Elem != loop.F32 || s.Lane != nil || s.Buf.Local || a.reads[s.Buf] {
		return
	}
	at := loop.Index{Off: s.At.Off}
	each := false // iteration of the outermost loop reads another one
	for _, t := range a.l.roots(s.At).Terms {
		switch n, counter := a.at[t.Var]; {
		case counter:
			if _, known := t.Coef.Const(); !known {
				return
			}
			each = each || t.Var == a.outer
			at.Off = at.Off.Add(t.Coef.MulN(n))
		case a.l.home[t.Var] == nil:
			return // is computed in the loop
		default:
			at.Terms = append(at.Terms, t)
		}
	}
	if !each {
		return
	}
	key := s.Buf.Name + " " + at.String()
	if a.seen[key] {
		return
	}
	a.seen[key] = true
	a.lines = append(a.lines, line{s.Buf, at})
}
