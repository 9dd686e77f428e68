package runtime

// Version1 marks the first version of the interface between generated code and
// this package. Generated code refers to the newest marker it needs,
//
//	const _ = runtime.Version1
//
// so that a runtime that is too old is a compile error that names the version.
// A marker is removed when the interface it stands for is.
const Version1 = true
