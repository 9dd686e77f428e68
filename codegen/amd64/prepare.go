package amd64

import (
	"slices"

	"github.com/lmc-lang/lmc/ir/loop"
)

// A prepared kernel is ready to be lowered: loads and what is made of them alone
// have been moved down to their first use, which keeps few of them live at once.
type prepared struct {
	k      *loop.Kernel
	body   []loop.Stmt
	frozen map[*loop.Buffer]bool // buffers that do not change
	uses   map[*loop.Val]int
	known  map[*loop.Val]*loop.Instr // what computes a value
	// Loads, and splats of loads, that are done where they are used: the only
	// use, which may take them from memory.
	fold      map[*loop.Load]bool
	foldSplat map[*loop.Instr]bool
	fused     map[*loop.Instr]bool // comparisons that are done by a jump
}

// prepare prepares k, which is tidy.
func prepare(k *loop.Kernel) *prepared {
	p := &prepared{
		k: k, frozen: frozen(k), uses: map[*loop.Val]int{}, known: map[*loop.Val]*loop.Instr{},
		fold: map[*loop.Load]bool{}, foldSplat: map[*loop.Instr]bool{}, fused: map[*loop.Instr]bool{},
	}
	p.body = p.sink(k.Body)
	p.count(p.body)
	p.findFolds(p.body)
	return p
}

// frozen is the set of buffers that the kernel cannot change.
func frozen(k *loop.Kernel) map[*loop.Buffer]bool {
	out := map[*loop.Buffer]bool{}
	for i, b := range k.Bufs {
		out[b] = !b.Out
		for _, p := range k.InPlace {
			if p[0] == i {
				out[b] = false
			}
		}
	}
	return out
}

// operandsOf calls f for the values that s uses itself; those in blocks inside
// it are not among them.
func operandsOf(s loop.Stmt, f func(v *loop.Val)) {
	index := func(at loop.Index) {
		for _, t := range at.Terms {
			f(t.Var)
		}
	}
	maybe := func(vs ...*loop.Val) {
		for _, v := range vs {
			if v != nil {
				f(v)
			}
		}
	}
	switch s := s.(type) {
	case *loop.Instr:
		maybe(s.Args...)
	case *loop.Load:
		index(s.At)
		maybe(s.Lane, s.Mask)
	case *loop.Prefetch:
		index(s.At)
	case *loop.Store:
		index(s.At)
		maybe(s.Src, s.Mask)
	case *loop.For:
		maybe(s.From.Val, s.To.Val)
		for _, c := range s.Carry {
			f(c.Init)
			f(c.Next)
		}
	case *loop.If:
		f(s.Cond)
		for _, m := range s.Merge {
			f(m.Then)
			f(m.Else)
		}
	}
}

// blocksOf are the blocks inside s.
func blocksOf(s loop.Stmt) [][]loop.Stmt {
	switch s := s.(type) {
	case *loop.For:
		return [][]loop.Stmt{s.Body}
	case *loop.If:
		return [][]loop.Stmt{s.Then, s.Else}
	}
	return nil
}

// everywhere calls f for s and the statements inside it.
func everywhere(s loop.Stmt, f func(loop.Stmt)) {
	f(s)
	for _, b := range blocksOf(s) {
		for _, x := range b {
			everywhere(x, f)
		}
	}
}

// usesAny reports whether s or what is in it uses one of vs.
func usesAny(s loop.Stmt, v *loop.Val) bool {
	found := false
	everywhere(s, func(x loop.Stmt) { operandsOf(x, func(y *loop.Val) { found = found || y == v }) })
	return found
}

// shared reports whether a store to one of two buffers may change the other:
// they are one, or an in-place pair.
func (p *prepared) shared(x, y *loop.Buffer) bool {
	if x == y {
		return x.Out
	}
	for _, pair := range p.k.InPlace {
		a, b := p.k.Bufs[pair[0]], p.k.Bufs[pair[1]]
		if a == x && b == y || a == y && b == x {
			return true
		}
	}
	return false
}

// writes reports whether s may store to memory that a load from b sees.
func (p *prepared) writes(s loop.Stmt, b *loop.Buffer) bool {
	if p.frozen[b] {
		return false
	}
	found := false
	everywhere(s, func(x loop.Stmt) {
		st, ok := x.(*loop.Store)
		_, extern := x.(*loop.Extern)
		found = found || extern || ok && p.shared(st.Buf, b)
	})
	return found
}

// sink moves loads and splats down.
func (p *prepared) sink(body []loop.Stmt) []loop.Stmt {
	out := make([]loop.Stmt, 0, len(body))
	// From the last to the first statement, so that users have found their place.
	for i := len(body) - 1; i >= 0; i-- {
		s := body[i]
		switch x := s.(type) {
		case *loop.For:
			c := *x
			c.Body = p.sink(x.Body)
			s = &c
		case *loop.If:
			c := *x
			c.Then, c.Else = p.sink(x.Then), p.sink(x.Else)
			s = &c
		}
		var dst *loop.Val
		var buf *loop.Buffer
		switch x := s.(type) {
		case *loop.Load:
			if x.Lane == nil && x.Mask == nil {
				dst, buf = x.Dst, x.Buf
			}
		case *loop.Instr:
			if x.Op == loop.Splat || x.Op == loop.Convert && !x.Dst.Vec {
				dst = x.Dst
			}
		}
		at := len(out) // out is in reverse order
		for dst != nil && at > 0 && !usesAny(out[at-1], dst) && (buf == nil || !p.writes(out[at-1], buf)) {
			at--
		}
		if dst == nil || at == 0 {
			at = len(out)
		}
		out = slices.Insert(out, at, s)
	}
	slices.Reverse(out)
	return out
}

// count counts uses.
func (p *prepared) count(body []loop.Stmt) {
	for _, s := range body {
		everywhere(s, func(x loop.Stmt) {
			operandsOf(x, func(v *loop.Val) { p.uses[v]++ })
			if in, ok := x.(*loop.Instr); ok {
				p.known[in.Dst] = in
			}
		})
	}
}

// findFolds finds the loads, and splats of loads, that are used once, in the block of the load, by
// an instruction or a store, before the memory can change.
func (p *prepared) findFolds(body []loop.Stmt) {
	for i, s := range body {
		for _, b := range blocksOf(s) {
			p.findFolds(b)
		}
		if x, ok := s.(*loop.If); ok {
			p.findFused(x, body[:i])
		}
		x, ok := s.(*loop.Load)
		if !ok || p.uses[x.Dst] != 1 || x.Lane != nil || x.Mask != nil || x.Dst.Vec && x.Dst.Elem == loop.Bool {
			continue
		}
		v, splat := x.Dst, (*loop.Instr)(nil)
		for _, y := range body[i+1:] {
			uses := false
			operandsOf(y, func(u *loop.Val) { uses = uses || u == v })
			in, isInstr := y.(*loop.Instr)
			_, isStore := y.(*loop.Store)
			switch {
			case uses && splat != nil:
				p.foldSplat[splat] = isInstr
			case uses:
				p.fold[x] = isInstr || isStore
			}
			if uses && splat == nil && isInstr && in.Op == loop.Splat && p.uses[in.Dst] == 1 {
				v, splat = in.Dst, in
				continue
			}
			if uses {
				break
			}
			if p.writes(y, x.Buf) {
				break
			}
		}
	}
}

// findFused finds the comparison, in before, that only s uses: it is done by
// the jump, unless memory may change in between.
func (p *prepared) findFused(s *loop.If, before []loop.Stmt) {
	for i := len(before) - 1; i >= 0 && p.uses[s.Cond] == 1; i-- {
		in, ok := before[i].(*loop.Instr)
		if _, load := before[i].(*loop.Load); !ok && !load {
			return
		}
		if ok && in.Dst == s.Cond {
			p.fused[in] = (in.Op == loop.Lt || in.Op == loop.Le || in.Op == loop.Eq) && in.Args[0].Elem != loop.Bool
			return
		}
	}
}
