package runtime

import "reflect"

// Apart is src if it shares no memory with any of dsts, otherwise a copy of it
// in *scratch, which grows as needed: what is then written to dsts does not
// change it.
func Apart[T any](src []T, scratch *[]T, dsts ...[]T) []T {
	for _, d := range dsts {
		if shareMemory(src, d) {
			*scratch = append((*scratch)[:0], src...)
			return *scratch
		}
	}
	return src
}

// shareMemory reports whether a and b share an element.
func shareMemory[T any](a, b []T) bool {
	if len(a) == 0 || len(b) == 0 {
		return false
	}
	size := reflect.TypeFor[T]().Size()
	x, y := reflect.ValueOf(&a[0]).Pointer(), reflect.ValueOf(&b[0]).Pointer()
	return x < y+uintptr(len(b))*size && y < x+uintptr(len(a))*size
}
