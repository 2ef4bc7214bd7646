package cell

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// setGroups sets the calling thread's supplementary groups; syscall.Setgroups would
// set those of all threads, and wait for them.
func setGroups(groups []int) error {
	raw := make([]uint32, len(groups)+1) // one more: it has an address when there are none
	for i, g := range groups {
		raw[i] = uint32(g)
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(unsafe.Pointer(&raw[0])), 0); errno != 0 {
		return errno
	}
	return nil
}
