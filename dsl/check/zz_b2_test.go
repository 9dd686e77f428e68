package check

import (
	"os"
	"testing"

	"github.com/lmc-lang/lmc/dsl"
)

func TestZZ(t *testing.T) {
	name := os.Getenv("LM")
	if name == "" {
		t.Skip()
	}
	f := parsed(t, name)
	m, ds := Check([]*dsl.File{f}, Options{})
	for _, d := range ds {
		t.Log("\n" + dsl.Render(d, f.Src, true))
	}
	for _, e := range m.Entries {
		t.Log(e.Func)
	}
	for _, e := range m.Trainers {
		t.Log(e.Loss.Func)
	}
}
