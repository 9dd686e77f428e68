//go:build ignore

// Trains a model whose gradients are consumed as they are produced, and does the
// same by Gradients and Apply, with the kernels of every target that there are.
package main

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	goruntime "runtime"
	"slices"

	"example.com/reference/consumed"
	"github.com/lmc-lang/lmc/runtime"
)

// An outcome is what the program prints.
type outcome struct {
	Path      string
	Differ    float64 // of weights, at most
	Loss      float64 // relative difference of the losses, at most
	Norm      float64 // relative difference of the norms, at most
	Mallocs   uint64  // of 20 steps
	SameBits  bool    // on one processor and on several
	NotFinite bool    // a gradient that is not finite is an error
	Kept      bool    // its elements stay, nothing becomes NaN, the others move, and the step does not count
	Unchanged bool    // where the loss is not finite nothing changes
}

func main() {
	var out []outcome
	for _, path := range []string{"portable", "amd64-avx2", "amd64-avx512"} {
		if o, ok := try(path); ok {
			out = append(out, o)
		}
	}
	json.NewEncoder(os.Stdout).Encode(out)
}

const batch = 37

func try(path string) (o outcome, ok bool) {
	o.Path = path
	ids, next := make([]int32, batch), make([]int32, batch)
	fill := func(step int) {
		for i := range ids {
			ids[i], next[i] = int32((i*i*7+step)%300), int32((i*31+step*5)%45001)
		}
	}
	w, v, u := consumed.InitWeights(1), consumed.InitWeights(1), consumed.InitWeights(1)
	a, b, c := consumed.NewStep(w, consumed.DefaultStepOptions()), consumed.NewStep(v, consumed.DefaultStepOptions()), consumed.NewStep(u, consumed.DefaultStepOptions())
	for _, s := range []*consumed.Step{a, b, c} {
		if s.UseKernels(path) != nil {
			return o, false
		}
	}
	grads := consumed.NewWeights()
	for step := range 4 {
		fill(step)
		r, err := a.Step(ids, next)
		must(err)
		procs := goruntime.GOMAXPROCS(1)
		_, err = c.Step(ids, next)
		must(err)
		goruntime.GOMAXPROCS(procs)
		loss, err := b.Gradients(ids, next, grads)
		must(err)
		norm, err := b.Apply(grads)
		must(err)
		o.Loss = max(o.Loss, math.Abs(float64(r.Loss-loss))/float64(loss))
		o.Norm = max(o.Norm, math.Abs(r.Norm-norm)/norm)
	}
	for i, x := range w.Data() {
		o.Differ = max(o.Differ, math.Abs(float64(x-v.Data()[i])))
	}
	o.SameBits = slices.Equal(w.Data(), u.Data())

	var before, after goruntime.MemStats
	goruntime.ReadMemStats(&before)
	for range 20 {
		_, err := a.Step(ids, next)
		must(err)
	}
	goruntime.ReadMemStats(&after)
	o.Mallocs = after.Mallocs - before.Mallocs

	w.Scale()[3] = 0 // the slope of its root is infinite
	old, steps := slices.Clone(w.Data()), a.Steps()
	_, err := a.Step(ids, next)
	var bad *runtime.NonFiniteError
	o.NotFinite = errors.As(err, &bad)
	moved := 0
	o.Kept = w.Scale()[3] == 0 && a.Steps() == steps
	for i, x := range w.Data() {
		o.Kept = o.Kept && x-x == 0
		if x != old[i] {
			moved++
		}
	}
	o.Kept = o.Kept && moved > len(old)/2

	w.Scale()[3] = -1 // its root is NaN, and so is the loss
	old = slices.Clone(w.Data())
	_, err = a.Step(ids, next)
	o.Unchanged = errors.As(err, &bad) && slices.Equal(old, w.Data())
	return o, true
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
