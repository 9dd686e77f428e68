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
}

func newScheduler(p *Program) *scheduler {
	return &scheduler{p: p, out: &loop.Program{API: p.API}, shared: map[string]*loop.Kernel{}, names: map[string]int{}}
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

// function schedules f into proc. Params are the places of its parameters,
// dest those where the results have to end up.
func (s *scheduler) function(mem *memory, f *ir.Func, proc *loop.Proc, prefix string, vars []string, params, dest []*place) error {
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
	c := &loop.Call{Kernel: fr.share(k.Kernel)}
	fr.mem.calls[fr.mem.now] = c.Kernel
	var places []*place
	for _, i := range k.params {
		places = append(places, args[i])
	}
	for _, j := range k.results {
		places = append(places, out[j])
	}
	for _, b := range k.Bufs[len(places):] {
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
func (s *scheduler) share(k *loop.Kernel) *loop.Kernel {
	key := kernelKey(k)
	if x := s.shared[key]; x != nil {
		return x
	}
	k.Name = s.name(k.Name)
	s.shared[key] = k
	s.out.Kernels = append(s.out.Kernels, k)
	return k
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
	k, err := scheduleGroup("copy", "copy copies its operand.", body, []view{from.view()}, []view{to.view()})
	if err != nil {
		return err
	}
	return fr.call(k, []*place{from}, []*place{to})
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

// doc is the comment of the kernel of v.
func doc(v *ir.Value, body *ir.Func) string {
	s := "computes " + body.Name
	if v.Scope != "" {
		s += " of " + v.Scope
	}
	if v.Pos.Line > 0 {
		s += " (" + v.Pos.String() + ")"
	}
	return s
}
