package main

import (
	"fmt"
	"strings"
)

// A molecule is atoms and bonds between them.
type molecule struct {
	kinds []int32 // index in elements, plus len(elements) if aromatic
	bonds []bond
}

// A bond joins atoms a and b.
type bond struct {
	a, b  int
	order int // 1, 2, 3, or 4 for aromatic
	ring  bool
}

var elements = []string{"C", "N", "O", "F", "P", "S", "Cl", "Br", "I", "B", "Si", "H", "?"}

// parse reads the SMILES notation of a molecule: atoms, branches, rings and the
// orders of bonds. Charges, isotopes and directions are passed over.
func parse(text string) (*molecule, error) {
	m := &molecule{}
	var stack []int
	open := map[string]bond{}
	last, order := -1, 0
	atom := func(name string, aromatic bool) {
		kind := len(elements) - 1
		for k, e := range elements {
			if e == name {
				kind = k
			}
		}
		if aromatic {
			kind += len(elements)
		}
		m.kinds = append(m.kinds, int32(kind))
		at := len(m.kinds) - 1
		if last >= 0 && order >= 0 {
			m.join(last, at, order)
		}
		last, order = at, 0
	}
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '(':
			stack = append(stack, last)
		case c == ')':
			if len(stack) == 0 {
				return nil, fmt.Errorf("%s: a bracket is closed that is not open", text)
			}
			last, stack = stack[len(stack)-1], stack[:len(stack)-1]
		case c == '-' || c == '/' || c == '\\':
			order = 1
		case c == '=':
			order = 2
		case c == '#':
			order = 3
		case c == ':':
			order = 4
		case c == '.':
			order = -1
		case c == '[':
			end := strings.IndexByte(text[i:], ']')
			if end < 0 {
				return nil, fmt.Errorf("%s: [ is not closed", text)
			}
			name := strings.TrimLeft(text[i+1:i+end], "0123456789")
			i += end
			n := 1
			if len(name) > 1 && name[1] >= 'a' && name[1] <= 'z' && name[0] >= 'A' && name[0] <= 'Z' {
				n = 2
			}
			if name == "" {
				return nil, fmt.Errorf("%s: an empty atom", text)
			}
			atom(strings.ToUpper(name[:1])+name[1:n], name[0] >= 'a')
		case c == '%' || c >= '0' && c <= '9':
			ring := string(c)
			if c == '%' {
				ring, i = text[i+1:min(i+3, len(text))], i+2
			}
			if b, ok := open[ring]; ok {
				delete(open, ring)
				m.join(b.a, last, max(b.order, order))
			} else {
				open[ring] = bond{a: last, order: order}
			}
			order = 0
		case strings.HasPrefix(text[i:], "Cl") || strings.HasPrefix(text[i:], "Br"):
			atom(text[i:i+2], false)
			i++
		case c >= 'A' && c <= 'Z':
			atom(string(c), false)
		case c >= 'a' && c <= 'z':
			atom(strings.ToUpper(string(c)), true)
		case c == '@' || c == ' ':
		default:
			return nil, fmt.Errorf("%s: %q is not understood", text, c)
		}
	}
	if len(open) > 0 || len(stack) > 0 || len(m.kinds) == 0 {
		return nil, fmt.Errorf("%s: a ring or bracket is open", text)
	}
	m.rings()
	return m, nil
}

// join adds a bond; order 0 is single, or aromatic between aromatic atoms.
func (m *molecule) join(a, b, order int) {
	if order <= 0 {
		order = 1
		if n := int32(len(elements)); m.kinds[a] >= n && m.kinds[b] >= n {
			order = 4
		}
	}
	m.bonds = append(m.bonds, bond{a: a, b: b, order: order})
}

// rings finds the bonds that are in a ring: those without which their atoms are
// still connected.
func (m *molecule) rings() {
	for i := range m.bonds {
		seen := map[int]bool{m.bonds[i].a: true}
		for grown := true; grown; {
			grown = false
			for k, b := range m.bonds {
				if k != i && seen[b.a] != seen[b.b] {
					seen[b.a], seen[b.b], grown = true, true, true
				}
			}
		}
		m.bonds[i].ring = seen[m.bonds[i].b]
	}
}
