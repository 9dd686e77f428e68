// Package opstest makes random functions from the samples of the op table, for
// tests of whatever transforms, schedules or prints functions.
package opstest

import (
	"fmt"
	"math/rand/v2"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/ops"
)

// A Case is a function with arguments that suit it.
type Case struct {
	Func *ir.Func
	Args []*ir.Data
}

// Random is a function of about n values: samples of ops, whose operands are
// results of others where the types allow it. The same rng gives the same
// function. Samples for which skip holds are left out.
func Random(rng *rand.Rand, n int, skip func(op *ir.Op, s ir.Sample) bool) (Case, error) {
	var c Case
	b := ir.NewBuilder("random")
	// Parameters come first, so what to apply is chosen before.
	type application struct {
		op   *ir.Op
		s    ir.Sample
		args []*ir.Value // nil: take any value of this type
	}
	var plan []application
	for len(plan) < n {
		op := ops.Table[rng.IntN(len(ops.Table))]
		if len(op.Samples) == 0 {
			continue
		}
		s := op.Samples[rng.IntN(len(op.Samples))]
		if s.Err != "" || skip != nil && skip(op, s) {
			continue
		}
		a := application{op, s, make([]*ir.Value, len(s.Types))}
		for i, t := range s.Types {
			if rng.IntN(3) == 0 || t.Elem == ir.I32 || len(plan) == 0 {
				d, err := argument(t, s.In[i])
				if err != nil {
					return c, fmt.Errorf("%s: %w", op.Name, err)
				}
				a.args[i] = b.Param(fmt.Sprintf("x%d", len(c.Args)), t)
				c.Args = append(c.Args, d)
			}
		}
		plan = append(plan, a)
	}
	for _, a := range plan {
		ok := true
		for i, t := range a.s.Types {
			if a.args[i] == nil {
				if a.args[i] = pick(rng, b.F, t); a.args[i] == nil {
					ok = false
				}
			}
		}
		if !ok {
			continue
		}
		b.Do(a.op, a.args, a.s.Attrs...)
	}
	// What nobody uses is a result, tuples element by element.
	var results []*ir.Value
	uses := b.F.Uses()
	for _, v := range b.F.Values[:len(b.F.Values):len(b.F.Values)] {
		switch {
		case v.Op == ir.Param || uses[v.ID] > 0:
		case v.Type.Tuple == nil:
			results = append(results, v)
		default:
			for i := range v.Type.Tuple {
				results = append(results, ops.On(b).Get(v, i))
			}
		}
	}
	if len(results) == 0 {
		results = append(results, b.F.Values[len(b.F.Values)-1])
	}
	f, err := b.Return(results...)
	c.Func = f
	return c, err
}

// pick is a random value of type t, the later the likelier, or nil. Indices are
// never picked, for they have to suit.
func pick(rng *rand.Rand, f *ir.Func, t ir.Type) *ir.Value {
	for i := len(f.Values) - 1; i >= 0; i-- {
		if v := f.Values[i]; v.Type.Equal(t) && rng.IntN(3) > 0 {
			return v
		}
	}
	for _, v := range f.Values {
		if v.Type.Equal(t) {
			return v
		}
	}
	return nil
}

func argument(t ir.Type, xs []float64) (*ir.Data, error) {
	shape := make([]int, t.Rank())
	for i, d := range t.Shape {
		n, ok := d.Const()
		if !ok {
			return nil, fmt.Errorf("a sample has the type %v", t)
		}
		shape[i] = n
	}
	return ir.DataOf(t.Elem, shape, xs)
}
