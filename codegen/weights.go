package codegen

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/lmc-lang/lmc/ir/loop"
)

// weightMethods are the names that methods and fields of Weights have whatever
// the model.
const weightMethods = "Meta Param All Data Load LoadFS LoadFile WriteTo SaveFile Clone Changed"

// count is the number of elements of all weights.
func (g *gen) count() int {
	n := 0
	for _, w := range g.api.Weights {
		n = max(n, w.Offset+w.Len())
	}
	return n
}

// weights prints the Weights type and the table of parameters.
func (g *gen) weights() error {
	f := g.file("weights_gen.go")
	field, lend, end, lends := "", "", " ", ""
	if g.hasPrepared() {
		field = fill("prepared runtime.Prepared[$float] // what sessions compute from the weights alone", "float", g.float())
		lend, end = "\nw.prepared.Lend()\n", "\n"
		lends = "\n//\n// Who writes to it calls Changed afterwards; until then sessions are slower."
	}
	f.add(`
// Weights are the parameters and states of the model, in one slice. Any number
// of goroutines may use them at once while no training step runs on them;
// methods that would interfere return runtime.ErrInUse.
type Weights struct {
	// Meta is saved with the weights; keys that begin with lmc_ are reserved.
	Meta map[string]string

	data  []$float
	guard runtime.Guard
	$field
}

// NewWeights makes weights that are all zero, to be loaded or to collect
// gradients.
func NewWeights() *Weights {
	return &Weights{Meta: map[string]string{}, data: runtime.Aligned[$float]($count)}
}

// InitWeights makes the weights with which training starts. The seed determines
// them: every parameter draws from a random stream of its own.
func InitWeights(seed uint64) *Weights {
	w := NewWeights()
	if err := runtime.InitWeights(params, w.data, seed); err != nil {
		panic(err) // the table below is wrong: a bug in lmc
	}
	return w
}

// Data is the slice that holds all weights, as the table of parameters lays
// them out. It is shared.$lends
func (w *Weights) Data() []$float {$lend return w.data$end}

// All are the parameters and states by name, one for each copy in a stack, in
// the order of the model. Their data is shared, see Data.
func (w *Weights) All() iter.Seq[runtime.View[$float]] {$lend return runtime.Views(params, w.data)$end}

// Param is the parameter or state of that name, as All lists it.
func (w *Weights) Param(name string) (v runtime.View[$float], ok bool) {
	$lend return runtime.Lookup(params, w.data, name)
}

// Clone is a copy, free to be changed. No step may run on w meanwhile.
func (w *Weights) Clone() *Weights {
	c := NewWeights()
	c.Meta = maps.Clone(w.Meta)
	copy(c.data, w.data)
	return c
}

// Load reads a safetensors file that was written by WriteTo or as a checkpoint
// of a trainer. A file of another model is a *runtime.MismatchError, and changes
// nothing.
func (w *Weights) Load(r io.Reader) error {
	if !w.guard.Hold() {
		return inUse("Load")
	}
	defer w.guard.Release()
	$stale meta, err := runtime.LoadWeights(r, params, w.data, runtime.LoadOptions{Model: modelName})
	if err == nil {
		w.Meta = ownMeta(meta)
	}
	return err
}

// LoadFS is Load from a file of a file system, such as an embed.FS.
func (w *Weights) LoadFS(fsys fs.FS, name string) error {
	f, err := fsys.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return w.Load(f)
}

// LoadFile is Load from a file.
func (w *Weights) LoadFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return w.Load(f)
}

// WriteTo writes the weights as a safetensors file with one tensor for each
// parameter. The same weights give the same bytes.
func (w *Weights) WriteTo(out io.Writer) (int64, error) {
	if !w.guard.Share() {
		return 0, inUse("WriteTo")
	}
	defer w.guard.Unshare()
	meta := ownMeta(w.Meta)
	meta["lmc_model"], meta["lmc_model_hash"] = modelName, ModelHash
	return runtime.SaveWeights(out, params, w.data, meta)
}

// SaveFile writes the file in one step: there is the old one or the new one,
// never a part.
func (w *Weights) SaveFile(name string) error {
	return runtime.WriteFileAtomic(name, func(out io.Writer) error {
		_, err := w.WriteTo(out)
		return err
	})
}

// ownMeta is the part of a file's metadata that is the user's.
func ownMeta(meta map[string]string) map[string]string {
	own := map[string]string{}
	for k, v := range meta {
		if !strings.HasPrefix(k, "lmc_") {
			own[k] = v
		}
	}
	return own
}

// inUse is the error of a method that interferes with a step.
func inUse(fn string) error {
	return fmt.Errorf("%s: %s: the weights are %w", modelName, fn, runtime.ErrInUse)
}`, "float", g.float(), "count", strconv.Itoa(g.count()), "field", field, "lend", lend, "end", end, "lends", lends, "stale", g.stale("w"))
	changed, doc := "", "Sessions see it in any case: nothing depends on it in this model."
	if g.hasPrepared() {
		changed = "w.prepared.Settle()"
		doc = "Sessions keep what they compute from weights\n// alone, such as copies in the layout of their kernels, until the weights change.\n" +
			"// Steps and files tell them. Whoever has asked for a view may write to it at any\n// time, so from then on every call computes it anew; Changed ends that: it says that\n" +
			"// what was to be written is there. Call it again after writing more."
	}
	f.add(`
// Changed says that the weights were changed by way of Data, All, Param or the
// methods of parameters. $doc
func (w *Weights) Changed() { $changed }`, "changed", changed, "doc", doc)
	g.accessors(f)
	f.add(`
// params is the layout of the weights.
var params = []runtime.ParamInfo{
$rows}`, "rows", g.paramRows())
	return nil
}

// accessors prints a method for every parameter whose name is free.
func (g *gen) accessors(f *file) {
	lend, end := "", " "
	if g.hasPrepared() {
		lend, end = "\nw.prepared.Lend()\n", "\n"
	}
	taken := scope{"data": true, "guard": true, "prepared": true}
	for _, n := range strings.Fields(weightMethods) {
		taken[n] = true
	}
	for _, t := range g.api.Names {
		taken["Load"+exported(t.Name)], taken["Write"+exported(t.Name)] = true, true
	}
	times := map[string]int{}
	for _, w := range g.api.Weights {
		times[exported(w.Path)]++
	}
	counters := []string{"i", "j", "k"}
	for _, w := range g.api.Weights {
		name := exported(w.Path)
		if name == "" || taken[name] || times[name] > 1 || len(w.Shape) > maxRank || len(w.Counts) > len(counters) {
			continue
		}
		size, _ := loop.Product(w.Shape).Const()
		off := strconv.Itoa(w.Offset)
		var lo string
		if len(w.Counts) > 0 {
			at := counters[0]
			for k := 1; k < len(w.Counts); k++ {
				if k > 1 {
					at = "(" + at + ")"
				}
				at = at + "*" + strconv.Itoa(w.Counts[k]) + " + " + counters[k]
			}
			if len(w.Counts) > 1 {
				at = "(" + at + ")"
			}
			lo = at + "*" + strconv.Itoa(size)
			if w.Offset != 0 {
				lo = off + " + " + lo
			}
		}
		var body string
		slice := func(lo string) string {
			return "w.data[" + lo + ":][:" + strconv.Itoa(size) + ":" + strconv.Itoa(size) + "]"
		}
		if lo == "" {
			hi := strconv.Itoa(w.Offset + size)
			slice = func(string) string { return "w.data[" + off + ":" + hi + ":" + hi + "]" }
		}
		typ := g.tensor(loop.F32, len(w.Shape))
		switch len(w.Shape) {
		case 0:
			typ = "*" + typ
			if lo == "" {
				lo = off
			}
			body = "&w.data[" + lo + "]"
		case 1:
			body = slice(lo)
		default:
			var ds []string
			for _, d := range w.Shape {
				ds = append(ds, d.String())
			}
			body = fmt.Sprintf("%s{Data: %s, Shape: [%d]int{%s}}", typ, slice(lo), len(ds), strings.Join(ds, ", "))
		}
		doc := w.Doc
		if doc != "" {
			doc = "\n//\n" + commentText(strings.TrimSpace(doc))
		}
		params := ""
		if len(w.Counts) > 0 {
			params = strings.Join(counters[:len(w.Counts)], ", ") + " int"
		}
		f.add(`
// $Name is $path: $type.$doc
func (w *Weights) $Name($params) $ret {$lend return $body$end}`,
			"lend", lend, "end", end,
			"Name", name, "path", pathDoc(w, counters), "type", shapeText("f32", w.Shape), "doc", doc,
			"params", params, "ret", typ, "body", body)
	}
}

// pathDoc is the path with the counters in the holes.
func pathDoc(w *loop.Weight, counters []string) string {
	p := w.Path
	for k := range w.Counts {
		p = strings.Replace(p, "{"+strconv.Itoa(k)+"}", "{"+counters[k]+"}", 1)
	}
	return p
}

func (g *gen) paramRows() string {
	var b strings.Builder
	for _, w := range g.api.Weights {
		fmt.Fprintf(&b, "{Name: %q", w.Path)
		if len(w.Shape) > 0 {
			var ds []int
			for _, d := range w.Shape {
				n, _ := d.Const()
				ds = append(ds, n)
			}
			fmt.Fprintf(&b, ", Shape: %s", ints(ds))
		}
		if len(w.Counts) > 0 {
			fmt.Fprintf(&b, ", Counts: %s", ints(w.Counts))
		}
		if w.Offset != 0 {
			fmt.Fprintf(&b, ", Offset: %d", w.Offset)
		}
		if w.State {
			b.WriteString(", State: true")
		}
		if !zeroInit(w.Init) {
			var args []string
			for _, a := range w.Init.Args {
				args = append(args, strconv.FormatFloat(a, 'g', -1, 64))
			}
			fmt.Fprintf(&b, ", Init: runtime.Init{Kind: %q, Args: []float64{%s}}", w.Init.Kind, strings.Join(args, ", "))
		}
		b.WriteString("},\n")
	}
	return b.String()
}

func zeroInit(i loop.Init) bool {
	return i.Kind == "" || i.Kind == "const" && (len(i.Args) == 0 || i.Args[0] == 0)
}

// ints is a literal of type []int.
func ints(ns []int) string {
	s := make([]string, len(ns))
	for i, n := range ns {
		s[i] = strconv.Itoa(n)
	}
	return "[]int{" + strings.Join(s, ", ") + "}"
}
