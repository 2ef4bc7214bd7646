package netwatch

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// listener is a netlink socket whose messages are read for what they are about, not
// for what they say.
type listener struct {
	file  *os.File
	raw   syscall.RawConn
	about func(kind uint16, payload []byte) news
}

// listen opens a netlink socket of the calling thread's namespace that is told
// of a protocol's changes in the given groups.
func listen(protocol int, about func(kind uint16, payload []byte) news, groups ...int) (*listener, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return nil, fmt.Errorf("open a netlink socket: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("bind a netlink socket: %w", err)
	}
	for _, g := range groups {
		if err := unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, g); err != nil {
			unix.Close(fd)
			return nil, fmt.Errorf("join netlink group %d: %w", g, err)
		}
	}
	file := os.NewFile(uintptr(fd), "netlink")
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("reach the netlink socket: %w", err)
	}
	return &listener{file, raw, about}, nil
}

// hear calls ring with what every burst of messages was about until the listener is
// closed. Messages that did not fit (ENOBUFS) may have said anything, but a flood of
// them is still a flood.
func (l *listener) hear(ring func(news)) {
	buf := make([]byte, 32<<10)
	for {
		var heard news
		err := l.raw.Read(func(fd uintptr) bool {
			for {
				n, _, err := unix.Recvfrom(int(fd), buf, unix.MSG_DONTWAIT)
				switch {
				case err == nil:
					heard = heard.with(l.read(buf[:n]))
				case errors.Is(err, unix.ENOBUFS):
					heard = heard.with(news{parts: all})
				case errors.Is(err, unix.EINTR):
				default:
					return heard.parts != 0
				}
			}
		})
		if err != nil {
			return
		}
		ring(heard)
	}
}

func (l *listener) close() { _ = l.file.Close() }
