package netwatch

import (
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// metric is one number of PathMetrics by its name in the kernel's messages.
type metric struct {
	kind   int
	value  *int
	locked *bool // nil: it cannot be
}

// numbers are those of p.
func (p *PathMetrics) numbers() [7]metric {
	return [...]metric{
		{unix.RTAX_MTU, &p.MTU, &p.MTULock},
		{unix.RTAX_ADVMSS, &p.AdvMSS, nil},
		{unix.RTAX_HOPLIMIT, &p.HopLimit, nil},
		{unix.RTAX_INITCWND, &p.InitCwnd, nil},
		{unix.RTAX_INITRWND, &p.InitRwnd, nil},
		{unix.RTAX_RTO_MIN, &p.RTOMin, &p.RTOMinLock},
		{unix.RTAX_QUICKACK, &p.QuickACK, nil},
	}
}

// read takes one metric of a route.
func (p *PathMetrics) read(kind uint16, value []byte) {
	if kind == unix.RTAX_CC_ALGO {
		p.Congestion = strings.TrimRight(string(value), "\x00")
	}
	for _, m := range p.numbers() {
		switch {
		case kind == unix.RTAX_LOCK && m.locked != nil:
			*m.locked = number(value)&(1<<m.kind) != 0
		case int(kind) == m.kind:
			*m.value = number(value)
		}
	}
}

// attribute is p as the kernel wants to be told of it, nil if it says nothing.
func (p *PathMetrics) attribute() *nl.RtAttr {
	if *p == (PathMetrics{}) {
		return nil
	}
	out := nl.NewRtAttr(unix.RTA_METRICS, nil)
	locks := 0
	for _, m := range p.numbers() {
		if *m.value > 0 {
			out.AddRtAttr(m.kind, nl.Uint32Attr(uint32(*m.value)))
		}
		if m.locked != nil && *m.locked {
			locks |= 1 << m.kind
		}
	}
	if locks != 0 {
		out.AddRtAttr(unix.RTAX_LOCK, nl.Uint32Attr(uint32(locks)))
	}
	if p.Congestion != "" {
		out.AddRtAttr(unix.RTAX_CC_ALGO, nl.ZeroTerminated(p.Congestion))
	}
	return out
}
