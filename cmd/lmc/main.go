// Lmc turns the text of a neural network into an ordinary Go package.
//
// `lmc help` lists the commands.
package main

import (
	"os"

	"github.com/lmc-lang/lmc/cmd/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
