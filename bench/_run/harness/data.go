package harness

import (
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"

	"github.com/lmc-lang/lmc/runtime"
)

// bits is number i of the random sequence seed: the upper 24 bits of splitmix64.
func bits(seed uint64, i int) uint64 {
	z := (uint64(i) + 1 + seed<<32) * 0x9E3779B97F4A7C15
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return (z ^ z>>31) >> 40
}

func number(seed uint64, i int) float32 { return float32(bits(seed, i))*(1.0/(1<<23)) - 1 }

// Rand is n numbers from [-1, 1).
func Rand(seed uint64, n int) []float32 {
	x := runtime.Aligned[float32](n)
	for i := range x {
		x[i] = number(seed, i)
	}
	return x
}

// Ints is n numbers from [0, high).
func Ints(seed uint64, high, n int) []int32 {
	x := make([]int32, n)
	for i := range x {
		x[i] = int32(bits(seed, i) % uint64(high))
	}
	return x
}

// Pieces cuts rows of T+1 tokens into the first T and the last T of each.
func Pieces(seed uint64, high, B, T int) (ids, next runtime.Tensor2[int32]) {
	all := Ints(seed, high, B*(T+1))
	ids, next = runtime.NewTensor2[int32](nil, B, T), runtime.NewTensor2[int32](nil, B, T)
	for b := range B {
		copy(ids.Data[b*T:(b+1)*T], all[b*(T+1):])
		copy(next.Data[b*T:(b+1)*T], all[b*(T+1)+1:])
	}
	return ids, next
}

// Images is n images of the shape [H, W, C] whose numbers are drawn in the
// order [C, H, W].
func Images(seed uint64, n, h, w, c int) runtime.Tensor4[float32] {
	x := runtime.NewTensor4[float32](nil, n, h, w, c)
	i := 0
	for b := range n {
		for k := range c {
			for p := range h * w {
				x.Data[(b*h*w+p)*c+k] = number(seed, i)
				i++
			}
		}
	}
	return x
}

// Init sets the parameters to the initial values that all implementations
// share: order lists them in PyTorch's order, in which parameter k draws from
// the sequence 1000+k, with the layout of PyTorch's tensor after a colon:
//
//	w:OI         ours is [I, O]
//	w:OIK        ours is [K, I, O], of a convolution
//	w:OIHW       ours is [H, W, I, O]
//	w:OIHW/7x7   ours is [7*7*I, O], after an image has been flattened
//
// and none if it is the same. A gain (.g) is 1 and a bias 0.
func Init(weights iter.Seq[runtime.View[float32]], order ...string) {
	views := map[string]runtime.View[float32]{}
	for v := range weights {
		views[v.Name] = v
	}
	for k, p := range order {
		name, layout, _ := strings.Cut(p, ":")
		v, ok := views[name]
		if !ok {
			Fail(fmt.Errorf("there is no parameter %q", name))
		}
		delete(views, name)
		switch {
		case strings.HasSuffix(name, ".g"):
			for i := range v.Data {
				v.Data[i] = 1
			}
		case len(v.Shape) == 1:
			clear(v.Data)
		default:
			fill(v, uint64(1000+k), layout)
		}
	}
	for name, v := range views {
		if !v.State {
			Fail(fmt.Errorf("parameter %q has no initial value", name))
		}
	}
}

// fill draws a tensor of rank 2 or more. All foreign layouts have the output
// channels first and the input channels second.
func fill(v runtime.View[float32], seed uint64, layout string) {
	shape := v.Shape // ours, perhaps with the axes of an image
	layout, size, flat := strings.Cut(layout, "/")
	if flat {
		var h, w int
		fmt.Sscanf(size, "%dx%d", &h, &w)
		shape = []int{h, w, v.Shape[0] / (h * w), v.Shape[1]}
	}
	n := len(shape)
	axes := make([]int, n) // of PyTorch's tensor, in ours
	for i := range axes {
		axes[i] = i
	}
	if layout != "" {
		axes = slices.Concat([]int{n - 1, n - 2}, axes[:n-2])
	}
	strides := make([]int, n)
	for i, s := n-1, 1; i >= 0; i-- {
		strides[i], s = s, s*shape[i]
	}
	scale := float32(1 / math.Sqrt(float64(len(v.Data)/shape[axes[0]])))
	index := make([]int, n) // along axes
	at := 0
	for i := range v.Data {
		v.Data[at] = number(seed, i) * scale
		for k := n - 1; k >= 0; k-- {
			at += strides[axes[k]]
			if index[k]++; index[k] < shape[axes[k]] {
				break
			}
			at -= index[k] * strides[axes[k]]
			index[k] = 0
		}
	}
}
