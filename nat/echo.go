package nat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"

	"mifvif/flow"
	"mifvif/packet"
	"mifvif/pvd"
	"mifvif/tun"
)

// hubKey names the raw socket that the echo sessions of one domain instance and
// source share.
type hubKey struct {
	domain pvd.Key
	src    netip.Addr
}

// hub is that socket with its sessions, by the identifier the network sees.
type hub struct {
	table    *Table
	key      hubKey
	sock     *socket
	sessions map[uint16]*binding // guarded by table.mu
}

// errIdentifiers says that a domain carries as many pings as there are numbers.
var errIdentifiers = errors.New("every echo identifier is in use")

// joinHub gives an echo session its socket and identifier.
func (t *Table) joinHub(b *binding) error {
	k := hubKey{b.choice.Domain.Key(), b.choice.Source}
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.hubs[k]
	if h == nil {
		fd, err := t.open.OpenICMP(b.choice.Domain, b.choice.Source)
		if err != nil {
			return fmt.Errorf("relay echo over %s: %w", b.choice.Domain.Name, err)
		}
		sock, err := newSocket(fd, b.choice.Source, true)
		if err != nil {
			return fmt.Errorf("relay echo over %s: %w", b.choice.Domain.Name, err)
		}
		h = &hub{table: t, key: k, sock: sock, sessions: make(map[uint16]*binding)}
		if err := sock.watch(t.poller, h); err != nil {
			sock.close()
			return fmt.Errorf("relay echo over %s: %w", b.choice.Domain.Name, err)
		}
		t.hubs[k] = h
	}
	ident, ok := h.free()
	if !ok {
		return errIdentifiers
	}
	h.sessions[ident] = b
	b.hub, b.sock, b.ident = h, h.sock, ident
	return nil
}

// free returns an identifier that no session of the hub has: random, so that
// sessions cannot be guessed.
func (h *hub) free() (uint16, bool) {
	for range 64 {
		id := uint16(rand.Uint32())
		if h.sessions[id] == nil {
			return id, true
		}
	}
	return 0, false
}

// leaveHub takes a session out and closes a hub without any. table.mu is held.
func (t *Table) leaveHub(b *binding) {
	h := b.hub
	if h.sessions[b.ident] == b {
		delete(h.sessions, b.ident)
	}
	if len(h.sessions) == 0 && t.hubs[h.key] == h {
		delete(t.hubs, h.key)
		t.closeSocket(h.sock)
	}
}

// session returns who has an identifier.
func (h *hub) session(ident uint16) *binding {
	h.table.mu.Lock()
	defer h.table.mu.Unlock()
	return h.sessions[ident]
}

// Ready implements poll.Handler: it brings echo replies back.
func (h *hub) Ready() bool { return h.table.inbox.drain(h.sock, h.arrived, h.failed) }

// Offsets in an ICMP message.
const (
	icmpChecksum   = 2
	icmpIdentifier = 4
)

// arrived hands echo replies to the apps that asked.
func (h *hub) arrived(replies []arrival) {
	for i := range replies {
		h.reply(&replies[i])
	}
}

// reply hands an echo reply to the app that asked, with its own identifier.
func (h *hub) reply(a *arrival) {
	msg := a.data
	i := packet.Info{Src: a.from.Addr(), Proto: uint8(flow.ICMPv6), TTL: a.ttl, TOS: a.tos}
	if !h.sock.is6 { // IPv4 raw sockets deliver the IP header too
		outer, err := packet.Parse(msg)
		if err != nil || outer.Fragment {
			return
		}
		msg = msg[outer.L4:outer.End]
		i = outer
	}
	if len(msg) < packet.ICMPHeaderLen {
		return
	}
	b := h.session(binary.BigEndian.Uint16(msg[icmpIdentifier:]))
	if b == nil {
		return
	}
	b.rxPkts.Add(1)
	b.rxBytes.Add(uint64(len(msg)))
	from := i.Src
	i.Src, i.Dst = b.shown(from), b.app.app.Addr()
	packet.Rewrite(msg, 0, icmpIdentifier, icmpChecksum, b.app.app.Port())
	if h.sock.is6 { // the pseudo-header has the app's address now
		c := binary.BigEndian.Uint16(msg[icmpChecksum:])
		c = packet.UpdateAddr(c, from, i.Src)
		binary.BigEndian.PutUint16(msg[icmpChecksum:], packet.UpdateAddr(c, b.choice.Source, i.Dst))
	}
	i.DF, i.ID = false, h.table.datagrams.Add(1) // it has been put together, perhaps, and what follows may have to cut it
	head := packet.AppendIP(h.table.inbox.train.head[:0], i, len(msg))
	if h.table.exceeds(h.sock.is6, len(head)+len(msg)) {
		h.table.cut([][]byte{head, msg}, false)
		return
	}
	if err := h.table.out.Write(tun.Header{}, head, msg); err != nil {
		h.table.stats.appFull.Add(1)
	}
}

// failed tells the app that asked of an error about its echo request.
func (h *hub) failed(f pathFailure) {
	if len(f.payload) < packet.ICMPHeaderLen {
		return
	}
	b := h.session(binary.BigEndian.Uint16(f.payload[icmpIdentifier:]))
	if b == nil {
		return
	}
	packet.Rewrite(f.payload, 0, icmpIdentifier, icmpChecksum, b.app.app.Port())
	i := packet.Info{Src: b.app.app.Addr(), Dst: b.shown(f.dst.Addr()), Proto: uint8(b.app.proto), TTL: 1, DF: true}
	h.table.failed(b, f, append(packet.AppendIP(nil, i, len(f.payload)), f.payload...))
}
