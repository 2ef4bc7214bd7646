package cell

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"

	"golang.org/x/sys/unix"
)

// Request is what an asker wants to be run, in bytes as they are: no encoding is
// assumed of arguments and environment.
type Request struct {
	Args     [][]byte `json:"args"` // the command first
	Env      [][]byte `json:"env"`
	Dir      []byte   `json:"dir"`
	Umask    int      `json:"umask"`
	Terminal bool     `json:"terminal"` // the first of the files is to be the command's terminal
}

// Bounds of a Request; the kernel has some of its own (execve(2)).
const (
	maxRequest = 4 << 20 // bytes
	files      = 3       // standard input, output and error
	prefix     = 4       // bytes of length before the rest
)

// errFiles says that a request does not have its files with it.
var errFiles = errors.New("the request must come with standard input, output and error, and nothing else")

// Send sends a request with the standard files of the command to be.
func (r *Request) Send(conn *net.UnixConn, stdin, stdout, stderr int) error {
	body, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode the command: %w", err)
	}
	if len(body) > maxRequest {
		return fmt.Errorf("the command and its environment are too long: %d bytes, at most %d", len(body), maxRequest)
	}
	head := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	if _, _, err := conn.WriteMsgUnix(head, unix.UnixRights(stdin, stdout, stderr), nil); err != nil {
		return fmt.Errorf("send the command's files: %w", err)
	}
	if _, err := conn.Write(body); err != nil {
		return fmt.Errorf("send the command: %w", err)
	}
	return nil
}

// receive reads a request from a socket. The caller closes the files. They are
// closed on exec; those of a request that is not sound are closed here.
func receive(socket int) (*Request, []int, error) {
	head, oob := make([]byte, prefix), make([]byte, unix.CmsgSpace(files*4))
	var n, noob, flags int
	err := patiently(socket, func() (err error) {
		n, noob, flags, _, err = unix.Recvmsg(socket, head, oob, unix.MSG_CMSG_CLOEXEC|unix.MSG_WAITALL)
		return err //nolint:wrapcheck // said below
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read the request: %w", err)
	}
	fds := rights(oob[:noob])
	if n != prefix || flags&unix.MSG_CTRUNC != 0 || len(fds) != files {
		closeAll(fds)
		return nil, nil, errFiles
	}
	r, err := readRequest(reader(socket), binary.BigEndian.Uint32(head))
	if err != nil {
		closeAll(fds)
		return nil, nil, err
	}
	return r, fds, nil
}

// readRequest reads what follows the length.
func readRequest(from io.Reader, length uint32) (*Request, error) {
	if length > maxRequest {
		return nil, fmt.Errorf("read the request: %d bytes, at most %d", length, maxRequest)
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(from, body); err != nil {
		return nil, fmt.Errorf("read the request: %w", err)
	}
	r := new(Request)
	if err := json.Unmarshal(body, r); err != nil {
		return nil, fmt.Errorf("read the request: %w", err)
	}
	if len(r.Args) == 0 || len(r.Args[0]) == 0 {
		return nil, errors.New("read the request: there is no command in it")
	}
	return r, nil
}

// rights returns the descriptors in control messages.
func rights(oob []byte) []int {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil
	}
	var all []int
	for i := range messages {
		if fds, err := unix.ParseUnixRights(&messages[i]); err == nil {
			all = append(all, fds...)
		}
	}
	return all
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

// reader reads a descriptor, whether it blocks or not: it is the same socket that
// the daemon has.
type reader int

// Read implements io.Reader.
func (r reader) Read(p []byte) (n int, err error) {
	err = patiently(int(r), func() (err error) {
		n, err = unix.Read(int(r), p)
		return err //nolint:wrapcheck // the caller says what was read
	})
	if err == nil && n == 0 && len(p) > 0 {
		err = io.EOF
	}
	return max(n, 0), err
}

// patiently repeats f until it does not only ask for patience.
func patiently(fd int, f func() error) error {
	for {
		err := f()
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1) // f says what is wrong
		default:
			return err
		}
	}
}
