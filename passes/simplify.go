package passes

import (
	"math"
	"slices"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/ops"
)

// simplify applies the identities of the ops (Op.Fold, by building everything
// again) and the rules below, which need more context, until none applies.
// Sums are regrouped, so results may differ by rounding; nothing else does.
func simplify(f *ir.Func) (*ir.Func, error) { return simplifyWith(f, false) }

// simplifyLate is simplify when there are no more gradients to take.
func simplifyLate(f *ir.Func) (*ir.Func, error) { return simplifyWith(f, true) }

func simplifyWith(f *ir.Func, late bool) (*ir.Func, error) {
	for range 8 {
		s := &simplifier{uses: map[*ir.Value]int{}, late: late}
		n := f.Uses()
		var fail error
		g, err := rewrite(f, func(g ops.Graph, v *ir.Value, args []*ir.Value) *ir.Value {
			attrs, err := withBodies(v, func(f *ir.Func) (*ir.Func, error) { return simplifyWith(f, late) })
			if err != nil {
				fail = err
				return nil
			}
			w := s.apply(g, g.Do(v.Op, args, attrs...))
			s.uses[w] += n[v.ID]
			return w
		})
		if fail == nil {
			fail = err
		}
		if fail != nil {
			return nil, fail
		}
		if f, err = sweep(g); err != nil || !s.changed {
			return f, err
		}
	}
	return f, nil
}

type simplifier struct {
	uses    map[*ir.Value]int // of new values so far: by values of the old function
	changed bool
	late    bool // no gradients are taken any more
}

// once reports whether v has a single use.
func (s *simplifier) once(v *ir.Value) bool { return s.uses[v] == 1 }

func (s *simplifier) apply(g ops.Graph, v *ir.Value) *ir.Value {
	for again := true; again && g.Err == nil; {
		again = false
		for _, r := range rules {
			if r.op != nil && r.op != v.Op || r.op == nil && v.Op.Lane == nil {
				continue
			}
			if w := r.apply(s, g, v); w != nil && w != v {
				v, again, s.changed = w, true, true
				break
			}
		}
	}
	return v
}

// A simplification gives a cheaper value equal to v, or nil.
type simplification struct {
	doc   string
	op    *ir.Op // nil: any pointwise op
	apply func(s *simplifier, g ops.Graph, v *ir.Value) *ir.Value
}

var rules []simplification

func init() {
	rules = []simplification{
		{"dot(transpose x, y) = dot(x, y)", ops.Dot, dotOfTranspose},
		{"dot(broadcast x, y) = broadcast dot(x, y)", ops.Dot, dotOfBroadcast},
		{"dot(x, y) = x * y if nothing is summed and y has all axes", ops.Dot, dotWithoutSum},
		{"transpose dot(x, y) = dot(x, y)", ops.Transpose, transposeOfDot},
		{"causal_fold dot(x, w) = dot(causal_unwindow x, w) if x has the time and w the taps", ops.CausalFold, foldOfDot},
		{"sum over axes of extent 1 = reshape", ops.Sum, sumOfOnes},
		{"sum sum x = sum x", ops.Sum, sumOfSum},
		{"sum broadcast x = n * x", ops.Sum, sumOfBroadcast},
		{"sum(x * y) = dot(x, y) if both are broadcast", ops.Sum, sumOfProduct},
		{"sum -x = -sum x", ops.Sum, sumOfNeg},
		{"sum select(c, 0, x) = select(c, 0, sum x) if c is the same along the axes", ops.Sum, sumOfSelect},
		{"sum select(iota == index, x, 0) = x", ops.Sum, sumOfPut},
		{"f(broadcast x, broadcast y) = broadcast f(x, y)", nil, sinkBroadcast},
		{"f(reshape x, reshape y) = reshape f(x, y) if only axes of extent 1 come or go", nil, sinkReshape},
		{"takeAlong f(x) = f(takeAlong x) if little is taken", ops.TakeAlong, sinkTake},
		{"putAlong one element = select(iota == index, x, 0)", ops.PutAlong, putOne},
		{"pad x + pad y = concat(x, y) if they fill it", ops.Add, sumOfPads},
		{"x + scatter dy = scatterAdd(x, dy)", ops.Add, sumWithScatter},
		{"gather at k, k+1, ... = slice", ops.Gather, gatherOfRun},
		{"select(c, select(c, x, y), z) = select(c, x, z)", ops.Select, selectTwice},
		{"select(i >= k, pad x by k, 0) = pad x by k", ops.Select, selectOfPad},
		{"mulz(x, y) = x * y if y is finite", ops.Mulz, mulzOfFinite},
		{"a loop of one iteration is its body", ops.Scan, singleIteration},
		{"stop x = x when gradients have been taken", ops.Stop, func(s *simplifier, _ ops.Graph, v *ir.Value) *ir.Value {
			if s.late {
				return v.Args[0]
			}
			return nil
		}},
	}
}

// spread is what a value repeats: axis i of inner is axis axes[i] of the
// value, which is the same along the others. Constants repeat a scalar.
type spread struct {
	inner *ir.Value
	axes  []int
}

// spreadOf takes a Broadcast apart; other values repeat nothing.
func spreadOf(g ops.Graph, v *ir.Value) spread {
	switch {
	case v.Op == ops.Const && v.Type.Rank() > 0:
		return spread{g.Constant(v.Type.Elem, ops.Fill.Of(v)), nil}
	case v.Op == ops.Broadcast:
		x := v.Args[0]
		var axes []int
		var shape []ir.Dim
		for i, a := range ops.Axes.Of(v) {
			if n := x.Type.Shape[i]; n.Eq(v.Type.Shape[a]) {
				axes, shape = append(axes, a), append(shape, n)
			}
		}
		return spread{g.Reshape(x, shape...), axes}
	}
	return spread{v, upTo(v.Type.Rank())}
}

func upTo(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// pick is the elements of shape at axes.
func pick[T any](shape []T, axes []int) []T {
	out := make([]T, len(axes))
	for i, a := range axes {
		out[i] = shape[a]
	}
	return out
}

// without lists the axes of a tensor of rank n that are not in axes.
func without(n int, axes []int) []int {
	var out []int
	for i := range n {
		if !slices.Contains(axes, i) {
			out = append(out, i)
		}
	}
	return out
}

// renumber gives the place of each axis of axes among those in kept.
func renumber(axes, among []int) []int {
	out := make([]int, len(axes))
	for i, a := range axes {
		out[i] = slices.Index(among, a)
	}
	return out
}

func countOf(shape []ir.Dim) ir.Dim { return ir.Tensor(ir.F32, shape...).Len() }

// sinkBroadcast computes a pointwise op before its operands are repeated.
func sinkBroadcast(_ *simplifier, g ops.Graph, v *ir.Value) *ir.Value {
	some := false
	for _, a := range v.Args {
		switch {
		case a.Op == ops.Broadcast:
			some = true
		case a.Op != ops.Const:
			return nil
		}
	}
	if !some {
		return nil
	}
	var union []int
	parts := make([]spread, len(v.Args))
	for i, a := range v.Args {
		parts[i] = spreadOf(g, a)
		union = append(union, parts[i].axes...)
	}
	slices.Sort(union)
	union = slices.Compact(union)
	if len(union) == v.Type.Rank() {
		return nil
	}
	shape := pick(v.Type.Shape, union)
	args := make([]*ir.Value, len(parts))
	for i, p := range parts {
		args[i] = g.Broadcast(p.inner, shape, renumber(p.axes, union)...)
	}
	w := g.Do(v.Op, args, v.Attrs()...)
	return g.Broadcast(w, v.Type.Shape, union...)
}

// sumOfPads joins the gradients of the parts of a tensor.
func sumOfPads(s *simplifier, g ops.Graph, v *ir.Value) *ir.Value {
	var parts []*ir.Value
	var collect func(x *ir.Value, top bool) bool
	collect = func(x *ir.Value, top bool) bool {
		if x.Op == ops.Add && (top || s.once(x)) {
			return collect(x.Args[0], false) && collect(x.Args[1], false)
		}
		if x.Op != ops.Pad || x.Args[1].Op != ops.Const || ops.Fill.Of(x.Args[1]) != 0 {
			return false
		}
		parts = append(parts, x)
		return true
	}
	if !collect(v, true) {
		return nil
	}
	axis := -1
	for _, p := range parts {
		for i := range v.Type.Shape {
			if ops.Lo.Of(p)[i].Is(0) && ops.Hi.Of(p)[i].Is(0) && ops.Interior.Of(p)[i] == 0 {
				continue
			}
			if axis >= 0 && axis != i || ops.Interior.Of(p)[i] != 0 {
				return nil
			}
			axis = i
		}
	}
	if axis < 0 {
		return nil
	}
	var at ir.Dim
	var joined []*ir.Value
	for len(parts) > 0 {
		i := slices.IndexFunc(parts, func(p *ir.Value) bool { return ops.Lo.Of(p)[axis].Eq(at) })
		if i < 0 {
			return nil
		}
		x := parts[i].Args[0]
		joined = append(joined, x)
		at = at.Add(x.Type.Shape[axis])
		parts = slices.Delete(parts, i, i+1)
	}
	if !at.Eq(v.Type.Shape[axis]) {
		return nil
	}
	return g.Concat(axis, joined...)
}

func mulzOfFinite(_ *simplifier, g ops.Graph, v *ir.Value) *ir.Value {
	if magnitude(v.Args[1], 16) < 1e30 {
		return g.Mul(v.Args[0], v.Args[1])
	}
	return nil
}

// magnitude is a number that |v| does not exceed and that tells that v is not NaN;
// infinity if none is known.
func magnitude(v *ir.Value, depth int) float64 {
	if depth == 0 {
		return math.Inf(1)
	}
	of := func(i int) float64 { return magnitude(v.Args[i], depth-1) }
	switch {
	case v.Op == ops.Const:
		if c := math.Abs(ops.Fill.Of(v)); c-c == 0 {
			return c
		}
	case v.Op == ops.Cast && v.Arg(0).Elem == ir.Bool:
		return 1
	case v.Op == ops.Cast && v.Arg(0).Elem == ir.I32:
		return 1 << 31
	case v.Op == ops.Select:
		return max(of(1), of(2))
	case v.Op == ops.Add, v.Op == ops.Sub:
		return of(0) + of(1)
	case v.Op == ops.Mul:
		return of(0) * of(1)
	case v.Op == ops.Div && v.Args[1].Op == ops.Const:
		if c := math.Abs(ops.Fill.Of(v.Args[1])); c > 1e-30 {
			return of(0) / c
		}
	case v.Op == ops.Neg, v.Op == ops.Reshape, v.Op == ops.Transpose, v.Op == ops.Broadcast, v.Op == ops.Slice:
		return of(0)
	}
	return math.Inf(1)
}

// sinkReshape computes a pointwise op before axes of extent 1 are added to
// operands of one shape, or taken away.
func sinkReshape(_ *simplifier, g ops.Graph, v *ir.Value) *ir.Value {
	var from []ir.Dim
	some := false
	for _, a := range v.Args {
		switch {
		case a.Op == ops.Const:
		case a.Op != ops.Reshape || some && !ir.SameShape(a.Arg(0).Shape, from):
			return nil
		default:
			from, some = a.Arg(0).Shape, true
		}
	}
	if !some || len(from) == v.Type.Rank() || !ir.SameShape(longer(from), longer(v.Type.Shape)) {
		return nil
	}
	args := make([]*ir.Value, len(v.Args))
	for i, a := range v.Args {
		if a.Op == ops.Const {
			args[i] = g.Constant(a.Type.Elem, ops.Fill.Of(a), from...)
		} else {
			args[i] = a.Args[0]
		}
	}
	return g.Reshape(g.Do(v.Op, args, v.Attrs()...), v.Type.Shape...)
}

// longer is shape without axes of extent 1.
func longer(shape []ir.Dim) []ir.Dim {
	return slices.DeleteFunc(slices.Clone(shape), func(d ir.Dim) bool { return d.Is(1) })
}

// sinkTake takes elements of the operands of a pointwise op instead of
// elements of its result.
func sinkTake(s *simplifier, g ops.Graph, v *ir.Value) *ir.Value {
	x, idx, axis := v.Args[0], v.Args[1], ops.Axis.Of(v)
	if x.Op.Lane == nil || len(x.Args) == 0 || estimate(v.Type.Len())*8 > estimate(x.Type.Len()) {
		return nil
	}
	args := make([]*ir.Value, len(x.Args))
	for i, a := range x.Args {
		sp := spreadOf(g, a)
		switch {
		case a.Op == ops.Const:
			args[i] = g.Constant(a.Type.Elem, ops.Fill.Of(a), v.Type.Shape...)
		case !slices.Contains(sp.axes, axis): // the same everywhere along the axis
			args[i] = g.Broadcast(sp.inner, v.Type.Shape, sp.axes...)
		default:
			args[i] = g.TakeAlong(a, idx, axis)
		}
	}
	return g.Do(x.Op, args, x.Attrs()...)
}

// putOne writes single elements by comparing indices; TakeAlong has checked
// them.
func putOne(_ *simplifier, g ops.Graph, v *ir.Value) *ir.Value {
	x, idx, axis := v.Args[0], v.Args[1], ops.Axis.Of(v)
	if !idx.Type.Shape[axis].Is(1) {
		return nil
	}
	shape, all := v.Type.Shape, upTo(v.Type.Rank())
	hit := g.Equal(g.Iota(axis, shape...), g.Broadcast(idx, shape, all...))
	return g.Select(hit, g.Broadcast(x, shape, all...), g.Like(v, 0))
}

func singleIteration(_ *simplifier, g ops.Graph, v *ir.Value) *ir.Value {
	l := ops.LoopOf(v)
	if l.Trip != nil || !l.Extent.Is(1) {
		return nil
	}
	args := []*ir.Value{g.Integer(0)}
	args = append(args, l.Inits...)
	for i, x := range l.Slices {
		args = append(args, g.Reshape(x, l.Slice(i).Type.Shape...))
	}
	results := g.Inline(l.Body, append(args, l.Invariants...))
	for i := range l.OutAxes {
		k := len(l.Inits) + i
		results[k] = g.Reshape(results[k], v.Type.Tuple[k].Shape...)
	}
	return g.Do(ops.Tuple, results)
}
