package dns

import (
	"net/netip"
	"time"
)

// A resolver's timers. The first timeout follows the round-trip time seen, as
// TCP's does (RFC 6298), between fixed bounds.
const (
	firstTimeout  = 800 * time.Millisecond
	leastTimeout  = 400 * time.Millisecond
	mostTimeout   = 1500 * time.Millisecond
	firstPause    = time.Second
	longestPause  = 30 * time.Second
	plainMemory   = 15 * time.Minute
	deadAfter     = 2 // failures in a row of every server: the domain is dead
	maxServers    = 4
	roundTripPart = 8 // the share of a new sample in the smoothed time is 1/8
)

// health is what one resolver's behaviour taught.
type health struct {
	srtt       time.Duration // 0: not known
	failures   int           // in a row
	pauseUntil time.Time     // asked only after the others until then
	plainUntil time.Time     // does not understand EDNS until then
}

func (h *health) pause() time.Duration {
	return min(firstPause<<min(max(h.failures-1, 0), 5), longestPause)
}

// at returns the health of a server; call it with mu held.
func (in *instance) at(server netip.AddrPort) *health {
	h, ok := in.servers[server]
	if !ok {
		if len(in.servers) >= 8*maxServers {
			clear(in.servers)
		}
		h = &health{}
		in.servers[server] = h
	}
	return h
}

// dead reports whether no server is worth a query's time now.
func (in *instance) dead(servers []netip.AddrPort, now time.Time) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, s := range servers {
		if h := in.at(s); h.failures < deadAfter || !now.Before(h.pauseUntil) {
			return false
		}
	}
	return true
}

// order puts servers that have failed behind the others. The first query after
// a pause tries the server again; the pause starts anew for all others.
func (in *instance) order(servers []netip.AddrPort, now time.Time) []netip.AddrPort {
	in.mu.Lock()
	defer in.mu.Unlock()
	var alive, paused []netip.AddrPort
	for _, s := range servers {
		h := in.at(s)
		if now.Before(h.pauseUntil) {
			paused = append(paused, s)
			continue
		}
		if h.failures > 0 {
			h.pauseUntil = now.Add(h.pause())
		}
		alive = append(alive, s)
	}
	return append(alive, paused...)
}

// patience is how long to wait for a server before another is asked too.
func (in *instance) patience(server netip.AddrPort) time.Duration {
	in.mu.Lock()
	defer in.mu.Unlock()
	h := in.at(server)
	if h.srtt == 0 {
		return firstTimeout
	}
	return min(max(3*h.srtt, leastTimeout), mostTimeout)
}

// answered notes that a server answered after rtt.
func (in *instance) answered(server netip.AddrPort, rtt time.Duration) {
	in.mu.Lock()
	defer in.mu.Unlock()
	h := in.at(server)
	if h.srtt == 0 {
		h.srtt = max(rtt, 1)
	}
	h.srtt += (rtt - h.srtt) / roundTripPart
	h.failures, h.pauseUntil = 0, time.Time{}
}

// silent notes that a server did not answer in time or cannot be reached.
func (in *instance) silent(server netip.AddrPort, now time.Time) {
	in.mu.Lock()
	defer in.mu.Unlock()
	h := in.at(server)
	h.failures++
	h.pauseUntil = now.Add(h.pause())
}

// plain reports whether a server is known not to understand EDNS.
func (in *instance) plain(server netip.AddrPort, now time.Time) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return now.Before(in.at(server).plainUntil)
}

// setPlain notes that a server answers only without EDNS.
func (in *instance) setPlain(server netip.AddrPort, now time.Time) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.at(server).plainUntil = now.Add(plainMemory)
}
