package codegen

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/lmc-lang/lmc/codegen/amd64"
	"github.com/lmc-lang/lmc/ir/loop"
)

// A printer prints a kernel in vectors as an assembly function and its
// declaration in Go; see amd64.Print.
type printer func(k *loop.Kernel, t *loop.Target, name string, syms []string) (asm, stub string, err error)

// A form is a kernel as one target runs it.
type form struct {
	*loop.Kernel
	target    *loop.Target
	fn        string // the assembly function
	asm, stub string
	err       error  // why there is no asm
	faults    bool   // fn reports faulty indices
	caller    string // the Go function that gives fn what else it needs; empty if that is nothing
}

// natives prints the native forms of all kernels and names their functions. A
// form that cannot be printed is left out: that kernel is portable there.
func (g *gen) natives() error {
	if g.opt.Portable || g.api.Float64 {
		return nil
	}
	fields := newScope("path")
	for _, k := range g.p.Kernels {
		x := g.kernel[k]
		if x == nil {
			continue
		}
		for _, t := range loop.Targets {
			if n := k.For(t); n != nil {
				x.forms = append(x.forms, &form{Kernel: n, target: t, fn: g.top.pick(x.name + targetSuffix(t))})
			}
		}
	}
	g.printForms()
	for k := range g.nativeKernels {
		for _, f := range k.forms {
			if f.err == nil {
				continue
			}
			if strings.Contains(f.err.Error(), "bug ") {
				return f.err
			}
			if g.opt.Refused != nil {
				g.opt.Refused(k.Name, f.target, f.err)
			}
		}
		k.forms = slices.DeleteFunc(k.forms, func(f *form) bool { return f.err != nil })
	}
	for k := range g.nativeKernels {
		k.entry = fields.pick(k.name)
		for _, f := range k.forms {
			if f.faults || k.local() || (f.Grid != nil) != k.grid() {
				f.caller = g.top.pick("call" + upper(f.fn))
			}
		}
		g.uses["scratch"] = g.uses["scratch"] || k.local()
	}
	return nil
}

// printForms prints the forms of all kernels, several at once: that is most of
// the work of codegen.
func (g *gen) printForms() {
	print := g.opt.print
	if print == nil {
		print = amd64.Print
	}
	var wait sync.WaitGroup
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for k := range g.nativeKernels {
		for _, f := range k.forms {
			wait.Add(1)
			slots <- struct{}{}
			go func() {
				defer wait.Done()
				f.faults = amd64.Faults(f.Kernel)
				f.asm, f.stub, f.err = print(f.Kernel, f.target, f.fn, k.syms)
				<-slots
			}()
		}
	}
	wait.Wait()
}

// targetSuffix ends the names of functions for a target: AVX512.
func targetSuffix(t *loop.Target) string {
	return strings.ToUpper(t.Name[strings.LastIndexByte(t.Name, '-')+1:])
}

// hasNative is whether some kernel has a native form.
func (g *gen) hasNative() bool {
	for _, k := range g.kernel {
		if len(k.forms) > 0 {
			return true
		}
	}
	return false
}

// all calls yield with every form of k, the portable one first, until it is
// false.
func (k *kernel) all(yield func(*loop.Kernel) bool) {
	if !yield(k.Kernel) {
		return
	}
	for _, f := range k.forms {
		if !yield(f.Kernel) {
			return
		}
	}
}

// grid is whether the entry of k takes a range: some form has a grid. The others
// do everything in the one piece that they have.
func (k *kernel) grid() bool {
	for f := range k.all {
		if f.Grid != nil {
			return true
		}
	}
	return false
}

// local is whether some form of k needs local memory.
func (k *kernel) local() bool {
	for f := range k.all {
		if lends(f) {
			return true
		}
	}
	return false
}

// lends is whether k has local memory.
func lends(k *loop.Kernel) bool { return len(k.Arguments()) < len(k.Bufs) }

// gridOf is the number of pieces of a form and how many are a chunk.
func gridOf(k *loop.Kernel) (n, grain loop.Dim) {
	if k.Grid == nil {
		return loop.N(1), loop.N(1)
	}
	return k.Grid.N, k.Grid.Grain
}

// worthIt is whether k is called by the method that spreads its grid over the
// workers: some form is worth it, or forms have different numbers of pieces.
func (k *kernel) worthIt() bool {
	n, _ := gridOf(k.Kernel)
	for f := range k.all {
		if m, _ := gridOf(f); worthIt(f) || !m.Eq(n) {
			return true
		}
	}
	return false
}

// pieces is the number of pieces of a kernel that no form spreads.
func (k *kernel) pieces() loop.Dim {
	n, _ := gridOf(k.Kernel)
	return n
}

// scratchArg is the memory from which the forms of k take what they need.
func (g *gen) scratchArg(k *kernel) []string {
	if k.local() {
		return []string{"&m.scratch"}
	}
	return nil
}

// entryType is the type of k in the tables of kernels.
func (g *gen) entryType(k *kernel) string { return "func(" + g.entryParams(k, newScope(k.name)) + ")" }

// entryParams are the parameters of k in the tables of kernels: those of the
// portable function and, if some form needs it, scratch memory before the range.
func (g *gen) entryParams(k *kernel, s scope) string {
	s["scratch"], s["lo"], s["hi"] = true, true, true
	names, types := g.kernelParams(k, s)
	if k.local() {
		names, types = append(names, "scratch"), append(types, "*runtime.Scratch")
	}
	if k.grid() {
		names, types = append(names, "lo", "hi"), append(types, "int", "int")
	}
	return strings.Join(grouped(names, types), ", ")
}

// formsGrid is the body of the method that runs the chosen form of k: over the
// grid that this form has.
func (g *gen) formsGrid(k *kernel, names []string) string {
	sym := k.symName(names)
	grid := func(f *loop.Kernel) string {
		n, grain := gridOf(f)
		return dimExpr(n, sym, false) + ", " + dimExpr(grain, sym, false)
	}
	// Which targets have the grid of the portable form, and which another.
	own := grid(k.Kernel)
	others := map[string][]string{}
	var order []string
	for _, f := range k.forms {
		other := grid(f.Kernel)
		if other == own {
			continue
		}
		if others[other] == nil {
			order = append(order, other)
		}
		others[other] = append(others[other], f.target.Name)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "n, grain := %s\n", own)
	switch {
	case len(order) == 1 && len(others[order[0]]) == len(loop.Targets):
		fmt.Fprintf(&b, "if m.kernels != &portableKernels {\nn, grain = %s\n}\n", order[0])
	case len(order) > 0:
		b.WriteString("switch m.kernels.path {\n")
		for _, other := range order {
			fmt.Fprintf(&b, "case \"%s\":\nn, grain = %s\n", strings.Join(others[other], `", "`), other)
		}
		b.WriteString("}\n")
	}
	args := append([]string{}, names...)
	args = append(args, g.scratchArg(k)...)
	fmt.Fprintf(&b, "if n <= grain {\nm.kernels.%s(%s, 0, n)\nreturn\n}\n", k.entry, strings.Join(args, ", "))
	fmt.Fprintf(&b, "m.%s = %s{m.kernels.%s, %s}\nruntime.Parallel(n, grain, &m.%s)", k.field, k.task, k.entry, strings.Join(args, ", "), k.field)
	return b.String()
}

// portableCaller is the function that stands for the portable form of k in calls
// and in the tables of kernels if that form has other parameters, in its own
// paragraph.
func (g *gen) portableCaller(k *kernel) string {
	switch {
	case lends(k.Kernel):
		return "\n\n" + strings.TrimSpace(g.callerText(k, &form{Kernel: k.Kernel, fn: k.name, caller: g.portableEntry(k)}))
	case g.portableEntry(k) == k.name:
		return ""
	}
	s := newScope(k.name)
	params := g.entryParams(k, s)
	names, _ := g.kernelParams(k, newScope(k.name, "scratch", "lo", "hi"))
	if k.Grid != nil {
		names = append(names, "lo", "hi")
	}
	return fill(`

// $caller is $fn with the parameters of its native forms.
func $caller($params) { $fn($args) }`,
		"caller", g.portableEntry(k), "fn", k.name, "params", params, "args", strings.Join(names, ", "))
}

// portableEntry is the function that computes k in portable code, with the
// parameters of its entry in the tables of kernels.
func (g *gen) portableEntry(k *kernel) string {
	if !k.local() && (k.Grid != nil) == k.grid() {
		return k.name
	}
	if k.caller == "" {
		k.caller = g.top.pick("call" + upper(k.name))
	}
	return k.caller
}

// callerText is the function that lends local memory to a native form and
// raises its faults.
func (g *gen) callerText(k *kernel, f *form) string {
	s := newScope(k.name, f.fn, "b", "i", "n")
	params := g.entryParams(k, s.clone())
	s["scratch"], s["lo"], s["hi"] = true, true, true
	names, _ := g.kernelParams(k, s)
	sym := k.symName(names)

	// Local buffers of one type lie one behind the other, each at a multiple of
	// 64 bytes.
	var need [3]loop.Dim
	args := append([]string{}, names...)
	for _, b := range f.Bufs[len(f.Arguments()):] {
		field := [...]string{"Floats", "Ints", "Flags"}[b.Elem]
		if b.Elem == loop.F32 && g.api.Float64 {
			field = "Doubles"
		}
		from := need[b.Elem]
		to := from.Add(b.Len)
		cut := "[" + dimExpr(from, sym, false) + ":" + dimExpr(to, sym, false) + "]"
		args = append(args, "b."+field+strings.Replace(cut, "[0:", "[:", 1))
		need[b.Elem] = from.Add(aligned(b.Len, b.Elem))
	}
	if f.Grid != nil {
		args = append(args, "lo", "hi")
	}
	var body strings.Builder
	call := fmt.Sprintf("%s(%s)", f.fn, strings.Join(args, ", "))
	lends := lends(f.Kernel)
	if lends {
		borrow := "Borrow"
		if g.api.Float64 {
			borrow = "BorrowDoubles"
		}
		fmt.Fprintf(&body, "b := scratch."+borrow+"(%s, %s, %s)\n", dimExpr(need[0], sym, false), dimExpr(need[1], sym, false), dimExpr(need[2], sym, false))
	}
	switch {
	case lends && f.target == nil: // Go code may panic
		fmt.Fprintf(&body, "defer b.Return()\n%s\n", call)
	case f.faults && lends:
		fmt.Fprintf(&body, "i, n := %s\nb.Return()\nruntime.Fault(i, n)\n", call)
	case f.faults:
		fmt.Fprintf(&body, "runtime.Fault(%s)\n", call)
	case lends:
		fmt.Fprintf(&body, "%s\nb.Return()\n", call)
	default:
		body.WriteString(call + "\n")
	}
	return fill(`
// $caller calls $fn.
func $caller($params) {
	$body}`, "caller", f.caller, "fn", f.fn, "params", params, "body", body.String())
}

// aligned is n elements, rounded up to whole cache lines.
func aligned(n loop.Dim, e loop.Elem) loop.Dim {
	per := 16
	if e == loop.Bool {
		per = 64
	}
	return n.AddN(per - 1).FloorDiv(loop.N(per)).MulN(per)
}
