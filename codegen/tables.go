package codegen

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/lmc-lang/lmc/ir/loop"
)

// tableName is the variable of a constant table.
func (g *gen) tableName(name string) string {
	for _, t := range g.api.Tables {
		if t.Name == name {
			return g.tableVar(t)
		}
	}
	return "table" + exported(name)
}

func (g *gen) tableVar(t *loop.TableData) string {
	if g.table == nil {
		g.table = map[*loop.TableData]string{}
		for _, t := range g.api.Tables {
			g.table[t] = g.top.pick("table" + exported(t.Name))
		}
	}
	return g.table[t]
}

// tables prints the constant tables that procedures read. Nothing writes to
// them.
func (g *gen) tables() error {
	f := g.file("tables_gen.go")
	for _, t := range g.api.Tables {
		if !g.uses["table "+t.Name] {
			continue
		}
		n := 1
		for _, d := range t.Shape {
			n *= d
		}
		if n != len(t.Data) {
			return fmt.Errorf("bug in codegen: table %s has %d elements, not %d", t.Name, len(t.Data), n)
		}
		if n > maxLiteral {
			f.add(`
// $name is $table of the model: $type, decoded when it is first used.
var $name = sync.OnceValue(func() []$elem {
	return $decode(`+"`\n$data`"+`)
})`, "name", g.tableVar(t), "table", t.Name, "type", tableType(t), "elem", g.elem(t.Elem), "decode", g.decoder(t.Elem), "data", g.encode(t))
			continue
		}
		per := 8
		if len(t.Shape) > 0 {
			if last := t.Shape[len(t.Shape)-1]; last > 0 && last <= 16 {
				per = last
			}
		}
		var rows strings.Builder
		for row := range slices.Chunk(t.Data, per) {
			for i, x := range row {
				if i > 0 {
					rows.WriteString(", ")
				}
				rows.WriteString(g.literal(t.Elem, x))
			}
			rows.WriteString(",\n")
		}
		f.add(`
// $name is $table of the model: $type.
var $name = []$elem{
$rows}`, "name", g.tableVar(t), "table", t.Name, "type", tableType(t), "elem", g.elem(t.Elem), "rows", rows.String())
	}
	return nil
}

// maxLiteral is the number of elements up to which a table is a literal.
const maxLiteral = 4096

// isLazy is whether a table is a function that decodes it when it is needed.
func (g *gen) isLazy(name string) bool {
	for _, t := range g.api.Tables {
		if t.Name == name {
			return len(t.Data) > maxLiteral
		}
	}
	return false
}

// decoder is the function that decodes tables of an element type.
func (g *gen) decoder(e loop.Elem) string {
	switch {
	case e == loop.I32:
		return "runtime.Int32Table"
	case e == loop.Bool:
		return "runtime.BoolTable"
	case g.api.Float64:
		return "runtime.Float64Table"
	}
	return "runtime.Float32Table"
}

// encode is the elements of a table, little endian, in lines of base64.
func (g *gen) encode(t *loop.TableData) string {
	var raw []byte
	for _, x := range t.Data {
		switch {
		case t.Elem == loop.I32:
			raw = binary.LittleEndian.AppendUint32(raw, uint32(int32(x)))
		case t.Elem == loop.Bool:
			raw = append(raw, map[bool]byte{true: 1}[x != 0])
		case g.api.Float64:
			raw = binary.LittleEndian.AppendUint64(raw, math.Float64bits(x))
		default:
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(float32(x)))
		}
	}
	var b strings.Builder
	for line := range slices.Chunk(raw, 57) {
		b.WriteString(base64.StdEncoding.EncodeToString(line) + "\n")
	}
	return b.String()
}

func tableType(t *loop.TableData) string {
	var ds []loop.Dim
	for _, d := range t.Shape {
		ds = append(ds, loop.N(d))
	}
	return shapeText(t.Elem.String(), ds)
}

// literal is x as an untyped constant or, where there is none, a call: the
// shortest decimal that is rounded to the element.
func (g *gen) literal(e loop.Elem, x float64) string {
	bits := 32
	if g.api.Float64 {
		bits = 64
	}
	switch {
	case e == loop.Bool:
		return strconv.FormatBool(x != 0)
	case e != loop.F32:
		return strconv.FormatInt(int64(x), 10)
	case math.IsNaN(x):
		return g.float() + "(math.NaN())"
	case math.IsInf(x, 1):
		return g.float() + "(math.Inf(1))"
	case math.IsInf(x, -1):
		return g.float() + "(math.Inf(-1))"
	case x == 0 && math.Signbit(x):
		return g.float() + "(math.Copysign(0, -1))"
	}
	return strconv.FormatFloat(x, 'g', -1, bits)
}
