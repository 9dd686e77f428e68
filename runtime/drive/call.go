package drive

import (
	"fmt"
	"reflect"
	"strings"
)

// A tensor is a batch of one column.
type tensor struct {
	shape []int
	f     []float32
	i     []int32
}

// goValue is a tensor as a value of type t, which is a number, a slice, or a
// struct with fields Data and Shape.
func (x *tensor) goValue(t reflect.Type) reflect.Value {
	v := reflect.New(t).Elem()
	switch t.Kind() {
	case reflect.Slice:
		v.Set(x.slice(t))
	case reflect.Struct:
		v.Field(0).Set(x.slice(t.Field(0).Type))
		for k, n := range x.shape {
			v.Field(1).Index(k).SetInt(int64(n))
		}
	}
	return v
}

// slice is the data as a slice of type t.
func (x *tensor) slice(t reflect.Type) reflect.Value {
	switch t.Elem().Kind() {
	case reflect.Float32:
		return reflect.ValueOf(x.f)
	case reflect.Float64:
		out := make([]float64, len(x.f))
		for i, v := range x.f {
			out[i] = float64(v)
		}
		return reflect.ValueOf(out)
	}
	return reflect.ValueOf(x.i)
}

// fits is whether the values of a batch can be given to a function whose
// parameters have these types from at on.
func fits(t reflect.Type, at int, batch []*tensor) bool {
	if t.NumIn() != at+len(batch) {
		return false
	}
	for k, x := range batch {
		switch p := t.In(at + k); p.Kind() {
		case reflect.Slice:
			if len(x.shape) != 1 {
				return false
			}
		case reflect.Struct:
			if p.NumField() != 2 || p.Field(1).Type.Kind() != reflect.Array || p.Field(1).Type.Len() != len(x.shape) {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// step runs one step of training and returns its loss.
func step(method any, batch []*tensor) (loss float64, err error) {
	f := reflect.ValueOf(method)
	if !fits(f.Type(), 0, batch) {
		return 0, fmt.Errorf("bug in lmc train: the step has the type %v", f.Type())
	}
	in := make([]reflect.Value, len(batch))
	for k, x := range batch {
		in[k] = x.goValue(f.Type().In(k))
	}
	out := f.Call(in)
	if err, _ := out[1].Interface().(error); err != nil {
		return 0, err
	}
	return out[0].FieldByName("Loss").Float(), nil
}

// evaluate calls a method of a session: destinations for the results that are
// tensors, then the batch. It returns the first result.
func evaluate(method any, batch []*tensor) (data []float64, shape []int, err error) {
	f := reflect.ValueOf(method)
	t := f.Type()
	extra := t.NumIn() - len(batch)
	if extra < 0 || !fits(t, extra, batch) {
		return nil, nil, fmt.Errorf("bug in lmc train: a function of the model has the type %v", t)
	}
	in := make([]reflect.Value, t.NumIn())
	for k := range extra {
		in[k] = reflect.Zero(t.In(k))
	}
	for k, x := range batch {
		in[extra+k] = x.goValue(t.In(extra + k))
	}
	out := f.Call(in)
	if err, _ := out[len(out)-1].Interface().(error); err != nil {
		return nil, nil, err
	}
	data, shape = numbers(out[0])
	return data, shape, nil
}

// numbers are the elements of a result.
func numbers(v reflect.Value) (data []float64, shape []int) {
	switch v.Kind() {
	case reflect.Struct:
		data, _ = numbers(v.Field(0))
		for k := range v.Field(1).Len() {
			shape = append(shape, int(v.Field(1).Index(k).Int()))
		}
	case reflect.Slice:
		data = make([]float64, v.Len())
		for i := range data {
			x, _ := numbers(v.Index(i))
			data[i] = x[0]
		}
		shape = []int{v.Len()}
	case reflect.Float32, reflect.Float64:
		data = []float64{v.Float()}
	case reflect.Int32:
		data = []float64{float64(v.Int())}
	case reflect.Bool:
		data = []float64{0}
		if v.Bool() {
			data[0] = 1
		}
	}
	return data, shape
}

// SetOptions sets fields of an options struct by name, in any case.
func SetOptions(into any, options map[string]float64) error {
	v := reflect.ValueOf(into).Elem()
	for name, x := range options {
		i := -1
		var names []string
		for k := range v.NumField() {
			n := v.Type().Field(k).Name
			names = append(names, n)
			if strings.EqualFold(n, name) {
				i = k
			}
		}
		if i < 0 {
			return fmt.Errorf("the train block has no option %s; it has %s", name, strings.Join(names, ", "))
		}
		switch f := v.Field(i); f.Kind() {
		case reflect.Float32, reflect.Float64:
			f.SetFloat(x)
		case reflect.Int, reflect.Int64, reflect.Int32:
			if x != float64(int64(x)) {
				return fmt.Errorf("option %s is a whole number, not %v", name, x)
			}
			f.SetInt(int64(x))
		case reflect.Uint64:
			f.SetUint(uint64(x))
		}
	}
	return nil
}
