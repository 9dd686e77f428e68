package check

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/ir"
)

const scaled = `package p
import "optim"
dim B, T
layer Scale[D](by f32) {
	param w f32[D] = 1
	func forward(x f32[B, D]) f32[B, D] {
		return x * w * by
	}
}
// M is a model.
model M[D = 4, L = 2](by f32 = 2) {
	dim T <= 2*D
	scales [L]Scale[D](by)
	// F applies all of them.
	func F(x f32[B, D], y f32[T, D], n i32 = 3) (z f32[B, D], u f32[T, D]) {
		for _, s := range scales {
			x = s(x)
		}
		return x, y * f32(n)
	}
	func Loss(x f32[B, D], y f32[T, D]) (loss f32, y f32[T, D]) {
		a, b := F(x, y, 1)
		return a[0] @ a[0], b
	}
	train Step {
		minimize  = Loss
		optimizer = optim.SGD(lr = 0.5)
	}
}
model Big = M[D = 6](by = 3)
`

func build(t *testing.T, text string, opt Options) (*ir.Module, dsl.Diagnostics) {
	t.Helper()
	f, ds := dsl.Parse("p.lm", []byte(text))
	require.Empty(t, ds)
	return Check([]*dsl.File{f}, opt)
}

func TestSignature(t *testing.T) {
	m, ds := build(t, scaled, Options{})
	require.Empty(t, ds)
	api := m.API
	assert.Equal(t, []string{"p", "M", "p.lm", "M is a model."}, []string{api.Package, api.Model, api.Source, api.Doc})
	assert.Len(t, api.Hash, 16)
	require.Len(t, api.Weights, 1)
	assert.Equal(t, "scales.{0}.w", api.Weights[0].Path)
	assert.Equal(t, []int{2}, api.Weights[0].Counts)
	e := api.Entries[0]
	assert.Equal(t, "F applies all of them.", e.Doc)
	assert.Equal(t, []string{"z", "u"}, []string{e.Results[0].Name, e.Results[1].Name})
	assert.InDelta(t, 3, *e.Args[2].Default, 0)
	var needs []string
	for _, n := range e.Need {
		needs = append(needs, n.Text)
	}
	assert.Equal(t, []string{"B >= 1", "T >= 1", "T <= 8"}, needs)
	assert.Equal(t, "[{B 0 0 0 0} {T 1 0 0 0}]", sprint(e.Dims))
	s := api.Trainers[0]
	assert.Equal(t, "[{1 1}]", sprint(s.Carried))
	assert.Equal(t, "LR", s.Options[0].Name)
	assert.Empty(t, s.Loss.Results[0].Shape)
	assert.Equal(t, ir.LossKind, m.Trainers[0].Loss.Out[0].Kind)
}

func TestSet(t *testing.T) {
	for _, c := range []struct {
		name  string
		opt   Options
		shape string
		err   string
	}{
		{"default", Options{}, "f32[B, 4]", ""},
		{"variant", Options{Model: "Big"}, "f32[B, 6]", ""},
		{"dim", Options{Set: map[string]string{"D": "8", "L": "1"}}, "f32[B, 8]", ""},
		{"option of a variant", Options{Model: "Big", Set: map[string]string{"by": "0.5"}}, "f32[B, 6]", ""},
		{"fixed", Options{Dims: []DimOption{{"B", "=", 3}}}, "f32[3, 4]", ""},
		{"unknown", Options{Set: map[string]string{"E": "8"}}, "", "-set E: the model M has no such dimension or option"},
		{"unknown block", Options{Set: map[string]string{"Stp.clip": "1"}}, "", "-set Stp.clip: the model M has no train or generate block `Stp`"},
		{"unknown setting", Options{Set: map[string]string{"Step.lr": "1"}}, "", "-set Step.lr: `train` has no setting `lr`"},
		{"no number", Options{Set: map[string]string{"D": "0.5"}}, "", "-set D=0.5: a dimension must be a whole number"},
		{"no expression", Options{Set: map[string]string{"D": "("}}, "", "-set D=(: expected an expression, found end of file"},
		{"zero", Options{Set: map[string]string{"D": "0"}}, "", "the dimension `D` of M must be at least 1, but it is 0"},
		{"no such name", Options{Set: map[string]string{"by": "x"}}, "", "-set by=x: `x` is not declared"},
		{"unknown dim", Options{Dims: []DimOption{{"X", "=", 3}}}, "", "-dim X=3: no argument of M has such a dimension"},
		{"dim of the model", Options{Dims: []DimOption{{"D", "=", 3}}}, "", "-dim D=3: D is not a dimension of arguments, but of the model"},
		{"dim twice", Options{Dims: []DimOption{{"B", "=", 3}, {"B", "<=", 2}}}, "", "-dim B<=2: B is given twice"},
		{"no dim", Options{Dims: []DimOption{{"B", "<=", 0}}}, "", "-dim B<=0: a dimension is at least 1"},
		{"beyond a bound", Options{Dims: []DimOption{{"T", "=", 9}}}, "", "-dim T=9 breaks the bound T <= 2*D=8"},
		{"no model", Options{Model: "Small"}, "", "there is no model `Small`"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, ds := build(t, scaled, c.opt)
			if c.err != "" {
				require.Len(t, ds, 1)
				assert.Equal(t, c.err, ds[0].Msg)
				assert.Nil(t, m)
				return
			}
			require.Empty(t, ds)
			assert.Equal(t, c.shape, m.Entries[0].Func.Params[0].Type.String())
		})
	}
	m, ds := build(t, scaled, Options{Dims: []DimOption{{"T", "<=", 5}}})
	require.Empty(t, ds)
	need := m.API.Entries[0].Need
	assert.Equal(t, "T <= 5", need[len(need)-1].Text)
}

// TestChance checks how dims that agree by chance are reported.
func TestChance(t *testing.T) {
	const text = `package p
dim B
model M[P = 4, Q = 4] {
	func F(x f32[B, P]) f32[B, Q] {
		return x
	}
}
`
	m, ds := build(t, text, Options{})
	require.Len(t, ds, 1)
	assert.Equal(t, dsl.Warning, ds[0].Severity)
	assert.Equal(t, "with other hyperparameters: F is declared to return f32[B, 12]", ds[0].Msg)
	assert.NotNil(t, m)
	for _, o := range []Options{{Vet: true}, {Set: map[string]string{"P": "4"}}} {
		m, ds = build(t, text, o)
		assert.True(t, ds.HasErrors())
		assert.Nil(t, m)
	}
}

func TestImport(t *testing.T) {
	const text = `package p
import "./lib"
dim B
model M[D = 4] {
	l lib.Twice[D]
	func F(x f32[B, D]) f32[B, D] {
		return lib.Shift(l(x))
	}
}
`
	lib := func(srcs ...string) Options {
		return Options{Import: func(path string) ([]*dsl.File, dsl.Diagnostics, error) {
			if path != "./lib" {
				return nil, nil, errors.New("no such folder")
			}
			var files []*dsl.File
			for i, src := range srcs {
				f, ds := dsl.Parse("lib/"+string(rune('a'+i))+".lm", []byte(src))
				require.Empty(t, ds)
				files = append(files, f)
			}
			return files, nil, nil
		}}
	}
	a := "package lib\ndim B, D\nlayer Twice[D] {\n\tparam w f32[D] = 2\n\tfunc forward(x f32[B, D]) f32[B, D] {\n\t\treturn x * w\n\t}\n}\n"
	b := "package lib\nfunc Shift(x f32[B, D]) f32[B, D] {\n\treturn x + one\n}\nconst one = 1\n"
	m, ds := build(t, text, lib(a, b))
	require.Empty(t, ds)
	assert.Equal(t, "l.w", m.API.Weights[0].Path)

	_, ds = build(t, text, Options{})
	require.NotEmpty(t, ds)
	assert.Equal(t, "the folder ./lib cannot be read here", ds[0].Msg)
	_, ds = build(t, text, lib(a, "package other\n"))
	require.NotEmpty(t, ds)
	assert.Equal(t, "the files of a folder form one package, but this is `other`, not `lib`", ds[0].Msg)
	_, ds = build(t, text, lib("package lib\nimport \"./lib\"\n"))
	require.NotEmpty(t, ds)
	assert.Equal(t, `the import of "./lib" is circular`, ds[0].Msg)
}
