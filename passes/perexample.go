package passes

import (
	"hash/fnv"
	"math"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/ops"
)

// perExample builds loss and gradients of a differentially private step (Abadi
// et al., 2016): a loop over the examples of the batch differentiates the loss
// of one example, scales its gradient down to the norm Clip and adds it up;
// noise comes on top once, and the sum is divided by the number of examples.
// Each example draws its own random numbers.
//
// With accumulation every micro-batch has its share of the noise: as much in
// the sum, independent draws added, as if it were added once. The step in the
// random key has to count micro-batches.
func (p *Program) perExample(eb *entryBuilder, s *Step, api *loop.Trainer, args []*ir.Value, weights map[int]*ir.Value) (results, grads []*ir.Value, err error) {
	g, f := eb.Graph, s.Loss.Func
	batch, err := batchDim(f)
	if err != nil {
		return nil, nil, err
	}
	one := map[string]ir.Dim{batch.String(): loop.N(1)}
	single, err := substitute(f, one)
	if err != nil {
		return nil, nil, err
	}

	b := ir.NewBuilder(f.Name + "Example")
	gb := ops.On(b)
	l := ops.Loop{Extent: batch}
	i := b.Param("i", ir.Tensor(ir.I32))
	sums := make([]*ir.Value, len(s.Update))
	for k, w := range s.Update {
		t := p.stackType(w)
		sums[k] = b.Param("sum", t)
		l.Inits = append(l.Inits, g.Float(0, t.Shape...))
	}
	inner := make([]*ir.Value, len(args))
	own := map[int]*ir.Value{} // weights inside
	for k, q := range f.Params {
		if axis, err := axisWith(q, batch); err != nil {
			return nil, nil, err
		} else if axis >= 0 {
			shape := single.Params[k].Type.Shape
			sliced := append(append([]ir.Dim{}, shape[:axis]...), shape[axis+1:]...)
			l.Slices, l.InAxes = append(l.Slices, args[k]), append(l.InAxes, axis)
			inner[k] = b.Param(q.Scope, ir.Tensor(q.Type.Elem, sliced...))
		}
	}
	for k, q := range f.Params {
		if inner[k] == nil {
			l.Invariants = append(l.Invariants, args[k])
			inner[k] = copyParam(b, q)
		}
		if in := s.Loss.In[k]; in.Kind == ir.WeightKind && weights[in.Index] != nil {
			own[in.Index] = inner[k]
		}
	}
	for k := range f.Params {
		switch {
		case s.Loss.In[k].Kind == ir.KeyKind:
			inner[k] = salted(gb, inner[k], i)
		default:
			inner[k] = gb.Reshape(inner[k], single.Params[k].Type.Shape...)
		}
	}
	ys := b.Inline(single, inner)
	each, err := p.gradientsOf(gb, gb.Reshape(ys[0]), s.Update, own)
	if err != nil {
		return nil, nil, err
	}
	each = scaled(gb, each, clipFactor(gb, globalNorm(gb, each), s.Clip))
	var out []*ir.Value
	for k := range each {
		out = append(out, gb.Add(sums[k], each[k]))
	}
	// Results: what has an axis for the batch is collected along it, a scalar is averaged.
	axes := make([]int, len(ys))
	for k, y := range ys {
		if s.Loss.Out[k].Kind == ir.WeightKind {
			return nil, nil, mistake("perExample needs a loss whose examples do not influence each other, but %s is assigned", s.Loss.Out[k].Name)
		}
		axis, err := axisWith(f.Results[k], batch)
		if err != nil {
			return nil, nil, err
		}
		if axes[k] = axis; axis >= 0 {
			shape := append(append([]ir.Dim{}, y.Type.Shape[:axis]...), y.Type.Shape[axis+1:]...)
			y = gb.Reshape(y, shape...)
		} else if y.Type.Rank() > 0 || y.Type.Elem != ir.F32 {
			return nil, nil, mistake("perExample cannot put the result %s of single examples together", s.Loss.Out[k].Name)
		} else {
			axis = 0
		}
		out = append(out, y)
		l.OutAxes = append(l.OutAxes, axis)
	}
	if l.Body, err = b.Return(out...); err != nil {
		return nil, nil, err
	}
	w := g.Scan(l)

	var key *ir.Value
	for k, in := range eb.e.In {
		if in.Kind == ir.KeyKind {
			key = eb.F.Params[k]
		}
	}
	size := count(g, batch)
	for k, u := range s.Update {
		sum := g.Get(w, k)
		if s.Noise > 0 {
			xi := g.Random(ops.Normal, key, stream("noise "+p.API.Weights[u].Path), nil, sum.Type.Shape...)
			share := s.Noise * s.Clip / math.Sqrt(float64(max(1, api.Accumulate)))
			sum = g.Add(sum, g.Mul(xi, g.Like(xi, share)))
		}
		grads = append(grads, g.Div(sum, g.Expand(size, sum.Type.Shape...)))
	}
	for k := range ys {
		y := g.Get(w, len(grads)+k)
		if axes[k] < 0 || k == 0 {
			y = mean(g, y)
		}
		results = append(results, y)
	}
	return results, grads, nil
}

// stream names a random stream.
func stream(path string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(path))
	return h.Sum64()
}

// batchDim is B in the loss f32[B].
func batchDim(f *ir.Func) (ir.Dim, error) {
	t := f.Results[0].Type
	if t.Rank() != 1 || len(t.Shape[0].Syms()) != 1 || t.Shape[0].String() != t.Shape[0].Syms()[0] {
		return ir.Dim{}, mistake("perExample needs a loss of one value per example, f32[B], but it is %v", t)
	}
	return t.Shape[0], nil
}

// axisWith is the axis of v whose extent is the batch, -1 if there is none.
func axisWith(v *ir.Value, batch ir.Dim) (int, error) {
	axis := -1
	for i, d := range v.Type.Shape {
		switch {
		case d.Eq(batch) && axis < 0:
			axis = i
		case len(d.Subst(map[string]ir.Dim{batch.String(): loop.N(1)}).Syms()) != len(d.Syms()):
			return 0, mistake("perExample needs examples along one axis, but %s is %v", v.Scope, v.Type)
		}
	}
	return axis, nil
}

// substitute is f with symbols replaced in all its types and attributes.
func substitute(f *ir.Func, m map[string]ir.Dim) (*ir.Func, error) {
	b := ir.NewBuilder(f.Name)
	b.F.Doc = f.Doc
	env := make([]*ir.Value, len(f.Values))
	var fail error
	for i, v := range f.Values {
		b.Pos, b.Scope = v.Pos, v.Scope
		if v.Op == ir.Param {
			env[i] = b.Param(v.Scope, v.Type.WithShape(substShape(v.Type.Shape, m)...))
			continue
		}
		args := make([]*ir.Value, len(v.Args))
		for k, a := range v.Args {
			args[k] = env[a.ID]
		}
		attrs := append([]ir.Setting(nil), v.Attrs()...)
		for k, s := range attrs {
			switch key := s.Key.(type) {
			case *ir.Attr[ir.Dim]:
				attrs[k] = key.Is(key.Of(v).Subst(m))
			case *ir.Attr[[]ir.Dim]:
				attrs[k] = key.Is(substShape(key.Of(v), m))
			case *ir.Attr[*ir.Func]:
				sub, err := substitute(key.Of(v), m)
				if err != nil {
					fail = err
				}
				attrs[k] = key.Is(sub)
			}
		}
		if fail != nil {
			return nil, fail
		}
		env[i] = b.Do(v.Op, args, attrs...)
	}
	results := make([]*ir.Value, len(f.Results))
	for i, r := range f.Results {
		results[i] = env[r.ID]
	}
	return b.Return(results...)
}

func substShape(shape []ir.Dim, m map[string]ir.Dim) []ir.Dim {
	out := make([]ir.Dim, len(shape))
	for i, d := range shape {
		out[i] = d.Subst(m)
	}
	return out
}
