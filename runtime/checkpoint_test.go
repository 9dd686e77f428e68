package runtime

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCheckpointRoundTrip(t *testing.T) {
	params, n := toy()
	sections := func(w, m []float32) []Section[float32] {
		return []Section[float32]{{"", params, w}, {"Step.m.", params[:2], m}}
	}
	c := Checkpoint{Model: "toy", Hash: "h1", Trainer: "Step", Step: 12, Micro: 3, Seed: 1<<64 - 1, Epoch: 2, Data: 640, Extra: map[string]string{"vocabulary": "abc"}}
	w, m := counting[float32](n), counting[float32](18)
	var buf bytes.Buffer
	_, err := SaveCheckpoint(&buf, c, sections(w, m)...)
	require.NoError(t, err)
	file := buf.Bytes()

	w2, m2 := make([]float32, n), make([]float32, 18)
	got, err := LoadCheckpoint(bytes.NewReader(file), Checkpoint{Model: "toy", Hash: "h1", Trainer: "Step"}, sections(w2, m2)...)
	require.NoError(t, err)
	assert.Equal(t, c, got)
	assert.Equal(t, w, w2)
	assert.Equal(t, m, m2)

	w3 := make([]float32, n)
	meta, err := LoadWeights(bytes.NewReader(file), params, w3, LoadOptions{Hash: "h1"})
	require.NoError(t, err, "the weights of a checkpoint can be loaded alone")
	assert.Equal(t, w, w3)
	assert.Equal(t, "abc", meta["vocabulary"])

	for _, bad := range []struct {
		want Checkpoint
		text string
	}{
		{Checkpoint{Model: "toy", Trainer: "Pre"}, "toy: the checkpoint is of trainer Step, not Pre"},
		{Checkpoint{Model: "toy", Trainer: "Step", Hash: "h2"}, "toy: the file was written by another model (hash h1, this one has h2)"},
	} {
		_, err = LoadCheckpoint(bytes.NewReader(file), bad.want, sections(w2, m2)...)
		assert.EqualError(t, err, bad.text)
		assert.ErrorIs(t, err, ErrModelMismatch)
	}
	_, err = LoadCheckpoint(bytes.NewReader(file), Checkpoint{Trainer: "Step"}, sections(w2, m2)[:1]...)
	assert.EqualError(t, err, "the model has no Step.m.blocks.0.w, Step.m.blocks.1.w, Step.m.blocks.2.w, Step.m.tok")
	_, err = LoadCheckpoint[float32](bytes.NewReader(file[:100]), Checkpoint{Model: "toy"})
	assert.ErrorContains(t, err, "toy: safetensors: the file is truncated")

	buf.Reset()
	_, err = SaveWeights(&buf, params, w, nil)
	require.NoError(t, err)
	_, err = LoadCheckpoint(&buf, Checkpoint{Model: "toy"}, sections(w2, m2)...)
	assert.EqualError(t, err, "toy: the file has weights, but is not a checkpoint: no lmc_step in its metadata")
}

func TestCheckpointBadMetadata(t *testing.T) {
	good := map[string]string{"lmc_step": "1", "lmc_micro": "0", "lmc_epoch": "0", "lmc_data": "0", "lmc_format": "1", "lmc_seed": "1"}
	_, err := parseCheckpoint(good)
	require.NoError(t, err)
	for _, c := range []struct{ key, value, want string }{
		{"lmc_step", "x", `lmc_step in the metadata of the checkpoint is "x", not a number from 0 on`},
		{"lmc_data", "-1", `lmc_data in the metadata of the checkpoint is "-1", not a number from 0 on`},
		{"lmc_epoch", "", `lmc_epoch in the metadata`},
		{"lmc_format", "2", `the checkpoint has format "2", but this version reads format 1`},
		{"lmc_seed", "-1", `lmc_seed in the metadata of the checkpoint is "-1", not a number`},
	} {
		meta := map[string]string{}
		for k, v := range good {
			meta[k] = v
		}
		meta[c.key] = c.value
		_, err := parseCheckpoint(meta)
		assert.ErrorContains(t, err, c.want)
	}
}

func TestWriteFileAtomic(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "w.safetensors")
	put := func(s string) func(io.Writer) error {
		return func(w io.Writer) error { _, err := io.WriteString(w, s); return err }
	}
	read := func() string {
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		return string(b)
	}
	require.NoError(t, WriteFileAtomic(path, put("one")))
	assert.Equal(t, "one", read())
	require.NoError(t, os.Chmod(path, 0o600))
	require.NoError(t, WriteFileAtomic(path, put("two")))
	assert.Equal(t, "two", read())
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.EqualValues(t, 0o600, info.Mode().Perm(), "an existing file keeps its mode")

	full := errors.New("disk full")
	assert.ErrorIs(t, WriteFileAtomic(path, func(w io.Writer) error { put("thr")(w); return full }), full)
	assert.Equal(t, "two", read(), "a failed write changes nothing")
	assert.Panics(t, func() { WriteFileAtomic(path, func(io.Writer) error { panic("in the middle") }) })
	assert.Equal(t, "two", read())

	assert.ErrorIs(t, WriteFileAtomic(filepath.Join(dir, "none", "w"), put("x")), os.ErrNotExist)
	assert.ErrorContains(t, WriteFileAtomic(dir, put("x")), "is a folder")

	link := filepath.Join(dir, "latest")
	if os.Symlink(path, link) == nil {
		require.NoError(t, WriteFileAtomic(link, put("linked")))
		assert.Equal(t, "linked", read())
		info, err := os.Lstat(link)
		require.NoError(t, err)
		assert.NotZero(t, info.Mode()&os.ModeSymlink, "the link stays a link")
	}
	if _, err := os.Stat(os.DevNull); err == nil {
		require.NoError(t, WriteFileAtomic(os.DevNull, put("x")))
		info, err := os.Stat(os.DevNull)
		require.NoError(t, err)
		assert.False(t, info.Mode().IsRegular())
	}
	left, err := filepath.Glob(filepath.Join(dir, "*.tmp"))
	require.NoError(t, err)
	assert.Empty(t, left, "no temporary file stays")
}

// TestCheckpointCarried: what a step hands to the next one comes back with its
// shape, unless the file has none of it.
func TestCheckpointCarried(t *testing.T) {
	params := []ParamInfo{{Name: "w", Shape: []int{2}}}
	section := func(data []float32) Section[float32] { return Section[float32]{"", params, data} }
	h, shape, n, c := []float32{1, 2, 3, 4, 5, 6}, []int{2, 3}, int32(7), []bool{true, false}
	var full, empty bytes.Buffer
	at := Checkpoint{Trainer: "Step", Step: 3}
	_, err := SaveCheckpoint(&empty, at, section([]float32{1, 2}))
	require.NoError(t, err)
	at.Carried = []Carried{Carry("h", nil, shape, &h), CarryNumber("n", &n), Carry("c", []int{2}, []int{2}, &c)}
	_, err = SaveCheckpoint(&full, at, section([]float32{1, 2}))
	require.NoError(t, err)

	h2, shape2, n2, c2 := []float32(nil), []int{0, 0}, int32(0), []bool(nil)
	want := Checkpoint{Trainer: "Step", Carried: []Carried{Carry("h", nil, shape2, &h2), CarryNumber("n", &n2), Carry("c", []int{2}, []int{2}, &c2)}}
	w := make([]float32, 2)
	got, err := LoadCheckpoint(bytes.NewReader(empty.Bytes()), want, section(w))
	require.NoError(t, err)
	assert.Empty(t, got.Carried)
	assert.Nil(t, h2)
	got, err = LoadCheckpoint(bytes.NewReader(full.Bytes()), want, section(w))
	require.NoError(t, err)
	assert.Len(t, got.Carried, 3)
	assert.Equal(t, []any{h, shape, n, c}, []any{h2, shape2, n2, c2})

	want.Carried[2] = Carry("c", []int{3}, []int{3}, &c2)
	_, err = LoadCheckpoint(bytes.NewReader(full.Bytes()), want, section(w))
	assert.ErrorContains(t, err, "Step.carried.c is bool[2] in the file")
	want.Carried = append(want.Carried, CarryNumber("x", &n2))
	_, err = LoadCheckpoint(bytes.NewReader(full.Bytes()), want, section(w))
	assert.ErrorContains(t, err, "Step.carried.x")
	want.Carried = nil
	_, err = LoadCheckpoint(bytes.NewReader(full.Bytes()), want, section(w))
	assert.ErrorContains(t, err, "Step.carried.h")
}
