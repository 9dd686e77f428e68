package reference

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/dsl/check"
)

// TestConsumed: where gradients are consumed as they are produced, a step is what
// Gradients and Apply are together, allocates nothing, and leaves nothing behind
// that is not finite.
func TestConsumed(t *testing.T) {
	mod := newModule(t, "consumed.go", compileFile(t, "testdata/consumed.lm", check.Options{}))
	var outcomes []struct {
		Path                                 string
		Differ, Loss, Norm                   float64
		Mallocs                              uint64
		SameBits, NotFinite, Kept, Unchanged bool
	}
	mod.report(t, &outcomes)
	require.NotEmpty(t, outcomes)
	for _, o := range outcomes {
		assert.Less(t, o.Differ, 1e-4, o.Path)
		assert.Less(t, o.Loss, 1e-5, o.Path)
		assert.Less(t, o.Norm, 1e-4, o.Path)
		assert.Less(t, o.Mallocs, uint64(20), o.Path)
		assert.True(t, o.SameBits, o.Path)
		assert.True(t, o.NotFinite, o.Path)
		assert.True(t, o.Kept, o.Path)
		assert.True(t, o.Unchanged, o.Path)
	}
}
