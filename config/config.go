package config

import (
	"net/netip"

	"mifvif/pvd"
	"mifvif/scheduler"
)

// Config is the effective configuration. It is immutable once loaded.
type Config struct {
	Interface Interface
	DNS       DNS
	LANs      []string // router.lans
	Ignore    []string // discovery.ignore
	CA        string   // discovery.ca: a PEM file of authorities that count besides the host's, "" for none
	PvDs      []pvd.Declaration
	Policy    scheduler.Policy
	Control   Control
	Limits    Limits
	// Warnings are rules that are valid and have no say, or not always: another
	// actor's stands against them.
	Warnings []Problem
	// Unused are keys of rules that do nothing beside the others.
	Unused []Problem
}

// Interface is what mif0 is to be.
type Interface struct {
	Name         string
	MTU          int // bytes; 0: auto
	Addresses    []netip.Prefix
	DefaultRoute bool
	Block        bool // on_exit: block
}

// DNS is where the resolver is served and how the host is pointed at it.
type DNS struct {
	Listen     []netip.Addr
	ManageHost string // auto, resolved, resolvconf, file or none
}

// Control is the socket of the commands.
type Control struct {
	Socket  string
	Group   string
	Profile bool // net/http/pprof on the socket
	Metrics bool // for Prometheus, on the socket and on Web
	// Web is a loopback address of an HTTP server; the zero AddrPort: none, as without
	// Metrics there is nothing to serve.
	Web netip.AddrPort
}

// Limits bound every table.
type Limits struct {
	TCPFlows, UDPFlows, PendingConnects int
	PerSource                           float64
}

// DefaultSocket is where the daemon listens for commands.
const DefaultSocket = "/run/mifvif/control.sock"

// DefaultPath is the file that is read where none is named.
const DefaultPath = "/etc/mifvif/mifvif.yaml"

// Default returns the configuration of an empty file.
func Default() *Config {
	return &Config{
		Interface: Interface{
			Name:         "mif0",
			Addresses:    []netip.Prefix{netip.MustParsePrefix("198.18.0.1/15"), netip.MustParsePrefix("2001:2::1/48")},
			DefaultRoute: true,
		},
		DNS: DNS{
			Listen:     []netip.Addr{netip.MustParseAddr("198.18.0.2"), netip.MustParseAddr("2001:2::2")},
			ManageHost: "auto",
		},
		Ignore: []string{"docker*", "veth*", "br-*", "virbr*"},
		Policy: scheduler.Policy{Algorithm: scheduler.Weighted, Affinity: scheduler.AffinitySite, OnFailure: scheduler.FailAuto, OnRecovery: scheduler.RecoverStay, RecoveryDeadline: recoveryDeadline, Path: scheduler.PathAuto},
		Control: Control{
			Socket:  DefaultSocket,
			Metrics: true,
			Web:     netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 6418),
		},
		Limits: Limits{TCPFlows: 65536, UDPFlows: 65536, PendingConnects: 4096, PerSource: 0.66},
	}
}
