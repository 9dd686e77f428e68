package loop

import "slices"

// A Builder appends statements to a kernel. Blocks nest through the closures
// given to For and If.
type Builder struct {
	K      *Kernel
	ids    int
	into   *[]Stmt
	open   []int // numbers of the blocks under construction, outermost first
	blocks int
}

// NewBuilder starts the kernel called name.
func NewBuilder(name string) *Builder {
	b := &Builder{K: &Kernel{Name: name}}
	b.into = &b.K.Body
	b.open = []int{0}
	return b
}

// Block is the number of the block under construction. What was computed in a
// block can be used as long as it is Open.
func (b *Builder) Block() int { return b.open[len(b.open)-1] }

// Open reports whether block n is the one under construction or around it.
func (b *Builder) Open(n int) bool { return slices.Contains(b.open, n) }

// Local declares scratch of n elements; see Buffer.Local.
func (b *Builder) Local(name string, e Elem, n Dim) *Buffer {
	x := b.Buffer(name, e, n, true)
	x.Local = true
	return x
}

// Buffer declares an argument. Inputs come before outputs.
func (b *Builder) Buffer(name string, e Elem, n Dim, out bool) *Buffer {
	x := &Buffer{Name: name, Elem: e, Len: n, Out: out}
	b.K.Bufs = append(b.K.Bufs, x)
	return x
}

// NewVal makes a value that nothing defines yet.
func (b *Builder) NewVal(e Elem, name string) *Val {
	v := &Val{ID: b.ids, Elem: e, Name: name}
	b.ids++
	return v
}

// NewLike makes a value of the type of x that nothing defines yet.
func (b *Builder) NewLike(x *Val) *Val {
	v := b.NewVal(x.Elem, x.Name)
	v.Vec = x.Vec
	return v
}

// newVec makes a vector that nothing defines yet.
func (b *Builder) newVec(e Elem) *Val {
	v := b.NewVal(e, "")
	v.Vec = true
	return v
}

// Int declares a run-time integer argument.
func (b *Builder) Int(name string) *Val {
	v := b.NewVal(Int, name)
	b.K.Ints = append(b.K.Ints, v)
	return v
}

// Emit appends s to the block under construction.
func (b *Builder) Emit(s Stmt) { *b.into = append(*b.into, s) }

// Do appends an instruction and returns its result, whose element type follows
// from the operands. Use ConvertTo, Float, Integer and SizeOf where it does not.
func (b *Builder) Do(op Op, args ...*Val) *Val {
	v := b.NewVal(resultElem(op, args), "")
	v.Vec = resultVec(op, args)
	b.Emit(&Instr{Op: op, Dst: v, Args: args})
	return v
}

// Const is the constant x of element type e.
func (b *Builder) Const(e Elem, x float64) *Val {
	v := b.NewVal(e, "")
	b.Emit(&Instr{Op: Const, Dst: v, Imm: x})
	return v
}

// SizeOf is d as an Int value.
func (b *Builder) SizeOf(d Dim) *Val {
	v := b.NewVal(Int, "")
	b.Emit(&Instr{Op: Size, Dst: v, Dim: d})
	return v
}

// ConvertTo converts x to e; it is x itself if it has that type.
func (b *Builder) ConvertTo(e Elem, x *Val) *Val {
	if x.Elem == e {
		return x
	}
	v := b.NewVal(e, "")
	v.Vec = x.Vec
	b.Emit(&Instr{Op: Convert, Dst: v, Args: []*Val{x}})
	return v
}

// Load reads buf at i.
func (b *Builder) Load(buf *Buffer, i Index) *Val {
	v := b.NewVal(buf.Elem, "")
	b.Emit(&Load{Dst: v, Buf: buf, At: i})
	return v
}

// LoadVec reads a vector of buf from i on; mask may be nil.
func (b *Builder) LoadVec(buf *Buffer, i Index, mask *Val) *Val {
	v := b.newVec(buf.Elem)
	b.Emit(&Load{Dst: v, Buf: buf, At: i, Mask: mask})
	return v
}

// Prefetch tells that buf is read at i soon.
func (b *Builder) Prefetch(buf *Buffer, i Index) { b.Emit(&Prefetch{Buf: buf, At: i}) }

// Gather reads lane l of a vector from i + lane[l]; mask may be nil.
func (b *Builder) Gather(buf *Buffer, i Index, lane, mask *Val) *Val {
	v := b.newVec(buf.Elem)
	b.Emit(&Load{Dst: v, Buf: buf, At: i, Lane: lane, Mask: mask})
	return v
}

// StoreVec writes the vector x to buf from i on; mask may be nil.
func (b *Builder) StoreVec(buf *Buffer, i Index, x, mask *Val) {
	b.Emit(&Store{Buf: buf, At: i, Src: x, Mask: mask})
}

// ConstVec is a vector with x in every lane.
func (b *Builder) ConstVec(e Elem, x float64) *Val {
	v := b.newVec(e)
	b.Emit(&Instr{Op: Const, Dst: v, Imm: x})
	return v
}

// Store writes x to buf at i.
func (b *Builder) Store(buf *Buffer, i Index, x *Val) { b.Emit(&Store{Buf: buf, At: i, Src: x}) }

// For appends a loop over [from, to). The body gets the counter and the
// carried values and returns their next values; For returns the last ones.
func (b *Builder) For(name string, from, to Bound, step int, init []*Val, body func(i *Val, phi []*Val) []*Val) []*Val {
	f := &For{Var: b.NewVal(Int, name), From: from, To: to, Step: step}
	phis, outs := make([]*Val, len(init)), make([]*Val, len(init))
	for k, x := range init {
		phis[k], outs[k] = b.NewLike(x), b.NewLike(x)
		f.Carry = append(f.Carry, &Carry{Phi: phis[k], Init: x, Out: outs[k]})
	}
	b.Emit(f)
	next := b.block(&f.Body, func() []*Val { return body(f.Var, phis) })
	for k := range f.Carry {
		f.Carry[k].Next = next[k]
	}
	return outs
}

// LastLoop is the loop that was appended last to the block under construction,
// for those who want its After.
func (b *Builder) LastLoop() *For {
	f, _ := (*b.into)[len(*b.into)-1].(*For)
	return f
}

// Range is For over [0, n) by one, without carried values.
func (b *Builder) Range(name string, n Dim, body func(i *Val)) {
	b.For(name, Bound{}, Bound{Dim: n}, 1, nil, func(i *Val, _ []*Val) []*Val { body(i); return nil })
}

// Reduce is For over [0, n) by one with one carried value.
func (b *Builder) Reduce(name string, n Dim, init *Val, body func(i, acc *Val) *Val) *Val {
	return b.For(name, Bound{}, Bound{Dim: n}, 1, []*Val{init}, func(i *Val, phi []*Val) []*Val {
		return []*Val{body(i, phi[0])}
	})[0]
}

// If appends a choice. Both branches return the same number of values.
func (b *Builder) If(cond *Val, then, els func() []*Val) []*Val {
	s := &If{Cond: cond}
	b.Emit(s)
	x := b.block(&s.Then, then)
	var y []*Val
	if els != nil {
		y = b.block(&s.Else, els)
	}
	out := make([]*Val, len(x))
	for k := range x {
		out[k] = b.NewVal(x[k].Elem, "")
		out[k].Vec = x[k].Vec
		s.Merge = append(s.Merge, &Merge{out[k], x[k], y[k]})
	}
	return out
}

// Into runs body, which emits into the block into: for statements made by hand.
func (b *Builder) Into(into *[]Stmt, body func()) {
	b.block(into, func() []*Val { body(); return nil })
}

func (b *Builder) block(into *[]Stmt, body func() []*Val) []*Val {
	outer := b.into
	b.into = into
	b.blocks++
	b.open = append(b.open, b.blocks)
	defer func() { b.into, b.open = outer, b.open[:len(b.open)-1] }()
	return body()
}

// At is the index that is the Int value v.
func At(v *Val) Index { return Index{Terms: []IndexTerm{{v, N(1)}}} }

// AtDim is the constant index d.
func AtDim(d Dim) Index { return Index{Off: d} }

// Add returns i + j, terms of one variable joined.
func (i Index) Add(j Index) Index {
	k := Index{Terms: append([]IndexTerm(nil), i.Terms...), Off: i.Off.Add(j.Off)}
	for _, t := range j.Terms {
		found := false
		for n := range k.Terms {
			if k.Terms[n].Var == t.Var {
				k.Terms[n].Coef = k.Terms[n].Coef.Add(t.Coef)
				found = true
			}
		}
		if !found {
			k.Terms = append(k.Terms, t)
		}
	}
	kept := k.Terms[:0]
	for _, t := range k.Terms {
		if !t.Coef.Is(0) {
			kept = append(kept, t)
		}
	}
	k.Terms = kept
	return k
}

// Scale returns d*i.
func (i Index) Scale(d Dim) Index {
	k := Index{Off: i.Off.Mul(d)}
	for _, t := range i.Terms {
		if c := t.Coef.Mul(d); !c.Is(0) {
			k.Terms = append(k.Terms, IndexTerm{t.Var, c})
		}
	}
	return k
}

// IndexVal is i as an Int value, computed by instructions.
func (b *Builder) IndexVal(i Index) *Val {
	if len(i.Terms) == 1 && i.Terms[0].Coef.Is(1) && i.Off.Is(0) {
		return i.Terms[0].Var
	}
	var sum *Val
	for _, t := range i.Terms {
		x := t.Var
		if !t.Coef.Is(1) {
			x = b.Do(Mul, x, b.SizeOf(t.Coef))
		}
		if sum == nil {
			sum = x
		} else {
			sum = b.Do(Add, sum, x)
		}
	}
	switch {
	case sum == nil:
		return b.SizeOf(i.Off)
	case i.Off.Is(0):
		return sum
	}
	return b.Do(Add, sum, b.SizeOf(i.Off))
}
