package host

import "os"

// foreign reports whether the file at path is the one that the machine's first
// process sees while that lives in another network namespace: a change meant
// for us would then cut off the whole machine.
func foreign(path string) bool {
	theirs, err := os.Readlink("/proc/1/ns/net")
	if err != nil {
		return false
	}
	ours, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil || ours == theirs {
		return false
	}
	there, err := os.Stat("/proc/1/root" + path)
	if err != nil {
		return false
	}
	here, err := os.Stat(path)
	return err == nil && os.SameFile(here, there)
}
