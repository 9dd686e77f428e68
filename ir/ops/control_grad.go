package ops

import (
	"slices"

	"github.com/lmc-lang/lmc/ir"
)

// scanGrad is the gradient of the loop v. The body is differentiated once, by
// Backprop, into one function of forward and backward values; residuals are
// the forward values that the backward ones read (see control_residual.go for which).
// It appends two loops:
//
//   - v with the residuals as further collected results. The pass cse merges
//     it with v, so that the loop runs once;
//   - the loop in the opposite direction. It carries the cotangents of the
//     carried values and the sums of those of the invariants; slices are
//     residuals and the cotangents of collected results; it collects the
//     cotangents of sliced operands, so that the gradient of a stack of
//     weights is written slice by slice.
func scanGrad(b *ir.Builder, v, dy *ir.Value, need []bool) ([]*ir.Value, error) {
	l := LoopOf(v)
	if l.Trip != nil {
		return nil, &GradientError{v.Pos, "a loop over a run-time number of iterations has no gradient"}
	}
	g := On(b)
	s := differentiate(g, l, dy, need)
	none := make([]*ir.Value, len(v.Args))
	if s == nil {
		return none, nil
	}
	if s.err != nil {
		return nil, s.err
	}
	keep := residuals(s, l)
	kept := s.forward(g, l, v, keep)
	return s.backward(g, l, keep, kept), nil
}

// A step is one iteration of a loop together with its gradient: values of
// both directions in one function.
type step struct {
	err   error
	both  *ir.Func
	loop  Loop        // of the copied body: Counter(), Carry(i), … are values of both
	cots  []*ir.Value // the cotangents that flow into the iteration: of live carries, then of live collected values
	grads []*ir.Value // what flows out: parallel to wrt
	wrt   []int       // parameters of the body: live carries first, then slices and invariants that matter
	live  []int       // carries with a cotangent, ascending
	seeds []int       // collected results with a cotangent, ascending
	dys   []*ir.Value // the cotangents of seeds, outside the loop
	last  []*ir.Value // the cotangents of the last values of live carries, outside the loop
}

// differentiate copies the body and appends its gradient; nil if nothing flows
// back to an operand that matters.
func differentiate(g Graph, l Loop, dy *ir.Value, need []bool) *step {
	f, n := l.Body, len(l.Inits)
	dys := make([]*ir.Value, len(f.Results))
	for i := range dys {
		dys[i] = g.Get(dy, i)
	}
	active, live := activity(l, dys, need)

	s := &step{}
	var outs []int // results of the body that have cotangents
	for i := range n {
		if active[1+i] && live[i] {
			s.live = append(s.live, i)
			s.wrt = append(s.wrt, 1+i)
			s.last = append(s.last, dys[i])
		}
	}
	outs = append(outs, s.live...)
	reached := reach(f, marks(f, func(i int) bool { return active[i] }))
	for k := range l.OutAxes {
		if live[n+k] && reached[f.Results[n+k].ID] {
			s.seeds = append(s.seeds, k)
			s.dys = append(s.dys, dys[n+k])
			outs = append(outs, n+k)
		}
	}
	for i := 1 + n; i < len(f.Params); i++ {
		if active[i] {
			s.wrt = append(s.wrt, i)
		}
	}
	if len(outs) == 0 || len(s.wrt) == 0 {
		return nil
	}

	nb := ir.NewBuilder(f.Name)
	params := make([]*ir.Value, len(f.Params))
	for i, p := range f.Params {
		params[i] = nb.Param(p.Scope, p.Type)
	}
	for _, o := range outs {
		s.cots = append(s.cots, nb.Param("d", f.Results[o].Type))
	}
	s.loop = l
	s.loop.Body = nb.F
	results := nb.Inline(f, params)
	seeded := make([]*ir.Value, len(outs))
	for i, o := range outs {
		seeded[i] = results[o]
	}
	wrt := make([]*ir.Value, len(s.wrt))
	for i, p := range s.wrt {
		wrt[i] = params[p]
	}
	s.grads, s.err = Backprop(nb, seeded, s.cots, wrt)
	s.both, _ = nb.Return(results...)
	return s
}

// activity finds the parameters of the body through which something flows to
// operands that matter, and the results of the body that have cotangents. Both
// follow carried values around the loop.
func activity(l Loop, dys []*ir.Value, need []bool) (active, live []bool) {
	f, n := l.Body, len(l.Inits)
	active = make([]bool, len(f.Params))
	for i := range need {
		active[1+i] = need[i] && differentiable(f.Params[1+i].Type)
	}
	for again := true; again; {
		again = false
		on := reach(f, marks(f, func(i int) bool { return active[i] }))
		for i := range n {
			if !active[1+i] && on[f.Results[i].ID] {
				active[1+i], again = true, true
			}
		}
	}
	live = make([]bool, len(f.Results))
	for i, r := range f.Results {
		live[i] = differentiable(r.Type) && !isZero(dys[i])
	}
	for again := true; again; {
		again = false
		var outs []*ir.Value
		for i, r := range f.Results {
			if live[i] {
				outs = append(outs, r)
			}
		}
		on := reachBack(f, outs)
		for i := range n {
			if !live[i] && on[l.Carry(i).ID] {
				live[i], again = true, true
			}
		}
	}
	return active, live
}

// marks is a set of parameters of f, by ID.
func marks(f *ir.Func, in func(i int) bool) []bool {
	on := make([]bool, len(f.Values))
	for i, p := range f.Params {
		on[p.ID] = in(i)
	}
	return on
}

// A residual is a forward value that the backward loop reads.
type residual struct {
	v       *ir.Value // in step.both
	outside bool      // the same in every iteration: computed once, before the loop
	result  int       // v is already this collected result of the loop, or -1
}

// forward appends the loop with the residuals as collected results, and
// returns what the backward loop is to read: whole stacks, or the values
// themselves where they are outside.
func (s *step) forward(g Graph, l Loop, v *ir.Value, keep []residual) []*ir.Value {
	out := make([]*ir.Value, len(keep))
	more := l
	more.OutAxes = slices.Clone(l.OutAxes)
	results := slices.Clone(s.both.Results)
	index := make([]int, len(keep))
	for i, r := range keep {
		index[i] = r.result
		if !r.outside && r.result < 0 {
			index[i] = len(results)
			results = append(results, r.v)
			more.OutAxes = append(more.OutAxes, 0)
		}
	}
	whole := v
	if len(more.OutAxes) > len(l.OutAxes) {
		nb := ir.NewBuilder(l.Body.Name)
		env := make(map[*ir.Value]*ir.Value)
		for i, p := range l.Body.Params {
			env[s.both.Params[i]] = nb.Param(p.Scope, p.Type)
		}
		more.Body, _ = nb.Return(transplant(nb, s.both, env, results)...)
		whole = g.Scan(more)
	}
	outside := make(map[*ir.Value]*ir.Value)
	for i := range l.Invariants {
		outside[s.loop.Invariant(i)] = l.Invariants[i]
	}
	for i, r := range keep {
		if r.outside {
			out[i] = transplant(g.Builder, s.both, outside, []*ir.Value{r.v})[0]
		} else {
			out[i] = g.Get(whole, index[i])
		}
	}
	return out
}

// backward appends the loop in the opposite direction and returns the
// cotangents of the operands of l.
func (s *step) backward(g Graph, l Loop, keep []residual, kept []*ir.Value) []*ir.Value {
	nb := ir.NewBuilder(l.Body.Name)
	env := make(map[*ir.Value]*ir.Value)
	back := Loop{Extent: l.Extent, Reverse: !l.Reverse, Remat: l.Remat}
	env[s.loop.Counter()] = nb.Param("i", ir.Tensor(ir.I32))
	carry := func(name string, init *ir.Value) *ir.Value {
		back.Inits = append(back.Inits, init)
		return nb.Param(name, init.Type)
	}
	for i := range s.live {
		env[s.cots[i]] = carry("d", s.last[i])
	}
	// What flows out, sorted: cotangents of carries, slices, invariants.
	n := 1 + len(l.Inits)
	m := n + len(l.Slices)
	var sums, next, stacked []*ir.Value
	var invariants, sliced []int // parameters of the body
	next = append(next, s.grads[:len(s.live)]...)
	for i := len(s.live); i < len(s.wrt); i++ {
		switch p := s.wrt[i]; {
		case isZero(s.grads[i]):
		case p < m:
			sliced = append(sliced, p-n)
			stacked = append(stacked, s.grads[i])
		default:
			invariants = append(invariants, p-m)
			sums = append(sums, carry("sum", g.Like(l.Invariants[p-m], 0)))
			next = append(next, s.grads[i])
		}
	}

	// Slices: residuals, cotangents of collected values, and the forward slices
	// that are read again.
	slice := func(v, whole *ir.Value, axis int, name string) {
		back.Slices = append(back.Slices, whole)
		back.InAxes = append(back.InAxes, axis)
		env[v] = nb.Param(name, v.Type)
	}
	for i, r := range keep {
		switch {
		case r.outside:
		case r.result >= 0:
			slice(r.v, kept[i], l.OutAxes[r.result-len(l.Inits)], "kept")
		default:
			slice(r.v, kept[i], 0, "kept")
		}
	}
	for i, k := range s.seeds {
		slice(s.cots[len(s.live)+i], s.dys[i], l.OutAxes[k], "d")
	}
	stop := make(map[*ir.Value]bool, len(env))
	for v := range env {
		stop[v] = true
	}
	for _, r := range keep {
		stop[r.v] = true
	}
	used := cone(s.both, slices.Concat(next, stacked), stop)
	for i := range l.Slices {
		if p := s.loop.Slice(i); used[p.ID] && !stop[p] {
			slice(p, l.Slices[i], l.InAxes[i], p.Scope)
		}
	}
	invariant := func(v, outside *ir.Value, name string) {
		back.Invariants = append(back.Invariants, outside)
		env[v] = nb.Param(name, v.Type)
	}
	for i, r := range keep {
		if r.outside {
			invariant(r.v, kept[i], "kept")
		}
	}
	for i := range l.Invariants {
		if p := s.loop.Invariant(i); used[p.ID] && !stop[p] {
			invariant(p, l.Invariants[i], p.Scope)
		}
	}

	results := transplant(nb, s.both, env, slices.Concat(next, stacked))
	gb := On(nb)
	for i, acc := range sums {
		k := len(s.live) + i
		results[k] = gb.Add(acc, results[k])
	}
	for _, i := range sliced {
		back.OutAxes = append(back.OutAxes, l.InAxes[i])
	}
	back.Body, _ = nb.Return(results...)
	if nb.Err != nil && g.Err == nil {
		g.Err = nb.Err
	}
	w := g.Scan(back)

	out := make([]*ir.Value, len(l.Inits)+len(l.Slices)+len(l.Invariants))
	for i, c := range s.live {
		out[c] = g.Get(w, i)
	}
	for i, p := range sliced {
		out[len(l.Inits)+p] = g.Get(w, len(back.Inits)+i)
	}
	for i, p := range invariants {
		out[len(l.Inits)+len(l.Slices)+p] = g.Get(w, len(s.live)+i)
	}
	return out
}

// cone marks, by ID, the values of f that results are computed from, down to
// parameters and to the values in stop, which are included.
func cone(f *ir.Func, results []*ir.Value, stop map[*ir.Value]bool) []bool {
	in := make([]bool, len(f.Values))
	for _, r := range results {
		in[r.ID] = true
	}
	for i := len(f.Values) - 1; i >= 0; i-- {
		if v := f.Values[i]; in[i] && !stop[v] {
			for _, a := range v.Args {
				in[a.ID] = true
			}
		}
	}
	return in
}

// transplant copies what results need from f to b, where env gives some values
// already, and returns the copies of results. It adds to env.
func transplant(b *ir.Builder, f *ir.Func, env map[*ir.Value]*ir.Value, results []*ir.Value) []*ir.Value {
	stop := make(map[*ir.Value]bool, len(env))
	for v := range env {
		stop[v] = true
	}
	in := cone(f, results, stop)
	for i, v := range f.Values {
		if !in[i] || stop[v] {
			continue
		}
		args := make([]*ir.Value, len(v.Args))
		for k, a := range v.Args {
			args[k] = env[a]
		}
		env[v] = b.Copy(v, args)
	}
	out := make([]*ir.Value, len(results))
	for i, r := range results {
		out[i] = env[r]
	}
	return out
}
