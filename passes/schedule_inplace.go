package passes

import (
	"slices"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// inPlace are pairs of an input and an output of the kernel that may be the same
// memory: every element of the input is read in the iteration that overwrites it,
// before that, and nowhere else. Stores in different loops write different
// elements, for a kernel that overwrites what it has written reads it.
func (r *accesses) inPlace() [][2]int {
	var out [][2]int
	for j, y := range r.k.Bufs {
		// An output that is read back has old values in it for a while.
		if !y.Out || slices.ContainsFunc(r.of[y], func(a access) bool { return !a.store }) {
			continue
		}
		for i, x := range r.k.Bufs {
			if x.Out || x.Elem != y.Elem || !x.Len.Eq(y.Len) || len(r.of[x]) == 0 {
				continue
			}
			ok := true
			for _, ld := range r.of[x] {
				matched := false
				for _, st := range r.of[y] {
					if sameAccess(ld, st) {
						matched = true
						ok = ok && ld.order < st.order
					}
				}
				ok = ok && matched
			}
			if ok {
				out = append(out, [2]int{i, j})
			}
		}
	}
	return out
}

// rowPairs are pairs of an input and an output of the kernel, which computes row
// after row, that may be the same memory though elements are read more than once:
// in each row, all of it is read before anything is written, but for the element
// that an iteration overwrites.
func (r *accesses) rowPairs() [][2]int {
	var out [][2]int
	for j, y := range r.k.Bufs {
		if !y.Out || y.Local || len(r.of[y]) == 0 {
			continue
		}
		for i, x := range r.k.Bufs {
			if !x.Out && x.Elem == y.Elem && x.Len.Eq(y.Len) && len(r.of[x]) > 0 && r.apart(r.of[x], r.of[y]) {
				out = append(out, [2]int{i, j})
			}
		}
	}
	return out
}

// apart reports whether the output whose accesses are outs may be in the memory
// of the input whose accesses are ins.
func (r *accesses) apart(ins, outs []access) bool {
	var row loop.Dim
	for i, a := range slices.Concat(ins, outs) {
		if a.whole || len(a.path) == 0 || a.path[0] != ins[0].path[0] {
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
