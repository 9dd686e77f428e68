package runtime

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// A Section is a slice with its table, as a part of a file: the weights, or
// (with a prefix such as "Step.m.") a moment of an optimiser.
type Section[F Float] struct {
	Prefix string // before every name
	Params []ParamInfo
	Data   []F
}

// LoadOptions says what to expect of a file.
type LoadOptions struct {
	Model  string   // for messages
	Hash   string   // if not empty, the file must have this lmc_model_hash, or none
	Ignore []string // patterns of tensors that the file may have beyond the model's; see [MatchName]
}

// Keys of __metadata__ that this package writes and reads.
const (
	metaHash    = "lmc_model_hash"
	metaModel   = "lmc_model"
	metaTrainer = "lmc_trainer"
)

// SaveWeights writes data as a safetensors file with one tensor per copy of a
// parameter, and returns its length. The same data gives the same bytes.
func SaveWeights[F Float](w io.Writer, params []ParamInfo, data []F, meta map[string]string) (int64, error) {
	return saveSections(w, []Section[F]{{"", params, data}}, meta)
}

func saveSections[F Float](w io.Writer, sections []Section[F], meta map[string]string, more ...NamedTensor) (int64, error) {
	ts := slices.Clip(more)
	for _, s := range sections {
		for v := range Views(s.Params, s.Data) {
			ts = append(ts, Named(s.Prefix+v.Name, v.Data, v.Shape...))
		}
	}
	return WriteSafetensors(w, ts, meta)
}

// LoadWeights reads into data what [SaveWeights] or [SaveCheckpoint] wrote, and
// returns the file's metadata. The names and shapes of all tensors must be the
// model's, otherwise the error is a [MismatchError] and data is as before. If a
// value does not fit or reading fails, data is partly overwritten.
func LoadWeights[F Float](r io.Reader, params []ParamInfo, data []F, opt LoadOptions) (map[string]string, error) {
	f, err := openReader(r)
	if err != nil {
		return nil, withModel(opt.Model, err)
	}
	if trainer := f.Meta[metaTrainer]; trainer != "" {
		opt.Ignore = append(opt.Ignore[:len(opt.Ignore):len(opt.Ignore)], trainer+".**")
	}
	return f.Meta, loadSections(f, []Section[F]{{"", params, data}}, opt)
}

// loadSections compares everything before it reads anything.
func loadSections[F Float](f *File, sections []Section[F], opt LoadOptions) error {
	mismatch := &MismatchError{Model: opt.Model}
	if have := f.Meta[metaHash]; opt.Hash != "" && have != "" && have != opt.Hash {
		mismatch.Reason = fmt.Sprintf("the file was written by another model (hash %s, this one has %s)", have, opt.Hash)
	}
	used := make(map[*FileTensor]bool, len(f.Tensors))
	type pair struct {
		from *FileTensor
		into []F
	}
	var pairs []pair
	for _, s := range sections {
		for v := range Views(s.Params, s.Data) {
			name := s.Prefix + v.Name
			t := f.Lookup(name)
			if t == nil {
				mismatch.Missing = append(mismatch.Missing, name)
				continue
			}
			used[t] = true
			if !slices.Equal(t.Shape, v.Shape) {
				mismatch.Differ = append(mismatch.Differ, fmt.Sprintf("%s: file %s, model %s", name, t.Type(), floatName[F]()+shapeName(v.Shape)))
				continue
			}
			pairs = append(pairs, pair{t, v.Data})
		}
	}
	mismatch.Unexpected = f.unused(used, opt.Ignore)
	if mismatch.Reason != "" || mismatch.Differ != nil || mismatch.Missing != nil || mismatch.Unexpected != nil {
		return mismatch
	}
	for _, p := range pairs {
		if err := ReadTensor(p.from, p.into); err != nil {
			return withModel(opt.Model, err)
		}
	}
	return nil
}

// unused are the names of tensors that are neither used nor ignored.
func (f *File) unused(used map[*FileTensor]bool, ignore []string) (names []string) {
next:
	for _, t := range f.Tensors {
		if used[t] {
			continue
		}
		for _, p := range ignore {
			if MatchName(p, t.Name) {
				continue next
			}
		}
		names = append(names, t.Name)
	}
	return names
}

// MatchName reports whether a name fits a pattern. In a pattern ** stands for
// anything, * for anything without a dot, and so does a hole such as {i}, but
// not for nothing.
func MatchName(pattern, name string) bool {
	i := strings.IndexAny(pattern, "*{")
	if i < 0 {
		return pattern == name
	}
	if !strings.HasPrefix(name, pattern[:i]) {
		return false
	}
	name, pattern = name[i:], pattern[i:]
	dots, least := false, 0
	switch {
	case strings.HasPrefix(pattern, "**"):
		pattern, dots = pattern[2:], true
	case pattern[0] == '*':
		pattern = pattern[1:]
	default:
		_, rest, ok := strings.Cut(pattern, "}")
		if !ok {
			return false
		}
		pattern, least = rest, 1
	}
	for n := range len(name) + 1 {
		if n >= least && MatchName(pattern, name[n:]) {
			return true
		}
		if n < len(name) && name[n] == '.' && !dots {
			return false
		}
	}
	return false
}

// floatName is f32 or f64.
func floatName[F Float]() string {
	var zero F
	if _, ok := any(zero).(float64); ok {
		return "f64"
	}
	return "f32"
}

func withModel(model string, err error) error {
	if model == "" {
		return err
	}
	return fmt.Errorf("%s: %w", model, err)
}
