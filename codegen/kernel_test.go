package codegen

import (
	"fmt"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/loop/looptest"
)

// printedSamples prints every sample once.
func printedSamples(t *testing.T) string {
	var out strings.Builder
	seen := map[string]bool{}
	for _, c := range looptest.Samples() {
		if !seen[c.Kernel.Name] {
			seen[c.Kernel.Name] = true
			text, err := PrintKernel(c.Kernel, c.Kernel.Name, false)
			require.NoError(t, err)
			out.WriteString(text + "\n\n")
		}
	}
	return out.String()
}

// TestPrintedKernelsGolden shows reviewers how kernels look.
func TestPrintedKernelsGolden(t *testing.T) {
	const file = "testdata/kernels.golden"
	got := printedSamples(t)
	if *update {
		require.Empty(t, os.Getenv("CI"), "goldens are not rewritten in CI")
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

// TestNoBoundsChecksInInnermostLoops asks the compiler.
func TestNoBoundsChecksInInnermostLoops(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles a package")
	}
	text := kernelsHead + "func main() {}\n\n" + printedSamples(t)
	_, goTool := newProgram(t, map[string]string{"k.go": text})
	out := goTool("build", "-o", os.DevNull, "-gcflags=-d=ssa/check_bce", ".")
	checked := map[int]bool{}
	for _, m := range regexp.MustCompile(`k\.go:(\d+):\d+: Found IsInBounds`).FindAllSubmatch(out, -1) {
		n, _ := strconv.Atoi(string(m[1]))
		checked[n] = true
	}
	require.NotEmpty(t, checked, "the compiler's flag has changed")
	// Elements of rows in loops over rows.
	lines := strings.Split(text, "\n")
	loops, rows := 0, regexp.MustCompile(`^\s*for (\w+) := range [a-z]\w*(Row|\d)? \{`)
	for i, l := range lines {
		m := rows.FindStringSubmatch(l)
		if m == nil || !strings.Contains(lines[i+1], "["+m[1]+"]") {
			continue
		}
		loops++
		for k := i + 1; !strings.Contains(lines[k], "}"); k++ {
			assert.False(t, checked[k+1] && !strings.Contains(lines[k], m[1]+"*"), "line %d: %s", k+1, lines[k])
		}
	}
	require.Greater(t, loops, 15)
}

func TestSpelling(t *testing.T) {
	b := loop.NewBuilder("k")
	x, y := b.Buffer("x", loop.F32, loop.N(16), false), b.Buffer("y", loop.F32, loop.N(9), true)
	at := func(i int) loop.Index { return loop.AtDim(loop.N(i)) }
	v := func(i int) *loop.Val { return b.Load(x, at(i)) }
	c := func(f float64) *loop.Val { return b.Const(loop.F32, f) }
	for i, e := range []*loop.Val{
		b.Do(loop.Sub, v(0), b.Do(loop.Sub, v(1), v(2))),
		b.Do(loop.Add, b.Do(loop.Mul, v(3), v(4)), b.Do(loop.Mul, v(5), b.Do(loop.Mul, v(6), v(7)))),
		b.Do(loop.Neg, b.Do(loop.Mul, v(8), c(-0.5))),
		b.Do(loop.Mul, b.Do(loop.Add, v(9), c(0.1)), c(math.Inf(-1))),
		b.Do(loop.Sub, c(math.Copysign(0, -1)), v(10)),
		b.Do(loop.Mul, c(2), c(0.25)),
		b.Do(loop.Max, b.Do(loop.Exp, v(11)), c(math.NaN())),
		b.Do(loop.Neg, c(-3)),
		b.Do(loop.Add, v(12), c(-1)),
	} {
		b.Store(y, at(i), e)
	}
	text, err := PrintKernel(b.K, "k", false)
	require.NoError(t, err)
	for _, want := range []string{
		"y[0] = x[0] - (x[1] - x[2])",
		"y[1] = float32(x[3]*x[4]) + float32(x[5]*(x[6]*x[7]))",
		"y[2] = -float32(x[8] * -0.5)",
		"y[3] = (x[9] + 0.1) * float32(math.Inf(-1))",
		"y[4] = float32(math.Copysign(0, -1)) - x[10]",
		"c := float32(2)",
		"y[5] = c * 0.25",
		"y[6] = runtime.Max32(runtime.Exp32(x[11]), float32(math.NaN()))",
		"c2 := float32(-3)",
		"y[7] = -c2",
		"y[8] = x[12] - 1",
	} {
		assert.Contains(t, text, want)
	}
	assert.Equal(t, 1, strings.Count(text, "func k(x, y []float32) {"), text)
}

func ExamplePrintKernel() {
	b := loop.NewBuilder("relu")
	b.K.Doc = "y = max(x, 0) (mlp.lm:3:5)"
	x, y := b.Buffer("x", loop.F32, loop.Sym("B"), false), b.Buffer("y", loop.F32, loop.Sym("B"), true)
	b.Range("i", loop.Sym("B"), func(i *loop.Val) {
		b.Store(y, loop.At(i), b.Do(loop.Max, b.Load(x, loop.At(i)), b.Const(loop.F32, 0)))
	})
	text, err := PrintKernel(b.K, "relu", false)
	fmt.Println(text, err)
	// Output:
	// // relu: y = max(x, 0) (mlp.lm:3:5)
	// func relu(x, y []float32, B int) {
	// 	x = x[:B]
	// 	y = y[:B]
	// 	for i := range B {
	// 		y[i] = runtime.Max32(x[i], 0)
	// 	}
	// } <nil>
}

// TestUnrolledRowOfOneStep: the elements of a row that is as long as the step
// of the loop are in one row, which ends with the buffer.
func TestUnrolledRowOfOneStep(t *testing.T) {
	b := loop.NewBuilder("k")
	x, y := b.Buffer("x", loop.F32, loop.N(16), false), b.Buffer("y", loop.F32, loop.N(3), true)
	b.Range("i", loop.N(3), func(i *loop.Val) {
		b.For("c", loop.Bound{}, loop.Bound{Dim: loop.N(4)}, 4, nil, func(c *loop.Val, _ []*loop.Val) []*loop.Val {
			at := loop.At(i).Scale(loop.N(4)).Add(loop.At(c)).Add(loop.AtDim(loop.N(4)))
			b.Store(y, loop.At(i), b.Do(loop.Mul, b.Load(x, at), b.Load(x, at.Add(loop.AtDim(loop.N(3))))))
			return nil
		})
	})
	text, err := PrintKernel(b.K, "k", false)
	require.NoError(t, err)
	assert.Contains(t, text, "x[(i+1)*4:][:4]")
	assert.Contains(t, text, "xRow[c] * xRow[c+3]")
}
