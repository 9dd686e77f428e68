package passes

import (
	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/ops"
)

// invariants computes before a loop what is the same in each of its
// iterations. Constants, layout ops, random draws and cheap ops on something
// smaller than their result stay inside unless something that moves needs
// them: they cost little there, and memory outside. A carried value that never
// changes becomes an invariant, and constants come in from outside.
func invariants(f *ir.Func) (*ir.Func, error) {
	var fail error
	g, err := rewrite(f, func(g ops.Graph, v *ir.Value, args []*ir.Value) *ir.Value {
		attrs, err := withBodies(v, invariants)
		if err != nil {
			fail = err
			return nil
		}
		if v.Op != ops.Scan {
			return g.Do(v.Op, args, attrs...)
		}
		l := ops.LoopWith(v, args)
		l.Body = attrs[len(attrs)-1].Func()
		nl, like := importConstants(g, l)
		return like(moveOut(g, nl))
	})
	if fail != nil {
		return nil, fail
	}
	if err != nil {
		return nil, err
	}
	return sweep(g)
}

// importConstants is l with constant operands computed inside and carried
// values that never change as invariants; see changed for like.
func importConstants(g ops.Graph, l ops.Loop) (nl ops.Loop, like func(ops.Loop) *ir.Value) {
	r := reshape(l)
	some := false
	n, m := 1+len(l.Inits), 1+len(l.Inits)+len(l.Slices)
	for i, x := range l.Slices {
		if x.Op == ops.Const {
			p := l.Slice(i)
			r.inside[n+i] = func(g ops.Graph) *ir.Value { return g.Like(p, ops.Fill.Of(x)) }
			some = true
		}
	}
	for i, x := range l.Invariants {
		if x.Op.Source && len(x.Args) == 0 {
			r.inside[m+i] = func(g ops.Graph) *ir.Value { return g.Copy(x, nil) }
			some = true
		}
	}
	var still []int
	for i, x := range l.Inits {
		if l.Body.Results[i] == l.Carry(i) {
			still = append(still, i)
			r.outside[i], r.result[i] = x, gone
		}
	}
	if !some && len(still) == 0 {
		return l, g.Scan
	}
	// A carried value becomes an invariant by way of a body with one more parameter.
	if len(still) > 0 {
		l = appendInvariants(l, still)
		r.param = append(r.param, make([]int, len(still))...)
		for k, i := range still {
			r.param[len(r.param)-len(still)+k] = kept
			r.param[1+i] = len(r.param) - len(still) + k
		}
	}
	r.clean = sweep
	return changed(g, l, r)
}

// appendInvariants gives the body one more invariant for each of the carried
// values in which, with their first values.
func appendInvariants(l ops.Loop, which []int) ops.Loop {
	b := ir.NewBuilder(l.Body.Name)
	var params []*ir.Value
	for _, p := range l.Body.Params {
		params = append(params, copyParam(b, p))
	}
	inv := append([]*ir.Value(nil), l.Invariants...)
	for _, i := range which {
		copyParam(b, l.Carry(i))
		inv = append(inv, l.Inits[i])
	}
	l.Body, _ = b.Return(b.Inline(l.Body, params)...)
	l.Invariants = inv
	return l
}

// moveOut is l without the work that is the same in every iteration, which it
// appends.
func moveOut(g ops.Graph, l ops.Loop) ops.Loop {
	f := l.Body
	varies := make([]bool, len(f.Values))
	for i, p := range f.Params {
		varies[p.ID] = i < 1+len(l.Inits)+len(l.Slices)
	}
	worth := make([]bool, len(f.Values)) // itself or something it is computed from costs time
	reads := make([]int, len(f.Values))  // elements of the largest parameter that it is computed from
	for i, v := range f.Values {
		if v.Op == ir.Param {
			reads[i] = estimate(v.Type.Len())
			continue
		}
		for _, a := range v.Args {
			varies[i] = varies[i] || varies[a.ID]
			worth[i] = worth[i] || worth[a.ID]
			reads[i] = max(reads[i], reads[a.ID])
		}
		switch cheap := v.Op.Lane != nil && !v.Op.Costly; {
		case v.Op.Layout, v.Op.Source:
		case cheap:
			worth[i] = worth[i] || estimate(v.Type.Len()) <= reads[i]
		default:
			worth[i] = true
		}
	}
	// What moves: the last values of costly chains. A layout op after them stays inside.
	moves := make([]bool, len(f.Values))
	mark := func(v *ir.Value) {
		for !varies[v.ID] && worth[v.ID] && v.Op.Layout && len(v.Args) == 1 && v.Args[0].Type.Tuple == nil {
			v = v.Args[0]
		}
		moves[v.ID] = !varies[v.ID] && worth[v.ID] && v.Type.Tuple == nil
	}
	for _, v := range f.Values {
		if varies[v.ID] {
			for _, a := range v.Args {
				mark(a)
			}
		}
	}
	for _, r := range f.Results {
		mark(r)
	}
	any := false
	for _, m := range moves {
		any = any || m
	}
	if !any {
		return l
	}

	outer := make([]*ir.Value, len(f.Values))
	for i := range l.Invariants {
		outer[l.Invariant(i).ID] = l.Invariants[i]
	}
	var need func(v *ir.Value) *ir.Value
	need = func(v *ir.Value) *ir.Value {
		if outer[v.ID] == nil {
			args := make([]*ir.Value, len(v.Args))
			for i, a := range v.Args {
				args[i] = need(a)
			}
			outer[v.ID] = g.Copy(v, args)
		}
		return outer[v.ID]
	}
	b := ir.NewBuilder(f.Name)
	b.F.Doc = f.Doc
	inner := make([]*ir.Value, len(f.Values))
	for _, p := range f.Params {
		inner[p.ID] = copyParam(b, p)
	}
	nl := l
	nl.Invariants = append([]*ir.Value(nil), l.Invariants...)
	for i, v := range f.Values {
		if moves[i] {
			nl.Invariants = append(nl.Invariants, need(v))
			inner[i] = b.Param(nameOf(v), v.Type)
		}
	}
	for i, v := range f.Values {
		if inner[i] != nil {
			continue
		}
		args := make([]*ir.Value, len(v.Args))
		for k, a := range v.Args {
			args[k] = inner[a.ID]
		}
		inner[i] = b.Copy(v, args)
	}
	results := make([]*ir.Value, len(f.Results))
	for i, r := range f.Results {
		results[i] = inner[r.ID]
	}
	body, err := b.Return(results...)
	if err == nil {
		body, err = sweep(body)
	}
	if err != nil && g.Err == nil {
		g.Err = err
	}
	nl.Body = body
	return nl
}

// nameOf names the parameter that stands for v.
func nameOf(v *ir.Value) string {
	if v.Op == ir.Param {
		return v.Scope
	}
	return v.Op.Name
}
