package uplinks

import (
	"errors"
	"io/fs"
	"os"

	"mifvif/pvd"
)

// Values of accept_ra.
const (
	acceptUnlessForwarding = 1
	acceptAlways           = 2
)

// forward makes the kernel forward between the LANs and mif0, and between
// nothing else where the kernel can tell: what enters by an uplink is not
// forwarded on account of mifvif. Each old value is in the undo record.
func (s *Set) forward(set *pvd.Set) {
	if len(s.cfg.LANs) == 0 {
		return
	}
	for _, ifname := range append([]string{s.cfg.Own}, s.cfg.LANs...) {
		s.raise(setting(ifname, "forwarding"), 1)
		s.raise(setting6(ifname, "force_forwarding"), 1)
	}
	if _, err := os.Stat(setting6("all", "force_forwarding")); errors.Is(err, fs.ErrNotExist) {
		s.forwardEverywhere(set)
	}
}

// forwardEverywhere is for kernels before 6.17, which forward IPv6 for all
// interfaces or none. A router takes no router advertisements unless it is told
// to, and the uplinks live by them.
func (s *Set) forwardEverywhere(set *pvd.Set) {
	for _, d := range set.All() {
		if now, err := readSetting(setting6(d.Interface, "accept_ra")); err == nil && now == acceptUnlessForwarding {
			s.raise(setting6(d.Interface, "accept_ra"), acceptAlways)
		}
	}
	s.raise(setting6("all", "forwarding"), 1)
}
