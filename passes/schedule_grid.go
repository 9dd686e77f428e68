package passes

import (
	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// worthADispatch is the cost, in operations, of a piece of work that is worth
// giving to another goroutine.
const worthADispatch = 16384

// gridify joins nested loops that walk memory without gaps into one, and makes
// the outermost loop the parallel range of the kernel if it is in parallel,
// which says by the variable which loops have independent iterations.
func gridify(b *loop.Builder, parallel map[*loop.Val]bool) {
	k := b.K
	uses := usesOf(k)
	k.Body = joinLoops(b, k.Body, uses, parallel)
	if k.Grid != nil {
		k.Grid.Grain = grainOf(k)
		return
	}
	at := -1
	for i, s := range k.Body {
		switch s := s.(type) {
		case *loop.For:
			if at >= 0 || !parallel[s.Var] {
				return
			}
			at = i
		case *loop.Instr, *loop.Load:
		default:
			return
		}
	}
	if at < 0 {
		return
	}
	f := k.Body[at].(*loop.For)
	if len(f.Carry) > 0 || f.Step != 1 || f.From.Val != nil || f.To.Val != nil || !f.From.Dim.Is(0) {
		return
	}
	for {
		inner := onlyLoop(f)
		n, ok := f.To.Dim.Const()
		if inner == nil || !parallel[inner.Var] || ok && n >= 64 || innermost(inner) {
			break
		}
		mergeByDivision(b, f, inner)
	}
	lo, hi := b.NewVal(loop.Int, "lo"), b.NewVal(loop.Int, "hi")
	k.Grid = &loop.Grid{Lo: lo, Hi: hi, N: f.To.Dim}
	f.From, f.To = loop.Bound{Val: lo}, loop.Bound{Val: hi}
	k.Grid.Grain = grainOf(k)
}

// grainOf is the number of pieces of k's grid that are worth a dispatch. Where
// the cost of a piece is symbolic it is taken for large.
func grainOf(k *loop.Kernel) ir.Dim {
	w := pieceCost(k)
	if c, ok := w.flops.Add(w.loads).Const(); ok {
		return loop.N(max(1, worthADispatch/max(c, 1)))
	}
	return loop.N(1)
}

// pieceCost is what one piece of the grid of k costs.
func pieceCost(k *loop.Kernel) work { return blockCost(k.Body, k.Grid.Hi) }

func innermost(f *loop.For) bool {
	for _, s := range f.Body {
		if _, ok := s.(*loop.For); ok {
			return false
		}
	}
	return true
}

// onlyLoop is the loop that is all of the body of f, or nil.
func onlyLoop(f *loop.For) *loop.For {
	if len(f.Body) != 1 {
		return nil
	}
	g, ok := f.Body[0].(*loop.For)
	if !ok || len(g.Carry) > 0 || g.Step != 1 || g.From.Val != nil || !g.From.Dim.Is(0) || g.To.Val != nil || g.After != nil {
		return nil
	}
	return g
}

// joinLoops replaces two perfectly nested loops by one over the product of
// their ranges where every address only needs the joint counter.
func joinLoops(b *loop.Builder, body []loop.Stmt, uses map[*loop.Val]int, parallel map[*loop.Val]bool) []loop.Stmt {
	for _, s := range body {
		f, ok := s.(*loop.For)
		if !ok {
			continue
		}
		f.Body = joinLoops(b, f.Body, uses, parallel)
		g := onlyLoop(f)
		if g == nil || parallel[f.Var] != parallel[g.Var] || len(f.Carry) > 0 || f.Step != 1 || f.From.Val != nil || !f.From.Dim.Is(0) || f.To.Val != nil || f.After != nil {
			continue
		}
		if !joint(g.Body, f.Var, g.Var, g.To.Dim) {
			continue
		}
		reindex(g.Body, f.Var)
		f.Body, f.Var, f.To = g.Body, g.Var, loop.Bound{Dim: f.To.Dim.Mul(g.To.Dim)}
	}
	return body
}

// joint reports whether i and j occur in the block only as n*i + j.
func joint(body []loop.Stmt, i, j *loop.Val, n ir.Dim) bool {
	ok := true
	index := func(at loop.Index) {
		var ci, cj ir.Dim
		for _, t := range at.Terms {
			switch t.Var {
			case i:
				ci = t.Coef
			case j:
				cj = t.Coef
			}
		}
		ok = ok && ci.Eq(cj.Mul(n))
	}
	walk(body, func(s loop.Stmt) {
		switch s := s.(type) {
		case *loop.Load:
			index(s.At)
		case *loop.Store:
			index(s.At)
			ok = ok && s.Src != i && s.Src != j
		default:
			for _, v := range reads(s) {
				ok = ok && v != i && v != j
			}
		}
	})
	return ok
}

// reindex drops the counter i from all addresses.
func reindex(body []loop.Stmt, i *loop.Val) {
	index := func(at loop.Index) loop.Index {
		out := loop.Index{Off: at.Off}
		for _, t := range at.Terms {
			if t.Var != i {
				out.Terms = append(out.Terms, t)
			}
		}
		return out
	}
	walk(body, func(s loop.Stmt) {
		switch s := s.(type) {
		case *loop.Load:
			s.At = index(s.At)
		case *loop.Store:
			s.At = index(s.At)
		}
	})
}

// mergeByDivision makes f run over the product of its range and that of g, the
// only thing in it, and computes both counters.
func mergeByDivision(b *loop.Builder, f, g *loop.For) {
	both := b.NewVal(loop.Int, "row")
	n := b.NewVal(loop.Int, "")
	size := &loop.Instr{Op: loop.Size, Dst: n, Dim: g.To.Dim}
	div := &loop.Instr{Op: loop.Div, Dst: f.Var, Args: []*loop.Val{both, n}}
	mod := &loop.Instr{Op: loop.Mod, Dst: g.Var, Args: []*loop.Val{both, n}}
	f.Body = append([]loop.Stmt{size, div, mod}, g.Body...)
	f.Var, f.To = both, loop.Bound{Dim: f.To.Dim.Mul(g.To.Dim)}
}

// A work counts what a block does.
type work struct{ flops, loads ir.Dim }

func (w work) plus(v work) work    { return work{w.flops.Add(v.flops), w.loads.Add(v.loads)} }
func (w work) times(n ir.Dim) work { return work{w.flops.Mul(n), w.loads.Mul(n)} }

// flopsOf is about how many operations an instruction counts as.
func flopsOf(s *loop.Instr) int {
	if s.Dst.Elem != loop.F32 {
		return 0
	}
	switch {
	case s.Op == loop.Const || s.Op == loop.Select || s.Op == loop.Convert:
		return 0
	case s.Op == loop.FMA:
		return 2
	case s.Op >= loop.Exp && s.Op <= loop.Pow, s.Op == loop.Uniform, s.Op == loop.Normal:
		return 10
	}
	return 1
}

// blockRows is what a loop over a run-time range counts as: the rows of a block
// of a contraction.
const blockRows = 2

// blockCost is about what body does; loops up to piece count once.
func blockCost(body []loop.Stmt, piece *loop.Val) work {
	var sum work
	for _, s := range body {
		switch s := s.(type) {
		case *loop.Instr:
			sum.flops = sum.flops.AddN(flopsOf(s))
		case *loop.Load, *loop.Store:
			sum.loads = sum.loads.AddN(1)
		case *loop.If:
			sum = sum.plus(blockCost(s.Then, piece)).plus(blockCost(s.Else, piece))
		case *loop.For:
			inner := blockCost(s.Body, piece)
			n := s.To.Dim.Sub(s.From.Dim)
			switch {
			case piece != nil && s.To.Val == piece:
				n = loop.N(1)
			case s.To.Val != nil:
				n = loop.N(blockRows)
			}
			if s.From.Val != nil && s.After == nil && (s.To.Val == nil || s.To.Val == piece) && isRest(body, s.From.Val) {
				continue // the main loop counts for both
			}
			inner = inner.times(n)
			if s.Step > 1 {
				inner = work{part(inner.flops, s.Step), part(inner.loads, s.Step)}
			}
			sum = sum.plus(inner)
		}
	}
	return sum
}

// isRest reports whether a loop from v is the rest of one in steps.
func isRest(body []loop.Stmt, v *loop.Val) bool {
	for _, s := range body {
		if f, ok := s.(*loop.For); ok && f.After == v {
			return true
		}
	}
	return false
}

// part is about d/n.
func part(d ir.Dim, n int) ir.Dim {
	var sum ir.Dim
	for _, t := range d.Terms() {
		t.Coef = max(1, t.Coef/n)
		sum = sum.Add(t.Dim())
	}
	return sum
}

// setCost fills in what one call of k does.
func setCost(k *loop.Kernel) {
	w := blockCost(k.Body, nil)
	if k.Grid != nil {
		w = pieceCost(k).times(k.Grid.N)
	}
	k.Cost.FLOPs = w.flops
	for _, b := range k.Arguments() {
		size := 4
		if b.Elem == loop.Bool {
			size = 1
		}
		k.Cost.Bytes = k.Cost.Bytes.Add(b.Len.MulN(size))
	}
}
