//go:build !amd64 || purego

package runtime

// detect finds out what this machine runs.
func detect() features { return portable }
