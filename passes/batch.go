package passes

import (
	"slices"
	"strings"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/ops"
)

// batch takes contractions out of loops, so that one large contraction does
// the work of many small ones:
//
//   - before the loop: what depends on slices and invariants alone, such as
//     the product of all inputs with the weights of a recurrent layer;
//   - sums: a carried value that starts at zero and only adds up dot(x, y) or
//     the sum of x, such as the gradient of such weights, is one contraction
//     of the stacks of x and y after the loop;
//   - after the loop: a collected value that is dot(x, y) with an invariant y,
//     such as the gradient of the inputs, is computed from the stack of x.
//
// Stacks are slices, pointwise ops of slices, or collected if they take no
// more than a few times the memory that the loop goes through otherwise.
func batch(f *ir.Func) (*ir.Func, error) {
	var fail error
	g, err := rewrite(f, func(g ops.Graph, v *ir.Value, args []*ir.Value) *ir.Value {
		attrs, err := withBodies(v, batch)
		if err != nil {
			fail = err
			return nil
		}
		if v.Op != ops.Scan || ops.Dynamic.Of(v) || ops.Carries.Of(v) == 0 {
			return g.Do(v.Op, args, attrs...)
		}
		l := ops.LoopWith(v, args)
		l.Body = attrs[len(attrs)-1].Func()
		return batchAfter(g, batchBefore(g, l))
	})
	if fail != nil {
		return nil, fail
	}
	if err != nil {
		return nil, err
	}
	return sweep(g)
}

// fewRows is the number of rows from which on a product is large enough by
// itself.
const fewRows = 128

// batchBefore computes what it can before the loop.
func batchBefore(g ops.Graph, l ops.Loop) ops.Loop {
	f := l.Body
	k := newStacker(g, l)
	has := make([]bool, len(f.Values)) // a contraction that gains from it
	take := make([]bool, len(f.Values))
	any := false
	for i, v := range f.Values {
		if k.axis(v) < 0 {
			for _, a := range v.Args {
				if has[a.ID] && a.Type.Tuple == nil {
					take[a.ID], any = true, true
				}
			}
			continue
		}
		has[i] = v.Op == ops.Dot
		for _, a := range v.Args {
			has[i] = has[i] || has[a.ID]
		}
	}
	if !any {
		return l
	}
	b := ir.NewBuilder(f.Name)
	b.F.Doc = f.Doc
	nl := l
	nl.Slices, nl.InAxes = slices.Clone(l.Slices), slices.Clone(l.InAxes)
	env := make([]*ir.Value, len(f.Values))
	m := 1 + len(l.Inits) + len(l.Slices)
	for _, p := range f.Params[:m] {
		env[p.ID] = copyParam(b, p)
	}
	for i, v := range f.Values {
		if take[i] {
			nl.Slices, nl.InAxes = append(nl.Slices, k.stack(v)), append(nl.InAxes, k.axis(v))
			env[i] = b.Param(nameOf(v), v.Type)
		}
	}
	for _, p := range f.Params[m:] {
		env[p.ID] = copyParam(b, p)
	}
	body, err := copyBody(b, f, env)
	if err != nil && g.Err == nil {
		g.Err = err
	}
	nl.Body = body
	return nl
}

// copyBody copies the values of f that env lacks and drops what is not used.
func copyBody(b *ir.Builder, f *ir.Func, env []*ir.Value) (*ir.Func, error) {
	for i, v := range f.Values {
		if env[i] != nil {
			continue
		}
		args := make([]*ir.Value, len(v.Args))
		for k, a := range v.Args {
			args[k] = env[a.ID]
		}
		env[i] = b.Copy(v, args)
	}
	results := make([]*ir.Value, len(f.Results))
	for i, r := range f.Results {
		results[i] = env[r.ID]
	}
	g, err := b.Return(results...)
	if err != nil {
		return nil, err
	}
	return sweep(g)
}

// batchAfter appends l with sums and collected values computed after it, and
// returns a Tuple like its result.
func batchAfter(g ops.Graph, l ops.Loop) *ir.Value {
	c := &collector{l: l, results: slices.Clone(l.Body.Results), axes: slices.Clone(l.OutAxes), uses: l.Body.Uses(), k: newStacker(g, l)}
	var later []afterLoop
	for i := range l.Inits {
		if a := c.sumOf(i); a != nil {
			later = append(later, *a)
		}
	}
	for i := range l.Inits { // nothing is collected for these
		if a := c.plainSumOf(i); a != nil {
			later = append(later, *a)
		}
	}
	for i := range l.OutAxes {
		if a := c.productAt(len(l.Inits) + i); a != nil {
			later = append(later, *a)
		}
	}
	if len(later) == 0 {
		return g.Scan(l)
	}
	nl := l
	body := *l.Body
	body.Results = c.results
	nl.Body, nl.OutAxes = &body, c.axes
	r := reshape(nl)
	r.clean = dce
	for _, a := range later {
		r.result[a.result] = gone
		if a.result < len(l.Inits) {
			r.param[1+a.result] = gone
		}
	}
	t := remake(g, nl, r)
	elems := slices.Clone(t.Args[:len(l.Body.Results)])
	for _, a := range later {
		elems[a.result] = a.value(t)
	}
	return g.Do(ops.Tuple, elems)
}

// An afterLoop is a result that is computed after the loop, from the Tuple of
// its other results.
type afterLoop struct {
	result int
	value  func(t *ir.Value) *ir.Value
}

// A collector decides what batchAfter takes and collects operands for it.
type collector struct {
	l       ops.Loop
	results []*ir.Value // the old ones, then what is collected
	axes    []int
	uses    []int
	k       *stacker
}

// stackOf is how to get the stack of the value x of the body after the loop:
// its index among the results, or -1 if it is known before it. If it has to be
// collected, it is along axis prefer.
func (c *collector) stackOf(x *ir.Value, prefer int) (index, axis int) {
	if a := c.k.axis(x); a >= 0 {
		return -1, a
	}
	for i := len(c.l.Inits); i < len(c.results); i++ {
		if c.results[i] == x {
			return i, c.axes[i-len(c.l.Inits)]
		}
	}
	prefer = min(prefer, x.Type.Rank())
	c.results, c.axes = append(c.results, x), append(c.axes, prefer)
	return len(c.results) - 1, prefer
}

// there reports whether the stack of x takes no more memory.
func (c *collector) there(x *ir.Value) bool {
	return c.k.axis(x) >= 0 || slices.Contains(c.results[len(c.l.Inits):], x)
}

func (c *collector) get(t *ir.Value, x *ir.Value, index int) *ir.Value {
	if index < 0 {
		return c.k.stack(x)
	}
	return t.Args[index]
}

// added is x if carried value i only adds up x, starting from zero.
func (c *collector) added(i int) *ir.Value {
	init, next, carry := c.l.Inits[i], c.l.Body.Results[i], c.l.Carry(i)
	if init.Op != ops.Const || ops.Fill.Of(init) != 0 || next.Op != ops.Add || c.uses[next.ID] != 1 || c.uses[carry.ID] != 1 {
		return nil
	}
	switch carry {
	case next.Args[0]:
		return next.Args[1]
	case next.Args[1]:
		return next.Args[0]
	}
	return nil
}

func (c *collector) sumOf(i int) *afterLoop {
	d := c.added(i)
	if d == nil || d.Op != ops.Dot || c.uses[d.ID] != 1 {
		return nil
	}
	x, y := d.Args[0], d.Args[1]
	n := 0 // elements to collect in each iteration
	for _, z := range d.Args {
		if !c.there(z) {
			n += estimate(z.Type.Len())
		}
	}
	if n > 8*estimate(d.Type.Len()) {
		return nil
	}
	var xi, xa, yi, ya int
	if c.there(x) { // y beside x, so that both are read in the same order
		xi, xa = c.stackOf(x, 0)
		yi, ya = c.stackOf(y, xa)
	} else {
		yi, ya = c.stackOf(y, 0)
		xi, xa = c.stackOf(x, ya)
	}
	s := dotSpec(d)
	r := freeLetter(s)
	return &afterLoop{i, func(t *ir.Value) *ir.Value {
		return c.k.g.Dot(spec(insert(s.X, xa, r), insert(s.Y, ya, r), s.Out), c.get(t, x, xi), c.get(t, y, yi))
	}}
}

// plainSumOf takes the sum of something that is collected anyway.
func (c *collector) plainSumOf(i int) *afterLoop {
	s := c.added(i)
	if s == nil || s.Op != ops.Sum || c.uses[s.ID] != 1 || !c.there(s.Args[0]) {
		return nil
	}
	x := s.Args[0]
	xi, xa := c.stackOf(x, 0)
	axes := []int{xa}
	for _, a := range ops.Axes.Of(s) {
		if a >= xa {
			a++
		}
		axes = append(axes, a)
	}
	slices.Sort(axes)
	return &afterLoop{i, func(t *ir.Value) *ir.Value { return c.k.g.Sum(c.get(t, x, xi), axes...) }}
}

// productAt takes collected result i if it is a product with an invariant,
// perhaps with pointwise ops and invariants on top.
func (c *collector) productAt(i int) *afterLoop {
	r := c.results[i]
	if c.k.axis(r) != varying || c.uses[r.ID] != 1 {
		return nil
	}
	d := r
	for d.Op != ops.Dot {
		next := (*ir.Value)(nil)
		for _, a := range d.Args {
			if c.k.axis(a) == varying && next == nil {
				next = a
			}
		}
		if d.Op.Lane == nil || next == nil || c.uses[next.ID] != 1 {
			return nil
		}
		d = next
	}
	x := d.Args[0]
	if c.k.axis(x) != varying {
		x = d.Args[1]
	}
	if c.k.axis(x) != varying || !c.there(x) && estimate(x.Type.Len()) > 2*estimate(r.Type.Len()) {
		return nil
	}
	out := c.axes[i-len(c.l.Inits)]
	top := newStacker(c.k.g, c.l)
	top.base = map[*ir.Value]int{x: 0}
	if top.axis(r) < 0 {
		return nil
	}
	xi, xa := c.stackOf(x, out)
	return &afterLoop{i, func(t *ir.Value) *ir.Value {
		top := newStacker(c.k.g, c.l)
		top.base = map[*ir.Value]int{x: xa}
		top.outer[x] = c.get(t, x, xi)
		return moveAxis(c.k.g, top.stack(r), top.axis(r), out)
	}}
}

// moveAxis moves one axis of x.
func moveAxis(g ops.Graph, x *ir.Value, from, to int) *ir.Value {
	perm := slices.Delete(upTo(x.Type.Rank()), from, from+1)
	return g.Transpose(x, slices.Insert(perm, to, from)...)
}

// A stacker computes values of the body of a loop for all iterations at once.
type stacker struct {
	g     ops.Graph
	l     ops.Loop
	base  map[*ir.Value]int // values whose stacks are in outer, and the axis of the iterations
	axes  map[*ir.Value]int
	outer map[*ir.Value]*ir.Value
}

func newStacker(g ops.Graph, l ops.Loop) *stacker {
	return &stacker{g: g, l: l, axes: map[*ir.Value]int{}, outer: map[*ir.Value]*ir.Value{}}
}

const (
	varying   = -1 - iota // it cannot be computed outside
	invariant             // it is the same in all iterations
)

// axis is the axis of the stack of v that counts iterations, or one of the
// above.
func (k *stacker) axis(v *ir.Value) int {
	if a, ok := k.base[v]; ok {
		return a
	}
	a, ok := k.axes[v]
	if !ok {
		a = k.findAxis(v)
		k.axes[v] = a
	}
	return a
}

func (k *stacker) findAxis(v *ir.Value) int {
	if v.Op == ir.Param {
		i := slices.Index(k.l.Body.Params, v)
		m := 1 + len(k.l.Inits)
		switch {
		case i < m:
			return varying
		case i < m+len(k.l.Slices):
			return k.l.InAxes[i-m]
		}
		return invariant
	}
	found := invariant
	for _, a := range v.Args {
		switch at := k.axis(a); {
		case at == varying, at >= 0 && found >= 0 && at != found:
			return varying
		case at >= 0:
			found = at
		}
	}
	switch {
	case found == invariant && v.Op.Control == nil && v.Type.Tuple == nil:
		return invariant
	case found >= 0 && v.Op.Lane != nil && !v.Op.Costly:
		return found
	case found >= 0 && v.Op == ops.Dot && (k.axis(v.Args[0]) == invariant || k.axis(v.Args[1]) == invariant):
		c := dotSpec(v)
		own, t := c.X, v.Arg(0)
		if k.axis(v.Args[0]) == invariant {
			own, t = c.Y, v.Arg(1)
		}
		rows := countOf(nil)
		for i, r := range own {
			if strings.ContainsRune(c.Out, r) {
				rows = rows.Mul(t.Shape[i])
			}
		}
		if estimate(rows) <= fewRows {
			return min(found, v.Type.Rank())
		}
	}
	return varying
}

// stack is v for all iterations, or v itself if it is invariant.
func (k *stacker) stack(v *ir.Value) *ir.Value {
	if w := k.outer[v]; w != nil {
		return w
	}
	w := k.build(v)
	k.outer[v] = w
	return w
}

func (k *stacker) build(v *ir.Value) *ir.Value {
	if v.Op == ir.Param {
		i := slices.Index(k.l.Body.Params, v) - 1 - len(k.l.Inits)
		if i < len(k.l.Slices) {
			return k.l.Slices[i]
		}
		return k.l.Invariants[i-len(k.l.Slices)]
	}
	args := make([]*ir.Value, len(v.Args))
	for i, a := range v.Args {
		args[i] = k.stack(a)
	}
	at := k.axis(v)
	if at == invariant {
		return k.g.Copy(v, args)
	}
	if v.Op == ops.Dot {
		c := dotSpec(v)
		r := freeLetter(c)
		if a := k.axis(v.Args[0]); a >= 0 {
			c.X = insert(c.X, a, r)
		} else {
			c.Y = insert(c.Y, k.axis(v.Args[1]), r)
		}
		return k.g.Dot(spec(c.X, c.Y, insert(c.Out, at, r)), args[0], args[1])
	}
	shape := slices.Insert(slices.Clone(v.Type.Shape), at, k.l.Extent)
	others := slices.Delete(upTo(len(shape)), at, at+1)
	for i, a := range v.Args {
		if k.axis(a) == invariant {
			args[i] = k.g.Broadcast(args[i], shape, others...)
		}
	}
	return k.g.Copy(v, args)
}

// freeLetter is a letter that c does not use.
func freeLetter(c ops.Contraction) string {
	for _, r := range "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" {
		if !strings.ContainsRune(c.X+c.Y, r) {
			return string(r)
		}
	}
	return "a"
}

func insert(s string, at int, letter string) string { return s[:at] + letter + s[at:] }

// estimate is the value of d if every symbol were 64.
func estimate(d ir.Dim) int {
	env := map[string]int{}
	for _, s := range d.Syms() {
		env[s] = 64
	}
	n, err := d.Eval(env)
	if err != nil {
		return 0
	}
	return n
}
