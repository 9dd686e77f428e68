package loop

import "strconv"

// Tidy returns a kernel with the same bits in which an expression stands once,
// as far outside of loops as it can, and only if something needs it. Kernels
// are built by pulling values one by one; printers want them tidy, because a
// compiler does not move computations out of loops.
//
// Loads are joined only if nothing in the kernel can write what they read, and
// moved only if they are of an integer that is known to exist, too; what may
// fault stays where it is.
func Tidy(k *Kernel) *Kernel {
	t := *k
	t.Body = k.Body
	var j joiner
	for range 2 {
		j = joiner{frozen: frozen(k), now: map[*Val]*Val{}, consts: map[*Val]float64{}}
		t.Body = j.block(t.Body, nil)
		moved := false
		if t.Body = j.hoist(t.Body, &moved); !moved {
			break
		}
	}
	l := &liveness{live: map[*Val]bool{}, consts: j.consts}
	for l.changed = true; l.changed; {
		l.changed = false
		l.block(t.Body)
	}
	t.Body = l.sweep(t.Body)
	return &t
}

// frozen is the set of buffers that the kernel cannot change.
func frozen(k *Kernel) map[*Buffer]bool {
	out := map[*Buffer]bool{}
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

// Pure reports whether s computes the same wherever it stands: it has no effect
// and cannot fault.
func (s *Instr) Pure() bool {
	if s.Op == Const || s.Op == Size || s.Op.Across() {
		return true
	}
	f := Table[s.Op].Form(s.Args, s.Dst.Elem, false)
	return f != nil && !f.Fault
}

// A joiner rewrites a kernel so that equal expressions are one.
type joiner struct {
	frozen map[*Buffer]bool
	now    map[*Val]*Val // what stands for a value that was joined
	consts map[*Val]float64
	key    []byte
}

// A table has the expressions that are visible in a block.
type exprs struct {
	of    map[string]*Val
	outer *exprs
}

func (e *exprs) find(key string) *Val {
	for ; e != nil; e = e.outer {
		if v := e.of[key]; v != nil {
			return v
		}
	}
	return nil
}

func (j *joiner) val(v *Val) *Val {
	if w, ok := j.now[v]; ok {
		return w
	}
	return v
}

// maybe is val for an operand that may be missing.
func (j *joiner) maybe(v *Val) *Val {
	if v == nil {
		return nil
	}
	return j.val(v)
}

// known is the value of a conversion of a whole number to a float.
func (j *joiner) known(s *Instr) (float64, bool) {
	if s.Op != Convert || s.Dst.Elem != F32 || s.Args[0].Elem == Bool {
		return 0, false
	}
	x, ok := j.consts[s.Args[0]]
	return x, ok
}

func (j *joiner) vals(vs []*Val) []*Val {
	out := make([]*Val, len(vs))
	for i, v := range vs {
		out[i] = j.val(v)
	}
	return out
}

func (j *joiner) index(at Index) Index {
	out := Index{Off: at.Off}
	for _, t := range at.Terms {
		out = out.Add(Index{Terms: []IndexTerm{{j.val(t.Var), t.Coef}}})
	}
	return out
}

func (j *joiner) bound(b Bound) Bound {
	if b.Val != nil {
		b.Val = j.val(b.Val)
	}
	return b
}

// same joins v with an equal expression, or remembers v.
func (j *joiner) same(e *exprs, key string, v *Val) bool {
	if w := e.find(key); w != nil {
		j.now[v] = w
		return true
	}
	e.of[key] = v
	return false
}

func (j *joiner) block(body []Stmt, outer *exprs) []Stmt {
	e := &exprs{map[string]*Val{}, outer}
	out := make([]Stmt, 0, len(body))
	for _, s := range body {
		switch s := s.(type) {
		case *Instr:
			c := *s
			c.Args = j.vals(s.Args)
			if n := len(c.Args); n > 1 && c.Args[n-1] == c.Args[n-2] && (c.Op == And || c.Op == Or || c.Op == Select) {
				j.now[s.Dst] = c.Args[n-1]
				continue
			}
			if x, ok := j.known(&c); ok && !c.Dst.Vec {
				c.Op, c.Imm, c.Args = Const, x, nil
			}
			if c.Op == Const && finite(c.Imm) && !c.Dst.Vec {
				j.consts[s.Dst] = c.Imm
			} else if n, ok := c.Dim.Const(); ok && c.Op == Size {
				j.consts[s.Dst] = float64(n)
			}
			key := strconv.AppendInt(j.key[:0], int64(c.Op), 10)
			key = append(append(key, ' '), c.Dst.typeText()...)
			if c.Op == Const {
				key = append(append(key, ' '), number64(c.Imm)...)
			} else if c.Op == Size {
				key = append(append(key, ' '), c.Dim.String()...)
			}
			for _, a := range c.Args {
				key = strconv.AppendInt(append(key, ' '), int64(a.ID), 10)
			}
			j.key = key
			if !j.same(e, string(key), s.Dst) {
				out = append(out, &c)
			}
		case *Load:
			c := *s
			c.At, c.Lane, c.Mask = j.index(s.At), j.maybe(s.Lane), j.maybe(s.Mask)
			key := s.Buf.Name + "[" + c.At.String() + "] " + c.Dst.typeText() + optional("lane", c.Lane) + optional("mask", c.Mask)
			if !j.frozen[s.Buf] || !j.same(e, key, s.Dst) {
				out = append(out, &c)
			}
		case *Prefetch:
			out = append(out, &Prefetch{Buf: s.Buf, At: j.index(s.At)})
		case *Store:
			c := *s
			c.At, c.Src, c.Mask = j.index(s.At), j.val(s.Src), j.maybe(s.Mask)
			out = append(out, &c)
		case *For:
			c := *s
			c.From, c.To = j.bound(s.From), j.bound(s.To)
			c.Carry = make([]*Carry, len(s.Carry))
			for i, x := range s.Carry {
				c.Carry[i] = &Carry{Phi: x.Phi, Init: j.val(x.Init), Out: x.Out}
			}
			c.Body = j.block(s.Body, e)
			for i, x := range s.Carry {
				c.Carry[i].Next = j.val(x.Next)
			}
			out = append(out, &c)
		case *If:
			c := *s
			c.Cond = j.val(s.Cond)
			c.Then, c.Else = j.block(s.Then, e), j.block(s.Else, e)
			c.Merge = nil
			for _, m := range s.Merge {
				m := &Merge{m.Dst, j.val(m.Then), j.val(m.Else)}
				if m.Then == m.Else {
					j.now[m.Dst] = m.Then
				} else {
					c.Merge = append(c.Merge, m)
				}
			}
			out = append(out, &c)
		case *Extern:
			c := *s
			c.Args = j.vals(s.Args)
			c.Bufs = make([]Span, len(s.Bufs))
			for i, sp := range s.Bufs {
				c.Bufs[i] = Span{sp.Buf, j.index(sp.At), j.bound(sp.Len)}
			}
			out = append(out, &c)
		}
	}
	return out
}

// hoist moves what does not fault out of the loops that do not change it, and
// sets moved if there is such.
func (j *joiner) hoist(body []Stmt, moved *bool) []Stmt {
	out := make([]Stmt, 0, len(body))
	for _, s := range body {
		switch s := s.(type) {
		case *For:
			inner := j.hoist(s.Body, moved)
			mine := map[*Val]bool{s.Var: true}
			for _, c := range s.Carry {
				mine[c.Phi] = true
			}
			kept := inner[:0:0]
			for _, x := range inner {
				if in, ok := x.(*Instr); ok && !in.faults(j.consts) && !anyOf(mine, in.Args) || j.fixed(x) {
					out = append(out, x)
					*moved = true
					continue
				}
				defined(x, mine)
				kept = append(kept, x)
			}
			s.Body = kept
		case *If:
			s.Then, s.Else = j.hoist(s.Then, moved), j.hoist(s.Else, moved)
		}
		out = append(out, s)
	}
	return out
}

// fixed reports whether s loads an integer that exists and never changes: sizes
// and places are computed from these. A float would need a register for
// vectors, which loops have no more of.
func (j *joiner) fixed(s Stmt) bool {
	l, ok := s.(*Load)
	if !ok || l.Dst.Vec || l.Buf.Elem != I32 || len(l.At.Terms) > 0 || !j.frozen[l.Buf] {
		return false
	}
	at, known := l.At.Off.Const()
	n, sized := l.Buf.Len.Const()
	return known && sized && 0 <= at && at < n
}

func anyOf(set map[*Val]bool, vs []*Val) bool {
	for _, v := range vs {
		if set[v] {
			return true
		}
	}
	return false
}

// defined adds the values that s defines for the statements after it.
func defined(s Stmt, into map[*Val]bool) {
	switch s := s.(type) {
	case *Instr:
		into[s.Dst] = true
	case *Load:
		into[s.Dst] = true
	case *For:
		for _, c := range s.Carry {
			into[c.Out] = true
		}
		if s.After != nil {
			into[s.After] = true
		}
	case *If:
		for _, m := range s.Merge {
			into[m.Dst] = true
		}
	}
}

// liveness marks the values that something needs, to a fixpoint.
type liveness struct {
	live    map[*Val]bool
	consts  map[*Val]float64
	changed bool
}

func (l *liveness) need(vs ...*Val) {
	for _, v := range vs {
		if v != nil && !l.live[v] {
			l.live[v], l.changed = true, true
		}
	}
}

// faults reports whether s may fault: a division by a number other than 0 does not.
func (s *Instr) faults(consts map[*Val]float64) bool {
	return !s.Pure() && !((s.Op == Div || s.Op == Mod) && consts[s.Args[1]] != 0)
}

func (l *liveness) index(at Index) {
	for _, t := range at.Terms {
		l.need(t.Var)
	}
}

// block marks what body needs; it reports whether body has an effect.
func (l *liveness) block(body []Stmt) bool {
	effect := false
	for i := len(body) - 1; i >= 0; i-- {
		if l.stmt(body[i]) {
			effect = true
		}
	}
	return effect
}

func (l *liveness) stmt(s Stmt) bool {
	switch s := s.(type) {
	case *Instr:
		if l.live[s.Dst] || s.faults(l.consts) {
			l.need(s.Args...)
		}
		return s.faults(l.consts)
	case *Load:
		if l.live[s.Dst] {
			l.index(s.At)
			l.need(s.Lane, s.Mask)
		}
		return false
	case *Prefetch:
		l.index(s.At)
		return true
	case *Store:
		l.need(s.Src, s.Mask)
		l.index(s.At)
		return true
	case *Extern:
		l.need(s.Args...)
		for _, sp := range s.Bufs {
			l.index(sp.At)
			l.need(sp.Len.Val)
		}
		return true
	case *For:
		effect := l.block(s.Body)
		needed := effect || l.live[s.After]
		for _, c := range s.Carry {
			if l.live[c.Out] || l.live[c.Phi] {
				l.need(c.Phi, c.Init, c.Next)
				needed = true
			}
		}
		if needed {
			l.need(s.From.Val, s.To.Val)
		}
		return effect
	case *If:
		a, b := l.block(s.Then), l.block(s.Else)
		needed := a || b
		for _, m := range s.Merge {
			if l.live[m.Dst] {
				l.need(m.Then, m.Else)
				needed = true
			}
		}
		if needed {
			l.need(s.Cond)
		}
		return a || b
	}
	return true
}

// sweep drops what nothing needs.
func (l *liveness) sweep(body []Stmt) []Stmt {
	out := make([]Stmt, 0, len(body))
	for _, s := range body {
		keep := true
		switch s := s.(type) {
		case *Instr:
			keep = l.live[s.Dst] || s.faults(l.consts)
		case *Load:
			keep = l.live[s.Dst]
		case *For:
			effect := l.block(s.Body)
			s.Body = l.sweep(s.Body)
			carry := s.Carry[:0:0]
			for _, c := range s.Carry {
				if l.live[c.Out] || l.live[c.Phi] {
					carry = append(carry, c)
				}
			}
			s.Carry = carry
			keep = effect || len(carry) > 0 || l.live[s.After]
			if !l.live[s.After] {
				s.After = nil
			}
		case *If:
			effect := l.block(s.Then)
			effect = l.block(s.Else) || effect
			s.Then, s.Else = l.sweep(s.Then), l.sweep(s.Else)
			merge := s.Merge[:0:0]
			for _, m := range s.Merge {
				if l.live[m.Dst] {
					merge = append(merge, m)
				}
			}
			s.Merge = merge
			keep = effect || len(merge) > 0
		}
		if keep {
			out = append(out, s)
		}
	}
	return out
}
