package stack

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"mifvif/flow"
	"mifvif/poll"
	"mifvif/quota"
	"mifvif/tun"
)

const nic tcpip.NICID = 1

// Timers of the stack. TIME_WAIT is short: nothing between an app and mif0
// delays a segment for minutes, and every endpoint in TIME_WAIT holds memory.
const (
	timeWait = 500 * time.Millisecond
	finWait2 = 60 * time.Second
)

// Writer takes the packets the stack sends to the apps; *tun.Device is one. It
// must be safe for concurrent use and must not keep the slices.
type Writer interface {
	Write(h tun.Header, bufs ...[]byte) error
}

// Config bounds the stack.
type Config struct {
	MTU       int     // of mif0, bytes
	Pending   int     // SYNs being answered at one time (limits.pending_connects)
	PerSource float64 // share of Pending that one holder may have, 0 < x <= 1
	// Holder says whom a connection is for; without ask it may answer with the zero
	// Holder, else it may take the time of a few system calls. nil: each source
	// address is a host.
	Holder func(f flow.Flow, ask bool) quota.Holder
}

// Stack ends TCP for the apps. Deliver belongs to one goroutine; every other
// method is safe for concurrent use.
type Stack struct {
	net       *stack.Stack
	link      *link
	forward   *tcp.Forwarder
	pending   pending
	handler   func(*Request)
	log       *slog.Logger
	made      time.Time
	drops     drops
	poller    *poll.Poller // of uplinks with something to read
	workers   workers
	attentive atomic.Int32   // downloads with a goroutine
	sending   room           // large buffers to apps
	receiving room           // and from apps
	running   sync.WaitGroup // handlers at work, and joined connections
}

// New makes a stack that writes to out and hands every new connection to
// handler, each in a goroutine of its own. It starts no work before Run.
func New(cfg Config, out Writer, handler func(*Request), log *slog.Logger) (*Stack, error) {
	if cfg.Pending <= 0 || cfg.PerSource <= 0 || cfg.PerSource > 1 {
		return nil, fmt.Errorf("limits: pending_connects %d must be at least 1 and per_source %g in (0, 1]", cfg.Pending, cfg.PerSource)
	}
	s := &Stack{
		net: stack.New(stack.Options{
			NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol},
			TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol},
		}),
		link:    newLink(cfg.MTU, out),
		handler: handler,
		log:     log,
		made:    time.Now(),
	}
	s.pending.init(cfg)
	err := s.configure()
	if err == nil {
		s.poller, err = poll.New()
	}
	if err != nil {
		s.net.Destroy()
		return nil, err //nolint:wrapcheck // says what and where
	}
	s.forward = tcp.NewForwarder(s.net, smallReceive, 2*cfg.Pending, s.handle) // pending is the bound
	s.net.SetTransportProtocolHandler(tcp.ProtocolNumber, s.unknown)
	return s, nil
}

// configure makes one interface that answers for all addresses, and sets what
// was chosen by measurement (ARCHITECTURE.md, "The TCP we speak to apps").
func (s *Stack) configure() error {
	if err := s.net.CreateNIC(nic, s.link); err != nil {
		return fmt.Errorf("create the stack's interface: %s", err)
	}
	if err := s.net.SetPromiscuousMode(nic, true); err != nil {
		return fmt.Errorf("answer for every address: %s", err)
	}
	if err := s.net.SetSpoofing(nic, true); err != nil {
		return fmt.Errorf("send from every address: %s", err)
	}
	s.net.SetRouteTable([]tcpip.Route{
		{Destination: header.IPv4EmptySubnet, NIC: nic},
		{Destination: header.IPv6EmptySubnet, NIC: nic},
	})
	// RACK (RFC 8985) costs many flows throughput and wins nothing where packets are lost.
	sack, recovery := tcpip.TCPSACKEnabled(true), tcpip.TCPRecovery(0)
	receive := receiveRange()
	tw, fw := tcpip.TCPTimeWaitTimeoutOption(timeWait), tcpip.TCPLingerTimeoutOption(finWait2)
	for _, option := range []tcpip.SettableTransportProtocolOption{&sack, &recovery, &receive, &tw, &fw} {
		if err := s.net.SetTransportProtocolOption(tcp.ProtocolNumber, option); err != nil {
			return fmt.Errorf("set TCP option %T: %s", option, err)
		}
	}
	return nil
}

// Run keeps the stack until ctx ends, then resets every connection and returns
// when all handlers have.
func (s *Stack) Run(ctx context.Context) error {
	polling, stop := context.WithCancel(context.WithoutCancel(ctx)) // until the last connection is over
	var polls sync.WaitGroup
	polls.Go(func() { s.poller.Run(polling) })
	polls.Go(func() { s.clearRoom(polling) })
	defer s.workers.close()
	defer polls.Wait()
	defer stop()
	<-ctx.Done()
	s.pending.close()
	done := make(chan struct{})
	go func() { s.running.Wait(); close(done) }()
	for ended := false; !ended; {
		s.abort() // again: a handshake may have begun meanwhile
		select {
		case <-done:
			ended = true
		case <-time.After(50 * time.Millisecond):
		}
	}
	s.net.Destroy()
	s.link.tardy.close()
	return nil
}

// abort resets every connection there is.
func (s *Stack) abort() {
	for _, e := range s.net.RegisteredEndpoints() {
		e.Abort()
	}
}
