package amd64

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/lmc-lang/lmc/ir/loop"
)

// TestEveryFormIsKnown walks ops, element types, scalars and vectors, and
// targets: each has a form, is computed by hand, or is refused with a reason.
func TestEveryFormIsKnown(t *testing.T) {
	for op := range loop.Table {
		info := &loop.Table[op]
		if special[loop.Op(op)] != "" {
			continue
		}
		var sigs []string
		for _, f := range info.Forms {
			if f.Float == 64 {
				continue
			}
			var args []*loop.Val
			for _, a := range f.Args {
				args = append(args, &loop.Val{Elem: a})
			}
			sigs = append(sigs, signature(args, f.Result))
		}
		if loop.Op(op).Across() {
			for s := range byOp[loop.Op(op)] {
				sigs = append(sigs, s)
			}
			assert.NotEmpty(t, sigs, info.Name)
		}
		for _, sig := range sigs {
			for _, target := range loop.Targets {
				for _, many := range []bool{false, true} {
					form := text(target, loop.Op(op), sig, many)
					if form == "" && !strings.Contains(sig, "int") {
						t.Errorf("%s: %s %s, many %v: no form and no reason", target.Name, info.Name, sig, many)
					}
					if form != "" && form[0] != '(' {
						steps(form) // panics if it cannot be read
					}
				}
			}
		}
	}
}

// The ops of Ints that have no row are sums or divisions, which int.go computes.
func TestRowsOfInts(t *testing.T) {
	byHand := map[loop.Op]bool{loop.Add: true, loop.Sub: true, loop.Neg: true, loop.Div: true, loop.Mod: true, loop.Check: true}
	for op := range loop.Table {
		for _, f := range loop.Table[op].Forms {
			var args []*loop.Val
			for _, a := range f.Args {
				args = append(args, &loop.Val{Elem: a})
			}
			sig := signature(args, f.Result)
			if strings.Contains(sig, "int") && f.Float != 64 {
				assert.True(t, byHand[loop.Op(op)] != (text(loop.AVX2, loop.Op(op), sig, false) != ""), "%s %s", loop.Table[op].Name, sig)
			}
		}
	}
}
