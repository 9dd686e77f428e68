package runtime

import (
	"errors"
	"fmt"
	"io"
	"slices"
)

// WriteForeign writes data (the weights, or their gradients) as a checkpoint of
// another program through the rules of a names block, and returns its length.
// The rules must be invertible: tensors, transpose, permute, concat, stack and
// reshape. The shapes before a reshape, and the parts of a concat if they are
// not equal, are those of like, a checkpoint of that program; like is nil if
// nothing of that kind occurs.
func WriteForeign[F Float](w io.Writer, params []ParamInfo, data []F, table NameTable, like *File, meta map[string]string) (int64, error) {
	rules, err := compileRules(table)
	if err != nil {
		return 0, err
	}
	var out []NamedTensor
	owner := map[string]string{}
	for v := range Views(params, data) {
		rule, holes, err := rules.find(v.Name)
		if err != nil {
			return 0, err
		}
		fail := func(err error) error {
			return fmt.Errorf("names %s: %s cannot be written: %w", table.Name, v.Name, err)
		}
		file := like
		if file == nil {
			file = &File{byName: map[string]*FileTensor{}}
			if err := file.guess(rule.Expr, holes, v.Shape); err != nil {
				return 0, fail(err)
			}
		}
		x, err := (&resolver{file: file, used: map[*FileTensor]bool{}}).resolve(rule.Expr, holes)
		if err != nil {
			return 0, fail(err)
		}
		if !slices.Equal(x.shape, v.Shape) {
			return 0, fail(fmt.Errorf("its shape is %s, but the other program's is %s", dims(v.Shape), dims(x.shape)))
		}
		err = invertForeign(x, v.Data, func(t *FileTensor, part []F) error {
			if by, ok := owner[t.Name]; ok {
				return fmt.Errorf("%s has been written already, for %s", t.Name, by)
			}
			owner[t.Name] = v.Name
			out = append(out, Named(t.Name, part, t.Shape...))
			return nil
		})
		if err != nil {
			return 0, fail(err)
		}
	}
	return WriteSafetensors(w, out, meta)
}

// guess enters the tensors that make an expression have a shape.
func (f *File) guess(e *NameExpr, holes map[string]string, shape []int) error {
	switch e.Op {
	case "tensor":
		parts, err := splitName(e.Name)
		if err != nil {
			return err
		}
		return f.guessTensor(parts, holes, shape)
	case "transpose":
		shape = slices.Clone(shape)
		if len(shape) >= 2 {
			swapLast(shape)
		}
	case "permute":
		in := make([]int, len(shape))
		for k, a := range e.Ints {
			if k >= len(shape) || a < 0 || a >= len(shape) {
				return fmt.Errorf("%s is not an order of the axes of %s", dims(e.Ints), dims(shape))
			}
			in[a] = shape[k]
		}
		shape = in
	case "concat", "stack":
		n := len(e.Args)
		if len(e.Ints) != 1 || e.Ints[0] < 0 || e.Ints[0] >= len(shape) || n == 0 || shape[e.Ints[0]]%n != 0 {
			return fmt.Errorf("%s is not %d parts on axis %v", dims(shape), n, e.Ints)
		}
		axis := e.Ints[0]
		shape = slices.Clone(shape)
		if shape[axis] /= n; e.Op == "stack" {
			shape = slices.Delete(shape, axis, axis+1)
		}
	case "reshape":
		return errors.New("a reshape needs a checkpoint of the other program for its shapes")
	default:
		return errors.New("a sum or a part of a tensor can be read, but not written")
	}
	for _, a := range e.Args {
		if err := f.guess(a, holes, shape); err != nil {
			return err
		}
	}
	return nil
}

func (f *File) guessTensor(parts []namePart, holes map[string]string, shape []int) error {
	name, free, err := fillParts(parts, holes)
	if err != nil {
		return err
	}
	if free == "" {
		n, _ := Size(shape)
		f.byName[name] = &FileTensor{Name: name, DType: "F32", Shape: shape, size: n}
		return nil
	}
	if len(shape) == 0 {
		return fmt.Errorf("a scalar is not a stack over {%s}", free)
	}
	for i := range shape[0] {
		if err := f.guessTensor(parts, with(holes, free, i), shape[1:]); err != nil {
			return err
		}
	}
	return nil
}
