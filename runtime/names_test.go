package runtime

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Short forms of the expressions of names blocks.
func tensorOf(name string) *NameExpr   { return &NameExpr{Op: "tensor", Name: name} }
func transposed(name string) *NameExpr { return nameOf("transpose", nil, tensorOf(name)) }
func nameOf(op string, ints []int, args ...*NameExpr) *NameExpr {
	return &NameExpr{Op: op, Ints: ints, Args: args}
}

// namesModel has a plain parameter, convolutions in an inner folder, a stack
// and a stack of experts.
func namesModel() ([]ParamInfo, int) {
	return []ParamInfo{
		{Name: "tok", Shape: []int{5, 2}, Offset: 0},
		{Name: "head", Shape: []int{2, 5}, Offset: 10},
		{Name: "s1.c2.conv.w", Shape: []int{1, 3, 2, 4}, Offset: 20},
		{Name: "blocks.{0}.wq", Shape: []int{4, 2, 3}, Counts: []int{2}, Offset: 44},
		{Name: "blocks.{0}.ln1.g", Shape: []int{4}, Counts: []int{2}, Offset: 92},
		{Name: "blocks.{0}.ln2.g", Shape: []int{4}, Counts: []int{2}, Offset: 100},
		{Name: "blocks.{0}.gate", Shape: []int{3, 2, 4}, Counts: []int{2}, Offset: 108},
		{Name: "bias", Shape: []int{4}, Offset: 156},
		{Name: "qkv", Shape: []int{6}, Offset: 160},
		{Name: "pair", Shape: []int{2, 2}, Offset: 166},
	}, 170
}

func namesTable() NameTable {
	return NameTable{
		Name: "other",
		Rules: []NameRule{
			{"tok", tensorOf("embed.weight")},
			{"head", transposed("lm_head.weight")},
			{"s{n}.c{k}.conv.w", nameOf("permute", []int{2, 3, 1, 0}, tensorOf("layer{n}.{k-1}.conv{k}.weight"))},
			{"blocks.{i}.wq", nameOf("reshape", []int{4, 2, 3}, transposed("model.layers.{i+1}.q.weight"))},
			{"blocks.{i}.ln{n}.g", tensorOf("model.layers.{i+1}.ln_{n}.weight")},
			{"blocks.{i}.gate", transposed("model.layers.{i+1}.experts.{e}.w1")},
			{"bias", tensorOf("b")},
			{"qkv", nameOf("concat", []int{0}, tensorOf("q"), tensorOf("k"), tensorOf("v"))},
			{"pair", nameOf("stack", []int{1}, tensorOf("first"), tensorOf("second"))},
		},
		Ignore: []string{"model.layers.{i}.attn.mask", "**.masked_bias"},
	}
}

// foreignFile has the tensors of a shape each, filled with consecutive numbers.
func foreignFile(t *testing.T, shapes map[string][]int) ([]byte, map[string][]float32) {
	var ts []NamedTensor
	data := map[string][]float32{}
	next := float32(0)
	for name, shape := range shapes {
		n, _ := Size(shape)
		x := make([]float32, n)
		for i := range x {
			x[i] = next
			next++
		}
		data[name] = x
		ts = append(ts, Named(name, x, shape...))
	}
	var buf bytes.Buffer
	_, err := WriteSafetensors(&buf, ts, map[string]string{"format": "pt"})
	require.NoError(t, err)
	return buf.Bytes(), data
}

func otherShapes() map[string][]int {
	shapes := map[string][]int{
		"embed.weight": {5, 2}, "lm_head.weight": {5, 2}, "layer1.1.conv2.weight": {4, 2, 1, 3},
		"b": {4}, "q": {2}, "k": {2}, "v": {2}, "first": {2}, "second": {2},
	}
	for i := 1; i <= 2; i++ {
		p := fmt.Sprintf("model.layers.%d.", i)
		shapes[p+"q.weight"] = []int{6, 4}
		shapes[p+"ln_1.weight"], shapes[p+"ln_2.weight"] = []int{4}, []int{4}
		for e := range 3 {
			shapes[fmt.Sprintf("%sexperts.%d.w1", p, e)] = []int{4, 2}
		}
	}
	return shapes
}

func TestReadForeign(t *testing.T) {
	params, n := namesModel()
	require.NoError(t, CheckParams(params, n))
	shapes := otherShapes()
	shapes["model.layers.0.attn.mask"], shapes["x.y.masked_bias"] = []int{2}, []int{2}
	file, from := foreignFile(t, shapes)
	data := make([]float32, n)
	meta, err := ReadForeign(bytes.NewReader(file), params, data, namesTable(), LoadOptions{Model: "m"})
	require.NoError(t, err)
	assert.Equal(t, "pt", meta["format"])

	get := func(name string) []float32 {
		v, ok := Lookup(params, data, name)
		require.True(t, ok)
		return v.Data
	}
	assert.Equal(t, from["embed.weight"], get("tok"))
	for i := range 2 {
		for j := range 5 {
			assert.Equal(t, from["lm_head.weight"][j*2+i], get("head")[i*5+j])
		}
	}
	conv := NewTensor4(get("s1.c2.conv.w"), 1, 3, 2, 4)
	for o := range 4 {
		for c := range 2 {
			for x := range 3 {
				assert.Equal(t, from["layer1.1.conv2.weight"][(o*2+c)*3+x], conv.At(0, x, c, o))
			}
		}
	}
	for d := range 4 {
		for hk := range 6 {
			assert.Equal(t, from["model.layers.2.q.weight"][hk*4+d], get("blocks.1.wq")[d*6+hk])
		}
	}
	assert.Equal(t, from["model.layers.1.ln_2.weight"], get("blocks.0.ln2.g"))
	gate := NewTensor3(get("blocks.1.gate"), 3, 2, 4)
	for e := range 3 {
		for a := range 2 {
			for b := range 4 {
				assert.Equal(t, from[fmt.Sprintf("model.layers.2.experts.%d.w1", e)][b*2+a], gate.At(e, a, b))
			}
		}
	}
	q, k, v := from["q"], from["k"], from["v"]
	assert.Equal(t, []float32{q[0], q[1], k[0], k[1], v[0], v[1]}, get("qkv"))
	first, second := from["first"], from["second"]
	assert.Equal(t, []float32{first[0], second[0], first[1], second[1]}, get("pair"))

	// And back, with the file as the model of its shapes.
	like, err := ReadSafetensors(bytes.NewReader(file))
	require.NoError(t, err)
	var buf bytes.Buffer
	_, err = WriteForeign(&buf, params, data, namesTable(), like, nil)
	require.NoError(t, err)
	back, err := ReadSafetensors(&buf)
	require.NoError(t, err)
	assert.Len(t, back.Tensors, len(otherShapes()))
	for _, x := range back.Tensors {
		got, err := x.Float32s(nil)
		require.NoError(t, err)
		assert.Equal(t, from[x.Name], got, x.Name)
		assert.Equal(t, like.Lookup(x.Name).Shape, x.Shape)
	}
}

func TestWriteForeignWithoutShapes(t *testing.T) {
	params, n := namesModel()
	data := counting[float64](n)
	_, err := WriteForeign(&bytes.Buffer{}, params, data, namesTable(), nil, nil)
	assert.EqualError(t, err, "names other: blocks.0.wq cannot be written: a reshape needs a checkpoint of the other program for its shapes")

	table := namesTable()
	table.Rules[3].Expr = nameOf("permute", []int{2, 0, 1}, tensorOf("model.layers.{i+1}.q.weight"))
	var buf bytes.Buffer
	_, err = WriteForeign(&buf, params, data, table, nil, nil)
	require.NoError(t, err)
	again := make([]float64, n)
	_, err = ReadForeign(&buf, params, again, table, LoadOptions{})
	require.NoError(t, err)
	assert.Equal(t, data, again)
}

func TestNamesErrors(t *testing.T) {
	params := []ParamInfo{{Name: "w", Shape: []int{2, 3}}, {Name: "b", Shape: []int{3}, Offset: 6}}
	shapes := map[string][]int{"W": {2, 3}, "B": {3}, "C": {3}}
	w, b := NameRule{"w", tensorOf("W")}, NameRule{"b", nameOf("add", nil, tensorOf("B"), tensorOf("C"))}
	for _, c := range []struct {
		rules []NameRule
		want  string
	}{
		{[]NameRule{w}, "m: names t: no rule gives b"},
		{[]NameRule{w, b, {"{x}", tensorOf("W")}}, `m: names t: both "w" and "{x}" give w`},
		{[]NameRule{w, {"b", tensorOf("B")}}, "m: the model has no C"},
		{[]NameRule{w, {"b", tensorOf("D")}}, "m: the file lacks D (for b); the model has no B, C"},
		{[]NameRule{{"w", transposed("W")}, b}, "m: w: file f32[3,2] (from W), model f32[2,3]"},
		{[]NameRule{{"w", nameOf("reshape", []int{7}, tensorOf("W"))}, b}, "m: w: a tensor of shape [2, 3] cannot become [7]"},
		{[]NameRule{{"w", nameOf("permute", []int{0, 0}, tensorOf("W"))}, b}, "m: w: [0, 0] is not an order of the axes of [2, 3]"},
		{[]NameRule{{"w", nameOf("slice", []int{0, 1, 3}, tensorOf("W"))}, b}, "m: w: a tensor of shape [2, 3] has no part 1:3 on axis 0"},
		{[]NameRule{{"w", nameOf("add", nil, tensorOf("W"), tensorOf("B"))}, b}, "m: w: tensors of shapes [2, 3] and [3] cannot be added"},
		{[]NameRule{{"w", nameOf("concat", []int{2}, tensorOf("W"))}, b}, "m: w: a tensor of shape [2, 3] has no axis 2"},
		{[]NameRule{{"w", nameOf("concat", []int{0}, tensorOf("W"), tensorOf("B"))}, b}, "m: w: tensors of shapes [2, 3] and [3] cannot be joined on axis 0"},
		{[]NameRule{{"w", nameOf("stack", []int{0}, tensorOf("W"), tensorOf("B"))}, b}, "m: w: tensors of shapes [2, 3] and [3] cannot be stacked"},
		{[]NameRule{{"w", nameOf("stack", []int{3}, tensorOf("W"))}, b}, "m: w: tensors of shape [2, 3] cannot be stacked on axis 3"},
		{[]NameRule{w, {"b", transposed("B")}}, "m: b: a tensor of shape [3] has no two axes to exchange"},
		{[]NameRule{{"w", tensorOf("X.{e}")}, b}, "m: the file lacks X.0 (for w); the model has no W"},
		{[]NameRule{{"{v}", tensorOf("{v+1}")}}, `m: w: {v} is "w", to which nothing can be added (and 1 more); the model has no`},
		{[]NameRule{{"{v+1}", tensorOf("W")}}, `m: names t: "{v+1}" computes with a hole on the left`},
		{[]NameRule{{"{}", tensorOf("W")}}, `m: names t: "{}" has a hole without a name`},
		{[]NameRule{{"{v+x}", tensorOf("W")}}, `m: names t: "{v+x}" has a hole {v+x} that is not a name, or a name plus a number`},
		{[]NameRule{{"w", &NameExpr{Op: "magic"}}, b}, `m: w: bug in package runtime: unknown operation "magic"`},
		{[]NameRule{{"w", &NameExpr{Op: "concat"}}, b}, `m: w: bug in package runtime: concat with 0 arguments and 0 numbers`},
	} {
		file, _ := foreignFile(t, shapes)
		data := make([]float32, 9)
		_, err := ReadForeign(bytes.NewReader(file), params, data, NameTable{Name: "t", Rules: c.rules}, LoadOptions{Model: "m"})
		assert.ErrorContains(t, err, c.want)
		assert.Equal(t, make([]float32, 9), data)
	}
	file, from := foreignFile(t, shapes)
	data := make([]float32, 9)
	_, err := ReadForeign(bytes.NewReader(file), params, data, NameTable{Name: "t", Rules: []NameRule{w, b}}, LoadOptions{})
	require.NoError(t, err)
	for i := range 3 {
		assert.Equal(t, from["B"][i]+from["C"][i], data[6+i])
	}
	for _, c := range []struct {
		rules []NameRule
		want  string
	}{
		{[]NameRule{w, b}, "names t: b cannot be written: a sum or a part of a tensor can be read, but not written"},
		{[]NameRule{w, {"b", tensorOf("W")}}, "names t: b cannot be written: W has been written already, for w"},
		{[]NameRule{w}, "names t: no rule gives b"},
		{[]NameRule{{"w", nameOf("concat", []int{1}, tensorOf("W"), tensorOf("B"))}}, "names t: w cannot be written: [2, 3] is not 2 parts on axis [1]"},
	} {
		_, err := WriteForeign(&bytes.Buffer{}, params, data, NameTable{Name: "t", Rules: c.rules}, nil, nil)
		assert.EqualError(t, err, c.want)
	}
}

func TestSliceAndConcatAreOpposite(t *testing.T) {
	params := []ParamInfo{{Name: "q", Shape: []int{2, 2}}, {Name: "k", Shape: []int{2, 3}, Offset: 4}, {Name: "e", Shape: []int{0, 3}, Offset: 10}}
	file, from := foreignFile(t, map[string][]int{"qk": {2, 5}, "empty": {3, 0}})
	data := make([]float32, 10)
	_, err := ReadForeign(bytes.NewReader(file), params, data, NameTable{Rules: []NameRule{
		{"q", nameOf("slice", []int{1, 0, 2}, tensorOf("qk"))},
		{"k", nameOf("slice", []int{1, 2, 5}, tensorOf("qk"))},
		{"e", transposed("empty")},
	}}, LoadOptions{})
	require.NoError(t, err)
	x := from["qk"]
	assert.Equal(t, []float32{x[0], x[1], x[5], x[6], x[2], x[3], x[4], x[7], x[8], x[9]}, data)
}

func TestMatchParts(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          map[string]string
	}{
		{"blocks.{i}.ln{n}.g", "blocks.10.ln2.g", map[string]string{"i": "10", "n": "2"}},
		{"bn.r{s}", "bn.rmean", map[string]string{"s": "mean"}},
		{"{a}.{a}", "x.x", map[string]string{"a": "x"}},
		{"{a}.{a}", "x.y", nil},
		{"{a}b{c}", "abbb", map[string]string{"a": "a", "c": "bb"}},
		{"h.{i}.w", "h.1.2.w", nil},
		{"h.{i}", "h.", nil},
		{"w", "w", map[string]string{}},
	} {
		parts, err := splitName(c.pattern)
		require.NoError(t, err)
		holes := map[string]string{}
		if matchParts(parts, c.name, holes) {
			assert.Equal(t, c.want, holes, "%s %s", c.pattern, c.name)
		} else {
			assert.Nil(t, c.want, "%s %s", c.pattern, c.name)
		}
	}
}

// The reference multi-layer perceptron has its matrices as [out, in].
func TestForeignReferenceModel(t *testing.T) {
	path := filepath.Join("..", "..", "shared", "models", "mlp", "weights.safetensors")
	file, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is missing", path)
		}
		t.Skipf("skip: %s is not there", path)
	}
	require.NoError(t, err)
	params := []ParamInfo{
		{Name: "fc1.w", Shape: []int{4, 16}}, {Name: "fc1.b", Shape: []int{16}, Offset: 64},
		{Name: "fc2.w", Shape: []int{16, 12}, Offset: 80}, {Name: "fc2.b", Shape: []int{12}, Offset: 272},
		{Name: "fc3.w", Shape: []int{12, 3}, Offset: 284}, {Name: "fc3.b", Shape: []int{3}, Offset: 320},
	}
	table := NameTable{"torch", []NameRule{{"fc{n}.w", transposed("fc{n}.weight")}, {"fc{n}.b", tensorOf("fc{n}.bias")}}, nil}
	data := make([]float32, 323)
	_, err = ReadForeign(bytes.NewReader(file), params, data, table, LoadOptions{Model: "mlp"})
	require.NoError(t, err)
	f, err := ReadSafetensors(bytes.NewReader(file))
	require.NoError(t, err)
	w, err := f.Lookup("fc2.weight").Float32s(nil)
	require.NoError(t, err)
	assert.Equal(t, w[3*16+5], data[80+5*12+3])
}
