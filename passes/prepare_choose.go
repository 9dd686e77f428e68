package passes

import (
	"slices"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/ops"
)

// stillness knows which values are the same in every call: it begins with
// parameters. Sizes that a call binds make a value vary.
type stillness map[*ir.Value]bool

func (s stillness) still(v *ir.Value) bool {
	if known, ok := s[v]; ok {
		return known
	}
	still := v.Op != ir.Param && v.Op != ops.Packed && fixed(v)
	for _, a := range v.Args {
		still = s.still(a) && still
	}
	s[v] = still
	return still
}

// fixed reports whether all dims in the type and the attributes of v are known.
func fixed(v *ir.Value) bool {
	if !fixedType(v.Type) {
		return false
	}
	for _, s := range v.Attrs() {
		if !constants(s.Dims()) {
			return false
		}
		if f := s.Func(); f != nil && slices.ContainsFunc(f.Values, func(x *ir.Value) bool { return !fixed(x) }) {
			return false
		}
	}
	return true
}

func fixedType(t ir.Type) bool {
	return constants(t.Shape) && !slices.ContainsFunc(t.Tuple, func(u ir.Type) bool { return !fixedType(u) })
}

func constants(ds []ir.Dim) bool {
	return !slices.ContainsFunc(ds, func(d ir.Dim) bool { _, ok := d.Const(); return !ok })
}

// frontier lists the values of f that are still, are worth being prepared, and
// are read by something that is not, with what they are computed from left out.
// Layout is left where it is.
func (r *preparer) frontier(f *ir.Func, params []bool) []*ir.Value {
	at := stillness{}
	for i, q := range f.Params {
		at[q] = params[i]
	}
	work := make([]float64, len(f.Values))
	for i, v := range f.Values {
		work[i] = ownWork(v)
		for _, a := range v.Args {
			work[i] += work[a.ID]
		}
	}
	chosen := make([]bool, len(f.Values))
	var need func(v *ir.Value, least float64)
	need = func(v *ir.Value, least float64) {
		for v.Op.Layout && len(v.Args) == 1 && v.Args[0].Type.Tuple == nil {
			least = min(least, leastFor(v))
			v = v.Args[0]
		}
		if v.Op == ir.Param || chosen[v.ID] {
			return
		}
		n, _ := v.Type.Len().Const()
		if v.Type.Tuple == nil && v.Type.Elem == ir.F32 && work[v.ID] > 0 && work[v.ID] >= least*float64(n) {
			chosen[v.ID] = true
			return
		}
		for _, a := range v.Args {
			need(a, worthPreparing)
		}
	}
	for _, v := range f.Values {
		if v.Op == ir.Param || at.still(v) {
			continue
		}
		for k, a := range v.Args {
			switch {
			case v.Op == ops.Packed && k == 1:
				chosen[a.ID] = a.Op != ir.Param
			case !at.still(a):
			case r.panels[a]:
				chosen[a.ID] = true
			case r.changing:
			case v.Op == ops.Dot: // it reads its operands many times
				need(a, 1)
			default:
				need(a, leastFor(v))
			}
		}
	}
	for _, x := range f.Results {
		if at.still(x) && !r.changing {
			need(x, worthPreparing)
		}
	}
	var out []*ir.Value
	for _, v := range f.Values {
		if chosen[v.ID] {
			out = append(out, v)
		}
	}
	return out
}

// The arithmetic of an element that is worth more than reading it, and the same
// where it is read again and again.
const (
	worthPreparing = 8
	worthRepeated  = 2
)

// leastFor is how much arithmetic an operand of v has to save.
func leastFor(v *ir.Value) float64 {
	if v.Op.Layout && estimate(v.Type.Len()) > estimate(v.Arg(0).Len()) {
		return worthRepeated
	}
	return worthPreparing
}

// ownWork estimates the arithmetic of v without that of its operands.
func ownWork(v *ir.Value) float64 {
	operands := 0.0
	for _, a := range v.Args {
		operands += float64(estimate(a.Type.Len()))
	}
	n := float64(estimate(v.Type.Len()))
	switch {
	case v.Op == ir.Param || v.Op.Layout || v.Op.Source:
		return 0
	case v.Op == ops.Scan:
		return 1e12
	case v.Op == ops.Dot:
		c, _ := ops.ParseContraction(ops.Spec.Of(v))
		for _, k := range c.Summed() {
			n *= float64(estimate(c.Extent(k, v.Arg(0), v.Arg(1))))
		}
		return 2 * n
	case v.Op.Reduces:
		return operands
	case v.Op.Costly:
		return 20 * n
	case v.Op.Lower != nil:
		return 20 * operands
	}
	return n
}
