package codegen

import (
	"bytes"

	"github.com/lmc-lang/lmc/ir/loop"
)

// Stats says what a build made.
type Stats struct {
	Params      int      // trained parameters
	WeightBytes int      // of all parameters and states
	Arena       loop.Dim // bytes of scratch memory, over the sizes of calls
	FLOPs       []FLOPs  // of one call, by entry point and train block
	Kernels     int
	Procedures  int
	Files       int
	Lines       int
	Bytes       int
}

// FLOPs is the number of floating-point operations of one call.
type FLOPs struct {
	Name  string
	Count loop.Dim
}

// Summarise counts what is in a program and in the files that were made of it.
func Summarise(p *loop.Program, files []File) Stats {
	g := &gen{p: p, api: p.API}
	size := 4
	if p.API.Float64 {
		size = 8
	}
	s := Stats{
		Params: g.paramCount(), WeightBytes: g.count() * size,
		Arena:   p.Arena[loop.F32].MulN(size).Add(p.Arena[loop.I32].MulN(4)).Add(p.Arena[loop.Bool]),
		Kernels: len(p.Kernels), Procedures: len(p.Procs), Files: len(files),
	}
	for _, e := range p.API.Entries {
		s.FLOPs = append(s.FLOPs, FLOPs{e.Name, e.FLOPs})
	}
	for _, t := range p.API.Trainers {
		s.FLOPs = append(s.FLOPs, FLOPs{t.Name, t.Loss.FLOPs})
	}
	for _, f := range files {
		s.Lines += bytes.Count(f.Data, []byte("\n"))
		s.Bytes += len(f.Data)
	}
	return s
}
