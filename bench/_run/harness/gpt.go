package harness

import "fmt"

// GPT lists the parameters of a decoder of L blocks.
func GPT(L int, bias bool) []string {
	out := []string{"net.wte", "net.wpe"}
	add := func(path, w string) {
		out = append(out, path+w)
		if bias {
			out = append(out, path+".b")
		}
	}
	for i := range L {
		block := fmt.Sprintf("net.blocks.%d.", i)
		add(block+"ln1", ".g")
		add(block+"attn.qkv", ".w:OI")
		add(block+"attn.proj", ".w:OI")
		add(block+"ln2", ".g")
		add(block+"fc", ".w:OI")
		add(block+"out", ".w:OI")
	}
	add("net.lnf", ".g")
	return out
}
