package runtime

import (
	"errors"
	"fmt"
	"slices"
)

// nameOp is a row of the table of operations in names blocks.
type nameOp struct {
	name       string
	args, ints int // how many; -1 for any number from 1 on
	// shape is the shape of the result; x.shape is not set yet.
	shape func(x *foreign) ([]int, error)
	// move is where the elements of an argument go; nil for add and reshape.
	move func(x *foreign, arg int) move
}

// A move is a loop nest that pairs elements of a result with elements of one of
// its arguments. The result has the same steps as its row-major layout unless
// axes are left out.
type move struct {
	extent    []int
	out, in   []int // steps
	out0, in0 int   // first elements
}

// steps are the row-major distances of neighbours on each axis.
func steps(shape []int) []int {
	s, n := make([]int, len(shape)), 1
	for i := len(shape) - 1; i >= 0; i-- {
		s[i] = n
		n *= shape[i]
	}
	return s
}

var nameOps = []nameOp{
	{"transpose", 1, 0, func(x *foreign) ([]int, error) {
		s := slices.Clone(x.args[0].shape)
		if len(s) < 2 {
			return nil, fmt.Errorf("a tensor of shape %s has no two axes to exchange", dims(s))
		}
		swapLast(s)
		return s, nil
	}, func(x *foreign, arg int) move {
		in := steps(x.args[0].shape)
		swapLast(in)
		return move{extent: x.shape, out: steps(x.shape), in: in}
	}},
	{"permute", 1, -1, func(x *foreign) ([]int, error) {
		in := x.args[0].shape
		s, seen := make([]int, len(x.ints)), make([]bool, len(in))
		for k, a := range x.ints {
			if len(x.ints) != len(in) || a < 0 || a >= len(in) || seen[a] {
				return nil, fmt.Errorf("%s is not an order of the axes of %s", dims(x.ints), dims(in))
			}
			s[k], seen[a] = in[a], true
		}
		return s, nil
	}, func(x *foreign, arg int) move {
		s := steps(x.args[0].shape)
		in := make([]int, len(s))
		for k, a := range x.ints {
			in[k] = s[a]
		}
		return move{extent: x.shape, out: steps(x.shape), in: in}
	}},
	{"reshape", 1, -1, func(x *foreign) ([]int, error) {
		n, ok := Size(x.ints)
		if m, _ := Size(x.args[0].shape); !ok || n != m {
			return nil, fmt.Errorf("a tensor of shape %s cannot become %s", dims(x.args[0].shape), dims(x.ints))
		}
		return x.ints, nil
	}, nil},
	{"concat", -1, 1, func(x *foreign) ([]int, error) {
		axis, s := x.ints[0], slices.Clone(x.args[0].shape)
		if axis < 0 || axis >= len(s) {
			return nil, fmt.Errorf("a tensor of shape %s has no axis %d", dims(s), axis)
		}
		for _, a := range x.args[1:] {
			if len(a.shape) != len(s) || !slices.Equal(a.shape[:axis], s[:axis]) || !slices.Equal(a.shape[axis+1:], s[axis+1:]) {
				return nil, fmt.Errorf("tensors of shapes %s and %s cannot be joined on axis %d", dims(s), dims(a.shape), axis)
			}
			s[axis] += a.shape[axis]
		}
		return s, nil
	}, func(x *foreign, arg int) move {
		axis, out, before := x.ints[0], steps(x.shape), 0
		for _, a := range x.args[:arg] {
			before += a.shape[axis]
		}
		s := x.args[arg].shape
		return move{extent: s, out: out, in: steps(s), out0: before * out[axis]}
	}},
	{"stack", -1, 1, func(x *foreign) ([]int, error) {
		axis, s := x.ints[0], x.args[0].shape
		if axis < 0 || axis > len(s) {
			return nil, fmt.Errorf("tensors of shape %s cannot be stacked on axis %d", dims(s), axis)
		}
		for _, a := range x.args {
			if !slices.Equal(a.shape, s) {
				return nil, fmt.Errorf("tensors of shapes %s and %s cannot be stacked", dims(s), dims(a.shape))
			}
		}
		return slices.Insert(slices.Clone(s), axis, len(x.args)), nil
	}, func(x *foreign, arg int) move {
		axis, out, s := x.ints[0], steps(x.shape), x.args[arg].shape
		first := arg * out[axis]
		return move{extent: s, out: slices.Delete(out, axis, axis+1), in: steps(s), out0: first}
	}},
	{"add", -1, 0, func(x *foreign) ([]int, error) {
		for _, a := range x.args {
			if !slices.Equal(a.shape, x.args[0].shape) {
				return nil, fmt.Errorf("tensors of shapes %s and %s cannot be added", dims(x.args[0].shape), dims(a.shape))
			}
		}
		return x.args[0].shape, nil
	}, nil},
	{"slice", 1, 3, func(x *foreign) ([]int, error) {
		axis, lo, hi, s := x.ints[0], x.ints[1], x.ints[2], slices.Clone(x.args[0].shape)
		if axis < 0 || axis >= len(s) || lo < 0 || hi < lo || hi > s[axis] {
			return nil, fmt.Errorf("a tensor of shape %s has no part %d:%d on axis %d", dims(s), lo, hi, axis)
		}
		s[axis] = hi - lo
		return s, nil
	}, func(x *foreign, arg int) move {
		in := steps(x.args[0].shape)
		return move{extent: x.shape, out: steps(x.shape), in: in, in0: x.ints[1] * in[x.ints[0]]}
	}},
}

func swapLast(s []int) {
	n := len(s)
	s[n-2], s[n-1] = s[n-1], s[n-2]
}

func nameOpOf(name string) *nameOp {
	for i := range nameOps {
		if nameOps[i].name == name {
			return &nameOps[i]
		}
	}
	return nil
}

// infer checks x and computes its shape.
func (x *foreign) infer() (err error) {
	op := nameOpOf(x.op)
	switch {
	case op == nil:
		return fmt.Errorf("bug in package runtime: unknown operation %q in a names block", x.op)
	case op.args >= 0 && len(x.args) != op.args, len(x.args) == 0, op.ints >= 0 && len(x.ints) != op.ints:
		return fmt.Errorf("bug in package runtime: %s with %d arguments and %d numbers", x.op, len(x.args), len(x.ints))
	}
	x.shape, err = op.shape(x)
	return err
}

// evalForeign computes x into dst, which has its size.
func evalForeign[F Float](x *foreign, dst []F) error {
	if x.op == "tensor" {
		return ReadTensor(x.from, dst)
	}
	args := make([][]F, len(x.args))
	for i, a := range x.args {
		n, _ := Size(a.shape)
		args[i] = make([]F, n)
		if err := evalForeign(a, args[i]); err != nil {
			return err
		}
	}
	if op := nameOpOf(x.op); op.move != nil {
		for i, a := range args {
			m := op.move(x, i)
			copyStrided(dst[m.out0:], a[m.in0:], m.extent, m.out, m.in)
		}
		return nil
	}
	copy(dst, args[0]) // reshape, add
	for _, a := range args[1:] {
		for i := range dst {
			dst[i] += a[i]
		}
	}
	return nil
}

// copyStrided is dst[i·d] = src[i·s] for all indices i below the extents.
func copyStrided[F Float](dst, src []F, extent, d, s []int) {
	if len(extent) == 0 {
		dst[0] = src[0]
		return
	}
	n := extent[0]
	if len(extent) == 1 {
		for i, a, b := 0, 0, 0; i < n; i, a, b = i+1, a+d[0], b+s[0] {
			dst[a] = src[b]
		}
		return
	}
	for _, e := range extent {
		if e == 0 {
			return
		}
	}
	for i := range n {
		copyStrided(dst[i*d[0]:], src[i*s[0]:], extent[1:], d[1:], s[1:])
	}
}

// invertForeign is evalForeign backwards: it calls put with every tensor in x
// and what it must be so that x is src.
func invertForeign[F Float](x *foreign, src []F, put func(t *FileTensor, data []F) error) error {
	switch x.op {
	case "tensor":
		return put(x.from, src)
	case "reshape":
		return invertForeign(x.args[0], src, put)
	case "add", "slice":
		return errors.New("a sum or a part of a tensor can be read, but not written")
	}
	for i, a := range x.args {
		n, _ := Size(a.shape)
		arg, m := make([]F, n), nameOpOf(x.op).move(x, i)
		copyStrided(arg[m.in0:], src[m.out0:], m.extent, m.in, m.out)
		if err := invertForeign(a, arg, put); err != nil {
			return err
		}
	}
	return nil
}
