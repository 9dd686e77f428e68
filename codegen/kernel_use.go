package codegen

import (
	"slices"

	"github.com/lmc-lang/lmc/ir/loop"
)

// A path says where a statement stands: its place in the block of the kernel,
// then, for each block inside, which one it is and the place in it.
type path []int

// The blocks of a statement.
const (
	loopBody = iota
	thenBlock
	elseBlock
)

func (p path) in(block, place int) path {
	return append(slices.Clone(p), block, place)
}

// before reports whether what stands at q can run after p, in one iteration of
// the loops around both.
func (p path) before(q path) bool {
	for i := 0; i < len(p) && i < len(q); i++ {
		if p[i] != q[i] {
			return i%2 == 0 && p[i] < q[i] // different blocks of one if: neither
		}
	}
	return false
}

// inside reports whether q is in a block of the statement at p.
func (p path) inside(q path) bool { return len(q) > len(p) && slices.Equal(p, q[:len(p)]) }

// crossesLoop reports whether a loop lies between the block of p and q: whether
// q can run several times for one time of p.
func (p path) crossesLoop(q path) bool {
	// The block of p is p without its last place.
	block := p[:len(p)-1]
	if len(q) < len(block) || !slices.Equal(block, q[:len(block)]) {
		return true
	}
	for i := len(block) + 1; i < len(q); i += 2 {
		if q[i] == loopBody {
			return true
		}
	}
	return false
}

// A usage says how the values of a kernel become expressions and variables.
type usage struct {
	free     map[*loop.Val]*loop.Instr // constants and sizes: written wherever they are used
	inline   map[*loop.Val]bool        // written at their only use
	counters map[*loop.Val]*loop.For

	tails   map[*loop.Val][]*loop.For // loops that begin at a value
	carried map[*loop.Val]bool        // classes
	afters  map[*loop.Val]*loop.For

	defs    map[*loop.Val]path
	instrs  map[*loop.Val]*loop.Instr
	loads   map[*loop.Val]*loop.Load
	uses    map[*loop.Val][]use
	order   []*loop.Val // in order of definition
	rep     map[*loop.Val]*loop.Val
	members map[*loop.Val][]*loop.Val
	nonnegs map[*loop.Val]bool
	alias   map[*loop.Buffer]*loop.Buffer
	body    []loop.Stmt
	paths   map[loop.Stmt]path
	touched map[*loop.Buffer]int // different addresses at which a buffer is used
}

// A use is one place where a value is needed. By is the value that is computed
// there, if it is an instruction or a load.
type use struct {
	at path
	by *loop.Val
}

func planUsage(k *loop.Kernel) *usage {
	u := &usage{
		free: map[*loop.Val]*loop.Instr{}, inline: map[*loop.Val]bool{}, counters: map[*loop.Val]*loop.For{}, afters: map[*loop.Val]*loop.For{}, carried: map[*loop.Val]bool{}, tails: map[*loop.Val][]*loop.For{},
		defs: map[*loop.Val]path{}, instrs: map[*loop.Val]*loop.Instr{}, loads: map[*loop.Val]*loop.Load{}, uses: map[*loop.Val][]use{},
		rep: map[*loop.Val]*loop.Val{}, members: map[*loop.Val][]*loop.Val{}, nonnegs: map[*loop.Val]bool{},
		alias: map[*loop.Buffer]*loop.Buffer{}, body: k.Body, paths: map[loop.Stmt]path{},
	}
	for _, x := range k.InPlace {
		u.alias[k.Bufs[x[1]]] = k.Bufs[x[0]]
	}
	for _, v := range k.Ints {
		u.nonnegs[v] = true
	}
	if k.Grid != nil {
		u.nonnegs[k.Grid.Lo], u.nonnegs[k.Grid.Hi] = true, true
	}
	u.scan(k.Body, nil, 0)
	u.touched = touched(k.Body, map[*loop.Buffer]map[string]bool{})
	u.chooseInline()
	u.join(k.Body, nil, 0)
	return u
}

func touched(body []loop.Stmt, seen map[*loop.Buffer]map[string]bool) map[*loop.Buffer]int {
	touch := func(b *loop.Buffer, at string) {
		if seen[b] == nil {
			seen[b] = map[string]bool{}
		}
		seen[b][at] = true
	}
	for _, s := range body {
		switch s := s.(type) {
		case *loop.Load:
			touch(s.Buf, s.At.String())
		case *loop.Store:
			touch(s.Buf, s.At.String())
		case *loop.For:
			touched(s.Body, seen)
		case *loop.If:
			touched(s.Then, seen)
			touched(s.Else, seen)
		case *loop.Extern:
			for _, sp := range s.Bufs {
				touch(sp.Buf, "")
				touch(sp.Buf, sp.At.String())
			}
		}
	}
	out := map[*loop.Buffer]int{}
	for b, ats := range seen {
		out[b] = len(ats)
	}
	return out
}

func (u *usage) define(v *loop.Val, at path) {
	u.defs[v] = at
	u.order = append(u.order, v)
}

func (u *usage) use(v *loop.Val, at path, by *loop.Val) {
	if v != nil {
		u.uses[v] = append(u.uses[v], use{at, by})
	}
}

func (u *usage) useIndex(at loop.Index, where path, by *loop.Val) {
	for _, t := range at.Terms {
		u.use(t.Var, where, by)
	}
}

// scan records definitions and uses.
func (u *usage) scan(body []loop.Stmt, outer path, block int) {
	at := func(place int) path {
		if outer == nil {
			return path{place}
		}
		return outer.in(block, place)
	}
	for i, s := range body {
		here := at(i)
		u.paths[s] = here
		switch s := s.(type) {
		case *loop.Instr:
			for _, a := range s.Args {
				u.use(a, here, s.Dst)
			}
			u.instrs[s.Dst] = s
			if s.Op == loop.Const || s.Op == loop.Size {
				u.free[s.Dst] = s
			}
			u.define(s.Dst, here)
		case *loop.Load:
			u.useIndex(s.At, here, s.Dst)
			u.loads[s.Dst] = s
			u.define(s.Dst, here)
		case *loop.Store:
			u.useIndex(s.At, here, nil)
			u.use(s.Src, here, nil)
		case *loop.For:
			u.use(s.From.Val, here, nil)
			if s.From.Val != nil {
				u.tails[s.From.Val] = append(u.tails[s.From.Val], s)
			}
			u.use(s.To.Val, here, nil)
			u.counters[s.Var] = s
			u.define(s.Var, here.in(loopBody, -1))
			for _, c := range s.Carry {
				u.use(c.Init, here, nil)
				u.define(c.Phi, here.in(loopBody, -1))
			}
			u.scan(s.Body, here, loopBody)
			for _, c := range s.Carry {
				u.use(c.Next, here.in(loopBody, len(s.Body)), nil)
				u.define(c.Out, here)
			}
			if s.To.Val != nil && u.isAssigned(s.To.Val) { // a condition is computed again
				u.use(s.To.Val, here.in(loopBody, len(s.Body)), nil)
			}
			if s.After != nil {
				u.define(s.After, here)
				u.afters[s.After] = s
			}
		case *loop.If:
			u.use(s.Cond, here, nil)
			u.scan(s.Then, here, thenBlock)
			u.scan(s.Else, here, elseBlock)
			for _, m := range s.Merge {
				u.use(m.Then, here.in(thenBlock, len(s.Then)), nil)
				u.use(m.Else, here.in(elseBlock, len(s.Else)), nil)
				u.define(m.Dst, here)
			}
		case *loop.Extern:
			for _, sp := range s.Bufs {
				u.useIndex(sp.At, here, nil)
				u.use(sp.Len.Val, here, nil)
			}
			for _, a := range s.Args {
				u.use(a, here, nil)
			}
		}
	}
}

// memory is the buffer that stands for b and what may be the same memory.
func (u *usage) memory(b *loop.Buffer) *loop.Buffer {
	for u.alias[b] != nil {
		b = u.alias[b]
	}
	return b
}

// chooseInline decides which values are written where they are used: those
// used once, if nothing that they depend on can change before that.
func (u *usage) chooseInline() {
	for i := len(u.order) - 1; i >= 0; i-- {
		v := u.order[i]
		if u.free[v] != nil || len(u.uses[v]) != 1 {
			continue
		}
		at := u.effective(u.uses[v][0])
		def := u.defs[v]
		if def.crossesLoop(at) {
			continue
		}
		switch {
		case u.loads[v] != nil:
			u.inline[v] = !u.hazard(u.loads[v], def, at)
		case u.instrs[v] != nil:
			u.inline[v] = u.instrs[v].Pure()
		}
	}
}

// effective is where the expression of a use is written.
func (u *usage) effective(x use) path {
	for x.by != nil && u.inline[x.by] {
		x = u.uses[x.by][0]
	}
	return x.at
}

// hazard reports whether something between from and to may write what l loads.
func (u *usage) hazard(l *loop.Load, from, to path) bool {
	return u.writesBetween(u.body, from, to, 0, l)
}

// writesBetween walks down to the block of from, then along it to the place
// of to, into whose blocks it follows.
func (u *usage) writesBetween(body []loop.Stmt, from, to path, level int, l *loop.Load) bool {
	if level+1 < len(from) { // still outside of the block of from
		return u.writesBetween(inner(body[from[level]], from[level+1]), from, to, level+2, l)
	}
	start := from[level] + 1
	for {
		for i := start; i < min(to[level], len(body)); i++ {
			if u.writes(body[i], l) {
				return true
			}
		}
		if level+1 >= len(to) {
			return false
		}
		body = inner(body[to[level]], to[level+1])
		level += 2
		start = 0
	}
}

func inner(s loop.Stmt, block int) []loop.Stmt {
	switch s := s.(type) {
	case *loop.For:
		return s.Body
	case *loop.If:
		if block == thenBlock {
			return s.Then
		}
		return s.Else
	}
	return nil
}

// writes reports whether s may write the element that l loads.
func (u *usage) writes(s loop.Stmt, l *loop.Load) bool {
	switch s := s.(type) {
	case *loop.Store:
		return u.memory(s.Buf) == u.memory(l.Buf) && !(s.Buf == l.Buf && apart(s.At, l.At))
	case *loop.For:
		return slices.ContainsFunc(s.Body, func(s loop.Stmt) bool { return u.writes(s, l) })
	case *loop.If:
		f := func(s loop.Stmt) bool { return u.writes(s, l) }
		return slices.ContainsFunc(s.Then, f) || slices.ContainsFunc(s.Else, f)
	case *loop.Extern:
		return slices.ContainsFunc(s.Bufs, func(sp loop.Span) bool { return u.memory(sp.Buf) == u.memory(l.Buf) })
	}
	return false
}

// forwarded reports whether a compiler may take a value that is loaded after s
// from s itself, so that a product stored by s could be fused with a sum.
func (u *usage) forwarded(s *loop.Store) bool {
	here := u.paths[s]
	for v, l := range u.loads {
		if u.memory(l.Buf) == u.memory(s.Buf) && here.before(u.defs[v]) && !here.crossesLoop(u.defs[v]) {
			return true
		}
	}
	return false
}

// apart reports whether two addresses differ by a number other than 0.
func apart(a, b loop.Index) bool {
	d := a.Add(b.Scale(loop.N(-1)))
	n, ok := d.Off.Const()
	return ok && n != 0 && len(d.Terms) == 0
}

// class is the value that stands for the variable of v.
func (u *usage) class(v *loop.Val) *loop.Val {
	for u.rep[v] != nil {
		v = u.rep[v]
	}
	return v
}

func (u *usage) unite(a, b *loop.Val) {
	a, b = u.class(a), u.class(b)
	if a == b {
		return
	}
	if len(u.members[a]) == 0 {
		u.members[a] = []*loop.Val{a}
	}
	if len(u.members[b]) == 0 {
		u.members[b] = []*loop.Val{b}
	}
	u.rep[b] = a
	u.carried[a] = u.carried[a] || u.carried[b]
	u.members[a] = append(u.members[a], u.members[b]...)
}

// dead reports whether nothing needs v after the statement at p has begun,
// except that statement's own uses at p and in exempt.
func (u *usage) dead(v *loop.Val, p path, exempt ...path) bool {
	if u.defs[v] == nil || u.defs[v].crossesLoop(p) {
		return false
	}
	for _, x := range u.uses[v] {
		at := u.effective(x)
		if slices.ContainsFunc(exempt, func(q path) bool { return slices.Equal(q, at) }) {
			continue
		}
		if p.before(at) || p.inside(at) || slices.Equal(p, at) {
			return false
		}
	}
	return true
}

// stored reports whether v is a variable of its own, which can go on as another
// value when nothing needs v any more.
func (u *usage) stored(v *loop.Val) bool {
	return u.defs[v] != nil && u.free[v] == nil && !u.inline[v] && u.counters[v] == nil && u.afters[v] == nil
}

// isAssigned reports whether v is a result of a statement with blocks, or the
// value around a loop.
func (u *usage) isAssigned(v *loop.Val) bool { return u.instrs[v] == nil && u.loads[v] == nil }

// join decides which values share a variable: those of a carry, and those that
// take over from a value that nothing needs any more.
func (u *usage) join(body []loop.Stmt, outer path, block int) {
	for i, s := range body {
		here := path{i}
		if outer != nil {
			here = outer.in(block, i)
		}
		switch s := s.(type) {
		case *loop.For:
			inits := map[*loop.Val]int{}
			for _, c := range s.Carry {
				inits[c.Init]++
			}
			for _, c := range s.Carry {
				u.unite(c.Phi, c.Out)
				u.carried[u.class(c.Phi)] = true
				if u.stored(c.Init) && inits[c.Init] == 1 && c.Init != s.From.Val && c.Init != s.To.Val && u.dead(c.Init, here, here) {
					u.unite(c.Init, c.Phi)
				}
			}
			u.join(s.Body, here, loopBody)
		case *loop.If:
			taken := map[*loop.Val]bool{}
			for _, m := range s.Merge {
				ends := []path{here, here.in(thenBlock, len(s.Then)), here.in(elseBlock, len(s.Else))}
				for _, v := range []*loop.Val{m.Else, m.Then} {
					if u.stored(v) && !taken[u.class(v)] && u.diesIn(v, here, ends) {
						u.unite(v, m.Dst)
						taken[u.class(v)] = true
						break
					}
				}
			}
			u.join(s.Then, here, thenBlock)
			u.join(s.Else, here, elseBlock)
		}
	}
}

// diesIn reports whether v is defined outside of the if statement at p, in no
// loop around less, and needed by nothing after it: uses inside are fine, for
// the variable changes only at the ends of the branches.
func (u *usage) diesIn(v *loop.Val, p path, ends []path) bool {
	def := u.defs[v]
	if def == nil || p.inside(def) || def.crossesLoop(p) {
		return false
	}
	for _, x := range u.uses[v] {
		if at := u.effective(x); p.before(at) {
			return false
		}
	}
	return true
}

// nonneg reports whether the Int value v is at least 0, as far as is plain to
// see, where all sizes are.
func (u *usage) nonneg(v *loop.Val) bool {
	if known, ok := u.nonnegs[v]; ok {
		return known
	}
	u.nonnegs[v] = false // while it is being found out
	u.nonnegs[v] = u.findNonneg(v)
	return u.nonnegs[v]
}

func (u *usage) findNonneg(v *loop.Val) bool {
	if f := u.counters[v]; f != nil {
		return u.boundNonneg(f.From)
	}
	if f := u.afters[v]; f != nil {
		return u.boundNonneg(f.From)
	}
	s := u.instrs[v]
	if s == nil {
		return false
	}
	switch s.Op {
	case loop.Const:
		return s.Imm >= 0
	case loop.Size:
		return atLeastZero(s.Dim)
	case loop.Add, loop.Mul, loop.Min, loop.Div:
		return u.nonneg(s.Args[0]) && u.nonneg(s.Args[1])
	case loop.Max:
		return u.nonneg(s.Args[0]) || u.nonneg(s.Args[1])
	case loop.Mod:
		return u.nonneg(s.Args[1])
	case loop.Check:
		return true
	}
	return false
}

func (u *usage) boundNonneg(b loop.Bound) bool {
	if b.Val != nil {
		return u.nonneg(b.Val)
	}
	return atLeastZero(b.Dim)
}
