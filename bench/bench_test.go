package main

import (
	"os"
	"testing"

	"github.com/lmc-lang/lmc/ir/loop"
)

// TestWorkloads computes the first losses, results and tokens of the workloads,
// which must be those of PyTorch. What takes long is left to the command, which
// compares them, too.
func TestWorkloads(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles several programs")
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	m, err := newModule(here, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	quick := map[string]int{ // how many losses
		"W1.train1000": 1, "W2.train": 5, "W2.infer": 0, "W3.train": 2, "W3.infer": 0, "W4.infer": 0,
		"W5.train": 2, "W5.infer": 0, "W6.train.B1": 1, "W6.decode": 0, "W9.infer": 0, "W10.train": 3,
	}
	for _, w := range workloads {
		n, ok := quick[w.name]
		if !ok {
			continue
		}
		if err := m.add(w); err != nil {
			t.Fatalf("%s: %v", w.name, err)
		}
		some := *w
		some.losses = w.losses[:n]
		r, err := m.run(&some, options{}, 2, "", "-check")
		if err != nil {
			t.Errorf("%s: %v", w.name, err)
		} else if bad := w.wrong(r); bad != "" {
			t.Errorf("%s: %s", w.name, bad)
		}
	}
}

// TestProducts compiles the shapes of the matrix products.
func TestProducts(t *testing.T) {
	m := &module{dir: t.TempDir(), programs: map[string]*loop.Program{}}
	if err := m.compileText("gemm", source{text: "gemm.lm"}, gemmText(products())); err != nil {
		t.Fatal(err)
	}
}
