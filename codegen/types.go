package codegen

import (
	"strconv"
	"strings"

	"github.com/lmc-lang/lmc/ir/loop"
)

// float is the Go type of f32 in this build.
func (g *gen) float() string {
	if g.api.Float64 {
		return "float64"
	}
	return "float32"
}

// elem is the Go type of an element.
func (g *gen) elem(e loop.Elem) string {
	return [...]string{loop.F32: g.float(), loop.I32: "int32", loop.Bool: "bool", loop.Int: "int"}[e]
}

// tensor is the Go type of a tensor of a rank: plain for a scalar, a slice for
// a vector.
func (g *gen) tensor(e loop.Elem, rank int) string {
	switch rank {
	case 0:
		return g.elem(e)
	case 1:
		return "[]" + g.elem(e)
	}
	return "runtime.Tensor" + strconv.Itoa(rank) + "[" + g.elem(e) + "]"
}

// maxRank is the highest rank for which the runtime has a type.
const maxRank = 6

// goType is the Go type of a parameter.
func (g *gen) goType(p loop.Param) string {
	if p.IsDim {
		return "int"
	}
	return g.tensor(p.Elem, len(p.Shape))
}

// declared is the type as the text has it: f32[B, T].
func declared(p loop.Param) string {
	if p.IsDim {
		return "dim"
	}
	return shapeText(p.Elem.String(), p.Shape)
}

func shapeText(elem string, shape []loop.Dim) string {
	if len(shape) == 0 {
		return elem
	}
	ds := make([]string, len(shape))
	for i, d := range shape {
		ds[i] = d.String()
	}
	return elem + "[" + strings.Join(ds, ", ") + "]"
}

// data and shape are the parts of a tensor variable.
func data(name string, rank int) string {
	if rank >= 2 {
		return name + ".Data"
	}
	return name
}

func extent(name string, rank, axis int) string {
	if rank >= 2 {
		return name + ".Shape[" + strconv.Itoa(axis) + "]"
	}
	return "len(" + name + ")"
}
