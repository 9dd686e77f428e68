package passes

import (
	"math"
	"slices"

	"github.com/lmc-lang/lmc/ir/loop"
)

// A sum is a carried value of a loop over vectors: a fold by op, such as a sum
// or the largest element. Each lane of each copy folds elements of its own; the
// results are combined when the loop is done, in an order that the shape fixes.
type sum struct {
	op     loop.Op
	copies int
	whole  bool // the parts hold the first value, or that adds nothing
	given  bool // the parts come from a loop around, which combines them
	// Of the index of the first largest or smallest element: the number of the
	// carried value that is the element. Its copies are one.
	leader int
}

// sums finds out how the carried values of f fold, and their parts at the start.
func (v *vectoriser) sums(f *loop.For, copies int) ([]*sum, [][]*loop.Val) {
	sums, acc := v.foldsOf(f), make([][]*loop.Val, len(f.Carry))
	for k, s := range sums {
		if s == nil {
			v.unfit("it carries a value from iteration to iteration")
		}
		init := v.env[f.Carry[k].Init]
		if init.part != nil {
			s.given, s.copies = true, copies
			acc[k] = slices.Clone(init.vec)
			continue
		}
		acc[k] = s.start(v, init, copies)
	}
	return sums, acc
}

// foldsOf lists the folds of f's carried values; nil for one that is none.
func (v *vectoriser) foldsOf(f *loop.For) []*sum {
	out := make([]*sum, len(f.Carry))
	for k, c := range f.Carry {
		if op, ok := foldOf(f, c); ok {
			out[k] = &sum{op: op, leader: -1}
		}
	}
	for j, c := range f.Carry {
		if out[j] != nil {
			continue
		}
		if i, op := v.firstBest(f, c); i >= 0 && out[i] == nil {
			out[i], out[j] = &sum{op: op, leader: -1}, &sum{op: loop.Min, leader: i}
		}
	}
	return out
}

// foldOf is the op by which c folds: its next value is op of the value before
// and something else, perhaps several times, and nothing else sees it.
func foldOf(f *loop.For, c *loop.Carry) (op loop.Op, ok bool) {
	depends := map[*loop.Val]bool{c.Phi: true}
	defs := map[*loop.Val]loop.Stmt{}
	var flow func(body []loop.Stmt)
	flow = func(body []loop.Stmt) {
		for _, s := range body {
			hit := slices.ContainsFunc(reads(s), func(x *loop.Val) bool { return depends[x] })
			switch s := s.(type) {
			case *loop.Instr:
				defs[s.Dst], depends[s.Dst] = s, hit
			case *loop.Load:
				depends[s.Dst] = hit
			case *loop.For:
				for _, x := range s.Carry {
					defs[x.Out] = s
					depends[x.Phi] = depends[x.Init]
				}
				flow(s.Body)
				for _, x := range s.Carry {
					depends[x.Out] = depends[x.Phi] || depends[x.Next]
				}
			case *loop.If:
				flow(s.Then)
				flow(s.Else)
				for _, m := range s.Merge {
					defs[m.Dst] = s
					depends[m.Dst] = depends[m.Then] || depends[m.Else]
				}
			}
		}
	}
	flow(f.Body)
	known := false
	same := func(o loop.Op) bool {
		if !known {
			op, known = o, true
		}
		return op == o
	}
	chain := map[*loop.Val]bool{}
	var follow func(x, phi *loop.Val) bool
	follow = func(x, phi *loop.Val) bool {
		chain[x] = true
		if x == phi {
			return true
		}
		switch s := defs[x].(type) {
		case *loop.Instr:
			at := -1
			for i, a := range s.Args {
				if depends[a] {
					if at >= 0 && s.Op != loop.Select {
						return false
					}
					at = i
				}
			}
			switch s.Op {
			case loop.Add, loop.Mul, loop.Min, loop.Max, loop.And, loop.Or:
				return at >= 0 && same(s.Op) && follow(s.Args[at], phi)
			case loop.Sub:
				return at == 0 && same(loop.Add) && follow(s.Args[0], phi)
			case loop.FMA:
				return at == 2 && same(loop.Add) && follow(s.Args[2], phi)
			case loop.Select:
				return !depends[s.Args[0]] && follow(s.Args[1], phi) && follow(s.Args[2], phi)
			}
		case *loop.If:
			for _, m := range s.Merge {
				if m.Dst == x {
					return !depends[s.Cond] && follow(m.Then, phi) && follow(m.Else, phi)
				}
			}
		case *loop.For:
			for _, g := range s.Carry {
				if g.Out == x {
					return follow(g.Next, g.Phi) && follow(g.Init, phi)
				}
			}
		}
		return false
	}
	if !follow(c.Next, c.Phi) || !known || c.Phi.Elem == loop.Int {
		return 0, false
	}
	ok = true
	for x := range depends {
		ok = ok && (!depends[x] || chain[x])
	}
	walk(f.Body, func(s loop.Stmt) {
		switch s := s.(type) {
		case *loop.Store, *loop.Extern:
			ok = ok && !slices.ContainsFunc(reads(s), func(x *loop.Val) bool { return depends[x] })
		}
	})
	return op, ok
}

// firstBest finds, for the carried index c, the number of the carried value
// that it is the place of: both change where an element is better than that.
func (v *vectoriser) firstBest(f *loop.For, c *loop.Carry) (leader int, op loop.Op) {
	choice := func(x, phi *loop.Val) (cond, y *loop.Val) {
		s, ok := v.defs[x].(*loop.Instr)
		if !ok || s.Op != loop.Select || s.Args[2] != phi {
			return nil, nil
		}
		return s.Args[0], s.Args[1]
	}
	cond, _ := choice(c.Next, c.Phi)
	if cond == nil || v.uses[c.Phi] != 1 || v.uses[c.Next] != 1 {
		return -1, 0
	}
	lt, ok := v.defs[cond].(*loop.Instr)
	if !ok || lt.Op != loop.Lt {
		return -1, 0
	}
	for i, x := range f.Carry {
		if k, y := choice(x.Next, x.Phi); x != c && k == cond && v.uses[x.Phi] == 2 && v.uses[x.Next] == 1 {
			switch {
			case lt.Args[0] == x.Phi && lt.Args[1] == y:
				return i, loop.Max
			case lt.Args[1] == x.Phi && lt.Args[0] == y:
				return i, loop.Min
			}
		}
	}
	return -1, 0
}

// neutral is what op leaves alone.
func neutral(op loop.Op, e loop.Elem) float64 {
	switch op {
	case loop.Mul, loop.And:
		return 1
	case loop.Max:
		if e == loop.F32 {
			return math.Inf(-1)
		}
		return math.MinInt32
	case loop.Min:
		if e == loop.F32 {
			return math.Inf(1)
		}
		return math.MaxInt32
	}
	return 0
}

// start is the parts that nothing has been added to.
func (s *sum) start(v *vectoriser, init *lanes, copies int) []*loop.Val {
	s.copies = copies
	out := make([]*loop.Val, copies)
	first := neutral(s.op, init.elem)
	switch s.op {
	case loop.Add, loop.Mul:
		s.whole = init.known != nil && *init.known == first
		for u := range out {
			out[u] = v.ConstVec(init.elem, first)
		}
	default: // folding the first value in several times is folding it in once
		s.whole = true
		for u := range out {
			out[u] = v.vector(init, 0)
		}
	}
	return out
}

// total combines the parts.
func (s *sum) total(v *vectoriser, parts []*loop.Val, init *lanes) *loop.Val {
	parts = slices.Clone(parts)
	for n := len(parts); n > 1; n = (n + 1) / 2 {
		for u := range n / 2 {
			parts[u] = v.Do(s.op, parts[u], parts[u+(n+1)/2])
		}
	}
	x := v.across(s.op, parts[0])
	if !s.whole {
		x = v.Do(s.op, v.scalar(init), x)
	}
	return x
}

// across folds the lanes of x.
func (v *vectoriser) across(op loop.Op, x *loop.Val) *loop.Val {
	switch op {
	case loop.Add:
		return v.Do(loop.AddAcross, x)
	case loop.Max:
		return v.Do(loop.MaxAcross, x)
	case loop.Min:
		return v.Do(loop.MinAcross, x)
	case loop.Mul:
		// The product with the lanes that a permutation brings, until all are the product of all.
		for _, p := range [][2]loop.Op{{loop.QuadEven, loop.QuadOdd}, {loop.QuadEven, loop.QuadOdd}, {loop.PairLow, loop.PairHigh}} {
			x = v.Do(loop.Mul, v.Do(p[0], x, x), v.Do(p[1], x, x))
		}
		x = v.Do(loop.UnpackLow, x, x) // a0, a0, a1, a1
		x = v.Do(loop.Mul, v.Do(loop.PairLow, x, x), v.Do(loop.PairHigh, x, x))
		return v.Do(loop.MaxAcross, x)
	}
	bits := v.Do(loop.Select, x, v.ConstVec(loop.I32, 1), v.ConstVec(loop.I32, 0))
	if op == loop.And {
		return v.ConvertTo(loop.Bool, v.Do(loop.MinAcross, bits))
	}
	return v.ConvertTo(loop.Bool, v.Do(loop.MaxAcross, bits))
}

// finishSums defines the carried values of f after the loop.
func (v *vectoriser) finishSums(f *loop.For, sums []*sum, acc [][]*loop.Val) {
	for k, s := range sums {
		c := f.Carry[k]
		switch {
		case s.given:
			v.env[c.Out] = &lanes{elem: c.Out.Elem, vec: acc[k], part: s}
		case s.leader >= 0:
			best := acc[s.leader][0]
			there := v.Do(loop.Eq, best, v.Do(loop.Splat, v.across(sums[s.leader].op, best)))
			place := v.Do(loop.MinAcross, v.Do(loop.Select, there, acc[k][0], v.ConstVec(loop.I32, math.MaxInt32)))
			v.env[c.Out] = scalarLanes(v.ConvertTo(c.Out.Elem, place))
		default:
			v.env[c.Out] = scalarLanes(s.total(v, acc[k], v.env[c.Init]))
		}
	}
}

// passedOn finds the loop that stands in f and takes on its carried value k: it
// starts with the value and what it ends with is the next one, and nothing else
// sees them.
func (v *vectoriser) passedOn(f *loop.For, k int) (*loop.For, int) {
	c := f.Carry[k]
	for _, s := range f.Body {
		g, ok := s.(*loop.For)
		if !ok {
			continue
		}
		for i, x := range g.Carry {
			if x.Init == c.Phi && x.Out == c.Next && v.uses[c.Phi] == 1 && v.uses[x.Out] == 1 {
				return g, i
			}
		}
	}
	return nil, 0
}

// partsOf is the fold of carried value k of f if a loop inside takes it in
// vectors, and how many at a time.
func (v *vectoriser) partsOf(f *loop.For, k int) (*sum, int) {
	for {
		g, i := v.passedOn(f, k)
		if g == nil || v.choosing {
			return nil, 0
		}
		if c := v.chosen[g]; c != nil {
			s := v.foldsOf(g)[i]
			if s == nil || s.leader >= 0 {
				return nil, 0
			}
			for _, t := range v.foldsOf(g) {
				if t != nil && t.leader == i {
					return nil, 0
				}
			}
			return s, c.copies
		}
		f, k = g, i
	}
}
