package check

import (
	"github.com/lmc-lang/lmc/dsl"
	"github.com/lmc-lang/lmc/ir/loop"
)

// An index is a name of index notation: it runs over 0 … range-1.
type index struct {
	name     string
	sym      string   // the index as an atom of affine values, with its range in entry.ranges
	rng      *dim     // nil until a bare use fixes it
	declared bool     // the range was written: t: T
	from     dsl.Node // what fixed the range, for messages
	what     string   // "axis 3 of `q`"
}

func (ix *index) show() string { return "the index " + ix.name }

// extent is the number of values of the index.
func (ix *index) extent() loop.Dim { return ix.rng.Dim }

// indexValue is the index as an integer.
func (c *checker) indexValue(ix *index) (t tensor) { c.silent(); return }

// indexAccess is x[…] inside index notation. done is false if none of the
// items depends on an index; then it is an ordinary subscript.
func (c *checker) indexAccess(e *dsl.Index, p place) (t tensor, done bool) { c.silent(); return }

// indexDefinition is the tensor that `name[b, t: T] := rhs` defines.
func (c *checker) indexDefinition(l *dsl.Index, rhs dsl.Expr) (t tensor) { c.silent(); return }

// constTable is a const in index notation.
func (c *checker) constTable(d *dsl.ConstDecl) (v value) { c.silent(); return }

// takeIndexed is take for a tensor that depends on indices.
func (c *checker) takeIndexed(t tensor, parts []axisPart) (out tensor) { c.silent(); return }
