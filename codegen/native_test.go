package codegen

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/codegen/amd64"
	"github.com/lmc-lang/lmc/ir/loop"
)

// formed is linreg with native forms that are as different from the portable
// ones as they may be: predict has another grid and local memory, mse has a grid
// for one target only, gradient may fault, sgd is just the same.
func formed() *loop.Program {
	p := linreg()
	N, D := sym("N"), 10
	predict := loop.NewBuilder("predict")
	{
		b := predict
		X := b.Buffer("x", loop.F32, N.MulN(D), false)
		W := b.Buffer("w", loop.F32, n(D), false)
		B := b.Buffer("b", loop.F32, n(1), false)
		O := b.Buffer("out", loop.F32, N, true)
		rows, flags, more := b.Local("rows", loop.F32, n(4)), b.Local("flags", loop.Bool, n(3)), b.Local("more", loop.F32, N)
		lo, hi := b.NewVal(loop.Int, "lo"), b.NewVal(loop.Int, "hi")
		b.K.Grid = &loop.Grid{Lo: lo, Hi: hi, N: N.AddN(3).FloorDiv(n(4)), Grain: n(5)}
		b.For("block", loop.Bound{Val: lo}, loop.Bound{Val: hi}, 1, nil, func(i *loop.Val, _ []*loop.Val) []*loop.Val {
			b.Range("j", n(4), func(j *loop.Val) {
				row := b.Do(loop.Add, b.Do(loop.Mul, i, b.SizeOf(n(4))), j)
				b.If(b.Do(loop.Lt, row, b.SizeOf(N)), func() []*loop.Val {
					s := b.Reduce("d", n(D), b.Load(B, loop.Index{}), func(d, acc *loop.Val) *loop.Val {
						return b.Do(loop.Add, acc, b.Do(loop.Mul, b.Load(X, loop.At(row).Scale(n(D)).Add(loop.At(d))), b.Load(W, loop.At(d))))
					})
					b.Store(rows, loop.At(j), s)
					b.Store(more, loop.At(row), s)
					b.Store(flags, loop.Index{}, b.Do(loop.Lt, row, b.SizeOf(N)))
					b.Store(O, loop.At(row), b.Load(rows, loop.At(j)))
					return nil
				}, func() []*loop.Val { return nil })
			})
			return nil
		})
	}
	same := func(k *loop.Kernel) *loop.Kernel { c := *k; c.Native = nil; return &c }
	once := same(p.Kernels[1])
	once.Grid = &loop.Grid{Lo: &loop.Val{ID: 1000, Elem: loop.Int, Name: "lo"}, Hi: &loop.Val{ID: 1001, Elem: loop.Int, Name: "hi"}, N: n(1), Grain: n(1)}
	faulty := same(p.Kernels[2])
	at, size, checked := &loop.Val{ID: 1000, Elem: loop.Int}, &loop.Val{ID: 1001, Elem: loop.Int}, &loop.Val{ID: 1002, Elem: loop.Int}
	faulty.Body = append([]loop.Stmt{
		&loop.Instr{Op: loop.Size, Dst: at, Dim: n(3)}, &loop.Instr{Op: loop.Size, Dst: size, Dim: n(5)},
		&loop.Instr{Op: loop.Check, Dst: checked, Args: []*loop.Val{at, size}},
	}, faulty.Body...)
	p.Kernels[0].Native = []loop.Native{{Target: loop.AVX512, Kernel: predict.K}, {Target: loop.AVX2, Kernel: predict.K}}
	p.Kernels[1].Native = []loop.Native{{Target: loop.AVX512, Kernel: once}}
	p.Kernels[2].Native = []loop.Native{{Target: loop.AVX512, Kernel: faulty}, {Target: loop.AVX2, Kernel: faulty}}
	p.Kernels[3].Native = []loop.Native{{Target: loop.AVX512, Kernel: same(p.Kernels[3])}, {Target: loop.AVX2, Kernel: same(p.Kernels[3])}}
	return p
}

// goPrinter is a printer whose functions are Go: what calls them can be tested
// with scalar kernels.
func goPrinter(k *loop.Kernel, t *loop.Target, name string, syms []string) (asm, stub string, err error) {
	inner := name + "Body"
	text, err := PrintKernel(k, inner, false)
	if err != nil {
		return "", "", err
	}
	bufs := func(bs []*loop.Buffer) (out []string) {
		for _, b := range bs {
			out = append(out, b.Name+" []"+map[loop.Elem]string{loop.F32: "float32", loop.I32: "int32", loop.Bool: "bool"}[b.Elem])
		}
		return out
	}
	n := len(k.Arguments())
	params := bufs(k.Arguments())
	args := []string{}
	for _, b := range k.Arguments() {
		args = append(args, b.Name)
	}
	for _, s := range syms {
		params = append(params, s+" int")
	}
	args = append(args, KernelSyms(k)...)
	for _, b := range k.Bufs[n:] {
		args = append(args, b.Name)
	}
	params = append(params, bufs(k.Bufs[n:])...)
	if k.Grid != nil {
		params, args = append(params, "lo int", "hi int"), append(args, "lo", "hi")
	}
	result, last := "", ""
	if amd64.Faults(k) {
		result, last = "(bad, n int)", "; return"
	}
	stub = fmt.Sprintf("%s\n\nfunc %s(%s) %s { %s(%s)%s }", text, name, strings.Join(params, ", "), result, inner, strings.Join(args, ", "), last)
	return "// " + name, stub, nil
}

func TestNativeForms(t *testing.T) {
	require.NoError(t, formed().Verify(map[string]int{"N": 100}))
	run := compile(t, "1.26.0", Options{Tests: true}, formed())
	for _, target := range loop.Targets {
		run("LMC_TARGET="+target.Name, "test", "-count=1", "./...")
	}
	run("LMC_TARGET=portable", "test", "-count=1", "./...")
	run("", "test", "-tags=purego", "./...")
	run("GOARCH=arm64", "vet", "./...")
	run("GOOS=windows", "vet", "./...")
	compile(t, "1.26.0", Options{Tests: true, print: goPrinter}, formed())
	compile(t, "1.24", Options{Tests: true, Standalone: true, print: goPrinter}, formed())
}

// fileNames are the names of files.
func fileNames(files []File) (out []string) {
	for _, f := range files {
		out = append(out, f.Name)
	}
	return out
}

func TestNativeFiles(t *testing.T) {
	files, err := Generate(formed(), Options{print: goPrinter})
	require.NoError(t, err)
	assert.Subset(t, fileNames(files), []string{"kernel_table_gen.go", "kernels_amd64.go", "kernels_avx2_amd64.s", "kernels_avx512_amd64.s", "kernels_other.go"})
	for _, f := range files {
		assert.True(t, generated(f.Data), f.Name)
		switch f.Name {
		case "kernels_amd64.go":
			assert.Contains(t, string(f.Data), "\n\n//go:build amd64 && !purego\n\npackage linreg\n")
		case "kernels_other.go":
			assert.Contains(t, string(f.Data), "\n\n//go:build !amd64 || purego\n\npackage linreg\n")
		case "kernels_avx512_amd64.s":
			assert.Contains(t, string(f.Data), "\n\n//go:build !purego\n\n"+amd64.Header+"\n// predictAVX512\n")
		}
	}

	none := func(what string, p *loop.Program, opt Options) {
		t.Helper()
		files, err := Generate(p, opt)
		require.NoError(t, err)
		assert.NotContains(t, fileNames(files), "kernels_amd64.go", what)
		require.NoError(t, Check(files, ""))
	}
	none("portable output", formed(), Options{Portable: true, print: goPrinter})
	wide := formed()
	wide.API.Float64 = true
	none("float64", wide, Options{print: goPrinter})
	var refused []string
	none("the printer refuses", formed(), Options{
		print: func(*loop.Kernel, *loop.Target, string, []string) (string, string, error) {
			return "", "", errors.New("no registers")
		},
		Refused: func(k string, t *loop.Target, why error) { refused = append(refused, k+" "+t.Name+": "+why.Error()) },
	})
	assert.Equal(t, "predict amd64-avx512: no registers", refused[0])
	assert.Len(t, refused, 7)
}
