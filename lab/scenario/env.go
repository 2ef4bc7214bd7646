package scenario

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"time"

	"mifvif/lab"
	"mifvif/lab/serve"
)

// Env is what a scenario sees: the laboratory and, unless the plain kernel is
// played, the daemon in its host.
type Env struct {
	*lab.Common
	Daemon *lab.Daemon // nil: the plain kernel
	App    *lab.Node   // whose apps talk: the host's, or those of a client behind it

	config, binary string
	before         lab.Snapshot                 // of the host, without the daemon
	info           map[string]*serve.Additional // the servers of offerInfo
	lessor         *serve.DHCP                  // the server of leaseFirst
	resolved       *lab.Process                 // systemd-resolved, of startResolved
}

// StartDaemon starts the daemon with the scenario's configuration.
func (e *Env) StartDaemon(ctx context.Context) (err error) {
	e.Daemon, err = e.Host.StartDaemon(ctx, e.binary, e.config)
	return err
}

// withLog adds the daemon's last words to an error.
func (e *Env) withLog(err error) error {
	if err == nil || e.Daemon == nil || e.Daemon.Log() == "" {
		return err
	}
	lines := strings.Split(e.Daemon.Log(), "\n")
	const last = 15
	return fmt.Errorf("%w\ndaemon's log:\n  %s", err, strings.Join(lines[max(0, len(lines)-last):], "\n  "))
}

// errNoDaemon is why the kernel fails where a command of mifvif is asked.
var errNoDaemon = errors.New("the kernel alone has no such thing")

// JSON runs a mifvif command with --json and reads its answer into v.
func (e *Env) JSON(ctx context.Context, v any, args ...string) error {
	if e.Daemon == nil {
		return errNoDaemon
	}
	exit, err := e.Daemon.CLI(ctx, append(args, "--json")...)
	if err != nil {
		return err
	}
	if exit.Code != 0 {
		return fmt.Errorf("mifvif %s: %v", strings.Join(args, " "), exit)
	}
	if err := json.Unmarshal([]byte(exit.Stdout), v); err != nil {
		return fmt.Errorf("mifvif %s --json: %w in %q", strings.Join(args, " "), err, exit.Stdout)
	}
	return nil
}

// NoForeignSource returns an error if an edge has dropped a packet.
func (e *Env) NoForeignSource() error {
	dropped, err := e.Dropped38()
	if err != nil {
		return err
	}
	for network, n := range dropped {
		if n > 0 {
			return fmt.Errorf("%d packets with a foreign source reached the edge of %s", n, network)
		}
	}
	return nil
}

// missingTool says that a Debian program is not installed.
type missingTool struct{ name string }

func (m *missingTool) Error() string { return m.name + " is not installed" }

// Tool runs a Debian program where the apps are; it must exit with 0.
func (e *Env) Tool(ctx context.Context, name string, args ...string) (string, error) {
	exit, err := e.TryTool(ctx, name, args...)
	if err == nil && exit.Code != 0 {
		err = fmt.Errorf("%s %s: %v", name, strings.Join(args, " "), exit)
	}
	return exit.Stdout, err
}

// TryTool is Tool with any exit.
func (e *Env) TryTool(ctx context.Context, name string, args ...string) (lab.Exit, error) {
	if _, err := exec.LookPath(name); err != nil {
		return lab.Exit{}, &missingTool{name}
	}
	return e.App.Exec(ctx, name, args...)
}

// within repeats f until it returns nil, and returns its last error when that
// takes longer than answerWithin.
func within(ctx context.Context, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("after %v: %w", answerWithin, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// steps runs functions in order until one fails.
func steps(all ...func() error) error {
	for _, f := range all {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

func public4(port uint16) netip.AddrPort { return netip.AddrPortFrom(lab.Public4(), port) }
func public6(port uint16) netip.AddrPort { return netip.AddrPortFrom(lab.Public6(), port) }

// bothFamilies are the public server's two addresses with a port.
func bothFamilies(port uint16) []netip.AddrPort {
	return []netip.AddrPort{public4(port), public6(port)}
}
