package passes

import (
	"fmt"
	"math"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/ops"
)

// direct builds Step.Direct for trainers of tables that are only indexed: with
// plain gradient descent only the rows that an example reads change, so neither
// the gradient nor the update needs to touch the others. Gradients and update
// are joined, and w - s*scatter(dy, i) becomes scatter_add(w, -s*dy, i), in
// place. It takes weights for finite: 0 times one is 0.
//
// Where the loss is not finite nothing changes. The norm of the gradient is not
// known, so nothing may depend on it.
func direct(p *Program) error {
	for i, s := range p.Steps {
		api := p.API.Trainers[i]
		if accumulates(api) || s.Clip > 0 || s.ClipKey == "perExample" {
			continue
		}
		e, err := joinStep(s)
		if err != nil {
			return fmt.Errorf("%s: %w", api.Name, err)
		}
		pushed := 0
		if e.Func, err = simplifyLate(e.Func); err == nil {
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
		}
		if err != nil {
			return fmt.Errorf("%s: %w", api.Name, err)
		}
		if pushed > 0 {
			s.Direct = e
		}
	}
	return nil
}

// joinStep is the loss, its gradients and the update as one function.
func joinStep(s *Step) (*ir.Entry, error) {
	b := newEntry(s.Loss.Func.Name+"Direct", "the loss, and the update of the weights")
	type key struct {
		kind  ir.Kind
		index int
		name  string
	}
	known := map[key]*ir.Value{}
	param := func(e *ir.Entry, i int) *ir.Value {
		in := e.In[i]
		k := key{in.Kind, in.Index, ""}
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
			applied[i] = guarded(b.Graph, finite, grads[in.Index])
		}
	}
	for i, y := range b.Inline(s.Apply.Func, applied) {
		o := s.Apply.Out[i]
		if o.Kind == ir.MomentKind {
			y = b.Select(b.Expand(finite, y.Type.Shape...), y, known[key{ir.MomentKind, o.Index, ""}])
		}
		values, out = append(values, y), append(out, o)
	}
	return b.entry(values, out)
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
