package passes

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/ops"
)

// Lower schedules the functions of p: every fused group becomes a kernel, every
// loop a procedure, and all memory gets its place.
func Lower(p *Program) (*loop.Program, error) {
	out, _, err := LowerWithStats(p)
	return out, err
}

// A scheduler turns one program into procedures.
type scheduler struct {
	p      *Program
	out    *loop.Program
	shared map[string]*loop.Kernel // by text
	names  map[string]int          // of kernels and procedures
	uses   []*MemoryUse
	// refused is told which kernels have no native form, and why.
	refused func(k *loop.Kernel, why error)
}

func newScheduler(p *Program) *scheduler {
	return &scheduler{p: p, out: &loop.Program{API: p.API}, shared: map[string]*loop.Kernel{}, names: map[string]int{}, refused: func(*loop.Kernel, error) {}}
}

// name returns name, with a number if it has been given before.
func (s *scheduler) name(name string) string {
	s.names[name]++
	if n := s.names[name]; n > 1 {
		return s.name(name + strconv.Itoa(n))
	}
	return name
}

// A frame is a function that is being scheduled.
type frame struct {
	*scheduler
	mem    *memory
	f      *ir.Func
	proc   *loop.Proc
	prefix string
	vars   []string
	use    usage
	at     map[value]*place
	want   map[value]*place // where a value has to go if that is legal
	done   map[int]bool     // results that are where they have to be
	dest   []*place
	also   map[value][]int // further results that are the same value
}

// function schedules f into proc. Params are the places of its parameters,
// dest those where the results have to end up.
func (s *scheduler) function(mem *memory, f *ir.Func, proc *loop.Proc, prefix string, vars []string, params, dest []*place) error {
	if mem.consumes {
		f = arrange(f, params, dest)
	}
	fr := &frame{scheduler: s, mem: mem, f: f, proc: proc, prefix: prefix, vars: vars, use: usageOf(f), at: map[value]*place{}, want: map[value]*place{}, done: map[int]bool{}, also: map[value][]int{}}
	for i, p := range f.Params {
		fr.at[value{p, -1}] = params[i]
	}
	if err := fr.deliverParams(dest); err != nil {
		return fmt.Errorf("bug in pass schedule: %s: %w", f.Name, err)
	}
	fr.dest = dest
	fr.aim(dest)
	for _, v := range f.Values {
		var err error
		switch v.Op {
		case ir.Param, ops.Reshape, ops.Get:
			continue
		case ops.Fused:
			err = fr.group(v)
		case ops.Scan:
			err = fr.scan(v)
		case ops.Concat:
			err = fr.concat(v)
		default:
			err = fmt.Errorf("it is in no group")
		}
		if err != nil {
			return fmt.Errorf("bug in pass schedule: %s: value %v: %w", f.Name, v, err)
		}
	}
	return fr.deliver(dest)
}

// place is where v is.
func (fr *frame) place(v *ir.Value) (*place, error) {
	p := fr.at[base(v)]
	if p == nil {
		return nil, fmt.Errorf("%v is not in memory", v)
	}
	if p.strides == nil || v.Op != ops.Reshape {
		return p, nil
	}
	x := v
	for x.Op == ops.Reshape {
		x = x.Args[0]
	}
	if q, ok := p.reshaped(x.Type.Shape, v.Type.Shape); ok {
		return q, nil
	}
	q := fr.mem.slot(v.Type)
	return q, fr.copy(p, q, x.Type)
}

// read is where v is, without gaps.
func (fr *frame) plain(v *ir.Value) (*place, error) {
	p, err := fr.place(v)
	if err != nil || p.view().plain() {
		return p, err
	}
	q := fr.mem.slot(v.Type)
	return q, fr.copy(p, q, v.Type)
}

// group schedules one call of a kernel.
func (fr *frame) group(v *ir.Value) error {
	body := ops.Body.Of(v)
	args, out := make([]*place, len(v.Args)), make([]*place, len(body.Results))
	params, results := make([]view, len(args)), make([]view, len(out))
	whole := wholeParams(body)
	for i, a := range v.Args {
		var err error
		if whole[body.Params[i]] {
			args[i], err = fr.plain(a)
		} else {
			args[i], err = fr.place(a)
		}
		if err != nil {
			return err
		}
		params[i] = args[i].view()
	}
	for j, r := range body.Results {
		out[j] = fr.want[value{v, j}]
		if out[j] != nil && r.Op.Lower != nil && !out[j].view().plain() {
			out[j] = nil
		}
		if out[j] != nil {
			results[j] = out[j].view()
			results[j].over = slices.ContainsFunc(args, func(a *place) bool { return a.same(out[j]) })
		}
	}
	body, more := fr.moreResults(v, body)
	for _, i := range more {
		out = append(out, fr.dest[i])
		results = append(results, fr.dest[i].view())
		fr.done[i] = true
	}
	k, err := scheduleGroup(camel(fr.prefix, v.Scope, title(body)), doc(v, body), body, params, results)
	if err != nil {
		return err
	}
	for j := range v.Type.Tuple {
		if out[j] != nil && !fr.mayWrite(k, v, args, out[j], j) {
			out[j] = nil
		}
		if out[j] == nil && results[j].plain() {
			out[j] = fr.reuse(k, v, args, out, j)
		}
		if out[j] == nil {
			out[j] = fr.mem.slot(v.Type.Tuple[j])
			if !results[j].plain() { // it was scheduled for another place
				results[j] = view{}
				if k, err = scheduleGroup(k.Name, k.Doc, body, params, results); err != nil {
					return err
				}
			}
		}
		fr.at[value{v, j}] = out[j]
	}
	for j, i := range k.updates {
		if i >= 0 && !args[i].same(out[j]) {
			if err := fr.copy(args[i], out[j], v.Args[i].Type); err != nil {
				return err
			}
		}
	}
	return fr.call(k, args, out)
}

// moreResults adds to the body of v, as further results, the values that are
// wanted in several places, and lists the results of the function they are.
func (fr *frame) moreResults(v *ir.Value, body *ir.Func) (*ir.Func, []int) {
	var more []int
	c := *body
	c.Results = slices.Clone(body.Results)
	for j, r := range body.Results {
		if r.Op.Lower != nil || r.Op == ops.DynUpdate {
			continue
		}
		for _, i := range fr.also[value{v, j}] {
			if fr.overlaps(v, fr.dest[i]) {
				continue
			}
			more = append(more, i)
			c.Results = append(c.Results, r)
		}
	}
	return &c, more
}

// overlaps reports whether an operand of v is in the memory of p.
func (fr *frame) overlaps(v *ir.Value, p *place) bool {
	return slices.ContainsFunc(v.Args, func(a *ir.Value) bool {
		q := fr.at[base(a)]
		return q != nil && q.alloc != nil && q.alloc == p.alloc
	})
}

// mayWrite reports whether result j of k may go to p although p holds operands
// of the same call.
func (fr *frame) mayWrite(k *kernel, v *ir.Value, args []*place, p *place, j int) bool {
	for i, a := range args {
		if a.alloc == nil || a.alloc != p.alloc {
			continue
		}
		reads, updates := slices.Contains(k.params, i), k.updates[j] == i
		if !a.same(p) && (reads || updates) || reads && !k.inPlace(i, j) {
			return false
		}
	}
	return true
}

// reuse is the slot of an operand that result j of v can take over because
// nothing needs the operand after v.
func (fr *frame) reuse(k *kernel, v *ir.Value, args, out []*place, j int) *place {
	for i, a := range args {
		b := base(v.Args[i])
		if b.Op == ir.Param || a.alloc == nil || a.space != loop.Arena || a.strides != nil || fr.at[b] != a ||
			fr.use.last[b] != v.ID || fr.use.result[b] != nil || !k.inPlace(i, j) && k.updates[j] != i {
			continue
		}
		if a.elem != v.Type.Tuple[j].Elem || !a.len.Eq(v.Type.Tuple[j].Len()) || slices.ContainsFunc(out, func(o *place) bool { return o != nil && o.alloc == a.alloc }) {
			continue
		}
		if fr.mayWrite(k, v, args, a, j) {
			return a
		}
	}
	return nil
}

// call appends a call of k.
func (fr *frame) call(k *kernel, args, out []*place) error {
	fr.mem.now++
	shared, err := fr.share(k)
	if err != nil {
		return err
	}
	c := &loop.Call{Kernel: shared}
	fr.mem.calls[fr.mem.now] = c.Kernel
	var places []*place
	for _, i := range k.params {
		places = append(places, args[i])
	}
	for _, j := range k.results {
		places = append(places, out[j])
	}
	for _, b := range k.Arguments()[len(places):] {
		places = append(places, fr.mem.slot(ir.Type{Elem: b.Elem, Shape: []ir.Dim{b.Len}}))
	}
	for _, p := range places {
		fr.mem.touch(p.alloc)
		c.Args = append(c.Args, p.ref())
	}
	for i, p := range places {
		if p.space == loop.Arena {
			fr.mem.refs = append(fr.mem.refs, pending{&c.Args[i], p.alloc})
		}
	}
	for _, v := range k.ints {
		c.Ints = append(c.Ints, loop.IntRef{Var: v})
	}
	fr.proc.Steps = append(fr.proc.Steps, c)
	return nil
}

// share returns the kernel of the program that is equal to k.
func (s *scheduler) share(k *kernel) (*loop.Kernel, error) {
	key := kernelKey(k.Kernel)
	if x := s.shared[key]; x != nil {
		return x, nil
	}
	k.Name = s.name(k.Name)
	s.shared[key] = k.Kernel
	s.out.Kernels = append(s.out.Kernels, k.Kernel)
	return k.Kernel, s.natives(k)
}

// kernelKey is the text of k without names.
func kernelKey(k *loop.Kernel) string {
	c := *k
	c.Name, c.Doc = "k", ""
	names := make([]string, len(k.Bufs))
	for i, b := range k.Bufs {
		names[i], b.Name = b.Name, "b"+strconv.Itoa(i)
	}
	ints := make([]string, len(k.Ints))
	for i, v := range k.Ints {
		ints[i], v.Name = v.Name, "n"+strconv.Itoa(i)
	}
	key := c.String()
	for i, b := range k.Bufs {
		b.Name = names[i]
	}
	for i, v := range k.Ints {
		v.Name = ints[i]
	}
	return key
}

// copy appends a call that copies a tensor of type t.
func (fr *frame) copy(from, to *place, t ir.Type) error {
	b := ir.NewBuilder("copy")
	x := b.Param("x", t)
	body, err := b.Return(x)
	if err != nil {
		return err
	}
	if from.view().plain() && to.view().plain() { // one run, whatever the shape
		b = ir.NewBuilder("copy")
		x = b.Param("x", ir.Tensor(t.Elem, t.Len()))
		body, _ = b.Return(x)
	}
	k, err := scheduleGroup("copy", "a copy", body, []view{from.view()}, []view{to.view()})
	if err != nil {
		return err
	}
	return fr.call(k, []*place{from}, []*place{to})
}

// wholeParams are the parameters of a body that an op reads whole.
func wholeParams(body *ir.Func) map[*ir.Value]bool {
	out := map[*ir.Value]bool{}
	for _, v := range body.Values {
		if v.Op.Whole {
			for _, a := range v.Args {
				out[a] = true
			}
		}
	}
	return out
}

// title names what a group computes, for the name of its kernel.
func title(body *ir.Func) string { return body.Name }

// doc is the comment of the kernel of v: its ops, layer and place in the text.
func doc(v *ir.Value, body *ir.Func) string {
	s := body.Doc
	if v.Scope != "" {
		s += " in " + v.Scope
	}
	if v.Pos.Line > 0 {
		s += " (" + v.Pos.String() + ")"
	}
	return s
}
