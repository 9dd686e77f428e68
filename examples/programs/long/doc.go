// Package long has tests of what long training relies on: small batches that
// add up to a large one, several trainers over the same weights, and checkpoints.
package long

//go:generate go tool lmc build -q -pkg plain -set I=6 -set H=16 -set C=3 -set drop=0 -o ../gen/plain ../../mlp.lm
//go:generate go tool lmc build -q -pkg pieces -set I=6 -set H=16 -set C=3 -set drop=0 -set Step.accumulate=4 -o ../gen/pieces ../../mlp.lm
//go:generate go tool lmc build -q -pkg averaged -set I=6 -set H=16 -set C=3 -set drop=0.5 -set Step.accumulate=2 -set Step.ema=0.9 -o ../gen/averaged ../../mlp.lm
