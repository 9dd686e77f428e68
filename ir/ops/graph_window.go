package ops

import (
	"slices"

	"github.com/lmc-lang/lmc/ir"
)

// Window lays out the windows of x, with fill outside.
func (g Graph) Window(x *ir.Value, geo Geometry, fill float64) *ir.Value {
	return g.one(Window, x, append(geo.Settings(), Fill.Is(fill))...)
}

// Fold adds up windows into a tensor of the given shape.
func (g Graph) Fold(y *ir.Value, geo Geometry, shape []ir.Dim) *ir.Value {
	return g.one(Fold, y, append(geo.Settings(), Shape.Is(shape))...)
}

// Unwindow looks at windows from the places of a tensor of the given shape,
// which has the channels of y.
func (g Graph) Unwindow(y *ir.Value, geo Geometry, shape []ir.Dim) *ir.Value {
	return g.one(Unwindow, y, append(geo.Settings(), Shape.Is(shape))...)
}

// CausalWindow lays out windows of k taps that look back.
func (g Graph) CausalWindow(x, dilation *ir.Value, k ir.Dim) *ir.Value {
	return g.two(CausalWindow, x, dilation, Extent.Is(k))
}

// CausalFold is the transpose of CausalWindow.
func (g Graph) CausalFold(y, dilation *ir.Value) *ir.Value { return g.two(CausalFold, y, dilation) }

// CausalUnwindow looks at causal windows of k taps from the places they read.
func (g Graph) CausalUnwindow(y, dilation *ir.Value, k ir.Dim) *ir.Value {
	return g.two(CausalUnwindow, y, dilation, Extent.Is(k))
}

// Conv is the convolution of x with the filter w, whose extents are the
// kernel: that of geo is not used.
func (g Graph) Conv(x, w *ir.Value, geo Geometry, groups int) *ir.Value {
	return g.two(Conv, x, w, append(geo.settings(), Groups.Is(groups))...)
}

// ConvInput is the gradient of Conv to an x of the given shape; also the
// transposed convolution of dy.
func (g Graph) ConvInput(dy, w *ir.Value, geo Geometry, groups int, shape []ir.Dim) *ir.Value {
	return g.two(ConvInput, dy, w, append(geo.settings(), Groups.Is(groups), Shape.Is(shape))...)
}

// ConvFilter is the gradient of Conv to a filter of the given shape.
func (g Graph) ConvFilter(x, dy *ir.Value, geo Geometry, groups int, shape []ir.Dim) *ir.Value {
	return g.two(ConvFilter, x, dy, append(geo.settings(), Groups.Is(groups), Shape.Is(shape))...)
}

// SortIndex is the places of the elements of x along axis in order.
func (g Graph) SortIndex(x *ir.Value, axis int, descending bool) *ir.Value {
	return g.onLast(x, axis, func(x *ir.Value) *ir.Value { return g.one(SortIndex, x, Descend.Is(descending)) })
}

// TopKIndex is the places of the k largest elements of x along axis.
func (g Graph) TopKIndex(x *ir.Value, axis int, k ir.Dim) *ir.Value {
	return g.onLast(x, axis, func(x *ir.Value) *ir.Value { return g.one(TopKIndex, x, Extent.Is(k)) })
}

// onLast applies f with axis moved to the end.
func (g Graph) onLast(x *ir.Value, axis int, f func(x *ir.Value) *ir.Value) *ir.Value {
	perm := append(others(x.Type.Rank(), axis), axis)
	if axis < 0 || axis >= x.Type.Rank() || slices.IsSorted(perm) {
		return f(x)
	}
	return g.Transpose(f(g.Transpose(x, perm...)), inverse(perm)...)
}

// NMSKeep is the indices of at most limit boxes that non-maximum suppression keeps.
func (g Graph) NMSKeep(boxes, scores *ir.Value, iou float64, limit ir.Dim) *ir.Value {
	return g.two(NMSKeep, boxes, scores, IOU.Is(iou), Extent.Is(limit))
}

// NMSCount is the number of boxes that non-maximum suppression keeps.
func (g Graph) NMSCount(boxes, scores *ir.Value, iou float64, limit ir.Dim) *ir.Value {
	return g.two(NMSCount, boxes, scores, IOU.Is(iou), Extent.Is(limit))
}
