package lab

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// isolate moves the calling thread into a new network and a new mount
// namespace. Nothing mounted from here on is seen elsewhere.
func isolate() error {
	if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("make namespaces (the lab needs root): %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	return nil
}
