package dsl

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestOneMistakeOneMessage removes or doubles one token of the library and the
// examples at a time. Some of the results are right programs; every other one
// gets one message, and not a cascade of them. (A { that is missing before an
// `else` gets two.)
func TestOneMistakeOneMessage(t *testing.T) {
	const every = 61 // of 35 000 changes; all of them take 20 s
	all := sources(t)
	n, wrong := 0, 0
	for _, path := range slices.Sorted(maps.Keys(all)) {
		src := string(all[path])
		toks, _ := scan("", src)
		for _, tok := range toks {
			if !written(tok) || tok.Type == tokComment {
				continue
			}
			at := tok.Pos.Offset
			for _, instead := range []string{"", tok.Value + " " + tok.Value} {
				if n++; n%every != 0 {
					continue
				}
				_, diags := Parse(path, []byte(src[:at]+instead+src[at+len(tok.Value):]))
				most := 1
				if tok.Value == "{" {
					most = 2
				}
				assert.LessOrEqual(t, len(diags), most, "%s:%d:%d: %q instead of %q: %v",
					path, tok.Pos.Line, tok.Pos.Column, instead, tok.Value, diags)
				wrong += min(len(diags), 1)
			}
		}
	}
	assert.Greater(t, wrong, n/every*8/10, "most changes are mistakes")
}
