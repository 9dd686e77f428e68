package runtime

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// toy has a plain parameter, a stack, a stack of stacks and a state.
func toy() ([]ParamInfo, int) {
	return []ParamInfo{
		{Name: "tok", Shape: []int{3, 2}, Offset: 0, Init: Init{"normal", []float64{0.02}}},
		{Name: "blocks.{0}.w", Shape: []int{2, 2}, Counts: []int{3}, Offset: 6, Init: Init{"glorot", []float64{2, 2}}},
		{Name: "blocks.{0}.ff.{1}.b", Shape: []int{2}, Counts: []int{3, 2}, Offset: 18, Init: Init{"const", []float64{0.1}}},
		{Name: "bn.rvar", Shape: []int{1}, Offset: 30, State: true, Init: Init{"const", []float64{1}}},
		{Name: "scale", Offset: 31},
	}, 32
}

func counting[F Float](n int) []F {
	x := make([]F, n)
	for i := range x {
		x[i] = F(i)
	}
	return x
}

func TestViews(t *testing.T) {
	params, n := toy()
	require.NoError(t, CheckParams(params, n))
	data := counting[float32](n)
	var names []string
	for v := range Views(params, data) {
		names = append(names, v.Name)
		assert.Equal(t, v.Name == "bn.rvar", v.State)
	}
	assert.Equal(t, []string{"tok", "blocks.0.w", "blocks.1.w", "blocks.2.w",
		"blocks.0.ff.0.b", "blocks.0.ff.1.b", "blocks.1.ff.0.b", "blocks.1.ff.1.b", "blocks.2.ff.0.b", "blocks.2.ff.1.b", "bn.rvar", "scale"}, names)
	v, ok := Lookup(params, data, "blocks.1.ff.1.b")
	require.True(t, ok)
	assert.Equal(t, []float32{24, 25}, v.Data)
	assert.Equal(t, []int{2}, v.Shape)
	assert.Equal(t, 2, cap(v.Data))
	v.Data[0] = -1
	assert.EqualValues(t, -1, data[24], "shared")
	_, ok = Lookup(params, data, "blocks.3.w")
	assert.False(t, ok)
	named := ParamInfo{Name: "a.{l}.b.{e}", Counts: []int{2, 3}}
	assert.Equal(t, "a.1.b.2", named.CopyName(5))
	for range Views(params, data) {
		break
	}
}

func TestCheckParams(t *testing.T) {
	for _, c := range []struct {
		params []ParamInfo
		want   string
	}{
		{[]ParamInfo{{Name: "a", Shape: []int{4}}, {Name: "b", Shape: []int{4}, Offset: 3}}, "a and b overlap at 3"},
		{[]ParamInfo{{Name: "a", Shape: []int{9}}}, "a[9] at 0 is not within 8 elements"},
		{[]ParamInfo{{Name: "a", Shape: []int{2}, Counts: []int{2}, Offset: 6}}, "a[2,2] at 6 is not within"},
		{[]ParamInfo{{Name: "a", Shape: []int{-1}}}, "is not within"},
		{[]ParamInfo{{Name: "a", Shape: []int{math.MaxInt}}}, "is not within"},
		{[]ParamInfo{{Name: "a", Shape: []int{1}}, {Name: "a", Shape: []int{1}, Offset: 1}}, "two parameters are called a"},
		{[]ParamInfo{{Name: "a.{0}", Shape: []int{1}}}, "a.{0} needs one hole for each of 0 stacks"},
	} {
		assert.ErrorContains(t, CheckParams(c.params, 8), c.want)
	}
}

func TestWeightsRoundTrip(t *testing.T) {
	params, n := toy()
	data := counting[float32](n)
	var buf bytes.Buffer
	written, err := SaveWeights(&buf, params, data, map[string]string{"vocabulary": "abc"})
	require.NoError(t, err)
	assert.EqualValues(t, buf.Len(), written)
	file := buf.Bytes()

	got := make([]float32, n)
	meta, err := LoadWeights(bytes.NewReader(file), params, got, LoadOptions{Model: "toy"})
	require.NoError(t, err)
	assert.Equal(t, "abc", meta["vocabulary"])
	assert.Equal(t, data, got)

	wide := make([]float64, n)
	_, err = LoadWeights(bytes.NewBuffer(file), params, wide, LoadOptions{})
	require.NoError(t, err)
	assert.Equal(t, counting[float64](n), wide)

	f, err := ReadSafetensors(bytes.NewReader(file))
	require.NoError(t, err)
	assert.Equal(t, []int{2, 2}, f.Lookup("blocks.2.w").Shape, "files have one tensor per copy")
}

func TestLoadWeightsMismatch(t *testing.T) {
	params, n := toy()
	data := counting[float32](n)
	save := func(change func([]ParamInfo) []ParamInfo, meta map[string]string) *bytes.Reader {
		p := change(append([]ParamInfo(nil), params...))
		var buf bytes.Buffer
		_, err := SaveWeights(&buf, p, make([]float64, 100), meta)
		require.NoError(t, err)
		return bytes.NewReader(buf.Bytes())
	}
	same := func(p []ParamInfo) []ParamInfo { return p }
	for _, c := range []struct {
		file *bytes.Reader
		want string
	}{
		{save(func(p []ParamInfo) []ParamInfo { p[1].Shape = []int{2, 1}; return p }, nil), "toy: blocks.0.w: file f64[2,1], model f32[2,2] (and 2 more)"},
		{save(func(p []ParamInfo) []ParamInfo { p[0].Shape = []int{6}; return p }, nil), "toy: tok: file f64[6], model f32[3,2]"},
		{save(func(p []ParamInfo) []ParamInfo { return p[1:] }, nil), "toy: the file lacks tok"},
		{save(func(p []ParamInfo) []ParamInfo { p[0].Name = "token"; return p }, nil), "toy: the file lacks tok; the model has no token"},
		{save(func(p []ParamInfo) []ParamInfo { p[1].Counts = []int{4}; return p }, nil), "toy: the model has no blocks.3.w"},
		{save(same, map[string]string{"lmc_model_hash": "abc"}), "toy: the file was written by another model (hash abc, this one has def)"},
	} {
		_, err := LoadWeights(c.file, params, data, LoadOptions{Model: "toy", Hash: "def"})
		assert.EqualError(t, err, c.want)
		assert.ErrorIs(t, err, ErrModelMismatch)
		var m *MismatchError
		assert.True(t, errors.As(err, &m))
	}
	assert.Equal(t, counting[float32](n), data, "a mismatch loads nothing")
	_, err := LoadWeights(save(func(p []ParamInfo) []ParamInfo { p[1].Counts = []int{4}; return p }, nil), params, data, LoadOptions{Ignore: []string{"blocks.3.*"}})
	assert.NoError(t, err)
	_, err = LoadWeights(save(same, map[string]string{"lmc_model_hash": "def"}), params, data, LoadOptions{Hash: "def"})
	assert.NoError(t, err)
	_, err = LoadWeights(bytes.NewReader(nil), params, data, LoadOptions{Model: "toy"})
	assert.EqualError(t, err, "toy: safetensors: the file is shorter than 8 bytes")

	big := make([]float64, 100)
	big[7] = 1e300
	var buf bytes.Buffer
	_, err = SaveWeights(&buf, params, big, nil)
	require.NoError(t, err)
	_, err = LoadWeights(&buf, params, data, LoadOptions{Model: "toy"})
	assert.EqualError(t, err, `toy: safetensors: tensor "blocks.0.w": element 1 is 1e+300, too large for f32`)
}

func TestMatchName(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"a.b", "a.b", true}, {"a.b", "a.c", false}, {"h.{i}.attn.bias", "h.11.attn.bias", true}, {"h.{i}.attn.bias", "h..attn.bias", false},
		{"h.{i}.b", "h.1.2.b", false}, {"h.*.b", "h.1.2.b", false}, {"h.**.b", "h.1.2.b", true}, {"**", "", true}, {"**", "a.b", true},
		{"*", "a.b", false}, {"*", "", true}, {"**.b", "x.b", true}, {"**.b", "x.bb", false}, {"Step.**", "Step.m.w", true}, {"Step.**", "Steps", false},
		{"bn{k}.w", "bn12.w", true}, {"a{", "a{", false}, {"{a}{b}", "xy", true}, {"{a}{b}", "x", false},
	} {
		assert.Equal(t, c.want, MatchName(c.pattern, c.name), "%s %s", c.pattern, c.name)
	}
}

func TestInitWeightsAreIndependent(t *testing.T) {
	params, n := toy()
	a, b, wide := make([]float32, n), make([]float32, n), make([]float64, n)
	require.NoError(t, InitWeights(params, a, 1))
	require.NoError(t, InitWeights(params, wide, 1))
	for i := range a {
		assert.Equal(t, float64(a[i]), wide[i], "both widths start from the same numbers")
	}
	require.NoError(t, InitWeights(params, b, 2))
	assert.NotEqual(t, a[:18], b[:18])
	assert.Equal(t, a[18:], b[18:], "constants")
	assert.Equal(t, []float32{0.1, 1, 0}, []float32{a[18], a[30], a[31]})
	assert.NotEqual(t, a[6:10], a[10:14], "copies differ")

	// One layer more, and everything in front of it moved: the others stay.
	more := []ParamInfo{{Name: "new", Shape: []int{5}, Init: Init{"normal", []float64{1}}}}
	for _, p := range params {
		p.Offset += 5
		more = append(more, p)
	}
	more[2].Counts, more[2].Offset = []int{4}, 5+n
	c := make([]float32, 5+n+16)
	require.NoError(t, InitWeights(more, c, 1))
	assert.Equal(t, a[:6], c[5:11])
	assert.Equal(t, a[6:18], c[5+n:5+n+12])
}

func TestInitErrors(t *testing.T) {
	x := make([]float32, 4)
	assert.EqualError(t, InitTensor(x, []int{4}, Init{Kind: "magic"}, Key{}), `unknown initialiser "magic"`)
	assert.EqualError(t, InitTensor(x, []int{4}, Init{Kind: "glorot", Args: []float64{1}}, Key{}), "initialiser glorot wants 2 numbers, got 1")
	assert.EqualError(t, InitWeights([]ParamInfo{{Name: "w", Shape: []int{4}, Init: Init{Kind: "magic"}}}, x, 0), `w: unknown initialiser "magic"`)
}

// The reference initialisers of other systems, as lmc spells them. Shapes are
// [out, in] there.
func TestInitStatistics(t *testing.T) {
	for _, c := range []struct {
		file string
		init Init
	}{
		{"zeros", Init{}},
		{"ones", Init{"const", []float64{1}}},
		{"normal_0p02", Init{"normal", []float64{0.02}}},
		{"kaiming_normal_relu__linear", Init{"he", []float64{128}}},
		{"kaiming_normal_fan_out__linear", Init{"he", []float64{256}}},
		{"kaiming_uniform_relu__linear", Init{"uniform", []float64{-math.Sqrt(6.0 / 128), math.Sqrt(6.0 / 128)}}},
		{"lecun_normal__linear", Init{"normal", []float64{math.Sqrt(1.0 / 128)}}},
		{"torch_default__linear", Init{"uniform", []float64{-1 / math.Sqrt(128), 1 / math.Sqrt(128)}}},
		{"xavier_normal__linear", Init{"normal", []float64{math.Sqrt(2.0 / 384)}}},
		{"xavier_uniform__linear", Init{"glorot", []float64{128, 256}}},
		{"orthogonal__square", Init{"orthogonal", []float64{1.5}}},
	} {
		t.Run(c.file, func(t *testing.T) {
			var want struct {
				Distribution string
				Shape        []int
				Mean, Std    float64
				Tol          float64
				Accept       *struct {
					MeanAbsBelow    float64  `json:"mean_abs_below"`
					StdRelErrBelow  float64  `json:"std_rel_err_below"`
					AllWithin       *float64 `json:"all_within"`
					ExtremeFraction *float64 `json:"min_extreme_fraction"`
				}
			}
			sharedFile(t, "opcases/init/"+c.file+".json", &want)
			n, _ := Size(want.Shape)
			x := make([]float64, n)
			require.NoError(t, InitTensor(x, want.Shape, c.init, Key{1, Stream(c.file)}))
			switch want.Distribution {
			case "constant":
				for _, v := range x {
					assert.Equal(t, want.Mean, v)
				}
			case "orthogonal":
				checkOrthogonal(t, x, want.Shape[0], want.Shape[1], c.init.Args[0], want.Tol)
			default:
				m := momentsOf(x)
				assert.Less(t, math.Abs(m.Mean-want.Mean), want.Accept.MeanAbsBelow)
				assert.Less(t, math.Abs(math.Sqrt(m.Var)/want.Std-1), want.Accept.StdRelErrBelow)
				extreme := 0.0
				for _, v := range x {
					extreme = max(extreme, math.Abs(v))
				}
				if a := want.Accept.AllWithin; a != nil {
					assert.LessOrEqual(t, extreme, *a*(1+1e-6))
					assert.GreaterOrEqual(t, extreme, *a**want.Accept.ExtremeFraction)
				}
			}
		})
	}
}

func checkOrthogonal(t *testing.T, x []float64, rows, cols int, gain, tol float64) {
	k, m := min(rows, cols), max(rows, cols)
	at := func(j, e int) float64 {
		if rows < cols {
			return x[j*cols+e]
		}
		return x[e*cols+j]
	}
	for i := range k {
		for j := range k {
			d := 0.0
			for e := range m {
				d += at(i, e) * at(j, e)
			}
			want := 0.0
			if i == j {
				want = gain * gain
			}
			assert.InDelta(t, want, d, tol)
		}
	}
}

func TestOrthogonalShapes(t *testing.T) {
	for _, shape := range [][]int{{8, 3}, {3, 8}, {2, 2, 5}, {4}, {1, 1}, {}} {
		n, _ := Size(shape)
		x := make([]float64, n)
		require.NoError(t, InitTensor(x, shape, Init{"orthogonal", []float64{2}}, Key{1, 1}))
		cols := 1
		if len(shape) > 0 {
			cols = shape[len(shape)-1]
		}
		checkOrthogonal(t, x, n/cols, cols, 2, 1e-6)
	}
	require.NoError(t, InitTensor([]float64{}, []int{0, 3}, Init{"orthogonal", []float64{2}}, Key{1, 1}))
	v := []float64{0, 0}
	normalise(v)
	assert.Equal(t, []float64{1, 0}, v)
}

// Initial weights must never change from one version to the next.
func TestInitialBitsArePinned(t *testing.T) {
	h := uint64(0)
	for _, init := range []Init{{"uniform", []float64{-0.3, 0.7}}, {"normal", []float64{0.02}}, {"glorot", []float64{3, 5}}, {"he", []float64{9}}, {"orthogonal", []float64{1}}} {
		x := make([]float32, 60)
		require.NoError(t, InitTensor(x, []int{6, 10}, init, Key{7, Stream("init w")}))
		for _, v := range x {
			h = Mix(h, uint64(math.Float32bits(v)))
		}
	}
	assert.Equal(t, uint64(0x63043cb0bd60fe1), h, "%#x", h)
}
