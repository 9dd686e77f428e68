//go:build ignore

// Changes weights in every way there is, and compares a session that was there
// before with a new one on a copy of the weights.
package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"example.com/reference/prepared"
	rt "github.com/lmc-lang/lmc/runtime"
)

func main() {
	for _, path := range []string{"portable", "amd64-avx2", "amd64-avx512"} {
		if prepared.NewSession(prepared.NewWeights()).UseKernels(path) == nil {
			check(path)
			atOnce(path)
		}
	}
	freed()
}

func must[T any](x T, err error) T {
	if err != nil {
		panic(err)
	}
	return x
}

func input(rows, columns int) rt.Tensor2[float32] {
	x := rt.NewTensor2[float32](nil, rows, columns)
	for i := range x.Data {
		x.Data[i] = float32(i%17)/8 - 1
	}
	return x
}

func session(w *prepared.Weights, path string) *prepared.Session {
	s := prepared.NewSession(w)
	if err := s.UseKernels(path); err != nil {
		panic(err)
	}
	return s
}

// run is all that a session computes.
func run(s *prepared.Session) []float32 {
	y := slices.Clone(must(s.Few(nil, input(5, 7))).Data)
	y = append(y, must(s.Many(nil, input(90, 7))).Data...)
	return append(y, must(s.Scores(nil, input(3, 7))).Data...)
}

func check(path string) {
	w := prepared.InitWeights(1)
	s := session(w, path)
	last := []float32{}
	same := func(after string, changed bool) {
		got, want := run(s), run(session(w.Clone(), path))
		if !slices.Equal(got, want) {
			fmt.Printf("%s: after %s the session does not see the weights\n", path, after)
			os.Exit(1)
		}
		if slices.Equal(got, last) == changed {
			fmt.Printf("%s: %s: changed is %v\n", path, after, !changed)
			os.Exit(1)
		}
		last = got
	}
	same("the beginning", true)
	same("nothing", false)

	t := prepared.NewStep(w, prepared.DefaultStepOptions())
	x, y := input(4, 7), input(4, 64)
	must(t.Step(x, y))
	same("a step", true)
	var checkpoint, file, other bytes.Buffer
	if err := t.Save(&checkpoint); err != nil {
		panic(err)
	}
	must(w.WriteTo(&file))
	must(w.WriteOther(&other, nil))
	kept := bytes.Clone(file.Bytes())
	must(t.Step(x, y))
	same("another step", true)
	grads := prepared.NewWeights()
	must(t.Gradients(x, y, grads))
	same("gradients", false)
	must(t.Apply(grads))
	same("Apply", true)
	if err := t.Load(&checkpoint); err != nil {
		panic(err)
	}
	same("loading a checkpoint", true)
	must(t.Step(x, y))
	same("a step after it", true)
	if err := w.Load(&file); err != nil {
		panic(err)
	}
	same("Load", true)
	must(t.Step(x, y))
	same("a step after that", true)
	if err := w.LoadOther(&other); err != nil {
		panic(err)
	}
	same("LoadOther", true)
	if n := testing.AllocsPerRun(20, func() { fill(s) }); n > 0 {
		fmt.Printf("%s: a call allocates %v times\n", path, n)
		os.Exit(1)
	}

	// Gradients are weights, too, and a session may use them.
	g := session(grads, path)
	before := run(g)
	must(t.Gradients(input(6, 7), input(6, 64), grads))
	if got := run(g); slices.Equal(got, before) || !slices.Equal(got, run(session(grads.Clone(), path))) {
		fmt.Printf("%s: a session does not see gradients\n", path)
		os.Exit(1)
	}

	// Views, kept for later.
	view := w.OutW()
	all := w.Data()
	same("asking for views", false)
	view.Data[5]++
	same("writing to a view", true)
	all[3]++
	same("writing to another", true)
	if n := testing.AllocsPerRun(20, func() { fill(s) }); n > 0 {
		fmt.Printf("%s: a call with views about allocates %v times\n", path, n)
		os.Exit(1)
	}
	all[4]++
	w.Changed()
	same("Changed", true)
	for v := range w.All() {
		v.Data[0] += 0.5
		same("writing to "+v.Name, v.Name != "")
	}
	w.Changed()
	must(t.Step(x, y))
	same("a step after Changed", true)
	if err := w.Load(bytes.NewReader(kept)); err != nil {
		panic(err)
	}
	same("Load after Changed", true)
	for _, p := range []string{"portable", path} {
		if err := s.UseKernels(p); err != nil {
			panic(err)
		}
		if !slices.Equal(run(s), run(session(w.Clone(), p))) {
			fmt.Printf("%s: other kernels see other weights\n", path)
			os.Exit(1)
		}
	}
}

var few, many = make([]float32, 0, 5*64), make([]float32, 0, 90*64)

func fill(s *prepared.Session) {
	must(s.Few(few, fewInput))
	must(s.Many(many, manyInput))
}

var fewInput, manyInput = input(5, 7), input(90, 7)

// atOnce runs sessions of both kinds of kernels on the same weights, while others
// ask for views.
func atOnce(path string) {
	w := prepared.InitWeights(2)
	t := prepared.NewStep(w, prepared.DefaultStepOptions())
	for round := range 4 {
		want := map[string][]float32{}
		for _, p := range []string{path, "portable"} {
			want[p] = run(session(w.Clone(), p))
		}
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				p := path
				if i%3 == 2 {
					p = "portable"
				}
				s := session(w, p)
				for k := range 3 {
					if !slices.Equal(run(s), want[p]) {
						fmt.Printf("%s: sessions at once differ\n", p)
						os.Exit(1)
					}
					if i == 0 && k == 1 && round == 2 {
						_ = w.OutB()[0]
					}
				}
			})
		}
		wg.Wait()
		must(t.Step(input(4, 7), input(4, 64)))
	}
}

// freed: what is prepared goes with the weights.
func freed() {
	done := make(chan bool)
	func() {
		w := prepared.InitWeights(1)
		run(prepared.NewSession(w))
		runtime.AddCleanup(w, func(done chan bool) { close(done) }, done)
	}()
	for range 100 {
		runtime.GC()
		select {
		case <-done:
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
	fmt.Println("the weights are not freed")
	os.Exit(1)
}
