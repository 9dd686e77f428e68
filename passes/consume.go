package passes

import (
	"slices"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/ops"
)

// consumes reports whether e updates weights by gradients that are in no memory
// of the trainer: these have to be gone as soon as possible.
func consumes(e *ir.Entry) bool {
	return slices.ContainsFunc(e.Out, func(o ir.Binding) bool { return o.Kind == ir.SquaresKind })
}

// mostRow is the number of elements from which on a row is long enough to be
// summed by itself.
const mostRow = 256

// rowSums takes sums of whole tensors apart: first of rows, by the kernels that
// have the elements at hand, then of those sums.
func rowSums(f *ir.Func) (*ir.Func, error) {
	return mapFunc(f, func(b *ir.Builder, v *ir.Value, args []*ir.Value) (*ir.Value, error) {
		if v.Op != ops.Sum || v.Type.Rank() > 0 || v.Arg(0).Rank() < 2 {
			return b.Copy(v, args), nil
		}
		shape := v.Arg(0).Shape
		at := len(shape) - 1
		for n := shape[at]; at > 1 && estimate(n) < mostRow; n = n.Mul(shape[at]) {
			at--
		}
		g := ops.On(b)
		rows := g.Sum(args[0], axesFrom(at, len(shape))...)
		return g.Sum(rows, axesFrom(0, at)...), nil
	})
}

// squared is the gradient of whose rows v is the sum of squares, or nil.
func squared(v *ir.Value) *ir.Value {
	if v.Op != ops.Sum {
		return nil
	}
	switch x := v.Args[0]; {
	case x.Op == ops.Square:
		return x.Args[0]
	case x.Op == ops.Mul && x.Args[0] == x.Args[1]:
		return x.Args[0]
	}
	return nil
}

// isGradient reports whether g is a contraction of whose result the squares are
// summed. It has to be in memory then, where the sum and the update read it
// together.
func (fu *fuser) isGradient(g *group) bool {
	if len(g.members) != 1 || g.members[0].Op != ops.Dot {
		return false
	}
	d := g.members[0]
	return slices.ContainsFunc(fu.f.Values[d.ID+1:], func(v *ir.Value) bool { return squared(v) == d })
}

// mergeConsumers joins what sums the squares of a gradient and what updates a
// weight by it.
func (fu *fuser) mergeConsumers() {
	for _, v := range fu.f.Values {
		x := squared(v)
		if x == nil || v.Type.Rank() == 0 {
			continue
		}
		for again := true; again; {
			again = false
			for _, h := range fu.groups {
				if g := fu.of[v.ID]; g != nil && h != g && fu.readsAny(h.members, x) && !fu.between(g, h) && fu.merge(h, g) {
					again = true
					break
				}
			}
		}
	}
}

// arrange puts the calls of f, which has been fused, in an order that lets go of
// gradients soon: what updates memory in place comes as soon as what it reads is
// there and nothing else needs the old content, and what only an update needs
// comes directly before it. Params and dest are the places of parameters and
// results.
func arrange(f *ir.Func, params, dest []*place) *ir.Func {
	use := usageOf(f)
	readers := map[*ir.Value][]*ir.Value{} // by parameter
	for _, v := range f.Values {
		if !isCall(v) {
			continue
		}
		for _, a := range v.Args {
			if p := base(a).Value; p.Op == ir.Param && !slices.Contains(readers[p], v) {
				readers[p] = append(readers[p], v)
			}
		}
	}
	// Which calls update which parameters in place.
	over := map[*ir.Value][]*ir.Value{}
	for k, r := range f.Results {
		u := base(r).Value
		if u.Op == ir.Param {
			continue
		}
		for i, p := range f.Params {
			if params[i].alloc != nil && params[i].alloc == dest[k].alloc && inWeights(dest[k]) {
				over[u] = append(over[u], p)
			}
		}
	}
	if len(over) == 0 {
		return f
	}
	// Owner is the update that alone needs a value.
	owner := make([]*ir.Value, len(f.Values))
	users := make([][]*ir.Value, len(f.Values))
	for _, v := range f.Values {
		for _, a := range v.Args {
			users[a.ID] = append(users[a.ID], v)
		}
	}
	for i := len(f.Values) - 1; i >= 0; i-- {
		v := f.Values[i]
		if over[v] != nil && v.Op != ops.Scan {
			owner[i] = v
			continue
		}
		if v.Op == ops.Scan || v.Op == ir.Param || len(users[i]) == 0 || len(use.result[base(v)]) > 0 {
			continue
		}
		o := owner[users[i][0].ID]
		for _, u := range users[i] {
			if owner[u.ID] != o {
				o = nil
			}
		}
		owner[i] = o
	}

	b := &bareBuilder{ir.NewBuilder(f.Name)}
	b.F.Doc = f.Doc
	env := make([]*ir.Value, len(f.Values))
	for _, p := range f.Params {
		env[p.ID] = b.Param(p.Scope, p.Type)
	}
	var emit func(v *ir.Value)
	emit = func(v *ir.Value) {
		if env[v.ID] != nil {
			return
		}
		args := make([]*ir.Value, len(v.Args))
		for i, a := range v.Args {
			emit(a)
			args[i] = env[a.ID]
		}
		env[v.ID] = b.copy(v, args)
	}
	// ready reports whether all that update u needs of others is there.
	ready := func(u *ir.Value) bool {
		for _, p := range over[u] {
			for _, r := range readers[p] {
				if r != u && owner[r.ID] != u && env[r.ID] == nil {
					return false
				}
			}
		}
		seen := map[*ir.Value]bool{}
		var there func(v *ir.Value) bool
		there = func(v *ir.Value) bool {
			if env[v.ID] != nil || seen[v] {
				return true
			}
			seen[v] = true
			if isCall(v) && owner[v.ID] != u {
				return false
			}
			return !slices.ContainsFunc(v.Args, func(a *ir.Value) bool { return !there(a) })
		}
		return there(u)
	}
	var waiting []*ir.Value
	for _, v := range f.Values {
		if owner[v.ID] == v {
			waiting = append(waiting, v)
		}
	}
	flush := func() {
		for again := true; again; {
			again = false
			for i, u := range waiting {
				if env[u.ID] != nil || ready(u) {
					// In order: what was computed first is the oldest in the caches.
					for _, v := range f.Values {
						if owner[v.ID] == u && isCall(v) {
							emit(v)
						}
					}
					waiting = slices.Delete(waiting, i, i+1)
					again = true
					break
				}
			}
		}
	}
	flush()
	for _, v := range f.Values {
		if isCall(v) && owner[v.ID] == nil {
			emit(v)
			flush()
		}
	}
	for _, v := range f.Values {
		if isCall(v) {
			emit(v)
		}
	}
	for _, r := range f.Results {
		emit(r)
		b.F.Results = append(b.F.Results, env[r.ID])
	}
	return b.F
}

// isCall reports whether v, of a fused function, runs kernels.
func isCall(v *ir.Value) bool {
	return v.Op == ops.Fused || v.Op == ops.Scan || v.Op == ops.Concat
}

// inWeights reports whether p is a weight or a moment, or a part of one.
func inWeights(p *place) bool { return p.space == loop.Weights || p.space == loop.Moments }
