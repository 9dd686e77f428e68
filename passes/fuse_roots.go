package passes

import (
	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/ops"
)

// findRoots decides which values are computed once and which wherever they are
// used: inline values have to be in memory only if they are results, operands
// of loops or of ops that read them whole, or what a contraction walks along
// and not just loads.
func (fu *fuser) findRoots() {
	f := fu.f
	in := inlines(f)
	for _, v := range f.Values {
		fu.root[v.ID] = !in[v.ID]
	}
	need := func(v *ir.Value) {
		for fu.kept[v.ID] = true; v.Op == ops.Reshape; {
			v = v.Args[0]
			fu.kept[v.ID] = true
		}
		fu.root[v.ID] = true
	}
	for _, r := range f.Results {
		need(r)
	}
	for _, v := range f.Values {
		switch {
		case v.Op == ops.Scan || v.Op == ops.Fused:
			for _, a := range v.Args {
				need(a)
			}
		case v.Op.Whole:
			for _, a := range v.Args {
				need(a)
			}
		case v.Op == ops.DynUpdate || v.Op == ops.ScatterAdd:
			need(v.Args[0])
		}
	}
	for again := true; again; {
		again = false
		for _, v := range f.Values {
			var x *ir.Value
			switch {
			case v.Op == ops.Dot:
				if i := fu.impure(v); i >= 0 {
					x = v.Args[i]
				}
			case v.Op == ops.Reshape && !unitReshape(v):
				if y := v.Args[0]; fu.root[y.ID] || y.Op.Layout && splits(v.Type.Shape, y.Type.Shape) {
					x = y
				}
			}
			if v.Op == ops.Concat && fu.root[v.ID] {
				for _, a := range v.Args {
					if !fu.kept[a.ID] {
						need(a)
						again = true
					}
				}
			}
			if x != nil && (!fu.kept[x.ID] || !fu.root[bottom(x).ID]) {
				need(x)
				again = true
			}
		}
	}
}

// impure is the operand of the dot that is worth computing into memory first,
// so that its rows are contiguous, or -1.
func (fu *fuser) impure(d *ir.Value) int {
	p := &plan{inside: map[*ir.Value]bool{}}
	spec, _ := ops.ParseContraction(ops.Spec.Of(d))
	form := p.formOf(d, fu.see)
	if form.kind != general || len(form.columns) == 0 || len(form.summed) == 0 {
		return -1
	}
	last := form.columns[0]
	for i, letters := range []string{spec.X, spec.Y} {
		other := []string{spec.Y, spec.X}[i]
		if containsRune(letters, last) && !containsRune(other, last) && fu.see(d.Args[i]) && lastLong(d.Args[i], letters) == last {
			return i
		}
	}
	return -1
}

// bottom is v without reshapes.
func bottom(v *ir.Value) *ir.Value {
	for v.Op == ops.Reshape {
		v = v.Args[0]
	}
	return v
}

// splits reports whether finding the element of a tensor of shape from, given
// the indices in shape to, takes divisions.
func splits(to, from []ir.Dim) bool {
	to, from = longer(to), longer(from)
	for i, d := range from {
		if i >= len(to) {
			return true
		}
		// Axes of to that join to one of from need none.
		n := to[0]
		k := 1
		for !n.Eq(d) && k < len(to) {
			n = n.Mul(to[k])
			k++
		}
		if !n.Eq(d) {
			return true
		}
		to = to[k:]
		if len(to) == 0 {
			return i < len(from)-1
		}
	}
	return false
}
