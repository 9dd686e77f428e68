package main

// scalarSize is the length of the sides of the matrices that scalarProduct
// multiplies: they stay in a level 2 cache.
const scalarSize = 192

// scalarProduct adds a·b to c, square matrices of scalarSize: what portable
// kernels are measured against, a loop unrolled by hand over 3 rows and 3 sums,
// which is what 15 registers hold.
func scalarProduct(c, a, b []float32) {
	const n = scalarSize
	for i := 0; i < n; i += 3 {
		c0 := c[i*n:][:n]
		c1 := c[(i+1)*n:][:n]
		c2 := c[(i+2)*n:][:n]
		for k := 0; k < n; k += 3 {
			a00, a01, a02 := a[i*n+k], a[i*n+k+1], a[i*n+k+2]
			a10, a11, a12 := a[(i+1)*n+k], a[(i+1)*n+k+1], a[(i+1)*n+k+2]
			a20, a21, a22 := a[(i+2)*n+k], a[(i+2)*n+k+1], a[(i+2)*n+k+2]
			b0 := b[k*n:][:n]
			b1 := b[(k+1)*n:][:n]
			b2 := b[(k+2)*n:][:n]
			for j := range b0 {
				x, y, z := b0[j], b1[j], b2[j]
				c0[j] += a00*x + a01*y + a02*z
				c1[j] += a10*x + a11*y + a12*z
				c2[j] += a20*x + a21*y + a22*z
			}
		}
	}
}

// scalarSpeed is the operations a second of scalarProduct on some cores.
func scalarSpeed(cores int) float64 {
	const n = scalarSize
	memory := make([][]float32, cores)
	for i := range memory {
		memory[i] = make([]float32, 3*n*n)
	}
	return bestOf(cores, 2*n*n*n, func(i int) {
		m := memory[i]
		scalarProduct(m[:n*n], m[n*n:2*n*n], m[2*n*n:])
	})
}
