package passes

import (
	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/ops"
)

// scan schedules a loop: its body becomes a procedure. Carried values live in
// fixed slots; sliced operands and collected results are moving views.
func (fr *frame) scan(v *ir.Value) error {
	l := ops.LoopOf(v)
	loopVar := string("ijklmnopqrstuvwxyz"[len(fr.vars)%18])
	body := &loop.Proc{Name: fr.name(camel(fr.prefix, v.Scope, l.Body.Name)), Vars: append(append([]string(nil), fr.vars...), loopVar)}
	step := &loop.Loop{Var: loopVar, N: l.Extent, Reverse: l.Reverse, Body: body}
	body.Doc = "is one iteration of the loop " + v.Scope
	if v.Pos.Line > 0 {
		body.Doc += " (" + v.Pos.String() + ")"
	}

	params := []*place{{counter: loopVar}}
	dest := make([]*place, len(l.Body.Results))
	for i, x := range l.Inits {
		p := fr.carry(v, l, i)
		from, err := fr.place(x)
		if err != nil {
			return err
		}
		if !from.same(p) {
			if err := fr.copy(from, p, x.Type); err != nil {
				return err
			}
		}
		fr.at[value{v, i}] = p
		params, dest[i] = append(params, p), p
	}
	for i, x := range l.Slices {
		p, err := fr.place(x)
		if err != nil {
			return err
		}
		params = append(params, p.slice(x.Type.Shape, l.InAxes[i], loopVar))
	}
	for _, x := range l.Invariants {
		p, err := fr.place(x)
		if err != nil {
			return err
		}
		params = append(params, p)
	}
	for j, axis := range l.OutAxes {
		k := len(l.Inits) + j
		t := v.Type.Tuple[k]
		p := fr.want[value{v, k}]
		if p == nil || !fr.collects(l, p, j, t) {
			p = fr.mem.slot(t)
		}
		fr.at[value{v, k}] = p
		dest[k] = p.slice(t.Shape, axis, loopVar)
	}
	if l.Trip != nil {
		p, err := fr.plain(l.Trip)
		if err != nil {
			return err
		}
		r := p.ref()
		step.NRef = &r
		fr.mem.now++
		fr.mem.touch(p.alloc)
		if p.space == loop.Arena {
			fr.mem.refs = append(fr.mem.refs, pending{step.NRef, p.alloc})
		}
	}
	from := fr.mem.now + 1
	fr.mem.depth++
	fr.mem.procs = append(fr.mem.procs, body)
	err := fr.function(fr.mem, l.Body, body, fr.prefix, body.Vars, params, dest)
	fr.mem.depth--
	fr.mem.leave(from)
	fr.proc.Steps = append(fr.proc.Steps, step)
	return err
}

// carry is the slot of carried value i: where its last value has to go, or the
// slot of its first value, or a new one.
func (fr *frame) carry(v *ir.Value, l ops.Loop, i int) *place {
	p := fr.want[value{v, i}]
	if p != nil && p.strides == nil && fr.carries(l, p, i) {
		return p
	}
	return fr.mem.slot(l.Inits[i].Type)
}

// carries reports whether carried value i of l may live in p: no other operand
// of the loop is in that memory.
func (fr *frame) carries(l ops.Loop, p *place, i int) bool {
	for k, x := range l.Inits {
		if q := fr.at[base(x)]; k != i && q != nil && q.alloc == p.alloc {
			return false
		}
	}
	for _, x := range append(append([]*ir.Value(nil), l.Slices...), l.Invariants...) {
		if q := fr.at[base(x)]; q != nil && q.alloc != nil && q.alloc == p.alloc {
			return false
		}
	}
	return true
}

// collects reports whether collected result j of l may be written to p: what is
// in that memory before is only read slice by slice along the same axis.
func (fr *frame) collects(l ops.Loop, p *place, j int, t ir.Type) bool {
	for _, x := range append(append([]*ir.Value(nil), l.Inits...), l.Invariants...) {
		if q := fr.at[base(x)]; q != nil && q.alloc != nil && q.alloc == p.alloc {
			return false
		}
	}
	for k, x := range l.Slices {
		if q := fr.at[base(x)]; q != nil && q.alloc != nil && q.alloc == p.alloc {
			if !q.same(p) || l.InAxes[k] != l.OutAxes[j] || !ir.SameShape(x.Type.Shape, t.Shape) {
				return false
			}
		}
	}
	return true
}
