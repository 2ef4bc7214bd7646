package uplinks

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"mifvif/pvd"
)

// tune makes ARP on uplinks follow the strong host model (RFC 1122 3.3.4.2): an
// uplink answers for its own addresses only (arp_ignore) and asks with those
// that suit the question (arp_announce). Each old value is in the undo record
// before it is changed. Reverse path filters stay as they are, since a domain's
// source rule makes them right; only where an address is on two interfaces, and
// so has no such rule, a strict filter would drop every answer and is loosened.
func (s *Set) tune(set *pvd.Set) {
	owners := addressOwners(set)
	tuned := make(map[string]bool) // an interface may have many domains
	for _, d := range set.All() {
		if d.State == pvd.Offline || d.State == pvd.Disabled {
			continue
		}
		if !tuned[d.Interface] {
			tuned[d.Interface] = true
			s.raise(setting(d.Interface, "arp_ignore"), 1)
			s.raise(setting(d.Interface, "arp_announce"), 2)
		}
		if shares(d, owners) && filter(d.Interface) == strictFilter {
			s.raise(setting(d.Interface, "rp_filter"), looseFilter)
		}
	}
}

// Values of rp_filter (RFC 3704 2.2, 2.4).
const (
	strictFilter = 1
	looseFilter  = 2
)

// filter returns the reverse path filter in force: the larger value of "all"
// and the interface's.
func filter(ifname string) int {
	all, _ := readSetting(setting("all", "rp_filter"))
	own, _ := readSetting(setting(ifname, "rp_filter"))
	return max(all, own)
}

// shares reports whether an IPv4 address of d is on another uplink too.
func shares(d *pvd.Domain, owners map[netip.Addr]ownership) bool {
	for _, a := range d.Addresses {
		if addr := a.Prefix.Addr(); addr.Is4() && owners[addr].shared {
			return true
		}
	}
	return false
}

// raise sets the sysctl in a file to least, unless it is at least that.
func (s *Set) raise(path string, least int) {
	was, err := readSetting(path)
	if err != nil || was >= least {
		return // an interface that is gone, a kernel without it, or nothing to do
	}
	now := strconv.Itoa(least)
	err = s.cfg.Undo.Record(path, strconv.Itoa(was), now)
	if err == nil { // what cannot be noted for undoing is left as it is
		err = os.WriteFile(path, []byte(now), 0)
	}
	if err != nil && s.first(path) {
		s.log.Warn("a sysctl could not be set", "path", path, "error", err)
	}
}

// setting is the file of an interface's IPv4 setting.
func setting(ifname, key string) string {
	return filepath.Join("/proc/sys/net/ipv4/conf", ifname, key)
}

// setting6 is the file of an interface's IPv6 setting.
func setting6(ifname, key string) string {
	return filepath.Join("/proc/sys/net/ipv6/conf", ifname, key)
}

func readSetting(path string) (int, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, fmt.Errorf("read a sysctl: %w", err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0, fmt.Errorf("read sysctl %s: %w", path, err)
	}
	return n, nil
}
