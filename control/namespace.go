package control

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// lockName is an abstract unix address: such names belong to a network
// namespace and vanish with the process that holds them.
const lockName = "@mifvif"

// ErrLocked says that this namespace has a daemon already.
var ErrLocked = errors.New("mifvif is running in this network namespace already (see: mifvif status)")

// Lock makes the caller the one daemon of its network namespace until the
// returned listener is closed. It serves nobody.
func Lock() (net.Listener, error) {
	l, err := net.Listen("unix", lockName)
	if errors.Is(err, unix.EADDRINUSE) {
		return nil, ErrLocked
	}
	if err != nil {
		return nil, fmt.Errorf("take the lock of the network namespace: %w", err)
	}
	return l, nil
}

// Cookie returns a number that names this network namespace and no other until
// the machine restarts; "0" where the kernel cannot say.
func Cookie() string {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return "0"
	}
	defer unix.Close(fd)
	n, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if err != nil {
		return "0"
	}
	return strconv.FormatUint(n, 10)
}

// beside returns the socket's name for this namespace alone.
func beside(path string) string {
	ext := filepath.Ext(path)
	return strings.TrimSuffix(path, ext) + "-" + Cookie() + ext
}
