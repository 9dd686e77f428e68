package passes

import (
	"slices"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/ops"
)

// rewrite copies f value by value. edit gives the new value for v, whose
// operands have become args, or nil to copy v. env, if given, is what has
// become of each value so far.
func rewrite(f *ir.Func, edit func(g ops.Graph, v *ir.Value, args []*ir.Value) *ir.Value, env ...map[*ir.Value]*ir.Value) (*ir.Func, error) {
	b := ir.NewBuilder(f.Name)
	b.F.Doc = f.Doc
	become := make([]*ir.Value, len(f.Values))
	set := func(v, w *ir.Value) {
		become[v.ID] = w
		for _, m := range env {
			m[v] = w
		}
	}
	for _, p := range f.Params {
		set(p, copyParam(b, p))
	}
	for _, v := range f.Values {
		if v.Op == ir.Param {
			continue
		}
		args := make([]*ir.Value, len(v.Args))
		for i, a := range v.Args {
			args[i] = become[a.ID]
		}
		b.Pos, b.Scope = v.Pos, v.Scope
		w := edit(ops.On(b), v, args)
		if w == nil {
			w = b.Copy(v, args)
		}
		set(v, w)
	}
	results := make([]*ir.Value, len(f.Results))
	for i, r := range f.Results {
		results[i] = become[r.ID]
	}
	return b.Return(results...)
}

func copyParam(b *ir.Builder, p *ir.Value) *ir.Value {
	b.Pos = p.Pos
	return b.Param(p.Scope, p.Type)
}

// withBodies is v's attributes with f applied to the sub-functions among them.
func withBodies(v *ir.Value, f func(*ir.Func) (*ir.Func, error)) ([]ir.Setting, error) {
	attrs := slices.Clone(v.Attrs())
	for i, s := range attrs {
		if sub := s.Func(); sub != nil {
			g, err := f(sub)
			if err != nil {
				return nil, err
			}
			attrs[i] = s.Key.(*ir.Attr[*ir.Func]).Is(g)
		}
	}
	return attrs, nil
}

// A reshapedLoop says what becomes of the parameters and results of a loop
// that is built again; see remake.
type reshapedLoop struct {
	// param[i] is what parameter i of the body becomes: kept, gone (it is not used), or the parameter j that
	// it is equal to. The counter is kept.
	param []int
	// inside[i], if set, computes parameter i in the body instead.
	inside map[int]func(g ops.Graph) *ir.Value
	// result[i] is what result i of the body becomes: kept, gone, or the result j that it is equal to. A
	// carried value is kept exactly if its parameter is.
	result []int
	// outside[i], if set, is result i of the loop, known without it.
	outside map[int]*ir.Value
	// clean, if set, is applied to the new body.
	clean func(*ir.Func) (*ir.Func, error)
}

const (
	kept = -1 - iota
	gone
)

func reshape(l ops.Loop) *reshapedLoop {
	r := &reshapedLoop{
		param: make([]int, len(l.Body.Params)), result: make([]int, len(l.Body.Results)),
		inside: map[int]func(ops.Graph) *ir.Value{}, outside: map[int]*ir.Value{},
	}
	for i := range r.param {
		r.param[i] = kept
	}
	for i := range r.result {
		r.result[i] = kept
	}
	return r
}

// remake appends the loop l changed as r says and returns a Tuple like the
// result of l, so that every Get of it folds. Elements that are gone are zeros.
func remake(g ops.Graph, l ops.Loop, r *reshapedLoop) *ir.Value {
	nl, like := changed(g, l, r)
	return like(nl)
}

// changed is l as r says. like appends it, or a loop with the same results,
// and returns a Tuple like the result of l.
func changed(g ops.Graph, l ops.Loop, r *reshapedLoop) (nl ops.Loop, like func(ops.Loop) *ir.Value) {
	n, m := 1+len(l.Inits), 1+len(l.Inits)+len(l.Slices)
	nl = l
	nl.Inits, nl.Slices, nl.InAxes, nl.Invariants, nl.OutAxes = nil, nil, nil, nil, nil
	b := ir.NewBuilder(l.Body.Name)
	b.F.Doc = l.Body.Doc
	params := make([]*ir.Value, len(r.param))
	for i, p := range l.Body.Params {
		if r.param[i] != kept || r.inside[i] != nil {
			continue
		}
		params[i] = copyParam(b, p)
		switch {
		case i == 0:
		case i < n:
			nl.Inits = append(nl.Inits, l.Inits[i-1])
		case i < m:
			nl.Slices = append(nl.Slices, l.Slices[i-n])
			nl.InAxes = append(nl.InAxes, l.InAxes[i-n])
		default:
			nl.Invariants = append(nl.Invariants, l.Invariants[i-m])
		}
	}
	for i, p := range l.Body.Params {
		switch f := r.inside[i]; {
		case f != nil:
			params[i] = f(ops.On(b))
		case r.param[i] == gone:
			params[i] = ops.On(b).Like(p, 0)
		}
	}
	for i, j := range r.param {
		if j >= 0 {
			params[i] = params[j]
		}
	}
	results := b.Inline(l.Body, params)
	var keep []*ir.Value
	index := make([]int, len(results))
	for i, y := range results {
		if r.result[i] != kept {
			continue
		}
		index[i] = len(keep)
		keep = append(keep, y)
		if i >= n-1 {
			nl.OutAxes = append(nl.OutAxes, l.OutAxes[i-n+1])
		}
	}
	var err error
	nl.Body, err = b.Return(keep...)
	if err == nil && r.clean != nil {
		nl.Body, err = r.clean(nl.Body)
	}
	if err != nil && g.Err == nil {
		g.Err = err
	}
	return nl, func(nl ops.Loop) *ir.Value {
		var w *ir.Value
		if len(keep) > 0 {
			w = g.Scan(nl)
		}
		elems := make([]*ir.Value, len(results))
		get := elements(g, w)
		for i, y := range l.Body.Results {
			switch j := r.result[i]; {
			case r.outside[i] != nil:
				elems[i] = r.outside[i]
			case j == gone:
				t := y.Type
				if i >= n-1 {
					t = t.WithShape(slices.Insert(slices.Clone(t.Shape), l.OutAxes[i-n+1], l.Extent)...)
				}
				elems[i] = g.Constant(t.Elem, 0, t.Shape...)
			case j >= 0:
				elems[i] = get(index[j])
			default:
				elems[i] = get(index[i])
			}
		}
		return g.Do(ops.Tuple, elems)
	}
}

// elements gives the elements of the tuple w, each as one value.
func elements(g ops.Graph, w *ir.Value) func(i int) *ir.Value {
	made := map[int]*ir.Value{}
	return func(i int) *ir.Value {
		if made[i] == nil {
			made[i] = g.Get(w, i)
		}
		return made[i]
	}
}
