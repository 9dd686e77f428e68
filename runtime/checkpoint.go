package runtime

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A Checkpoint is where a training run is, apart from the numbers: together
// with the weights and the state of the optimiser it is all that is needed to
// go on as if nothing had happened.
type Checkpoint struct {
	Model   string // name of the model, for messages
	Hash    string // ModelHash
	Trainer string // name of the train block; prefix of the tensors that are not weights
	Step    int64  // updates done
	Micro   int64  // micro-batches accumulated since
	Seed    uint64
	Epoch   int64             // passes over the data done
	Data    int64             // examples or tokens of the current pass done
	Extra   map[string]string // anything else: vocabulary, class names; keys do not begin with lmc_
	Carried []Carried         // what a step hands to the next one; none at the start of a sequence
}

// A Carried is a tensor or a number that a step hands to the next one, as a part
// of a checkpoint.
type Carried struct {
	name  string
	write func(name string) NamedTensor
	read  func(t *FileTensor) error
}

// Carry is a tensor under a name. When a checkpoint is loaded the tensor has the
// shape of the file, which must be fixed, unless that is nil.
func Carry[T Elem](name string, fixed, shape []int, data *[]T) Carried {
	write := func(name string) NamedTensor { return Named(name, *data, shape...) }
	return Carried{name, write, func(t *FileTensor) error {
		if len(t.Shape) != len(shape) || fixed != nil && !slices.Equal(t.Shape, fixed) {
			return &MismatchError{Reason: fmt.Sprintf("%s is %s in the file", t.Name, t.Type())}
		}
		copy(shape, t.Shape)
		*data = Resize(*data, t.Size())
		return ReadTensor(t, *data)
	}}
}

// CarryNumber is a number under a name.
func CarryNumber[T Elem](name string, x *T) Carried {
	return Carried{name, func(name string) NamedTensor { return Named(name, []T{*x}) }, func(t *FileTensor) error {
		var one [1]T
		err := ReadTensor(t, one[:])
		*x = one[0]
		return err
	}}
}

// carriedName is the name of the tensor in the file.
func (c *Checkpoint) carriedName(x Carried) string { return c.Trainer + ".carried." + x.name }

// checkpointFormat is the version of the layout of checkpoints.
const checkpointFormat = "1"

// A counter is a number of a checkpoint and its key in __metadata__.
type counter struct {
	key   string
	value *int64
}

func (c *Checkpoint) counters() [4]counter {
	return [...]counter{{"lmc_step", &c.Step}, {"lmc_micro", &c.Micro}, {"lmc_epoch", &c.Epoch}, {"lmc_data", &c.Data}}
}

// SaveCheckpoint writes the weights and the state of a trainer as one
// safetensors file. The first section is the weights, without a prefix; those of
// the others begin with c.Trainer and a dot, so that [LoadWeights] can leave
// them out.
func SaveCheckpoint[F Float](w io.Writer, c Checkpoint, sections ...Section[F]) (int64, error) {
	meta := maps.Clone(c.Extra)
	if meta == nil {
		meta = map[string]string{}
	}
	meta["lmc_format"] = checkpointFormat
	meta["lmc_seed"] = strconv.FormatUint(c.Seed, 10)
	for _, kv := range [...][2]string{{metaModel, c.Model}, {metaHash, c.Hash}, {metaTrainer, c.Trainer}} {
		if kv[1] != "" {
			meta[kv[0]] = kv[1]
		}
	}
	for _, n := range c.counters() {
		meta[n.key] = strconv.FormatInt(*n.value, 10)
	}
	var carried []NamedTensor
	for _, x := range c.Carried {
		carried = append(carried, x.write(c.carriedName(x)))
	}
	return saveSections(w, sections, meta, carried...)
}

// LoadCheckpoint reads what [SaveCheckpoint] wrote into the data of the
// sections, and into what is carried if the file has that, and returns where that
// run was. Model, Hash and Trainer of want must fit the file; see [LoadWeights]
// for errors.
func LoadCheckpoint[F Float](r io.Reader, want Checkpoint, sections ...Section[F]) (Checkpoint, error) {
	f, err := openReader(r)
	if err != nil {
		return Checkpoint{}, withModel(want.Model, err)
	}
	c, err := parseCheckpoint(f.Meta)
	if err != nil {
		return Checkpoint{}, withModel(want.Model, err)
	}
	if c.Trainer != want.Trainer {
		return Checkpoint{}, &MismatchError{Model: want.Model, Reason: fmt.Sprintf("the checkpoint is of trainer %s, not %s", c.Trainer, want.Trainer)}
	}
	var missing []string
	for _, x := range want.Carried {
		if f.Lookup(want.carriedName(x)) == nil {
			missing = append(missing, want.carriedName(x))
		}
	}
	if n := len(missing); n > 0 && n < len(want.Carried) {
		return Checkpoint{}, &MismatchError{Model: want.Model, Missing: missing}
	}
	opt := LoadOptions{Model: want.Model, Hash: want.Hash}
	if len(missing) == 0 {
		c.Carried = want.Carried
		for _, x := range c.Carried {
			opt.Ignore = append(opt.Ignore, want.carriedName(x))
		}
	}
	if err := loadSections(f, sections, opt); err != nil {
		return Checkpoint{}, err
	}
	for _, x := range c.Carried {
		if err := x.read(f.Lookup(want.carriedName(x))); err != nil {
			return Checkpoint{}, withModel(want.Model, err)
		}
	}
	return c, nil
}

func parseCheckpoint(meta map[string]string) (Checkpoint, error) {
	c := Checkpoint{Model: meta[metaModel], Hash: meta[metaHash], Trainer: meta[metaTrainer], Extra: map[string]string{}}
	if meta["lmc_step"] == "" {
		return c, errors.New("the file has weights, but is not a checkpoint: no lmc_step in its metadata")
	}
	if v := meta["lmc_format"]; v != checkpointFormat {
		return c, fmt.Errorf("the checkpoint has format %q, but this version reads format %s", v, checkpointFormat)
	}
	for _, n := range c.counters() {
		v, err := strconv.ParseInt(meta[n.key], 10, 64)
		if err != nil || v < 0 {
			return c, fmt.Errorf("%s in the metadata of the checkpoint is %q, not a number from 0 on", n.key, meta[n.key])
		}
		*n.value = v
	}
	seed, err := strconv.ParseUint(meta["lmc_seed"], 10, 64)
	if err != nil {
		return c, fmt.Errorf("lmc_seed in the metadata of the checkpoint is %q, not a number", meta["lmc_seed"])
	}
	c.Seed = seed
	for k, v := range meta {
		if !strings.HasPrefix(k, "lmc_") {
			c.Extra[k] = v
		}
	}
	return c, nil
}

// WriteFileAtomic writes a file so that at every moment, and after a crash, path
// is either the old file or the whole new one: a temporary file beside it is
// written, flushed to the disk, and renamed. If write or anything else fails,
// the temporary file is removed. A path that is not a regular file, such as
// /dev/stdout, is written directly.
func WriteFileAtomic(path string, write func(io.Writer) error) error {
	mode := fs.FileMode(0)
	switch info, err := os.Stat(path); {
	case err == nil && info.IsDir():
		return fmt.Errorf("%s is a folder", path)
	case err == nil && !info.Mode().IsRegular():
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return errors.Join(write(f), f.Close())
	case err == nil:
		mode = info.Mode().Perm()
		if real, err := filepath.EvalSymlinks(path); err == nil {
			path = real // replace what a link points to, not the link
		}
	}
	tmp, err := createBeside(path)
	if err != nil {
		return err
	}
	done := false
	defer func() { // also if write panics
		if !done {
			tmp.Close() // a second Close is harmless
			os.Remove(tmp.Name())
		}
	}()
	if err := write(tmp); err != nil {
		return err
	}
	if mode != 0 {
		if err := tmp.Chmod(mode); err != nil && !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	if err := tmp.Sync(); err != nil {
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	done = true
	// The rename itself is durable once the folder is; where folders cannot be
	// synced there is nothing more to do.
	if dir, err := os.Open(filepath.Dir(path)); err == nil {
		dir.Sync()
		dir.Close()
	}
	return nil
}

// createBeside makes a new file with the usual permissions in the folder of
// path. (os.CreateTemp would hide it from other users.)
func createBeside(path string) (*os.File, error) {
	for i := 0; ; i++ {
		name := fmt.Sprintf("%s.%d-%d.tmp", path, os.Getpid(), i)
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
		if err == nil || i >= 1000 || !errors.Is(err, fs.ErrExist) {
			return f, err
		}
	}
}
