package passes

import (
	"strings"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/ops"
)

// A dotEmitter emits a contraction and what follows it.
type dotEmitter struct {
	*kernelBuilder
	p      *plan
	f      *dotForm
	spec   ops.Contraction
	finish []*ir.Value // results computed from the dot
	at     map[rune]loop.Index
	joined map[rune]ir.Dim // extents of letters that stand for several axes
	sum    storage         // where the sums are, unless they stay in registers
	kept   bool            // the dot is a result
	split  bool            // tiles of one element: its sum in several parts

	// Of a stage of a chain, which computes a part of the contraction:
	fixed map[rune]loop.Index    // letters that have one index
	spans map[rune][2]loop.Bound // ranges of letters that have not all indices
	adds  bool                   // the sums are added to what is there
}

// newDot begins the contraction of p.
func (b *kernelBuilder) newDot(p *plan) *dotEmitter {
	d := &dotEmitter{kernelBuilder: b, p: p, f: p.form, at: map[rune]loop.Index{}, kept: p.output[p.dot]}
	d.spec, _ = ops.ParseContraction(ops.Spec.Of(p.dot))
	for _, v := range p.members {
		if v != p.dot && p.output[v] {
			d.finish = append(d.finish, v)
		}
	}
	return d
}

// contraction emits a group around a dot.
func (b *kernelBuilder) contraction(p *plan) { b.newDot(p).run() }

// run emits the contraction.
func (d *dotEmitter) run() {
	inRegisters := d.f.kind == tiles || len(d.f.columns) == 0
	if !inRegisters {
		d.sum = d.home()
	}
	d.joinLetters()
	if inRegisters {
		d.tiles()
		return
	}
	d.outer(append(append([]rune(nil), d.f.batch...), d.initRows()...), func() { d.rowBlocks() })
}

// home finds memory for the sums: the dot's own, or that of a result that
// replaces it element by element, or scratch.
func (d *dotEmitter) home() storage {
	v := d.p.dot
	if d.kept && !d.over[v] {
		return d.out[v][0]
	}
	for _, o := range d.finish {
		if !d.over[o] && o.Type.Equal(v.Type) && d.sameRows(o) && d.p.readInPlace(v, d.p.members) {
			return d.out[o][0]
		}
	}
	s := storage{strides: rowMajor(v.Type.Shape)}
	s.buf = d.Buffer(d.names.pick("", "scratch"), v.Type.Elem, v.Type.Len(), true)
	return s
}

func (d *dotEmitter) sameRows(o *ir.Value) bool {
	a, b := d.p.rowOf[o], d.p.rowOf[d.p.dot]
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func (d *dotEmitter) extent(r rune) ir.Dim {
	if n, ok := d.joined[r]; ok {
		return n
	}
	return d.spec.Extent(r, d.p.dot.Arg(0), d.p.dot.Arg(1))
}

// joinLetters drops axes of extent 1 and makes one axis of two neighbours that
// are one run of memory wherever they occur.
func (d *dotEmitter) joinLetters() {
	d.joined = map[rune]ir.Dim{}
	f := *d.f
	d.f = &f
	lists := []*[]rune{&f.batch, &f.rows, &f.columns, &f.summed}
	for _, list := range lists {
		var long []rune
		for _, r := range *list {
			at, ok := d.fixed[r]
			if ok || d.extent(r).Is(1) {
				d.at[r] = at
			} else {
				long = append(long, r)
			}
		}
		*list = long
	}
	vars := map[rune]*loop.Val{}
	body := d.trial(vars)
	for _, list := range lists {
		for i := len(*list) - 2; i >= 0; i-- {
			a, b := (*list)[i], (*list)[i+1]
			if d.part(a) || d.part(b) || !joint(body, vars[a], vars[b], d.extent(b)) {
				continue
			}
			d.joined[b] = d.extent(a).Mul(d.extent(b))
			d.at[a] = loop.Index{}
			*list = append((*list)[:i:i], (*list)[i+1:]...)
		}
	}
}

// part reports whether only some indices of r are computed.
func (d *dotEmitter) part(r rune) bool {
	_, ok := d.spans[r]
	return ok
}

// span is the range of r.
func (d *dotEmitter) span(r rune) (from, to loop.Bound) {
	if s, ok := d.spans[r]; ok {
		return s[0], s[1]
	}
	return loop.Bound{}, loop.Bound{Dim: d.extent(r)}
}

// multiple reports whether r has a multiple of n indices.
func (d *dotEmitter) multiple(r rune, n int) bool {
	c, ok := d.extent(r).Const()
	return ok && c%n == 0 && !d.part(r)
}

// trial emits everything that one product and one element of the result take
// into a kernel of its own, with a counter for each letter.
func (d *dotEmitter) trial(vars map[rune]*loop.Val) []loop.Stmt {
	e := newEmitter("trial")
	e.in = d.in
	for v, known := range d.memo {
		e.memo[v] = known
	}
	b := *d.kernelBuilder
	b.emitter = e
	t := *d
	t.kernelBuilder = &b
	t.at = map[rune]loop.Index{}
	for r, x := range d.at {
		t.at[r] = x
	}
	for _, list := range [][]rune{d.f.batch, d.f.rows, d.f.columns, d.f.summed} {
		for _, r := range list {
			vars[r] = e.NewVal(loop.Int, "")
			t.at[r] = loop.At(vars[r])
		}
	}
	t.operand(0)
	t.operand(1)
	idx := t.index(2)
	x := e.NewVal(d.p.dot.Type.Elem, "")
	if d.sum.buf != nil {
		t.Store(d.sum.buf, d.sum.address(idx), x)
	}
	e.bind(d.p.dot, idx, x)
	t.follow()
	t.store(d.p.dot, idx, x)
	return e.K.Body
}

// index is the position of an operand (0, 1) or the result (2) for the current
// letters.
func (d *dotEmitter) index(which int) []loop.Index {
	letters := []rune([]string{d.spec.X, d.spec.Y, d.spec.Out}[which])
	out := make([]loop.Index, len(letters))
	for i, r := range letters {
		out[i] = d.at[r]
	}
	return out
}

func (d *dotEmitter) operand(i int) *loop.Val { return d.pull(d.p.dot.Args[i], d.index(i)) }

// outer loops over letters; the iterations are independent.
func (d *dotEmitter) outer(letters []rune, body func()) {
	if d.fixed != nil {
		d.loops(letters, body)
		return
	}
	extents := make([]ir.Dim, len(letters))
	for i, r := range letters {
		extents[i] = d.extent(r)
	}
	d.nest(extents, func(idx []loop.Index) {
		for i, r := range letters {
			d.at[r] = idx[i]
		}
		body()
	})
}

// loops runs body for all values of letters, in order.
func (d *dotEmitter) loops(letters []rune, body func()) {
	if len(letters) == 0 {
		body()
		return
	}
	r := letters[0]
	if d.extent(r).Is(1) {
		d.at[r] = loop.Index{}
		d.loops(letters[1:], body)
		return
	}
	from, to := d.span(r)
	d.For(strings.ToLower(string(r)), from, to, 1, nil, func(i *loop.Val, _ []*loop.Val) []*loop.Val {
		d.at[r] = loop.At(i)
		d.loops(letters[1:], body)
		return nil
	})
}

func (d *dotEmitter) initRows() []rune {
	if len(d.f.rows) == 0 {
		return nil
	}
	return d.f.rows[:len(d.f.rows)-1]
}

// blockSizes are how many rows and how many summed elements one pass over a
// row of the vector operand takes: as many products as there are registers for.
func (d *dotEmitter) blockSizes() (rows, sums int) {
	if d.f.kind == general {
		return 1, 1
	}
	rows, sums = 3, 3
	if n := len(d.f.summed); n > 0 {
		if c, ok := d.extent(d.f.summed[n-1]).Const(); ok && (c%4 == 0 || c < 3) {
			rows, sums = 2, min(4, max(c, 1))
			if c < 3 {
				rows = 4
			}
		}
	}
	if len(d.f.rows) == 0 || d.extent(d.f.rows[len(d.f.rows)-1]).Is(1) {
		rows, sums = 1, max(sums, min(4, sums*2))
	}
	return rows, sums
}

// rowBlocks walks the rows of the result, several at a time.
func (d *dotEmitter) rowBlocks() {
	n, _ := d.blockSizes()
	if len(d.f.rows) == 0 {
		d.rowBlock(0, nil)
		return
	}
	r := d.f.rows[len(d.f.rows)-1]
	extent := d.extent(r)
	if extent.Is(1) {
		d.rowBlock(r, []loop.Index{{}})
		return
	}
	from, to := d.span(r)
	whole := d.multiple(r, n)
	if d.Block() == 0 { // the outermost loop is the grid
		lo, hi := d.NewVal(loop.Int, "lo"), d.NewVal(loop.Int, "hi")
		d.K.Grid = &loop.Grid{Lo: lo, Hi: hi, N: extent}
		from, to = loop.Bound{Val: lo}, loop.Bound{Val: hi}
		whole = false
	}
	name := strings.ToLower(string(r))
	rest := from
	if n > 1 {
		var after *loop.Val
		d.steps(name, from, to, n, nil, &after, func(i *loop.Val, _ []*loop.Val) []*loop.Val {
			block := make([]loop.Index, n)
			for k := range block {
				block[k] = loop.At(i).Add(loop.AtDim(loop.N(k)))
			}
			d.rowBlock(r, block)
			return nil
		})
		if whole {
			return
		}
		rest = loop.Bound{Val: after}
	}
	d.For(name, rest, to, 1, nil, func(i *loop.Val, _ []*loop.Val) []*loop.Val {
		d.rowBlock(r, []loop.Index{loop.At(i)})
		return nil
	})
}

// rowBlock computes some rows of the result: zeros, then one pass over the rows
// for every few summed elements, then what follows.
func (d *dotEmitter) rowBlock(letter rune, block []loop.Index) {
	f := d.f
	if len(block) == 0 {
		block = []loop.Index{{}}
	}
	last := f.columns[len(f.columns)-1]
	inner := func(body func(row func(i int))) {
		d.loops([]rune{last}, func() {
			body(func(i int) {
				if letter != 0 {
					d.at[letter] = block[i]
				}
			})
		})
	}
	v := d.p.dot
	d.loops(f.columns[:len(f.columns)-1], func() {
		if !d.adds {
			inner(func(row func(int)) {
				zero := d.Const(v.Type.Elem, 0)
				for i := range block {
					row(i)
					d.Store(d.sum.buf, d.sum.address(d.index(2)), zero)
				}
			})
		}
		_, sums := d.blockSizes()
		d.sumBlocks(sums, func(ks []map[rune]loop.Index) {
			set := func(k int) {
				for r, x := range ks[k] {
					d.at[r] = x
				}
			}
			scalar := make([][]*loop.Val, len(block))
			if f.kind == axpy {
				for i := range block {
					if letter != 0 {
						d.at[letter] = block[i]
					}
					for k := range ks {
						set(k)
						scalar[i] = append(scalar[i], d.operand(1-f.vector))
					}
				}
			}
			inner(func(row func(int)) {
				vector := make([]*loop.Val, len(ks))
				if f.kind == axpy {
					for k := range ks {
						set(k)
						vector[k] = d.operand(f.vector)
					}
				}
				for i := range block {
					row(i)
					at := d.sum.address(d.index(2))
					c := d.Load(d.sum.buf, at)
					for k := range ks {
						if f.kind == axpy {
							c = d.Do(loop.Add, c, d.Do(loop.Mul, scalar[i][k], vector[k]))
							continue
						}
						set(k)
						c = d.Do(loop.Add, c, d.Do(loop.Mul, d.operand(0), d.operand(1)))
					}
					d.Store(d.sum.buf, at, c)
				}
			})
		})
	})
	more := len(d.out[v]) > 0 && (len(d.out[v]) > 1 || d.out[v][0].buf != d.sum.buf)
	if len(d.finish) == 0 && !more {
		return
	}
	finish := func() {
		d.loops(f.columns, func() {
			idx := d.index(2)
			x := d.Load(d.sum.buf, d.sum.address(idx))
			d.bind(v, idx, x)
			d.follow()
			if more {
				d.store(v, idx, x)
			}
		})
	}
	if len(block) == 1 {
		if letter != 0 {
			d.at[letter] = block[0]
		}
		finish()
		return
	}
	from := d.IndexVal(block[0])
	to := d.IndexVal(block[0].Add(loop.AtDim(loop.N(len(block)))))
	d.For(strings.ToLower(string(letter)), loop.Bound{Val: from}, loop.Bound{Val: to}, 1, nil, func(i *loop.Val, _ []*loop.Val) []*loop.Val {
		d.at[letter] = loop.At(i)
		finish()
		return nil
	})
}

// sumBlocks loops over the summed letters, the last one n at a time.
func (d *dotEmitter) sumBlocks(n int, body func(ks []map[rune]loop.Index)) {
	s := d.f.summed
	if len(s) == 0 {
		body([]map[rune]loop.Index{{}})
		return
	}
	last := s[len(s)-1]
	extent := d.extent(last)
	d.loops(s[:len(s)-1], func() {
		if extent.Is(1) {
			body([]map[rune]loop.Index{{last: {}}})
			return
		}
		rest, to := d.span(last)
		name := strings.ToLower(string(last))
		if n > 1 {
			var after *loop.Val
			d.steps(name, rest, to, n, nil, &after, func(k *loop.Val, _ []*loop.Val) []*loop.Val {
				ks := make([]map[rune]loop.Index, n)
				for i := range ks {
					ks[i] = map[rune]loop.Index{last: loop.At(k).Add(loop.AtDim(loop.N(i)))}
				}
				body(ks)
				return nil
			})
			if d.multiple(last, n) {
				return
			}
			rest = loop.Bound{Val: after}
		}
		d.For(name, rest, to, 1, nil, func(k *loop.Val, _ []*loop.Val) []*loop.Val {
			body([]map[rune]loop.Index{{last: loop.At(k)}})
			return nil
		})
	})
}

// follow computes and stores the results that follow from the current element.
func (d *dotEmitter) follow() {
	idx := d.index(2)
	row := make([]loop.Index, len(d.p.extents))
	for i, r := range d.p.rowOf[d.p.dot] {
		if r >= 0 {
			row[r] = idx[i]
		}
	}
	xs := make([]*loop.Val, len(d.finish))
	for i, v := range d.finish {
		xs[i] = d.pull(v, d.p.at(v, row, nil))
	}
	for i, v := range d.finish {
		d.store(v, d.p.at(v, row, nil), xs[i])
	}
}
