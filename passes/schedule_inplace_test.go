package passes

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/ir/loop"
)

// TestRowPairs: an output takes the memory of an input if each row of it is read
// before that row is written, however often.
func TestRowPairs(t *testing.T) {
	const head = "kernel k {\n  in x f32[40]\n  in at i32[4]\n  out y f32[40]\n"
	const rows = "  for %0 = 0 to 4 {\n"
	const sum = `    %1 f32 = const 0
    for %2 = 0 to 10 {
      carry %3 f32 = %1
      %4 f32 = load x[10*%0 + %2]
      %5 f32 = add %3 %4
      next %3 = %5 out %6
    }
`
	const two = "    %6 f32 = const 2\n"
	const scale = `    for %7 = 0 to 10 {
      %8 f32 = load x[10*%0 + %7]
      %9 f32 = mul %8 %6
      store y[10*%0 + %7] %9
    }
`
	const index = `    %10 i32 = load at[%0]
    %11 int = convert %10
    %12 int = size 10
    %13 int = check %11 %12
    %14 f32 = load x[10*%0 + %13]
`
	const again = `    for %15 = 0 to 10 {
      %16 f32 = load y[10*%0 + %15]
      %17 f32 = add %16 %14
      store y[10*%0 + %15] %17
    }
`
	each := func(in, out string) string {
		return "    for %2 = 0 to 10 {\n      %4 f32 = load x[" + in + "]\n      store y[" + out + "] %4\n    }\n"
	}
	for name, c := range map[string]struct {
		body  string
		pairs int
	}{
		"sum, then scale":                   {rows + sum + scale + "  }\n", 1},
		"an element is read after all":      {rows + sum + scale + index + again + "  }\n", 1},
		"scale, then sum of what was there": {rows + two + scale + strings.ReplaceAll(sum, "%6", "%18") + "    store y[10*%0] %18\n  }\n", 0},
		"the row before":                    {"  for %0 = 1 to 4 {\n" + each("10*%0 + %2 + -10", "10*%0 + %2") + "  }\n", 0},
		"rows that overlap":                 {rows + each("9*%0 + %2", "9*%0 + %2") + "  }\n", 0},
		"turned about":                      {rows + each("10*%0 + -1*%2 + 9", "10*%0 + %2") + "  }\n", 0},
	} {
		k, err := loop.ParseKernel(head + c.body + "}\n")
		require.NoError(t, err, name)
		readEarly(k)
		require.NoError(t, k.Verify(), name)
		assert.Len(t, accessesOf(k).rowPairs(), c.pairs, "%s\n%v", name, k)
	}
}
