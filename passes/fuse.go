package passes

import (
	"slices"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/ops"
)

// fuse splits f into groups, each computed by one kernel: every value of the
// result is a parameter, a Fused, a Scan, a Get of one of them, or a Reshape.
// If f consumes gradients as it produces them, what reads one goes through it
// together, once.
func fuse(f *ir.Func, consumes bool) (*ir.Func, error) {
	f, err := expand(f)
	if err != nil {
		return nil, err
	}
	for _, prepare := range []func(*ir.Func) (*ir.Func, error){oneHot, absorb, sink, unchain, arrangeDots} {
		if f, err = prepare(f); err != nil {
			return nil, err
		}
	}
	fu := newFuser(f)
	fu.consumes = consumes
	fu.group()
	return fu.rebuild()
}

// A fuser groups the values of one function.
type fuser struct {
	f      *ir.Func
	root   []bool        // by ID: in memory, or a member of a group
	users  [][]*ir.Value // by ID: the roots and loops that read it, also through inline values
	kept   []bool        // by ID: a result, or an operand of a loop: has to be in memory
	reads  map[*ir.Value][]reading
	of     []*group    // by ID, of members
	cloned []bool      // by ID: computed by every group that uses it
	chain  []*ir.Value // by ID, of members of chains: the contraction that it grew from
	groups []*group    // in order of their last member

	consumes bool // see fuse
}

// A group is the members of one kernel.
type group struct {
	members []*ir.Value
	dead    bool // merged into another one
}

func newFuser(f *ir.Func) *fuser {
	n := len(f.Values)
	fu := &fuser{f: f, root: make([]bool, n), users: make([][]*ir.Value, n), kept: make([]bool, n), chain: make([]*ir.Value, n), reads: map[*ir.Value][]reading{}, of: make([]*group, n), cloned: make([]bool, n)}
	fu.findRoots()
	for _, v := range f.Values {
		if !fu.root[v.ID] || v.Op == ir.Param {
			continue
		}
		if fu.member(v) {
			fu.reads[v] = readings(v, fu.see)
			for _, r := range fu.reads[v] {
				fu.use(r.from, v)
			}
			continue
		}
		for _, a := range v.Args {
			fu.use(bottom(a), v)
		}
	}
	return fu
}

// use notes that v reads u.
func (fu *fuser) use(u, v *ir.Value) {
	u = fu.home(u)
	if !slices.Contains(fu.users[u.ID], v) {
		fu.users[u.ID] = append(fu.users[u.ID], v)
	}
}

// home is the value whose memory u is.
func (fu *fuser) home(u *ir.Value) *ir.Value {
	for fu.isView(u) {
		u = u.Args[0]
	}
	return u
}

// member reports whether v is computed by a kernel.
func (fu *fuser) member(v *ir.Value) bool {
	return fu.root[v.ID] && v.Op != ir.Param && v.Op != ops.Scan && v.Op != ops.Get && v.Op != ops.Fused && v.Op != ops.Concat && !fu.isView(v)
}

// isView reports whether v is the memory of its operand in another shape. A
// reshape that only adds or drops axes of extent 1 is seen through instead.
func (fu *fuser) isView(v *ir.Value) bool {
	return v.Op == ops.Reshape && !unitReshape(v) && (fu.root[v.Args[0].ID] || fu.isView(v.Args[0]))
}

// unitReshape reports whether v only adds or drops axes of extent 1.
func unitReshape(v *ir.Value) bool {
	return ir.SameShape(longer(v.Type.Shape), longer(v.Arg(0).Shape))
}

// see is what groups see through.
func (fu *fuser) see(v *ir.Value) bool { return !fu.root[v.ID] && !fu.isView(v) }

// group makes groups and merges them while that gives one kernel.
func (fu *fuser) group() {
	fu.chains()
	for _, v := range fu.f.Values {
		if !fu.member(v) || fu.of[v.ID] != nil {
			continue
		}
		g := &group{members: []*ir.Value{v}}
		fu.of[v.ID] = g
		fu.groups = append(fu.groups, g)
		fu.mergeProducers(g)
	}
	for _, g := range slices.Clone(fu.groups) {
		if fu.chain[g.members[0].ID] != nil {
			fu.mergeProducers(g)
		}
	}
	fu.postpone()
	fu.mergeSiblings()
	fu.mergeReaders()
	if fu.consumes {
		fu.mergeConsumers()
	}
}

// mergeProducers joins what g reads into g, as far as that gives one kernel.
func (fu *fuser) mergeProducers(g *group) {
	for again := true; again; {
		again = false
		for _, h := range fu.producers(g) {
			if fu.merge(h, g) {
				again = true
				break
			}
		}
	}
}

// producers are the groups that g reads, the latest first.
func (fu *fuser) producers(g *group) []*group {
	var out []*group
	for _, v := range g.members {
		for _, r := range fu.reads[v] {
			if h := fu.of[fu.home(r.from).ID]; h != nil && h != g && !slices.Contains(out, h) {
				out = append(out, h)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b *group) int { return lastID(b) - lastID(a) })
	return out
}

func lastID(g *group) int { return g.members[len(g.members)-1].ID }

// mostMembers bounds groups: the code of a kernel should stay readable.
const mostMembers = 100

// mostBuffers bounds the arguments of a kernel.
const mostBuffers = 24

// merge joins h into g if the result is one kernel and nothing between them
// needs h and is needed by g.
func (fu *fuser) merge(h, g *group) bool {
	if len(h.members)+len(g.members) > mostMembers || fu.between(h, g) || fu.consumes && (fu.isGradient(h) || fu.isGradient(g)) {
		return false
	}
	members := append(slices.Clone(h.members), g.members...)
	slices.SortFunc(members, func(a, b *ir.Value) int { return a.ID - b.ID })
	if fu.plan(members) == nil {
		return false
	}
	g.members = members
	h.dead = true
	for _, v := range h.members {
		fu.of[v.ID] = g
	}
	fu.groups = slices.DeleteFunc(fu.groups, func(x *group) bool { return x == h })
	return true
}

// plan is how members are one kernel, or nil.
func (fu *fuser) plan(members []*ir.Value) *plan {
	p := &plan{members: members, inside: map[*ir.Value]bool{}, output: map[*ir.Value]bool{}, reads: fu.reads}
	var links []*ir.Value
	for _, v := range members {
		p.inside[v] = true
		if v.Op == ops.Dot && !slices.Contains(links, fu.chain[v.ID]) {
			links = append(links, fu.chain[v.ID])
		}
	}
	p.mayChain = len(links) == 1 && links[0] != nil
	buffers := map[*ir.Value]bool{}
	for _, v := range members {
		if fu.escapes(v, p.inside) {
			p.output[v] = true
			buffers[v] = true
		}
		for _, r := range fu.reads[v] {
			if !p.inside[r.from] {
				buffers[r.from] = true
				if p.inside[fu.home(r.from)] {
					return nil // it is read in another shape, from memory
				}
			}
		}
	}
	if len(members) > 1 && len(buffers) > mostBuffers || !p.solve(fu.see) {
		return nil
	}
	return p
}

// escapes reports whether v is needed outside the group.
func (fu *fuser) escapes(v *ir.Value, inside map[*ir.Value]bool) bool {
	if fu.kept[v.ID] {
		return true
	}
	return !fu.cloned[v.ID] && slices.ContainsFunc(fu.users[v.ID], func(u *ir.Value) bool {
		return !inside[u] || fu.cloned[u.ID] && fu.elsewhere(u, inside)
	})
}

// elsewhere reports whether a group with members that are not inside computes
// u, too.
func (fu *fuser) elsewhere(u *ir.Value, inside map[*ir.Value]bool) bool {
	return slices.ContainsFunc(fu.groups, func(h *group) bool {
		return slices.Contains(h.members, u) && slices.ContainsFunc(h.members, func(m *ir.Value) bool { return !inside[m] })
	})
}

// between reports whether something outside both groups reads h and is read,
// perhaps through others, by g. What belongs to a group counts with all of it.
func (fu *fuser) between(h, g *group) bool {
	limit := lastID(g)
	seen := map[*ir.Value]bool{}
	seenGroup := map[*group]bool{h: true}
	var reaches func(v *ir.Value, first bool) bool
	enter := func(x *group) bool {
		if seenGroup[x] {
			return false
		}
		seenGroup[x] = true
		return slices.ContainsFunc(x.members, func(m *ir.Value) bool { return !fu.cloned[m.ID] && reaches(m, false) })
	}
	reaches = func(v *ir.Value, first bool) bool {
		for _, u := range fu.users[v.ID] {
			if seen[u] {
				continue
			}
			if !first {
				seen[u] = true
			}
			homes := []*group{fu.of[u.ID]}
			if fu.cloned[u.ID] {
				homes = fu.homes(u)
			}
			for _, x := range homes {
				switch {
				case x == nil:
					if u.ID < limit && reaches(u, false) {
						return true
					}
				case x == g:
					if !first {
						return true
					}
				case enter(x):
					return true
				}
			}
		}
		return false
	}
	return slices.ContainsFunc(h.members, func(v *ir.Value) bool { return !fu.cloned[v.ID] && reaches(v, true) })
}

// homes are the groups that compute u.
func (fu *fuser) homes(u *ir.Value) []*group {
	var out []*group
	for _, h := range fu.groups {
		if slices.Contains(h.members, u) {
			out = append(out, h)
		}
	}
	return out
}

// mergeSiblings joins groups of column sums that read the same memory.
func (fu *fuser) mergeSiblings() {
	plans := map[*group]*plan{} // of groups of column sums
	for _, g := range fu.groups {
		if p := fu.plan(g.members); p != nil && p.kind == columns {
			plans[g] = p
		}
	}
	for again := true; again; {
		again = false
		for i, g := range fu.groups {
			for _, h := range fu.groups[:i] {
				if p, q := plans[g], plans[h]; p != nil && q != nil && fu.siblings(p, q) && !fu.between(g, h) && fu.merge(h, g) {
					plans[g] = fu.plan(g.members)
					again = true
					break
				}
			}
			if again {
				break
			}
		}
	}
}

// mergeReaders joins contractions with values that are computed element by
// element from what is read after the sums anyway.
func (fu *fuser) mergeReaders() {
	for _, g := range slices.Clone(fu.groups) {
		if p := fu.plan(g.members); p == nil || p.kind != contraction {
			continue
		}
		for _, h := range slices.Clone(fu.groups) {
			if h != g && fu.readsSame(h, g) && !fu.between(g, h) {
				fu.merge(h, g)
			}
		}
	}
}

// readsSame reports whether h is pointwise and reads only memory that g reads,
// neither of them the other.
func (fu *fuser) readsSame(h, g *group) bool {
	for _, v := range h.members {
		if v.Op.Lane == nil || fu.readsAny(g.members, v) {
			return false
		}
		for _, r := range fu.reads[v] {
			if !slices.Contains(h.members, r.from) && (slices.Contains(g.members, r.from) || !fu.readsAny(g.members, r.from)) {
				return false
			}
		}
	}
	return true
}

// siblings reports whether p and q reduce the same memory to the same shape.
func (fu *fuser) siblings(p, q *plan) bool {
	if !ir.SameShape(p.extents, q.extents) {
		return false
	}
	for _, v := range p.members {
		for _, r := range fu.reads[v] {
			if !p.inside[r.from] && r.from.Type.Rank() >= 2 && fu.readsAny(q.members, r.from) {
				return true
			}
		}
	}
	return false
}
