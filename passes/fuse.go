package passes

import (
	"fmt"
	"slices"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/ops"
)

// fuse splits f into groups, each computed by one kernel: every value of the
// result is a parameter, a Fused, a Scan, a Get of one of them, or a Reshape.
func fuse(f *ir.Func) (*ir.Func, error) {
	f, err := expand(f)
	if err != nil {
		return nil, err
	}
	for _, prepare := range []func(*ir.Func) (*ir.Func, error){oneHot, sink, arrangeDots} {
		if f, err = prepare(f); err != nil {
			return nil, err
		}
	}
	fu := newFuser(f)
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
	of     []*group // by ID, of members
	cloned []bool   // by ID: computed by every group that uses it
	groups []*group // in order of their last member
}

// A group is the members of one kernel.
type group struct {
	members []*ir.Value
	dead    bool // merged into another one
}

func newFuser(f *ir.Func) *fuser {
	n := len(f.Values)
	fu := &fuser{f: f, root: make([]bool, n), users: make([][]*ir.Value, n), kept: make([]bool, n), reads: map[*ir.Value][]reading{}, of: make([]*group, n), cloned: make([]bool, n)}
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

// bottom is v without reshapes.
func bottom(v *ir.Value) *ir.Value {
	for v.Op == ops.Reshape {
		v = v.Args[0]
	}
	return v
}

// splits reports whether finding the element of a tensor of shape from, given
// the indices in shape to, takes divisions.
func splits(to, from []ir.Dim) bool {
	to, from = longer(to), longer(from)
	for i, d := range from {
		if i >= len(to) {
			return true
		}
		// Axes of to that join to one of from need none.
		n := to[0]
		k := 1
		for !n.Eq(d) && k < len(to) {
			n = n.Mul(to[k])
			k++
		}
		if !n.Eq(d) {
			return true
		}
		to = to[k:]
		if len(to) == 0 {
			return i < len(from)-1
		}
	}
	return false
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

// findRoots decides which values are computed once and which wherever they are
// used: inline values have to be in memory only if they are results, operands
// of loops or of ops that read them whole, or what a contraction walks along
// and not just loads.
func (fu *fuser) findRoots() {
	f := fu.f
	in := inlines(f)
	for _, v := range f.Values {
		fu.root[v.ID] = !in[v.ID]
	}
	need := func(v *ir.Value) {
		for fu.kept[v.ID] = true; v.Op == ops.Reshape; {
			v = v.Args[0]
			fu.kept[v.ID] = true
		}
		fu.root[v.ID] = true
	}
	for _, r := range f.Results {
		need(r)
	}
	for _, v := range f.Values {
		switch {
		case v.Op == ops.Scan || v.Op == ops.Fused:
			for _, a := range v.Args {
				need(a)
			}
		case v.Op.Whole:
			for _, a := range v.Args {
				need(a)
			}
		case v.Op == ops.DynUpdate:
			need(v.Args[0])
		}
	}
	for again := true; again; {
		again = false
		for _, v := range f.Values {
			var x *ir.Value
			switch {
			case v.Op == ops.Dot:
				if i := fu.impure(v); i >= 0 {
					x = v.Args[i]
				}
			case v.Op == ops.Reshape && !unitReshape(v):
				if y := v.Args[0]; fu.root[y.ID] || y.Op.Layout && splits(v.Type.Shape, y.Type.Shape) {
					x = y
				}
			}
			if v.Op == ops.Concat && fu.root[v.ID] {
				for _, a := range v.Args {
					if !fu.kept[a.ID] {
						need(a)
						again = true
					}
				}
			}
			if x != nil && (!fu.kept[x.ID] || !fu.root[bottom(x).ID]) {
				need(x)
				again = true
			}
		}
	}
}

// impure is the operand of the dot that is worth computing into memory first,
// so that its rows are contiguous, or -1.
func (fu *fuser) impure(d *ir.Value) int {
	p := &plan{inside: map[*ir.Value]bool{}}
	spec, _ := ops.ParseContraction(ops.Spec.Of(d))
	form := p.formOf(d, fu.see)
	if form.kind != general || len(form.columns) == 0 || len(form.summed) == 0 {
		return -1
	}
	last := form.columns[0]
	for i, letters := range []string{spec.X, spec.Y} {
		other := []string{spec.Y, spec.X}[i]
		if containsRune(letters, last) && !containsRune(other, last) && fu.see(d.Args[i]) && lastLong(d.Args[i], letters) == last {
			return i
		}
	}
	return -1
}

// group makes groups and merges them while that gives one kernel.
func (fu *fuser) group() {
	for _, v := range fu.f.Values {
		if !fu.member(v) {
			continue
		}
		g := &group{members: []*ir.Value{v}}
		fu.of[v.ID] = g
		fu.groups = append(fu.groups, g)
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
	fu.postpone()
	fu.mergeSiblings()
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
	if len(h.members)+len(g.members) > mostMembers || fu.between(h, g) {
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
	for _, v := range members {
		p.inside[v] = true
	}
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

// mergeSiblings joins groups of column sums, and pointwise ones, that read the
// same memory.
func (fu *fuser) mergeSiblings() {
	for again := true; again; {
		again = false
		for i, g := range fu.groups {
			for _, h := range fu.groups[:i] {
				if fu.siblings(h, g) && !fu.between(g, h) && fu.merge(h, g) {
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

// siblings reports whether g and h reduce the same memory along the same axes.
func (fu *fuser) siblings(g, h *group) bool {
	p, q := fu.plan(g.members), fu.plan(h.members)
	if p == nil || q == nil || p.kind != columns || q.kind != columns || !ir.SameShape(p.extents, q.extents) {
		return false
	}
	for _, v := range g.members {
		for _, r := range fu.reads[v] {
			if p.inside[r.from] || r.from.Type.Rank() < 2 {
				continue
			}
			for _, w := range h.members {
				if slices.ContainsFunc(fu.reads[w], func(s reading) bool { return s.from == r.from }) {
					return true
				}
			}
		}
	}
	return false
}

// rebuild writes the groups as values.
func (fu *fuser) rebuild() (*ir.Func, error) {
	b := ir.NewBuilder(fu.f.Name)
	b.F.Doc = fu.f.Doc
	env := make([]*ir.Value, len(fu.f.Values))
	done := map[*group]bool{}
	var err error

	var value func(v *ir.Value) *ir.Value
	emitGroup := func(g *group) {
		done[g] = true
		if e := fu.emit(b, g, env, value); e != nil && err == nil {
			err = e
		}
	}
	value = func(v *ir.Value) *ir.Value {
		if env[v.ID] != nil {
			return env[v.ID]
		}
		switch {
		case fu.member(v):
			if g := fu.of[v.ID]; !done[g] {
				emitGroup(g)
			}
			return env[v.ID]
		default:
			args := make([]*ir.Value, len(v.Args))
			for i, a := range v.Args {
				args[i] = value(a)
			}
			b.Pos, b.Scope = v.Pos, v.Scope
			switch v.Op {
			case ops.Scan:
				l := ops.LoopOf(v)
				body, e := fuse(l.Body)
				if e != nil && err == nil {
					err = e
				}
				if body != nil {
					l.Body = body
				}
				env[v.ID] = rebuildScan(b, l, args)
			default:
				env[v.ID] = b.Copy(v, args)
			}
			return env[v.ID]
		}
	}
	for _, v := range fu.f.Params {
		env[v.ID] = b.Param(v.Scope, v.Type)
	}
	for _, v := range fu.f.Values {
		if v.Op != ir.Param && (fu.member(v) || v.Op == ops.Scan || v.Op == ops.Concat && fu.root[v.ID]) {
			value(v)
		}
	}
	results := make([]*ir.Value, len(fu.f.Results))
	for i, r := range fu.f.Results {
		results[i] = value(r)
	}
	if err != nil {
		return nil, err
	}
	return b.Return(results...)
}

// emit appends the group g to b.
func (fu *fuser) emit(b *ir.Builder, g *group, env []*ir.Value, value func(*ir.Value) *ir.Value) error {
	p := fu.plan(g.members)
	if p == nil {
		return fmt.Errorf("bug in pass fuse: %s: a group has no plan: %v", fu.f.Name, g.members[0].Long())
	}
	body := &bareBuilder{ir.NewBuilder(groupName(p))}
	copies := map[*ir.Value]*ir.Value{}
	var args []*ir.Value
	var params []*ir.Value
	// Parameters come first in a function.
	var find func(v *ir.Value)
	seen := map[*ir.Value]bool{}
	find = func(v *ir.Value) {
		if seen[v] {
			return
		}
		seen[v] = true
		if p.inside[v] || fu.see(v) {
			for _, a := range v.Args {
				find(a)
			}
			return
		}
		params = append(params, v)
	}
	for _, v := range g.members {
		find(v)
	}
	for _, v := range params {
		args = append(args, value(v))
		body.Pos = v.Pos
		copies[v] = body.Param(v.Scope, v.Type)
	}
	var copied func(v *ir.Value) *ir.Value
	copied = func(v *ir.Value) *ir.Value {
		if c := copies[v]; c != nil {
			return c
		}
		as := make([]*ir.Value, len(v.Args))
		for i, a := range v.Args {
			as[i] = copied(a)
		}
		c := body.copy(v, as)
		copies[v] = c
		return c
	}
	var outs, results []*ir.Value
	for _, v := range g.members {
		c := copied(v)
		if p.output[v] {
			outs = append(outs, v)
			results = append(results, c)
		}
	}
	f, err := body.Return(results...)
	if err != nil {
		return fmt.Errorf("bug in pass fuse: %w", err)
	}
	last := g.members[len(g.members)-1]
	b.Pos, b.Scope = last.Pos, commonScope(g.members)
	v := ops.On(b).Group(f, args...)
	for i, o := range outs {
		env[o.ID] = ops.On(b).Get(v, i)
	}
	return nil
}
