package codegen

import (
	"go/token"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// predeclared are the names of Go that a generated name must not hide.
var predeclared = strings.Fields(`
	any append bool byte cap clear close comparable complex complex128 complex64 copy delete error
	false float32 float64 imag init int int16 int32 int64 int8 iota len main make max min new nil
	panic print println real recover rune string true uint uint16 uint32 uint64 uint8 uintptr _`)

// ours are the names that generated functions use for themselves.
var ours = strings.Fields(`dst err m n o ok out s seed t w need inUse modelName batch shape`)

// A scope hands out names, each once.
type scope map[string]bool

// newScope is a scope in which the names of Go, of the imports and others are
// taken.
func newScope(others ...string) scope {
	s := scope{}
	for _, n := range predeclared {
		s[n] = true
	}
	for n := range imports {
		s[n] = true
	}
	for _, n := range others {
		s[n] = true
	}
	return s
}

// clone is a copy to which names can be added.
func (s scope) clone() scope { return maps.Clone(s) }

// pick is want if that is free, else want with the first suffix that is.
func (s scope) pick(want string, suffixes ...string) string {
	want = identifier(want)
	name := want
	for i := 0; s[name] || token.IsKeyword(name); i++ {
		if i < len(suffixes) {
			name = want + suffixes[i]
		} else {
			name = want + strconv.Itoa(i-len(suffixes)+2)
		}
	}
	s[name] = true
	return name
}

// identifier is s without what a Go identifier cannot have.
func identifier(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case unicode.IsLetter(r), r == '_' && b.Len() > 0, unicode.IsDigit(r) && b.Len() > 0:
			b.WriteRune(r)
		}
	}
	if b.Len() == 0 {
		return "x"
	}
	return b.String()
}

// exported is the exported Go name of a dotted path: blocks.{0}.attn.w is
// BlocksAttnW.
func exported(path string) string {
	var b strings.Builder
	for _, part := range strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '_' || r == '{' || r == '}' || r == ' ' }) {
		if _, err := strconv.Atoi(part); err == nil && b.Len() == 0 || part == "" {
			continue
		}
		if strings.Contains(path, "{"+part+"}") {
			continue
		}
		b.WriteString(upper(identifier(part)))
	}
	return b.String()
}

func upper(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:]
}

func lower(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToLower(r)) + s[n:]
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
