package passes

import (
	"cmp"
	"math"
	"slices"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// gridBlock is how many iterations of a loop over vectors are one piece of the
// grid: lines of memory are written by one piece alone, those of bools too. They
// are fewer where there would be few pieces with much work each.
const (
	gridBlock  = 64
	smallBlock = 32
)

// nativeDispatch is the cost of work that is worth giving to another goroutine:
// about 4 microseconds in vectors.
const nativeDispatch = 400_000

// nativeGrid makes the outermost loop of b's kernel the grid of the native form,
// in blocks if it runs over vectors, joined with the loop in it if it is short.
// It returns nil if that loop is not parallel, or if all is done before another
// goroutine has begun.
func nativeGrid(b *loop.Builder, parallel map[*loop.Val]bool, chosen map[*loop.For]*choice) *loop.Grid {
	k := b.K
	if k.Grid != nil {
		return k.Grid
	}
	at := -1
	for i, s := range k.Body {
		switch s := s.(type) {
		case *loop.For:
			if at >= 0 || !parallel[s.Var] {
				return nil
			}
			at = i
		case *loop.Instr, *loop.Load:
		default:
			return nil
		}
	}
	if at < 0 {
		return nil
	}
	f := k.Body[at].(*loop.For)
	if len(f.Carry) > 0 || f.Step != 1 || f.From.Val != nil || f.To.Val != nil || !f.From.Dim.Is(0) {
		return nil
	}
	if w, ok := nativeCost(k.Body).Const(); ok && w < 2*nativeDispatch || chosen[f] != nil && blocksOf(f.To.Dim, blockOf(f)).Is(1) {
		return nil
	}
	each := f // each iteration of it is a piece, or each gridBlock
	for chosen[f] == nil {
		g := onlyLoop(f)
		n, ok := f.To.Dim.Const()
		if g == nil || !parallel[g.Var] || ok && n >= 64 {
			break
		}
		if chosen[g] != nil {
			// Where f is long enough, a piece is whole iterations of it.
			m, known := g.To.Dim.Const()
			if !ok || n > 16 || known && m < 4*gridBlock || innermost(g) {
				break
			}
			each = cutInBlocks(b, g, chosen)
			g = onlyLoop(f)
			parallel[g.Var] = true
		} else if innermost(g) {
			break
		}
		mergeByDivision(b, f, g)
	}
	lo, hi := b.NewVal(loop.Int, "lo"), b.NewVal(loop.Int, "hi")
	k.Grid = &loop.Grid{Lo: lo, Hi: hi, N: f.To.Dim, Grain: loop.N(1)}
	block := gridBlock
	if c := chosen[f]; c != nil {
		block = blockOf(f)
		k.Grid.N = blocksOf(f.To.Dim, block)
		from, to := b.NewVal(loop.Int, ""), b.NewVal(loop.Int, "")
		k.Body = slices.Insert(k.Body, at, blockEnds(b, lo, hi, f.To.Dim, block, from, to)...)
		c.multiple = blockMultiple(f, block)
		f.From, f.To = loop.Bound{Val: from}, loop.Bound{Val: to}
	} else {
		f.From, f.To = loop.Bound{Val: lo}, loop.Bound{Val: hi}
	}
	cost := nativeCost(each.Body)
	if chosen[each] != nil {
		cost = cost.MulN(block)
	}
	k.Grid.Grain = loop.N(nativeDispatch).FloorDiv(cost.AddN(1)).AddN(1)
	return k.Grid
}

// nativeCost is about what body costs in vectors, in operations on floats: as
// much as eight of them is a load or a store.
func nativeCost(body []loop.Stmt) ir.Dim {
	w := blockCost(body, nil)
	return w.flops.Add(w.loads.MulN(8))
}

// blockMultiple is what the lengths of ranges of blocks of f are multiples of,
// or 0.
func blockMultiple(f *loop.For, block int) int {
	for n := block; n >= loop.Lanes; n /= 2 {
		if multiple(f, n) {
			return n
		}
	}
	return 0
}

// blockOf is how many iterations of f, which runs over vectors, are a piece.
func blockOf(f *loop.For) int {
	n, ok := f.To.Dim.Const()
	if cost, known := nativeCost(f.Body).Const(); ok && n < 4*gridBlock && known && cost*smallBlock > nativeDispatch {
		return smallBlock
	}
	return gridBlock
}

func blocksOf(n ir.Dim, block int) ir.Dim { return n.AddN(block - 1).FloorDiv(loop.N(block)) }

// blockEnds computes the iterations of the blocks [lo, hi) of n iterations.
func blockEnds(b *loop.Builder, lo, hi *loop.Val, n ir.Dim, block int, from, to *loop.Val) []loop.Stmt {
	width, size, end := b.NewVal(loop.Int, ""), b.NewVal(loop.Int, ""), b.NewVal(loop.Int, "")
	return []loop.Stmt{
		&loop.Instr{Op: loop.Size, Dst: width, Dim: loop.N(block)},
		&loop.Instr{Op: loop.Size, Dst: size, Dim: n},
		&loop.Instr{Op: loop.Mul, Dst: from, Args: []*loop.Val{lo, width}},
		&loop.Instr{Op: loop.Mul, Dst: end, Args: []*loop.Val{hi, width}},
		&loop.Instr{Op: loop.Min, Dst: to, Args: []*loop.Val{end, size}},
	}
}

// cutInBlocks puts f, which runs over vectors, into a loop over its blocks; it
// returns the loop over vectors.
func cutInBlocks(b *loop.Builder, f *loop.For, chosen map[*loop.For]*choice) *loop.For {
	inner := *f
	c := chosen[f]
	delete(chosen, f)
	chosen[&inner] = c
	c.multiple = blockMultiple(f, gridBlock)
	block, next, one := b.NewVal(loop.Int, "block"), b.NewVal(loop.Int, ""), b.NewVal(loop.Int, "")
	from, to := b.NewVal(loop.Int, ""), b.NewVal(loop.Int, "")
	body := []loop.Stmt{
		&loop.Instr{Op: loop.Size, Dst: one, Dim: loop.N(1)},
		&loop.Instr{Op: loop.Add, Dst: next, Args: []*loop.Val{block, one}},
	}
	body = append(body, blockEnds(b, block, next, f.To.Dim, gridBlock, from, to)...)
	*f = loop.For{Var: block, To: loop.Bound{Dim: blocksOf(f.To.Dim, gridBlock)}, Step: 1, Body: append(body, &inner)}
	inner.From, inner.To = loop.Bound{Val: from}, loop.Bound{Val: to}
	return &inner
}

// orderLoops sorts perfectly nested parallel loops so that stores walk through
// memory: the loop with the largest steps comes first.
func orderLoops(body []loop.Stmt, parallel map[*loop.Val]bool) {
	for _, s := range body {
		f, ok := s.(*loop.For)
		if !ok {
			continue
		}
		nest := []*loop.For{f}
		for g := onlyLoop(f); g != nil && parallel[f.Var] && parallel[g.Var] && g.Step == 1; g = onlyLoop(g) {
			nest = append(nest, g)
		}
		inner := nest[len(nest)-1].Body
		orderLoops(inner, parallel)
		if len(nest) == 1 || len(f.Carry) > 0 || f.Step != 1 || f.From.Val != nil || !f.From.Dim.Is(0) || f.To.Val != nil || f.After != nil {
			continue
		}
		var store *loop.Store
		walk(inner, func(s loop.Stmt) {
			if s, ok := s.(*loop.Store); ok && store == nil {
				store = s
			}
		})
		if store == nil {
			continue
		}
		distance := func(f *loop.For) float64 {
			for _, t := range store.At.Terms {
				if t.Var == f.Var {
					return math.Abs(assumed(t.Coef))
				}
			}
			return 0
		}
		sorted := slices.Clone(nest)
		slices.SortStableFunc(sorted, func(f, g *loop.For) int { return cmp.Compare(distance(g), distance(f)) })
		type head struct {
			v  *loop.Val
			to loop.Bound
		}
		heads := make([]head, len(sorted))
		for i, g := range sorted {
			heads[i] = head{g.Var, g.To}
		}
		for i, g := range nest {
			g.Var, g.To = heads[i].v, heads[i].to
		}
	}
}

// assumed is d for sizes of assumedSize.
func assumed(d loop.Dim) float64 {
	env := map[string]int{}
	for _, s := range d.Syms() {
		env[s] = assumedSize
	}
	c, err := d.Eval(env)
	if err != nil {
		return assumedSize
	}
	return float64(c)
}

// joinSums joins two perfectly nested loops that pass a sum through into one
// where every address only needs the joint counter.
func joinSums(body []loop.Stmt) {
	for _, s := range body {
		switch s := s.(type) {
		case *loop.If:
			joinSums(s.Then)
			joinSums(s.Else)
		case *loop.For:
			joinSums(s.Body)
			if len(s.Body) != 1 || len(s.Carry) == 0 || s.Step != 1 || s.From.Val != nil || !s.From.Dim.Is(0) || s.To.Val != nil || s.After != nil {
				continue
			}
			g, ok := s.Body[0].(*loop.For)
			if !ok || len(g.Carry) != len(s.Carry) || g.Step != 1 || g.From.Val != nil || !g.From.Dim.Is(0) || g.To.Val != nil || g.After != nil || !joint(g.Body, s.Var, g.Var, g.To.Dim) {
				continue
			}
			through := true
			for i, c := range g.Carry {
				through = through && c.Init == s.Carry[i].Phi && s.Carry[i].Next == c.Out && c.Next != s.Carry[i].Phi
			}
			if !through {
				continue
			}
			reindex(g.Body, s.Var)
			for i, c := range g.Carry {
				s.Carry[i] = &loop.Carry{Phi: c.Phi, Init: s.Carry[i].Init, Next: c.Next, Out: s.Carry[i].Out}
			}
			s.Body, s.Var, s.To = g.Body, g.Var, loop.Bound{Dim: s.To.Dim.Mul(g.To.Dim)}
		}
	}
}

// weigh is about how many cycles out takes, once every size that is not known
// is taken for assumedSize.
func weigh(out []loop.Stmt) float64 {
	sum := 0.0
	rest := map[*loop.Val]bool{}
	for _, s := range out {
		switch s := s.(type) {
		case *loop.Instr:
			sum += weight(s)
		case *loop.Load:
			switch {
			case s.Lane != nil:
				sum += loop.Lanes + 4
			default:
				sum++
			}
		case *loop.Store:
			sum++
		case *loop.If:
			sum += 1 + max(weigh(s.Then), weigh(s.Else))
		case *loop.For:
			n := 1.0 // of the rest of another loop
			if !rest[s.From.Val] {
				n = trips(s)
			}
			sum += n * (1 + weigh(s.Body))
			rest[s.After] = s.After != nil
		}
	}
	return sum
}

const assumedSize = 64

func trips(f *loop.For) float64 {
	if f.From.Val != nil || f.To.Val != nil {
		return assumedSize / float64(f.Step)
	}
	return max(0, assumed(f.To.Dim.Sub(f.From.Dim))) / float64(f.Step)
}

func weight(s *loop.Instr) float64 {
	switch s.Op {
	case loop.Const, loop.Size, loop.Splat, loop.Iota:
		return 0 // outside of loops
	case loop.AddAcross, loop.MinAcross, loop.MaxAcross:
		return 8
	case loop.Div, loop.Sqrt, loop.Mod:
		return 6
	}
	return 1
}
