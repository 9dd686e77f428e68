package ir

import (
	"fmt"
	"slices"
)

// A Builder appends values to a Func. The first error sticks in Err; after an
// error values have the zero Type and building may go on.
type Builder struct {
	F     *Func
	Err   error
	Pos   Pos    // given to new values
	Scope string // given to new values
}

// NewBuilder starts the function called name.
func NewBuilder(name string) *Builder { return &Builder{F: &Func{Name: name}} }

// Param appends a parameter. Parameters come before all other values.
func (b *Builder) Param(name string, t Type) *Value {
	v := &Value{ID: len(b.F.Values), Op: Param, Type: t, Pos: b.Pos, Scope: name}
	b.F.Values = append(b.F.Values, v)
	b.F.Params = append(b.F.Params, v)
	return v
}

// Do applies op to args, infers the type and appends the value, or returns the
// simpler value that op's Fold gives.
func (b *Builder) Do(op *Op, args []*Value, attrs ...Setting) *Value {
	v := &Value{ID: len(b.F.Values), Op: op, Args: args, Pos: b.Pos, Scope: b.Scope, attrs: order(op, attrs)}
	t, err := check(v)
	if err != nil {
		if b.Err == nil {
			b.Err = fmt.Errorf("%s: %w", op.Name, err)
		}
		b.F.Values = append(b.F.Values, v)
		return v
	}
	v.Type = t
	if op.Fold != nil && b.Err == nil {
		if w := op.Fold(b, v); w != nil {
			return w
		}
		v.ID = len(b.F.Values) // Fold may have built values before it gave up
	}
	b.F.Values = append(b.F.Values, v)
	return v
}

// Copy appends v's op and attributes applied to args, at v's position.
func (b *Builder) Copy(v *Value, args []*Value) *Value {
	pos, scope := b.Pos, b.Scope
	b.Pos, b.Scope = v.Pos, v.Scope
	w := b.Do(v.Op, args, v.attrs...)
	b.Pos, b.Scope = pos, scope
	return w
}

// Return sets the results and returns the function.
func (b *Builder) Return(results ...*Value) (*Func, error) {
	b.F.Results = results
	return b.F, b.Err
}

// order puts attrs into the order of op's declaration; unknown ones stay at
// the end for check to reject.
func order(op *Op, attrs []Setting) []Setting {
	if slices.EqualFunc(attrs, op.Attrs, func(s Setting, k Key) bool { return s.Key == k }) {
		return attrs
	}
	out := make([]Setting, 0, len(attrs))
	for _, k := range op.Attrs {
		for _, s := range attrs {
			if s.Key == k {
				out = append(out, s)
			}
		}
	}
	for _, s := range attrs {
		if !slices.Contains(op.Attrs, s.Key) {
			out = append(out, s)
		}
	}
	return out
}

// check applies the rules that hold for every op, then op's own.
func check(v *Value) (Type, error) {
	op := v.Op
	n := len(op.Args)
	variadic := n > 0 && op.Args[n-1].Variadic
	if len(v.Args) != n && !(variadic && len(v.Args) >= n-1) {
		return Type{}, fmt.Errorf("%d operands, want %d", len(v.Args), n)
	}
	if len(v.attrs) != len(op.Attrs) {
		return Type{}, fmt.Errorf("%d attributes, want %d", len(v.attrs), len(op.Attrs))
	}
	for i, k := range op.Attrs {
		if v.attrs[i].Key != k || !k.accepts(v.attrs[i].val) {
			return Type{}, fmt.Errorf("attribute %s is missing or of the wrong type", k.Name())
		}
	}
	return op.Infer(v)
}

// Inline appends the body of f with args for its parameters and returns its
// results.
func (b *Builder) Inline(f *Func, args []*Value) []*Value {
	env := make(map[*Value]*Value, len(f.Values))
	for i, p := range f.Params {
		env[p] = args[i]
	}
	for _, v := range f.Values {
		if v.Op == Param {
			continue
		}
		as := make([]*Value, len(v.Args))
		for i, a := range v.Args {
			as[i] = env[a]
		}
		env[v] = b.Copy(v, as)
	}
	out := make([]*Value, len(f.Results))
	for i, r := range f.Results {
		out[i] = env[r]
	}
	return out
}
