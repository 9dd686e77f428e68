package runtime

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"sort"
)

// A NamedTensor is a tensor to be written to a file; see [Named].
type NamedTensor struct {
	Name  string
	Shape []int

	dtype string
	size  int
	// encode appends the elements from … to to b in the byte order of files.
	encode func(b []byte, from, to int) []byte
}

// Named is data (not copied) with a name and a shape, ready to be written as
// F32, F64, I32 or BOOL.
func Named[T Elem](name string, data []T, shape ...int) NamedTensor {
	t := NamedTensor{Name: name, Shape: shape, size: len(data)}
	switch d := any(data).(type) {
	case []float32:
		t.dtype, t.encode = "F32", func(b []byte, from, to int) []byte {
			for _, v := range d[from:to] {
				b = le.AppendUint32(b, math.Float32bits(v))
			}
			return b
		}
	case []float64:
		t.dtype, t.encode = "F64", func(b []byte, from, to int) []byte {
			for _, v := range d[from:to] {
				b = le.AppendUint64(b, math.Float64bits(v))
			}
			return b
		}
	case []int32:
		t.dtype, t.encode = "I32", func(b []byte, from, to int) []byte {
			for _, v := range d[from:to] {
				b = le.AppendUint32(b, uint32(v))
			}
			return b
		}
	case []bool:
		t.dtype, t.encode = "BOOL", func(b []byte, from, to int) []byte {
			for _, v := range d[from:to] {
				x := byte(0)
				if v {
					x = 1
				}
				b = append(b, x)
			}
			return b
		}
	}
	return t
}

// WriteSafetensors writes a safetensors file and returns its length. The same
// tensors and metadata in any order give the same bytes: tensors are sorted by
// falling element size, then by name, so that all data is aligned.
func WriteSafetensors(w io.Writer, tensors []NamedTensor, meta map[string]string) (int64, error) {
	ts := append([]NamedTensor(nil), tensors...)
	sort.Slice(ts, func(i, j int) bool {
		if a, b := ts[i].bytes(), ts[j].bytes(); a != b {
			return a > b
		}
		return ts[i].Name < ts[j].Name
	})
	head, err := header(ts, meta)
	if err != nil {
		return 0, err
	}
	out := &countWriter{w: w}
	out.Write(head)
	buf := make([]byte, 0, 64<<10)
	for i := range ts {
		t := &ts[i]
		step := cap(buf) / t.bytes()
		for from := 0; from < t.size && out.err == nil; from += step {
			buf = t.encode(buf[:0], from, min(from+step, t.size))
			out.Write(buf)
		}
	}
	if out.err != nil {
		return out.n, fmt.Errorf("safetensors: %w", out.err)
	}
	return out.n, nil
}

// bytes is the length of one element.
func (t *NamedTensor) bytes() int {
	if k := dtypeOf(t.dtype); k != nil {
		return k.size
	}
	return 1 // the zero NamedTensor, which header rejects
}

// header is the length and the JSON object. The tensors are in file order.
func header(ts []NamedTensor, meta map[string]string) ([]byte, error) {
	b := make([]byte, 8, 1024)
	b = append(b, '{')
	seen := make(map[string]bool, len(ts))
	if len(meta) > 0 {
		b = append(quote(b, metadataName), ":{"...)
		keys := make([]string, 0, len(meta))
		for k := range meta {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		for i, k := range keys {
			if i > 0 {
				b = append(b, ',')
			}
			b = quote(append(quote(b, k), ':'), meta[k])
		}
		b = append(b, '}')
	}
	at := int64(0)
	for i := range ts {
		t := &ts[i]
		if t.encode == nil || t.Name == metadataName || seen[t.Name] {
			return nil, fmt.Errorf("safetensors: tensor %q: the name is reserved, occurs twice, or has no data", t.Name)
		}
		seen[t.Name] = true
		if n, ok := Size(t.Shape); !ok || n != t.size {
			return nil, fmt.Errorf("safetensors: tensor %q: the shape %s does not fit data of length %d", t.Name, dims(t.Shape), t.size)
		}
		if len(b) > 9 {
			b = append(b, ',')
		}
		end := at + int64(t.size)*int64(t.bytes())
		b = append(quote(b, t.Name), ':')
		b = fmt.Appendf(b, `{"dtype":"%s","shape":%s,"data_offsets":[%d,%d]}`, t.dtype, bracket(t.Shape), at, end)
		at = end
	}
	b = append(b, '}')
	for len(b)%8 != 0 {
		b = append(b, ' ')
	}
	le.PutUint64(b, uint64(len(b)-8))
	return b, nil
}

// bracket is the shape as JSON.
func bracket(shape []int) string {
	if len(shape) == 0 {
		return "[]"
	}
	return shapeName(shape)
}

func quote(b []byte, s string) []byte {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	if e.Encode(s) != nil { // strings always encode
		return b
	}
	return append(b, bytes.TrimSuffix(buf.Bytes(), []byte("\n"))...)
}

// countWriter counts, and writes nothing more after an error.
type countWriter struct {
	w   io.Writer
	n   int64
	err error
}

func (c *countWriter) Write(b []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.w.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	c.n, c.err = c.n+int64(n), err
	return n, err
}
