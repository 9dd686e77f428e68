// Command molecules predicts how well substances dissolve in water.
package main

import (
	"encoding/csv"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"

	"example.com/programs/gen/graphnet"
	"example.com/programs/kit"
)

//go:generate go tool lmc build -q -set A=64 -set F=6 -set D=48 -set L=3 -o ../gen/graphnet ../../graphnet.lm

const features = 6

func main() {
	data := flag.String("data", "../../../shared/data/molecules/delaney-processed.csv", "ESOL: SMILES and measured solubility")
	steps := flag.Int("steps", 2500, "steps of training")
	flag.Parse()
	f, err := os.Open(*data)
	kit.Check(err)
	rows := kit.Must(csv.NewReader(f).ReadAll())
	kit.Check(f.Close())
	var all []sample
	for _, row := range rows[1:] {
		y := kit.Must(strconv.ParseFloat(row[len(row)-2], 64))
		all = append(all, sample{kit.Must(parse(strings.TrimSpace(row[len(row)-1]))), y})
	}
	r := kit.NewRand(3)
	r.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
	cut := len(all) * 8 / 10
	p, losses := train(r, all[:cut], *steps, 32)
	var got, want []float64
	for _, s := range all[cut:] {
		want = append(want, s.y)
	}
	got = p.predict(all[cut:])
	fmt.Printf("%d molecules to learn, %d to test: root mean square error %.3f in training, %.3f in the test\n", cut, len(all)-cut, p.error(all[:cut]), p.error(all[cut:]))
	kit.Check(kit.Plot(kit.Out("molecules.svg"), "Solubility of molecules held out, logarithm of mol/l", "measured", "predicted", kit.Series{X: want, Y: got, Dots: true}))
	kit.Check(kit.Plot(kit.Out("molecules-loss.svg"), "Graph network on ESOL", "step", "loss", kit.Series{Y: kit.Average(losses, 50)}))
}

// A sample is a molecule and its property.
type sample struct {
	m *molecule
	y float64
}

// A graph is a batch: all atoms and bonds in both directions.
type graph struct {
	kind, src, dst, mol []int32
	bond                []float32
	y                   []float32
}

// kindOf is the token of an atom: its element and how many neighbours it has.
func kindOf(m *molecule, neighbours []int, i int) int32 {
	k := m.kinds[i]
	n := int32(len(elements))
	aromatic := k >= n
	k %= n
	if k < 3 { // carbon, nitrogen, oxygen
		d := int32(min(neighbours[i], 4))
		k = 10 + 5*k + d
	}
	if aromatic {
		k += 32
	}
	return k
}

// batch joins molecules into one graph.
func batch(all []sample, mean, std float64) graph {
	var g graph
	for i, s := range all {
		at := int32(len(g.kind))
		neighbours := make([]int, len(s.m.kinds))
		for _, b := range s.m.bonds {
			neighbours[b.a]++
			neighbours[b.b]++
		}
		for k := range s.m.kinds {
			g.kind, g.mol = append(g.kind, kindOf(s.m, neighbours, k)), append(g.mol, int32(i))
		}
		for _, b := range s.m.bonds {
			f := make([]float32, features)
			f[b.order-1] = 1
			if b.ring {
				f[4] = 1
			}
			f[5] = 1
			g.src, g.dst = append(g.src, at+int32(b.a), at+int32(b.b)), append(g.dst, at+int32(b.b), at+int32(b.a))
			g.bond = append(append(g.bond, f...), f...)
		}
		if len(s.m.bonds) == 0 { // a single atom: a bond with itself, without features
			g.src, g.dst, g.bond = append(g.src, at), append(g.dst, at), append(g.bond, make([]float32, features)...)
		}
		g.y = append(g.y, float32((s.y-mean)/std))
	}
	return g
}

// A predictor is a network and the scale of what it predicts.
type predictor struct {
	w         *graphnet.Weights
	mean, std float64
}

func train(r *rand.Rand, all []sample, steps, n int) (*predictor, []float64) {
	sum, squares := 0.0, 0.0
	for _, s := range all {
		sum, squares = sum+s.y, squares+s.y*s.y
	}
	p := &predictor{w: graphnet.InitWeights(1), mean: sum / float64(len(all))}
	p.std = math.Sqrt(squares/float64(len(all)) - p.mean*p.mean)
	o := graphnet.DefaultStepOptions()
	o.Peak, o.Warmup, o.Total = 2e-3, 50, steps
	t := graphnet.NewStep(p.w, o)
	var losses []float64
	for range steps {
		var picked []sample
		for _, i := range kit.Pick(r, n, len(all)) {
			picked = append(picked, all[i])
		}
		g := batch(picked, p.mean, p.std)
		losses = append(losses, float64(kit.Must(t.Step(g.kind, kit.Matrix(g.bond, features), g.src, g.dst, g.mol, g.y)).Loss))
	}
	return p, losses
}

func (p *predictor) predict(all []sample) []float64 {
	g := batch(all, p.mean, p.std)
	y := kit.Must(graphnet.NewSession(p.w).Predict(nil, g.kind, kit.Matrix(g.bond, features), g.src, g.dst, g.mol, len(all)))
	var out []float64
	for _, v := range y {
		out = append(out, float64(v)*p.std+p.mean)
	}
	return out
}

// error is the root of the mean square error.
func (p *predictor) error(all []sample) float64 {
	sum := 0.0
	for i, y := range p.predict(all) {
		sum += (y - all[i].y) * (y - all[i].y)
	}
	return math.Sqrt(sum / float64(len(all)))
}
