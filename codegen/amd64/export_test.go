package amd64

import "github.com/lmc-lang/lmc/ir/loop"

// Orders are the orders of statements that Print tries.
var Orders = []order{asWritten, demanded, halved}

// PrintIn is Print with one order of statements.
func PrintIn(o order, k *loop.Kernel, t *loop.Target, name string, syms []string) (asm, stub string, err error) {
	return printIn(k, t, name, syms, []order{o})
}
