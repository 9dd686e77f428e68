package runtime

import "math"

// Sums that cross workers use a partition that the length fixes, never the
// number of workers, and are combined in a fixed order: the bits of a training
// step do not depend on GOMAXPROCS.

// foldBlock is the number of elements of one partial result.
const foldBlock = 1 << 13

// foldLanes is the number of sums that a partial result is made of: enough for
// the vector units to be busy although each sum is a chain of additions.
const foldLanes = 32

// sumSquaresBlock adds the squares of at most foldBlock elements in float64,
// element i in lane i%foldLanes.
func sumSquaresBlock[F Float](x []F) float64 {
	var lanes [foldLanes]float64
	whole := len(x) / foldLanes * foldLanes
	if whole > 0 && !squaresOf(x[:whole], &lanes) {
		for at := 0; at < foldLanes; at += 8 {
			squares8(x[:whole], at, (*[8]float64)(lanes[at:]))
		}
	}
	for i, v := range x[whole:] {
		lanes[i] += square(v)
	}
	n := foldLanes / 2
	for n >= len(x) && n > 0 { // these lanes are 0
		n /= 2
	}
	for ; n > 0; n /= 2 {
		for i := range n {
			lanes[i] += lanes[i+n]
		}
	}
	return lanes[0]
}

// squares8 computes the eight lanes that begin with lane at: as many as the
// registers hold.
func squares8[F Float](x []F, at int, lanes *[8]float64) {
	var s0, s1, s2, s3, s4, s5, s6, s7 float64
	for len(x) >= foldLanes {
		v := x[at:][:8:8]
		s0 += square(v[0])
		s1 += square(v[1])
		s2 += square(v[2])
		s3 += square(v[3])
		s4 += square(v[4])
		s5 += square(v[5])
		s6 += square(v[6])
		s7 += square(v[7])
		x = x[foldLanes:]
	}
	*lanes = [8]float64{s0, s1, s2, s3, s4, s5, s6, s7}
}

func square[F Float](v F) float64 { return float64(float64(v) * float64(v)) }

// pairwise adds p[0] … p[n-1] in a balanced tree, overwriting p.
func pairwise(p []float64) float64 {
	n := len(p)
	if n == 0 {
		return 0
	}
	for n > 1 {
		half := n / 2
		for i := range half {
			p[i] = p[2*i] + p[2*i+1]
		}
		if n%2 == 1 {
			p[half] = p[n-1]
			half++
		}
		n = half
	}
	return p[0]
}

// A Fold computes sums over long slices with the help of the worker pool. It
// keeps the partial sums, so that a step that owns one allocates nothing; it is
// not for concurrent use. The zero value is ready to use.
type Fold[F Float] struct {
	x       []F
	partial []float64
}

// Run is the task of one range of blocks.
func (f *Fold[F]) Run(lo, hi int) {
	for b := lo; b < hi; b++ {
		f.partial[b] = sumSquaresBlock(f.x[b*foldBlock : min((b+1)*foldBlock, len(f.x))])
	}
}

// SumSquares is the sum of the squares of x, in float64: the same bits as the
// function [SumSquares], for any number of workers.
func (f *Fold[F]) SumSquares(x []F) float64 {
	blocks := (len(x) + foldBlock - 1) / foldBlock
	f.x, f.partial = x, Resize(f.partial, blocks)
	Parallel(blocks, 8, f)
	f.x = nil
	return pairwise(f.partial)
}

// SumSquares is the sum of the squares of x, in float64.
func SumSquares[F Float](x []F) float64 {
	var small [64]float64
	partial := Resize(small[:], (len(x)+foldBlock-1)/foldBlock)
	for b := range partial {
		partial[b] = sumSquaresBlock(x[b*foldBlock : min((b+1)*foldBlock, len(x))])
	}
	return pairwise(partial)
}

// ClipScale is the factor min(1, limit/(norm + 1e-6)) that brings a gradient
// with that sum of squares to a norm of at most limit. For a norm that is not
// finite it is useless; callers check that first.
func ClipScale(sumSquares, limit float64) float64 {
	if s := limit / (math.Sqrt(sumSquares) + 1e-6); !(s > 1) {
		return s
	}
	return 1
}

// AllFinite reports whether x has neither NaN nor infinities.
func AllFinite[F Float](x []F) bool {
	for len(x) >= 8 {
		v := x[:8:8]
		// v-v is 0 for finite v and NaN otherwise; the sum keeps a NaN.
		if s := (v[0] - v[0]) + (v[1] - v[1]) + (v[2] - v[2]) + (v[3] - v[3]) + (v[4] - v[4]) + (v[5] - v[5]) + (v[6] - v[6]) + (v[7] - v[7]); s != 0 {
			return false
		}
		x = x[8:]
	}
	for _, v := range x {
		if v-v != 0 {
			return false
		}
	}
	return true
}

// FirstNonFinite is the position of the first NaN or infinity in x, or -1.
func FirstNonFinite[F Float](x []F) int {
	for i, v := range x {
		if v-v != 0 {
			return i
		}
	}
	return -1
}
