package runtime

import (
	"fmt"
	"math"
)

// An Init says how each copy of a parameter starts.
//
//	Kind        Args     elements
//	const       v        v; also the zero Init, with v = 0
//	uniform     lo, hi   uniform in [lo, hi]
//	normal      std      normal with mean 0
//	glorot      in, out  uniform within ±√(6/(in+out)) (Glorot, Bengio 2010)
//	he          fan      normal with standard deviation √(2/fan) (He et al. 2015)
//	orthogonal  gain     as a matrix with the last axis as columns: orthogonal
//	                     columns (rows if there are more columns) of length gain
type Init struct {
	Kind string
	Args []float64
}

// initRow is a row of the table of initialisers: linear ones are
// shift + scale*draw, element by element.
type initRow struct {
	kind   string
	args   int
	draw   func(seed, stream, ctr uint64) float32
	linear func(a []float64) (shift, scale float64)
}

var initRows = [...]initRow{
	{"const", 1, nil, func(a []float64) (float64, float64) { return a[0], 0 }},
	{"uniform", 2, Uniform, func(a []float64) (float64, float64) { return a[0], a[1] - a[0] }},
	{"normal", 1, Normal, func(a []float64) (float64, float64) { return 0, a[0] }},
	{"glorot", 2, Uniform, func(a []float64) (float64, float64) {
		bound := math.Sqrt(6 / (a[0] + a[1]))
		return -bound, 2 * bound
	}},
	{"he", 1, Normal, func(a []float64) (float64, float64) { return 0, math.Sqrt(2 / a[0]) }},
	{"orthogonal", 1, nil, nil},
}

// InitWeights sets data to the start of training. Every copy of every parameter
// has a random stream of its own, derived from its name in files, so that adding
// a layer changes no other, and float32 and float64 builds start from the same
// numbers.
func InitWeights[F Float](params []ParamInfo, data []F, seed uint64) error {
	for i := range params {
		p := &params[i]
		for c := range p.Copies() {
			v := view(p, c, p.CopyName(c), data)
			if err := InitTensor(v.Data, v.Shape, p.Init, Key{seed, Stream("init " + v.Name)}); err != nil {
				return fmt.Errorf("%s: %w", p.Name, err)
			}
		}
	}
	return nil
}

// InitTensor initialises one tensor from the numbers of a key.
func InitTensor[F Float](data []F, shape []int, init Init, key Key) error {
	if init.Kind == "" {
		init = Init{"const", []float64{0}}
	}
	for i := range initRows {
		row := &initRows[i]
		if row.kind != init.Kind {
			continue
		}
		if len(init.Args) != row.args {
			return fmt.Errorf("initialiser %s wants %d numbers, got %d", init.Kind, row.args, len(init.Args))
		}
		if row.linear == nil {
			orthogonal(data, shape, init.Args[0], key)
			return nil
		}
		shift, scale := row.linear(init.Args)
		Parallel(len(data), 1<<14, &initTask[F]{data, row, key, shift, scale})
		return nil
	}
	return fmt.Errorf("unknown initialiser %q", init.Kind)
}

// initTask fills a part of a tensor: the element is the counter.
type initTask[F Float] struct {
	data         []F
	row          *initRow
	key          Key
	shift, scale float64
}

func (t *initTask[F]) Run(lo, hi int) {
	part := t.data[lo:hi]
	switch {
	case t.row.draw == nil:
		clear(part)
	case t.row.kind == "uniform" || t.row.kind == "glorot":
		FillUniform(part, t.key.Seed, t.key.Stream, uint64(lo))
	default:
		FillNormal(part, t.key.Seed, t.key.Stream, uint64(lo))
	}
	for i, v := range part {
		part[i] = F(float32(mad64(t.scale, float64(v), t.shift)))
	}
}

// orthogonal makes orthonormal vectors from normal ones by Gram and Schmidt,
// each twice, in float64 with products rounded, so that all ports agree.
func orthogonal[F Float](data []F, shape []int, gain float64, key Key) {
	cols := 1
	if len(shape) > 0 {
		cols = shape[len(shape)-1]
	}
	if len(data) == 0 {
		return
	}
	rows := len(data) / cols
	k, m := min(rows, cols), max(rows, cols) // k vectors of m elements
	q := make([]float64, k*m)
	FillNormal(q, key.Seed, key.Stream, 0)
	for j := range k {
		v := q[j*m : (j+1)*m]
		normalise(v)
		for range 2 {
			for i := range j {
				u := q[i*m : (i+1)*m]
				d := -dot64(u, v)
				for e := range v {
					v[e] = mad64(d, u[e], v[e])
				}
			}
			normalise(v)
		}
	}
	for j := range k {
		for e := range m {
			at := e*cols + j // vectors are columns
			if rows < cols {
				at = j*cols + e
			}
			data[at] = F(float32(gain * q[j*m+e]))
		}
	}
}

// normalise scales v to length 1. A vector of zeros, which is as good as
// impossible, becomes the first axis.
func normalise(v []float64) {
	n := math.Sqrt(dot64(v, v))
	if n == 0 {
		v[0], n = 1, 1
	}
	for i := range v {
		v[i] /= n
	}
}

func dot64(a, b []float64) float64 {
	var s0, s1, s2, s3 float64
	for len(a) >= 4 && len(b) >= 4 {
		s0 += float64(a[0] * b[0])
		s1 += float64(a[1] * b[1])
		s2 += float64(a[2] * b[2])
		s3 += float64(a[3] * b[3])
		a, b = a[4:], b[4:]
	}
	for i := range a {
		s0 += float64(a[i] * b[i])
	}
	return (s0 + s2) + (s1 + s3)
}
