package main

import (
	"strings"
	"testing"

	"example.com/programs/kit"
)

func TestParse(t *testing.T) {
	for text, want := range map[string][3]int{ // atoms, bonds, bonds in rings
		"CCO":                    {3, 2, 0},
		"c1ccccc1":               {6, 6, 6},
		"Cc1occc1C(=O)Nc2ccccc2": {15, 16, 11},
		"[Na+].[Cl-]":            {2, 0, 0},
		"C%12CCC%12":             {4, 4, 4},
		"OCC(=O)C#N":             {6, 5, 0},
		"ClC(Br)(I)F":            {5, 4, 0},
		"C1CC2CC1CC2":            {7, 8, 8},
		"[C@@H](N)(C)C(=O)O":     {6, 5, 0},
		"c1ccc2ccccc2c1":         {10, 11, 11},
	} {
		m, err := parse(text)
		if err != nil {
			t.Fatal(err)
		}
		rings := 0
		for _, b := range m.bonds {
			if b.ring {
				rings++
			}
		}
		if got := [3]int{len(m.kinds), len(m.bonds), rings}; got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
	for _, text := range []string{"C1CC", "C(C", "C)C", "[C", "", "C*"} {
		if _, err := parse(text); err == nil {
			t.Errorf("%q is understood", text)
		}
	}
}

// TestCounts: the network learns a property that adds up over atoms and bonds:
// oxygen raises it, rings lower it.
func TestCounts(t *testing.T) {
	r := kit.NewRand(1)
	parts, rings := []string{"C", "O", "N", "C(C)", "C(=O)"}, []string{"c1ccccc1", "C1CCCC1"}
	var all []sample
	for range 260 {
		var b strings.Builder
		y := 0.0
		for range 2 + r.IntN(6) {
			p := parts[r.IntN(len(parts))]
			y += float64(strings.Count(p, "O"))
			b.WriteString(p)
		}
		if r.IntN(2) == 0 {
			b.WriteString(rings[r.IntN(2)])
			y -= 2
		}
		all = append(all, sample{kit.Must(parse(b.String())), y})
	}
	p, losses := train(r, all[:200], 200, 16)
	e := p.error(all[200:])
	t.Logf("loss %.2f → %.3f; error %.2f of a deviation of %.2f", losses[0], kit.Mean(losses[190:]), e, p.std)
	if e > 0.4*p.std {
		t.Error("want 0.4 of the deviation")
	}
}
