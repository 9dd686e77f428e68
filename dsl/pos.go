package dsl

import (
	"cmp"
	"strconv"
)

// Pos is a place in a source file. The zero Pos is no place at all.
type Pos struct {
	Line   int // from 1
	Col    int // from 1, in bytes; a tab counts as one
	Offset int // from 0, in bytes
}

// IsValid tells whether p is a place in a file.
func (p Pos) IsValid() bool { return p.Line > 0 }

// String returns line:col, or "-" for no place.
func (p Pos) String() string {
	if !p.IsValid() {
		return "-"
	}
	return strconv.Itoa(p.Line) + ":" + strconv.Itoa(p.Col)
}

// Compare orders places of one file; it is negative when p stands before q.
func (p Pos) Compare(q Pos) int { return cmp.Compare(p.Offset, q.Offset) }

// Span is a piece of text: from Pos up to, but not including, End.
// It is embedded in every node, so that n.Pos and n.End are those of n.
type Span struct {
	Pos, End Pos
}

// Range returns the span itself; it makes everything that embeds a Span a Node.
func (s Span) Range() Span { return s }

// Join is the span from the start of a to the end of b.
func Join(a, b Node) Span { return Span{a.Range().Pos, b.Range().End} }
