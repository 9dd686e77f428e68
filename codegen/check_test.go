package codegen

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCheck(t *testing.T) {
	for _, c := range []struct{ name, src, want string }{
		{"good", "package p\n\nimport (\n\t\"fmt\"\n\t\"os\"\n\n\t\"github.com/lmc-lang/lmc/runtime\"\n)\n\nfunc F(x runtime.Tensor2[float32]) { fmt.Fprintln(os.Stderr, x.At(0, 0)) }\n", ""},
		{"syntax", "package p\n\nfunc {\n", "bug in codegen: a.go:3:6: expected 'IDENT', found '{'"},
		{"types", "package p\n\nvar x int = \"\"\n", "bug in codegen: the output does not compile: a.go:3:13: cannot use \"\" (untyped string constant) as int value in variable declaration"},
		{"unused", "package p\n\nimport \"os\"\n", "bug in codegen: the output does not compile: a.go:3:8: \"os\" imported and not used"},
		{"unknown package", "package p\n\nimport _ \"example.com/nothing\"\n", "could not import example.com/nothing"},
		{"newer language", "package p\n\nfunc f() *int { return new(1) }\n", "go1.26"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := Check([]File{{"a.go", []byte(c.src)}, {"model.txt", nil}}, "")
			if c.want == "" {
				require.NoError(t, err)
			} else {
				assert.ErrorContains(t, err, c.want)
			}
		})
	}
}

func TestCheckTests(t *testing.T) {
	p, own := "package p\n\nvar hidden int\n", "package p\n\nvar _ = hidden\n"
	other := "package p_test\n\nimport \"example.com/p\"\n\nvar _ = p.hidden\n"
	require.NoError(t, Check([]File{{"a.go", []byte(p)}, {"a_test.go", []byte(own)}}, "example.com/p"))
	assert.ErrorContains(t, Check([]File{{"a.go", []byte(p)}, {"b_test.go", []byte(other)}}, "example.com/p"), "hidden not exported")
}

func TestCheckBuilds(t *testing.T) {
	common := File{"a.go", []byte("package p\n\nvar _ = hidden\n")}
	amd := File{"k_amd64.go", []byte("//go:build !purego\n\npackage p\n\nvar hidden int\n\nfunc asm(x int)\n")}
	other := File{"k_other.go", []byte("//go:build !amd64 || purego\n\npackage p\n\nvar hidden int\n")}
	require.NoError(t, Check([]File{common, amd, other}, ""))
	err := Check([]File{common, amd}, "")
	assert.ErrorContains(t, err, "undefined: hidden")
	assert.ErrorContains(t, err, "(for arm64)")
	assert.ErrorContains(t, Check([]File{common, other}, ""), "(for amd64)")
}
