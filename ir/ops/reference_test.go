package ops

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A reference is a vector computed by PyTorch: outputs and the gradient of the
// outputs times gradOutputs.
type reference struct {
	Case, Op    string
	Attrs       refAttrs
	Inputs      []refTensor
	Outputs     []refTensor
	GradOutputs []refTensor `json:"grad_outputs"`
	InputGrads  []refTensor `json:"input_grads"`
	Rtol, Atol  float64
}

type refTensor struct {
	Name  string
	Shape []int
	Dtype string
	Data  []refNumber
	Atol  *float64
}

type refNumber float64

func (n *refNumber) UnmarshalJSON(b []byte) error {
	switch s := strings.Trim(string(b), `"`); s {
	case "true":
		*n = 1
	case "false":
		*n = 0
	default:
		x, err := strconv.ParseFloat(s, 64)
		*n = refNumber(x)
		return err
	}
	return nil
}

type refAttrs map[string]any

func (a refAttrs) float(name string) float64 { x, _ := a[name].(float64); return x }
func (a refAttrs) bool(name string) bool     { x, _ := a[name].(bool); return x }

// ints is a number for each of n axes, or a list.
func (a refAttrs) ints(name string, n, missing int) []int {
	out := make([]int, n)
	for i := range out {
		switch x := a[name].(type) {
		case float64:
			out[i] = int(x)
		case []any:
			out[i] = int(x[i].(float64))
		default:
			out[i] = missing
		}
	}
	return out
}

// axes is the axes to reduce, ascending; all for null.
func (a refAttrs) axes(rank int) []int {
	var out []int
	switch x := a["axes"].(type) {
	case []any:
		for _, v := range x {
			out = append(out, (int(v.(float64))+rank)%rank)
		}
		slices.Sort(out)
		return out
	}
	if x, ok := a["axis"].(float64); ok {
		return []int{(int(x) + rank) % rank}
	}
	return others(rank)
}

// refGeometry is the geometry of a convolution or pooling of n spatial axes.
func refGeometry(a refAttrs, kernel []int) Geometry {
	n := len(kernel)
	pad := a.ints("padding", n, 0)
	return Geometry{Kernel: kernel, Stride: a.ints("stride", n, 1), PadLo: pad, PadHi: pad, Dilation: a.ints("dilation", n, 1)}
}

// channelsLast and channelsFirst move the channels of images.
func channelsLast(g Graph, x *ir.Value) *ir.Value {
	n := x.Type.Rank()
	return g.Transpose(x, append(append([]int{0}, others(n, 0, 1)...), 1)...)
}

func channelsFirst(g Graph, x *ir.Value) *ir.Value {
	n := x.Type.Rank()
	return g.Transpose(x, append([]int{0, n - 1}, others(n, 0, n-1)...)...)
}

// spread broadcasts as NumPy does.
func spread(g Graph, xs ...*ir.Value) []*ir.Value {
	var shape []ir.Dim
	for _, x := range xs {
		for len(shape) < x.Type.Rank() {
			shape = slices.Insert(shape, 0, loop.N(1))
		}
		for i, d := range x.Type.Shape {
			if k := len(shape) - x.Type.Rank() + i; shape[k].Is(1) {
				shape[k] = d
			}
		}
	}
	out := make([]*ir.Value, len(xs))
	for i, x := range xs {
		out[i] = g.Broadcast(x, shape, others(len(shape), others(len(shape)-x.Type.Rank())...)...)
	}
	return out
}

type refBuilder func(g Graph, a refAttrs, in []*ir.Value) []*ir.Value

func one(f func(g Graph, a refAttrs, in []*ir.Value) *ir.Value) refBuilder {
	return func(g Graph, a refAttrs, in []*ir.Value) []*ir.Value { return []*ir.Value{f(g, a, in)} }
}

func refBuilders() map[string]refBuilder {
	m := map[string]refBuilder{}
	for name, op := range map[string]*ir.Op{"abs": Abs, "acos": Acos, "asin": Asin, "atan": Atan, "ceil": Ceil, "cos": Cos, "erf": Erf, "exp": Exp, "expm1": Expm1, "floor": Floor,
		"log": Log, "log1p": Log1p, "neg": Neg, "reciprocal": Reciprocal, "round": Round, "rsqrt": Rsqrt, "sigmoid": Sigmoid, "sign": Sign, "sin": Sin, "sqrt": Sqrt, "square": Square,
		"tan": Tan, "tanh": Tanh, "logical_not": Not} {
		m[name] = one(func(g Graph, a refAttrs, in []*ir.Value) *ir.Value { return g.one(op, in[0]) })
	}
	for name, op := range map[string]*ir.Op{"add": Add, "sub": Sub, "mul": Mul, "div": Div, "maximum": Max, "minimum": Min, "pow": Pow, "remainder": Mod, "int_add": Add,
		"int_floordiv": Div, "int_mod": Mod, "eq": Equal, "lt": Less, "le": LessEqual, "logical_and": And, "logical_or": Or} {
		m[name] = one(func(g Graph, a refAttrs, in []*ir.Value) *ir.Value {
			if len(in) == 1 {
				x, ok := a["b"].(float64)
				if !ok {
					x = a.float("exponent")
				}
				in = append(in, g.Like(in[0], x))
			}
			in = spread(g, in...)
			return g.two(op, in[0], in[1])
		})
	}
	for name, op := range map[string]*ir.Op{"sum": Sum, "prod": Prod, "max": MaxOf, "min": MinOf, "all": All, "any": Any, "mean": Sum, "logsumexp": nil} {
		m[name] = one(func(g Graph, a refAttrs, in []*ir.Value) *ir.Value {
			x := in[0]
			axes := a.axes(x.Type.Rank())
			var y *ir.Value
			switch {
			case op == nil:
				top := g.Stop(g.MaxOf(x, axes...))
				y = g.Add(top, g.Log(g.Sum(g.Exp(g.Sub(x, g.Spread(top, x, axes...))), axes...)))
			default:
				y = g.one(op, x, Axes.Is(axes))
			}
			if name == "mean" {
				n, _ := x.Type.Len().Const()
				k, _ := y.Type.Len().Const()
				y = g.Div(y, g.Like(y, float64(n/k)))
			}
			if a.bool("keepdims") {
				shape := slices.Clone(x.Type.Shape)
				for _, i := range axes {
					shape[i] = loop.N(1)
				}
				y = g.Reshape(y, shape...)
			}
			return y
		})
	}
	for name, op := range map[string]*ir.Op{"argmax": ArgMax, "argmin": ArgMin} {
		m[name] = one(func(g Graph, a refAttrs, in []*ir.Value) *ir.Value {
			x := in[0]
			if a["axis"] == nil {
				x = g.Reshape(x, x.Type.Len())
			}
			axis := a.axes(x.Type.Rank())[0]
			y := g.one(op, x, Axis.Is(axis))
			if a.bool("keepdims") {
				y = g.Reshape(y, replaced(x.Type.Shape, axis, loop.N(1))...)
			}
			return y
		})
	}
	m["cumsum"] = one(func(g Graph, a refAttrs, in []*ir.Value) *ir.Value {
		return g.CumSum(in[0], a.axes(in[0].Type.Rank())[0], a.bool("exclusive"), a.bool("reverse"))
	})
	m["clamp"] = one(func(g Graph, a refAttrs, in []*ir.Value) *ir.Value {
		y := in[0]
		if lo, ok := a["min"].(float64); ok {
			y = g.Select(g.Less(y, g.Like(y, lo)), g.Like(y, lo), y)
		}
		if hi, ok := a["max"].(float64); ok {
			y = g.Select(g.Less(g.Like(y, hi), y), g.Like(y, hi), y)
		}
		return y
	})
	m["cast"] = one(func(g Graph, a refAttrs, in []*ir.Value) *ir.Value { return g.Cast(in[0], ir.I32) })
	m["flip"] = one(func(g Graph, a refAttrs, in []*ir.Value) *ir.Value {
		return g.Flip(in[0], a.axes(in[0].Type.Rank())...)
	})
	m["concat"] = one(func(g Graph, a refAttrs, in []*ir.Value) *ir.Value { return g.Concat(int(a.float("axis")), in...) })
	m["gather"] = one(func(g Graph, a refAttrs, in []*ir.Value) *ir.Value {
		axis := a.axes(in[0].Type.Rank())[0]
		return g.TakeAlong(in[0], in[1], axis)
	})
	m["index_select"] = one(func(g Graph, a refAttrs, in []*ir.Value) *ir.Value {
		return g.Gather(in[0], in[1], int(a.float("axis")))
	})
	m["embedding"] = one(func(g Graph, a refAttrs, in []*ir.Value) *ir.Value {
		if in[0].Type.Elem == ir.I32 {
			in[0], in[1] = in[1], in[0]
		}
		return g.Gather(in[0], in[1], 0)
	})
	m["index_add"] = one(func(g Graph, a refAttrs, in []*ir.Value) *ir.Value {
		axis := int(a.float("axis"))
		return g.Add(in[0], g.Scatter(in[2], in[1], axis, in[0].Type.Shape[axis]))
	})
	m["scatter_add"] = one(func(g Graph, a refAttrs, in []*ir.Value) *ir.Value {
		axis := int(a.float("axis"))
		return g.Add(in[0], g.PutAlong(in[2], in[1], axis, in[0].Type.Shape[axis]))
	})
	m["segment_sum"] = one(func(g Graph, a refAttrs, in []*ir.Value) *ir.Value {
		return g.SegmentSum(in[1], in[0], loop.N(int(a.float("num_segments"))))
	})
	m["sort"] = func(g Graph, a refAttrs, in []*ir.Value) []*ir.Value {
		axis := a.axes(in[0].Type.Rank())[0]
		i := g.SortIndex(in[0], axis, a.bool("descending"))
		return []*ir.Value{g.TakeAlong(in[0], i, axis), i}
	}
	m["argsort"] = one(func(g Graph, a refAttrs, in []*ir.Value) *ir.Value {
		return g.SortIndex(in[0], a.axes(in[0].Type.Rank())[0], a.bool("descending"))
	})
	m["topk"] = func(g Graph, a refAttrs, in []*ir.Value) []*ir.Value {
		axis := a.axes(in[0].Type.Rank())[0]
		i := g.TopKIndex(in[0], axis, loop.N(int(a.float("k"))))
		return []*ir.Value{g.TakeAlong(in[0], i, axis), i}
	}
	m["einsum"] = one(func(g Graph, a refAttrs, in []*ir.Value) *ir.Value {
		spec := a["equation"].(string)
		if len(in) != 2 || strings.Contains(spec, ".") {
			return nil
		}
		return g.Dot(spec, in[0], in[1])
	})
	for n := 1; n <= 3; n++ {
		m[fmt.Sprintf("conv%dd", n)] = one(func(g Graph, a refAttrs, in []*ir.Value) *ir.Value {
			if l, _ := a["layout"].(string); !strings.HasPrefix(l, "NC") {
				return nil
			}
			w := in[1] // [O, I, K...] to [K..., I, O]
			w = g.Transpose(w, append(others(n+2, 0, 1), 1, 0)...)
			y := g.Conv(channelsLast(g, in[0]), w, refGeometry(a, make([]int, n)), int(a.float("groups")))
			if len(in) == 3 {
				y = g.Add(y, g.Broadcast(in[2], y.Type.Shape, n+1))
			}
			return channelsFirst(g, y)
		})
		m[fmt.Sprintf("conv_transpose%dd", n)] = one(func(g Graph, a refAttrs, in []*ir.Value) *ir.Value {
			// [I, O/groups, K...] is the filter of the convolution whose gradient this is.
			x, w := channelsLast(g, in[0]), g.Transpose(in[1], append(others(n+2, 0, 1), 1, 0)...)
			groups := int(a.float("groups"))
			geo := refGeometry(a, make([]int, n))
			more := a.ints("output_padding", n, 0)
			shape := []ir.Dim{x.Type.Shape[0]}
			for i := range n {
				k, _ := w.Type.Shape[i].Const()
				shape = append(shape, x.Type.Shape[1+i].AddN(-1).MulN(geo.Stride[i]).AddN(geo.Dilation[i]*(k-1)+1+more[i]-2*geo.PadLo[i]))
			}
			shape = append(shape, w.Type.Shape[n].MulN(groups))
			y := g.ConvInput(x, w, geo, groups, shape)
			return channelsFirst(g, g.Add(y, g.Broadcast(in[2], y.Type.Shape, n+1)))
		})
		pool := func(mean bool) refBuilder {
			return one(func(g Graph, a refAttrs, in []*ir.Value) *ir.Value {
				if a.bool("ceil_mode") {
					return nil
				}
				geo := refGeometry(a, a.ints("kernel", n, 1))
				axes := make([]int, n)
				size := 1.0
				for i := range n {
					axes[i] = 1 + n + i
					size *= float64(geo.Kernel[i])
				}
				if mean {
					y := g.Sum(g.Window(channelsLast(g, in[0]), geo, 0), axes...)
					return channelsFirst(g, g.Div(y, g.Like(y, size)))
				}
				return channelsFirst(g, g.MaxOf(g.Window(channelsLast(g, in[0]), geo, math.Inf(-1)), axes...))
			})
		}
		m[fmt.Sprintf("max_pool%dd", n)] = pool(false)
		m[fmt.Sprintf("avg_pool%dd", n)] = pool(true)
	}
	return m
}

// TestReference compares ops and their gradients, in float32, with PyTorch.
func TestReference(t *testing.T) {
	files, _ := filepath.Glob("../../../shared/opcases/cases/*.json")
	if len(files) == 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("the reference cases ../shared/opcases are not there")
		}
		t.Skip("the reference cases ../shared/opcases are not there")
	}
	builders := refBuilders()
	checked := 0
	for _, file := range files {
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		var r reference
		require.NoError(t, json.Unmarshal(raw, &r), file)
		build := builders[r.Op]
		if build == nil {
			continue
		}
		t.Run(r.Case, func(t *testing.T) {
			if checkReference(t, &r, build) {
				checked++
			}
		})
	}
	t.Logf("%d of %d reference cases checked", checked, len(files))
}

func checkReference(t *testing.T, r *reference, build refBuilder) bool {
	g := On(ir.NewBuilder(r.Op))
	var params []*ir.Value
	var args []*ir.Data
	param := func(x refTensor) *ir.Value {
		e := map[string]ir.Elem{"float32": ir.F32, "int64": ir.I32, "bool": ir.Bool}[x.Dtype]
		d, err := ir.DataOf(e, x.Shape, refFloats(x))
		require.NoError(t, err)
		args = append(args, d)
		return g.Param(x.Name, ir.Tensor(e, dims(x.Shape...)...))
	}
	for _, x := range r.Inputs {
		params = append(params, param(x))
	}
	cots := make([]*ir.Value, len(r.Outputs))
	for i, x := range r.GradOutputs {
		for k, o := range r.Outputs {
			if o.Name == x.Name {
				cots[k] = param(r.GradOutputs[i])
			}
		}
	}
	outs := build(g, r.Attrs, slices.Clone(params))
	if outs[0] == nil {
		return false
	}
	require.NoError(t, g.Err)
	var wrt []*ir.Value
	for _, x := range r.InputGrads {
		for i, p := range r.Inputs {
			if p.Name == x.Name {
				wrt = append(wrt, params[i])
			}
		}
	}
	results := outs
	if len(wrt) > 0 {
		grads, err := Backprop(g.Builder, outs, cots, wrt)
		require.NoError(t, err)
		results = append(slices.Clone(outs), grads...)
	}
	f, err := g.Return(results...)
	require.NoError(t, err)
	require.NoError(t, ir.Verify(f))
	got, err := (&ir.Evaluator{}).Run(f, args)
	require.NoError(t, err)
	for i, want := range append(slices.Clone(r.Outputs), r.InputGrads...) {
		atol := r.Atol
		if want.Atol != nil {
			atol = *want.Atol
		}
		require.Equal(t, want.Shape, got[i].Shape, want.Name)
		for k, x := range refFloats(want) {
			y := got[i].Floats()[k]
			if !(x == y || math.IsNaN(x) && math.IsNaN(y) || math.Abs(x-y) <= atol+r.Rtol*math.Abs(x)) {
				assert.Fail(t, "different", "result %d (%s), element %d is %v, want %v", i, want.Name, k, y, x)
				break
			}
		}
	}
	return true
}

func refFloats(x refTensor) []float64 {
	out := make([]float64, len(x.Data))
	for i, v := range x.Data {
		out[i] = float64(v)
	}
	return out
}
