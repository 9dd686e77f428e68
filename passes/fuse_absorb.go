package passes

import (
	"slices"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/ops"
)

// absorb moves what is done element by element to a collected result of a loop
// into the loop, if that gives a result of f: gradients of stacked weights are
// added to those of the micro-batches before slice by slice, without memory
// for the whole stack.
func absorb(f *ir.Func) (*ir.Func, error) {
	moved := map[*ir.Value]*region{} // by what the region gives
	byScan := map[*ir.Value][]*region{}
	for _, v := range f.Values {
		if v.Op != ops.Get || v.Args[0].Op != ops.Scan {
			continue
		}
		if r := regionOf(f, v); r != nil {
			moved[r.exit] = r
			byScan[r.scan] = append(byScan[r.scan], r)
		}
	}
	if len(moved) == 0 {
		return f, nil
	}
	b := ir.NewBuilder(f.Name)
	b.F.Doc = f.Doc
	env := make([]*ir.Value, len(f.Values))
	for _, p := range f.Params {
		env[p.ID] = b.Param(p.Scope, p.Type)
	}
	var value func(v *ir.Value) *ir.Value
	value = func(v *ir.Value) *ir.Value {
		if env[v.ID] != nil {
			return env[v.ID]
		}
		if r := moved[v]; r != nil {
			s := value(r.scan)
			b.Pos, b.Scope = v.Pos, v.Scope
			env[v.ID] = ops.On(b).Get(s, r.index)
			return env[v.ID]
		}
		args := make([]*ir.Value, len(v.Args))
		for i, a := range v.Args {
			args[i] = value(a)
		}
		if rs := byScan[v]; rs != nil {
			env[v.ID] = absorbed(b, v, args, rs, value)
		} else {
			env[v.ID] = b.Copy(v, args)
		}
		return env[v.ID]
	}
	for _, v := range f.Values {
		// Loops stay in order; all else follows from the results.
		if v.Op == ops.Scan {
			value(v)
		}
	}
	results := make([]*ir.Value, len(f.Results))
	for i, r := range f.Results {
		results[i] = value(r)
	}
	return b.Return(results...)
}

// A region is the values that are computed element by element from a collected
// result of a loop; nothing but exit is used elsewhere.
type region struct {
	scan   *ir.Value
	index  int // of the element of the tuple
	get    *ir.Value
	values []*ir.Value // in order
	exit   *ir.Value
}

// regionOf is the region of the element get of a loop, or nil.
func regionOf(f *ir.Func, get *ir.Value) *region {
	s := get.Args[0]
	l := ops.LoopOf(s)
	r := &region{scan: s, index: ops.Axis.Of(get), get: get}
	k := r.index - len(l.Inits)
	if l.Trip != nil || k < 0 || l.OutAxes[k] != 0 {
		return nil
	}
	in := map[*ir.Value]bool{get: true}
	after := make([]bool, len(f.Values)) // depends on the loop
	after[s.ID] = true
	for _, v := range f.Values[s.ID+1:] {
		ready := true
		any := false
		for _, a := range v.Args {
			after[v.ID] = after[v.ID] || after[a.ID]
			any = any || in[a]
			ready = ready && (in[a] || !after[a.ID])
		}
		if v != get && any && ready && v.Op.Lane != nil && !v.Op.Costly && ir.SameShape(v.Type.Shape, get.Type.Shape) {
			in[v] = true
			r.values = append(r.values, v)
			r.exit = v
		}
	}
	if r.exit == nil || !slices.Contains(f.Results, r.exit) {
		return nil
	}
	for _, v := range f.Values {
		if v.Op == ops.Get && v != get && v.Args[0] == s && ops.Axis.Of(v) == r.index {
			return nil
		}
		for _, a := range v.Args {
			if in[a] && !in[v] {
				return nil
			}
		}
	}
	for _, x := range f.Results {
		if in[x] && x != r.exit {
			return nil
		}
	}
	return r
}

// absorbed is the loop v, applied to args, with regions in its body.
func absorbed(b *ir.Builder, v *ir.Value, args []*ir.Value, regions []*region, value func(*ir.Value) *ir.Value) *ir.Value {
	l := ops.LoopOf(v)
	n, m := len(l.Inits), len(l.Slices)
	old := l.Body
	body := &bareBuilder{ir.NewBuilder(old.Name)}
	body.F.Doc = old.Doc
	env := map[*ir.Value]*ir.Value{}
	for _, p := range old.Params[:1+n+m] {
		env[p] = body.Param(p.Scope, p.Type)
	}
	inits, slicesOf, invariants := args[:n:n], args[n:n+m:n+m], args[n+m:]
	inAxes := slices.Clone(l.InAxes)

	// Operands of the regions from outside: whole stacks are sliced, anything
	// else is computed in the body from what does not vary.
	outer := map[*ir.Value]*ir.Value{} // operand to parameter of the body
	var whole, fixed []*ir.Value
	var sort func(x *ir.Value)
	sort = func(x *ir.Value) {
		switch {
		case slices.Contains(whole, x) || slices.Contains(fixed, x):
		case x.Op == ops.Const:
		case x.Op == ops.Broadcast && !slices.Contains(ops.Axes.Of(x), 0):
			if y := x.Args[0]; !slices.Contains(fixed, y) && y.Op != ops.Const {
				fixed = append(fixed, y)
			}
		default:
			whole = append(whole, x)
		}
	}
	for _, r := range regions {
		for _, x := range r.values {
			for _, a := range x.Args {
				if a != r.get && !slices.Contains(r.values, a) {
					sort(a)
				}
			}
		}
	}
	for _, x := range whole {
		outer[x] = body.Param(x.Scope, x.Type.WithShape(x.Type.Shape[1:]...))
		slicesOf = append(slicesOf, value(x))
		inAxes = append(inAxes, 0)
	}
	for _, p := range old.Params[1+n+m:] {
		env[p] = body.Param(p.Scope, p.Type)
	}
	for _, x := range fixed {
		outer[x] = body.Param(x.Scope, x.Type)
		invariants = append(invariants[:len(invariants):len(invariants)], value(x))
	}

	for _, x := range old.Values {
		if x.Op == ir.Param {
			continue
		}
		as := make([]*ir.Value, len(x.Args))
		for i, a := range x.Args {
			as[i] = env[a]
		}
		env[x] = body.copy(x, as)
	}
	results := make([]*ir.Value, len(old.Results))
	for i, x := range old.Results {
		results[i] = env[x]
	}
	g := ops.On(body.Builder)
	for _, r := range regions {
		inner := map[*ir.Value]*ir.Value{r.get: results[r.index]}
		operand := func(a *ir.Value) *ir.Value {
			switch {
			case inner[a] != nil:
				return inner[a]
			case a.Op == ops.Const:
				return g.Constant(a.Type.Elem, ops.Fill.Of(a), a.Type.Shape[1:]...)
			case outer[a] != nil:
				return outer[a]
			}
			y := a.Args[0]
			z := outer[y]
			if z == nil {
				z = g.Constant(y.Type.Elem, ops.Fill.Of(y), y.Type.Shape...)
			}
			axes := slices.Clone(ops.Axes.Of(a))
			for i := range axes {
				axes[i]--
			}
			return g.Broadcast(z, a.Type.Shape[1:], axes...)
		}
		for _, x := range r.values {
			as := make([]*ir.Value, len(x.Args))
			for i, a := range x.Args {
				as[i] = operand(a)
			}
			g.Pos, g.Scope = x.Pos, x.Scope
			inner[x] = g.Copy(x, as)
		}
		results[r.index] = inner[r.exit]
	}
	body.F.Results = results
	l.Body, l.Inits, l.Slices, l.InAxes, l.Invariants = body.F, inits, slicesOf, inAxes, invariants
	b.Pos, b.Scope = v.Pos, v.Scope
	return ops.On(b).Scan(l)
}
