package runtime

import "slices"

// The functions of this file are what kernels call on whole runs of memory.
// They allocate nothing.

// SortIndex sets index to the permutation that sorts x, ascending or
// descending: index[0] is the place of the first element. Equal elements keep
// their order and NaN comes last either way. Index is as long as x.
func SortIndex[F Float](x []F, index []int32, descending bool) {
	for i := range index {
		index[i] = int32(i)
	}
	if descending {
		slices.SortFunc(index, func(a, b int32) int { return order(x[b], x[a], x[a], x[b], a, b) })
	} else {
		slices.SortFunc(index, func(a, b int32) int { return order(x[a], x[b], x[a], x[b], a, b) })
	}
}

// order compares the elements i and j by the keys p and q, those without a
// value after the others, and equal ones by place: a total order, so that
// every way of sorting gives the same.
func order[F Float](p, q, xi, xj F, i, j int32) int {
	switch {
	case p < q:
		return -1
	case p > q:
		return 1
	case xi != xi && xj == xj:
		return 1
	case xi == xi && xj != xj:
		return -1
	}
	return int(i) - int(j)
}

// TopKIndex sets index to the places of the len(index) largest elements of x,
// the largest first; of equal elements the first comes first, and NaN comes
// last. Index must not be longer than x.
func TopKIndex[F Float](x []F, index []int32) {
	k := len(index)
	if k == 0 {
		return
	}
	before := func(a, b int32) bool { return order(x[b], x[a], x[a], x[b], a, b) < 0 }
	// index is a heap with the last in order on top.
	down := func(h []int32) {
		for i := 0; ; {
			c := 2*i + 1
			if c >= len(h) {
				return
			}
			if c+1 < len(h) && before(h[c], h[c+1]) {
				c++
			}
			if !before(h[i], h[c]) {
				return
			}
			h[i], h[c] = h[c], h[i]
			i = c
		}
	}
	for i := range x {
		p := int32(i)
		switch {
		case i < k:
			// Sift up.
			c := i
			index[c] = p
			for c > 0 {
				up := (c - 1) / 2
				if !before(index[up], index[c]) {
					break
				}
				index[up], index[c] = index[c], index[up]
				c = up
			}
		case before(p, index[0]):
			index[0] = p
			down(index)
		}
	}
	for n := k - 1; n > 0; n-- {
		index[0], index[n] = index[n], index[0]
		down(index[:n])
	}
}

// NMS is non-maximum suppression: it visits boxes by descending score and keeps
// those whose intersection over union with every box kept before is at most
// iou. A box is x0, y0, x1, y1; boxes has four elements per score. Keep gets
// the indices of the first len(keep) boxes kept, 0 after the last, and count[0]
// their number. A box with score NaN is not kept. Rank is scratch, as long as
// scores.
func NMS[F Float](boxes, scores []F, keep, count, rank []int32, iou F) {
	SortIndex(scores, rank, true)
	n := 0
	for _, i := range rank {
		if n == len(keep) || scores[i] != scores[i] {
			break
		}
		b, kept := box(boxes, i), true
		for _, j := range keep[:n] {
			if overlap(b, box(boxes, j)) > iou {
				kept = false
				break
			}
		}
		if kept {
			keep[n] = i
			n++
		}
	}
	clear(keep[n:])
	count[0] = int32(n)
}

func box[F Float](boxes []F, i int32) [4]F { return [4]F(boxes[4*int(i) : 4*int(i)+4]) }

// overlap is the intersection over union of two boxes, NaN if both are empty.
func overlap[F Float](a, b [4]F) F {
	in := area([4]F{larger(a[0], b[0]), larger(a[1], b[1]), smaller(a[2], b[2]), smaller(a[3], b[3])})
	return in / (area(a) + area(b) - in)
}

func area[F Float](b [4]F) F {
	w, h := b[2]-b[0], b[3]-b[1]
	if !(w > 0 && h > 0) {
		return 0
	}
	return F(w * h)
}

func larger[F Float](a, b F) F {
	if a > b {
		return a
	}
	return b
}

func smaller[F Float](a, b F) F {
	if a < b {
		return a
	}
	return b
}
