package runtime

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// rawFile is a safetensors file from a literal header.
func rawFile(header string, data ...byte) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), data...)
}

// one is a file with one tensor x.
func one(dtype, shape string, data ...byte) []byte {
	return rawFile(fmt.Sprintf(`{"x":{"dtype":%q,"shape":%s,"data_offsets":[0,%d]}}`, dtype, shape, len(data)), data...)
}

func TestSafetensorsRoundTrip(t *testing.T) {
	big := make([]float32, 40_000)
	for i := range big {
		big[i] = float32(i)
	}
	tensors := []NamedTensor{
		Named("w", []float32{1, -2, float32(math.Inf(1)), 4, 5, 6}, 2, 3),
		Named("scalar", []float64{math.Pi}),
		Named("ids", []int32{-1, math.MaxInt32}, 2),
		Named("mask", []bool{true, false, true}, 3),
		Named("empty", []float32{}, 3, 0),
		Named(`odd "name" <&> ü`, []float32{7}, 1),
		Named("big", big, 200, 200),
	}
	meta := map[string]string{"step": "3", "a\"b": "c\nd", "z": ""}
	var buf bytes.Buffer
	n, err := WriteSafetensors(&buf, tensors, meta)
	require.NoError(t, err)
	assert.EqualValues(t, buf.Len(), n)

	var again bytes.Buffer
	for i, j := 0, len(tensors)-1; i < j; i, j = i+1, j-1 {
		tensors[i], tensors[j] = tensors[j], tensors[i]
	}
	_, err = WriteSafetensors(&again, tensors, meta)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(buf.Bytes(), again.Bytes()), "the order of tensors does not matter")

	lazy, err := OpenSafetensors(bytes.NewReader(buf.Bytes()), int64(buf.Len()))
	require.NoError(t, err)
	whole, err := ReadSafetensors(iotest.OneByteReader(bytes.NewReader(buf.Bytes())))
	require.NoError(t, err)
	for _, f := range []*File{lazy, whole} {
		assert.Equal(t, meta, f.Meta)
		require.Len(t, f.Tensors, len(tensors))
		w, err := f.Lookup("w").Float32s([]float32{9})
		require.NoError(t, err)
		assert.Equal(t, []float32{9, 1, -2, float32(math.Inf(1)), 4, 5, 6}, w, "appended")
		s, err := f.Lookup("scalar").Float64s(nil)
		require.NoError(t, err)
		assert.Equal(t, []float64{math.Pi}, s)
		assert.Equal(t, "f64", f.Lookup("scalar").Type())
		ids, err := f.Lookup("ids").Int32s(nil)
		require.NoError(t, err)
		assert.Equal(t, []int32{-1, math.MaxInt32}, ids)
		mask, err := f.Lookup("mask").Bools(nil)
		require.NoError(t, err)
		assert.Equal(t, []bool{true, false, true}, mask)
		b, err := f.Lookup("big").Float32s(nil)
		require.NoError(t, err)
		assert.Equal(t, big, b)
		assert.Equal(t, []int{3, 0}, f.Lookup("empty").Shape)
		assert.NotNil(t, f.Lookup(`odd "name" <&> ü`))
		assert.Nil(t, f.Lookup("nothing"))
	}
}

func TestSafetensorsWriteErrors(t *testing.T) {
	for _, c := range []struct {
		tensors []NamedTensor
		want    string
	}{
		{[]NamedTensor{Named("a", []float32{1}), Named("a", []float32{1})}, `tensor "a": the name is reserved, occurs twice, or has no data`},
		{[]NamedTensor{Named("__metadata__", []float32{1})}, `tensor "__metadata__": the name is reserved`},
		{[]NamedTensor{Named("a", []float32{1}, 2)}, `tensor "a": the shape [2] does not fit data of length 1`},
		{[]NamedTensor{{Name: "a"}}, `tensor "a": the name is reserved, occurs twice, or has no data`},
	} {
		_, err := WriteSafetensors(io.Discard, c.tensors, nil)
		assert.ErrorContains(t, err, c.want)
	}
	full := errors.New("disk full")
	for limit := range 3 {
		_, err := WriteSafetensors(&failAfter{limit, full}, []NamedTensor{Named("a", make([]float32, 40_000), 40_000)}, nil)
		assert.ErrorIs(t, err, full)
	}
}

// failAfter accepts a number of writes.
type failAfter struct {
	n   int
	err error
}

func (f *failAfter) Write(b []byte) (int, error) {
	if f.n == 0 {
		return 0, f.err
	}
	f.n--
	return len(b), nil
}

func TestSafetensorsRejects(t *testing.T) {
	f32 := func(name string, from, to int) string {
		return fmt.Sprintf(`%q:{"dtype":"F32","shape":[%d],"data_offsets":[%d,%d]}`, name, (to-from)/4, from, to)
	}
	eight := make([]byte, 8)
	for _, c := range []struct {
		name string
		file []byte
		want string
	}{
		{"empty", nil, "shorter than 8 bytes"},
		{"short", []byte{1, 2, 3}, "shorter than 8 bytes"},
		{"lying header length", binary.LittleEndian.AppendUint64(nil, 99<<20), "truncated in its header: it has 0 of"},
		{"huge header length", binary.LittleEndian.AppendUint64(nil, 1<<63), "a header of 9223372036854775808 bytes is not believable"},
		{"no object", rawFile(`[]`), "not a JSON object"},
		{"bad JSON", rawFile(`{"a":`), `tensor "a": `},
		{"cut JSON", rawFile(`{`), "not valid JSON"},
		{"text after", rawFile(`{} {}`), "text after its JSON object"},
		{"duplicate", rawFile(`{`+f32("a", 0, 4)+`,`+f32("a", 4, 8)+`}`, eight...), `tensor "a": the name occurs twice`},
		{"two metadata", rawFile(`{"__metadata__":{},"__metadata__":{}}`), "__metadata__ twice"},
		{"number in metadata", rawFile(`{"__metadata__":{"a":1}}`), "not an object of strings"},
		{"hole", rawFile(`{`+f32("a", 0, 4)+`,`+f32("b", 8, 12)+`}`, make([]byte, 12)...), `tensor "b": its data begins at 8, but 4 bytes before it belong to no tensor`},
		{"hole at start", rawFile(`{`+f32("a", 4, 8)+`}`, eight...), `tensor "a": its data begins at 4`},
		{"overlap", rawFile(`{`+f32("a", 0, 8)+`,`+f32("b", 4, 12)+`}`, make([]byte, 12)...), `tensor "b": its data overlaps that of "a"`},
		{"same place", rawFile(`{`+f32("a", 0, 4)+`,`+f32("b", 0, 4)+`}`, make([]byte, 4)...), `overlaps`},
		{"truncated", rawFile(`{`+f32("a", 0, 4)+`,`+f32("b", 4, 12)+`}`, eight...), `truncated in tensor "b": it has 8 of 12 bytes of data`},
		{"longer", rawFile(`{`+f32("a", 0, 4)+`}`, eight...), "more than the 4 bytes of data"},
		{"wrong size", rawFile(`{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}`, eight...), `tensor "a": f32[3] needs 12 bytes, but data_offsets [0 8] are 8`},
		{"overflow", rawFile(`{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}`), "negative or too large"},
		{"overflow in bytes", rawFile(`{"a":{"dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,0]}}`), "negative or too large"},
		{"negative", rawFile(`{"a":{"dtype":"F32","shape":[-1,-1],"data_offsets":[0,4]}}`), "negative or too large"},
		{"fraction", rawFile(`{"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}}`), `tensor "a": json`},
		{"reversed", rawFile(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}`), "not a range"},
		{"negative offset", rawFile(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}`), "not a range"},
		{"offset beyond int64", rawFile(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[18446744073709551612,18446744073709551616]}}`), `tensor "a": json`},
		{"far away", rawFile(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[9223372036854775803,9223372036854775807]}}`), "belong to no tensor"},
		{"three offsets", rawFile(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}`), "two numbers"},
		{"no shape", rawFile(`{"a":{"dtype":"F32","data_offsets":[0,4]}}`), "no shape"},
		{"unknown dtype", rawFile(`{"a":{"dtype":"Q4","shape":[1],"data_offsets":[0,4]}}`), `unknown dtype "Q4"`},
		{"not an object", rawFile(`{"a":3}`), `tensor "a": json`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ReadSafetensors(bytes.NewReader(c.file))
			assert.ErrorContains(t, err, c.want)
			assert.ErrorContains(t, err, "safetensors: ")
			_, err = OpenSafetensors(bytes.NewReader(c.file), int64(len(c.file)))
			assert.ErrorContains(t, err, c.want)
		})
	}
	_, err := ReadSafetensors(iotest.ErrReader(io.ErrClosedPipe))
	assert.ErrorIs(t, err, io.ErrClosedPipe)
}

func TestSafetensorsAccepts(t *testing.T) {
	for _, file := range [][]byte{
		rawFile(`{}`), rawFile("{}  \n  "), rawFile(`{"__metadata__":{}}`), rawFile(`{"__metadata__":null}`),
		rawFile(`{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"c":{"dtype":"I8","shape":[0,9],"data_offsets":[4,4]}}`, 1, 2, 3, 4),
		rawFile(`{"b":{"shape":[],"extra":[{}],"data_offsets":[0,4],"dtype":"F32"}}`, 1, 2, 3, 4),
	} {
		_, err := ReadSafetensors(bytes.NewReader(file))
		assert.NoError(t, err, "%q", file)
	}
}

func TestSafetensorsConversions(t *testing.T) {
	u16 := binary.LittleEndian.AppendUint16
	u32 := binary.LittleEndian.AppendUint32
	u64 := binary.LittleEndian.AppendUint64
	f64 := func(v float64) []byte { return u64(nil, math.Float64bits(v)) }
	for _, c := range []struct {
		dtype string
		data  []byte
		want  float64 // as f32
		err   string  // as f32
		i32   string  // error as i32; "-" for none
	}{
		{"F32", u32(nil, math.Float32bits(0.1)), float64(float32(0.1)), "", "f32 cannot be read as an i32"},
		{"F64", f64(0.5), 0.5, "", "f64 cannot be read as an i32"},
		{"F64", f64(1e300), 0, "element 0 is 1e+300, too large for f32", ""},
		{"F64", f64(math.Inf(-1)), math.Inf(-1), "", ""},
		{"F64", f64(math.NaN()), math.NaN(), "", ""},
		{"F64", f64(1e-60), 0, "", ""},
		{"BF16", u16(nil, 0x3FC0), 1.5, "", "bf16 cannot be read as an i32"},
		{"F16", u16(nil, 0x3E00), 1.5, "", "f16 cannot be read as an i32"},
		{"F16", u16(nil, 0x0001), 0x1p-24, "", ""},
		{"F16", u16(nil, 0x83FF), -1023 * 0x1p-24, "", ""},
		{"F16", u16(nil, 0x7BFF), 65504, "", ""},
		{"F16", u16(nil, 0xFC00), math.Inf(-1), "", ""},
		{"F16", u16(nil, 0x7E01), math.NaN(), "", ""},
		{"I64", u64(nil, 1<<24), 1 << 24, "", "-"},
		{"I64", u64(nil, 1<<24+1), 0, "element 0 is 16777217, which a float cannot hold", "-"},
		{"I64", u64(nil, 1<<31), 0, "which a float cannot hold", "element 0 is 2147483648, which an i32 cannot hold"},
		{"I64", u64(nil, ^uint64(0)), -1, "", "-"},
		{"I32", u32(nil, 0xFFFFFFFE), -2, "", "-"},
		{"I16", u16(nil, 0xFFFE), -2, "", "-"},
		{"I8", []byte{0xFE}, -2, "", "-"},
		{"U32", u32(nil, 0xFFFFFFFF), 0, "cannot hold", "element 0 is 4294967295, which an i32 cannot hold"},
		{"U16", u16(nil, 0xFFFE), 65534, "", "-"},
		{"U8", []byte{0xFE}, 254, "", "-"},
		{"BOOL", []byte{1}, 1, "", "-"},
		{"BOOL", []byte{2}, 0, "element 0 is 2, not a bool", "element 0 is 2, not a bool"},
		{"U64", u64(nil, 1), 0, "u64 cannot be read as a float", "u64 cannot be read as an i32"},
		{"F8_E4M3", []byte{1}, 0, "f8e4m3 cannot be read as a float", ""},
	} {
		name := fmt.Sprintf("%s %x", c.dtype, c.data)
		f, err := ReadSafetensors(bytes.NewReader(one(c.dtype, "[1]", c.data...)))
		require.NoError(t, err)
		x := f.Lookup("x")
		got, err := x.Float32s(nil)
		if c.err != "" {
			assert.ErrorContains(t, err, `safetensors: tensor "x": `, name)
			assert.ErrorContains(t, err, c.err, name)
			assert.Empty(t, got)
		} else {
			require.NoError(t, err, name)
			assert.Equal(t, math.Float32bits(float32(c.want))&0x7FC00000, math.Float32bits(got[0])&0x7FC00000, name)
			if c.want == c.want {
				assert.Equal(t, float32(c.want), got[0], name)
			}
		}
		i, err := x.Int32s(nil)
		switch c.i32 {
		case "":
		case "-":
			require.NoError(t, err, name)
			if c.err == "" {
				assert.EqualValues(t, c.want, i[0], name)
			}
		default:
			assert.ErrorContains(t, err, c.i32, name)
		}
	}

	f, err := ReadSafetensors(bytes.NewReader(one("I64", "[1]", u64(nil, 2)...)))
	require.NoError(t, err)
	_, err = f.Lookup("x").Bools(nil)
	assert.ErrorContains(t, err, "element 0 is 2, which a bool cannot hold")
	assert.ErrorContains(t, ReadTensor(f.Lookup("x"), make([]float32, 2)), "i64[1] has 1 elements, not 2")
	v, err := f.Lookup("x").Float64s(nil)
	require.NoError(t, err)
	assert.Equal(t, []float64{2}, v)
}

func TestSafetensorsOfReferenceModels(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join("..", "..", "shared", "models", "*", "*.safetensors"))
	if len(files) == 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("../../shared/models is missing")
		}
		t.Skip("skip: ../../shared/models is not there")
	}
	for _, name := range files {
		r, err := os.Open(name)
		require.NoError(t, err)
		f, err := openReader(r)
		require.NoError(t, err, name)
		for _, x := range f.Tensors {
			v, err := x.Float32s(nil)
			require.NoError(t, err, name)
			assert.True(t, AllFinite(v))
			if strings.HasSuffix(name, "batch.safetensors") && x.DType == "I64" {
				_, err = x.Int32s(nil)
				assert.NoError(t, err)
			}
		}
		r.Close()
	}
}

func FuzzSafetensors(f *testing.F) {
	var buf bytes.Buffer
	_, err := WriteSafetensors(&buf, []NamedTensor{Named("w", []float32{1, 2, 3, 4, 5, 6}, 2, 3), Named("n", []int32{1}), Named("b", []bool{true}, 1)}, map[string]string{"a": "b"})
	require.NoError(f, err)
	f.Add(buf.Bytes())
	f.Add(buf.Bytes()[:20])
	f.Add(one("BF16", "[2,1]", 1, 2, 3, 4))
	f.Add(one("I64", "[1]", 1, 2, 3, 4, 5, 6, 7, 8))
	f.Add(rawFile(`{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}`))
	f.Fuzz(func(t *testing.T, file []byte) {
		a, err := ReadSafetensors(bytes.NewReader(file))
		b, err2 := OpenSafetensors(bytes.NewReader(file), int64(len(file)))
		if err != nil || err2 != nil {
			if (err == nil) != (err2 == nil) || err.Error() != err2.Error() {
				t.Fatalf("two ways of reading disagree: %v and %v", err, err2)
			}
			return
		}
		var out []NamedTensor
		total := 0
		for i, x := range a.Tensors {
			y := b.Tensors[i]
			total += len(x.Name)
			v, err := x.Float64s(nil)
			w, err2 := y.Float64s(nil)
			if (err == nil) != (err2 == nil) || len(v) != len(w) {
				t.Fatalf("%s: %v and %v", x.Name, err, err2)
			}
			if err == nil {
				out = append(out, Named(x.Name, v, x.Shape...))
			}
			x.Int32s(nil)
			x.Bools(nil)
		}
		var buf bytes.Buffer
		if _, err := WriteSafetensors(&buf, out, a.Meta); err != nil {
			t.Fatal(err)
		}
		c, err := ReadSafetensors(&buf)
		if err != nil || len(c.Tensors) != len(out) {
			t.Fatalf("what was written cannot be read: %v", err)
		}
	})
}
