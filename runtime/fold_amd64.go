//go:build amd64 && !purego

package runtime

// squareLanes adds the squares of x[:n/foldLanes*foldLanes] in lanes. The square of a
// float32 is exact in float64, so that fma gives the bits of the Go code.
//
//go:noescape
func squareLanes(x *float32, n int, lanes *[foldLanes]float64)

// squaresOf is squareLanes if x is float32 and the machine has the instructions.
func squaresOf[F Float](x []F, lanes *[foldLanes]float64) bool {
	f, ok := any(x).([]float32)
	if !ok || len(f) == 0 || !Supports("amd64-avx2") {
		return false
	}
	squareLanes(&f[0], len(f), lanes)
	return true
}
