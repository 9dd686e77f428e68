package ir

import (
	"errors"
	"fmt"
	"strings"
)

// Verify checks everything that holds for a function. Passes call it after
// each change; a failure is a bug of the one that made f, and the message
// shows the value with its neighbours.
//
//   - Params are the first values, in order, and no other value is a Param; they have no operands, no attributes and no tuples;
//   - IDs are dense and in order: Values[i].ID == i;
//   - operands stand earlier in Values, and results stand in Values;
//   - the number of operands and the attributes are those that the op declares;
//   - Infer gives the type that the value has;
//   - an op has exactly one of Lane, At, Lower, Expand and Control;
//   - the same holds for the sub-functions in attributes.
func Verify(f *Func) error {
	if f == nil {
		return errors.New("bug: no function")
	}
	v := verifier{f: f}
	if err := v.params(); err != nil {
		return err
	}
	for i, x := range f.Values {
		if err := v.value(i, x); err != nil {
			return v.at(i, err)
		}
	}
	for i, r := range f.Results {
		switch {
		case r == nil:
			return fmt.Errorf("func %s: result %d is missing", f.Name, i)
		case !v.defined(r, len(f.Values)):
			return fmt.Errorf("func %s: result %d, %v, is not a value of the function", f.Name, i, r)
		}
	}
	return nil
}

type verifier struct{ f *Func }

// defined reports whether x is one of the first n values.
func (v verifier) defined(x *Value, n int) bool {
	return x != nil && x.ID >= 0 && x.ID < n && v.f.Values[x.ID] == x
}

func (v verifier) params() error {
	for i, p := range v.f.Params {
		if i >= len(v.f.Values) || v.f.Values[i] != p {
			return fmt.Errorf("func %s: parameter %d is not value %d", v.f.Name, i, i)
		}
		if p.Op != Param || len(p.Args) > 0 || len(p.attrs) > 0 || p.Type.Tuple != nil {
			return v.at(i, fmt.Errorf("parameter %d has operands, attributes or a tuple type, or is no param", i))
		}
	}
	return nil
}

func (v verifier) value(i int, x *Value) error {
	switch {
	case x == nil:
		return errors.New("there is no value")
	case x.ID != i:
		return fmt.Errorf("the ID is %d, want %d", x.ID, i)
	case x.Op == nil:
		return errors.New("there is no op")
	case x.Op == Param:
		if i >= len(v.f.Params) {
			return errors.New("a param stands after the parameters")
		}
		return nil
	}
	for k, a := range x.Args {
		switch {
		case a == nil:
			return fmt.Errorf("operand %d is missing", k)
		case !v.defined(a, i):
			return fmt.Errorf("operand %d, %v, is not defined before", k, a)
		}
	}
	if err := meaning(x.Op); err != nil {
		return err
	}
	t, err := check(x)
	if err != nil {
		return err
	}
	if !t.Equal(x.Type) {
		return fmt.Errorf("the type is %v, want %v", x.Type, t)
	}
	for _, s := range x.attrs {
		if g := s.Func(); g != nil {
			if err := Verify(g); err != nil {
				return fmt.Errorf("in %s: %w", s.Key.Name(), err)
			}
		}
	}
	return nil
}

// meaning checks that op says in exactly one way what it computes.
func meaning(op *Op) error {
	n := 0
	for _, has := range []bool{op.Lane != nil, op.At != nil, op.Lower != nil, op.Expand != nil, op.Control != nil} {
		if has {
			n++
		}
	}
	if n != 1 {
		return fmt.Errorf("op %s has %d of Lane, At, Lower, Expand and Control, want one", op.Name, n)
	}
	return nil
}

// at adds to err the value with its neighbours.
func (v verifier) at(i int, err error) error {
	const around = 5
	var b strings.Builder
	fmt.Fprintf(&b, "%v\n\nin value:\n  %s\n", err, line(v.f.Values[i]))
	if x := v.f.Values[i]; x != nil && x.Pos != (Pos{}) {
		fmt.Fprintf(&b, "from source: %v\n", x.Pos)
	}
	fmt.Fprintf(&b, "in func %s:\n", v.f.Name)
	for k := max(0, i-around); k < min(len(v.f.Values), i+around+1); k++ {
		mark := "  "
		if k == i {
			mark = "> "
		}
		fmt.Fprintf(&b, "%s%s\n", mark, line(v.f.Values[k]))
	}
	return errors.New(strings.TrimSuffix(b.String(), "\n"))
}

// line prints one value on one line; sub-functions by name only.
func line(v *Value) string {
	if v == nil || v.Op == nil {
		return "?"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%v = %s", v, v.Op.Name)
	if v.Op == Param {
		fmt.Fprintf(&b, " %s", v.Scope)
	}
	for _, a := range v.Args {
		if a == nil {
			b.WriteString(" %?")
		} else {
			fmt.Fprintf(&b, " %v", a)
		}
	}
	for _, s := range v.attrs {
		text := "func"
		if f := s.Func(); f == nil {
			text = s.Text()
		} else {
			text += " " + f.Name
		}
		fmt.Fprintf(&b, " %s=%s", s.Key.Name(), text)
	}
	fmt.Fprintf(&b, " : %v", v.Type)
	return b.String()
}
