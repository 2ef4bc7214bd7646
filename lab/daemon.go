package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	readyLine   = "mifvif: ready"
	readyWithin = 20 * time.Second
	stopWithin  = 20 * time.Second

	stateDir   = "/run/mifvif"
	socketPath = stateDir + "/control.sock"
	configPath = "/run/mifvif.yaml"
)

// A Daemon is the real mifvif running in a node.
type Daemon struct {
	node    *Node
	binary  string
	process *Process
	output  *output
}

// StartDaemon runs `mifvif run` in the node and waits until it says that it is
// ready. config is the content of its configuration file, "" runs it without.
// args are added to the command line.
func (n *Node) StartDaemon(ctx context.Context, binary, config string, args ...string) (*Daemon, error) {
	all := []string{"run", "--socket", socketPath, "--state", stateDir}
	if config != "" {
		if err := n.WriteFile(configPath, []byte(config)); err != nil {
			return nil, err
		}
		all = append(all, "-c", configPath)
	}
	cmd := exec.Command(binary, append(all, args...)...)
	process, output, err := n.startHeard(cmd, readyLine)
	if err != nil {
		return nil, err
	}
	d := &Daemon{node: n, binary: binary, process: process, output: output}
	return d, d.awaitReady(ctx)
}

func (d *Daemon) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyWithin, fmt.Errorf("not ready after %v", readyWithin))
	defer cancel()
	var err error
	select {
	case <-d.output.ready:
		return nil
	case <-d.process.Done():
		<-d.output.ended
		err = errors.New("it ended before it was ready")
	case <-ctx.Done():
		err = context.Cause(ctx)
		d.process.Kill()
	}
	return fmt.Errorf("start mifvif in %s: %w\n%s", d.node.Name, err, d.Log())
}

// SetConfig replaces the daemon's configuration file; Reload or a new start
// makes it read it.
func (d *Daemon) SetConfig(config string) error {
	return d.node.WriteFile(configPath, []byte(config))
}

// Reload sends SIGHUP.
func (d *Daemon) Reload() error { return d.process.Signal(syscall.SIGHUP) }

// Stop ends the daemon in order (SIGTERM) and returns an error if it does not
// exit with 0 in time.
func (d *Daemon) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, stopWithin, fmt.Errorf("still there after %v", stopWithin))
	defer cancel()
	if err := d.process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop mifvif: %w", err)
	}
	return d.Wait(ctx)
}

// Wait waits for the daemon's end, and returns an error if it does not exit with
// 0; when ctx ends first the daemon is killed.
func (d *Daemon) Wait(ctx context.Context) error {
	if err := d.process.Wait(ctx); err != nil {
		return fmt.Errorf("stop mifvif: %w\n%s", err, d.Log())
	}
	return nil
}

// Kill kills the daemon (SIGKILL) and waits for its end.
func (d *Daemon) Kill() { d.process.Kill() }

// Alive reports whether the daemon runs.
func (d *Daemon) Alive() bool {
	select {
	case <-d.process.Done():
		return false
	default:
		return true
	}
}

// Pid returns the daemon's process id.
func (d *Daemon) Pid() int { return d.process.Pid() }

// Socket returns the path of the control socket, as the node's programs see it.
func (d *Daemon) Socket() string { return socketPath }

// Log returns the last lines the daemon wrote.
func (d *Daemon) Log() string { return d.output.String() }

// CLI runs a mifvif command in the daemon's node against it.
func (d *Daemon) CLI(ctx context.Context, args ...string) (Exit, error) {
	return d.node.Mifvif(ctx, d.binary, args...)
}

// Watch runs `mifvif watch` until the daemon ends or the world does, and returns what
// gives the lines that it has printed so far. The first event may be lost: it takes a
// moment until somebody listens.
func (d *Daemon) Watch() (lines func() []string, err error) {
	cmd := exec.Command(d.binary, "watch", "--socket", socketPath)
	_, out, err := d.node.startHeard(cmd, "")
	if err != nil {
		return nil, err
	}
	return func() []string { return strings.Split(strings.TrimSpace(out.String()), "\n") }, nil
}

// Mifvif runs a mifvif command in the node.
func (n *Node) Mifvif(ctx context.Context, binary string, args ...string) (Exit, error) {
	cmd := exec.Command(binary, args...)
	cmd.Env = append(os.Environ(), "MIFVIF_SOCKET="+socketPath)
	return n.ExecCmd(ctx, cmd)
}

// RSS returns the daemon's resident memory in bytes.
func (d *Daemon) RSS() (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.Pid()))
	if err != nil {
		return 0, fmt.Errorf("read the daemon's memory: %w", err)
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "VmRSS:" {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			return kib * 1024, err
		}
	}
	return 0, errors.New("read the daemon's memory: no VmRSS")
}

// Files returns how many files and sockets the daemon holds.
func (d *Daemon) Files() (int, error) {
	all, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", d.Pid()))
	if err != nil {
		return 0, fmt.Errorf("count the daemon's files: %w", err)
	}
	return len(all), nil
}

// Leftovers returns the names of the files in the daemon's directory, which
// should be none when it has stopped.
func (d *Daemon) Leftovers() (names []string, err error) {
	err = d.node.Do(func() error {
		all, err := os.ReadDir(stateDir)
		for _, f := range all {
			names = append(names, filepath.Join(stateDir, f.Name()))
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look for what the daemon left: %w", err)
	}
	return names, nil
}
