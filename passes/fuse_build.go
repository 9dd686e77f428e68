package passes

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/ops"
)

// A bareBuilder copies values without the identities of their ops, which might
// give another value than the one that was planned.
type bareBuilder struct{ *ir.Builder }

func (b *bareBuilder) copy(v *ir.Value, args []*ir.Value) *ir.Value {
	c := *v
	c.Args = args
	c.ID = len(b.F.Values)
	b.F.Values = append(b.F.Values, &c)
	return &c
}

// rebuildScan applies l to args, the operands of the old one.
func rebuildScan(b *ir.Builder, l ops.Loop, args []*ir.Value) *ir.Value {
	if l.Trip != nil {
		l.Trip, args = args[0], args[1:]
	}
	n, m := len(l.Inits), len(l.Slices)
	l.Inits, l.Slices, l.Invariants = args[:n], args[n:n+m], args[n+m:]
	return ops.On(b).Scan(l)
}

// commonScope is the layer that all values were written in; those that no layer
// wrote do not count.
func commonScope(vs []*ir.Value) string {
	var common []string
	for _, v := range vs {
		if v.Scope == "" {
			continue
		}
		path := strings.Split(v.Scope, ".")
		if common == nil {
			common = path
			continue
		}
		n := 0
		for n < len(common) && n < len(path) && common[n] == path[n] {
			n++
		}
		common = common[:n]
	}
	return strings.Join(common, ".")
}

// groupName names what a group computes after the ops that cost most.
func groupName(p *plan) string {
	switch p.kind {
	case contraction:
		return "dot"
	case chained:
		return "chain"
	}
	var names []string
	for _, v := range p.members {
		if v.Op.Reduces && len(names) < 2 && (len(names) == 0 || names[len(names)-1] != v.Op.Name) {
			names = append(names, v.Op.Name)
		}
	}
	if len(names) == 0 {
		name := p.members[len(p.members)-1].Op.Name
		for _, v := range p.members {
			if v.Op.Costly {
				name = v.Op.Name
			}
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

// groupDoc lists the ops of a group in order, for the comment of its kernel.
func groupDoc(p *plan) string {
	var names []string
	for _, v := range p.members {
		name := strings.ReplaceAll(v.Op.Name, "_", " ")
		if v.Op == ops.Dot {
			name = "dot " + ops.Spec.Of(v)
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if n := len(names); n > 8 {
		names = append(names[:7:7], "…")
	}
	return strings.Join(names, ", ")
}

// expand replaces composite ops by what they are made of, also in loops.
func expand(f *ir.Func) (*ir.Func, error) {
	for range 20 {
		again := false
		g, err := mapFunc(f, func(b *ir.Builder, v *ir.Value, args []*ir.Value) (*ir.Value, error) {
			switch {
			case v.Op.Expand != nil:
				w := b.Copy(v, args)
				if w.Op.Expand != nil {
					again = true
					w = w.Op.Expand(b, w)
				}
				return w, nil
			case v.Op == ops.Scan:
				l := ops.LoopOf(v)
				var err error
				if l.Body, err = expand(l.Body); err != nil {
					return nil, err
				}
				return rebuildScan(b, l, args), nil
			}
			return b.Copy(v, args), nil
		})
		if err != nil || !again {
			return g, err
		}
		f = g
	}
	return nil, fmt.Errorf("bug in pass fuse: %s does not stop expanding", f.Name)
}

// mapFunc copies f value by value and drops what is unused then.
func mapFunc(f *ir.Func, each func(b *ir.Builder, v *ir.Value, args []*ir.Value) (*ir.Value, error)) (*ir.Func, error) {
	b := ir.NewBuilder(f.Name)
	b.F.Doc = f.Doc
	env := make([]*ir.Value, len(f.Values))
	for _, v := range f.Values {
		if v.Op == ir.Param {
			env[v.ID] = b.Param(v.Scope, v.Type)
			continue
		}
		b.Pos, b.Scope = v.Pos, v.Scope
		args := make([]*ir.Value, len(v.Args))
		for i, a := range v.Args {
			args[i] = env[a.ID]
		}
		var err error
		if env[v.ID], err = each(b, v, args); err != nil {
			return nil, err
		}
	}
	results := make([]*ir.Value, len(f.Results))
	for i, r := range f.Results {
		results[i] = env[r.ID]
	}
	g, err := b.Return(results...)
	if err != nil {
		return nil, err
	}
	return dropUnusedValues(g), nil
}

// dropUnusedValues drops the values of f that nothing reads.
func dropUnusedValues(f *ir.Func) *ir.Func {
	n := f.Uses()
	for i := len(f.Values) - 1; i >= 0; i-- {
		if v := f.Values[i]; n[i] == 0 && v.Op != ir.Param {
			for _, a := range v.Args {
				n[a.ID]--
			}
		}
	}
	b := &bareBuilder{ir.NewBuilder(f.Name)}
	b.F.Doc = f.Doc
	env := make([]*ir.Value, len(f.Values))
	for i, v := range f.Values {
		switch {
		case v.Op == ir.Param:
			env[i] = b.Param(v.Scope, v.Type)
		case n[i] > 0:
			args := make([]*ir.Value, len(v.Args))
			for k, a := range v.Args {
				args[k] = env[a.ID]
			}
			env[i] = b.copy(v, args)
		}
	}
	for _, r := range f.Results {
		b.F.Results = append(b.F.Results, env[r.ID])
	}
	return b.F
}

// oneHot turns the transpose of picking one element along an axis into a choice
// for each element, which needs no zeros in memory and fuses with what follows.
func oneHot(f *ir.Func) (*ir.Func, error) {
	return mapFunc(f, func(b *ir.Builder, v *ir.Value, args []*ir.Value) (*ir.Value, error) {
		if v.Op != ops.PutAlong || !v.Arg(1).Shape[ops.Axis.Of(v)].Is(1) {
			return b.Copy(v, args), nil
		}
		g := ops.On(b)
		shape := v.Type.Shape
		all := make([]int, len(shape))
		for i := range all {
			all[i] = i
		}
		hit := g.Equal(g.Iota(ops.Axis.Of(v), shape...), g.Broadcast(args[1], shape, all...))
		return g.Select(hit, g.Broadcast(args[0], shape, all...), g.Constant(v.Type.Elem, 0, shape...)), nil
	})
}

// sink moves what is as cheap to compute as to read, such as a mask or what is
// broadcast, back into the loops that it was moved out of, and gives every
// carried value that starts as a constant a constant of its own, to be written
// where it is carried.
func sink(f *ir.Func) (*ir.Func, error) {
	free := inlines(f)
	return mapFunc(f, func(b *ir.Builder, v *ir.Value, args []*ir.Value) (*ir.Value, error) {
		if v.Op != ops.Scan {
			return b.Copy(v, args), nil
		}
		l := ops.LoopOf(v)
		skip := 0
		if l.Trip != nil {
			skip = 1
		}
		for i, x := range l.Inits {
			if x.Op == ops.Const {
				args[skip+i] = (&bareBuilder{b}).copy(x, nil)
			}
		}
		cheap := make([]bool, len(l.Invariants))
		now := args[len(args)-len(l.Invariants):]
		var small []*ir.Value // of the new function: what is broadcast
		any := false
		for i, x := range l.Invariants {
			cheap[i] = free[x.ID] && selfContained(x)
			if y := narrow(now[i]); !cheap[i] && y != nil {
				cheap[i] = true
				if !slices.Contains(small, y) {
					small = append(small, y)
				}
			}
			any = any || cheap[i]
		}
		if !any {
			return b.Copy(v, args), nil
		}
		body := &bareBuilder{ir.NewBuilder(l.Body.Name)}
		body.F.Doc = l.Body.Doc
		env := map[*ir.Value]*ir.Value{}
		first := len(l.Body.Params) - len(l.Invariants)
		for i, p := range l.Body.Params {
			if i < first || !cheap[i-first] {
				env[p] = body.Param(p.Scope, p.Type)
			}
		}
		for _, y := range small {
			env[y] = body.Param(y.Scope, y.Type)
		}
		var copied func(x *ir.Value) *ir.Value
		copied = func(x *ir.Value) *ir.Value {
			if c := env[x]; c != nil {
				return c
			}
			as := make([]*ir.Value, len(x.Args))
			for i, a := range x.Args {
				as[i] = copied(a)
			}
			c := body.copy(x, as)
			env[x] = c
			return c
		}
		var kept []*ir.Value
		for i := range l.Invariants {
			if cheap[i] {
				env[l.Body.Params[first+i]] = copied(now[i])
			} else {
				kept = append(kept, now[i])
			}
		}
		kept = append(kept, small...)
		for _, x := range l.Body.Values {
			copied(x)
		}
		for _, r := range l.Body.Results {
			body.F.Results = append(body.F.Results, env[r])
		}
		others := args[:len(args)-len(l.Invariants)]
		l.Body = body.F
		l.Invariants = kept
		return rebuildScan(b, l, append(others[:len(others):len(others)], kept...)), nil
	})
}

// narrow is the smaller value that x is a broadcast of, or nil.
func narrow(x *ir.Value) *ir.Value {
	y := x
	for y.Op == ops.Broadcast {
		y = y.Args[0]
	}
	if y == x || 2*traffic(y) > traffic(x) {
		return nil
	}
	return y
}

// selfContained reports whether x is computed from nothing.
func selfContained(x *ir.Value) bool {
	if x.Op == ir.Param || x.Op.Costly {
		return false
	}
	for _, a := range x.Args {
		if !selfContained(a) {
			return false
		}
	}
	return true
}

// arrangeDots gives every contraction operands that its loops can walk: where
// the innermost axis of the result is strided in its operand and nothing else
// is contiguous, the operand is transposed first.
func arrangeDots(f *ir.Func) (*ir.Func, error) {
	fu := newFuser(f)
	return mapFunc(f, func(b *ir.Builder, v *ir.Value, args []*ir.Value) (*ir.Value, error) {
		if v.Op != ops.Dot {
			return b.Copy(v, args), nil
		}
		p := &plan{inside: map[*ir.Value]bool{}}
		form := p.formOf(v, fu.see)
		spec, _ := ops.ParseContraction(ops.Spec.Of(v))
		if form.kind != general || len(form.columns) == 0 || len(form.summed) == 0 {
			return b.Copy(v, args), nil
		}
		last := form.columns[0]
		letters := []string{spec.X, spec.Y}
		for i := range letters {
			if !containsRune(letters[i], last) || containsRune(letters[1-i], last) || lastLong(v.Args[i], letters[i]) == last {
				continue
			}
			k := strings.IndexRune(letters[i], last)
			perm := []int{}
			for a := range letters[i] {
				if a != k {
					perm = append(perm, a)
				}
			}
			perm = append(perm, k)
			moved := ""
			for _, a := range perm {
				moved += letters[i][a : a+1]
			}
			letters[i] = moved
			args[i] = ops.On(b).Transpose(args[i], perm...)
			return ops.On(b).Dot(letters[0]+","+letters[1]+"->"+spec.Out, args[0], args[1]), nil
		}
		return b.Copy(v, args), nil
	})
}

// lastLong is the letter of the last axis of x that is longer than 1.
func lastLong(x *ir.Value, letters string) rune {
	last := rune(0)
	for i, r := range letters {
		if !x.Type.Shape[i].Is(1) {
			last = r
		}
	}
	return last
}

func containsRune(s string, r rune) bool { return strings.ContainsRune(s, r) }
