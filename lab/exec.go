package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A Process is a program running in a node. It dies with the node and with
// this process.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // after done
}

// children are the running programs of one node. The zero value is ready.
type children struct {
	mu   sync.Mutex
	live map[*Process]bool
}

func (c *children) add(p *Process) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.live == nil {
		c.live = make(map[*Process]bool)
	}
	c.live[p] = true
}

func (c *children) drop(p *Process) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.live, p)
}

// kill ends all children and waits for them.
func (c *children) kill() {
	c.mu.Lock()
	var all []*Process
	for p := range c.live {
		all = append(all, p)
	}
	c.mu.Unlock()
	for _, p := range all {
		p.Kill()
	}
}

// Start starts cmd in the node. The command must not have been started; its
// SysProcAttr may be set, a parent-death signal is added.
func (n *Node) Start(cmd *exec.Cmd) (*Process, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	if cmd.Dir == "" {
		cmd.Dir = "/"
	}
	cmd.WaitDelay = time.Second // for pipes that grandchildren keep open
	if err := n.Do(cmd.Start); err != nil {
		return nil, fmt.Errorf("start %s in %s: %w", cmd.Path, n.Name, err)
	}
	p := &Process{cmd: cmd, done: make(chan struct{})}
	n.children.add(p)
	go p.reap(&n.children)
	return p, nil
}

// reap ends when the program has; Kill and Wait join it.
func (p *Process) reap(c *children) {
	p.err = p.cmd.Wait()
	c.drop(p)
	close(p.done)
}

// Pid returns the program's process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Signal sends a signal to the program.
func (p *Process) Signal(s syscall.Signal) error { return p.cmd.Process.Signal(s) }

// Kill kills the program and waits until it is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may be gone already
	<-p.done
}

// Wait waits for the program's end and returns how it ended; when ctx ends
// first the program is killed.
func (p *Process) Wait(ctx context.Context) error {
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		p.Kill()
		return context.Cause(ctx)
	}
}

// Exit is what a finished program left.
type Exit struct {
	Stdout, Stderr string
	Code           int // -1: it was killed
}

// String returns both outputs in short, for messages.
func (e Exit) String() string {
	return fmt.Sprintf("exit %d: %s", e.Code, strings.TrimSpace(e.Stdout+" "+e.Stderr))
}

// Exec runs a program in the node to its end. A non-zero exit is no error: see
// Exit.Code. The error says that it could not run or that ctx ended first.
func (n *Node) Exec(ctx context.Context, name string, args ...string) (Exit, error) {
	return n.ExecCmd(ctx, exec.Command(name, args...))
}

// ExecCmd is Exec with a command made by the caller, for its environment and
// standard input.
func (n *Node) ExecCmd(ctx context.Context, cmd *exec.Cmd) (Exit, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	p, err := n.Start(cmd)
	if err != nil {
		return Exit{Code: -1}, err
	}
	err = p.Wait(ctx)
	exit := Exit{Stdout: stdout.String(), Stderr: stderr.String(), Code: cmd.ProcessState.ExitCode()}
	var status *exec.ExitError
	if err != nil && !errors.As(err, &status) {
		return exit, fmt.Errorf("run %s in %s: %w", cmd.Path, n.Name, err)
	}
	return exit, nil
}
