package stack

import (
	"fmt"
	"net"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// A download that waits in a goroutine of its own is woken at once, one that
// rests with all others in one table costs no stack: the first attentive of
// them wait, until they have had nothing for attention.
const (
	attention = 2 * time.Second
	attentive = 256
)

// Keepalive of both legs (RFC 1122 4.2.3.6, RFC 5382 REQ-5): probes after two
// hours of silence find the dead, the living may be silent for ever.
const (
	keepaliveIdle     = 2 * time.Hour
	keepaliveInterval = 75 * time.Second
	keepaliveCount    = 9
)

// Ready implements poll.Handler: the uplink has something.
func (j *joint) Ready() bool {
	if j.down.wake() {
		j.stack.workers.run(j.download)
	}
	return false
}

// rest has the next byte from the uplink wake the download; it returns false
// when there is one already. Connections that never rest never need keepalive.
func (j *joint) rest() (bool, error) {
	var err error
	cerr := j.raw.Control(func(fd uintptr) {
		if j.watched != 0 {
			err = j.stack.poller.Again(int(fd), j.watched)
			return
		}
		j.keepalive()
		j.watched, err = j.stack.poller.AddOnce(int(fd), j)
	})
	if cerr != nil {
		err = cerr
	}
	if err != nil {
		return false, fmt.Errorf("wait for the uplink: %w", err)
	}
	return j.down.rest(), nil
}

// keepalive finds dead peers on both sides. Where it cannot be set, a dead peer
// is noticed later.
func (j *joint) keepalive() {
	_ = j.uplink.SetKeepAliveConfig(net.KeepAliveConfig{
		Enable: true, Idle: keepaliveIdle, Interval: keepaliveInterval, Count: keepaliveCount,
	})
	idle, interval := tcpip.KeepaliveIdleOption(keepaliveIdle), tcpip.KeepaliveIntervalOption(keepaliveInterval)
	_ = j.ep.SetSockOpt(&idle)
	_ = j.ep.SetSockOpt(&interval)
	_ = j.ep.SetSockOptInt(tcpip.KeepaliveCountOption, keepaliveCount)
	j.ep.SocketOptions().SetKeepAlive(true)
}
