package passes

import (
	"slices"
	"strconv"
	"strings"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/ops"
)

// cse computes equal values once: the same op with the same attributes on the
// same operands. In loops, equal operands, carried values and results are one;
// loops that do the same work are merged, see mergeLoops.
func cse(f *ir.Func) (*ir.Func, error) {
	for {
		g, unified, err := cseValues(f)
		if err != nil {
			return nil, err
		}
		if f = g; unified {
			continue // elements of a loop that were two are one now
		}
		h, err := mergeLoops(g)
		if err != nil || h == nil {
			return g, err
		}
		f = h
	}
}

// cseValues is one round; unified tells whether a loop has changed.
func cseValues(f *ir.Func) (_ *ir.Func, unified bool, fail error) {
	seen := map[string]*ir.Value{}
	g, err := rewrite(f, func(g ops.Graph, v *ir.Value, args []*ir.Value) *ir.Value {
		attrs, err := withBodies(v, cse)
		if err != nil && fail == nil {
			fail = err
		}
		k := key(v.Op, args, attrs)
		if w := seen[k]; w != nil {
			return w
		}
		var w *ir.Value
		if v.Op == ops.Scan {
			l := ops.LoopWith(v, args)
			l.Body = attrs[slices.Index(v.Op.Attrs, ir.Key(ops.Body))].Func()
			w = unifyLoop(g, l)
			unified = unified || w != nil
		}
		if w == nil {
			w = g.Do(v.Op, args, attrs...)
		}
		seen[k] = w
		return w
	})
	if fail == nil {
		fail = err
	}
	return g, unified, fail
}

// key is equal for equal values.
func key(op *ir.Op, args []*ir.Value, attrs []ir.Setting) string {
	var b strings.Builder
	b.WriteString(op.Name)
	for _, a := range args {
		b.WriteByte(' ')
		b.WriteString(strconv.Itoa(a.ID))
	}
	for _, s := range attrs {
		b.WriteByte('|')
		b.WriteString(s.Text())
	}
	return b.String()
}

// unifyLoop appends the loop l with what is equal in it made one, or returns
// nil if nothing is.
func unifyLoop(g ops.Graph, l ops.Loop) *ir.Value {
	r := reshape(l)
	n, m := 1+len(l.Inits), 1+len(l.Inits)+len(l.Slices)
	some := false
	for i := n; i < len(r.param); i++ {
		for j := n; j < i; j++ {
			same := i < m && l.Slices[i-n] == l.Slices[j-n] && l.InAxes[i-n] == l.InAxes[j-n]
			if i >= m && j >= m {
				same = l.Invariants[i-m] == l.Invariants[j-m]
			}
			if same && r.param[j] == kept {
				r.param[i], some = j, true
				break
			}
		}
	}
	for i, j := range equalCarries(l) {
		if j != i {
			r.param[1+i], r.result[i], some = 1+j, j, true
		}
	}
	for i := n - 1; i < len(r.result); i++ {
		for j := n - 1; j < i; j++ {
			if l.Body.Results[i] == l.Body.Results[j] && l.OutAxes[i-n+1] == l.OutAxes[j-n+1] {
				r.result[i], some = j, true
				break
			}
		}
	}
	if !some {
		return nil
	}
	r.clean = cse
	return remake(g, l, r)
}

// equalCarries gives for each carried value the first one that always equals
// it: they start equal, and if they are equal in one iteration they are in the
// next. That is assumed of all that start equal, and taken back where the body
// contradicts it.
func equalCarries(l ops.Loop) []int {
	same := make([]int, len(l.Inits))
	some := false
	for i := range same {
		same[i] = slices.Index(l.Inits, l.Inits[i])
		some = some || same[i] != i
	}
	for some {
		sub := make([]*ir.Value, len(l.Body.Params))
		b := ir.NewBuilder(l.Body.Name)
		for i, p := range l.Body.Params {
			sub[i] = copyParam(b, p)
		}
		for i, j := range same {
			sub[1+i] = sub[1+j]
		}
		f, err := b.Return(b.Inline(l.Body, sub)...)
		if err == nil {
			f, err = cse(f)
		}
		if err != nil {
			break
		}
		contradicted := false
		for i, j := range same {
			if f.Results[i] == f.Results[j] {
				continue
			}
			contradicted = true
			same[i] = i
			for k := range i { // others that left the class together
				if l.Inits[k] == l.Inits[i] && same[k] == k && f.Results[k] == f.Results[i] {
					same[i] = k
					break
				}
			}
		}
		if !contradicted {
			return same
		}
	}
	for i := range same {
		same[i] = i
	}
	return same
}

// mergeLoops merges two loops of f that do the same work, or returns nil if
// there are none: as many iterations in the same direction, the operands of
// the second one there before the first one, and every carried value of the
// second one equal to one of the first. Such a pair is a loop and the one that
// its gradient made, which collects more.
func mergeLoops(f *ir.Func) (*ir.Func, error) {
	for j, second := range f.Values {
		if second.Op != ops.Scan {
			continue
		}
		for i, first := range f.Values[:j] {
			if first.Op != ops.Scan || !mayMerge(first, second) {
				continue
			}
			both := mergePair(ops.LoopOf(first), ops.LoopOf(second))
			if both == nil {
				continue
			}
			return replaceLoops(f, i, j, both)
		}
	}
	return nil, nil
}

func mayMerge(first, second *ir.Value) bool {
	a, b := ops.LoopOf(first), ops.LoopOf(second)
	if a.Trip != b.Trip || a.Trip == nil && !a.Extent.Eq(b.Extent) || a.Reverse != b.Reverse || len(a.Inits) < len(b.Inits) {
		return false
	}
	for _, x := range b.Inits {
		if !slices.Contains(a.Inits, x) {
			return false
		}
	}
	for _, x := range second.Args {
		if x.ID >= first.ID {
			return false
		}
	}
	return true
}

// A mergedLoop does the work of two. elem tells which of its results element i
// of the second loop is; those of the first one keep their places among the
// carried and among the collected values.
type mergedLoop struct {
	loop  ops.Loop
	first []int
	elem  []int
}

func mergePair(first, second ops.Loop) *mergedLoop {
	l := first
	l.Remat = first.Remat || second.Remat
	l.Inits, l.Slices, l.InAxes = slices.Clone(l.Inits), slices.Clone(l.Slices), slices.Clone(l.InAxes)
	l.Invariants, l.OutAxes = slices.Clone(l.Invariants), slices.Concat(first.OutAxes, second.OutAxes)
	carry := matchCarries(first, second)
	if carry == nil {
		return nil
	}
	// Operands of the second loop that the first one does not have.
	for i, x := range second.Slices {
		if at(l.Slices, l.InAxes, x, second.InAxes[i]) < 0 {
			l.Slices, l.InAxes = append(l.Slices, x), append(l.InAxes, second.InAxes[i])
		}
	}
	for _, x := range second.Invariants {
		if !slices.Contains(l.Invariants, x) {
			l.Invariants = append(l.Invariants, x)
		}
	}
	f, shared := mergeBodies(first, second, l, carry)
	if f == nil || !shared {
		return nil
	}
	n, k := len(first.Inits), len(first.OutAxes)
	for i, j := range carry { // the carried values are the same in fact
		if f.Results[j] != f.Results[n+k+i] {
			return nil
		}
	}
	f.Results = slices.Delete(slices.Clone(f.Results), n+k, n+k+len(carry))
	l.Body = f
	out := &mergedLoop{loop: l, elem: carry}
	for i := range n + k {
		out.first = append(out.first, i)
	}
	for i := range second.OutAxes {
		out.elem = append(out.elem, n+k+i)
	}
	return out
}

func at(xs []*ir.Value, axes []int, x *ir.Value, axis int) int {
	for i, y := range xs {
		if x == y && axes[i] == axis {
			return i
		}
	}
	return -1
}

// matchCarries pairs each carried value of second with one of first that
// starts equal, each at most once if possible; nil if there is none for some.
func matchCarries(first, second ops.Loop) []int {
	out := make([]int, len(second.Inits))
	taken := make([]bool, len(first.Inits))
	for i, x := range second.Inits {
		out[i] = -1
		for j, y := range first.Inits {
			if x == y && (out[i] < 0 || taken[out[i]]) && !taken[j] {
				out[i] = j
			}
		}
		if out[i] < 0 {
			return nil
		}
		taken[out[i]] = true
	}
	return out
}

// mergeBodies is the function of both bodies on the parameters of l, cleaned
// up. shared tells whether they have work in common.
func mergeBodies(first, second, l ops.Loop, carry []int) (f *ir.Func, shared bool) {
	b := ir.NewBuilder(first.Body.Name)
	b.F.Doc = first.Body.Doc
	counter := copyParam(b, first.Counter())
	in := func(n int, from func(int) *ir.Value, more func(int) *ir.Value, m int) []*ir.Value {
		var out []*ir.Value
		for i := range n {
			out = append(out, copyParam(b, from(i)))
		}
		for i := range m {
			out = append(out, copyParam(b, more(i)))
		}
		return out
	}
	carries := in(len(first.Inits), first.Carry, nil, 0)
	var newSlices, newInvariants []int
	for i, x := range second.Slices {
		if at(first.Slices, first.InAxes, x, second.InAxes[i]) < 0 && at(second.Slices[:i], second.InAxes[:i], x, second.InAxes[i]) < 0 {
			newSlices = append(newSlices, i)
		}
	}
	for i, x := range second.Invariants {
		if !slices.Contains(first.Invariants, x) && !slices.Contains(second.Invariants[:i], x) {
			newInvariants = append(newInvariants, i)
		}
	}
	sliced := in(len(first.Slices), first.Slice, func(i int) *ir.Value { return second.Slice(newSlices[i]) }, len(newSlices))
	invariant := in(len(first.Invariants), first.Invariant, func(i int) *ir.Value { return second.Invariant(newInvariants[i]) }, len(newInvariants))

	argsA := slices.Concat([]*ir.Value{counter}, carries, sliced[:len(first.Slices)], invariant[:len(first.Invariants)])
	argsB := []*ir.Value{counter}
	for _, j := range carry {
		argsB = append(argsB, carries[j])
	}
	for i, x := range second.Slices {
		argsB = append(argsB, sliced[at(l.Slices, l.InAxes, x, second.InAxes[i])])
	}
	for _, x := range second.Invariants {
		argsB = append(argsB, invariant[slices.Index(l.Invariants, x)])
	}
	results := b.Inline(first.Body, argsA)
	results = append(results, b.Inline(second.Body, argsB)...)
	f, err := b.Return(results...)
	if err != nil {
		return nil, false
	}
	before := effort(f)
	if f, err = cse(f); err != nil {
		return nil, false
	}
	return f, before == 0 || effort(f) < before
}

// effort counts the values of f that cost something.
func effort(f *ir.Func) int {
	n := 0
	for _, v := range f.Values {
		if v.Op != ir.Param && !v.Op.Layout && !v.Op.Source {
			n++
		}
	}
	return n
}

// replaceLoops puts both in the place of value i of f, and its results in
// those of values i and j.
func replaceLoops(f *ir.Func, i, j int, both *mergedLoop) (*ir.Func, error) {
	env := map[*ir.Value]*ir.Value{}
	var whole *ir.Value
	elems := func(g ops.Graph, index []int) *ir.Value {
		out := make([]*ir.Value, len(index))
		for k, e := range index {
			out[k] = g.Get(whole, e)
		}
		return g.Do(ops.Tuple, out)
	}
	h, err := rewrite(f, func(g ops.Graph, v *ir.Value, args []*ir.Value) *ir.Value {
		switch v.ID {
		case i:
			l := both.loop
			for _, xs := range []*[]*ir.Value{&l.Inits, &l.Slices, &l.Invariants} {
				*xs = slices.Clone(*xs)
				for k, x := range *xs {
					(*xs)[k] = env[x]
				}
			}
			if l.Trip != nil {
				l.Trip = env[l.Trip]
			}
			whole = g.Scan(l)
			return elems(g, both.first)
		case j:
			return elems(g, both.elem)
		}
		return nil
	}, env)
	return h, err
}
