// Package lmc holds the sources that the compiler carries with it: the runtime
// of generated packages, for output that imports the standard library only.
package lmc

import "embed"

// Runtime has the Go and assembly files of package runtime, under runtime/.
//
//go:embed runtime/*.go runtime/*.s
var Runtime embed.FS

// Drive has the Go files of package runtime/drive, under runtime/drive/: what
// `lmc train` compiles together with a model.
//
//go:embed runtime/drive/*.go
var Drive embed.FS
