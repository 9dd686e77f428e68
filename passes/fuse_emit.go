package passes

import (
	"fmt"
	"slices"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/ops"
)

// rebuild writes the groups as values.
func (fu *fuser) rebuild() (*ir.Func, error) {
	b := ir.NewBuilder(fu.f.Name)
	b.F.Doc = fu.f.Doc
	env := make([]*ir.Value, len(fu.f.Values))
	done := map[*group]bool{}
	var err error

	var value func(v *ir.Value) *ir.Value
	emitGroup := func(g *group) {
		done[g] = true
		if e := fu.emit(b, g, env, value); e != nil && err == nil {
			err = e
		}
	}
	value = func(v *ir.Value) *ir.Value {
		if env[v.ID] != nil {
			return env[v.ID]
		}
		switch {
		case fu.member(v):
			if g := fu.of[v.ID]; !done[g] && len(g.members) > 0 {
				emitGroup(g)
			}
			return env[v.ID]
		default:
			args := make([]*ir.Value, len(v.Args))
			for i, a := range v.Args {
				args[i] = value(a)
			}
			b.Pos, b.Scope = v.Pos, v.Scope
			switch v.Op {
			case ops.Scan:
				l := ops.LoopOf(v)
				body, e := fuse(l.Body, fu.consumes)
				if e != nil && err == nil {
					err = e
				}
				if body != nil {
					l.Body = body
				}
				env[v.ID] = rebuildScan(b, l, args)
			default:
				env[v.ID] = b.Copy(v, args)
			}
			return env[v.ID]
		}
	}
	for _, v := range fu.f.Params {
		env[v.ID] = b.Param(v.Scope, v.Type)
	}
	for _, v := range fu.f.Values {
		if v.Op != ir.Param && (fu.member(v) || v.Op == ops.Scan || v.Op == ops.Concat && fu.root[v.ID]) {
			value(v)
		}
	}
	results := make([]*ir.Value, len(fu.f.Results))
	for i, r := range fu.f.Results {
		results[i] = value(r)
	}
	if err != nil {
		return nil, err
	}
	return b.Return(results...)
}

// emit appends the group g to b.
func (fu *fuser) emit(b *ir.Builder, g *group, env []*ir.Value, value func(*ir.Value) *ir.Value) error {
	p := fu.plan(g.members)
	if p == nil {
		return fmt.Errorf("bug in pass fuse: %s: a group has no plan: %v", fu.f.Name, g.members[0].Long())
	}
	body := &bareBuilder{ir.NewBuilder(groupName(p))}
	copies := map[*ir.Value]*ir.Value{}
	var args []*ir.Value
	var params []*ir.Value
	// Parameters come first in a function.
	var find func(v *ir.Value)
	seen := map[*ir.Value]bool{}
	find = func(v *ir.Value) {
		if seen[v] {
			return
		}
		seen[v] = true
		if p.inside[v] || fu.see(v) {
			for _, a := range v.Args {
				find(a)
			}
			return
		}
		params = append(params, v)
	}
	for _, v := range g.members {
		find(v)
	}
	for _, v := range params {
		args = append(args, value(v))
		body.Pos = v.Pos
		copies[v] = body.Param(v.Scope, v.Type)
	}
	var copied func(v *ir.Value) *ir.Value
	copied = func(v *ir.Value) *ir.Value {
		if c := copies[v]; c != nil {
			return c
		}
		as := make([]*ir.Value, len(v.Args))
		for i, a := range v.Args {
			as[i] = copied(a)
		}
		c := body.copy(v, as)
		copies[v] = c
		return c
	}
	var outs, results []*ir.Value
	for _, v := range g.members {
		c := copied(v)
		if p.output[v] {
			outs = append(outs, v)
			results = append(results, c)
		}
	}
	f, err := body.Return(results...)
	if err != nil {
		return fmt.Errorf("bug in pass fuse: %w", err)
	}
	f.Doc = groupDoc(p)
	own := slices.DeleteFunc(slices.Clone(g.members), func(v *ir.Value) bool { return fu.cloned[v.ID] })
	if len(own) == 0 {
		own = g.members
	}
	b.Pos, b.Scope = own[len(own)-1].Pos, commonScope(own)
	if p.kind == contraction {
		b.Pos, b.Scope = p.dot.Pos, p.dot.Scope
	}
	v := ops.On(b).Group(f, args...)
	for i, o := range outs {
		env[o.ID] = ops.On(b).Get(v, i)
	}
	return nil
}
