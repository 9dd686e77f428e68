//go:build ignore

// Command train does what requests on its standard input say, one JSON value
// each, with generated packages of either float type: it trains, decodes and
// generates. Numbers travel as the bits of float64.
package main

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"log"
	"math"
	"os"
	"reflect"
	"runtime"
	"runtime/debug"
)

type tensor struct {
	Shape []int    `json:"shape"`
	Bits  []uint64 `json:"bits"`
}

type request struct {
	Package string             `json:"package"`
	Do      string             `json:"do"`
	Name    string             `json:"name"`
	Options map[string]float64 `json:"options"`
	Steps   int                `json:"steps"`
	Spans   [][2]int           `json:"spans"`
	Args    []tensor           `json:"args"`
}

type answer struct {
	Results []tensor `json:"results"`
	Allocs  uint64   `json:"allocs"`
	Error   string   `json:"error"`
}

// steps makes typed calls of one trainer, since calls by reflection allocate.
var steps = map[string]func(trainer any, args []any) func() (float64, error){}

func main() {
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var r request
		if err := in.Decode(&r); err == io.EOF {
			return
		} else if err != nil {
			log.Fatal(err)
		}
		a := &answer{}
		if err := serve(r, a); err != nil {
			a.Error = err.Error()
		}
		if err := out.Encode(a); err != nil {
			log.Fatal(err)
		}
	}
}

var weights, sessions = map[string]reflect.Value{}, map[string]reflect.Value{}

func serve(r request, a *answer) (err error) {
	defer func() {
		if x := recover(); x != nil {
			err = fmt.Errorf("panic: %v\n%s", x, debug.Stack())
		}
	}()
	api := packages[r.Package]
	function := func(name string, args ...reflect.Value) reflect.Value {
		return reflect.ValueOf(api[name]).Call(args)[0]
	}
	use := func(w reflect.Value) {
		weights[r.Package] = w
		sessions[r.Package] = function("NewSession", w)
	}
	trainer := func() reflect.Value {
		o := function("Default" + r.Name + "Options")
		return function("New"+r.Name, weights[r.Package], configure(o, r.Options))
	}
	w, s := weights[r.Package], sessions[r.Package]
	switch r.Do {
	case "init":
		use(function("InitWeights", reflect.ValueOf(uint64(1))))
	case "set":
		use(function("NewWeights"))
		data := weights[r.Package].MethodByName("Data").Call(nil)[0]
		for i, b := range r.Args[0].Bits {
			set(data.Index(i), b)
		}
	case "reset":
		s.MethodByName("Reset").Call(nil)
	case "call":
		f := s.MethodByName(r.Name)
		var in []reflect.Value
		for len(in) < f.Type().NumIn()-len(r.Args) {
			in = append(in, reflect.Zero(f.Type().In(len(in))))
		}
		for _, x := range r.Args {
			in = append(in, value(f.Type().In(len(in)), x))
		}
		return results(a, f.Call(in))
	case "gradients":
		f := trainer().MethodByName("Gradients")
		var in []reflect.Value
		for _, x := range r.Args {
			in = append(in, value(f.Type().In(len(in)), x))
		}
		into := function("NewWeights")
		if err := results(a, f.Call(append(in, into))); err != nil {
			return err
		}
		a.Results = append(a.Results, tensorOf(into.MethodByName("Data").Call(nil)[0]))
	case "slopes":
		return slopes(r, a, trainer(), w, function("NewWeights"))
	case "train":
		return train(r, a, trainer(), w)
	case "generate":
		f := s.MethodByName(r.Name)
		o := configure(function("Default"+r.Name+"Options"), r.Options)
		var out tensor
		for token, err := range f.Call([]reflect.Value{value(f.Type().In(0), r.Args[0]), o})[0].Seq2() {
			if !err.IsNil() {
				return err.Interface().(error)
			}
			out.Bits = append(out.Bits, uint64(token.Int()))
		}
		a.Results = []tensor{out}
	default:
		return fmt.Errorf("what is %q", r.Do)
	}
	return nil
}

func configure(o reflect.Value, values map[string]float64) reflect.Value {
	c := reflect.New(o.Type()).Elem()
	c.Set(o)
	for name, x := range values {
		f := c.FieldByName(name)
		if f.CanInt() {
			f.SetInt(int64(x))
		} else {
			f.SetFloat(x)
		}
	}
	return c
}

// widths are the distances at which slopes are measured; a smaller one, if
// there is a kink nearby.
var widths = []float64{1e-5, 1e-7}

// slopes takes two elements of each span of the weights, of those with a gradient
// if there are, and returns for each the index, the gradient, and for each width
// the loss above and below less the loss there.
func slopes(r request, a *answer, trainer, w, into reflect.Value) error {
	f := trainer.MethodByName("Gradients")
	var in []reflect.Value
	for _, x := range r.Args {
		in = append(in, value(f.Type().In(len(in)), x))
	}
	in = append(in, into)
	loss := func() (float64, error) {
		out := f.Call(in)
		err, _ := out[len(out)-1].Interface().(error)
		return out[0].Float(), err
	}
	at, err := loss()
	if err != nil {
		return err
	}
	grads := append([]float64{}, into.MethodByName("Data").Call(nil)[0].Interface().([]float64)...)
	data := w.MethodByName("Data").Call(nil)[0].Interface().([]float64)
	out := tensor{Shape: []int{0, 2 + 2*len(widths)}}
	row := func(i int) error {
		xs := []float64{float64(i), grads[i]}
		for _, h := range widths {
			for _, d := range []float64{h, -h} {
				old := data[i]
				data[i] += d
				l, err := loss()
				data[i] = old
				if err != nil {
					return err
				}
				xs = append(xs, l-at)
			}
		}
		for _, x := range xs {
			out.Bits = append(out.Bits, math.Float64bits(x))
		}
		out.Shape[0]++
		return nil
	}
	for _, span := range r.Spans {
		n := 0
		for _, flat := range []bool{false, true} {
			for k := 0; k < span[1] && n < 2; k++ {
				i := span[0] + k*7919%span[1] // 7919 is a prime: all elements, unless it divides their number
				if grads[i] == 0 != flat {
					continue
				}
				n++
				if err := row(i); err != nil {
					return err
				}
			}
		}
	}
	a.Results = []tensor{out}
	return nil
}

// train does the steps, counts the allocations of further ones, and returns
// the losses and a hash of the weights after the steps.
func train(r request, a *answer, trainer, w reflect.Value) error {
	f := trainer.MethodByName("Step")
	var in []any
	for i, x := range r.Args {
		in = append(in, value(f.Type().In(i), x).Interface())
	}
	step := steps[r.Package+" "+r.Name](trainer.Interface(), in)
	var losses tensor
	for range r.Steps {
		loss, err := step()
		if err != nil {
			return err
		}
		losses.Bits = append(losses.Bits, math.Float64bits(loss))
	}
	h := fnv.New64a()
	data := w.MethodByName("Data").Call(nil)[0]
	for i := range data.Len() {
		fmt.Fprintln(h, math.Float64bits(data.Index(i).Float()))
	}
	a.Results = []tensor{losses, {Bits: []uint64{h.Sum64()}}}
	before := reflect.New(data.Type()).Elem()
	before.Set(reflect.AppendSlice(before, data))
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	a.Allocs = math.MaxUint64
	for range 3 { // the runtime may allocate by itself
		var m, n runtime.MemStats
		runtime.ReadMemStats(&m)
		for range 4 {
			if _, err := step(); err != nil {
				return err
			}
		}
		runtime.ReadMemStats(&n)
		a.Allocs = min(a.Allocs, n.Mallocs-m.Mallocs)
	}
	reflect.Copy(data, before)
	return nil
}

// results are what a call returned, but for the error.
func results(a *answer, out []reflect.Value) error {
	if err, _ := out[len(out)-1].Interface().(error); err != nil {
		return err
	}
	for _, v := range out[:len(out)-1] {
		a.Results = append(a.Results, tensorOf(v))
	}
	return nil
}

// value is x as a Go value of type t: a number, a slice, or a tensor.
func value(t reflect.Type, x tensor) reflect.Value {
	v := reflect.New(t).Elem()
	switch t.Kind() {
	case reflect.Slice:
		v.Set(slice(t, x.Bits))
	case reflect.Struct:
		v.FieldByName("Data").Set(slice(v.FieldByName("Data").Type(), x.Bits))
		for i, n := range x.Shape {
			v.FieldByName("Shape").Index(i).SetInt(int64(n))
		}
	default:
		set(v, x.Bits[0])
	}
	return v
}

func slice(t reflect.Type, bits []uint64) reflect.Value {
	v := reflect.MakeSlice(t, len(bits), len(bits))
	for i, b := range bits {
		set(v.Index(i), b)
	}
	return v
}

func set(v reflect.Value, b uint64) {
	x := math.Float64frombits(b)
	switch {
	case v.CanFloat():
		v.SetFloat(x)
	case v.Kind() == reflect.Bool:
		v.SetBool(x != 0)
	default:
		v.SetInt(int64(x))
	}
}

func tensorOf(v reflect.Value) tensor {
	var out tensor
	if v.Kind() == reflect.Struct {
		for i := range v.FieldByName("Shape").Len() {
			out.Shape = append(out.Shape, int(v.FieldByName("Shape").Index(i).Int()))
		}
		v = v.FieldByName("Data")
	}
	if v.Kind() != reflect.Slice {
		out.Bits = []uint64{bitsOf(v)}
		return out
	}
	for i := range v.Len() {
		out.Bits = append(out.Bits, bitsOf(v.Index(i)))
	}
	return out
}

func bitsOf(v reflect.Value) uint64 {
	switch {
	case v.CanFloat():
		return math.Float64bits(v.Float())
	case v.Kind() == reflect.Bool:
		if v.Bool() {
			return math.Float64bits(1)
		}
		return 0
	}
	return math.Float64bits(float64(v.Int()))
}
