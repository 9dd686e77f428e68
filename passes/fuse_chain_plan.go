package passes

import (
	"slices"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/ops"
)

// solveChain plans the members as a chain: stages, each for a block of rows.
func (p *plan) solveChain(see through) bool {
	g := p.chainGraph()
	least := 0
	var best *chain
	for _, v := range p.members {
		if v.Op != ops.Dot {
			continue
		}
		for _, second := range []bool{false, true} {
			c := growChain(v, second, g)
			if c == nil || len(c.roles) != len(p.members) {
				continue
			}
			kept := 0
			for m := range c.roles {
				if c.large(m) && p.output[m] {
					kept++
				}
			}
			if best == nil || kept < least {
				best, least = c, kept
			}
		}
		if best != nil {
			break
		}
	}
	if best == nil {
		return false
	}
	p.kind, p.chain, p.see = chained, best, see
	p.setStages()
	p.share()
	p.limit = p.findLimit()
	return true
}

func (p *plan) chainGraph() chainGraph {
	users := map[*ir.Value][]*ir.Value{}
	for _, v := range p.members {
		for _, r := range p.reads[v] {
			if p.inside[r.from] && !slices.Contains(users[r.from], v) {
				users[r.from] = append(users[r.from], v)
			}
		}
	}
	return chainGraph{
		can:   func(v *ir.Value) bool { return p.inside[v] },
		reads: p.reads,
		users: func(v *ir.Value) []*ir.Value { return users[v] },
		rows:  true,
	}
}

// setStages cuts the chain into stages: contractions, and the values between
// them, as early as what they read is there. What a later stage reads is an
// output of its stage.
func (p *plan) setStages() {
	level := map[*ir.Value]int{} // even: rows; odd: contractions
	most := 0
	for _, v := range p.members {
		n := 0
		if v.Op == ops.Dot {
			n = 1
		}
		for _, r := range p.reads[v] {
			if !p.inside[r.from] {
				continue
			}
			k := level[r.from]
			switch a, b := r.from.Op == ops.Dot, v.Op == ops.Dot; {
			case a && b:
				k += 2
			case a != b:
				k++
			}
			n = max(n, k)
		}
		level[v] = n
		most = max(most, n)
	}
	p.local = nil
	crosses := map[*ir.Value]bool{}
	for _, v := range p.members {
		for _, r := range p.reads[v] {
			if p.inside[r.from] && (level[r.from] != level[v] || v.Op == ops.Dot) {
				crosses[r.from] = true
			}
		}
	}
	for _, v := range p.members {
		if crosses[v] && !p.output[v] {
			p.local = append(p.local, v)
		}
	}
	p.stages = nil
	for n := 0; n <= most; n++ {
		var members []*ir.Value
		for _, v := range p.members {
			if level[v] != n {
				continue
			}
			if n%2 == 1 {
				p.stages = append(p.stages, p.stage(contraction, []*ir.Value{v}, crosses))
				continue
			}
			members = append(members, v)
		}
		if len(members) > 0 {
			p.stages = append(p.stages, p.stage(rows, members, crosses))
		}
	}
}

// stage is the plan of one stage.
func (p *plan) stage(kind groupKind, members []*ir.Value, crosses map[*ir.Value]bool) *plan {
	c := p.chain
	st := &plan{kind: kind, members: members, inside: map[*ir.Value]bool{}, output: map[*ir.Value]bool{}, reads: p.reads, see: p.see, memory: p.memory, rowOf: map[*ir.Value][]int{}}
	row := c.rowRoles()
	for _, r := range row {
		st.extents = append(st.extents, c.extents[r])
	}
	for _, v := range members {
		st.inside[v] = true
		st.output[v] = p.output[v] || crosses[v]
		at := make([]int, v.Type.Rank())
		for i, r := range c.roles[v] {
			at[i] = slices.Index(row, r)
		}
		st.rowOf[v] = at
	}
	if kind == contraction {
		st.dot = members[0]
		st.form = st.formOf(st.dot, p.see)
		return st
	}
	st.setPhases(members)
	return st
}

// share lets values that are computed between contractions replace, element by
// element, local values that nothing reads later.
func (p *plan) share() {
	p.shares = map[*ir.Value]*ir.Value{}
	last := map[*ir.Value]*plan{} // stage that reads it last
	for _, st := range p.stages {
		for _, v := range st.members {
			for _, r := range p.reads[v] {
				last[r.from] = st
			}
		}
	}
	taken := map[*ir.Value]bool{}
	for _, st := range p.stages {
		if st.kind != rows {
			continue
		}
		needed := st.needed(st.members)
		for _, o := range p.local {
			if !st.inside[o] || st.inRow(o) {
				continue
			}
			// What costs much may be kept where o goes, before o is known.
			first := st.avail[o]
			for _, v := range st.members {
				if costly(v, p.see) && !st.inRow(v) {
					first = min(first, st.avail[v])
				}
			}
			for _, u := range p.local {
				if !taken[u] && last[u] == st && !st.inside[u] && u.Type.Equal(o.Type) && slices.Equal(p.chain.roles[u], p.chain.roles[o]) &&
					needed[u] <= first && st.readInPlace(u, st.members) {
					taken[u] = true
					p.shares[o] = u
					break
				}
			}
		}
	}
}

// rowRoles are the roles of the axes of rows, outermost first.
func (c *chain) rowRoles() []int { return slices.Concat(c.outer, c.middle, []int{c.block}) }

// A chainLimit says that in row t only the indices up to t + more along the
// inner axis matter: what is behind them is masked.
type chainLimit struct {
	inner int // the role
	more  ir.Dim
}

// findLimit finds a mask that compares the counters of the inner axis and of
// rows, such that all that leaves a row, by reductions and contractions, has
// exact zeros, or minus infinity in a maximum, behind it. At least one index of
// every row has to be left. Products with zeros that the mask has made count as
// zero, whatever the other factor.
func (p *plan) findLimit() *chainLimit {
	c := p.chain
	if len(c.inner) != 1 {
		return nil
	}
	for _, v := range p.members {
		if p.output[v] && c.large(v) {
			return nil
		}
	}
	for _, v := range p.members {
		if v.Op != ops.Select || !c.large(v) {
			continue
		}
		l := limitOf(v.Args[0])
		if l == nil || c.roles[v][l.column] != c.inner[0] || c.roles[v][l.row] != c.block || !atLeast0(l.more) {
			continue
		}
		if p.masked(v, l) {
			return &chainLimit{inner: c.inner[0], more: l.more}
		}
	}
	return nil
}

// A triangle is a truth value that holds only where column <= row + more.
type triangle struct {
	column, row int // axes
	more        ir.Dim
}

// limitOf is a triangle that v is in, or nil.
func limitOf(v *ir.Value) *triangle {
	switch v.Op {
	case ops.Broadcast:
		if l := limitOf(v.Args[0]); l != nil {
			axes := ops.Axes.Of(v)
			return &triangle{axes[l.column], axes[l.row], l.more}
		}
	case ops.And:
		for _, a := range v.Args {
			if l := limitOf(a); l != nil {
				return l
			}
		}
	case ops.Less, ops.LessEqual:
		a, ok1 := rampOf(v.Args[0])
		b, ok2 := rampOf(v.Args[1])
		if !ok1 || !ok2 || a.sign == 0 || a.sign != b.sign || a.axis == b.axis {
			return nil
		}
		more := b.from.Sub(a.from)
		if v.Op == ops.Less {
			more = more.AddN(-1)
		}
		if a.sign < 0 {
			a, b = b, a
		}
		return &triangle{a.axis, b.axis, more}
	}
	return nil
}

// A ghost is what all masked elements of a value are.
type ghost uint8

const (
	ghostAny ghost = iota
	ghostZero
	ghostLow // minus infinity
)

// masked reports whether what the members have behind l, the triangle of the
// mask of first, does not matter.
func (p *plan) masked(first *ir.Value, l *triangle) bool {
	c := p.chain
	known := map[*ir.Value]ghost{}
	var of func(v *ir.Value) ghost
	of = func(v *ir.Value) ghost {
		if g, ok := known[v]; ok {
			return g
		}
		g := ghostAny
		arg := func(i int) ghost { return of(v.Args[i]) }
		switch {
		case !p.inside[v] && !p.see(v):
		case v.Op == ops.Const:
			g = ghostOf(ops.Fill.Of(v))
		case v.Op == ops.Broadcast && v.Args[0].Op == ops.Const:
			g = ghostOf(ops.Fill.Of(v.Args[0]))
		case v.Op == ops.Select:
			g = arg(2)
			if m := limitOf(v.Args[0]); (m == nil || !c.large(v) || !sameRoles(c, v, m, first, l)) && arg(1) != g {
				g = ghostAny
			}
		case v.Op == ops.Mul || v.Op == ops.Mulz:
			if arg(0) == ghostZero || arg(1) == ghostZero {
				g = ghostZero
			}
			if arg(0) == ghostLow && positive(v.Args[1]) || arg(1) == ghostLow && positive(v.Args[0]) {
				g = ghostLow
			}
		case v.Op == ops.Div:
			if arg(0) == ghostZero || arg(0) == ghostLow && positive(v.Args[1]) {
				g = arg(0)
			}
		case v.Op == ops.Add:
			switch {
			case arg(0) == ghostLow || arg(1) == ghostLow:
				g = ghostLow
			case arg(0) == ghostZero && arg(1) == ghostZero:
				g = ghostZero
			}
		case v.Op == ops.Sub:
			switch {
			case arg(0) == ghostLow:
				g = ghostLow
			case arg(0) == ghostZero && arg(1) == ghostZero:
				g = ghostZero
			}
		case v.Op == ops.Neg:
			if arg(0) == ghostZero {
				g = ghostZero
			}
		case v.Op == ops.Exp:
			if arg(0) == ghostLow {
				g = ghostZero
			}
		}
		known[v] = g
		return g
	}
	for _, v := range p.members {
		switch {
		case c.ends(v):
			for _, a := range v.Args {
				if p.inside[a] && of(a) != ghostZero {
					return false
				}
			}
		case v.Op.Reducer != nil:
			g := of(v.Args[0])
			if init := v.Op.Reducer.Init(v.Type.Elem); v.Op == ops.Sum && g != ghostZero || v.Op != ops.Sum && (g == ghostAny || ghostOf(init) != g) {
				return false
			}
		}
	}
	return true
}

// sameRoles reports whether the triangle m of v is the triangle l of first.
func sameRoles(c *chain, v *ir.Value, m *triangle, first *ir.Value, l *triangle) bool {
	return c.roles[v][m.column] == c.roles[first][l.column] && c.roles[v][m.row] == c.roles[first][l.row] && m.more.Eq(l.more)
}

func ghostOf(x float64) ghost {
	switch {
	case x == 0:
		return ghostZero
	case x < -1e300:
		return ghostLow
	}
	return ghostAny
}

// positive reports whether v is a constant above zero.
func positive(v *ir.Value) bool {
	for v.Op == ops.Broadcast {
		v = v.Args[0]
	}
	return v.Op == ops.Const && ops.Fill.Of(v) > 0
}
