package passes

import (
	"slices"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// An access is one load or store with the loops around it.
type access struct {
	at    loop.Index
	path  []*loop.For // outer ones first
	order int         // of the statement in the kernel
	store bool
	whole bool // all of the buffer, by a function of the runtime; at and path say nothing
}

// accesses are the loads and stores of a kernel, and what is known of its
// integers.
type accesses struct {
	k     *loop.Kernel
	of    map[*loop.Buffer][]access
	order int
	after map[*loop.Val]*loop.For
	check map[*loop.Val]*loop.Instr
	size  map[*loop.Val]ir.Dim
}

func accessesOf(k *loop.Kernel) *accesses {
	r := &accesses{k: k, of: map[*loop.Buffer][]access{}, after: map[*loop.Val]*loop.For{}, check: map[*loop.Val]*loop.Instr{}, size: map[*loop.Val]ir.Dim{}}
	r.scan(k.Body, nil)
	return r
}

func (r *accesses) scan(body []loop.Stmt, path []*loop.For) {
	add := func(b *loop.Buffer, a access) {
		a.path, a.order = path, r.order
		r.of[b] = append(r.of[b], a)
	}
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
			add(s.Buf, access{at: s.At})
		case *loop.Store:
			add(s.Buf, access{at: s.At, store: true})
		case *loop.Extern:
			for _, b := range s.Bufs {
				add(b.Buf, access{whole: true})
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

// sameAccess reports whether a touches, before b in the same iterations of the
// loops that they share, just what b touches: the loops that they do not share
// run over the same ranges.
func sameAccess(a, b access) bool {
	if a.whole || b.whole || len(a.path) != len(b.path) {
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
func (r *accesses) within(a access, row ir.Dim) bool {
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
func (r *accesses) most(a access, x *loop.Val) (ir.Dim, bool) {
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
func (r *accesses) fromZero(f *loop.For) bool {
	if f.From.Val != nil {
		before := r.after[f.From.Val]
		return before != nil && r.fromZero(before)
	}
	c, known := f.From.Dim.Const()
	return known && c >= 0
}
