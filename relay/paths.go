package relay

import (
	"context"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"mifvif/pvd"
	"mifvif/scheduler"
	"mifvif/stack"
)

// learn tells the path memory how a connect ended. An attempt that was ended by
// somebody else has shown that its path is silent when it had the time of a
// round trip anywhere on Earth.
func (r *Relay) learn(d pvd.Key, dst netip.Addr, began time.Time, err error) {
	took := time.Since(began)
	switch {
	case err == nil:
		r.cfg.Scheduler.Learn(d, dst, scheduler.Sample{RTT: took})
	case silent(err) && took >= silentAfter:
		r.cfg.Scheduler.Learn(d, dst, scheduler.Sample{Silent: true})
	}
}

// silentAfter is how long a connect without an answer must have taken to count.
const silentAfter = 200 * time.Millisecond

// How often live connections are looked at, and how many of them at a time.
const (
	sampleEvery = 10 * time.Second
	maxSampled  = 1024
)

// sample asks the kernel now and then what live connections have shown of their
// paths, until ctx ends.
func (r *Relay) sample(ctx context.Context) error {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for _, e := range r.flows.some(maxSampled) {
			if s, ok := measure(e.up); ok {
				r.cfg.Scheduler.Learn(e.domain, e.dst, s)
			}
		}
	}
}

// sampled is what sample has to know of a flow.
type sampled struct {
	domain pvd.Key
	dst    netip.Addr
	up     stack.Uplink
}

// some returns up to n connected flows.
func (t *flows) some(n int) []sampled {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []sampled
	for _, e := range t.live {
		e.mu.Lock()
		if e.up != nil && !e.strayed {
			out = append(out, sampled{e.rec.Domain.Key(), e.to, e.up})
		}
		e.mu.Unlock()
		if len(out) == n {
			break
		}
	}
	return out
}

// telling is how many bytes a connection must have carried to say anything about
// its path that its connect has not said.
const telling = 64 << 10

// parting is the uplink's side of a flow. It shows what it has seen of its path when
// it is closed: most flows end before anybody looks at them.
type parting struct {
	stack.Uplink
	scheduler *scheduler.Scheduler
	flow      *entry
	carried   interface{ Counters() (tx, rx uint64) } // the app's side
}

// Close implements stack.Uplink.
func (p *parting) Close() error {
	if tx, rx := p.carried.Counters(); tx+rx >= telling { // else the kernel need not be asked
		p.flow.mu.Lock()
		d, strayed := p.flow.rec.Domain.Key(), p.flow.strayed
		p.flow.mu.Unlock()
		if s, ok := measure(p.Uplink); ok && !strayed {
			p.scheduler.Learn(d, p.flow.to, s)
		}
	}
	return p.Uplink.Close() //nolint:wrapcheck // it is that one's
}

// measure asks the kernel about one connection (tcp(7): TCP_INFO); ok is false if
// it is closed.
func measure(up stack.Uplink) (s scheduler.Sample, ok bool) {
	raw, err := up.SyscallConn()
	if err != nil {
		return s, false
	}
	err = raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if ok = err == nil && info.Rtt > 0; ok {
			s = scheduler.Sample{
				RTT: time.Duration(info.Rtt) * time.Microsecond, Sent: uint64(info.Segs_out), Lost: uint64(info.Total_retrans),
			}
			if info.Bytes_acked >= telling { // of less the rate is the app's, not the path's
				s.Rate = info.Delivery_rate * 8
			}
		}
	})
	return s, ok && err == nil
}

// Live returns how many TCP flows stand on each domain, by slot. Safe for
// concurrent use.
func (r *Relay) Live() map[uint16]int {
	out := make(map[uint16]int)
	for i := range r.flows.on {
		if n := r.flows.on[i].Load(); n > 0 {
			out[uint16(i)] = int(n)
		}
	}
	return out
}
