package check

import (
	"errors"
	"slices"

	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/ops"
)

func init() {
	add(
		row{name: "topk", params: "x, k, axis = -1", doc: "topk gives the k largest elements along an axis, in descending order, and their indices.", run: func(a *args) value { return a.topk() }},
		row{name: "sort", params: "x, axis = -1, descending = false", doc: "sort puts the elements along an axis in ascending order; NaN comes last.", run: func(a *args) value {
			t, i, axis := a.order()
			return a.made(ir.F32, t.dims, a.fr.g.TakeAlong(t.v, i, axis), t)
		}},
		row{name: "argsort", params: "x, axis = -1, descending = false", doc: "argsort is the indices that sort x along an axis; equal elements stay in order.", run: func(a *args) value {
			t, i, _ := a.order()
			return a.made(ir.I32, t.dims, i, t)
		}},
		row{name: "segmentSum", params: "x, segment", brackets: "N", doc: "segmentSum adds the rows of x that have the same segment, of N; others count nowhere.", run: func(a *args) value { return a.segments(ops.Graph.SegmentSum) }},
		row{name: "segmentMax", params: "x, segment", brackets: "N", doc: "segmentMax is the largest of the rows of x that have the same segment, of N; 0 where there are none.", run: func(a *args) value { return a.segments(ops.Graph.SegmentMax) }},
		row{name: "nms", params: "boxes, scores, iou = 0.5, limit = 100", doc: "nms is non-maximum suppression: the indices of the boxes that are kept, by descending score, and how many they are.", run: func(a *args) value { return a.nms() }},
		row{name: "uniform", params: "lo = 0, hi = 1", brackets: "B, T, …", doc: "uniform draws numbers from [lo, hi); without brackets it is an initial value.", run: func(a *args) value { return a.uniform() }},
		row{name: "normal", params: "std = 1, mean = 0", brackets: "B, T, …", doc: "normal draws from a normal distribution; without brackets it is an initial value.", run: func(a *args) value { return a.normal() }},
		row{name: "categorical", params: "x", doc: "categorical draws one index per row of logits x: i with probability softmax(x)[i].", run: func(a *args) value {
			t := a.float("x")
			a.wholeOnly(t)
			axis := a.axis("", t, -1)
			g := a.fr.g
			u := a.draw(ops.Uniform, t.dims)
			noise := g.Neg(g.Log(g.Neg(g.Log(u.v))))
			return a.made(ir.I32, t.dims[:axis], g.ArgMax(g.Add(t.v, noise), axis))
		}},
		row{name: "glorot", params: "in, out", doc: "glorot is the initial value of Glorot and Bengio (2010) for a matrix from in to out channels.", run: func(a *args) value { return a.initial("glorot", a.num("in", 0), a.num("out", 0)) }},
		row{name: "he", params: "fan", doc: "he is the initial value of He et al. (2015) for fan inputs.", run: func(a *args) value { return a.initial("he", a.num("fan", 0)) }},
		row{name: "orthogonal", params: "gain = 1", doc: "orthogonal starts with an orthogonal matrix times gain.", run: func(a *args) value { return a.initial("orthogonal", a.num("gain", 1)) }},
		row{name: "grad", params: "y", brackets: "x, …", doc: "grad is the gradient of the scalar y with respect to variables or parameters.", run: func(a *args) value { return a.gradient() }},
	)
}

func (a *args) initial(kind string, params ...float64) value {
	return initial{loop.Init{Kind: kind, Args: params}}
}

func (a *args) topk() value {
	t := a.float("x")
	axis := a.axis("axis", t, -1)
	k, ok := asDim(a.constant("k"))
	if !ok {
		a.failf(a.node("k"), "`k` of `topk` must be a dimension, but this is %s", a.value("k").show())
	}
	rest := t.dims[axis].Sub(k.Dim)
	if a.callersChoice(k) && !a.proved(rest) {
		a.entry.need(rest, k.poly()+" <= "+t.dims[axis].poly())
	} else {
		a.need(a.node("k"), rest, t.dims[axis], "`topk` cannot take "+k.String()+" of "+t.dims[axis].String()+" elements")
	}
	a.need(a.node("k"), k.Dim, k, "`topk` cannot take "+k.String()+" elements")
	dims := slices.Clone(t.dims)
	dims[axis] = k
	axis += len(t.idx)
	i := a.fr.g.TopKIndex(t.v, axis, k.Dim)
	return tuple{a.made(ir.F32, dims, a.fr.g.TakeAlong(t.v, i, axis), t), a.made(ir.I32, dims, i, t)}
}

// callersChoice tells whether k is a `dim` argument of the method that is being
// compiled: a number that Go programs pass, whose size no text can prove.
func (a *args) callersChoice(k dim) bool {
	return a.entry.open && slices.ContainsFunc(a.entry.args, func(p loop.Param) bool {
		return p.IsDim && k.Eq(loop.Sym(p.Name))
	})
}

// order is the indices that sort x, and the axis with the indices that x depends on.
func (a *args) order() (t tensor, i *ir.Value, axis int) {
	t = a.float("x")
	axis = a.axis("axis", t, -1) + len(t.idx)
	return t, a.fr.g.SortIndex(t.v, axis, a.flag("descending")), axis
}

func (a *args) segments(emit func(g ops.Graph, x, seg *ir.Value, n loop.Dim) *ir.Value) value {
	if len(a.call.items) != 1 {
		a.fail(a.errorf(a.call.at, "`%s` needs the number of segments in brackets", a.row.name).Helpf("write `%s[N](x, segment)`", a.row.name))
	}
	n := a.shapeItems(a.call.items)
	x, s := a.float("x"), a.elem("segment", ir.I32)
	a.wholeOnly(x, s)
	if len(n) != 1 || len(s.dims) != 1 || len(x.dims) < 1 || !s.dims[0].Eq(x.dims[0].Dim) {
		a.fail(a.errorf(a.call.at, "the second argument of `%s` must give one i32 per row of the first", a.row.name).
			Note(a.node("x"), "%s", x.ctype).Note(a.node("segment"), "%s", s.ctype))
	}
	return a.made(ir.F32, append([]dim{n[0]}, x.dims[1:]...), emit(a.fr.g, x.v, s.v, n[0].Dim))
}

func (a *args) nms() value {
	boxes, scores := a.float("boxes"), a.float("scores")
	a.wholeOnly(boxes, scores)
	if len(boxes.dims) != 3 || len(scores.dims) != 2 || !boxes.dims[2].Is(4) || !sameDims(boxes.dims[:2], scores.dims) {
		a.fail(a.errorf(a.call.at, "`nms` needs boxes f32[B, N, 4] and their scores f32[B, N]").
			Note(a.node("boxes"), "%s", boxes.ctype).Note(a.node("scores"), "%s", scores.ctype))
	}
	limit := number(a.int("limit", 1, 100))
	iou := a.num("iou", 0.5)
	g, b := a.fr.g, boxes.dims[0]
	return tuple{
		a.made(ir.I32, []dim{b, limit}, g.NMSKeep(boxes.v, scores.v, iou, limit.Dim)),
		a.made(ir.I32, []dim{b}, g.NMSCount(boxes.v, scores.v, iou, limit.Dim)),
	}
}

func (a *args) uniform() value {
	if len(a.call.items) == 0 {
		return a.initial("uniform", a.num("lo", 0), a.num("hi", 1))
	}
	u := a.draw(ops.Uniform, a.shapeItems(a.call.items))
	lo, hi := a.scalarOf("lo", 0), a.scalarOf("hi", 1)
	if n, ok := asNum(lo); ok && n.f == 0 {
		if m, ok := asNum(hi); ok && m.f == 1 {
			return u
		}
	}
	e := a.call.at
	width := a.operate(e, "-", e, e, hi, lo)
	return a.operate(e, "+", e, e, a.operate(e, "*", e, e, u, width), lo)
}

func (a *args) normal() value {
	if len(a.call.items) == 0 {
		if a.num("mean", 0) != 0 {
			a.failf(a.node("mean"), "the initial value `normal` has the mean 0")
		}
		return a.initial("normal", a.num("std", 1))
	}
	var z value = a.draw(ops.Normal, a.shapeItems(a.call.items))
	std, mean := a.scalarOf("std", 1), a.scalarOf("mean", 0)
	e := a.call.at
	if n, ok := asNum(std); !ok || n.f != 1 {
		z = a.operate(e, "*", e, e, z, std)
	}
	if n, ok := asNum(mean); !ok || n.f != 0 {
		z = a.operate(e, "+", e, e, z, mean)
	}
	return z
}

// scalarOf is the argument name: a number or an f32 scalar.
func (a *args) scalarOf(name string, other float64) value {
	if !a.has(name) {
		return num{other, typedF32}
	}
	if n, ok := asNum(a.value(name)); ok {
		return num{n.f, typedF32}
	}
	t := a.float(name)
	if len(t.dims) > 0 || len(t.idx) > 0 {
		a.failf(a.node(name), "`%s` of `%s` must be a number, found %s", name, a.row.name, t.ctype)
	}
	return t
}

// convert is f32(x), or f32[B, T](x), which also fills.
func (c *checker) convert(e ir.Elem, call *callSite) value {
	name := e.String()
	a := c.bind(&row{name: name, params: "x", brackets: "B, T, …"}, call)
	if len(call.items) > 0 {
		t := ctype{e, c.shapeItems(call.items)}
		x := a.asTensor(a.node("x"), a.value("x"), e)
		c.at(call.at)
		x = c.cast(x, e)
		if len(x.dims) > 0 && !sameDims(x.dims, t.dims) {
			c.fail(c.errorf(call.at, "`%s` fills with a number or converts a tensor of this shape", t).Note(a.node("x"), "%s", x.ctype))
		}
		x = c.expand(x, x.idx, t.dims)
		return tensor{ctype: t, v: x.v, fr: c.fr, idx: x.idx}
	}
	switch v := a.value("x").(type) {
	case num:
		return convertNum(v, e)
	case boolean:
		n := num{f: 0}
		if v {
			n.f = 1
		}
		return convertNum(n, e)
	case dim:
		if n, ok := asNum(v); ok {
			return convertNum(n, e)
		}
	}
	v := a.value("x")
	t := a.asTensor(a.node("x"), v, e)
	if s, ok := v.(tensor); ok && s.untyped { // asTensor makes f32 of it where a bool is wanted
		t = c.fr.here(s)
	}
	out := c.cast(t, e)
	if t.elem == e {
		out = t
		out.untyped = false
	}
	if t.soft != nil {
		if n, ok := asNum(t.soft.val); ok {
			out.soft = &soft{convertNum(n, e), t.soft.opts}
		}
	}
	return out
}

func convertNum(n num, e ir.Elem) value {
	switch e {
	case ir.F32:
		return num{n.f, typedF32}
	case ir.I32:
		return num{float64(int64(n.f)), typedI32}
	}
	return boolean(n.f != 0)
}

// gradient is grad[x](y).
func (a *args) gradient() value {
	if len(a.call.items) == 0 {
		a.fail(a.errorf(a.call.at, "`grad` needs the variables in brackets").Helpf("write `grad[x](y)`"))
	}
	var wrt []tensor
	for _, it := range a.call.items {
		wrt = append(wrt, a.variableGrad(it))
	}
	y := a.float("y")
	if len(y.dims) > 0 {
		a.fail(a.errorf(a.node("y"), "`grad` needs a scalar, but this is %s", y.ctype).Helpf("sum it, or take the gradient of one element"))
	}
	a.at(a.call.at)
	var vals []*ir.Value
	for _, w := range wrt {
		vals = append(vals, a.fr.use(w))
	}
	var gs []*ir.Value
	if len(y.idx) > 0 {
		gs = a.gradientEach(y, vals)
	} else {
		gs = a.backprop(a.fr, []*ir.Value{a.fr.use(y)}, []*ir.Value{a.fr.g.Float(1)}, vals)
	}
	out := make(tuple, len(gs))
	for i, g := range gs {
		out[i] = tensor{ctype: wrt[i].ctype, v: g, fr: a.fr, idx: y.idx}
	}
	if len(out) == 1 {
		return out[0]
	}
	return out
}

// variableGrad is the variable or parameter that an item of grad names.
func (a *args) variableGrad(it *dsl.Item) tensor {
	if it.Kind != dsl.ItemPlain {
		a.failf(it, "expected a variable, found `%s`", it)
	}
	va := a.storeOf(it.X)
	if va == nil {
		v := a.live(a.eval(it.X))
		a.fail(a.errorf(it, "`grad` takes variables and parameters, but this is %s", v.show()).Helpf("give it a name first: `z := …`"))
	}
	va.used = true
	t, ok := a.live(a.fr.read(va)).(tensor)
	if !ok || t.elem != ir.F32 {
		a.failf(it, "there is no gradient with respect to %s", a.live(a.fr.read(va)).show())
	}
	return t
}

// backprop is ops.Backprop in frame f.
func (a *args) backprop(f *frame, outs, cots, wrt []*ir.Value) []*ir.Value {
	gs, err := ops.Backprop(f.g.Builder, outs, cots, wrt)
	if err != nil {
		var ge *ops.GradientError
		if errors.As(err, &ge) {
			a.failf(a.call.at, "there is no gradient: %s", ge.Msg)
		}
		a.failf(a.call.at, "bug in check: the gradient fails: %v", err)
	}
	return gs
}
