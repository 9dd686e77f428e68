// Command vae trains a variational autoencoder on digits and draws new ones.
package main

import (
	"flag"
	"fmt"

	"example.com/programs/gen/vae"
	"example.com/programs/kit"
)

//go:generate go tool lmc build -q -set H=256 -set Z=16 -o ../gen/vae ../../vae.lm

const latent = 16

func main() {
	data := flag.String("data", "../../../shared/data/mnist", "folder with the test set of MNIST")
	steps := flag.Int("steps", 5000, "steps of training")
	flag.Parse()
	learn, test, err := kit.MNIST(*data)
	kit.Check(err)
	w, losses := train(learn, *steps)
	fmt.Printf("nats per image: %.1f in training, %.1f on %d test images\n", kit.Mean(losses[len(losses)-100:]), bound(w, test), test.Len())
	s := vae.NewSession(w)
	m, _, err := s.Encode(nil, nil, kit.Matrix(test.X[:784*16], 784))
	kit.Check(err)
	sheet := append([]float32(nil), test.X[:784*16]...)
	sheet = append(sheet, kit.Must(s.Decode(nil, m)).Data...)
	sheet = append(sheet, draw(w, 32)...)
	kit.Check(kit.Sheet(kit.Out("vae.png"), 16, 28, 28, 1, 0, 1, sheet))
	kit.Check(kit.Plot(kit.Out("vae.svg"), "Variational autoencoder", "step", "nats per image", kit.Series{Y: kit.Average(losses, 20)}))
	kit.Check(w.SaveFile(kit.Out("vae.safetensors")))
}

func train(d kit.Digits, steps int) (*vae.Weights, []float64) {
	r := kit.NewRand(1)
	w := vae.InitWeights(1)
	t := vae.NewStep(w, vae.DefaultStepOptions())
	var losses []float64
	for range steps {
		res := kit.Must(t.Step(kit.Matrix(d.Batch(kit.Pick(r, 64, d.Len())).X, 784)))
		losses = append(losses, float64(res.Loss))
	}
	return w, losses
}

// bound is the mean loss on images.
func bound(w *vae.Weights, d kit.Digits) float64 {
	loss, _, _, err := vae.NewSession(w).Loss(kit.Matrix(d.X, 784), 1)
	kit.Check(err)
	return float64(loss)
}

// draw makes n new images.
func draw(w *vae.Weights, n int) []float32 {
	z := kit.Matrix(kit.Normal(kit.NewRand(5), n*latent), latent)
	return kit.Must(vae.NewSession(w).Decode(nil, z)).Data
}
