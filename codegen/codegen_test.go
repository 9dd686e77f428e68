package codegen

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/ir/loop"
)

var (
	n    = loop.N
	sym  = loop.Sym
	dims = func(ds ...loop.Dim) []loop.Dim { return ds }
)

func ref(space loop.Space, name string, off, length loop.Dim) loop.Ref {
	return loop.Ref{Space: space, Name: name, Off: off, Len: length}
}

// linreg is linear regression over N points with D features, with a step of
// gradient descent.
func linreg() *loop.Program {
	N, D := sym("N"), 10
	x := loop.Param{Name: "x", Shape: dims(N, n(D))}
	y := loop.Param{Name: "y", Shape: dims(N)}

	predict := loop.NewBuilder("predict")
	{
		b := predict
		b.K.Doc = "predict computes x @ w + b"
		X := b.Buffer("x", loop.F32, N.MulN(D), false)
		W := b.Buffer("w", loop.F32, n(D), false)
		B := b.Buffer("b", loop.F32, n(1), false)
		O := b.Buffer("out", loop.F32, N, true)
		lo, hi := b.NewVal(loop.Int, "lo"), b.NewVal(loop.Int, "hi")
		b.K.Grid = &loop.Grid{Lo: lo, Hi: hi, N: N, Grain: n(64)}
		b.For("i", loop.Bound{Val: lo}, loop.Bound{Val: hi}, 1, nil, func(i *loop.Val, _ []*loop.Val) []*loop.Val {
			s := b.Reduce("d", n(D), b.Load(B, loop.Index{}), func(d, acc *loop.Val) *loop.Val {
				return b.Do(loop.Add, acc, b.Do(loop.Mul, b.Load(X, loop.At(i).Scale(n(D)).Add(loop.At(d))), b.Load(W, loop.At(d))))
			})
			b.Store(O, loop.At(i), s)
			return nil
		})
	}
	mse := loop.NewBuilder("mse")
	{
		b := mse
		b.K.Doc = "mse computes the mean squared error and its gradient"
		P := b.Buffer("p", loop.F32, N, false)
		Y := b.Buffer("y", loop.F32, N, false)
		L := b.Buffer("loss", loop.F32, n(1), true)
		G := b.Buffer("gp", loop.F32, N, true)
		count := b.ConvertTo(loop.F32, b.SizeOf(N))
		sum := b.Reduce("i", N, b.Const(loop.F32, 0), func(i, acc *loop.Val) *loop.Val {
			e := b.Do(loop.Sub, b.Load(P, loop.At(i)), b.Load(Y, loop.At(i)))
			b.Store(G, loop.At(i), b.Do(loop.Div, b.Do(loop.Mul, e, b.Const(loop.F32, 2)), count))
			return b.Do(loop.Add, acc, b.Do(loop.Mul, e, e))
		})
		b.Store(L, loop.Index{}, b.Do(loop.Div, sum, count))
	}
	grad := loop.NewBuilder("gradient")
	{
		b := grad
		b.K.Doc = "gradient computes the gradient of the weights"
		X := b.Buffer("x", loop.F32, N.MulN(D), false)
		G := b.Buffer("gp", loop.F32, N, false)
		W := b.Buffer("gw", loop.F32, n(D), true)
		B := b.Buffer("gb", loop.F32, n(1), true)
		b.Range("d", n(D), func(d *loop.Val) {
			b.Store(W, loop.At(d), b.Reduce("i", N, b.Const(loop.F32, 0), func(i, acc *loop.Val) *loop.Val {
				return b.Do(loop.Add, acc, b.Do(loop.Mul, b.Load(X, loop.At(i).Scale(n(D)).Add(loop.At(d))), b.Load(G, loop.At(i))))
			}))
		})
		b.Store(B, loop.Index{}, b.Reduce("j", N, b.Const(loop.F32, 0), func(i, acc *loop.Val) *loop.Val {
			return b.Do(loop.Add, acc, b.Load(G, loop.At(i)))
		}))
	}
	sgd := loop.NewBuilder("sgd")
	{
		b := sgd
		b.K.Doc = "sgd computes w - lr*g"
		W := b.Buffer("w", loop.F32, n(D+1), false)
		G := b.Buffer("g", loop.F32, n(D+1), false)
		R := b.Buffer("lr", loop.F32, n(1), false)
		O := b.Buffer("out", loop.F32, n(D+1), true)
		b.K.InPlace = [][2]int{{0, 3}}
		b.Range("i", n(D+1), func(i *loop.Val) {
			b.Store(O, loop.At(i), b.Do(loop.Sub, b.Load(W, loop.At(i)), b.Do(loop.Mul, b.Load(R, loop.Index{}), b.Load(G, loop.At(i)))))
		})
	}
	host := loop.NewBuilder("host")
	{
		b := host
		b.K.Doc = "host computes the learning rate of a step"
		b.K.Wide = true
		b.Buffer("step", loop.I32, n(1), false)
		R := b.Buffer("options", loop.F32, n(1), false)
		b.Store(b.Buffer("scalars", loop.F32, n(1), true), loop.Index{}, b.Load(R, loop.Index{}))
	}
	w, bias := ref(loop.Weights, "", n(0), n(D)), ref(loop.Weights, "", n(D), n(1))
	p0, g0 := ref(loop.Arena, "", n(0), N), ref(loop.Arena, "", n(0), N)
	p0.Slot, g0.Slot = 1, 2
	predictProc := &loop.Proc{Name: "predict", Doc: "computes Predict", Dims: []string{"N"}, Steps: []loop.Step{
		&loop.Call{Kernel: predict.K, Args: []loop.Ref{ref(loop.Arg, "x", n(0), N.MulN(D)), w, bias, ref(loop.Result, "out", n(0), N)}},
	}}
	lossProc := &loop.Proc{Name: "stepLoss", Doc: "computes the loss of Step and its gradients", Dims: []string{"N"},
		Slots: []loop.Slot{{Size: N, First: 1, Last: 2}, {Size: N, First: 2, Last: 3}}, Steps: []loop.Step{
			&loop.Call{Kernel: predict.K, Args: []loop.Ref{ref(loop.Arg, "x", n(0), N.MulN(D)), w, bias, p0}},
			&loop.Call{Kernel: mse.K, Args: []loop.Ref{p0, ref(loop.Arg, "y", n(0), N), ref(loop.Result, "loss", n(0), n(1)), g0}},
			&loop.Call{Kernel: grad.K, Args: []loop.Ref{ref(loop.Arg, "x", n(0), N.MulN(D)), g0,
				ref(loop.Grads, "", n(0), n(D)), ref(loop.Grads, "", n(D), n(1))}},
		}}
	all := n(D + 1)
	apply := &loop.Proc{Name: "stepApply", Doc: "updates the weights", Steps: []loop.Step{
		&loop.Call{Kernel: sgd.K, Args: []loop.Ref{ref(loop.Weights, "", n(0), all), ref(loop.Grads, "", n(0), all),
			ref(loop.Scalars, "", n(0), n(1)), ref(loop.Weights, "", n(0), all)}},
	}}
	bind := []loop.Bind{{Sym: "N", Arg: 0, Axis: 0}}
	return &loop.Program{
		API: &loop.API{
			Package: "linreg", Model: "LinReg", Source: "linreg.lm", Hash: "0123456789abcdef",
			Doc: "Package linreg fits a hyperplane.",
			Weights: []*loop.Weight{
				{Path: "w", Shape: dims(n(D)), Init: loop.Init{Kind: "const", Args: []float64{0}}},
				{Path: "b", Offset: D, Doc: "b is the value at the origin."},
			},
			Entries: []*loop.Entry{{
				Name: "Predict", Doc: "Predict computes x @ w + b.", Args: []loop.Param{x}, Results: []loop.Param{{Name: "out", Shape: dims(N)}},
				Dims: bind, Proc: predictProc, FLOPs: N.MulN(2 * D),
			}},
			Trainers: []*loop.Trainer{{
				Name: "Step", Loss: &loop.Entry{Name: "Loss", Args: []loop.Param{x, y}, Results: []loop.Param{{Name: "loss"}}, Dims: bind, Proc: lossProc, FLOPs: N.MulN(6 * D)},
				Options: []loop.Option{{Name: "LR", Doc: "learning rate", Default: 0.01}}, Scalars: []string{"lr"}, Host: host.K,
				Apply: apply, Updates: []int{0, 1}, Accumulate: 1,
			}},
		},
		Kernels: []*loop.Kernel{predict.K, mse.K, grad.K, sgd.K},
		Procs:   []*loop.Proc{predictProc, lossProc, apply},
	}
}

// compile generates packages into one module, vets it and runs the tests that
// testdata/run has for them. The result runs other go commands in the module.
func compile(t *testing.T, goVersion string, opt Options, programs ...*loop.Program) func(env string, args ...string) {
	dir := t.TempDir()
	if d := os.Getenv("LMC_KEEP"); d != "" {
		dir = d
	}
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	mod := "module example.com/m\n\ngo " + goVersion + "\n"
	if !opt.Standalone {
		mod += "\nrequire github.com/lmc-lang/lmc v0.0.0\n\nreplace github.com/lmc-lang/lmc => " + root + "\n"
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte(mod), 0o666))
	for _, p := range programs {
		p := p
		o := opt
		o.ImportPath = "example.com/m/" + p.API.Package
		files, err := Generate(p, o)
		require.NoError(t, err)
		require.NoError(t, Check(files, o.ImportPath))
		_, err = Write(filepath.Join(dir, p.API.Package), files)
		require.NoError(t, err)
		src, err := os.ReadFile(filepath.Join("testdata", "run", p.API.Package+".go"))
		if err == nil {
			if !opt.Standalone {
				src = []byte(strings.ReplaceAll(string(src), o.ImportPath+"/runtime", Module+"/runtime"))
			}
			if p.API.Float64 {
				src = []byte(strings.ReplaceAll(string(src), "float32", "float64"))
			}
			require.NoError(t, os.WriteFile(filepath.Join(dir, p.API.Package, "run_test.go"), src, 0o666))
		}
	}
	run := func(env string, args ...string) {
		cmd := exec.Command("go", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off", env)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s go %s: %s", env, strings.Join(args, " "), strings.TrimSpace(string(out)))
	}
	run("", "vet", "./...")
	run("", "test", "./...")
	return run
}

func TestGeneratedPackages(t *testing.T) {
	require.NoError(t, linreg().Verify(map[string]int{"N": 100}))
	require.NoError(t, tiny().Verify(map[string]int{"B": 2, "T": 3, "P": 1, "N": 5}))
	wide := tiny()
	wide.API.Package, wide.API.Float64 = "tiny64", true
	compile(t, "1.26.0", Options{Tests: true}, linreg(), tiny(), wide)
}

func TestStandalone(t *testing.T) {
	compile(t, "1.24", Options{Tests: true, Standalone: true}, linreg())
}
