package check

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/ir"
)

// parameters are the published numbers of trained parameters.
var parameters = map[string]int{
	"GPT2": 124_439_808, "GPT2Medium": 354_823_168, "GPT2XL": 1_557_611_200,
	"Llama": 6_738_415_616, "Llama3": 8_030_261_248, "Mixtral": 46_702_792_704,
	"BERT": 110_106_428, "ResNet18": 11_689_512, "ResNet50": 25_557_032, "VGG16": 138_357_544,
	"LinReg": 11, "LogReg": 7850, "MLP": 784*256 + 256 + 256*256 + 256 + 2570,
}

// parsed reads a file that has no syntax errors.
func parsed(t *testing.T, name string) *dsl.File {
	t.Helper()
	src, err := os.ReadFile(name)
	require.NoError(t, err)
	f, ds := dsl.Parse(filepath.Base(name), src)
	require.Empty(t, ds)
	return f
}

// none requires that there are no messages.
func none(t *testing.T, f *dsl.File, ds dsl.Diagnostics) {
	t.Helper()
	for _, d := range ds {
		src := f.Src
		if d.File != f.Name {
			src = nil
		}
		t.Error("\n" + dsl.Render(d, src, true))
	}
	if len(ds) > 0 {
		t.FailNow()
	}
}

// functions lists everything that a module computes.
func functions(m *ir.Module) []*ir.Func {
	var out []*ir.Func
	for _, e := range m.Entries {
		out = append(out, e.Func)
	}
	for _, t := range m.Trainers {
		out = append(out, t.Loss.Func)
		if t.Penalty != nil {
			out = append(out, t.Penalty.Func)
		}
		for _, r := range t.Rules {
			out = append(out, r.Func)
		}
	}
	for _, s := range m.Samplers {
		out = append(out, s.Step.Func, s.Sample.Func)
	}
	return out
}

// TestExamples checks all example models, the functions they become, and how
// many parameters they have.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob("../../examples/*.lm")
	require.NoError(t, err)
	more, err := filepath.Glob("../../examples/*/*.lm")
	require.NoError(t, err)
	files = append(files, more...)
	require.NotEmpty(t, files)
	given, err := filepath.Glob("../../../shared/language/*/*.lm") // as the language was designed
	require.NoError(t, err)
	given = slices.DeleteFunc(given, func(name string) bool { return filepath.Base(filepath.Dir(name)) == "bad" })
	if len(given) == 0 {
		require.Empty(t, os.Getenv("CI"), "../shared/language is not there")
		t.Log("skipped: ../shared/language, which is not there")
	}
	files = append(files, given...)
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			f := parsed(t, name)
			once, err := dsl.Format(name, f.Src)
			require.NoError(t, err)
			twice, err := dsl.Format(name, once)
			require.NoError(t, err)
			require.Equal(t, string(once), string(twice))
			all, ds := All([]*dsl.File{f}, Options{Vet: true})
			none(t, f, ds)
			for _, model := range sortedKeys(all) {
				m := all[model]
				for _, fn := range functions(m) {
					require.NoError(t, ir.Verify(fn), "%s", fn)
				}
				n := 0
				for _, w := range m.API.Weights {
					if !w.State {
						n += w.Len()
					}
				}
				if want, ok := parameters[model]; ok && f.Package.Text != "p" {
					assert.Equal(t, want, n, model)
				}
			}
		})
	}
}

// TestStd checks the standard library by itself.
func TestStd(t *testing.T) {
	for _, name := range dsl.StdNames() {
		src, _ := dsl.Std(name)
		f, ds := dsl.Parse(name+".lm", src)
		require.Empty(t, ds)
		_, ds = All([]*dsl.File{f}, Options{Vet: true})
		none(t, f, ds)
	}
}

// TestSameTwice checks that a text always gives the same module.
func TestSameTwice(t *testing.T) {
	for _, name := range []string{"chargpt.lm", "resnet.lm", "rnnlm.lm", "wavenet.lm"} {
		print := func() (out []string) {
			f := parsed(t, filepath.Join("../../examples", name))
			m, ds := Check([]*dsl.File{f}, Options{})
			none(t, f, ds)
			for _, fn := range functions(m) {
				out = append(out, fn.String())
			}
			api, err := json.Marshal(m.API)
			require.NoError(t, err)
			return append(out, string(api))
		}
		require.Equal(t, print(), print(), name)
	}
}
