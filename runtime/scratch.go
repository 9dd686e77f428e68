package runtime

import (
	"math/bits"
	"reflect"
	"sync/atomic"
)

// Aligned is a slice of n zeros that begins at a multiple of 64 bytes and has
// whole cache lines for itself: vectors do not straddle lines, and workers that
// write different slices do not disturb each other. Large ones are in large pages
// where the system has them.
func Aligned[T any](n int) []T {
	const line = 64
	size := int(reflect.TypeFor[T]().Size())
	per := line / max(size, 1) // elements of a line
	if size*per != line {
		return make([]T, n)
	}
	x := make([]T, (n+per-1)/per*per+per-1)
	inHugePages(x)
	skip := int(-reflect.ValueOf(x).Pointer()%line) / size
	return x[skip : skip+n : skip+n]
}

// A Scratch lends memory to the pieces of parallel loops that run at the same
// time. It grows to as many blocks as there were pieces at once, which is at
// most the number of workers, and each block to the largest size it was asked
// for: then nothing is allocated. The zero value is empty.
type Scratch struct {
	used   atomic.Uint64 // bit i: blocks[i] is lent
	blocks [64]*Block
	more   atomic.Pointer[Scratch] // where all are lent
}

// A Block is memory from a [Scratch]. What is in it is undefined. Each slice
// begins at a multiple of 64 bytes.
type Block struct {
	Floats  []float32
	Doubles []float64
	Ints    []int32
	Flags   []bool

	home *Scratch
	bit  uint64
}

// Borrow takes a block with room for these numbers of elements. Whoever has it
// gives it back by [Block.Return].
func (s *Scratch) Borrow(floats, ints, flags int) *Block {
	b := s.block()
	b.Floats, b.Ints, b.Flags = Resize(b.Floats, floats), Resize(b.Ints, ints), Resize(b.Flags, flags)
	return b
}

// BorrowDoubles is Borrow for programs that compute with float64.
func (s *Scratch) BorrowDoubles(doubles, ints, flags int) *Block {
	b := s.block()
	b.Doubles, b.Ints, b.Flags = Resize(b.Doubles, doubles), Resize(b.Ints, ints), Resize(b.Flags, flags)
	return b
}

// block takes a block as it is.
func (s *Scratch) block() *Block {
	for {
		used := s.used.Load()
		if used == 1<<64-1 {
			return s.rest().block()
		}
		i := bits.TrailingZeros64(^used)
		if !s.used.CompareAndSwap(used, used|1<<i) {
			continue
		}
		if s.blocks[i] == nil {
			s.blocks[i] = &Block{home: s, bit: 1 << i}
		}
		return s.blocks[i]
	}
}

// rest is the Scratch for what finds no place in s.
func (s *Scratch) rest() *Scratch {
	if s.more.Load() == nil {
		s.more.CompareAndSwap(nil, new(Scratch))
	}
	return s.more.Load()
}

// Return gives b back. It must not be used any more.
func (b *Block) Return() { b.home.used.And(^b.bit) }
