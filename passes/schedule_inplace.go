package passes

import (
	"slices"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// An access is one load or store with the loops around it.
type access struct {
	at    loop.Index
	path  []*loop.For
	order int
	store bool
	in    []loop.Stmt
}

// findInPlace fills in the pairs of an input and an output of k that may be the
// same memory: every element of the input is read in the iteration that
// overwrites it, before that, and nowhere else. Stores in different loops write
// different elements, for a kernel that overwrites what it has written reads it.
func findInPlace(k *loop.Kernel) {
	all := map[*loop.Buffer][]access{}
	order := 0
	whole := map[*loop.Buffer]bool{}
	var scan func(body []loop.Stmt, path []*loop.For)
	scan = func(body []loop.Stmt, path []*loop.For) {
		for _, s := range body {
			order++
			switch s := s.(type) {
			case *loop.Load:
				all[s.Buf] = append(all[s.Buf], access{s.At, path, order, false, body})
			case *loop.Store:
				all[s.Buf] = append(all[s.Buf], access{s.At, path, order, true, body})
			case *loop.Extern:
				for _, b := range s.Bufs {
					whole[b.Buf] = true
				}
			case *loop.For:
				scan(s.Body, append(path[:len(path):len(path)], s))
			case *loop.If:
				scan(s.Then, path)
				scan(s.Else, path)
			}
		}
	}
	scan(k.Body, nil)
	for j, out := range k.Bufs {
		// An output that is read back has old values in it for a while.
		if !out.Out || whole[out] || slices.ContainsFunc(all[out], func(x access) bool { return !x.store }) {
			continue
		}
		for i, in := range k.Bufs {
			if in.Out || whole[in] || in.Elem != out.Elem || !in.Len.Eq(out.Len) || len(all[in]) == 0 {
				continue
			}
			ok := true
			for _, ld := range all[in] {
				matched := false
				for _, st := range all[out] {
					if sameAccess(ld, st) {
						matched = true
						ok = ok && ld.order < st.order
					}
				}
				ok = ok && matched
			}
			if ok {
				k.InPlace = append(k.InPlace, [2]int{i, j})
			}
		}
	}
}

// sameAccess reports whether a touches, before b in the same iterations of the
// loops that they share, just what b touches: the loops that they do not share
// run over the same ranges.
func sameAccess(a, b access) bool {
	if len(a.path) != len(b.path) {
		return false
	}
	at := a.at
	differ := false
	for i, f := range a.path {
		g := b.path[i]
		if f == g && !differ {
			continue
		}
		differ = true
		if f.From.Val != nil || g.From.Val != nil || f.To.Val != nil || g.To.Val != nil || f.Step != 1 || g.Step != 1 ||
			!f.From.Dim.Eq(g.From.Dim) || !f.To.Dim.Eq(g.To.Dim) {
			return false
		}
		moved := loop.Index{Off: at.Off}
		for _, t := range at.Terms {
			v := t.Var
			if v == f.Var {
				v = g.Var
			}
			moved.Terms = append(moved.Terms, loop.IndexTerm{Var: v, Coef: t.Coef})
		}
		at = moved
	}
	return sameIndex(at, b.at)
}

// rowPairs are pairs of an input and an output of k, which computes row after
// row, that may be the same memory though elements are read more than once: in
// each row, all of it is read before anything is written, but for the element
// that an iteration overwrites.
func rowPairs(k *loop.Kernel) [][2]int {
	r := &rowAccesses{all: map[*loop.Buffer][]access{}, after: map[*loop.Val]*loop.For{}, check: map[*loop.Val]*loop.Instr{}, size: map[*loop.Val]ir.Dim{}}
	r.scan(k.Body, nil)
	var out [][2]int
	for j, y := range k.Bufs {
		if !y.Out || y.Local || len(r.all[y]) == 0 {
			continue
		}
		for i, x := range k.Bufs {
			if !x.Out && x.Elem == y.Elem && x.Len.Eq(y.Len) && len(r.all[x]) > 0 && r.apart(r.all[x], r.all[y]) {
				out = append(out, [2]int{i, j})
			}
		}
	}
	return out
}

// rowAccesses are the loads and stores of a kernel, and what is known of its
// integers.
type rowAccesses struct {
	all   map[*loop.Buffer][]access
	order int
	after map[*loop.Val]*loop.For
	check map[*loop.Val]*loop.Instr
	size  map[*loop.Val]ir.Dim
}

func (r *rowAccesses) scan(body []loop.Stmt, path []*loop.For) {
	for _, s := range body {
		r.order++
		switch s := s.(type) {
		case *loop.Instr:
			switch s.Op {
			case loop.Check:
				r.check[s.Dst] = s
			case loop.Size:
				r.size[s.Dst] = s.Dim
			}
		case *loop.Load:
			r.all[s.Buf] = append(r.all[s.Buf], access{s.At, path, r.order, false, body})
		case *loop.Store:
			r.all[s.Buf] = append(r.all[s.Buf], access{s.At, path, r.order, true, body})
		case *loop.Extern:
			for _, b := range s.Bufs { // in no row
				r.all[b.Buf] = append(r.all[b.Buf], access{order: r.order})
			}
		case *loop.For:
			if s.After != nil {
				r.after[s.After] = s
			}
			r.scan(s.Body, append(path[:len(path):len(path)], s))
		case *loop.If:
			r.scan(s.Then, path)
			r.scan(s.Else, path)
		}
	}
}

// apart reports whether the output whose accesses are outs may be in the memory
// of the input whose accesses are ins.
func (r *rowAccesses) apart(ins, outs []access) bool {
	var row loop.Dim
	for i, a := range slices.Concat(ins, outs) {
		if len(a.path) == 0 || a.path[0] != ins[0].path[0] {
			return false
		}
		n := ir.Dim{}
		for _, t := range a.at.Terms {
			if t.Var == a.path[0].Var {
				n = t.Coef
			}
		}
		if i == 0 {
			row = n
		}
		if n.Is(0) || !n.Eq(row) || !r.within(a, row) {
			return false
		}
	}
	for _, ld := range ins {
		for _, st := range outs {
			if !st.store {
				continue
			}
			if ld.order > st.order {
				return false
			}
			if len(ld.path) > 1 && len(st.path) > 1 && ld.path[1] == st.path[1] && !(sameAccess(ld, st) && movesWith(ld)) {
				return false
			}
		}
	}
	return true
}

// movesWith reports whether the place of a differs between the iterations of all
// loops inside a row.
func movesWith(a access) bool {
	for _, f := range a.path[1:] {
		if !slices.ContainsFunc(a.at.Terms, func(t loop.IndexTerm) bool { return t.Var == f.Var }) {
			return false
		}
	}
	return true
}

// within reports whether a stays in a row of the given length.
func (r *rowAccesses) within(a access, row ir.Dim) bool {
	low, known := a.at.Off.Const()
	if !known || low < 0 {
		return false
	}
	high := a.at.Off
	for _, t := range a.at.Terms {
		if t.Var == a.path[0].Var {
			continue
		}
		c, known := t.Coef.Const()
		most, ok := r.most(a, t.Var)
		if !known || c < 0 || !ok {
			return false
		}
		high = high.Add(most.MulN(c))
	}
	rest, known := row.Sub(high).Const()
	return known && rest >= 1
}

// most is the largest value of x, which is not negative, where a is; false if
// that is not known.
func (r *rowAccesses) most(a access, x *loop.Val) (ir.Dim, bool) {
	if c := r.check[x]; c != nil {
		n, ok := r.size[c.Args[1]]
		return n.AddN(-1), ok
	}
	for _, f := range a.path {
		if f.Var == x {
			return f.To.Dim.AddN(-f.Step), f.To.Val == nil && r.fromZero(f)
		}
	}
	return ir.Dim{}, false
}

// fromZero reports whether f begins at 0 or later.
func (r *rowAccesses) fromZero(f *loop.For) bool {
	if f.From.Val != nil {
		before := r.after[f.From.Val]
		return before != nil && r.fromZero(before)
	}
	c, known := f.From.Dim.Const()
	return known && c >= 0
}

// readEarly moves what is read of an input at a checked index, and what that
// needs, before the loops of its block: an output may then take the input's
// memory.
func readEarly(k *loop.Kernel) {
	var block func(body []loop.Stmt) []loop.Stmt
	block = func(body []loop.Stmt) []loop.Stmt {
		first := -1
		defined := map[*loop.Val]int{}
		for i, s := range body {
			switch s := s.(type) {
			case *loop.For:
				s.Body = block(s.Body)
				if first < 0 {
					first = i
				}
				for _, c := range s.Carry {
					defined[c.Out] = i
				}
				if s.After != nil {
					defined[s.After] = i
				}
			case *loop.If:
				s.Then, s.Else = block(s.Then), block(s.Else)
				for _, m := range s.Merge {
					defined[m.Dst] = i
				}
			case *loop.Instr:
				defined[s.Dst] = i
			case *loop.Load:
				defined[s.Dst] = i
			}
		}
		if first < 0 {
			return body
		}
		moved := map[int]bool{}
		var move func(i int, into map[int]bool) bool
		needs := func(vals []*loop.Val, into map[int]bool) bool {
			for _, v := range vals {
				if i, here := defined[v]; here && i > first && !into[i] && !move(i, into) {
					return false
				} else if here && i == first {
					return false
				}
			}
			return true
		}
		move = func(i int, into map[int]bool) bool {
			into[i] = true
			switch s := body[i].(type) {
			case *loop.Instr:
				return needs(s.Args, into)
			case *loop.Load:
				var vals []*loop.Val
				for _, t := range s.At.Terms {
					vals = append(vals, t.Var)
				}
				return !s.Buf.Out && s.Lane == nil && s.Mask == nil && needs(vals, into)
			}
			return false
		}
		for i, s := range body {
			l, ok := s.(*loop.Load)
			if !ok || i < first || l.Buf.Out || !slices.ContainsFunc(k.Bufs, func(b *loop.Buffer) bool { return b.Out && !b.Local && b.Elem == l.Buf.Elem && b.Len.Eq(l.Buf.Len) }) {
				continue
			}
			checked := slices.ContainsFunc(l.At.Terms, func(t loop.IndexTerm) bool {
				i, here := defined[t.Var]
				if !here {
					return false
				}
				in, ok := body[i].(*loop.Instr)
				return ok && in.Op == loop.Check
			})
			if into := map[int]bool{}; checked && move(i, into) {
				for i := range into {
					moved[i] = true
				}
			}
		}
		if len(moved) == 0 {
			return body
		}
		var early, late []loop.Stmt
		for i, s := range body {
			if moved[i] {
				early = append(early, s)
			} else if i >= first {
				late = append(late, s)
			}
		}
		return slices.Concat(body[:first], early, late)
	}
	k.Body = block(k.Body)
}
