package passes

import (
	"slices"

	"github.com/lmc-lang/lmc/ir/loop"
)

// choose writes f in both ways and keeps the cheaper one.
func (v *vectoriser) choose(f *loop.For) {
	emit := func(write func()) ([]loop.Stmt, bool) {
		var out []loop.Stmt
		ok := v.try(func() { v.Into(&out, write) })
		return out, ok
	}
	one := &choice{copies: 1}
	across := func() { v.vectorLoop(f, one) }
	a, fits := emit(across)
	why := v.why
	outer := v.chosen
	v.chosen = map[*loop.For]*choice{}
	b, stays := emit(func() { v.scalarLoop(f) })
	inner := v.chosen
	v.chosen = outer
	switch {
	case !fits && !stays:
		v.unfit("%s", why)
	case fits && (!stays || weigh(a) <= weigh(b)):
		v.chosen[f] = v.copiesOf(f, a)
		if stays { // again, for the values that it defines
			a, _ = emit(across)
		}
		b = a
	default:
		for g, c := range inner {
			v.chosen[g] = c
		}
		if !fits {
			v.why = why
		}
	}
	for _, s := range b {
		v.Emit(s)
	}
}

// maxCopies is how many vectors at a time a loop takes at most: as many
// additions can be under way at once.
const maxCopies = 4

// copiesOf chooses how many vectors at a time f takes, which was written as
// out with one: several where sums would wait for each other. The bits of the
// result depend on it, so the target does not matter.
func (v *vectoriser) copiesOf(f *loop.For, out []loop.Stmt) *choice {
	c := &choice{copies: 1}
	var body []loop.Stmt
	for _, s := range out {
		if g, ok := s.(*loop.For); ok && body == nil {
			body = g.Body
		}
	}
	if body == nil {
		body = out
	}
	sums := len(f.Carry)
	ops, inner, divides, draws := 0, false, false, false
	walk(f.Body, func(s loop.Stmt) {
		if s, ok := s.(*loop.Instr); ok {
			divides = divides || s.Dst.Elem == loop.Int && (s.Op == loop.Div || s.Op == loop.Mod)
			draws = draws || s.Op == loop.Uniform || s.Op == loop.Normal
		}
	})
	walk(body, func(s loop.Stmt) {
		switch s := s.(type) {
		case *loop.For:
			inner = true
			sums = max(sums, len(s.Carry))
		case *loop.Instr:
			if s.Dst.Vec && s.Op != loop.Const && s.Op != loop.Splat {
				ops++
			}
		}
	})
	switch {
	case divides: // see divided
		return c
	case draws: // see fourRandom
		c.copies = 4
	case sums == 0 && !inner || sums > 2:
		return c
	case ops <= 4*sums+2:
		c.copies = maxCopies / max(1, sums)
	case ops <= 20:
		c.copies = 2
	}
	if n, ok := extentOf(f); ok {
		q := n / loop.Lanes
		c.copies = max(1, min(c.copies, q))
		for k := c.copies; k > c.copies/2; k-- {
			if q%k == 0 {
				c.copies = k
				break
			}
		}
	}
	return c
}

// independent checks that the iterations of f do not meet in memory.
func (v *vectoriser) independent(f *loop.For) {
	if v.parallel[f.Var] {
		return
	}
	inside := map[*loop.Val]bool{}
	at := map[*loop.Buffer][]loop.Index{}
	stored := map[*loop.Buffer]bool{}
	walk(f.Body, func(s loop.Stmt) {
		switch s := s.(type) {
		case *loop.For:
			inside[s.Var] = true
		case *loop.Load:
			at[s.Buf] = append(at[s.Buf], s.At)
		case *loop.Store:
			at[s.Buf] = append(at[s.Buf], s.At)
			stored[s.Buf] = true
		case *loop.Extern:
			v.unfit("it calls a function")
		}
	})
	for b := range stored {
		for _, i := range at[b] {
			if !apart(f, i, at[b][0]) || slices.ContainsFunc(i.Terms, func(t loop.IndexTerm) bool { return inside[t.Var] }) {
				v.unfit("iterations may meet in %s", b.Name)
			}
		}
	}
}

// apart reports whether i and j, in iterations of f that are lanes of one
// vector, are different addresses: they are the same expression, and neighbours
// from lane to lane, or further apart than the iterations reach.
func apart(f *loop.For, i, j loop.Index) bool {
	d, ok := i.Off.Sub(j.Off).Const()
	if !ok || !sameIndex(loop.Index{Terms: i.Terms}, loop.Index{Terms: j.Terms}) {
		return false
	}
	for _, t := range i.Terms {
		if t.Var == f.Var {
			c, known := t.Coef.Const()
			n, ok := extentOf(f)
			return d == 0 || known && ok && c > 0 && (d%c != 0 || max(d, -d) >= c*n)
		}
	}
	return d == 0
}

// variesIn finds the values that may differ from one iteration of f to another.
func (v *vectoriser) variesIn(f *loop.For) map[*loop.Val]bool {
	out := map[*loop.Val]bool{f.Var: true}
	for _, c := range f.Carry {
		out[c.Phi] = true
	}
	changed := true
	mark := func(x *loop.Val) {
		if !out[x] {
			out[x], changed = true, true
		}
	}
	any := func(vs []*loop.Val) bool { return slices.ContainsFunc(vs, func(x *loop.Val) bool { return out[x] }) }
	var block func(body []loop.Stmt, guarded bool)
	block = func(body []loop.Stmt, guarded bool) {
		for _, s := range body {
			switch s := s.(type) {
			case *loop.Instr:
				if any(s.Args) || guarded && mayFault(s) {
					mark(s.Dst)
				}
			case *loop.Load:
				if guarded || any(reads(s)) {
					mark(s.Dst)
				}
			case *loop.For:
				if any(present(s.From.Val, s.To.Val)) {
					v.unfit("a loop inside has different ends in different lanes")
				}
				block(s.Body, guarded)
				for _, c := range s.Carry {
					if out[c.Init] || out[c.Next] || out[c.Phi] {
						mark(c.Phi)
						mark(c.Out)
					}
				}
			case *loop.If:
				block(s.Then, guarded || out[s.Cond])
				block(s.Else, guarded || out[s.Cond])
				for _, m := range s.Merge {
					if guarded || out[s.Cond] || out[m.Then] || out[m.Else] {
						mark(m.Dst)
					}
				}
			}
		}
	}
	for changed {
		changed = false
		block(f.Body, false)
	}
	return out
}
