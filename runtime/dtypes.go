package runtime

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"strings"
)

// Elem is an element type that a tensor of a file can be read into.
type Elem interface {
	float32 | float64 | int32 | bool
}

// dtype is a row of the table of element types in files. An element is read as
// a float64 or as an int64, whichever holds it exactly; types that can have
// neither can be listed but not read.
type dtype struct {
	name    string
	lm      string // the name in models
	size    int    // bytes
	float   func(b []byte) float64
	integer func(b []byte) int64
	limit   int64 // integers are below it if it is positive
}

var le = binary.LittleEndian

var dtypes = [...]dtype{
	{name: "F32", lm: "f32", size: 4, float: func(b []byte) float64 { return float64(math.Float32frombits(le.Uint32(b))) }},
	{name: "F64", lm: "f64", size: 8, float: func(b []byte) float64 { return math.Float64frombits(le.Uint64(b)) }},
	{name: "BF16", lm: "bf16", size: 2, float: func(b []byte) float64 { return float64(math.Float32frombits(uint32(le.Uint16(b)) << 16)) }},
	{name: "F16", lm: "f16", size: 2, float: func(b []byte) float64 { return float64(float16(le.Uint16(b))) }},
	{name: "I64", lm: "i64", size: 8, integer: func(b []byte) int64 { return int64(le.Uint64(b)) }},
	{name: "I32", lm: "i32", size: 4, integer: func(b []byte) int64 { return int64(int32(le.Uint32(b))) }},
	{name: "I16", lm: "i16", size: 2, integer: func(b []byte) int64 { return int64(int16(le.Uint16(b))) }},
	{name: "I8", lm: "i8", size: 1, integer: func(b []byte) int64 { return int64(int8(b[0])) }},
	{name: "U32", lm: "u32", size: 4, integer: func(b []byte) int64 { return int64(le.Uint32(b)) }},
	{name: "U16", lm: "u16", size: 2, integer: func(b []byte) int64 { return int64(le.Uint16(b)) }},
	{name: "U8", lm: "u8", size: 1, integer: func(b []byte) int64 { return int64(b[0]) }},
	{name: "BOOL", lm: "bool", size: 1, integer: func(b []byte) int64 { return int64(b[0]) }, limit: 2},
	{name: "U64", lm: "u64", size: 8},
	{name: "F8_E5M2", lm: "f8e5m2", size: 1},
	{name: "F8_E4M3", lm: "f8e4m3", size: 1},
}

// dtypeOf is the row of a dtype, or nil.
func dtypeOf(name string) *dtype {
	for i := range dtypes {
		if dtypes[i].name == name {
			return &dtypes[i]
		}
	}
	return nil
}

func typeName(dtype string) string {
	if k := dtypeOf(dtype); k != nil {
		return k.lm
	}
	return strings.ToLower(dtype)
}

// shapeName is [784,128], or nothing for a scalar.
func shapeName(shape []int) string {
	if len(shape) == 0 {
		return ""
	}
	return strings.ReplaceAll(dims(shape), ", ", ",")
}

// float16 is the value of an IEEE half.
func float16(h uint16) float32 {
	sign := uint32(h>>15) << 31
	exp, frac := uint32(h>>10&0x1F), uint32(h&0x3FF)
	switch exp {
	case 0: // zero and subnormals
		return math.Float32frombits(sign | math.Float32bits(float32(frac)*0x1p-24))
	case 31: // infinity and NaN
		return math.Float32frombits(sign | 0x7F800000 | frac<<13)
	}
	return math.Float32frombits(sign | (exp+127-15)<<23 | frac<<13)
}

// ReadTensor reads all elements of t into dst, whose length must be t.Size().
// Floating-point types of any width go into float32 and float64, integers and
// bools into all types, each only where dst can hold the value: a finite number
// that becomes an infinity, an integer that float32 would round or int32 cut
// off, and a bool that is neither 0 nor 1 are errors. Floats do not become
// integers.
func ReadTensor[T Elem](t *FileTensor, dst []T) error {
	if len(dst) != t.size {
		return fmt.Errorf("safetensors: tensor %q: %s has %d elements, not %d", t.Name, t.Type(), t.size, len(dst))
	}
	k := dtypeOf(t.DType)
	var buf [64 << 10]byte
	for done := 0; done < len(dst); {
		n := min(len(dst)-done, len(buf)/k.size)
		part := buf[:n*k.size]
		if _, err := t.data.ReadAt(part, t.offset+int64(done)*int64(k.size)); err != nil && err != io.EOF {
			return fmt.Errorf("safetensors: tensor %q: %w", t.Name, err)
		} else if err == io.EOF && done+n < len(dst) {
			return fmt.Errorf("safetensors: tensor %q: %w", t.Name, io.ErrUnexpectedEOF)
		}
		if i, why := convert(k, dst[done:done+n], part); why != "" {
			return fmt.Errorf("safetensors: tensor %q: %s", t.Name, strings.Replace(why, "@", fmt.Sprintf("element %d", done+i), 1))
		}
		done += n
	}
	return nil
}

// convert decodes len(dst) elements. If one does not fit it is its position and
// the reason, in which @ stands for the position.
func convert[T Elem](k *dtype, dst []T, src []byte) (at int, why string) {
	switch d := any(dst).(type) {
	case []float32:
		return convertFloat(k, d, src, 1<<24)
	case []float64:
		return convertFloat(k, d, src, 1<<53)
	case []int32:
		return convertInt(k, len(d), src, func(i int, v int64) bool { d[i] = int32(v); return int64(d[i]) == v }, "an i32")
	case []bool:
		return convertInt(k, len(d), src, func(i int, v int64) bool { d[i] = v != 0; return v>>1 == 0 }, "a bool")
	}
	return 0, "bug in package runtime: no conversion"
}

func convertFloat[F Float](k *dtype, dst []F, src []byte, exact int64) (at int, why string) {
	if d, ok := any(dst).([]float32); ok && k.name == "F32" { // the usual case, bit by bit
		for i := range d {
			d[i] = math.Float32frombits(le.Uint32(src[4*i:]))
		}
		return 0, ""
	}
	if k.float != nil {
		for i := range dst {
			v := k.float(src[i*k.size:])
			dst[i] = F(v)
			if f := float64(dst[i]); f-f != 0 && v-v == 0 {
				return i, fmt.Sprintf("@ is %v, too large for f32", v)
			}
		}
		return 0, ""
	}
	return convertInt(k, len(dst), src, func(i int, v int64) bool { dst[i] = F(v); return -exact <= v && v <= exact }, "a float")
}

func convertInt(k *dtype, n int, src []byte, put func(i int, v int64) bool, what string) (at int, why string) {
	if k.integer == nil {
		return 0, fmt.Sprintf("%s cannot be read as %s", k.lm, what)
	}
	for i := range n {
		v := k.integer(src[i*k.size:])
		if k.limit > 0 && uint64(v) >= uint64(k.limit) {
			return i, fmt.Sprintf("@ is %d, not a %s", v, k.lm)
		}
		if !put(i, v) {
			return i, fmt.Sprintf("@ is %d, which %s cannot hold", v, what)
		}
	}
	return 0, ""
}
