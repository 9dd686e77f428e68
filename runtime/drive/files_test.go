package drive

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"flag"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite golden files")

func TestCSV(t *testing.T) {
	for _, c := range []struct {
		name, text, target string
		drop               []string
		rows               int
		names              []string
		err                string
	}{
		{"header", "a,b,y\n1,2,3\n4,5,6\n", "y", nil, 2, []string{"a", "b"}, ""},
		{"no header", "1,2,3\n4,5,6\n", "3", nil, 2, []string{"column 1", "column 2"}, ""},
		{"counted from the end", "1,2,3\n4,5,6\n", "-1", nil, 2, []string{"column 1", "column 2"}, ""},
		{"words only", "kind,a\nx,1\ny,2\n", "kind", nil, 2, []string{"a"}, ""},
		{"class without header", "1,2,x\n3,4,y\n", "3", nil, 2, []string{"column 1", "column 2"}, ""},
		{"semicolons", "a;b;y\n1;2;3\n", "y", nil, 1, []string{"a", "b"}, ""},
		{"tabs", "a\tb\ty\n1\t2\t3\n", "y", nil, 1, []string{"a", "b"}, ""},
		{"byte order mark, blanks, quotes", "\xef\xbb\xbf\"a\", b ,y\r\n1, 2 ,3\r\n", "Y", nil, 1, []string{"a", "b"}, ""},
		{"dropped", "id,a,y\nq,1,2\nr,3,4\n", "y", []string{"id"}, 2, []string{"a"}, ""},
		{"empty", "", "y", nil, 0, nil, "f.csv is empty"},
		{"header only", "a,y\n", "y", nil, 0, nil, "f.csv has names of columns, but no rows"},
		{"ragged", "a,y\n1,2\n3\n", "y", nil, 0, nil, "f.csv:3: this row has 1 columns, but the first has 2"},
		{"quote", "a,y\n1,\"2\n", "y", nil, 0, nil, "f.csv:2:"},
		{"nan", "a,y\n1,2\nnan,4\n", "y", nil, 0, nil, "f.csv:3: column a is NaN"},
		{"word without header", "1,x,3\n4,y,6\n", "3", nil, 0, nil, `f.csv:1: column 2 is "x", not a number; -drop "column 2"`},
		{"infinity", "a,y\n1,2\n1e999,4\n", "y", nil, 0, nil, `f.csv:3: column a is "1e999", not a number`},
		{"hole", "a,y\n1,2\n,4\n", "y", nil, 0, nil, `f.csv:3: column a is "", not a number`},
		{"hole in the target", "a,y\n1,2\n3,\n", "y", nil, 0, nil, `f.csv:3: the target y is ""`},
		{"nan in the target", "a,y\n1,2\n3,NaN\n", "y", nil, 0, nil, `f.csv:3: the target y is "NaN"`},
		{"no such target", "a,y\n1,2\n", "z", nil, 0, nil, "-target z: f.csv has no such column; it has a, y"},
		{"number too great", "a,y\n1,2\n", "3", nil, 0, nil, "-target 3: f.csv has no such column"},
		{"nothing left", "y\n1\n", "y", nil, 0, nil, "f.csv has no columns besides the target"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			require.NoError(t, os.WriteFile("f.csv", []byte(c.text), 0o666))
			d, err := Load(&Config{CSV: "f.csv", Target: c.target, Drop: c.drop})
			if c.err != "" {
				require.ErrorContains(t, err, c.err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, c.rows, d.Rows)
			assert.Equal(t, c.names, d.Columns[0].Names)
		})
	}
}

func TestNormalise(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("f.csv", []byte("a,b,y\n1,5,0\n3,5,0\n"), 0o666))
	d, err := Load(&Config{CSV: "f.csv", Target: "y"})
	require.NoError(t, err)
	x := d.Columns[0]
	assert.Equal(t, []float32{-1, 0, 1, 0}, x.F)
	assert.Equal(t, []float64{2, 5}, x.Mean)
	assert.Equal(t, []float64{1, 1}, x.Std) // a constant column is not divided by 0
}

// npy is a NumPy file.
func npy(header string, data any) []byte {
	var b bytes.Buffer
	b.WriteString("\x93NUMPY\x01\x00")
	binary.Write(&b, binary.LittleEndian, uint16(len(header)))
	b.WriteString(header)
	binary.Write(&b, binary.LittleEndian, data)
	return b.Bytes()
}

func TestNPY(t *testing.T) {
	const f4 = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n"
	six := []float32{1, 2, 3, 4, 5, 6}
	c, rows, err := parseNPY(npy(f4, six))
	require.NoError(t, err)
	assert.Equal(t, 2, rows)
	assert.Equal(t, []int{3}, c.Shape)
	assert.Equal(t, six, c.F)
	c, _, err = parseNPY(npy("{'descr': '<i8', 'fortran_order': False, 'shape': (2,)}", []int64{-1, 7}))
	require.NoError(t, err)
	assert.Equal(t, []int32{-1, 7}, c.I)
	c, _, err = parseNPY(npy("{'descr': '|u1', 'fortran_order': True, 'shape': (2,)}", []byte{3, 255}))
	require.NoError(t, err)
	assert.Equal(t, []int32{3, 255}, c.I)
	good := npy(f4, six)
	for name, c := range map[string]struct {
		raw  []byte
		want string
	}{
		"text":      {[]byte("a,b\n1,2\n"), "not a NumPy file"},
		"header":    {good[:20], "truncated in its header"},
		"data":      {good[:len(good)-1], "truncated: it has 23 of 24 bytes"},
		"fortran":   {npy("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3)}", six), "Fortran order"},
		"scalar":    {npy("{'descr': '<f4', 'fortran_order': False, 'shape': ()}", six), "single number"},
		"type":      {npy("{'descr': '<c8', 'fortran_order': False, 'shape': (2,)}", six), `type "<c8"`},
		"negative":  {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}", six), "the shape"},
		"huge":      {npy("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 99999999999)}", six), "too large"},
		"too large": {npy("{'descr': '<i8', 'fortran_order': False, 'shape': (1,)}", []int64{math.MaxInt64}), "too large for i32"},
		"no shape":  {npy("{'descr': '<f4', 'fortran_order': False}", six), "no element type, order or shape"},
	} {
		_, _, err := parseNPY(c.raw)
		assert.ErrorContains(t, err, c.want, name)
	}
}

func TestImages(t *testing.T) {
	t.Chdir(t.TempDir())
	write := func(name string, data []byte, zip bool) {
		if zip {
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			z.Write(data)
			z.Close()
			data = b.Bytes()
		}
		require.NoError(t, os.WriteFile(name, data, 0o666))
	}
	images := []byte{0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 255, 51, 0}
	write("im", images, false)
	write("im.gz", images, true)
	write("lab", []byte{0, 0, 8, 1, 0, 0, 0, 2, 3, 1}, false)
	for _, name := range []string{"im", "im.gz"} {
		d, err := Load(&Config{Images: name, Labels: "lab"})
		require.NoError(t, err)
		assert.Equal(t, []float32{0, 1, 0.2, 0}, d.Columns[0].F)
		assert.Equal(t, []int32{3, 1}, d.Columns[1].I)
	}
	write("short", images[:18], false)
	write("floats", []byte{0, 0, 0xd, 1, 0, 0, 0, 0}, false)
	write("head", images[:9], false)
	write("lie", []byte{0, 0, 8, 3, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1}, false)
	write("three", []byte{0, 0, 8, 1, 0, 0, 0, 3, 3, 1, 0}, false)
	write("cut.gz", images[:3], true)
	for _, c := range []struct{ images, labels, want string }{
		{"short", "lab", "short: its header says [2 1 2], but it has 2 bytes of data"},
		{"floats", "lab", "floats: its elements have type 0xd; bytes (0x08) are read"},
		{"head", "lab", "head: the file is truncated in its header"},
		{"lie", "lab", "lie: its header says"},
		{"cut.gz", "lab", "cut.gz: this is not an idx file"},
		{"lab", "lab", "lab has one axis; pictures have at least two"},
		{"im", "im", "im has 3 axes; labels have one"},
		{"im", "three", "im has 2 pictures, but three has 3 labels"},
		{"", "lab", "-labels needs -images"},
		{"none", "lab", "cannot read none: no such file or directory"},
	} {
		_, err := Load(&Config{Images: c.images, Labels: c.labels})
		assert.ErrorContains(t, err, c.want)
	}
}

// TestCurve compares pictures with golden files; look at them after -update.
func TestCurve(t *testing.T) {
	if *update && os.Getenv("CI") != "" {
		t.Fatal("-update is not for CI")
	}
	noise := func(k int) float64 { return math.Sin(float64(k * k % 97)) }
	var fall, flat, decades curve
	for k := 1; k <= 900; k++ {
		fall.add(int64(k), 1+3*math.Exp(-float64(k)/150)+0.1*noise(k))
		if k%90 == 0 {
			fall.validated(int64(k), 1.1+3*math.Exp(-float64(k)/140))
		}
		if k <= 50 {
			flat.add(int64(k), 2)
			decades.add(int64(k), math.Pow(10, 3-float64(k)/10))
		}
	}
	for name, c := range map[string]*curve{"fall": &fall, "flat": &flat, "decades": &decades} {
		path := filepath.Join("testdata", name+".svg")
		if *update {
			require.NoError(t, os.MkdirAll("testdata", 0o777))
			require.NoError(t, c.save(path))
		}
		want, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.Equal(t, string(want), c.svg(), name)
	}
}
