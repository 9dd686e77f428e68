package passes

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/ops"
)

// A Prepared is a part of what functions of inference read and compute from
// weights and constants alone: a function of weights and tables to values of the
// program (PreparedKind). It runs when the weights have changed, not in every call.
type Prepared struct {
	*ir.Entry
	Size   int  // elements, with gaps between the values
	Native bool // portable kernels do not read it
}

// A PreparedValue says where a value is.
type PreparedValue struct{ Part, Offset int }

// prepare takes what the entries and samplers compute from weights and constants
// alone out of them, as far as reading it back is much less work: square roots of
// variances, tables of positions, transformed filters; and, as further operands of
// contractions, weights in panels (see packs). Loops over stacks of weights give
// one value for all copies.
//
// Equal values are computed once. Those that the same functions read are one part.
func prepare(p *Program) error {
	r := &preparer{p: p, g: ops.On(ir.NewBuilder("prepare")), params: map[ir.Binding]*ir.Value{}, panels: map[*ir.Value]bool{}}
	users := slices.Clone(p.Entries)
	for _, s := range p.Samplers {
		users = append(users, s.Step, s.Sample)
	}
	r.declare(users)
	for i, e := range users {
		if err := r.entry(i, e); err != nil {
			return err
		}
	}
	if len(r.asked) == 0 {
		return nil
	}
	return r.finish(users)
}

// A preparer collects what can be prepared.
type preparer struct {
	p      *Program
	g      ops.Graph                // of everything that was asked for
	in     []ir.Binding             // its parameters
	params map[ir.Binding]*ir.Value // the same
	asked  []request                // the index is that of the binding, until finish
	panels map[*ir.Value]bool       // values that only schedules in vectors read
}

// A request is a value that a function wants.
type request struct {
	value  *ir.Value // of preparer.g
	user   int
	native bool
}

// lasting reports whether a parameter bound so is the same in every call.
func lasting(b ir.Binding) bool { return b.Kind == ir.WeightKind || b.Kind == ir.TableKind }

// declare makes a parameter for each weight and table that the users read.
func (r *preparer) declare(users []*ir.Entry) {
	for _, e := range users {
		if e == nil || e.Func == nil {
			continue
		}
		for i, b := range e.In {
			if lasting(b) && r.params[b] == nil {
				r.in = append(r.in, b)
				r.params[b] = r.g.Param(b.Name, e.Func.Params[i].Type)
			}
		}
	}
}

// entry rewrites the function of e, which is user i.
func (r *preparer) entry(i int, e *ir.Entry) error {
	if e == nil || e.Func == nil || slices.ContainsFunc(e.Out, func(b ir.Binding) bool { return b.Kind == ir.WeightKind }) {
		return nil
	}
	f, err := expand(e.Func)
	if err != nil {
		return err
	}
	still := make([]bool, len(f.Params))
	for k, b := range e.In {
		still[k] = lasting(b)
	}
	if f, err = r.level(f, still); err != nil {
		return err
	}
	hoisted := r.frontier(f, still)
	if len(hoisted) == 0 {
		return nil
	}
	outer := map[*ir.Value]*ir.Value{}
	for k, b := range e.In {
		if still[k] {
			outer[f.Params[k]] = r.params[b]
		}
	}
	b := ir.NewBuilder(f.Name)
	b.F.Doc = f.Doc
	env := map[*ir.Value]*ir.Value{}
	for _, q := range f.Params {
		env[q] = copyParam(b, q)
	}
	in := slices.Clone(e.In)
	for _, h := range hoisted {
		in = append(in, ir.Binding{Kind: ir.PreparedKind, Index: len(r.asked), Name: r.name(h)})
		r.asked = append(r.asked, request{copyWith(r.g.Builder, h, outer), i, r.panels[h]})
		env[h] = b.Param(r.name(h), h.Type)
	}
	if f, err = rest(b, f, env); err != nil {
		return err
	}
	e.Func, e.In = f, in
	return nil
}

// name names the parameter that stands for v.
func (r *preparer) name(v *ir.Value) string {
	if r.panels[v] {
		return "panels"
	}
	return nameOf(v)
}

// rest copies to b what is left of f, where env has some of its values, and drops
// what nothing reads.
func rest(b *ir.Builder, f *ir.Func, env map[*ir.Value]*ir.Value) (*ir.Func, error) {
	live := make([]bool, len(f.Values))
	for _, x := range f.Results {
		live[x.ID] = true
	}
	for i, v := range slices.Backward(f.Values) {
		for _, a := range v.Args {
			live[a.ID] = live[a.ID] || live[i] && env[v] == nil
		}
	}
	for i, v := range f.Values {
		if live[i] {
			copyWith(b, v, env)
		}
	}
	var results []*ir.Value
	for _, x := range f.Results {
		results = append(results, env[x])
	}
	g, err := b.Return(results...)
	if err != nil {
		return nil, err
	}
	return dce(g)
}

// copyWith copies v and what it is computed from to b; env has what is there
// already, and gets what is new.
func copyWith(b *ir.Builder, v *ir.Value, env map[*ir.Value]*ir.Value) *ir.Value {
	if w := env[v]; w != nil {
		return w
	}
	args := make([]*ir.Value, len(v.Args))
	for i, a := range v.Args {
		args[i] = copyWith(b, a, env)
	}
	env[v] = b.Copy(v, args)
	return env[v]
}

// level rewrites f, a function or the body of a loop, of whose parameters some
// are still: contractions get operands in panels, and loops give away what their
// bodies compute from what is still.
func (r *preparer) level(f *ir.Func, still []bool) (*ir.Func, error) {
	b := ir.NewBuilder(f.Name)
	b.F.Doc = f.Doc
	g := ops.On(b)
	at := stillness{}
	env := make([]*ir.Value, len(f.Values))
	for i, q := range f.Params {
		env[q.ID] = copyParam(b, q)
		at[env[q.ID]] = still[i]
	}
	for _, v := range f.Values {
		if v.Op == ir.Param {
			continue
		}
		args := make([]*ir.Value, len(v.Args))
		for i, a := range v.Args {
			args[i] = env[a.ID]
		}
		b.Pos, b.Scope = v.Pos, v.Scope
		switch v.Op {
		case ops.Scan:
			var err error
			if env[v.ID], err = r.loop(g, v, args, at); err != nil {
				return nil, err
			}
			continue
		case ops.Dot:
			if i, axis := packs(v, args, at); i >= 0 {
				panels := g.Panels(args[i], axis)
				r.panels[panels] = true
				args[i] = g.Do(ops.Packed, []*ir.Value{args[i], panels}, ops.Axis.Is(axis))
			}
		}
		env[v.ID] = b.Copy(v, args)
	}
	results := make([]*ir.Value, len(f.Results))
	for i, x := range f.Results {
		results[i] = env[x.ID]
	}
	return b.Return(results...)
}

// loop appends the loop v, and before it what its body computes from what is
// still.
func (r *preparer) loop(g ops.Graph, v *ir.Value, args []*ir.Value, at stillness) (*ir.Value, error) {
	l := ops.LoopWith(v, args)
	still := make([]bool, len(l.Body.Params))
	first := 1 + len(l.Inits)
	_, counted := l.Extent.Const()
	for i, x := range l.Slices {
		still[first+i] = counted && l.Trip == nil && at.still(x)
	}
	for i, x := range l.Invariants {
		still[first+len(l.Slices)+i] = at.still(x)
	}
	body, err := r.level(l.Body, still)
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

// stillness knows which values are the same in every call: it begins with
// parameters. Sizes that a call binds make a value vary.
type stillness map[*ir.Value]bool

func (s stillness) still(v *ir.Value) bool {
	if known, ok := s[v]; ok {
		return known
	}
	still := v.Op != ir.Param && v.Op != ops.Packed && fixed(v)
	for _, a := range v.Args {
		still = s.still(a) && still
	}
	s[v] = still
	return still
}

// fixed reports whether all dims in the type and the attributes of v are known.
func fixed(v *ir.Value) bool {
	if !fixedType(v.Type) {
		return false
	}
	for _, s := range v.Attrs() {
		if !constants(s.Dims()) {
			return false
		}
		if f := s.Func(); f != nil && slices.ContainsFunc(f.Values, func(x *ir.Value) bool { return !fixed(x) }) {
			return false
		}
	}
	return true
}

func fixedType(t ir.Type) bool {
	return constants(t.Shape) && !slices.ContainsFunc(t.Tuple, func(u ir.Type) bool { return !fixedType(u) })
}

func constants(ds []ir.Dim) bool {
	return !slices.ContainsFunc(ds, func(d ir.Dim) bool { _, ok := d.Const(); return !ok })
}

// frontier lists the values of f that are still, are worth being prepared, and
// are read by something that is not, with what they are computed from left out.
// Layout is left where it is.
func (r *preparer) frontier(f *ir.Func, params []bool) []*ir.Value {
	at := stillness{}
	for i, q := range f.Params {
		at[q] = params[i]
	}
	work := make([]float64, len(f.Values))
	for i, v := range f.Values {
		work[i] = ownWork(v)
		for _, a := range v.Args {
			work[i] += work[a.ID]
		}
	}
	chosen := make([]bool, len(f.Values))
	var need func(v *ir.Value, least float64)
	need = func(v *ir.Value, least float64) {
		for v.Op.Layout && len(v.Args) == 1 && v.Args[0].Type.Tuple == nil {
			least = min(least, leastFor(v))
			v = v.Args[0]
		}
		if v.Op == ir.Param || chosen[v.ID] {
			return
		}
		n, _ := v.Type.Len().Const()
		if v.Type.Tuple == nil && v.Type.Elem == ir.F32 && work[v.ID] > 0 && work[v.ID] >= least*float64(n) {
			chosen[v.ID] = true
			return
		}
		for _, a := range v.Args {
			need(a, worthPreparing)
		}
	}
	for _, v := range f.Values {
		if v.Op == ir.Param || at.still(v) {
			continue
		}
		for k, a := range v.Args {
			switch {
			case v.Op == ops.Packed && k == 1:
				chosen[a.ID] = a.Op != ir.Param
			case !at.still(a):
			case v.Op == ops.Dot: // it reads its operands many times
				need(a, 1)
			case r.panels[a]:
				chosen[a.ID] = true
			default:
				need(a, leastFor(v))
			}
		}
	}
	for _, x := range f.Results {
		if at.still(x) {
			need(x, worthPreparing)
		}
	}
	var out []*ir.Value
	for _, v := range f.Values {
		if chosen[v.ID] {
			out = append(out, v)
		}
	}
	return out
}

// The arithmetic of an element that is worth more than reading it, and the same
// where it is read again and again.
const (
	worthPreparing = 8
	worthRepeated  = 2
)

// leastFor is how much arithmetic an operand of v has to save.
func leastFor(v *ir.Value) float64 {
	if v.Op.Layout && estimate(v.Type.Len()) > estimate(v.Arg(0).Len()) {
		return worthRepeated
	}
	return worthPreparing
}

// ownWork estimates the arithmetic of v without that of its operands.
func ownWork(v *ir.Value) float64 {
	operands := 0.0
	for _, a := range v.Args {
		operands += float64(estimate(a.Type.Len()))
	}
	n := float64(estimate(v.Type.Len()))
	switch {
	case v.Op == ir.Param || v.Op.Layout || v.Op.Source:
		return 0
	case v.Op == ops.Scan:
		return 1e12
	case v.Op == ops.Dot:
		c, _ := ops.ParseContraction(ops.Spec.Of(v))
		for _, k := range c.Summed() {
			n *= float64(estimate(c.Extent(k, v.Arg(0), v.Arg(1))))
		}
		return 2 * n
	case v.Op.Reduces:
		return operands
	case v.Op.Costly:
		return 20 * n
	case v.Op.Lower != nil:
		return 20 * operands
	}
	return n
}

// finish makes functions of what was asked for, and tells the users where it is.
func (r *preparer) finish(users []*ir.Entry) error {
	var values []*ir.Value
	for _, a := range r.asked {
		values = append(values, a.value)
	}
	f, err := r.g.Return(values...)
	if err != nil {
		return err
	}
	if f, err = cse(f); err != nil {
		return err
	}
	// What belongs to a part: who reads it, and how.
	readers := make([][]byte, len(f.Values))
	native := make([]bool, len(f.Values))
	for i, v := range f.Results {
		if readers[v.ID] == nil {
			readers[v.ID], native[v.ID] = make([]byte, len(users)), true
		}
		readers[v.ID][r.asked[i].user] = 1
		native[v.ID] = native[v.ID] && r.asked[i].native
	}
	p := r.p
	part := map[string]int{}
	index := map[*ir.Value]int{}
	var parts [][]*ir.Value
	for _, v := range f.Results {
		if _, ok := index[v]; ok {
			continue
		}
		key := fmt.Sprint(readers[v.ID], native[v.ID])
		k, ok := part[key]
		if !ok && len(parts) == maxParts {
			k, ok = maxParts-1, true
			p.Prepared[k].Native = false
		}
		if !ok {
			k = len(parts)
			part[key] = k
			parts = append(parts, nil)
			p.Prepared = append(p.Prepared, &Prepared{Native: native[v.ID]})
		}
		p.Prepared[k].Native = p.Prepared[k].Native && native[v.ID]
		index[v] = len(p.PreparedValues)
		n, _ := v.Type.Len().Const()
		p.PreparedValues = append(p.PreparedValues, PreparedValue{k, p.Prepared[k].Size})
		const line = loop.ArenaAlign / 4
		p.Prepared[k].Size += (n + line - 1) / line * line
		parts[k] = append(parts[k], v)
	}
	for k, vs := range parts {
		e, err := r.part(k, f, vs, index)
		if err != nil {
			return err
		}
		p.Prepared[k].Entry = e
	}
	for _, e := range users {
		if e == nil {
			continue
		}
		for i, b := range e.In {
			if b.Kind == ir.PreparedKind {
				e.In[i].Index = index[f.Results[b.Index]]
			}
		}
	}
	return nil
}

// maxParts is how many parts there may be: a word has a bit for each.
const maxParts = 64

// part is the function that computes the values vs of f.
func (r *preparer) part(k int, f *ir.Func, vs []*ir.Value, index map[*ir.Value]int) (*ir.Entry, error) {
	b := newEntry("prepare"+strconv.Itoa(k), "computes what is the same until the weights change.")
	used := make([]bool, len(f.Values))
	for _, v := range vs {
		used[v.ID] = true
	}
	for i := len(f.Values) - 1; i >= 0; i-- {
		for _, a := range f.Values[i].Args {
			used[a.ID] = used[a.ID] || used[i]
		}
	}
	env := map[*ir.Value]*ir.Value{}
	for i, q := range f.Params {
		if used[q.ID] {
			env[q] = b.param(q.Type, r.in[i])
		}
	}
	var results []*ir.Value
	var out []ir.Binding
	for _, v := range vs {
		results = append(results, copyWith(b.Builder, v, env))
		out = append(out, ir.Binding{Kind: ir.PreparedKind, Index: index[v], Name: nameOf(v)})
	}
	e, err := b.entry(results, out)
	if err == nil {
		e.Func, err = dce(e.Func)
	}
	return e, err
}
