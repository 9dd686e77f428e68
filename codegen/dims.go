package codegen

import (
	"slices"
	"strconv"
	"strings"

	"github.com/lmc-lang/lmc/ir/loop"
)

// dimExpr is d as a Go expression of type int; name gives the variable of a
// symbol. It is a sum unless single is set, which adds parentheses to one.
func dimExpr(d loop.Dim, name func(string) string, single bool) string {
	return dimTerms(d, func(f loop.DimFactor) string { return dimFactor(f, name) }, single)
}

// dimFloat prints d as an expression of type float64, which products of many
// sizes fit into.
func dimFloat(d loop.Dim, name func(string) string) string {
	return dimTerms(d, func(f loop.DimFactor) string { return "float64(" + dimFactor(f, name) + ")" }, false)
}

func dimFactor(f loop.DimFactor, name func(string) string) string {
	if f.Sym != "" {
		return name(f.Sym)
	}
	return "runtime.FloorDiv(" + dimExpr(f.Num, name, false) + ", " + dimExpr(f.Den, name, false) + ")"
}

// dimTerms prints a sum of products of factors.
func dimTerms(d loop.Dim, factor func(loop.DimFactor) string, single bool) string {
	ts := d.Terms()
	if len(ts) == 0 {
		return "0"
	}
	// Positive terms first, the constant last, as in Dim.String.
	rank := func(t loop.DimTerm) int {
		r := 0
		if t.Coef < 0 {
			r = 1
		}
		if len(t.Factors) == 0 {
			r += 2
		}
		return r
	}
	slices.SortStableFunc(ts, func(a, b loop.DimTerm) int { return rank(a) - rank(b) })
	var b strings.Builder
	for i, t := range ts {
		coef := t.Coef
		switch {
		case i > 0 && coef < 0:
			b.WriteString(" - ")
			coef = -coef
		case i > 0:
			b.WriteString(" + ")
		case coef == -1 && len(t.Factors) > 0:
			b.WriteString("-")
			coef = 1
		}
		var factors []string
		if coef != 1 || len(t.Factors) == 0 {
			factors = append(factors, strconv.Itoa(coef))
		}
		for _, f := range t.Factors {
			factors = append(factors, factor(f))
		}
		b.WriteString(strings.Join(factors, "*"))
	}
	if single && len(ts) > 1 {
		return "(" + b.String() + ")"
	}
	return b.String()
}

// maxDim is the larger of two sizes if one is known to be at least the other for
// all sizes of at least 1.
func maxDim(a, b loop.Dim) (loop.Dim, bool) {
	switch {
	case atLeastZero(a.Sub(b)):
		return a, true
	case atLeastZero(b.Sub(a)):
		return b, true
	}
	return loop.Dim{}, false
}

// atLeastZero is whether d >= 0 is plain to see where every symbol is at least 0.
func atLeastZero(d loop.Dim) bool {
	for _, t := range d.Terms() {
		if t.Coef < 0 {
			return false
		}
		for _, f := range t.Factors {
			if f.Sym == "" && (!atLeastZero(f.Num) || !atLeastZero(f.Den)) {
				return false
			}
		}
	}
	return true
}
