package passes

import (
	"slices"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/ops"
)

// loop appends the loop v, and before it what its body computes from what is
// still.
func (r *preparer) loop(g ops.Graph, v *ir.Value, args []*ir.Value, at stillness) (*ir.Value, error) {
	l := ops.LoopWith(v, args)
	still := make([]bool, len(l.Body.Params))
	first := 1 + len(l.Inits)
	_, counted := l.Extent.Const()
	for i, x := range l.Slices {
		still[first+i] = counted && l.Trip == nil && !r.changing && at.still(x)
	}
	for i, x := range l.Invariants {
		still[first+len(l.Slices)+i] = r.changing && l.Trip == nil || at.still(x)
	}
	outside := r.trips
	r.trips = estimate(l.Extent)
	body, err := r.level(l.Body, still)
	r.trips = outside
	if err != nil {
		return nil, err
	}
	l.Body = body
	hoisted := r.frontier(body, still)
	if len(hoisted) == 0 {
		return g.Scan(l), nil
	}

	// What depends on no slice is computed once, the rest by a loop of its own.
	outer := map[*ir.Value]*ir.Value{}
	for i := range l.Invariants {
		outer[l.Invariant(i)] = l.Invariants[i]
	}
	each := ir.NewBuilder(body.Name + "Prepare")
	m := ops.Loop{Extent: l.Extent}
	inner := map[*ir.Value]*ir.Value{l.Counter(): each.Param("i", ir.Tensor(ir.I32))}
	sliced := map[*ir.Value]bool{}
	for i, x := range l.Slices {
		if q := l.Slice(i); still[first+i] {
			sliced[q] = true
			inner[q] = copyParam(each, q)
			m.Slices, m.InAxes = append(m.Slices, x), append(m.InAxes, l.InAxes[i])
		}
	}
	for i, x := range l.Invariants {
		if q := l.Invariant(i); still[first+len(l.Slices)+i] {
			inner[q] = copyParam(each, q)
			m.Invariants = append(m.Invariants, x)
		}
	}
	for _, x := range body.Values {
		sliced[x] = sliced[x] || slices.ContainsFunc(x.Args, func(a *ir.Value) bool { return sliced[a] })
	}
	var results, invariant, varying []*ir.Value
	for _, h := range hoisted {
		if !sliced[h] {
			invariant = append(invariant, h)
			continue
		}
		varying = append(varying, h)
		results = append(results, copyWith(each, h, inner))
		m.OutAxes = append(m.OutAxes, 0)
	}
	nl := l
	nl.Slices, nl.InAxes, nl.Invariants = slices.Clone(l.Slices), slices.Clone(l.InAxes), slices.Clone(l.Invariants)
	if len(varying) > 0 {
		if m.Body, err = each.Return(results...); err != nil {
			return nil, err
		}
		all := g.Scan(m)
		for k, h := range varying {
			x := g.Get(all, k)
			r.panels[x] = r.panels[h]
			nl.Slices, nl.InAxes = append(nl.Slices, x), append(nl.InAxes, 0)
		}
	}
	for _, h := range invariant {
		x := copyWith(g.Builder, h, outer)
		r.panels[x] = r.panels[h]
		nl.Invariants = append(nl.Invariants, x)
	}

	b := ir.NewBuilder(body.Name)
	b.F.Doc = body.Doc
	env := map[*ir.Value]*ir.Value{}
	end := first + len(l.Slices)
	for _, q := range body.Params[:end] {
		env[q] = copyParam(b, q)
	}
	for _, h := range varying {
		env[h] = b.Param(r.name(h), h.Type)
	}
	for _, q := range body.Params[end:] {
		env[q] = copyParam(b, q)
	}
	for _, h := range invariant {
		env[h] = b.Param(r.name(h), h.Type)
	}
	if nl.Body, err = rest(b, body, env); err != nil {
		return nil, err
	}
	return g.Scan(nl), nil
}
