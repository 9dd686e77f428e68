package passes

import (
	"github.com/lmc-lang/lmc/ir/loop"
)

// loop writes f in the way that was chosen, or chooses.
func (v *vectoriser) loop(f *loop.For) {
	switch {
	case v.strip != nil:
		v.innerLoop(f)
	case !v.choosing:
		if c := v.chosen[f]; c != nil {
			v.vectorLoop(f, c)
		} else {
			v.scalarLoop(f)
		}
	default:
		v.choose(f)
	}
}

// extentOf is the number of iterations of f if it is known.
func extentOf(f *loop.For) (int, bool) {
	if f.From.Val != nil || f.To.Val != nil {
		return 0, false
	}
	return f.To.Dim.Sub(f.From.Dim).Const()
}

// bound is an end of a loop, which must be the same for all lanes.
func (v *vectoriser) bound(b loop.Bound) loop.Bound {
	if b.Val == nil {
		return b
	}
	x := v.of(b.Val)
	if x.uniform() && len(x.at.Terms) == 0 {
		return loop.Bound{Dim: x.at.Off}
	}
	return loop.Bound{Val: v.scalar(x)}
}

// scalarLoop writes f as it is, outside of vectors. A carried value that is a
// sum which a loop inside takes in vectors stays in vectors until f is done.
func (v *vectoriser) scalarLoop(f *loop.For) {
	parts := make([]*sum, len(f.Carry))
	var init []*loop.Val
	for i, c := range f.Carry {
		x := v.env[c.Init]
		if x.part != nil {
			parts[i] = x.part
			init = append(init, x.vec...)
			continue
		}
		s, copies := v.partsOf(f, i)
		if parts[i] = s; s != nil {
			init = append(init, s.start(v, v.of(c.Init), copies)...)
			continue
		}
		init = append(init, v.scalar(v.of(c.Init)))
	}
	at := func(vals []*loop.Val, i int) (*lanes, []*loop.Val) {
		if s := parts[i]; s != nil {
			return &lanes{elem: f.Carry[i].Phi.Elem, vec: vals[:s.copies], part: s}, vals[s.copies:]
		}
		return scalarLanes(vals[0]), vals[1:]
	}
	out := v.For(f.Var.Name, v.bound(f.From), v.bound(f.To), f.Step, init, func(i *loop.Val, phi []*loop.Val) []*loop.Val {
		v.env[f.Var] = integerLanes(loop.At(i))
		for k, c := range f.Carry {
			v.env[c.Phi], phi = at(phi, k)
		}
		v.block(f.Body)
		var next []*loop.Val
		for k, c := range f.Carry {
			if parts[k] != nil {
				next = append(next, v.env[c.Next].vec...)
			} else {
				next = append(next, v.scalar(v.of(c.Next)))
			}
		}
		return next
	})
	v.after(f)
	for k, c := range f.Carry {
		x, rest := at(out, k)
		if s := parts[k]; s != nil && v.env[c.Init].part == nil {
			x = scalarLanes(s.total(v, x.vec, v.of(c.Init)))
		}
		v.env[c.Out], out = x, rest
	}
}

func (v *vectoriser) after(f *loop.For) {
	if f.After != nil {
		after := v.NewVal(loop.Int, f.Var.Name)
		v.LastLoop().After = after
		v.env[f.After] = integerLanes(loop.At(after))
	}
}

// innerLoop writes a loop inside of a loop over vectors: all lanes run it side
// by side.
func (v *vectoriser) innerLoop(f *loop.For) {
	if n, ok := extentOf(f); ok && f.Step == 1 && f.After == nil && n > 0 && n <= unrollAtMost && n*size(f.Body) <= unrollSize {
		v.unrolled(f, n)
		return
	}
	var init []*loop.Val
	vec := make([]bool, len(f.Carry))
	for i, c := range f.Carry {
		x := v.of(c.Init)
		if vec[i] = v.varying[c.Phi]; !vec[i] {
			init = append(init, v.scalar(x))
			continue
		}
		for u := range v.copies {
			init = append(init, v.vector(x, u))
		}
	}
	at := func(vals []*loop.Val, i int) (*lanes, []*loop.Val) {
		if vec[i] {
			return &lanes{elem: f.Carry[i].Phi.Elem, vec: vals[:v.copies]}, vals[v.copies:]
		}
		return scalarLanes(vals[0]), vals[1:]
	}
	from, to := v.bound(f.From), v.bound(f.To)
	out := v.For(f.Var.Name, from, to, f.Step, init, func(i *loop.Val, phi []*loop.Val) []*loop.Val {
		v.env[f.Var] = integerLanes(loop.At(i))
		for k, c := range f.Carry {
			v.env[c.Phi], phi = at(phi, k)
		}
		v.block(f.Body)
		var next []*loop.Val
		for k, c := range f.Carry {
			x := v.of(c.Next)
			if !vec[k] {
				next = append(next, v.scalar(x))
				continue
			}
			for u := range v.copies {
				next = append(next, v.vector(x, u))
			}
		}
		return next
	})
	v.after(f)
	for k, c := range f.Carry {
		v.env[c.Out], out = at(out, k)
	}
}

// Loops inside of loops over vectors are written out if they are short, such as
// those over the places of a window.
const (
	unrollAtMost = 4
	unrollSize   = 100
)

func size(body []loop.Stmt) int {
	n := 0
	walk(body, func(s loop.Stmt) {
		n++
		if f, ok := s.(*loop.For); ok {
			if c, ok := extentOf(f); ok && c <= unrollAtMost {
				n += (c - 1) * size(f.Body)
			}
		}
	})
	return n
}

func (v *vectoriser) unrolled(f *loop.For, n int) {
	for _, c := range f.Carry {
		v.env[c.Phi] = v.of(c.Init)
	}
	for i := range n {
		v.env[f.Var] = integerLanes(loop.AtDim(f.From.Dim.AddN(i)))
		v.block(f.Body)
		next := make([]*lanes, len(f.Carry))
		for k, c := range f.Carry {
			next[k] = v.of(c.Next)
		}
		for k, c := range f.Carry {
			v.env[c.Phi] = next[k]
		}
	}
	for _, c := range f.Carry {
		v.env[c.Out] = v.env[c.Phi]
	}
}

// vectorLoop writes f over vectors: several at a time, then one by one, then
// the rest with a mask.
func (v *vectoriser) vectorLoop(f *loop.For, c *choice) {
	if f.Step != 1 || f.After != nil {
		v.unfit("it runs in steps")
	}
	v.independent(f)
	for _, s := range v.foldsOf(f) {
		if s != nil && s.leader >= 0 { // its parts are not combined
			c = &choice{copies: 1, multiple: c.multiple}
		}
	}
	sums, acc := v.sums(f, c.copies)
	from, to := v.bound(f.From), v.bound(f.To)
	v.varying = v.variesIn(f)
	v.strip = f
	r := &vectorRun{v, f, acc}
	if n, ok := extentOf(f); ok {
		r.known(n, c.copies)
	} else {
		rest := r.loop(from, to, c.copies, nil)
		width := loop.Lanes * c.copies
		if c.copies > 1 && (c.multiple == 0 || c.multiple%width != 0) && !multiple(f, width) {
			rest = r.loop(rest, to, 1, nil)
			width = loop.Lanes
		}
		if (c.multiple == 0 || c.multiple%width != 0) && !multiple(f, width) {
			// One iteration if anything is left.
			n, end := to.Val, loop.Bound{Dim: to.Dim.AddN(loop.Lanes - 1)}
			if n == nil {
				n = v.SizeOf(to.Dim)
			} else {
				end = loop.Bound{Val: v.IndexVal(loop.At(n).Add(loop.AtDim(loop.N(loop.Lanes - 1))))}
			}
			r.loop(rest, end, 1, func(pos *loop.Val) *loop.Val { return v.Do(loop.First, v.Do(loop.Sub, n, pos)) })
		}
	}
	v.strip, v.copies, v.masks, v.varying = nil, 0, nil, nil
	v.finishSums(f, sums, acc)
}

// A vectorRun writes the parts of a loop over vectors.
type vectorRun struct {
	v   *vectoriser
	f   *loop.For
	acc [][]*loop.Val // the parts of the carried values, by copy
}

// body writes the iterations of n vectors from pos on, and returns the next
// parts of the carried values.
func (r *vectorRun) body(pos loop.Index, n int, mask *loop.Val, phi []*loop.Val) (next []*loop.Val) {
	v := r.v
	v.copies, v.masks, v.guarded = n, nil, false
	if mask != nil {
		v.masks = []*loop.Val{mask}
	}
	v.env[r.f.Var] = &lanes{elem: loop.Int, at: pos, step: loop.N(1)}
	for k, c := range r.f.Carry {
		v.env[c.Phi] = &lanes{elem: c.Phi.Elem, vec: phi[k*n : (k+1)*n]}
	}
	v.block(r.f.Body)
	for k, c := range r.f.Carry {
		x := v.of(c.Next)
		for u := range n {
			y := v.vector(x, u)
			if mask != nil {
				y = v.Do(loop.Select, mask, y, phi[k*n+u])
			}
			next = append(next, y)
		}
	}
	return next
}

func (r *vectorRun) parts(n int) (out []*loop.Val) {
	for _, a := range r.acc {
		out = append(out, a[:n]...)
	}
	return out
}

func (r *vectorRun) setParts(n int, xs []*loop.Val) {
	for k, a := range r.acc {
		copy(a, xs[k*n:(k+1)*n])
	}
}

// straight writes the iterations of n vectors from pos on.
func (r *vectorRun) straight(pos loop.Index, n int, mask *loop.Val) {
	r.setParts(n, r.body(pos, n, mask, r.parts(n)))
}

// loop writes a loop over n vectors at a time; it returns where the rest begins.
func (r *vectorRun) loop(from, to loop.Bound, n int, mask func(pos *loop.Val) *loop.Val) loop.Bound {
	out := r.v.For(r.f.Var.Name, from, to, loop.Lanes*n, r.parts(n), func(i *loop.Val, phi []*loop.Val) []*loop.Val {
		var m *loop.Val
		if mask != nil {
			m = mask(i)
		}
		return r.body(loop.At(i), n, m, phi)
	})
	r.setParts(n, out)
	after := r.v.NewVal(loop.Int, r.f.Var.Name)
	r.v.LastLoop().After = after
	return loop.Bound{Val: after}
}

// known writes a loop of n iterations.
func (r *vectorRun) known(n, copies int) {
	pos, end := r.f.From.Dim, r.f.To.Dim
	for _, k := range []int{copies, 1} {
		width := loop.Lanes * k
		switch times := n / width; times {
		case 0:
			continue
		case 1:
			r.straight(loop.AtDim(pos), k, nil)
		default:
			r.loop(loop.Bound{Dim: pos}, loop.Bound{Dim: pos.AddN(n / width * width)}, k, nil)
		}
		pos = pos.AddN(n / width * width)
		n %= width
	}
	if n > 0 {
		r.straight(loop.AtDim(pos), 1, r.v.Do(loop.First, r.v.SizeOf(end.Sub(pos))))
	}
}

// multiple reports whether the number of iterations of f is known to be a
// multiple of n.
func multiple(f *loop.For, n int) bool {
	if f.From.Val != nil || f.To.Val != nil {
		return false
	}
	_, ok := f.To.Dim.Sub(f.From.Dim).Div(loop.N(n))
	return ok
}
