package codegen

import (
	"fmt"
	"strings"

	"github.com/lmc-lang/lmc"
)

// standalone is the sources of the runtime as files of a subfolder.
func standalone(source string) []File {
	entries, err := lmc.Runtime.ReadDir("runtime")
	if err != nil {
		panic(err) // they are embedded
	}
	var out []File
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		data, err := lmc.Runtime.ReadFile("runtime/" + e.Name())
		if err != nil {
			panic(err)
		}
		head := fmt.Sprintf(Header, source) + "\n\n"
		out = append(out, File{"runtime/" + e.Name(), append([]byte(head), data...)})
	}
	return out
}
