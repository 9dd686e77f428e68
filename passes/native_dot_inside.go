package passes

import (
	"slices"

	"github.com/lmc-lang/lmc/ir/loop"
)

// The scalar operand of a convolution is windows: each element is one of the
// image if its place is inside, else zero. Pieces whose places are all inside
// read the image where it is; those at the border copy rows of windows.

// A guard is the condition under which an operand is one load.
type guard struct {
	letters []rune // that it depends on; they are not joined with others
	cuts    []rune // of these, long ones: where they are cut into blocks, some blocks may be all inside
}

// guardOf is the condition under which the scalar operand, which body computes,
// is one load; nil if it is not computed so, or if there is none that some
// blocks do without.
func (g *gemm) guardOf(body []loop.Stmt) *guard {
	choice := guardedLoad(body)
	if choice == nil {
		return nil
	}
	needs := map[*loop.Val][]rune{} // the letters that an integer is linear in, each by itself
	for r, v := range g.letter {
		needs[v] = []rune{r}
	}
	for _, s := range body {
		switch s := s.(type) {
		case *loop.Load:
			if slices.ContainsFunc(s.At.Terms, func(t loop.IndexTerm) bool { return len(needs[t.Var]) > 0 }) {
				return nil
			}
		case *loop.Instr:
			var all []rune
			for _, x := range s.Args {
				for _, r := range needs[x] {
					if !slices.Contains(all, r) {
						all = append(all, r)
					} else if s.Op == loop.Mul {
						return nil
					}
				}
			}
			switch s.Op {
			case loop.Const, loop.Size, loop.Add, loop.Sub, loop.Mul, loop.Neg, loop.Lt, loop.Le, loop.And, loop.Convert:
			default:
				if len(all) > 0 {
					return nil
				}
			}
			needs[s.Dst] = all
		}
	}
	c := &guard{letters: needs[choice.Cond]}
	for _, r := range c.letters {
		if constant(g.extent(r)) > rowsBlock/2 && g.someInside(body, c.letters, r) {
			c.cuts = append(c.cuts, r)
		}
	}
	if len(c.cuts) == 0 {
		return nil
	}
	return c
}

// someInside reports whether the condition in body may hold for some index of
// cut and all of the other letters.
func (g *gemm) someInside(body []loop.Stmt, letters []rune, cut rune) bool {
	for corner := range 1 << len(letters) {
		known := map[*loop.Val]int{}
		for k, r := range letters {
			n, ok := g.extent(r).Const()
			switch {
			case r == cut:
			case corner>>k&1 == 0:
				known[g.letter[r]] = 0
			case ok:
				known[g.letter[r]] = n - 1
			}
		}
		if x, ok := foldInts(body, known); ok && x == 0 {
			return false
		}
	}
	return true
}

// guardedLoad is the choice at the end of body between a load and something
// else, if nothing but integers goes before it.
func guardedLoad(body []loop.Stmt) *loop.If {
	for i, s := range body {
		switch s := s.(type) {
		case *loop.Instr:
			if s.Dst.Elem == loop.F32 || s.Op == loop.Check {
				return nil
			}
		case *loop.Load:
			if s.Buf.Elem == loop.F32 {
				return nil
			}
		case *loop.If:
			if i < len(body)-1 || len(s.Then) != 1 || len(s.Merge) != 1 {
				return nil
			}
			l, ok := s.Then[0].(*loop.Load)
			if !ok || l.Buf.Elem != loop.F32 || s.Merge[0].Then != l.Dst {
				return nil
			}
			return s
		default:
			return nil
		}
	}
	return nil
}

// choice emits what comes before the choice that the scalar operand is, for the
// current letters.
func (g *gemm) choice() *loop.If {
	var body []loop.Stmt
	g.Into(&body, func() { g.operandAt(1 - g.vector) })
	for _, s := range body[:len(body)-1] {
		g.Emit(s)
	}
	return body[len(body)-1].(*loop.If)
}

// unguarded loads the scalar operand for the current letters, which are inside.
func (g *gemm) unguarded() *loop.Val {
	s := g.choice()
	g.Emit(s.Then[0])
	return s.Merge[0].Then
}

// guardRange is the first and the last index of the letter r in the piece and
// the block of sums, and whether there may be several.
func (g *gemm) guardRange(r rune) (first, last loop.Index, several bool) {
	var from, to loop.Bound
	switch {
	case g.shape.block > 0 && r == g.shape.inside[0]:
		from, to = g.blockRange(r)
	case r == g.sums[0]:
		from, to = g.sumRange(0)
	case slices.Contains(g.shape.inside, r) || slices.Contains(g.sums, r):
		to.Dim = g.extent(r)
	default:
		return g.at[r], g.at[r], false
	}
	return boundAt(from), plus(boundAt(to), -1), true
}

func boundAt(b loop.Bound) loop.Index {
	if b.Val != nil {
		return loop.At(b.Val)
	}
	return loop.AtDim(b.Dim)
}

func plus(i loop.Index, n int) loop.Index { return i.Add(loop.AtDim(loop.N(n))) }

// allInside is whether the piece and its block of sums read nothing outside. A
// comparison that is linear in each letter holds everywhere if it does at all
// corners.
func (g *gemm) allInside() *loop.Val {
	var all *loop.Val
	var rec func(letters []rune)
	rec = func(letters []rune) {
		if len(letters) == 0 {
			cond := g.choice().Cond
			if all != nil {
				cond = g.Do(loop.And, all, cond)
			}
			all = cond
			return
		}
		r, saved := letters[0], g.at[letters[0]]
		first, last, several := g.guardRange(r)
		g.at[r] = first
		rec(letters[1:])
		if several {
			g.at[r] = last
			rec(letters[1:])
		}
		g.at[r] = saved
	}
	rec(g.operand[1-g.vector].guard.letters)
	return all
}

// rowsInPlace reports whether it is worth having code for pieces that are
// inside.
func (g *gemm) rowsInPlace() bool {
	c := g.operand[1-g.vector].guard
	return c != nil && slices.ContainsFunc(c.cuts, func(r rune) bool {
		return g.shape.block > 0 && r == g.shape.inside[0] || g.shape.sums > 0 && r == g.sums[0]
	})
}

// foldInts is the value of the condition at the end of body where some integers
// are known; false if that does not follow.
func foldInts(body []loop.Stmt, known map[*loop.Val]int) (int, bool) {
	truth := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	for _, s := range body {
		switch s := s.(type) {
		case *loop.If:
			x, ok := known[s.Cond]
			return x, ok
		case *loop.Instr:
			var x [2]int
			var ok [2]bool
			for i, a := range s.Args[:min(2, len(s.Args))] {
				x[i], ok[i] = known[a]
			}
			both := ok[0] && ok[1]
			zero := ok[0] && x[0] == 0 || ok[1] && x[1] == 0
			switch n, constant := s.Dim.Const(); {
			case s.Op == loop.Size && constant:
				known[s.Dst] = n
			case s.Op == loop.Add && both:
				known[s.Dst] = x[0] + x[1]
			case s.Op == loop.Mul && both:
				known[s.Dst] = x[0] * x[1]
			case (s.Op == loop.Mul || s.Op == loop.And) && zero:
				known[s.Dst] = 0
			case s.Op == loop.And && both:
				known[s.Dst] = 1
			case s.Op == loop.Lt && both:
				known[s.Dst] = truth(x[0] < x[1])
			case s.Op == loop.Le && both:
				known[s.Dst] = truth(x[0] <= x[1])
			}
		}
	}
	return 0, false
}

// guarded reports whether the condition of an operand depends on r.
func (g *gemm) guarded(r rune) bool {
	c := g.operand[1-g.vector].guard
	return c != nil && slices.Contains(c.letters, r)
}
