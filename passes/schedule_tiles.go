package passes

import (
	"slices"
	"strings"

	"github.com/lmc-lang/lmc/ir/loop"
)

// tiles computes small tiles of the result in registers: for each tile, one
// pass along the summed axes, which are contiguous in both operands.
func (d *dotEmitter) tiles() {
	f := d.f
	if len(f.columns) == 0 && f.kind == general {
		// A scalar, or only axes of extent 1.
		f.rows = nil
	}
	inner := f.columns
	if len(inner) > 0 {
		inner = inner[:len(inner)-1]
	}
	d.outer(append(append(append([]rune(nil), f.batch...), d.initRows()...), inner...), func() {
		rows, columns := 2, 3
		row, column := lastRune(f.rows), lastRune(f.columns)
		switch {
		case row == 0 || d.extent(row).Is(1):
			rows, columns = 1, 4
		case column == 0 || d.extent(column).Is(1):
			rows, columns = 4, 1
		}
		if row == 0 {
			rows = 1
		}
		if column == 0 {
			columns = 1
		}
		d.split = rows == 1 && columns == 1
		d.along(row, rows, true, func(is []loop.Index) {
			d.along(column, columns, false, func(js []loop.Index) { d.tile(row, column, is, js) })
		})
	})
}

// products emits a contraction for vectorise: for each element of the result,
// one pass along the summed axes.
func (b *kernelBuilder) products(p *plan) {
	d := b.newDot(p)
	d.joinLetters()
	d.outer(slices.Concat(d.f.batch, d.f.rows, d.f.columns), func() { d.tile(0, 0, []loop.Index{{}}, []loop.Index{{}}) })
}

func lastRune(rs []rune) rune {
	if len(rs) == 0 {
		return 0
	}
	return rs[len(rs)-1]
}

// along walks the axis r, n indices at a time, then the rest one by one.
func (d *dotEmitter) along(r rune, n int, grid bool, body func(idx []loop.Index)) {
	if r == 0 || d.extent(r).Is(1) {
		body([]loop.Index{{}})
		return
	}
	from, to := d.span(r)
	known := d.multiple(r, n)
	if grid && d.Block() == 0 {
		lo, hi := d.NewVal(loop.Int, "lo"), d.NewVal(loop.Int, "hi")
		d.K.Grid = &loop.Grid{Lo: lo, Hi: hi, N: to.Dim}
		from, to, known = loop.Bound{Val: lo}, loop.Bound{Val: hi}, false
	}
	name := strings.ToLower(string(r))
	if n > 1 {
		var after *loop.Val
		d.steps(name, from, to, n, nil, &after, func(i *loop.Val, _ []*loop.Val) []*loop.Val {
			idx := make([]loop.Index, n)
			for k := range idx {
				idx[k] = loop.At(i).Add(loop.AtDim(loop.N(k)))
			}
			body(idx)
			return nil
		})
		if known {
			return
		}
		from = loop.Bound{Val: after}
	}
	d.For(name, from, to, 1, nil, func(i *loop.Val, _ []*loop.Val) []*loop.Val {
		body([]loop.Index{loop.At(i)})
		return nil
	})
}

// tile computes the elements of the result for some rows and columns.
func (d *dotEmitter) tile(row, column rune, is, js []loop.Index) {
	v := d.p.dot
	set := func(r rune, x loop.Index) {
		if r != 0 {
			d.at[r] = x
		}
	}
	n := len(is) * len(js)
	zero := d.Const(v.Type.Elem, 0)
	init := make([]*loop.Val, n)
	for i := range is {
		for j := range js {
			set(row, is[i])
			set(column, js[j])
			k := i*len(js) + j
			if init[k] = zero; d.adds {
				init[k] = d.Load(d.out[v][0].buf, d.out[v][0].address(d.index(2)))
			}
		}
	}
	var rec func(letters []rune, acc []*loop.Val) []*loop.Val
	rec = func(letters []rune, acc []*loop.Val) []*loop.Val {
		if len(letters) == 0 {
			xs, ys := make([]*loop.Val, len(is)), make([]*loop.Val, len(js))
			for i := range is {
				set(row, is[i])
				xs[i] = d.operand(1 - d.f.vector)
			}
			for j := range js {
				set(column, js[j])
				ys[j] = d.operand(d.f.vector)
			}
			next := make([]*loop.Val, n)
			for i := range is {
				for j := range js {
					k := i*len(js) + j
					next[k] = d.Do(loop.Add, acc[k], d.Do(loop.Mul, xs[i], ys[j]))
				}
			}
			return next
		}
		r := letters[0]
		if d.extent(r).Is(1) {
			d.at[r] = loop.Index{}
			return rec(letters[1:], acc)
		}
		if d.split && len(letters) == 1 {
			return d.splitSum(r, acc, rec)
		}
		from, to := d.span(r)
		return d.For(strings.ToLower(string(r)), from, to, 1, acc, func(k *loop.Val, phi []*loop.Val) []*loop.Val {
			d.at[r] = loop.At(k)
			return rec(letters[1:], phi)
		})
	}
	acc := rec(d.f.summed, init)
	for i := range is {
		for j := range js {
			set(row, is[i])
			set(column, js[j])
			idx := d.index(2)
			x := acc[i*len(js)+j]
			d.bind(v, idx, x)
			d.follow()
			if d.kept {
				d.store(v, idx, x)
			}
		}
	}
}

// splitSum sums along r in several parts at once, joined in order.
func (d *dotEmitter) splitSum(r rune, acc []*loop.Val, rec func([]rune, []*loop.Val) []*loop.Val) []*loop.Val {
	zero := d.Const(d.p.dot.Type.Elem, 0)
	init := []*loop.Val{acc[0], zero, zero, zero}
	var after *loop.Val
	from, to := d.span(r)
	sums := d.steps("k", from, to, len(init), init, &after, func(k *loop.Val, phi []*loop.Val) []*loop.Val {
		next := make([]*loop.Val, len(phi))
		for part := range phi {
			d.at[r] = loop.At(k).Add(loop.AtDim(loop.N(part)))
			next[part] = rec(nil, phi[part:part+1])[0]
		}
		return next
	})
	if !d.multiple(r, len(init)) {
		sums[0] = d.For("k", loop.Bound{Val: after}, to, 1, sums[:1], func(k *loop.Val, phi []*loop.Val) []*loop.Val {
			d.at[r] = loop.At(k)
			return rec(nil, phi)
		})[0]
	}
	x := sums[0]
	for _, y := range sums[1:] {
		x = d.Do(loop.Add, x, y)
	}
	return []*loop.Val{x}
}
