package passes

import (
	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// A reading says that an op, for one element of its result, reads elements of
// the value from. It is found by emitting the op with a Pull that only takes
// notes, so that no pass has to know what ops do.
type reading struct {
	from *ir.Value
	axes []origin // per axis of from
}

// An origin says where an index of a reading comes from.
type origin struct {
	kind indexKind
	axis int // of the result, for fromAxis
}

type indexKind uint8

const (
	unit      indexKind = iota // the axis has extent 1
	fromAxis                   // the index of an axis of the result, as it is
	fromLoop                   // the counter of a loop in the op, as it is
	elsewhere                  // computed
)

// through says which values are seen through: they are no group's members
// but are computed where their elements are asked for.
type through func(v *ir.Value) bool

// costly reports whether computing an element of v takes a function such as
// exp or a random draw, in v itself or in what is seen through.
func costly(v *ir.Value, see through) bool {
	if v.Op.Costly {
		return true
	}
	for _, a := range v.Args {
		if see(a) && costly(a, see) {
			return true
		}
	}
	return false
}

// readings lists what v reads, seen through the values that see names.
func readings(v *ir.Value, see through) []reading {
	e := &ir.Emitter{Builder: loop.NewBuilder("readings")}
	idx := make([]loop.Index, v.Type.Rank())
	axisOf := map[*loop.Val]int{}
	for i, d := range v.Type.Shape {
		if !d.Is(1) {
			x := e.NewVal(loop.Int, "")
			axisOf[x] = i
			idx[i] = loop.At(x)
		}
	}
	type note struct {
		from *ir.Value
		idx  []loop.Index
	}
	var notes []note
	compute := func(u *ir.Value, idx []loop.Index) *loop.Val {
		if u.Op.Lane != nil {
			args := make([]*loop.Val, len(u.Args))
			for i, a := range u.Args {
				args[i] = e.Pull(a, idx)
			}
			return u.Op.Lane(e, u, args)
		}
		return u.Op.At(e, u, idx)
	}
	e.Pull = func(u *ir.Value, idx []loop.Index) *loop.Val {
		if see(u) {
			return compute(u, idx)
		}
		notes = append(notes, note{u, append([]loop.Index(nil), idx...)})
		return e.NewVal(u.Type.Elem, "")
	}
	if v.Op.Lower != nil {
		return wholeReadings(v, see)
	}
	compute(v, idx)

	counters := map[*loop.Val]bool{}
	walk(e.K.Body, func(s loop.Stmt) {
		if f, ok := s.(*loop.For); ok {
			counters[f.Var] = true
		}
	})
	out := make([]reading, len(notes))
	for k, n := range notes {
		r := reading{from: n.from, axes: make([]origin, len(n.idx))}
		for j, x := range n.idx {
			o := origin{kind: elsewhere}
			switch {
			case n.from.Type.Shape[j].Is(1):
				o.kind = unit
			case len(x.Terms) == 1 && x.Terms[0].Coef.Is(1) && x.Off.Is(0):
				if a, ok := axisOf[x.Terms[0].Var]; ok {
					if v.Type.Shape[a].Eq(n.from.Type.Shape[j]) {
						o = origin{fromAxis, a}
					}
				} else if counters[x.Terms[0].Var] {
					o.kind = fromLoop
				}
			}
			r.axes[j] = o
		}
		out[k] = r
	}
	return out
}

// wholeReadings are those of an op that writes its result as a whole: anything
// of everything.
func wholeReadings(v *ir.Value, see through) []reading {
	var out []reading
	seen := map[*ir.Value]bool{}
	var visit func(u *ir.Value)
	visit = func(u *ir.Value) {
		if seen[u] {
			return
		}
		seen[u] = true
		if see(u) {
			for _, a := range u.Args {
				visit(a)
			}
			return
		}
		r := reading{from: u, axes: make([]origin, u.Type.Rank())}
		for i := range r.axes {
			r.axes[i].kind = elsewhere
		}
		out = append(out, r)
	}
	for _, a := range v.Args {
		visit(a)
	}
	return out
}
