package check

import (
	"strings"
	"testing"

	"github.com/lmc-lang/lmc/dsl"
	"github.com/stretchr/testify/require"
)

// TestNoPaths: where a text lies leaves no trace in the module, so that the
// generated package is the same in every folder.
func TestNoPaths(t *testing.T) {
	f, ds := dsl.Parse("/home/me/secret/net.lm", []byte("package net\n\nmodel Net[D = 3] {\n\tparam w f32[D] = 0\n\n\tfunc Out(x f32[D]) f32 {\n\t\treturn sum(x * w)\n\t}\n}\n"))
	require.Empty(t, ds)
	m, ds := Check([]*dsl.File{f}, Options{})
	require.Empty(t, ds)
	for _, v := range m.Entries[0].Func.Values {
		require.False(t, strings.Contains(v.Pos.File, "secret"), v.Long())
	}
	require.Equal(t, "net.lm", m.Entries[0].Func.Results[0].Pos.File)
}
