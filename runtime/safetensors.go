package runtime

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"
)

// The safetensors format: 8 bytes with the length of the header (little
// endian), the header (a JSON object from tensor names to dtype, shape and
// data_offsets, and __metadata__ to an object of strings), the data. The data of
// all tensors together covers the rest of the file without holes or overlaps.

// MaxSafetensorsHeader is the greatest header that is read, in bytes.
const MaxSafetensorsHeader = 100 << 20

const metadataName = "__metadata__"

// A File is the contents of a safetensors file.
type File struct {
	Meta    map[string]string // __metadata__, nil if there is none
	Tensors []*FileTensor     // in the order of their data

	byName map[string]*FileTensor
}

// A FileTensor is one tensor of a [File]. Its data is converted when it is read.
type FileTensor struct {
	Name  string
	DType string // F32, BF16, I64, …
	Shape []int

	size   int // elements
	offset int64
	data   io.ReaderAt
}

// Lookup is the tensor of that name, or nil.
func (f *File) Lookup(name string) *FileTensor { return f.byName[name] }

// ReadSafetensors reads a whole file into memory and checks it.
func ReadSafetensors(r io.Reader) (*File, error) {
	f, size, err := readHeader(r)
	if err != nil {
		return nil, err
	}
	// Memory grows with what is really there, not with what the header says.
	var data bytes.Buffer
	if n, err := io.CopyN(&data, r, size); err == io.EOF {
		return nil, f.truncated(n, size)
	} else if err != nil {
		return nil, fmt.Errorf("safetensors: %w", err)
	}
	if n, err := io.ReadFull(r, make([]byte, 1)); n > 0 {
		return nil, fmt.Errorf("safetensors: the file has more than the %d bytes of data that its header describes", size)
	} else if err != io.EOF {
		return nil, fmt.Errorf("safetensors: %w", err)
	}
	f.place(bytes.NewReader(data.Bytes()), 0)
	return f, nil
}

// OpenSafetensors reads and checks the header of a file of the given size. The
// data is read from r when it is asked for, so r must stay open until then.
func OpenSafetensors(r io.ReaderAt, size int64) (*File, error) {
	head := io.NewSectionReader(r, 0, size)
	f, dataSize, err := readHeader(head)
	if err != nil {
		return nil, err
	}
	start, _ := head.Seek(0, io.SeekCurrent)
	switch have := size - start; {
	case have < dataSize:
		return nil, f.truncated(have, dataSize)
	case have > dataSize:
		return nil, fmt.Errorf("safetensors: the file has more than the %d bytes of data that its header describes", dataSize)
	}
	f.place(r, start)
	return f, nil
}

// openReader opens r for one pass: lazily if it is a file, otherwise in memory.
func openReader(r io.Reader) (*File, error) {
	type seekReaderAt interface {
		io.ReaderAt
		io.Seeker
	}
	if f, ok := r.(seekReaderAt); ok {
		if start, err := f.Seek(0, io.SeekCurrent); err == nil {
			if end, err := f.Seek(0, io.SeekEnd); err == nil {
				return OpenSafetensors(io.NewSectionReader(f, start, end-start), end-start)
			}
		}
	}
	return ReadSafetensors(r)
}

func (f *File) place(data io.ReaderAt, start int64) {
	for _, t := range f.Tensors {
		t.data = data
		t.offset += start
	}
}

// truncated names the first tensor that is cut off.
func (f *File) truncated(have, want int64) error {
	for _, t := range f.Tensors {
		if t.offset+t.bytes() > have {
			return fmt.Errorf("safetensors: the file is truncated in tensor %q: it has %d of %d bytes of data", t.Name, have, want)
		}
	}
	return fmt.Errorf("safetensors: the file is truncated: it has %d of %d bytes of data", have, want)
}

// readHeader is the file without its data, and the length of that.
func readHeader(r io.Reader) (*File, int64, error) {
	var first [8]byte
	if _, err := io.ReadFull(r, first[:]); err != nil {
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil, 0, errors.New("safetensors: the file is shorter than 8 bytes")
		}
		return nil, 0, fmt.Errorf("safetensors: %w", err)
	}
	n := binary.LittleEndian.Uint64(first[:])
	if n > MaxSafetensorsHeader {
		return nil, 0, fmt.Errorf("safetensors: a header of %d bytes is not believable (at most %d are read); is this a safetensors file?", n, MaxSafetensorsHeader)
	}
	var head bytes.Buffer
	if got, err := io.CopyN(&head, r, int64(n)); err == io.EOF {
		return nil, 0, fmt.Errorf("safetensors: the file is truncated in its header: it has %d of %d bytes", got, n)
	} else if err != nil {
		return nil, 0, fmt.Errorf("safetensors: %w", err)
	}
	f, err := parseHeader(head.Bytes())
	if err != nil {
		return nil, 0, fmt.Errorf("safetensors: %w", err)
	}
	return f, f.layout(), f.check()
}

// parseHeader reads the JSON object by tokens, because a map would hide names
// that occur twice.
func parseHeader(head []byte) (*File, error) {
	f := &File{byName: map[string]*FileTensor{}}
	d := json.NewDecoder(bytes.NewReader(head))
	if tok, err := d.Token(); err != nil || tok != json.Delim('{') {
		return nil, errors.New("the header is not a JSON object")
	}
	for d.More() {
		tok, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("the header is not valid JSON: %w", err)
		}
		name, _ := tok.(string)
		if name == metadataName {
			if f.Meta != nil {
				return nil, errors.New("the header has __metadata__ twice")
			}
			if err := d.Decode(&f.Meta); err != nil {
				return nil, fmt.Errorf("__metadata__ is not an object of strings: %w", err)
			}
			if f.Meta == nil {
				f.Meta = map[string]string{}
			}
			continue
		}
		if f.byName[name] != nil {
			return nil, fmt.Errorf("tensor %q: the name occurs twice", name)
		}
		t, err := parseTensor(d)
		if err != nil {
			return nil, fmt.Errorf("tensor %q: %w", name, err)
		}
		t.Name = name
		f.byName[name] = t
		f.Tensors = append(f.Tensors, t)
	}
	if _, err := d.Token(); err != nil {
		return nil, fmt.Errorf("the header is not valid JSON: %w", err)
	}
	if rest := head[d.InputOffset():]; len(bytes.TrimLeft(rest, " \t\r\n\x00")) > 0 {
		return nil, errors.New("the header has text after its JSON object")
	}
	return f, nil
}

func parseTensor(d *json.Decoder) (*FileTensor, error) {
	var v struct {
		DType   string   `json:"dtype"`
		Shape   *[]int64 `json:"shape"`
		Offsets []int64  `json:"data_offsets"`
	}
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	kind := dtypeOf(v.DType)
	switch {
	case kind == nil:
		return nil, fmt.Errorf("unknown dtype %q", v.DType)
	case v.Shape == nil:
		return nil, errors.New("no shape")
	case len(v.Offsets) != 2:
		return nil, errors.New("data_offsets must be two numbers")
	}
	shape := make([]int, len(*v.Shape))
	for i, n := range *v.Shape {
		if shape[i] = int(n); int64(shape[i]) != n {
			return nil, fmt.Errorf("the shape %v is too large", *v.Shape)
		}
	}
	size, ok := Size(shape)
	bytes, fits := Size([]int{size, kind.size})
	if !ok || !fits {
		return nil, fmt.Errorf("the shape %v is negative or too large", *v.Shape)
	}
	begin, end := v.Offsets[0], v.Offsets[1]
	if begin < 0 || end < begin {
		return nil, fmt.Errorf("data_offsets %v are not a range", v.Offsets)
	}
	if end-begin != int64(bytes) {
		return nil, fmt.Errorf("%s%s needs %d bytes, but data_offsets %v are %d", typeName(v.DType), shapeName(shape), bytes, v.Offsets, end-begin)
	}
	return &FileTensor{DType: v.DType, Shape: shape, size: size, offset: begin}, nil
}

// layout sorts the tensors by their data and is the length of all data.
func (f *File) layout() int64 {
	sort.SliceStable(f.Tensors, func(i, j int) bool {
		a, b := f.Tensors[i], f.Tensors[j]
		if a.offset != b.offset {
			return a.offset < b.offset
		}
		return a.bytes() < b.bytes() // empty tensors first
	})
	if len(f.Tensors) == 0 {
		return 0
	}
	last := f.Tensors[len(f.Tensors)-1]
	return last.offset + last.bytes()
}

// check rejects holes and overlaps.
func (f *File) check() error {
	at, before := int64(0), ""
	for _, t := range f.Tensors {
		switch {
		case t.offset > at:
			return fmt.Errorf("safetensors: tensor %q: its data begins at %d, but %d bytes before it belong to no tensor", t.Name, t.offset, t.offset-at)
		case t.offset < at:
			return fmt.Errorf("safetensors: tensor %q: its data overlaps that of %q", t.Name, before)
		}
		at, before = t.offset+t.bytes(), t.Name
	}
	return nil
}

// Size is the number of elements of t.
func (t *FileTensor) Size() int { return t.size }

func (t *FileTensor) bytes() int64 { return int64(t.size) * int64(dtypeOf(t.DType).size) }

// Type is the type of t as models write it, such as f32[784,128].
func (t *FileTensor) Type() string { return typeName(t.DType) + shapeName(t.Shape) }

// Float32s appends the elements of t to dst; see [ReadTensor].
func (t *FileTensor) Float32s(dst []float32) ([]float32, error) { return appendTensor(dst, t) }

// Float64s appends the elements of t to dst; see [ReadTensor].
func (t *FileTensor) Float64s(dst []float64) ([]float64, error) { return appendTensor(dst, t) }

// Int32s appends the elements of t to dst; see [ReadTensor].
func (t *FileTensor) Int32s(dst []int32) ([]int32, error) { return appendTensor(dst, t) }

// Bools appends the elements of t to dst; see [ReadTensor].
func (t *FileTensor) Bools(dst []bool) ([]bool, error) { return appendTensor(dst, t) }

func appendTensor[T Elem](dst []T, t *FileTensor) ([]T, error) {
	n := len(dst)
	grown := Grow(dst, t.size)
	if err := ReadTensor(t, grown[n:]); err != nil {
		return dst, err
	}
	return grown, nil
}
