package passes

import (
	"slices"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/ops"
)

// A value is a tensor of a function: an element of a tuple or, with index -1,
// an ir.Value.
type value struct {
	*ir.Value
	i int
}

// base is the value whose memory v is a view of.
func base(v *ir.Value) value {
	for {
		switch v.Op {
		case ops.Reshape:
			v = v.Args[0]
		case ops.Get:
			return value{v.Args[0], ops.Axis.Of(v)}
		default:
			return value{v, -1}
		}
	}
}

// typeOf is the type of the tensor v.
func typeOf(v value) ir.Type {
	if v.i < 0 {
		return v.Type
	}
	return v.Type.Tuple[v.i]
}

// A usage says how the memory of the values of a function is used.
type usage struct {
	last   map[value]int   // ID of the last value that reads it
	uses   map[value]int   // how many operands read it
	result map[value][]int // results of the function that are in it
}

func usageOf(f *ir.Func) usage {
	u := usage{map[value]int{}, map[value]int{}, map[value][]int{}}
	for _, v := range f.Values {
		if v.Op == ops.Reshape || v.Op == ops.Get {
			continue
		}
		for _, a := range v.Args {
			u.last[base(a)] = v.ID
			u.uses[base(a)]++
		}
	}
	for k, r := range f.Results {
		u.result[base(r)] = append(u.result[base(r)], k)
	}
	return u
}

// deliverParams copies results that are parameters right away, if nothing is
// in the memory where they go: then the parameters may be overwritten later.
func (fr *frame) deliverParams(dest []*place) error {
	for k, r := range fr.f.Results {
		b := base(r)
		if b.Op != ir.Param || !fr.fresh(dest[k]) {
			continue
		}
		p, err := fr.place(r)
		if err != nil {
			return err
		}
		if err := fr.copy(p, dest[k], r.Type); err != nil {
			return err
		}
		fr.done[k] = true
		rest := fr.use.result[b][:0:0]
		for _, i := range fr.use.result[b] {
			if i != k {
				rest = append(rest, i)
			}
		}
		if fr.use.result[b] = rest; len(rest) == 0 {
			delete(fr.use.result, b)
		}
	}
	return nil
}

// aim decides which values are computed where the results have to go. Memory
// that holds an old value is taken only if nothing reads that later.
func (fr *frame) aim(dest []*place) {
	for k, r := range fr.f.Results {
		b := base(r)
		to, ok := dest[k].reshaped(r.Type.Shape, typeOf(b).Shape)
		if b.Op == ir.Param || fr.done[k] || !ok {
			continue
		}
		switch {
		case fr.want[b] != nil:
			if b.Op == ops.Fused && fr.fresh(to) && !fr.want[b].same(to) && ir.SameShape(r.Type.Shape, typeOf(b).Shape) {
				fr.also[b] = append(fr.also[b], k)
			}
		case fr.free(to, b.Value):
			fr.want[b] = to
		}
	}
	fr.aimUpdates()
	// The operands of a concat are computed in its memory.
	for i := len(fr.f.Values) - 1; i >= 0; i-- {
		v := fr.f.Values[i]
		if v.Op != ops.Concat {
			continue
		}
		to := fr.want[value{v, -1}]
		if to == nil {
			to = fr.mem.slot(v.Type)
			fr.want[value{v, -1}] = to
		}
		if !fr.fresh(to) {
			continue
		}
		for k, part := range concatParts(v, to) {
			a := v.Args[k]
			b := base(a)
			if to, ok := part.reshaped(a.Type.Shape, typeOf(b).Shape); ok && b.Op == ops.Fused && fr.want[b] == nil {
				fr.want[b] = to
			}
		}
	}
	// The first value of a loop goes where the loop carries it.
	for i := len(fr.f.Values) - 1; i >= 0; i-- {
		v := fr.f.Values[i]
		if v.Op != ops.Scan {
			continue
		}
		for c, x := range ops.LoopOf(v).Inits {
			b, carry := base(x), value{v, c}
			if b.Op == ir.Param || fr.use.uses[b] != 1 || fr.use.result[b] != nil || fr.want[b] != nil {
				continue
			}
			to := fr.want[carry]
			if to == nil {
				to = fr.mem.slot(x.Type)
				fr.want[carry] = to
			}
			if to.strides == nil && fr.fresh(to) {
				fr.want[b] = to
			}
		}
	}
}

// aimUpdates decides that what is updated in part is computed where the result
// of the update goes: several updates of one weight are all in place.
func (fr *frame) aimUpdates() {
	for i := len(fr.f.Values) - 1; i >= 0; i-- {
		v := fr.f.Values[i]
		if v.Op != ops.Fused {
			continue
		}
		body := ops.Body.Of(v)
		for j, r := range body.Results {
			to, k := fr.want[value{v, j}], updated(body, r)
			if to == nil || k < 0 {
				continue
			}
			b := base(v.Args[k])
			if b.Op == ops.Fused && fr.use.uses[b] == 1 && fr.use.result[b] == nil && fr.want[b] == nil &&
				typeOf(b).Equal(r.Type) && fr.free(to, b.Value) {
				fr.want[b] = to
			}
		}
	}
}

// updated is the parameter of a group whose memory the result r changes a part
// of, or -1.
func updated(body *ir.Func, r *ir.Value) int {
	if r.Op != ops.ScatterAdd && r.Op != ops.DynUpdate {
		return -1
	}
	return slices.Index(body.Params, r.Args[0])
}

// concatParts are the places of the operands of the concat v, which is in to.
func concatParts(v *ir.Value, to *place) []*place {
	axis := ops.Axis.Of(v)
	extents := make([]ir.Dim, len(v.Args))
	for i, a := range v.Args {
		extents[i] = a.Type.Shape[axis]
	}
	return to.parts(v.Type.Shape, axis, extents)
}

// concat copies the operands that are not in the memory of the concat yet.
func (fr *frame) concat(v *ir.Value) error {
	to := fr.want[value{v, -1}]
	fr.at[value{v, -1}] = to
	for i, part := range concatParts(v, to) {
		p, err := fr.place(v.Args[i])
		if err != nil {
			return err
		}
		if p.same(part) {
			continue
		}
		if p.alloc == part.alloc { // it is another part of the same memory
			q := fr.mem.slot(v.Args[i].Type)
			if err := fr.copy(p, q, v.Args[i].Type); err != nil {
				return err
			}
			p = q
		}
		if err := fr.copy(p, part, v.Args[i].Type); err != nil {
			return err
		}
	}
	return nil
}

// fresh reports whether nothing is in the memory of p before.
func (fr *frame) fresh(p *place) bool {
	for _, o := range fr.f.Params {
		if q := fr.at[value{o, -1}]; q.alloc != nil && q.alloc == p.alloc {
			return false
		}
	}
	return true
}

// free reports whether v may write over p: all parameters in that memory have
// been read before, or are read by v itself, which then has to take care.
func (fr *frame) free(p *place, v *ir.Value) bool {
	for _, o := range fr.f.Params {
		b := value{o, -1}
		if q := fr.at[b]; q.alloc == nil || q.alloc != p.alloc {
			continue
		}
		if fr.use.last[b] > v.ID || fr.use.result[b] != nil {
			return false
		}
	}
	return true
}

// deliver copies the results that are not yet where they have to be. A source
// that another copy overwrites is saved first.
func (fr *frame) deliver(dest []*place) error {
	type move struct {
		from, to *place
		t        ir.Type
	}
	var moves []move
	for k, r := range fr.f.Results {
		if fr.done[k] {
			continue
		}
		p, err := fr.place(r)
		if err != nil {
			return err
		}
		if !p.same(dest[k]) {
			moves = append(moves, move{p, dest[k], r.Type})
		}
	}
	for i, m := range moves {
		for j, n := range moves {
			if i != j && m.from.alloc != nil && m.from.alloc == n.to.alloc {
				q := fr.mem.slot(m.t)
				if err := fr.copy(m.from, q, m.t); err != nil {
					return err
				}
				moves[i].from = q
				break
			}
		}
	}
	for _, m := range moves {
		if err := fr.copy(m.from, m.to, m.t); err != nil {
			return err
		}
	}
	return nil
}
