package amd64_test

import (
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/lmc-lang/lmc/codegen/amd64"
	"github.com/lmc-lang/lmc/ir/loop"
)

func TestLook(t *testing.T) {
	n, _ := strconv.ParseUint(os.Getenv("LMC_SEED"), 10, 64)
	c := randomCase(n)
	fmt.Println(loop.Tidy(c.Kernel))
	tg := loop.TargetNamed(os.Getenv("LMC_T"))
	asm, stub, err := amd64.Print(c.Kernel, tg, "tile", syms(c.Kernel, c.Dims))
	fmt.Println(stub, asm, err)
}
