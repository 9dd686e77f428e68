package passes

import (
	"slices"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/ops"
)

// A chainEmitter emits a chain:
//
//	for each piece, one index of the outer axes and, without sums over the rows,
//	some of the blocks:
//	  sums over the rows = 0
//	  for the middle axes, for each block of rows:
//	    stage by stage: a contraction for the rows of the block,
//	    or the values between contractions, row by row
//
// What a later stage reads is in local memory, for the rows of one block. Where
// a mask leaves only the first indices of a row, loops over them end there.
type chainEmitter struct {
	*kernelBuilder
	p      *plan
	c      *chain
	rows   int           // of a block
	per    int           // blocks of a piece; 0: all
	at     []loop.Index  // by role, of the current outer and middle axes
	part   [2]loop.Bound // the blocks of the current piece
	most   *loop.Val     // the limit of its last row, if it has not all
	number *loop.Val     // of the current block
	span   [2]loop.Bound // its rows
	local  map[*ir.Value]*loop.Buffer
	// dot emits a contraction for the current block.
	dot func(st *plan)
}

// portableRows are the rows of a block of scalar code: it computes a few rows
// at once, and what it keeps of them should fit in a level 1 cache.
const portableRows = 12

// chained emits a chain in scalars.
func (b *kernelBuilder) chained(p *plan) {
	e := b.newChain(p, portableRows)
	e.dot = func(st *plan) {
		d := e.newDot(st)
		e.restrict(d)
		all := e.out[st.dot]
		if d.adds {
			e.out[st.dot] = all[:1] // the others get copies of the last sums
		}
		d.run()
		e.out[st.dot] = all
	}
	e.emit(e.blocks)
}

// pieceRows are the rows of a piece where there are many, so that long sequences
// are enough work for many workers although what is packed is packed for each
// piece.
const pieceRows = 512

// newChain begins the chain p with blocks of about so many rows.
func (b *kernelBuilder) newChain(p *plan, rows int) *chainEmitter {
	e := &chainEmitter{kernelBuilder: b, p: p, c: p.chain, rows: rows, local: map[*ir.Value]*loop.Buffer{}}
	if n, ok := e.c.extents[e.c.block].Const(); ok {
		count := (n + rows - 1) / rows
		e.rows = max(1, (n+count-1)/max(count, 1))
	}
	if n, known := e.c.extents[e.c.block].Const(); !(known && n <= pieceRows) && !slices.ContainsFunc(p.members, e.sums) {
		e.per = max(1, pieceRows/e.rows)
	}
	b.sequential = true
	b.flops = e.work()
	return e
}

// work counts the operations of the chain.
func (e *chainEmitter) work() ir.Dim {
	sum := loop.N(0)
	for _, v := range e.p.members {
		n := v.Type.Len()
		switch {
		case v.Op == ops.Dot:
			spec, _ := ops.ParseContraction(ops.Spec.Of(v))
			for _, r := range spec.Summed() {
				n = n.Mul(spec.Extent(r, v.Arg(0), v.Arg(1)))
			}
			n = n.MulN(2)
		case v.Op.Reduces:
			n = v.Arg(0).Len()
		case v.Op.Costly:
			n = n.MulN(10)
		}
		sum = sum.Add(n)
	}
	return sum
}

// grainFor is the number of pieces, of n with so many operations in all, that
// are worth a dispatch.
func grainFor(flops, n ir.Dim, worth int) ir.Dim {
	f, ok1 := flops.Const()
	pieces, ok2 := n.Const()
	if !ok1 || !ok2 || f == 0 {
		return loop.N(1)
	}
	return loop.N(max(1, worth*pieces/f))
}

// emit makes the grid, with piece as what is done in each piece.
func (e *chainEmitter) emit(piece func()) {
	c := e.c
	e.at = make([]loop.Index, len(c.extents))
	n := loop.N(1)
	for _, r := range c.outer {
		n = n.Mul(c.extents[r])
	}
	blocks := ceil(c.extents[c.block], e.rows)
	groups := loop.N(1)
	e.part = [2]loop.Bound{{}, {Dim: blocks}}
	if e.per > 0 {
		groups = ceil(blocks, e.per)
		n = n.Mul(groups)
	}
	lo, hi := e.NewVal(loop.Int, "lo"), e.NewVal(loop.Int, "hi")
	e.K.Grid = &loop.Grid{Lo: lo, Hi: hi, N: n, Grain: loop.N(1)}
	e.For("piece", loop.Bound{Val: lo}, loop.Bound{Val: hi}, 1, nil, func(x *loop.Val, _ []*loop.Val) []*loop.Val {
		if e.per > 0 {
			size, per := e.SizeOf(groups), e.SizeOf(loop.N(e.per))
			from := e.Do(loop.Mul, e.Do(loop.Mod, x, size), per)
			to := e.Do(loop.Min, e.Do(loop.Add, from, per), e.SizeOf(blocks))
			x = e.Do(loop.Div, x, size)
			e.part = [2]loop.Bound{{Val: from}, {Val: to}}
			e.most = e.limitBefore(e.Do(loop.Mul, to, e.SizeOf(loop.N(e.rows))))
		}
		for i := len(c.outer) - 1; i >= 0; i-- {
			r := c.outer[i]
			if i == 0 {
				e.at[r] = loop.At(x)
				break
			}
			size := e.SizeOf(c.extents[r])
			e.at[r] = loop.At(e.Do(loop.Mod, x, size))
			x = e.Do(loop.Div, x, size)
		}
		piece()
		return nil
	})
}

// blocks emits a piece.
func (e *chainEmitter) blocks() {
	e.clear()
	e.middle(e.c.middle)
	e.copies()
	e.release()
}

// middle loops over the axes of rows around the blocks.
func (e *chainEmitter) middle(roles []int) {
	c := e.c
	if len(roles) > 0 {
		e.Range("i", c.extents[roles[0]], func(i *loop.Val) {
			e.at[roles[0]] = loop.At(i)
			e.middle(roles[1:])
		})
		return
	}
	rows := c.extents[c.block]
	e.For("block", e.part[0], e.part[1], 1, nil, func(i *loop.Val, _ []*loop.Val) []*loop.Val {
		e.number = i
		size := e.SizeOf(loop.N(e.rows))
		from := e.Do(loop.Mul, i, size)
		to := e.Do(loop.Add, from, size)
		if n, ok := rows.Const(); !ok || n%e.rows != 0 {
			to = e.Do(loop.Min, to, e.SizeOf(rows))
		}
		e.span = [2]loop.Bound{{Val: from}, {Val: to}}
		e.limit = e.limitBefore(to)
		e.places(from)
		for _, st := range e.p.stages {
			if st.kind == contraction {
				e.dot(st)
			} else {
				e.rowStage(st)
			}
			for _, v := range st.members {
				if st.output[v] && !e.c.ends(v) {
					e.in[v] = e.out[v][0]
				}
			}
		}
		return nil
	})
}

// limitStep is what the number of indices that matter is a multiple of, unless
// it is all.
const limitStep = loop.Lanes

// limitBefore is how many indices of the inner axis matter for rows before to;
// nil if all do.
func (e *chainEmitter) limitBefore(to *loop.Val) *loop.Val {
	l := e.p.limit
	if l == nil {
		return nil
	}
	step := e.SizeOf(loop.N(limitStep))
	n := e.Do(loop.Add, to, e.SizeOf(l.more.AddN(limitStep-1)))
	n = e.Do(loop.Mul, e.Do(loop.Div, n, step), step)
	return e.Do(loop.Min, n, e.SizeOf(e.c.extents[l.inner]))
}

// places gives every value that stages hand on its local memory.
func (e *chainEmitter) places(from *loop.Val) {
	for _, v := range e.p.local {
		s := storage{strides: make([]ir.Dim, v.Type.Rank())}
		n := loop.N(1)
		block := -1
		for i := len(s.strides) - 1; i >= 0; i-- {
			switch r := e.c.roles[v][i]; {
			case r == e.c.block:
				block = i
			case slices.Contains(e.c.inner, r):
				s.strides[i] = n
				n = n.Mul(v.Type.Shape[i])
			}
		}
		if !n.Is(1) { // rows begin at multiples of vectors, and not all at the same place of a page
			n = ceil(n, loop.Lanes).AddN(1).MulN(loop.Lanes)
		}
		s.strides[block] = n
		s.base = loop.At(from).Scale(n.Neg())
		host := v
		if u := e.p.shares[v]; u != nil {
			host = u
		}
		if e.local[host] == nil {
			e.local[host] = e.Local(e.names.pick("", "part"), v.Type.Elem, n.MulN(e.rows))
		}
		s.buf = e.local[host]
		e.out[v] = []storage{s}
	}
}

// release forgets where values were inside the kernel.
func (e *chainEmitter) release() {
	for _, v := range e.p.members {
		delete(e.in, v)
	}
	e.limit = nil
}

// rowStage emits values between contractions for the rows of the block.
func (e *chainEmitter) rowStage(st *plan) {
	keep := e.kernelBuilder.keep(st, st.members)
	row := e.row(nil)
	e.For("row", e.span[0], e.span[1], 1, nil, func(t *loop.Val, _ []*loop.Val) []*loop.Val {
		row[len(row)-1] = loop.At(t)
		e.phases(st, st.members, keep, row)
		return nil
	})
}

// row is the index of row t of the current middle and outer axes.
func (e *chainEmitter) row(t *loop.Val) []loop.Index {
	var out []loop.Index
	for _, r := range e.c.rowRoles() {
		out = append(out, e.at[r])
	}
	if t != nil {
		out[len(out)-1] = loop.At(t)
	}
	return out
}

// restrict limits the contraction d to the current block.
func (e *chainEmitter) restrict(d *dotEmitter) {
	d.fixed, d.spans = map[rune]loop.Index{}, map[rune][2]loop.Bound{}
	v := d.p.dot
	d.adds = e.sums(v)
	letters := []string{d.spec.X, d.spec.Y, d.spec.Out}
	for i, x := range []*ir.Value{v.Args[0], v.Args[1], v} {
		for k, r := range letters[i] {
			role := unitAxis
			if roles := e.c.roles[x]; roles != nil {
				role = roles[k]
			}
			switch {
			case role < 0:
			case slices.Contains(e.c.outer, role) || slices.Contains(e.c.middle, role):
				d.fixed[r] = e.at[role]
			case role == e.c.block:
				d.spans[r] = e.span
			case e.limit != nil && role == e.p.limit.inner:
				d.spans[r] = [2]loop.Bound{{}, {Val: e.limit}}
			}
		}
	}
}

// sums reports whether v is a sum over the rows.
func (e *chainEmitter) sums(v *ir.Value) bool {
	return v.Op == ops.Dot && !slices.Contains(e.c.roles[v], e.c.block)
}

// clear sets the sums over the rows of the piece to 0.
func (e *chainEmitter) clear() {
	e.eachSum(func(v *ir.Value, idx []loop.Index) {
		s := e.out[v][0]
		e.Store(s.buf, s.address(idx), e.Const(v.Type.Elem, 0))
	}, 1)
}

// copies writes sums over the rows that are wanted in several places.
func (e *chainEmitter) copies() {
	e.eachSum(func(v *ir.Value, idx []loop.Index) {
		s := e.out[v][0]
		x := e.Load(s.buf, s.address(idx))
		for _, to := range e.out[v][1:] {
			e.Store(to.buf, to.address(idx), x)
		}
	}, 2)
}

// eachSum loops over the elements of the sums over the rows, in the current
// piece, that are in at least so many places.
func (e *chainEmitter) eachSum(body func(v *ir.Value, idx []loop.Index), places int) {
	for _, v := range e.p.members {
		if !e.sums(v) || len(e.out[v]) < places {
			continue
		}
		shape := slices.Clone(v.Type.Shape)
		for i, r := range e.c.roles[v] {
			if r >= 0 && slices.Contains(e.c.outer, r) {
				shape[i] = loop.N(1)
			}
		}
		e.nest(shape, func(idx []loop.Index) {
			idx = slices.Clone(idx)
			for i, r := range e.c.roles[v] {
				if r >= 0 && slices.Contains(e.c.outer, r) {
					idx[i] = e.at[r]
				}
			}
			body(v, idx)
		})
	}
}
