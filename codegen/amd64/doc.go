// Package amd64 prints kernels in vectors as Go assembly for AVX2 and AVX-512.
//
// Print goes through these stages, one file each:
//
//   - prepare.go moves loads to their first use and finds those that can be
//     memory operands;
//   - lower.go, and select.go for arithmetic, turn statements into instructions
//     over virtual registers. What an op of loop.Table is on a target is a row
//     of the table in form.go, written as assembly;
//   - int.go and address.go compute integers and addresses: an Int value is kept
//     as a sum over loop counters as long as it can be, constant distances become
//     displacements, and inside an innermost loop nothing is multiplied;
//   - live.go finds where registers are live, alloc.go joins those that are
//     copies of each other and gives each a machine register; spill.go makes
//     room where there are too few;
//   - print.go writes the text.
//
// A vector of 16 lanes is one register of AVX-512 and two of AVX2; a vector of
// bools is a mask register, or two registers with all bits of a lane equal.
// Scalars are in vector registers if they are floats and in integer registers
// otherwise. The instructions are those that round as loop.Table says, so a
// kernel has the bits of the interpreter on both targets.
package amd64
