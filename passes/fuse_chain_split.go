package passes

import (
	"slices"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/ops"
)

// epochs numbers, by ID, the values of the chain c: what follows, through
// values outside the chain, from members of epoch n has epoch n+1 and cannot be
// in one kernel with them.
func (fu *fuser) epochs(c *chain) []int {
	at := make([]int, len(fu.f.Values)) // twice the epoch, plus 1 outside; -1 before the chain
	for i, v := range fu.f.Values {
		at[i] = -1
		for _, a := range v.Args {
			at[i] = max(at[i], at[a.ID])
		}
		switch {
		case c.roles[v] != nil:
			at[i] = (at[i] + 1) / 2 * 2
		case at[i] >= 0 && !fu.see(v):
			at[i] |= 1
		}
	}
	out := make([]int, len(at))
	for i, n := range at {
		out[i] = n / 2
	}
	return out
}

// unchain lets the parts of a chain that cannot be one kernel, such as the
// attention of both directions of a gradient, be kernels of their own: large
// values that an earlier part computes are computed again where a later one
// reads them, from what has been in memory before and values of rows.
func unchain(f *ir.Func) (*ir.Func, error) {
	fu := newFuser(f)
	var chainsOf []*chain
	seen := map[*ir.Value]bool{}
	for _, v := range f.Values {
		if v.Op != ops.Dot || !fu.member(v) || seen[v] || !ops.Outgrows(v) {
			continue
		}
		c := fu.chainOf(v)
		if c == nil {
			continue
		}
		for m := range c.roles {
			seen[m] = true
		}
		chainsOf = append(chainsOf, c)
	}
	if len(chainsOf) == 0 {
		return f, nil
	}
	home := make([]*chain, len(f.Values))
	epoch := make([]int, len(f.Values))
	any := false
	for _, c := range chainsOf {
		e := fu.epochs(c)
		for m := range c.roles {
			home[m.ID], epoch[m.ID] = c, e[m.ID]
			any = any || e[m.ID] > 0
		}
	}
	if !any {
		return f, nil
	}
	type key struct {
		v     *ir.Value
		c     *chain
		epoch int
	}
	again := map[key]*ir.Value{}
	b := &bareBuilder{ir.NewBuilder(f.Name)}
	b.F.Doc = f.Doc
	env := make([]*ir.Value, len(f.Values))
	// stands is what a reader of the given epoch of c reads for v.
	var stands func(v *ir.Value, c *chain, n int) *ir.Value
	stands = func(v *ir.Value, c *chain, n int) *ir.Value {
		if !fu.stale(v, c, home, epoch, n) {
			return env[v.ID]
		}
		k := key{v, c, n}
		if w := again[k]; w != nil {
			return w
		}
		args := make([]*ir.Value, len(v.Args))
		for i, a := range v.Args {
			args[i] = stands(a, c, n)
		}
		again[k] = b.copy(v, args)
		return again[k]
	}
	for _, v := range f.Values {
		if v.Op == ir.Param {
			env[v.ID] = b.Param(v.Scope, v.Type)
			continue
		}
		args := make([]*ir.Value, len(v.Args))
		for i, a := range v.Args {
			if c := home[v.ID]; c != nil {
				args[i] = stands(a, c, epoch[v.ID])
			} else {
				args[i] = env[a.ID]
			}
		}
		env[v.ID] = b.copy(v, args)
	}
	for _, r := range f.Results {
		b.F.Results = append(b.F.Results, env[r.ID])
	}
	return dropUnusedValues(b.F), nil
}

// stale reports whether v, as it is, is no operand for a member of epoch n of c:
// a large value of an earlier epoch that is not in memory anyway, or something
// that is seen through to such a value.
func (fu *fuser) stale(v *ir.Value, c *chain, home []*chain, epoch []int, n int) bool {
	if home[v.ID] == c && c.large(v) {
		return epoch[v.ID] < n && !fu.kept[v.ID]
	}
	return fu.see(v) && slices.ContainsFunc(v.Args, func(a *ir.Value) bool { return fu.stale(a, c, home, epoch, n) })
}
