//go:build !linux

package runtime

// inHugePages does nothing: only Linux is asked for pages of 2 MB.
func inHugePages[T any]([]T) {}
