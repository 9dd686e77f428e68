package passes

import (
	"fmt"

	"github.com/lmc-lang/lmc/ir/loop"
)

// vectorise turns a scalar kernel into one in vectors, with a grid. Parallel
// has the counters of loops whose iterations are independent but for their
// carries. The error says why no loop of the kernel fits. A kernel that has a
// grid is in vectors already, and gets no error for that.
//
// For each loop there are two ways: it runs over vectors, and everything in it
// that differs from iteration to iteration becomes a vector, loops included; or
// it stays, and the loops in it have the choice. Both are written down and
// weighed, so what is legal and what it costs is known from one place, the
// writing itself. That is done once to choose, and once more to write the
// kernel with its grid and with as many vectors at a time as the choice allows.
func vectorise(b *loop.Builder, parallel map[*loop.Val]bool) (*loop.Kernel, error) {
	joinSums(b.K.Body)
	v := newVectoriser(b, parallel)
	v.choosing = true
	if err := v.write(); err != nil {
		return nil, err
	}
	if v.why == "" {
		v.why = "there is not enough to do"
	}
	if len(v.chosen) == 0 && b.K.Grid == nil {
		return nil, fmt.Errorf("no loop fits: %s", v.why)
	}
	chosen := v.chosen
	grid := nativeGrid(b, parallel, chosen)
	v = newVectoriser(b, parallel)
	v.chosen = chosen
	if err := v.write(); err != nil {
		return nil, err
	}
	if grid != nil {
		v.K.Grid = &loop.Grid{Lo: v.lo, Hi: v.hi, N: grid.N, Grain: grid.Grain}
	}
	v.K.Doc = b.K.Doc
	return loop.Tidy(v.K), nil
}

// A vectoriser writes the kernel src anew, some loops as loops over vectors.
type vectoriser struct {
	*loop.Builder
	src      *loop.Kernel
	parallel map[*loop.Val]bool
	defs     map[*loop.Val]loop.Stmt
	uses     map[*loop.Val]int
	env      map[*loop.Val]*lanes // what the values of src have become
	lo, hi   *loop.Val            // the range of the grid

	choosing bool // chosen is being filled in
	chosen   map[*loop.For]*choice
	why      string // the reason why the last loop that was tried does not fit

	// Of the loop over vectors that is being written:
	strip   *loop.For
	copies  int         // vectors at a time
	masks   []*loop.Val // per copy, the lanes that count; nil: all do
	guarded bool        // in a branch that only some lanes take: masks says which
	varying map[*loop.Val]bool
}

// A choice is a loop that runs over vectors.
type choice struct {
	copies   int // vectors at a time
	multiple int // the lengths of its ranges are multiples of this, or 0
}

// A lanes is what a value of the scalar kernel has become. An Int is
//
//	at + step*l in lane l of the first copy, and goes on from copy to copy,
//
// or a vector of I32: sizes of tensors fit in 31 bits. Other values are the
// same in all lanes (one), or vectors.
type lanes struct {
	elem  loop.Elem
	one   *loop.Val
	at    loop.Index
	step  loop.Dim
	vec   []*loop.Val // one for each copy
	known *float64    // the number that it is
	// Parts of a result that are not yet combined; see partial.
	part *sum
}

// uniform reports whether x is the same in all lanes.
func (x *lanes) uniform() bool { return x.vec == nil && x.step.Is(0) }

// An unfit is why a loop cannot run over vectors: it travels as a panic.
type unfit string

func (v *vectoriser) unfit(format string, a ...any) { panic(unfit(fmt.Sprintf(format, a...))) }

// try runs f; false if it turns out not to fit.
func (v *vectoriser) try(f func()) (ok bool) {
	strip, copies, masks, guarded := v.strip, v.copies, v.masks, v.guarded
	defer func() {
		switch r := recover().(type) {
		case nil:
		case unfit:
			v.why, ok = string(r), false
			v.strip, v.copies, v.masks, v.guarded = strip, copies, masks, guarded
		default:
			panic(r)
		}
	}()
	f()
	return true
}

func newVectoriser(b *loop.Builder, parallel map[*loop.Val]bool) *vectoriser {
	v := &vectoriser{Builder: loop.NewBuilder(b.K.Name), src: b.K, parallel: parallel, defs: map[*loop.Val]loop.Stmt{}, uses: usesOf(b.K), env: map[*loop.Val]*lanes{}, chosen: map[*loop.For]*choice{}}
	v.K.Bufs = b.K.Bufs
	for _, x := range b.K.Ints {
		v.env[x] = integerLanes(loop.At(v.Int(x.Name)))
	}
	if g := b.K.Grid; g != nil {
		v.lo, v.hi = v.NewVal(loop.Int, "lo"), v.NewVal(loop.Int, "hi")
		v.env[g.Lo], v.env[g.Hi] = integerLanes(loop.At(v.lo)), integerLanes(loop.At(v.hi))
	}
	walk(b.K.Body, func(s loop.Stmt) {
		switch s := s.(type) {
		case *loop.Instr:
			v.defs[s.Dst] = s
		case *loop.For:
			for _, c := range s.Carry {
				v.defs[c.Out] = s
			}
		case *loop.If:
			for _, m := range s.Merge {
				v.defs[m.Dst] = s
			}
		}
	})
	return v
}

// write writes the whole kernel.
func (v *vectoriser) write() error {
	if !v.try(func() { v.block(v.src.Body) }) {
		return fmt.Errorf("%s", v.why)
	}
	return nil
}

func integerLanes(at loop.Index) *lanes { return &lanes{elem: loop.Int, at: at} }

// scalarLanes is x as the same in all lanes.
func scalarLanes(x *loop.Val) *lanes {
	if x.Elem == loop.Int {
		return integerLanes(loop.At(x))
	}
	return &lanes{elem: x.Elem, one: x}
}

func (v *vectoriser) of(x *loop.Val) *lanes {
	l := v.env[x]
	if l == nil {
		panic(fmt.Sprintf("bug in pass schedule: %v of %s is used before it is defined", x, v.src.Name))
	}
	if l.part != nil {
		v.unfit("a sum is read before it is complete")
	}
	return l
}

// scalar is x, which is the same in all lanes, as one value.
func (v *vectoriser) scalar(x *lanes) *loop.Val {
	switch {
	case !x.uniform():
		v.unfit("a value that has to be one differs from lane to lane")
	case x.elem == loop.Int:
		return v.IndexVal(x.at)
	}
	return x.one
}

// vector is copy u of x.
func (v *vectoriser) vector(x *lanes, u int) *loop.Val {
	switch {
	case x.vec != nil:
		return x.vec[u]
	case x.known != nil:
		return v.ConstVec(x.elem, *x.known)
	case x.elem == loop.Int:
		return v.narrow(x, u)
	}
	if x.one.Vec {
		v.unfit("it has vectors already")
	}
	return v.Do(loop.Splat, x.one)
}

// narrow is copy u of the Int x as a vector of I32.
func (v *vectoriser) narrow(x *lanes, u int) *loop.Val {
	at := x.at.Add(loop.AtDim(x.step.MulN(loop.Lanes * u)))
	var base *loop.Val
	if c, ok := at.Off.Const(); ok && len(at.Terms) == 0 {
		base = v.ConstVec(loop.I32, float64(int32(c)))
	} else {
		base = v.Do(loop.Splat, v.ConvertTo(loop.I32, v.IndexVal(at)))
	}
	if x.step.Is(0) {
		return base
	}
	return v.Do(loop.Add, base, v.count(x.step))
}

// count is the vector 0, step, 2*step, …
func (v *vectoriser) count(step loop.Dim) *loop.Val {
	if step.Is(0) {
		return v.ConstVec(loop.I32, 0)
	}
	iota := v.Do(loop.Iota)
	if step.Is(1) {
		return iota
	}
	return v.Do(loop.Mul, iota, v.narrow(integerLanes(loop.AtDim(step)), 0))
}

// block writes body. Straight code in a loop over vectors is written copy by
// copy, so that few values are alive at a time.
func (v *vectoriser) block(body []loop.Stmt) {
	if v.strip == nil {
		for _, s := range body {
			v.stmt(s, 0)
		}
		return
	}
	for i := 0; i < len(body); {
		n := i
		for n < len(body) && straight(body[n]) {
			n++
		}
		if n == i {
			v.stmt(body[i], 0)
			i++
			continue
		}
		for u := range v.copies {
			for _, s := range body[i:n] {
				v.stmt(s, u)
			}
		}
		i = n
	}
}

func straight(s loop.Stmt) bool {
	switch s.(type) {
	case *loop.Instr, *loop.Load, *loop.Store:
		return true
	}
	return false
}

// stmt writes copy u of s.
func (v *vectoriser) stmt(s loop.Stmt, u int) {
	switch s := s.(type) {
	case *loop.Instr:
		v.instr(s, u)
	case *loop.Load:
		v.load(s, u)
	case *loop.Prefetch:
		if v.strip == nil {
			v.Prefetch(s.Buf, v.address(s.At, u).at)
		}
	case *loop.Store:
		v.storeTo(s, u)
	case *loop.For:
		v.loop(s)
	case *loop.If:
		v.branch(s)
	default:
		v.unfit("it calls a function")
	}
}

// An addr is an address of one copy: at + step*l + lane[l] in lane l.
type addr struct {
	at   loop.Index
	step loop.Dim
	lane *loop.Val
}

func (v *vectoriser) address(i loop.Index, u int) addr {
	a := addr{at: loop.AtDim(i.Off)}
	for _, t := range i.Terms {
		x := v.of(t.Var)
		if x.vec != nil {
			lane := x.vec[u]
			if !t.Coef.Is(1) {
				lane = v.Do(loop.Mul, lane, v.narrow(integerLanes(loop.AtDim(t.Coef)), 0))
			}
			if a.lane != nil {
				lane = v.Do(loop.Add, a.lane, lane)
			}
			a.lane = lane
			continue
		}
		a.at = a.at.Add(x.at.Scale(t.Coef))
		a.step = a.step.Add(x.step.Mul(t.Coef))
	}
	a.at = a.at.Add(loop.AtDim(a.step.MulN(loop.Lanes * u)))
	return a
}

// vectorIn is a vector of the source, which may be missing.
func (v *vectoriser) vectorIn(x *loop.Val) *loop.Val {
	if x == nil {
		return nil
	}
	return v.of(x).one
}

func (v *vectoriser) mask(u int) *loop.Val {
	if v.masks == nil {
		return nil
	}
	return v.masks[u]
}

// load writes a load: of one element for all lanes, of neighbours, or of
// elements far from each other.
func (v *vectoriser) load(s *loop.Load, u int) {
	if u > 0 && v.env[s.Dst].vec == nil {
		return
	}
	a := v.address(s.At, u)
	if v.strip == nil {
		x := v.NewLike(s.Dst)
		v.Emit(&loop.Load{Dst: x, Buf: s.Buf, At: a.at, Lane: v.vectorIn(s.Lane), Mask: v.vectorIn(s.Mask)})
		v.env[s.Dst] = scalarLanes(x)
		return
	}
	if s.Dst.Vec {
		v.unfit("it loads vectors already")
	}
	if a.lane == nil && a.step.Is(0) && !v.guarded {
		v.env[s.Dst] = scalarLanes(v.Load(s.Buf, a.at))
		return
	}
	if u == 0 {
		v.env[s.Dst] = v.newLanes(s.Dst.Elem)
	}
	x := v.env[s.Dst]
	if a.lane == nil && a.step.Is(1) {
		x.vec[u] = v.LoadVec(s.Buf, a.at, v.mask(u))
		return
	}
	if s.Buf.Elem == loop.Bool {
		v.unfit("it loads bools that are not neighbours")
	}
	if !a.step.Is(0) || a.lane == nil {
		lane := v.count(a.step)
		if a.lane != nil {
			lane = v.Do(loop.Add, a.lane, lane)
		}
		a.lane = lane
	}
	x.vec[u] = v.Gather(s.Buf, a.at, a.lane, v.mask(u))
}

// newLanes are vectors still to be filled in.
func (v *vectoriser) newLanes(e loop.Elem) *lanes {
	return &lanes{elem: e, vec: make([]*loop.Val, v.copies)}
}

func (v *vectoriser) storeTo(s *loop.Store, u int) {
	a := v.address(s.At, u)
	x := v.of(s.Src)
	if v.strip == nil {
		v.Emit(&loop.Store{Buf: s.Buf, At: a.at, Src: v.scalar(x), Mask: v.vectorIn(s.Mask)})
		return
	}
	if a.lane != nil || !a.step.Is(1) {
		v.unfit("it stores to %s elements that are not neighbours", s.Buf.Name)
	}
	v.StoreVec(s.Buf, a.at, v.vector(x, u), v.mask(u))
}

// branch writes a choice: a branch if all lanes take the same one, both sides
// otherwise.
func (v *vectoriser) branch(s *loop.If) {
	c := v.of(s.Cond)
	if !c.uniform() || v.guarded {
		v.bothSides(s, c)
		return
	}
	vec := make([]bool, len(s.Merge))
	for i, m := range s.Merge {
		vec[i] = v.strip != nil && v.varying[m.Dst]
	}
	side := func(body []loop.Stmt, end func(m *loop.Merge) *loop.Val) func() []*loop.Val {
		return func() []*loop.Val {
			v.block(body)
			var out []*loop.Val
			for i, m := range s.Merge {
				x := v.of(end(m))
				if !vec[i] {
					out = append(out, v.scalar(x))
					continue
				}
				for u := range v.copies {
					out = append(out, v.vector(x, u))
				}
			}
			return out
		}
	}
	out := v.If(v.scalar(c), side(s.Then, func(m *loop.Merge) *loop.Val { return m.Then }), side(s.Else, func(m *loop.Merge) *loop.Val { return m.Else }))
	for i, m := range s.Merge {
		if !vec[i] {
			v.env[m.Dst] = scalarLanes(out[0])
			out = out[1:]
			continue
		}
		v.env[m.Dst] = &lanes{elem: m.Dst.Elem, vec: out[:v.copies]}
		out = out[v.copies:]
	}
}

// bothSides writes both sides of a choice that differs from lane to lane; what
// they do to memory is masked.
func (v *vectoriser) bothSides(s *loop.If, c *lanes) {
	masks, guarded := v.masks, v.guarded
	v.guarded = true
	side := func(body []loop.Stmt, not bool) {
		if len(body) == 0 {
			return
		}
		v.masks = make([]*loop.Val, v.copies)
		for u := range v.masks {
			m := v.vector(c, u)
			if not {
				m = v.Do(loop.Not, m)
			}
			if masks != nil {
				m = v.Do(loop.And, masks[u], m)
			}
			v.masks[u] = m
		}
		v.block(body)
	}
	side(s.Then, false)
	side(s.Else, true)
	v.masks, v.guarded = masks, guarded
	for _, m := range s.Merge {
		x, y := v.of(m.Then), v.of(m.Else)
		out := v.newLanes(m.Dst.Elem)
		for u := range out.vec {
			out.vec[u] = v.Do(loop.Select, v.vector(c, u), v.vector(x, u), v.vector(y, u))
		}
		v.env[m.Dst] = out
	}
}
