package ops

import (
	"strings"

	"github.com/lmc-lang/lmc/ir"
)

// residuals chooses what the backward loop reads of the forward one: the
// cheapest set of values from which everything else that it needs can be
// computed again. Keeping a value costs memory in every iteration; computing
// it again costs time. Both are put on one scale and the cheapest choice is a
// minimum cut between what only the forward loop has and what the backward
// values read.
//
// The counter, slices and invariants are there anyway. Layout ops, constants
// and random draws are always computed again, cheap pointwise ops nearly so;
// reductions, contractions and loops are kept, except for a contraction whose
// result is much larger than its operands (the scores of attention): it and what
// follows it element by element is computed again, for a few rows at a time, and
// what is kept of it is what its rows have been reduced to. Under remat carried
// values are all that is kept.
func residuals(s *step, l Loop) []residual {
	f := s.both
	back := make([]bool, len(f.Values)) // depends on a cotangent
	for _, c := range s.cots {
		back[c.ID] = true
	}
	for i, v := range f.Values {
		for _, a := range v.Args {
			back[i] = back[i] || back[a.ID]
		}
	}
	used := cone(f, s.grads, nil)
	read := make([]bool, len(f.Values)) // forward, and an operand of a backward value
	for i, v := range f.Values {
		if used[i] && back[i] {
			for _, a := range v.Args {
				read[a.ID] = read[a.ID] || !back[a.ID]
			}
		}
	}
	for _, r := range s.grads {
		read[r.ID] = read[r.ID] || !back[r.ID]
	}

	varies := varying(f, s.loop)
	result := make(map[*ir.Value]int) // collected already
	for i := len(f.Results) - 1; i >= len(l.Inits); i-- {
		result[f.Results[i]] = i
	}
	carries := make([]bool, len(f.Values))
	for i := range l.Inits {
		carries[s.loop.Carry(i).ID] = true
	}

	// Node 2i is value i before it is kept, node 2i+1 after: cutting the edge
	// between them is keeping it.
	n := len(f.Values)
	cut := newFlow(2*n + 2)
	forward, backward := 2*n, 2*n+1
	grown := outgrown(f)
	for i, v := range f.Values {
		if !used[i] || back[i] {
			continue
		}
		keep, again := keepCost(v), againCost(v)
		if grown[i] {
			again = min(again, Elements(v.Type)*unit/10)
		}
		_, collected := result[v]
		switch {
		case carries[i]:
			again = never
		case v.Op == ir.Param:
			keep, again = 0, never
		case l.Remat:
			keep, again = never, 0
		case !varies[i]: // kept once for all iterations, unless it costs nothing to have
			keep /= 16
			if v.Op.Lane != nil && !v.Op.Costly {
				again = 0
			}
		case collected:
			keep /= 16
		}
		cut.edge(2*i, 2*i+1, keep)
		if again > 0 {
			cut.edge(forward, 2*i, again)
		}
		for _, a := range v.Args {
			cut.edge(2*a.ID+1, 2*i, never)
		}
		if read[i] {
			cut.edge(2*i+1, backward, never)
		}
	}
	late := cut.run(forward, backward)

	var out []residual
	for i, v := range f.Values {
		if !used[i] || back[i] || late[2*i] || !late[2*i+1] || v.Op == ir.Param && !carries[i] {
			continue
		}
		r := residual{v: v, outside: !varies[i], result: -1}
		if k, ok := result[v]; ok && !r.outside {
			r.result = k
		}
		out = append(out, r)
	}
	return out
}

// varying marks the values that may differ from one iteration to the next.
func varying(f *ir.Func, l Loop) []bool {
	on := make([]bool, len(f.Values))
	for i, p := range f.Params {
		on[p.ID] = i < 1+len(l.Inits)+len(l.Slices)
	}
	for i, v := range f.Values {
		for _, a := range v.Args {
			on[i] = on[i] || on[a.ID]
		}
	}
	return on
}

// Costs are in elements of f32 times unit: what it takes to write one and to
// read it again.
const (
	unit  = 1000
	never = int64(1) << 60
	// assumed is the size of a symbol, whose value is not known here.
	assumed = 512
)

// Elements estimates the number of elements of a tensor; symbols count as 512.
func Elements(t ir.Type) int64 {
	n := int64(1)
	for _, d := range t.Shape {
		env := make(map[string]int)
		for _, s := range d.Syms() {
			env[s] = assumed
		}
		k, err := d.Eval(env)
		if err != nil || k < 1 {
			k = 1
		}
		if n *= int64(k); n > never/unit/4 {
			return never / unit / 4
		}
	}
	return n
}

// keepCost is the cost of keeping v in every iteration.
func keepCost(v *ir.Value) int64 {
	switch {
	case v.Type.Tuple != nil:
		return never
	case v.Type.Elem == ir.Bool:
		return Elements(v.Type) * unit / 4
	case v.Op.Layout: // rather what it is a view of
		return Elements(v.Type) * (unit + unit/100)
	}
	return Elements(v.Type) * unit
}

// againCost is the cost of computing v once more from its operands.
func againCost(v *ir.Value) int64 {
	t := v.Op.Traits
	switch {
	case t.Source, t.Layout:
		return 0
	case v.Op.Control != nil, t.Whole:
		return never
	case t.Reduces:
		return never
	case t.Costly:
		return Elements(v.Type) * unit * 3 / 4
	}
	return Elements(v.Type) * unit / 20
}

// outgrown marks, by ID, contractions that outgrow their operands and what
// follows from them element by element.
func outgrown(f *ir.Func) []bool {
	on := make([]bool, len(f.Values))
	for i, v := range f.Values {
		on[i] = Outgrows(v)
		for _, a := range v.Args {
			on[i] = on[i] || v.Op.Lane != nil && on[a.ID]
		}
	}
	return on
}

// Outgrows reports whether v is a contraction with batch axes whose result is
// much larger than its operands, as the scores of attention.
func Outgrows(v *ir.Value) bool {
	if v.Op != Dot {
		return false
	}
	spec := Spec.Of(v)
	ins, out, _ := strings.Cut(spec, "->")
	x, y, _ := strings.Cut(ins, ",")
	batch := strings.ContainsFunc(out, func(r rune) bool { return strings.ContainsRune(x, r) && strings.ContainsRune(y, r) })
	return batch && Elements(v.Type) >= 2*max(Elements(v.Arg(0)), Elements(v.Arg(1)))
}

// A flow network for the minimum cut: Dinic's algorithm. It is deterministic.
type flow struct {
	to    []int   // edge e goes to to[e]; e^1 is its reverse
	left  []int64 // capacity left
	edges [][]int // by node
	level []int
	next  []int
}

func newFlow(nodes int) *flow { return &flow{edges: make([][]int, nodes)} }

func (f *flow) edge(from, to int, capacity int64) {
	f.edges[from] = append(f.edges[from], len(f.to))
	f.edges[to] = append(f.edges[to], len(f.to)+1)
	f.to = append(f.to, to, from)
	f.left = append(f.left, capacity, 0)
}

// run saturates the network and marks the nodes on the sink's side of the
// minimum cut that lies nearest to the sink: of two equal choices, the one
// that computes less again.
func (f *flow) run(source, sink int) []bool {
	for f.layers(source, sink) {
		f.next = make([]int, len(f.edges))
		for f.push(source, sink, never) > 0 {
		}
	}
	late := make([]bool, len(f.edges))
	late[sink] = true
	queue := []int{sink}
	for len(queue) > 0 {
		n := queue[0]
		queue = queue[1:]
		for _, e := range f.edges[n] {
			if from := f.to[e]; f.left[e^1] > 0 && !late[from] {
				late[from] = true
				queue = append(queue, from)
			}
		}
	}
	return late
}

func (f *flow) layers(source, sink int) bool {
	f.level = make([]int, len(f.edges))
	f.level[source] = 1
	queue := []int{source}
	for len(queue) > 0 {
		n := queue[0]
		queue = queue[1:]
		for _, e := range f.edges[n] {
			if to := f.to[e]; f.left[e] > 0 && f.level[to] == 0 {
				f.level[to] = f.level[n] + 1
				queue = append(queue, to)
			}
		}
	}
	return f.level[sink] > 0
}

func (f *flow) push(n, sink int, most int64) int64 {
	if n == sink {
		return most
	}
	for ; f.next[n] < len(f.edges[n]); f.next[n]++ {
		e := f.edges[n][f.next[n]]
		if to := f.to[e]; f.left[e] > 0 && f.level[to] == f.level[n]+1 {
			if got := f.push(to, sink, min(most, f.left[e])); got > 0 {
				f.left[e] -= got
				f.left[e^1] += got
				return got
			}
		}
	}
	return 0
}
