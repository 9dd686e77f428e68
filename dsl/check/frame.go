package check

import (
	"slices"

	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/ops"
)

// A variable is a name that holds a value, or a tensor of the model (a
// parameter, state or cache), or one slice of such. Frames hold its present
// value: an assignment in a loop changes it in the loop's frame only, and
// becomes a carried value when the loop ends.
type variable struct {
	name string
	decl dsl.Node  // where it is declared; nil if nobody need use it
	file *dsl.File // of decl
	used bool
	home *frame // where it was declared
	val  value  // its value in home; nil for a store or slice not read yet

	store *storage // the tensor of the model behind it, or nil
	lazy  *ctype   // of a parameter of the entry that is made when first read
	load  func()   // sets val to it

	// A slice: the element at home's counter of axis axis of the variable of.
	of      *variable
	axis    int
	param   *ir.Value // the slice as home gets it, once read
	written bool

	// A copy of the variable of, by its number along axis, that cannot be
	// walked: it is read and written inside the whole of it.
	part *copyOf
}

// typ is the type of v if it holds a tensor, without reading it.
func (v *variable) typ() (ctype, bool) {
	switch {
	case v.of != nil:
		t, ok := v.of.typ()
		if !ok || v.axis >= len(t.dims) {
			return ctype{}, false
		}
		return ctype{t.elem, without(t.dims, v.axis)}, true
	case v.val == nil && v.lazy != nil:
		return *v.lazy, true
	}
	t, ok := v.val.(tensor)
	return t.ctype, ok
}

// without returns list without its element i.
func without[T any](list []T, i int) []T {
	return slices.Concat(list[:i], list[i+1:])
}

// A frame is a function of the module that is being written: an entry point,
// or the body of a loop inside another frame.
type frame struct {
	up *frame // the frame around a loop; nil for an entry point
	g  ops.Graph

	// Of a loop.
	counter *ir.Value
	sym     string   // the counter as an atom of affine values
	trip    loop.Dim // iterations; unused if dyn is set
	dyn     *tensor  // the number of iterations at run time, in up
	path    string   // of the stack of layers that it walks

	binds  map[*variable]*binding
	order  []*binding // by first use
	slices []*variable
	caught map[*ir.Value]*ir.Value // values of outer frames, and the parameters that bring them here
	outer  []capture               // the same in order

	// whole holds the variables that cannot be walked slice by slice, or are
	// not constants after all, as an earlier attempt at this loop found out.
	whole map[*variable]bool
}

// A binding is what a frame knows of a variable of an outer frame.
type binding struct {
	v       *variable
	param   *ir.Value // its value at the start of an iteration, once read
	cur     value     // its present value
	written bool
	konst   bool // it was read as a compile-time value
}

type capture struct {
	value tensor    // in an outer frame
	param *ir.Value // in this one
}

// A retry says that the loop of frame fr must be checked again with v in
// fr.whole. It is thrown through the statements of the loop.
type retry struct {
	fr *frame
	v  *variable
}

func newFrame(up *frame, name string) *frame {
	f := &frame{
		up: up, g: ops.On(ir.NewBuilder(name)),
		binds: map[*variable]*binding{}, caught: map[*ir.Value]*ir.Value{}, whole: map[*variable]bool{},
	}
	if up != nil {
		f.g.Pos, f.g.Scope = up.g.Pos, up.g.Scope
	}
	return f
}

// read returns the present value of v as seen from f. A tensor comes as a
// value of f.
func (f *frame) read(v *variable) value {
	if v.part != nil {
		return f.readPart(v)
	}
	if v.home == f {
		switch {
		case v.val != nil:
		case v.of != nil:
			f.sliced(v, false)
			t, _ := v.typ()
			v.param = f.g.Param(v.name, t.ir())
			v.val = tensor{ctype: t, v: v.param, fr: f}
			if v.of.home == f.up { // else a loop between may have changed it
				v.val = tensor{ctype: t, v: v.param, fr: f, arg: v.of.argument()}
			}
		case v.load != nil:
			v.load()
		}
		return v.val
	}
	b := f.binds[v]
	if b == nil {
		b = &binding{v: v}
		f.binds[v] = b
		f.order = append(f.order, b)
	}
	if b.cur != nil {
		return b.cur
	}
	f.touch(v, false)
	val := f.up.read(v)
	if f.whole[v] {
		if t, ok := f.up.materialise(val); ok {
			val = t
		}
	}
	t, ok := val.(tensor)
	if !ok {
		b.konst, b.cur = true, val
		return val
	}
	b.param = f.g.Param(v.name, t.v.Type)
	t.v, t.fr = b.param, f
	if f.whole[v] { // it changes from one iteration to the next
		t.aff, t.guard, t.soft, t.arg = nil, nil, nil, 0
	}
	b.cur = t
	return t
}

// argument is the number of the entry argument whose elements v holds, as in
// tensor.arg.
func (v *variable) argument() int {
	if t, ok := v.val.(tensor); ok {
		return t.arg
	}
	return 0
}

// write gives v the value val in f. The caller has checked the type.
func (f *frame) write(v *variable, val value) {
	if v.part != nil {
		f.writePart(v, val.(tensor))
		return
	}
	if v.home == f {
		if v.of != nil {
			f.sliced(v, true)
			v.written = true
		}
		v.val = val
		return
	}
	b := f.binds[v]
	if b == nil {
		b = &binding{v: v}
		f.binds[v] = b
		f.order = append(f.order, b)
	}
	if b.konst || b.param != nil && !f.whole[v] && f.changes(b) {
		panic(retry{f, v})
	}
	f.touch(v, true)
	b.cur, b.written = val, true
}

// changes tells whether knowledge about b's value was used that holds in the
// first iteration only.
func (f *frame) changes(b *binding) bool {
	t, ok := b.cur.(tensor)
	return ok && (t.aff != nil || t.guard != nil || t.soft != nil || t.arg != 0)
}

// touch is called before v as a whole is first read or written in f: slices
// of it must not be in use at the same time, unless all of them only read.
func (f *frame) touch(v *variable, write bool) {
	for _, s := range f.slices {
		if s.of == v && (write || s.written) {
			panic(retry{f, v})
		}
	}
}

// sliced is called before the slice s of f is first read or written.
func (f *frame) sliced(s *variable, write bool) {
	b := f.binds[s.of]
	if b != nil && (b.written || b.cur != nil && write) {
		panic(retry{f, s.of})
	}
	for _, o := range f.slices {
		if o != s && o.of == s.of && (write || o.written) {
			panic(retry{f, s.of})
		}
	}
}

// slice returns the slice of v at f's counter along axis as a variable of f,
// or nil if v cannot be walked that way. v belongs to a frame around f.
func (f *frame) slice(v *variable, axis int) *variable {
	t, ok := v.typ()
	if !ok || f.up == nil || f.dyn != nil || v.home == f || f.whole[v] || axis >= len(t.dims) || !t.dims[axis].Eq(f.trip) {
		return nil
	}
	for _, s := range f.slices {
		if s.of == v && s.axis == axis {
			return s
		}
	}
	s := &variable{name: v.name, home: f, of: v, axis: axis, used: true}
	f.slices = append(f.slices, s)
	return s
}

// readPart reads the copy v out of the whole.
func (f *frame) readPart(v *variable) value {
	whole, ok := f.read(v.of).(tensor)
	if !ok {
		return poison{}
	}
	x := f.use(whole)
	t, _ := v.typ()
	if v.part.loop != nil {
		one := f.g.DynSlice(x, f.use(v.part.loop.count()), v.axis, loop.N(1))
		return tensor{ctype: t, v: f.g.Reshape(one, t.shape()...), fr: f}
	}
	return tensor{ctype: t, v: f.pick(x, v.axis, loop.N(v.part.n)), fr: f}
}

// pick is the element of x at i along axis, which disappears.
func (f *frame) pick(x *ir.Value, axis int, i loop.Dim) *ir.Value {
	shape := x.Type.Shape
	starts, one, steps := make([]loop.Dim, len(shape)), slices.Clone(shape), make([]int, len(shape))
	for k := range steps {
		steps[k] = 1
	}
	starts[axis], one[axis] = i, loop.N(1)
	return f.g.Reshape(f.g.Slice(x, starts, one, steps), without(shape, axis)...)
}

// writePart writes the copy v into the whole.
func (f *frame) writePart(v *variable, val tensor) {
	whole, ok := f.read(v.of).(tensor)
	if !ok {
		return
	}
	x := f.use(whole)
	one := slices.Clone(x.Type.Shape)
	one[v.axis] = loop.N(1)
	var at *ir.Value
	if v.part.loop != nil {
		at = f.use(v.part.loop.count())
	} else {
		at = f.g.Integer(v.part.n)
	}
	f.write(v.of, tensor{ctype: whole.ctype, v: f.g.DynUpdate(x, f.g.Reshape(f.use(val), one...), at, v.axis), fr: f})
}

// count is the loop's counter.
func (f *frame) count() tensor {
	aff := loop.Sym(f.sym)
	return tensor{ctype: ctype{elem: ir.I32}, v: f.counter, fr: f, untyped: true, aff: &aff}
}

// use returns the value of t in f.
func (f *frame) use(t tensor) *ir.Value {
	if t.fr == f {
		return t.v
	}
	if p := f.caught[t.v]; p != nil {
		return p
	}
	if f.up == nil {
		panic("bug in check: a value is used outside the loop that computes it")
	}
	if op := t.v.Op; op.Source && len(t.v.Args) == 0 {
		w := f.g.Copy(t.v, nil)
		f.caught[t.v] = w
		return w
	}
	f.up.use(t)
	p := f.g.Param("", t.v.Type)
	f.caught[t.v] = p
	f.outer = append(f.outer, capture{t, p})
	return p
}

// here is t as a value of f.
func (f *frame) here(t tensor) tensor {
	t.v, t.fr = f.use(t), f
	return t
}

// materialise makes a tensor of a number or truth value.
func (f *frame) materialise(v value) (tensor, bool) {
	switch v := v.(type) {
	case tensor:
		return f.here(v), true
	case num:
		e := ir.F32
		if v.isInt() {
			e = ir.I32
		}
		return tensor{ctype: ctype{elem: e}, v: f.g.Constant(e, v.f), fr: f}, true
	case dim:
		return f.size(v), true
	case boolean:
		x := 0.0
		if v {
			x = 1
		}
		return tensor{ctype: ctype{elem: ir.Bool}, v: f.g.Constant(ir.Bool, x), fr: f}, true
	}
	return tensor{}, false
}

// size is the value of a dim as an untyped integer.
func (f *frame) size(d dim) tensor {
	t := tensor{ctype: ctype{elem: ir.I32}, fr: f, untyped: true, aff: &d.Dim}
	if n, ok := d.Const(); ok {
		t.v = f.g.Integer(n)
	} else {
		t.v = f.g.Size(d.Dim)
	}
	return t
}

// end closes the loop f: it makes the Scan in f.up and gives the variables
// that the loop has changed their new values there.
func (f *frame) end() {
	up := f.up
	l := ops.Loop{Extent: f.trip, InAxes: []int{}, OutAxes: []int{}}
	var pCarry, pSlice, pFixed []*ir.Value // parameters of the body
	var next, collected []*ir.Value        // results of the body
	var carried []*binding
	var gathered []*variable
	if f.dyn != nil {
		l.Trip, l.Extent = up.use(*f.dyn), loop.N(0)
	}
	for _, b := range f.order {
		if !b.written {
			continue
		}
		t, ok := up.materialise(up.read(b.v))
		if !ok {
			continue // poisoned
		}
		if b.param == nil {
			b.param = f.g.Param(b.v.name, t.v.Type)
		}
		l.Inits = append(l.Inits, t.v)
		pCarry = append(pCarry, b.param)
		next = append(next, f.use(b.cur.(tensor)))
		carried = append(carried, b)
	}
	for _, s := range f.slices {
		if s.written {
			collected = append(collected, f.use(s.val.(tensor)))
			l.OutAxes = append(l.OutAxes, s.axis)
			gathered = append(gathered, s)
		}
	}
	f.g.F.Results = slices.Concat(next, collected)
	live := liveIn(f.g.F)
	for _, s := range f.slices {
		if s.param != nil && live[s.param.ID] {
			l.Slices = append(l.Slices, up.use(up.read(s.of).(tensor)))
			pSlice = append(pSlice, s.param)
			l.InAxes = append(l.InAxes, s.axis)
		}
	}
	for _, b := range f.order {
		if !b.written && b.param != nil && live[b.param.ID] {
			l.Invariants = append(l.Invariants, up.use(up.read(b.v).(tensor)))
			pFixed = append(pFixed, b.param)
		}
	}
	for _, o := range f.outer {
		if live[o.param.ID] {
			l.Invariants = append(l.Invariants, up.use(o.value))
			pFixed = append(pFixed, o.param)
		}
	}
	if len(f.g.F.Results) == 0 {
		return // it computes nothing
	}
	f.close(slices.Concat([]*ir.Value{f.counter}, pCarry, pSlice, pFixed))
	if f.g.Err != nil && up.g.Err == nil {
		up.g.Err = f.g.Err
	}
	l.Body = f.g.F
	outside := up.g.Scope
	if f.path != "" {
		up.g.Scope = f.path
	}
	scan := up.g.Scan(l)
	up.g.Scope = outside
	for i, b := range carried {
		t := b.cur.(tensor)
		up.write(b.v, tensor{ctype: t.ctype, v: up.g.Get(scan, i), fr: up, idx: t.idx})
	}
	for i, s := range gathered {
		t, _ := s.of.typ()
		up.write(s.of, tensor{ctype: t, v: up.g.Get(scan, len(carried)+i), fr: up})
	}
}

// liveIn marks, by ID, the values of fn that its results need.
func liveIn(fn *ir.Func) []bool {
	live := make([]bool, len(fn.Values))
	for i, v := range fn.Values {
		v.ID = i
	}
	for _, r := range fn.Results {
		live[r.ID] = true
	}
	for i := len(fn.Values) - 1; i >= 0; i-- {
		if live[i] {
			for _, a := range fn.Values[i].Args {
				live[a.ID] = true
			}
		}
	}
	return live
}

// close puts the parameters in front, drops what the results do not need, and
// numbers the values of the function anew.
func (f *frame) close(params []*ir.Value) {
	fn := f.g.F
	live := liveIn(fn)
	values := slices.Clone(params)
	for _, v := range fn.Values {
		if live[v.ID] && v.Op != ir.Param {
			values = append(values, v)
		}
	}
	for i, v := range values {
		v.ID = i
	}
	fn.Params, fn.Values = params, values
}
