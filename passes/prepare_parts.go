package passes

import (
	"fmt"
	"strconv"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// finish makes functions of what was asked for, and tells the users where it is.
func (r *preparer) finish(users []*ir.Entry) error {
	var values []*ir.Value
	for _, a := range r.asked {
		values = append(values, a.value)
	}
	f, err := r.g.Return(values...)
	if err != nil {
		return err
	}
	if f, err = cse(f); err != nil {
		return err
	}
	// What belongs to a part: who reads it, and how.
	readers := make([][]byte, len(f.Values))
	native := make([]bool, len(f.Values))
	for i, v := range f.Results {
		if readers[v.ID] == nil {
			readers[v.ID], native[v.ID] = make([]byte, len(users)), true
		}
		readers[v.ID][r.asked[i].user] = 1
		native[v.ID] = native[v.ID] && r.asked[i].native
	}
	p := r.p
	part := map[string]int{}
	index := map[*ir.Value]int{}
	var parts [][]*ir.Value
	for _, v := range f.Results {
		if _, ok := index[v]; ok {
			continue
		}
		key := fmt.Sprint(readers[v.ID], native[v.ID])
		k, ok := part[key]
		if !ok && len(parts) == maxParts {
			k, ok = maxParts-1, true
			p.Prepared[k].Native = false
		}
		if !ok {
			k = len(parts)
			part[key] = k
			parts = append(parts, nil)
			p.Prepared = append(p.Prepared, &Prepared{Native: native[v.ID]})
		}
		p.Prepared[k].Native = p.Prepared[k].Native && native[v.ID]
		index[v] = len(p.PreparedValues)
		n, _ := v.Type.Len().Const()
		p.PreparedValues = append(p.PreparedValues, PreparedValue{k, p.Prepared[k].Size})
		const line = loop.ArenaAlign / 4
		p.Prepared[k].Size += (n + line - 1) / line * line
		parts[k] = append(parts[k], v)
	}
	for k, vs := range parts {
		e, err := r.part(k, f, vs, index)
		if err != nil {
			return err
		}
		p.Prepared[k].Entry = e
	}
	for _, e := range users {
		if e == nil {
			continue
		}
		for i, b := range e.In {
			if b.Kind == ir.PreparedKind {
				e.In[i].Index = index[f.Results[b.Index]]
			}
		}
	}
	return nil
}

// maxParts is how many parts there may be: a word has a bit for each.
const maxParts = 64

// part is the function that computes the values vs of f.
func (r *preparer) part(k int, f *ir.Func, vs []*ir.Value, index map[*ir.Value]int) (*ir.Entry, error) {
	b := newEntry("prepare"+strconv.Itoa(k), "computes what is the same until the weights change.")
	used := make([]bool, len(f.Values))
	for _, v := range vs {
		used[v.ID] = true
	}
	for i := len(f.Values) - 1; i >= 0; i-- {
		for _, a := range f.Values[i].Args {
			used[a.ID] = used[a.ID] || used[i]
		}
	}
	env := map[*ir.Value]*ir.Value{}
	for i, q := range f.Params {
		if used[q.ID] {
			env[q] = b.param(q.Type, r.in[i])
		}
	}
	var results []*ir.Value
	var out []ir.Binding
	for _, v := range vs {
		results = append(results, copyWith(b.Builder, v, env))
		out = append(out, ir.Binding{Kind: ir.PreparedKind, Index: index[v], Name: nameOf(v)})
	}
	e, err := b.entry(results, out)
	if err == nil {
		e.Func, err = dce(e.Func)
	}
	return e, err
}
