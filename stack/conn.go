package stack

import (
	"net"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/waiter"

	"mifvif/flow"
)

// Conn is an app's established connection. Join carries it; Counters and Reset
// are safe for concurrent use.
type Conn struct {
	stack *Stack
	flow  flow.Flow
	ep    tcpip.Endpoint
	wq    waiter.Queue
	out   outlet
	tx    atomic.Uint64
	rx    atomic.Uint64
	last  atomic.Int64 // when the last byte passed: nanoseconds since stack.made
}

// setUp sets the endpoint's options.
func (c *Conn) setUp(tos uint8) {
	_ = c.ep.SetSockOptInt(tosOption(c.flow), int(tos&^3)) // does not fail on a TCP endpoint
	c.ep.SocketOptions().SetDelayOption(false)
	c.beginSmall()
}

// tosOption returns the option that sets the code point of our segments.
func tosOption(f flow.Flow) tcpip.SockOptInt {
	if f.Is6() {
		return tcpip.IPv6TrafficClassOption
	}
	return tcpip.IPv4TOSOption
}

// Flow returns the connection's five-tuple as the app sees it.
func (c *Conn) Flow() flow.Flow { return c.flow }

// Counters returns the bytes carried so far: tx from the app, rx to it.
func (c *Conn) Counters() (tx, rx uint64) { return c.tx.Load(), c.rx.Load() }

// Reset ends the connection with a RST to the app.
func (c *Conn) Reset() { c.ep.Abort() }

// NetConn returns the connection as a net.Conn for a server inside the house.
// It replaces Join; closing it ends the connection.
func (c *Conn) NetConn() net.Conn { return gonet.NewTCPConn(&c.wq, c.ep) }
