// Package dsl is the front of the compiler: it reads .lm text.
//
// Parse turns a file into a syntax tree (File and the nodes below it) and a
// sorted list of Diagnostics; it never fails altogether: after a mistake it
// goes on with the next statement, member or declaration, and leaves a Bad node
// in the tree. Format lays a file out in the one way that lmc fmt knows. Std
// gives the sources of the standard library. What the text means is the
// business of package dsl/check.
//
// What holds: every node has its exact place in the text; a tree without
// diagnostics has no Bad node and no nil where the comment of a field does not
// allow one; the same text gives the same tree and the same messages.
//
// Files, in reading order: pos, ast, astexpr, walk (the tree); token, scan
// (tokens, Go's semicolons, repair of brackets); expr (operator precedence);
// grammar, leaves (everything else, with participle); recover (going on after a
// mistake); parse, convert, convertstmt (the tree is made); diag, render,
// suggest (messages); format, spacing (lmc fmt); std (the library).
package dsl
