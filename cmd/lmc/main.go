// Lmc turns the text of a neural network into an ordinary Go package.
//
// `lmc help` lists the commands.
package main

import (
	"os"
	"runtime/debug"

	"github.com/lmc-lang/lmc/cmd/internal/cli"
)

func main() {
	// A compiler lives too short to collect garbage often: a fifth of its time.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
