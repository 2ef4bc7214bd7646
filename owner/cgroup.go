package owner

import (
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// handleKernfs is the type of a file handle that is an id of kernfs (the kernel's
// FILEID_KERNFS).
const handleKernfs = 0xfe

// hierarchy is the unified cgroup hierarchy (cgroups(7)), which the kernel's ids
// of groups are looked up in. The zero hierarchy is none.
type hierarchy struct{ mount string }

// findHierarchy returns the one that is mounted.
func findHierarchy(mountinfo string) hierarchy {
	b, err := os.ReadFile(mountinfo)
	if err != nil {
		return hierarchy{}
	}
	for l := range strings.Lines(string(b)) {
		// ID PARENT MAJ:MIN ROOT MOUNT OPTIONS… - TYPE …
		before, after, ok := strings.Cut(l, " - ")
		fields := strings.Fields(before)
		if ok && strings.HasPrefix(after, "cgroup2 ") && len(fields) > 4 && fields[3] == "/" {
			return hierarchy{fields[4]}
		}
	}
	return hierarchy{}
}

// path returns the path of a group by its id, "" if it is gone or not known.
func (h hierarchy) path(id uint64) string {
	if h.mount == "" || id == 0 {
		return ""
	}
	root, err := unix.Open(h.mount, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(root)
	fd, err := unix.OpenByHandleAt(root, unix.NewFileHandle(handleKernfs, binary.NativeEndian.AppendUint64(nil, id)), unix.O_RDONLY|unix.O_CLOEXEC)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	path, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil {
		return ""
	}
	rest, ok := strings.CutPrefix(path, h.mount)
	switch {
	case !ok:
		return ""
	case rest == "":
		return "/"
	}
	return rest
}

// members returns the processes in a group, nil where that is not known.
func (h hierarchy) members(group string) []int {
	if h.mount == "" || group == "" {
		return nil
	}
	b, err := os.ReadFile(fmt.Sprintf("%s%s/cgroup.procs", h.mount, strings.TrimSuffix(group, "/")))
	if err != nil {
		return nil
	}
	var out []int
	for w := range strings.FieldsSeq(string(b)) {
		if pid, err := strconv.Atoi(w); err == nil && pid > 0 {
			out = append(out, pid)
		}
	}
	return out
}
