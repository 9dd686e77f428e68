package dsl

import (
	"embed"
	"slices"
	"strings"
)

//go:embed std/*.lm
var stdFiles embed.FS

// Std returns the source of a package of the standard library: "prelude",
// which is in scope everywhere, or "nn", "rnn", "optim", which are imported.
func Std(name string) (src []byte, ok bool) {
	if strings.ContainsAny(name, `/\`) {
		return nil, false
	}
	src, err := stdFiles.ReadFile("std/" + name + ".lm")
	return src, err == nil
}

// StdNames returns the names of all packages of the standard library, sorted.
func StdNames() []string {
	entries, err := stdFiles.ReadDir("std")
	if err != nil {
		panic("bug in dsl: " + err.Error()) // the folder is part of the program
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".lm"))
	}
	slices.Sort(names)
	return names
}
