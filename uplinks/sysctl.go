package uplinks

import (
	"os"
	"path/filepath"
	"strings"

	"mifvif/pvd"
)

// strongHost are the sysctls that make ARP follow the strong host model: an
// uplink answers for its own addresses only and asks with them only. Of two
// values the larger of "all" and the interface's is in force.
func strongHost(ifname string) map[string]string {
	dir := filepath.Join("/proc/sys/net/ipv4/conf", strings.ReplaceAll(ifname, "/", "."))
	return map[string]string{
		filepath.Join(dir, "arp_ignore"):   "1",
		filepath.Join(dir, "arp_announce"): "2",
	}
}

// tune sets the sysctls of uplinks that are new. Each old value is in the undo
// record before it is changed.
func (s *Set) tune(set *pvd.Set) {
	for _, d := range set.All() {
		if d.State == pvd.Offline || s.tuned[d.Interface] {
			continue
		}
		s.tuned[d.Interface] = true
		for path, want := range strongHost(d.Interface) {
			if err := s.setSysctl(path, want); err != nil {
				s.log.Warn("a sysctl could not be set", "path", path, "error", err)
			}
		}
	}
}

func (s *Set) setSysctl(path, want string) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	was := strings.TrimSpace(string(old))
	if was == want {
		return nil
	}
	if err := s.cfg.Undo.Record(path, was, want); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(want), 0)
}
