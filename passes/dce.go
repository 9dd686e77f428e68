package passes

import (
	"fmt"
	"slices"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/ops"
)

// dce removes values that no result of f depends on. A loop loses the results
// that nobody reads, carried values that only feed themselves, and operands
// that its body does not use.
func dce(f *ir.Func) (*ir.Func, error) {
	live := make([]bool, len(f.Values))
	read := make([][]bool, len(f.Values)) // of a tuple: elements used
	trims := make([]*reshapedLoop, len(f.Values))
	for _, r := range f.Results {
		live[r.ID] = true
	}
	for i := len(f.Values) - 1; i >= 0; i-- {
		v := f.Values[i]
		if !live[i] {
			continue
		}
		if v.Op == ops.Get {
			x := v.Args[0]
			if read[x.ID] == nil {
				read[x.ID] = make([]bool, len(x.Type.Tuple))
			}
			read[x.ID][ops.Axis.Of(v)] = true
			live[x.ID] = true
			continue
		}
		var unused []bool // by operand
		if v.Op == ops.Scan && read[i] != nil {
			t, un, err := trim(ops.LoopOf(v), read[i])
			if err != nil {
				return nil, err
			}
			trims[i], unused = t, un
		}
		for k, a := range v.Args {
			if unused != nil && unused[k] {
				continue
			}
			live[a.ID] = true
			if a.Type.Tuple != nil && read[a.ID] == nil {
				read[a.ID] = make([]bool, len(a.Type.Tuple))
			}
			for e := range read[a.ID] {
				read[a.ID][e] = true
			}
		}
	}
	b := ir.NewBuilder(f.Name)
	b.F.Doc = f.Doc
	env := make([]*ir.Value, len(f.Values))
	for _, p := range f.Params {
		env[p.ID] = copyParam(b, p)
	}
	for i, v := range f.Values {
		if !live[i] || v.Op == ir.Param {
			continue
		}
		args := make([]*ir.Value, len(v.Args))
		for k, a := range v.Args {
			args[k] = env[a.ID] // nil if trim found it unused
		}
		b.Pos, b.Scope = v.Pos, v.Scope
		if t := trims[i]; t != nil {
			env[i] = remake(ops.On(b), ops.LoopWith(v, args), t)
			continue
		}
		attrs, err := withBodies(v, dce)
		if err != nil {
			return nil, err
		}
		env[i] = b.Do(v.Op, args, attrs...)
	}
	results := make([]*ir.Value, len(f.Results))
	for i, r := range f.Results {
		results[i] = env[r.ID]
	}
	g, err := b.Return(results...)
	for err == nil && slices.Contains(g.Uses()[len(g.Params):], 0) {
		g, err = sweep(g)
	}
	return g, err
}

// sweep removes values without uses; loops stay as they are.
func sweep(f *ir.Func) (*ir.Func, error) {
	live := make([]bool, len(f.Values))
	for _, r := range f.Results {
		live[r.ID] = true
	}
	for i := len(f.Values) - 1; i >= 0; i-- {
		for _, a := range f.Values[i].Args {
			live[a.ID] = live[a.ID] || live[i]
		}
	}
	b := ir.NewBuilder(f.Name)
	b.F.Doc = f.Doc
	env := make([]*ir.Value, len(f.Values))
	for i, v := range f.Values {
		switch {
		case v.Op == ir.Param:
			env[i] = copyParam(b, v)
		case live[i]:
			args := make([]*ir.Value, len(v.Args))
			for k, a := range v.Args {
				args[k] = env[a.ID]
			}
			env[i] = b.Copy(v, args)
		}
	}
	results := make([]*ir.Value, len(f.Results))
	for i, r := range f.Results {
		results[i] = env[r.ID]
	}
	return b.Return(results...)
}

// trim finds what is not needed of a loop of whose results those in read are
// used; unused tells it for the operands of the Scan.
func trim(l ops.Loop, read []bool) (t *reshapedLoop, unused []bool, err error) {
	read = slices.Clone(read)
	var uses []int
	for again := true; again; {
		again = false
		part := *l.Body
		part.Results = nil
		for i, r := range l.Body.Results {
			if read[i] {
				part.Results = append(part.Results, r)
			}
		}
		body, err := dce(&part)
		if err != nil {
			return nil, nil, err
		}
		uses = body.Uses()
		for i := range l.Inits {
			if !read[i] && uses[1+i] > 0 {
				read[i], again = true, true
			}
		}
	}
	t = reshape(l)
	t.clean = dce
	if l.Trip != nil {
		unused = append(unused, false)
	}
	for i := range t.param[1:] {
		carry := i < len(l.Inits)
		drop := uses[1+i] == 0
		if carry {
			drop = !read[i]
		}
		if drop {
			t.param[1+i] = gone
		}
		unused = append(unused, drop)
	}
	for i := range t.result {
		if !read[i] {
			t.result[i] = gone
		}
	}
	return t, unused, nil
}

// noUnused holds after dce.
var noUnused = always(func(f *ir.Func) error {
	uses := f.Uses()
	for i, v := range f.Values {
		if uses[i] == 0 && v.Op != ir.Param {
			return fmt.Errorf("nobody uses %s", v.Long())
		}
	}
	return nil
})
