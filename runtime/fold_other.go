//go:build !amd64 || purego

package runtime

// squaresOf is false: there is no faster code than that in Go.
func squaresOf[F Float]([]F, *[foldLanes]float64) bool { return false }
