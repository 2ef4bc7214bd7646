package cell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Process is a command in a Cell. Its methods are safe for concurrent use.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended

	mu     sync.Mutex
	ended  bool // its number may be another's from now on
	status Status
}

// startWithin bounds how long a Stage may take, which waits for what the asker
// sends.
const startWithin = 10 * time.Second

// maxReport bounds what a Stage may say, in bytes.
const maxReport = 4 << 10

// Start starts in the cell the command that the asker at the other end of conn
// wants, and returns when it runs. stage is the command line of this program that
// calls Stage. Until Start returns, which it does soon when ctx ends, nothing else
// may read from conn. The process dies with the cell's thread.
func (c *Cell) Start(ctx context.Context, conn *net.UnixConn, stage ...string) (*Process, error) {
	socket, err := conn.File()
	if err != nil {
		return nil, fmt.Errorf("hand over the connection: %w", err)
	}
	defer socket.Close()
	report, said, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start a process: %w", err)
	}
	defer report.Close()
	p := &Process{done: make(chan struct{}), cmd: &exec.Cmd{
		Path: "/proc/self/exe", Args: append([]string{os.Args[0]}, stage...), Env: []string{}, Dir: "/",
		ExtraFiles:  []*os.File{socketFD - 3: socket, reportFD - 3: said},
		SysProcAttr: &syscall.SysProcAttr{Setsid: true, Pdeathsig: unix.SIGKILL},
	}}
	err = c.Do(p.cmd.Start)
	said.Close()
	if err != nil {
		return nil, fmt.Errorf("start a process: %w", err)
	}
	go p.wait() // ends with the process, which Close of the cell's thread kills
	return p, errors.Join(keepPolling(conn), p.started(ctx, report))
}

// keepPolling undoes what handing over a socket does to it: it is the same for
// both, and this process must not wait in it.
func keepPolling(conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err == nil {
		cerr := raw.Control(func(fd uintptr) { err = unix.SetNonblock(int(fd), true) })
		err = errors.Join(err, cerr)
	}
	if err != nil {
		return fmt.Errorf("keep the connection: %w", err)
	}
	return nil
}

// started waits until the process is the command, or has said why it is not.
func (p *Process) started(ctx context.Context, report *os.File) error {
	_ = report.SetReadDeadline(time.Now().Add(startWithin)) // a pipe can
	defer context.AfterFunc(ctx, func() { _ = report.SetReadDeadline(time.Unix(1, 0)) })()
	why, err := io.ReadAll(io.LimitReader(report, maxReport))
	switch {
	case len(why) > 0:
		err = errors.New(string(why))
	case err != nil:
		err = fmt.Errorf("wait for the command to start: %w", err)
	}
	if err != nil {
		_ = p.cmd.Process.Kill()
		select {
		case <-p.done:
		case <-ctx.Done(): // it may hang in the asker's file system
		}
	}
	return err
}

// wait takes in the end of the process. Its number stays its own until it is
// marked as ended.
func (p *Process) wait() {
	defer close(p.done)
	for {
		err := unix.Waitid(unix.P_PID, p.cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	_ = p.cmd.Wait() // what it says is in ProcessState
	p.status.Code = p.cmd.ProcessState.ExitCode()
	if w, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		p.status.Signal = w.Signal()
	}
}

// Pid returns the number of the process.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Status returns how the process ended, after Done.
func (p *Process) Status() Status { return p.status }

// Signal sends a signal to the process as a user does by kill(2): not to one that
// has become another's.
func (p *Process) Signal(uid uint32, s syscall.Signal) error {
	return p.alive(func(pid int) error {
		if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)); err != nil || uid != 0 && parseStatus(b).uid != int(uid) {
			return os.ErrPermission
		}
		return unix.Kill(pid, s)
	})
}

// Press sends a signal to the process and its group, as a terminal does whoever
// they are by now.
func (p *Process) Press(s syscall.Signal) error {
	return p.alive(func(pid int) error { return unix.Kill(-pid, s) })
}

// alive runs f while the number of the process is its own.
func (p *Process) alive(f func(pid int) error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return os.ErrProcessDone
	}
	if err := f(p.cmd.Process.Pid); err != nil {
		return fmt.Errorf("send a signal: %w", err)
	}
	return nil
}
