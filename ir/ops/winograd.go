package ops

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/lmc-lang/lmc/ir"
	"github.com/lmc-lang/lmc/ir/loop"
)

// Winograd's form of a convolution with filters of 3 by 3 (Lavin and Gray,
// arXiv 1509.09308): a tile of m by m results takes the tile of n = m+2 by n
// places d that they see, and
//
//	y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A
//
// where only the product ⊙, summed over channels, costs much: n*n products of
// channels in place of 9*m*m. Tiles and Untile apply such a matrix from both
// sides to each tile of a tensor. Each is linear, and so is the form in the
// filter: dg = Gᵀ [Σ (Bᵀ d B) ⊙ (A dy Aᵀ)] G.

// A tileMatrix is applied to both axes of each tile: n rows, of as many numbers
// as a tile has places along an axis. Tiles begin at multiples of step.
type tileMatrix struct {
	rows [][]float64
	step int
}

// cols is the extent of the tiles that m is applied to.
func (m tileMatrix) cols() int { return len(m.rows[0]) }

// winogradPoints are where the polynomials of m results are evaluated, beside
// infinity. For m = 4 they are not the 0, ±1, ±2 of Lavin and Gray: these are
// exact in binary, too, and the error is half as large (Alam et al., "Winograd
// convolution for deep neural networks: efficient point selection", 2022).
var winogradPoints = map[int][]float64{
	2: {0, 1, -1},
	4: {0, 0.75, -0.75, 1.5, -1.5},
}

// tileMatrices are the matrices by name: what they are for, and m.
//
//	input      Bᵀ  places that m results see, to n numbers
//	filter     G   a filter
//	turned     G   a filter turned by half a turn, for the gradient to the input
//	output     Aᵀ  n numbers to m results
//	spread     A   gradients of m results, to n numbers
//	collect    Gᵀ  n numbers to the gradient of a filter
var tileMatrices = map[string]tileMatrix{}

func init() {
	for m, points := range winogradPoints {
		a, g, b := winogradMatrices(m, points)
		var turned [][]float64
		for _, row := range g {
			row = slices.Clone(row)
			slices.Reverse(row)
			turned = append(turned, row)
		}
		for name, x := range map[string]tileMatrix{
			"input":   {b, m},
			"filter":  {g, 3},
			"turned":  {turned, 3},
			"output":  {transposed(a), m},
			"spread":  {a, m},
			"collect": {transposed(g), 3},
		} {
			tileMatrices[name+strconv.Itoa(m)] = x
		}
	}
}

// winogradMatrices are A, G and Bᵀ for m results: a polynomial of m and one of 3
// coefficients at each point, the value at infinity being the highest
// coefficient, and the interpolation of their product, transposed.
func winogradMatrices(m int, points []float64) (a, g, b [][]float64) {
	powers := func(x, over float64, n int) []float64 {
		out := make([]float64, n)
		for i := range out {
			out[i] = over
			over *= x
		}
		return out
	}
	// product is that of x-p over the points but the one left out.
	product := func(out int) []float64 {
		c := make([]float64, m+2)
		c[0] = 1
		for i, p := range points {
			if i == out {
				continue
			}
			for k := len(c) - 1; k >= 0; k-- {
				c[k] *= -p
				if k > 0 {
					c[k] += c[k-1]
				}
			}
		}
		return c
	}
	for i, p := range points {
		n := 1.0
		for k, q := range points {
			if k != i {
				n *= p - q
			}
		}
		a, g, b = append(a, powers(p, 1, m)), append(g, powers(p, 1/n, 3)), append(b, product(i))
	}
	infinity := func(n int) []float64 {
		out := make([]float64, n)
		out[n-1] = 1
		return out
	}
	return append(a, infinity(m)), append(g, infinity(3)), append(b, product(-1))
}

func transposed(m [][]float64) [][]float64 {
	out := make([][]float64, len(m[0]))
	for _, row := range m {
		for k, x := range row {
			out[k] = append(out[k], x)
		}
	}
	return out
}

// applyRows is rows times x. Where two columns, or two rows, are the same up to
// signs, which is so for points p and -p, what they share is computed once.
func applyRows(e *ir.Emitter, rows [][]float64, x []*loop.Val) []*loop.Val {
	cols := transposed(rows)
	for i := 0; i+1 < len(cols); i++ {
		same, opposite := upToSigns(cols[i], cols[i+1])
		if same == nil || !slices.ContainsFunc(same, nonzero) || !slices.ContainsFunc(opposite, nonzero) {
			continue
		}
		cols[i], cols[i+1] = same, opposite
		x = slices.Clone(x)
		x[i], x[i+1] = e.Do(loop.Add, x[i], x[i+1]), e.Do(loop.Sub, x[i], x[i+1])
		i++
	}
	rows = transposed(cols)
	var out []*loop.Val
	for i := 0; i < len(rows); i++ {
		if i+1 < len(rows) {
			same, opposite := upToSigns(rows[i], rows[i+1])
			if same != nil && slices.ContainsFunc(same, nonzero) && slices.ContainsFunc(opposite, nonzero) {
				s, o := weighted(e, same, x), weighted(e, opposite, x)
				out = append(out, e.Do(loop.Add, s, o), e.Do(loop.Sub, s, o))
				i++
				continue
			}
		}
		out = append(out, weighted(e, rows[i], x))
	}
	return out
}

func nonzero(x float64) bool { return x != 0 }

// upToSigns splits a = same + opposite where b = same - opposite; nil if a and b
// differ in more than signs.
func upToSigns(a, b []float64) (same, opposite []float64) {
	same, opposite = make([]float64, len(a)), make([]float64, len(a))
	for i := range a {
		switch {
		case a[i] == b[i]:
			same[i] = a[i]
		case a[i] == -b[i]:
			opposite[i] = a[i]
		default:
			return nil, nil
		}
	}
	return same, opposite
}

// weighted is the sum of c[i]*x[i].
func weighted(e *ir.Emitter, c []float64, x []*loop.Val) *loop.Val {
	var sum *loop.Val
	term := func(c float64, x *loop.Val) *loop.Val {
		if c == 1 {
			return x
		}
		return e.Do(loop.Mul, x, e.Const(loop.F32, c))
	}
	for i, c := range c {
		switch {
		case c == 0:
		case sum == nil:
			sum = term(c, x[i])
		case c < 0:
			sum = e.Do(loop.Sub, sum, term(-c, x[i]))
		default:
			sum = e.Do(loop.Add, sum, term(c, x[i]))
		}
	}
	if sum == nil {
		return e.Const(loop.F32, 0)
	}
	return sum
}

// A Nest loops over shape; the iterations are independent.
type Nest func(shape []ir.Dim, body func(idx []loop.Index))

// EmitTiles computes a Tiles: store is called for each element of it.
func EmitTiles(e *ir.Emitter, v *ir.Value, nest Nest, store func(idx []loop.Index, x *loop.Val)) {
	m := tileMatrices[Matrix.Of(v)]
	x, shape := v.Args[0], v.Type.Shape
	nest(shape[:3], func(at []loop.Index) {
		at = slices.Clone(at)
		var rows, cols []tilePlace
		for i, places := range []*[]tilePlace{&rows, &cols} {
			*places = m.places(e, at[1+i], shape[1+i], PadLo.Of(v)[i], x.Type.Shape[1+i])
		}
		nest(shape[4:], func(c []loop.Index) {
			columns := make([][]*loop.Val, len(cols))
			for k, col := range cols {
				columns[k] = col.numbers(e, len(m.rows), func() []*loop.Val {
					d := make([]*loop.Val, len(rows))
					for r, row := range rows {
						d[r] = row.number(e, func(row loop.Index) *loop.Val {
							return e.Pull(x, slices.Concat([]loop.Index{at[0], row, col.at}, c))
						})
					}
					return applyRows(e, m.rows, d)
				})
			}
			for p, row := range transposedVals(columns) {
				for q, y := range applyRows(e, m.rows, row) {
					place := loop.AtDim(loop.N(p*len(m.rows) + q))
					store(slices.Concat(at, []loop.Index{place}, c), y)
				}
			}
		})
	})
}

func transposedVals(m [][]*loop.Val) [][]*loop.Val {
	out := make([][]*loop.Val, len(m[0]))
	for _, row := range m {
		for k, x := range row {
			out[k] = append(out[k], x)
		}
	}
	return out
}

// A tilePlace is a place of a tile along one axis. It is in the tensor for all
// tiles (ok is nil), for none, or for those where ok holds.
type tilePlace struct {
	at   loop.Index
	near loop.Index // a place in the tensor: the place itself if it is there
	ok   *loop.Val
	none bool
}

// places are those of tile number i of n, padded by pad in front, along an axis
// of the given size.
func (m tileMatrix) places(e *ir.Emitter, i loop.Index, n ir.Dim, pad int, size ir.Dim) []tilePlace {
	out := make([]tilePlace, m.cols())
	tiles, known := n.Const()
	extent, also := size.Const()
	for k := range out {
		at := plus(i.Scale(loop.N(m.step)), loop.N(k-pad))
		out[k].at, out[k].near = at, at
		if known && also {
			in := 0
			for t := range tiles {
				if place := t*m.step + k - pad; place >= 0 && place < extent {
					in++
				}
			}
			if in == tiles {
				continue
			}
			if out[k].none = in == 0; in == 0 {
				continue
			}
		}
		x := e.IndexVal(at)
		out[k].ok = inside(e, x, size)
		out[k].near = loop.At(e.Do(loop.Max, integer(e, 0), e.Do(loop.Min, x, e.SizeOf(size.AddN(-1)))))
	}
	return out
}

// number is what load gives at the place, or 0 outside of the tensor.
func (p tilePlace) number(e *ir.Emitter, load func(at loop.Index) *loop.Val) *loop.Val {
	switch {
	case p.none:
		return e.Const(loop.F32, 0)
	case p.ok == nil:
		return load(p.at)
	}
	return e.Do(loop.Select, p.ok, load(p.near), e.Const(loop.F32, 0))
}

// numbers are the n numbers that load gives, or zeros outside of the tensor.
func (p tilePlace) numbers(e *ir.Emitter, n int, load func() []*loop.Val) []*loop.Val {
	zeros := func() []*loop.Val { return slices.Repeat([]*loop.Val{e.Const(loop.F32, 0)}, n) }
	switch {
	case p.none:
		return zeros()
	case p.ok == nil:
		return load()
	}
	return e.If(p.ok, load, zeros)
}

// EmitUntile computes an Untile: store is called for each element of it.
func EmitUntile(e *ir.Emitter, v *ir.Value, nest Nest, store func(idx []loop.Index, x *loop.Val)) {
	m := tileMatrices[Matrix.Of(v)]
	x, shape := v.Args[0], v.Type.Shape
	nest(x.Type.Shape[:3], func(at []loop.Index) {
		at = slices.Clone(at)
		tile := func(rows, cols int) {
			nest(shape[3:], func(c []loop.Index) {
				n := m.cols()
				columns := make([][]*loop.Val, n)
				for q := range columns {
					d := make([]*loop.Val, n)
					for p := range d {
						d[p] = e.Pull(x, slices.Concat(at, []loop.Index{loop.AtDim(loop.N(p*n + q))}, c))
					}
					columns[q] = applyRows(e, m.rows[:rows], d)
				}
				for r, row := range transposedVals(columns) {
					for s, y := range applyRows(e, m.rows[:cols], row) {
						i, j := plus(at[1].Scale(loop.N(m.step)), loop.N(r)), plus(at[2].Scale(loop.N(m.step)), loop.N(s))
						store(slices.Concat([]loop.Index{at[0], i, j}, c), y)
					}
				}
			})
		}
		m.cut(e, at[1], shape[1], func(rows int) {
			m.cut(e, at[2], shape[2], func(cols int) { tile(rows, cols) })
		})
	})
}

// cut calls body for the number of places that tile i has in an axis of the
// given size: step, or fewer for the last one.
func (m tileMatrix) cut(e *ir.Emitter, i loop.Index, size ir.Dim, body func(n int)) {
	n, _ := size.Const()
	whole, rest := n/m.step, n%m.step
	switch {
	case rest == 0:
		body(m.step)
	case whole == 0:
		body(rest)
	default:
		e.If(e.Do(loop.Lt, e.IndexVal(i), integer(e, whole)),
			func() []*loop.Val { body(m.step); return nil }, func() []*loop.Val { body(rest); return nil })
	}
}

// TilesAlong is the number of tiles of the matrix that cover n places.
func TilesAlong(matrix string, n int) int {
	step := tileMatrices[matrix].step
	return (n + step - 1) / step
}

// Tiles applies a matrix to tiles of x, I by J of them.
func (g Graph) Tiles(x *ir.Value, matrix string, padLo []int, i, j int) *ir.Value {
	n := len(tileMatrices[matrix].rows)
	shape := slices.Concat(x.Type.Shape[:1], []ir.Dim{loop.N(i), loop.N(j), loop.N(n * n)}, x.Type.Shape[3:])
	return g.one(Tiles, x, Matrix.Is(matrix), PadLo.Is(padLo), Shape.Is(shape))
}

// Untile applies a matrix to the numbers of each tile of y and joins the tiles
// to a tensor of the given shape.
func (g Graph) Untile(y *ir.Value, matrix string, shape []ir.Dim) *ir.Value {
	return g.one(Untile, y, Matrix.Is(matrix), Shape.Is(shape))
}

func matrixOf(v *ir.Value, rank int) (tileMatrix, error) {
	if err := tensor(v, 0, ir.F32); err != nil {
		return tileMatrix{}, err
	}
	m, ok := tileMatrices[Matrix.Of(v)]
	switch {
	case !ok:
		return m, fmt.Errorf("there is no matrix %q", Matrix.Of(v))
	case v.Arg(0).Rank() < rank:
		return m, fmt.Errorf("%v has not two axes of places, and channels", v.Arg(0))
	}
	return m, nil
}

func init() {
	none := "it is made after gradients are"
	define(Tiles, ir.Op{
		Name: "tiles", Doc: "tiles applies a matrix M from both sides, M d Mᵀ, to tiles d of x[B, S, T, C...]: the result [B, I, J, n*n, C...] has the n by n numbers of tile (i, j), which begins at places i*step - padlo. Outside of x is 0. " +
			"It is a part of Winograd's form of a convolution (Lavin and Gray, arXiv 1509.09308), which has the matrices; nothing flows back.",
		Args: unaryArgs, Attrs: []ir.Key{Matrix, PadLo, Shape}, Tol: 1e-5,
		Infer: func(v *ir.Value) (ir.Type, error) {
			m, err := matrixOf(v, 4)
			if err != nil {
				return ir.Type{}, err
			}
			x, shape := v.Arg(0), Shape.Of(v)
			n := len(m.rows)
			if len(shape) != x.Rank()+1 || len(PadLo.Of(v)) != 2 || !ir.SameShape(slices.Concat(shape[:1], shape[3:]), slices.Concat(x.Shape[:1], []ir.Dim{loop.N(n * n)}, x.Shape[3:])) {
				return errorf("tiles of %v, padded by %v, are no %v", x, PadLo.Of(v), ir.ShapeString(shape))
			}
			return x.WithShape(shape...), extents(shape)
		},
		Lower: func(e *ir.Emitter, v *ir.Value, out *loop.Buffer) {
			EmitTiles(e, v, e.Nest, func(idx []loop.Index, x *loop.Val) { e.Store(out, ir.Linear(v.Type.Shape, idx), x) })
		},
		Samples: []ir.Sample{
			// Bᵀ of two results is (-1 0 1 0), (0 1 1 0), (0 -1 1 0), (0 -1 0 1).
			{Types: types(floats(1, 4, 2, 1)), Attrs: settings(Matrix.Is("input2"), PadLo.Is([]int{0, 1}), Shape.Is(dims(1, 1, 1, 16, 1))), In: data(count(8)),
				Want: row(4, 8, 0, -4, 8, 14, 2, -6, 2, 4, 0, -2, 4, 8, 0, -4), NoGrad: none},
			{Types: types(floats(1, 3, 3, 1)), Attrs: settings(Matrix.Is("input3"), PadLo.Is([]int{0, 0}), Shape.Is(dims(1, 1, 1, 16, 1))), Err: `there is no matrix "input3"`},
			{Types: types(floats(3, 3, 1)), Attrs: settings(Matrix.Is("input2"), PadLo.Is([]int{0, 0}), Shape.Is(dims(1, 1, 1, 16))), Err: "has not two axes of places"},
			{Types: types(floats(1, 3, 3, 1)), Attrs: settings(Matrix.Is("input2"), PadLo.Is([]int{0, 0}), Shape.Is(dims(1, 1, 1, 9, 1))), Err: "padded by [0 0], are no"},
		},
	})
	define(Untile, ir.Op{
		Name: "untile", Doc: "untile applies a matrix M from both sides, M d Mᵀ, to the n by n numbers d of each tile of y[B, I, J, n*n, C...]: tile (i, j) of the result [B, S, T, C...] begins at places i*step, and is cut off at its end. " +
			"It is a part of Winograd's form of a convolution, see tiles; nothing flows back.",
		Args: []ir.Arg{{Name: "y"}}, Attrs: []ir.Key{Matrix, Shape}, Tol: 1e-5,
		Infer: func(v *ir.Value) (ir.Type, error) {
			m, err := matrixOf(v, 5)
			if err != nil {
				return ir.Type{}, err
			}
			y, shape := v.Arg(0), Shape.Of(v)
			if len(shape) != y.Rank()-1 {
				return errorf("tiles %v do not make %v", y, ir.ShapeString(shape))
			}
			n := m.cols()
			want := shape[:1:1]
			for _, d := range shape[1:3] {
				places, ok := d.Const()
				if !ok {
					return errorf("%v places are not known", d)
				}
				want = append(want, loop.N((places+m.step-1)/m.step))
			}
			if want = slices.Concat(want, []ir.Dim{loop.N(n * n)}, shape[3:]); !ir.SameShape(y.Shape, want) {
				return errorf("tiles %v do not make %v, which takes %v", y, ir.ShapeString(shape), ir.ShapeString(want))
			}
			return y.WithShape(shape...), extents(shape)
		},
		Lower: func(e *ir.Emitter, v *ir.Value, out *loop.Buffer) {
			EmitUntile(e, v, e.Nest, func(idx []loop.Index, x *loop.Val) { e.Store(out, ir.Linear(v.Type.Shape, idx), x) })
		},
		Samples: []ir.Sample{
			// Aᵀ of two results is (1 1 1 0), (0 1 -1 1).
			{Types: types(floats(1, 1, 1, 16, 1)), Attrs: settings(Matrix.Is("output2"), Shape.Is(dims(1, 2, 1, 1))), In: data(count(16)), Want: row(45, 27), NoGrad: none},
			{Types: types(floats(1, 1, 1, 16, 1)), Attrs: settings(Matrix.Is("output2"), Shape.Is(dims(1, 3, 1, 1))), Err: "do not make"},
			{Types: types(floats(1, 1, 1, 16, 1)), Attrs: settings(Matrix.Is("output2"), Shape.Is(dims(1, 2, 1))), Err: "do not make"},
			{Types: types(floats(1, 1, 1, 16)), Attrs: settings(Matrix.Is("output2"), Shape.Is(dims(1, 2, 1))), Err: "has not two axes of places"},
		},
	})
}
