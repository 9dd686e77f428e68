package amd64_test
import ("testing";"fmt";"github.com/lmc-lang/lmc/ir/loop";"github.com/lmc-lang/lmc/codegen/amd64")
func TestLook(t *testing.T) {
	for _, tg := range loop.Targets {
		v := 2/tg.Span()
		rows := map[int]int{1:6,2:12}[v]
		k := tile("tile", rows, v, 256, 256)
		fmt.Println(amd64.Pressure(k, tg))
		asm, stub, err := amd64.Print(k, tg, "tile", nil)
		fmt.Println(stub, asm, err)
	}
}
