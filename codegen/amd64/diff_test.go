package amd64_test

import (
	"bytes"
	"encoding/gob"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/lmc-lang/lmc/codegen/amd64"
	"github.com/lmc-lang/lmc/ir/loop"
	"github.com/lmc-lang/lmc/ir/loop/looptest"
)

// has reports whether this machine runs the code of a target.
func has(t *loop.Target) bool {
	info, _ := os.ReadFile("/proc/cpuinfo")
	want := []string{"avx2", "fma"}
	if t.Lanes == 16 {
		want = []string{"avx512f", "avx512vl", "avx512dq", "avx512bw"}
	}
	for _, w := range want {
		if !slices.Contains(strings.Fields(string(info)), w) {
			return false
		}
	}
	return runtime.GOARCH == "amd64"
}

// A program is kernels printed as assembly, and calls of them.
type program struct {
	asm, stubs, table strings.Builder
	calls             []call
	want              [][]mem
	about             []string
	faults            map[int][2]int // results bad and n of calls that fault
	printed           map[string]string
	print             func(k *loop.Kernel, t *loop.Target, name string, syms []string) (asm, stub string, err error) // if not amd64.Print
}

// A call is one run of a kernel in the program under test.
type call struct {
	Func  string
	Bufs  []mem
	Ints  []int
	N     int  // of the grid, -1 without
	Chunk int  // pieces at once, 0 for all
	Shift int  // elements from an aligned address
	Edge  bool // memory ends where the buffers end
	Share bool // in-place pairs are one memory
	Pairs [][2]int
	// Results:
	Bad, Bound int
	Wrong      string
}

// A mem is memory as gob can send it.
type mem struct {
	F32 []float32
	I32 []int32
	B   []bool
}

func wrap(m loop.Mem) (d mem) {
	switch m := m.(type) {
	case []float32:
		d.F32 = m
	case []int32:
		d.I32 = m
	case []bool:
		d.B = m
	}
	return d
}

// same compares floats by bits, NaN with NaN.
func same(a, b mem) bool {
	f32 := func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) || x != x && y != y }
	return slices.EqualFunc(a.F32, b.F32, f32) && slices.Equal(a.I32, b.I32) && slices.Equal(a.B, b.B)
}

func syms(k *loop.Kernel, dims map[string]int) []string {
	var out []string
	for s := range dims {
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}

// funcName is the name of the function of k for a target.
func funcName(k *loop.Kernel, t *loop.Target) string {
	return fmt.Sprint(k.Name, "AVX", 32*t.Lanes)
}

// intsOf are the integers that a function takes: sizes, then the kernel's own.
func intsOf(c *looptest.Case) (out []int) {
	for _, s := range syms(c.Kernel, c.Dims) {
		out = append(out, c.Dims[s])
	}
	return append(out, c.Ints...)
}

// add adds a kernel for t and calls of it. It returns false if t lacks an op.
func (p *program) add(t *testing.T, target *loop.Target, c *looptest.Case, calls ...call) bool {
	k := c.Kernel
	name := funcName(k, target)
	print := amd64.Print
	if p.print != nil {
		print = p.print
	}
	if p.printed == nil {
		p.printed = map[string]string{}
	}
	names := syms(k, c.Dims)
	if p.printed[name] == "" {
		asm, stub, err := print(k, target, name, names)
		if err != nil && strings.Contains(err.Error(), " lacks op ") {
			return false
		}
		require.NoError(t, err, "%s", k)
		again, _, err := print(k, target, name, names)
		require.NoError(t, err)
		require.Equal(t, asm, again, "not deterministic")
		p.asm.WriteString(asm + "\n")
		p.stubs.WriteString(stub + "\n")
		fmt.Fprintf(&p.table, "\t%q: func(b []mem, n []int, lo, hi int) (bad, bound int) { %s },\n", name, callText(k, name, names))
		p.printed[name] = asm
	}
	run := func(share bool) []mem {
		mem := c.Memory(false)
		if share {
			for _, x := range k.InPlace {
				mem[x[1]] = mem[x[0]]
			}
		}
		require.NoError(t, loop.Run(k, c.Dims, false, mem, c.Ints), "%s", k)
		return wrapAll(mem)
	}
	wanted := run(false)
	if len(calls) == 0 {
		calls = []call{{}, {Shift: 3}, {Edge: true}}
		if k.Grid != nil {
			calls = append(calls, call{Chunk: 2})
		}
		if len(k.InPlace) > 0 {
			calls = append(calls, call{Share: true, Pairs: k.InPlace})
		}
	}
	for _, one := range calls {
		one.Func = name
		one.Bufs = wrapAll(c.Memory(false))
		for _, b := range k.Bufs[len(k.Arguments()):] {
			n, err := b.Len.Eval(c.Dims)
			require.NoError(t, err)
			one.Bufs = append(one.Bufs, wrap(loop.NewMem(b.Elem, n, false)))
		}
		one.Ints = intsOf(c)
		one.N = -1
		if k.Grid != nil {
			var err error
			one.N, err = k.Grid.N.Eval(c.Dims)
			require.NoError(t, err)
		}
		p.calls = append(p.calls, one)
		if one.Share {
			p.want = append(p.want, run(true))
		} else {
			p.want = append(p.want, wanted)
		}
		p.about = append(p.about, fmt.Sprintf("%s %v %v, shift %d, edge %v, share %v, chunk %d", name, c.Dims, c.Ints, one.Shift, one.Edge, one.Share, one.Chunk))
	}
	return true
}

// addFault adds a call that does not end well.
func (p *program) addFault(t *testing.T, target *loop.Target, c *looptest.Case) {
	require.Error(t, loop.Run(c.Kernel, c.Dims, false, c.Memory(false), c.Ints))
	p.calls = append(p.calls, call{Func: funcName(c.Kernel, target), Bufs: wrapAll(c.Memory(false)), Ints: intsOf(c), N: -1})
	p.want = append(p.want, nil)
	p.about = append(p.about, c.Kernel.Name)
}

func wrapAll(ms []loop.Mem) (out []mem) {
	for _, m := range ms {
		out = append(out, wrap(m))
	}
	return out
}

// callText calls a printed kernel with memory b and integers n.
func callText(k *loop.Kernel, name string, syms []string) string {
	var args []string
	buffer := func(i int) {
		args = append(args, fmt.Sprintf("b[%d].%s", i, [...]string{"F32", "I32", "B"}[k.Bufs[i].Elem]))
	}
	n := len(k.Arguments())
	for i := range n {
		buffer(i)
	}
	for i := range len(syms) + len(k.Ints) {
		args = append(args, fmt.Sprintf("n[%d]", i))
	}
	for i := n; i < len(k.Bufs); i++ {
		buffer(i)
	}
	if k.Grid != nil {
		args = append(args, "lo", "hi")
	}
	text := name + "(" + strings.Join(args, ", ") + ")"
	if amd64.Faults(k) {
		return "return " + text
	}
	return text + "; return"
}

const mainText = `
type mem struct {
	F32 []float32
	I32 []int32
	B   []bool
}

type call struct {
	Func       string
	Bufs       []mem
	Ints       []int
	N, Chunk   int
	Shift      int
	Edge       bool
	Share      bool
	Pairs      [][2]int
	Bad, Bound int
	Wrong      string
}

const page = 4096

// room returns memory for n elements of size bytes: at the end of a page behind
// which there is nothing, or between guards.
func room(n, size, shift int, edge bool) (all []byte, at int) {
	bytes := n * size
	if edge {
		whole := (bytes + 2*page - 1) / page * page
		all, err := syscall.Mmap(-1, 0, whole+2*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
		if err != nil {
			panic(err)
		}
		if err := syscall.Mprotect(all[page+whole:], syscall.PROT_NONE); err != nil {
			panic(err)
		}
		if err := syscall.Mprotect(all[:page], syscall.PROT_NONE); err != nil {
			panic(err)
		}
		return all, page + whole - bytes
	}
	all = make([]byte, bytes+512)
	for i := range all {
		all[i] = byte(i%251) | 1
	}
	at = 128 + shift*size
	return all, at
}

func place[T any](x []T, shift int, edge bool) (moved []T, check func() bool) {
	var t T
	size := int(unsafe.Sizeof(t))
	all, at := room(len(x), size, shift, edge)
	if len(x) == 0 {
		return nil, func() bool { return true }
	}
	moved = unsafe.Slice((*T)(unsafe.Pointer(&all[at])), len(x))
	copy(moved, x)
	return moved, func() bool {
		if edge {
			defer syscall.Munmap(all)
			copy(x, moved)
			return true
		}
		for i := range all {
			if (i < at || i >= at+len(x)*size) && all[i] != byte(i%251)|1 {
				return false
			}
		}
		copy(x, moved)
		return true
	}
}

func run(c *call) {
	f := funcs[c.Func]
	bufs := make([]mem, len(c.Bufs))
	var checks []func() bool
	for i, m := range c.Bufs {
		var a, b, d func() bool
		bufs[i].F32, a = place(m.F32, c.Shift, c.Edge)
		bufs[i].I32, b = place(m.I32, c.Shift, c.Edge)
		bufs[i].B, d = place(m.B, c.Shift, c.Edge)
		checks = append(checks, func() bool { return a() && b() && d() })
	}
	if c.Share {
		for _, x := range c.Pairs {
			bufs[x[1]] = bufs[x[0]]
			checks[x[1]] = func() bool { c.Bufs[x[1]] = c.Bufs[x[0]]; return true }
		}
	}
	debug.SetPanicOnFault(true)
	defer func() {
		if r := recover(); r != nil {
			c.Wrong = fmt.Sprint(r)
		}
	}()
	switch {
	case c.N < 0:
		c.Bad, c.Bound = f(bufs, c.Ints, 0, 0)
	case c.Chunk == 0:
		c.Bad, c.Bound = f(bufs, c.Ints, 0, c.N)
	default:
		for lo := 0; lo < c.N && c.Bound == 0; lo += c.Chunk {
			c.Bad, c.Bound = f(bufs, c.Ints, lo, min(lo+c.Chunk, c.N))
		}
	}
	for i, ok := range checks {
		if !ok() {
			c.Wrong = fmt.Sprintf("buffer %d: wrote outside", i)
		}
	}
}

func main() {
	var calls []call
	if err := gob.NewDecoder(os.Stdin).Decode(&calls); err != nil {
		panic(err)
	}
	for i := range calls {
		run(&calls[i])
	}
	if err := gob.NewEncoder(os.Stdout).Encode(calls); err != nil {
		panic(err)
	}
}
`

// build vets and builds the program with the given main file.
func (p *program) build(t testing.TB, main string) string {
	dir := t.TempDir()
	if keep := os.Getenv("LMC_KEEP"); keep != "" {
		dir = keep
	}
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	write("go.mod", "module diff\n\ngo 1.24\n")
	write("kernels_amd64.s", amd64.Header+"\n"+p.asm.String())
	write("kernels_amd64.go", "package main\n\n"+p.stubs.String())
	write("main.go", main)
	for _, args := range [][]string{{"vet", "-unsafeptr=false", "."}, {"build", "-o", "diff", "."}} {
		cmd := exec.Command("go", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	return filepath.Join(dir, "diff")
}

// run builds the program, runs all calls and compares what they leave in
// memory with the interpreter.
func (p *program) run(t *testing.T) {
	exe := p.build(t, "package main\n\nimport (\n\t\"encoding/gob\"\n\t\"fmt\"\n\t\"os\"\n\t\"runtime/debug\"\n\t\"syscall\"\n\t\"unsafe\"\n)\n"+mainText+
		"\nvar funcs = map[string]func(b []mem, n []int, lo, hi int) (bad, bound int){\n"+p.table.String()+"}\n")
	var in, out, stderr bytes.Buffer
	require.NoError(t, gob.NewEncoder(&in).Encode(p.calls))
	cmd := exec.Command(exe)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = &in, &out, &stderr
	require.NoError(t, cmd.Run(), "%s", &stderr)
	var got []call
	require.NoError(t, gob.NewDecoder(&out).Decode(&got))
	require.Len(t, got, len(p.want))
	failed := 0
	for i := range p.want {
		asm := p.printed[p.calls[i].Func]
		if f, ok := p.faults[i]; ok {
			if got[i].Bad != f[0] || got[i].Bound != f[1] || got[i].Wrong != "" {
				t.Errorf("%s: want %v, got %d, %d %s\n%s", p.about[i], f, got[i].Bad, got[i].Bound, got[i].Wrong, asm)
			}
			continue
		}
		ok := got[i].Wrong == "" && got[i].Bound == 0
		for b := range p.want[i] {
			ok = ok && same(p.want[i][b], got[i].Bufs[b])
		}
		if ok {
			continue
		}
		failed++
		t.Errorf("%s: %s (%d, %d)", p.about[i], got[i].Wrong, got[i].Bad, got[i].Bound)
		if failed == 1 {
			for b := range p.want[i] {
				if !same(p.want[i][b], got[i].Bufs[b]) {
					t.Errorf("buffer %d\nin   %v\nwant %v\ngot  %v", b, p.calls[i].Bufs[b], p.want[i][b], got[i].Bufs[b])
				}
			}
			t.Error(asm)
		}
	}
}
