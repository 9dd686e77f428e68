package drive

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/lmc-lang/lmc/runtime"
)

// maxArray is the greatest number of elements of an array that is read.
const maxArray = 1 << 31

// The header of a NumPy file is a Python dict with these keys.
var (
	npyDescr   = regexp.MustCompile(`'descr'\s*:\s*'([^']*)'`)
	npyFortran = regexp.MustCompile(`'fortran_order'\s*:\s*(True|False)`)
	npyShape   = regexp.MustCompile(`'shape'\s*:\s*\(([^)]*)\)`)
)

// loadNPY reads a NumPy array; the first axis counts rows.
func loadNPY(path string) (*Column, int, error) {
	raw, err := readFile(path)
	if err != nil {
		return nil, 0, err
	}
	c, rows, err := parseNPY(raw)
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", path, err)
	}
	return c, rows, nil
}

func parseNPY(raw []byte) (*Column, int, error) {
	const magic = "\x93NUMPY"
	if len(raw) < 12 || string(raw[:6]) != magic {
		return nil, 0, errors.New("this is not a NumPy file (.npy)")
	}
	size, start := int(binary.LittleEndian.Uint16(raw[8:])), 10
	if raw[6] >= 2 {
		size, start = int(binary.LittleEndian.Uint32(raw[8:])), 12
	}
	if size < 0 || size > len(raw)-start {
		return nil, 0, errors.New("the file is truncated in its header")
	}
	head, data := string(raw[start:start+size]), raw[start+size:]
	descr, fortran, shapes := npyDescr.FindStringSubmatch(head), npyFortran.FindStringSubmatch(head), npyShape.FindStringSubmatch(head)
	if descr == nil || fortran == nil || shapes == nil {
		return nil, 0, errors.New("the header has no element type, order or shape")
	}
	var shape []int
	for part := range strings.SplitSeq(shapes[1], ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 {
			return nil, 0, fmt.Errorf("the header has the shape (%s)", shapes[1])
		}
		shape = append(shape, n)
	}
	if len(shape) == 0 {
		return nil, 0, errors.New("the array is a single number; the first axis counts rows")
	}
	if fortran[1] == "True" && len(shape) > 1 {
		return nil, 0, errors.New("the array is in Fortran order; save np.ascontiguousarray(a)")
	}
	n, ok := runtime.Size(shape)
	if !ok || n > maxArray {
		return nil, 0, fmt.Errorf("the array is too large: %v", shape)
	}
	c := &Column{Shape: shape[1:]}
	return c, shape[0], c.decode(descr[1], data, n)
}

// A number is how an element of a NumPy file is read.
type number struct {
	size  int
	whole bool
	read  func(b []byte, o binary.ByteOrder) float64
}

var npyNumbers = map[string]number{
	"f4": {4, false, func(b []byte, o binary.ByteOrder) float64 { return float64(math.Float32frombits(o.Uint32(b))) }},
	"f8": {8, false, func(b []byte, o binary.ByteOrder) float64 { return math.Float64frombits(o.Uint64(b)) }},
	"i1": {1, true, func(b []byte, _ binary.ByteOrder) float64 { return float64(int8(b[0])) }},
	"i2": {2, true, func(b []byte, o binary.ByteOrder) float64 { return float64(int16(o.Uint16(b))) }},
	"i4": {4, true, func(b []byte, o binary.ByteOrder) float64 { return float64(int32(o.Uint32(b))) }},
	"i8": {8, true, func(b []byte, o binary.ByteOrder) float64 { return float64(int64(o.Uint64(b))) }},
	"u1": {1, true, func(b []byte, _ binary.ByteOrder) float64 { return float64(b[0]) }},
	"u2": {2, true, func(b []byte, o binary.ByteOrder) float64 { return float64(o.Uint16(b)) }},
	"u4": {4, true, func(b []byte, o binary.ByteOrder) float64 { return float64(o.Uint32(b)) }},
	"b1": {1, true, func(b []byte, _ binary.ByteOrder) float64 { return float64(b[0]) }},
}

// decode reads n elements of a NumPy type such as <f4.
func (c *Column) decode(descr string, data []byte, n int) error {
	order := binary.ByteOrder(binary.LittleEndian)
	if strings.HasPrefix(descr, ">") {
		order = binary.BigEndian
	}
	k, ok := npyNumbers[strings.TrimLeft(descr, "<>|=")]
	if !ok {
		return fmt.Errorf("elements of type %q are not read; save them as float32 or int32", descr)
	}
	if len(data) < n*k.size {
		return fmt.Errorf("the file is truncated: it has %d of %d bytes of data", len(data), n*k.size)
	}
	if k.whole {
		c.I = make([]int32, n)
	} else {
		c.F = make([]float32, n)
	}
	for i := range n {
		x := k.read(data[i*k.size:], order)
		if !k.whole {
			c.F[i] = float32(x)
			continue
		}
		if x < math.MinInt32 || x > math.MaxInt32 {
			return fmt.Errorf("element %d is %.0f, too large for i32", i, x)
		}
		c.I[i] = int32(x)
	}
	return nil
}

// loadImages reads two idx files, which may be compressed: pictures of bytes,
// scaled to 0…1, and a label for each.
func loadImages(images, labels string) (*Data, error) {
	if images == "" {
		return nil, errors.New("-labels needs -images")
	}
	shape, pixels, err := loadIDX(images)
	if err != nil {
		return nil, err
	}
	if len(shape) < 2 {
		return nil, fmt.Errorf("%s has one axis; pictures have at least two", images)
	}
	d := &Data{Source: images, Rows: shape[0]}
	x := &Column{Name: "images", Role: features, Shape: shape[1:], F: make([]float32, len(pixels))}
	for i, b := range pixels {
		x.F[i] = float32(b) / 255
	}
	d.Columns = []*Column{x}
	if labels == "" {
		return d, nil
	}
	shape, classes, err := loadIDX(labels)
	if err != nil {
		return nil, err
	}
	if len(shape) != 1 {
		return nil, fmt.Errorf("%s has %d axes; labels have one", labels, len(shape))
	}
	if shape[0] != d.Rows {
		return nil, fmt.Errorf("%s has %d pictures, but %s has %d labels", images, d.Rows, labels, shape[0])
	}
	y := &Column{Name: "labels", Role: target, path: labels, I: make([]int32, len(classes))}
	for i, b := range classes {
		y.I[i] = int32(b)
	}
	d.Columns = append(d.Columns, y)
	return d, nil
}

// loadIDX reads an idx file of bytes.
func loadIDX(path string) (shape []int, data []byte, err error) {
	raw, err := readFile(path)
	if err != nil {
		return nil, nil, err
	}
	fail := func(format string, a ...any) ([]int, []byte, error) {
		return nil, nil, fmt.Errorf("%s: %w", path, fmt.Errorf(format, a...))
	}
	if len(raw) > 2 && raw[0] == 0x1f && raw[1] == 0x8b {
		z, err := gzip.NewReader(bytes.NewReader(raw))
		if err != nil {
			return fail("%w", err)
		}
		if raw, err = io.ReadAll(z); err != nil {
			return fail("%w", err)
		}
	}
	if len(raw) < 4 || raw[0] != 0 || raw[1] != 0 {
		return fail("this is not an idx file")
	}
	if raw[2] != 8 {
		return fail("its elements have type %#x; bytes (0x08) are read", raw[2])
	}
	rank := int(raw[3])
	if rank == 0 || len(raw) < 4+4*rank {
		return fail("the file is truncated in its header")
	}
	for k := range rank {
		shape = append(shape, int(binary.BigEndian.Uint32(raw[4+4*k:])))
	}
	n, ok := runtime.Size(shape)
	data = raw[4+4*rank:]
	if !ok || n != len(data) {
		return fail("its header says %v, but it has %d bytes of data", shape, len(data))
	}
	return shape, data, nil
}
