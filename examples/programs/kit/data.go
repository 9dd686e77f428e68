package kit

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Digits are images of 28 × 28 pixels, from 0 to 1, and what they show.
type Digits struct {
	X []float32
	Y []int32
}

// Len is the number of images.
func (d Digits) Len() int { return len(d.Y) }

// Batch is the images that pick lists.
func (d Digits) Batch(pick []int) Digits {
	return Digits{Rows(d.X, 28*28, pick), Rows(d.Y, 1, pick)}
}

// Slice is the images from i to k.
func (d Digits) Slice(i, k int) Digits { return Digits{d.X[i*28*28 : k*28*28], d.Y[i:k]} }

// MNIST reads the 10,000 images of the test set from a folder: 8,000 to train, the rest to test.
func MNIST(dir string) (train, test Digits, err error) {
	x, err := idx(filepath.Join(dir, "t10k-images-idx3-ubyte.gz"), 16)
	if err != nil {
		return train, test, err
	}
	y, err := idx(filepath.Join(dir, "t10k-labels-idx1-ubyte.gz"), 8)
	if err != nil {
		return train, test, err
	}
	var all Digits
	for _, b := range x {
		all.X = append(all.X, float32(b)/255)
	}
	for _, b := range y {
		all.Y = append(all.Y, int32(b))
	}
	return all.Slice(0, 8000), all.Slice(8000, 10000), nil
}

// idx is the bytes of a compressed idx file after its header.
func idx(name string, header int) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	b, err := io.ReadAll(z)
	if err == nil && len(b) < header {
		err = fmt.Errorf("%s: too short", name)
	}
	if err != nil {
		return nil, err
	}
	return b[header:], nil
}

// segments says which strokes of a seven-segment display each digit has.
var segments = [10]string{"abcdef", "bc", "abged", "abgcd", "fgbc", "afgcd", "afgedc", "abc", "abcdefg", "abcdfg"}

// DrawnDigits makes n images like MNIST's: digits of seven strokes, moved,
// slanted, of varying size and with noise.
func DrawnDigits(r *rand.Rand, n int) Digits {
	type line struct{ x0, y0, x1, y1 float64 }
	strokes := map[byte]line{
		'a': {-1, -2, 1, -2}, 'b': {1, -2, 1, 0}, 'c': {1, 0, 1, 2}, 'd': {-1, 2, 1, 2},
		'e': {-1, 0, -1, 2}, 'f': {-1, -2, -1, 0}, 'g': {-1, 0, 1, 0},
	}
	var out Digits
	for range n {
		y := r.IntN(10)
		img := make([]float32, 28*28)
		cx, cy := 14+2*r.Float64()-1, 14+2*r.Float64()-1
		sx, sy, slant := 3.5+1.5*r.Float64(), 3.5+r.Float64(), 0.6*(r.Float64()-0.3)
		for i := range len(segments[y]) {
			s := strokes[segments[y][i]]
			for t := 0.0; t <= 1; t += 0.02 {
				u, v := s.x0+(s.x1-s.x0)*t, s.y0+(s.y1-s.y0)*t
				px, py := cx+sx*(u-slant*v), cy+sy*v
				for dy := -1; dy <= 1; dy++ {
					for dx := -1; dx <= 1; dx++ {
						a, b := int(px)+dx, int(py)+dy
						if a < 0 || b < 0 || a >= 28 || b >= 28 {
							continue
						}
						d := math.Hypot(px-float64(a)-0.5, py-float64(b)-0.5)
						img[b*28+a] = max(img[b*28+a], float32(max(0, 1.4-d)))
					}
				}
			}
		}
		for i := range img {
			img[i] = min(1, max(0, img[i]+float32(0.08*r.NormFloat64())))
		}
		out.X, out.Y = append(out.X, img...), append(out.Y, int32(y))
	}
	return out
}

// Shifted is the images, each moved by up to n pixels.
func (d Digits) Shifted(r *rand.Rand, n int) Digits {
	out := Digits{make([]float32, len(d.X)), d.Y}
	for i := range d.Y {
		dx, dy := r.IntN(2*n+1)-n, r.IntN(2*n+1)-n
		for y := range 28 {
			for x := range 28 {
				if a, b := x+dx, y+dy; a >= 0 && b >= 0 && a < 28 && b < 28 {
					out.X[i*784+y*28+x] = d.X[i*784+b*28+a]
				}
			}
		}
	}
	return out
}

// Table reads rows of numbers separated by commas. The column target, counted
// from the end if negative, has classes, which are numbered as they appear.
// Rows that lack a number are left out.
func Table(name string, target int) (x []float32, y []int32, classes []string, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, nil, err
	}
	defer f.Close()
	c := csv.NewReader(f)
	c.TrimLeadingSpace = true
	rows, err := c.ReadAll()
	if err != nil {
		return nil, nil, nil, err
	}
next:
	for _, row := range rows {
		at := target
		if at < 0 {
			at += len(row)
		}
		var line []float32
		for k, s := range row {
			if k == at {
				continue
			}
			v, err := strconv.ParseFloat(s, 32)
			if err != nil {
				continue next
			}
			line = append(line, float32(v))
		}
		id := -1
		for k, s := range classes {
			if s == row[at] {
				id = k
			}
		}
		if id < 0 {
			id, classes = len(classes), append(classes, row[at])
		}
		x, y = append(x, line...), append(y, int32(id))
	}
	return x, y, classes, nil
}

// Standardize brings columns to mean 0 and deviation 1, as measured in the first n rows.
func Standardize(x []float32, width, n int) {
	for c := range width {
		sum, squares := 0.0, 0.0
		for i := range n {
			v := float64(x[i*width+c])
			sum, squares = sum+v, squares+v*v
		}
		mean := sum / float64(n)
		std := math.Sqrt(max(squares/float64(n)-mean*mean, 1e-12))
		for i := c; i < len(x); i += width {
			x[i] = float32((float64(x[i]) - mean) / std)
		}
	}
}

// Shuffle puts rows and their labels into another order.
func Shuffle[T any](r *rand.Rand, x []float32, width int, y []T) {
	r.Shuffle(len(y), func(i, k int) {
		y[i], y[k] = y[k], y[i]
		for c := range width {
			x[i*width+c], x[k*width+c] = x[k*width+c], x[i*width+c]
		}
	})
}

// WAV reads a file with one channel of 16 bits: samples from -1 to 1 and their rate.
func WAV(name string) (samples []float32, rate int, err error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, 0, err
	}
	if len(b) < 12 || string(b[:4]) != "RIFF" || string(b[8:12]) != "WAVE" {
		return nil, 0, fmt.Errorf("%s: not a WAV file", name)
	}
	for at := 12; at+8 <= len(b); {
		id, n := string(b[at:at+4]), int(binary.LittleEndian.Uint32(b[at+4:]))
		body := b[at+8 : min(at+8+n, len(b))]
		switch id {
		case "fmt ":
			if binary.LittleEndian.Uint16(body) != 1 || binary.LittleEndian.Uint16(body[2:]) != 1 || binary.LittleEndian.Uint16(body[14:]) != 16 {
				return nil, 0, fmt.Errorf("%s: not one channel of 16 bits", name)
			}
			rate = int(binary.LittleEndian.Uint32(body[4:]))
		case "data":
			for i := 0; i+1 < len(body); i += 2 {
				samples = append(samples, float32(int16(binary.LittleEndian.Uint16(body[i:])))/32768)
			}
		}
		at += 8 + n + n%2
	}
	return samples, rate, nil
}

// Lines reads the lines of a text.
func Lines(name string) ([]string, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []string
	s := bufio.NewScanner(f)
	for s.Scan() {
		if t := strings.TrimSpace(s.Text()); t != "" {
			out = append(out, t)
		}
	}
	return out, s.Err()
}
