package passes

import (
	"fmt"
	"math"
	"slices"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/ops"
)

// direct builds Step.Direct, which joins gradients and update, for two kinds of
// trainers:
//
// Tables that are only indexed: with plain gradient descent only the rows that
// an example reads change, so neither the gradient nor the update needs to touch
// the others. w - s*scatter(dy, i) becomes scatter_add(w, -s*dy, i), in place. It
// takes weights for finite: 0 times one is 0. The norm of the gradient is not
// known.
//
// Large models: each gradient is consumed as soon as it has been computed, so
// that not all of them are in memory at a time. The squares of the gradients are
// added up on the way. Small ones rather wait for the norm of the whole gradient,
// and for them the code of a third function would weigh more than the memory.
//
// In both nothing changes where the loss is not finite. Where clipping asks for
// the norm, gradients have to wait for it in any case.
func direct(p *Program) error { return directFrom(p, consumedFrom) }

// directFrom is direct where gradients of at least so many elements are
// consumed.
func directFrom(p *Program, elements int) error {
	for i, s := range p.Steps {
		api := p.API.Trainers[i]
		if accumulates(api) || s.Clip > 0 && s.ClipKey != "value" || s.ClipKey == "perExample" {
			continue
		}
		e, err := p.sparseStep(s, api)
		if err == nil && e == nil && p.trained(s) >= elements {
			e, err = p.joinStep(s, api, false)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", api.Name, err)
		}
		s.Direct = e
	}
	return nil
}

// consumedFrom is the number of trained elements from which on gradients are
// consumed as they are produced: 16 MB of them.
const consumedFrom = 1 << 22

// trained is the number of elements that s updates.
func (p *Program) trained(s *Step) int {
	n := 0
	for _, w := range s.Update {
		n += p.API.Weights[w].Len()
	}
	return n
}

// sparseStep is the direct step of tables that are only indexed, or nil if there
// are none.
func (p *Program) sparseStep(s *Step, api *loop.Trainer) (*ir.Entry, error) {
	if s.Clip > 0 {
		return nil, nil
	}
	e, err := p.joinStep(s, api, true)
	if err != nil {
		return nil, err
	}
	if e.Func, err = simplifyLate(e.Func); err != nil {
		return nil, err
	}
	pushed := 0
	e.Func, err = rewrite(e.Func, func(g ops.Graph, v *ir.Value, args []*ir.Value) *ir.Value {
		if v.Op != ops.Sub || args[0].Op != ir.Param {
			return nil
		}
		w := scatterInto(g, args[0], args[1])
		if w != nil {
			pushed++
		}
		return w
	})
	if pushed == 0 {
		return nil, err
	}
	return e, err
}

// joinStep is the loss, its gradients and the update as one function; if it is
// sparse, gradients that are not finite reach the weights, else the last result
// is the sum of the squares of all gradients.
func (p *Program) joinStep(s *Step, api *loop.Trainer, sparse bool) (*ir.Entry, error) {
	b := newEntry(s.Loss.Func.Name+"Direct", "the loss, and the update of the weights")
	type key struct {
		kind  ir.Kind
		index int
	}
	known := map[key]*ir.Value{}
	param := func(e *ir.Entry, i int) *ir.Value {
		in := e.In[i]
		k := key{in.Kind, in.Index}
		if in.Kind == ir.KeyKind {
			k.index = 0
		}
		if known[k] == nil {
			known[k] = b.param(e.Func.Params[i].Type, in)
		}
		return known[k]
	}
	// All parameters come first.
	var args, applied []*ir.Value
	for i := range s.Gradients.In {
		args = append(args, param(s.Gradients, i))
	}
	for i, in := range s.Apply.In {
		if in.Kind == ir.GradKind {
			applied = append(applied, nil)
			continue
		}
		applied = append(applied, param(s.Apply, i))
	}
	var values []*ir.Value
	var out []ir.Binding
	grads := map[int]*ir.Value{}
	var loss *ir.Value
	for i, y := range b.Inline(s.Gradients.Func, args) {
		switch o := s.Gradients.Out[i]; o.Kind {
		case ir.GradKind:
			grads[o.Index] = y
			continue
		case ir.LossKind:
			loss = y
		}
		values, out = append(values, y), append(out, s.Gradients.Out[i])
	}
	finite := b.LessEqual(b.Abs(loss), b.Float(math.MaxFloat32))
	for i, in := range s.Apply.In {
		if in.Kind == ir.GradKind {
			applied[i] = grads[in.Index]
			if sparse {
				applied[i] = guarded(b.Graph, finite, applied[i])
			}
		}
	}
	keep := map[int]*ir.Value{} // by weight: where it and its moments change
	squares := b.Float(0)
	if !sparse {
		most := b.Select(finite, b.Float(math.MaxFloat32), b.Float(-1))
		for k, w := range s.Update {
			g := grads[w]
			copies := len(p.API.Weights[w].Counts)
			if pointwiseRule(s.Rules[k]) {
				keep[w] = b.LessEqual(b.Abs(g), b.Expand(most, g.Type.Shape...))
			} else { // all of a copy, or nothing
				sum := b.Sum(b.Square(g), axesFrom(copies, g.Type.Rank())...)
				keep[w] = b.LessEqual(sum, b.Expand(most, sum.Type.Shape...))
			}
			if !isFilled(g, 0) {
				squares = b.Add(squares, b.Sum(b.Square(g), axesFrom(0, g.Type.Rank())...))
			}
		}
	}
	for i, y := range b.Inline(s.Apply.Func, applied) {
		o := s.Apply.Out[i]
		ok, old := finite, known[key{o.Kind, o.Index}]
		switch {
		case o.Kind == ir.MomentKind && !sparse:
			ok = keep[api.Moments[o.Index].Weight]
		case o.Kind == ir.WeightKind && !sparse:
			ok = keep[o.Index]
		}
		if o.Kind == ir.MomentKind || !sparse {
			y = b.Select(b.Broadcast(ok, y.Type.Shape, axesFrom(0, ok.Type.Rank())...), y, old)
		}
		values, out = append(values, y), append(out, o)
	}
	if !sparse {
		values, out = append(values, squares), append(out, ir.Binding{Kind: ir.SquaresKind, Name: "squares"})
	}
	return b.entry(values, out)
}

// pointwiseRule reports whether r treats each element of a weight by itself.
func pointwiseRule(r *ir.Rule) bool {
	own := make([]bool, len(r.Func.Values)) // by ID: depends on the weight, the gradient or a moment
	for i, v := range r.Func.Values {
		if v.Op == ir.Param {
			own[i] = slices.Index(r.Func.Params, v) < 2+len(r.Moments)
			continue
		}
		for _, a := range v.Args {
			own[i] = own[i] || own[a.ID]
		}
		if own[i] && v.Op.Lane == nil {
			return false
		}
	}
	return true
}

// axesFrom are the axes from the given one on, of a tensor of the given rank.
func axesFrom(from, rank int) []int {
	var out []int
	for i := from; i < rank; i++ {
		out = append(out, i)
	}
	return out
}

// guarded is the gradient g where ok holds, else 0.
func guarded(g ops.Graph, ok, x *ir.Value) *ir.Value {
	switch x.Op {
	case ops.Scatter:
		return g.Scatter(guarded(g, ok, x.Args[0]), x.Args[1], ops.Axis.Of(x), ops.Extent.Of(x))
	case ops.Add:
		return g.Add(guarded(g, ok, x.Args[0]), guarded(g, ok, x.Args[1]))
	}
	return g.Select(g.Expand(ok, x.Type.Shape...), x, g.Like(x, 0))
}

// A push is a part of a gradient: the entries dy for the places idx.
type push struct {
	dy, idx *ir.Value
	axis    int
}

// scatterInto is w - x if x is made of scatters, else nil.
func scatterInto(g ops.Graph, w, x *ir.Value) *ir.Value {
	pushes, ok := pushesOf(g, x)
	if !ok || len(pushes) == 0 {
		return nil
	}
	for _, p := range pushes {
		w = g.ScatterAdd(w, g.Neg(p.dy), p.idx, p.axis)
	}
	return w
}

// pushesOf takes a sum of scatters, scaled uniformly, apart.
func pushesOf(g ops.Graph, x *ir.Value) ([]push, bool) {
	switch x.Op {
	case ops.Scatter:
		return []push{{x.Args[0], x.Args[1], ops.Axis.Of(x)}}, true
	case ops.ScatterAdd:
		ps, ok := pushesOf(g, x.Args[0])
		return append(ps, push{x.Args[1], x.Args[2], ops.Axis.Of(x)}), ok
	case ops.Add:
		a, ok := pushesOf(g, x.Args[0])
		b, ok2 := pushesOf(g, x.Args[1])
		return append(a, b...), ok && ok2
	case ops.Neg:
		ps, ok := pushesOf(g, x.Args[0])
		for i := range ps {
			ps[i].dy = g.Neg(ps[i].dy)
		}
		return ps, ok
	case ops.Mul, ops.Mulz:
		for i, a := range x.Args {
			if isFilled(a, 0) {
				return nil, true
			}
			s := uniform(a)
			if s == nil {
				continue
			}
			ps, ok := pushesOf(g, x.Args[1-i])
			for k, p := range ps {
				ps[k].dy = g.Mul(g.Expand(s, p.dy.Type.Shape...), p.dy)
			}
			return ps, ok
		}
	}
	return nil, false
}

// isFilled reports whether all elements of x are the constant c.
func isFilled(x *ir.Value, c float64) bool { return x.Op == ops.Const && ops.Fill.Of(x) == c }

// uniform is the scalar that all elements of x are, or nil.
func uniform(x *ir.Value) *ir.Value {
	for x.Op == ops.Broadcast {
		x = x.Args[0]
	}
	if x.Type.Rank() == 0 {
		return x
	}
	return nil
}
