package passes

import (
	"slices"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/ops"
)

// A chain is a group around a contraction whose result is much larger than its
// operands, such as the scores of attention:
//
//	z[o,t,s] = sum[c] x[o,t,c] * y[o,s,c]     scores
//	values of the same axes, and reductions over s
//	a[o,t,d] = sum[s] z[o,t,s] * v[o,s,d]     weighted sums
//	b[o,s,d] = sum[t] z[o,t,s] * w[o,t,d]     sums over the rows
//
// Every member has the outer axes o and, except for sums over the rows, the row
// axes t. So the kernel computes all members for a block of rows, then for the
// next one, and what is needed inside alone never is in memory as a whole.
//
// A role is the number of an axis of the scores; every axis of a member that is
// longer than 1 has one or is its own.
type chain struct {
	extents []ir.Dim // by role
	outer   []int    // roles that all members have: a piece of the grid is one index of each
	middle  []int    // roles of rows that loops run over inside a piece
	block   int      // the role of rows that is cut into blocks
	inner   []int    // roles that the scores have besides
	roles   map[*ir.Value][]int
}

// Roles of axes that have no number.
const (
	unitAxis = -1 // the axis has extent 1
	ownAxis  = -2 // of a weighted sum or a sum over the rows alone
)

// A chainGraph is what a chain grows in.
type chainGraph struct {
	can   func(v *ir.Value) bool // may become a member
	reads map[*ir.Value][]reading
	users func(v *ir.Value) []*ir.Value
	rows  bool // also values of rows that do not come from members
}

// growChain finds the chain around the scores seed: rows are the axes of the
// first operand, or of the second one if second is set. It is nil if seed is no
// such contraction.
func growChain(seed *ir.Value, second bool, g chainGraph) *chain {
	c := &chain{block: -1, roles: map[*ir.Value][]int{}}
	spec, _ := ops.ParseContraction(ops.Spec.Of(seed))
	x, y := spec.X, spec.Y
	if second {
		x, y = y, x
	}
	roles := make([]int, seed.Type.Rank())
	most := int64(0)
	for i, r := range spec.Out {
		roles[i] = unitAxis
		d := seed.Type.Shape[i]
		if d.Is(1) {
			continue
		}
		n := len(c.extents)
		roles[i] = n
		c.extents = append(c.extents, d)
		switch a, b := containsRune(x, r), containsRune(y, r); {
		case a && b:
			c.outer = append(c.outer, n)
		case b:
			c.inner = append(c.inner, n)
		default:
			c.middle = append(c.middle, n)
			if size := ops.Elements(ir.Tensor(ir.F32, d)); size > most {
				most, c.block = size, n
			}
		}
	}
	c.middle = slices.DeleteFunc(c.middle, func(n int) bool { return n == c.block })
	if c.block < 0 || len(c.inner) == 0 || !c.scores(seed, roles) {
		return nil
	}
	c.roles[seed] = roles
	for queue := []*ir.Value{seed}; len(queue) > 0; {
		m := queue[0]
		queue = queue[1:]
		try := func(v *ir.Value, roles []int) {
			if c.fits(v, roles, g) {
				c.roles[v] = roles
				queue = append(queue, v)
			}
		}
		if c.rank(m) == 0 {
			continue
		}
		for _, u := range g.users(m) {
			if g.can(u) && c.roles[u] == nil {
				try(u, c.following(u, g))
			}
		}
		if !c.large(m) && !g.rows {
			continue
		}
		for _, r := range g.reads[m] {
			if g.can(r.from) && c.roles[r.from] == nil {
				if roles := c.preceding(m, r); c.full(roles) || g.rows && c.row(roles) {
					try(r.from, roles)
				}
			}
		}
	}
	return c
}

// rank is what v is: 2 for the axes of the scores, 1 for those of the rows, 0
// for the sums at the end of the chain.
func (c *chain) rank(v *ir.Value) int { return c.rankOf(c.roles[v]) }

func (c *chain) rankOf(roles []int) int {
	switch {
	case c.full(roles):
		return 2
	case c.row(roles):
		return 1
	}
	return 0
}

// large reports whether v has all axes of the scores.
func (c *chain) large(v *ir.Value) bool { return c.full(c.roles[v]) }

// full reports whether these are the axes of the scores, each once.
func (c *chain) full(roles []int) bool { return c.exactly(roles, true) }

// row reports whether these are the outer axes and those of rows.
func (c *chain) row(roles []int) bool { return c.exactly(roles, false) }

func (c *chain) exactly(roles []int, inner bool) bool {
	seen := make([]bool, len(c.extents))
	for _, r := range roles {
		switch {
		case r == unitAxis:
			continue
		case r < 0 || seen[r] || !inner && slices.Contains(c.inner, r):
			return false
		}
		seen[r] = true
	}
	for r, ok := range seen {
		if !ok && (inner || !slices.Contains(c.inner, r)) {
			return false
		}
	}
	return roles != nil
}

// preceding are the roles of the value that the member m reads by r; nil if an
// index does not stay what it is.
func (c *chain) preceding(m *ir.Value, r reading) []int {
	out := make([]int, len(r.axes))
	for j, o := range r.axes {
		switch o.kind {
		case unit:
			out[j] = unitAxis
		case fromAxis:
			out[j] = c.roles[m][o.axis]
		default:
			return nil
		}
	}
	return out
}

// following are the roles of u, which reads members; nil if it cannot be one.
func (c *chain) following(u *ir.Value, g chainGraph) []int {
	if u.Op == ops.Dot {
		return c.ending(u)
	}
	out := make([]int, u.Type.Rank())
	for i, d := range u.Type.Shape {
		out[i] = ownAxis
		if d.Is(1) {
			out[i] = unitAxis
		}
	}
	for _, r := range g.reads[u] {
		roles := c.roles[r.from]
		if roles == nil {
			continue
		}
		for j, o := range r.axes {
			if o.kind == fromAxis {
				out[o.axis] = roles[j]
			}
		}
	}
	return out
}

// ending are the roles of a contraction of a member with a value that is none;
// nil if it is neither a weighted sum nor a sum over the rows.
func (c *chain) ending(d *ir.Value) []int {
	spec, _ := ops.ParseContraction(ops.Spec.Of(d))
	letters := []string{spec.X, spec.Y}
	i := 0
	if !c.large(d.Args[0]) {
		i = 1
	}
	m, other := d.Args[i], letters[1-i]
	if !c.large(m) || c.roles[d.Args[1-i]] != nil {
		return nil
	}
	at := map[rune]int{}
	rows, inner := 0, 0 // how many of them are summed
	for k, r := range letters[i] {
		role := c.roles[m][k]
		at[r] = role
		if role == unitAxis {
			continue
		}
		kept, shared := containsRune(spec.Out, r), containsRune(other, r)
		switch {
		case slices.Contains(c.outer, role):
			if !kept || !shared {
				return nil
			}
		case kept == shared:
			return nil
		case slices.Contains(c.inner, role):
			if !kept {
				inner++
			}
		case !kept:
			rows++
		}
	}
	if all := 1 + len(c.middle); !(rows == 0 && inner == len(c.inner) || rows == all && inner == 0) {
		return nil
	}
	out := make([]int, len(spec.Out))
	own := 0
	for k, r := range spec.Out {
		role, ok := at[r]
		switch {
		case d.Type.Shape[k].Is(1):
			role = unitAxis
		case !ok:
			role = ownAxis
			own++
		}
		out[k] = role
	}
	if own == 0 {
		return nil
	}
	return out
}

// scores reports whether the contraction d is one like the seed: one operand
// has the outer and the row axes, the other the outer and the inner ones.
func (c *chain) scores(d *ir.Value, roles []int) bool {
	if d.Type.Elem != ir.F32 || c.roles[d.Args[0]] != nil || c.roles[d.Args[1]] != nil {
		return false
	}
	spec, _ := ops.ParseContraction(ops.Spec.Of(d))
	sums := false
	for _, r := range spec.Summed() {
		sums = sums || !spec.Extent(r, d.Arg(0), d.Arg(1)).Is(1)
	}
	rowsIn, innerIn := [2]bool{}, [2]bool{}
	for k, r := range spec.Out {
		role := roles[k]
		if role < 0 {
			continue
		}
		in := [2]bool{containsRune(spec.X, r), containsRune(spec.Y, r)}
		if slices.Contains(c.outer, role) {
			if !in[0] || !in[1] {
				return false
			}
			continue
		}
		for i := range in {
			if slices.Contains(c.inner, role) {
				innerIn[i] = innerIn[i] || in[i]
			} else {
				rowsIn[i] = rowsIn[i] || in[i]
			}
		}
	}
	return sums && rowsIn[0] != rowsIn[1] && innerIn[0] != innerIn[1] && rowsIn[0] != innerIn[0]
}

// fits reports whether v may be a member with these roles: it has the axes of
// one, is computed in a way that is known, and it and the members agree about
// the axes.
func (c *chain) fits(v *ir.Value, roles []int, g chainGraph) bool {
	rank := c.rankOf(roles)
	switch {
	case roles == nil:
		return false
	case v.Op == ops.Dot:
		if rank != 2 {
			end := c.ending(v)
			return end != nil && slices.Equal(end, roles)
		}
		if !c.scores(v, roles) {
			return false
		}
	case rank == 0 || v.Op.Lane == nil && v.Op.Reducer == nil || v.Op.Reducer != nil && rank != 1:
		return false
	}
	for i, r := range roles {
		if r >= 0 && !v.Type.Shape[i].Eq(c.extents[r]) {
			return false
		}
	}
	agree := func(u *ir.Value, roles []int, from []int, r reading) bool {
		for j, o := range r.axes {
			switch {
			case o.kind == unit || from[j] == unitAxis:
			case o.kind == fromAxis && roles[o.axis] == from[j]:
			case o.kind == fromLoop && u.Op.Reduces && u.Op != ops.Dot && slices.Contains(c.inner, from[j]):
			case o.kind == fromLoop && u.Op == ops.Dot:
			default:
				return false
			}
		}
		return true
	}
	for _, r := range g.reads[v] {
		if from := c.roles[r.from]; from != nil && (c.rankOf(from) == 0 || !agree(v, roles, from, r)) {
			return false
		}
	}
	for _, u := range g.users(v) {
		known := c.roles[u]
		if known == nil {
			continue
		}
		for _, r := range g.reads[u] {
			if r.from == v && !agree(u, known, roles, r) {
				return false
			}
		}
	}
	return true
}

// members lists the values of the chain in order. Values of rows that lead to
// nothing in it are none.
func (c *chain) members(g chainGraph) []*ir.Value {
	var out []*ir.Value
	for v := range c.roles {
		out = append(out, v)
	}
	slices.SortFunc(out, func(a, b *ir.Value) int { return a.ID - b.ID })
	for i := len(out) - 1; i >= 0 && !g.rows; i-- {
		v := out[i]
		used := slices.ContainsFunc(g.users(v), func(u *ir.Value) bool { return c.roles[u] != nil })
		if c.rank(v) == 1 && v.Op.Reducer == nil && !used {
			delete(c.roles, v)
			out = slices.Delete(out, i, i+1)
		}
	}
	return out
}

// ends reports whether v is a weighted sum or a sum over the rows.
func (c *chain) ends(v *ir.Value) bool { return c.roles[v] != nil && c.rank(v) == 0 }

// chains makes the groups that are chains.
func (fu *fuser) chains() {
	for _, v := range fu.f.Values {
		if v.Op != ops.Dot || !fu.member(v) || fu.of[v.ID] != nil || !ops.Outgrows(v) {
			continue
		}
		c := fu.chainOf(v)
		if c == nil {
			continue
		}
		epoch := fu.epochs(c)
		g := &group{}
		for _, m := range c.members(fu.chainGraph()) {
			if epoch[m.ID] == epoch[v.ID] {
				g.members = append(g.members, m)
			}
		}
		for _, m := range g.members {
			fu.chain[m.ID] = v
		}
		if p := fu.plan(g.members); p == nil || p.kind != chained || !p.worthChaining() {
			fu.unmark(g)
			continue
		}
		for _, m := range g.members {
			fu.of[m.ID] = g
		}
		if fu.between(g, g) {
			fu.unmark(g)
			continue
		}
		fu.groups = append(fu.groups, g)
	}
}

// unmark leaves the members of g to other groups.
func (fu *fuser) unmark(g *group) {
	for _, m := range g.members {
		fu.of[m.ID], fu.chain[m.ID] = nil, nil
	}
}

func (fu *fuser) chainGraph() chainGraph {
	return chainGraph{
		can:   func(v *ir.Value) bool { return fu.member(v) && fu.of[v.ID] == nil },
		reads: fu.reads,
		users: func(v *ir.Value) []*ir.Value { return fu.users[v.ID] },
	}
}

// chainOf is the chain around the scores v, or nil: of the two ways to take the
// rows, the one that has fewer large values in memory.
func (fu *fuser) chainOf(v *ir.Value) *chain {
	var best *chain
	least := 0
	for _, second := range []bool{false, true} {
		g := fu.chainGraph()
		c := growChain(v, second, g)
		if c == nil {
			continue
		}
		members := c.members(g)
		if !slices.ContainsFunc(members, c.ends) {
			continue
		}
		kept := 0
		for _, m := range members {
			if c.large(m) && fu.escapes(m, memberSet(members)) {
				kept++
			}
		}
		if best == nil || kept < least {
			best, least = c, kept
		}
	}
	return best
}

func memberSet(members []*ir.Value) map[*ir.Value]bool {
	in := map[*ir.Value]bool{}
	for _, m := range members {
		in[m] = true
	}
	return in
}

// worthChaining reports whether the chain has large values that need not be in
// memory.
func (p *plan) worthChaining() bool {
	inside, ends := false, false
	for _, v := range p.members {
		inside = inside || p.chain.large(v) && !p.output[v]
		ends = ends || p.chain.ends(v)
	}
	return inside && ends
}
