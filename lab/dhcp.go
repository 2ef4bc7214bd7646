package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"time"

	"mifvif/lab/serve"
)

// A DHCP says what dnsmasq tells a network's hosts. It serves DHCPv4 with
// leases from 10.N.0.100 up, and stateless DHCPv6, on the link to the host; it
// answers no DNS and sends no router advertisements.
type DHCP struct {
	// Options are values of dnsmasq's dhcp-option, such as "42,10.1.0.123" or
	// "option6:dns-server,[2001:db8:1::53]".
	Options []string
	// Lines are added to its configuration as they are.
	Lines []string
	// Lease is the lifetime of a lease in dnsmasq's notation, "": 1h.
	Lease string
}

// dnsmasqReady is what dnsmasq logs when its sockets are open.
const dnsmasqReady = "sockets bound exclusively to interface"

// ErrNoDnsmasq says that the program is not installed.
var ErrNoDnsmasq = errors.New("dnsmasq is not installed")

// A Dnsmasq is dnsmasq running on a network's router.
type Dnsmasq struct {
	router  *Node
	process *Process
	output  *output
}

// ServeDHCP starts dnsmasq on a network's router. It is also what a Network's
// DHCP field asks for.
func (c *Common) ServeDHCP(network string, config DHCP) (*Dnsmasq, error) {
	path, err := exec.LookPath("dnsmasq")
	if err != nil {
		return nil, ErrNoDnsmasq
	}
	n, router := c.Network(network), c.Node(network)
	const file = "/run/dnsmasq.conf"
	if err := router.WriteFile(file, []byte(n.dnsmasq(config))); err != nil {
		return nil, err
	}
	process, output, err := router.startHeard(exec.Command(path, "--keep-in-foreground", "--conf-file="+file), dnsmasqReady)
	if err != nil {
		return nil, err
	}
	d := &Dnsmasq{router: router, process: process, output: output}
	select {
	case <-d.output.ready:
		return d, nil
	case <-time.After(readyWithin):
		process.Kill()
	case <-process.Done():
	}
	<-d.output.ended
	return nil, fmt.Errorf("dnsmasq on %s did not start:\n%s", network, d.output)
}

// dnsmasq writes its configuration.
func (n Network) dnsmasq(config DHCP) string {
	lease := config.Lease
	if lease == "" {
		lease = "1h"
	}
	lines := []string{
		"port=0", "interface=lan", "bind-interfaces", "user=root", "pid-file=", "no-ping", "log-dhcp", "log-facility=-",
		"dhcp-authoritative", "dhcp-leasefile=/run/dnsmasq.leases",
		fmt.Sprintf("dhcp-range=%v,%v,255.255.255.0,%s", n.addr4(100), n.addr4(199), lease),
		fmt.Sprintf("dhcp-range=%v,static,64,%s", n.addr6(0), lease),
	}
	for _, option := range config.Options {
		lines = append(lines, "dhcp-option="+option)
	}
	return strings.Join(append(lines, config.Lines...), "\n") + "\n"
}

// Log returns the last lines that dnsmasq wrote: every message and every option.
func (d *Dnsmasq) Log() string { return d.output.String() }

// Leases returns the content of its lease file.
func (d *Dnsmasq) Leases() (string, error) {
	b, err := d.router.ReadFile("/run/dnsmasq.leases")
	return string(b), err
}

// Stop ends dnsmasq.
func (d *Dnsmasq) Stop(ctx context.Context) error {
	d.process.Kill()
	select {
	case <-d.output.ended:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// AnswerDHCP starts a DHCPv4 server on a network's router that answers with raw
// option bytes, for what dnsmasq cannot or will not send. A zero Server is the
// network's gateway.
func (c *Common) AnswerDHCP(network string, answers serve.DHCPAnswers) (*serve.DHCP, error) {
	if !answers.Server.IsValid() {
		answers.Server = c.Network(network).Gateway4()
	}
	conn, err := c.Node(network).ListenUDP(SocketOptions{
		Source: netip.AddrPortFrom(netip.IPv4Unspecified(), 67), Device: "lan", Broadcast: true,
	})
	if err != nil {
		return nil, err
	}
	s := serve.NewDHCP(conn, answers)
	c.OnClose(s.Close)
	return s, nil
}
