package passes

import (
	"slices"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/ops"
)

// absorb moves what is done element by element to collected results of a loop
// into the loop, if that gives results of f: gradients of stacked weights are
// added to those of the micro-batches before, or consumed by the optimiser, slice
// by slice, without memory for the whole stack. Sums within slices go along.
func absorb(f *ir.Func) (*ir.Func, error) {
	byScan := map[*ir.Value]*absorption{}
	for _, v := range f.Values {
		if v.Op == ops.Scan {
			if a := absorptionOf(f, v); a != nil {
				byScan[v] = a
			}
		}
	}
	if len(byScan) == 0 {
		return f, nil
	}
	at := map[*ir.Value]*absorption{} // by what is computed in the loop then and is needed outside
	for _, a := range byScan {
		for _, x := range a.exits {
			at[x] = a
		}
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
		a, index := at[v], -1
		switch {
		case a != nil:
			index = a.indexOf(v)
		case v.Op == ops.Get && byScan[v.Args[0]] != nil:
			a = byScan[v.Args[0]]
			index = a.kept[ops.Axis.Of(v)]
		}
		if a != nil {
			s := value(a.scan)
			b.Pos, b.Scope = v.Pos, v.Scope
			env[v.ID] = ops.On(b).Get(s, index)
			return env[v.ID]
		}
		args := make([]*ir.Value, len(v.Args))
		for i, a := range v.Args {
			args[i] = value(a)
		}
		if a := byScan[v]; a != nil {
			env[v.ID] = a.build(b, args, value)
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

// An absorption is what moves into a loop: values whose first axis counts its
// iterations, and that are computed from collected results and from what is
// known before the loop.
type absorption struct {
	scan   *ir.Value
	values []*ir.Value       // in order
	gets   map[int]*ir.Value // of the collected results that nothing else reads
	exits  []*ir.Value       // values that are needed outside, in order
	kept   []int             // per result of the loop: its new index, or -1
}

// indexOf is the index of an exit among the results of the new loop.
func (a *absorption) indexOf(x *ir.Value) int {
	n := slices.Index(a.exits, x)
	for _, k := range a.kept {
		if k >= 0 {
			n++
		}
	}
	return n
}

// absorptionOf is what moves into the loop s, or nil.
func absorptionOf(f *ir.Func, s *ir.Value) *absorption {
	l := ops.LoopOf(s)
	if l.Trip != nil {
		return nil
	}
	part := map[*ir.Value]*ir.Value{} // of gets and candidates: another one of the same part, or itself
	var find func(v *ir.Value) *ir.Value
	find = func(v *ir.Value) *ir.Value {
		if part[v] != v {
			part[v] = find(part[v])
		}
		return part[v]
	}
	gets := make([]*ir.Value, len(s.Type.Tuple))
	bad := map[*ir.Value]bool{} // by representative, in the end
	var spoilt []*ir.Value
	after := make([]bool, len(f.Values)) // depends on the loop
	after[s.ID] = true
	for _, v := range f.Values[s.ID+1:] {
		if v.Op == ops.Get && v.Args[0] == s {
			after[v.ID] = true
			if k := ops.Axis.Of(v) - len(l.Inits); k >= 0 && l.OutAxes[k] == 0 {
				part[v] = v
				if g := gets[ops.Axis.Of(v)]; g != nil {
					spoilt = append(spoilt, v, g)
				}
				gets[ops.Axis.Of(v)] = v
			}
			continue
		}
		ready := v.Op.Lane != nil && !v.Op.Costly || v.Op == ops.Sum && !slices.Contains(ops.Axes.Of(v), 0)
		any := false
		for _, a := range v.Args {
			after[v.ID] = after[v.ID] || after[a.ID]
			any = any || part[a] != nil
			ready = ready && (part[a] != nil || !after[a.ID])
		}
		switch {
		case any && ready:
			part[v] = v
			for _, a := range v.Args {
				if part[a] != nil {
					part[find(a)] = v
				}
			}
		case any:
			// What is read outside has to be small, or the whole stack is in memory.
			for _, a := range v.Args {
				if part[a] != nil && a.Op != ops.Sum {
					spoilt = append(spoilt, a)
				}
			}
		}
	}
	a := &absorption{scan: s, gets: map[int]*ir.Value{}}
	isResult := func(v *ir.Value) bool { return slices.Contains(f.Results, v) }
	gives := map[*ir.Value]bool{} // parts that give results of f
	for v := range part {
		if isResult(v) {
			gives[find(v)] = true
			if v.Op == ops.Get {
				spoilt = append(spoilt, v)
			}
		}
	}
	for _, v := range spoilt {
		bad[find(v)] = true
	}
	moves := func(v *ir.Value) bool { return part[v] != nil && gives[find(v)] && !bad[find(v)] }
	for _, v := range f.Values[s.ID+1:] {
		if !moves(v) {
			continue
		}
		if v.Op == ops.Get {
			a.gets[ops.Axis.Of(v)] = v
		} else {
			a.values = append(a.values, v)
		}
	}
	if len(a.values) == 0 {
		return nil
	}
	a.addOperands(f)
	inside := map[*ir.Value]bool{}
	for _, v := range a.values {
		inside[v] = true
	}
	used := map[*ir.Value]bool{}
	for _, v := range f.Values {
		if !inside[v] {
			for _, x := range v.Args {
				used[x] = true
			}
		}
	}
	for _, v := range a.values {
		if used[v] || isResult(v) {
			a.exits = append(a.exits, v)
		}
	}
	n := 0
	for i := range s.Type.Tuple {
		if a.gets[i] != nil {
			a.kept = append(a.kept, -1)
			continue
		}
		a.kept = append(a.kept, n)
		n++
	}
	return a
}

// addOperands lets operands that are computed element by element and that
// nothing outside reads move, too, such as a moment times its factor.
func (a *absorption) addOperands(f *ir.Func) {
	users := make([][]*ir.Value, len(f.Values))
	for _, v := range f.Values {
		for _, x := range v.Args {
			users[x.ID] = append(users[x.ID], v)
		}
	}
	inside := make([]bool, len(f.Values))
	operand := make([]bool, len(f.Values)) // of the whole stack
	add := func(v *ir.Value) {
		inside[v.ID] = true
		for _, x := range v.Args {
			operand[x.ID] = operand[x.ID] || v.Op.Lane != nil
		}
	}
	for _, v := range a.values {
		add(v)
	}
	for i := len(f.Values) - 1; i >= 0; i-- {
		v := f.Values[i]
		if inside[i] || !operand[i] || v.Op.Lane == nil || v.Op.Costly || slices.Contains(f.Results, v) ||
			slices.ContainsFunc(users[i], func(u *ir.Value) bool { return !inside[u.ID] }) {
			continue
		}
		add(v)
		a.values = append(a.values, v)
	}
	slices.SortFunc(a.values, func(x, y *ir.Value) int { return x.ID - y.ID })
}

// build is the loop, applied to args, with the values in its body.
func (a *absorption) build(b *ir.Builder, args []*ir.Value, value func(*ir.Value) *ir.Value) *ir.Value {
	v := a.scan
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
	inner := map[*ir.Value]*ir.Value{} // what values and gets are in the body

	// Operands from outside: whole stacks are sliced, anything else is computed in
	// the body from what does not vary.
	outer := map[*ir.Value]*ir.Value{} // operand to parameter of the body
	var whole, fixed []*ir.Value
	sort := func(x *ir.Value) {
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
	for _, x := range a.values {
		for _, y := range x.Args {
			if !slices.Contains(a.values, y) && !(y.Op == ops.Get && a.gets[ops.Axis.Of(y)] == y) {
				sort(y)
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
	var outAxes []int
	for i, x := range old.Results {
		if g := a.gets[i]; g != nil {
			inner[g] = env[x]
			continue
		}
		body.F.Results = append(body.F.Results, env[x])
		if i >= n {
			outAxes = append(outAxes, l.OutAxes[i-n])
		}
	}
	g := ops.On(body.Builder)
	operand := func(x *ir.Value) *ir.Value {
		switch {
		case inner[x] != nil:
			return inner[x]
		case x.Op == ops.Const:
			return g.Constant(x.Type.Elem, ops.Fill.Of(x), x.Type.Shape[1:]...)
		case outer[x] != nil:
			return outer[x]
		}
		y := x.Args[0]
		z := outer[y]
		if z == nil {
			z = g.Constant(y.Type.Elem, ops.Fill.Of(y), y.Type.Shape...)
		}
		return g.Broadcast(z, x.Type.Shape[1:], inSlice(ops.Axes.Of(x))...)
	}
	for _, x := range a.values {
		as := make([]*ir.Value, len(x.Args))
		for i, y := range x.Args {
			as[i] = operand(y)
		}
		g.Pos, g.Scope = x.Pos, x.Scope
		if x.Op == ops.Sum {
			inner[x] = g.Sum(as[0], inSlice(ops.Axes.Of(x))...)
		} else {
			inner[x] = g.Copy(x, as)
		}
	}
	for _, x := range a.exits {
		body.F.Results = append(body.F.Results, inner[x])
		outAxes = append(outAxes, 0)
	}
	l.Body, l.Inits, l.Slices, l.InAxes, l.Invariants, l.OutAxes = body.F, inits, slicesOf, inAxes, invariants, outAxes
	b.Pos, b.Scope = v.Pos, v.Scope
	return ops.On(b).Scan(l)
}

// inSlice is axes in a tensor without its first axis.
func inSlice(axes []int) []int {
	out := slices.Clone(axes)
	for i := range out {
		out[i]--
	}
	return out
}
