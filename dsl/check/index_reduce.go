package check

import (
	"slices"

	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// reduceIndices is sum[i,j](x) and the like.
func (c *checker) reduceIndices(r *reducer, call *callSite) value {
	def := c.indexing()
	outer := c.sc
	if def == nil {
		def = c.newIndexing()
	}
	if len(call.args) != 1 {
		c.failf(call.at, "`%s[…]` takes one argument, found %d", r.name, len(call.args))
	}
	arg := &call.args[0]
	s := def.scopes[call.items[0]]
	if s == nil {
		s = c.openIndices(def, call.items, r.name)
		c.sc = s.scope
		if arg.expr != nil {
			c.ranges(def, arg.expr)
		}
		c.closed(s, "`"+r.name+"[%s: N](…)`")
	}
	s.up = outer
	c.sc = s.scope
	idx := s.all()
	var out tensor
	if f := c.factors(arg); (r.name == "sum" || r.name == "mean") && len(f) > 1 {
		out = c.sumOfProduct(r, f, idx, call)
	} else {
		out = c.reduceElements(r, c.element(exprAt(arg.node()), c.live(c.arg(arg))), idx, arg.node(), call)
	}
	c.sc = outer
	return out
}

// reduceElements folds t over idx.
func (c *checker) reduceElements(r *reducer, t tensor, idx []*index, at dsl.Node, call *callSite) tensor {
	c.at(call.at)
	if len(t.dims) > 0 {
		c.fail(c.errorf(at, "`%s[…]` needs one element for each index, but this is %s", r.name, t.ctype).
			Helpf("index it with as many indices as it has axes"))
	}
	untyped := t.untyped
	switch {
	case r.logic && t.elem != ir.Bool:
		c.failf(at, "`%s` needs bool, found %s", r.name, t.ctype)
	case !r.logic && t.elem == ir.Bool:
		c.fail(c.errorf(at, "`%s` needs numbers, found %s", r.name, t.ctype).Helpf("to count, convert with f32(…)"))
	case r.float && t.elem == ir.I32:
		if !t.untyped {
			c.fail(c.errorf(at, "`%s` needs f32, found %s", r.name, t.ctype).Helpf("convert with f32(…)"))
		}
		t, untyped = c.cast(t, ir.F32), false
	}
	if len(idx) == 0 {
		return t
	}
	t = c.expand(t, mergeIndices(t.idx, idx), nil)
	var axes []int
	var left []*index
	for k, ix := range t.idx {
		if slices.Contains(idx, ix) {
			axes = append(axes, k)
		} else {
			left = append(left, ix)
		}
	}
	return tensor{ctype: ctype{elem: t.elem}, v: r.emit(c.fr.g, t.v, axes...), fr: c.fr, idx: left, untyped: untyped}
}

// A factor of a product under a sum.
type factor struct {
	x   dsl.Expr
	div bool // it divides
	val value
}

// factors takes the product apart that arg is.
func (c *checker) factors(arg *argument) []factor {
	if arg.expr == nil || arg.val != nil {
		return nil
	}
	var out []factor
	var walk func(e dsl.Expr)
	walk = func(e dsl.Expr) {
		b, ok := dsl.Unparen(e).(*dsl.Binary)
		switch {
		case ok && b.Op == "*":
			walk(b.X)
			walk(b.Y)
		case ok && b.Op == "/":
			walk(b.X)
			out = append(out, factor{x: b.Y, div: true})
		default:
			out = append(out, factor{x: e})
		}
	}
	walk(arg.expr)
	return out
}

// sumOfProduct is the sum or mean of a product over idx. What does not depend
// on idx is multiplied afterwards; two factors with indices of their own are
// contracted.
func (c *checker) sumOfProduct(r *reducer, fs []factor, idx []*index, call *callSite) tensor {
	plainProduct, float := true, false // of f32 elements
	for i := range fs {
		fs[i].val = c.live(c.eval(fs[i].x))
		t, is := fs[i].val.(tensor)
		switch {
		case is && (len(t.dims) > 0 || t.elem != ir.F32 && !t.untyped):
			plainProduct = false
		case !is && !isNumber(fs[i].val):
			plainProduct = false
		}
		float = float || is && t.elem == ir.F32
	}
	op := map[bool]string{false: "*", true: "/"}
	multiply := func(a value, x dsl.Expr, f factor) value {
		return c.operate(call.at, op[f.div], x, f.x, a, f.val)
	}
	if !plainProduct || !float {
		v := fs[0].val
		for _, f := range fs[1:] {
			v = multiply(v, fs[0].x, f)
		}
		return c.reduceElements(r, c.element(fs[0].x, v), idx, call.args[0].node(), call)
	}
	c.at(call.at)
	var in []tensor
	var outside []factor
	for _, f := range fs {
		t, is := f.val.(tensor)
		if !is || !overlaps(t.idx, idx) {
			outside = append(outside, f)
			continue
		}
		if t.untyped {
			t = c.cast(t, ir.F32)
		}
		t = c.fr.here(t)
		if f.div {
			if len(in) == 0 {
				in = append(in, c.elementOp("/", c.asTensor(f.x, num{1, typedF32}, ir.F32), t))
				continue
			}
			in[len(in)-1] = c.elementOp("/", in[len(in)-1], t)
			continue
		}
		in = append(in, t)
	}
	var sum tensor
	if len(in) == 0 {
		one := c.asTensor(fs[0].x, num{1, typedF32}, ir.F32)
		sum = c.reduceElements(r, one, idx, call.args[0].node(), call)
	} else {
		sum = c.contract(in, idx)
		n := loop.N(1)
		for _, ix := range idx {
			has := slices.ContainsFunc(in, func(t tensor) bool { return slices.Contains(t.idx, ix) })
			if has == (r.name == "mean") {
				n = n.Mul(ix.extent())
			}
		}
		if !n.Is(1) {
			sign := map[bool]string{false: "*", true: "/"}[r.name == "mean"]
			sum = c.elementOp(sign, sum, tensor{ctype: ctype{elem: ir.F32}, v: countOf(c.fr.g, n), fr: c.fr})
		}
	}
	var v value = sum
	for _, f := range outside {
		v = multiply(v, fs[0].x, f)
	}
	return c.asTensor(call.at, v, ir.F32)
}

func overlaps(a, b []*index) bool {
	return slices.ContainsFunc(a, func(ix *index) bool { return slices.Contains(b, ix) })
}

func subset(a, b []*index) bool {
	return !slices.ContainsFunc(a, func(ix *index) bool { return !slices.Contains(b, ix) })
}

// elementOp is x op y for f32 elements.
func (c *checker) elementOp(op string, x, y tensor) tensor {
	idx := mergeIndices(x.idx, y.idx)
	v := rules[op].emit(c.fr.g, c.expand(x, idx, nil).v, c.expand(y, idx, nil).v)
	return tensor{ctype: ctype{elem: ir.F32}, v: v, fr: c.fr, idx: idx}
}

// contract is the sum of the product of ts over idx.
func (c *checker) contract(ts []tensor, idx []*index) tensor {
	for len(ts) > 2 {
		i, j := 0, 1
		for a := range ts { // a factor that needs no new elements goes first
			for b := range ts {
				if a != b && subset(ts[a].idx, ts[b].idx) && !(i != 0 || j != 1) {
					i, j = min(a, b), max(a, b)
				}
			}
		}
		ts[i] = c.elementOp("*", ts[i], ts[j])
		ts = without(ts, j)
	}
	if len(ts) == 1 {
		return c.sumOver(ts[0], idx)
	}
	x, y := ts[0], ts[1]
	var both []*index
	for _, ix := range idx {
		if slices.Contains(x.idx, ix) && slices.Contains(y.idx, ix) {
			both = append(both, ix)
		}
	}
	x, y = c.sumOver(x, except(idx, both)), c.sumOver(y, except(idx, both))
	if subset(x.idx, y.idx) || subset(y.idx, x.idx) || len(both) == 0 {
		return c.sumOver(c.elementOp("*", x, y), both)
	}
	all := mergeIndices(x.idx, y.idx)
	if len(all) > len(letters) {
		return c.sumOver(c.elementOp("*", x, y), both)
	}
	left := except(all, both)
	slices.SortStableFunc(left, byPlace)
	word := func(list []*index) string {
		var s []byte
		for _, ix := range list {
			s = append(s, letters[slices.Index(all, ix)])
		}
		return string(s)
	}
	spec := word(x.idx) + "," + word(y.idx) + "->" + word(left)
	return tensor{ctype: ctype{elem: ir.F32}, v: c.fr.g.Dot(spec, c.fr.use(x), c.fr.use(y)), fr: c.fr, idx: left}
}

// except is a without what is in b.
func except(a, b []*index) []*index {
	return slices.DeleteFunc(slices.Clone(a), func(ix *index) bool { return slices.Contains(b, ix) })
}

// sumOver is the sum of t over those of idx that it depends on.
func (c *checker) sumOver(t tensor, idx []*index) tensor {
	var axes []int
	for k, ix := range t.idx {
		if slices.Contains(idx, ix) {
			axes = append(axes, k)
		}
	}
	if len(axes) == 0 {
		return t
	}
	return tensor{ctype: ctype{elem: t.elem}, v: c.fr.g.Sum(c.fr.use(t), axes...), fr: c.fr, idx: except(t.idx, idx)}
}
