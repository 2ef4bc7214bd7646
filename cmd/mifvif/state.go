package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// checkState returns an error unless the state directory is ours alone to write,
// or is not there: the undo records in it say what root writes where, and others
// must not have a word in that.
func checkState(dir string) error {
	fi, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at the state directory: %w", err)
	}
	const byOthers = 0o022
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !fi.IsDir() || fi.Mode().Perm()&byOthers != 0 || ok && int(st.Uid) != os.Geteuid() {
		return usageError{fmt.Errorf("--state %s: it is no directory that only root can write (make one with: install -d -m 755 DIR)", dir)}
	}
	return nil
}
