package runtime

import (
	"encoding/base64"
	"encoding/binary"
	"math"
)

// Float32Table decodes a constant table of a generated package: base64 of its
// elements, little endian. Generated code is the only caller; text that is not
// such a table is a bug of lmc and panics.
func Float32Table(text string) []float32 {
	return decodeTable(text, 4, func(b []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(b)) })
}

// Float64Table is [Float32Table] for float64.
func Float64Table(text string) []float64 {
	return decodeTable(text, 8, func(b []byte) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b)) })
}

// Int32Table is [Float32Table] for int32.
func Int32Table(text string) []int32 {
	return decodeTable(text, 4, func(b []byte) int32 { return int32(binary.LittleEndian.Uint32(b)) })
}

// BoolTable is [Float32Table] for bool.
func BoolTable(text string) []bool {
	return decodeTable(text, 1, func(b []byte) bool { return b[0] != 0 })
}

func decodeTable[T any](text string, size int, element func([]byte) T) []T {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		panic("bug in lmc: a constant table is not base64: " + err.Error())
	}
	out := make([]T, len(raw)/size)
	for i := range out {
		out[i] = element(raw[i*size:])
	}
	return out
}
