package runtime

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

var (
	// ErrInUse is wrapped by methods that need weights, a session or a trainer
	// which another goroutine is using: a training step needs the weights for
	// itself, and a session serves one goroutine.
	ErrInUse = errors.New("in use by another goroutine")
	// ErrModelMismatch is what errors.Is finds in a [MismatchError].
	ErrModelMismatch = errors.New("the file does not fit the model")
	// ErrClosed is wrapped by methods of something that was closed.
	ErrClosed = errors.New("closed")
)

// A ShapeError says that an argument of a generated method has a shape that its
// declaration does not allow.
type ShapeError struct {
	Model, Func, Arg string // gpt2, Loss, next
	Want             string // the declared type with what is known about its dims: i32[B=4, T=8]
	Got              []int  // the shape of the argument
	Len              int    // the length of its data if that does not fit Got, otherwise -1
}

func (e *ShapeError) Error() string {
	if e.Len >= 0 {
		return fmt.Sprintf("%s%s: the shape %s does not fit data of length %d", prefix(e.Model, e.Func), e.Arg, dims(e.Got), e.Len)
	}
	return fmt.Sprintf("%s%s: want %s, got %s", prefix(e.Model, e.Func), e.Arg, e.Want, dims(e.Got))
}

// A DimValue is a dim and its extent in a call.
type DimValue struct {
	Name  string
	Value int
}

// A BoundError says that the dims of a call violate a declared bound or an
// assert at the start of a method.
type BoundError struct {
	Model, Func string
	Need        string     // the condition: T <= 1024, P + T <= C=1024
	Got         []DimValue // the dims it speaks about
}

func (e *BoundError) Error() string {
	var b strings.Builder
	b.WriteString(prefix(e.Model, e.Func))
	b.WriteString("need ")
	b.WriteString(e.Need)
	for i, d := range e.Got {
		if i == 0 {
			b.WriteString(", got ")
		} else {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s = %d", d.Name, d.Value)
	}
	return b.String()
}

// An IndexError says that an index is outside the axis it indexes: a token that
// is not in the vocabulary, a label that is not a class.
type IndexError struct {
	Model, Func string
	Arg         string // the tensor with the index; empty if it was computed by the model
	Pos         []int  // where in it
	Value       int64
	Limit       int // allowed are 0 <= Value < Limit
}

func (e *IndexError) Error() string {
	what := "a computed index"
	if e.Arg != "" {
		what = e.Arg
		if len(e.Pos) > 0 {
			what += strings.ReplaceAll(dims(e.Pos), ", ", ",")
		}
	}
	return fmt.Sprintf("%s%s = %d is not in [0, %d)", prefix(e.Model, e.Func), what, e.Value, e.Limit)
}

// A NonFiniteError says that a training step met a NaN or an infinity. The step
// has not changed any weight.
type NonFiniteError struct {
	Model, Func string
	What        string // the loss, the gradient, x
	Value       float64
	Step        int64 // steps done before; negative if it does not matter
}

func (e *NonFiniteError) Error() string {
	s := fmt.Sprintf("%s%s is %v", prefix(e.Model, e.Func), e.What, e.Value)
	if e.Step >= 0 {
		s += fmt.Sprintf(" at step %d", e.Step)
	}
	return s
}

// A MismatchError says in which tensors a file differs from the model. Nothing
// has been loaded. errors.Is(err, ErrModelMismatch) holds.
type MismatchError struct {
	Model      string
	Reason     string   // a difference of the whole file, such as another model hash
	Differ     []string // "W1: file f32[784,64], model f32[784,128]"
	Missing    []string // tensors of the model that the file lacks
	Unexpected []string // tensors of the file that the model lacks
}

func (e *MismatchError) Error() string {
	var parts []string
	if e.Reason != "" {
		parts = append(parts, e.Reason)
	}
	if len(e.Differ) > 0 {
		s := e.Differ[0]
		if n := len(e.Differ) - 1; n > 0 {
			s += fmt.Sprintf(" (and %d more)", n)
		}
		parts = append(parts, s)
	}
	if len(e.Missing) > 0 {
		parts = append(parts, "the file lacks "+list(e.Missing))
	}
	if len(e.Unexpected) > 0 {
		parts = append(parts, "the model has no "+list(e.Unexpected))
	}
	return prefix(e.Model, "") + strings.Join(parts, "; ")
}

// Unwrap makes errors.Is(err, ErrModelMismatch) true.
func (e *MismatchError) Unwrap() error { return ErrModelMismatch }

// list names at most eight of names.
func list(names []string) string {
	const limit = 8
	if len(names) <= limit {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:limit], ", "), len(names)-limit)
}

func prefix(model, fn string) string {
	s := ""
	for _, p := range [...]string{model, fn} {
		if p != "" {
			s += p + ": "
		}
	}
	return s
}

func dims(shape []int) string {
	b := []byte{'['}
	for i, d := range shape {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = strconv.AppendInt(b, int64(d), 10)
	}
	return string(append(b, ']'))
}

// An IndexFault is the panic of [Index]. [Recover] makes an error of it.
type IndexFault struct {
	Value int64
	Limit int
}

func (f *IndexFault) Error() string {
	return fmt.Sprintf("index %d is not in [0, %d)", f.Value, f.Limit)
}

// Index is i as an index of an axis of length n. Kernels call it for indices
// that were computed from data; out of range it panics with an [IndexFault],
// which the entry method turns into an error by [Recover].
func Index[I int32 | int](i I, n int) int {
	if uint(int(i)) >= uint(n) {
		indexFault(int64(i), n)
	}
	return int(i)
}

// Fault panics as [Index] does if n is positive, and as Go does when it divides
// by 0 if n is negative. Native kernels, which cannot panic, return the faulty
// index and the length n of its axis, 0 for n if all was well.
func Fault(i, n int) {
	if n > 0 {
		indexFault(int64(i), n)
	}
	if zero := 0; n < 0 {
		panic(i / zero)
	}
}

//go:noinline
func indexFault(i int64, n int) { panic(&IndexFault{i, n}) }

// Recover turns an [IndexFault] into an [IndexError] in *err; other panics go
// on. It must be deferred directly:
//
//	defer runtime.Recover(&err, "gpt2", "Loss")
func Recover(err *error, model, fn string) {
	switch r := recover().(type) {
	case nil:
	case *IndexFault:
		*err = &IndexError{Model: model, Func: fn, Value: r.Value, Limit: r.Limit}
	default:
		panic(r)
	}
}
