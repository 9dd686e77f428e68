package codegen

import (
	"github.com/lmc-lang/lmc/ir/loop"
)

// tiny is a program with one of everything: a loop over layers, two symbolic
// sizes, a constant table, caches, a generator, random numbers, options,
// scalars as arguments and results, several results, carried results, metrics,
// states, accumulated gradients, moments, a moving average, a names block.
func tiny() *loop.Program {
	const D, V, L, C = 4, 5, 3, 8
	B, T, P, N := sym("B"), sym("T"), sym("P"), sym("N")
	BT := B.Mul(T)
	var ks []*loop.Kernel
	// kernel makes a kernel; buffers are declared by in and out.
	kernel := func(name, doc string, build func(b *loop.Builder, in, out func(string, loop.Elem, loop.Dim) *loop.Buffer)) *loop.Kernel {
		b := loop.NewBuilder(name)
		b.K.Doc = doc
		buffer := func(isOut bool) func(string, loop.Elem, loop.Dim) *loop.Buffer {
			return func(name string, e loop.Elem, n loop.Dim) *loop.Buffer { return b.Buffer(name, e, n, isOut) }
		}
		build(b, buffer(false), buffer(true))
		ks = append(ks, b.K)
		return b.K
	}
	type buf = func(string, loop.Elem, loop.Dim) *loop.Buffer
	call := func(k *loop.Kernel, args ...loop.Ref) *loop.Call { return &loop.Call{Kernel: k, Args: args} }
	at := func(i *loop.Val, stride int, j *loop.Val) loop.Index {
		return loop.At(i).Scale(n(stride)).Add(loop.At(j))
	}
	F, I, Bo := loop.F32, loop.I32, loop.Bool
	typed := func(r loop.Ref, e loop.Elem) loop.Ref { r.Elem = e; return r }
	strided := func(r loop.Ref, v string, c loop.Dim) loop.Ref {
		r.Stride = []loop.StrideTerm{{Var: v, Coef: c}}
		return r
	}

	// Logits.
	embed := kernel("embed", "x = tok[ids] + pos", func(b *loop.Builder, in, out buf) {
		ids, tok, pos, x := in("ids", I, BT), in("tok", F, n(V*D)), in("pos", F, n(C*D)), out("x", F, BT.MulN(D))
		lo, hi := b.NewVal(loop.Int, "lo"), b.NewVal(loop.Int, "hi")
		b.K.Grid = &loop.Grid{Lo: lo, Hi: hi, N: B, Grain: n(1)}
		b.For("i", loop.Bound{Val: lo}, loop.Bound{Val: hi}, 1, nil, func(i *loop.Val, _ []*loop.Val) []*loop.Val {
			b.Range("t", T, func(t *loop.Val) {
				row := loop.At(i).Scale(T).Add(loop.At(t))
				id := b.Do(loop.Check, b.ConvertTo(loop.Int, b.Load(ids, row)), b.SizeOf(n(V)))
				b.Range("d", n(D), func(d *loop.Val) {
					b.Store(x, row.Scale(n(D)).Add(loop.At(d)), b.Do(loop.Add, b.Load(tok, at(id, D, d)), b.Load(pos, at(t, D, d))))
				})
			})
			return nil
		})
	})
	block := kernel("block", "y = x*w + l", func(b *loop.Builder, in, out buf) {
		x, w, y := in("x", F, BT.MulN(D)), in("w", F, n(D)), out("y", F, BT.MulN(D))
		l := b.Int("l")
		b.K.InPlace = [][2]int{{0, 2}}
		b.Range("i", BT, func(i *loop.Val) {
			b.Range("d", n(D), func(d *loop.Val) {
				b.Store(y, at(i, D, d), b.Do(loop.Add, b.Do(loop.Mul, b.Load(x, at(i, D, d)), b.Load(w, loop.At(d))), b.ConvertTo(F, l)))
			})
		})
	})
	head := kernel("head", "out = x @ tok.T", func(b *loop.Builder, in, out buf) {
		x, tok, o := in("x", F, BT.MulN(D)), in("tok", F, n(V*D)), out("out", F, BT.MulN(V))
		b.Range("i", BT, func(i *loop.Val) {
			b.Range("v", n(V), func(v *loop.Val) {
				b.Store(o, at(i, V, v), b.Reduce("d", n(D), b.Const(F, 0), func(d, acc *loop.Val) *loop.Val {
					return b.Do(loop.Add, acc, b.Do(loop.Mul, b.Load(x, at(i, D, d)), b.Load(tok, at(v, D, d))))
				}))
			})
		})
	})
	tok, arena := ref(loop.Weights, "", n(0), n(V*D)), ref(loop.Arena, "", n(0), BT.MulN(D))
	arena.Slot = 1
	blockW := strided(ref(loop.Weights, "", n(V*D), n(D)), "l", n(D))
	blocks := &loop.Proc{Name: "logitsBlocks", Doc: "runs one block", Dims: []string{"B", "T"}, Vars: []string{"l"},
		Steps: []loop.Step{&loop.Call{Kernel: block, Args: []loop.Ref{arena, blockW, arena}, Ints: []loop.IntRef{{Var: "l"}}}}}
	logits := &loop.Proc{Name: "logits", Doc: "computes Logits", Dims: []string{"B", "T"}, Slots: []loop.Slot{{Size: BT.MulN(D), First: 1, Last: 3}}, Steps: []loop.Step{
		call(embed, typed(ref(loop.Arg, "ids", n(0), BT), I), tok, ref(loop.ConstTable, "pos", n(0), n(C*D)), arena),
		&loop.Loop{Var: "l", N: n(L), Body: blocks},
		call(head, arena, tok, ref(loop.Result, "z", n(0), BT.MulN(V))),
	}}

	// Decode counts how often each token has occurred, in every layer's cache.
	remember := kernel("remember", "keys[:, P:P+T] = ids", func(b *loop.Builder, in, out buf) {
		ids, keys := in("ids", I, BT), out("keys", F, B.MulN(C))
		b.Range("i", B, func(i *loop.Val) {
			b.Range("t", T, func(t *loop.Val) {
				b.Store(keys, at(i, C, t).Add(loop.AtDim(P)), b.ConvertTo(F, b.Load(ids, loop.At(i).Scale(T).Add(loop.At(t)))))
			})
		})
	})
	tally := kernel("tally", "out[b, v] counts v in keys[b, :P+T]", func(b *loop.Builder, in, out buf) {
		keys, o := in("keys", F, B.MulN(C)), out("out", F, B.MulN(V))
		b.Range("i", B, func(i *loop.Val) {
			b.Range("v", n(V), func(v *loop.Val) {
				b.Store(o, at(i, V, v), b.Reduce("s", P.Add(T), b.Const(F, 0), func(s, acc *loop.Val) *loop.Val {
					return b.Do(loop.Add, acc, b.ConvertTo(F, b.Do(loop.Eq, b.Load(keys, at(i, C, s)), b.ConvertTo(F, v))))
				}))
			})
		})
	})
	cache := func(l loop.Ref) loop.Ref { return l }
	layer := strided(ref(loop.Caches, "", n(0), B.MulN(C)), "l", B.MulN(C))
	decodeBlocks := &loop.Proc{Name: "decodeBlocks", Doc: "fills the cache of one block", Dims: []string{"B", "T", "P"}, Vars: []string{"l"},
		Steps: []loop.Step{call(remember, typed(ref(loop.Arg, "ids", n(0), BT), I), cache(layer))}}
	decode := &loop.Proc{Name: "decode", Doc: "computes Decode", Dims: []string{"B", "T", "P"}, Steps: []loop.Step{
		&loop.Loop{Var: "l", N: n(L), Reverse: true, Body: decodeBlocks},
		call(tally, ref(loop.Caches, "", n(0), B.MulN(C)), ref(loop.Result, "scores", n(0), B.MulN(V))),
	}}
	least := kernel("least", "the first token with the least score below limit", func(b *loop.Builder, in, out buf) {
		s, limit, o := in("scores", F, B.MulN(V)), in("limit", F, n(1)), out("token", I, B)
		b.Range("i", B, func(i *loop.Val) {
			best := b.Do(loop.Add, b.Load(s, loop.At(i).Scale(n(V))), b.Load(limit, loop.Index{}))
			r := b.For("v", loop.Bound{}, loop.Bound{Dim: n(V)}, 1, []*loop.Val{best, b.Const(I, 0)}, func(v *loop.Val, phi []*loop.Val) []*loop.Val {
				x := b.Load(s, at(i, V, v))
				less := b.Do(loop.Lt, x, phi[0])
				return []*loop.Val{b.Do(loop.Select, less, x, phi[0]), b.Do(loop.Select, less, b.ConvertTo(I, v), phi[1])}
			})
			b.Store(o, loop.At(i), r[1])
		})
	})
	sample := &loop.Proc{Name: "textSample", Doc: "picks a token", Dims: []string{"B"}, Steps: []loop.Step{
		call(least, ref(loop.Arg, "scores", n(0), B.MulN(V)), ref(loop.Arg, "limit", n(0), n(1)), typed(ref(loop.Result, "token", n(0), B), I)),
	}}

	// Noise and Two.
	noisy := kernel("noisy", "out = x + scale*normal", func(b *loop.Builder, in, out buf) {
		x, scale, key, o := in("x", F, N), in("scale", F, n(1)), in("key", I, n(3)), out("out", F, N)
		seed := b.ConvertTo(loop.Int, b.Load(key, loop.Index{}))
		stream := b.Const(loop.Int, 7)
		b.Range("i", N, func(i *loop.Val) {
			b.Store(o, loop.At(i), b.Do(loop.Add, b.Load(x, loop.At(i)), b.Do(loop.Mul, b.Load(scale, loop.Index{}), b.Do(loop.Normal, seed, stream, i))))
		})
	})
	noise := &loop.Proc{Name: "noise", Doc: "computes Noise", Dims: []string{"N"}, Steps: []loop.Step{
		call(noisy, ref(loop.Arg, "x", n(0), N), ref(loop.Arg, "scale", n(0), n(1)), typed(ref(loop.Key, "", n(0), n(3)), I), ref(loop.Result, "out", n(0), N)),
	}}
	both := kernel("both", "z = flag ? h : 0; next = h + k; count = B", func(b *loop.Builder, in, out buf) {
		h, flag, k := in("h", F, B.MulN(D)), in("flag", Bo, n(1)), in("k", I, n(1))
		z, next, count := out("z", F, B.MulN(D)), out("next", F, B.MulN(D)), out("count", I, n(1))
		b.Range("i", B.MulN(D), func(i *loop.Val) {
			b.Store(next, loop.At(i), b.Do(loop.Add, b.Load(h, loop.At(i)), b.ConvertTo(F, b.Load(k, loop.Index{}))))
		})
		b.Range("j", B.MulN(D), func(i *loop.Val) {
			b.Store(z, loop.At(i), b.Do(loop.Select, b.Load(flag, loop.Index{}), b.Load(h, loop.At(i)), b.Const(F, 0)))
		})
		b.Store(count, loop.Index{}, b.ConvertTo(I, b.SizeOf(B)))
	})
	two := &loop.Proc{Name: "two", Doc: "computes Two", Dims: []string{"B"}, Steps: []loop.Step{
		call(both, ref(loop.Arg, "h", n(0), B.MulN(D)), typed(ref(loop.Arg, "flag", n(0), n(1)), Bo), typed(ref(loop.Arg, "k", n(0), n(1)), I),
			ref(loop.Result, "z", n(0), B.MulN(D)), ref(loop.Result, "h", n(0), B.MulN(D)), typed(ref(loop.Result, "count", n(0), n(1)), I)),
	}}

	// The step: loss = sum(x) + sum(h), dw[l] = sum of x over the batch, h' = h + x.
	lossK := kernel("lossOf", "loss, metrics, carried state", func(b *loop.Builder, in, out buf) {
		x, h := in("x", F, B.MulN(D)), in("h", F, B.MulN(D))
		loss, next, each, count := out("loss", F, n(1)), out("next", F, B.MulN(D)), out("each", F, B), out("count", I, n(1))
		sum := b.Reduce("i", B.MulN(D), b.Const(F, 0), func(i, acc *loop.Val) *loop.Val {
			s := b.Do(loop.Add, b.Load(x, loop.At(i)), b.Load(h, loop.At(i)))
			b.Store(next, loop.At(i), s)
			return b.Do(loop.Add, acc, s)
		})
		b.Store(loss, loop.Index{}, sum)
		b.Range("j", B, func(j *loop.Val) { b.Store(each, loop.At(j), b.Load(x, loop.At(j).Scale(n(D)))) })
		b.Store(count, loop.Index{}, b.ConvertTo(I, b.SizeOf(B)))
	})
	gradK := kernel("gradOf", "dw = sum of x, added to what is there", func(b *loop.Builder, in, out buf) {
		x, old, more, dw := in("x", F, B.MulN(D)), in("old", F, n(D)), in("more", F, n(1)), out("dw", F, n(D))
		b.K.InPlace = [][2]int{{1, 3}}
		again := b.Do(loop.Eq, b.Load(more, loop.Index{}), b.Const(F, 1))
		b.Range("d", n(D), func(d *loop.Val) {
			start := b.Do(loop.Select, again, b.Load(old, loop.At(d)), b.Const(F, 0))
			b.Store(dw, loop.At(d), b.Reduce("i", B, start, func(i, acc *loop.Val) *loop.Val {
				return b.Do(loop.Add, acc, b.Load(x, at(i, D, d)))
			}))
		})
	})
	countK := kernel("countSteps", "mean + 1", func(b *loop.Builder, in, out buf) {
		m, o := in("m", F, n(2)), out("out", F, n(2))
		b.K.InPlace = [][2]int{{0, 1}}
		b.Range("i", n(2), func(i *loop.Val) { b.Store(o, loop.At(i), b.Do(loop.Add, b.Load(m, loop.At(i)), b.Const(F, 1))) })
	})
	updateK := kernel("updateOf", "momentum, weights, moving average", func(b *loop.Builder, in, out buf) {
		w, g, m, e, lr := in("w", F, n(L*D)), in("g", F, n(L*D)), in("m", F, n(L*D)), in("e", F, n(L*D)), in("lr", F, n(1))
		w2, m2, e2 := out("w2", F, n(L*D)), out("m2", F, n(L*D)), out("e2", F, n(L*D))
		b.K.InPlace = [][2]int{{0, 5}, {2, 6}, {3, 7}}
		b.Range("i", n(L*D), func(i *loop.Val) {
			m := b.Do(loop.Add, b.Load(m, loop.At(i)), b.Do(loop.Div, b.Load(g, loop.At(i)), b.Const(F, 2)))
			w := b.Do(loop.Sub, b.Load(w, loop.At(i)), b.Do(loop.Mul, b.Load(lr, loop.Index{}), m))
			b.Store(w2, loop.At(i), w)
			b.Store(m2, loop.At(i), m)
			half := b.Const(F, 0.5)
			b.Store(e2, loop.At(i), b.Do(loop.Add, b.Do(loop.Mul, half, b.Load(e, loop.At(i))), b.Do(loop.Mul, half, w)))
		})
	})
	host := loop.NewBuilder("host")
	{
		host.K.Wide = true
		host.K.Doc = "the rate falls with the steps"
		step, lr := host.Buffer("step", I, n(1), false), host.Buffer("options", F, n(1), false)
		rate := host.Do(loop.Div, host.Load(lr, loop.Index{}), host.ConvertTo(F, host.Do(loop.Add, host.Load(step, loop.Index{}), host.Const(I, 1))))
		host.Store(host.Buffer("scalars", F, n(1), true), loop.Index{}, rate)
	}
	x := ref(loop.Arg, "x", n(0), B.MulN(D))
	dw := strided(ref(loop.Grads, "", n(V*D), n(D)), "l", n(D))
	lossBlocks := &loop.Proc{Name: "stepBlocks", Doc: "computes the gradient of one block", Dims: []string{"B"}, Vars: []string{"l"},
		Steps: []loop.Step{call(gradK, x, dw, ref(loop.Scalars, "", n(1), n(1)), dw)}}
	state := ref(loop.Weights, "", n(V*D+L*D), n(2))
	loss := &loop.Proc{Name: "stepLoss", Doc: "computes the loss of Step", Dims: []string{"B"}, Steps: []loop.Step{
		call(lossK, x, ref(loop.Arg, "h", n(0), B.MulN(D)), ref(loop.Result, "loss", n(0), n(1)), ref(loop.Result, "h", n(0), B.MulN(D)),
			ref(loop.Result, "each", n(0), B), typed(ref(loop.Result, "hits", n(0), n(1)), I)),
		call(countK, state, state),
		&loop.Loop{Var: "l", N: n(L), Body: lossBlocks},
	}}
	w, m, e := ref(loop.Weights, "", n(V*D), n(L*D)), ref(loop.Moments, "", n(L*D), n(L*D)), ref(loop.Moments, "", n(0), n(L*D))
	apply := &loop.Proc{Name: "stepApply", Doc: "updates the weights", Steps: []loop.Step{
		call(updateK, w, ref(loop.Grads, "", n(V*D), n(L*D)), m, e, ref(loop.Scalars, "", n(0), n(1)), w, m, e),
	}}

	half := 0.5
	pos := &loop.TableData{Name: "pos", Shape: []int{C, D}}
	for i := range C * D {
		pos.Data = append(pos.Data, float64(i)/8)
	}
	ids := loop.Param{Name: "ids", Elem: I, Shape: dims(B, T)}
	hp := loop.Param{Name: "h", Shape: dims(B, n(D))}
	xp := loop.Param{Name: "x", Shape: dims(B, n(D))}
	bindBT := []loop.Bind{{Sym: "B", Arg: 0, Axis: 0}, {Sym: "T", Arg: 0, Axis: 1}}
	rangeV := []loop.InRange{{Arg: 0, N: n(V)}}
	decodeEntry := &loop.Entry{
		Name: "Decode", Args: []loop.Param{ids, {Name: "P", IsDim: true}}, Results: []loop.Param{{Name: "scores", Shape: dims(B, n(V))}},
		Dims: append(bindBT[:2:2], loop.Bind{Sym: "P", Arg: 1, Axis: -1}), Need: []loop.Need{{Expr: n(C).Sub(P).Sub(T), Text: "P + T <= 8"}},
		Ranges: rangeV, Caches: true, Proc: decode,
	}
	return &loop.Program{
		API: &loop.API{
			Package: "tiny", Model: "Tiny", Source: "tiny.lm", Hash: "feed", Doc: "Package tiny has one of everything.",
			Weights: []*loop.Weight{
				{Path: "tok", Shape: dims(n(V), n(D)), Init: loop.Init{Kind: "normal", Args: []float64{0.02}}, Doc: "tok has a row for each token."},
				{Path: "blocks.{0}.w", Shape: dims(n(D)), Counts: []int{L}, Offset: V * D, Init: loop.Init{Kind: "const", Args: []float64{1}}},
				{Path: "norm.count", Shape: dims(n(2)), State: true, Offset: V*D + L*D},
			},
			Caches: []*loop.Cache{{Path: "blocks.{0}.keys", Shape: dims(B, n(C)), Counts: []int{L}}},
			Tables: []*loop.TableData{pos},
			Entries: []*loop.Entry{
				{Name: "Logits", Doc: "Logits scores the next token after every position.", Args: []loop.Param{ids}, Results: []loop.Param{{Name: "z", Shape: dims(B, T, n(V))}},
					Dims: bindBT, Need: []loop.Need{{Expr: n(C).Sub(T), Text: "T <= 8"}}, Ranges: rangeV, Proc: logits, FLOPs: BT.MulN(100)},
				decodeEntry,
				{Name: "Noise", Args: []loop.Param{{Name: "x", Shape: dims(N)}, {Name: "scale", Default: &half}}, Results: []loop.Param{{Name: "out", Shape: dims(N)}},
					Dims: []loop.Bind{{Sym: "N", Arg: 0, Axis: 0}}, Random: true, Proc: noise},
				{Name: "Two", Args: []loop.Param{hp, {Name: "flag", Elem: Bo}, {Name: "k", Elem: I}},
					Results: []loop.Param{{Name: "z", Shape: dims(B, n(D))}, hp, {Name: "count", Elem: I}},
					Dims:    []loop.Bind{{Sym: "B", Arg: 0, Axis: 0}}, Proc: two},
			},
			Trainers: []*loop.Trainer{{
				Name: "Step", Doc: "Step trains the blocks.",
				Loss: &loop.Entry{Name: "Loss", Args: []loop.Param{hp, xp}, Dims: []loop.Bind{{Sym: "B", Arg: 0, Axis: 0}}, Proc: loss,
					Results: []loop.Param{{Name: "loss"}, hp, {Name: "each", Shape: dims(B)}, {Name: "hits", Elem: I}}},
				Carried: []loop.Carried{{Result: 1, Arg: 0}},
				Options: []loop.Option{{Name: "LR", Default: 0.5}}, Scalars: []string{"rate", "accumulate"}, Host: host.K,
				Moments: []*loop.Moment{{Weight: 1, Name: "ema"}, {Weight: 1, Name: "m", Init: 1, Offset: L * D}},
				Apply:   apply, Updates: []int{1}, Accumulate: 2, EMA: 0.5,
			}},
			Generators: []*loop.Generator{{
				Name: "Text", Step: decodeEntry, Stop: 4, Limit: C, Options: []loop.Option{{Name: "Limit2", Default: 1}},
				Sample: &loop.Entry{Name: "sample", Args: []loop.Param{{Name: "scores", Shape: dims(B, n(V))}, {Name: "limit"}},
					Results: []loop.Param{{Name: "token", Elem: I, Shape: dims(B)}}, Dims: []loop.Bind{{Sym: "B", Arg: 0, Axis: 0}}, Random: true, Proc: sample},
			}},
			Names: []*loop.NameTable{{Name: "other", Ignore: []string{"junk.*"}, Rules: []loop.NameRule{
				{Pattern: "tok", Expr: &loop.NameExpr{Op: "transpose", Args: []*loop.NameExpr{{Op: "tensor", Name: "emb.weight"}}}},
				{Pattern: "blocks.{i}.w", Expr: &loop.NameExpr{Op: "tensor", Name: "h.{i}.w"}},
				{Pattern: "norm.count", Expr: &loop.NameExpr{Op: "tensor", Name: "count"}},
			}}},
		},
		Kernels: ks,
		Procs:   []*loop.Proc{blocks, logits, decodeBlocks, decode, sample, noise, two, lossBlocks, loss, apply},
	}
}
