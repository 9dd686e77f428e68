package check

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/ops"
)

func init() {
	if builtins["mean"] == nil {
		builtins["mean"] = &builtin{name: "mean", run: func(c *checker, call *callSite) value {
			t := c.asTensor(call.args[0].node(), c.arg(&call.args[0]), ir.F32)
			var ax []int
			for i := range t.dims {
				ax = append(ax, i)
			}
			return tensor{ctype: ctype{elem: ir.F32}, v: c.fr.g.Sum(c.fr.use(t), ax...), fr: c.fr}
		}}
		builtins["sigmoid"] = &builtin{name: "sigmoid", run: func(c *checker, call *callSite) value {
			t := c.asTensor(call.args[0].node(), c.arg(&call.args[0]), ir.F32)
			return tensor{ctype: t.ctype, v: c.fr.g.Sigmoid(c.fr.use(t)), fr: c.fr}
		}}
	}
	_ = ops.Sum
}

func source(t *testing.T, name string) []*dsl.File {
	src, err := os.ReadFile(name)
	require.NoError(t, err)
	f, ds := dsl.Parse(filepath.Base(name), src)
	require.Empty(t, ds)
	return []*dsl.File{f}
}

func TestX(t *testing.T) {
	name := os.Getenv("LM")
	if name == "" {
		t.Skip()
	}
	files := source(t, name)
	m, ds := All(files, Options{})
	for _, d := range ds {
		src, _ := os.ReadFile(name)
		if d.File != files[0].Name {
			src = nil
		}
		t.Log("\n" + dsl.Render(d, src, true))
	}
	for _, k := range sortedKeys(m) {
		if m[k] == nil {
			continue
		}
		for i, e := range m[k].Entries {
			t.Log(e.Func)
			t.Logf("%v\n%v\n%+v", e.In, e.Out, m[k].API.Entries[i])
		}
	}
}

func TestY(t *testing.T) {
	name := os.Getenv("LM")
	if name == "" {
		t.Skip()
	}
	files := source(t, name)
	m, ds := All(files, Options{})
	for _, d := range ds {
		src, _ := os.ReadFile(name)
		t.Log("\n" + dsl.Render(d, src, true))
	}
	for _, k := range sortedKeys(m) {
		if m[k] == nil {
			continue
		}
		for i, e := range m[k].Trainers {
			a := m[k].API.Trainers[i]
			t.Logf("%+v\n%+v", e, a)
			t.Log(e.Loss.Func)
			for _, r := range e.Rules[:1] {
				t.Log(r.Func, r.Moments)
			}
			for _, r := range a.Moments {
				t.Logf("%+v", r)
			}
		}
	}
}
