package scenario

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// resolvedChecks have the host use systemd-resolved, the real one on a bus of the
// host's own.
func resolvedChecks() []Scenario {
	return []Scenario{
		{ID: "resolved", Title: "a host with systemd-resolved: its resolvers are taken over by network, it asks mifvif, and again after it was restarted", Config: onlyZones, Prepare: startResolved, Run: behindResolved},
	}
}

// onlyZones names no resolver: systemd-resolved knows them.
const onlyZones = `
pvds:
  - {name: n1, interface: e1, dns: {zones: [n1.example.com]}}
  - {name: n2, interface: e2, dns: {zones: [n2.example.com]}}
`

const (
	resolvedPath = "/usr/lib/systemd/systemd-resolved"
	stub         = "127.0.0.53"
	busConfig    = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy>
</busconfig>`
)

// startResolved starts a bus and systemd-resolved, and tells it the networks'
// resolvers as DHCP clients do.
func startResolved(e *Env) error {
	bus, err := exec.LookPath("dbus-daemon")
	if err != nil {
		return &missingTool{"dbus-daemon"}
	}
	if err := errors.Join(
		e.Host.Do(func() error { return os.Mkdir("/run/dbus", 0o755) }),
		e.Host.WriteFile("/run/bus.conf", []byte(busConfig)),
		e.Host.WriteFile("/etc/resolv.conf", []byte("nameserver "+stub+"\n")),
	); err != nil {
		return err
	}
	if _, err := e.Host.Start(exec.Command(bus, "--config-file=/run/bus.conf", "--nofork")); err != nil {
		return err
	}
	if err := e.runResolved(); err != nil {
		return err
	}
	return e.tellResolved()
}

// tellResolved says which network has which resolver.
func (e *Env) tellResolved() error {
	for network, link := range map[string]string{"n1": "e1", "n2": "e2"} {
		if _, err := e.Tool(context.Background(), "resolvectl", "dns", link, e.Network(network).Resolver4().String()); err != nil {
			return err
		}
	}
	return nil
}

// runResolved starts systemd-resolved, as nobody with the capabilities that it
// keeps of root's, and waits until it answers.
func (e *Env) runResolved() error {
	if _, err := os.Stat(resolvedPath); errors.Is(err, fs.ErrNotExist) {
		return &missingTool{"systemd-resolved"}
	}
	const nobody = 65534
	if err := e.Host.Do(func() error {
		if err := os.MkdirAll("/run/systemd/resolve", 0o755); err != nil {
			return err
		}
		return os.Chown("/run/systemd/resolve", nobody, nobody)
	}); err != nil {
		return err
	}
	cmd := exec.Command(resolvedPath)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential:  &syscall.Credential{Uid: nobody, Gid: nobody},
		AmbientCaps: []uintptr{unix.CAP_NET_RAW, unix.CAP_NET_BIND_SERVICE, unix.CAP_SETPCAP},
	}
	var err error
	if e.resolved, err = e.Host.Start(cmd); err != nil {
		return err
	}
	return within(context.Background(), func() error {
		_, err := e.Tool(context.Background(), "resolvectl", "status")
		return err
	})
}

// behindResolved asks as apps do, by the stub, before and after systemd-resolved was
// started anew and knows of mif0 only what it is told once more.
func behindResolved(ctx context.Context, e *Env) error {
	if e.Daemon == nil {
		return errNoDaemon
	}
	if err := e.askedByNetwork(ctx); err != nil {
		return err
	}
	e.resolved.Kill()
	if err := e.Host.Do(func() error { return os.RemoveAll("/run/systemd/resolve/netif") }); err != nil {
		return err
	}
	if err := errors.Join(e.runResolved(), e.tellResolved()); err != nil {
		return err
	}
	if err := e.askedByNetwork(ctx); err != nil {
		return fmt.Errorf("after a restart: %w", err)
	}
	conf, err := e.resolver()
	if err == nil && conf.String() != stub {
		err = fmt.Errorf("/etc/resolv.conf was changed and names %v", conf)
	}
	return err
}

// askedByNetwork looks whether systemd-resolved asks mifvif, and mifvif each
// network's resolver about the network's own names.
func (e *Env) askedByNetwork(ctx context.Context) error {
	if err := within(ctx, func() error {
		out, err := e.Tool(ctx, "resolvectl", "dns", "mif0")
		if err == nil && !strings.Contains(out, "198.18.0.2") {
			err = fmt.Errorf("systemd-resolved asks on mif0: %q", out)
		}
		return err
	}); err != nil {
		return err
	}
	for _, network := range []string{"n1", "n2"} {
		if err := within(ctx, func() error { return e.Fetch(ctx, "own."+network+".example.com", network) }); err != nil {
			return err
		}
		if err := e.OnlyAsked(network+".example.com.", network); err != nil {
			return err
		}
	}
	return nil
}
