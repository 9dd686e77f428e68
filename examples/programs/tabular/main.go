// Command tabular classifies flowers by logistic regression and by a network,
// and estimates the risk of breast cancer and of diabetes.
package main

import (
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"sort"

	"example.com/programs/gen/disease"
	"example.com/programs/gen/logreg"
	"example.com/programs/gen/mlp"
	"example.com/programs/kit"
)

//go:generate go tool lmc build -q -set I=4 -set C=3 -o ../gen/logreg ../../logreg.lm
//go:generate go tool lmc build -q -set I=4 -set H=32 -set C=3 -set drop=0.1 -o ../gen/mlp ../../mlp.lm
//go:generate go tool lmc build -q -o ../gen/disease ../../disease.lm

func main() {
	data := flag.String("data", "../../../shared/data/tabular", "folder with the tables")
	flag.Parse()
	x, y, names, err := kit.Table(filepath.Join(*data, "iris.csv"), -1)
	kit.Check(err)
	kit.Shuffle(kit.NewRand(5), x, 4, y)
	var a, b float64
	var curves [2][]float64
	for k := range folds {
		one, two, losses := flowers(x, y, k, 1500)
		a, b = a+one/folds, b+two/folds
		curves = losses
	}
	fmt.Printf("iris (%v): %.1f %% of the held out flowers by logistic regression, %.1f %% by the network\n", names, 100*a, 100*b)
	kit.Check(kit.Plot(kit.Out("iris.svg"), "Flowers of three kinds, one part held out", "step", "loss",
		kit.Series{Name: "logistic regression", Y: curves[0]}, kit.Series{Name: "perceptron", Y: kit.Average(curves[1], 20)}))

	// The last of nine columns of the table of breast cancer is dropped: the model has eight.
	x, y, _, err = kit.Table(filepath.Join(*data, "breast-cancer-wisconsin.csv"), -1)
	kit.Check(err)
	var cut []float32
	for i := range y {
		cut = append(cut, x[i*9:i*9+8]...)
	}
	kit.Shuffle(kit.NewRand(5), cut, 8, y)
	c := patients(cut, y, nil, 1500)
	fmt.Printf("breast cancer: %.1f %% right, area under the curve %.3f\n", 100*c.right, c.area)

	// In the table of diabetes, 0 in columns 1 to 5 is a missing measurement.
	x, y, classes, err := kit.Table(filepath.Join(*data, "pima-indians-diabetes.csv"), -1)
	kit.Check(err)
	for i := range y { // 1 is sick
		y[i] = map[string]int32{"0": 0, "1": 1}[classes[y[i]]]
	}
	kit.Shuffle(kit.NewRand(5), x, 8, y)
	c = patients(x, y, []int{1, 2, 3, 4, 5}, 800)
	fmt.Printf("diabetes: %.1f %% right, area under the curve %.3f; the risk grows by %.2f with glucose\n", 100*c.right, c.area, c.slopes[1])
	kit.Check(kit.Plot(kit.Out("disease.svg"), "Diabetes: found among the sick, by false alarms among the healthy", "false alarms", "found",
		kit.Series{Name: fmt.Sprintf("area %.3f", c.area), X: c.alarms, Y: c.found}))
}

// Every row is held out once: the data are cut into so many parts.
const folds = 5

// turned is the rows such that those of part k are the last; n rows come before.
func turned[T any](x []T, width, k int) (out []T, n int) {
	rows := len(x) / width
	from, to := rows*k/folds, rows*(k+1)/folds
	return slices.Concat(x[to*width:], x[:to*width]), rows - (to - from)
}

// flowers trains on all parts but one and gives the shares that both models get
// right of that, and the losses of their steps.
func flowers(x []float32, y []int32, part, steps int) (regression, network float64, losses [2][]float64) {
	r := kit.NewRand(5)
	x, n := turned(x, 4, part)
	y, _ = turned(y, 1, part)
	kit.Standardize(x, 4, n)
	rest, truth := kit.Matrix(x[4*n:], 4), y[n:]

	w := logreg.InitWeights(1)
	t := logreg.NewStep(w, logreg.DefaultStepOptions())
	for range steps {
		l := kit.Must(t.Step(kit.Matrix(x[:4*n], 4), y[:n])).Loss
		losses[0] = append(losses[0], float64(l))
	}
	right := 0
	for i, c := range kit.Must(logreg.NewSession(w).Predict(nil, rest)) {
		if c == truth[i] {
			right++
		}
	}

	v := mlp.InitWeights(1)
	s := mlp.NewStep(v, mlp.DefaultStepOptions())
	for range steps {
		p := kit.Pick(r, 32, n)
		l := kit.Must(s.Step(kit.Matrix(kit.Rows(x, 4, p), 4), kit.Rows(y, 1, p))).Loss
		losses[1] = append(losses[1], float64(l))
	}
	share := kit.Must(mlp.NewSession(v).Accuracy(rest, truth))
	return float64(right) / float64(len(truth)), float64(share), losses
}

// A chart is how well risks of rows held out separate the sick from the healthy.
type chart struct {
	right, area   float64
	alarms, found []float64
	slopes        []float64 // of the risk by each measurement, on average
}

// patients trains once for each part of the rows, in which 0 means missing in the
// columns listed, on all others, and judges by that part.
func patients(x []float32, y []int32, missing []int, steps int) chart {
	var risk []float32
	var truth []int32
	slopes := make([]float64, 8)
	for k := range folds {
		p, t, s := risks(x, y, missing, k, steps)
		risk, truth = append(risk, p...), append(truth, t...)
		for i := range s {
			slopes[i] += s[i] / folds
		}
	}
	c := measure(risk, truth)
	c.slopes = slopes
	return c
}

// risks trains on all parts but one and gives the risks of that, what is true,
// and the slopes.
func risks(x []float32, y []int32, missing []int, part, steps int) (risk []float32, truth []int32, slopes []float64) {
	const D = 8
	r := kit.NewRand(5)
	x, n := turned(x, D, part)
	y, _ = turned(y, 1, part)
	known := make([]float32, len(x))
	for i := range known {
		known[i] = 1
	}
	for _, c := range missing {
		for i := c; i < len(x); i += D {
			if x[i] == 0 {
				known[i] = 0
			}
		}
	}
	kit.Standardize(x, D, n)
	sick := make([]float32, len(y))
	for i, c := range y {
		sick[i] = float32(c)
	}
	w := disease.InitWeights(1)
	t := disease.NewStep(w, disease.DefaultStepOptions())
	for range steps {
		p := kit.Pick(r, 64, n)
		kit.Must(t.Step(kit.Matrix(kit.Rows(x, D, p), D), kit.Matrix(kit.Rows(known, D, p), D), kit.Rows(sick, 1, p)))
	}
	s := disease.NewSession(w)
	rest, have := kit.Matrix(x[D*n:], D), kit.Matrix(known[D*n:], D)
	risk = kit.Must(s.Risk(nil, rest, have))
	g := kit.Must(s.Sensitivity(nil, rest, have))
	slopes = make([]float64, D)
	for i, v := range g.Data {
		slopes[i%D] += float64(v) / float64(len(risk))
	}
	return risk, y[n:], slopes
}

// measure compares risks with who is sick.
func measure(risk []float32, y []int32) chart {
	order := make([]int, len(risk))
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(i, k int) bool { return risk[order[i]] > risk[order[k]] })
	var c chart
	found, alarms, sick := 0, 0, 0
	for i, v := range y {
		sick += int(v)
		if (risk[i] >= 0.5) == (v == 1) {
			c.right += 1 / float64(len(y))
		}
	}
	healthy := len(y) - sick
	for _, i := range order {
		if y[i] == 1 {
			found++
		} else {
			alarms++
			c.area += float64(found) / float64(sick) / float64(healthy)
		}
		c.alarms = append(c.alarms, float64(alarms)/float64(healthy))
		c.found = append(c.found, float64(found)/float64(sick))
	}
	return c
}
