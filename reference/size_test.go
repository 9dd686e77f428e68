package reference

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A sizeRow is a line of docs/size.md: how large a model is, what was made of it,
// and how long that took.
type sizeRow struct {
	text, model     string
	parameters      int
	goLines, asm    int // without tables and tests; assembly for both targets
	kernels         int
	compiled, built time.Duration
}

func newSizeRow(c *compiled, text, model string, took time.Duration) *sizeRow {
	r := &sizeRow{text: text, model: model, compiled: took, kernels: len(c.program.Kernels)}
	for _, w := range c.program.API.Weights {
		if !w.State {
			r.parameters += w.Len()
		}
	}
	for _, f := range c.files {
		n := bytes.Count(f.Data, []byte("\n"))
		switch {
		case strings.HasPrefix(f.Name, "tables") || strings.HasSuffix(f.Name, "_test.go"):
		case filepath.Ext(f.Name) == ".s":
			r.asm += n
		default:
			r.goLines += n
		}
	}
	return r
}

// build compiles the package, which Go's cache has not seen.
func (r *sizeRow) build(t *testing.T, mod *module, c *compiled) {
	pkg := c.program.API.Package
	doc := fmt.Sprintf("package %s\n\n// %d\n", pkg, time.Now().UnixNano())
	require.NoError(t, os.WriteFile(filepath.Join(mod.dir, pkg, "new.go"), []byte(doc), 0o666))
	start := time.Now()
	out, err := mod.command(nil, "build", "./"+pkg).CombinedOutput()
	assert.NoError(t, err, "%s", tail(out))
	r.built = time.Since(start)
	t.Log(r)
}

func (r *sizeRow) String() string {
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %d | %.1f | %.1f |",
		r.text, r.model, grouped(r.parameters), grouped(r.goLines), grouped(r.asm), r.kernels, r.compiled.Seconds(), r.built.Seconds())
}

// grouped writes n with a comma between groups of three digits.
func grouped(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

const sizeFile = "../docs/size.md"

// checkSizes compares docs/size.md with the rows: the numbers of parameters are
// right, those of lines within a fifth. Times are those of the machine that wrote
// the page.
func checkSizes(t *testing.T, rows []*sizeRow) {
	if *update {
		require.NotEqual(t, "true", os.Getenv("CI"), "-update is refused in CI")
		var b strings.Builder
		b.WriteString(sizeHeader)
		for _, r := range rows {
			fmt.Fprintln(&b, r)
		}
		require.NoError(t, os.WriteFile(sizeFile, []byte(b.String()), 0o666))
		return
	}
	page, err := os.ReadFile(sizeFile)
	require.NoError(t, err)
	there := regexp.MustCompile(`(?m)^\| (\w+) \| (\w+) \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|`).FindAllStringSubmatch(string(page), -1)
	const how = "run go test ./reference -run ExamplesBuild -update"
	if !assert.Len(t, there, len(rows), how) {
		return
	}
	for i, r := range rows {
		x := there[i]
		assert.Equal(t, []string{r.text, r.model, grouped(r.parameters)}, x[1:4], how)
		for k, n := range []int{r.goLines, r.asm} {
			was, err := strconv.Atoi(strings.ReplaceAll(x[4+k], ",", ""))
			require.NoError(t, err)
			assert.LessOrEqual(t, math.Abs(float64(n-was)), 0.2*float64(was)+50, "%s %s has %d lines: %s", r.text, r.model, n, how)
		}
	}
}

const sizeHeader = `# How large the packages are

Every model of [examples](../examples) at its full size: parameters; lines of Go (with the portable kernels) and of assembly (for AVX2 and for
AVX-512 together); kernels, of which equal ones are one; seconds that the compiler takes in a process that runs, without reading and writing
files; and seconds of ` + "`go build`" + ` of the package, which Go's cache has not seen. Written by

    go test ./reference -run ExamplesBuild -update

which also checks the numbers of lines, within a fifth. The times were taken on two cores of an AMD EPYC (Zen 5) that did other work at the
same time.

No number of lines depends on the depth of a model: GPT2, GPT2Medium and GPT2XL have 12, 24 and 48 layers. ` + "`go test ./reference -run 'ExampleLayers|StacksShareCode'`" + ` compares the
code of 2 and of 48 layers line by line.

| text | model | parameters | Go | assembly | kernels | lmc, s | go build, s |
|---|---|---|---|---|---|---|---|
`
