package runtime

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestTables(t *testing.T) {
	assert.Equal(t, []float32{1, -2}, Float32Table("\nAACAPwAA\nAMA=\n"))
	assert.Equal(t, []float64{1}, Float64Table("AAAAAAAA8D8="))
	assert.Equal(t, []int32{-1}, Int32Table("/////w=="))
	assert.Equal(t, []bool{true, false}, BoolTable("AQA="))
	assert.Panics(t, func() { BoolTable("?") })
}
