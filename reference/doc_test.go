// Package reference proves the compiler against vectors from an independent
// framework: models, operations and their gradients, run by the evaluator and
// as generated Go, and the promises about bytes and bits that generated
// packages make. It has tests only.
//
// The vectors lie in ../shared beside the repository. Without them the tests
// that need them are skipped, except where CI is set.
package reference
