//go:build ignore

// Command driver does what requests on its standard input say, one JSON value
// each, with generated packages, which it reaches by reflection: one program
// serves every signature.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math"
	"os"
	"reflect"

	"github.com/lmc-lang/lmc/runtime"
)

type tensor struct {
	Shape []int    `json:"shape"`
	Bits  []uint32 `json:"bits"`
}

type request struct {
	Package string   `json:"package"`
	Do      string   `json:"do"`
	Name    string   `json:"name"`
	File    string   `json:"file"`
	Like    string   `json:"like"`
	Args    []tensor `json:"args"`
}

type answer struct {
	Results []tensor `json:"results"`
	Error   string   `json:"error"`
}

// A model is a package with its weights, session and trainers.
type model struct {
	api      map[string]any
	weights  reflect.Value
	session  reflect.Value
	trainers map[string]reflect.Value
}

var models = map[string]*model{}

func (m *model) function(name string, args ...reflect.Value) reflect.Value {
	return reflect.ValueOf(m.api[name]).Call(args)[0]
}

func modelOf(name string) *model {
	if models[name] == nil {
		m := &model{api: packages[name], trainers: map[string]reflect.Value{}}
		m.use(m.function("NewWeights"))
		models[name] = m
	}
	return models[name]
}

func (m *model) use(weights reflect.Value) {
	m.weights = weights
	m.session = m.function("NewSession", weights)
	clear(m.trainers)
}

func (m *model) trainer(name string) reflect.Value {
	t, ok := m.trainers[name]
	if !ok {
		t = m.function("New"+name, m.weights, m.function("Default"+name+"Options"))
		m.trainers[name] = t
	}
	return t
}

func main() {
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var r request
		if err := in.Decode(&r); err == io.EOF {
			return
		} else if err != nil {
			log.Fatal(err)
		}
		results, err := serve(r)
		a := answer{Results: results}
		if err != nil {
			a.Error = err.Error()
		}
		if err := out.Encode(a); err != nil {
			log.Fatal(err)
		}
	}
}

func serve(r request) (results []tensor, err error) {
	defer func() {
		if x := recover(); x != nil {
			err = fmt.Errorf("panic: %v", x)
		}
	}()
	m := modelOf(r.Package)
	switch r.Do {
	case "init": // new weights, by seed 1
		m.use(m.function("InitWeights", reflect.ValueOf(uint64(1))))
	case "load": // weights from a file, by the names block
		f, err := os.Open(r.File)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return nil, failed(m.weights.MethodByName("Load" + r.Name).Call([]reflect.Value{reflect.ValueOf(f)}))
	case "save": // weights to a file, by the names block
		return nil, save(m.weights, r)
	case "set": // all weights
		data := m.weights.MethodByName("Data").Call(nil)[0]
		reflect.Copy(data, value(data.Type(), r.Args[0]))
	case "data": // all weights
		return []tensor{tensorOf(m.weights.MethodByName("Data").Call(nil)[0])}, nil
	case "reset": // the caches of the session
		m.session.MethodByName("Reset").Call(nil)
	case "call":
		return call(m.session.MethodByName(r.Name), r.Args, 0)
	case "gradients": // into a file, by the names block; Name is trainer and block
		into := m.function("NewWeights")
		var trainer, names string
		if _, err := fmt.Sscan(r.Name, &trainer, &names); err != nil {
			return nil, err
		}
		out, err := call(m.trainer(trainer).MethodByName("Gradients"), r.Args, 1, into)
		if err != nil {
			return nil, err
		}
		r.Name = names
		return out, save(into, r)
	case "derivative": // the loss, and its gradient for all weights
		into := m.function("NewWeights")
		out, err := call(m.trainer(r.Name).MethodByName("Gradients"), r.Args, 1, into)
		return append(out, tensorOf(into.MethodByName("Data").Call(nil)[0])), err
	case "step":
		out, err := call(m.trainer(r.Name).MethodByName("Step"), r.Args, 0)
		return out, err
	default:
		return nil, fmt.Errorf("what is %q", r.Do)
	}
	return nil, nil
}

// failed is the error among the results of a call.
func failed(out []reflect.Value) error {
	err, _ := out[len(out)-1].Interface().(error)
	return err
}

func save(weights reflect.Value, r request) error {
	f, err := os.Create(r.File)
	if err != nil {
		return err
	}
	g, err := os.Open(r.Like)
	if err != nil {
		return err
	}
	defer g.Close()
	like, err := runtime.ReadSafetensors(g)
	if err != nil {
		return err
	}
	write := weights.MethodByName("Write" + r.Name)
	if err := failed(write.Call([]reflect.Value{reflect.ValueOf(f), reflect.ValueOf(like)})); err != nil {
		return err
	}
	return f.Close()
}

// call calls f with a nil destination for each tensor among the results, the
// arguments, more, and a seed if f takes one.
func call(f reflect.Value, args []tensor, trailing int, more ...reflect.Value) ([]tensor, error) {
	t := f.Type()
	dsts := t.NumIn() - len(args) - trailing
	seed := dsts > 0 && t.In(t.NumIn()-1).Kind() == reflect.Uint64
	if seed {
		dsts--
	}
	var in []reflect.Value
	for i := range dsts {
		in = append(in, reflect.Zero(t.In(i)))
	}
	for _, a := range args {
		in = append(in, value(t.In(len(in)), a))
	}
	in = append(in, more...)
	if seed {
		in = append(in, reflect.ValueOf(uint64(1)))
	}
	out := f.Call(in)
	if err := failed(out); err != nil {
		return nil, err
	}
	var results []tensor
	for _, v := range out[:len(out)-1] {
		if v.Kind() == reflect.Struct && !v.FieldByName("Data").IsValid() {
			v = v.FieldByName("Loss") // of the result of a step
		}
		results = append(results, tensorOf(v))
	}
	return results, nil
}

// value is a as a Go value of type t: a number, a slice, or a tensor.
func value(t reflect.Type, a tensor) reflect.Value {
	v := reflect.New(t).Elem()
	switch t.Kind() {
	case reflect.Slice:
		v.Set(slice(t, a.Bits))
	case reflect.Struct:
		v.FieldByName("Data").Set(slice(v.FieldByName("Data").Type(), a.Bits))
		for i, n := range a.Shape {
			v.FieldByName("Shape").Index(i).SetInt(int64(n))
		}
	default:
		set(v, a.Bits[0])
	}
	return v
}

func slice(t reflect.Type, bits []uint32) reflect.Value {
	v := reflect.MakeSlice(t, len(bits), len(bits))
	for i, b := range bits {
		set(v.Index(i), b)
	}
	return v
}

func set(v reflect.Value, b uint32) {
	switch v.Kind() {
	case reflect.Float32, reflect.Float64:
		v.SetFloat(float64(math.Float32frombits(b)))
	case reflect.Bool:
		v.SetBool(b != 0)
	default:
		v.SetInt(int64(int32(b)))
	}
}

func tensorOf(v reflect.Value) tensor {
	out := tensor{Shape: []int{}}
	data := v
	switch v.Kind() {
	case reflect.Struct:
		data = v.FieldByName("Data")
		for i := range v.FieldByName("Shape").Len() {
			out.Shape = append(out.Shape, int(v.FieldByName("Shape").Index(i).Int()))
		}
	case reflect.Slice:
		out.Shape = append(out.Shape, v.Len())
	default:
		out.Bits = append(out.Bits, bitsOf(v))
		return out
	}
	for i := range data.Len() {
		out.Bits = append(out.Bits, bitsOf(data.Index(i)))
	}
	return out
}

func bitsOf(v reflect.Value) uint32 {
	switch v.Kind() {
	case reflect.Float32, reflect.Float64:
		return math.Float32bits(float32(v.Float()))
	case reflect.Bool:
		if v.Bool() {
			return 1
		}
		return 0
	}
	return uint32(int32(v.Int()))
}
