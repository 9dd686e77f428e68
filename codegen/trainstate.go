package codegen

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lmc-lang/lmc/ir/loop"
)

// emaName is the name of the moments that are a moving average of the weights.
const emaName = "ema"

// carry prints Reset, and what feeds results to the next step.
func (t *trainer) carry(f *file) {
	if len(t.Carried) == 0 {
		return
	}
	var swap, reset, list strings.Builder
	var names []string
	for _, c := range t.Carried {
		a := t.Loss.Args[c.Arg]
		n := carriedName(a)
		names = append(names, a.Name)
		if len(a.Shape) == 0 {
			fmt.Fprintf(&swap, "s.%s = s.%sNext\n", n, n)
			fmt.Fprintf(&reset, "s.%s = %s\n", n, zero(a.Elem))
			fmt.Fprintf(&list, "runtime.CarryNumber(%q, &s.%s),\n", a.Name, n)
			continue
		}
		fmt.Fprintf(&swap, "s.%s, s.%sNext = s.%sNext, s.%s\n", n, n, n, n)
		if !isConst(a.Shape) {
			fmt.Fprintf(&list, "runtime.Carry(%q, nil, s.%sShape[:], &s.%s),\n", a.Name, n, n)
			continue
		}
		var ds []string
		for _, d := range a.Shape {
			ds = append(ds, d.String())
		}
		shape := "[]int{" + strings.Join(ds, ", ") + "}"
		fmt.Fprintf(&list, "runtime.Carry(%q, %s, %s, &s.%s),\n", a.Name, shape, shape, n)
	}
	f.add(`
// Reset begins a new sequence: the next step starts from zero for $names, which
// may have another shape then.
func (s *$Name) Reset() {
	s.carrying = false
	$reset}

// carry feeds $names to the next step.
func (s *$Name) carry() {
	s.carrying = true
	$swap}

// carried is $names, for checkpoints.
func (s *$Name) carried() []runtime.Carried {
	return []runtime.Carried{
		$list}
}`, "list", list.String(), "Name", t.Name, "names", strings.Join(names, ", "), "reset", reset.String(), "swap", swap.String())
}

func zero(e loop.Elem) string {
	if e == loop.Bool {
		return "false"
	}
	return "0"
}

// momentNames are the names of the moments, each once, in order.
func (t *trainer) momentNames() []string {
	var out []string
	for _, m := range t.Moments {
		if !slices.Contains(out, m.Name) {
			out = append(out, m.Name)
		}
	}
	return out
}

func (t *trainer) momentVar(name string) string {
	if t.moment == nil {
		t.moment = map[string]string{}
	}
	if t.moment[name] == "" {
		t.moment[name] = t.g.top.pick(lower(t.Name) + upper(identifier(name)) + "Params")
	}
	return t.moment[name]
}

// momentTable prints where the moments lie, and how they start.
func (t *trainer) momentTable(f *file) {
	for _, name := range t.momentNames() {
		rows := &gen{api: &loop.API{}}
		for _, m := range t.Moments {
			if m.Name != name {
				continue
			}
			rows.api.Weights = append(rows.api.Weights, t.momentWeight(m))
		}
		f.add(`
// $var is the layout of the moments $name of $Name.
var $var = []runtime.ParamInfo{
$rows}`, "var", t.momentVar(name), "name", name, "Name", t.Name, "rows", rows.paramRows())
	}
	var reset strings.Builder
	for _, m := range t.Moments {
		if m.Init != 0 && !strings.Contains(reset.String(), t.momentVar(m.Name)) {
			fmt.Fprintf(&reset, "if err := runtime.InitWeights(%s, s.m.moments, 0); err != nil {\npanic(err) // the table is wrong: a bug in lmc\n}\n", t.momentVar(m.Name))
		}
	}
	if reset.Len() > 0 {
		f.add(`
// resetMoments sets the state of the optimiser to its start.
func (s *$Name) resetMoments() {
	$reset}`, "Name", t.Name, "reset", reset.String())
	}
}

// checkpoint prints Save and Load.
func (t *trainer) checkpoint(f *file, kv []string) {
	var sections strings.Builder
	for _, name := range t.momentNames() {
		fmt.Fprintf(&sections, "{Prefix: %q, Params: %s, Data: s.m.moments},\n", t.Name+"."+name+".", t.momentVar(name))
	}
	micro, reset, doc, saved, wanted := "", "", "", "", ""
	if t.Accumulate > 1 {
		reset = "s.micro = 0\n"
		doc = " Micro-batches since the\n// last update are not part of it."
	}
	if len(t.Carried) > 0 {
		saved = "if s.carrying {\nat.Carried = s.carried()\n}\n"
		wanted = "s.Reset()\nwant.Carried = s.carried()\n"
		reset += "s.carrying = len(at.Carried) > 0\n"
		doc += " What a\n// step hands to the next one is part of it."
	}
	f.add(`
// Position is where training is in its data, for checkpoints: passes done and
// batches of the current pass done.
func (s *$Name) Position() (epoch, batches int64) { return s.epoch, s.batches }

// SetPosition sets what Position returns. Fit counts the batches.
func (s *$Name) SetPosition(epoch, batches int64) { s.epoch, s.batches = epoch, batches }

// Save writes a checkpoint: weights, state of the optimiser, steps done, seed
// and position in the data, as one safetensors file.$doc
func (s *$Name) Save(out io.Writer) error {
	if err := s.acquire("Save"); err != nil {
		return err
	}
	defer s.release()
	at := s.place()
	at.Extra = ownMeta(s.w.Meta)
	$saved _, err := runtime.SaveCheckpoint(out, at, s.sections()...)
	return err
}

// SaveFile writes the file in one step: there is the old one or the new one,
// never a part.
func (s *$Name) SaveFile(name string) error { return runtime.WriteFileAtomic(name, s.Save) }

// Load continues from a checkpoint of a model with the same tensors: with the
// same text and options, what follows has the same bits as if training had not
// been interrupted.
func (s *$Name) Load(r io.Reader) error {
	if err := s.acquire("Load"); err != nil {
		return err
	}
	defer s.release()
	want := s.place()
	want.Hash = "" // the text may have changed
	$stale$wanted at, err := runtime.LoadCheckpoint(r, want, s.sections()...)
	if err != nil {
		return err
	}
	s.steps, s.options.Seed, s.epoch, s.batches = at.Step, at.Seed, at.Epoch, at.Data
	s.w.Meta = at.Extra
	$micro$reset return nil
}

// LoadFile is Load from a file.
func (s *$Name) LoadFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return s.Load(f)
}

// place says what a checkpoint is about.
func (s *$Name) place() runtime.Checkpoint {
	return runtime.Checkpoint{
		Model: modelName, Hash: ModelHash, Trainer: $quoted,
		Step: s.steps, Seed: s.options.Seed, Epoch: s.epoch, Data: s.batches,
	}
}

// sections are the tensors of a checkpoint.
func (s *$Name) sections() []runtime.Section[$float] {
	return []runtime.Section[$float]{
		{Params: params, Data: s.w.data},
		$sections}
}`, append(kv, "quoted", fmt.Sprintf("%q", t.Name), "sections", sections.String(), "micro", micro, "reset", reset, "doc", doc, "saved", saved, "wanted", wanted)...)
}

// average prints the moving average of the weights.
func (t *trainer) average(f *file, kv []string) {
	if t.EMA <= 0 || !slices.Contains(t.momentNames(), emaName) {
		return
	}
	f.add(`
// EMA is a copy of the weights in which those that are trained are their moving
// average, and are usually better.
func (s *$Name) EMA() *Weights {
	w := s.w.Clone()
	if s.steps > 0 {
		copyParams(w.data, params, s.m.moments, $var)
	}
	return w
}`, append(kv, "var", t.momentVar(emaName))...)
	t.g.uses["copyParams"] = true
}
