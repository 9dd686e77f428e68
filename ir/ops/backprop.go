package ops

import (
	"fmt"

	"github.com/lmc-lang/lmc/ir"
)

// Backprop appends to b.F the gradient of outs, seeded with the cotangents
// cots (nil for none), to each value of wrt, and returns one cotangent per
// value of wrt: zeros where nothing flows back, nil for a value that is not
// f32.
//
// It knows no op by name: Op.Grad says what flows back, and nothing does
// through an op without one. Only values between wrt and outs are visited,
// from the last to the first, so that the same function gives the same
// gradient. A value of wrt that depends on another one passes its cotangent
// on: derivatives are total. Values made for v carry v's position and scope.
func Backprop(b *ir.Builder, outs, cots, wrt []*ir.Value) ([]*ir.Value, error) {
	if len(outs) != len(cots) {
		return nil, fmt.Errorf("bug in gradient: %d cotangents for %d values", len(cots), len(outs))
	}
	pos, scope := b.Pos, b.Scope
	defer func() { b.Pos, b.Scope = pos, scope }()

	from := make([]bool, len(b.F.Values))
	for _, w := range wrt {
		from[w.ID] = true
	}
	active := reach(b.F, from)
	acc := cotangents{g: On(b), active: active, of: make([]*ir.Value, len(active))}
	for i, o := range outs {
		if cots[i] != nil {
			acc.add(o, cots[i])
		}
	}
	for i := len(active) - 1; i >= 0; i-- {
		v, dy := b.F.Values[i], acc.of[i]
		if dy == nil || v.Op.Grad == nil {
			continue
		}
		need := make([]bool, len(v.Args))
		any := false
		for k, a := range v.Args {
			need[k] = active[a.ID]
			any = any || need[k]
		}
		if !any {
			continue
		}
		b.Pos, b.Scope = v.Pos, v.Scope
		back, err := grad(b, v, dy, need)
		if err != nil {
			return nil, err
		}
		if b.Err != nil {
			return nil, fmt.Errorf("bug in gradient of %s: %w", v.Op.Name, b.Err)
		}
		if len(back) != len(v.Args) {
			return nil, fmt.Errorf("bug in gradient of %s: %d cotangents for %d operands", v.Op.Name, len(back), len(v.Args))
		}
		for k, d := range back {
			if d == nil || !need[k] {
				continue
			}
			if !d.Type.Equal(v.Args[k].Type) {
				return nil, fmt.Errorf("bug in gradient of %s: the cotangent of operand %d is %v, want %v", v.Op.Name, k, d.Type, v.Args[k].Type)
			}
			acc.add(v.Args[k], d)
		}
	}
	out := make([]*ir.Value, len(wrt))
	for i, w := range wrt {
		switch {
		case !differentiable(w.Type):
		case acc.of[w.ID] != nil:
			out[i] = acc.of[w.ID]
		default:
			out[i] = acc.g.Like(w, 0)
		}
	}
	return out, b.Err
}

// grad is v.Op.Grad. A loop is told which operands matter, because what it
// keeps for the backward pass depends on it; other ops may compute too much,
// which nobody uses.
func grad(b *ir.Builder, v, dy *ir.Value, need []bool) ([]*ir.Value, error) {
	if v.Op == Scan {
		return scanGrad(b, v, dy, need)
	}
	return v.Op.Grad(b, v, dy), nil
}

// A GradientError says that a value on the path from the loss to a parameter
// has no gradient. It is a mistake in the model, not a bug.
type GradientError struct {
	Pos ir.Pos
	Msg string
}

func (e *GradientError) Error() string { return e.Msg }

// cotangents adds up what flows back to each value. Those of tuples are Tuple
// values, so that every element has its own.
type cotangents struct {
	g      Graph
	active []bool
	of     []*ir.Value // by ID
}

func (c *cotangents) add(v, dy *ir.Value) {
	if v.ID >= len(c.active) || !c.active[v.ID] || isZero(dy) {
		return
	}
	if c.of[v.ID] != nil {
		dy = sum(c.g, c.of[v.ID], dy)
	}
	c.of[v.ID] = dy
}

// sum adds two cotangents of the same type.
func sum(g Graph, x, y *ir.Value) *ir.Value {
	switch {
	case isZero(x):
		return y
	case isZero(y):
		return x
	case x.Type.Tuple == nil:
		return g.Add(x, y)
	}
	parts := make([]*ir.Value, len(x.Type.Tuple))
	for i := range parts {
		parts[i] = sum(g, g.Get(x, i), g.Get(y, i))
	}
	return g.Do(Tuple, parts)
}

// isZero reports whether v is the constant 0 (or its truth value).
func isZero(v *ir.Value) bool { return v.Op == Const && Fill.Of(v) == 0 }

// differentiable reports whether values of type t have cotangents.
func differentiable(t ir.Type) bool { return t.Tuple != nil || t.Elem == ir.F32 }

// reach marks, by ID, the values of f through which something flows from the
// values marked in from to the results: differentiable values, up to ops
// without a gradient.
func reach(f *ir.Func, from []bool) []bool {
	on := make([]bool, len(f.Values))
	for i, v := range f.Values {
		if !differentiable(v.Type) {
			continue
		}
		on[i] = from[i]
		if v.Op.Grad == nil {
			continue
		}
		for _, a := range v.Args {
			on[i] = on[i] || on[a.ID]
		}
	}
	return on
}

// reachBack marks, by ID, the values of f from which something flows to the
// values of to.
func reachBack(f *ir.Func, to []*ir.Value) []bool {
	on := make([]bool, len(f.Values))
	for _, v := range to {
		on[v.ID] = differentiable(v.Type)
	}
	for i := len(f.Values) - 1; i >= 0; i-- {
		if v := f.Values[i]; on[i] && v.Op.Grad != nil {
			for _, a := range v.Args {
				on[a.ID] = on[a.ID] || differentiable(a.Type)
			}
		}
	}
	return on
}
