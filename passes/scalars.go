package passes

import (
	"fmt"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/ops"
)

// scalars splits Step.Apply: what depends on the step, the options and
// constants alone, and is a scalar, is computed by Step.Host once a step, in
// float64; Apply gets the numbers that it reads as parameters. Integers and
// bools travel as f32, too.
func scalars(p *Program) error {
	for i, s := range p.Steps {
		api := p.API.Trainers[i]
		f, err := cse(s.Apply.Func) // so that every rule reads the same scalar
		if err == nil {
			f, err = dce(f)
		}
		if err != nil {
			return err
		}
		uniform := uniformScalars(f, s.Apply.In)
		reads := make([]bool, len(f.Values))
		for j, v := range f.Values {
			for _, a := range v.Args {
				reads[a.ID] = reads[a.ID] || uniform[a.ID] && !uniform[j]
			}
		}
		for _, r := range f.Results {
			reads[r.ID] = reads[r.ID] || uniform[r.ID]
		}

		host := ops.On(ir.NewBuilder(s.Loss.Func.Name + "Scalars"))
		host.F.Doc = "the scalars of a step"
		there := make([]*ir.Value, len(f.Values))
		for j, in := range s.Apply.In {
			if q := f.Params[j]; isUniform(in) {
				there[q.ID] = copyParam(host.Builder, q)
			}
		}
		b := &entryBuilder{Graph: ops.On(ir.NewBuilder(f.Name))}
		b.F.Doc = f.Doc
		here := make([]*ir.Value, len(f.Values))
		for j, in := range s.Apply.In {
			if q := f.Params[j]; !isUniform(in) {
				here[q.ID] = b.param(q.Type, in)
			}
		}
		var values, params []*ir.Value
		var read []*ir.Value
		api.Scalars = nil
		for j, v := range f.Values {
			if uniform[j] && v.Op != ir.Param {
				args := make([]*ir.Value, len(v.Args))
				for k, a := range v.Args {
					args[k] = there[a.ID]
				}
				there[j] = host.Copy(v, args)
			}
			if !reads[j] || v.Op == ops.Const {
				continue
			}
			name := fmt.Sprintf("s%d", len(api.Scalars))
			if v.Op == ir.Param {
				name = v.Scope
			}
			read = append(read, v)
			values = append(values, host.Cast(there[j], ir.F32))
			params = append(params, b.param(ir.Tensor(ir.F32), ir.Binding{Kind: ir.ScalarKind, Index: len(api.Scalars), Name: name}))
			api.Scalars = append(api.Scalars, name)
		}
		for k, v := range read {
			here[v.ID] = b.Cast(params[k], v.Type.Elem)
		}
		for j, v := range f.Values {
			if here[j] != nil || v.Op == ir.Param || uniform[j] && v.Op != ops.Const {
				continue
			}
			args := make([]*ir.Value, len(v.Args))
			for k, a := range v.Args {
				args[k] = here[a.ID]
			}
			here[j] = b.Copy(v, args)
		}
		results := make([]*ir.Value, len(f.Results))
		for j, r := range f.Results {
			results[j] = here[r.ID]
		}
		apply, err := b.entry(results, s.Apply.Out)
		if err != nil {
			return err
		}
		if s.Host, err = host.Return(values...); err != nil {
			return err
		}
		s.Apply = apply
		if accumulates(api) {
			for j, in := range s.Gradients.In {
				if in.Kind == ir.ScalarKind {
					e := *s.Gradients
					e.In = append([]ir.Binding(nil), e.In...)
					e.In[j].Index = len(api.Scalars)
					s.Gradients = &e
				}
			}
			api.Scalars = append(api.Scalars, "accumulate")
		}
	}
	return nil
}

func isUniform(in ir.Binding) bool {
	return in.Kind == StepParam || in.Kind == OptionParam || in.Kind == NormParam
}

// uniformScalars marks the scalars that depend on uniform parameters and
// constants alone.
func uniformScalars(f *ir.Func, in []ir.Binding) []bool {
	on := make([]bool, len(f.Values))
	for i, q := range f.Params {
		on[q.ID] = isUniform(in[i])
	}
	for i, v := range f.Values {
		if v.Op == ir.Param || v.Type.Tuple != nil || v.Type.Rank() > 0 {
			continue
		}
		on[i] = v.Op.Lane != nil || v.Op == ops.Const
		for _, a := range v.Args {
			on[i] = on[i] && on[a.ID]
		}
	}
	return on
}

// noOptions holds after scalars: Apply reads neither step nor options itself.
func noOptions(p *Program) error {
	for _, s := range p.Steps {
		for _, in := range s.Apply.In {
			if isUniform(in) {
				return fmt.Errorf("%s reads %s", s.Apply.Func.Name, in.Name)
			}
		}
	}
	return nil
}
