package passes

import (
	"slices"

	"github.com/lmc-lang/lmc/ir"
)

// postpone computes cheap values where they are used instead of keeping them,
// where that moves less memory: a kernel that would write several multiples of
// one value writes that one, and the sums over products are taken of the
// factors.
func (fu *fuser) postpone() {
	for range 4 {
		again := false
		for i := len(fu.groups) - 1; i >= 0; i-- {
			g := fu.groups[i]
			us := fu.postponable(g)
			if len(us) == 0 {
				continue
			}
			if fu.postponeSet(us, g) {
				again = true
				continue
			}
			for _, u := range us {
				again = len(us) > 1 && fu.postponeSet([]*ir.Value{u}, g) || again
			}
		}
		if !again {
			return
		}
	}
}

// postponable lists the results of g that are cheap and only read by kernels.
func (fu *fuser) postponable(g *group) []*ir.Value {
	p := fu.plan(g.members)
	if p == nil {
		return nil
	}
	var out []*ir.Value
	for _, v := range g.members {
		if p.output[v] && fu.cheap(v) && !fu.kept[v.ID] && fu.consumers(v, g) != nil {
			out = append(out, v)
		}
	}
	return out
}

// cheap reports whether an element of v is little arithmetic on elements that
// are in memory.
func (fu *fuser) cheap(v *ir.Value) bool { return v.Op.Lane != nil && !costly(v, fu.see) }

// postponeSet moves the results us of g, and what they are cheaply computed
// from, to the groups that use them, if that saves memory traffic.
func (fu *fuser) postponeSet(us []*ir.Value, g *group) bool {
	p := fu.plan(g.members)
	if p == nil {
		return false
	}
	moved := map[*ir.Value]bool{}
	for _, u := range us {
		moved[u] = true
	}
	// What has to be in memory then, and was not.
	leaves := map[*ir.Value]bool{}
	cones := make([][]*ir.Value, len(us))
	reads := make([][]*ir.Value, len(us)) // from memory
	for i, u := range us {
		seen := map[*ir.Value]bool{}
		var visit func(v *ir.Value)
		visit = func(v *ir.Value) {
			if seen[v] {
				return
			}
			seen[v] = true
			if moved[v] || p.inside[v] && fu.cheap(v) && !p.output[v] {
				cones[i] = append(cones[i], v)
				for _, r := range fu.reads[v] {
					visit(r.from)
				}
				return
			}
			reads[i] = append(reads[i], v)
			if p.inside[v] && !p.output[v] {
				leaves[v] = true
			}
		}
		visit(u)
		if len(cones[i]) > mostPostponed {
			return false
		}
	}
	cost := 0
	for v := range leaves {
		if v.Type.Tuple != nil {
			return false
		}
		cost += traffic(v)
	}
	after := map[*group][]*ir.Value{}
	for i, u := range us {
		cost -= traffic(u)
		for _, h := range fu.consumers(u, g) {
			if after[h] == nil {
				after[h] = slices.Clone(h.members)
			}
			cost -= traffic(u)
			for _, v := range reads[i] {
				if !fu.readsAny(after[h], v) {
					cost += traffic(v)
				}
			}
			for _, v := range cones[i] {
				if !slices.Contains(after[h], v) {
					after[h] = append(after[h], v)
				}
			}
		}
	}
	if cost >= 0 {
		return false
	}
	return fu.commit(us, g, cones, after)
}

// mostPostponed bounds what is computed again for one value.
const mostPostponed = 6

// traffic is about how many bytes it takes to move v once.
func traffic(v *ir.Value) int {
	n := estimate(v.Type.Len())
	if v.Type.Elem == ir.Bool {
		return n
	}
	return 4 * n
}

func (fu *fuser) readsAny(members []*ir.Value, v *ir.Value) bool {
	return slices.ContainsFunc(members, func(m *ir.Value) bool {
		return slices.ContainsFunc(fu.reads[m], func(r reading) bool { return r.from == v })
	})
}

// commit makes the groups after the members of those that use us, and takes
// out of g what it no longer needs.
func (fu *fuser) commit(us []*ir.Value, g *group, cones [][]*ir.Value, after map[*group][]*ir.Value) bool {
	old := map[*group][]*ir.Value{g: g.members}
	var marked []*ir.Value
	for _, c := range cones {
		for _, v := range c {
			if !fu.cloned[v.ID] {
				fu.cloned[v.ID] = true
				marked = append(marked, v)
			}
		}
	}
	var changed []*group
	for _, h := range fu.groups {
		if ms := after[h]; ms != nil {
			old[h] = h.members
			slices.SortFunc(ms, func(a, b *ir.Value) int { return a.ID - b.ID })
			h.members = ms
			changed = append(changed, h)
		}
	}
	// From the last to the first: what no member and no other group needs.
	g.members = slices.Clone(g.members)
	for i := len(g.members) - 1; i >= 0; i-- {
		v := g.members[i]
		if fu.cloned[v.ID] && !fu.readsAny(g.members, v) {
			g.members = slices.Delete(g.members, i, i+1)
		}
	}
	ok := len(g.members) == 0 || fu.plan(g.members) != nil
	for _, h := range changed {
		ok = ok && fu.plan(h.members) != nil
	}
	if ok {
		if len(g.members) == 0 {
			fu.groups = slices.DeleteFunc(fu.groups, func(x *group) bool { return x == g })
		}
		return true
	}
	for h, ms := range old {
		h.members = ms
	}
	for _, v := range marked {
		fu.cloned[v.ID] = false
	}
	return false
}

// consumers are the groups other than g that read u; nil if something else
// does.
func (fu *fuser) consumers(u *ir.Value, g *group) []*group {
	var out []*group
	for _, v := range fu.users[u.ID] {
		if !fu.member(v) {
			return nil
		}
		for _, h := range fu.groups {
			if h != g && !slices.Contains(out, h) && slices.Contains(h.members, v) {
				out = append(out, h)
			}
		}
	}
	return out
}
