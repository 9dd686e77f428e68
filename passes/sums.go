package passes

import (
	"slices"
	"strings"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/ops"
)

// sums takes contractions out of loops that only add them up. A carried value
// that starts at zero, becomes itself plus dot(x, y) and is used for nothing
// else is one contraction of the stacks of x and y after the loop: the
// gradient of a recurrent weight is one product over time and batch instead of
// many small ones. x and y are collected unless they are slices already; that
// must not be more than twice what the sum itself takes in all iterations.
func sums(f *ir.Func) (*ir.Func, error) {
	var fail error
	g, err := rewrite(f, func(g ops.Graph, v *ir.Value, args []*ir.Value) *ir.Value {
		attrs, err := withBodies(v, sums)
		if err != nil {
			fail = err
			return nil
		}
		if v.Op != ops.Scan || ops.Dynamic.Of(v) {
			return g.Do(v.Op, args, attrs...)
		}
		l := ops.LoopWith(v, args)
		l.Body = attrs[len(attrs)-1].Func()
		return takeSums(g, l)
	})
	if fail != nil {
		return nil, fail
	}
	if err != nil {
		return nil, err
	}
	return sweep(g)
}

// A sumOf is a carried value that only adds up dot(x, y), values of the body.
type sumOf struct {
	carry int
	dot   *ir.Value
}

func takeSums(g ops.Graph, l ops.Loop) *ir.Value {
	uses := l.Body.Uses()
	var found []sumOf
	for i, init := range l.Inits {
		next := l.Body.Results[i]
		if init.Op != ops.Const || ops.Fill.Of(init) != 0 || next.Op != ops.Add || uses[next.ID] != 1 || uses[l.Carry(i).ID] != 1 {
			continue
		}
		d := next.Args[1]
		if d == l.Carry(i) {
			d = next.Args[0]
		} else if next.Args[0] != l.Carry(i) {
			continue
		}
		if d.Op == ops.Dot && uses[d.ID] == 1 && worthStacking(d, l.Extent) {
			found = append(found, sumOf{i, d})
		}
	}
	if len(found) == 0 {
		return g.Scan(l)
	}
	// Collect operands that are not there as stacks.
	nl := l
	nl.OutAxes = slices.Clone(l.OutAxes)
	results := slices.Clone(l.Body.Results)
	collect := func(x *ir.Value) (slice, result int) {
		for i := range l.Slices {
			if l.Slice(i) == x {
				return i, -1
			}
		}
		for i := len(l.Inits); i < len(results); i++ {
			if results[i] == x {
				return -1, i
			}
		}
		results = append(results, x)
		nl.OutAxes = append(nl.OutAxes, 0)
		return -1, len(results) - 1
	}
	type stackOf struct{ slice, result int }
	var xs, ys []stackOf
	for _, s := range found {
		a, b := collect(s.dot.Args[0])
		xs = append(xs, stackOf{a, b})
		a, b = collect(s.dot.Args[1])
		ys = append(ys, stackOf{a, b})
	}
	body := *l.Body
	body.Results = results
	nl.Body = &body

	r := reshape(nl)
	r.clean = dce
	for _, s := range found {
		r.param[1+s.carry], r.result[s.carry] = gone, gone
	}
	t := remake(g, nl, r)
	stack := func(s stackOf) (*ir.Value, int) {
		if s.slice >= 0 {
			return l.Slices[s.slice], l.InAxes[s.slice]
		}
		return t.Args[s.result], nl.OutAxes[s.result-len(l.Inits)]
	}
	elems := slices.Clone(t.Args[:len(l.Body.Results)])
	for k, s := range found {
		x, xa := stack(xs[k])
		y, ya := stack(ys[k])
		elems[s.carry] = g.Dot(stackedSpec(ops.Spec.Of(s.dot), xa, ya), x, y)
	}
	return g.Do(ops.Tuple, elems)
}

// stackedSpec is spec with one more summed axis at xa of the first and at ya
// of the second operand.
func stackedSpec(spec string, xa, ya int) string {
	ins, out, _ := strings.Cut(spec, "->")
	x, y, _ := strings.Cut(ins, ",")
	letter := "a"
	for strings.Contains(spec, letter) {
		letter = string(letter[0] + 1)
	}
	return x[:xa] + letter + x[xa:] + "," + y[:ya] + letter + y[ya:] + "->" + out
}

// worthStacking weighs the memory of the stacks against the passes over the
// sum that they save.
func worthStacking(d *ir.Value, trip ir.Dim) bool {
	size := func(t ir.Type) int {
		n := trip
		for _, k := range t.Shape {
			n = n.Mul(k)
		}
		return estimate(n)
	}
	stacks := size(d.Arg(0)) + size(d.Arg(1))
	return stacks <= 2*size(d.Type)
}

// estimate is the value of d if every symbol were 64.
func estimate(d ir.Dim) int {
	env := map[string]int{}
	for _, s := range d.Syms() {
		env[s] = 64
	}
	n, err := d.Eval(env)
	if err != nil {
		return 0
	}
	return n
}
