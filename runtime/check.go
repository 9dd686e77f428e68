package runtime

import (
	"strconv"
	"strings"
	"sync/atomic"
)

// CheckShape compares a shape and the length of its data with what a method
// declares. An extent of want that is negative may be anything from 1 on.
// The type is the declaration, such as "i32[B, T]", for the message.
// Nothing is allocated unless there is an error.
func CheckShape(model, fn, arg, typ string, got []int, dataLen int, want ...int) error {
	n, ok := Size(got)
	if !ok || n != dataLen {
		return &ShapeError{model, fn, arg, typ, append([]int(nil), got...), dataLen}
	}
	for i, d := range got {
		if d != want[i] && (want[i] >= 0 || d < 1) {
			return &ShapeError{model, fn, arg, withExtents(typ, want), append([]int(nil), got...), -1}
		}
	}
	return nil
}

// withExtents is a declared type with the extents that are known: i32[B=4, T].
func withExtents(typ string, want []int) string {
	elem, list, ok := strings.Cut(strings.TrimSuffix(typ, "]"), "[")
	if !ok {
		return typ
	}
	dims := strings.Split(list, ", ")
	for i, d := range dims {
		if _, err := strconv.Atoi(d); err != nil && i < len(want) && want[i] >= 0 {
			dims[i] = d + "=" + strconv.Itoa(want[i])
		}
	}
	return elem + "[" + strings.Join(dims, ", ") + "]"
}

// CheckRange is the position of the first element of ids outside [0, n), or -1.
func CheckRange(ids []int32, n int) int {
	for i, v := range ids {
		if uint(int(v)) >= uint(n) {
			return i
		}
	}
	return -1
}

// CheckIndex is an [IndexError] for the first element of ids outside [0, n), and
// nil if there is none. The shape of ids makes the position readable.
func CheckIndex(model, fn, arg string, ids []int32, shape []int, n int) error {
	at := CheckRange(ids, n)
	if at < 0 {
		return nil
	}
	value := int64(ids[at])
	pos := make([]int, len(shape))
	for i := len(shape) - 1; i >= 0; i-- {
		if shape[i] > 0 {
			pos[i], at = at%shape[i], at/shape[i]
		}
	}
	return &IndexError{model, fn, arg, pos, value, n}
}

// A Guard finds out about misuse by several goroutines; it never waits. Weights
// are shared by any number of calls or held by one step; a session is always
// held. The zero value is free.
type Guard struct{ n atomic.Int32 } // shared uses, or -1 if held

// Share starts a shared use. It is false, and nothing starts, if g is held.
func (g *Guard) Share() bool {
	for {
		n := g.n.Load()
		if n < 0 {
			return false
		}
		if g.n.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Unshare ends a shared use.
func (g *Guard) Unshare() { g.n.Add(-1) }

// Hold starts an exclusive use. It is false, and nothing starts, if g is in use.
func (g *Guard) Hold() bool { return g.n.CompareAndSwap(0, -1) }

// Release ends an exclusive use.
func (g *Guard) Release() { g.n.Store(0) }
