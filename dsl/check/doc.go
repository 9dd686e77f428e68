// Package check gives a syntax tree its meaning: it checks every name, type and
// shape of a model and, in the same walk, writes the model down as an
// ir.Module.
//
// The checker interprets a method over values of three sorts (types.go):
// compile-time ones (numbers, dims, bools, lists, layers, funcs), run-time
// tensors (a type and the ir.Value that computes it), and names of the language
// (types, packages, builtins). All calls are inlined; a layer is instantiated
// once per field (layer.go). A loop over time or over a stack of layers is
// checked once, in a frame of its own (frame.go), and becomes one ops.Scan.
//
// A mistake ends the statement it is in (diag.go): the names that the statement
// declares are poisoned, and what uses them stays silent.
//
// What holds: a program without errors gives a module that the verifier of ir
// accepts; the same text gives the same module and the same messages; whatever
// the text is, nothing panics.
//
// Files, in reading order: types, dim, num (values); frame, env, diag (the
// state of the walk); expr, operator, affine, broadcast, matmul, subscript
// (expressions); stmt, assign, loop (statements); call, match, layer, instance
// (functions, layers); prove (inequalities); builtin*, index* (operations,
// index notation); entry, signature, model (what comes out); block, train,
// separate, optimizer, generate, names (the blocks of a model); vet (what else
// is looked at); check (the entrance).
package check
