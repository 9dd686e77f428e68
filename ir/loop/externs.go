package loop

import (
	"fmt"
	"slices"

	"github.com/lmc-lang/lmc/runtime"
)

// An ExternInfo is a row of Externs: a function of the runtime package that
// works on whole runs of memory.
type ExternInfo struct {
	Name string
	Doc  string
	Bufs []ExternBuf
	Args []ExternArg
	Go   string // the function's name in package runtime
	f32  func(b []cells[float32], args []any)
	f64  func(b []cells[float64], args []any)
	// lens returns why the lengths of the spans are wrong, or "".
	lens func(n []int) string
}

// An ExternBuf is a span that an extern reads, or writes if Out.
type ExternBuf struct {
	Name string
	Elem Elem
	Out  bool
}

// An ExternArg is a scalar operand of an extern.
type ExternArg struct {
	Name string
	Elem Elem
}

// Externs are the functions that an Extern statement may call, by name.
var Externs = []*ExternInfo{
	{
		Name: "sort_index", Go: "SortIndex",
		Doc:  "the stable permutation that sorts x, NaN last",
		Bufs: []ExternBuf{{"x", F32, false}, {"index", I32, true}},
		Args: []ExternArg{{"descending", Bool}},
		f32:  sortIndex[float32], f64: sortIndex[float64],
		lens: func(n []int) string {
			if n[0] != n[1] {
				return "index must be as long as x"
			}
			return ""
		},
	},
	{
		Name: "topk_index", Go: "TopKIndex",
		Doc:  "the places of the largest elements of x, largest first, ties by place, NaN last",
		Bufs: []ExternBuf{{"x", F32, false}, {"index", I32, true}},
		f32:  topKIndex[float32], f64: topKIndex[float64],
		lens: func(n []int) string {
			if n[1] > n[0] {
				return "index must not be longer than x"
			}
			return ""
		},
	},
	{
		Name: "nms", Go: "NMS",
		Doc: "non-maximum suppression of boxes x0, y0, x1, y1 by descending score",
		Bufs: []ExternBuf{{"boxes", F32, false}, {"scores", F32, false},
			{"keep", I32, true}, {"count", I32, true}, {"rank", I32, true}},
		Args: []ExternArg{{"iou", F32}},
		f32:  nms[float32], f64: nms[float64],
		lens: func(n []int) string {
			if n[0] != 4*n[1] || n[3] != 1 || n[4] != n[1] {
				return "boxes must be 4 times, rank 1 times as long as scores, and count 1 long"
			}
			return ""
		},
	},
}

// ExternNamed returns the row of Externs called name, or nil.
func ExternNamed(name string) *ExternInfo {
	i := slices.IndexFunc(Externs, func(x *ExternInfo) bool { return x.Name == name })
	if i < 0 {
		return nil
	}
	return Externs[i]
}

func sortIndex[F float32 | float64](b []cells[F], args []any) {
	runtime.SortIndex(b[0].f, b[1].n, args[0].(bool))
}

func topKIndex[F float32 | float64](b []cells[F], _ []any) { runtime.TopKIndex(b[0].f, b[1].n) }

func nms[F float32 | float64](b []cells[F], args []any) {
	runtime.NMS(b[0].f, b[1].f, b[2].n, b[3].n, b[4].n, args[0].(F))
}

// extern compiles a call of a row of Externs.
func (c *compiler[F]) extern(s *Extern) step[F] {
	info := ExternNamed(s.Fn)
	var fn func(b []cells[F], args []any)
	switch f := any(&fn).(type) {
	case *func([]cells[float32], []any):
		*f = info.f32
	case *func([]cells[float64], []any):
		*f = info.f64
	}
	at, length, bufs := make([]func(*machine[F]) int, len(s.Bufs)), make([]func(*machine[F]) int, len(s.Bufs)), make([]int, len(s.Bufs))
	for i, sp := range s.Bufs {
		at[i], length[i], bufs[i] = c.index(sp.At), c.bound(sp.Len), c.bufs[sp.Buf]
	}
	args := make([]func(m *machine[F]) any, len(s.Args))
	for i, v := range s.Args {
		args[i] = c.boxed(v)
	}
	runs, lens, vals := make([]cells[F], len(bufs)), make([]int, len(bufs)), make([]any, len(args))
	return func(m *machine[F]) {
		for i, b := range bufs {
			lo, n, all := at[i](m), length[i](m), c.lens[b]
			if lo < 0 || n < 0 || lo > all-n {
				panic(&fault{"%s: %s[%d:%d] out of range, %s has %d elements", []any{s.Fn, s.Bufs[i].Buf.Name, lo, lo + n, s.Bufs[i].Buf.Name, all}})
			}
			runs[i], lens[i] = m.bufs[b].slice(lo, lo+n), n
		}
		if why := info.lens(lens); why != "" {
			panic(&fault{"%s: %s", []any{s.Fn, why}})
		}
		for i, f := range args {
			vals[i] = f(m)
		}
		fn(runs, vals)
	}
}

func (c cells[F]) slice(lo, hi int) cells[F] {
	switch {
	case c.f != nil:
		c.f = c.f[lo:hi]
	case c.n != nil:
		c.n = c.n[lo:hi]
	case c.b != nil:
		c.b = c.b[lo:hi]
	}
	return c
}

// boxed reads a register of any type.
func (c *compiler[F]) boxed(v *Val) func(m *machine[F]) any {
	r := c.reg(v)
	switch v.Elem {
	case I32:
		return func(m *machine[F]) any { return m.n[r] }
	case Bool:
		return func(m *machine[F]) any { return m.b[r] }
	case Int:
		return func(m *machine[F]) any { return m.i[r] }
	}
	return func(m *machine[F]) any { return m.f[r] }
}

// check reports what is wrong with a call of the extern x.
func (x *ExternInfo) check(s *Extern) error {
	if len(s.Bufs) != len(x.Bufs) || len(s.Args) != len(x.Args) {
		return fmt.Errorf("%s wants %d runs of memory and %d arguments, got %d and %d", x.Name, len(x.Bufs), len(x.Args), len(s.Bufs), len(s.Args))
	}
	for i, b := range x.Bufs {
		if sp := s.Bufs[i]; sp.Buf != nil && sp.Buf.Elem != b.Elem {
			return fmt.Errorf("%s: %s must be %s, %s is %s", x.Name, b.Name, b.Elem, sp.Buf.Name, sp.Buf.Elem)
		}
	}
	for i, a := range x.Args {
		if v := s.Args[i]; v != nil && v.Elem != a.Elem {
			return fmt.Errorf("%s: %s must be %s, got %s", x.Name, a.Name, a.Elem, v.Elem)
		}
	}
	return nil
}
