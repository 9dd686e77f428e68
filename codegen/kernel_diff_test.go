package codegen

import (
	"bytes"
	"encoding/gob"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/loop/looptest"
)

// A diffCall is one run of a printed kernel in the program under test.
type diffCall struct {
	Func  string
	Bufs  []diffMem
	Ints  []int
	N     int // of the grid, -1 without
	Chunk int // pieces at once
}

// A diffMem is memory as gob can send it.
type diffMem struct {
	F32 []float32
	F64 []float64
	I32 []int32
	B   []bool
}

func wrapMem(m loop.Mem) (d diffMem) {
	switch m := m.(type) {
	case []float32:
		d.F32 = m
	case []float64:
		d.F64 = m
	case []int32:
		d.I32 = m
	case []bool:
		d.B = m
	}
	return d
}

// sameBits compares floats by bits, NaN with NaN.
func sameBits(a, b diffMem) bool {
	f32 := func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) || x != x && y != y }
	f64 := func(x, y float64) bool { return math.Float64bits(x) == math.Float64bits(y) || x != x && y != y }
	return slices.EqualFunc(a.F32, b.F32, f32) && slices.EqualFunc(a.F64, b.F64, f64) && slices.Equal(a.I32, b.I32) && slices.Equal(a.B, b.B)
}

const diffMain = `
type mem struct {
	F32 []float32
	F64 []float64
	I32 []int32
	B   []bool
}

type call struct {
	Func  string
	Bufs  []mem
	Ints  []int
	N     int
	Chunk int
}

func main() {
	var calls []call
	if err := gob.NewDecoder(os.Stdin).Decode(&calls); err != nil {
		panic(err)
	}
	for i := range calls {
		c := &calls[i]
		f := funcs[c.Func]
		switch {
		case c.N < 0:
			f(c.Bufs, c.Ints, 0, 0)
		case c.Chunk == 0:
			f(c.Bufs, c.Ints, 0, c.N)
		default:
			for lo := 0; lo < c.N; lo += c.Chunk {
				f(c.Bufs, c.Ints, lo, min(lo+c.Chunk, c.N))
			}
		}
	}
	if err := gob.NewEncoder(os.Stdout).Encode(calls); err != nil {
		panic(err)
	}
}
`

// TestPrintedKernelsAgreeWithTheInterpreter compiles every form of every op,
// the samples and random kernels, all in one program, and compares bits.
func TestPrintedKernelsAgreeWithTheInterpreter(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles a program")
	}
	cases := append(looptest.Ops(), looptest.Samples()...)
	for seed := range uint64(150) {
		cases = append(cases, looptest.Random(seed))
	}
	var funcs, table strings.Builder
	var calls []diffCall
	var want [][]diffMem
	var about []string
	printed := map[string]bool{}
	for _, c := range cases {
		for _, wide := range []bool{false, true} {
			k := c.Kernel
			name := k.Name + map[bool]string{false: "Narrow", true: "Double"}[wide]
			if !printed[name] {
				printed[name] = true
				text, err := PrintKernel(k, name, wide)
				require.NoError(t, err, "%s", k)
				again, err := PrintKernel(k, name, wide)
				require.NoError(t, err)
				require.Equal(t, text, again, "not deterministic")
				funcs.WriteString(text + "\n\n")
				fmt.Fprintf(&table, "\t%q: func(b []mem, n []int, lo, hi int) { %s },\n", name, diffCallText(k, name, wide))
			}
			mem := c.Memory(wide)
			require.NoError(t, loop.Run(k, c.Dims, wide, mem, c.Ints))
			var out []diffMem
			for _, m := range mem {
				out = append(out, wrapMem(m))
			}
			ints := []int{}
			for _, s := range KernelSyms(k) {
				ints = append(ints, c.Dims[s])
			}
			ints = append(ints, c.Ints...)
			n := -1
			if k.Grid != nil {
				var err error
				n, err = k.Grid.N.Eval(c.Dims)
				require.NoError(t, err)
			}
			for _, chunk := range []int{0, 2} {
				if chunk > 0 && (n < 0 || strings.HasPrefix(k.Name, "random")) {
					continue
				}
				var in []diffMem
				for _, m := range c.Memory(wide) {
					in = append(in, wrapMem(m))
				}
				calls = append(calls, diffCall{name, in, ints, n, chunk})
				want = append(want, out)
				about = append(about, fmt.Sprintf("%s %v, chunks of %d", name, c.Dims, chunk))
			}
		}
	}
	got := runDiff(t, funcs.String(), table.String(), calls)
	require.Len(t, got, len(want))
	for i := range want {
		for b := range want[i] {
			require.True(t, sameBits(want[i][b], got[i].Bufs[b]), "%s: buffer %d\nwant %v\ngot  %v\n%s",
				about[i], b, want[i][b], got[i].Bufs[b], functionNamed(funcs.String(), calls[i].Func))
		}
	}
}

func functionNamed(text, name string) string {
	_, after, _ := strings.Cut(text, "\nfunc "+name+"(")
	body, _, _ := strings.Cut(after, "\n}\n")
	return "func " + name + "(" + body + "\n}"
}

// diffCallText calls a printed kernel with memory b and integers n.
func diffCallText(k *loop.Kernel, name string, wide bool) string {
	var args []string
	for i, b := range k.Bufs {
		field := "F32"
		switch {
		case b.Elem == loop.I32:
			field = "I32"
		case b.Elem == loop.Bool:
			field = "B"
		case wide || k.Wide:
			field = "F64"
		}
		args = append(args, fmt.Sprintf("b[%d].%s", i, field))
	}
	for i := range len(KernelSyms(k)) + len(k.Ints) {
		args = append(args, fmt.Sprintf("n[%d]", i))
	}
	if k.Grid != nil {
		args = append(args, "lo", "hi")
	}
	return name + "(" + strings.Join(args, ", ") + ")"
}

// kernelsHead begins a file of printed kernels.
const kernelsHead = "package main\n\nimport (\n\t\"cmp\"\n\t\"math\"\n\n\t\"" + Module + "/runtime\"\n)\n\nvar _, _, _ = cmp.Compare[int], math.Pi, runtime.Exp32\n\n"

// newProgram writes the files, by name, of a program with printed kernels. The
// result runs go commands there.
func newProgram(t *testing.T, files map[string]string) (dir string, goTool func(args ...string) []byte) {
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	dir = t.TempDir()
	files["go.mod"] = "module kernels\n\ngo 1.24\n\nrequire " + Module + " v0.0.0\n\nreplace " + Module + " => " + root + "\n"
	for name, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	return dir, func(args ...string) []byte {
		cmd := exec.Command("go", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return out
	}
}

// runDiff builds and vets a program of the kernels and runs calls in it.
func runDiff(t *testing.T, funcs, table string, calls []diffCall) []diffCall {
	dir, goTool := newProgram(t, map[string]string{
		"kernels.go": kernelsHead + funcs,
		"main.go":    "package main\n\nimport (\n\t\"encoding/gob\"\n\t\"os\"\n)\n" + diffMain + "\nvar funcs = map[string]func(b []mem, n []int, lo, hi int){\n" + table + "}\n",
	})
	goTool("vet", "-assign=false", "-bools=false", ".") // random kernels store what they loaded, and so on
	goTool("build", "-o", "diff", ".")
	var in, out, stderr bytes.Buffer
	require.NoError(t, gob.NewEncoder(&in).Encode(calls))
	cmd := exec.Command(filepath.Join(dir, "diff"))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = &in, &out, &stderr
	require.NoError(t, cmd.Run(), "%s", &stderr)
	var got []diffCall
	require.NoError(t, gob.NewDecoder(&out).Decode(&got))
	return got
}
