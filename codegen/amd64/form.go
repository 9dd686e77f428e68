package amd64

import (
	"strings"

	"github.com/lmc-lang/lmc/ir/loop"
)

// A row says what an op is on operands of given types: the instructions, in
// Go's order of operands, separated by semicolons.
//
//	a b c     the operands; of an op across lanes on AVX2, a and b are the halves of the operand
//	d         the result
//	t u v w   vector registers for results in between
//	g h i j   integer registers, k l mask registers for the same
//	AX DX     these machine registers
//	#3F800000 the constant with these bits in every lane
//
// After an operand, * says that it may be in memory (or be a number, of
// integer instructions), one element for all lanes included; + the same
// without that; .x, .y or .z is its width if that is not the op's. Of two
// operands with * only one may be in memory; they are exchanged if need be.
//
// A text in parentheses refuses the op, with the reason.
type row struct {
	op  loop.Op
	sig string // the types, such as "f32,f32 f32"
	// Scalars, in one lane of a vector register if they are floats: for AVX2,
	// and for AVX-512 if that is different.
	one, one512 string
	// Vectors: one register of AVX2, one of AVX-512 if that is different.
	many, many512 string
}

const (
	expanded   = "(is expanded before)"
	onlyOne    = "(scalars only)"
	onlyMany   = "(vectors only)"
	rounded    = "(would round as float64)"
	toInt32    = "VCVTTPS2DQ a, t; VCMPPS $0x1D, #4F000000*, a, u; VXORPS u, t, t; VCMPPS $7, a, a, u; VANDPS u, t, "
	toInt32512 = "VCMPPS $7, a, a, k; VCVTTPS2DQ.Z a, k, t; VCMPPS $0x1D, #4F000000*, a, k; VPBLENDMD #7FFFFFFF*, t, k, "
	// floorDiv leaves the quotient and the remainder of a and b, rounded to
	// minus infinity, in AX and DX; where b is 0, AX is 0 and DX is a.
	floorDiv = "MOVLQSX a, AX; MOVLQSX b, g; MOVQ $1, h; MOVQ g, i; TESTQ g, g; CMOVQEQ h, i; CQO AX, DX; IDIVQ i, AX, DX; " +
		"MOVQ DX, h; XORQ i, h; SARQ $63, h; TESTQ DX, DX; CMOVQEQ DX, h; "
	sign    = "VANDPS #80000000*, a, t; VORPS #3F800000*, t, t; VCMPPS $0x0C, #00000000*, a, u; VBLENDVPS u, t, a, d"
	sign512 = "VANDPS #80000000*, a, t; VORPS #3F800000*, t, t; VCMPPS $0x0C, #00000000*, a, k; VBLENDMPS t, a, k, d"
	mulHigh = "VPMULUDQ b, a, t; VPSRLQ $32, a, u; VPSRLQ $32, b, v; VPMULUDQ v, u, u; VSHUFPS $0xDD, u, t, t; VPSHUFD $0xD8, t, d"
	// the same where all lanes of b are equal
	mulHighBy = "VPMULUDQ b, a, t; VPSRLQ $32, a, u; VPMULUDQ b, u, u; VSHUFPS $0xDD, u, t, t; VPSHUFD $0xD8, t, d"
	// quotient and remainder of vectors, in halves of half as many float64s
	// (which hold every quotient well enough to round it down): d is the
	// quotient, 0 where b is 0.
	divMany = "VCVTDQ2PD a.x, t; VCVTDQ2PD b.x, u; VDIVPD u, t, t; VROUNDPD $9, t, t; VCVTTPD2DQY t, t.x; " +
		"VEXTRACTI128 $1, a, u.x; VEXTRACTI128 $1, b, v.x; VCVTDQ2PD u.x, u; VCVTDQ2PD v.x, v; VDIVPD v, u, u; VROUNDPD $9, u, u; VCVTTPD2DQY u, u.x; " +
		"VINSERTI128 $1, u.x, t, t; VPCMPEQD #00000000*, b, u; VPANDN t, u, "
	divMany512 = "VCVTDQ2PD a.y, t; VCVTDQ2PD b.y, u; VDIVPD u, t, t; VRNDSCALEPD $9, t, t; VCVTTPD2DQ t, t.y; " +
		"VEXTRACTI32X8 $1, a, u.y; VEXTRACTI32X8 $1, b, v.y; VCVTDQ2PD u.y, u; VCVTDQ2PD v.y, v; VDIVPD v, u, u; VRNDSCALEPD $9, u, u; VCVTTPD2DQ u, u.y; " +
		"VINSERTI32X8 $1, u.y, t, t; VPTESTMD b, b, k; VMOVAPS.Z t, k, "
	// runtime.Mix, without the last bit
	fold = "MOVQ b, g; INCQ g; MOVQ $0x9E3779B97F4A7C15, h; IMULQ h, g; ROLQ $32, g; XORQ a, g; " +
		"MOVQ g, h; SHRQ $30, h; XORQ h, g; MOVQ $0xBF58476D1CE4E5B9, h; IMULQ h, g; " +
		"MOVQ g, h; SHRQ $27, h; XORQ h, g; MOVQ $0x94D049BB133111EB, h; IMULQ h, g; " +
		"MOVQ g, h; SHRQ $31, h; XORQ h, g; SHRQ $1, g; MOVQ g, d"
	modMany = "; VPMULLD t, b, t; VPSUBD t, a, t; "
)

// rows is the arithmetic of the targets. Const, Size, FMA, Check, and the ops of
// Int values that are sums are not here but in select.go and int.go.
var rows = []row{
	{loop.Add, "f32,f32 f32", "VADDSS b*, a*, d", "", "VADDPS b*, a*, d", ""},
	{loop.Add, "i32,i32 i32", "MOVL a, d; ADDL b*, d", "", "VPADDD b*, a*, d", ""},
	{loop.Sub, "f32,f32 f32", "VSUBSS b*, a, d", "", "VSUBPS b*, a, d", ""},
	{loop.Sub, "i32,i32 i32", "MOVL a, d; SUBL b*, d", "", "VPSUBD b*, a, d", ""},
	{loop.Mul, "f32,f32 f32", "VMULSS b*, a*, d", "", "VMULPS b*, a*, d", ""},
	{loop.Mul, "i32,i32 i32", "MOVL a, d; IMULL b, d", "", "VPMULLD b*, a*, d", ""},
	{loop.Mul, "int,int int", "MOVQ a, d; IMULQ b, d", "", onlyOne, ""},
	{loop.Div, "f32,f32 f32", "VDIVSS b*, a, d", "", "VDIVPS b*, a, d", ""},
	{loop.Div, "i32,i32 i32", floorDiv + "ADDQ h, AX; TESTQ g, g; CMOVQEQ g, AX; MOVL AX, d", "", divMany + "d", divMany512 + "d"},
	{loop.Mod, "f32,f32 f32", rounded, "", rounded, ""},
	{loop.Mod, "i32,i32 i32", floorDiv + "ANDQ i, h; ADDQ h, DX; TESTQ g, g; CMOVQEQ g, DX; MOVL DX, d", "",
		divMany + "t" + modMany + "VPANDN t, u, d", divMany512 + "t" + modMany + "VMOVAPS.Z t, k, d"},
	{loop.Min, "f32,f32 f32", "VMINSS b*, a, d", "", "VMINPS b*, a, d", ""},
	{loop.Min, "i32,i32 i32", "MOVL a, d; CMPL d, b; CMOVLGT b, d", "", "VPMINSD b*, a*, d", ""},
	{loop.Min, "int,int int", "MOVQ a, d; CMPQ d, b; CMOVQGT b, d", "", onlyOne, ""},
	{loop.Max, "f32,f32 f32", "VMAXSS b*, a, d", "", "VMAXPS b*, a, d", ""},
	{loop.Max, "i32,i32 i32", "MOVL a, d; CMPL d, b; CMOVLLT b, d", "", "VPMAXSD b*, a*, d", ""},
	{loop.Max, "int,int int", "MOVQ a, d; CMPQ d, b; CMOVQLT b, d", "", onlyOne, ""},
	{loop.Neg, "f32 f32", "VXORPS #80000000*, a*, d", "", "VXORPS #80000000*, a*, d", ""},
	{loop.Neg, "i32 i32", "MOVL a, d; NEGL d", "", "VPSUBD a*, #00000000, d", ""},
	{loop.Abs, "f32 f32", "VANDPS #7FFFFFFF*, a*, d", "", "VANDPS #7FFFFFFF*, a*, d", ""},
	{loop.Abs, "i32 i32", "MOVL a, d; NEGL d; CMOVLLT a, d", "", "VPABSD a*, d", ""},
	{loop.Sign, "f32 f32", sign, sign512, sign, sign512},
	{loop.Sign, "i32 i32", "MOVL a, d; SARL $31, d; TESTL a, a; SETGT g; MOVBLZX g, g; ORL g, d", "",
		"VPMAXSD #FFFFFFFF*, a*, t; VPMINSD #00000001*, t, d", ""},
	{loop.Floor, "f32 f32", "VROUNDSS $9, a, a, d", "VRNDSCALESS $9, a, a, d", "VROUNDPS $9, a*, d", "VRNDSCALEPS $9, a*, d"},
	{loop.Ceil, "f32 f32", "VROUNDSS $10, a, a, d", "VRNDSCALESS $10, a, a, d", "VROUNDPS $10, a*, d", "VRNDSCALEPS $10, a*, d"},
	{loop.Round, "f32 f32", "VROUNDSS $8, a, a, d", "VRNDSCALESS $8, a, a, d", "VROUNDPS $8, a*, d", "VRNDSCALEPS $8, a*, d"},
	{loop.Sqrt, "f32 f32", "VSQRTSS a, a, d", "", "VSQRTPS a*, d", ""},

	{loop.Lt, "f32,f32 bool", "VUCOMISS a*, b; SETHI g; MOVBLZX g, d", "", "VCMPPS $0x11, b*, a, d", ""},
	{loop.Lt, "i32,i32 bool", "CMPL a, b*; SETLT g; MOVBLZX g, d", "", "VPCMPGTD a*, b, d", "VPCMPD $1, b*, a, d"},
	{loop.Lt, "int,int bool", "CMPQ a, b*; SETLT g; MOVBLZX g, d", "", onlyOne, ""},
	{loop.Le, "f32,f32 bool", "VUCOMISS a*, b; SETCC g; MOVBLZX g, d", "", "VCMPPS $0x12, b*, a, d", ""},
	{loop.Le, "i32,i32 bool", "CMPL a, b*; SETLE g; MOVBLZX g, d", "", "VPCMPGTD b*, a, t; VXORPS #FFFFFFFF*, t, d", "VPCMPD $2, b*, a, d"},
	{loop.Le, "int,int bool", "CMPQ a, b*; SETLE g; MOVBLZX g, d", "", onlyOne, ""},
	{loop.Eq, "f32,f32 bool", "VUCOMISS a*, b; SETEQ g; SETPC h; ANDL h, g; MOVBLZX g, d", "", "VCMPPS $0, b*, a, d", ""},
	{loop.Eq, "i32,i32 bool", "CMPL a, b*; SETEQ g; MOVBLZX g, d", "", "VPCMPEQD b*, a*, d", ""},
	{loop.Eq, "int,int bool", "CMPQ a, b*; SETEQ g; MOVBLZX g, d", "", onlyOne, ""},
	{loop.Eq, "bool,bool bool", "CMPL a, b*; SETEQ g; MOVBLZX g, d", "", "VPCMPEQD b, a, d", "KXNORW b, a, d"},
	{loop.And, "bool,bool bool", "MOVL a, d; ANDL b*, d", "", "VANDPS b, a, d", "KANDW b, a, d"},
	{loop.Or, "bool,bool bool", "MOVL a, d; ORL b*, d", "", "VORPS b, a, d", "KORW b, a, d"},
	{loop.Not, "bool bool", "MOVL a, d; XORL $1, d", "", "VXORPS #FFFFFFFF*, a, d", "KNOTW a, d"},
	{loop.Select, "bool,f32,f32 f32", "MOVL a, g; NEGL g; VMOVD g, t; VBLENDVPS t, b, c, d", "KMOVW a, k; VBLENDMPS b, c, k, d",
		"VBLENDVPS a, b+, c, d", "VBLENDMPS b*, c, a, d"},
	{loop.Select, "bool,i32,i32 i32", "MOVL c, d; TESTL a, a; CMOVLNE b, d", "", "VBLENDVPS a, b+, c, d", "VPBLENDMD b*, c, a, d"},
	{loop.Select, "bool,int,int int", "MOVQ c, d; TESTL a, a; CMOVQNE b, d", "", onlyOne, ""},
	{loop.Select, "bool,bool,bool bool", "MOVL c, d; TESTL a, a; CMOVLNE b, d", "", "VBLENDVPS a, b, c, d", "KANDW b, a, k; KANDNW c, a, l; KORW k, l, d"},

	{loop.Convert, "f32 i32", toInt32 + "t; VMOVD t, d", toInt32512 + "t; VMOVD t, d", toInt32 + "d", toInt32512 + "d"},
	{loop.Convert, "f32 int", toInt32 + "t; VMOVD t, g; MOVLQSX g, d", toInt32512 + "t; VMOVD t, g; MOVLQSX g, d", onlyOne, ""},
	{loop.Convert, "f32 bool", "VXORPS t, t, t; VUCOMISS a*, t; SETNE g; SETPS h; ORL h, g; MOVBLZX g, d", "", "VCMPPS $4, #00000000*, a, d", ""},
	{loop.Convert, "i32 f32", "VXORPS t, t, t; VCVTSI2SSL a, t, d", "", "VCVTDQ2PS a*, d", ""},
	{loop.Convert, "i32 int", "MOVLQSX a*, d", "", onlyOne, ""},
	{loop.Convert, "i32 bool", "TESTL a, a; SETNE g; MOVBLZX g, d", "", "VPCMPEQD #00000000*, a*, t; VXORPS #FFFFFFFF*, t, d", "VPTESTMD a, a, d"},
	{loop.Convert, "int f32", "VXORPS t, t, t; VCVTSI2SSQ a, t, d", "", onlyOne, ""},
	{loop.Convert, "int i32", "MOVL a, d", "", onlyOne, ""},
	{loop.Convert, "int bool", "TESTQ a, a; SETNE g; MOVBLZX g, d", "", onlyOne, ""},
	{loop.Convert, "bool f32", "VXORPS t, t, t; VCVTSI2SSL a, t, d", "", "VANDPS #3F800000*, a, d", "VMOVAPS.Z #3F800000, a, d"},
	{loop.Convert, "bool i32", "MOVL a, d", "", "VANDPS #00000001*, a, d", "VMOVAPS.Z #00000001, a, d"},
	{loop.Convert, "bool int", "MOVLQZX a, d", "", onlyOne, ""},

	{loop.Fold, "int,int int", fold, "", onlyOne, ""},
	{loop.BitAnd, "i32,i32 i32", "MOVL a, d; ANDL b*, d", "", "VANDPS b*, a*, d", ""},
	{loop.BitOr, "i32,i32 i32", "MOVL a, d; ORL b*, d", "", "VORPS b*, a*, d", ""},
	{loop.BitXor, "i32,i32 i32", "MOVL a, d; XORL b*, d", "", "VXORPS b*, a*, d", ""},
	{loop.ShiftLeft, "i32,i32 i32", "VMOVD a, t; VMOVD b, u; VPSLLVD u, t, t; VMOVD t, d", "", "VPSLLVD b*, a, d", ""},
	{loop.ShiftRight, "i32,i32 i32", "VMOVD a, t; VMOVD b, u; VPSRLVD u, t, t; VMOVD t, d", "", "VPSRLVD b*, a, d", ""},
	{loop.MulHigh, "i32,i32 i32", "MOVLQZX a, g; MOVLQZX b, h; IMULQ h, g; SHRQ $32, g; MOVL g, d", "", mulHigh, ""},
	{loop.Bits, "f32 i32", "VMOVD a, d", "", "MOV a, d", ""},
	{loop.FromBits, "i32 f32", "VMOVD a*, d", "", "MOV a, d", ""},
	{loop.Scale, "f32,f32 f32", scale3, "VSCALEFSS b*, a, d", scale3, "VSCALEFPS b*, a, d"},

	{loop.Splat, "f32 f32", onlyMany, "", "VBROADCASTSS a.x+, d", ""},
	{loop.Splat, "i32 i32", onlyMany, "", "VMOVD a, t.x; VPBROADCASTD t.x, d", "VPBROADCASTD a, d"},
	{loop.Splat, "bool bool", onlyMany, "", "MOVL a, g; NEGL g; VMOVD g, t.x; VPBROADCASTD t.x, d", "MOVL a, g; NEGL g; KMOVW g, d"},
	{loop.AddAcross, "f32 f32", onlyMany, "", across("VADDPS"), across512("VADDPS")},
	{loop.MinAcross, "f32 f32", onlyMany, "", across("VMINPS"), across512("VMINPS")},
	{loop.MaxAcross, "f32 f32", onlyMany, "", across("VMAXPS"), across512("VMAXPS")},
	{loop.AddAcross, "i32 i32", onlyMany, "", acrossInts("VPADDD"), acrossInts512("VPADDD")},
	{loop.MinAcross, "i32 i32", onlyMany, "", acrossInts("VPMINSD"), acrossInts512("VPMINSD")},
	{loop.MaxAcross, "i32 i32", onlyMany, "", acrossInts("VPMAXSD"), acrossInts512("VPMAXSD")},
	{loop.UnpackLow, "f32,f32 f32", onlyMany, "", "VUNPCKLPS b+, a, d", "VUNPCKLPS b*, a, d"},
	{loop.UnpackLow, "i32,i32 i32", onlyMany, "", "VUNPCKLPS b+, a, d", "VUNPCKLPS b*, a, d"},
	{loop.UnpackHigh, "f32,f32 f32", onlyMany, "", "VUNPCKHPS b+, a, d", "VUNPCKHPS b*, a, d"},
	{loop.UnpackHigh, "i32,i32 i32", onlyMany, "", "VUNPCKHPS b+, a, d", "VUNPCKHPS b*, a, d"},
	{loop.PairLow, "f32,f32 f32", onlyMany, "", "VUNPCKLPD b+, a, d", ""},
	{loop.PairLow, "i32,i32 i32", onlyMany, "", "VUNPCKLPD b+, a, d", ""},
	{loop.PairHigh, "f32,f32 f32", onlyMany, "", "VUNPCKHPD b+, a, d", ""},
	{loop.PairHigh, "i32,i32 i32", onlyMany, "", "VUNPCKHPD b+, a, d", ""},
	// On AVX2 each half of the result comes from the halves of one operand.
	{loop.QuadEven, "f32,f32 f32", onlyMany, "", "VPERM2F128 $0x20, b+, a, d", "VSHUFF32X4 $0x88, b*, a, d"},
	{loop.QuadEven, "i32,i32 i32", onlyMany, "", "VPERM2F128 $0x20, b+, a, d", "VSHUFF32X4 $0x88, b*, a, d"},
	{loop.QuadOdd, "f32,f32 f32", onlyMany, "", "VPERM2F128 $0x31, b+, a, d", "VSHUFF32X4 $0xDD, b*, a, d"},
	{loop.QuadOdd, "i32,i32 i32", onlyMany, "", "VPERM2F128 $0x31, b+, a, d", "VSHUFF32X4 $0xDD, b*, a, d"},
}

// special are the ops that select.go and int.go compute by hand.
var special = map[loop.Op]string{
	loop.Const: "constants are operands", loop.Size: "sizes are sums", loop.Check: "jumps",
	loop.FMA:  "the order of operands follows from the registers",
	loop.Iota: "a table", loop.First: "compared with a table",
}

// refused are the ops that no kernel for these targets may have.
var refused = map[loop.Op]string{
	loop.Exp: expanded, loop.Expm1: expanded, loop.Log: expanded, loop.Log1p: expanded, loop.Sin: expanded, loop.Cos: expanded,
	loop.Tan: expanded, loop.Asin: expanded, loop.Acos: expanded, loop.Atan: expanded, loop.Tanh: expanded, loop.Sigmoid: expanded,
	loop.Erf: expanded, loop.Pow: expanded, loop.Uniform: expanded, loop.Normal: expanded,
}

// The factors of scale: t is b cut to what one factor can be, then its power
// of two, by the trick that adding 3<<22 leaves whole numbers in the low bits.
// Only the last product can round, because the factors before it are 1 unless
// the result is out of range anyhow.
const (
	cut   = "VMAXPS #C2FC0000*, %, @; VMINPS #42FE0000*, @, @; "
	power = "VADDPS #4B40007F*, @, @; VPSLLD $23, @, @; "
)

// Forms of scale for exponents in -126…127, twice and three times that.
var (
	scale1 = "VADDPS #4B40007F*, b*, t; VPSLLD $23, t, t; VMULPS t, a, d"
	scale2 = fill(cut, "b", "t") + "VSUBPS t, b, u; " + fill(power, "", "t") + fill(power, "", "u") + "VMULPS u, a, u; VMULPS t, u, d"
	scale3 = fill(cut, "b", "t") + "VSUBPS t, b, u; " + fill(cut, "u", "v") + "VSUBPS v, u, u; " + fill(cut, "u", "u") +
		fill(power, "", "t") + fill(power, "", "u") + fill(power, "", "v") + "VMULPS u, a, u; VMULPS v, u, u; VMULPS t, u, d"
)

func fill(text, of, to string) string { return strings.NewReplacer("%", of, "@", to).Replace(text) }

// across adds, or what op does, eight, four, two and one lanes to the others.
func across(op string) string {
	return fill("@ b, a, t; VEXTRACTF128 $1, t, u.x; ", "", op) + lastFour(op)
}

func across512(op string) string {
	return fill("VEXTRACTF32X8 $1, a, t.y; @ t.y, a.y, t.y; VEXTRACTF32X4 $1, t.y, u.x; ", "", op) + lastFour(op)
}

func lastFour(op string) string {
	return fill("@ u.x, t.x, t.x; VMOVHLPS t.x, t.x, u.x; @ u.x, t.x, t.x; VMOVSHDUP t.x, u.x; %SS u.x, t.x, d", strings.TrimSuffix(op, "PS"), op)
}

func acrossInts(op string) string {
	return fill("@ b, a, t; VEXTRACTI128 $1, t, u.x; ", "", op) + lastFourInts(op)
}

func acrossInts512(op string) string {
	return fill("VEXTRACTI32X8 $1, a, t.y; @ t.y, a.y, t.y; VEXTRACTI32X4 $1, t.y, u.x; ", "", op) + lastFourInts(op)
}

func lastFourInts(op string) string {
	return fill("@ u.x, t.x, t.x; VPSHUFD $0x4E, t.x, u.x; @ u.x, t.x, t.x; VPSHUFD $0xB1, t.x, u.x; @ u.x, t.x, t.x; VMOVD t.x, d", "", op)
}

// text is the form of an op for operands and a result of these types, "" if the
// table has none.
func text(t *loop.Target, op loop.Op, sig string, many bool) string {
	if why := refused[op]; why != "" {
		return why
	}
	r := byOp[op][sig]
	if r == nil {
		return ""
	}
	s, s512 := r.one, r.one512
	if many {
		s, s512 = r.many, r.many512
	}
	if t.Lanes == 16 && s512 != "" {
		return s512
	}
	return s
}

var byOp = func() map[loop.Op]map[string]*row {
	m := map[loop.Op]map[string]*row{}
	for i := range rows {
		r := &rows[i]
		if m[r.op] == nil {
			m[r.op] = map[string]*row{}
		}
		m[r.op][r.sig] = r
	}
	return m
}()

// signature is the key of the table for operands and a result.
func signature(args []*loop.Val, result loop.Elem) string {
	var b strings.Builder
	for i, a := range args {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(a.Elem.String())
	}
	return b.String() + " " + result.String()
}
