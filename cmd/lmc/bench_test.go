package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// BenchmarkGPT2 measures the two waits of somebody who compiles the largest
// example of the first kind, GPT-2 with 124 million parameters: `lmc build` as a
// command, and `go build` of what it wrote, under a module path that Go's cache has not seen.
//
//	go test ./cmd/lmc -run '^$' -bench GPT2 -benchtime 3x
func BenchmarkGPT2(b *testing.B) {
	root, err := filepath.Abs("../..")
	if err != nil {
		b.Fatal(err)
	}
	bin := filepath.Join(b.TempDir(), "lmc")
	command(b, root, "go", "build", "-o", bin, "./cmd/lmc")

	b.Run("lmc build", func(b *testing.B) {
		for range b.N {
			command(b, root, bin, "build", "-o", filepath.Join(b.TempDir(), "gpt2"), "examples/gpt2.lm")
		}
	})
	b.Run("go build", func(b *testing.B) {
		for range b.N {
			b.StopTimer()
			dir := b.TempDir()
			mod := "module " + fmt.Sprintf("bench%d", time.Now().UnixNano()) + "\n\ngo 1.26.0\n\nrequire github.com/lmc-lang/lmc v0.0.0\n\nreplace github.com/lmc-lang/lmc => " + root + "\n"
			if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(mod), 0o666); err != nil {
				b.Fatal(err)
			}
			command(b, root, bin, "build", "-o", filepath.Join(dir, "gpt2"), "examples/gpt2.lm")
			b.StartTimer()
			command(b, dir, "go", "build", "./gpt2")
		}
	})
}

func command(b *testing.B, dir, name string, args ...string) {
	b.Helper()
	c := exec.Command(name, args...)
	c.Dir = dir
	if out, err := c.CombinedOutput(); err != nil {
		b.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}
