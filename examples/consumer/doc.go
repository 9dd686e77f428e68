package xor

//go:generate go tool lmc build -q xor.lm
