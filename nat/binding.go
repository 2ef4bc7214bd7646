package nat

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"mifvif/flow"
	"mifvif/quota"
)

// Idle limits (RFC 4787 REQ-5, RFC 5508 REQ-2, standards D.8).
const (
	udpIdle   = 5 * time.Minute
	shortIdle = 30 * time.Second // one question, at most one answer, well-known port
	echoIdle  = 60 * time.Second
	wellKnown = 1024
)

// binding is one app socket on one domain.
type binding struct {
	table   *Table
	id      uint64
	app     appKey
	choice  Choice
	dscp    uint8 // of the packet that it was made for
	holder  quota.Holder
	checked time.Time // that the socket is still its owner's; of Forward
	sock    *socket
	flood   flood
	short   shortcut
	errors  limiter   // of what its networks say
	hub     *hub      // ICMP: shared by the sessions of a domain
	ident   uint16    // ICMP: the identifier on the uplink
	peers   []peerKey // named destinations; guarded by table.mu
	listed  bool      // guarded by table.mu
	gone    bool      // guarded by table.mu

	// translation is nil unless some destination is not what the app calls it.
	translation atomic.Pointer[translation]

	began    time.Time
	lastDst  atomic.Pointer[netip.AddrPort]
	used     atomic.Int64 // of the last packet outwards, see Table.since
	txPkts   atomic.Uint64
	rxPkts   atomic.Uint64
	txBytes  atomic.Uint64
	rxBytes  atomic.Uint64
	firstDst netip.AddrPort
}

// newBinding opens what the binding sends by. It is not in the table yet.
func (t *Table) newBinding(app appKey, f flow.Flow, c Choice) (*binding, error) {
	b := &binding{table: t, id: t.nextID.Add(1), app: app, choice: c, dscp: f.DSCP, began: t.now(), checked: t.now(), firstDst: f.Dst}
	b.errors.init(flowErrorRate, flowErrorRate)
	dst := f.Dst
	b.lastDst.Store(&dst)
	b.used.Store(t.since(t.now()))
	if f.Proto != flow.UDP {
		return b, t.joinHub(b)
	}
	fd, err := t.open.OpenUDP(c.Domain, c.Source)
	if err != nil {
		return nil, fmt.Errorf("bind %s: %w", f, err)
	}
	if b.sock, err = newSocket(fd, c.Source, false); err != nil {
		return nil, fmt.Errorf("bind %s: %w", f, err)
	}
	return b, nil
}

// start begins to receive. table.mu is held.
func (b *binding) start() error {
	if b.hub != nil {
		return nil
	}
	return b.sock.watch(b.table.poller, b)
}

// idle returns how long the binding may be silent.
func (b *binding) idle() time.Duration {
	switch {
	case b.app.proto != flow.UDP:
		return echoIdle
	case b.txPkts.Load() <= 1 && b.rxPkts.Load() <= 1 && b.firstDst.Port() < wellKnown:
		return shortIdle
	}
	return udpIdle
}

// end closes a binding and takes it out of every table. table.mu is held.
func (t *Table) end(b *binding) {
	if b.gone {
		return
	}
	b.gone = true
	b.withdraw()
	if b.hub != nil {
		t.leaveHub(b)
	} else {
		t.closeSocket(b.sock)
	}
	if !b.listed {
		return
	}
	if t.cfg.Ended != nil {
		t.cfg.Ended(b.record())
	}
	delete(t.bindings, b)
	remove(t.mapped, mapKey{b.app, b.choice.Domain.Key()}, b)
	remove(t.byApp, b.app, b)
	for _, k := range b.peers {
		remove(t.byPeer, k, b)
	}
	t.shares.Give(b.holder)
}

// closeSocket closes s and forgets who receives from it.
func (t *Table) closeSocket(s *socket) {
	s.close()
	t.poller.Remove(s.token)
}

// remove deletes m[k] if it is b.
func remove[K comparable](m map[K]*binding, k K, b *binding) {
	if m[k] == b {
		delete(m, k)
	}
}
