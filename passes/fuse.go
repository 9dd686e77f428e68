package passes

import (
	"fmt"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/ops"
)

// fuse splits f into groups, each computed by one kernel: every value of the
// result is a parameter, a Fused, a Scan, a Get of one of them, or a Reshape.
func fuse(f *ir.Func) (*ir.Func, error) {
	f, err := expand(f)
	if err != nil {
		return nil, err
	}
	b := ir.NewBuilder(f.Name)
	b.F.Doc = f.Doc
	env := map[*ir.Value]*ir.Value{}
	for _, v := range f.Values {
		b.Pos, b.Scope = v.Pos, v.Scope
		args := make([]*ir.Value, len(v.Args))
		for i, a := range v.Args {
			args[i] = env[a]
		}
		switch {
		case v.Op == ir.Param:
			env[v] = b.Param(v.Scope, v.Type)
		case v.Op == ops.Scan:
			l := ops.LoopOf(v)
			if l.Body, err = fuse(l.Body); err != nil {
				return nil, err
			}
			env[v] = rebuildScan(b, l, args)
		case v.Op == ops.Get || v.Op == ops.Reshape:
			env[v] = b.Copy(v, args)
		case v.Op == ops.Fused:
			env[v] = b.Copy(v, args)
		default:
			body := ir.NewBuilder(v.Op.Name)
			params := make([]*ir.Value, len(v.Args))
			for i, a := range v.Args {
				params[i] = body.Param(a.Scope, a.Type)
			}
			g, err := body.Return(bare(body, v, params))
			if err != nil {
				return nil, err
			}
			env[v] = ops.On(b).Get(ops.On(b).Group(g, args...), 0)
		}
	}
	results := make([]*ir.Value, len(f.Results))
	for i, r := range f.Results {
		results[i] = env[r]
	}
	return b.Return(results...)
}

// bare copies v without the identities of its op.
func bare(b *ir.Builder, v *ir.Value, args []*ir.Value) *ir.Value { return b.Copy(v, args) }

// rebuildScan applies l to args, the operands of the old one.
func rebuildScan(b *ir.Builder, l ops.Loop, args []*ir.Value) *ir.Value {
	if l.Trip != nil {
		l.Trip, args = args[0], args[1:]
	}
	n, m := len(l.Inits), len(l.Slices)
	l.Inits, l.Slices, l.Invariants = args[:n], args[n:n+m], args[n+m:]
	return ops.On(b).Scan(l)
}

// expand replaces composite ops by what they are made of, also in loops.
func expand(f *ir.Func) (*ir.Func, error) {
	for range 20 {
		again := false
		b := ir.NewBuilder(f.Name)
		b.F.Doc = f.Doc
		env := map[*ir.Value]*ir.Value{}
		for _, v := range f.Values {
			b.Pos, b.Scope = v.Pos, v.Scope
			args := make([]*ir.Value, len(v.Args))
			for i, a := range v.Args {
				args[i] = env[a]
			}
			switch {
			case v.Op == ir.Param:
				env[v] = b.Param(v.Scope, v.Type)
			case v.Op.Expand != nil:
				w := b.Copy(v, args)
				if w.Op.Expand != nil {
					again = true
					w = w.Op.Expand(b, w)
				}
				env[v] = w
			case v.Op == ops.Scan:
				l := ops.LoopOf(v)
				var err error
				if l.Body, err = expand(l.Body); err != nil {
					return nil, err
				}
				env[v] = rebuildScan(b, l, args)
			default:
				env[v] = b.Copy(v, args)
			}
		}
		results := make([]*ir.Value, len(f.Results))
		for i, r := range f.Results {
			results[i] = env[r]
		}
		var err error
		if f, err = b.Return(results...); err != nil {
			return nil, err
		}
		f = used(f)
		if !again {
			return f, nil
		}
	}
	return nil, fmt.Errorf("bug in pass fuse: %s does not stop expanding", f.Name)
}

// used drops the values of f that nothing reads.
func used(f *ir.Func) *ir.Func {
	n := f.Uses()
	for i := len(f.Values) - 1; i >= 0; i-- {
		if v := f.Values[i]; n[i] == 0 && v.Op != ir.Param {
			for _, a := range v.Args {
				n[a.ID]--
			}
		}
	}
	b := ir.NewBuilder(f.Name)
	b.F.Doc = f.Doc
	env := map[*ir.Value]*ir.Value{}
	for i, v := range f.Values {
		switch {
		case v.Op == ir.Param:
			env[v] = b.Param(v.Scope, v.Type)
		case n[i] > 0:
			args := make([]*ir.Value, len(v.Args))
			for k, a := range v.Args {
				args[k] = env[a]
			}
			env[v] = b.Copy(v, args)
		}
	}
	for _, r := range f.Results {
		b.F.Results = append(b.F.Results, env[r])
	}
	return b.F
}
